/* fake.h - a policy for tests of the server: fast, or as slow as told, with actions that tell which observation they are of */
#ifndef FW_TEST_FAKE_H
#define FW_TEST_FAKE_H

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "fw/policy.h"
#include "wire/mp.h"

enum { FAKE_ROWS = 16, FAKE_STATE = 6, FAKE_ACTION = 5 };

typedef struct fake {
    fw_policy base; /* first */
    fw_embodiment e;
    int delay_ms, n_execute, horizon;
    float bias;                      /* tells which policy it was */
    atomic_int calls, batches, rows; /* rows: observations in batches */
    atomic_int running;              /* never more than one thread inside */
} fake;

/* Row i, value k: state[k % FAKE_ACTION] + i / 100 + the first pixel of the cameras / 1000 + bias. */
static inline fw_status fake_one(fake *f, const fw_obs *o, fw_chunk *c, fw_err *err) {
    float pixels = 0;
    for (int i = 0; i < o->n_image; i++) {
        if (o->image[i].rgb == NULL) {
            return fw_fail(err, FW_SHAPE, "camera '%s' is missing from the observation", f->e.camera[i].name);
        }
        pixels += (float)o->image[i].rgb[0] / 1000;
    }
    const int wide = f->e.n_action;
    for (int i = 0; i < f->horizon * wide; i++) {
        c->actions[i] = o->state[i % wide % FAKE_ACTION] + (float)(i / wide) / 100 + pixels + f->bias;
    }
    if (o->prefix != NULL) {
        memcpy(c->actions, o->prefix, (size_t)(o->n_prefix * wide) * sizeof *c->actions);
    }
    c->horizon = f->horizon;
    c->n_action = wide;
    c->dt_s = 0.1;
    c->t_ns = o->t_ns;
    return strcmp(o->instruction, "fail") == 0 ? fw_fail(err, FW_INVALID, "told to fail") : FW_OK;
}

static inline void fake_batch(fw_policy *self, int n, const fw_obs *o, fw_chunk *c, fw_err *err) {
    fake *f = (fake *)self;
    if (atomic_fetch_add(&f->running, 1) != 0) {
        abort();
    }
    usleep((unsigned)f->delay_ms * 1000);
    for (int i = 0; i < n; i++) {
        err[i].code = fake_one(f, &o[i], &c[i], &err[i]);
    }
    atomic_fetch_add(&f->batches, 1);
    atomic_fetch_add(&f->rows, n);
    atomic_fetch_sub(&f->running, 1);
}

static inline fw_status fake_infer(fw_policy *self, const fw_obs *o, fw_chunk *c, fw_err *err) {
    fw_err one = {0};
    atomic_fetch_add(&((fake *)self)->calls, 1);
    fake_batch(self, 1, o, c, &one);
    return one.code == FW_OK ? FW_OK : fw_fail(err, one.code, "%s", one.msg);
}

static inline void fake_describe(const fw_policy *self, fw_policy_info *out) {
    const fake *f = (const fake *)self;
    *out = (fw_policy_info){
        .name = "fake", .embodiment = &f->e, .horizon = f->horizon, .n_execute = f->n_execute, .max_delay = 4};
}
static inline void fake_nothing(fw_policy *self) {
    (void)self;
}

static const fw_policy_vtable fake_vtable = {fake_describe, fake_infer, fake_nothing, fake_nothing, fake_batch};

/* cameras: up to FW_CAM_MAX names, NULL behind the last. */
static inline void fake_init_as(fake *f, const char *const *cameras, int n_state, int n_action, int horizon) {
    memset(f, 0, sizeof *f);
    f->base.v = &fake_vtable;
    f->n_execute = 3;
    f->horizon = horizon;
    f->e = (fw_embodiment){.name = "fake", .rate_hz = 10, .n_state = n_state, .n_action = n_action};
    for (; cameras[f->e.n_camera] != NULL; f->e.n_camera++) {
        fw_camera *c = &f->e.camera[f->e.n_camera];
        *c = (fw_camera){.width = 32, .height = 24};
        snprintf(c->name, sizeof c->name, "%s", cameras[f->e.n_camera]);
    }
    for (int i = 0; i < FW_DIM_MAX; i++) {
        f->e.state[i] = f->e.action[i] = (fw_dim){.meaning = FW_MEANING_JOINT_POS, .min = -100, .max = 100};
        snprintf(f->e.state[i].name, FW_NAME_MAX, "s%d", i);
        snprintf(f->e.action[i].name, FW_NAME_MAX, "a%d", i);
    }
}

static inline void fake_init(fake *f, int delay_ms, float bias) {
    static const char *const cameras[] = {"front", "wrist", NULL};
    fake_init_as(f, cameras, FAKE_STATE, FAKE_ACTION, FAKE_ROWS);
    f->delay_ms = delay_ms;
    f->bias = bias;
}

#endif /* FW_TEST_FAKE_H */
