#include "fw_test.h"

#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "model/tokenizer.h"

#define GOLDEN FW_SOURCE_DIR "/tests/golden/"
#define VOCAB  "/.deps/minilm/vocab.txt"

static fw_tokenizer *open_real(void) {
    fw_err err = {0};
    fw_tokenizer *t = NULL;
    char path[4096];
    snprintf(path, sizeof path, "%s" VOCAB, fw_home());
    if (!fw_path_exists(path)) {
        SKIP("no .deps/minilm/vocab.txt");
    }
    if (fw_tokenizer_open(path, &t, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return t;
}

static void ids_equal_the_reference_library(void) {
    fw_err err = {0};
    fw_tokenizer *t = open_real();
    json_t *root = NULL;
    CHECK_INT(fw_json_load(GOLDEN "model_tokenizer.json", &root, &err), FW_OK);
    size_t i, bad = 0;
    json_t *c;
    json_array_foreach(json_object_get(root, "cases"), i, c) {
        const char *text = json_string_value(json_object_get(c, "text"));
        const json_t *want = json_object_get(c, "ids");
        int32_t ids[512];
        int n = 0;
        CHECK_INT(fw_tokenizer_encode(t, text, ids, 512, &n, &err), FW_OK);
        size_t wrong = (size_t)n != json_array_size(want);
        for (size_t k = 0; k < json_array_size(want) && wrong == 0; k++) {
            wrong = ids[k] != json_integer_value(json_array_get(want, k));
        }
        if (wrong != 0) {
            fprintf(stderr, "case %zu: %.80s: got %d ids:", i, text, n);
            for (int k = 0; k < n && k < 40; k++) {
                fprintf(stderr, " %d", ids[k]);
            }
            char *w = json_dumps(want, 0);
            fprintf(stderr, "\n   want %s\n", w);
            free(w);
        }
        bad += wrong;
    }
    CHECK_INT(bad, 0);
    CHECK(i >= 20);
    json_decref(root);
    fw_tokenizer_close(t);
}

static void long_text_is_cut_before_sep(void) {
    fw_err err = {0};
    fw_tokenizer *t = open_real();
    int32_t ids[8], full[32];
    int n = 0, m = 0;
    CHECK_INT(fw_tokenizer_encode(t, "one two three four five six seven eight nine", full, 32, &m, &err), FW_OK);
    CHECK_INT(m, 11);
    CHECK_INT(fw_tokenizer_encode(t, "one two three four five six seven eight nine", ids, 8, &n, &err), FW_OK);
    CHECK_INT(n, 8);
    CHECK(memcmp(ids, full, 7 * sizeof *ids) == 0);
    CHECK_INT(ids[7], full[m - 1]);
    fw_tokenizer_close(t);
}

static void names_of_special_tokens_are_plain_text(void) {
    fw_err err = {0};
    fw_tokenizer *t = open_real();
    int32_t ids[32], empty[2];
    int n = 0, m = 0;
    CHECK_INT(fw_tokenizer_encode(t, "", empty, 2, &m, &err), FW_OK);
    CHECK_INT(fw_tokenizer_encode(t, "[SEP] [CLS]", ids, 32, &n, &err), FW_OK);
    for (int i = 1; i + 1 < n; i++) {
        CHECK(ids[i] != empty[0] && ids[i] != empty[1]);
    }
    fw_tokenizer_close(t);
}

static void bytes_that_are_not_utf8_are_refused_with_their_place(void) {
    static const char *const bad[] = {"ab\xff",    "ab\xc3", "ab\xc0\xaf", "ab\xed\xa0\x80", "ab\xf5\x80\x80\x80",
                                      "ab\xe4\xb8"};
    fw_err err = {0};
    fw_tokenizer *t = open_real();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int32_t ids[32];
        int n = 0;
        CHECK_INT(fw_tokenizer_encode(t, bad[i], ids, 32, &n, &err), FW_FORMAT);
        CHECK(strstr(err.msg, "byte 2") != NULL);
    }
    fw_tokenizer_close(t);
}

static void a_file_that_is_no_vocabulary_is_refused(void) {
    static const struct {
        const char *text, *says;
    } bad[] = {{"", "not a BERT vocabulary"},
               {"[UNK]\n[CLS]\n", "not a BERT vocabulary"},
               {"[UNK]\na\nb\na\n", "line 4 repeats line 2"}};
    fw_err err = {0};
    char path[] = "/tmp/fw_vocab_XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_tokenizer *t = NULL;
        CHECK_INT(fw_file_write_atomic(path, bad[i].text, strlen(bad[i].text), &err), FW_OK);
        CHECK_INT(fw_tokenizer_open(path, &t, &err), FW_FORMAT);
        CHECK(t == NULL && strstr(err.msg, bad[i].says) != NULL && strstr(err.msg, path) != NULL);
    }
    remove(path);
}

FW_TEST_MAIN(T(ids_equal_the_reference_library), T(long_text_is_cut_before_sep),
             T(names_of_special_tokens_are_plain_text), T(bytes_that_are_not_utf8_are_refused_with_their_place),
             T(a_file_that_is_no_vocabulary_is_refused))
