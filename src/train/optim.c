/* optim.c - see optim.h. The inner loops are plain C that compilers turn into vector code: no branch, no errno. */
#include "train/optim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3,no-math-errno,no-trapping-math")
#endif

enum { SPAN = 16384 }; /* values a work item: 64 kB of each array, within a core's cache */

typedef struct span {
    int param;
    int64_t from, n; /* values of that parameter */
} span;

struct fw_optim {
    fw_optim_opts opts;
    fw_pool *pool;
    int n;
    fw_parameter **param; /* [n] */
    int64_t *at;          /* [n] where its state begins in each of m, v, ema */
    float *lr_scale;      /* [n] */
    int n_span;
    span *spans;        /* [n_span] */
    double *square;     /* [n_span] sum of squares of the gradient */
    const float **grad; /* [n] of the step under way */
    int64_t values;
    float *m, *v, *ema; /* one block, owned at m, [values] each; ema NULL: no average is kept */
    int64_t steps;
    struct {
        float lr, wd, b1, b2, eps, clip, ema_keep, c1, c2; /* of the step under way */
    } k;
};

static fw_status check_opts(const fw_optim_opts *o, fw_err *err) {
    if (!(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1 && o->eps > 0)) {
        return fw_fail(err, FW_INVALID, "optimiser: betas must be in [0,1) and eps > 0, got %g, %g, %g", o->beta1,
                       o->beta2, o->eps);
    }
    if (!(o->weight_decay >= 0 && o->clip_norm >= 0 && o->ema_decay >= 0 && o->ema_decay < 1)) {
        return fw_fail(err, FW_INVALID,
                       "optimiser: weight decay and clip must be >= 0 and the average's decay in [0,1), got %g, %g, %g",
                       o->weight_decay, o->clip_norm, o->ema_decay);
    }
    return FW_OK;
}

static void count_trainable(fw_params *params, fw_optim *o) {
    for (int i = 0; i < fw_params_count(params); i++) {
        const fw_parameter *p = fw_params_at(params, i);
        if (p->trainable) {
            int64_t n = fw_shape_count(&p->shape);
            o->n++;
            o->values += n;
            o->n_span += (int)((n + SPAN - 1) / SPAN);
        }
    }
}

static void list_trainable(fw_params *params, fw_optim *o) {
    int k = 0, s = 0;
    int64_t at = 0;
    for (int i = 0; i < fw_params_count(params); i++) {
        fw_parameter *p = fw_params_at(params, i);
        if (!p->trainable) {
            continue;
        }
        int64_t n = fw_shape_count(&p->shape);
        o->param[k] = p;
        o->at[k] = at;
        o->lr_scale[k] = 1.0F;
        for (int64_t from = 0; from < n; from += SPAN) {
            o->spans[s++] = (span){k, from, n - from < SPAN ? n - from : SPAN};
        }
        if (o->ema != NULL) {
            memcpy(o->ema + at, p->data, (size_t)n * sizeof(float));
        }
        at += n;
        k++;
    }
}

fw_status fw_optim_new(fw_params *params, const fw_optim_opts *opts, fw_pool *pool, fw_optim **out, fw_err *err) {
    FW_TRY(check_opts(opts, err));
    fw_optim *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return fw_fail(err, FW_NOMEM, "optimiser: out of memory");
    }
    o->opts = *opts;
    o->pool = pool;
    count_trainable(params, o);
    if (o->n == 0) {
        fw_optim_free(o);
        return fw_fail(err, FW_INVALID, "optimiser: no parameter is trainable");
    }
    o->param = calloc((size_t)o->n, sizeof(*o->param));
    o->at = calloc((size_t)o->n, sizeof *o->at);
    o->lr_scale = calloc((size_t)o->n, sizeof *o->lr_scale);
    o->grad = calloc((size_t)o->n, sizeof(*o->grad));
    o->spans = calloc((size_t)o->n_span, sizeof *o->spans);
    o->square = calloc((size_t)o->n_span, sizeof *o->square);
    const int arrays = opts->ema_decay > 0 ? 3 : 2;
    o->m = calloc((size_t)o->values, (size_t)arrays * sizeof(float));
    if (!o->param || !o->at || !o->lr_scale || !o->grad || !o->spans || !o->square || !o->m) {
        int64_t values = o->values;
        fw_optim_free(o);
        return fw_fail(err, FW_NOMEM, "optimiser: out of memory for %d x %lld values", arrays, (long long)values);
    }
    o->v = o->m + o->values;
    o->ema = arrays == 3 ? o->v + o->values : NULL;
    list_trainable(params, o);
    *out = o;
    return FW_OK;
}

void fw_optim_free(fw_optim *o) {
    if (o != NULL) {
        free(o->param);
        free(o->at);
        free(o->lr_scale);
        free(o->grad);
        free(o->spans);
        free(o->square);
        free(o->m);
        free(o);
    }
}

int fw_optim_count(const fw_optim *o) {
    return o->n;
}
const fw_parameter *fw_optim_param(const fw_optim *o, int i) {
    return o->param[i];
}
int64_t fw_optim_values(const fw_optim *o) {
    return o->values;
}
int64_t fw_optim_steps(const fw_optim *o) {
    return o->steps;
}
void fw_optim_set_steps(fw_optim *o, int64_t steps) {
    o->steps = steps;
}

int fw_optim_lr_scale(fw_optim *o, const char *prefix, double scale) {
    int n = 0;
    for (int i = 0; i < o->n; i++) {
        if (strncmp(o->param[i]->name, prefix, strlen(prefix)) == 0) {
            o->lr_scale[i] = (float)scale;
            n++;
        }
    }
    return n;
}

float *fw_optim_state(fw_optim *o, fw_optim_slot slot, int i) {
    float *base = slot == FW_OPTIM_M ? o->m : slot == FW_OPTIM_V ? o->v : o->ema;
    return base != NULL ? base + o->at[i] : NULL;
}

void fw_optim_swap_ema(fw_optim *o) {
    for (int i = 0; i < o->n && o->ema != NULL; i++) {
        float *w = o->param[i]->data, *e = o->ema + o->at[i];
        int64_t n = fw_shape_count(&o->param[i]->shape);
        for (int64_t j = 0; j < n; j++) {
            float t = w[j];
            w[j] = e[j];
            e[j] = t;
        }
    }
}

/* ---- a step ---- */

static void square_span(void *ctx, int i, int worker) {
    (void)worker;
    fw_optim *o = ctx;
    const span *s = &o->spans[i];
    o->square[i] = 0;
    if (o->grad[s->param] == NULL) {
        return;
    }
    const float *g = o->grad[s->param] + s->from;
    double lane[16] = {0};
    int64_t j = 0;
    for (; j + 16 <= s->n; j += 16) {
        for (int l = 0; l < 16; l++) {
            lane[l] += (double)g[j + l] * (double)g[j + l];
        }
    }
    for (int l = 0; j < s->n; j++, l++) {
        lane[l] += (double)g[j] * (double)g[j];
    }
    double sum = 0;
    for (int l = 0; l < 16; l++) {
        sum += lane[l];
    }
    o->square[i] = sum;
}

static void average_span(float *restrict e, const float *restrict w, int64_t n, float keep) {
    for (int64_t j = 0; j < n; j++) {
        e[j] = keep * e[j] + (1.0F - keep) * w[j];
    }
}

static void update_span(void *ctx, int i, int worker) {
    (void)worker;
    fw_optim *o = ctx;
    const span *s = &o->spans[i];
    const fw_parameter *p = o->param[s->param];
    float *restrict w = p->data + s->from;
    float *restrict m = o->m + o->at[s->param] + s->from;
    float *restrict v = o->v + o->at[s->param] + s->from;
    if (o->grad[s->param] == NULL) {
        return; /* unused: weight and average stay */
    }
    const float *restrict g = o->grad[s->param] + s->from;
    const float lr = o->k.lr * o->lr_scale[s->param];
    const float decay = p->shape.n >= 2 || o->opts.decay_vectors ? 1.0F - lr * o->k.wd : 1.0F;
    const float b1 = o->k.b1, b2 = o->k.b2, eps = o->k.eps, clip = o->k.clip, step = lr / o->k.c1, c2 = o->k.c2;
    for (int64_t j = 0; j < s->n; j++) {
        float gj = g[j] * clip;
        m[j] = b1 * m[j] + (1.0F - b1) * gj;
        v[j] = b2 * v[j] + (1.0F - b2) * gj * gj;
        w[j] = w[j] * decay - step * m[j] / (sqrtf(v[j]) * c2 + eps);
    }
    if (o->ema != NULL) {
        average_span(o->ema + o->at[s->param] + s->from, w, s->n, o->k.ema_keep);
    }
}

static void each_span(fw_optim *o, void (*fn)(void *, int, int)) {
    if (o->pool != NULL) {
        fw_pool_run(o->pool, o->n_span, fn, o);
        return;
    }
    for (int i = 0; i < o->n_span; i++) {
        fn(o, i, 0);
    }
}

fw_status fw_optim_step_grads(fw_optim *o, const float *const *grad, double lr, double *norm, fw_err *err) {
    memmove(o->grad, grad, (size_t)o->n * sizeof(*o->grad));
    each_span(o, square_span);
    double sum = 0;
    for (int i = 0; i < o->n_span; i++) {
        if (!isfinite(o->square[i])) {
            return fw_fail(err, FW_INVALID, "step %lld: the gradient of %s is not finite", (long long)o->steps + 1,
                           o->param[o->spans[i].param]->name);
        }
        sum += o->square[i];
    }
    double length = sqrt(sum);
    o->steps++;
    double t = (double)o->steps, warm = (1.0 + t) / (10.0 + t);
    o->k.lr = (float)lr;
    o->k.wd = (float)o->opts.weight_decay;
    o->k.b1 = (float)o->opts.beta1;
    o->k.b2 = (float)o->opts.beta2;
    o->k.eps = (float)o->opts.eps;
    o->k.clip = o->opts.clip_norm > 0 && length > o->opts.clip_norm ? (float)(o->opts.clip_norm / length) : 1.0F;
    o->k.ema_keep = (float)(o->opts.ema_decay < warm ? o->opts.ema_decay : warm);
    o->k.c1 = (float)(1.0 - pow(o->opts.beta1, t));
    o->k.c2 = (float)(1.0 / sqrt(1.0 - pow(o->opts.beta2, t)));
    each_span(o, update_span);
    if (norm != NULL) {
        *norm = length;
    }
    return FW_OK;
}

fw_status fw_optim_step(fw_optim *o, fw_plan *plan, double lr, double *norm, fw_err *err) {
    for (int i = 0; i < o->n; i++) {
        o->grad[i] = fw_plan_grad(plan, o->param[i]);
    }
    return fw_optim_step_grads(o, o->grad, lr, norm, err);
}

double fw_lr_at(const fw_lr_sched *s, double progress, int64_t step) {
    double p = progress < 0 ? 0 : progress > 1 ? 1 : progress;
    double warm = s->warmup > 0 && step < s->warmup ? (double)(step + 1) / (double)s->warmup : 1.0;
    if (s->joined && step < s->warmup) {
        double from = 1.0 / (double)(s->warmup + 1);
        return s->lr * (from + (1.0 - from) * (double)step / (double)s->warmup);
    }
    double cosine = s->final_ratio + (1.0 - s->final_ratio) * 0.5 * (1.0 + cos(3.14159265358979323846 * p));
    return s->lr * warm * cosine;
}
