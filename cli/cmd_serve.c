/* cmd_serve.c - flywheel serve: policies on a port, for clients of openpi and vla-eval. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/log.h"
#include "cli.h"
#include "model/pretrained.h"
#include "serve/serve.h"

enum { DRAIN_MS = 10000 };

typedef struct served {
    int n;
    fw_serve_model model[FW_SERVE_MODELS];
    char name[FW_SERVE_MODELS][FW_NAME_MAX];
    fw_pool *pool[FW_SERVE_MODELS];
} served;

/* "NAME=DIR", or a folder that gives its name */
static fw_status open_one(served *v, const char *text, const fw_policy_opts *o, int threads, fw_err *err) {
    const char *eq = strchr(text, '='), *dir = eq != NULL ? eq + 1 : text, *from = text;
    char *name = v->name[v->n];
    fw_policy_opts with = *o;
    size_t len = eq != NULL ? (size_t)(eq - text) : strlen(text);
    while (eq == NULL && len > 1 && text[len - 1] == '/') {
        len--;
    }
    for (size_t i = 0; eq == NULL && i < len; i++) {
        from = text[i] == '/' ? text + i + 1 : from;
    }
    snprintf(name, FW_NAME_MAX, "%.*s", (int)(text + len - from), from);
    FW_TRY(fw_pool_new(threads, &v->pool[v->n], err));
    with.pool = v->pool[v->n];
    v->model[v->n] = (fw_serve_model){.name = name};
    v->n++;
    return fw_policy_open(dir, &with, &v->model[v->n - 1].policy, err);
}

static void close_all(served *v) {
    for (int i = 0; i < v->n; i++) {
        fw_policy_close(v->model[i].policy);
        fw_pool_free(v->pool[i]);
    }
}

static int announce(const served *v, const fw_serve_opts *o, int port, bool json) {
    const char *scheme = o->net.cert != NULL ? "wss" : "ws";
    for (int i = 0; i < v->n; i++) {
        fw_policy_info info;
        fw_policy_describe(v->model[i].policy, &info);
        fw_info("%s://%s:%d/%s: %s for %s, %d rows at %g Hz", scheme, o->net.host, port, v->model[i].name, info.name,
                info.embodiment->name, info.horizon, info.embodiment->rate_hz);
    }
    if (!json) {
        return 0;
    }
    json_t *names = json_array();
    for (int i = 0; i < v->n; i++) {
        json_array_append_new(names, json_string(v->model[i].name));
    }
    const int code = cli_json(
        json_pack("{s:s, s:i, s:s, s:o}", "host", o->net.host, "port", port, "scheme", scheme, "models", names));
    return fflush(stdout) == 0 ? code : 1;
}

/* Until SIGTERM or SIGINT; a second one ends at once. */
static void wait_for_the_end(const sigset_t *ends) {
    int sig;
    sigwait(ends, &sig);
    fw_info("%s: answering what was asked, then closing (again: at once)", sig == SIGINT ? "SIGINT" : "SIGTERM");
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, ends, NULL);
}

static int serve(const served *v, const fw_serve_opts *o, const sigset_t *ends, bool json) {
    fw_serve *s;
    fw_err err = {0};
    if (fw_serve_start(o, &s, &err) != FW_OK) {
        return cli_fail(&err);
    }
    const int code = announce(v, o, fw_serve_port(s), json);
    if (code == 0) {
        wait_for_the_end(ends);
    }
    fw_serve_stop(s, DRAIN_MS);
    return code;
}

static bool is_loopback(const char *host) {
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "lo") == 0;
}

static int check_usage(const fw_arg_list *policies, const fw_serve_opts *o, bool anyone) {
    if (policies->n < 1 || policies->n > FW_SERVE_MODELS) {
        fprintf(stderr, "flywheel serve: wants --policy DIR, at most %d of them; --help shows an example\n",
                FW_SERVE_MODELS);
        return 2;
    }
    if (!is_loopback(o->net.host) && o->net.keys == NULL && !anyone) {
        fprintf(stderr,
                "flywheel serve: --host %s lets other machines in: give --api-key-file FILE, or --anyone if that is "
                "meant\n",
                o->net.host);
        return 2;
    }
    return 0;
}

static int map_keys(const fw_arg_list *pairs, fw_key_map *map) {
    fw_err err = {0};
    for (int i = 0; i < pairs->n; i++) {
        if (fw_key_map_add(map, pairs->item[i], &err) != FW_OK) {
            fprintf(stderr, "flywheel serve: --map %s\n", err.msg);
            return 2;
        }
    }
    return 0;
}

/* Signals are blocked before any thread is made, so that only wait_for_the_end sees them. */
static int open_and_serve(const fw_arg_list *policies, const fw_policy_opts *p, int threads, fw_serve_opts *o,
                          bool json) {
    static served v;
    sigset_t ends;
    fw_err err = {0};
    fw_status st = FW_OK;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    for (int i = 0; i < policies->n && st == FW_OK; i++) {
        st = open_one(&v, policies->item[i], p, threads, &err);
    }
    o->model = v.model;
    o->n_model = v.n;
    const int code = st == FW_OK ? serve(&v, o, &ends, json) : cli_fail(&err);
    if (st != FW_OK) { /* the last one is not open */
        fw_pool_free(v.n > 0 ? v.pool[v.n - 1] : NULL);
        v.n -= v.n > 0;
    }
    close_all(&v);
    return code;
}

int cmd_serve(int argc, char **argv) {
    fw_arg_list policies = {0}, pairs = {0};
    fw_serve_opts o = {.net = {.host = "127.0.0.1"}};
    fw_policy_opts p = {0};
    const char *precision = NULL;
    int64_t port = 8000, max_batch = 1, max_queue = 128, clients = 256, megabytes = 64, workers = 0, seed = 1, flow = 0;
    bool json = false, anyone = false;
    const fw_arg args[] = {
        FW_ARG_LIST("policy", &policies, "DIR | NAME=DIR", "policies, the first for clients that name none (required)"),
        FW_ARG_INT("port", &port, 0, 65535, "N", "0: any free one"),
        FW_ARG_STR("host", &o.net.host, "ADDRESS", "to listen on; 0.0.0.0: all"),
        FW_ARG_STR("tls-cert", &o.net.cert, "FILE", "PEM certificate (chain): clients use wss://"),
        FW_ARG_STR("tls-key", &o.net.key, "FILE", "its key"),
        FW_ARG_STR("api-key-file", &o.net.keys, "FILE", "keys, a line each; clients send 'Authorization: Api-Key KEY'"),
        FW_ARG_BOOL("anyone", &anyone, "other machines may come without a key"),
        FW_ARG_LIST("map", &pairs, "THEIRS=OURS",
                    "where clients keep a camera, state or prompt: observation/image=front"),
        FW_ARG_STR("default-prompt", &o.default_prompt, "TEXT", "for observations without words"),
        FW_ARG_INT("max-batch", &max_batch, 1, FW_SERVE_BATCH, "N", "observations in one inference"),
        FW_ARG_F64("batch-wait-ms", &o.batch_wait_ms, 0, 10000, "T", "how long the first of them waits for others"),
        FW_ARG_F64("deadline-ms", &o.deadline_ms, 0, 1e7, "T", "older observations are refused; 0: none are"),
        FW_ARG_INT("max-queue", &max_queue, 1, 100000, "N", "observations waiting for a model; more are refused"),
        FW_ARG_INT("max-clients", &clients, 1, 10000, "N", "open connections"),
        FW_ARG_INT("max-message-mb", &megabytes, 1, 2048, "N", "of one observation"),
        FW_ARG_STR("precision", &precision, "P", "f32, bf16 or int8: what products are computed in"),
        FW_ARG_STR("embodiment", &p.embodiment, "NAME", "the robot that clients have"),
        FW_ARG_F64("rate-hz", &p.rate_hz, 0, 1000, "F", "control rate of a published policy; 0: 30"),
        FW_ARG_INT("flow-steps", &flow, 0, 1000, "N", "of flow matching; 0: the checkpoint's"),
        FW_ARG_STR("tokenizer", &p.tokenizer, "DIR", "of a published policy, when it lies elsewhere"),
        FW_ARG_INT("workers", &workers, 0, 256, "N", "threads of a model; 0: all CPUs"),
        FW_ARG_INT("seed", &seed, 0, 9007199254740991, "S", "the flow's noise"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout: where it serves"),
    };
    const fw_usage usage = {
        .verb = "serve",
        .example = "flywheel serve --policy models/kitchen3 --port 8000\n"
                   "flywheel serve --policy kitchen=models/kitchen3 aloha=pi0_aloha --max-batch 8 --batch-wait-ms 5\n"
                   "flywheel serve --policy pi05_droid --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem "
                   "--api-key-file keys.txt",
        .what = "Answer observations with action chunks over websockets: openpi's protocol and vla-eval's, unchanged "
                "clients. /healthz, /metrics (Prometheus). SIGTERM: answers what was asked, then ends.",
        .paths = NULL};
    fw_err err = {0};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (precision != NULL && fw_precision_parse(precision, &p.precision, &err) != FW_OK) {
        fprintf(stderr, "flywheel serve: --precision: %s\n", err.msg);
        return 2;
    }
    if ((code = check_usage(&policies, &o, anyone)) != 0 || (code = map_keys(&pairs, &o.map)) != 0) {
        return code;
    }
    o.net.port = (int)port;
    o.net.max_connections = (int)clients;
    o.net.max_message = (size_t)megabytes << 20;
    o.max_batch = (int)max_batch;
    o.max_queue = (int)max_queue;
    p.seed = (uint64_t)seed;
    p.flow_steps = (int)flow;
    return open_and_serve(&policies, &p, (int)workers, &o, json);
}
