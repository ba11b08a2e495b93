/* any bytes as a robot's limits, and as a user's tighter ones: refused with a reason, or what comes out is taken by safety and obeys them */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "robot/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(fw_status st, const fw_err *err) {
    if (st != FW_OK && (err->msg[0] == 0 || err->code != st)) {
        abort();
    }
}

/* Whatever was measured, nothing but numbers within the limits is sent. */
static void steps(const fw_safety_limits *l) {
    static fw_safety s;
    fw_safety_in in;
    fw_safety_out out;
    memset(&in, 0, sizeof in);
    if (fw_safety_init(&s, l).what != FW_SAFETY_LIMITS_OK) {
        abort();
    }
    for (uint32_t c = 1; c <= 3; c++) {
        in.now_us = 1000000 + (uint64_t)c * l->period_us;
        in.request = FW_SAFETY_STANDBY;
        for (uint32_t i = 0; i < l->n_axis; i++) {
            in.axis[i] = (fw_safety_sample){.valid = true, .t_us = in.now_us, .position = l->axis[i].retract};
        }
        fw_safety_step(&s, &in, &out);
        for (uint32_t i = 0; i < l->n_axis && out.send; i++) {
            if (!(out.position[i] >= l->axis[i].position_min && out.position[i] <= l->axis[i].position_max)) {
                abort();
            }
        }
    }
}

static void tightened(const json_t *j, const fw_safety_limits *was, const fw_limits_names *names) {
    fw_safety_limits l = *was;
    fw_err err = {0};
    const fw_status st = fw_limits_tighten_json(j, "fuzz", &l, names, &err);
    refused(st, &err);
    if (st != FW_OK && memcmp(&l, was, sizeof l) != 0) {
        abort();
    }
    for (uint32_t i = 0; i < l.n_axis; i++) {
        const fw_safety_axis *a = &l.axis[i], *b = &was->axis[i];
        if (a->velocity > b->velocity || a->torque > b->torque || a->position_max > b->position_max ||
            a->position_min < b->position_min || a->contact > b->contact) {
            abort();
        }
    }
    if (st == FW_OK) {
        steps(&l);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_safety_limits l;
    fw_limits_names names;
    fw_err err = {0};
    json_t *j;
    if (fw_json_parse((const char *)data, size, "fuzz", &j, &err) != FW_OK) {
        return 0;
    }
    memset(&l, 0, sizeof l);
    const fw_status st = fw_limits_from_json(json_object_get(j, "safety"), "fuzz", &l, &names, &err);
    refused(st, &err);
    if (st == FW_OK) {
        steps(&l);
        if (json_object_get(j, "tighter") != NULL) {
            tightened(json_object_get(j, "tighter"), &l, &names);
        }
    }
    json_decref(j);
    return 0;
}
