/* Embodiments with their "model" part from anywhere: both readers refuse with words or take it whole. */
#include <stdint.h>

#include "fw/embodiment.h"
#include "scratch.h"
#include "sim/robot_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_embodiment e;
    fw_err err;
    const char *path = scratch_put("robot.json", data, size);
    fw_robot *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return 0;
    }
    fw_status alone = fw_embodiment_load(path, &e, &err);
    scratch_refused(alone, &err);
    if (alone == FW_OK && (e.n_state < 1 || e.n_state > FW_DIM_MAX || e.n_camera > FW_CAM_MAX || !(e.rate_hz > 0))) {
        abort();
    }
    fw_status st = robot_read(r, path, &err);
    scratch_refused(st, &err);
    if (st == FW_OK && alone != FW_OK) {
        abort(); /* what has a model is an embodiment first */
    }
    robot_free(r);
    return 0;
}
