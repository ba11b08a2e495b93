/* elem_scalar.c - activations, element-wise arithmetic, dropout, losses, AdamW, as specified. */
#include <math.h>

#include "kern/kern_int.h"

static double sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

/* sqrt(2/pi) (x + 0.044715 x^3): the argument of the tanh approximation of GELU */
static double gelu_arg(double x) {
    return 0.79788456080286535588 * (x + 0.044715 * x * x * x);
}

double fw_act_ref(fw_act act, double x) {
    switch (act) {
    case FW_ACT_NONE:
        return x;
    case FW_ACT_RELU:
        return x < 0.0 ? 0.0 : x; /* NaN passes */
    case FW_ACT_RELU6:
        return x > 6.0 ? 6.0 : x < 0.0 ? 0.0 : x;
    case FW_ACT_GELU:
        return 0.5 * x * (1.0 + erf(x * 0.70710678118654752440));
    case FW_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(gelu_arg(x)));
    case FW_ACT_SILU:
        return x * sigmoid(x);
    case FW_ACT_TANH:
        return tanh(x);
    case FW_ACT_SIGMOID:
        return sigmoid(x);
    case FW_ACT_EXP:
        return exp(x);
    }
    return x;
}

double fw_act_ref_grad(fw_act act, double x) {
    switch (act) {
    case FW_ACT_NONE:
        return 1.0;
    case FW_ACT_RELU:
        return x > 0.0 ? 1.0 : 0.0;
    case FW_ACT_RELU6:
        return x > 0.0 && x < 6.0 ? 1.0 : 0.0;
    case FW_ACT_GELU: /* Phi(x) + x phi(x) */
        return 0.5 * (1.0 + erf(x * 0.70710678118654752440)) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
    case FW_ACT_GELU_TANH: {
        double t = tanh(gelu_arg(x));
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.79788456080286535588 * (1.0 + 3.0 * 0.044715 * x * x);
    }
    case FW_ACT_SILU: {
        double s = sigmoid(x);
        return s * (1.0 + x * (1.0 - s));
    }
    case FW_ACT_TANH: {
        double t = tanh(x);
        return 1.0 - t * t;
    }
    case FW_ACT_SIGMOID: {
        double s = sigmoid(x);
        return s * (1.0 - s);
    }
    case FW_ACT_EXP:
        return exp(x);
    }
    return 1.0;
}

static void act_fwd(fw_act act, const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = (float)fw_act_ref(act, (double)x[i]);
    }
}

static void act_bwd(fw_act act, const float *x, const float *dy, float *dx, bool accumulate, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double g = (double)dy[i] * fw_act_ref_grad(act, (double)x[i]);
        dx[i] = (float)(accumulate ? (double)dx[i] + g : g);
    }
}

static void add(const float *x, const float *b, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] + b[i];
    }
}

static void mul(const float *x, const float *b, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] * b[i];
    }
}

static void scale(float a, const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = a * x[i];
    }
}

static void axpy(float a, const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] += a * x[i];
    }
}

static double dot(const float *x, const float *y, int64_t n) {
    double s = 0.0;
    for (int64_t i = 0; i < n; i++) {
        s += (double)x[i] * (double)y[i];
    }
    return s;
}

static double sumsq(const float *x, int64_t n) {
    return dot(x, x, n);
}

/* Where row i0 of the outer dimensions reads b. */
static int64_t b_offset(const fw_bcast *s, int64_t outer) {
    int64_t at = 0;
    for (int k = s->n - 2; k >= 0; k--) {
        at += outer % s->d[k] * s->b_stride[k];
        outer /= s->d[k];
    }
    return at;
}

static void bcast(fw_bop op, const fw_bcast *s, const float *x, const float *b, float *y, int64_t i0, int64_t i1) {
    int64_t c = s->n > 0 ? s->d[s->n - 1] : 1, bs = s->n > 0 ? s->b_stride[s->n - 1] : 0;
    for (int64_t i = i0; i < i1; i++) {
        const float *bi = b + b_offset(s, i);
        for (int64_t j = 0; j < c; j++) {
            float v = x[i * c + j];
            y[i * c + j] = op == FW_ADD ? v + bi[j * bs] : v * bi[j * bs];
        }
    }
}

static void bcast_reduce(const fw_bcast *s, const float *dy, const float *x, float *db, int64_t i0, int64_t i1) {
    int64_t c = s->n > 0 ? s->d[s->n - 1] : 1, bs = s->n > 0 ? s->b_stride[s->n - 1] : 0;
    for (int64_t i = i0; i < i1; i++) {
        float *o = db + b_offset(s, i);
        double sum = 0.0;
        for (int64_t j = 0; j < c; j++) {
            double g = (double)dy[i * c + j] * (x != NULL ? (double)x[i * c + j] : 1.0);
            if (bs == 0) {
                sum += g;
            } else {
                o[j] = (float)((double)o[j] + g);
            }
        }
        o[0] += (float)sum;
    }
}

static uint32_t mix32(uint32_t x) { /* lowbias32: every input bit reaches every output bit */
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    return x ^ (x >> 16);
}

/* Element i is kept when mix(mix(low(i) ^ low(seed)) + high(i) + high(seed)) >= p 2^32. */
static void dropout(const float *x, float *y, int64_t n, float p, uint64_t seed, uint64_t first) {
    uint32_t limit = (uint32_t)((double)p * 4294967296.0);
    float keep = 1.0f / (1.0f - p);
    for (int64_t i = 0; i < n; i++) {
        uint64_t at = first + (uint64_t)i;
        uint32_t h = mix32(mix32((uint32_t)at ^ (uint32_t)seed) + (uint32_t)(at >> 32) + (uint32_t)(seed >> 32));
        y[i] = h >= limit ? x[i] * keep : 0.0f;
    }
}

static void l1_loss(const float *p, const float *t, const float *weight, int64_t n, int64_t per, double *sum,
                    double *wsum) {
    for (int64_t i = 0; i < n; i++) {
        double s = 0.0, w = weight != NULL ? (double)weight[i] : 1.0;
        for (int64_t j = i * per; j < (i + 1) * per; j++) {
            s += fabs((double)p[j] - (double)t[j]);
        }
        *sum += w * s;
        *wsum += w;
    }
}

static void mse_loss(const float *p, const float *t, const float *weight, int64_t n, int64_t per, double *sum,
                     double *wsum) {
    for (int64_t i = 0; i < n; i++) {
        double s = 0.0, w = weight != NULL ? (double)weight[i] : 1.0;
        for (int64_t j = i * per; j < (i + 1) * per; j++) {
            double d = (double)p[j] - (double)t[j];
            s += d * d;
        }
        *sum += w * s;
        *wsum += w;
    }
}

static void l1_grad(const float *p, const float *t, const float *weight, int64_t n, int64_t per, float sc, float *dp) {
    for (int64_t i = 0; i < n; i++) {
        float w = sc * (weight != NULL ? weight[i] : 1.0f);
        for (int64_t j = i * per; j < (i + 1) * per; j++) {
            dp[j] = p[j] > t[j] ? w : p[j] < t[j] ? -w : 0.0f;
        }
    }
}

static void mse_grad(const float *p, const float *t, const float *weight, int64_t n, int64_t per, float sc, float *dp) {
    for (int64_t i = 0; i < n; i++) {
        float w = 2.0f * sc * (weight != NULL ? weight[i] : 1.0f);
        for (int64_t j = i * per; j < (i + 1) * per; j++) {
            dp[j] = w * (p[j] - t[j]);
        }
    }
}

/* log of the sum of exponentials of a row */
static double row_lse(const float *x, int64_t n) {
    double max = -INFINITY, s = 0.0;
    for (int64_t j = 0; j < n; j++) {
        max = (double)x[j] > max ? (double)x[j] : max;
    }
    for (int64_t j = 0; j < n; j++) {
        s += exp((double)x[j] - max);
    }
    return max + log(s);
}

static int64_t xent_loss(const float *x, const int32_t *labels, int64_t r, int64_t n, double *sum, int64_t *count) {
    for (int64_t i = 0; i < r; i++) {
        if (labels[i] < -1 || labels[i] >= n) {
            return i;
        }
    }
    for (int64_t i = 0; i < r; i++) {
        if (labels[i] >= 0) {
            *sum += row_lse(x + i * n, n) - (double)x[i * n + labels[i]];
            *count += 1;
        }
    }
    return -1;
}

static void xent_grad(const float *x, const int32_t *labels, int64_t r, int64_t n, float sc, float *dx) {
    for (int64_t i = 0; i < r; i++) {
        double lse = labels[i] >= 0 ? row_lse(x + i * n, n) : 0.0;
        for (int64_t j = 0; j < n; j++) {
            double p = labels[i] >= 0 ? exp((double)x[i * n + j] - lse) - (labels[i] == j ? 1.0 : 0.0) : 0.0;
            dx[i * n + j] = (float)((double)sc * p);
        }
    }
}

static void adamw(float *p, const float *g, float *m, float *v, int64_t n, const fw_adamw *s) {
    for (int64_t i = 0; i < n; i++) {
        double gi = (double)g[i] * (double)s->grad_scale;
        double mi = (double)s->beta1 * (double)m[i] + (1.0 - (double)s->beta1) * gi;
        double vi = (double)s->beta2 * (double)v[i] + (1.0 - (double)s->beta2) * gi * gi;
        double step = mi / (double)s->bias1 / (sqrt(vi / (double)s->bias2) + (double)s->eps);
        m[i] = (float)mi;
        v[i] = (float)vi;
        p[i] = (float)((double)p[i] - (double)s->lr * (step + (double)s->weight_decay * (double)p[i]));
    }
}

void fw_kern_init_elem_scalar(fw_kern *k) {
    k->act_fwd = act_fwd;
    k->act_bwd = act_bwd;
    k->add = add;
    k->mul = mul;
    k->scale = scale;
    k->axpy = axpy;
    k->dot = dot;
    k->sumsq = sumsq;
    k->bcast = bcast;
    k->bcast_reduce = bcast_reduce;
    k->dropout = dropout;
    k->l1_loss = l1_loss;
    k->mse_loss = mse_loss;
    k->l1_grad = l1_grad;
    k->mse_grad = mse_grad;
    k->xent_loss = xent_loss;
    k->xent_grad = xent_grad;
    k->adamw = adamw;
}
