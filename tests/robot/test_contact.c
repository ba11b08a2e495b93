/* ctest: timeout=300
 * Contacts are felt: arms in MuJoCo, moved hard through the control loop. Motion alone stays below the thresholds of the embodiment,
 * a push ends at rest, let go, soon; what the hand carries does not count as a person. */
#include "base/rng.h"
#include "mujoco_arm.h"

static const char *const robots[] = {"so101", "panda_kitchen"};
enum { N_ROBOT = 2 };

typedef struct rig {
    int64_t t_ns;
    fw_clock clock;
    fw_driver *driver;
    fw_control *c;
    fw_control_status s;
    float home[FW_DRIVER_AXIS_MAX], lead[FW_DRIVER_AXIS_MAX];
    fw_rng rng;
    double contact, clamp; /* largest residual so far, in shares of the thresholds */
    int axis;              /* where it was, of contact */
} rig;

static void rig_open(rig *r, const char *robot, double weight_kg, uint64_t seed) {
    fw_err err;
    *r = (rig){.t_ns = 1000000000, .rng = fw_rng_stream(seed, robot)};
    r->clock = fw_clock_sim(&r->t_ns);
    arm_open(robot, weight_kg, &r->clock);
    fw_body_home(g_arm.b, r->home);
    for (int i = 0; i < g_arm.n;
         i++) { /* the simulated servo overshoots when everything moves as fast as it may: not what is asked here */
        g_arm.limits.axis[i].noise = 0.05f, g_arm.limits.axis[i].velocity_tolerance = 0;
    }
    memcpy(r->lead, r->home, sizeof r->lead);
    CHECK(fw_driver_open_api(&arm_api, "{}", &r->driver, &err) == FW_OK);
    fw_driver_set_time(r->driver, r->clock.now_ns, r->clock.self);
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    o.driver = r->driver, o.limits = &g_arm.limits, o.clock = &r->clock, o.observer = &g_arm.observer;
    if (fw_control_new(&o, &r->c, &err) != FW_OK || fw_control_prepare(r->c, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
}

static void rig_close(rig *r) {
    fw_control_free(r->c);
    fw_driver_close(&r->driver);
    arm_close();
}

static void cycle(rig *r) {
    r->t_ns += (int64_t)g_arm.limits.period_us * 1000;
    fw_control_supervise(r->c);
    fw_control_operate(r->c, r->lead);
    fw_control_cycle(r->c);
    fw_control_status_get(r->c, &r->s);
    for (int i = 0; i < g_arm.n; i++) {
        const fw_safety_axis *a = &g_arm.limits.axis[i];
        const double size = fabs((double)r->s.residual[i]);
        if (size / (double)a->contact > r->contact) {
            r->contact = size / (double)a->contact, r->axis = i;
        }
        r->clamp = fmax(r->clamp, size / (double)a->clamp);
    }
}

static void to_mode(rig *r, fw_safety_mode m) {
    fw_control_request(r->c, m);
    for (int i = 0; i < 100 && r->s.mode != m; i++) {
        cycle(r);
    }
    CHECK_INT(r->s.mode, m);
}

static void begin(rig *r) {
    to_mode(r, FW_SAFETY_STANDBY);
    to_mode(r, FW_SAFETY_TELEOPERATED);
    for (int i = 0; i < 50; i++) {
        cycle(r);
    }
    r->contact = r->clamp = 0;
}

/* A posture somewhere else: up to 0.7 rad from home on every axis, the gripper anywhere. */
static void aim(rig *r) {
    for (int i = 0; i < g_arm.n; i++) {
        const fw_safety_axis *a = &g_arm.limits.axis[i];
        const double lo = (double)a->position_min + 0.02 * (double)(a->position_max - a->position_min),
                     hi = (double)a->position_max - 0.02 * (double)(a->position_max - a->position_min);
        double x = (double)r->home[i] + fw_rng_uniform(&r->rng, -0.7, 0.7);
        x = a->grip != 0 ? fw_rng_uniform(&r->rng, lo, hi) : x;
        r->lead[i] = (float)fmin(hi, fmax(lo, x));
    }
}

/* Seconds of motion with a new posture before the last is reached. */
static void hurry(rig *r, double seconds) {
    const int n = (int)(seconds * 1e6 / g_arm.limits.period_us);
    for (int i = 0; i < n && r->s.severity <= FW_SAFETY_SEV_WARN; i++) {
        if (i % 80 == 0) {
            aim(r);
        }
        cycle(r);
    }
}

static void healthy(const rig *r) {
    if (r->s.severity > FW_SAFETY_SEV_WARN) {
        FW_FAILED("faults %x at %.3f s", r->s.latched, 1e-9 * (double)r->t_ns);
    }
}

static void said(const rig *r, const char *what) {
    printf("# %s: residual at most %.2f of contact (%s), %.2f of clamp\n", what, r->contact, g_arm.names.axis[r->axis],
           r->clamp);
}

static void motion_alone_is_no_contact(void) {
    for (int k = 0; k < N_ROBOT; k++) {
        rig r;
        float fastest = 0;
        rig_open(&r, robots[k], 0, 1);
        begin(&r);
        for (int i = 0; i < 60; i++) {
            hurry(&r, 1);
            fastest = fmaxf(fastest, fabsf(r.s.velocity[0]));
        }
        said(&r, robots[k]);
        healthy(&r);
        CHECK(fastest > 0.5f * g_arm.limits.axis[0].velocity && r.contact < 0.5 && r.clamp < 0.9);
        rig_close(&r);
    }
}

/* Velocity sensors are not as quiet as the simulator. Noise counts by the mass it is multiplied with: a heavy arm needs a better sensor. */
static void noise_is_no_contact(void) {
    static const double rms[N_ROBOT] = {0.02, 0.005}; /* rad/s */
    for (int k = 0; k < N_ROBOT; k++) {
        rig r;
        rig_open(&r, robots[k], 0, 2);
        g_arm.noise_v = rms[k];
        begin(&r);
        hurry(&r, 20);
        said(&r, robots[k]);
        healthy(&r);
        CHECK(r.contact < 0.5 && r.clamp < 0.9);
        rig_close(&r);
    }
}

/* Somebody's arm in the way: force along -z (N) on the hand in the middle of a motion, growing over 50 ms. Seconds until the robot knows; until then
 * it may go on. 0: it never did, in a second. */
static double push(rig *r, const char *body, const double force[3]) {
    const int b = mj_name2id(g_arm.m, mjOBJ_BODY, body);
    const int64_t begun = r->t_ns;
    CHECK(b >= 0);
    while (r->t_ns < begun + 1000000000 && r->s.severity < FW_SAFETY_SEV_STOP) {
        for (int i = 0; i < 3; i++) {
            g_arm.d->xfrc_applied[6 * b + i] = force[i] * fmin(1, 1e-9 * (double)(r->t_ns - begun) / 0.05);
        }
        if ((r->t_ns - begun) % 400000000 == 0) {
            aim(r);
        }
        cycle(r);
    }
    return r->s.severity >= FW_SAFETY_SEV_STOP ? 1e-9 * (double)(r->t_ns - begun) : 0;
}

/* The contact stops it, for good, and it lets go; it says why, and moves again only when told. */
static void stopped_and_released(rig *r) {
    float before[FW_DRIVER_AXIS_MAX];
    if ((r->s.latched & ~(uint32_t)FW_SAFETY_CLIPPED) != FW_SAFETY_CONTACT || r->s.severity != FW_SAFETY_SEV_STOP) {
        FW_FAILED("severity %d, faults %x", (int)r->s.severity, r->s.latched);
    }
    for (int i = 0; i < 25; i++) { /* 125 ms */
        memcpy(before, r->s.command, sizeof before);
        cycle(r);
    }
    for (int i = 0; i < g_arm.n; i++) {
        const fw_safety_axis *a = &g_arm.limits.axis[i];
        CHECK(a->grip != 0 || r->s.command[i] == before[i]);
        CHECK(g_arm.force[i] == (double)a->torque_release);
    }
    for (int i = 0; i < 600; i++) { /* nobody pushes any more: it stays, and never retracts */
        mju_zero(g_arm.d->xfrc_applied, 6 * (int)g_arm.m->nbody);
        cycle(r);
        CHECK(r->s.severity == FW_SAFETY_SEV_STOP);
    }
    memcpy(before, r->s.command, sizeof before);
    fw_control_request(r->c, FW_SAFETY_TELEOPERATED);
    for (int i = 0; i < 50; i++) {
        cycle(r);
    }
    CHECK(r->s.severity == FW_SAFETY_SEV_STOP && memcmp(before, r->s.command, sizeof(float) * (size_t)g_arm.n) == 0);
    fw_control_acknowledge(r->c);
    cycle(r);
    CHECK(r->s.mode == FW_SAFETY_STANDBY && r->s.severity == FW_SAFETY_SEV_NONE);
    memcpy(r->lead, r->s.position, sizeof r->lead);
    to_mode(r, FW_SAFETY_TELEOPERATED);
}

/* What tasks carry is no person: moved as hard as the arm can. Twice that comes near: who carries more gives the arm other thresholds. */
static void a_load_is_no_contact(void) {
    static const double load_kg[N_ROBOT] = {0.1, 1.0};
    for (int k = 0; k < N_ROBOT; k++) {
        for (int heavy = 1; heavy <= 2; heavy *= 2) {
            char what[64];
            rig r;
            rig_open(&r, robots[k], heavy * load_kg[k], 3);
            begin(&r);
            hurry(&r, 20);
            snprintf(what, sizeof what, "%s with %g kg", robots[k], heavy * load_kg[k]);
            said(&r, what);
            if (heavy == 1) {
                healthy(&r);
            }
            rig_close(&r);
        }
    }
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Pushes at random moments of motion, from random sides. */
static void pushes(const char *robot, const char *body, double newton, double median_s, double most_s) {
    enum { N = 12, MOST = 10 };
    double took[N];
    for (int k = 0; k < N; k++) {
        rig r;
        double force[3], length = 0;
        rig_open(&r, robot, 0, 10 + (uint64_t)k);
        begin(&r);
        hurry(&r, 1 + fw_rng_unit(&r.rng));
        healthy(&r);
        for (int i = 0; i < 3; i++) {
            force[i] = fw_rng_normal(&r.rng);
            length += force[i] * force[i];
        }
        mju_scl3(force, force, newton / sqrt(length));
        took[k] = push(&r, body, force);
        if (took[k] > 0) {
            stopped_and_released(&r);
        }
        took[k] = took[k] > 0 ? took[k] : 1;
        rig_close(&r);
    }
    qsort(took, N, sizeof *took, by_size);
    printf("# %s: %g N on %s, from any side, grown in 50 ms: noticed after %.0f ms (median), %.0f ms (11 of 12)\n",
           robot, newton, body, 1e3 * took[N / 2], 1e3 * took[MOST]);
    CHECK(took[N / 2] <= median_s && took[MOST] <= most_s);
}

static void a_push_stops_and_releases(void) {
    pushes("panda_kitchen", "right_hand", 150, 0.1, 0.5);
    pushes("panda_kitchen", "link4", 300, 0.15, 0.8); /* some pull along the arm, which no joint feels */
    pushes("so101", "gripper", 15, 0.1, 0.5);
}

FW_TEST_MAIN(T(motion_alone_is_no_contact), T(noise_is_no_contact), T(a_load_is_no_contact),
             T(a_push_stops_and_releases))
