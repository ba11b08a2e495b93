/* mp_json.h - JSON documents inside msgpack messages, and back */
#ifndef FW_WIRE_MP_JSON_H
#define FW_WIRE_MP_JSON_H

#include <jansson.h>

#include "wire/mp.h"

/* Append j, borrowed. */
void fw_mp_put_json(fw_mp_out *o, const json_t *j);
/* *out owned. FW_FORMAT for what JSON lacks: bytes, extensions, keys that are no text, infinities. */
FW_NODISCARD fw_status fw_mp_to_json(const msgpack_object *o, json_t **out, fw_err *err);

#endif /* FW_WIRE_MP_JSON_H */
