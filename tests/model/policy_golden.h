/* policy_golden.h - a tiny published policy and what LeRobot computes with it: tests/golden/policies/<name>, gen_policies.py */
#ifndef FW_POLICY_GOLDEN_H
#define FW_POLICY_GOLDEN_H

#include "model_test.h"

#include "model/lerobot_config.h"
#include "tensor/safetensors.h"

#define POLICIES GOLDEN "policies/"

typedef struct golden {
    char dir[512];
    fw_st *st;
} golden;

/* file: "golden" or "golden_train", ... */
static inline golden golden_open(const char *name, const char *file) {
    golden g = {"", NULL};
    fw_err err = {0};
    char path[600];
    snprintf(g.dir, sizeof g.dir, POLICIES "%s", name);
    snprintf(path, sizeof path, "%s/%s.safetensors", g.dir, file);
    CHECK_OK(fw_st_open(path, &g.st, &err), err);
    return g;
}

static inline const fw_st_tensor *golden_at(const golden *g, const char *name) {
    const fw_st_tensor *t = fw_st_find(g->st, name);
    if (t == NULL) {
        FW_FAILED("%s: no golden '%s'", g->dir, name);
    }
    return t;
}

/* As f32 (u8 too), owned by the caller; n: how many, or NULL. */
static inline float *golden_f32(const golden *g, const char *name, size_t *n) {
    const fw_st_tensor *t = golden_at(g, name);
    fw_err err = {0};
    size_t count = (size_t)fw_shape_count(&t->shape);
    float *out = malloc(count * sizeof *out);
    CHECK(out != NULL);
    if (t->dtype == FW_U8) {
        for (size_t i = 0; i < count; i++) {
            out[i] = (float)((const uint8_t *)t->data)[i];
        }
    } else {
        CHECK_OK(fw_st_read_f32(g->st, name, &t->shape, out, &err), err);
    }
    if (n != NULL) {
        *n = count;
    }
    return out;
}

/* Within 1e-4 of the golden's scale everywhere. */
static inline void check_golden(const golden *g, const char *name, const float *got) {
    size_t n = 0;
    double scale = 0.0;
    float *want = golden_f32(g, name, &n);
    for (size_t i = 0; i < n; i++) {
        scale = fmax(scale, fabs((double)want[i]));
    }
    fw_check_near(name, g->dir, 0, got, want, n, 1e-4 * scale, 0.0);
    free(want);
}

#endif /* FW_POLICY_GOLDEN_H */
