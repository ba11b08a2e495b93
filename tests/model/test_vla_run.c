/* fw_vla: what it makes of a directory is what LeRobot makes of it, in batches and alone; shapes come and go; nothing is allocated */
#include <math.h>

#include "alloc_guard.h"
#include "model/vla_run.h"
#include "model_test.h"

static fw_err g_err;

typedef struct sample {
    char dir[512];
    fw_lerobot_config c;
    fw_st *st, *stats;
    fw_image image[FW_CAM_MAX * 4];
    int32_t tokens[4 * 256], n_words[4];
    float state[4 * 64];
    fw_vla_batch b;
    int n_action;
} sample;

static const fw_st_tensor *need(const fw_st *st, const char *name) {
    const fw_st_tensor *x = fw_st_find(st, name);
    if (x == NULL)
        FW_FAILED("no tensor %s", name);
    return x;
}

static void read_state(sample *s) {
    const fw_st_tensor *x = need(s->st, "in.observation.state");
    const float *mean = need(s->stats, "observation.state.mean")->data,
                *std = need(s->stats, "observation.state.std")->data;
    const int64_t n = x->shape.d[1];
    for (int64_t i = 0; i < s->b.size * n; i++) {
        s->state[i / n * s->c.vla.max_state + i % n] =
            (((const float *)x->data)[i] - mean[i % n]) / (std[i % n] + 1e-8f);
    }
}

static void sample_open(sample *s, const char *policy) {
    char path[640];
    *s = (sample){0};
    snprintf(s->dir, sizeof s->dir, "%spolicies/%s", GOLDEN, policy);
    CHECK_OK(fw_lerobot_config_load(s->dir, &s->c, &g_err), g_err);
    snprintf(path, sizeof path, "%s/golden.safetensors", s->dir);
    CHECK_OK(fw_st_open(path, &s->st, &g_err), g_err);
    snprintf(path, sizeof path, "%s/policy_postprocessor_step_0_unnormalizer_processor.safetensors", s->dir);
    CHECK_OK(fw_st_open(path, &s->stats, &g_err), g_err);
    const fw_st_tensor *ids = need(s->st, "mid.tokens"), *mask = need(s->st, "mid.tokens_mask");
    s->b = (fw_vla_batch){.size = ids->shape.d[0],
                          .tokens = ids->data,
                          .ld_tokens = ids->shape.d[1],
                          .n_words = s->n_words,
                          .image = s->image,
                          .state = s->state,
                          .noise = need(s->st, "in.noise")->data};
    for (int64_t i = 0; i < s->b.size * s->b.ld_tokens; i++) {
        s->n_words[i / s->b.ld_tokens] += ((const uint8_t *)mask->data)[i];
    }
    for (int i = 0; i < s->c.n_input; i++) {
        snprintf(path, sizeof path, "in.%s", s->c.input[i].key);
        const fw_st_tensor *x = s->c.input[i].kind == FW_FEATURE_VISUAL ? fw_st_find(s->st, path) : NULL;
        for (int64_t k = 0; x != NULL && k < s->b.size; k++) {
            const int h = (int)x->shape.d[1], w = (int)x->shape.d[2];
            s->image[s->b.n_camera * s->b.size + k] = (fw_image){(const uint8_t *)x->data + k * h * w * 3, h, w};
        }
        s->b.n_camera += x != NULL;
    }
    read_state(s);
    s->n_action = (int)fw_lerobot_output(&s->c, FW_FEATURE_ACTION)->shape[0];
}

static void sample_close(sample *s) {
    fw_st_close(s->st), fw_st_close(s->stats);
}

/* The n entries of out, from entry `first` of the chunks wanted. */
static void check_against(const sample *s, const float *want, const float *out, int64_t first, int64_t n) {
    double d = 0.0, scale = 0.0;
    for (int64_t i = 0; i < n * s->c.chunk * s->n_action; i++) {
        const float got = out[i / s->n_action * s->c.vla.max_action + i % s->n_action];
        const float w = want[first * s->c.chunk * s->n_action + i];
        d = fmax(d, fabs((double)got - (double)w));
        scale = fmax(scale, fabs((double)w));
    }
    if (!(d <= 1e-4 * scale))
        FW_FAILED("%s: chunk differs by %.3g of %.3g", s->dir, d, scale);
}

static void check_chunk(const sample *s, const float *out, int64_t first, int64_t n) {
    check_against(s, need(s->st, "out.model")->data, out, first, n);
}

/* Entry k alone. */
static fw_vla_batch only(const sample *s, int64_t k, fw_image image[FW_CAM_MAX]) {
    fw_vla_batch b = s->b;
    for (int i = 0; i < b.n_camera; i++) {
        image[i] = s->image[i * b.size + k];
    }
    b.size = 1, b.image = image;
    b.tokens += k * b.ld_tokens, b.n_words += k;
    b.state += k * s->c.vla.max_state, b.noise += k * s->c.chunk * s->c.vla.max_action;
    return b;
}

static const char *const k_policy[] = {"smolvla", "pi0", "pi05"};

static void chunks_are_those_of_lerobot_in_batches_and_alone(void) {
    fw_pool *pool;
    float out[4 * 64 * 32];
    CHECK_OK(fw_pool_new(2, &pool, &g_err), g_err);
    for (int p = 0; p < 3; p++) {
        sample s;
        fw_vla *m;
        sample_open(&s, k_policy[p]);
        CHECK_OK(fw_vla_open(s.dir, &s.c, &(fw_vla_opts){.pool = pool}, &m, &g_err), g_err);
        CHECK_OK(fw_vla_infer(m, &s.b, out, &g_err), g_err);
        check_chunk(&s, out, 0, s.b.size);
        for (int64_t k = 0; k < s.b.size; k++) {
            fw_image image[FW_CAM_MAX];
            const fw_vla_batch one = only(&s, k, image);
            CHECK_OK(fw_vla_infer(m, &one, out, &g_err), g_err);
            check_chunk(&s, out, k, 1);
        }
        fw_vla_info info;
        fw_vla_get_info(m, &info);
        CHECK(info.steps == s.c.vla.flow_steps && info.flops_prefix > info.flops_step && info.packed_bytes > 10000);
        fw_vla_close(m);
        sample_close(&s);
    }
    fw_pool_free(pool);
}

/* The last chunk's rows of the golden, [size, 6, n_action], widened. */
static void widen_left(const sample *s, const fw_st *st, float rows[4 * 6 * 32], fw_vla_guide guide[4]) {
    const float *left = need(st, "in.left")->data;
    const int wide = s->c.vla.max_action;
    memset(rows, 0, sizeof(float) * 4 * 6 * 32);
    for (int i = 0; i < (int)s->b.size * 6 * s->n_action; i++) {
        rows[i / s->n_action * wide + i % s->n_action] = left[i];
    }
    for (int k = 0; k < (int)s->b.size; k++) {
        guide[k].rows = rows + k * 6 * wide;
    }
}

static void chunks_that_go_on_are_those_of_lerobot(void) {
    static const int guided[][2] = {{0, 3}, {2, 5}, {3, 3}, {4, 6}};
    static float out[4 * 64 * 32], rows[4 * 6 * 32];
    for (int p = 0; p < 3; p++) {
        sample s;
        fw_vla *m;
        fw_st *st;
        char path[640], name[32];
        fw_vla_guide guide[4] = {0};
        sample_open(&s, k_policy[p]);
        snprintf(path, sizeof path, "%s/golden_guided.safetensors", s.dir);
        CHECK_OK(fw_st_open(path, &st, &g_err), g_err);
        CHECK_OK(fw_vla_open(s.dir, &s.c, &(fw_vla_opts){0}, &m, &g_err), g_err);
        widen_left(&s, st, rows, guide);
        s.b.noise = need(st, "in.noise")->data;
        s.b.guide = guide;
        for (int k = 0; k < 4; k++) {
            for (int i = 0; i < (int)s.b.size; i++) {
                guide[i].settled = guided[k][0], guide[i].n = guided[k][1];
            }
            CHECK_OK(fw_vla_infer(m, &s.b, out, &g_err), g_err);
            snprintf(name, sizeof name, "out.%d.%d", guided[k][0], guided[k][1]);
            check_against(&s, need(st, name)->data, out, 0, s.b.size);
        }
        fw_vla_close(m);
        fw_st_close(st);
        sample_close(&s);
    }
}

/* Three robots in one pass: one has both cameras, one has the first, one the second; words of two lengths. */
static void rows_with_other_cameras_are_what_they_are_alone(void) {
    enum { ROWS = 3, MOST = 64 * 32 };
    static float all[ROWS * MOST], one[MOST];
    for (int p = 0; p < 3; p++) {
        sample s;
        fw_vla *m;
        sample_open(&s, k_policy[p]);
        CHECK_OK(fw_vla_open(s.dir, &s.c, &(fw_vla_opts){0}, &m, &g_err), g_err);
        const int64_t n = s.c.chunk * s.c.vla.max_action, ld = s.b.ld_tokens;
        fw_image image[2 * ROWS];
        int32_t tokens[ROWS * 256], n_words[ROWS];
        float state[ROWS * 64], noise[ROWS * MOST];
        CHECK(s.b.n_camera == 2 && s.b.size == 2 && n <= MOST && ld <= 256);
        for (int k = 0; k < ROWS; k++) {
            const int from = k % 2;
            for (int c = 0; c < 2; c++) {
                image[c * ROWS + k] = k == 0 || c == k - 1 ? s.image[c * 2 + from] : (fw_image){0};
            }
            n_words[k] = s.n_words[from];
            memcpy(tokens + k * ld, s.b.tokens + from * ld, (size_t)ld * sizeof *tokens);
            memcpy(state + k * s.c.vla.max_state, s.state + from * s.c.vla.max_state,
                   (size_t)s.c.vla.max_state * sizeof *state);
            memcpy(noise + k * n, s.b.noise + from * n, (size_t)n * sizeof *noise);
        }
        fw_vla_batch b = {ROWS, 2, image, tokens, n_words, ld, state, noise, NULL};
        CHECK_OK(fw_vla_infer(m, &b, all, &g_err), g_err);
        for (int k = 0; k < ROWS; k++) {
            fw_image mine[2] = {image[k], image[ROWS + k]};
            double d = 0, scale = 0;
            b = (fw_vla_batch){
                1, 2, mine, tokens + k * ld, n_words + k, ld, state + k * s.c.vla.max_state, noise + k * n, NULL};
            CHECK_OK(fw_vla_infer(m, &b, one, &g_err), g_err);
            for (int64_t i = 0; i < n; i++) {
                d = fmax(d, fabs((double)one[i] - (double)all[k * n + i]));
                scale = fmax(scale, fabs((double)one[i]));
            }
            printf("# %s, row %d: %.1e of %.2f\n", k_policy[p], k, d, scale);
            CHECK(d <= 1e-6 * scale);
        }
        image[1] = image[ROWS + 1] = (fw_image){0};
        b = (fw_vla_batch){ROWS, 2, image, tokens, n_words, ld, state, noise, NULL};
        CHECK_FAILS(fw_vla_infer(m, &b, all, &g_err), g_err, FW_INVALID, "entry 1 has no picture");
        fw_vla_close(m);
        sample_close(&s);
    }
}

/* More shapes than are kept, and the first again. */
static void shapes_come_and_go(void) {
    sample s;
    fw_vla *m;
    float out[4 * 64 * 32];
    sample_open(&s, "smolvla");
    CHECK_OK(fw_vla_open(s.dir, &s.c, &(fw_vla_opts){0}, &m, &g_err), g_err);
    fw_vla_batch b = s.b;
    int32_t many[2 * 48], n_words[2] = {40, 3};
    for (int i = 0; i < 2 * 48; i++) {
        many[i] = i % 300;
    }
    for (int round = 0; round < 2; round++) {
        for (int cameras = 2; cameras >= 1; cameras--) {
            b = s.b, b.n_camera = cameras;
            CHECK_OK(fw_vla_infer(m, &b, out, &g_err), g_err);
            b.tokens = many, b.ld_tokens = 48, b.n_words = n_words;
            for (n_words[0] = 40; n_words[0] > 0; n_words[0] -= 16) {
                CHECK_OK(fw_vla_infer(m, &b, out, &g_err), g_err);
            }
        }
    }
    CHECK_OK(fw_vla_infer(m, &s.b, out, &g_err), g_err);
    check_chunk(&s, out, 0, s.b.size);
    fw_vla_close(m);
    sample_close(&s);
}

static void a_call_allocates_nothing(void) {
    for (int p = 0; p < 3; p++) {
        sample s;
        fw_vla *m;
        float out[4 * 64 * 32];
        sample_open(&s, k_policy[p]);
        CHECK_OK(fw_vla_open(s.dir, &s.c, &(fw_vla_opts){.precision = FW_PRECISION_BF16}, &m, &g_err), g_err);
        CHECK_OK(fw_vla_infer(m, &s.b, out, &g_err), g_err);
        fw_status st = FW_OK;
        CHECK_NO_ALLOC(st = fw_vla_infer(m, &s.b, out, &g_err));
        CHECK_OK(st, g_err);
        fw_vla_close(m);
        sample_close(&s);
    }
}

static void what_cannot_be_read_is_refused(void) {
    sample s;
    fw_vla *m;
    float out[4 * 64 * 32];
    sample_open(&s, "pi0");
    CHECK_OK(fw_vla_open(s.dir, &s.c, &(fw_vla_opts){0}, &m, &g_err), g_err);
    fw_vla_batch b = s.b;
    int32_t bad[2 * 24], n_words[2] = {24, 25};
    memcpy(bad, s.b.tokens, sizeof bad);
    bad[1] = 376; /* the vocabulary has 376 */
    b.tokens = bad;
    CHECK_FAILS(fw_vla_infer(m, &b, out, &g_err), g_err, FW_INVALID, "id 376 at position 1, the table has 376 rows");
    b = s.b, b.n_words = n_words;
    CHECK_FAILS(fw_vla_infer(m, &b, out, &g_err), g_err, FW_INVALID, "entry 1: a prompt of 25 words, 1 to 24 wanted");
    CHECK_OK(fw_vla_infer(m, &s.b, out, &g_err), g_err);
    check_chunk(&s, out, 0, s.b.size);
    fw_vla_close(m);
    s.c.vla.text.mlp++;
    CHECK_FAILS(fw_vla_open(s.dir, &s.c, &(fw_vla_opts){0}, &m, &g_err), g_err, FW_SHAPE,
                "mlp.gate_proj.weight' is [64,32]");
    CHECK(m == NULL);
    sample_close(&s);
}

FW_TEST_MAIN(T(chunks_are_those_of_lerobot_in_batches_and_alone), T(chunks_that_go_on_are_those_of_lerobot),
             T(rows_with_other_cameras_are_what_they_are_alone), T(shapes_come_and_go), T(a_call_allocates_nothing),
             T(what_cannot_be_read_is_refused))
