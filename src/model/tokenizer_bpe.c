/*
 * tokenizer_bpe.c - the tables and the merging of byte-pair encoding, for both families (arXiv 1508.07909, 1808.06226).
 *
 * DESIGN. A word is a doubly linked list of symbols, at first its characters. Every two neighbours that may merge stand in a
 * heap, the best first and of equals the leftmost; a merge makes at most two new pairs. An entry whose symbols have changed
 * since is recognised by asking again what its two neighbours would become: O(n log n), no entry is ever searched for.
 */
#include "model/tokenizer_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- pieces ---- */

static uint32_t hash_bytes(const char *s, size_t n) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    }
    return h ^ (h >> 15);
}

/* A power of two that leaves at least a quarter of the slots empty. */
static size_t slots_for(size_t n) {
    size_t cap = 16;
    while (cap / 4 * 3 < n + 1) {
        cap *= 2;
    }
    return cap;
}

fw_status fw_pieces_init(fw_pieces *p, size_t n, size_t bytes, fw_err *err) {
    if (n > (1u << 24) || bytes > (1u << 30)) {
        return fw_fail(err, FW_FORMAT, "%zu pieces of %zu bytes: more than a vocabulary has", n, bytes);
    }
    size_t cap = slots_for(n);
    *p = (fw_pieces){.mask = (uint32_t)(cap - 1), .cap = bytes};
    p->slot = malloc(cap * sizeof *p->slot);
    p->text = malloc(bytes + 1);
    if (p->slot == NULL || p->text == NULL) {
        fw_pieces_clear(p);
        return fw_fail(err, FW_NOMEM, "no memory for %zu pieces", n);
    }
    for (size_t i = 0; i < cap; i++) {
        p->slot[i] = (fw_piece){.id = -1};
    }
    return FW_OK;
}

void fw_pieces_clear(fw_pieces *p) {
    free(p->slot);
    free(p->text);
    *p = (fw_pieces){0};
}

static fw_piece *piece_slot(const fw_pieces *p, const char *s, size_t n) {
    for (uint32_t i = hash_bytes(s, n);; i++) {
        fw_piece *q = &p->slot[i & p->mask];
        if (q->id < 0 || (q->n == n && memcmp(p->text + q->at, s, n) == 0)) {
            return q;
        }
    }
}

bool fw_pieces_add(fw_pieces *p, const char *s, size_t n, int32_t id) {
    fw_piece *q = piece_slot(p, s, n);
    if (q->id >= 0) {
        return false;
    }
    memcpy(p->text + p->used, s, n);
    *q = (fw_piece){(uint32_t)p->used, (uint32_t)n, id};
    p->used += n;
    return true;
}

int32_t fw_pieces_find(const fw_pieces *p, const char *s, size_t n) {
    return piece_slot(p, s, n)->id;
}

/* ---- whole tokens ---- */

fw_status fw_tokens_init(fw_tokens *t, size_t cap, fw_err *err) {
    *t = (fw_tokens){.cap = (int)cap};
    t->item = calloc(cap + 1, sizeof *t->item);
    return t->item != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "no memory for %zu added tokens", cap);
}

static int by_byte_then_longest(const void *a, const void *b) {
    const fw_token *x = a, *y = b;
    int dc = (unsigned char)x->s[0] - (unsigned char)y->s[0];
    return dc != 0 ? dc : (x->n < y->n) - (x->n > y->n);
}

void fw_tokens_sort(fw_tokens *t) {
    int i = 0;
    qsort(t->item, (size_t)t->n, sizeof *t->item, by_byte_then_longest);
    for (int c = 0; c < 256; c++) {
        t->first[c] = i;
        while (i < t->n && (unsigned char)t->item[i].s[0] == c) {
            i++;
        }
    }
    t->first[256] = i;
}

const fw_token *fw_tokens_at(const fw_tokens *t, const char *s, size_t n) {
    int c = (unsigned char)s[0];
    for (int i = t->first[c]; i < t->first[c + 1]; i++) {
        const fw_token *k = &t->item[i];
        if (k->n <= n && memcmp(k->s, s, k->n) == 0) {
            return k;
        }
    }
    return NULL;
}

/* ---- merges ---- */

fw_status fw_bpe_merges_init(fw_bpe *b, size_t n, fw_err *err) {
    if (n > (1u << 24)) { /* ranks are exact in a float */
        return fw_fail(err, FW_FORMAT, "%zu merges: more than a vocabulary has", n);
    }
    size_t cap = slots_for(n);
    b->merge_mask = (uint32_t)(cap - 1);
    b->merge = malloc(cap * sizeof *b->merge);
    if (b->merge == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for %zu merges", n);
    }
    for (size_t i = 0; i < cap; i++) {
        b->merge[i].left = -1;
    }
    return FW_OK;
}

static fw_merge *merge_slot(const fw_bpe *b, int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    for (uint32_t i = (uint32_t)(h >> 32);; i++) {
        fw_merge *m = &b->merge[i & b->merge_mask];
        if (m->left < 0 || (m->left == left && m->right == right)) {
            return m;
        }
    }
}

void fw_bpe_merges_add(fw_bpe *b, int32_t left, int32_t right, int32_t rank, int32_t id) {
    *merge_slot(b, left, right) = (fw_merge){left, right, rank, id};
}

bool fw_bpe_find_bytes(fw_bpe *b, int *missing) {
    for (int i = 255; i >= 0; i--) {
        char name[8];
        int n = snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
        b->byte_id[i] = fw_pieces_find(&b->pieces, name, (size_t)n);
        *missing = b->byte_id[i] < 0 ? i : *missing;
    }
    return *missing < 0;
}

void fw_bpe_clear(fw_bpe *b) {
    fw_pieces_clear(&b->pieces);
    free(b->merge);
    free(b->score);
    b->merge = NULL;
    b->score = NULL;
}

/* ---- a word ---- */

typedef struct word {
    const fw_bpe *b;
    const char *s;
    fw_bpe_scratch *w;
    int32_t n; /* symbols */
} word;

/* What the symbol at i and the one after it become; -1: they stay two. */
static int32_t joined(const word *w, int32_t i, float *key) {
    const fw_symbol *l = &w->w->symbol[i];
    if (l->n == 0 || l->next < 0) {
        return -1;
    }
    const fw_symbol *r = &w->w->symbol[l->next];
    if (w->b->merge != NULL) {
        const fw_merge *m = l->id >= 0 && r->id >= 0 ? merge_slot(w->b, l->id, r->id) : NULL;
        if (m == NULL || m->left < 0) {
            return -1;
        }
        *key = (float)m->rank;
        return m->id;
    }
    int32_t id = fw_pieces_find(&w->b->pieces, w->s + l->at, (size_t)l->n + r->n);
    if (id >= 0) {
        *key = -w->b->score[id];
    }
    return id;
}

static bool goes_first(const fw_candidate *a, const fw_candidate *b) {
    return a->key < b->key || (a->key == b->key && a->at < b->at);
}

static void push_candidate(word *w, int32_t at) {
    fw_candidate c = {.at = at}, *h = w->w->heap;
    c.id = joined(w, at, &c.key);
    if (c.id < 0) {
        return;
    }
    size_t i = w->w->n_heap++;
    for (; i > 0 && goes_first(&c, &h[(i - 1) / 2]); i = (i - 1) / 2) {
        h[i] = h[(i - 1) / 2];
    }
    h[i] = c;
}

static fw_candidate pop_candidate(word *w) {
    fw_candidate *h = w->w->heap, top = h[0], last = h[--w->w->n_heap];
    size_t n = w->w->n_heap, i = 0;
    for (size_t k = 1; k < n; k = 2 * i + 1) {
        k += k + 1 < n && goes_first(&h[k + 1], &h[k]);
        if (!goes_first(&h[k], &last)) {
            break;
        }
        h[i] = h[k];
        i = k;
    }
    h[i] = last;
    return top;
}

static void add_symbol(word *w, size_t at, size_t n, int32_t id) {
    w->w->symbol[w->n] = (fw_symbol){(uint32_t)at, (uint32_t)n, id, w->n - 1, w->n + 1};
    w->n++;
}

/* The bytes of a character that is no piece; false: one of them has no piece either. */
static bool add_bytes(word *w, size_t at, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (w->b->byte_id[(unsigned char)w->s[at + i]] < 0) {
            return false;
        }
    }
    for (size_t i = 0; i < n; i++) {
        add_symbol(w, at + i, 1, w->b->byte_id[(unsigned char)w->s[at + i]]);
    }
    return true;
}

/* The characters of s; SentencePiece decides on unknown ones after merging, the others here. A run of unknown characters waits
 * (unk_n > 0) until a known one ends it. */
static void split_chars(word *w, size_t n) {
    size_t unk_at = 0, unk_n = 0, len;
    const fw_bpe *b = w->b;
    for (size_t at = 0; at < n; at += len) {
        (void)fw_utf8_at(w->s + at, &len);
        int32_t id = fw_pieces_find(&b->pieces, w->s + at, len);
        if (b->merge == NULL || id >= 0) {
            if (unk_n > 0) {
                add_symbol(w, unk_at, unk_n, b->unk);
                unk_n = 0;
            }
            add_symbol(w, at, len, id);
        } else if (!(b->byte_fallback && add_bytes(w, at, len)) && b->unk >= 0) {
            if (unk_n > 0 && !b->fuse_unk) {
                add_symbol(w, unk_at, unk_n, b->unk);
                unk_n = 0;
            }
            unk_at = unk_n > 0 ? unk_at : at;
            unk_n += len;
        }
    }
    if (unk_n > 0) {
        add_symbol(w, unk_at, unk_n, b->unk);
    }
}

static void merge_all(word *w) {
    fw_symbol *s = w->w->symbol;
    w->w->n_heap = 0;
    for (int32_t i = 0; i + 1 < w->n; i++) {
        push_candidate(w, i);
    }
    while (w->w->n_heap > 0) {
        fw_candidate c = pop_candidate(w);
        float key;
        if (joined(w, c.at, &key) != c.id) {
            continue; /* one of the two has changed since */
        }
        fw_symbol *l = &s[c.at], *r = &s[l->next];
        l->id = c.id;
        l->n += r->n;
        r->n = 0;
        l->next = r->next;
        if (l->next >= 0) {
            s[l->next].prev = c.at;
        }
        if (l->prev >= 0) {
            push_candidate(w, l->prev);
        }
        push_candidate(w, c.at);
    }
}

static void put(int32_t *ids, int *k, int cap, int32_t id) {
    if (*k < cap) {
        ids[(*k)++] = id;
    }
}

/* SentencePiece: what is no piece is its bytes, or unknown; a run of unknown ones is one. */
static void put_unknown(const word *w, const fw_symbol *s, bool after_unknown, int32_t *ids, int *k, int cap) {
    for (size_t i = 0; w->b->byte_fallback && i < s->n; i++) {
        put(ids, k, cap, w->b->byte_id[(unsigned char)w->s[s->at + i]]);
    }
    if (!w->b->byte_fallback && !after_unknown) {
        put(ids, k, cap, w->b->unk);
    }
}

void fw_bpe_word(const fw_bpe *b, const char *s, size_t n, fw_bpe_scratch *scratch, int32_t *ids, int *k, int cap) {
    word w = {b, s, scratch, 0};
    split_chars(&w, n);
    if (w.n == 0) {
        return;
    }
    scratch->symbol[w.n - 1].next = -1;
    merge_all(&w);
    bool unknown = false;
    for (int32_t i = 0; i >= 0; i = scratch->symbol[i].next) {
        const fw_symbol *y = &scratch->symbol[i];
        if (y->id >= 0) {
            put(ids, k, cap, y->id);
        } else {
            put_unknown(&w, y, unknown, ids, k, cap);
        }
        unknown = y->id < 0;
    }
}
