/* embodiment.h - an embodiment inside another JSON document (a checkpoint's config, a dataset's metadata). */
#ifndef FW_BASE_EMBODIMENT_H
#define FW_BASE_EMBODIMENT_H

#include "base/json.h"
#include "fw/embodiment.h"

/* Read
 * {"name","rate_hz","cameras":[{"name","width","height"}],"state":[{"name","meaning","arm","min","max"}],"action":[...]}.
 * "arm" is 0 when missing. "model" is the simulator's (sim/robot.h) and not looked at here.
 * Unknown keys, repeated names and min >= max are refused. `where` is for messages; out is untouched unless FW_OK. */
FW_NODISCARD fw_status fw_embodiment_from_json(const json_t *j, const char *where, fw_embodiment *out, fw_err *err);
/* The same form: owned, json_decref. NULL when out of memory. */
json_t *fw_embodiment_to_json(const fw_embodiment *e);

#endif /* FW_BASE_EMBODIMENT_H */
