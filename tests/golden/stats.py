"""Statistics of numbers that tests/data/test_stats.c makes again, as numpy sees them: python tests/golden/stats.py > tests/golden/stats.h

numpy 2.4.6, Python 3.11. Numbers come from splitmix64 (base/rng.h), seed 20261122. Sums in numpy's float64 round, so mean and std are
taken with math.fsum, which does not; quantiles are numpy.quantile's default, linear interpolation.
"""
import math
import numpy as np

QS = [0.01, 0.10, 0.50, 0.90, 0.99]


def units(n, seed):  # n numbers in [0, 1), fw_rng_unit
    x, out = seed, np.empty(n)
    for i in range(n):
        x = (x + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        out[i] = ((z ^ (z >> 31)) >> 11) * 2.0**-53
    return out


def line(name, v):
    mean = math.fsum(v) / len(v)
    std = math.sqrt(math.fsum((v - mean) ** 2) / len(v))
    row = [v.min(), v.max(), mean, std, *np.quantile(v, QS)]
    print(f"static const double {name}[9] = {{{', '.join(repr(float(x)) for x in row)}}};")


u = units(300000, 20261122)
print("/* made by tests/golden/stats.py: min max mean std q01 q10 q50 q90 q99 */")
line("golden_small", (u[:3000] ** 3 * 8.0 - 2.0).astype(np.float32).astype(np.float64))  # skewed, both signs
line("golden_large", ((u - 0.25) * np.abs(u - 0.25)).astype(np.float32).astype(np.float64))  # 300,000: more than the bins
line("golden_offset", 1.0e6 + 1.0e-3 * u[:5000])  # a mean a billion times the spread
line("golden_steps", np.floor(u[:70000] * 5.0) - 2.0)  # few distinct values
line("golden_pixels", np.floor(u[:40000] ** 2 * 256.0) / 255.0)
