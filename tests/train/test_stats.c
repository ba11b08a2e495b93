/* Known values: the Wilson interval from published tables (and R's prop.test without correction), McNemar from R's
 * binom.test. */
#include "fw_test.h"
#include "train/stats.h"

static void wilson_agrees_with_known_values(void) {
    static const struct {
        int64_t k, n;
        double lo, hi;
    } c[] = {{16, 20, 0.58398, 0.91934},  {0, 10, 0.0, 0.27753},       {10, 10, 0.72247, 1.0},
             {81, 263, 0.25529, 0.36621}, {50, 100, 0.40383, 0.59617}, {99, 120, 0.74724, 0.88259}};
    for (size_t i = 0; i < sizeof c / sizeof(*c); i++) {
        double lo, hi;
        fw_wilson95(c[i].k, c[i].n, &lo, &hi);
        if (fabs(lo - c[i].lo) > 2e-5 || fabs(hi - c[i].hi) > 2e-5) {
            FW_FAILED("%d/%d: [%.5f, %.5f], want [%.5f, %.5f]", (int)c[i].k, (int)c[i].n, lo, hi, c[i].lo, c[i].hi);
        }
    }
}

static void wilson_of_nothing_says_nothing(void) {
    double lo, hi;
    fw_wilson95(0, 0, &lo, &hi);
    CHECK(lo == 0 && hi == 1);
}

static void mcnemar_is_the_exact_binomial_test(void) {
    CHECK(fw_mcnemar_p(0, 0) == 1);
    CHECK(fw_mcnemar_p(5, 5) == 1);
    CHECK(fabs(fw_mcnemar_p(0, 5) - 0.0625) < 1e-12);
    CHECK(fabs(fw_mcnemar_p(5, 0) - 0.0625) < 1e-12);
    CHECK(fabs(fw_mcnemar_p(2, 8) - 0.109375) < 1e-12);
    CHECK(fabs(fw_mcnemar_p(1, 9) - 0.021484375) < 1e-12);
    CHECK(fw_mcnemar_p(2000, 2300) < 1e-5 && fw_mcnemar_p(2000, 2300) > 0);
}

FW_TEST_MAIN(T(wilson_agrees_with_known_values), T(wilson_of_nothing_says_nothing),
             T(mcnemar_is_the_exact_binomial_test))
