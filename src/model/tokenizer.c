/* tokenizer.c - see tokenizer.h */
#include "model/tokenizer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/unicode_table.h"

#define WORD_CHARS 100 /* longer words are [UNK], as in the reference */
#define WORD_BYTES (4 * WORD_CHARS)
#define N(a)       (sizeof(a) / sizeof(*(a)))

typedef struct piece {
    const char *s; /* into text; NULL: empty slot */
    uint32_t n;
    int32_t id;
} piece;

struct fw_tokenizer {
    char *text;  /* the vocabulary file */
    piece *slot; /* open addressing, a power of two of them */
    uint32_t mask;
    int size;
    int32_t unk, cls, sep;
};

/* ---- vocabulary ---- */

static uint32_t hash(const char *s, size_t n, bool inside) {
    uint32_t h =
        inside ? 0x9E3779B9u : 2166136261u; /* FNV-1a; pieces inside a word ("##ing") are stored without the ## */
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    }
    return h ^ (h >> 15);
}

/* The slot of a piece, or the empty one where it would go. A piece inside a word is asked for without its "##". */
static piece *slot_of(const fw_tokenizer *t, const char *s, size_t n, bool inside) {
    for (uint32_t i = hash(s, n, inside);; i++) {
        piece *p = &t->slot[i & t->mask];
        size_t skip = inside ? 2 : 0;
        if (p->s == NULL) {
            return p;
        }
        bool is_inside = p->n > 2 && memcmp(p->s, "##", 2) == 0;
        if (is_inside == inside && p->n == n + skip && memcmp(p->s + skip, s, n) == 0) {
            return p;
        }
    }
}

static int32_t id_of(const fw_tokenizer *t, const char *s, size_t n, bool inside) {
    const piece *p = slot_of(t, s, n, inside);
    return p->s != NULL ? p->id : -1;
}

static fw_status add_line(fw_tokenizer *t, const char *path, const char *s, size_t n, fw_err *err) {
    bool inside = n > 2 && memcmp(s, "##", 2) == 0;
    piece *p = inside ? slot_of(t, s + 2, n - 2, true) : slot_of(t, s, n, false);
    if (p->s != NULL) {
        return fw_fail(err, FW_FORMAT, "%s: line %d repeats line %d, '%.*s'", path, t->size + 1, p->id + 1,
                       (int)(n < 60 ? n : 60), s);
    }
    *p = (piece){s, (uint32_t)n, t->size++};
    return FW_OK;
}

static fw_status read_vocab(fw_tokenizer *t, const char *path, fw_err *err) {
    size_t size = 0, lines = 0;
    FW_TRY(fw_file_read(path, 16u << 20, &t->text, &size, err));
    for (size_t i = 0; i < size; i++) {
        lines += t->text[i] == '\n';
    }
    uint32_t cap = 1024;
    while (cap < 2 * (lines + 1)) {
        cap *= 2;
    }
    t->mask = cap - 1;
    t->slot = calloc(cap, sizeof *t->slot);
    if (t->slot == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for %zu pieces", path, lines);
    }
    for (char *s = t->text, *end = t->text + size; s < end;) {
        char *e = memchr(s, '\n', (size_t)(end - s));
        e = e != NULL ? e : end;
        size_t n = (size_t)(e - s);
        n -= n > 0 && s[n - 1] == '\r';
        FW_TRY(add_line(t, path, s, n, err));
        s = e + 1;
    }
    t->unk = id_of(t, "[UNK]", 5, false);
    t->cls = id_of(t, "[CLS]", 5, false);
    t->sep = id_of(t, "[SEP]", 5, false);
    if (t->unk < 0 || t->cls < 0 || t->sep < 0) {
        return fw_fail(err, FW_FORMAT, "%s: no [UNK], [CLS] or [SEP]: not a BERT vocabulary", path);
    }
    return FW_OK;
}

fw_status fw_tokenizer_open(const char *vocab_path, fw_tokenizer **out, fw_err *err) {
    *out = NULL;
    fw_tokenizer *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a tokenizer");
    }
    fw_status st = read_vocab(t, vocab_path, err);
    if (st != FW_OK) {
        fw_tokenizer_close(t);
        return st;
    }
    *out = t;
    return FW_OK;
}

void fw_tokenizer_close(fw_tokenizer *t) {
    if (t == NULL) {
        return;
    }
    free(t->slot);
    free(t->text);
    free(t);
}

int fw_tokenizer_size(const fw_tokenizer *t) {
    return t->size;
}

/* ---- characters ---- */

static bool in_ranges(const uint32_t (*r)[2], size_t n, uint32_t c) {
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

static bool is_space(uint32_t c) {
    return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_dropped(uint32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') {
        return false;
    }
    return c == 0xFFFD || in_ranges(uni_other, N(uni_other), c);
}

static bool is_punct(uint32_t c) {
    bool ascii = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    return ascii || (c > 127 && in_ranges(uni_punct, N(uni_punct), c));
}

static bool is_cjk(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

/* Lower case without accents, decomposed: 0 to 3 code points. */
static int fold(uint32_t c, uint32_t out[3]) {
    if (c < 128) {
        out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
        return 1;
    }
    if (c >= 0xAC00 && c <= 0xD7A3) { /* a Hangul syllable = lead, vowel and perhaps tail; Unicode 3.12 */
        uint32_t s = c - 0xAC00, tail = s % 28;
        out[0] = 0x1100 + s / 588;
        out[1] = 0x1161 + s % 588 / 28;
        out[2] = 0x11A7 + tail;
        return tail > 0 ? 3 : 2;
    }
    size_t lo = 0, hi = N(uni_fold);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (uni_fold[mid][0] < c) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo < N(uni_fold) && uni_fold[lo][0] == c) {
        int n = 0;
        for (; n < 3 && uni_fold[lo][n + 1] != 0; n++) {
            out[n] = uni_fold[lo][n + 1];
        }
        return n;
    }
    out[0] = c;
    return in_ranges(uni_mark, N(uni_mark), c) ? 0 : 1;
}

/* Next code point; false at bytes that are not UTF-8 (overlong forms and surrogates included). */
static bool next_char(const unsigned char **s, uint32_t *c) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = *s;
    int n = *p < 0x80 ? 1 : *p >= 0xC2 && *p < 0xE0 ? 2 : *p >= 0xE0 && *p < 0xF0 ? 3 : *p >= 0xF0 && *p < 0xF5 ? 4 : 0;
    if (n == 0) {
        return false;
    }
    uint32_t v = n == 1 ? *p : *p & (0xFFu >> (n + 1));
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) { /* also the terminating NUL */
            return false;
        }
        v = v << 6 | (p[i] & 0x3Fu);
    }
    *s = p + n;
    *c = v;
    return v >= least[n] && v <= 0x10FFFF && !(v >= 0xD800 && v <= 0xDFFF);
}

static size_t put_char(char *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) {
        out[i] = (char)(0x80 | (c & 0x3F));
    }
    out[0] = (char)((0xF00u >> n & 0xFF) | c);
    return n;
}

/* ---- words ---- */

typedef struct encoder {
    const fw_tokenizer *t;
    int32_t *ids;
    int n, max; /* ids written, room before [SEP] */
    char word[WORD_BYTES + 4];
    size_t bytes;
    int chars;
} encoder;

static void put_id(encoder *e, int32_t id) {
    if (e->n < e->max) {
        e->ids[e->n++] = id;
    }
}

/* The word in the buffer becomes pieces: the longest known one from the left, again and again. */
static void end_word(encoder *e) {
    int32_t piece_id[WORD_BYTES];
    size_t at = 0, n = 0;
    if (e->chars == 0) {
        return;
    }
    bool known = e->chars <= WORD_CHARS;
    while (known && at < e->bytes) {
        size_t len = e->bytes - at;
        int32_t id = -1;
        for (; len > 0 && id < 0; len -= id < 0) {
            bool at_char = at + len == e->bytes || (e->word[at + len] & 0xC0) != 0x80;
            id = at_char ? id_of(e->t, e->word + at, len, at > 0) : -1;
        }
        known = id >= 0;
        piece_id[n++] = id;
        at += len;
    }
    if (!known) {
        piece_id[0] = e->t->unk;
        n = 1;
    }
    for (size_t i = 0; i < n; i++) {
        put_id(e, piece_id[i]);
    }
    e->bytes = 0;
    e->chars = 0;
}

static void add_char(encoder *e, uint32_t c) {
    if (e->chars < WORD_CHARS) {
        e->bytes += put_char(e->word + e->bytes, c);
    }
    e->chars += e->chars <= WORD_CHARS; /* 101 = too long */
}

static void take_char(encoder *e, uint32_t c) {
    uint32_t f[3];
    if (is_dropped(c)) {
        return;
    }
    if (is_space(c)) {
        end_word(e);
        return;
    }
    bool cjk = is_cjk(c);
    if (cjk) {
        end_word(e);
    }
    int n = fold(c, f);
    for (int i = 0; i < n; i++) {
        bool alone = is_punct(f[i]);
        if (alone) {
            end_word(e);
        }
        add_char(e, f[i]);
        if (alone) {
            end_word(e);
        }
    }
    if (cjk) {
        end_word(e);
    }
}

fw_status fw_tokenizer_encode(const fw_tokenizer *t, const char *text, int32_t *ids, int cap, int *n, fw_err *err) {
    const unsigned char *s = (const unsigned char *)text;
    encoder e = {.t = t, .ids = ids, .max = cap - 1};
    if (cap < 2) {
        return fw_fail(err, FW_INVALID, "room for %d ids, wanted at least 2", cap);
    }
    put_id(&e, t->cls);
    while (*s != 0) {
        uint32_t c = 0;
        const unsigned char *from = s;
        if (!next_char(&s, &c)) {
            return fw_fail(err, FW_FORMAT, "text is not UTF-8 at byte %zu",
                           (size_t)(from - (const unsigned char *)text));
        }
        if (e.n < e.max) {
            take_char(&e, c);
        }
    }
    end_word(&e);
    ids[e.n++] = t->sep;
    *n = e.n;
    return FW_OK;
}
