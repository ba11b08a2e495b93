/* any bytes as a JSON file: parsed or refused; what is an embodiment goes out and comes back the same */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/embodiment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* every getter on every value, with keys that are there */
static void ask_everything(const json_t *obj) {
    fw_err err;
    for (void *it = json_object_iter((json_t *)obj); it != NULL; it = json_object_iter_next((json_t *)obj, it)) {
        const char *key = json_object_iter_key(it), *s;
        const json_t *v;
        int64_t i;
        double f[3];
        bool b;
        fw_status all[] = {fw_json_str(obj, key, "fuzz", &s, &err),   fw_json_i64(obj, key, "fuzz", -10, 10, &i, &err),
                           fw_json_f64(obj, key, "fuzz", f, &err),    fw_json_bool(obj, key, "fuzz", &b, &err),
                           fw_json_arr(obj, key, "fuzz", &v, &err),   fw_json_obj(obj, key, "fuzz", &v, &err),
                           fw_json_f64s(obj, key, "fuzz", f, 3, &err)};
        for (size_t k = 0; k < sizeof(all) / sizeof(*all); k++) {
            if (all[k] != FW_OK && all[k] != FW_FORMAT) {
                abort();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *j, *back;
    fw_embodiment a, b;
    fw_err err = {0};
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    if (fw_json_parse((const char *)data, size, "fuzz", &j, &err) != FW_OK) {
        if (j != NULL || err.msg[0] == 0) {
            abort();
        }
        return 0;
    }
    ask_everything(j);
    if (fw_embodiment_from_json(j, "fuzz", &a, &err) == FW_OK) {
        back = fw_embodiment_to_json(&a);
        if (fw_embodiment_from_json(back, "fuzz", &b, &err) != FW_OK || memcmp(&a, &b, sizeof(a)) != 0) {
            abort();
        }
        json_decref(back);
    }
    json_decref(j);
    return 0;
}
