/* fuzz_policy.c - bytes as a policy's model config: refused with words, or a config that survives writing and can be built */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/flywheel_s.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small enough to build in no time. */
static int is_small(const fw_flywheel_cfg *c) {
    return c->hidden <= 64 && c->layers <= 3 && c->channels1 <= 64 && c->channels2 <= 64 && c->keypoints <= 64 &&
           c->text_dim <= 64 && c->image_size <= 64 && c->horizon <= 16;
}

static void build(const fw_flywheel_cfg *cfg) {
    fw_params *p = NULL;
    fw_graph *g = NULL;
    fw_flywheel_io io;
    if (fw_params_new(1, &p, NULL) != FW_OK || fw_graph_new(p, &g, NULL) != FW_OK) {
        abort();
    }
    fw_err err = {0};
    if (fw_flywheel_build(g, cfg, 3, 2, 1, true, &io, &err) != FW_OK && err.msg[0] == 0) {
        abort();
    }
    fw_graph_free(g);
    fw_params_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_err err = {0};
    fw_flywheel_cfg a, b;
    json_t *j = NULL;
    if (fw_json_parse((const char *)data, size, "fuzz", &j, &err) != FW_OK) {
        return 0;
    }
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    fw_status st = fw_flywheel_cfg_parse(j, "fuzz", &a, &err);
    json_decref(j);
    if (st != FW_OK) {
        if (err.msg[0] == 0) {
            abort();
        }
        return 0;
    }
    j = fw_flywheel_cfg_json(&a);
    if (j == NULL || fw_flywheel_cfg_parse(j, "fuzz", &b, &err) != FW_OK) {
        abort();
    }
    json_decref(j);
    if (a.trunk != b.trunk || a.hidden != b.hidden || a.n_camera != b.n_camera || a.n_tap != b.n_tap ||
        a.dropout != b.dropout) {
        abort();
    }
    if (a.n_camera == 0) {
        strcpy(a.camera[a.n_camera++], "front");
    }
    if (is_small(&a)) {
        build(&a);
    }
    return 0;
}
