/*
 * cmd_demo.c - what `make run` runs: the shipped policy obeys three sentences in one simulated kitchen.
 *
 * DESIGN. The same seed, hence the same kitchen, is set up anew before each sentence: whatever differs between the three
 * runs differs because of the words. The policy sees only its two 128x128 cameras, its state and the sentence; the judge
 * (privileged) decides. Beside the table it leaves an mp4 and a contact sheet, since people would rather look.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/draw.h"
#include "base/file.h"
#include "base/log.h"
#include "base/plot.h"
#include "base/threads.h"
#include "cli.h"
#include "data/video.h"
#include "model/pretrained.h"
#include "task/task.h"

enum { VIEW = 480, SIDE = 240, W = VIEW + SIDE, H = VIEW + 56, THUMBS = 6, KEPT = 64, MAX_SAID = 8 };

static const char *const default_sentences[] = {
    "put the mug in the sink",
    "put the banana on the plate",
    "put the plate in the sink",
};

typedef struct said {
    const char *sentence;
    int task; /* whose goal is judged; -1: a sentence the suite does not know, any goal reached counts */
    fw_verdict verdict;
    bool success;
    double sim_s, chunk_ms; /* simulated seconds; mean wall time of one chunk */
    int chunks;
} said;

typedef struct demo {
    fw_env *env;
    fw_policy *policy;
    fw_policy_info info;
    fw_video_writer *video;
    uint8_t *frame; /* [H,W,3]: front view; beside it what the policy sees; words below */
    uint8_t *view;  /* [VIEW,VIEW,3] */
    uint8_t *kept;  /* [MAX_SAID][KEPT] views of [SIDE,SIDE,3], from all over each episode */
    int n_kept[MAX_SAID];
    float *actions; /* [horizon, n_action] */
    uint64_t seed;
    said said[MAX_SAID];
    int n_said;
} demo;

/* What a person would want to read now, from the state alone: the robot's own view of things. */
static const char *doing(const fw_obs *obs) {
    const float height = obs->state[2], opening = obs->state[4], command = obs->state[5];
    if (command >= 0.3f) { /* 0.45 is the opening for a thin rim */
        return height < 0.08f ? "reaching down" : "moving, hand open";
    }
    return opening > 0.9f ? "closing the hand" : "holding on";
}

static fw_status draw_frame(demo *d, const fw_obs *obs, const char *line1, const char *line2, fw_err *err) {
    FW_TRY(fw_env_picture(d->env, "front", VIEW, VIEW, d->view, err));
    memset(d->frame, 18, (size_t)W * H * 3);
    fw_draw_image(d->frame, W, H, 0, 0, d->view, VIEW, VIEW, 1);
    for (int c = 0; c < obs->n_image && c < 2; c++) { /* what the policy sees, pixel by pixel */
        const fw_image *im = &obs->image[c];
        int k = im->w < SIDE ? SIDE / im->w : 1;
        fw_draw_image(d->frame, W, H, VIEW + (SIDE - im->w * k) / 2, c * SIDE + (SIDE - im->h * k) / 2, im->rgb, im->w,
                      im->h, k);
    }
    fw_draw_text(d->frame, W, H, 12, VIEW + 24, 20, 0xffffff, line1);
    fw_draw_text(d->frame, W, H, 12, VIEW + 46, 15, 0xa0c0ff, line2);
    return fw_video_writer_add(d->video, d->frame, fw_env_steps(d->env) == 0, err);
}

static uint8_t *kept_view(const demo *d, int row, int k) {
    return d->kept + (size_t)(row * KEPT + k) * SIDE * SIDE * 3;
}

/* Keep the view of this step at half size (2x2 means) if it is one of KEPT that would cover the longest episode. */
static void keep_view(demo *d, int row, int step, int limit) {
    int k = d->n_kept[row];
    if (k >= KEPT || step * KEPT < k * limit) {
        return;
    }
    uint8_t *out = kept_view(d, row, k);
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE * 3; j++) {
            const uint8_t *p = d->view + ((size_t)(2 * i) * VIEW + (size_t)(2 * (j / 3))) * 3 + j % 3;
            out[(size_t)i * SIDE * 3 + (size_t)j] = (uint8_t)((p[0] + p[3] + p[VIEW * 3] + p[VIEW * 3 + 3] + 2) / 4);
        }
    }
    d->n_kept[row]++;
}

static void judge(demo *d, said *s) {
    fw_env_judge(d->env, &s->verdict);
    s->success = s->verdict.success;
    for (int i = 0; s->task < 0 && i < fw_env_n_task(d->env); i++) {
        s->success |= s->verdict.goal[i];
    }
    s->sim_s = fw_env_steps(d->env) / d->info.embodiment->rate_hz;
}

/* Ask the policy when the last chunk is used up; *row is the action to execute now. */
static fw_status next_action(demo *d, said *s, const fw_obs *obs, int *at, int *n, const float **row, int64_t *spent_ns,
                             fw_err *err) {
    if (*at >= *n) {
        fw_chunk chunk = {.actions = d->actions, .cap_horizon = d->info.horizon};
        int64_t t0 = fw_now_ns();
        FW_TRY(fw_policy_infer(d->policy, obs, &chunk, err));
        *spent_ns += fw_now_ns() - t0;
        s->chunks++;
        *at = 0;
        *n = d->info.n_execute < chunk.horizon ? d->info.n_execute : chunk.horizon;
    }
    *row = d->actions + (size_t)(*at)++ * (size_t)d->info.embodiment->n_action;
    return FW_OK;
}

/* One sentence, from a tidy kitchen to the judge's word. */
static fw_status obey(demo *d, int row, fw_err *err) {
    said *s = &d->said[row];
    FW_TRY(fw_env_reset(d->env, s->task < 0 ? 0 : s->task, d->seed, err));
    FW_TRY(fw_env_set_sentence(d->env, s->sentence, err));
    fw_policy_reset(d->policy);
    fprintf(stderr, "\n> %s\n", s->sentence);
    int at = 0, n = 0, limit = fw_env_time_limit(d->env);
    int64_t spent_ns = 0;
    const char *was = "";
    while (!fw_env_done(d->env)) {
        fw_obs obs;
        const float *action;
        FW_TRY(fw_env_observe(d->env, &obs, err));
        double t = fw_env_steps(d->env) / d->info.embodiment->rate_hz;
        const char *now = doing(&obs);
        if (strcmp(now, was) != 0) {
            fprintf(stderr, "  %5.1f s  %-18s hand at (%.2f, %.2f, %.2f) m\n", t, now, (double)obs.state[0],
                    (double)obs.state[1], (double)obs.state[2]);
            was = now;
        }
        char line2[96];
        snprintf(line2, sizeof line2, "%4.1f s   %s", t, now);
        FW_TRY(draw_frame(d, &obs, s->sentence, line2, err));
        keep_view(d, row, fw_env_steps(d->env), limit);
        FW_TRY(next_action(d, s, &obs, &at, &n, &action, &spent_ns, err));
        if (fw_env_step(d->env, action, err) != FW_OK && !fw_env_done(d->env)) {
            return err->code;
        }
    }
    judge(d, s);
    s->chunk_ms = s->chunks > 0 ? (double)spent_ns / 1e6 / s->chunks : 0.0;
    fprintf(stderr, "  %5.1f s  %s%s\n", s->sim_s,
            s->success ? "done" : "not done: ", s->success ? "" : s->verdict.reason);
    return FW_OK;
}

/* The task whose phrasings hold this sentence, or -1. */
static int task_of(const fw_env *env, const char *sentence) {
    for (int t = 0; t < fw_env_n_task(env); t++) {
        for (int split = FW_SPLIT_TRAIN; split <= FW_SPLIT_HELD; split++) {
            for (int i = 0; i < fw_env_n_sentence(env, t, (fw_split)split); i++) {
                if (strcasecmp(fw_env_sentence(env, t, (fw_split)split, i), sentence) == 0) {
                    return t;
                }
            }
        }
    }
    return -1;
}

/* A row a sentence: THUMBS views from its first to its last. */
static fw_status write_sheet(const demo *d, const char *path, fw_err *err) {
    fw_tile tiles[MAX_SAID * THUMBS];
    for (int i = 0; i < d->n_said * THUMBS; i++) {
        int row = i / THUMBS, k = i % THUMBS, last = d->n_kept[row] > 0 ? d->n_kept[row] - 1 : 0;
        const said *s = &d->said[row];
        tiles[i] = (fw_tile){.rgb = kept_view(d, row, k * last / (THUMBS - 1)),
                             .h = SIDE,
                             .w = SIDE,
                             .caption = k == 0 ? s->sentence : NULL,
                             .mark = k < THUMBS - 1 ? 0 : (s->success ? 1 : -1)};
    }
    return fw_sheet_write(path, "one kitchen, one policy: the sentence decides", tiles, (size_t)(d->n_said * THUMBS),
                          THUMBS, SIDE, err);
}

static json_t *result_json(const demo *d, const char *video, const char *sheet) {
    json_t *tasks = json_array();
    for (int i = 0; i < d->n_said; i++) {
        const said *s = &d->said[i];
        json_array_append_new(tasks,
                              json_pack("{s:s,s:b,s:f,s:f,s:s}", "sentence", s->sentence, "success", (int)s->success,
                                        "seconds", s->sim_s, "chunk_ms", s->chunk_ms, "reason", s->verdict.reason));
    }
    return json_pack("{s:o,s:s,s:s,s:I}", "tasks", tasks, "video", video, "sheet", sheet, "seed", (json_int_t)d->seed);
}

static void print_table(const demo *d, const char *video, const char *sheet) {
    printf("\n%-44s %-8s %9s %10s\n", "sentence", "result", "robot s", "ms a chunk");
    for (int i = 0; i < d->n_said; i++) {
        const said *s = &d->said[i];
        printf("%-44s %-8s %9.1f %10.1f\n", s->sentence, s->success ? "done" : "missed", s->sim_s, s->chunk_ms);
    }
    printf("\nvideo  %s\nsheet  %s\n", video, sheet);
}

static fw_status open_all(demo *d, const char *suite, const char *policy, fw_pool *pool, const char *video,
                          fw_err *err) {
    char dir[1024];
    if (policy == NULL) {
        FW_TRY(fw_path_join(dir, sizeof dir, fw_home(), "models/kitchen3", err));
        policy = dir;
    }
    FW_TRY(fw_env_open(suite, NULL, &d->env, err));
    const fw_policy_opts opts = {.pool = pool, .embodiment = fw_env_embodiment(d->env)->name};
    FW_TRY(fw_policy_open(policy, &opts, &d->policy, err));
    fw_policy_describe(d->policy, &d->info);
    d->frame = malloc((size_t)W * H * 3);
    d->view = malloc((size_t)VIEW * VIEW * 3);
    d->kept = calloc((size_t)MAX_SAID * KEPT, (size_t)SIDE * SIDE * 3);
    d->actions = calloc((size_t)d->info.horizon * (size_t)d->info.embodiment->n_action, sizeof(float));
    if (d->frame == NULL || d->view == NULL || d->kept == NULL || d->actions == NULL) {
        return fw_fail(err, FW_NOMEM, "demo: no memory for pictures");
    }
    return fw_video_writer_open(video, H, W, d->info.embodiment->rate_hz, &FW_VIDEO_OPTS_SHOW, &d->video, err);
}

static fw_status run(demo *d, fw_err *err) {
    for (int i = 0; i < d->n_said; i++) {
        d->said[i].task = task_of(d->env, d->said[i].sentence);
        FW_TRY(obey(d, i, err));
    }
    fw_video_writer *v = d->video;
    d->video = NULL;
    return fw_video_writer_close(v, err);
}

static void demo_clear(demo *d) {
    fw_video_writer_abort(d->video);
    fw_policy_close(d->policy);
    fw_env_close(d->env);
    free(d->frame), free(d->view), free(d->kept), free(d->actions);
}

int cmd_demo(int argc, char **argv) {
    const char *suite = "kitchen3", *policy = NULL, *out = "out/demo";
    int64_t seed = 7, workers = 0;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("policy", &policy, "DIR", "a trained policy (default: the shipped models/kitchen3)"),
        FW_ARG_STR("suite", &suite, "NAME", "the kitchen and its judge"),
        FW_ARG_INT("seed", &seed, 0, 1e15, "S", "which kitchen"),
        FW_ARG_INT("workers", &workers, 0, 64, "N", "compute threads; 0: all CPUs"),
        FW_ARG_STR("out", &out, "DIR", "where the video and the contact sheet go"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "demo",
                            .example = "flywheel demo\nflywheel demo --seed 12 \"the cup goes into the sink\"",
                            .what = "The shipped policy obeys sentences in one simulated kitchen. Exit code 0 when at "
                                    "least two thirds of them succeed.",
                            .paths = "SENTENCE",
                            .min_paths = 0,
                            .max_paths = MAX_SAID};
    int n_paths, code = fw_args_parse(&usage, args, sizeof(args) / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    static demo d;
    d.seed = (uint64_t)seed;
    d.n_said = n_paths > 0 ? n_paths : (int)(sizeof(default_sentences) / sizeof(*default_sentences));
    for (int i = 0; i < d.n_said; i++) {
        d.said[i].sentence = n_paths > 0 ? argv[1 + i] : default_sentences[i];
    }

    fw_err err = {0};
    fw_pool *pool = NULL;
    char video[1024], sheet[1024];
    int done = 0;
    bool ok = fw_mkdirs(out, &err) == FW_OK && fw_path_join(video, sizeof video, out, "demo.mp4", &err) == FW_OK &&
              fw_path_join(sheet, sizeof sheet, out, "demo.png", &err) == FW_OK &&
              fw_pool_new((int)workers, &pool, &err) == FW_OK &&
              open_all(&d, suite, policy, pool, video, &err) == FW_OK && run(&d, &err) == FW_OK &&
              write_sheet(&d, sheet, &err) == FW_OK;
    for (int i = 0; ok && i < d.n_said; i++) {
        done += d.said[i].success;
    }
    code = ok ? (3 * done >= 2 * d.n_said ? 0 : 1) : cli_fail(&err);
    if (ok && json) {
        int printed = cli_json(result_json(&d, video, sheet));
        code = printed != 0 ? printed : code;
    } else if (ok) {
        print_table(&d, video, sheet);
    }
    demo_clear(&d);
    fw_pool_free(pool);
    return code;
}
