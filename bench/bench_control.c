/*
 * bench_control - does control keep its time, and does stop stop? The simulated kitchen, the shipped policy, all threads that `flywheel run` has
 * but the page's.
 *
 *     build/release/bin/bench_control --seconds 600                      # deadlines, lateness, allocations, jumps
 *     build/release/bin/bench_control --stops 200 --load 2               # stop pressed in motion, all cores busy
 *     build/release/bin/bench_control --stops 200 --load 2 --still      # and every thread but control and who presses it stands still
 *
 * Lateness is taken around the sleep of the control thread, allocations are counted in that thread, from its first cycles to the end.
 * A stop is timed from the call of fw_control_stop until every axis is told the same position in all cycles that follow, and until every joint of
 * the arm moves by less than 0.02 rad/s (0.02 m/s). Scenes change by themselves when they are done.
 */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "model/pretrained.h"
#include "robot/control.h"
#include "robot/limits.h"
#include "sim/body.h"
#include "task/sim_driver.h"

enum { LOG = 4096, AXES = FW_DRIVER_AXIS_MAX, LOAD_MAX = 64 };
#define AT_REST 0.02 /* rad/s */

/* ---- allocations of the control thread */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static _Thread_local bool t_control; /* set by the control thread itself, in its first cycle */
static atomic_long g_allocations;

static void count(void) {
    if (t_control) {
        atomic_fetch_add(&g_allocations, 1);
    }
}
void *malloc(size_t n) {
    count();
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
    count();
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
    count();
    return __libc_realloc(p, n);
}
void *memalign(size_t align, size_t n) {
    count();
    return __libc_memalign(align, n);
}
void *aligned_alloc(size_t align, size_t n) {
    count();
    return __libc_memalign(align, n);
}
int posix_memalign(void **p, size_t align, size_t n) {
    count();
    *p = __libc_memalign(align, n);
    return *p != NULL ? 0 : ENOMEM;
}
void free(void *p) {
    if (p != NULL) {
        count();
    }
    __libc_free(p);
}

/* ---- what is at work */

typedef struct bench {
    const char *suite, *policy_dir, *precision;
    int64_t seed, stops, load, threads;
    double seconds;
    bool still, numb;
    fw_driver *driver;
    fw_policy *policy;
    fw_pool *pool;
    fw_safety_limits limits;
    fw_limits_names names;
    fw_body *of_target, *of_state; /* of the control and the inference thread */
    fw_observer_opts observer;
    fw_clock clock;
    fw_control *control;
    fw_control_status s;
    float *late_us; /* [cap] of the control thread's wake-ups */
    size_t cap;
    _Atomic size_t n_late;
    struct moved {
        int64_t t_ns;
        float fastest; /* rad/s (m/s) of the arm's joints */
    } log[LOG];
    _Atomic uint64_t n_log;
    float felt[AXES];     /* Nm, largest residual */
    float lasting[AXES];  /* Nm, of the least in half a second the largest */
    float last[AXES][64]; /* residuals of looks */
    int n_look;
    int64_t scenes, successes;
    int faults[FW_SAFETY_N_FAULT];
    pid_t control_tid;
} bench;

static int64_t now_ns(void *self) {
    (void)self;
    return fw_now_ns();
}

static void sleep_until(void *self, int64_t t_ns) {
    bench *b = self;
    const fw_clock *real = fw_clock_real();
    real->sleep_until_ns(real->self, t_ns);
    const size_t n = atomic_load(&b->n_late);
    if (t_control && n < b->cap) {
        b->late_us[n] = (float)(1e-3 * (double)(fw_now_ns() - t_ns));
        atomic_store(&b->n_late, n + 1);
    }
}

/* Every cycle, in the control thread. */
static void dynamics(void *ctx, const double *q, const double *v, double *M, double *bias) {
    bench *b = ctx;
    const uint64_t n = atomic_load(&b->n_log);
    if (!t_control) {
        b->control_tid = (pid_t)syscall(SYS_gettid);
        t_control = b->control_tid != getpid(); /* fw_control_start's own cycles are none of it */
    }
    struct moved *m = &b->log[n % LOG];
    m->t_ns = fw_now_ns(), m->fastest = 0;
    for (uint32_t i = 0; i < b->limits.n_axis; i++) {
        m->fastest = b->limits.axis[i].grip == 0 ? fmaxf(m->fastest, fabsf((float)v[i])) : m->fastest;
    }
    atomic_store(&b->n_log, n + 1);
    fw_body_model(b->of_target, q, v, M, bias);
}

static void map_state(void *ctx, const float *joints, const float *last_action, float *state) {
    fw_body_state(((bench *)ctx)->of_state, joints, last_action, state);
}

static bool map_target(void *ctx, const float *from, const float *measured, const float *action, float *joints) {
    return fw_body_target(((bench *)ctx)->of_target, from, measured, action, joints);
}

static fw_status open_robot(bench *b, fw_err *err) {
    char config[256];
    snprintf(config, sizeof config, "{\"suite\": \"%s\", \"seed\": %lld}", b->suite, (long long)b->seed);
    FW_TRY(fw_driver_open_api(fw_sim_driver_api(), config, &b->driver, err));
    const char *name = fw_env_embodiment(fw_sim_driver_env(b->driver))->name;
    FW_TRY(fw_limits_load(fw_home(), name, &b->limits, &b->names, err));
    b->limits.heartbeat_us[FW_SAFETY_SUPERVISOR] = 0;
    for (uint32_t i = 0; b->numb && i < b->limits.n_axis; i++) {
        b->limits.axis[i].contact = b->limits.axis[i].clamp = 1e5f;
    }
    FW_TRY(fw_body_open(fw_home(), name, &b->of_target, err));
    FW_TRY(fw_body_open(fw_home(), name, &b->of_state, err));
    b->observer = (fw_observer_opts)FW_OBSERVER_OPTS_DEFAULT;
    b->observer.dynamics = dynamics, b->observer.ctx = b;
    for (int i = 0; i < fw_body_n_axis(b->of_target); i++) {
        b->observer.viscous[i] = fw_body_axis_of(b->of_target, i)->damping;
        b->observer.dry[i] = fw_body_axis_of(b->of_target, i)->stick;
    }
    fw_policy_opts po = {.embodiment = name};
    FW_TRY(fw_precision_parse(b->precision, &po.precision, err));
    FW_TRY(fw_pool_new((int)b->threads, &b->pool, err));
    po.pool = b->pool;
    return fw_policy_open(b->policy_dir, &po, &b->policy, err);
}

static fw_status open_all(bench *b, fw_err *err) {
    static fw_control_map map;
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    FW_TRY(open_robot(b, err));
    b->cap = (size_t)(1.2e6 * (b->seconds + 4.0 * (double)b->stops + 60) / b->limits.period_us);
    b->late_us = calloc(b->cap, sizeof *b->late_us);
    b->clock = (fw_clock){now_ns, sleep_until, b};
    map = (fw_control_map){b, map_state, map_target, NULL};
    o.driver = b->driver, o.limits = &b->limits, o.policy = b->policy, o.map = &map, o.observer = &b->observer;
    o.clock = &b->clock, o.allow_slow = true, o.handover.delay_s = 0.1;
    FW_TRY(b->late_us != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "out of memory"));
    FW_TRY(fw_control_new(&o, &b->control, err));
    return fw_control_start(b->control, err);
}

static void close_all(bench *b) {
    fw_control_free(b->control);
    fw_policy_close(b->policy);
    fw_pool_free(b->pool);
    fw_body_close(b->of_target);
    fw_body_close(b->of_state);
    fw_driver_close(&b->driver);
    free(b->late_us);
}

/* ---- running it */

static void look(bench *b, int us) {
    usleep((useconds_t)us);
    fw_control_status_get(b->control, &b->s);
}

/* Looks 10 ms apart: what is felt at most, and for half a second. */
static void feel(bench *b) {
    for (uint32_t i = 0; i < b->limits.n_axis; i++) {
        float least = INFINITY;
        b->last[i][b->n_look % 64] = fabsf(b->s.residual[i]);
        for (int k = 0; k < 50; k++) {
            least = fminf(least, b->last[i][(b->n_look - k) & 63]);
        }
        b->felt[i] = fmaxf(b->felt[i], fabsf(b->s.residual[i]));
        b->lasting[i] = fmaxf(b->lasting[i], least);
    }
    b->n_look++;
}

static bool get(bench *b, fw_safety_mode m) {
    for (int i = 0; i < 1000 && b->s.mode != m; i++) {
        if (i % 200 == 0) { /* what was refused is forgotten */
            fw_control_acknowledge(b->control);
            look(b, 20000);
            fw_control_request(b->control, m);
        }
        look(b, 5000);
    }
    return b->s.mode == m;
}

/* Another scene: limp, changed, and off again. */
static bool try_scene(bench *b) {
    fw_sim_driver_now now;
    fw_err err = {0};
    fw_status st = FW_AGAIN;
    if (!get(b, FW_SAFETY_STANDBY) || !get(b, FW_SAFETY_SILENT)) {
        return false;
    }
    for (int i = 0; i < 200 && st != FW_OK; i++) {
        st = fw_sim_driver_reset(b->driver, NULL, (uint64_t)++b->seed, &err);
        look(b, 20000);
    }
    if (st != FW_OK || fw_sim_driver_now_get(b->driver, &now, &err) != FW_OK ||
        fw_control_say(b->control, now.sentence, &err) != FW_OK) {
        fprintf(stderr, "bench_control: %s\n", err.msg);
        return false;
    }
    b->scenes++;
    return get(b, FW_SAFETY_STANDBY) && get(b, FW_SAFETY_AUTONOMOUS);
}

static void tell(const bench *b) {
    fprintf(stderr, "bench_control: %s;", fw_safety_fault_text(b->s.first));
    for (uint32_t i = 0; i < b->limits.n_axis; i++) {
        fprintf(stderr, " %s %.2f/s %.1f Nm,", b->names.axis[i], (double)b->s.velocity[i], (double)b->s.residual[i]);
    }
    fprintf(stderr, "\n");
}

/* Some scenes cannot be, and an arm may be pressed against one until it is changed. */
static bool next_scene(bench *b) {
    for (int i = 0; i < 10; i++) {
        if (try_scene(b)) {
            return true;
        }
        fprintf(stderr, "bench_control: scene %lld: mode %d, latched %x, refused %x, present %x\n", (long long)b->seed,
                (int)b->s.mode, b->s.latched, b->s.refused, b->s.present);
    }
    return false;
}

/* Faults are counted, acknowledged, and it goes on. */
static bool mend(bench *b) {
    fw_sim_driver_now now;
    fw_err err;
    if (b->s.severity >= FW_SAFETY_SEV_HOLD) {
        b->faults[b->s.first]++;
        tell(b);
        return next_scene(b);
    }
    if (fw_sim_driver_now_get(b->driver, &now, &err) == FW_OK && now.done) {
        b->successes += now.verdict.success;
        return next_scene(b);
    }
    return true;
}

static bool work(bench *b, double seconds) {
    for (const int64_t end = fw_now_ns() + (int64_t)(1e9 * seconds); fw_now_ns() < end;) {
        look(b, 10000);
        feel(b);
        if (!mend(b)) {
            return false;
        }
    }
    return true;
}

/* ---- load, and threads that stand still */

static _Atomic bool g_quit, g_still;

static void *busy(void *ctx) {
    volatile double x = 1;
    (void)ctx;
    while (!atomic_load(&g_quit)) {
        x = x * 1.0000001 + 1e-9;
    }
    return NULL;
}

static void stand_still(int sig) {
    (void)sig;
    while (atomic_load(&g_still)) {
        const struct timespec nap = {.tv_nsec = 1000000};
        (void)nanosleep(&nap, NULL);
    }
}

/* All threads but control and this one. */
static void stop_others(const bench *b) {
    DIR *d = opendir("/proc/self/task");
    const pid_t own = (pid_t)syscall(SYS_gettid);
    atomic_store(&g_still, true);
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        const pid_t tid = (pid_t)atoi(e->d_name);
        if (tid > 0 && tid != own && tid != b->control_tid) {
            (void)syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    usleep(2000);
}

/* ---- stops */

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* ms until every command is the last one. */
static float until_told(bench *b, int64_t from) {
    float at[AXES];
    int64_t since = b->s.t_ns;
    memcpy(at, b->s.command, sizeof at);
    while (fw_now_ns() < from + 350000000) {
        look(b, 500);
        for (uint32_t i = 0; i < b->limits.n_axis; i++) {
            since = b->s.command[i] != at[i] ? b->s.t_ns : since;
        }
        memcpy(at, b->s.command, sizeof at);
    }
    return 1e-6f * (float)(since - from);
}

/* ms until the arm rests, and rests. */
static float until_rest(const bench *b, int64_t from) {
    int64_t last = from;
    const uint64_t n = atomic_load(&b->n_log);
    for (uint64_t i = n > LOG ? n - LOG : 0; i < n; i++) {
        const struct moved *m = &b->log[i % LOG];
        last = m->t_ns >= from && (double)m->fastest > AT_REST ? m->t_ns : last;
    }
    return 1e-6f * (float)(last - from);
}

static bool moving(const bench *b) {
    const uint64_t n = atomic_load(&b->n_log);
    return n > 0 && (double)b->log[(n - 1) % LOG].fastest > 5 * AT_REST;
}

static void say(const char *what, float *ms, int64_t n, float beyond) {
    int64_t more = 0;
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    for (int64_t i = 0; i < n; i++) {
        more += ms[i] > beyond;
    }
    printf("%-34s p50 %.3f  p99 %.3f  p99.9 %.3f  max %.3f ms; %lld of %lld above %g ms\n", what, (double)ms[n / 2],
           (double)ms[n * 99 / 100], (double)ms[n * 999 / 1000], (double)ms[n - 1], (long long)more, (long long)n,
           (double)beyond);
}

static int stops(bench *b) {
    float *told = calloc((size_t)b->stops, sizeof *told), *rest = calloc((size_t)b->stops, sizeof *rest);
    fw_rng rng = fw_rng_stream((uint64_t)b->seed, "stops");
    int64_t n = 0;
    while (told != NULL && rest != NULL && n < b->stops) {
        if (!work(b, fw_rng_uniform(&rng, 0.2, 0.8))) {
            return 1;
        }
        if (!moving(b)) {
            continue;
        }
        if (b->still) {
            stop_others(b);
        }
        const int64_t from = fw_now_ns();
        fw_control_stop(b->control, true);
        told[n] = until_told(b, from);
        rest[n] = until_rest(b, from);
        n++;
        atomic_store(&g_still, false);
        fw_control_stop(b->control, false);
        if ((!get(b, FW_SAFETY_STANDBY) || !get(b, FW_SAFETY_AUTONOMOUS)) && !next_scene(b)) {
            return 1;
        }
        fprintf(stderr, "\r%lld of %lld stops", (long long)n, (long long)b->stops);
    }
    fprintf(stderr, "\n");
    say("stop to commanded rest", told, n, 100);
    say("stop to measured rest", rest, n, 100);
    free(told), free(rest);
    return 0;
}

static void report(bench *b) {
    const size_t n = atomic_load(&b->n_late);
    const double period_ms = 1e-3 * b->limits.period_us;
    for (size_t i = 0; i < n; i++) {
        b->late_us[i] *= 1e-3f; /* ms from here */
    }
    if (n > 0) {
        say("wake-ups of the control thread late", b->late_us, (int64_t)n, (float)period_ms);
    }
    printf("%lld cycles of %.0f Hz, %lld deadlines missed (%.4f %%), %ld allocations in the control thread\n",
           (long long)b->s.cycle, 1e3 / period_ms, (long long)b->s.misses,
           100.0 * (double)b->s.misses / (double)b->s.cycle, atomic_load(&g_allocations));
    printf("%lld chunks, %lld rows missed, largest jump at a change %.3f of an action's range, inference %.0f ms\n",
           (long long)b->s.chunks, (long long)b->s.rows_missed, (double)b->s.jump, 1e3 * b->s.infer_s);
    printf("%lld scenes, %lld done; residual at most, and for half a second:", (long long)b->scenes,
           (long long)b->successes);
    for (uint32_t i = 0; i < b->limits.n_axis; i++) {
        printf(" %s %.1f %.1f Nm,", b->names.axis[i], (double)b->felt[i], (double)b->lasting[i]);
    }
    printf("\nfaults:");
    int all = 0;
    for (int i = 0; i < FW_SAFETY_N_FAULT; i++) {
        all += b->faults[i];
        if (b->faults[i] > 0) {
            printf(" %d x %s", b->faults[i], fw_safety_fault_text(i));
        }
    }
    printf("%s\n", all == 0 ? " none" : "");
}

static int bench_run(bench *b) {
    pthread_t load[LOAD_MAX];
    fw_err err = {0};
    int code = 1;
    (void)signal(SIGUSR1, stand_still);
    if (open_all(b, &err) != FW_OK) {
        fprintf(stderr, "bench_control: %s\n", err.msg);
        close_all(b);
        return 1;
    }
    int64_t n = 0;
    for (; n < b->load && pthread_create(&load[n], NULL, busy, NULL) == 0; n++) {
    }
    if (next_scene(b)) {
        code = b->stops > 0 ? stops(b) : work(b, b->seconds) ? 0 : 1;
    }
    look(b, 10000);
    report(b);
    atomic_store(&g_quit, true);
    for (int64_t i = 0; i < n; i++) {
        pthread_join(load[i], NULL);
    }
    close_all(b);
    return code;
}

int main(int argc, char **argv) {
    static bench b = {.suite = "kitchen3",
                      .policy_dir = "models/kitchen3",
                      .precision = "f32",
                      .seed = 1,
                      .threads = 1,
                      .seconds = 60};
    const fw_arg args[] = {
        FW_ARG_F64("seconds", &b.seconds, 1, 86400, "S", "how long to work"),
        FW_ARG_INT("stops", &b.stops, 0, 100000, "N", "press stop so often instead, in motion"),
        FW_ARG_INT("load", &b.load, 0, LOAD_MAX, "N", "threads that do nothing but that"),
        FW_ARG_BOOL("still", &b.still, "with a stop every other thread stands still"),
        FW_ARG_BOOL("numb", &b.numb, "no contact is a fault: what the work itself makes felt"),
        FW_ARG_STR("policy", &b.policy_dir, "DIR", "what moves it"),
        FW_ARG_STR("suite", &b.suite, "NAME", "the room"),
        FW_ARG_STR("precision", &b.precision, "P", "f32, bf16 or int8"),
        FW_ARG_INT("threads", &b.threads, 1, 64, "N", "of inference"),
        FW_ARG_INT("seed", &b.seed, 0, 1000000000, "S", "of the first scene"),
    };
    const fw_usage usage = {.verb = "bench_control",
                            .example = "bench_control --seconds 600\nbench_control --stops 200 --load 2 --still",
                            .what = "Deadlines of control and time of a stop, in the simulated kitchen."};
    int n_paths;
    const int code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    return code == FW_ARGS_GO ? bench_run(&b) : code;
}
