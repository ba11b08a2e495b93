/*
 * json.h - jansson with errors that name the file, the place, what was wanted and what was there.
 *
 * Getters take `where` ("models/x/config.json") only for the message. A `_or` getter returns its default when the key
 * is missing and fails when it is there with the wrong type. Numbers must be finite.
 */
#ifndef FW_BASE_JSON_H
#define FW_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"

/* *out owned: json_decref. Duplicate keys are refused. At most 256 MiB. */
FW_NODISCARD fw_status fw_json_load(const char *path, json_t **out, fw_err *err);
FW_NODISCARD fw_status fw_json_parse(const char *text, size_t n, const char *where, json_t **out, fw_err *err);
/* Atomic, indent 2 (LeRobot's own files: indent 4). */
FW_NODISCARD fw_status fw_json_save(const char *path, const json_t *j, int indent, fw_err *err);

FW_NODISCARD fw_status fw_json_str(const json_t *obj, const char *key, const char *where, const char **out,
                                   fw_err *err);
FW_NODISCARD fw_status fw_json_i64(const json_t *obj, const char *key, const char *where, int64_t min, int64_t max,
                                   int64_t *out, fw_err *err);
FW_NODISCARD fw_status fw_json_f64(const json_t *obj, const char *key, const char *where, double *out, fw_err *err);
FW_NODISCARD fw_status fw_json_bool(const json_t *obj, const char *key, const char *where, bool *out, fw_err *err);
FW_NODISCARD fw_status fw_json_obj(const json_t *obj, const char *key, const char *where, const json_t **out,
                                   fw_err *err);
FW_NODISCARD fw_status fw_json_arr(const json_t *obj, const char *key, const char *where, const json_t **out,
                                   fw_err *err);
/* Exactly n finite numbers. */
FW_NODISCARD fw_status fw_json_f64s(const json_t *obj, const char *key, const char *where, double *out, size_t n,
                                    fw_err *err);
/* Missing key: *out = def. */
FW_NODISCARD fw_status fw_json_str_or(const json_t *obj, const char *key, const char *where, const char *def,
                                      const char **out, fw_err *err);
FW_NODISCARD fw_status fw_json_i64_or(const json_t *obj, const char *key, const char *where, int64_t min, int64_t max,
                                      int64_t def, int64_t *out, fw_err *err);
FW_NODISCARD fw_status fw_json_f64_or(const json_t *obj, const char *key, const char *where, double def, double *out,
                                      fw_err *err);
FW_NODISCARD fw_status fw_json_bool_or(const json_t *obj, const char *key, const char *where, bool def, bool *out,
                                       fw_err *err);
/* Refuse keys that nobody reads: `known` ends with NULL. The message names the first unknown one and the known ones. */
FW_NODISCARD fw_status fw_json_only(const json_t *obj, const char *where, const char *const *known, fw_err *err);

#endif /* FW_BASE_JSON_H */
