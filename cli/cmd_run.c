/* cmd_run.c - flywheel run: a robot at work, from a policy or a person's hand, with its page, its record, and its stop button. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli.h"
#include "run.h"

enum { SHOW_MS = 100, REST_MS = 3000, URGENT = -10 };

/* ---- arguments ---- */

static int parse(run_args *a, int argc, char **argv) {
    const fw_arg args[] = {
        FW_ARG_STR("robot", &a->robot, "NAME",
                   "simulator, another driver (flywheel driver list), or a shared object ./mine.so"),
        FW_ARG_STR("config", &a->config, "JSON|FILE", "the driver's configuration"),
        FW_ARG_STR("embodiment", &a->embodiment, "NAME", "the robot's data, embodiments/NAME.json"),
        FW_ARG_STR("policy", &a->policy, "DIR", "what moves it"),
        FW_ARG_STR("server", &a->server, "URL",
                   "a policy on another machine instead, ws://host:port (openpi's protocol)"),
        FW_ARG_STR("api-key", &a->api_key, "KEY", "that server's key"),
        FW_ARG_BOOL("no-policy", &a->no_policy, "only people move it"),
        FW_ARG_STR("precision", &a->precision, "P", "f32, bf16 or int8: what the policy's products are computed in"),
        FW_ARG_INT("threads", &a->threads, 1, 256, "N", "threads of the policy"),
        FW_ARG_LIST("say", &a->say, "SENTENCE", "what to do; several: one after the other, in the simulator"),
        FW_ARG_STR("suite", &a->suite, "NAME", "the simulator's room, suites/NAME.json"),
        FW_ARG_STR("task", &a->task, "NAME", "whose scene the simulator sets up, and whose goal it judges"),
        FW_ARG_INT("seed", &a->seed, 0, 9e15, "S", "of the simulator's scene"),
        FW_ARG_STR("record", &a->record, "DIR", "dataset that everything goes to; \"\": nothing is recorded"),
        FW_ARG_STR("keep", &a->keep, "all|incidents", "record everything, or what led to take-overs, marks, faults"),
        FW_ARG_F64("ring-s", &a->ring_s, 1, 600, "S", "how much of what led there"),
        FW_ARG_BOOL("unrecorded", &a->unrecorded, "go on when the disk is full"),
        FW_ARG_STR("home", &a->home, "NAME", "whose home this is, for the record"),
        FW_ARG_STR("consent", &a->consent, "TEXT", "what its people agreed to, for the record"),
        FW_ARG_STR("careful", &a->careful, "FILE", "JSON that tightens the embodiment's safety limits"),
        FW_ARG_STR("leader", &a->leader, "JSON|FILE", "configuration of a leader arm of the same kind"),
        FW_ARG_BOOL("allow-slow", &a->allow_slow, "go on with a policy that answers later than it was trained for"),
        FW_ARG_BOOL("wait", &a->wait, "do not start by itself: the page does"),
        FW_ARG_F64("for", &a->for_s, 0, 1e7, "S", "end after so many seconds; 0: when told"),
        FW_ARG_BOOL("once", &a->once, "end when everything that was said is done (simulator)"),
        FW_ARG_STR("host", &a->host, "ADDR", "address of the page; not 127.0.0.1: --keys"),
        FW_ARG_INT("port", &a->port, 0, 65535, "N", "port of the page; 0: any free one"),
        FW_ARG_STR("keys", &a->keys, "FILE", "keys of the page, a line each"),
        FW_ARG_STR("cert", &a->cert, "FILE", "PEM of the page's TLS"),
        FW_ARG_STR("key", &a->key, "FILE", "PEM of its key"),
        FW_ARG_STR("web", &a->web, "DIR", "the page's files, for its development"),
        FW_ARG_BOOL("no-page", &a->no_page, "no page"),
        FW_ARG_BOOL("json", &a->json, "one JSON object on stdout, at the end"),
    };
    const fw_usage usage = {
        .verb = "run",
        .example =
            "flywheel run                                                    # the simulated kitchen; page: "
            "http://127.0.0.1:8080\n"
            "flywheel run --robot so101 --config arm.json --policy out/policy --say \"put the pen in the cup\" "
            "--record out/days\n"
            "flywheel run --robot so101 --config arm.json --server ws://gpu:8000 --careful slow.json\n"
            "flywheel run --robot so101 --config follower.json --leader leader.json --no-policy --record out/teleop",
        .what = "Drive a robot by a policy or by hand. Every command passes the safety limits of its embodiment; "
                "everything is recorded. "
                "Ctrl-C: rest, torque off, record sealed; again: at once."};
    int n_paths;
    return fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
}

static int check(run_args *a) {
    const bool simulated = strcmp(a->robot, "simulator") == 0;
    if (strcmp(a->keep, "all") != 0 && strcmp(a->keep, "incidents") != 0) {
        fprintf(stderr, "flywheel run: --keep %s: wanted all or incidents\n", a->keep);
        return 2;
    }
    if (!simulated && (a->say.n > 1 || a->once)) {
        fprintf(stderr,
                "flywheel run: several --say, and --once, are for the simulator, which can tell when a task is done\n");
        return 2;
    }
    if (!simulated && a->policy == NULL && a->server == NULL && !a->no_policy) {
        fprintf(stderr, "flywheel run: wants --policy DIR, --server URL, or --no-policy\n");
        return 2;
    }
    if (!simulated && a->embodiment == NULL) {
        a->embodiment = a->robot;
    }
    if (simulated && a->policy == NULL && a->server == NULL) {
        static char shipped[1024];
        fw_err err;
        if (fw_path_join(shipped, sizeof shipped, fw_home(), "models/kitchen3", &err) != FW_OK) {
            return cli_fail(&err);
        }
        a->policy = shipped;
    }
    return FW_ARGS_GO;
}

/* ---- a run ---- */

static fw_status open_control(run *r, fw_err *err) {
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    o.driver = r->driver, o.policy = r->policy, o.limits = &r->limits;
    o.map = r->of_control.target != NULL ? &r->of_control.map : NULL;
    o.observer = r->feels ? &r->observer : NULL;
    o.allow_slow = r->a.allow_slow;
    o.handover.delay_s = 0.1;
    FW_TRY(fw_control_new(&o, &r->control, err));
    return fw_control_start(r->control, err);
}

static fw_status open_session(run *r, fw_err *err) {
    fw_session_opts o = FW_SESSION_OPTS_DEFAULT;
    o.control = r->control, o.body = r->body, o.limits = &r->limits, o.embodiment = &r->e;
    o.map = r->of_session.target != NULL ? &r->of_session.map : NULL;
    o.has_policy = r->policy != NULL, o.leader = r->leader;
    o.record = r->a.record[0] != 0 ? r->a.record : NULL;
    o.keep = strcmp(r->a.keep, "all") == 0 ? FW_SESSION_ALL : FW_SESSION_INCIDENTS;
    o.ring_s = r->a.ring_s, o.may_go_unrecorded = r->a.unrecorded;
    o.policy_id = r->policy != NULL ? r->info.name : NULL, o.home = r->a.home, o.consent = r->a.consent;
    o.log = run_page_log, o.log_ctx = r;
    FW_TRY(fw_session_new(&o, &r->session, err));
    return fw_session_start(r->session, err);
}

/* What was said is done one by one; in the simulator each in a scene of its own. */
static fw_status begin(run *r, fw_err *err) {
    const char *sentence = r->said < r->a.say.n ? r->a.say.item[r->said] : NULL;
    if (r->simulated) {
        FW_TRY(run_sim_begin(r, sentence, err));
        sentence = r->sim.sentence;
    }
    if (sentence != NULL) {
        FW_TRY(fw_session_say(r->session, sentence, err));
    }
    return r->policy != NULL && sentence != NULL && !r->a.wait ? fw_session_run(r->session, err) : FW_OK;
}

/* Asked by the page: another scene. Nothing starts there by itself. */
static fw_status new_scene(run *r, fw_err *err) {
    r->a.seed++;
    FW_TRY(run_sim_begin(r, NULL, err));
    return fw_session_say(r->session, r->sim.sentence, err);
}

/* SIGINT or SIGTERM within so many ms. */
static bool told_to_end(const sigset_t *ends, int ms) {
    const struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    return sigtimedwait(ends, NULL, &t) > 0;
}

/* false: all that was said is done, and that was all. */
static bool go_on(run *r, fw_err *err) {
    fw_status st = FW_OK;
    if (atomic_exchange(&r->again, false)) {
        st = new_scene(r, err);
    } else if (run_sim_over(r)) {
        run_sim_end(r);
        r->said++;
        if (r->said < r->a.say.n) {
            st = begin(r, err);
        } else if (r->a.once) {
            return false;
        }
    }
    if (st != FW_OK) {
        fw_warn("%s", err->msg); /* the page says what keeps it from moving; people go on from there */
    }
    return true;
}

static void live(run *r, const sigset_t *ends) {
    fw_err err;
    if (begin(r, &err) != FW_OK) {
        fw_warn("%s", err.msg);
    }
    while (!told_to_end(ends, SHOW_MS)) {
        const double t = 1e-9 * (double)(fw_now_ns() - r->began_ns);
        run_page_show(r);
        if ((r->a.for_s > 0 && t > r->a.for_s) || (r->simulated && !go_on(r, &err))) {
            return;
        }
    }
}

/* ---- the end ---- */

static json_t *result_json(const run *r, const fw_session_status *s) {
    const fw_control_status *c = &s->control;
    json_t *late = json_array();
    for (int i = 0; i < FW_CONTROL_BUCKETS; i++) {
        json_array_append_new(late, json_integer(c->late[i]));
    }
    json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "robot",
                          r->body->name, "embodiment", r->e.name, "policy", r->policy != NULL ? r->info.name : "",
                          "cycles", (json_int_t)c->cycle, "misses", (json_int_t)c->misses, "late_us_log2", late,
                          "chunks", (json_int_t)c->chunks, "rows_missed", (json_int_t)c->rows_missed, "jump",
                          (double)c->jump, "infer_ms_p50", 1e3 * s->infer_p50_s, "infer_ms_p99", 1e3 * s->infer_p99_s,
                          "episodes", (json_int_t)s->episodes, "frames", (json_int_t)s->recorder.taken, "policy_errors",
                          (json_int_t)c->policy_errors, "driver_errors", (json_int_t)c->driver_errors);
    if (j != NULL && r->simulated) {
        json_object_set_new(j, "tasks", run_sim_json(r));
    }
    return j;
}

static int report(const run *r, const fw_session_status *s) {
    const fw_control_status *c = &s->control;
    if (r->a.json) {
        return cli_json(result_json(r, s));
    }
    printf(
        "%lld cycles, %lld missed; %lld chunks, %.0f ms each (99 %%: %.0f ms); %lld episodes, %llu frames recorded\n",
        (long long)c->cycle, (long long)c->misses, (long long)c->chunks, 1e3 * s->infer_p50_s, 1e3 * s->infer_p99_s,
        (long long)s->episodes, (unsigned long long)s->recorder.taken);
    if (r->simulated) {
        run_sim_print(r);
    }
    return 0;
}

static void announce(run *r) {
    fw_console *c = atomic_load(&r->console);
    if (c != NULL) {
        const char *host = r->a.host != NULL ? r->a.host : "127.0.0.1";
        fw_info("page: %s://%s:%d%s", r->a.cert != NULL ? "https" : "http", host, fw_console_port(c),
                r->a.keys != NULL ? "/#key=..." : "");
    }
    if (r->a.record[0] != 0) {
        fw_info("recording %s into %s", strcmp(r->a.keep, "all") == 0 ? "everything" : "incidents", r->a.record);
    }
}

/* At rest and limp before anything is closed; a second signal does not wait. */
static void rest(run *r) {
    fw_session_status s;
    fw_session_off(r->session);
    for (int i = 0; i < REST_MS / 20; i++) {
        fw_session_get(r->session, &s);
        if (s.control.mode == FW_SAFETY_SILENT) {
            return;
        }
        const struct timespec t = {0, 20000000};
        nanosleep(&t, NULL);
    }
}

static int run_all(run *r, const sigset_t *ends) {
    fw_err err;
    fw_session_status s = {0};
    r->began_ns = fw_now_ns();
    fw_status st = run_open(r, &err);
    st = st == FW_OK ? open_control(r, &err) : st;
    st = st == FW_OK ? open_session(r, &err) : st;
    st = st == FW_OK && !r->a.no_page ? run_page_start(r, &err) : st;
    if (st == FW_OK) {
        announce(r);
        live(r, ends);
        signal(SIGINT, SIG_DFL), signal(SIGTERM, SIG_DFL);
        pthread_sigmask(SIG_UNBLOCK, ends, NULL);
        rest(r);
        fw_session_get(r->session, &s);
    }
    if (r->session != NULL) {
        fw_session_stop(r->session);
    }
    run_page_stop(r);
    fw_session_free(r->session);
    fw_control_free(r->control);
    const int code = st == FW_OK ? report(r, &s) : cli_fail(&err);
    run_close(r);
    return code;
}

int cmd_run(int argc, char **argv) {
    static run r;
    sigset_t ends;
    r.a = (run_args){.robot = "simulator",
                     .threads = 1,
                     .suite = "kitchen3",
                     .seed = 1,
                     .record = "out/run",
                     .keep = "all",
                     .ring_s = 30,
                     .port = 8080};
    int code = parse(&r.a, argc, argv);
    code = code == FW_ARGS_GO ? check(&r.a) : code;
    if (code != FW_ARGS_GO) {
        return code;
    }
    (void)setpriority(PRIO_PROCESS, 0, URGENT); /* threads inherit it; without the right to, as others */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before any thread is made: only live sees them */
    return run_all(&r, &ends);
}
