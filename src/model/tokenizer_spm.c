/*
 * tokenizer_spm.c - SentencePiece's own tokenizer.model (BPE), as Gemma and PaliGemma ship it. arXiv 1808.06226.
 *
 * THE FILE is one protobuf message; of its fields (number, type) only these are read, all others are passed over:
 *   1 pieces, each: 1 piece (text), 2 score (float), 3 type (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte)
 *   2 trainer_spec: 3 model_type (2 = BPE), 24 treat_whitespace_as_suffix, 35 byte_fallback, 46/47/48 bos/eos/pad_piece
 *   3 normalizer_spec: 1 name, 2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces
 * The id of a piece is its place. Settings that change ids and that no policy uses are refused by name.
 *
 * ENCODING. A space becomes U+2581; user-defined symbols are cut out, the longest first; what lies between is merged, the pair
 * with the best score first (tokenizer_bpe.c); what is no piece in the end is its bytes, or unknown. BOS goes in front, as both
 * openpi and GemmaTokenizer do, unless tokenizer_config.json says otherwise.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/tokenizer_int.h"

#define FILE_MAX    ((size_t)64 << 20)
#define STACK_BYTES (64 << 10) /* scratch for about 1000 bytes of text */
#define SPACE       "\xe2\x96\x81"

typedef enum piece_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE } piece_type;

typedef struct spm {
    fw_tokenizer base;
    fw_bpe bpe;         /* normal and user-defined pieces */
    fw_pieces reserved; /* the others: never found in text */
    fw_tokens symbols;  /* user-defined; their .s lie in `file` */
    char *file;
    bool space_in_front;
    int32_t bos, eos; /* put around the text; -1: not */
} spm;

/* ---- protobuf ---- */

/* A field of a message: number, and its value as an integer (varint, or the 4 or 8 bytes of a fixed one) or as bytes. */
typedef struct field {
    uint32_t number;
    int wire; /* 0 varint, 1 eight bytes, 2 bytes, 5 four bytes */
    uint64_t value;
    const char *data;
    size_t n;
} field;
typedef struct message {
    const char *at, *end;
} message;

static bool read_varint(message *m, uint64_t *v) {
    *v = 0;
    for (int shift = 0; shift < 64 && m->at < m->end; shift += 7) {
        uint64_t b = (unsigned char)*m->at++;
        *v |= (b & 0x7F) << shift;
        if (b < 0x80) {
            return true;
        }
    }
    return false;
}

static bool read_fixed(message *m, size_t n, uint64_t *v) {
    *v = 0;
    if ((size_t)(m->end - m->at) < n) {
        return false;
    }
    memcpy(v, m->at, n); /* little-endian, as we are */
    m->at += n;
    return true;
}

/* The next field; false at the end and at what is no protobuf: then m->at < m->end, or `broken`. */
static bool next_field(message *m, field *f, bool *broken) {
    uint64_t key, n;
    if (m->at == m->end) {
        return false;
    }
    *broken = true;
    if (!read_varint(m, &key) || key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) {
        return false;
    }
    *f = (field){.number = (uint32_t)(key >> 3), .wire = (int)(key & 7)};
    switch (f->wire) {
    case 0:
        *broken = !read_varint(m, &f->value);
        break;
    case 1:
        *broken = !read_fixed(m, 8, &f->value);
        break;
    case 2:
        *broken = !read_varint(m, &n) || n > (size_t)(m->end - m->at);
        if (!*broken) {
            f->data = m->at;
            f->n = (size_t)n;
            m->at += n;
        }
        break;
    case 5:
        *broken = !read_fixed(m, 4, &f->value);
        break;
    default:
        break;
    }
    return !*broken;
}

static fw_status fail_broken(const char *path, const char *what, fw_err *err) {
    return fw_fail(err, FW_FORMAT, "%s: %s is not a SentencePiece message", path, what);
}

/* ---- reading ---- */

typedef struct piece {
    const char *s;
    size_t n;
    float score;
    int type;
} piece;

/* What a field holds, if that is a message. */
static message message_in(const field *f, bool *broken) {
    *broken = f->wire != 2;
    return *broken || f->n == 0 ? (message){0} : (message){f->data, f->data + f->n};
}

static fw_status read_piece(const char *path, int id, const field *f, piece *out, fw_err *err) {
    bool broken;
    message m = message_in(f, &broken);
    field g;
    *out = (piece){.type = NORMAL};
    while (!broken && next_field(&m, &g, &broken)) {
        if (g.number == 1 && g.wire == 2) {
            out->s = g.data;
            out->n = g.n;
        } else if (g.number == 2 && g.wire == 5) {
            uint32_t bits = (uint32_t)g.value;
            memcpy(&out->score, &bits, sizeof bits);
        } else if (g.number == 3 && g.wire == 0) {
            out->type = g.value < 100 ? (int)g.value : 100;
        }
    }
    if (broken) {
        return fail_broken(path, "a piece", err);
    }
    if (out->n == 0 || memchr(out->s, 0, out->n) != NULL || !fw_utf8_valid(out->s, out->n) || !isfinite(out->score)) {
        return fw_fail(err, FW_FORMAT, "%s: piece %d has no text, a NUL in it, no UTF-8 or no finite score", path, id);
    }
    return FW_OK;
}

typedef struct settings {
    int model_type;
    bool suffix, byte_fallback, dummy_prefix, remove_spaces, escape;
    char name[64]; /* of the normalization rule */
    size_t charsmap;
    const char *text[3]; /* bos, eos, pad */
    size_t n[3];
} settings;

static fw_status read_trainer(const char *path, const field *f, settings *s, fw_err *err) {
    bool broken;
    message m = message_in(f, &broken);
    field g;
    while (!broken && next_field(&m, &g, &broken)) {
        if (g.wire == 2 && g.number >= 46 && g.number <= 48) {
            s->text[g.number - 46] = g.data;
            s->n[g.number - 46] = g.n;
        } else if (g.wire == 0 && g.number == 3) {
            s->model_type = g.value < 100 ? (int)g.value : 100;
        } else if (g.wire == 0 && g.number == 24) {
            s->suffix = g.value != 0;
        } else if (g.wire == 0 && g.number == 35) {
            s->byte_fallback = g.value != 0;
        }
    }
    return broken ? fail_broken(path, "trainer_spec", err) : FW_OK;
}

static fw_status read_normalizer(const char *path, const field *f, settings *s, fw_err *err) {
    bool broken, *const flag[] = {&s->dummy_prefix, &s->remove_spaces, &s->escape};
    message m = message_in(f, &broken);
    field g;
    while (!broken && next_field(&m, &g, &broken)) {
        if (g.wire == 2 && g.number == 1) {
            size_t n = g.n < sizeof s->name - 1 ? g.n : sizeof s->name - 1;
            memcpy(s->name, g.data, n);
            s->name[n] = 0;
        } else if (g.wire == 2 && g.number == 2) {
            s->charsmap = g.n;
        } else if (g.wire == 0 && g.number >= 3 && g.number <= 5) {
            *flag[g.number - 3] = g.value != 0;
        }
    }
    return broken ? fail_broken(path, "normalizer_spec", err) : FW_OK;
}

static fw_status refuse(const char *path, const char *what, const char *which, fw_err *err) {
    return fw_fail(err, FW_FORMAT, "%s: %s%s is not implemented", path, what, which);
}

static fw_status check_settings(const char *path, const settings *s, fw_err *err) {
    static const char *const types[] = {"0", "Unigram", "BPE", "Word", "Char"};
    if (s->model_type != 2) {
        return refuse(path, "model_type ", s->model_type < 5 ? types[s->model_type] : "of a later version", err);
    }
    if (s->charsmap > 0) {
        return refuse(path, "normalization rule ", s->name, err);
    }
    return s->suffix          ? refuse(path, "treat_whitespace_as_suffix", "", err)
           : s->remove_spaces ? refuse(path, "remove_extra_whitespaces", "", err)
           : !s->escape       ? refuse(path, "text without escape_whitespaces", "", err)
                              : FW_OK;
}

/* First walk: the settings, and how many pieces of how many bytes there are. */
static fw_status read_settings(const char *path, message m, settings *s, size_t *n, size_t *bytes, size_t *n_symbols,
                               fw_err *err) {
    bool broken = false;
    field f;
    piece p;
    *s = (settings){.model_type = 1, .dummy_prefix = true, .remove_spaces = true, .escape = true};
    *n = *bytes = *n_symbols = 0;
    while (next_field(&m, &f, &broken)) {
        if (f.number == 1) {
            FW_TRY(read_piece(path, (int)*n, &f, &p, err));
            *bytes += p.n;
            *n_symbols += p.type == USER_DEFINED;
            (*n)++;
        } else if (f.number == 2) {
            FW_TRY(read_trainer(path, &f, s, err));
        } else if (f.number == 3) {
            FW_TRY(read_normalizer(path, &f, s, err));
        }
    }
    if (broken || *n == 0) {
        return fail_broken(path, "the file", err);
    }
    return *n <= 1 << 24 ? FW_OK : fw_fail(err, FW_FORMAT, "%s: %zu pieces", path, *n);
}

static bool one_character(const piece *p) {
    for (size_t i = 1; i < p->n; i++) {
        if (((unsigned char)p->s[i] & 0xC0) != 0x80) {
            return false;
        }
    }
    return true;
}

static fw_status add_piece(spm *t, const char *path, int32_t id, const piece *p, fw_err *err) {
    bool in_text = p->type == NORMAL || p->type == USER_DEFINED;
    int shown = (int)(p->n < 60 ? p->n : 60);
    if (!in_text && (p->type < NORMAL || p->type > BYTE || p->type == UNUSED || one_character(p))) {
        return fw_fail(err, FW_FORMAT, "%s: piece %d '%.*s' of type %d is not implemented", path, (int)id, shown, p->s,
                       p->type);
    }
    if (fw_pieces_find(&t->bpe.pieces, p->s, p->n) >= 0 || fw_pieces_find(&t->reserved, p->s, p->n) >= 0) {
        return fw_fail(err, FW_FORMAT, "%s: piece %d '%.*s' is there twice", path, (int)id, shown, p->s);
    }
    if (p->type == UNKNOWN && t->bpe.unk >= 0) {
        return fw_fail(err, FW_FORMAT, "%s: pieces %d and %d are both the unknown one", path, (int)t->bpe.unk, (int)id);
    }
    (void)fw_pieces_add(in_text ? &t->bpe.pieces : &t->reserved, p->s, p->n, id);
    t->bpe.score[id] = p->score;
    t->bpe.unk = p->type == UNKNOWN ? id : t->bpe.unk;
    if (p->type == USER_DEFINED) {
        t->symbols.item[t->symbols.n++] = (fw_token){.s = p->s, .n = p->n, .id = id};
    }
    return FW_OK;
}

static fw_status read_pieces(spm *t, const char *path, message m, fw_err *err) {
    bool broken = false;
    field f;
    piece p;
    t->bpe.unk = -1;
    while (next_field(&m, &f, &broken)) {
        if (f.number == 1) {
            FW_TRY(read_piece(path, t->base.size, &f, &p, err));
            FW_TRY(add_piece(t, path, t->base.size, &p, err));
            t->base.size++;
        }
    }
    fw_tokens_sort(&t->symbols);
    return t->bpe.unk >= 0 ? FW_OK : fw_fail(err, FW_FORMAT, "%s: has no unknown piece", path);
}

/* Every byte's piece; SentencePiece keeps them among the reserved ones. */
static fw_status find_bytes(spm *t, const char *path, fw_err *err) {
    int missing = -1;
    fw_pieces text = t->bpe.pieces;
    t->bpe.pieces = t->reserved;
    bool all = fw_bpe_find_bytes(&t->bpe, &missing);
    t->bpe.pieces = text;
    return all || !t->bpe.byte_fallback
               ? FW_OK
               : fw_fail(err, FW_FORMAT, "%s: byte_fallback without the piece <0x%02X>", path, (unsigned)missing);
}

static int32_t spm_find(const fw_tokenizer *base, const char *s, size_t n) {
    const spm *t = (const spm *)base;
    int32_t id = fw_pieces_find(&t->reserved, s, n);
    return id >= 0 ? id : fw_pieces_find(&t->bpe.pieces, s, n);
}

/* bos, eos and pad: by the name in tokenizer_config.json, else by the one in the file, else by SentencePiece's own. */
static fw_status name_specials(spm *t, const char *path, const settings *s, const fw_tokenizer_config *c, fw_err *err) {
    static const char *const usual[] = {"<s>", "</s>", "<pad>"};
    const char *const told[] = {c->bos, c->eos, c->pad};
    int32_t id[3];
    for (int i = 0; i < 3; i++) {
        id[i] = s->text[i] != NULL ? fw_pieces_find(&t->reserved, s->text[i], s->n[i])
                                   : fw_pieces_find(&t->reserved, usual[i], strlen(usual[i]));
        if (told[i] != NULL) {
            id[i] = spm_find(&t->base, told[i], strlen(told[i]));
            if (id[i] < 0) {
                return fw_fail(err, FW_FORMAT, "%s: '%.60s' of tokenizer_config.json is no piece", path, told[i]);
            }
        }
    }
    t->bos = c->add_bos != 0 ? id[0] : -1;
    t->eos = c->add_eos == 1 ? id[1] : -1;
    t->base.pad = id[2] >= 0 ? id[2] : 0;
    return FW_OK;
}

/* ---- encoding ---- */

typedef struct encoder {
    const spm *t;
    fw_bpe_scratch scratch;
    int32_t *ids;
    int n, max;
} encoder;

static void put_id(encoder *e, int32_t id) {
    if (id >= 0 && e->n < e->max) {
        e->ids[e->n++] = id;
    }
}

static size_t escape(const spm *t, const char *text, size_t bytes, char *out) {
    size_t m = 0;
    for (size_t i = 0; i < bytes + (bytes > 0 && t->space_in_front); i++) {
        bool front = t->space_in_front && i == 0;
        char c = front ? ' ' : text[i - t->space_in_front];
        if (c == ' ') {
            memcpy(out + m, SPACE, 3);
            m += 3;
        } else {
            out[m++] = c;
        }
    }
    return m;
}

static void encode_text(encoder *e, const char *s, size_t n) {
    size_t done = 0;
    for (size_t at = 0; at < n;) {
        const fw_token *k = fw_tokens_at(&e->t->symbols, s + at, n - at);
        if (k == NULL) {
            at++;
            continue;
        }
        fw_bpe_word(&e->t->bpe, s + done, at - done, &e->scratch, e->ids, &e->n, e->max);
        put_id(e, k->id);
        at += k->n;
        done = at;
    }
    fw_bpe_word(&e->t->bpe, s + done, n - done, &e->scratch, e->ids, &e->n, e->max);
}

static fw_status spm_encode(const fw_tokenizer *base, const char *text, size_t bytes, int32_t *ids, int cap, int *n,
                            fw_err *err) {
    _Alignas(16) char stack[STACK_BYTES];
    const spm *t = (const spm *)base;
    encoder e = {.t = t, .ids = ids, .max = cap - (t->eos >= 0)};
    size_t characters = bytes + 1, scratch = FW_BPE_SCRATCH_BYTES(characters), need = scratch + 3 * (bytes + 1);
    char *block = need <= sizeof stack ? stack : malloc(need);
    if (block == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory to tokenize %zu bytes", bytes);
    }
    e.scratch.symbol = (fw_symbol *)(void *)block;
    e.scratch.heap = (fw_candidate *)(void *)(block + characters * sizeof(fw_symbol));
    put_id(&e, t->bos);
    encode_text(&e, block + scratch, escape(t, text, bytes, block + scratch));
    e.max = cap;
    put_id(&e, t->eos);
    if (block != stack) {
        free(block);
    }
    *n = e.n;
    return FW_OK;
}

static void spm_close(fw_tokenizer *base) {
    spm *t = (spm *)base;
    fw_bpe_clear(&t->bpe);
    fw_pieces_clear(&t->reserved);
    free(t->symbols.item);
    free(t->file);
    free(t);
}

static const fw_tokenizer_kind spm_kind = {spm_encode, spm_find, spm_close};

static fw_status read_file(spm *t, const char *path, const fw_tokenizer_config *config, fw_err *err) {
    size_t size, n, bytes, n_symbols;
    settings s;
    FW_TRY(fw_file_read(path, FILE_MAX, &t->file, &size, err));
    message m = {t->file, t->file + size};
    FW_TRY(read_settings(path, m, &s, &n, &bytes, &n_symbols, err));
    FW_TRY(check_settings(path, &s, err));
    FW_TRY(fw_pieces_init(&t->bpe.pieces, n, bytes, err));
    FW_TRY(fw_pieces_init(&t->reserved, n, bytes, err));
    FW_TRY(fw_tokens_init(&t->symbols, n_symbols, err));
    t->bpe.score = calloc(n, sizeof *t->bpe.score);
    if (t->bpe.score == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for %zu scores", path, n);
    }
    t->bpe.byte_fallback = s.byte_fallback;
    t->space_in_front = s.dummy_prefix;
    FW_TRY(read_pieces(t, path, m, err));
    FW_TRY(find_bytes(t, path, err));
    return name_specials(t, path, &s, config, err);
}

fw_status fw_tokenizer_spm_open(const char *path, fw_tokenizer **out, fw_err *err) {
    fw_tokenizer_config config = {0};
    *out = NULL;
    spm *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a tokenizer");
    }
    t->base.kind = &spm_kind;
    fw_status st = fw_tokenizer_config_read(path, &config, err);
    st = st != FW_OK ? st : read_file(t, path, &config, err);
    json_decref(config.root);
    if (st != FW_OK) {
        spm_close(&t->base);
        return st;
    }
    *out = &t->base;
    return FW_OK;
}
