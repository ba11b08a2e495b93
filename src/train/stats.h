/* stats.h - what a count of successes says: intervals, and paired comparison. */
#ifndef FW_TRAIN_STATS_H
#define FW_TRAIN_STATS_H

#include <stdint.h>

/* Wilson's score interval for k successes of n at 95 % (Wilson 1927, JASA 22:209): *lo, *hi in [0, 1]; n == 0: 0..1. */
void fw_wilson95(int64_t k, int64_t n, double *lo, double *hi);
/* Exact two-sided McNemar test (binomial) for paired outcomes: only_a seeds where only policy A succeeded, only_b where
 * only B did. 1 when both are 0. McNemar 1947, Psychometrika 12:153. */
double fw_mcnemar_p(int64_t only_a, int64_t only_b);

#endif /* FW_TRAIN_STATS_H */
