#include "train/stats.h"

#include <math.h>

void fw_wilson95(int64_t k, int64_t n, double *lo, double *hi) {
    if (n <= 0) {
        *lo = 0, *hi = 1;
        return;
    }
    const double z = 1.959963984540054;
    double nn = (double)n, p = (double)k / nn;
    double centre = p + z * z / (2 * nn), spread = z * sqrt(p * (1 - p) / nn + z * z / (4 * nn * nn));
    double scale = 1 + z * z / nn;
    *lo = k <= 0 ? 0 : (centre - spread) / scale;
    *hi = k >= n ? 1 : (centre + spread) / scale;
}

/* ln of the binomial probability C(n, i) / 2^n */
static double ln_choose_half(int64_t n, int64_t i) {
    return lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) - (double)n * log(2.0);
}

double fw_mcnemar_p(int64_t only_a, int64_t only_b) {
    int64_t n = only_a + only_b, k = only_a < only_b ? only_a : only_b;
    double p = 0;
    for (int64_t i = 0; i <= k; i++) {
        p += exp(ln_choose_half(n, i));
    }
    return 2 * p < 1 ? 2 * p : 1;
}
