#include "model/proprio.h"

#include <stdio.h>
#include <string.h>

/* Commands of it add up. */
static bool is_step(fw_meaning m) {
    return m == FW_MEANING_EE_DELTA_POS || m == FW_MEANING_EE_DELTA_YAW || m == FW_MEANING_JOINT_VEL ||
           m == FW_MEANING_BASE_VEL;
}

/* Values of what is settled. */
static int settled_width(const fw_embodiment *emb, int max_delay) {
    int orders = 0;
    for (int i = 0; i < emb->n_action; i++) {
        orders += !is_step(emb->action[i].meaning);
    }
    return max_delay > 0 ? emb->n_action + max_delay * orders : 0;
}

static int body_width(int n_state, int n_action, bool prev_state, bool prev_action) {
    return n_state * (prev_state ? 2 : 1) + (prev_action ? n_action : 0);
}

int fw_proprio_width(const fw_flywheel_cfg *cfg, const fw_embodiment *emb) {
    return body_width(emb->n_state, emb->n_action, cfg->prev_state, cfg->prev_action) +
           settled_width(emb, cfg->max_delay);
}

int fw_proprio_body(const fw_proprio *p) {
    return body_width(p->n_state, p->n_action, p->prev_state, p->prev_action);
}

/* The state of this meaning and arm that comes at the same place as action k among those of its own; -1: none. */
static int state_like(const fw_embodiment *emb, int k, fw_meaning meaning) {
    int before = 0;
    for (int i = 0; i < k; i++) {
        before += emb->action[i].meaning == emb->action[k].meaning && emb->action[i].arm == emb->action[k].arm;
    }
    for (int i = 0; i < emb->n_state; i++) {
        if (emb->state[i].meaning == meaning && emb->state[i].arm == emb->action[k].arm && before-- == 0) {
            return i;
        }
    }
    return -1;
}

static int state_called(const fw_embodiment *emb, const char *action) {
    char name[FW_NAME_MAX + 16];
    snprintf(name, sizeof name, "%s_command", action);
    for (int i = 0; i < emb->n_state; i++) {
        if (strcmp(emb->state[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static void read_actions(fw_proprio *p, const fw_embodiment *emb) {
    for (int k = 0; k < emb->n_action; k++) {
        const fw_meaning m = emb->action[k].meaning;
        p->step[k] = is_step(m);
        p->seen_order[k] = state_called(emb, emb->action[k].name);
        p->seen_now[k] = p->seen_order[k] >= 0 ? p->seen_order[k] : state_like(emb, k, m);
        p->seen_pos[k] = m == FW_MEANING_EE_DELTA_POS   ? state_like(emb, k, FW_MEANING_EE_POS)
                         : m == FW_MEANING_EE_DELTA_YAW ? state_like(emb, k, FW_MEANING_EE_YAW)
                                                        : -1;
    }
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
    read_actions(p, emb);
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

/* The last max_delay commands of action k, which is no step: see the head of proprio.h. */
static void put_orders(const fw_proprio *p, int k, const float *state, const float *settled, int n, float *out) {
    const float now = p->seen_now[k] >= 0 ? state[p->seen_now[k]] : p->action.shift[k];
    for (int i = 0; i < p->max_delay; i++) {
        const int at = n - p->max_delay + i;
        out[i] = at >= 0 ? (settled[at * p->n_action + k] - now) * p->action.scale[k] : 0.0f;
    }
}

void fw_proprio_settled(const fw_proprio *p, const float *state, const float *settled, int n, float *row) {
    const int most = p->max_delay, na = p->n_action;
    float *way = row + fw_proprio_body(p), *order = way + (most > 0 ? na : 0);
    for (int k = 0; k < na && most > 0; k++) {
        way[k] = 0.0f;
        for (int i = 0; i < n && p->step[k]; i++) {
            way[k] += settled[i * na + k] * p->action.scale[k] / (float)most;
        }
        if (!p->step[k]) {
            put_orders(p, k, state, settled, n, order);
            order += most;
        }
    }
}

void fw_proprio_executed(const fw_proprio *p, const float *state, const float *action, int n, float *out) {
    for (int i = 0; i < n; i++) {
        const float *now = state + i * p->n_state, *next = now + p->n_state;
        for (int k = 0; k < p->n_action; k++) {
            const int pos = p->seen_pos[k], order = p->seen_order[k];
            const float told = order >= 0 ? next[order] : action[i * p->n_action + k];
            out[i * p->n_action + k] = pos >= 0 ? next[pos] - now[pos] : told;
        }
    }
}
