/*
 * data_render.c - `flywheel data render`: the episodes of a simulated dataset seen by other cameras, in other sizes, in another look.
 *
 * DESIGN. What an episode's cameras saw lies beside it as numbers (data/replay.h): its scene is set up from its seeds, with another
 * visual seed or other ranges of what is seen where asked for, and each of these views is drawn. Nothing is simulated again, unless
 * an episode has no views: it is played from its seeds then, and must play to the recorded bits. Numbers, sentences and provenance are
 * those of the source; the fields seed_visual and look say how it was drawn. Workers (crew.h) draw, the parent encodes; the result
 * does not depend on their number. Pictures go through a file without a name, as an episode of large ones does not fit in memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "crew.h"
#include "data.h"
#include "data/cache.h"
#include "data/writer.h"
#include "sim/ranges.h"
#include "task/player.h"

enum { SIDE_MAX = 640, FIELDS_MAX = 64 };

typedef struct camera {
    char name[FW_NAME_MAX];
    int h, w;
} camera;

typedef struct render {
    const char *dir, *out, *cameras, *size, *look;
    int64_t seed; /* -1: every episode keeps its own */
    int64_t workers;
    bool resume, json;
    fw_dataset *ds; /* the parent's; workers open their own */
    int n_camera;
    camera camera[FW_MAX_CAMERAS];
} render;

static size_t frame_bytes(const camera *c) {
    return 3 * (size_t)c->h * (size_t)c->w;
}

/* How episode r is to look. */
static fw_replay redrawn(const render *m, const fw_replay *r) {
    fw_replay out = *r;
    char key[FW_REPLAY_KEY], name[64];
    if (m->look != NULL) {
        snprintf(out.look, sizeof out.look, "%s", strcmp(m->look, r->ranges) == 0 ? "" : m->look);
    }
    if (m->seed >= 0) { /* by the episode, wherever it stands */
        fw_replay_key(r, key);
        snprintf(name, sizeof name, "render %s", key);
        fw_rng rng = fw_rng_stream((uint64_t)m->seed, name);
        out.seed[FW_SEED_VISUAL] = fw_rng_u64(&rng);
    }
    return out;
}

/* --- the worker */
typedef struct painter {
    const render *m;
    fw_dataset *ds;
    fw_player *eye, *blind; /* draws; plays what has no views (NULL until then) */
    uint8_t *rgb;           /* one picture */
    int fd;
} painter;

/* No views were kept: play it again, to the recorded bits. */
static fw_status views_by_playing(painter *p, int64_t k, const fw_replay *r, fw_views *out, fw_err *err) {
    const fw_demo *d;
    fw_episode ep;
    fw_replay_difference diff;
    char text[200];
    if (p->blind == NULL) {
        FW_TRY(fw_player_new(p->ds->robot_type, false, &p->blind, err));
    }
    FW_TRY(fw_player_play(p->blind, r, &d, err));
    FW_TRY(fw_dataset_read_episode(p->ds, k, &ep, err));
    fw_replay_compare(d, &ep, NULL, NULL, &diff);
    fw_replay_text(&diff, ep.length, text, sizeof text);
    fw_episode_clear(&ep);
    if (diff.n_part > 0) {
        return fw_fail(err, FW_FORMAT, "no views, and it plays otherwise: %s", text);
    }
    size_t n = (size_t)d->length, size = (size_t)d->n_view * sizeof(double);
    *out = (fw_views){.n_frame = d->length, .n_view = d->n_view};
    out->frame = malloc(n * sizeof(int64_t));
    out->view = malloc(n * size);
    if (out->frame == NULL || out->view == NULL) {
        fw_views_clear(out);
        return fw_fail(err, FW_NOMEM, "%d views", d->length);
    }
    memcpy(out->frame, d->frame, n * sizeof(int64_t));
    memcpy(out->view, d->view, n * size);
    return FW_OK;
}

static fw_status draw_views(painter *p, const fw_replay *r, const fw_views *v, bool *heard, fw_err *err) {
    const render *m = p->m;
    fw_env *env = NULL;
    FW_TRY(fw_player_stand(p->eye, r, &env, err));
    fw_sim *sim = fw_env_sim(env);
    if (fw_sim_view_size(sim) != v->n_view) {
        return fw_fail(err, FW_UNSUPPORTED, "its views have %d numbers, this scene has %d: it was built otherwise",
                       v->n_view, fw_sim_view_size(sim));
    }
    for (int c = 0; c < m->n_camera; c++) {
        const camera *k = &m->camera[c];
        for (int64_t t = 0; *heard && t < v->n_frame; t++) {
            FW_TRY(fw_sim_render_view(sim, v->view + t * v->n_view, v->frame[t], k->name, k->w, k->h, p->rgb, err));
            *heard = crew_write(p->fd, p->rgb, frame_bytes(k));
        }
    }
    return FW_OK;
}

static fw_status draw_episode(painter *p, int64_t k, bool *heard, fw_err *err) {
    fw_replay r, new;
    fw_views v = {0};
    FW_TRY(fw_replay_read(p->ds, k, &r, err));
    new = redrawn(p->m, &r);
    fw_status st = fw_views_exist(p->ds->dir, &r) ? fw_views_read(p->ds->dir, &r, p->ds->episodes[k].length, &v, err)
                                                  : views_by_playing(p, k, &r, &v, err);
    st = st == FW_OK ? fw_views_write(p->m->out, &new, &v, err) : st; /* so that it can be drawn again */
    if (st == FW_OK) {
        *heard = crew_head(p->fd, k);
        st = draw_views(p, &new, &v, heard, err);
    }
    fw_views_clear(&v);
    return st;
}

static fw_status work(void *ctx, int64_t first, int64_t step, int fd, fw_err *err) {
    painter p = {.m = ctx, .fd = fd};
    bool heard = true;
    fw_status st = fw_dataset_open(p.m->dir, &p.ds, err);
    st = st == FW_OK ? fw_player_new(p.ds->robot_type, true, &p.eye, err) : st;
    if (st == FW_OK && (p.rgb = malloc((size_t)3 * SIDE_MAX * SIDE_MAX)) == NULL) {
        st = fw_fail(err, FW_NOMEM, "picture");
    }
    for (int64_t k = first; st == FW_OK && heard && k < p.ds->n_episodes; k += step) {
        st = draw_episode(&p, k, &heard, err);
        if (st != FW_OK) {
            char why[200];
            snprintf(why, sizeof why, "%.190s", err->msg);
            st = fw_fail(err, st, "ep %lld: %s", (long long)k, why);
        }
    }
    fw_player_free(p.blind);
    fw_player_free(p.eye);
    fw_dataset_close(p.ds);
    free(p.rgb);
    return st;
}

/* --- the parent */
typedef struct reel {
    int64_t length;
    fw_map map; /* pictures of all cameras, one after the other [length,h,w,3] */
    uint8_t *camera[FW_MAX_CAMERAS];
} reel;

/* Room for an episode's pictures, on disk, gone when it is closed. */
static fw_status reel_size(const render *m, int64_t length, reel *r, fw_err *err) {
    char path[3200];
    size_t need = 0;
    for (int c = 0; c < m->n_camera; c++) {
        need += (size_t)length * frame_bytes(&m->camera[c]);
    }
    if (need > r->map.size) {
        fw_map_close(&r->map);
        r->map = (fw_map){NULL, 0};
        FW_TRY(fw_path_join(path, sizeof path, m->out, ".staging/pictures", err));
        FW_TRY(fw_map_create(path, need, &r->map, err));
        unlink(path);
    }
    uint8_t *at = r->map.data;
    for (int c = 0; c < m->n_camera; c++) {
        r->camera[c] = at;
        at += (size_t)length * frame_bytes(&m->camera[c]);
    }
    r->length = length;
    return FW_OK;
}

static fw_status take(void *ctx, int64_t k, int fd, void *into, fw_err *err) {
    const render *m = ctx;
    const reel *r = into;
    for (int c = 0; c < m->n_camera; c++) {
        if (!crew_read(fd, r->camera[c], (size_t)r->length * frame_bytes(&m->camera[c]))) {
            return fw_fail(err, FW_CLOSED, "a worker ended inside episode %lld", (long long)k);
        }
    }
    return FW_OK;
}

/* The source's provenance, except for how it was drawn. fields [FIELDS_MAX] are changed for it. */
static fw_status provenance_of(const render *m, int64_t k, fw_replay *r, fw_field *fields, fw_provenance *out,
                               fw_err *err) {
    FW_TRY(fw_replay_read(m->ds, k, r, err));
    *r = redrawn(m, r);
    *out = fw_dataset_provenance(m->ds, k);
    out->n_fields = fw_dataset_fields(m->ds, k, fields, FIELDS_MAX);
    for (int i = 0; i < out->n_fields; i++) {
        if (strcmp(fields[i].name, "look") == 0) {
            fields[i].text = r->look;
        } else if (strcmp(fields[i].name, "seed_visual") == 0) {
            fields[i].i = (int64_t)r->seed[FW_SEED_VISUAL];
        }
    }
    out->fields = fields;
    return FW_OK;
}

static fw_status write_episode(const render *m, fw_writer *w, int64_t k, const fw_episode *ep,
                               const fw_episode_marks *marks, const reel *r, fw_err *err) {
    fw_field fields[FIELDS_MAX];
    fw_replay replay;
    fw_provenance prov;
    FW_TRY(provenance_of(m, k, &replay, fields, &prov, err));
    for (int64_t t = 1; t < ep->length; t++) {
        if (ep->task[t] != ep->task[0]) {
            return fw_fail(err, FW_UNSUPPORTED, "%s: ep %lld: its sentence changes at frame %lld", m->dir, (long long)k,
                           (long long)t);
        }
    }
    fw_writer_episode out = {.length = ep->length,
                             .state = ep->state,
                             .action = ep->action,
                             .sentence = ep->sentence,
                             .provenance = &prov,
                             .marks = marks->m};
    for (int c = 0; c < m->n_camera; c++) {
        out.images[c] = r->camera[c];
    }
    return fw_writer_add_episode(w, &out, err);
}

static fw_status redraw(render *m, crew *c, fw_writer *w, int64_t k, reel *r, fw_err *err) {
    fw_episode ep;
    fw_episode_marks marks = {0};
    FW_TRY(fw_dataset_read_episode(m->ds, k, &ep, err));
    fw_status st = fw_dataset_read_marks(m->ds, k, &marks, err);
    st = st == FW_OK ? reel_size(m, ep.length, r, err) : st;
    st = st == FW_OK ? crew_take(c, k, r, err) : st;
    st = st == FW_OK ? write_episode(m, w, k, &ep, &marks, r, err) : st;
    fw_episode_marks_clear(&marks);
    fw_episode_clear(&ep);
    return st;
}

static fw_status redraw_all(render *m, fw_writer *w, fw_err *err) {
    int64_t first = fw_writer_episodes(w), n = m->ds->n_episodes, left = n - first;
    const crew_job job = {
        .workers = (int)(m->workers < left ? m->workers : left), .work = work, .take = take, .ctx = m};
    crew c = {.n = 0};
    reel r = {.length = 0};
    fw_progress progress;
    if (left <= 0) {
        return FW_OK;
    }
    fw_status st = crew_hire(&c, &job, first, err);
    fw_progress_start(&progress, "episodes", (uint64_t)left);
    for (int64_t k = first; st == FW_OK && k < n; k++) {
        st = redraw(m, &c, w, k, &r, err);
        fw_progress_update(&progress, (uint64_t)(k + 1 - first), NULL);
    }
    fw_progress_end(&progress);
    crew_dismiss(&c);
    fw_map_close(&r.map);
    return st;
}

/* --- what is wanted */
static fw_status parse_size(const char *text, int *w, int *h, fw_err *err) {
    char *end = NULL;
    long a = strtol(text, &end, 10), b = a;
    if (end != text && *end == 'x') {
        const char *second = end + 1;
        b = strtol(second, &end, 10);
        end = end == second ? NULL : end;
    }
    bool ok = end != NULL && end != text && *end == 0 && a >= 16 && b >= 16 && a <= SIDE_MAX && b <= SIDE_MAX &&
              a % 2 == 0 && b % 2 == 0;
    if (!ok) {
        return fw_fail(err, FW_INVALID, "--size %.40s: wanted WxH or PX, even, 16..%d", text, SIDE_MAX);
    }
    *w = (int)a, *h = (int)b;
    return FW_OK;
}

/* One camera: in the size it has in the dataset, else the robot's. */
static fw_status add_camera(render *m, const fw_embodiment *body, const char *name, size_t len, fw_err *err) {
    char known[300] = "";
    for (int i = 0; i < body->n_camera && m->n_camera < FW_MAX_CAMERAS; i++) {
        const char *own = body->camera[i].name;
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", at > 0 ? ", " : "", own);
        if (strlen(own) != len || memcmp(own, name, len) != 0) {
            continue;
        }
        camera *c = &m->camera[m->n_camera++];
        int had = fw_dataset_camera(m->ds, own);
        snprintf(c->name, sizeof c->name, "%s", own);
        c->w = had >= 0 ? m->ds->cameras[had].w : body->camera[i].width;
        c->h = had >= 0 ? m->ds->cameras[had].h : body->camera[i].height;
        for (int k = 0; k + 1 < m->n_camera; k++) {
            if (strcmp(m->camera[k].name, own) == 0) {
                return fw_fail(err, FW_INVALID, "--cameras: '%s' is there twice", own);
            }
        }
        return m->size != NULL ? parse_size(m->size, &c->w, &c->h, err) : FW_OK;
    }
    return fw_fail(err, FW_INVALID, "robot %s has no camera '%.*s'; it has %s", body->name, (int)(len < 60 ? len : 60),
                   name, known);
}

static fw_status choose_cameras(render *m, fw_err *err) {
    fw_embodiment body;
    FW_TRY(fw_embodiment_find(m->ds->robot_type, &body, err));
    for (int c = 0; m->cameras == NULL && c < m->ds->n_cameras; c++) {
        const char *name = m->ds->cameras[c].name;
        FW_TRY(add_camera(m, &body, name, strlen(name), err));
    }
    for (const char *p = m->cameras; p != NULL && *p != 0;) {
        size_t len = strcspn(p, ",");
        FW_TRY(add_camera(m, &body, p, len, err));
        p += p[len] == ',' ? len + 1 : len;
    }
    return m->n_camera > 0 ? FW_OK : fw_fail(err, FW_INVALID, "no cameras: --cameras names some of %s", body.name);
}

static fw_status check_look(const render *m, fw_err *err) {
    fw_ranges look;
    if (m->look == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_ranges_load(fw_home(), m->look, &look, err));
    return !look.held_out
               ? FW_OK
               : fw_fail(err, FW_INVALID, "--randomise %s: a held-out domain is never drawn in training data", m->look);
}

/* What a rewritten dataset would lose. */
static fw_status check_source(const fw_dataset *ds, fw_err *err) {
    static const char *const kept[] = {"observation.state", "action",       "timestamp",  "frame_index",
                                       "episode_index",     "index",        "task_index", "intervention",
                                       "advantage",         "subtask_index"};
    fw_replay r;
    for (int i = 0; i < ds->n_features; i++) {
        const fw_feature *f = &ds->features[i];
        bool known = strcmp(f->dtype, "video") == 0;
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) {
            known = known || strcmp(f->key, kept[k]) == 0;
        }
        if (!known) {
            return fw_fail(err, FW_UNSUPPORTED,
                           "%s: feature '%s' would be lost: only datasets of `sim make` are drawn "
                           "again",
                           ds->dir, f->key);
        }
    }
    int n_fields = ds->n_episodes > 0 ? fw_dataset_fields(ds, 0, NULL, 0) : 0;
    if (n_fields > FIELDS_MAX) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: its episodes have %d fields, wanted at most %d", ds->dir, n_fields,
                       FIELDS_MAX);
    }
    if (ds->n_state < 1 || ds->n_action < 1 || ds->n_episodes < 1) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: no episodes with state and action", ds->dir);
    }
    return fw_replay_read(ds, 0, &r, err);
}

/* --- the new dataset */
static json_t *recipe_of(const render *m, fw_err *err) {
    char identity[65];
    if (fw_dataset_identity(m->ds, identity, err) != FW_OK) {
        return NULL;
    }
    json_t *cameras = json_array();
    for (int c = 0; c < m->n_camera; c++) {
        json_array_append_new(cameras, json_pack("{s:s, s:i, s:i}", "name", m->camera[c].name, "width", m->camera[c].w,
                                                 "height", m->camera[c].h));
    }
    json_t *j = json_pack("{s:s, s:s, s:o, s:s?, s:I}", "from", m->dir, "identity", identity, "cameras", cameras,
                          "randomise", m->look, "seed", (json_int_t)m->seed);
    if (j == NULL) {
        fw_fail(err, FW_NOMEM, "%s: recipe", m->out);
    }
    return j;
}

/* How it was drawn, beside it: a resumed run must continue the same one. Called before (save false) and after the writer opens. */
static fw_status check_recipe(const render *m, bool save, fw_err *err) {
    char path[3100], info[3100];
    FW_TRY(fw_path_join(path, sizeof path, m->out, "meta/data_render.json", err));
    FW_TRY(fw_path_join(info, sizeof info, m->out, "meta/info.json", err));
    json_t *now = recipe_of(m, err), *old = NULL;
    if (now == NULL) {
        return FW_NOMEM;
    }
    fw_status st = FW_OK;
    if (fw_path_exists(path)) {
        st = fw_json_load(path, &old, err);
        if (st == FW_OK && !json_equal(old, now)) {
            st = fw_fail(err, FW_INVALID,
                         "%s: drawn from another dataset or with other cameras, sizes, look or seed; --resume must "
                         "repeat them",
                         path);
        }
    } else if (fw_path_exists(info)) {
        st = fw_fail(err, FW_INVALID, "%s: a dataset that `data render` did not begin", m->out);
    } else if (save) {
        info[strlen(info) - strlen("/info.json")] = 0;
        st = fw_mkdirs(info, err);
        st = st == FW_OK ? fw_json_save(path, now, 2, err) : st;
    }
    json_decref(old);
    json_decref(now);
    return st;
}

static fw_status open_writer(const render *m, fw_writer **w, fw_err *err) {
    const fw_dataset *ds = m->ds;
    fw_field fields[FIELDS_MAX];
    fw_writer_desc d = {.fps = (int)(ds->fps + 0.5),
                        .robot_type = ds->robot_type,
                        .n_state = ds->n_state,
                        .n_action = ds->n_action,
                        .state_names = (const char *const *)ds->state->names,
                        .action_names = (const char *const *)ds->action->names,
                        .n_cameras = m->n_camera,
                        .marks = ds->marks,
                        .n_fields = fw_dataset_fields(ds, 0, fields, FIELDS_MAX),
                        .fields = fields};
    if (ds->state->n_names != ds->n_state || ds->action->n_names != ds->n_action) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: %d of %d state and %d of %d action dimensions have a name", ds->dir,
                       ds->state->n_names, ds->n_state, ds->action->n_names, ds->n_action);
    }
    for (int c = 0; c < m->n_camera; c++) {
        d.cameras[c] = (fw_writer_camera){m->camera[c].name, m->camera[c].h, m->camera[c].w};
    }
    return fw_writer_open(m->out, &d, w, err);
}

static fw_status run(render *m, fw_err *err) {
    fw_writer *w = NULL;
    FW_TRY(fw_dataset_open(m->dir, &m->ds, err));
    FW_TRY(check_source(m->ds, err));
    FW_TRY(choose_cameras(m, err));
    FW_TRY(check_look(m, err));
    FW_TRY(check_recipe(m, false, err));
    FW_TRY(open_writer(m, &w, err));
    int64_t had = fw_writer_episodes(w);
    fw_status st = check_recipe(m, true, err);
    st = st == FW_OK ? redraw_all(m, w, err) : st;
    int64_t now = fw_writer_episodes(w);
    if (st == FW_OK) {
        return fw_writer_close(w, err);
    }
    if (now > had && fw_writer_close(w, NULL) == FW_OK) {
        fw_warn("%s: %lld episodes are safe; --resume continues", m->out, (long long)now);
    } else if (now <= had) {
        fw_writer_abort(w);
    }
    if (now == 0) { /* nothing to continue: what is there is this command's own, a recipe and views */
        (void)!fw_remove_tree(m->out, NULL);
    }
    return st;
}

int data_render(int argc, char **argv) {
    render m = {.seed = -1, .workers = sysconf(_SC_NPROCESSORS_ONLN)};
    const fw_arg args[] = {
        FW_ARG_STR("out", &m.out, "DIR", "the new dataset (required)"),
        FW_ARG_STR("size", &m.size, "WxH", "of every picture, or PX for squares; as they are otherwise"),
        FW_ARG_STR("cameras", &m.cameras, "A,B", "of the robot's; those of the dataset otherwise"),
        FW_ARG_STR("randomise", &m.look, "LOOK", "draw what is seen from these ranges: flywheel sim ranges LOOK"),
        FW_ARG_INT("seed", &m.seed, -1, 1ll << 53, "S", "draw new looks from it; -1: each episode's own"),
        FW_ARG_INT("workers", &m.workers, 1, CREW_MAX, "W", "processes; the result does not depend on it"),
        FW_ARG_BOOL("resume", &m.resume, "continue what is in --out"),
        FW_ARG_BOOL("json", &m.json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "data render",
        .example = "flywheel data render out/k3 --randomise broad --seed 2 --size 224 --out out/k3-broad",
        .what =
            "Draw the episodes of a simulated dataset again with other cameras, sizes or looks: numbers, sentences and "
            "provenance stay.",
        .paths = "DIR",
        .min_paths = 1,
        .max_paths = 1};
    fw_err err = {FW_OK, ""};
    int n_paths, w, h, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if ((code = data_need_out("data render", m.out)) != 0) {
        return code;
    }
    if (m.size != NULL && parse_size(m.size, &w, &h, &err) != FW_OK) {
        cli_fail(&err);
        return 2;
    }
    m.dir = argv[1];
    double began = fw_now_s();
    fw_status st = fw_path_exists(m.out) && !m.resume
                       ? fw_fail(&err, FW_INVALID, "%s is already there; --resume continues it", m.out)
                       : run(&m, &err);
    fw_dataset_close(m.ds);
    return st == FW_OK ? data_say_written(m.out, m.json, json_pack("{s:f}", "seconds", fw_now_s() - began))
                       : cli_fail(&err);
}
