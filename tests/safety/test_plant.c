/* ctest: timeout=300 */
/*
 * Random and adversarial commands against simulated joints: nothing leaves the envelope.
 *
 * A joint is a critically damped second order with a dead time, driven along straight lines from one command to the next
 * and solved exactly. Its answer to anything is an average over the past of what it was told, so that a command inside
 * the envelope keeps the joint inside, too: checked on the command and on the joint, in every cycle. The arm with links
 * is held against its keep-outs by a sum of its own, in double, point by point.
 *
 * FW_SAFETY_COMMANDS=100000000 sets how many commands; a seed in FW_SAFETY_SEED.
 */
#include "rig.h"

enum { EPISODE = 2000, DELAY_MAX = 4 };

typedef struct {
    double x, v;            /* rad, rad/s */
    double w, e;            /* natural frequency, exp(-w dt) */
    double told[DELAY_MAX]; /* the last commands, newest first */
} joint;

typedef struct {
    rig r;
    joint joint[FW_SAFETY_AXIS_MAX];
    int delay;
    bool links, sending;
    uint64_t seed;
    fw_safety_out last;
    int style, braking;
    float wander[FW_SAFETY_AXIS_MAX];
} trial;

typedef struct {
    long commands, moved, clipped, faults, episodes;
    double least; /* m, clearance of the plant */
} sums;

static float draw(trial *t, float lo, float hi) {
    return random_in(&t->seed, lo, hi);
}

static bool chance(trial *t, float p) {
    return draw(t, 0, 1) < p;
}

/* x'' = w^2 (r - x) - 2 w x', r from r0 to r1 in dt; returns x'' at the end */
static double joint_step(joint *j, double r0, double r1, double dt) {
    double s = (r1 - r0) / dt;
    double e0 = j->x - (r0 - 2.0 * s / j->w), d0 = j->v - s;
    double c = d0 + j->w * e0;
    double e1 = (e0 + c * dt) * j->e;
    double d1 = c * j->e - j->w * e1;
    j->x = r1 - 2.0 * s / j->w + e1;
    j->v = s + d1;
    return j->w * j->w * (r1 - j->x) - 2.0 * j->w * j->v;
}

static fw_safety_limits random_limits(trial *t) {
    static const uint32_t periods[] = {2000, 5000, 10000, 20000};
    fw_safety_limits l = t->links ? planar_arm() : small_arm(1 + (uint32_t)draw(t, 0, 2.99f));
    l.period_us = periods[(int)draw(t, 0, 3.99f)];
    l.late_us = 2 * l.period_us;
    l.sensor_us = 4 * l.period_us;
    float dt = (float)l.period_us * 1.0e-6f;
    for (uint32_t i = 0; i < l.n_axis; i++) {
        fw_safety_axis *a = &l.axis[i];
        a->velocity = draw(t, 0.3f, 2.0f);
        a->acceleration = a->velocity / draw(t, 0.02f, 0.04f);
        a->jerk = a->acceleration / draw(t, dt < 0.015f ? 0.6f * dt : dt, 0.022f);
        a->velocity_tolerance = 0.1f * a->velocity + 6.0f * dt * a->acceleration;
        a->follow = a->velocity * 0.2f + draw(t, 0, 0.3f);
    }
    l.hold_us = 200000;
    l.retract_us = 1000000;
    return l;
}

static void begin(trial *t) {
    float q[FW_SAFETY_AXIS_MAX] = {0};
    t->links = chance(t, 0.25f);
    fw_safety_limits l = random_limits(t);
    while (fw_safety_limits_check(&l).what != FW_SAFETY_LIMITS_OK) {
        l = random_limits(t);
    }
    double dt = (double)l.period_us * 1.0e-6;
    double w = fmin(t->links ? (double)draw(t, 80, 150) : (double)draw(t, 25, 150), 0.5 / dt);
    t->delay = (int)draw(t, 0, DELAY_MAX - 0.01f);
    if (t->links) {
        t->delay = t->delay % 2;
    } else {
        q[0] = draw(t, -1.4f, 1.9f);
    }
    rig_start_at(&t->r, &l, q);
    for (uint32_t i = 0; i < l.n_axis; i++) {
        t->joint[i] = (joint){.x = (double)q[i], .w = w, .e = exp(-w * dt)};
        t->wander[i] = q[i];
        for (int k = 0; k < DELAY_MAX; k++) {
            t->joint[i].told[k] = (double)q[i];
        }
    }
    t->r.frozen = true; /* the plant measures */
    t->sending = false;
    t->braking = 0;
    enable(&t->r, FW_SAFETY_AUTONOMOUS);
}

static float evil(trial *t, uint32_t i, long k) {
    const fw_safety_axis *a = &t->r.s.limits.axis[i];
    float dt = (float)t->r.s.limits.period_us * 1.0e-6f;
    float end = chance(t, 0.5f) ? a->position_max : a->position_min;
    switch (t->style) {
    case 0: /* anything */
        return draw(t, 2 * a->position_min, 2 * a->position_max);
    case 1: /* bang-bang */
        return (k / 7 + i) % 2 == 0 ? a->position_min : a->position_max;
    case 2: /* at a limit, and next to it */
        return nextafterf(end, draw(t, -3, 3));
    case 3: /* a walk that may be followed */
        t->wander[i] += draw(t, -1, 1) * a->velocity * dt;
        return t->wander[i];
    case 4: /* a swing at a frequency that braking does not expect */
        return 0.3f + 2.0f * sinf((float)k * dt * (20.0f + 10.0f * (float)i));
    case 5: /* far away and held */
        return (float)((k / 300 + i) % 3) * 1.5f - 1.5f;
    case 6: /* run, and turn at the last moment */
        return t->r.out.position[i] + (chance(t, 0.05f) ? -1.0f : 1.0f) * a->velocity * dt * draw(t, 0.9f, 1.1f);
    default: /* no number */
        return chance(t, 0.02f) ? NAN : chance(t, 0.02f) ? INFINITY : chance(t, 0.02f) ? -3.0e38f : draw(t, -1, 1);
    }
}

static void command_plant(trial *t, long k) {
    rig *r = &t->r;
    if (k % 250 == 0) {
        t->style = (int)draw(t, 0, 7.99f);
        for (uint32_t i = 0; i < r->s.limits.n_axis; i++) {
            t->wander[i] = r->out.position[i];
        }
    }
    command_all(r, 0);
    for (uint32_t i = 0; i < r->s.limits.n_axis; i++) {
        r->in.command.position[i] = evil(t, i, k);
    }
    if (chance(t, 0.0005f)) {
        r->in.command.seq -= 3;
    }
}

/* Buttons, faults of the machine, and a person who lets it go on. */
static void meddle(trial *t) {
    rig *r = &t->r;
    r->in.stop = chance(t, 0.0005f);
    r->numb = chance(t, 0.01f);
    for (uint32_t i = 0; i < r->s.limits.n_axis; i++) {
        r->in.axis[i].residual = chance(t, 0.0001f) ? 2.0f : 0.0f;
    }
    if (r->out.severity > FW_SAFETY_SEV_NONE && chance(t, 0.02f)) {
        r->in.acknowledge = true;
    }
    if (r->out.mode == FW_SAFETY_STANDBY || chance(t, 0.002f)) {
        r->in.request = chance(t, 0.5f) ? FW_SAFETY_AUTONOMOUS : FW_SAFETY_TELEOPERATED;
    }
}

static void measure(trial *t) {
    for (uint32_t i = 0; i < t->r.s.limits.n_axis; i++) {
        fw_safety_sample *m = &t->r.in.axis[i];
        float noise = 0.3f * t->r.s.limits.axis[i].noise;
        m->position = (float)t->joint[i].x + draw(t, -noise, noise);
        m->velocity = (float)t->joint[i].v;
    }
}

#define INSIDE(c, what, i)                                                                                             \
    do {                                                                                                               \
        if (!(c))                                                                                                      \
            FW_FAILED("%s of axis %d outside: CHECK(%s); links %d style %d severity %d delay %d", what, (int)(i), #c,  \
                      t->links, t->style, (int)t->r.out.severity, t->delay);                                           \
    } while (0)

static void check_command(const trial *t) {
    const fw_safety_limits *l = &t->r.s.limits;
    const fw_safety_out *o = &t->r.out;
    float dt = (float)l->period_us * 1.0e-6f;
    for (uint32_t i = 0; i < l->n_axis; i++) {
        const fw_safety_axis *a = &l->axis[i];
        float was = t->sending ? t->last.acceleration[i] : 0.0f;
        INSIDE(o->position[i] >= a->position_min && o->position[i] <= a->position_max, "command's position", i);
        INSIDE(fabsf(o->velocity[i]) <= a->velocity, "command's velocity", i);
        INSIDE(fabsf(o->acceleration[i]) <= a->acceleration, "command's acceleration", i);
        INSIDE(fabsf(o->acceleration[i] - was) <= a->jerk * dt, "command's jerk", i);
        INSIDE(!t->sending || fabsf(o->position[i] - t->last.position[i] - o->velocity[i] * dt) < 1.0e-6f,
               "command's step", i);
        INSIDE(o->torque_cap[i] <= a->torque, "torque", i);
    }
}

static void check_joint(const trial *t, uint32_t i, double acceleration) {
    const fw_safety_axis *a = &t->r.s.limits.axis[i];
    const joint *j = &t->joint[i];
    INSIDE(j->x >= (double)a->position_min - 1.0e-6 && j->x <= (double)a->position_max + 1.0e-6, "position", i);
    INSIDE(fabs(j->v) <= (double)a->velocity * 1.0001 + 1.0e-5, "velocity", i);
    INSIDE(fabs(acceleration) <= (double)a->acceleration * 1.02 + 1.0e-2, "acceleration", i);
}

static double box_away(double x, double y, const fw_safety_box *b) {
    double dx = fmax(fmax((double)b->min[0] - x, x - (double)b->max[0]), 0.0);
    double dy = fmax(fmax((double)b->min[1] - y, y - (double)b->max[1]), 0.0);
    return hypot(dx, dy);
}

/* planar_arm() with joints at a, a + b: clearance of 17 points a bar */
static double planar_clearance(const fw_safety_limits *l, double a, double b) {
    double least = 1.0e6;
    for (int k = 0; k <= 32; k++) {
        double s1 = fmin(0.3, k * 0.3 / 16.0), s2 = fmax(0.0, (k - 16) * 0.3 / 16.0);
        double x = s1 * cos(a) + s2 * cos(a + b), y = s1 * sin(a) + s2 * sin(a + b);
        double wall = fmin(fmin(x - (double)l->workspace.min[0], (double)l->workspace.max[0] - x),
                           fmin(y - (double)l->workspace.min[1], (double)l->workspace.max[1] - y));
        double post = k >= 16 ? hypot(x + 0.1, y + 0.12) - 0.04 : 1.0;
        least = fmin(least, fmin(fmin(wall, post), box_away(x, y, &l->keepout[0])) - 0.03);
    }
    return least;
}

static void check_clearance(const trial *t, sums *n) {
    const fw_safety_limits *l = &t->r.s.limits;
    double told = planar_clearance(l, (double)t->r.out.position[0], (double)t->r.out.position[1]);
    double is = planar_clearance(l, t->joint[0].x, t->joint[1].x);
    INSIDE(told >= -1.0e-5, "clearance of the command", 0);
    INSIDE(is >= -1.0e-5, "clearance of the plant", 0);
    n->least = fmin(n->least, is);
}

/* Ordered to stand, it stands within 100 ms. */
static void check_stop(trial *t) {
    const fw_safety_out *o = &t->r.out;
    bool ordered = o->severity == FW_SAFETY_SEV_HOLD || o->severity == FW_SAFETY_SEV_STOP;
    t->braking = ordered && !stands(&t->r) ? t->braking + 1 : 0;
    INSIDE((uint32_t)t->braking * t->r.s.limits.period_us <= FW_SAFETY_STOP_US, "stop", 0);
}

static void plant_cycle(trial *t, long k, sums *n) {
    double dt = (double)t->r.s.limits.period_us * 1.0e-6;
    command_plant(t, k);
    meddle(t);
    measure(t);
    n->commands += t->r.in.command.present;
    cycle(&t->r);
    if (t->r.out.send) {
        check_command(t);
        for (uint32_t i = 0; i < t->r.s.limits.n_axis; i++) {
            joint *j = &t->joint[i];
            double from = j->told[t->delay];
            memmove(&j->told[1], &j->told[0], sizeof(j->told) - sizeof(j->told[0]));
            j->told[0] = (double)t->r.out.position[i];
            check_joint(t, i, joint_step(j, from, j->told[t->delay], dt));
            n->moved += t->r.out.velocity[i] != 0.0f;
        }
        if (t->links) {
            check_clearance(t, n);
        }
        check_stop(t);
    }
    n->clipped += t->r.out.limited != 0;
    n->faults += t->r.out.severity > FW_SAFETY_SEV_WARN && t->last.severity <= FW_SAFETY_SEV_WARN;
    t->sending = t->r.out.send;
    t->last = t->r.out;
}

static long from_environment(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : otherwise;
}

static void nothing_leaves_the_envelope(void) {
    long wanted = from_environment("FW_SAFETY_COMMANDS", 1000000);
    sums n = {.least = 1.0e6};
    trial t;
    memset(&t, 0, sizeof(t));
    t.seed = (uint64_t)from_environment("FW_SAFETY_SEED", 1);
    while (n.commands < wanted) {
        begin(&t);
        for (long k = 0; k < EPISODE; k++) {
            plant_cycle(&t, k, &n);
        }
        n.episodes++;
        if (n.episodes % 5000 == 0) {
            fprintf(stderr, "%ld of %ld commands\n", n.commands, wanted);
        }
    }
    printf("%ld commands in %ld episodes: 0 outside the envelope; %ld axis cycles moved, %ld commands limited, %ld "
           "faults, "
           "least clearance of the plant %.4f m\n",
           n.commands, n.episodes, n.moved, n.clipped, n.faults, n.least);
    CHECK(n.moved > wanted / 4 && n.clipped > wanted / 4 && n.faults > wanted / 20000);
}

FW_TEST_MAIN(T(nothing_leaves_the_envelope))
