/*
 * bench_vla.c - one call of SmolVLA, pi0 or pi0.5 at its real size, random weights, from bytes of pictures to a chunk.
 *
 * Values do not change the time. The same work by PyTorch: bench/torch_vla.py.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/clock.h"
#include "model/vla_run.h"

typedef struct bench {
    const char *policy, *precision;
    int64_t cameras, words, threads, rounds, steps, batch;
    bool profile, json;
} bench;

/* config.json of the published policy, defaults and all. */
static fw_status config_of(const bench *b, fw_lerobot_config *c, fw_err *err) {
    json_t *in = json_pack("{s:{s:s, s:[i]}}", "observation.state", "type", "STATE", "shape", 7);
    for (int i = 0; in != NULL && i < b->cameras; i++) {
        char key[64];
        snprintf(key, sizeof key, "observation.images.cam%d", i);
        json_object_set_new(in, key, json_pack("{s:s, s:[i,i,i]}", "type", "VISUAL", "shape", 3, 480, 640));
    }
    json_t *o = json_pack("{s:s, s:o, s:{s:{s:s, s:[i]}}}", "type", b->policy, "input_features", in, "output_features",
                          "action", "type", "ACTION", "shape", 7);
    if (o == NULL) {
        return fw_fail(err, FW_NOMEM, "config");
    }
    fw_status st = fw_lerobot_config_parse(o, b->policy, c, err);
    json_decref(o);
    return st;
}

typedef struct input {
    fw_image *image;
    int32_t *tokens, *n_words;
    float *state, *noise, *out;
    fw_vla_batch b;
} input;

static void free_input(input *in) {
    free((void *)(uintptr_t)(in->image == NULL ? NULL : in->image[0].rgb));
    free(in->image), free(in->tokens), free(in->n_words), free(in->state), free(in->noise), free(in->out);
}

static fw_status make_input(const bench *b, const fw_lerobot_config *c, input *in, fw_err *err) {
    enum { H = 480, W = 640 };
    const size_t n = (size_t)b->batch, chunk = n * (size_t)c->chunk * (size_t)c->vla.max_action;
    uint8_t *rgb = malloc(H * W * 3);
    *in = (input){.image = calloc(n * (size_t)b->cameras, sizeof(*in->image)),
                  .tokens = calloc(n * (size_t)b->words, sizeof(*in->tokens)),
                  .n_words = calloc(n, sizeof(*in->n_words)),
                  .state = calloc(n * (size_t)c->vla.max_state, sizeof(*in->state)),
                  .noise = calloc(chunk, sizeof(*in->noise)),
                  .out = calloc(chunk, sizeof(*in->out))};
    if (rgb == NULL || in->image == NULL || in->tokens == NULL || in->n_words == NULL || in->state == NULL ||
        in->noise == NULL || in->out == NULL) {
        free(rgb);
        return fw_fail(err, FW_NOMEM, "inputs of a batch of %zu", n);
    }
    fw_rng r = fw_rng_stream(1, "bench");
    for (int i = 0; i < H * W * 3; i++) {
        rgb[i] = (uint8_t)fw_rng_u64(&r);
    }
    for (size_t i = 0; i < n * (size_t)b->cameras; i++) {
        in->image[i] = (fw_image){rgb, H, W};
    }
    for (size_t i = 0; i < n * (size_t)b->words; i++) {
        in->tokens[i] = (int32_t)fw_rng_below(&r, (uint64_t)c->vla.vocab);
    }
    for (size_t i = 0; i < n; i++) {
        in->n_words[i] = (int32_t)b->words;
    }
    for (size_t i = 0; i < chunk; i++) {
        in->noise[i] = (float)fw_rng_normal(&r);
    }
    in->b =
        (fw_vla_batch){b->batch, (int)b->cameras, in->image, in->tokens, in->n_words, b->words, in->state, in->noise};
    return FW_OK;
}

static fw_status measure(const bench *b, const fw_lerobot_config *c, fw_vla *m, input *in, fw_err *err) {
    double best = INFINITY, sum = 0.0;
    fw_vla_info info;
    FW_TRY(fw_vla_infer(m, &in->b, in->out, err)); /* makes the plans */
    if (b->profile) {
        fw_vla_profile(m, true);
    }
    for (int64_t i = 0; i < b->rounds; i++) {
        double t = fw_now_s();
        FW_TRY(fw_vla_infer(m, &in->b, in->out, err));
        t = fw_now_s() - t;
        best = t < best ? t : best;
        sum += t;
    }
    if (b->profile) {
        fw_vla_profile(m, false);
    }
    fw_vla_get_info(m, &info);
    const double flops = info.flops_prefix + info.steps * info.flops_step;
    if (b->json) {
        printf("{\"policy\": \"%s\", \"precision\": \"%s\", \"cameras\": %d, \"words\": %d, \"batch\": %d, "
               "\"threads\": %d, "
               "\"steps\": %d, \"ms_best\": %.1f, \"ms_mean\": %.1f, \"gflop\": %.1f}\n",
               b->policy, b->precision, (int)b->cameras, (int)b->words, (int)b->batch, (int)b->threads, info.steps,
               1e3 * best, 1e3 * sum / (double)b->rounds, 1e-9 * flops);
    } else {
        printf(
            "%s %s: %d cameras, %d words, batch %d, %d threads, %d flow steps: best %.0f ms, mean %.0f ms, %.0f GFLOP "
            "(%.0f GFLOP/s), packed weights %.0f MB, arena %.0f MB\n",
            b->policy, b->precision, (int)b->cameras, (int)b->words, (int)b->batch, (int)b->threads, info.steps,
            1e3 * best, 1e3 * sum / (double)b->rounds, 1e-9 * flops, 1e-9 * flops / best,
            1e-6 * (double)info.packed_bytes, 1e-6 * (double)info.arena_bytes);
    }
    (void)c;
    return FW_OK;
}

static fw_status run(const bench *b, fw_err *err) {
    static const char *const name[] = {"f32", "bf16", "int8"};
    static const fw_precision precision[] = {FW_PRECISION_DEFAULT, FW_PRECISION_BF16, FW_PRECISION_INT8};
    fw_vla_opts o = {.random = true, .flow_steps = (int)b->steps, .precision = FW_PRECISION_DEFAULT};
    fw_lerobot_config c;
    fw_pool *pool = NULL;
    fw_vla *m = NULL;
    input in = {0};
    bool known = false;
    for (int i = 0; i < 3; i++) {
        if (strcmp(b->precision, name[i]) == 0) {
            o.precision = precision[i];
            known = true;
        }
    }
    if (!known) {
        return fw_fail(err, FW_INVALID, "precision '%s': f32, bf16 or int8", b->precision);
    }
    FW_TRY(config_of(b, &c, err));
    FW_TRY(fw_pool_new((int)b->threads, &pool, err));
    o.pool = pool;
    fw_status st = fw_vla_open("", &c, &o, &m, err);
    st = st != FW_OK ? st : make_input(b, &c, &in, err);
    st = st != FW_OK ? st : measure(b, &c, m, &in, err);
    free_input(&in);
    fw_vla_close(m);
    fw_pool_free(pool);
    return st;
}

int main(int argc, char **argv) {
    bench b = {"smolvla", "bf16", 2, 16, 2, 3, 0, 1, false, false};
    const fw_arg args[] = {
        FW_ARG_STR("policy", &b.policy, "NAME", "smolvla, pi0 or pi05"),
        FW_ARG_STR("precision", &b.precision, "P", "f32, bf16 or int8"),
        FW_ARG_INT("cameras", &b.cameras, 1, FW_CAM_MAX, "N", "pictures of 640 x 480"),
        FW_ARG_INT("words", &b.words, 1, 48, "N", "tokens of the prompt"),
        FW_ARG_INT("steps", &b.steps, 0, 100, "N", "flow steps; 0: the policy's"),
        FW_ARG_INT("batch", &b.batch, 1, 64, "N", "robots in one call"),
        FW_ARG_INT("threads", &b.threads, 1, 64, "N", "threads"),
        FW_ARG_INT("rounds", &b.rounds, 1, 1000, "N", "calls that are timed"),
        FW_ARG_BOOL("profile", &b.profile, "seconds by operation, on stderr"),
        FW_ARG_BOOL("json", &b.json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "bench_vla",
                            .example = "build/dev/bin/bench_vla --policy smolvla --precision int8 --threads 2",
                            .what = "Time of one call of a published policy at its real size, with random weights."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err = {FW_OK, ""};
    if (run(&b, &err) != FW_OK) {
        fprintf(stderr, "bench_vla: %s\n", err.msg);
        return 1;
    }
    return 0;
}
