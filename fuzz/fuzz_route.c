/* what strangers say before any message: a path, a URL, a header with a key, a mapped name */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "scratch.h"
#include "serve/serve_int.h"
#include "wire/ws_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"kitchen3", "pi0", "a.b"};
    static fw_ws_keys *keys;
    char text[600], why[256];
    route r;
    fw_ws_url u;
    fw_key_map map = {0};
    fw_err err = {0};
    if (keys == NULL && fw_ws_keys_load(scratch_put("keys", "a-key-of-many-letters\n", 22), &keys, &err) != FW_OK) {
        abort();
    }
    snprintf(text, sizeof text, "%.*s", (int)size, (const char *)data);
    for (int n = 1; n <= 3; n++) {
        const int status = fw_route(text, names, n, &r, why, sizeof why);
        if ((status != 0 && status != 404) || r.model >= n) {
            abort();
        }
    }
    if (fw_ws_url_parse(text, &u, &err) == FW_OK &&
        (u.port < 1 || u.port > 65535 || u.host[0] == 0 || u.path[0] != '/')) {
        abort();
    }
    if (fw_ws_keys_fit(keys, text) && strstr(text, "a-key-of-many-letters") == NULL) {
        abort();
    }
    (void)!fw_key_map_add(&map, text, &err);
    return 0;
}
