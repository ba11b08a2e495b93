/* sim_show.c - `flywheel sim show`: a picture of a scene, or a video or a contact sheet of the expert in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/draw.h"
#include "base/json.h"
#include "base/plot.h"
#include "base/png.h"
#include "cli.h"
#include "data/video.h"
#include "sim.h"
#include "task/task.h"

enum { SHOW_PX = 480, SHOW_BAR = 32, SHEET_PX = 240, SHEET_COLUMNS = 4, MOMENTS = 8 };

/* Front and wrist side by side under a line of text. rgb [SHOW_PX+SHOW_BAR, 2*SHOW_PX, 3], tile [SHOW_PX,SHOW_PX,3]: scratch. */
static fw_status compose(fw_env *env, const char *text, uint8_t *rgb, uint8_t *tile, fw_err *err) {
    const fw_embodiment *b = fw_env_embodiment(env);
    memset(rgb, 24, (size_t)3 * 2 * SHOW_PX * (SHOW_PX + SHOW_BAR));
    for (int c = 0; c < 2 && c < b->n_camera; c++) {
        FW_TRY(fw_env_picture(env, b->camera[c].name, SHOW_PX, SHOW_PX, tile, err));
        fw_draw_image(rgb, 2 * SHOW_PX, SHOW_PX + SHOW_BAR, c * SHOW_PX, SHOW_BAR, tile, SHOW_PX, SHOW_PX, 1);
    }
    fw_draw_text(rgb, 2 * SHOW_PX, SHOW_PX + SHOW_BAR, 10, 22, 18, 0xFFFFFF, text);
    return FW_OK;
}

static fw_status film(fw_env *env, const char *out, const char *sentence, uint8_t *rgb, uint8_t *tile, fw_verdict *v,
                      fw_err *err) {
    fw_video_writer *video = NULL;
    FW_TRY(fw_video_writer_open(out, SHOW_PX + SHOW_BAR, 2 * SHOW_PX, fw_env_embodiment(env)->rate_hz,
                                &FW_VIDEO_OPTS_SHOW, &video, err));
    fw_status st = FW_OK;
    bool done = false;
    for (int after = 0; st == FW_OK && after < 5 && fw_env_steps(env) < fw_env_time_limit(env); after += done) {
        float a[FW_DIM_MAX];
        char text[360];
        st = fw_expert_act(env, a, &done, err);
        snprintf(text, sizeof text, "%.200s   [%s]", sentence, fw_expert_phase(env));
        st = st != FW_OK ? st : compose(env, text, rgb, tile, err);
        st = st != FW_OK ? st : fw_video_writer_add(video, rgb, false, err);
        st = st != FW_OK ? st : fw_env_step(env, a, err);
    }
    fw_env_judge(env, v);
    if (st != FW_OK) {
        fw_video_writer_abort(video);
        return st;
    }
    return fw_video_writer_close(video, err);
}

/* What an episode was like: a view a step, to draw some of them when its length is known. */
typedef struct reel {
    int n, n_view;
    double *view;       /* [cap,n_view] */
    const char **phase; /* [cap], static texts: what the expert was at */
} reel;

static fw_status play(fw_env *env, reel *r, fw_err *err) {
    fw_status st = FW_OK;
    bool done = false;
    for (int after = 0; st == FW_OK && after < 5 && r->n < fw_env_time_limit(env); after += done) {
        float a[FW_DIM_MAX];
        fw_sim_view(fw_env_sim(env), r->view + (size_t)r->n * (size_t)r->n_view);
        st = fw_expert_act(env, a, &done, err);
        r->phase[r->n++] = fw_expert_phase(env);
        st = st != FW_OK ? st : fw_env_step(env, a, err);
    }
    return st;
}

/* MOMENTS views from the first to the last, front camera. rgb [MOMENTS,SHEET_PX,SHEET_PX,3]: scratch. */
static fw_status draw_moments(fw_env *env, const reel *r, const char *out, const char *heading, bool success,
                              uint8_t *rgb, fw_err *err) {
    const fw_embodiment *b = fw_env_embodiment(env);
    fw_tile tiles[MOMENTS];
    char caption[MOMENTS][64];
    for (int k = 0; k < MOMENTS; k++) {
        int i = k * (r->n - 1) / (MOMENTS - 1);
        uint8_t *picture = rgb + (size_t)k * 3 * SHEET_PX * SHEET_PX;
        FW_TRY(fw_sim_render_view(fw_env_sim(env), r->view + (size_t)i * (size_t)r->n_view, i, b->camera[0].name,
                                  SHEET_PX, SHEET_PX, picture, err));
        snprintf(caption[k], sizeof caption[k], "%.1f s  %.40s", i / b->rate_hz, r->phase[i]);
        int mark = k < MOMENTS - 1 ? 0 : success ? 1 : -1;
        tiles[k] = (fw_tile){.rgb = picture, .h = SHEET_PX, .w = SHEET_PX, .caption = caption[k], .mark = mark};
    }
    return fw_sheet_write(out, heading, tiles, MOMENTS, SHEET_COLUMNS, SHEET_PX, err);
}

static fw_status sheet(fw_env *env, const char *out, const char *sentence, fw_verdict *v, fw_err *err) {
    size_t cap = (size_t)fw_env_time_limit(env);
    reel r = {.n_view = fw_sim_view_size(fw_env_sim(env))};
    r.view = calloc(cap * (size_t)r.n_view, sizeof *r.view);
    r.phase = calloc(cap, sizeof *r.phase);
    uint8_t *rgb = malloc((size_t)MOMENTS * 3 * SHEET_PX * SHEET_PX);
    fw_status st = r.view != NULL && r.phase != NULL && rgb != NULL ? play(env, &r, err)
                                                                    : fw_fail(err, FW_NOMEM, "%s: pictures", out);
    fw_env_judge(env, v);
    st = st != FW_OK ? st : draw_moments(env, &r, out, sentence, v->success, rgb, err);
    free(rgb);
    free(r.phase);
    free(r.view);
    return st;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

int sim_show(int argc, char **argv) {
    const char *suite = "kitchen3", *task = NULL, *out = NULL, *moments = NULL, *embodiment = NULL, *randomise = NULL,
               *homes = NULL;
    int64_t seed = 1;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("suite", &suite, "NAME", "which tasks"),
        FW_ARG_STR("task", &task, "NAME", "which one; the suite's first otherwise"),
        FW_ARG_STR("embodiment", &embodiment, "NAME", "another robot than the suite's"),
        FW_ARG_STR("randomise", &randomise, "NAME", "what the scene draws: flywheel sim ranges NAME; the suite's"),
        FW_ARG_STR("homes", &homes, "A:N", "N homes from number A on, instead of the suite's"),
        FW_ARG_INT("seed", &seed, 0, 1ll << 53, "S", "the scene"),
        FW_ARG_STR("out", &out, "FILE", ".png: the scene; .mp4: the expert at work"),
        FW_ARG_STR("sheet", &moments, "FILE", "instead of --out: a .png with moments of the expert at work"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "sim show",
        .example = "flywheel sim show --task mug_in_sink --seed 7 --out mug.mp4\n"
                   "flywheel sim show --suite furniture3 --task make_coffee --seed 7 --sheet coffee.png",
        .what = "A picture of a scene, or the scripted expert in it as a video (front and wrist camera) or as a "
                "contact sheet (front)."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    bool as_sheet = moments != NULL;
    if ((out == NULL) != as_sheet || (as_sheet && !ends_with(moments, ".png")) ||
        (out != NULL && !ends_with(out, ".png") && !ends_with(out, ".mp4"))) {
        fprintf(stderr, "flywheel sim show: wants --out FILE.png, --out FILE.mp4 or --sheet FILE.png\n");
        return 2;
    }
    out = as_sheet ? moments : out;
    fw_err err = {FW_OK, ""};
    fw_env *env = NULL;
    fw_env_opts opts;
    if (sim_env_opts(embodiment, randomise, homes, &opts, &err) != FW_OK) {
        cli_fail(&err);
        return 2;
    }
    fw_verdict v = {.success = false};
    uint8_t *rgb = malloc((size_t)3 * 2 * SHOW_PX * (SHOW_PX + SHOW_BAR)),
            *tile = malloc((size_t)3 * SHOW_PX * SHOW_PX);
    fw_status st =
        rgb != NULL && tile != NULL ? fw_env_open(suite, &opts, &env, &err) : fw_fail(&err, FW_NOMEM, "pictures");
    int t = st == FW_OK && task != NULL ? fw_env_task_find(env, task) : 0;
    if (st == FW_OK && t < 0) {
        st = fw_fail(&err, FW_INVALID, "suite %s has no task '%s'; its first is %s", suite, task,
                     fw_env_task_name(env, 0));
    }
    st = st != FW_OK ? st : fw_env_reset(env, t, (uint64_t)seed, &err);
    if (st == FW_OK && as_sheet) {
        st = sheet(env, out, fw_env_sentence(env, t, FW_SPLIT_TRAIN, 0), &v, &err);
    } else if (st == FW_OK && ends_with(out, ".png")) {
        st = compose(env, fw_env_sentence(env, t, FW_SPLIT_TRAIN, 0), rgb, tile, &err);
        st = st != FW_OK ? st : fw_png_write(out, rgb, SHOW_PX + SHOW_BAR, 2 * SHOW_PX, &err);
    } else if (st == FW_OK) {
        st = film(env, out, fw_env_sentence(env, t, FW_SPLIT_TRAIN, 0), rgb, tile, &v, &err);
    }
    int steps = st == FW_OK ? fw_env_steps(env) : 0;
    fw_env_close(env);
    free(tile);
    free(rgb);
    if (st != FW_OK) {
        return cli_fail(&err);
    }
    if (json) {
        return cli_json(json_pack("{s:s, s:b, s:i}", "out", out, "success", v.success, "steps", steps));
    }
    printf("%s\n", out);
    return 0;
}
