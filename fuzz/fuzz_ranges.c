/* any bytes as a file of ranges: refused with a message, or every draw is finite and what was read is written and read back */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "sim/ranges.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_draws(const fw_ranges *r) {
    fw_rng rng = fw_rng_stream(1, "fuzz");
    char text[256];
    for (int i = 0; i < FW_RANGE_N; i++) {
        double v = fw_range_draw(&r->r[i], &rng);
        fw_range_text((fw_range_id)i, &r->r[i], text, sizeof text);
        if (!isfinite(v) || fabs(v) > fw_range_most(&r->r[i]) * (1 + 1e-12) || text[0] == 0) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *j;
    fw_ranges a = {.held_out = false}, b = {.held_out = false};
    fw_err err = {FW_OK, ""};
    if (fw_json_parse((const char *)data, size, "fuzz", &j, &err) != FW_OK) {
        return 0;
    }
    fw_status st = fw_ranges_from_json(j, "fuzz", false, &a, &err);
    json_decref(j);
    if (st != FW_OK) {
        if (err.msg[0] == 0) {
            abort();
        }
        return 0;
    }
    check_draws(&a);
    j = fw_ranges_to_json(&a);
    if (fw_ranges_from_json(j, "fuzz", false, &b, &err) != FW_OK || memcmp(a.r, b.r, sizeof a.r) != 0) {
        abort();
    }
    json_decref(j);
    return 0;
}
