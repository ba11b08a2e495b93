/* text_tower.c - MiniLM-L6 as a graph (BERT: post-LN, GELU by erf) over one sentence padded to FW_TEXT_TOKENS */
#include "model/text_tower.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "model/tokenizer.h"
#include "tensor/safetensors.h"

#define LAYERS    6
#define HEADS     12
#define INNER     1536
#define POSITIONS 512
#define EPS       1e-12f

struct fw_text_tower {
    fw_tokenizer *words;
    fw_params *params;
    fw_graph *graph;
    fw_plan *plan;
    fw_val ids, length, hidden; /* [1,T] i32, [1] i32, [1,T,384] */
    char sha256[65];
};

/* A layer's parameters: "encoder.layer.<i>.<part>.weight" and ".bias". */
typedef struct names {
    char w[96], b[96];
} names;

static names name_of(const char *fmt, int layer) {
    char stem[80];
    names n;
    snprintf(stem, sizeof stem, fmt, layer); /* fmt: one of the literals below */
    snprintf(n.w, sizeof n.w, "%s.weight", stem);
    snprintf(n.b, sizeof n.b, "%s.bias", stem);
    return n;
}

static fw_val linear(fw_graph *g, fw_val x, names n, int64_t out, fw_act act, fw_val residual) {
    return fw_linear(g, x, n.w, n.b, out, act, residual);
}

static fw_val norm(fw_graph *g, fw_val x, names n) {
    return fw_layer_norm(g, x, n.w, n.b, EPS);
}

/* word + position + type (always 0), normalised. ids [1,T] -> [1,T,384] */
static fw_val embed(fw_graph *g, fw_val ids, int64_t n_word) {
    const fw_init zero = {FW_INIT_ZERO, 0.0f};
    fw_val x = fw_embedding(g, ids, "embeddings.word_embeddings.weight", n_word, FW_TEXT_DIM);
    fw_val pos = fw_param(g, "embeddings.position_embeddings.weight", FW_SHAPE_OF(POSITIONS, FW_TEXT_DIM), zero);
    fw_val type = fw_param(g, "embeddings.token_type_embeddings.weight", FW_SHAPE_OF(2, FW_TEXT_DIM), zero);
    x = fw_add(g, x, fw_slice(g, pos, 0, 0, FW_TEXT_TOKENS));
    x = fw_add(g, x, fw_reshape(g, fw_slice(g, type, 0, 0, 1), FW_SHAPE_OF(FW_TEXT_DIM)));
    return norm(g, x, name_of("embeddings.LayerNorm", 0));
}

static fw_val layer(fw_graph *g, fw_val x, int i, fw_val length) {
    fw_val q = linear(g, x, name_of("encoder.layer.%d.attention.self.query", i), FW_TEXT_DIM, FW_ACT_NONE, FW_NONE);
    fw_val k = linear(g, x, name_of("encoder.layer.%d.attention.self.key", i), FW_TEXT_DIM, FW_ACT_NONE, FW_NONE);
    fw_val v = linear(g, x, name_of("encoder.layer.%d.attention.self.value", i), FW_TEXT_DIM, FW_ACT_NONE, FW_NONE);
    fw_val a = fw_attention(g, q, k, v, HEADS, FW_MASK_LENGTH, length);
    a = linear(g, a, name_of("encoder.layer.%d.attention.output.dense", i), FW_TEXT_DIM, FW_ACT_NONE, x);
    x = norm(g, a, name_of("encoder.layer.%d.attention.output.LayerNorm", i));
    fw_val u = linear(g, x, name_of("encoder.layer.%d.intermediate.dense", i), INNER, FW_ACT_GELU, FW_NONE);
    u = linear(g, u, name_of("encoder.layer.%d.output.dense", i), FW_TEXT_DIM, FW_ACT_NONE, x);
    return norm(g, u, name_of("encoder.layer.%d.output.LayerNorm", i));
}

static fw_status build(fw_text_tower *t, fw_err *err) {
    FW_TRY(fw_graph_new(t->params, &t->graph, err));
    t->ids = fw_input(t->graph, "ids", FW_I32, FW_SHAPE_OF(1, FW_TEXT_TOKENS));
    t->length = fw_input(t->graph, "length", FW_I32, FW_SHAPE_OF(1));
    fw_val x = embed(t->graph, t->ids, fw_tokenizer_size(t->words));
    for (int i = 0; i < LAYERS; i++) {
        x = layer(t->graph, x, i, t->length);
    }
    t->hidden = x;
    return fw_graph_check(t->graph, err);
}

/* Every f32 tensor of the file becomes a parameter first, as zeros: drawing 22 million random numbers only to overwrite
 * them would take longer than reading the file. */
static fw_status create_params(fw_text_tower *t, const char *path, fw_err *err) {
    fw_st *s = NULL;
    fw_status st = fw_st_open(path, &s, err);
    for (int i = 0; st == FW_OK && i < fw_st_count(s); i++) {
        const fw_st_tensor *x = fw_st_at(s, i);
        if (x->dtype == FW_F32 && strncmp(x->name, "pooler.", 7) != 0) {
            fw_parameter *p = NULL;
            st = fw_params_get(t->params, x->name, &x->shape, (fw_init){FW_INIT_ZERO, 0.0f}, &p, err);
        }
    }
    fw_st_close(s);
    return st;
}

static fw_status open_parts(fw_text_tower *t, const char *dir, fw_pool *pool, fw_err *err) {
    char path[4096];
    FW_TRY(fw_path_join(path, sizeof path, dir, "vocab.txt", err));
    FW_TRY(fw_tokenizer_open(path, &t->words, err));
    FW_TRY(fw_path_join(path, sizeof path, dir, "model.safetensors", err));
    FW_TRY(fw_sha256_file(path, t->sha256, err));
    FW_TRY(fw_params_new(0, &t->params, err));
    FW_TRY(create_params(t, path, err));
    FW_TRY(build(t, err));
    FW_TRY(fw_params_load(t->params, path, true, err));
    fw_params_set_trainable(t->params, "", false);
    fw_plan_opts o = {.pool = pool};
    return fw_plan_new(t->graph, &o, &t->hidden, 1, &t->plan, err);
}

fw_status fw_text_tower_open(const char *dir, fw_pool *pool, fw_text_tower **out, fw_err *err) {
    char found[4096];
    *out = NULL;
    if (dir == NULL) {
        FW_TRY(fw_path_join(found, sizeof found, fw_home(), ".deps/minilm", err));
        if (!fw_path_exists(found)) {
            return fw_fail(err, FW_IO, "%s is missing: run  tools/setup.sh", found);
        }
        dir = found;
    }
    fw_text_tower *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a text tower");
    }
    fw_status st = open_parts(t, dir, pool, err);
    if (st != FW_OK) {
        fw_text_tower_close(t);
        return st;
    }
    *out = t;
    return FW_OK;
}

void fw_text_tower_close(fw_text_tower *t) {
    if (t == NULL) {
        return;
    }
    fw_plan_free(t->plan);
    fw_graph_free(t->graph);
    fw_params_free(t->params);
    fw_tokenizer_close(t->words);
    free(t);
}

const char *fw_text_tower_sha256(const fw_text_tower *t) {
    return t->sha256;
}

/* Mean over the tokens, scaled to length sqrt(384), so that its values are of size 1. */
static void pool_tokens(fw_text_features *f) {
    double norm2 = 0.0;
    for (int c = 0; c < FW_TEXT_DIM; c++) {
        float sum = 0.0f;
        for (int i = 0; i < f->n_token; i++) {
            sum += f->tokens[i][c];
        }
        f->pooled[c] = sum;
        norm2 += (double)sum * (double)sum;
    }
    float scale = norm2 > 0.0 ? (float)sqrt((double)FW_TEXT_DIM / norm2) : 0.0f;
    for (int c = 0; c < FW_TEXT_DIM; c++) {
        f->pooled[c] *= scale;
    }
}

fw_status fw_text_tower_encode(fw_text_tower *t, const char *sentence, fw_text_features *out, fw_err *err) {
    int32_t ids[FW_TEXT_TOKENS] = {0};
    int n = 0;
    FW_TRY(fw_tokenizer_encode(t->words, sentence, ids, FW_TEXT_TOKENS, &n, err));
    memcpy(fw_plan_data(t->plan, t->ids), ids, sizeof ids);
    *(int32_t *)fw_plan_data(t->plan, t->length) = n;
    FW_TRY(fw_plan_run(t->plan, err));
    memset(out, 0, sizeof *out);
    out->n_token = n;
    memcpy(out->tokens, fw_plan_data(t->plan, t->hidden), sizeof(float) * FW_TEXT_DIM * (size_t)n);
    pool_tokens(out);
    return FW_OK;
}
