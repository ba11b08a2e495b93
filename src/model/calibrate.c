/* calibrate.c - see calibrate.h */
#include "model/calibrate.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kern/kern.h"

enum { ROWS = 64 /* of a product kept */, ALPHAS = 6 };

/* Below this share of the error without, a smoothing is worth its multiplication. */
#define WORTH 0.95

typedef struct product {
    const fw_parameter *w;
    fw_calibration_layer l;
    char name[sizeof((fw_parameter *)0)->name];
    float *peak;         /* [k] of |x| over all rows */
    float *row;          /* [ROWS,k] */
    uint64_t hash[ROWS]; /* of the rows, ascending */
    int n_row;
    double rows;   /* seen in all */
    float *smooth; /* [k] chosen, or NULL */
} product;

struct fw_calibration {
    fw_watch watch;
    pthread_mutex_t lock; /* of all below while rows are seen */
    product **p;          /* [n], owned */
    int n, cap, last;
    bool out_of_memory, chosen;
};

/* ---- seeing ---- */

static void product_free(product *p) {
    if (p != NULL) {
        free(p->peak);
        free(p->row);
        free(p->smooth);
        free(p);
    }
}

static product *product_new(const fw_parameter *w, int64_t k) {
    product *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->w = w;
    p->l = (fw_calibration_layer){.n = w->shape.d[0], .k = k, .alpha = -1.0};
    memcpy(p->name, w->name, sizeof p->name);
    p->peak = calloc((size_t)k, sizeof *p->peak);
    p->row = malloc((size_t)(ROWS * k) * sizeof *p->row);
    if (p->peak == NULL || p->row == NULL) {
        product_free(p);
        return NULL;
    }
    return p;
}

static product *add(fw_calibration *c, const fw_parameter *w, int64_t k) {
    if (c->n == c->cap) {
        const int cap = c->cap > 0 ? 2 * c->cap : 64;
        product **more = realloc(c->p, (size_t)cap * sizeof(product *));
        if (more == NULL) {
            return NULL;
        }
        c->p = more;
        c->cap = cap;
    }
    product *p = product_new(w, k);
    if (p != NULL) {
        c->last = c->n;
        c->p[c->n++] = p;
    }
    return p;
}

static product *product_of(fw_calibration *c, const fw_parameter *w, int64_t k) {
    if (c->n > 0 && c->p[c->last]->w == w) {
        return c->p[c->last];
    }
    for (int i = 0; i < c->n; i++) {
        if (c->p[i]->w == w) {
            c->last = i;
            return c->p[i];
        }
    }
    return add(c, w, k);
}

static uint64_t hash_of(const float *x, int64_t k) {
    uint64_t h = 0xCBF29CE484222325ull;
    for (int64_t i = 0; i < k; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        h = (h ^ bits) * 0x100000001B3ull;
    }
    h ^= h >> 29; /* its low bits are well mixed, its high ones not */
    return h * 0x9E3779B97F4A7C15ull;
}

/* False: all zero, which int8 gives exactly. */
static bool take_peaks(product *p, const float *x) {
    float most = 0.0f;
    for (int64_t i = 0; i < p->l.k; i++) {
        const float a = fabsf(x[i]);
        p->peak[i] = a > p->peak[i] ? a : p->peak[i];
        most = a > most ? a : most;
    }
    return most > 0.0f;
}

static void take_row(product *p, const float *x) {
    const uint64_t h = hash_of(x, p->l.k);
    int at = p->n_row;
    if (at == ROWS && h >= p->hash[ROWS - 1]) {
        return;
    }
    while (at > 0 && p->hash[at - 1] >= h) {
        at--;
    }
    if (at < p->n_row && p->hash[at] == h) {
        return;
    }
    const size_t k = (size_t)p->l.k, behind = (size_t)((p->n_row < ROWS ? p->n_row : ROWS - 1) - at);
    memmove(p->hash + at + 1, p->hash + at, behind * sizeof *p->hash);
    memmove(p->row + (size_t)(at + 1) * k, p->row + (size_t)at * k, behind * k * sizeof *p->row);
    p->hash[at] = h;
    memcpy(p->row + (size_t)at * k, x, k * sizeof *p->row);
    p->n_row += p->n_row < ROWS;
}

static void see(void *ctx, const fw_parameter *w, const float *x, int64_t rows, int64_t k) {
    fw_calibration *c = ctx;
    if (c->chosen) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    product *p = product_of(c, w, k);
    c->out_of_memory = c->out_of_memory || p == NULL;
    for (int64_t i = 0; p != NULL && i < rows; i++) {
        if (take_peaks(p, x + i * k)) {
            take_row(p, x + i * k);
        }
    }
    if (p != NULL) {
        p->rows += (double)rows;
    }
    pthread_mutex_unlock(&c->lock);
}

fw_status fw_calibration_new(fw_calibration **out, fw_err *err) {
    fw_calibration *c = calloc(1, sizeof *c);
    *out = c;
    if (c == NULL) {
        return fw_fail(err, FW_NOMEM, "calibration: out of memory");
    }
    c->watch = (fw_watch){see, c};
    pthread_mutex_init(&c->lock, NULL);
    return FW_OK;
}

void fw_calibration_free(fw_calibration *c) {
    if (c == NULL) {
        return;
    }
    for (int i = 0; i < c->n; i++) {
        product_free(c->p[i]);
    }
    pthread_mutex_destroy(&c->lock);
    free(c->p);
    free(c);
}

const fw_watch *fw_calibration_watch(fw_calibration *c) {
    return &c->watch;
}

int fw_calibration_count(const fw_calibration *c) {
    return c->n;
}

const fw_calibration_layer *fw_calibration_at(const fw_calibration *c, int i) {
    return &c->p[i]->l;
}

/* ---- choosing, a product at a time ---- */

/* What it takes to compute one. */
typedef struct bench {
    const fw_kern *exact, *int8;
    const float *w; /* [n,k] */
    float *wide;    /* of w when the parameter is kept in bfloat16, or NULL */
    float *peak;    /* [k] of |w| */
    float *s;       /* [k] a smoothing on trial */
    void *pack;
    void *scratch;
    float *want, *got; /* [ROWS,n] */
} bench;

static void bench_clear(bench *b) {
    free(b->wide);
    free(b->peak);
    free(b->s);
    free(b->pack);
    free(b->scratch);
    free(b->want);
    free(b->got);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static bool bench_init(bench *b, const product *p) {
    const int64_t n = p->l.n, k = p->l.k;
    const size_t out = (size_t)(ROWS * n) * sizeof(float);
    *b = (bench){.exact = fw_precision_kern(FW_PRECISION_DEFAULT), .int8 = fw_precision_kern(FW_PRECISION_INT8)};
    const size_t pack = larger(b->exact->gemm_pack_bytes(n, k), b->int8->gemm_pack_bytes(n, k));
    const size_t scratch = larger(b->exact->gemm_scratch(ROWS, k, false), b->int8->gemm_scratch(ROWS, k, false));
    b->wide = p->w->half != NULL ? malloc((size_t)(n * k) * sizeof(float)) : NULL;
    b->peak = calloc((size_t)k, sizeof(float));
    b->s = malloc((size_t)k * sizeof(float));
    b->pack = aligned_alloc(64, (pack + 63) / 64 * 64);
    b->scratch = aligned_alloc(64, (scratch + 127) / 64 * 64);
    b->want = malloc(out);
    b->got = malloc(out);
    if ((p->w->half != NULL && b->wide == NULL) || b->peak == NULL || b->s == NULL || b->pack == NULL ||
        b->scratch == NULL || b->want == NULL || b->got == NULL) {
        return false;
    }
    if (b->wide != NULL) {
        b->exact->bf16_to_f32(p->w->half, b->wide, n * k);
    }
    b->w = b->wide != NULL ? b->wide : p->w->data;
    for (int64_t i = 0; i < n * k; i++) {
        const float a = fabsf(b->w[i]);
        b->peak[i % k] = a > b->peak[i % k] ? a : b->peak[i % k];
    }
    return true;
}

static void multiply(const bench *b, const product *p, const fw_kern *kern, const float *smooth, float *y) {
    const fw_gemm g = {
        .m = p->n_row, .n = p->l.n, .k = p->l.k, .a = p->row, .lda = p->l.k, .b = b->pack, .c = y, .ldc = p->l.n};
    kern->gemm_pack_smooth(b->pack, b->w, p->l.k, FW_NK, p->l.n, p->l.k, 0, p->l.n, smooth);
    kern->gemm_f32(&g, b->scratch);
}

/* Of the product in int8 against the exact one; infinite when it is not finite. */
static double error_of(const bench *b, const product *p, const float *smooth) {
    double wrong = 0.0, all = 0.0;
    multiply(b, p, b->int8, smooth, b->got);
    for (int64_t i = 0; i < p->n_row * p->l.n; i++) {
        const double d = (double)b->got[i] - (double)b->want[i];
        wrong += d * d;
        all += (double)b->want[i] * (double)b->want[i];
    }
    const double e = all > 0.0 ? sqrt(wrong / all) : wrong > 0.0 ? HUGE_VAL : 0.0;
    return isfinite(e) ? e : HUGE_VAL;
}

/* Scales of mean 1 (geometric); columns in which nothing was seen or that meet no weight stay as they are. False: no scale is needed. */
static bool smoothing(const bench *b, const product *p, double alpha) {
    double mean = 0.0;
    int64_t n = 0;
    for (int64_t i = 0; i < p->l.k; i++) {
        const bool used = p->peak[i] > 0.0f && b->peak[i] > 0.0f && isfinite(p->peak[i]) && isfinite(b->peak[i]);
        const double s =
            used ? alpha * log2((double)p->peak[i]) - (1.0 - alpha) * log2((double)b->peak[i]) : (double)NAN;
        b->s[i] = (float)s;
        mean += used ? s : 0.0;
        n += used;
    }
    for (int64_t i = 0; i < p->l.k; i++) {
        const double s = n > 0 && isfinite(b->s[i]) ? exp2((double)b->s[i] - mean / (double)n) : 1.0;
        b->s[i] = (float)fmin(fmax(s, 0x1p-20), 0x1p20);
    }
    return n > 1;
}

static void keep(product *p, const bench *b, double alpha, double error) {
    if (p->smooth == NULL) {
        p->smooth = malloc((size_t)p->l.k * sizeof *p->smooth);
    }
    if (p->smooth != NULL) {
        memcpy(p->smooth, b->s, (size_t)p->l.k * sizeof *p->smooth);
        p->l.alpha = alpha;
        p->l.error = error;
    }
}

static int upward(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* The largest over the median magnitude of columns. s: [k] to sort in. */
static double spread_of(const product *p, float *s) {
    memcpy(s, p->peak, (size_t)p->l.k * sizeof *s);
    qsort(s, (size_t)p->l.k, sizeof *s, upward);
    const double middle = (double)s[p->l.k / 2], most = (double)s[p->l.k - 1];
    return middle > 0.0 ? most / middle : most > 0.0 ? HUGE_VAL : 1.0;
}

static bool choose_one(product *p, double alpha) {
    static const double grid[ALPHAS] = {0.15, 0.3, 0.45, 0.6, 0.75, 0.9};
    bench b;
    if (!bench_init(&b, p)) {
        bench_clear(&b);
        return false;
    }
    p->l.spread = spread_of(p, b.s);
    multiply(&b, p, b.exact, NULL, b.want);
    p->l.plain = p->l.error = error_of(&b, p, NULL);
    for (int i = 0; i < (alpha < 0.0 ? ALPHAS : 1); i++) {
        const double a = alpha < 0.0 ? grid[i] : alpha;
        const bool any = smoothing(&b, p, a);
        const double e = any ? error_of(&b, p, b.s) : HUGE_VAL;
        if (e < WORTH * p->l.plain && e < p->l.error) {
            keep(p, &b, a, e);
        }
    }
    bench_clear(&b);
    return true;
}

/* ---- and all of them ---- */

static int worst_first(const void *a, const void *b) {
    const product *x = *(product *const *)a, *y = *(product *const *)b;
    if (x->l.error != y->l.error) {
        return x->l.error > y->l.error ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static void choose_exact(fw_calibration *c, const fw_calibration_opts *o) {
    double all = 0.0, spent = 0.0;
    for (int i = 0; i < c->n; i++) {
        all += c->p[i]->rows * (double)(c->p[i]->l.n * c->p[i]->l.k);
    }
    for (int i = 0; i < c->n; i++) {
        fw_calibration_layer *l = &c->p[i]->l;
        l->name = c->p[i]->name;
        l->share = c->p[i]->rows * (double)(l->n * l->k) / all;
        l->exact = l->error > o->exact_above && spent + l->share <= o->budget + 1e-9;
        spent += l->exact ? l->share : 0.0;
    }
}

typedef struct job {
    fw_calibration *c;
    const fw_calibration_opts *o;
    pthread_mutex_t lock; /* of what follows */
    int done;
    bool failed;
} job;

static void run_one(void *ctx, int i, int worker) {
    job *j = ctx;
    (void)worker;
    const bool ok = choose_one(j->c->p[i], j->o->alpha);
    pthread_mutex_lock(&j->lock);
    j->failed = j->failed || !ok;
    j->done++;
    if (j->o->progress != NULL) {
        j->o->progress(j->o->ctx, j->done);
    }
    pthread_mutex_unlock(&j->lock);
}

fw_status fw_calibration_choose(fw_calibration *c, const fw_calibration_opts *o, fw_pool *pool, fw_err *err) {
    if (c->out_of_memory) {
        return fw_fail(err, FW_NOMEM, "calibration: no memory for the inputs of all products");
    }
    if (c->n == 0) {
        return fw_fail(err, FW_INVALID, "calibration: the network has no products that int8 rounds, or was not run");
    }
    if (fw_precision_kern(FW_PRECISION_INT8) == NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "calibration: this build has no int8 kernels for this CPU");
    }
    job j = {.c = c, .o = o};
    pthread_mutex_init(&j.lock, NULL);
    if (pool != NULL) {
        fw_pool_run(pool, c->n, run_one, &j);
    }
    for (int i = 0; pool == NULL && i < c->n; i++) {
        run_one(&j, i, 0);
    }
    pthread_mutex_destroy(&j.lock);
    if (j.failed) {
        return fw_fail(err, FW_NOMEM, "calibration: no memory to compute a product");
    }
    qsort(c->p, (size_t)c->n, sizeof(product *), worst_first);
    c->chosen = true;
    choose_exact(c, o);
    return FW_OK;
}

fw_status fw_calibration_save(const fw_calibration *c, const char *path, const char *dir, const char *const *meta_kv,
                              fw_err *err) {
    fw_int8_layer *l = calloc((size_t)c->n + 1, sizeof *l);
    if (l == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: out of memory", path);
    }
    for (int i = 0; i < c->n; i++) {
        const product *p = c->p[i];
        l[i] = (fw_int8_layer){p->name, p->l.k, p->smooth, p->l.exact};
    }
    fw_status s = fw_int8_save(path, dir, l, c->n, meta_kv, err);
    free(l);
    return s;
}
