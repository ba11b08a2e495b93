/* pretrained_see.c - pictures of a published policy's training (learner_pretrained.c), through the frozen tower once, or as recorded. */
#include <stdlib.h>
#include <string.h>

#include "train/pretrained_int.h"

/* Round to nearest even; values are finite. */
static uint16_t to_bf16(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (uint16_t)((u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
}

static float from_bf16(uint16_t h) {
    const uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

typedef struct eye {
    const fw_pretrained_learner *p;
    const fw_graph *g;
    const fw_vla_io *io;
    fw_plan *plan; /* made when the first frame is missing */
    int64_t values;
} eye;

static fw_status look(void *ctx, const uint8_t *rgb, int64_t n, int h, int w, void *out, fw_err *err) {
    eye *e = ctx;
    if (e->plan == NULL) {
        const fw_plan_opts o = {.pool = e->p->base.pool};
        FW_TRY(fw_plan_new(e->g, &o, &e->io->connector[0], 1, &e->plan, err));
    }
    for (int64_t i = 0; i < n; i++) {
        uint16_t *to = (uint16_t *)out + i * e->values;
        fw_vla_fit_image(&e->p->c, rgb + i * h * w * 3, h, w, fw_plan_data(e->plan, e->io->image[0]));
        FW_TRY(fw_plan_run(e->plan, err));
        const float *x = fw_plan_data(e->plan, e->io->connector[0]);
        for (int64_t k = 0; k < e->values; k++) {
            to[k] = to_bf16(x[k]);
        }
    }
    return FW_OK;
}

fw_status fw_pretrained_see(fw_pretrained_learner *p, const fw_graph *g, const fw_vla_io *io, fw_err *err) {
    eye e = {.p = p, .g = g, .io = io};
    fw_picture_maker m = {.key = ""};
    if (p->seen) {
        e.values = fw_vla_image_tokens(&p->c) * p->c.vla.text.width;
        m = (fw_picture_maker){.row_bytes = e.values * (int64_t)sizeof(uint16_t), .make = look, .ctx = &e};
        snprintf(m.key, sizeof m.key, "seen by %.24s", p->sha256);
    }
    fw_status s = FW_OK;
    for (int d = 0; d < p->base.data.n_data && s == FW_OK; d++) {
        fw_train_data *data = &p->base.data.data[d];
        for (int i = 0; i < data->n_camera && s == FW_OK; i++) {
            s = fw_pictures_fill(data->ds, data->id, data->camera[i], &m, &data->picture[i], err);
        }
    }
    fw_plan_free(e.plan);
    return s;
}

void fw_pretrained_put_seen(const fw_pretrained_learner *p, fw_plan *plan, int64_t b, int i, const void *row) {
    const int64_t n = fw_vla_image_tokens(&p->c) * p->c.vla.text.width;
    float *x = (float *)fw_plan_data(plan, p->vla.connector[i]) + b * n;
    for (int64_t k = 0; k < n; k++) {
        x[k] = from_bf16(((const uint16_t *)row)[k]);
    }
}
