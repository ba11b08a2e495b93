#include "model/proprio.h"

#include <string.h>

static int body_width(int n_state, int n_action, bool prev_state, bool prev_action) {
    return n_state * (prev_state ? 2 : 1) + (prev_action ? n_action : 0);
}

int fw_proprio_width(const fw_flywheel_cfg *cfg, const fw_embodiment *emb) {
    return body_width(emb->n_state, emb->n_action, cfg->prev_state, cfg->prev_action) +
           cfg->max_delay * (1 + emb->n_action);
}

int fw_proprio_body(const fw_proprio *p) {
    return body_width(p->n_state, p->n_action, p->prev_state, p->prev_action);
}

fw_status fw_proprio_init(fw_proprio *p, const fw_flywheel_cfg *cfg, const fw_embodiment *emb, const fw_stats *stats,
                          fw_err *err) {
    fw_stat st;
    fw_status s;
    *p = (fw_proprio){.n_state = emb->n_state,
                      .n_action = emb->n_action,
                      .max_delay = cfg->max_delay,
                      .prev_state = cfg->prev_state,
                      .prev_action = cfg->prev_action};
    if ((s = fw_stats_get(stats, "observation.state", emb->n_state, &st, err)) != FW_OK ||
        (s = fw_norm_dims(&st, emb->state, emb->n_state, &p->state, err)) != FW_OK ||
        (s = fw_stats_get(stats, "action", emb->n_action, &st, err)) != FW_OK ||
        (s = fw_norm_dims(&st, emb->action, emb->n_action, &p->action, err)) != FW_OK) {
        goto done;
    }
    if (p->prev_state) {
        float floor[FW_DIM_MAX]; /* a hundredth of the state's own scale: less is sensor noise, not motion */
        for (int i = 0; i < emb->n_state; i++) {
            floor[i] = 0.01f / p->state.scale[i];
        }
        if ((s = fw_stats_get(stats, "observation.state.delta", emb->n_state, &st, err)) == FW_OK) {
            s = fw_norm_make(&st, FW_NORM_MEAN_STD, floor, &p->delta, err);
        }
    }
done:
    if (s != FW_OK) {
        fw_proprio_clear(p);
    }
    return s;
}

void fw_proprio_clear(fw_proprio *p) {
    fw_norm_clear(&p->state);
    fw_norm_clear(&p->delta);
    fw_norm_clear(&p->action);
}

void fw_proprio_row(const fw_proprio *p, const float *state, const float *prev_state, const float *prev_action,
                    float *out) {
    fw_norm_apply(&p->state, state, out, 1);
    out += p->n_state;
    if (p->prev_state) {
        for (int i = 0; i < p->n_state; i++) {
            float d = prev_state != NULL ? state[i] - prev_state[i] : 0.0f;
            out[i] = (d - p->delta.shift[i]) * p->delta.scale[i];
        }
        out += p->n_state;
    }
    if (p->prev_action) {
        if (prev_action != NULL) {
            fw_norm_apply(&p->action, prev_action, out, 1);
        } else {
            memset(out, 0, sizeof(float) * (size_t)p->n_action);
        }
    }
}

void fw_proprio_prefix(const fw_proprio *p, const float *prefix, int n, float *row) {
    float *there = row + fw_proprio_body(p), *rows = there + p->max_delay;
    memset(there, 0, sizeof(float) * (size_t)(p->max_delay * (1 + p->n_action)));
    for (int i = 0; i < n; i++) {
        there[i] = 1.0f;
    }
    fw_norm_apply(&p->action, prefix, rows, (size_t)n);
}
