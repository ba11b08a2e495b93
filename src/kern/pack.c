/* pack.c - B matrices in panels of nr columns, and the sizes of the packed form. */
#include <string.h>

#include "kern/kern_int.h"

size_t fw_pack_bytes(int64_t n, int64_t k, int64_t nr) {
    size_t panels = ((size_t)n + (size_t)nr - 1) / (size_t)nr, floats = 0, bytes = 0;
    if (n < 0 || k < 0 || __builtin_mul_overflow(panels * (size_t)nr, (size_t)k, &floats) ||
        __builtin_mul_overflow(floats, sizeof(float), &bytes) || bytes > SIZE_MAX - 64) {
        return 0;
    }
    return (bytes + 63) / 64 * 64 + 64; /* never 0: that means overflow */
}

/* One panel of `w` columns: rows of B are contiguous in the source. */
static void panel_kn(float *dst, const float *b, int64_t ldb, int64_t kn, int64_t w, int64_t nr) {
    for (int64_t kk = 0; kk < kn; kk++) {
        memcpy(dst + kk * nr, b + kk * ldb, (size_t)w * sizeof(float));
        for (int64_t j = w; j < nr; j++) {
            dst[kk * nr + j] = 0.0f;
        }
    }
}

/* One panel: columns of B are contiguous in the source. Blocks of 16 rows keep both sides in the first cache. */
static void panel_nk(float *dst, const float *b, int64_t ldb, int64_t kn, int64_t w, int64_t nr) {
    for (int64_t kb = 0; kb < kn; kb += 16) {
        int64_t ke = kb + 16 < kn ? kb + 16 : kn;
        for (int64_t j = 0; j < nr; j++) {
            for (int64_t kk = kb; kk < ke; kk++) {
                dst[kk * nr + j] = j < w ? b[j * ldb + kk] : 0.0f;
            }
        }
    }
}

void fw_pack_panels(float *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                    int64_t n1, int64_t k0, int64_t kn, int64_t nr) {
    for (int64_t j = n0; j < n1; j += nr) {
        int64_t w = n - j < nr ? n - j : nr;
        float *p = dst + j * k + k0 * nr;
        if (layout == FW_NK) {
            panel_nk(p, b + j * ldb, ldb, kn, w, nr);
        } else {
            panel_kn(p, b + j, ldb, kn, w, nr);
        }
    }
}
