#include "alloc_guard.h"
#include "model_test.h"

#include <unistd.h>

#include "base/json.h"
#include "model/tokenizer.h"

#define DIR GOLDEN "tokenizers/"
#define CAP 4096

static fw_tokenizer *open_ok(const char *path) {
    fw_err err = {0};
    fw_tokenizer *t = NULL;
    CHECK_OK(fw_tokenizer_open(path, &t, &err), err);
    return t;
}

static json_t *read_json(const char *path) {
    fw_err err = {0};
    json_t *j = NULL;
    CHECK_OK(fw_json_load(path, &j, &err), err);
    return j;
}

static void print_ids(const char *what, const int32_t *ids, int n) {
    fprintf(stderr, "  %s", what);
    for (int k = 0; k < n && k < 60; k++) {
        fprintf(stderr, " %d", ids[k]);
    }
    fprintf(stderr, "\n");
}

/* Every text of the golden file under `key` gives its ids; padded: encoded into 48 ids and filled up. */
static void check_golden(const char *path, const char *key, bool padded, size_t at_least) {
    fw_err err = {0};
    fw_tokenizer *t = open_ok(path);
    json_t *root = read_json(DIR "golden.json");
    const json_t *texts = json_object_get(root, "texts"), *all = json_object_get(root, key), *one;
    size_t i, bad = 0;
    json_array_foreach(all, i, one) {
        int32_t ids[CAP], want[CAP];
        const char *text = json_string_value(json_array_get(texts, i));
        int n = 0, m = (int)json_array_size(one);
        CHECK(m <= CAP);
        for (int k = 0; k < m; k++) {
            want[k] = (int32_t)json_integer_value(json_array_get(one, (size_t)k));
        }
        CHECK_OK(fw_tokenizer_encode(t, text, ids, padded ? 48 : CAP, &n, &err), err);
        if (padded) {
            fw_tokenizer_pad(t, ids, n, 48);
            n = 48;
        }
        if (n != m || memcmp(ids, want, (size_t)n * sizeof *ids) != 0) {
            bad++;
            char *shown = json_dumps(json_array_get(texts, i), JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
            fprintf(stderr, "%s %zu: %.200s: %d ids, want %d\n", key, i, shown, n, m);
            free(shown);
            print_ids("got ", ids, n);
            print_ids("want", want, m);
        }
    }
    CHECK_INT(bad, 0);
    CHECK(i >= at_least);
    json_decref(root);
    fw_tokenizer_close(t);
}

static void byte_level_ids_equal_the_reference_library(void) {
    check_golden(DIR "smollm2", "smollm2", false, 400);
}

static void byte_fallback_ids_equal_the_reference_library(void) {
    check_golden(DIR "gemma", "gemma", false, 400);
}

static void every_other_part_equals_the_reference_library(void) {
    check_golden(DIR "odd/tokenizer.json", "odd", false, 400);
}

static void padded_and_cut_ids_equal_the_reference_library(void) {
    check_golden(DIR "smollm2/tokenizer.json", "smollm2_padded_48", true, 150);
    check_golden(DIR "gemma/tokenizer.json", "gemma_padded_48", true, 150);
}

static void what_stands_around_the_text_survives_the_cut(void) {
    fw_err err = {0};
    fw_tokenizer *t = open_ok(DIR "odd");
    int32_t full[256], ids[8];
    int m = 0, n = 0;
    CHECK_OK(fw_tokenizer_encode(t, "put the cup in the sink, please", full, 256, &m, &err), err);
    CHECK_OK(fw_tokenizer_encode(t, "put the cup in the sink, please", ids, 8, &n, &err), err);
    CHECK(m > 8);
    CHECK_INT(n, 8);
    CHECK(memcmp(ids, full, 7 * sizeof *ids) == 0);
    CHECK_INT(ids[7], fw_tokenizer_find(t, "</s>"));
    CHECK_FAILS(fw_tokenizer_encode(t, "put", ids, 4, &n, &err), err, FW_INVALID, "of which 4 stand around");
    fw_tokenizer_close(t);
}

/* A control loop writes the state into the prompt: pi0.5 asks for new ids every time. */
static void a_prompt_is_encoded_without_allocating(void) {
    static const char *const kinds[] = {"smollm2", "gemma", "spm", "odd"};
    char text[501];
    for (int i = 0; i < 500; i++) {
        text[i] = "State: 12 200 7; "[i % 17];
    }
    text[500] = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char path[512];
        int32_t ids[1024];
        int n = 0;
        fw_err err = {0};
        fw_status st = FW_IO;
        snprintf(path, sizeof path, DIR "%s", kinds[k]);
        fw_tokenizer *t = open_ok(path);
        text[k == 3 ? 200 : 500] = 0; /* its normalizers make text three times as long */
        CHECK_NO_ALLOC(st = fw_tokenizer_encode(t, text, ids, 1024, &n, &err));
        CHECK_OK(st, err);
        CHECK(n > 50);
        fw_tokenizer_close(t);
    }
}

static void sizes_and_names_are_those_of_the_file(void) {
    fw_tokenizer *t = open_ok(DIR "smollm2");
    json_t *root = read_json(DIR "smollm2/tokenizer.json");
    size_t added = json_array_size(json_object_get(root, "added_tokens"));
    const json_t *last = json_array_get(json_object_get(root, "added_tokens"), added - 1);
    CHECK_INT(fw_tokenizer_size(t), json_integer_value(json_object_get(last, "id")) + 1);
    CHECK_INT(fw_tokenizer_text_size(t), json_object_size(json_object_get(json_object_get(root, "model"), "vocab")));
    CHECK_INT(fw_tokenizer_find(t, "<end_of_utterance>"), json_integer_value(json_object_get(last, "id")));
    CHECK_INT(fw_tokenizer_pad_id(t), fw_tokenizer_find(t, "<|im_end|>"));
    CHECK_INT(fw_tokenizer_find(t, "no such piece"), -1);
    json_decref(root);
    fw_tokenizer_close(t);
}

static void text_that_is_not_utf8_or_endless_is_refused(void) {
    fw_err err = {0};
    fw_tokenizer *t = open_ok(DIR "gemma");
    int32_t ids[8];
    int n = 0;
    size_t big = (1 << 20) + 1;
    char *text = malloc(big + 1);
    memset(text, 'a', big);
    text[big] = 0;
    CHECK_FAILS(fw_tokenizer_encode(t, "ab\xc3", ids, 8, &n, &err), err, FW_FORMAT, "byte 2");
    CHECK_FAILS(fw_tokenizer_encode(t, "ab", ids, 1, &n, &err), err, FW_INVALID, "at least 2");
    CHECK_FAILS(fw_tokenizer_encode(t, text, ids, 8, &n, &err), err, FW_INVALID, "at most 1048576");
    text[big - 1] = 0;
    CHECK_OK(fw_tokenizer_encode(t, text, ids, 8, &n, &err), err);
    CHECK_INT(n, 8);
    free(text);
    fw_tokenizer_close(t);
}

/* ---- what is not implemented or wrong is refused by its name ---- */

typedef struct change {
    const char *where; /* path of keys and indices in the file: "pre_tokenizer/pretokenizers/0/type" */
    const char *value; /* JSON */
    const char *says;
} change;

static void set_at(json_t *j, const char *where, const char *value) {
    char path[128], *rest = NULL, *last = NULL;
    snprintf(path, sizeof path, "%s", where);
    for (char *k = strtok_r(path, "/", &rest); k != NULL; k = strtok_r(NULL, "/", &rest)) {
        if (last != NULL) {
            j = json_is_array(j) ? json_array_get(j, (size_t)atoi(last)) : json_object_get(j, last);
            CHECK(j != NULL);
        }
        last = k;
    }
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    CHECK(v != NULL);
    if (json_is_array(j)) {
        CHECK_INT(json_array_set_new(j, (size_t)atoi(last), v), 0);
    } else {
        CHECK_INT(json_object_set_new(j, last, v), 0);
    }
}

static void check_change(const char *file, const change *c) {
    char path[] = "/tmp/fw_tokenizer_XXXXXX.json";
    fw_err err = {0};
    fw_tokenizer *t = NULL;
    int fd = mkstemps(path, 5);
    CHECK(fd >= 0);
    close(fd);
    json_t *root = read_json(file);
    set_at(root, c->where, c->value);
    CHECK_OK(fw_json_save(path, root, 0, &err), err);
    fw_status st = fw_tokenizer_open(path, &t, &err);
    if (st != FW_FORMAT || strstr(err.msg, c->says) == NULL || strstr(err.msg, path) == NULL || t != NULL) {
        FW_FAILED("%s = %s: got %s '%s', want '...%s...'", c->where, c->value, fw_status_name(st), err.msg, c->says);
    }
    json_decref(root);
    remove(path);
}

static void unknown_parts_are_refused_by_name(void) {
    static const change smol[] = {
        {"normalizer", "{\"type\": \"NFC\"}", "normalizer NFC"},
        {"normalizer", "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"a+\"}, \"content\": \"b\"}",
         "expression a+"},
        {"normalizer", "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"b\"}",
         "pattern is empty"},
        {"normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Lowercase\"}]}",
         "normalizer Lowercase"},
        {"pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"_\"}", "pre_tokenizer Metaspace"},
        {"pre_tokenizer/pretokenizers/0", "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", "behind ByteLevel"},
        {"pre_tokenizer/pretokenizers/0",
         "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"x|y\"}, \"behavior\": \"Isolated\"}", "expression x|y"},
        {"pre_tokenizer/pretokenizers/0",
         "{\"type\": \"Split\", \"pattern\": {\"String\": \"x\"}, \"behavior\": \"Removed\"}", "behavior Removed"},
        {"pre_tokenizer/pretokenizers/0", "{\"type\": \"Sequence\", \"pretokenizers\": []}", "Sequence inside"},
        {"post_processor", "{\"type\": \"BertProcessing\"}", "post_processor BertProcessing"},
        {"model/type", "\"Unigram\"", "model Unigram"},
        {"model/dropout", "0.1", "BPE with dropout"},
        {"model/end_of_word_suffix", "\"</w>\"", "BPE with end_of_word_suffix"},
        {"model/shift", "1", "shift"},
        {"extra", "1", "extra"},
        {"added_tokens/0/single_word", "true", "single_word"},
    };
    for (size_t i = 0; i < sizeof smol / sizeof *smol; i++) {
        check_change(DIR "smollm2/tokenizer.json", &smol[i]);
    }
}

static void a_file_that_disagrees_with_itself_is_refused(void) {
    static const change bad[] = {
        {"model/merges/0", "[\"a\", \"no such\"]", "merge 0: 'no such' is not in the vocabulary"},
        {"model/merges/0", "[\"a\", \"a\"]", "merge 0: 'aa' is not in the vocabulary"},
        {"model/merges/1", "\"a b c\"", "merge 1: wanted two pieces"},
        {"model/merges/1", "[\"a\"]", "merge 1: wanted two pieces"},
        {"model/merges/1", "7", "merge 1: wanted two pieces"},
        {"model/vocab/a", "-1", "piece 'a'"},
        {"model/vocab/a", "\"x\"", "piece 'a'"},
        {"model/vocab/a", "99999999", "piece 'a'"},
        {"model/unk_token", "\"<none>\"", "unk_token '<none>'"},
        {"added_tokens/1/id", "7", "added token '<eos>' has id 7, in the vocabulary it has 1"},
        {"added_tokens/1/content", "\"\"", "added token 1 is empty"},
        {"added_tokens/1", "{\"id\": 0, \"content\": \"<pad>\"}", "there twice"},
        {"post_processor/single", "[]", "leaves the text out"},
        {"post_processor/single/1", "{\"Sequence\": {\"id\": \"B\"}}", "sequence B"},
        {"post_processor/special_tokens", "{}", "<bos>"},
        {"post_processor/special_tokens/<bos>/ids/0", "-3", "is no id"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        change c = bad[i];
        if (i == 11) { /* normalized and plain tokens are two sets */
            c.value = "{\"id\": 0, \"content\": \"<pad>\", \"normalized\": false}";
        }
        check_change(DIR "gemma/tokenizer.json", &c);
    }
}

static void put_file(const char *dir, const char *name, const char *text) {
    char path[512];
    fw_err err = {0};
    CHECK_OK(fw_path_join(path, sizeof path, dir, name, &err), err);
    CHECK_OK(fw_file_write_atomic(path, text, strlen(text), &err), err);
}

static void tokenizer_config_decides_on_padding_and_bos(void) {
    char dir[] = "/tmp/fw_tokenizer_XXXXXX", path[512];
    fw_err err = {0};
    fw_tokenizer *t = NULL;
    int32_t ids[8];
    int n = 0;
    CHECK(mkdtemp(dir) != NULL);
    CHECK_FAILS(fw_tokenizer_open(dir, &t, &err), err, FW_IO, "has no tokenizer.json");
    json_t *root = read_json(DIR "gemma/tokenizer.json");
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    CHECK_OK(fw_json_save(path, root, 0, &err), err);
    put_file(dir, "tokenizer_config.json",
             "{\"add_bos_token\": false, \"add_eos_token\": true, \"bos_token\": \"<bos>\", "
             "\"eos_token\": {\"content\": \"<eos>\"}, \"pad_token\": \"<mask>\"}");
    t = open_ok(dir);
    CHECK_OK(fw_tokenizer_encode(t, "", ids, 8, &n, &err), err);
    CHECK_INT(n, 1);
    CHECK_INT(ids[0], fw_tokenizer_find(t, "<eos>"));
    CHECK_INT(fw_tokenizer_pad_id(t), fw_tokenizer_find(t, "<mask>"));
    fw_tokenizer_close(t);
    put_file(dir, "tokenizer_config.json", "{\"pad_token\": \"[PAD]\"}");
    CHECK_FAILS(fw_tokenizer_open(dir, &t, &err), err, FW_FORMAT, "pad_token '[PAD]' is not in the vocabulary");
    put_file(dir, "tokenizer_config.json", "{\"add_bos_token\": 3}");
    CHECK_FAILS(fw_tokenizer_open(dir, &t, &err), err, FW_FORMAT, "add_bos_token");
    json_decref(root);
    CHECK_OK(fw_remove_tree(dir, &err), err);
}

FW_TEST_MAIN(T(byte_level_ids_equal_the_reference_library), T(byte_fallback_ids_equal_the_reference_library),
             T(every_other_part_equals_the_reference_library), T(padded_and_cut_ids_equal_the_reference_library),
             T(what_stands_around_the_text_survives_the_cut), T(a_prompt_is_encoded_without_allocating),
             T(sizes_and_names_are_those_of_the_file), T(text_that_is_not_utf8_or_endless_is_refused),
             T(unknown_parts_are_refused_by_name), T(a_file_that_disagrees_with_itself_is_refused),
             T(tokenizer_config_decides_on_padding_and_bos))
