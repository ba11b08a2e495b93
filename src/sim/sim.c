/* sim.c - open, reset, step, look: the parts of sim.h that are neither robot, lots nor pictures. MuJoCo's errors end here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fw/embodiment.h"
#include "sim/sim_int.h"

/* --- errors: MuJoCo ends the process on a fatal one; inside sim_guard we jump out instead and say what it said. */
static _Thread_local jmp_buf guard_exit;
static _Thread_local bool guarded;
static _Thread_local char guard_message[200];

static void on_log(const mjLogMessage *msg) {
    if (msg->level == mjLOG_ERROR && guarded) {
        snprintf(guard_message, sizeof guard_message, "%.190s", msg->subject);
        guarded = false;
        longjmp(guard_exit, 1);
    }
    if (msg->level == mjLOG_ERROR) {
        fw_error("MuJoCo: %s", msg->subject);
    } else {
        fw_debug("MuJoCo: %s", msg->subject);
    }
}

fw_status sim_guard(void (*fn)(void *ctx), void *ctx, const char *what, fw_err *err) {
    mju_setLogHandler(on_log);
    if (setjmp(guard_exit) != 0) {
        return fw_fail(err, FW_CLOSED, "%s: MuJoCo: %s", what, guard_message);
    }
    guarded = true;
    fn(ctx);
    guarded = false;
    return FW_OK;
}

/* --- open and close */
typedef struct build_args {
    fw_sim *s;
    fw_built *out;
    fw_status st;
    fw_err *err;
} build_args;

static void free_built(fw_built *b) {
    sim_renderer_free(b->r);
    mj_deleteData(b->eye);
    mj_deleteData(b->ik);
    mj_deleteData(b->d);
    mj_deleteModel(b->m0);
    mj_deleteModel(b->m);
    free(b->body_kind);
    free(b->body_hinge);
    free(b->is_robot);
    memset(b, 0, sizeof *b);
}

static void build(void *ctx) {
    build_args *a = ctx;
    a->st = sim_build_model(a->s, &a->out->m, a->err);
    if (a->st != FW_OK) {
        return;
    }
    /* a short arm is looked at from nearer */
    sim_decimate(a->out->m, 0.012 * fmin(1, robot_reach(a->s->robot)->far_m / 0.5));
    a->out->m0 = mj_copyModel(NULL, a->out->m);
    a->out->d = mj_makeData(a->out->m);
    a->out->ik = mj_makeData(a->out->m);
    a->out->eye = a->s->opts.render ? mj_makeData(a->out->m) : NULL;
    bool eye = a->out->eye != NULL || !a->s->opts.render;
    if (a->out->m0 == NULL || a->out->d == NULL || a->out->ik == NULL || !eye) {
        a->st = fw_fail(a->err, FW_NOMEM, "simulator");
    }
}

/* Tell the draws what of the model is what. */
static fw_status bind_draws(fw_sim *s, fw_err *err) {
    s->b.is_robot = calloc((size_t)s->m->nbody, sizeof *s->b.is_robot);
    if (s->b.is_robot == NULL) {
        return fw_fail(err, FW_NOMEM, "simulator");
    }
    for (int b = 0; b < s->m->nbody; b++) {
        s->b.is_robot[b] = s->b.body_kind[b] >= KIND_ROBOT;
    }
    rz_parts parts = {.n_obj = s->world.n_obj, .obj_body = s->obj_body, .body_is_robot = s->b.is_robot};
    return rz_bind(s->rz, s->m, &parts, err);
}

/* Compile the room of this home in place of the one that stands. */
static fw_status move_to(fw_sim *s, uint64_t home, fw_err *err) {
    free_built(&s->b);
    s->home = home;
    build_args args = {s, &s->b, FW_OK, err};
    fw_status st = sim_guard(build, &args, "building the room", err);
    st = st != FW_OK ? st : args.st;
    s->m = s->b.m, s->m0 = s->b.m0, s->d = s->b.d;
    if (st == FW_OK) {
        double dt = 1 / robot_embodiment(s->robot)->rate_hz;
        s->n_sub = (int)lround(dt / s->m->opt.timestep);
        st = robot_bind(s->robot, s->m, err);
    }
    if (st == FW_OK) {
        st = sim_index(s, err);
    }
    if (st == FW_OK) {
        st = bind_draws(s, err);
    }
    if (st == FW_OK && s->opts.render) {
        st = sim_renderer_new(s->m, s->opts.max_px, &s->b.r, err);
    }
    if (st != FW_OK) {
        free_built(&s->b);
        s->m = s->m0 = NULL;
        s->d = NULL;
    }
    return st;
}

typedef struct load_args {
    fw_sim *s;
    const char *embodiment;
    fw_status st;
    fw_err *err;
} load_args;

static void load_robot(void *ctx) {
    load_args *a = ctx;
    a->st = robot_load(a->s->home_dir, a->embodiment, &a->s->robot, a->err);
}

fw_status fw_sim_open(const char *home_dir, const fw_setting *setting, const char *embodiment, const fw_sim_opts *opts,
                      fw_sim **out, fw_err *err) {
    if (mj_version() != mjVERSION_HEADER) {
        return fw_fail(err, FW_UNSUPPORTED, "MuJoCo library is version %d, built for %d", mj_version(),
                       mjVERSION_HEADER);
    }
    fw_sim *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "simulator");
    }
    s->setting = setting;
    s->opts = *opts;
    s->opts.randomise = s->opts.look = NULL; /* rz has read them */
    snprintf(s->home_dir, sizeof s->home_dir, "%s", home_dir);
    load_args load = {s, embodiment, FW_OK, err};
    fw_status st = sim_guard(load_robot, &load, "loading the robot", err);
    st = st != FW_OK ? st : load.st;
    if (st == FW_OK) {
        st = rz_open(home_dir, opts->randomise, opts->look, &s->rz, err);
    }
    if (st == FW_OK) {
        st = move_to(s, opts->home_count > 0 ? opts->home_first : 0, err);
    }
    if (st != FW_OK) {
        fw_sim_close(s);
        return st;
    }
    *out = s;
    return FW_OK;
}

void fw_sim_close(fw_sim *s) {
    if (s == NULL) {
        return;
    }
    free_built(&s->b);
    robot_free(s->robot);
    rz_free(s->rz);
    free(s->cloth);
    free(s);
}

const fw_scene *fw_sim_scene(const fw_sim *s) {
    return &s->scene;
}
const fw_embodiment *fw_sim_embodiment(const fw_sim *s) {
    return robot_embodiment(s->robot);
}
const fw_reach *fw_sim_reach(const fw_sim *s) {
    return robot_reach(s->robot);
}
uint64_t fw_sim_home_of(const fw_sim_opts *opts, uint64_t layout_seed) {
    fw_rng r = fw_rng_stream(layout_seed, "home");
    return opts->home_count > 0 ? opts->home_first + fw_rng_below(&r, opts->home_count) : 0;
}
const char *fw_sim_version(void) {
    static char text[32];
    snprintf(text, sizeof text, "mujoco %s", mj_versionString());
    return text;
}
uint64_t fw_sim_home(const fw_sim *s) {
    return s->home;
}
bool fw_sim_diverged(const fw_sim *s) {
    return s->diverged;
}
int64_t fw_sim_frame(const fw_sim *s) {
    return llround(s->scene.t_s * robot_embodiment(s->robot)->rate_hz);
}
bool fw_sim_held_out(const fw_sim *s) {
    return rz_ranges(s->rz)->held_out;
}
void fw_sim_state(const fw_sim *s, float *state) {
    robot_state(s->robot, s->m, s->d, state);
    rz_state(s->rz, robot_embodiment(s->robot), fw_sim_frame(s), state);
}

/* --- time */
typedef struct step_args {
    fw_sim *s;
    const float *action;
} step_args;

static bool finite_state(const mjData *d) {
    return d->warning[mjWARN_BADQPOS].number + d->warning[mjWARN_BADQVEL].number + d->warning[mjWARN_BADQACC].number ==
           0;
}

static void step(void *ctx) {
    step_args *a = ctx;
    fw_sim *s = a->s;
    robot_plan(s->robot, s->m, s->d, s->b.ik, a->action);
    for (int i = 0; i < s->n_sub && finite_state(s->d); i++) {
        robot_apply(s->robot, s->m, s->d, (double)(i + 1) / s->n_sub);
        rz_eye(s->rz, s->m, s->d, i, s->n_sub);
        rz_drive(s->rz, s->d);
        mj_step(s->m, s->d);
    }
    rz_eye(s->rz, s->m, s->d, s->n_sub, s->n_sub);
    robot_finish(s->robot);
    mj_forward(s->m, s->d); /* so that poses and contacts belong to the new state */
}

static void look(fw_sim *s) {
    sim_observe(s);
    if (s->setting->tick != NULL) {
        s->setting->tick(s, &s->scene);
    }
}

fw_status fw_sim_step(fw_sim *s, const float *action, fw_err *err) {
    step_args args = {s, action};
    if (s->diverged) {
        return fw_fail(err, FW_CLOSED, "the episode ended: physics diverged");
    }
    for (int i = 0; i < robot_embodiment(s->robot)->n_action; i++) {
        if (!isfinite(action[i])) {
            return fw_fail(err, FW_INVALID, "action[%d] is not a finite number", i);
        }
    }
    fw_status st = sim_guard(step, &args, "physics step", err);
    if (st == FW_OK && !finite_state(s->d)) {
        st = fw_fail(err, FW_CLOSED, "physics diverged at %.2f s", s->d->time);
    }
    if (st != FW_OK) {
        s->diverged = true;
        return st;
    }
    look(s);
    return FW_OK;
}

/* --- motors commanded from outside */
typedef struct drive_args {
    fw_sim *s;
    const fw_sim_drive *drive;
} drive_args;

static void drive_step(void *ctx) {
    drive_args *a = ctx;
    fw_sim *s = a->s;
    robot_drive(s->robot, s->m, s->m0, s->d, a->drive);
    rz_eye(s->rz, s->m, s->d, s->sub, s->n_sub);
    rz_drive(s->rz, s->d);
    mj_step(s->m, s->d);
    s->sub++;
    if (s->sub == s->n_sub) {
        rz_eye(s->rz, s->m, s->d, s->n_sub, s->n_sub);
        mj_forward(s->m, s->d);
    }
}

fw_status fw_sim_drive_step(fw_sim *s, const fw_sim_drive *drive, bool *looked, fw_err *err) {
    *looked = false;
    if (s->diverged) {
        return fw_fail(err, FW_CLOSED, "the episode ended: physics diverged");
    }
    fw_status st = sim_guard(drive_step, &(drive_args){s, drive}, "physics step", err);
    if (st == FW_OK && !finite_state(s->d)) {
        st = fw_fail(err, FW_CLOSED, "physics diverged at %.2f s", s->d->time);
    }
    s->diverged = st != FW_OK;
    *looked = st == FW_OK && s->sub == s->n_sub;
    if (*looked) {
        s->sub = 0;
        look(s);
    }
    return st;
}

static void forward(void *ctx) {
    fw_sim *s = ctx;
    mj_forward(s->m, s->d);
}

void fw_sim_refresh(fw_sim *s) {
    if (!s->diverged && sim_guard(forward, s, "looking", NULL) == FW_OK) {
        sim_observe(s);
    }
}

int fw_sim_n_axis(const fw_sim *s) {
    return robot_n_axis(s->robot);
}
void fw_sim_axes(const fw_sim *s, fw_sim_axis *out) {
    robot_axes(s->robot, s->d, out);
}
double fw_sim_timestep(const fw_sim *s) {
    return s->m->opt.timestep;
}
void fw_sim_push(fw_sim *s, int axis, const double force[3]) {
    mju_copy3(s->d->xfrc_applied + 6 * robot_axis_body(s->robot, s->m, axis), force);
}

/* --- a new episode */
static void draw_starts(fw_sim *s, fw_rng *layout) {
    double k = fmin(1, robot_reach(s->robot)->far_m / 0.66); /* a small robot's hand starts in a small region */
    for (int a = 0; a < robot_n_arm(s->robot); a++) {
        fw_arm_start h;
        robot_home(s->robot, a, &h);
        h.pos[0] += k * fw_rng_uniform(layout, -0.04, 0.04);
        h.pos[1] += k * fw_rng_uniform(layout, -0.06, 0.06);
        h.pos[2] += k * fw_rng_uniform(layout, -0.03, 0.03);
        h.yaw += fw_rng_uniform(layout, -0.15, 0.15);
        s->start[a] = s->start_set[a] ? s->start[a] : h;
    }
    robot_draw_base(s->robot, layout, s->start_base);
}

typedef struct reset_args {
    fw_sim *s;
    const fw_seeds *seeds;
} reset_args;

static void reset(void *ctx) {
    reset_args *a = ctx;
    fw_sim *s = a->s;
    const fw_seeds *seeds = a->seeds;
    fw_rng layout = fw_rng_stream(seeds->layout, "layout"), visual = fw_rng_stream(seeds->visual, "visual"),
           dynamics = fw_rng_stream(seeds->dynamics, "dynamics");
    robot_engage(s->robot, s->m, s->m0);
    rz_dynamics(s->rz, s->m, s->m0, &dynamics, seeds->dynamics);
    mj_setConst(s->m, s->d);
    mj_resetData(s->m, s->d);
    s->sub = 0;
    memset(s->start_set, 0, sizeof s->start_set);
    mj_kinematics(s->m, s->d);
    sim_observe_furniture(s);
    robot_view(s->robot, s->m, s->d, &s->scene); /* as built, whatever was before: things are arranged for its hands */
    for (int o = 0; o < s->world.n_obj; o++) {   /* what the last episode parked has its weight again */
        s->m->body_gravcomp[s->obj_body[o]] = s->m0->body_gravcomp[s->obj_body[o]];
    }
    if (s->setting->arrange != NULL) {
        s->setting->arrange(s, &layout);
    }
    draw_starts(s, &layout);
    rz_clear(s->rz, s->m, s->m0);
    if (s->setting->paint != NULL) {
        s->setting->paint(s, &visual);
    }
    rz_visual(s->rz, s->m, s->m0, &visual, seeds->visual);
    robot_start(s->robot, s->m, s->d, s->b.ik, s->start_base, s->start);
    robot_apply(s->robot, s->m, s->d, 1);
    double settle_s = s->setting->settle_s > 0 ? s->setting->settle_s : 0.3;
    for (int i = 0; i < (int)lround(settle_s / s->m->opt.timestep); i++) {
        mj_step(s->m, s->d);
    }
    s->d->time = 0;
    mj_forward(s->m, s->d);
}

static void note_starts(fw_sim *s) {
    fw_scene *v = &s->scene;
    for (int o = 0; o < v->n_obj; o++) {
        mju_copy3(v->obj[o].start, v->obj[o].pos);
        v->obj[o].start_yaw = v->obj[o].yaw;
        v->obj[o].lifted = 0;
    }
}

fw_status fw_sim_reset(fw_sim *s, const fw_seeds *seeds, fw_err *err) {
    uint64_t home = fw_sim_home_of(&s->opts, seeds->layout);
    if (s->m == NULL || home != s->home) {
        FW_TRY(move_to(s, home, err));
    }
    s->diverged = false;
    memset(s->scene.aux, 0, sizeof s->scene.aux);
    fw_status st = sim_guard(reset, &(reset_args){s, seeds}, "settling the scene", err);
    if (st == FW_OK && !finite_state(s->d)) {
        st = fw_fail(err, FW_CLOSED, "seed %llu: physics diverged while settling", (unsigned long long)seeds->layout);
    }
    s->diverged = st != FW_OK;
    if (st != FW_OK) {
        return st;
    }
    sim_observe(s);
    note_starts(s);
    rz_begin(s->rz, s->m, s->d, &s->scene);
    if (s->setting->tick != NULL) {
        s->setting->tick(s, &s->scene);
    }
    return FW_OK;
}

/* --- pictures: always of a view, so that a live one and one from a log are drawn by the same code */
int fw_sim_view_size(const fw_sim *s) {
    return rz_view_size(s->rz, s->m);
}

void fw_sim_view(fw_sim *s, double *view) {
    memcpy(view, rz_view(s->rz, s->m, s->d), (size_t)fw_sim_view_size(s) * sizeof *view);
}

typedef struct put_args {
    fw_sim *s;
    const double *view;
} put_args;

static void put(void *ctx) {
    put_args *a = ctx;
    rz_view_put(a->s->rz, a->s->m, a->s->b.eye, a->view);
}

fw_status fw_sim_render_view(fw_sim *s, const double *view, int64_t frame, const char *camera, int w, int h,
                             uint8_t *rgb, fw_err *err) {
    if (s->b.r == NULL) {
        return fw_fail(err, FW_INVALID, "a picture of a simulator that was opened without rendering");
    }
    int cam = mj_name2id(s->m, mjOBJ_CAMERA, camera);
    if (cam < 0) {
        const fw_embodiment *e = robot_embodiment(s->robot);
        return fw_fail(err, FW_INVALID, "no camera '%s'; %s has %d, the first is %s", camera, e->name, e->n_camera,
                       e->n_camera > 0 ? e->camera[0].name : "missing");
    }
    FW_TRY(sim_guard(put, &(put_args){s, view}, "drawing a view", err));
    FW_TRY(sim_renderer_textures(s->b.r, s->m, rz_stale_textures(s->rz), err));
    FW_TRY(sim_renderer_draw(s->b.r, s->m, s->b.eye, cam, w, h, rgb, err));
    return rz_picture(s->rz, camera, frame, w, h, rgb, err);
}

fw_status fw_sim_render(fw_sim *s, const char *camera, int w, int h, uint8_t *rgb, fw_err *err) {
    if (s->m == NULL) {
        return fw_fail(err, FW_INVALID, "a picture before the first reset");
    }
    return fw_sim_render_view(s, rz_view(s->rz, s->m, s->d), fw_sim_frame(s), camera, w, h, rgb, err);
}
