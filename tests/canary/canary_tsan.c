/* must FAIL under the tsan preset: two threads add to one plain integer */
#include <pthread.h>

#include "fw_test.h"

static int shared;

static void *add(void *arg) {
    for (int i = 0; i < 100000; i++) {
        shared++;
    }
    return arg;
}

static void race(void) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, add, NULL) == 0);
    add(NULL);
    pthread_join(t, NULL);
    printf("%d\n", shared);
}

FW_TEST_MAIN(T(race))
