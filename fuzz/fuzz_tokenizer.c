/* fuzz_tokenizer.c - bytes as a tokenizer file: refused with words, or one whose ids all fit its size, for any text.
 * First byte: which name the file has; the rest is the file. */
#include <stdint.h>

#include "model/tokenizer.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const fw_tokenizer *t, const char *text, int cap) {
    int32_t ids[256];
    int n = 0;
    fw_err err = {0};
    fw_status st = fw_tokenizer_encode(t, text, ids, cap, &n, &err);
    scratch_refused(st, &err);
    if (st != FW_OK) {
        return;
    }
    if (n < 0 || n > cap) {
        abort();
    }
    fw_tokenizer_pad(t, ids, n, 256);
    for (int i = 0; i < 256; i++) {
        if (ids[i] < 0 || ids[i] >= fw_tokenizer_size(t)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "vocab.txt"};
    static const char text[] = "Put it's 12 a\xcc\x81\xe2\x96\x81 x<image>\n\n  <|im_end|> y\xf0\x9f\x98\x80.\x7f";
    char tail[256] = {0};
    fw_err err = {0};
    fw_tokenizer *t = NULL;
    if (size < 1) {
        return 0;
    }
    const char *path = scratch_put(names[data[0] % 3], data + 1, size - 1);
    fw_status st = fw_tokenizer_open(path, &t, &err);
    scratch_refused(st, &err);
    if (st != FW_OK) {
        if (t != NULL) {
            abort();
        }
        return 0;
    }
    memcpy(tail, data + size - (size < 200 ? size : 200), size < 200 ? size : 200);
    encode(t, text, 256);
    encode(t, text, 5);
    encode(t, "", 256);
    encode(t, tail, 256);
    (void)fw_tokenizer_find(t, tail);
    fw_tokenizer_close(t);
    return 0;
}
