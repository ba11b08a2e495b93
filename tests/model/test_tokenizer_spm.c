#include "model_test.h"

#include <unistd.h>

#include "base/json.h"
#include "model/tokenizer.h"

#define DIR GOLDEN "tokenizers/"
#define CAP 4096

static void check_golden(const char *path, const char *key) {
    fw_err err = {0};
    fw_tokenizer *t = NULL;
    json_t *root = NULL;
    CHECK_OK(fw_tokenizer_open(path, &t, &err), err);
    CHECK_OK(fw_json_load(DIR "golden.json", &root, &err), err);
    const json_t *texts = json_object_get(root, "texts"), *all = json_object_get(root, key), *one;
    size_t i, bad = 0;
    json_array_foreach(all, i, one) {
        int32_t ids[CAP];
        int n = 0, m = (int)json_array_size(one), k = 0;
        CHECK_OK(fw_tokenizer_encode(t, json_string_value(json_array_get(texts, i)), ids, CAP, &n, &err), err);
        while (k < n && k < m && ids[k] == json_integer_value(json_array_get(one, (size_t)k))) {
            k++;
        }
        if (n != m || k != n) {
            char *shown = json_dumps(json_array_get(texts, i), JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
            fprintf(stderr, "%s %zu: %.200s: %d ids, want %d; first other at %d\n", key, i, shown, n, m, k);
            free(shown);
            bad++;
        }
    }
    CHECK_INT(bad, 0);
    CHECK(i >= 400);
    json_decref(root);
    fw_tokenizer_close(t);
}

static void ids_with_byte_fallback_equal_sentencepiece(void) {
    check_golden(DIR "spm", "spm");
}

static void ids_with_unknown_runs_and_a_space_in_front_equal_sentencepiece(void) {
    check_golden(DIR "plain_spm/tokenizer.model", "plain_spm");
}

static void special_pieces_have_the_ids_of_the_file(void) {
    fw_err err = {0};
    fw_tokenizer *t = NULL;
    CHECK_OK(fw_tokenizer_open(DIR "spm/tokenizer.model", &t, &err), err);
    CHECK_INT(fw_tokenizer_size(t), 700);
    CHECK_INT(fw_tokenizer_pad_id(t), 0);
    CHECK_INT(fw_tokenizer_find(t, "<bos>"), 2);
    CHECK_INT(fw_tokenizer_find(t, "<image>"), fw_tokenizer_find(t, "<mask>") + 1);
    CHECK_INT(fw_tokenizer_find(t, "no such piece"), -1);
    fw_tokenizer_close(t);
}

/* ---- files made by hand: protobuf of a few pieces ---- */

typedef struct file {
    char bytes[4096];
    size_t n;
} file;

static void put_bytes(file *f, int number, const void *data, size_t n) {
    CHECK(n < 128 && f->n + n + 4 < sizeof f->bytes);
    f->bytes[f->n++] = (char)(number % 16 << 3 | 2 | (number > 15 ? 0x80 : 0)); /* numbers to 2047 in two bytes */
    if (number > 15) {
        f->bytes[f->n++] = (char)(number / 16);
    }
    f->bytes[f->n++] = (char)n;
    memcpy(f->bytes + f->n, data, n);
    f->n += n;
}

static void put_int(file *f, int number, int value) {
    f->bytes[f->n++] = (char)(number % 16 << 3 | (number > 15 ? 0x80 : 0));
    if (number > 15) {
        f->bytes[f->n++] = (char)(number / 16);
    }
    f->bytes[f->n++] = (char)value;
}

static void put_piece(file *f, const char *text, float score, int type) {
    file p = {.n = 0};
    put_bytes(&p, 1, text, strlen(text));
    p.bytes[p.n++] = 2 << 3 | 5;
    memcpy(p.bytes + p.n, &score, 4);
    p.n += 4;
    put_int(&p, 3, type);
    put_bytes(f, 1, p.bytes, p.n);
}

/* trainer_spec of a BPE model and a normalizer that changes nothing. */
static void put_specs(file *f, int model_type, int other_number, bool remove_spaces, const char *charsmap) {
    file t = {.n = 0}, m = {.n = 0};
    put_int(&t, 3, model_type);
    if (other_number > 0) {
        put_int(&t, other_number, 1);
    }
    put_bytes(f, 2, t.bytes, t.n);
    put_bytes(&m, 1, "nmt_nfkc", 8);
    put_bytes(&m, 2, charsmap, strlen(charsmap));
    put_int(&m, 3, 0);
    put_int(&m, 4, remove_spaces);
    put_bytes(f, 3, m.bytes, m.n);
}

static void check_refused(const file *f, const char *says) {
    char path[] = "/tmp/fw_spm_XXXXXX.model";
    fw_err err = {0};
    fw_tokenizer *t = NULL;
    int fd = mkstemps(path, 6);
    CHECK(fd >= 0);
    close(fd);
    CHECK_OK(fw_file_write_atomic(path, f->bytes, f->n, &err), err);
    CHECK_FAILS(fw_tokenizer_open(path, &t, &err), err, FW_FORMAT, says);
    CHECK(t == NULL && strstr(err.msg, path) != NULL);
    remove(path);
}

static void what_is_not_implemented_is_refused_by_name(void) {
    file f = {.n = 0};
    put_piece(&f, "<unk>", 0, 2);
    file base = f;
    put_specs(&f, 1, 0, false, "");
    check_refused(&f, "model_type Unigram");
    f = base;
    put_specs(&f, 2, 24, false, "");
    check_refused(&f, "treat_whitespace_as_suffix");
    f = base;
    put_specs(&f, 2, 0, true, "");
    check_refused(&f, "remove_extra_whitespaces");
    f = base;
    put_specs(&f, 2, 0, false, "xyz");
    check_refused(&f, "normalization rule nmt_nfkc");
    f = base;
    put_specs(&f, 2, 35, false, "");
    check_refused(&f, "byte_fallback without the piece <0x00>");
    f = base;
    put_piece(&f, "x", 0, 5);
    put_specs(&f, 2, 0, false, "");
    check_refused(&f, "piece 1 'x' of type 5");
}

static void a_file_that_disagrees_with_itself_is_refused(void) {
    file f = {.n = 0};
    check_refused(&f, "is not a SentencePiece message");
    put_bytes(&f, 1, "\x0a\x7f", 2);
    check_refused(&f, "a piece is not");
    f.n = 0;
    put_piece(&f, "a", 0, 1);
    put_specs(&f, 2, 0, false, "");
    check_refused(&f, "has no unknown piece");
    put_piece(&f, "<unk>", 0, 2);
    put_piece(&f, "a", 0, 1);
    check_refused(&f, "piece 2 'a' is there twice");
    f.n = 0;
    put_piece(&f, "a", NAN, 1);
    check_refused(&f, "no finite score");
    f.n = 0;
    put_piece(&f, "a\xc3", 0, 4);
    check_refused(&f, "no UTF-8");
    f.n = 0;
    put_piece(&f, "a", 0, 1);
    f.bytes[1] = 0x7f; /* longer than the file */
    check_refused(&f, "the file is not");
}

FW_TEST_MAIN(T(ids_with_byte_fallback_equal_sentencepiece),
             T(ids_with_unknown_runs_and_a_space_in_front_equal_sentencepiece),
             T(special_pieces_have_the_ids_of_the_file), T(what_is_not_implemented_is_refused_by_name),
             T(a_file_that_disagrees_with_itself_is_refused))
