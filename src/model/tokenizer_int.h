/*
 * tokenizer_int.h - what the kinds of tokenizers share: the handle, UTF-8, a table of pieces, and the merging of byte-pair encoding.
 */
#ifndef FW_MODEL_TOKENIZER_INT_H
#define FW_MODEL_TOKENIZER_INT_H

#include <stdbool.h>

#include "base/json.h"
#include "model/tokenizer.h"

#define FW_TEXT_MAX_BYTES ((size_t)1 << 20)

typedef struct fw_tokenizer_kind {
    /* as fw_tokenizer_encode; bytes: strlen(text), which is valid UTF-8 of at most FW_TEXT_MAX_BYTES; cap >= 2 */
    fw_status (*encode)(const fw_tokenizer *t, const char *text, size_t bytes, int32_t *ids, int cap, int *n,
                        fw_err *err);
    int32_t (*find)(const fw_tokenizer *t, const char *s, size_t n);
    void (*close)(fw_tokenizer *t); /* frees t too */
} fw_tokenizer_kind;

/* Implementations put this first in their struct. */
struct fw_tokenizer {
    const fw_tokenizer_kind *kind;
    int size, text_size; /* text_size 0: the same */
    int32_t pad;
};

FW_NODISCARD fw_status fw_wordpiece_open(const char *vocab_path, fw_tokenizer **out, fw_err *err);

/* tokenizer_config.json beside the vocabulary: what of it changes the ids. A file that is not there leaves everything unset. */
typedef struct fw_tokenizer_config {
    json_t *root;                /* owned; NULL: no file. The texts below live in it */
    const char *pad, *bos, *eos; /* NULL: not named */
    int add_bos, add_eos;        /* -1: not said */
} fw_tokenizer_config;
FW_NODISCARD fw_status fw_tokenizer_config_read(const char *beside, fw_tokenizer_config *out, fw_err *err);

/* ---- characters ---- */

/* The code point at s, of *bytes bytes; only for valid UTF-8 (fw_utf8_check). */
uint32_t fw_utf8_at(const char *s, size_t *bytes);
/* Length of a NUL-terminated text, or FW_FORMAT at its first byte that is not UTF-8 (overlong forms and surrogates included). */
FW_NODISCARD fw_status fw_utf8_check(const char *s, size_t *bytes, fw_err *err);
/* s[0..n) with a NUL somewhere behind it. */
bool fw_utf8_valid(const char *s, size_t n);
bool fw_is_space(uint32_t c);                                    /* White_Space */
bool fw_in_ranges(const uint32_t (*r)[2], size_t n, uint32_t c); /* r: sorted [first, last] */

/* ---- pieces: text -> id ---- */

typedef struct fw_piece {
    uint32_t at, n; /* text[at .. at + n) */
    int32_t id;     /* -1: empty slot */
} fw_piece;
typedef struct fw_pieces {
    char *text;     /* all pieces, one after the other */
    fw_piece *slot; /* open addressing, a power of two of them */
    uint32_t mask;
    size_t used, cap; /* bytes of text */
} fw_pieces;
/* Room for n pieces of `bytes` bytes together. */
FW_NODISCARD fw_status fw_pieces_init(fw_pieces *p, size_t n, size_t bytes, fw_err *err);
void fw_pieces_clear(fw_pieces *p);
/* The text is copied. false: it is there already. */
bool fw_pieces_add(fw_pieces *p, const char *s, size_t n, int32_t id);
int32_t fw_pieces_find(const fw_pieces *p, const char *s, size_t n); /* -1: none */

/* ---- tokens that are whole before anything else: added tokens, user-defined symbols ---- */

typedef struct fw_token {
    const char *s; /* borrowed */
    size_t n;      /* bytes, at least one */
    int32_t id;
    bool eats_left, eats_right; /* the white space beside it goes with it */
} fw_token;
typedef struct fw_tokens {
    fw_token *item;
    int n, cap;
    int first[257]; /* item[first[c] .. first[c + 1]) begin with byte c, the longest first */
} fw_tokens;
/* sort: after the last one was added, before fw_tokens_at. */
FW_NODISCARD fw_status fw_tokens_init(fw_tokens *t, size_t cap, fw_err *err);
void fw_tokens_sort(fw_tokens *t);
/* The longest one at the start of s[0..n); NULL: none. */
const fw_token *fw_tokens_at(const fw_tokens *t, const char *s, size_t n);

/* ---- byte-pair encoding of one word ---- */

typedef struct fw_merge {
    int32_t left, right; /* ids; left = -1: empty slot */
    int32_t rank, id;    /* the smaller rank goes first; what the two become */
} fw_merge;

typedef struct fw_bpe {
    fw_pieces pieces;
    fw_merge *merge; /* open addressing. NULL: SentencePiece, where two neighbours whose join is a piece may merge */
    uint32_t merge_mask;
    float *score;         /* SentencePiece, by id: the larger goes first */
    int32_t byte_id[256]; /* of "<0x00>" ...; -1: none */
    int32_t unk;          /* -1: what is unknown is left out, as in the reference */
    bool byte_fallback, fuse_unk;
} fw_bpe;

typedef struct fw_symbol {
    uint32_t at, n; /* bytes of the word; n = 0: merged into the one before */
    int32_t id, prev, next;
} fw_symbol;
typedef struct fw_candidate {
    float key; /* rank, or -score: the smallest first, of equals the leftmost */
    int32_t at, id;
} fw_candidate;
/* For words of at most `bytes` bytes: symbol[bytes], heap[3 * bytes]. */
typedef struct fw_bpe_scratch {
    fw_symbol *symbol;
    fw_candidate *heap;
    size_t n_heap;
} fw_bpe_scratch;
#define FW_BPE_SCRATCH_BYTES(bytes) ((bytes) * (sizeof(fw_symbol) + 3 * sizeof(fw_candidate)))

FW_NODISCARD fw_status fw_bpe_merges_init(fw_bpe *b, size_t n, fw_err *err);
void fw_bpe_merges_add(fw_bpe *b, int32_t left, int32_t right, int32_t rank, int32_t id); /* a later one replaces */
/* byte_id from the pieces; false when one is missing, and *missing is its byte. */
bool fw_bpe_find_bytes(fw_bpe *b, int *missing);
/* s[0..n), valid UTF-8, becomes ids[*k .. cap): *k grows, what has no room is dropped. */
void fw_bpe_word(const fw_bpe *b, const char *s, size_t n, fw_bpe_scratch *scratch, int32_t *ids, int *k, int cap);
void fw_bpe_clear(fw_bpe *b);

FW_NODISCARD fw_status fw_tokenizer_json_open(const char *path, fw_tokenizer **out, fw_err *err);
FW_NODISCARD fw_status fw_tokenizer_spm_open(const char *path, fw_tokenizer **out, fw_err *err);

#endif /* FW_MODEL_TOKENIZER_INT_H */
