/* any bytes as an arm's calibration, as a driver's config and as cameras: taken or refused with a reason; what is taken comes back the
 * same, and no step leaves its range */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "robot/camera.h"
#include "robot/so101.h"
#include "robot/so101_cal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(fw_status st, const fw_err *err) {
    if (st != FW_OK && (err->msg[0] == 0 || err->code != st)) {
        abort();
    }
}

static void numbers(const fw_so101_motor *m) {
    static const fw_so101_axis joint = {.sign = -1, .offset_rad = 0.3},
                               gripper = {.closed_rad = -0.17, .open_rad = 1.7};
    static const double any[] = {-1e300, -7, -0.1, 0, 0.1, 7, 1e300};
    for (size_t i = 0; i < sizeof any / sizeof *any; i++) {
        const int32_t a = fw_so101_steps(m, &joint, any[i]), b = fw_so101_steps(m, &gripper, any[i]);
        if (a < m->range_min || a > m->range_max || b < m->range_min || b > m->range_max) {
            abort();
        }
        const int32_t c = fw_so101_unnormalize(m, FW_SO101_0_100, any[i]);
        if (c < m->range_min || c > m->range_max || !isfinite(fw_so101_normalize(m, FW_SO101_M100_100, c))) {
            abort();
        }
    }
    for (int32_t s = m->range_min; s <= m->range_max; s += 7) {
        if (fw_so101_steps(m, &joint, fw_so101_rad(m, &joint, s)) != s) {
            abort();
        }
    }
}

static void calibration(const json_t *j) {
    fw_so101_cal cal, back;
    fw_err err = {0};
    fw_status st = fw_so101_cal_from_json(j, "fuzz", &cal, &err);
    refused(st, &err);
    if (st != FW_OK) {
        return;
    }
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        numbers(&cal.motor[i]);
    }
    json_t *again = fw_so101_cal_to_json(&cal);
    if (fw_so101_cal_from_json(again, "again", &back, &err) != FW_OK || memcmp(&cal, &back, sizeof cal) != 0) {
        abort();
    }
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_cam_opts cams[FW_CAM_MAX];
    fw_err err = {0};
    json_t *j;
    int n;
    if (fw_json_parse((const char *)data, size, "fuzz", &j, &err) != FW_OK) {
        return 0;
    }
    calibration(j);
    refused(fw_cam_opts_from_json(j, "fuzz", cams, &n, &err), &err);
    json_t *port = json_object_get(j, "port"), *cal = json_object_get(j, "calibration");
    if (port != NULL && cal != NULL) { /* a config; the files that it names are not there */
        char *text = malloc(size + 1);
        fw_driver_dev *d = NULL;
        memcpy(text, data, size);
        text[size] = 0;
        json_object_set_new(j, "calibration", json_string("/nonexistent"));
        free(text);
        text = json_dumps(j, 0);
        if (text != NULL) {
            fw_err e = {0};
            refused(fw_so101_api.open(text, &d, &e), &e);
            fw_so101_api.close(d);
        }
        free(text);
    }
    json_decref(j);
    return 0;
}
