/* must be refused by check_misra.sh: a violation of each rule that its name says */
#include <stdint.h>
#include <stdlib.h>

int32_t planted(int32_t n, uint32_t u, float x, void *p);

static int32_t rule_17_2(int32_t n) {
    return (n > 0) ? rule_17_2(n - 1) : 0;
}

int32_t planted(int32_t n, uint32_t u, float x, void *p) {
    int32_t sum = 0;
    uint8_t small = u;
    int32_t *rule_11_5 = p;
    if (n > 0)
        sum = 15;
    if (n) {
        sum += 1;
    }
    rule_17_2(3);
    switch (n) {
    case 1:
        sum = 2;
    case 2:
        break;
    }
    for (float rule_14_1 = 0.0F; rule_14_1 < x; rule_14_1 += 1.0F) {
        sum++;
    }
    if ((n > 1) || (sum++ > 2)) {
        goto out;
    }
    free(malloc(4));
    sum = n & 1 + 2;
out:
    return sum + small + *rule_11_5 + (int32_t)(n == 3 && u > 2);
}
