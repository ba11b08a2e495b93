/* tokenizer.c - see tokenizer.h: which kind a file is, and what all kinds share */
#include "model/tokenizer_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define PATH_BYTES 4096

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static fw_status open_file(const char *path, fw_tokenizer **out, fw_err *err) {
    if (ends_with(path, ".json")) {
        return fw_tokenizer_json_open(path, out, err);
    }
    if (ends_with(path, ".model")) {
        return fw_tokenizer_spm_open(path, out, err);
    }
    return fw_wordpiece_open(path, out, err);
}

fw_status fw_tokenizer_open(const char *path, fw_tokenizer **out, fw_err *err) {
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "vocab.txt"};
    *out = NULL;
    if (!fw_path_is_dir(path)) {
        return open_file(path, out, err);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[PATH_BYTES];
        FW_TRY(fw_path_join(file, sizeof file, path, names[i], err));
        if (fw_path_exists(file)) {
            return open_file(file, out, err);
        }
    }
    return fw_fail(err, FW_IO, "%s: has no tokenizer.json, tokenizer.model or vocab.txt", path);
}

void fw_tokenizer_close(fw_tokenizer *t) {
    if (t != NULL) {
        t->kind->close(t);
    }
}

int fw_tokenizer_size(const fw_tokenizer *t) {
    return t->size;
}

int fw_tokenizer_text_size(const fw_tokenizer *t) {
    return t->text_size > 0 ? t->text_size : t->size;
}

int32_t fw_tokenizer_pad_id(const fw_tokenizer *t) {
    return t->pad;
}

int32_t fw_tokenizer_find(const fw_tokenizer *t, const char *piece) {
    return t->kind->find(t, piece, strlen(piece));
}

fw_status fw_tokenizer_encode(const fw_tokenizer *t, const char *text, int32_t *ids, int cap, int *n, fw_err *err) {
    size_t bytes = 0;
    if (cap < 2) {
        return fw_fail(err, FW_INVALID, "room for %d ids, wanted at least 2", cap);
    }
    FW_TRY(fw_utf8_check(text, &bytes, err));
    if (bytes > FW_TEXT_MAX_BYTES) {
        return fw_fail(err, FW_INVALID, "%zu bytes of text, at most %zu are tokenized", bytes, FW_TEXT_MAX_BYTES);
    }
    return t->kind->encode(t, text, bytes, ids, cap, n, err);
}

void fw_tokenizer_pad(const fw_tokenizer *t, int32_t *ids, int n, int to) {
    for (; n < to; n++) {
        ids[n] = t->pad;
    }
}

/* ---- tokenizer_config.json ---- */

/* A token is written as its text or as {"content": text, ...}; null and absent: none. */
static const char *token_text(const json_t *root, const char *key) {
    const json_t *j = json_object_get(root, key);
    return json_string_value(json_is_object(j) ? json_object_get(j, "content") : j);
}

static fw_status read_flag(const json_t *root, const char *key, const char *where, int *out, fw_err *err) {
    bool b = false;
    *out = -1;
    if (json_object_get(root, key) == NULL || json_is_null(json_object_get(root, key))) {
        return FW_OK;
    }
    FW_TRY(fw_json_bool(root, key, where, &b, err));
    *out = b;
    return FW_OK;
}

/* Integers as reals: "model_max_length" is often 10^30, which stands for no limit. */
static fw_status load_config(const char *path, json_t **out, fw_err *err) {
    char *text;
    size_t n;
    json_error_t e;
    FW_TRY(fw_file_read(path, 16u << 20, &text, &n, err));
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &e);
    free(text);
    if (*out == NULL) {
        return fw_fail(err, FW_FORMAT, "%.100s: line %d column %d: %.100s", path, e.line, e.column, e.text);
    }
    return json_is_object(*out) ? FW_OK : fw_fail(err, FW_FORMAT, "%s: wanted an object", path);
}

static fw_status read_config(const char *path, fw_tokenizer_config *out, fw_err *err) {
    FW_TRY(load_config(path, &out->root, err));
    out->pad = token_text(out->root, "pad_token");
    out->bos = token_text(out->root, "bos_token");
    out->eos = token_text(out->root, "eos_token");
    FW_TRY(read_flag(out->root, "add_bos_token", path, &out->add_bos, err));
    return read_flag(out->root, "add_eos_token", path, &out->add_eos, err);
}

fw_status fw_tokenizer_config_read(const char *beside, fw_tokenizer_config *out, fw_err *err) {
    char path[PATH_BYTES];
    const char *slash = strrchr(beside, '/');
    *out = (fw_tokenizer_config){.add_bos = -1, .add_eos = -1};
    size_t dir = slash != NULL ? (size_t)(slash - beside) + 1 : 0;
    if (dir + sizeof "tokenizer_config.json" > sizeof path) {
        return fw_fail(err, FW_INVALID, "%.100s...: path too long", beside);
    }
    memcpy(path, beside, dir);
    memcpy(path + dir, "tokenizer_config.json", sizeof "tokenizer_config.json");
    if (!fw_path_exists(path)) {
        return FW_OK;
    }
    fw_status st = read_config(path, out, err);
    if (st != FW_OK) {
        json_decref(out->root);
        *out = (fw_tokenizer_config){0};
    }
    return st;
}

/* ---- characters ---- */

uint32_t fw_utf8_at(const char *s, size_t *bytes) {
    const unsigned char *p = (const unsigned char *)s;
    size_t n = *p < 0x80 ? 1 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4;
    uint32_t c = n == 1 ? *p : *p & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        c = c << 6 | (p[i] & 0x3Fu);
    }
    *bytes = n;
    return c;
}

/* Length of the character at p; 0: not UTF-8. */
static size_t char_bytes(const unsigned char *p) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *p < 0x80 ? 1 : *p >= 0xC2 && *p < 0xE0 ? 2 : (*p & 0xF0) == 0xE0 ? 3 : *p >= 0xF0 && *p < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) { /* also the terminating NUL */
            return 0;
        }
    }
    size_t same = n;
    uint32_t c = n > 0 ? fw_utf8_at((const char *)p, &same) : 0;
    return n > 0 && c >= least[n] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF) ? n : 0;
}

fw_status fw_utf8_check(const char *s, size_t *bytes, fw_err *err) {
    size_t at = 0;
    while (s[at] != 0) {
        size_t n = char_bytes((const unsigned char *)s + at);
        if (n == 0) {
            return fw_fail(err, FW_FORMAT, "text is not UTF-8 at byte %zu", at);
        }
        at += n;
    }
    *bytes = at;
    return FW_OK;
}

bool fw_utf8_valid(const char *s, size_t n) {
    size_t at = 0, len = 1;
    for (; at < n && len > 0; at += len) {
        len = char_bytes((const unsigned char *)s + at);
    }
    return at == n && (n == 0 || len > 0);
}

bool fw_is_space(uint32_t c) {
    return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool fw_in_ranges(const uint32_t (*r)[2], size_t n, uint32_t c) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (r[mid][1] < c) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n && r[lo][0] <= c;
}
