/* must be refused by tools/check_headers.sh as C++17, and only there */
#ifndef C_ONLY_H
#define C_ONLY_H
#include <stdlib.h>
static inline int *c_only(void) {
    int *new = malloc(4);
    return new;
}
#endif
