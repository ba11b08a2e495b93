/*
 * tokenizer_wordpiece.c - WordPiece as BERT (uncased) uses it.
 *
 * DESIGN. One pass over the text, no allocation: control characters go, white space ends a word, punctuation and CJK
 * ideographs are words of their own, letters are decomposed, lose their accents and are lower-cased (unicode_table.h). A word is
 * then cut greedily into the longest known pieces; a word that cannot be cut, or is longer than 100 characters, is [UNK].
 * Names of special tokens in the text ("[SEP]") are plain text here: a sentence comes from outside. arXiv 1810.04805, 1609.08144.
 */
#include "model/tokenizer_int.h"

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

typedef struct wordpiece {
    fw_tokenizer base;
    char *text;  /* the vocabulary file */
    piece *slot; /* open addressing, a power of two of them */
    uint32_t mask;
    int32_t unk, cls, sep;
} wordpiece;

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
static piece *slot_of(const wordpiece *t, const char *s, size_t n, bool inside) {
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

static int32_t id_of(const wordpiece *t, const char *s, size_t n, bool inside) {
    const piece *p = slot_of(t, s, n, inside);
    return p->s != NULL ? p->id : -1;
}

static fw_status add_line(wordpiece *t, const char *path, const char *s, size_t n, fw_err *err) {
    bool inside = n > 2 && memcmp(s, "##", 2) == 0;
    piece *p = inside ? slot_of(t, s + 2, n - 2, true) : slot_of(t, s, n, false);
    if (p->s != NULL) {
        return fw_fail(err, FW_FORMAT, "%s: line %d repeats line %d, '%.*s'", path, t->base.size + 1, p->id + 1,
                       (int)(n < 60 ? n : 60), s);
    }
    *p = (piece){s, (uint32_t)n, t->base.size++};
    return FW_OK;
}

static fw_status read_vocab(wordpiece *t, const char *path, fw_err *err) {
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

static void wordpiece_close(fw_tokenizer *base) {
    wordpiece *t = (wordpiece *)base;
    free(t->slot);
    free(t->text);
    free(t);
}

static int32_t wordpiece_find(const fw_tokenizer *base, const char *s, size_t n) {
    bool inside = n > 2 && memcmp(s, "##", 2) == 0;
    return inside ? id_of((const wordpiece *)base, s + 2, n - 2, true) : id_of((const wordpiece *)base, s, n, false);
}

/* ---- characters ---- */

static bool is_dropped(uint32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') {
        return false;
    }
    return c == 0xFFFD || fw_in_ranges(uni_other, N(uni_other), c);
}

static bool is_punct(uint32_t c) {
    bool ascii = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    return ascii || (c > 127 && fw_in_ranges(uni_punct, N(uni_punct), c));
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
    return fw_in_ranges(uni_mark, N(uni_mark), c) ? 0 : 1;
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
    const wordpiece *t;
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
    if (fw_is_space(c)) {
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

static fw_status wordpiece_encode(const fw_tokenizer *base, const char *text, size_t bytes, int32_t *ids, int cap,
                                  int *n, fw_err *err) {
    (void)err;
    const wordpiece *t = (const wordpiece *)base;
    encoder e = {.t = t, .ids = ids, .max = cap - 1};
    put_id(&e, t->cls);
    for (size_t at = 0; at < bytes && e.n < e.max;) {
        size_t len;
        take_char(&e, fw_utf8_at(text + at, &len));
        at += len;
    }
    end_word(&e);
    ids[e.n++] = t->sep;
    *n = e.n;
    return FW_OK;
}

static const fw_tokenizer_kind wordpiece_kind = {wordpiece_encode, wordpiece_find, wordpiece_close};

fw_status fw_wordpiece_open(const char *vocab_path, fw_tokenizer **out, fw_err *err) {
    *out = NULL;
    wordpiece *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a tokenizer");
    }
    t->base.kind = &wordpiece_kind;
    fw_status st = read_vocab(t, vocab_path, err);
    if (st != FW_OK) {
        wordpiece_close(&t->base);
        return st;
    }
    int32_t pad = id_of(t, "[PAD]", 5, false);
    t->base.pad = pad >= 0 ? pad : 0;
    *out = &t->base;
    return FW_OK;
}
