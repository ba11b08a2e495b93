/*
 * tokenizer_json.c - a Hugging Face tokenizer.json whose model is BPE, byte-level (GPT-2, SmolLM2) or with byte fallback (Gemma).
 *
 * DESIGN. Text goes through the stages of the file, each handing pieces of it to the next, so that no list of pieces is kept:
 *   added tokens with "normalized": false, cut out of the text as it is
 *   normalizer      Replace (a string), Prepend, Sequence of them
 *   added tokens with "normalized": true, cut out of what that made
 *   pre_tokenizer   Digits, Split (a string, or GPT-2's expression), ByteLevel, Sequence of them; ByteLevel is the last
 *   model           BPE on each word (tokenizer_bpe.c); for ByteLevel each byte is first written as its printable character
 *   post_processor  TemplateProcessing (what stands before and after the text), ByteLevel (changes no id), Sequence of them
 * Whatever else a file asks for is refused by its name. truncation and padding (but for its id) are the caller's business here, and
 * decoder is not read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer_int.h"
#include "model/unicode_classes.h"

#define N(a)         (sizeof(a) / sizeof(*(a)))
#define STEPS_MAX    8
#define REWRITES_MAX 4
#define AROUND_MAX   8
#define STACK_BYTES  (96 << 10) /* scratch for about 500 bytes of text; longer text is given memory */
#define GROW_MAX     64
#define GPT2_WORDS   "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef struct rewrite {
    char *from, *to; /* owned; from NULL: `to` goes in front */
    size_t from_n, to_n;
} rewrite;

typedef enum step_kind {
    STEP_DIGITS,         /* every digit alone */
    STEP_DIGIT_RUNS,     /* every run of them */
    STEP_SPLIT_ISOLATED, /* the string is a piece of its own */
    STEP_SPLIT_PREVIOUS, /* the string ends the piece before it */
    STEP_WORDS,          /* GPT2_WORDS */
    STEP_PREFIX_SPACE,   /* a space in front where none is */
} step_kind;
typedef struct step {
    step_kind kind;
    char *pattern; /* owned; of the SPLIT kinds */
    size_t n;
} step;

typedef struct json_tokenizer {
    fw_tokenizer base;
    fw_bpe bpe;
    size_t longest;          /* bytes of the longest piece */
    bool ignore_merges;      /* a word that is a piece stays one */
    fw_tokens plain, normal; /* added tokens of the text as it is, and of the normalized text; their .s are owned */
    rewrite norm[REWRITES_MAX];
    int n_norm;
    step pre[STEPS_MAX];
    int n_pre;
    bool bytes;             /* ByteLevel */
    size_t grow, add;       /* normalized text is at most grow * n + add bytes */
    char byte_char[256][2]; /* ByteLevel: the character of a byte, in UTF-8 */
    uint8_t byte_n[256];
    int32_t before[AROUND_MAX], after[AROUND_MAX];
    int n_before, n_after;
} json_tokenizer;

/* ---- encoding ---- */

typedef struct encoder {
    const json_tokenizer *t;
    int32_t *ids;
    int n, max;
    char *norm[2];  /* normalized text, and the one before it */
    char *prefixed; /* a piece with its space */
    char *mapped;   /* a word in ByteLevel's characters */
    fw_bpe_scratch scratch;
} encoder;

static void put_id(encoder *e, int32_t id) {
    if (e->n < e->max) {
        e->ids[e->n++] = id;
    }
}

static void encode_word(encoder *e, const char *s, size_t n) {
    if (e->t->bytes) {
        size_t m = 0;
        for (size_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)s[i];
            memcpy(e->mapped + m, e->t->byte_char[c], 2);
            m += e->t->byte_n[c];
        }
        s = e->mapped;
        n = m;
    }
    int32_t whole = e->t->ignore_merges ? fw_pieces_find(&e->t->bpe.pieces, s, n) : -1;
    if (whole >= 0) {
        put_id(e, whole);
        return;
    }
    fw_bpe_word(&e->t->bpe, s, n, &e->scratch, e->ids, &e->n, e->max);
}

typedef enum char_class { CLASS_LETTER, CLASS_NUMBER, CLASS_SPACE, CLASS_OTHER } char_class;

static char_class class_of(uint32_t c) {
    if (c < 128) {
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return letter ? CLASS_LETTER : c >= '0' && c <= '9' ? CLASS_NUMBER : fw_is_space(c) ? CLASS_SPACE : CLASS_OTHER;
    }
    return fw_is_space(c)                               ? CLASS_SPACE
           : fw_in_ranges(uni_letter, N(uni_letter), c) ? CLASS_LETTER
           : fw_in_ranges(uni_number, N(uni_number), c) ? CLASS_NUMBER
                                                        : CLASS_OTHER;
}

static bool is_digit(uint32_t c) {
    return (c >= '0' && c <= '9') || (c > 127 && (fw_in_ranges(uni_number, N(uni_number), c) ||
                                                  fw_in_ranges(uni_digit_more, N(uni_digit_more), c)));
}

/* Bytes of the run of one class at the start of s; *last: of its last character. */
static size_t run_of(char_class k, const char *s, size_t n, size_t *last) {
    size_t at = 0, len = 0;
    for (*last = 0; at < n && class_of(fw_utf8_at(s + at, &len)) == k; at += len) {
        *last = len;
    }
    return at;
}

/* Bytes of the first match of GPT2_WORDS in s; n > 0, and every character is in some match. */
static size_t gpt2_word(const char *s, size_t n) {
    static const char *const ends[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; s[0] == '\'' && i < N(ends); i++) {
        size_t m = strlen(ends[i]);
        if (m <= n && memcmp(s, ends[i], m) == 0) {
            return m;
        }
    }
    size_t len, last, skip = s[0] == ' ' && n > 1;
    char_class k = class_of(fw_utf8_at(s + skip, &len));
    if (k != CLASS_SPACE) {
        return skip + run_of(k, s + skip, n - skip, &last);
    }
    size_t run = run_of(CLASS_SPACE, s, n, &last);
    return run == n || run == last ? run : run - last; /* the last space belongs to the word behind */
}

static void encode_from(encoder *e, int step, const char *s, size_t n);

static void split_digits(encoder *e, int k, const char *s, size_t n) {
    bool alone = e->t->pre[k].kind == STEP_DIGITS, in_digits = false;
    size_t from = 0, len;
    for (size_t at = 0; at < n; at += len) {
        bool digit = is_digit(fw_utf8_at(s + at, &len));
        if (at > from && (digit != in_digits || (digit && alone))) {
            encode_from(e, k + 1, s + from, at - from);
            from = at;
        }
        in_digits = digit;
    }
    encode_from(e, k + 1, s + from, n - from);
}

static void split_string(encoder *e, int k, const char *s, size_t n) {
    const step *p = &e->t->pre[k];
    bool isolated = p->kind == STEP_SPLIT_ISOLATED;
    size_t from = 0, at = 0;
    while (at + p->n <= n) {
        if (memcmp(s + at, p->pattern, p->n) != 0) {
            at++;
            continue;
        }
        if (isolated && at > from) {
            encode_from(e, k + 1, s + from, at - from);
            from = at;
        }
        at += p->n;
        encode_from(e, k + 1, s + from, at - from);
        from = at;
    }
    if (from < n) {
        encode_from(e, k + 1, s + from, n - from);
    }
}

static void split_words(encoder *e, int k, const char *s, size_t n) {
    for (size_t at = 0, len; at < n; at += len) {
        len = gpt2_word(s + at, n - at);
        encode_from(e, k + 1, s + at, len);
    }
}

/* s[0..n), n > 0, through the pre-tokenizing steps from this one on. */
static void encode_from(encoder *e, int k, const char *s, size_t n) {
    if (k == e->t->n_pre) {
        encode_word(e, s, n);
        return;
    }
    switch (e->t->pre[k].kind) {
    case STEP_DIGITS:
    case STEP_DIGIT_RUNS:
        split_digits(e, k, s, n);
        break;
    case STEP_SPLIT_ISOLATED:
    case STEP_SPLIT_PREVIOUS:
        split_string(e, k, s, n);
        break;
    case STEP_WORDS:
        split_words(e, k, s, n);
        break;
    case STEP_PREFIX_SPACE:
        if (s[0] != ' ') {
            e->prefixed[0] = ' ';
            memcpy(e->prefixed + 1, s, n);
            s = e->prefixed;
            n++;
        }
        encode_from(e, k + 1, s, n);
        break;
    }
}

/* One rewriting of s[0..n) into out; its length. */
static size_t apply_rewrite(const rewrite *r, const char *s, size_t n, char *out) {
    size_t at = 0, m = 0;
    if (r->from == NULL) {
        memcpy(out, r->to, r->to_n);
        memcpy(out + r->to_n, s, n);
        return r->to_n + n;
    }
    while (at < n) {
        if (at + r->from_n <= n && memcmp(s + at, r->from, r->from_n) == 0) {
            memcpy(out + m, r->to, r->to_n);
            m += r->to_n;
            at += r->from_n;
        } else {
            out[m++] = s[at++];
        }
    }
    return m;
}

static const char *normalize(const json_tokenizer *t, char *const buf[2], const char *s, size_t *n) {
    for (int i = 0; i<t->n_norm && * n> 0; i++) {
        *n = apply_rewrite(&t->norm[i], s, *n, buf[i % 2]);
        s = buf[i % 2];
    }
    return s;
}

static size_t spaces_before(const char *s, size_t at) {
    size_t from = at;
    while (from > 0) {
        size_t p = from - 1, len;
        while (p > 0 && ((unsigned char)s[p] & 0xC0) == 0x80) {
            p--;
        }
        if (!fw_is_space(fw_utf8_at(s + p, &len))) {
            break;
        }
        from = p;
    }
    return from;
}

static size_t spaces_after(const char *s, size_t at, size_t n) {
    size_t last;
    return at + run_of(CLASS_SPACE, s + at, n - at, &last);
}

/* Cut the tokens out of s, and give what lies between them to `rest`. */
static void cut_tokens(encoder *e, const fw_tokens *set, const char *s, size_t n,
                       void (*rest)(encoder *, const char *, size_t)) {
    size_t done = 0;
    for (size_t at = 0; set->n > 0 && at < n;) {
        const fw_token *k = fw_tokens_at(set, s + at, n - at);
        if (k == NULL) {
            at++;
            continue;
        }
        size_t from = k->eats_left ? spaces_before(s, at) : at, to = at + k->n;
        if (from > done) {
            rest(e, s + done, from - done);
        }
        put_id(e, k->id);
        at = to;
        done = k->eats_right ? spaces_after(s, to, n) : to;
    }
    if (done < n) {
        rest(e, s + done, n - done);
    }
}

static void encode_normal(encoder *e, const char *s, size_t n) {
    encode_from(e, 0, s, n);
}

static void encode_plain(encoder *e, const char *s, size_t n) {
    s = normalize(e->t, e->norm, s, &n);
    if (n > 0) {
        cut_tokens(e, &e->t->normal, s, n, encode_normal);
    }
}

/* Where each buffer of the encoder lies in one block for text of `bytes` bytes; block NULL: only the size. */
static size_t lay_out(const json_tokenizer *t, size_t bytes, char *block, encoder *e) {
    size_t plain = t->grow * bytes + t->add + 2, word = t->bytes ? 2 * plain : plain;
    size_t symbols = word * sizeof(fw_symbol), heap = 3 * word * sizeof(fw_candidate);
    if (block != NULL) {
        e->scratch.symbol = (fw_symbol *)(void *)block;
        e->scratch.heap = (fw_candidate *)(void *)(block + symbols);
        e->norm[0] = block + symbols + heap;
        e->norm[1] = e->norm[0] + plain;
        e->prefixed = e->norm[1] + plain;
        e->mapped = e->prefixed + plain;
    }
    return symbols + heap + 3 * plain + (t->bytes ? word : 0);
}

static fw_status json_encode(const fw_tokenizer *base, const char *text, size_t bytes, int32_t *ids, int cap, int *n,
                             fw_err *err) {
    _Alignas(16) char stack[STACK_BYTES];
    const json_tokenizer *t = (const json_tokenizer *)base;
    encoder e = {.t = t, .ids = ids, .max = cap - t->n_after};
    if (cap <= t->n_before + t->n_after) {
        return fw_fail(err, FW_INVALID, "room for %d ids, of which %d stand around the text", cap,
                       t->n_before + t->n_after);
    }
    size_t need = lay_out(t, bytes, NULL, &e);
    char *block = need <= sizeof stack ? stack : malloc(need);
    if (block == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory to tokenize %zu bytes", bytes);
    }
    (void)lay_out(t, bytes, block, &e);
    for (int i = 0; i < t->n_before; i++) {
        put_id(&e, t->before[i]);
    }
    cut_tokens(&e, &t->plain, text, bytes, encode_plain);
    e.max = cap;
    for (int i = 0; i < t->n_after; i++) {
        put_id(&e, t->after[i]);
    }
    if (block != stack) {
        free(block);
    }
    *n = e.n;
    return FW_OK;
}

static int32_t find_added(const fw_tokens *set, const char *s, size_t n) {
    for (int i = 0; i < set->n; i++) {
        if (set->item[i].n == n && memcmp(set->item[i].s, s, n) == 0) {
            return set->item[i].id;
        }
    }
    return -1;
}

static int32_t json_find(const fw_tokenizer *base, const char *s, size_t n) {
    const json_tokenizer *t = (const json_tokenizer *)base;
    int32_t id = fw_pieces_find(&t->bpe.pieces, s, n);
    id = id < 0 ? find_added(&t->plain, s, n) : id;
    return id < 0 ? find_added(&t->normal, s, n) : id;
}

static void free_tokens(fw_tokens *set) {
    for (int i = 0; i < set->n; i++) {
        free((void *)(uintptr_t)set->item[i].s);
    }
    free(set->item);
}

static void json_close(fw_tokenizer *base) {
    json_tokenizer *t = (json_tokenizer *)base;
    free_tokens(&t->plain);
    free_tokens(&t->normal);
    for (int i = 0; i < t->n_norm; i++) {
        free(t->norm[i].from);
        free(t->norm[i].to);
    }
    for (int i = 0; i < t->n_pre; i++) {
        free(t->pre[i].pattern);
    }
    fw_bpe_clear(&t->bpe);
    free(t);
}

static const fw_tokenizer_kind json_kind = {json_encode, json_find, json_close};

/* ---- reading ---- */

/* A copy of a string value; *n its bytes. */
static fw_status copy_text(const json_t *obj, const char *key, const char *where, char **out, size_t *n, fw_err *err) {
    const char *s;
    FW_TRY(fw_json_str(obj, key, where, &s, err));
    *n = strlen(s);
    *out = malloc(*n + 1);
    if (*out == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory", where);
    }
    memcpy(*out, s, *n + 1);
    return FW_OK;
}

static bool is_null(const json_t *j) {
    return j == NULL || json_is_null(j);
}

static fw_status refuse(const char *where, const char *part, const char *what, fw_err *err) {
    return fw_fail(err, FW_FORMAT, "%.120s: %s %.80s is not implemented", where, part, what);
}

typedef fw_status read_part(json_tokenizer *t, const json_t *j, const char *where, fw_err *err);

/* {"type": "Sequence", list_key: [...]}: each part in turn. */
static fw_status read_sequence(json_tokenizer *t, const json_t *j, const char *list_key, const char *where,
                               read_part *read, fw_err *err) {
    const json_t *list, *part;
    size_t i;
    FW_TRY(fw_json_arr(j, list_key, where, &list, err));
    json_array_foreach(list, i, part) {
        const char *type;
        FW_TRY(fw_json_str(part, "type", where, &type, err));
        if (strcmp(type, "Sequence") == 0) {
            return refuse(where, list_key, "Sequence inside a Sequence", err);
        }
        FW_TRY(read(t, part, where, err));
    }
    return FW_OK;
}

/* {"String": s} or {"Regex": s}: *key says which. */
static fw_status read_pattern(const json_t *j, const char *where, const char **key, const json_t **pattern,
                              const char **text, fw_err *err) {
    FW_TRY(fw_json_obj(j, "pattern", where, pattern, err));
    *key = json_object_get(*pattern, "Regex") != NULL ? "Regex" : "String";
    FW_TRY(fw_json_str(*pattern, *key, where, text, err));
    return **text != 0 ? FW_OK : fw_fail(err, FW_FORMAT, "%s: a pattern is empty", where);
}

static fw_status read_normalizer(json_tokenizer *t, const json_t *j, const char *where, fw_err *err) {
    const char *type, *key, *text;
    const json_t *pattern;
    FW_TRY(fw_json_str(j, "type", where, &type, err));
    if (strcmp(type, "Sequence") == 0) {
        return read_sequence(t, j, "normalizers", where, read_normalizer, err);
    }
    if (t->n_norm == REWRITES_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: more than %d normalizers", where, REWRITES_MAX);
    }
    rewrite *r = &t->norm[t->n_norm++];
    if (strcmp(type, "Prepend") == 0) {
        FW_TRY(copy_text(j, "prepend", where, &r->to, &r->to_n, err));
        t->add += r->to_n;
    } else if (strcmp(type, "Replace") == 0) {
        FW_TRY(read_pattern(j, where, &key, &pattern, &text, err));
        if (strcmp(key, "String") != 0) {
            return refuse(where, "normalizer Replace of the expression", text, err);
        }
        FW_TRY(copy_text(pattern, "String", where, &r->from, &r->from_n, err));
        FW_TRY(copy_text(j, "content", where, &r->to, &r->to_n, err));
        size_t by = r->to_n > r->from_n ? (r->to_n + r->from_n - 1) / r->from_n : 1;
        t->grow *= by;
        t->add *= by;
    } else {
        return refuse(where, "normalizer", type, err);
    }
    return t->grow <= GROW_MAX && t->add <= 4096
               ? FW_OK
               : refuse(where, "normalizer", "that makes text many times longer", err);
}

static fw_status add_step(json_tokenizer *t, step_kind kind, const char *where, step **out, fw_err *err) {
    if (t->n_pre == STEPS_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: more than %d pre-tokenizers", where, STEPS_MAX);
    }
    *out = &t->pre[t->n_pre++];
    **out = (step){.kind = kind};
    return FW_OK;
}

static fw_status read_split(json_tokenizer *t, const json_t *j, const char *where, fw_err *err) {
    const char *key, *text, *behavior;
    const json_t *pattern;
    bool invert;
    step *s = NULL;
    FW_TRY(read_pattern(j, where, &key, &pattern, &text, err));
    FW_TRY(fw_json_str(j, "behavior", where, &behavior, err));
    FW_TRY(fw_json_bool_or(j, "invert", where, false, &invert, err));
    bool isolated = strcmp(behavior, "Isolated") == 0;
    if (invert || (!isolated && strcmp(behavior, "MergedWithPrevious") != 0)) {
        return refuse(where, "pre_tokenizer Split with behavior", invert ? "inverted" : behavior, err);
    }
    if (strcmp(key, "String") == 0) {
        FW_TRY(add_step(t, isolated ? STEP_SPLIT_ISOLATED : STEP_SPLIT_PREVIOUS, where, &s, err));
        return copy_text(pattern, "String", where, &s->pattern, &s->n, err);
    }
    if (strcmp(text, GPT2_WORDS) != 0 || !isolated) {
        return refuse(where, "pre_tokenizer Split by the expression", text, err);
    }
    return add_step(t, STEP_WORDS, where, &s, err);
}

static fw_status read_byte_level(json_tokenizer *t, const json_t *j, const char *where, fw_err *err) {
    bool prefix, words;
    step *s = NULL;
    FW_TRY(fw_json_bool(j, "add_prefix_space", where, &prefix, err));
    FW_TRY(fw_json_bool_or(j, "use_regex", where, true, &words, err));
    t->bytes = true;
    if (prefix) {
        FW_TRY(add_step(t, STEP_PREFIX_SPACE, where, &s, err));
    }
    return words ? add_step(t, STEP_WORDS, where, &s, err) : FW_OK;
}

static fw_status read_pre_tokenizer(json_tokenizer *t, const json_t *j, const char *where, fw_err *err) {
    const char *type;
    bool alone;
    step *s = NULL;
    FW_TRY(fw_json_str(j, "type", where, &type, err));
    if (strcmp(type, "Sequence") == 0) {
        return read_sequence(t, j, "pretokenizers", where, read_pre_tokenizer, err);
    }
    if (t->bytes) {
        return refuse(where, "a pre_tokenizer behind ByteLevel,", type, err);
    }
    if (strcmp(type, "ByteLevel") == 0) {
        return read_byte_level(t, j, where, err);
    }
    if (strcmp(type, "Split") == 0) {
        return read_split(t, j, where, err);
    }
    if (strcmp(type, "Digits") == 0) {
        FW_TRY(fw_json_bool(j, "individual_digits", where, &alone, err));
        return add_step(t, alone ? STEP_DIGITS : STEP_DIGIT_RUNS, where, &s, err);
    }
    return refuse(where, "pre_tokenizer", type, err);
}

static fw_status put_around(int32_t ids[AROUND_MAX], int *n, int32_t id, const char *where, fw_err *err) {
    if (*n == AROUND_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: more than %d tokens on one side of the text", where, AROUND_MAX);
    }
    ids[(*n)++] = id;
    return FW_OK;
}

/* The ids that a name stands for in a template. */
static fw_status read_special(json_tokenizer *t, const json_t *specials, const char *name, bool after,
                              const char *where, fw_err *err) {
    const json_t *one, *ids, *id;
    size_t i;
    FW_TRY(fw_json_obj(specials, name, where, &one, err));
    FW_TRY(fw_json_arr(one, "ids", where, &ids, err));
    json_array_foreach(ids, i, id) {
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX - 1) {
            return fw_fail(err, FW_FORMAT, "%s: template token %s: id %zu is no id", where, name, i);
        }
        int32_t v = (int32_t)json_integer_value(id);
        FW_TRY(after ? put_around(t->after, &t->n_after, v, where, err)
                     : put_around(t->before, &t->n_before, v, where, err));
        t->base.size = v >= t->base.size ? v + 1 : t->base.size;
        t->base.text_size = v >= t->base.text_size ? v + 1 : t->base.text_size;
    }
    return FW_OK;
}

static fw_status read_template(json_tokenizer *t, const json_t *j, const char *where, fw_err *err) {
    const json_t *single, *specials, *part;
    bool after = false;
    size_t i;
    FW_TRY(fw_json_arr(j, "single", where, &single, err));
    FW_TRY(fw_json_obj(j, "special_tokens", where, &specials, err));
    t->n_before = t->n_after = 0;
    json_array_foreach(single, i, part) {
        const json_t *special = json_object_get(part, "SpecialToken");
        const char *name;
        if (special == NULL) {
            const json_t *sequence;
            FW_TRY(fw_json_obj(part, "Sequence", where, &sequence, err));
            FW_TRY(fw_json_str(sequence, "id", where, &name, err));
            if (after || strcmp(name, "A") != 0) {
                return refuse(where, "TemplateProcessing with the sequence", after ? "A twice" : name, err);
            }
            after = true;
            continue;
        }
        FW_TRY(fw_json_str(special, "id", where, &name, err));
        FW_TRY(read_special(t, specials, name, after, where, err));
    }
    return after ? FW_OK : fw_fail(err, FW_FORMAT, "%s: TemplateProcessing leaves the text out", where);
}

static fw_status read_post_processor(json_tokenizer *t, const json_t *j, const char *where, fw_err *err) {
    const char *type;
    FW_TRY(fw_json_str(j, "type", where, &type, err));
    if (strcmp(type, "Sequence") == 0) {
        return read_sequence(t, j, "processors", where, read_post_processor, err);
    }
    if (strcmp(type, "TemplateProcessing") == 0) {
        return read_template(t, j, where, err);
    }
    return strcmp(type, "ByteLevel") == 0 ? FW_OK : refuse(where, "post_processor", type, err);
}

/* ---- the model ---- */

static fw_status read_vocab(json_tokenizer *t, const json_t *vocab, const char *where, fw_err *err) {
    size_t bytes = 0;
    for (void *it = json_object_iter((json_t *)(uintptr_t)vocab); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)vocab, it)) {
        size_t n = strlen(json_object_iter_key(it));
        bytes += n;
        t->longest = n > t->longest ? n : t->longest;
    }
    FW_TRY(fw_pieces_init(&t->bpe.pieces, json_object_size(vocab), bytes, err));
    for (void *it = json_object_iter((json_t *)(uintptr_t)vocab); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)vocab, it)) {
        const char *s = json_object_iter_key(it);
        const json_t *id = json_object_iter_value(it);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= 1 << 24) {
            return fw_fail(err, FW_FORMAT, "%.120s: piece '%.60s': wanted an id of 0 to %d", where, s, (1 << 24) - 1);
        }
        int32_t v = (int32_t)json_integer_value(id);
        (void)fw_pieces_add(&t->bpe.pieces, s, strlen(s), v);
        t->base.size = v >= t->base.size ? v + 1 : t->base.size;
    }
    return FW_OK;
}

/* "a b" or ["a", "b"]: the two texts, not terminated. */
static bool merge_parts(const json_t *j, const char *s[2], size_t n[2]) {
    if (json_is_string(j)) {
        const char *space = strchr(json_string_value(j), ' ');
        if (space == NULL || strchr(space + 1, ' ') != NULL) {
            return false;
        }
        s[0] = json_string_value(j);
        n[0] = (size_t)(space - s[0]);
        s[1] = space + 1;
        n[1] = strlen(s[1]);
        return true;
    }
    for (size_t i = 0; i < 2; i++) {
        s[i] = json_string_value(json_array_get(j, i));
        n[i] = s[i] != NULL ? strlen(s[i]) : 0;
    }
    return json_array_size(j) == 2 && s[0] != NULL && s[1] != NULL;
}

static fw_status read_merge(json_tokenizer *t, const json_t *j, size_t rank, char *joined, const char *where,
                            fw_err *err) {
    const char *s[2];
    size_t n[2];
    int32_t id[3];
    if (!merge_parts(j, s, n)) {
        return fw_fail(err, FW_FORMAT, "%.120s: merge %zu: wanted two pieces", where, rank);
    }
    for (int i = 0; i < 2; i++) {
        id[i] = fw_pieces_find(&t->bpe.pieces, s[i], n[i]);
        if (id[i] < 0) {
            return fw_fail(err, FW_FORMAT, "%.100s: merge %zu: '%.*s' is not in the vocabulary", where, rank,
                           (int)(n[i] < 60 ? n[i] : 60), s[i]);
        }
    }
    memcpy(joined, s[0], n[0]);
    memcpy(joined + n[0], s[1], n[1]);
    id[2] = fw_pieces_find(&t->bpe.pieces, joined, n[0] + n[1]);
    if (id[2] < 0) {
        return fw_fail(err, FW_FORMAT, "%.100s: merge %zu: '%.*s' is not in the vocabulary", where, rank,
                       (int)(n[0] + n[1] < 60 ? n[0] + n[1] : 60), joined);
    }
    fw_bpe_merges_add(&t->bpe, id[0], id[1], (int32_t)rank, id[2]);
    return FW_OK;
}

static fw_status read_merges(json_tokenizer *t, const json_t *merges, const char *where, fw_err *err) {
    FW_TRY(fw_bpe_merges_init(&t->bpe, json_array_size(merges), err));
    char *joined = malloc(2 * t->longest + 1);
    if (joined == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory", where);
    }
    fw_status st = FW_OK;
    for (size_t i = 0; i < json_array_size(merges) && st == FW_OK; i++) {
        st = read_merge(t, json_array_get(merges, i), i, joined, where, err);
    }
    free(joined);
    return st;
}

/* Parts of a BPE model that change ids and that no policy uses: absent, null, "" or 0, or refused. */
static fw_status read_unused(const json_t *m, const char *where, fw_err *err) {
    static const char *const keys[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < N(keys); i++) {
        const json_t *j = json_object_get(m, keys[i]);
        bool off = is_null(j) || (json_is_string(j) && json_string_length(j) == 0) ||
                   (json_is_number(j) && json_number_value(j) == 0.0);
        if (!off) {
            return refuse(where, "BPE with", keys[i], err);
        }
    }
    return FW_OK;
}

static fw_status read_unknown(json_tokenizer *t, const json_t *m, const char *where, fw_err *err) {
    const char *unk;
    t->bpe.unk = -1;
    if (is_null(json_object_get(m, "unk_token"))) {
        return FW_OK;
    }
    FW_TRY(fw_json_str(m, "unk_token", where, &unk, err));
    t->bpe.unk = fw_pieces_find(&t->bpe.pieces, unk, strlen(unk));
    return t->bpe.unk >= 0 ? FW_OK
                           : fw_fail(err, FW_FORMAT, "%.120s: unk_token '%.60s' is not in the vocabulary", where, unk);
}

static fw_status read_model(json_tokenizer *t, const json_t *root, const char *where, fw_err *err) {
    static const char *const known[] = {"type",
                                        "dropout",
                                        "unk_token",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "fuse_unk",
                                        "byte_fallback",
                                        "ignore_merges",
                                        "vocab",
                                        "merges",
                                        NULL};
    const json_t *m, *vocab, *merges;
    const char *type;
    int missing = -1;
    FW_TRY(fw_json_obj(root, "model", where, &m, err));
    FW_TRY(fw_json_str(m, "type", where, &type, err));
    if (strcmp(type, "BPE") != 0) {
        return refuse(where, "model", type, err);
    }
    FW_TRY(fw_json_only(m, where, known, err));
    FW_TRY(read_unused(m, where, err));
    FW_TRY(fw_json_bool_or(m, "fuse_unk", where, false, &t->bpe.fuse_unk, err));
    FW_TRY(fw_json_bool_or(m, "byte_fallback", where, false, &t->bpe.byte_fallback, err));
    FW_TRY(fw_json_bool_or(m, "ignore_merges", where, false, &t->ignore_merges, err));
    FW_TRY(fw_json_obj(m, "vocab", where, &vocab, err));
    if (json_object_size(vocab) == 0) {
        return fw_fail(err, FW_FORMAT, "%s: the vocabulary is empty", where);
    }
    FW_TRY(fw_json_arr(m, "merges", where, &merges, err));
    FW_TRY(read_vocab(t, vocab, where, err));
    FW_TRY(read_unknown(t, m, where, err));
    (void)fw_bpe_find_bytes(&t->bpe, &missing); /* a byte that is no piece is unknown, as in the reference */
    return read_merges(t, merges, where, err);
}

/* ---- added tokens ---- */

typedef struct added {
    const char *text;
    int64_t id;
    bool special, single_word, lstrip, rstrip, normalized;
} added;

static fw_status read_added(const json_t *j, const char *where, added *out, fw_err *err) {
    static const char *const known[] = {"id",     "content", "special",    "single_word",
                                        "lstrip", "rstrip",  "normalized", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_str(j, "content", where, &out->text, err));
    FW_TRY(fw_json_i64(j, "id", where, 0, (1 << 24) - 1, &out->id, err));
    FW_TRY(fw_json_bool_or(j, "special", where, false, &out->special, err));
    FW_TRY(fw_json_bool_or(j, "single_word", where, false, &out->single_word, err));
    FW_TRY(fw_json_bool_or(j, "lstrip", where, false, &out->lstrip, err));
    FW_TRY(fw_json_bool_or(j, "rstrip", where, false, &out->rstrip, err));
    FW_TRY(fw_json_bool_or(j, "normalized", where, !out->special, &out->normalized, err));
    if (out->text[0] == 0) {
        return fw_fail(err, FW_FORMAT, "%.120s: added token %d is empty", where, (int)out->id);
    }
    return out->single_word ? refuse(where, "an added token with", "single_word", err) : FW_OK;
}

/* The text by which a token is found: normalized as the text around it, if it says so. *out owned. */
static fw_status token_text(const json_tokenizer *t, const added *a, char **out, size_t *n, fw_err *err) {
    size_t room = t->grow * strlen(a->text) + t->add + 2;
    char *buf[2] = {malloc(room), malloc(room)};
    *n = strlen(a->text);
    if (buf[0] == NULL || buf[1] == NULL) {
        free(buf[0]);
        free(buf[1]);
        return fw_fail(err, FW_NOMEM, "no memory for an added token");
    }
    const char *s = a->normalized ? normalize(t, buf, a->text, n) : a->text;
    int kept = s == buf[1];
    memmove(buf[kept], s, *n);
    *out = buf[kept];
    free(buf[!kept]);
    return FW_OK;
}

static fw_status add_token(json_tokenizer *t, const added *a, const char *where, fw_err *err) {
    int32_t in_model = fw_pieces_find(&t->bpe.pieces, a->text, strlen(a->text));
    if (in_model >= 0 && in_model != a->id) {
        return fw_fail(err, FW_FORMAT, "%.120s: added token '%.60s' has id %d, in the vocabulary it has %d", where,
                       a->text, (int)a->id, (int)in_model);
    }
    fw_tokens *set = a->normalized ? &t->normal : &t->plain;
    char *s = NULL;
    size_t n = 0;
    FW_TRY(token_text(t, a, &s, &n, err));
    if (n == 0 || find_added(set, s, n) >= 0) {
        free(s);
        return fw_fail(err, FW_FORMAT, "%.120s: added token '%.60s' is %s", where, a->text,
                       n == 0 ? "empty" : "there twice");
    }
    set->item[set->n++] = (fw_token){s, n, (int32_t)a->id, a->lstrip, a->rstrip};
    t->base.size = a->id >= t->base.size ? (int)a->id + 1 : t->base.size;
    return FW_OK;
}

static fw_status read_added_tokens(json_tokenizer *t, const json_t *root, const char *where, fw_err *err) {
    const json_t *list = json_object_get(root, "added_tokens"), *j;
    size_t i, n = json_array_size(list);
    FW_TRY(fw_tokens_init(&t->plain, n, err));
    FW_TRY(fw_tokens_init(&t->normal, n, err));
    json_array_foreach(list, i, j) {
        added a = {0};
        FW_TRY(read_added(j, where, &a, err));
        FW_TRY(add_token(t, &a, where, err));
    }
    fw_tokens_sort(&t->plain);
    fw_tokens_sort(&t->normal);
    return FW_OK;
}

/* ---- the whole file ---- */

/* GPT-2's printable characters: a byte that prints is itself in Latin-1, the others are U+0100 and on. */
static void map_bytes(json_tokenizer *t) {
    uint32_t next = 0x100;
    for (int i = 0; i < 256; i++) {
        bool prints = (i >= 33 && i <= 126) || (i >= 0xA1 && i <= 0xAC) || (i >= 0xAE && i <= 0xFF);
        uint32_t c = prints ? (uint32_t)i : next++;
        t->byte_n[i] = c < 0x80 ? 1 : 2;
        t->byte_char[i][0] = (char)(c < 0x80 ? c : 0xC0 | c >> 6);
        t->byte_char[i][1] = (char)(0x80 | (c & 0x3F));
    }
}

static fw_status read_root(json_tokenizer *t, const json_t *root, const char *where, fw_err *err) {
    static const char *const known[] = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
                                        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    const json_t *norm = json_object_get(root, "normalizer"), *pre = json_object_get(root, "pre_tokenizer"),
                 *post = json_object_get(root, "post_processor");
    int64_t pad = 0;
    if (!json_is_object(root)) {
        return fw_fail(err, FW_FORMAT, "%s: wanted an object", where);
    }
    FW_TRY(fw_json_only(root, where, known, err));
    FW_TRY(is_null(norm) ? FW_OK : read_normalizer(t, norm, where, err));
    FW_TRY(is_null(pre) ? FW_OK : read_pre_tokenizer(t, pre, where, err));
    FW_TRY(read_model(t, root, where, err));
    t->base.text_size = t->base.size;
    FW_TRY(read_added_tokens(t, root, where, err));
    FW_TRY(is_null(post) ? FW_OK : read_post_processor(t, post, where, err));
    if (json_is_object(json_object_get(root, "padding"))) {
        FW_TRY(fw_json_i64(json_object_get(root, "padding"), "pad_id", where, 0, t->base.size - 1, &pad, err));
    }
    t->base.pad = (int32_t)pad;
    return FW_OK;
}

static fw_status find_named(const json_tokenizer *t, const char *name, const char *what, const char *where, int32_t *id,
                            fw_err *err) {
    *id = json_find(&t->base, name, strlen(name));
    return *id >= 0 ? FW_OK : fw_fail(err, FW_FORMAT, "%.120s: %s '%.60s' is not in the vocabulary", where, what, name);
}

/* What tokenizer_config.json says beside it: it has the last word on BOS and EOS. */
static fw_status apply_config(json_tokenizer *t, const fw_tokenizer_config *c, const char *where, fw_err *err) {
    int32_t id;
    if (c->pad != NULL) {
        FW_TRY(find_named(t, c->pad, "pad_token", where, &t->base.pad, err));
    }
    if (c->add_bos < 0 && c->add_eos < 0) {
        return FW_OK;
    }
    t->n_before = t->n_after = 0;
    if (c->add_bos == 1 && c->bos != NULL) {
        FW_TRY(find_named(t, c->bos, "bos_token", where, &id, err));
        t->before[t->n_before++] = id;
    }
    if (c->add_eos == 1 && c->eos != NULL) {
        FW_TRY(find_named(t, c->eos, "eos_token", where, &id, err));
        t->after[t->n_after++] = id;
    }
    return FW_OK;
}

fw_status fw_tokenizer_json_open(const char *path, fw_tokenizer **out, fw_err *err) {
    fw_tokenizer_config config = {0};
    json_t *root = NULL;
    *out = NULL;
    json_tokenizer *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a tokenizer");
    }
    t->base.kind = &json_kind;
    t->grow = 1;
    map_bytes(t);
    fw_status st = fw_json_load(path, &root, err);
    st = st != FW_OK ? st : read_root(t, root, path, err);
    st = st != FW_OK ? st : fw_tokenizer_config_read(path, &config, err);
    st = st != FW_OK ? st : apply_config(t, &config, path, err);
    json_decref(root);
    json_decref(config.root);
    if (st != FW_OK) {
        json_close(&t->base);
        return st;
    }
    *out = &t->base;
    return FW_OK;
}
