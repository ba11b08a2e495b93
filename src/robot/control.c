/* control.c - see control.h: new, start, the two threads, and what other threads ask for. */
#include "robot/control.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "robot/board.h"
#include "robot/limits.h"

enum { SENTENCE = 256, WARM_UPS = 3, HALT_CYCLES = 400, SIGHT_S = 5 };
_Static_assert(sizeof(fw_control_status) <= 8 * FW_BOARD_WORDS, "a status does not fit the board");

typedef struct seen {
    float joints[FW_DRIVER_AXIS_MAX], action[FW_DIM_MAX];
    int64_t executed, t_ns;
    int64_t row_end_ns; /* when the row being executed ends; 0: none is */
    uint32_t beat;      /* safety's, for the echo */
    fw_safety_mode mode;
    bool acted, valid;
} seen;

typedef struct operated {
    float joints[FW_DRIVER_AXIS_MAX];
    uint32_t count, echo;
} operated;

struct fw_control {
    fw_control_opts o;
    fw_policy_info policy;
    const fw_driver_info *body;
    fw_safety_limits limits;
    int n, per_step; /* axes; cycles in a control step */
    double cycle_s;

    /* control thread */
    fw_safety safety;
    fw_safety_in in;
    fw_safety_out out;
    fw_driver_state state;
    fw_driver_command command;
    fw_motion motion;
    fw_observer observer; /* opts.observer != NULL */
    fw_handover *handover;
    fw_control_status now;
    seen last;
    int in_step;    /* cycle of the row */
    int row_cycles; /* that it takes: a control step, or longer when limits make it slow */
    int since;      /* cycles since the motion's curve began */
    int asked;      /* cycles that a request has been refused */
    bool begun;     /* a row was taken since the mode began */
    bool in_row;    /* one is being executed */
    uint32_t seq;   /* of commands */
    uint32_t heard; /* the operator's count at heard_us */
    uint64_t heard_us;
    uint64_t row_us; /* when a row was last taken */
    float goal[FW_DRIVER_AXIS_MAX];
    bool powered; /* torque was on in the last command */

    /* between threads */
    fw_board status, sight, operators;
    _Atomic int request;
    _Atomic bool stop, estop, withhold, quit;
    _Atomic uint32_t acknowledge, policy_count, policy_echo, supervisor_count, supervisor_echo;

    /* inference thread */
    float *rows;               /* [horizon, n_action] */
    uint8_t *seen[FW_CAM_MAX]; /* pictures of the policy's cameras, [h,w,3] each */
    fw_pictures *pictures;
    double infer_s;
    bool failing;
    _Atomic double last_infer_s;
    _Atomic int64_t policy_errors;
    pthread_mutex_t words; /* never taken by the control thread */
    char sentence[SENTENCE], said[SENTENCE], trouble[SENTENCE];
    operated operated; /* of the operator's thread */

    pthread_t control, thought;
    bool prepared, control_runs, thought_runs;
};

/* ---- new ---- */

static fw_status fit_axes(const fw_control *c, fw_err *err) {
    if (c->body->n_axis != (int)c->limits.n_axis) {
        return fw_fail(err, FW_INVALID, "%s has %d axes, the limits are for %u", c->body->name, c->body->n_axis,
                       c->limits.n_axis);
    }
    const fw_embodiment *e = c->policy.embodiment;
    if (c->o.policy != NULL && c->o.map == NULL && (e->n_action != c->n || e->n_state != c->n)) {
        return fw_fail(err, FW_INVALID,
                       "policy %s has %d state values and %d actions, %s has %d axes: a map between them is wanted",
                       c->policy.name, e->n_state, e->n_action, c->body->name, c->n);
    }
    return FW_OK;
}

static fw_status fit_rates(fw_control *c, fw_err *err) {
    c->cycle_s = 1e-6 * c->limits.period_us;
    if (c->o.policy == NULL) {
        c->per_step = 1;
        return FW_OK;
    }
    const double cycles = 1.0 / (c->policy.embodiment->rate_hz * c->cycle_s);
    c->per_step = (int)lround(cycles);
    if (c->per_step < 1 || fabs(cycles - c->per_step) > 1e-6 * cycles) {
        return fw_fail(err, FW_INVALID,
                       "cycles of %u us: a control step of %g Hz would take %g of them, wanted a whole number",
                       c->limits.period_us, c->policy.embodiment->rate_hz, cycles);
    }
    return FW_OK;
}

static fw_status check_limits(const fw_safety_limits *l, fw_err *err) {
    const fw_safety_limits_error bad = fw_safety_limits_check(l);
    char text[160];
    return bad.what == FW_SAFETY_LIMITS_OK
               ? FW_OK
               : fw_fail(err, FW_INVALID, "safety limits: %s", fw_limits_text(bad, NULL, text, sizeof text));
}

/* Which of the driver's cameras is the policy's i-th; -1: none. */
static int camera_of(const fw_control *c, int i) {
    for (int k = 0; k < c->body->n_camera; k++) {
        if (strcmp(c->body->camera[k].name, c->policy.embodiment->camera[i].name) == 0) {
            return k;
        }
    }
    return -1;
}

static fw_status build_sight(fw_control *c, fw_err *err) {
    for (int i = 0; c->o.policy != NULL && i < c->policy.embodiment->n_camera; i++) {
        const int k = camera_of(c, i);
        const fw_camera *cam = k >= 0 ? &c->body->camera[k] : NULL;
        if (cam != NULL && (c->seen[i] = malloc(3 * (size_t)cam->width * (size_t)cam->height)) == NULL) {
            return fw_fail(err, FW_NOMEM, "control: out of memory");
        }
    }
    return fw_pictures_new(c->o.driver, &c->pictures, err);
}

/* Steps of a hand: chunks that disagree make a bend in its way, never a jump. Between them they would say what neither does. */
static bool acts_in_steps(const fw_embodiment *e) {
    bool all = true;
    for (int i = 0; i < e->n_action; i++) {
        const fw_meaning m = e->action[i].meaning;
        all = all && (m == FW_MEANING_EE_DELTA_POS || m == FW_MEANING_EE_DELTA_YAW || m == FW_MEANING_GRIPPER ||
                      m == FW_MEANING_BASE_VEL);
    }
    return all;
}

static fw_status build(fw_control *c, fw_err *err) {
    FW_TRY(check_limits(&c->limits, err));
    FW_TRY(fit_axes(c, err));
    FW_TRY(fit_rates(c, err));
    if (c->o.observer != NULL) {
        FW_TRY(fw_observer_init(&c->observer, c->body, c->o.observer, err));
        c->o.observer = &c->observer.o;
    }
    FW_TRY(build_sight(c, err));
    if (c->o.policy != NULL) {
        c->rows = calloc((size_t)c->policy.horizon * (size_t)c->policy.embodiment->n_action, sizeof *c->rows);
        if (c->rows == NULL) {
            return fw_fail(err, FW_NOMEM, "control: out of memory");
        }
        c->o.handover.blend = acts_in_steps(c->policy.embodiment) ? 0 : c->o.handover.blend;
        FW_TRY(fw_handover_new(&c->policy, c->policy.embodiment->rate_hz, &c->o.handover, &c->handover, err));
    }
    return fw_control_say(c, c->o.instruction, err);
}

fw_status fw_control_new(const fw_control_opts *o, fw_control **out, fw_err *err) {
    fw_control *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) {
        return fw_fail(err, FW_NOMEM, "control: out of memory");
    }
    c->o = *o;
    c->o.clock = o->clock != NULL ? o->clock : fw_clock_real();
    c->limits = *o->limits;
    c->body = fw_driver_get_info(o->driver);
    c->n = c->body->n_axis;
    pthread_mutex_init(&c->words, NULL);
    atomic_init(&c->request, FW_SAFETY_KEEP);
    if (o->policy != NULL) {
        fw_policy_describe(o->policy, &c->policy);
    }
    const fw_status s = build(c, err);
    if (s != FW_OK) {
        fw_control_free(c);
        return s;
    }
    *out = c;
    return FW_OK;
}

void fw_control_free(fw_control *c) {
    if (c == NULL) {
        return;
    }
    fw_control_halt(c);
    fw_handover_free(c->handover);
    fw_pictures_free(c->pictures);
    for (int i = 0; i < FW_CAM_MAX; i++) {
        free(c->seen[i]);
    }
    free(c->rows);
    pthread_mutex_destroy(&c->words);
    free(c);
}

/* ---- a cycle ---- */

static int64_t clock_ns(const fw_control *c) {
    return c->o.clock->now_ns(c->o.clock->self);
}

/* What is felt on axis i from outside. What a gripper holds pushes back on it: for that there is GRIP. */
static float felt(const fw_control *c, int i) {
    return c->o.observer != NULL && c->limits.axis[i].grip == 0 ? c->observer.residual[i] : 0;
}

/* Nm (N); 0 where a current is measured and nobody says what it is worth. */
static float torque(const fw_control *c, int i) {
    const double nm = c->o.observer != NULL                                ? c->observer.nm[i]
                      : c->body->axis[i].effort == FW_DRIVER_EFFORT_AMPERE ? 0
                                                                           : 1;
    return (float)(nm * (double)c->state.axis[i].effort);
}

static void measure(fw_control *c) {
    fw_err err;
    if (fw_driver_read(c->o.driver, &c->state, &err) != FW_OK) {
        c->now.driver_errors++;
    }
    if (c->o.observer != NULL) {
        fw_observer_step(&c->observer, &c->state);
    }
    c->now.driver_faults = 0;
    for (int i = 0; i < c->n; i++) {
        const fw_driver_sample *x = &c->state.axis[i];
        /* an axis that says it is too hot, overloaded or blind is not believed: it goes stale, and safety stops */
        const bool valid = x->valid && x->faults == 0;
        c->now.driver_faults |= x->faults;
        c->now.residual[i] = felt(c, i);
        c->in.axis[i] = (fw_safety_sample){valid,        (uint64_t)x->t_ns / 1000, x->position, x->velocity,
                                           torque(c, i), c->now.residual[i]};
        c->now.position[i] = x->position;
        c->now.velocity[i] = x->velocity;
        c->now.effort[i] = x->effort;
    }
}

static bool moves(fw_safety_mode m) {
    return m == FW_SAFETY_AUTONOMOUS || m == FW_SAFETY_TELEOPERATED;
}

/* A mode begins. From rest the motion begins where safety has the robot; from one mover to the other it simply goes on. */
static void begin(fw_control *c, fw_safety_mode before) {
    fw_motion_limits limits[FW_DRIVER_AXIS_MAX];
    for (int i = 0; i < c->n; i++) {
        const fw_safety_axis *a = &c->limits.axis[i];
        limits[i] = (fw_motion_limits){(double)a->velocity, (double)a->acceleration, (double)a->jerk};
    }
    if (!moves(before)) {
        fw_motion_start(&c->motion, c->n, limits, c->out.position);
        memcpy(c->goal, c->out.position, sizeof c->goal);
        c->since = 0;
    }
    c->in_step = 0;
    c->row_cycles = c->per_step;
    c->begun = c->in_row = false;
    c->heard_us = c->in.now_us;
    if (c->handover != NULL) {
        fw_handover_clear(c->handover); /* what was planned before somebody else moved it */
    }
}

static void bend_to(fw_control *c, const float *target, const float *after, double seconds, fw_motion_how how) {
    if (fw_motion_to(&c->motion, c->since * c->cycle_s, target, after, seconds, how)) {
        memcpy(c->goal, target, sizeof(float) * (size_t)c->n);
        c->since = 0;
    }
}

static bool to_joints(const fw_control *c, const float *from, const float *measured, const float *action,
                      float *joints) {
    if (c->o.map != NULL) {
        return c->o.map->target(c->o.map->ctx, from, measured, action, joints);
    }
    memcpy(joints, action, sizeof(float) * (size_t)c->n);
    return true;
}

/* The due row of the policy's chunk. */
static void policy_step(fw_control *c) {
    float action[FW_DIM_MAX], target[FW_DRIVER_AXIS_MAX], after[FW_DRIVER_AXIS_MAX];
    fw_due due;
    c->row_cycles = c->per_step;
    c->in_row = fw_handover_next(c->handover, action, &due);
    if (!c->in_row) {
        c->now.rows_missed += c->begun;
        return;
    }
    c->begun = true;
    c->row_us = c->in.now_us;
    c->now.chunks += due.first;
    c->now.row = due.row;
    c->now.jump = fmaxf(c->now.jump, due.jump);
    memcpy(c->now.action, action, sizeof(float) * (size_t)c->policy.embodiment->n_action);
    c->last.acted = true;
    if (!to_joints(c, c->goal, c->now.position, action, target)) {
        return;
    }
    const bool more = due.after != NULL && to_joints(c, target, NULL, due.after, after);
    bend_to(c, target, more ? after : NULL, c->per_step * c->cycle_s, FW_MOTION_TOGETHER);
    c->row_cycles = (int)ceil(fw_motion_span(&c->motion) / c->cycle_s - 1e-6);
}

static void command_of_policy(fw_control *c) {
    if (c->o.policy == NULL) {
        return;
    }
    if (c->in_step == 0) {
        policy_step(c);
    }
    /* a row that takes its time is no old command; until the first chunk is there, the policy's heartbeat watches */
    c->row_us = c->in_row || !c->begun ? c->in.now_us : c->row_us;
    c->in_step = (c->in_step + 1) % c->row_cycles;
    c->since++;
    fw_safety_command *k = &c->in.command;
    k->present = true;
    k->source = FW_SAFETY_POLICY;
    k->t_us = c->row_us;
    k->seq = ++c->seq;
    fw_motion_at(&c->motion, c->since * c->cycle_s, k->position, NULL, NULL);
}

/* An operator's targets come when they come; the motion runs after them. */
static void command_of_operator(fw_control *c) {
    operated op;
    const uint32_t writes = fw_board_read(&c->operators, &op, sizeof op);
    fw_safety_command *k = &c->in.command;
    k->present = writes > 0;
    if (!k->present) {
        return;
    }
    bend_to(c, op.joints, NULL, 2 * c->cycle_s, FW_MOTION_APART);
    c->since++;
    k->source = FW_SAFETY_OPERATOR;
    c->heard_us = op.count != c->heard ? c->in.now_us : c->heard_us;
    c->heard = op.count;
    k->t_us = c->heard_us;
    k->seq = ++c->seq;
    fw_motion_at(&c->motion, c->since * c->cycle_s, k->position, NULL, NULL);
}

static void listen(fw_control *c) {
    operated op;
    fw_board_read(&c->operators, &op, sizeof op);
    fw_safety_in *in = &c->in;
    in->request = (fw_safety_mode)atomic_load(&c->request);
    in->stop = atomic_load(&c->stop);
    in->estop = atomic_load(&c->estop);
    in->acknowledge = atomic_exchange(&c->acknowledge, 0) != 0;
    in->heartbeat[FW_SAFETY_POLICY] =
        (fw_safety_heartbeat){atomic_load(&c->policy_count), atomic_load(&c->policy_echo)};
    in->heartbeat[FW_SAFETY_SUPERVISOR] =
        (fw_safety_heartbeat){atomic_load(&c->supervisor_count), atomic_load(&c->supervisor_echo)};
    in->heartbeat[FW_SAFETY_OPERATOR] = (fw_safety_heartbeat){op.count, op.echo};
}

static void act(fw_control *c) {
    fw_driver_command *k = &c->command;
    fw_err err;
    if (!c->out.send) {
        if (c->powered) { /* said once more than needed, never less */
            k->torque_on = false;
            c->powered = fw_driver_write(c->o.driver, k, &err) != FW_OK;
        }
        return;
    }
    k->n_axis = c->n;
    k->torque_on = c->out.torque_on;
    for (int i = 0; i < c->n; i++) {
        k->position[i] = c->now.command[i] = c->out.position[i];
        k->effort_max[i] = c->out.torque_cap[i];
    }
    if (fw_driver_write(c->o.driver, k, &err) != FW_OK) {
        c->now.driver_errors++;
    }
    c->powered = c->powered || k->torque_on;
}

static void publish(fw_control *c) {
    fw_control_status *s = &c->now;
    s->t_ns = c->last.t_ns = clock_ns(c);
    s->cycle++;
    s->n_axis = c->n;
    s->executed = c->handover != NULL ? fw_handover_executed(c->handover) : 0;
    s->mode = c->out.mode, s->severity = c->out.severity, s->latched = c->out.latched, s->first = c->out.first;
    s->present = c->out.present, s->refused = c->out.refused, s->limited = c->out.limited,
    s->clearance = c->out.clearance;
    s->infer_s = atomic_load(&c->last_infer_s);
    s->policy_errors = atomic_load(&c->policy_errors);
    fw_board_write(&c->status, s, sizeof *s);
    memcpy(c->last.joints, s->position, sizeof c->last.joints);
    memcpy(c->last.action, s->action, sizeof c->last.action);
    c->last.executed = s->executed;
    c->last.row_end_ns =
        c->in_row ? s->t_ns + (int64_t)(1e9 * c->cycle_s) * ((c->row_cycles - c->in_step) % c->row_cycles) : 0;
    c->last.beat = c->out.beat;
    c->last.mode = c->out.mode;
    c->last.valid = true;
    fw_board_write(&c->sight, &c->last, sizeof c->last);
}

/* A request is over when it is so, or has been refused for a second, or until a person has seen the faults: nothing starts by
 * itself. Silence is asked for until it is there. */
static void settle_request(fw_control *c) {
    int asked = (int)c->in.request;
    c->asked = c->out.refused != 0 ? c->asked + 1 : 0;
    const bool seen_no = (c->out.refused & FW_SAFETY_LATCHED) != 0 || c->asked * c->cycle_s > 1.0;
    if (c->out.mode == c->in.request || (seen_no && c->in.request != FW_SAFETY_SILENT)) {
        atomic_compare_exchange_strong(&c->request, &asked, FW_SAFETY_KEEP);
        c->asked = 0;
    }
}

void fw_control_cycle(fw_control *c) {
    const fw_safety_mode before = c->out.mode;
    const bool held = c->out.severity >= FW_SAFETY_SEV_HOLD;
    measure(c);
    listen(c);
    c->in.now_us = (uint64_t)clock_ns(c) / 1000;
    c->in.command.present = false;
    const bool withheld = held || atomic_load(&c->withhold);
    if (before == FW_SAFETY_AUTONOMOUS && !withheld) {
        command_of_policy(c);
    } else if (before == FW_SAFETY_TELEOPERATED && !withheld) {
        command_of_operator(c);
    }
    fw_safety_step(&c->safety, &c->in, &c->out);
    act(c);
    settle_request(c);
    if (c->out.mode != before) {
        begin(c, held ? FW_SAFETY_STANDBY : before);
    }
    publish(c);
}

static void *control_main(void *ctx) {
    fw_control *c = ctx;
    const fw_clock *clock = c->o.clock;
    const int64_t period = (int64_t)c->limits.period_us * 1000;
    int64_t due = clock_ns(c) + period;
    while (!atomic_load(&c->quit)) {
        clock->sleep_until_ns(clock->self, due);
        const int64_t late_us = (clock_ns(c) - due) / 1000;
        const int bucket = late_us < 2 ? 0 : 63 - __builtin_clzll((unsigned long long)late_us);
        c->now.late[bucket < FW_CONTROL_BUCKETS ? bucket : FW_CONTROL_BUCKETS - 1]++;
        fw_control_cycle(c);
        due += period;
        if (clock_ns(c) > due) { /* the next one should have begun: go on from here, in step */
            c->now.misses++;
            due += (clock_ns(c) - due) / period * period;
        }
    }
    c->out.send = false; /* nobody steers from here on, whatever the other threads do */
    act(c);
    return NULL;
}

/* ---- thinking ---- */

/* The policy's i-th camera now, into seen[i]; false: missing, gone, or old. */
static bool sees(fw_control *c, int i, fw_driver_frame *f) {
    fw_err err;
    return c->seen[i] != NULL && fw_pictures_get(c->pictures, camera_of(c, i), c->seen[i], f, &err) == FW_OK &&
           (double)(clock_ns(c) - f->t_ns) < 1e9 * c->o.camera_age_s;
}

static void look(fw_control *c, fw_obs *obs) {
    obs->n_image = c->policy.embodiment->n_camera;
    for (int i = 0; i < obs->n_image; i++) {
        fw_driver_frame f;
        if (sees(c, i, &f)) {
            obs->image[i] = (fw_image){f.rgb, f.h, f.w};
        }
    }
}

static void hear(fw_control *c, fw_obs *obs) {
    pthread_mutex_lock(&c->words);
    memcpy(c->said, c->sentence, sizeof c->said);
    pthread_mutex_unlock(&c->words);
    obs->instruction = c->said;
}

static fw_status ask(fw_control *c, const seen *s, fw_err *err) {
    float state[FW_DIM_MAX];
    fw_ask a;
    fw_obs obs = {.state = s->joints, .n_state = c->policy.embodiment->n_state, .t_ns = s->t_ns};
    fw_chunk chunk = {.actions = c->rows, .cap_horizon = c->policy.horizon};
    fw_handover_ask(c->handover, s->executed, &a);
    if (c->o.map != NULL) {
        c->o.map->state(c->o.map->ctx, s->joints, s->acted ? s->action : NULL, state);
        obs.state = state;
    }
    obs.prev_action = s->acted ? s->action : NULL;
    obs.prefix = a.prefix, obs.n_prefix = a.n_prefix, obs.n_wish = a.n_wish;
    look(c, &obs);
    hear(c, &obs);
    FW_TRY(fw_policy_infer(c->o.policy, &obs, &chunk, err));
    c->infer_s = 1e-9 * (double)(clock_ns(c) - s->t_ns);
    atomic_store(&c->last_infer_s, c->infer_s);
    return fw_handover_put(c->handover, &a, &chunk, c->infer_s, err);
}

/* The inference thread's sign of life: it hears safety's heart. */
static void live(fw_control *c) {
    seen s;
    fw_board_read(&c->sight, &s, sizeof s);
    atomic_store(&c->policy_echo, s.beat);
    atomic_fetch_add(&c->policy_count, 1);
}

static void remember_trouble(fw_control *c, const char *what) {
    pthread_mutex_lock(&c->words);
    snprintf(c->trouble, sizeof c->trouble, "%s", what);
    pthread_mutex_unlock(&c->words);
}

/* The last row before the next question has just begun, and the answer would wait for its end: what is seen later is newer. */
static bool too_early(const fw_control *c, const seen *s) {
    const double wait_s = fw_handover_latency(c->handover) + 1.5 * c->cycle_s;
    return s->executed == fw_handover_due(c->handover) && clock_ns(c) + (int64_t)(1e9 * wait_s) < s->row_end_ns;
}

bool fw_control_think(fw_control *c) {
    seen s;
    fw_err err = {FW_OK, ""};
    fw_board_read(&c->sight, &s, sizeof s);
    if (s.mode != FW_SAFETY_AUTONOMOUS || s.executed < fw_handover_due(c->handover) || too_early(c, &s)) {
        live(c); /* waiting, too, is life */
        return false;
    }
    if (ask(c, &s, &err) == FW_OK) {
        live(c);
        if (c->failing) {
            remember_trouble(c, "");
        }
        c->failing = false;
    } else {
        remember_trouble(c, err.msg);
        if (!c->failing) { /* once until it works again */
            fw_warn("policy: %s", err.msg);
        }
        c->failing = true;
        atomic_fetch_add(&c->policy_errors, 1);
    }
    return !c->failing;
}

static void *thought_main(void *ctx) {
    fw_control *c = ctx;
    const int64_t nap = (int64_t)(0.5e9 * c->cycle_s);
    while (!atomic_load(&c->quit)) {
        if (!fw_control_think(c)) {
            c->o.clock->sleep_until_ns(c->o.clock->self, clock_ns(c) + nap);
        }
    }
    return NULL;
}

/* ---- start, halt ---- */

/* A few questions before anything moves: plans are made, and the latency is known. */
static fw_status try_policy(fw_control *c, fw_err *err) {
    seen s;
    fw_board_read(&c->sight, &s, sizeof s);
    for (int i = 0; i < WARM_UPS && c->o.policy != NULL; i++) {
        s.t_ns = clock_ns(c);
        const fw_status st = ask(c, &s, err);
        if (st != FW_OK) {
            return fw_fail_in(err, st, "policy %s, tried out", c->policy.name);
        }
    }
    if (c->o.policy == NULL) {
        return FW_OK;
    }
    const int rows = (int)ceil(c->infer_s * c->policy.embodiment->rate_hz);
    if (rows > c->policy.max_delay && c->policy.max_delay > 0 && !c->o.allow_slow) {
        return fw_fail(err, FW_UNSAFE,
                       "policy %s takes %.0f ms, %d steps at %g Hz, and goes on from at most %d: a faster machine, a "
                       "slower robot, or "
                       "be allowed to be slow",
                       c->policy.name, 1e3 * c->infer_s, rows, c->policy.embodiment->rate_hz, c->policy.max_delay);
    }
    fw_policy_reset(c->o.policy);
    return FW_OK;
}

static bool sees_all(fw_control *c) {
    bool all = true;
    for (int i = 0; c->o.policy != NULL && i < c->policy.embodiment->n_camera; i++) {
        fw_driver_frame f;
        all = all && (c->seen[i] == NULL || sees(c, i, &f));
    }
    return all;
}

/* Cameras take a moment to wake up; meanwhile the robot is read. A policy that sees nothing after that will say so. */
static void await_sight(fw_control *c) {
    for (int i = 0; i * c->cycle_s < SIGHT_S && !sees_all(c); i++) {
        fw_control_cycle(c);
        usleep((useconds_t)(1e6 * c->cycle_s));
    }
}

/* threads: pictures come by themselves. */
static fw_status prepare(fw_control *c, bool threads, fw_err *err) {
    (void)fw_safety_init(&c->safety, &c->limits); /* checked in new */
    atomic_store(&c->request, FW_SAFETY_KEEP);
    FW_TRY(fw_driver_start(c->o.driver, err));
    c->prepared = true;
    if (threads) {
        FW_TRY(fw_pictures_start(c->pictures, err));
        await_sight(c);
    }
    fw_control_cycle(c);
    FW_TRY(try_policy(c, err));
    if (c->handover != NULL) {
        fw_handover_clear(c->handover);
    }
    return FW_OK;
}

fw_status fw_control_prepare(fw_control *c, fw_err *err) {
    return prepare(c, false, err);
}

/* The thread's own stack touched, memory locked, priority above everything that is not a robot. */
static void go_real_time(fw_control *c) {
    struct sched_param high = {.sched_priority = 80};
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        fw_warn("control: memory is not locked: %s", strerror(errno));
    }
    const int e = pthread_setschedparam(c->control, SCHED_FIFO, &high);
    if (e != 0) {
        fw_warn("control: no SCHED_FIFO (%s): other programs may delay it", strerror(e));
    }
}

fw_status fw_control_start(fw_control *c, fw_err *err) {
    FW_TRY(prepare(c, true, err));
    atomic_store(&c->quit, false);
    int e = pthread_create(&c->control, NULL, control_main, c);
    c->control_runs = e == 0;
    if (e == 0 && c->o.policy != NULL) {
        e = pthread_create(&c->thought, NULL, thought_main, c);
        c->thought_runs = e == 0;
    }
    if (e != 0) {
        fw_control_halt(c);
        return fw_fail(err, FW_IO, "control: a thread could not be started: %s", strerror(e));
    }
    if (c->o.real_time) {
        go_real_time(c);
    }
    return FW_OK;
}

void fw_control_halt(fw_control *c) {
    fw_control_status s;
    atomic_store(&c->request, FW_SAFETY_SILENT);
    for (int i = 0; i < HALT_CYCLES && c->control_runs; i++) {
        fw_control_status_get(c, &s);
        if (s.mode == FW_SAFETY_SILENT) {
            break;
        }
        usleep((useconds_t)(1e6 * c->cycle_s));
    }
    atomic_store(&c->quit, true);
    if (c->control_runs) { /* first: it takes the torque off, and the other may stand still for ever */
        pthread_join(c->control, NULL);
    }
    if (c->thought_runs) {
        pthread_join(c->thought, NULL);
    }
    c->thought_runs = c->control_runs = false;
    fw_pictures_stop(c->pictures);
    if (c->prepared) {
        fw_driver_stop(c->o.driver);
    }
    c->prepared = false;
}

/* ---- other threads ---- */

void fw_control_status_get(const fw_control *c, fw_control_status *out) {
    (void)fw_board_read(&c->status, out, sizeof *out);
}

void fw_control_request(fw_control *c, fw_safety_mode mode) {
    atomic_store(&c->request, (int)mode);
}

void fw_control_acknowledge(fw_control *c) {
    atomic_store(&c->acknowledge, 1);
}

void fw_control_stop(fw_control *c, bool on) {
    atomic_store(&c->stop, on);
}

void fw_control_estop(fw_control *c, bool on) {
    atomic_store(&c->estop, on);
}

void fw_control_withhold(fw_control *c, bool on) {
    atomic_store(&c->withhold, on);
}

fw_status fw_control_picture(fw_control *c, int camera, uint8_t *rgb, fw_driver_frame *out, fw_err *err) {
    return fw_pictures_get(c->pictures, camera, rgb, out, err);
}

const char *fw_control_trouble(fw_control *c, char *out, size_t cap) {
    pthread_mutex_lock(&c->words);
    snprintf(out, cap, "%s", c->trouble);
    pthread_mutex_unlock(&c->words);
    return out;
}

fw_status fw_control_say(fw_control *c, const char *sentence, fw_err *err) {
    if (strlen(sentence) >= SENTENCE) {
        return fw_fail(err, FW_INVALID, "a sentence of %zu bytes, wanted at most %d", strlen(sentence), SENTENCE - 1);
    }
    pthread_mutex_lock(&c->words);
    snprintf(c->sentence, sizeof c->sentence, "%s", sentence);
    pthread_mutex_unlock(&c->words);
    return FW_OK;
}

void fw_control_operate(fw_control *c, const float *joints) {
    seen s;
    fw_board_read(&c->sight, &s, sizeof s);
    memcpy(c->operated.joints, joints, sizeof(float) * (size_t)c->n);
    c->operated.count++;
    c->operated.echo = s.beat;
    fw_board_write(&c->operators, &c->operated, sizeof c->operated);
}

void fw_control_supervise(fw_control *c) {
    seen s;
    fw_board_read(&c->sight, &s, sizeof s);
    atomic_store(&c->supervisor_echo, s.beat);
    atomic_fetch_add(&c->supervisor_count, 1);
}
