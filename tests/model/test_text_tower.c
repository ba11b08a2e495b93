#include "model_test.h"

#include "model/text_tower.h"
#include "tensor/safetensors.h"

static fw_text_tower *open_real(fw_pool *pool) {
    skip_without(".deps/minilm/model.safetensors");
    fw_err err = {0};
    fw_text_tower *t = NULL;
    CHECK_OK(fw_text_tower_open(NULL, pool, &t, &err), err);
    return t;
}

static void hidden_states_equal_the_reference(void) {
    fw_err err = {0};
    fw_text_tower *t = open_real(NULL);
    fw_st *s = NULL;
    static fw_text_features f;
    CHECK_OK(fw_st_open(GOLDEN "model_text.safetensors", &s, &err), err);
    for (int i = 0; i < 4; i++) {
        char key[32];
        snprintf(key, sizeof key, "text%d", i);
        const char *sentence = fw_st_meta(s, key);
        snprintf(key, sizeof key, "tokens%d", i);
        const fw_st_tensor *want = fw_st_find(s, key);
        CHECK(sentence != NULL && want != NULL);
        CHECK_OK(fw_text_tower_encode(t, sentence, &f, &err), err);
        CHECK_INT(f.n_token, want->shape.d[0]);
        float *w = malloc(want->bytes);
        memcpy(w, want->data, want->bytes);
        CHECK_NEAR(&f.tokens[0][0], w, (size_t)f.n_token * FW_TEXT_DIM, 1e-4, 1e-5);
        for (int k = f.n_token * FW_TEXT_DIM; k < FW_TEXT_TOKENS * FW_TEXT_DIM; k++) {
            CHECK((&f.tokens[0][0])[k] == 0.0f);
        }
        free(w);
    }
    fw_st_close(s);
    fw_text_tower_close(t);
}

static void pooled_vector_is_the_mean_of_length_sqrt_384(void) {
    fw_err err = {0};
    fw_text_tower *t = open_real(NULL);
    static fw_text_features a, b;
    CHECK_OK(fw_text_tower_encode(t, "put the mug in the sink", &a, &err), err);
    double n2 = 0.0, dot = 0.0, mean2 = 0.0;
    for (int c = 0; c < FW_TEXT_DIM; c++) {
        double mean = 0.0;
        for (int i = 0; i < a.n_token; i++) {
            mean += (double)a.tokens[i][c] / a.n_token;
        }
        n2 += (double)a.pooled[c] * (double)a.pooled[c];
        dot += mean * (double)a.pooled[c];
        mean2 += mean * mean;
    }
    CHECK(fabs(n2 - FW_TEXT_DIM) < 0.01);
    CHECK(dot / sqrt(n2 * mean2) > 0.99999);
    /* meaning: a paraphrase is nearer than another task */
    double same = 0.0, other = 0.0;
    CHECK_OK(fw_text_tower_encode(t, "please place the mug into the sink", &b, &err), err);
    for (int c = 0; c < FW_TEXT_DIM; c++) {
        same += (double)a.pooled[c] * (double)b.pooled[c];
    }
    CHECK_OK(fw_text_tower_encode(t, "put the banana on the plate", &b, &err), err);
    for (int c = 0; c < FW_TEXT_DIM; c++) {
        other += (double)a.pooled[c] * (double)b.pooled[c];
    }
    CHECK(same > other + 0.1 * FW_TEXT_DIM);
    fw_text_tower_close(t);
}

static void missing_files_are_named(void) {
    fw_err err = {0};
    fw_text_tower *t = NULL;
    CHECK_FAILS(fw_text_tower_open("/nowhere", NULL, &t, &err), err, FW_IO, "/nowhere/vocab.txt");
    CHECK(t == NULL);
}

FW_TEST_MAIN(T(hidden_states_equal_the_reference), T(pooled_vector_is_the_mean_of_length_sqrt_384),
             T(missing_files_are_named))
