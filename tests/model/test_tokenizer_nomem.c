/* test_tokenizer_nomem.c - an allocation fails, the n-th for every n: opening and encoding say so and leak nothing */
#include "nomem.h"

#include "model/tokenizer.h"

static fw_status once(const void *ctx, fw_err *err) {
    static char text[20000]; /* long enough to be given memory */
    const char *path = ctx;
    fw_tokenizer *t = NULL;
    int32_t ids[64];
    int n = 0;
    memset(text, 'a', sizeof text - 1);
    FW_TRY(fw_tokenizer_open(path, &t, err));
    fw_status st = fw_tokenizer_encode(t, text, ids, 64, &n, err);
    fw_tokenizer_close(t);
    return st;
}

static void every_allocation_of_the_json_kind_may_fail(void) {
    nomem_every_allocation(once, FW_SOURCE_DIR "/tests/golden/tokenizers/gemma", 29, 300);
    nomem_every_allocation(once, FW_SOURCE_DIR "/tests/golden/tokenizers/odd", 29, 300);
}

static void every_allocation_of_the_sentencepiece_kind_may_fail(void) {
    nomem_every_allocation(once, FW_SOURCE_DIR "/tests/golden/tokenizers/spm", 29, 6);
}

static void every_allocation_of_the_wordpiece_kind_may_fail(void) {
    nomem_every_allocation(once, FW_SOURCE_DIR "/fuzz/seeds/tokenizer/wordpiece", 29, 2);
}

FW_TEST_MAIN(T(every_allocation_of_the_sentencepiece_kind_may_fail), T(every_allocation_of_the_wordpiece_kind_may_fail),
             T(every_allocation_of_the_json_kind_may_fail))
