/* Views of a simulated episode (DIR/sim/<key>.parquet) from anywhere: as many rows of numbers as they say, or a refusal. */
#include <stdint.h>

#include "data/replay.h"
#include "scratch.h"

static volatile double sum; /* so that every value is read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_replay r = {.suite = "fuzz"};
    char name[64], key[FW_REPLAY_KEY];
    fw_views v;
    fw_err err;
    fw_replay_key(&r, key);
    snprintf(name, sizeof name, "sim/%s.parquet", key);
    scratch_put(name, data, size);
    fw_status st = fw_views_read(scratch(), &r, 3, &v, &err);
    scratch_refused(st, &err);
    if (st == FW_OK) {
        for (int64_t i = 0; i < v.n_frame * v.n_view; i++) {
            sum += v.view[i];
        }
        sum += v.n_frame > 0 ? (double)v.frame[v.n_frame - 1] : 0.0;
        fw_views_clear(&v);
    }
    return 0;
}
