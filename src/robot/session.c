/* session.c - see session.h: the thread, who moves the robot, and what is taken down of it. */
#include "robot/session.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "robot/tape.h"

enum { TICK_MS = 20, LATENCIES = 128, WORDS = 256, ASKED_TICKS = 100 };
#define TICK_S (1e-3 * TICK_MS)

typedef enum source { BY_SHARES, BY_JOINTS, BY_LEADER } source;

/* What the operator sent last, and where the robot is led. */
typedef struct operating {
    uint64_t who; /* holder of the token; 0: nobody */
    source by;
    int64_t heard_ns;
    float share[FW_DIM_MAX];
    float joints[FW_DRIVER_AXIS_MAX]; /* sent */
    float goal[FW_DRIVER_AXIS_MAX];   /* told the robot */
    float offset[FW_DRIVER_AXIS_MAX]; /* goal - joints, melting */
    bool joined;                      /* offset is known */
    bool was_autonomous;              /* before the take-over */
} operating;

/* A frame that waits for the end of its control step. */
typedef struct pending {
    bool there, touched;
    float state[FW_DIM_MAX], command[FW_DRIVER_AXIS_MAX];
    int64_t capture[1 + FW_CAM_MAX];
    char sentence[WORDS];
    uint8_t *image[FW_CAM_MAX]; /* owned */
} pending;

struct fw_session {
    fw_session_opts o;
    fw_embodiment e;
    int n;
    const fw_clock *clock;
    fw_tape *tape; /* NULL: nothing is recorded */
    int ticks_a_step;

    pthread_mutex_t
        lock; /* of what follows up to the thread's own; held for moments only, never by the control thread */
    operating op;
    fw_safety_mode wanted; /* FW_SAFETY_KEEP: nothing */
    int asked;             /* ticks */
    char sentence[WORDS];
    bool stopped;
    int success;     /* said of the open episode */
    bool cut;        /* the open episode ends */
    int cut_success; /* with this, or -1: what was said */
    bool incident;
    fw_session_status shown;

    /* the session's thread */
    fw_control_status now, before;
    pending next;
    float acted[FW_DIM_MAX]; /* the last step's action */
    bool has_acted, was_late;
    int64_t tick;
    double latency[LATENCIES];
    int64_t n_latency, chunks;

    pthread_t thread;
    _Atomic bool runs;
};

static int64_t clock_ns(const fw_session *s) {
    return s->clock->now_ns(s->clock->self);
}

FW_PRINTF(2, 3) static void tell(fw_session *s, const char *fmt, ...) {
    char line[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fw_info("%s", line);
    if (s->o.log != NULL) {
        s->o.log(s->o.log_ctx, line);
    }
}

/* ---- new ---- */

static fw_status open_tape(fw_session *s, fw_err *err) {
    const fw_session_opts *o = &s->o;
    fw_tape_opts t = {.dir = o->record,
                      .embodiment = &s->e,
                      .n_camera = o->body->n_camera,
                      .camera = o->body->camera,
                      .keep = o->keep == FW_SESSION_ALL ? FW_TAPE_ALL : FW_TAPE_INCIDENTS,
                      .ring_s = o->ring_s,
                      .provenance = FW_PROVENANCE_UNKNOWN};
    t.provenance.source = o->has_policy ? FW_SOURCE_AUTONOMOUS : FW_SOURCE_TELEOP;
    t.provenance.policy_id = o->policy_id, t.provenance.home = o->home, t.provenance.consent = o->consent;
    return fw_tape_open(&t, &s->tape, err);
}

static fw_status build(fw_session *s, fw_err *err) {
    if (s->o.map == NULL && (s->e.n_action != s->n || s->e.n_state != s->n)) {
        return fw_fail(err, FW_INVALID,
                       "%s has %d state values and %d actions, %s has %d axes: a map between them is wanted", s->e.name,
                       s->e.n_state, s->e.n_action, s->o.body->name, s->n);
    }
    if (s->o.leader != NULL && fw_driver_get_info(s->o.leader)->n_axis != s->n) {
        return fw_fail(err, FW_INVALID, "the leader arm has %d axes, %s has %d",
                       fw_driver_get_info(s->o.leader)->n_axis, s->o.body->name, s->n);
    }
    for (int i = 0; i < s->o.body->n_camera; i++) {
        const fw_camera *c = &s->o.body->camera[i];
        if ((s->next.image[i] = calloc((size_t)c->width * (size_t)c->height, 3)) == NULL) {
            return fw_fail(err, FW_NOMEM, "session: out of memory");
        }
    }
    return s->o.record != NULL ? open_tape(s, err) : FW_OK;
}

fw_status fw_session_new(const fw_session_opts *o, fw_session **out, fw_err *err) {
    fw_session *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "session: out of memory");
    }
    s->o = *o;
    s->e = *o->embodiment;
    s->n = o->body->n_axis;
    s->clock = o->clock != NULL ? o->clock : fw_clock_real();
    s->wanted = FW_SAFETY_KEEP;
    s->success = -1;
    s->ticks_a_step = (int)fmax(1.0, round(1.0 / (s->e.rate_hz * TICK_S)));
    pthread_mutex_init(&s->lock, NULL);
    const fw_status st = build(s, err);
    if (st != FW_OK) {
        fw_session_free(s);
        return st;
    }
    *out = s;
    return FW_OK;
}

void fw_session_free(fw_session *s) {
    fw_err err;
    if (s == NULL) {
        return;
    }
    fw_session_stop(s);
    if (fw_tape_close(s->tape, &err) != FW_OK) {
        fw_warn("what was recorded waits in the folder for the next start: %s", err.msg);
    }
    for (int i = 0; i < s->o.body->n_camera; i++) {
        free(s->next.image[i]);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- the mode that people want ---- */

static bool moves(fw_safety_mode m) {
    return m == FW_SAFETY_AUTONOMOUS || m == FW_SAFETY_TELEOPERATED;
}

static const char *reason(uint32_t refused) {
    return (refused & FW_SAFETY_LATCHED) != 0  ? "acknowledge what happened first"
           : (refused & FW_SAFETY_MOVING) != 0 ? "it still moves"
           : refused != 0                      ? fw_safety_fault_text((int32_t)__builtin_ctz(refused))
                                               : "nothing answers";
}

/* Asks until it is so, for as long as nothing has happened, and for two seconds at most: nothing starts when nobody expects it any more. */
static void steer_mode(fw_session *s) {
    s->asked = s->wanted == FW_SAFETY_KEEP ? 0 : s->asked + 1;
    if (s->wanted == FW_SAFETY_KEEP) {
        return;
    }
    if (s->now.mode == s->wanted) {
        s->wanted = FW_SAFETY_KEEP;
    } else if ((s->now.refused & FW_SAFETY_LATCHED) != 0 || s->now.severity >= FW_SAFETY_SEV_HOLD ||
               s->asked > ASKED_TICKS) {
        tell(s, "it does not begin: %s",
             reason(s->now.severity >= FW_SAFETY_SEV_HOLD ? FW_SAFETY_LATCHED : s->now.refused));
        s->wanted = FW_SAFETY_KEEP;
    } else {
        fw_control_request(s->o.control, s->wanted);
    }
}

/* ---- the operator ---- */

/* Shares of a control step, for one tick. */
static void go_by_shares(fw_session *s) {
    operating *op = &s->op;
    float action[FW_DIM_MAX], to[FW_DRIVER_AXIS_MAX];
    const double part = TICK_S * s->e.rate_hz;
    for (int i = 0; i < s->e.n_action; i++) {
        const fw_dim *d = &s->e.action[i];
        const double share = fmin(fmax((double)op->share[i], -1.0), 1.0);
        action[i] = d->meaning == FW_MEANING_GRIPPER ? (float)fmin(fmax((double)op->share[i], d->min), d->max)
                                                     : (float)(share * part * (share > 0 ? d->max : -d->min));
    }
    if (s->o.map == NULL) { /* axes: shares of the velocity limits */
        for (int i = 0; i < s->n; i++) {
            const double v = (double)s->o.limits->axis[i].velocity * fmin(fmax((double)op->share[i], -1.0), 1.0);
            to[i] = op->goal[i] + (float)(0.5 * v * TICK_S);
            to[i] = fminf(fmaxf(to[i], s->o.limits->axis[i].position_min), s->o.limits->axis[i].position_max);
        }
    } else if (!s->o.map->target(s->o.map->ctx, op->goal, s->now.position, action, to)) {
        return;
    }
    memcpy(op->goal, to, sizeof to);
}

static void go_by_joints(fw_session *s) {
    operating *op = &s->op;
    const float melt = (float)(s->o.sync * TICK_S);
    for (int i = 0; i < s->n; i++) {
        op->offset[i] = op->joined ? op->offset[i] : op->goal[i] - op->joints[i];
        op->offset[i] -= fminf(fmaxf(op->offset[i], -melt), melt);
        op->goal[i] = op->joints[i] + op->offset[i];
    }
    op->joined = true;
}

static void read_leader(fw_session *s) {
    fw_driver_state l;
    fw_err err;
    bool whole = fw_driver_read(s->o.leader, &l, &err) == FW_OK;
    for (int i = 0; i < s->n; i++) {
        whole = whole && l.axis[i].valid;
    }
    if (whole) {
        for (int i = 0; i < s->n; i++) {
            s->op.joints[i] = l.axis[i].position;
        }
        s->op.heard_ns = clock_ns(s);
    }
}

/* An operator who is silent is no operator: nothing is sent, and safety's heartbeat runs out. */
static void operate(fw_session *s) {
    operating *op = &s->op;
    if (op->who == 0) {
        return;
    }
    if (op->by == BY_LEADER) {
        read_leader(s);
    }
    if (clock_ns(s) - op->heard_ns > (int64_t)s->o.limits->heartbeat_us[FW_SAFETY_OPERATOR] * 1000) {
        return;
    }
    if (s->now.mode != FW_SAFETY_TELEOPERATED ||
        s->now.severity >= FW_SAFETY_SEV_HOLD) { /* begins where the robot is */
        memcpy(op->goal, s->now.mode == FW_SAFETY_SILENT ? s->now.position : s->now.command, sizeof op->goal);
        op->joined = false;
    } else if (op->by == BY_SHARES) {
        go_by_shares(s);
    } else {
        go_by_joints(s);
    }
    fw_control_operate(s->o.control, op->goal);
}

/* ---- taking frames ---- */

static int64_t real_offset_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - fw_now_ns();
}

/* The action between two set-points, in the embodiment's units. */
static void action_of(const fw_session *s, const float *from, const float *to, float *action) {
    if (s->o.map != NULL && s->o.map->action != NULL) {
        s->o.map->action(s->o.map->ctx, from, to, action);
    } else if (s->o.map == NULL) {
        memcpy(action, to, sizeof(float) * (size_t)s->n);
    } else {
        memcpy(action, s->now.action, sizeof(float) * (size_t)s->e.n_action);
    }
}

static void finish_frame(fw_session *s) {
    pending *p = &s->next;
    fw_err err;
    fw_frame f = {.state = p->state, .action = s->acted, .capture_ns = p->capture, .intervention = p->touched};
    action_of(s, p->command, s->now.command, s->acted);
    s->has_acted = true;
    for (int i = 0; i < s->o.body->n_camera; i++) {
        f.images[i] = p->image[i];
    }
    p->there = false;
    if (s->tape != NULL && fw_tape_frame(s->tape, p->sentence, &f, &err) != FW_OK) {
        tell(s, "a frame is not recorded: %s", err.msg);
    }
}

static void begin_frame(fw_session *s) {
    pending *p = &s->next;
    const int64_t offset = real_offset_ns();
    p->there = true;
    p->touched = s->now.mode == FW_SAFETY_TELEOPERATED;
    memcpy(p->command, s->now.command, sizeof p->command);
    memcpy(p->sentence, s->sentence, sizeof p->sentence);
    p->capture[0] = s->now.t_ns + offset;
    if (s->o.map != NULL) {
        s->o.map->state(s->o.map->ctx, s->now.position, s->has_acted ? s->acted : NULL, p->state);
    } else {
        memcpy(p->state, s->now.position, sizeof(float) * (size_t)s->n);
    }
    for (int i = 0; i < s->o.body->n_camera; i++) { /* a camera that is gone: its last picture, with its old time */
        fw_driver_frame f = {0};
        fw_err err;
        (void)!fw_control_picture(s->o.control, i, p->image[i], &f, &err);
        p->capture[1 + i] = f.seq > 0 ? f.t_ns + offset : 0;
    }
}

static void end_episode(fw_session *s) {
    if (s->tape != NULL) {
        fw_tape_end(s->tape, s->cut_success >= 0 ? s->cut_success : s->success);
    }
    s->next.there = s->has_acted = s->cut = false;
    s->cut_success = s->success = -1;
}

static void take_down(fw_session *s) {
    const bool moving = moves(s->now.mode) && s->now.severity < FW_SAFETY_SEV_STOP;
    const bool step = s->tick % s->ticks_a_step == 0;
    if (!moving || s->cut) {
        if (moving && s->next.there) {
            finish_frame(s);
        }
        end_episode(s);
    }
    if (moving && step) {
        if (s->next.there) {
            finish_frame(s);
        }
        begin_frame(s);
    }
    if (s->tape != NULL) {
        if (s->incident) {
            fw_tape_incident(s->tape);
        }
        fw_tape_turn(s->tape);
    }
    s->incident = false;
}

/* ---- what happens, for people ---- */

static const char *mode_text(fw_safety_mode m) {
    static const char *const text[] = {"off", "standing by", "the policy moves it", "a person moves it"};
    return m >= 0 && m < FW_SAFETY_KEEP ? text[m] : "?";
}

static const char *severity_text(fw_safety_severity v) {
    static const char *const text[] = {"all is well", "warning", "holding",
                                       "retracting",  "stopped", "torque off for good"};
    return v >= 0 && v <= FW_SAFETY_SEV_TERMINATE ? text[v] : "?";
}

/* The axis that is nearest to, or farthest over, what the fault is about: "joint4 1.31 of 1.00 rad/s"; "" where no axis is to blame. */
static void blame(const fw_session *s, char *out, size_t cap) {
    const fw_control_status *c = &s->now;
    int worst = -1;
    float share = 0, x = 0, most = 1;
    out[0] = 0;
    for (int i = 0; i < s->n; i++) {
        const fw_safety_axis *l = &s->o.limits->axis[i];
        const float middle = (l->position_max + l->position_min) / 2;
        const float value = c->first == FW_SAFETY_IX_CONTACT     ? c->residual[i]
                            : c->first == FW_SAFETY_IX_OVERSPEED ? c->velocity[i]
                            : c->first == FW_SAFETY_IX_TORQUE    ? c->effort[i]
                            : c->first == FW_SAFETY_IX_TRACKING  ? c->position[i] - c->command[i]
                            : c->first == FW_SAFETY_IX_OUTSIDE   ? c->position[i] - middle
                                                                 : 0;
        const float limit = c->first == FW_SAFETY_IX_CONTACT     ? l->contact
                            : c->first == FW_SAFETY_IX_OVERSPEED ? l->velocity
                            : c->first == FW_SAFETY_IX_TORQUE    ? l->torque
                            : c->first == FW_SAFETY_IX_TRACKING  ? l->follow
                                                                 : l->position_max - middle;
        if (fabsf(value) / limit > share) {
            worst = i, x = value, most = limit, share = fabsf(value) / limit;
        }
    }
    if (worst >= 0) {
        snprintf(out, cap, " (%s: %.3g of %.3g; clearance %.3g m)", s->o.body->axis[worst].name, (double)x,
                 (double)most, (double)c->clearance);
    }
}

static void notice(fw_session *s) {
    const fw_control_status *a = &s->before, *b = &s->now;
    if (b->mode != a->mode) {
        tell(s, "%s", mode_text(b->mode));
    }
    if (b->severity > a->severity) {
        char axis[128];
        blame(s, axis, sizeof axis);
        tell(s, "%s: %s%s", severity_text(b->severity), fw_safety_fault_text(b->first), axis);
        s->incident = s->incident || b->severity >= FW_SAFETY_SEV_HOLD;
    } else if (b->severity < a->severity) {
        tell(s, "%s", severity_text(b->severity));
    }
    if (b->policy_errors > a->policy_errors && a->policy_errors == 0) {
        tell(s, "the policy failed to answer");
    }
    if (b->chunks > s->chunks) {
        s->latency[s->n_latency++ % LATENCIES] = b->infer_s;
        s->chunks = b->chunks;
    }
    s->before = s->now;
}

/* A record that must be made and cannot. */
static void watch_record(fw_session *s, fw_tape_state *t) {
    if (s->tape == NULL) {
        return;
    }
    fw_tape_get(s->tape, t);
    if (t->late != s->was_late) {
        tell(s, t->late ? "recording falls behind: %s" : "recording has caught up%s",
             t->late ? t->recorder.last_error.code != FW_OK ? t->recorder.last_error.msg : "the disk is slow" : "");
        s->was_late = t->late;
    }
    fw_control_withhold(s->o.control, t->late && !s->o.may_go_unrecorded);
}

static void why(const fw_session *s, const fw_tape_state *t, char *out, size_t cap) {
    const fw_control_status *c = &s->now;
    char faults[160] = "", trouble[160] = "";
    out[0] = 0;
    if ((c->latched & (FW_SAFETY_POLICY_LOST | FW_SAFETY_COMMAND_STALE)) != 0) {
        (void)fw_control_trouble(s->o.control, trouble, sizeof trouble);
    }
    if (t->late && !s->o.may_go_unrecorded) {
        snprintf(out, cap, "It cannot record (%.180s), so nothing moves it.",
                 t->recorder.last_error.code != FW_OK ? t->recorder.last_error.msg : "the disk is slow");
    } else if (c->driver_faults != 0) {
        snprintf(out, cap, "A joint reports: %s.", fw_driver_faults_text(c->driver_faults, faults, sizeof faults));
    } else if (c->severity >= FW_SAFETY_SEV_HOLD) {
        snprintf(out, cap, "It is %s: %s%s%.130s%s. Acknowledge, then start again.", severity_text(c->severity),
                 fw_safety_fault_text(c->first), *trouble != 0 ? " (" : "", trouble, *trouble != 0 ? ")" : "");
    } else if (s->stopped) {
        snprintf(out, cap, "The stop button is pressed.");
    } else if (c->refused != 0) {
        snprintf(out, cap, "Refused: %s.", reason(c->refused));
    }
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void show(fw_session *s, const fw_tape_state *t) {
    fw_session_status *o = &s->shown;
    const int n = (int)(s->n_latency < LATENCIES ? s->n_latency : LATENCIES);
    double sorted[LATENCIES];
    memcpy(sorted, s->latency, sizeof sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_size);
    o->control = s->now;
    memcpy(o->sentence, s->sentence, sizeof o->sentence);
    why(s, t, o->why, sizeof o->why);
    o->holder = s->op.who;
    o->leader = s->op.who != 0 && s->op.by == BY_LEADER;
    o->stopped = s->stopped;
    o->infer_p50_s = n > 0 ? sorted[n / 2] : 0;
    o->infer_p99_s = n > 0 ? sorted[n * 99 / 100] : 0;
    o->records = s->tape != NULL;
    o->within = t->within, o->episodes = t->ended, o->frames = t->frames, o->interventions = t->touched;
    o->success = s->success;
    o->recorder = t->recorder;
}

/* ---- the thread ---- */

void fw_session_tick(fw_session *s) {
    fw_tape_state t = {0};
    fw_control_supervise(s->o.control);
    pthread_mutex_lock(&s->lock);
    fw_control_status_get(s->o.control, &s->now);
    steer_mode(s);
    operate(s);
    notice(s);
    take_down(s);
    watch_record(s, &t);
    show(s, &t);
    s->tick++;
    pthread_mutex_unlock(&s->lock);
}

static void *session_main(void *ctx) {
    fw_session *s = ctx;
    int64_t due = clock_ns(s);
    while (atomic_load(&s->runs)) {
        fw_session_tick(s);
        due += TICK_MS * 1000000;
        due = due < clock_ns(s) ? clock_ns(s) : due;
        s->clock->sleep_until_ns(s->clock->self, due);
    }
    return NULL;
}

fw_status fw_session_start(fw_session *s, fw_err *err) {
    atomic_store(&s->runs, true);
    if (pthread_create(&s->thread, NULL, session_main, s) != 0) {
        atomic_store(&s->runs, false);
        return fw_fail(err, FW_IO, "session: a thread could not be started");
    }
    return FW_OK;
}

void fw_session_stop(fw_session *s) {
    if (atomic_exchange(&s->runs, false)) {
        pthread_join(s->thread, NULL);
    }
    pthread_mutex_lock(&s->lock);
    end_episode(s);
    pthread_mutex_unlock(&s->lock);
}

/* ---- any thread ---- */

void fw_session_get(fw_session *s, fw_session_status *out) {
    pthread_mutex_lock(&s->lock);
    *out = s->shown;
    pthread_mutex_unlock(&s->lock);
}

fw_status fw_session_say(fw_session *s, const char *sentence, fw_err *err) {
    FW_TRY(fw_control_say(s->o.control, sentence, err));
    pthread_mutex_lock(&s->lock);
    if (strcmp(s->sentence, sentence) != 0) {
        s->cut = true;
        snprintf(s->sentence, sizeof s->sentence, "%s", sentence);
        tell(s, "told: %s", sentence);
    }
    pthread_mutex_unlock(&s->lock);
    return FW_OK;
}

static fw_status may_move(const fw_session *s, fw_err *err) {
    if (s->stopped) {
        return fw_fail(err, FW_UNSAFE, "the stop button is pressed");
    }
    if (s->shown.control.severity >= FW_SAFETY_SEV_HOLD) {
        return fw_fail(err, FW_UNSAFE, "%s: acknowledge first", fw_safety_fault_text(s->shown.control.first));
    }
    return FW_OK;
}

fw_status fw_session_run(fw_session *s, fw_err *err) {
    pthread_mutex_lock(&s->lock);
    fw_status st = may_move(s, err);
    if (st == FW_OK && !s->o.has_policy) {
        st = fw_fail(err, FW_INVALID, "there is no policy");
    } else if (st == FW_OK && s->op.who != 0) {
        st = fw_fail(err, FW_AGAIN, "a person moves it");
    }
    if (st == FW_OK) {
        s->wanted = FW_SAFETY_AUTONOMOUS;
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

static void want(fw_session *s, fw_safety_mode mode) {
    pthread_mutex_lock(&s->lock);
    s->wanted = FW_SAFETY_KEEP;
    s->op.who = 0;
    pthread_mutex_unlock(&s->lock);
    fw_control_request(s->o.control, mode);
}

void fw_session_pause(fw_session *s) {
    want(s, FW_SAFETY_STANDBY);
}

void fw_session_off(fw_session *s) {
    want(s, FW_SAFETY_SILENT);
}

void fw_session_press(fw_session *s, bool stop) {
    fw_control_stop(s->o.control, stop); /* first, and without a lock */
    pthread_mutex_lock(&s->lock);
    if (stop != s->stopped) {
        tell(s, stop ? "the stop button is pressed" : "the stop button is let go");
    }
    s->stopped = stop;
    s->wanted = FW_SAFETY_KEEP;
    pthread_mutex_unlock(&s->lock);
}

void fw_session_acknowledge(fw_session *s) {
    fw_control_acknowledge(s->o.control);
    pthread_mutex_lock(&s->lock);
    tell(s, "acknowledged");
    pthread_mutex_unlock(&s->lock);
}

/* Until the operator says otherwise, grippers stay as they are told now. */
static void grip_as_now(fw_session *s) {
    float action[FW_DIM_MAX];
    const float *q = s->now.mode == FW_SAFETY_SILENT ? s->now.position : s->now.command;
    action_of(s, q, q, action);
    for (int i = 0; i < s->e.n_action; i++) {
        s->op.share[i] = s->o.map != NULL && s->e.action[i].meaning == FW_MEANING_GRIPPER ? action[i] : 0;
    }
}

fw_status fw_session_take(fw_session *s, uint64_t who, bool leader, fw_err *err) {
    pthread_mutex_lock(&s->lock);
    fw_status st = may_move(s, err);
    if (st == FW_OK && s->op.who != 0 && s->op.who != who) {
        st = fw_fail(err, FW_AGAIN, "operator %llu moves it", (unsigned long long)s->op.who);
    } else if (st == FW_OK && leader && s->o.leader == NULL) {
        st = fw_fail(err, FW_INVALID, "there is no leader arm");
    } else if (st == FW_OK && s->op.who == 0) {
        s->op = (operating){.who = who, .heard_ns = clock_ns(s), .was_autonomous = s->now.mode == FW_SAFETY_AUTONOMOUS};
        grip_as_now(s);
        tell(s, "operator %llu takes over", (unsigned long long)who);
    }
    if (st == FW_OK) {
        s->op.by = leader ? BY_LEADER : s->op.by == BY_LEADER ? BY_SHARES : s->op.by;
        s->wanted = FW_SAFETY_TELEOPERATED;
        s->incident = true;
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

static fw_status holds(const fw_session *s, uint64_t who, fw_err *err) {
    return s->op.who == who && who != 0 ? FW_OK : fw_fail(err, FW_AGAIN, "take over first");
}

fw_status fw_session_give(fw_session *s, uint64_t who, fw_err *err) {
    pthread_mutex_lock(&s->lock);
    const fw_status st = holds(s, who, err);
    if (st == FW_OK) {
        s->wanted = s->op.was_autonomous && s->o.has_policy ? FW_SAFETY_AUTONOMOUS : FW_SAFETY_STANDBY;
        s->op.who = 0;
        tell(s, "operator %llu gives back", (unsigned long long)who);
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

void fw_session_left(fw_session *s, uint64_t who) {
    pthread_mutex_lock(&s->lock);
    if (s->op.who == who && who != 0) {
        s->op.who = 0;
        tell(s, "operator %llu is gone", (unsigned long long)who);
    }
    pthread_mutex_unlock(&s->lock);
}

fw_status fw_session_move(fw_session *s, uint64_t who, const float *share, fw_err *err) {
    for (int i = 0; i < s->e.n_action; i++) {
        const fw_meaning m = s->e.action[i].meaning;
        if (s->o.map != NULL && (m == FW_MEANING_JOINT_POS || m == FW_MEANING_OTHER)) {
            return fw_fail(err, FW_UNSUPPORTED, "%s is told \"%s\", which is no step: send joints", s->e.name,
                           s->e.action[i].name);
        }
        if (!isfinite(share[i]) && m != FW_MEANING_GRIPPER) {
            return fw_fail(err, FW_FORMAT, "move: value %d is not a finite number", i);
        }
    }
    pthread_mutex_lock(&s->lock);
    const fw_status st = holds(s, who, err);
    if (st == FW_OK && s->op.by != BY_LEADER) {
        s->op.by = BY_SHARES;
        for (int i = 0; i < s->e.n_action; i++) {
            s->op.share[i] = isfinite(share[i]) ? share[i] : s->op.share[i];
        }
        s->op.heard_ns = clock_ns(s);
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

fw_status fw_session_joints(fw_session *s, uint64_t who, const float *joints, fw_err *err) {
    for (int i = 0; i < s->n; i++) {
        if (!isfinite(joints[i])) {
            return fw_fail(err, FW_FORMAT, "joints: value %d is not a finite number", i);
        }
    }
    pthread_mutex_lock(&s->lock);
    const fw_status st = holds(s, who, err);
    if (st == FW_OK && s->op.by != BY_LEADER) {
        s->op.joined = s->op.joined && s->op.by == BY_JOINTS;
        s->op.by = BY_JOINTS;
        memcpy(s->op.joints, joints, sizeof(float) * (size_t)s->n);
        s->op.heard_ns = clock_ns(s);
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

fw_status fw_session_mark(fw_session *s, uint64_t who, fw_session_verdict v, const char *note, fw_err *err) {
    static const char *const text[] = {"good", "bad", "wrong"};
    fw_tape_place at;
    if (s->tape != NULL) {
        pthread_mutex_lock(&s->lock);
        fw_tape_here(s->tape, &at);
        pthread_mutex_unlock(&s->lock);
        FW_TRY(fw_tape_mark(s->tape, &at, text[v], note, who, s->o.ring_s, err));
    }
    pthread_mutex_lock(&s->lock);
    s->success = v == FW_SESSION_GOOD ? 1 : v == FW_SESSION_BAD ? 0 : s->success;
    s->incident = true;
    tell(s, "marked %s%s%s", text[v], note[0] != 0 ? ": " : "", note);
    pthread_mutex_unlock(&s->lock);
    return FW_OK;
}

void fw_session_end_episode(fw_session *s, int success) {
    pthread_mutex_lock(&s->lock);
    s->cut = true;
    s->cut_success = success;
    pthread_mutex_unlock(&s->lock);
}
