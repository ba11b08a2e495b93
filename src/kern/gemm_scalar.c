/* gemm_scalar.c - matrix product with epilogue, as specified. */
#include "kern/kern_int.h"

enum { NR = 8 };

static size_t gemm_pack_bytes(int64_t n, int64_t k) {
    return fw_pack_bytes(n, k, NR);
}

static void gemm_pack(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                      int64_t n1) {
    fw_pack_panels(dst, b, ldb, layout, n, k, n0, n1, 0, k, NR);
}

static size_t gemm_scratch(int64_t m, int64_t k, bool trans_a) {
    (void)m, (void)k, (void)trans_a;
    return 64;
}

static void gemm_pack_smooth(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                             int64_t n1, const float *smooth) {
    (void)smooth;
    gemm_pack(dst, b, ldb, layout, n, k, n0, n1);
}

void fw_epi_ref(const fw_epi *e, double sum, int64_t row, int64_t col, float *c) {
    sum += e->accumulate ? (double)*c : 0.0;
    sum += e->bias != NULL ? (double)e->bias[col] : 0.0;
    if (e->pre != NULL) {
        e->pre[row * e->ld_pre + col] = (float)sum;
    }
    double y = fw_act_ref(e->act, sum);
    y += e->residual != NULL ? (double)e->residual[row * e->ld_residual + col] : 0.0;
    *c = (float)y;
}

static void gemm_f32(const fw_gemm *g, void *scratch) {
    (void)scratch;
    const fw_epi *e = &g->epi;
    int64_t n1 = g->n0 == 0 && g->n1 == 0 ? g->n : g->n1;
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = g->n0; j < n1; j++) {
            const float *b = (const float *)g->b + (j / NR) * g->k * NR + j % NR;
            float *c = &g->c[i * g->ldc + j];
            double sum = 0.0;
            for (int64_t kk = 0; kk < g->k; kk++) {
                sum += (double)(g->trans_a ? g->a[kk * g->lda + i] : g->a[i * g->lda + kk]) * (double)b[kk * NR];
            }
            fw_epi_ref(e, sum, i, j, c);
        }
    }
}

void fw_kern_init_gemm_scalar(fw_kern *k) {
    k->isa = "scalar";
    k->gemm_nr = NR;
    k->gemm_a_cost = 2;
    k->gemm_pack_bytes = gemm_pack_bytes;
    k->gemm_pack = gemm_pack;
    k->gemm_pack_smooth = gemm_pack_smooth;
    k->gemm_scratch = gemm_scratch;
    k->gemm_f32 = gemm_f32;
}
