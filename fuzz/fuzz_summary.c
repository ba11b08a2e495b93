/* Summaries of values (meta/summary.bin) from anywhere: the SHA-256 at the end is made to fit, so that what lies before it is looked at. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "data/stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char hex[65], *copy = malloc(size + 64);
    fw_summary *s;
    fw_column_stats c;
    fw_err err;
    double counts[8];
    if (copy == NULL) {
        return 0;
    }
    size_t body = size < 64 ? size : size - 64;
    memcpy(copy, data, body);
    fw_sha256_hex(copy, body, hex);
    memcpy(copy + body, hex, 64);
    fw_status st = fw_summary_load_mem(copy, body + 64, "fuzz", &s, &err);
    free(copy);
    if (st != FW_OK) {
        return err.msg[0] == 0; /* every refusal says why */
    }
    for (int i = 0; i < fw_summary_features(s); i++) {
        const char *key = fw_summary_key(s, i);
        if (fw_summary_get(s, key, &c, &err) == FW_OK) {
            (void)!fw_summary_histogram(s, key, 0, c.min[0], c.max[0], 8, counts, &err);
            fw_column_stats_clear(&c);
        }
    }
    (void)!fw_summary_merge(s, s, &err);
    fw_summary_free(s);
    return 0;
}
