/*
 * cmd_bench.c - the speed table of this machine, PyTorch beside it when asked.
 *
 * Every row runs in a process of its own: its memory is measured alone, and one that dies of lack of memory is a row that says so.
 * The peer is a Python program with PyTorch and LeRobot (bench/torch_policies.py), run after our rows; without --peer no Python runs.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/args.h"
#include "base/file.h"
#include "base/log.h"
#include "bench.h"
#include "cli.h"
#include "kern/kern.h"
#include "kern/peak.h"

enum { ROWS_MAX = 64, PEERS_MAX = 128 };

typedef struct row {
    const bench_work *work;
    fw_precision precision;
    char name[96]; /* "smolvla bf16" */
    bench_result r;
    double of_peak; /* of the operands that are used; 0: unknown */
    bool failed;
    char note[400]; /* why it was not run, or what to know about it */
    char peer[200];
    double peer_ms, peer_cpu_ms;
    double peer_mb, peer_base_mb; /* least of its ways; 0: not told */
} row;

typedef struct peer_time {
    char work[64], how[64]; /* "f32, compiled"; why not when ms is 0 */
    fw_precision precision;
    double ms, cpu_ms, rss_mb, base_mb;
} peer_time;

typedef struct bench {
    const char *peer, *only;
    int64_t threads;
    bool quick, json;
    char cpu[128];
    const char *kernels[3]; /* table of each precision; that of f32 where there is none */
    double peak[3];         /* of them, 10^9 operations/s */
    row row[ROWS_MAX];
    int n_row;
    peer_time seen[PEERS_MAX];
    int n_seen;
} bench;

static const char *const precisions[] = {"f32", "bf16", "int8"};

/* ---- the machine ---- */

/* The value of the first "key : value" line of a file in /proc. */
static bool proc_value(const char *path, const char *key, char *out, size_t cap) {
    char line[512];
    FILE *f = fopen(path, "r");
    bool found = false;
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon != NULL && strncmp(line, key, strlen(key)) == 0) {
            line[strcspn(line, "\n")] = 0;
            snprintf(out, cap, "%s", colon + 1 + strspn(colon + 1, " \t"));
            found = true;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return found;
}

static double available_gb(void) {
    char kb[64];
    return proc_value("/proc/meminfo", "MemAvailable", kb, sizeof kb) ? 1e-6 * atof(kb) : 1e9;
}

static void look_at_machine(bench *b) {
    char name[64] = "unknown CPU", family[16] = "?", model[16] = "?";
    proc_value("/proc/cpuinfo", "model name", name, sizeof name);
    proc_value("/proc/cpuinfo", "cpu family", family, sizeof family);
    proc_value("/proc/cpuinfo", "model\t", model, sizeof model);
    snprintf(b->cpu, sizeof b->cpu, "%s (family %s, model %s)", name, family, model);
    b->kernels[0] = fw_kern_get()->isa;
    b->kernels[1] = fw_kern_bf16() != NULL ? fw_kern_bf16()->isa : b->kernels[0];
    b->kernels[2] = fw_kern_int8()->isa;
    for (int i = 0; i < 3; i++) {
        b->peak[i] = bench_peak(b->kernels[i], (int)b->threads);
    }
}

static bool has_bf16(const bench *b) {
    return strcmp(b->kernels[1], b->kernels[0]) != 0 || strstr(b->kernels[0], "bf16") != NULL;
}

/* ---- rows ---- */

static bool wants(const bench_work *w, fw_precision p) {
    return p == FW_PRECISION_BF16 ? w->bf16 : p == FW_PRECISION_INT8 ? w->int8 : w->f32;
}

static void list_rows(bench *b) {
    for (int i = 0; i < bench_n_work; i++) {
        for (int p = 0; p < 3 && b->n_row < ROWS_MAX; p++) {
            const bench_work *w = &bench_works[i];
            row *r = &b->row[b->n_row];
            snprintf(r->name, sizeof r->name, "%s %s", w->name, precisions[p]);
            if (!wants(w, (fw_precision)p) || (b->quick && w->slow) ||
                (b->only != NULL && strstr(r->name, b->only) == NULL)) {
                continue;
            }
            r->work = w;
            r->precision = (fw_precision)p;
            b->n_row++;
        }
    }
}

/* What a weight takes when it is packed for the kernels. */
static double bytes_a_weight(const bench *b, fw_precision p) {
    return p == FW_PRECISION_INT8 ? 1.0 : p == FW_PRECISION_BF16 && has_bf16(b) ? 2.0 : 4.0;
}

/* Can this machine do the row? If not, or not as its name says, the note says why. */
static bool possible(const bench *b, row *r) {
    const double need = r->work->gparam * bytes_a_weight(b, r->precision) + (r->work->gparam > 1.0 ? 2.0 : 0.0);
    const double have = available_gb();
    if (r->precision == FW_PRECISION_BF16 && !has_bf16(b)) {
        if (r->work->f32) {
            snprintf(r->note, sizeof r->note, "this CPU has no bf16 products (AVX512-BF16, ARMv8.6): runs as f32");
            return false;
        }
        snprintf(r->note, sizeof r->note, "products in f32: this CPU has no bf16 ones (AVX512-BF16, ARMv8.6)");
    }
    if (need > have) {
        snprintf(r->note, sizeof r->note, "not run: it needs %.0f GB of memory, %.0f GB are free", need, have);
        return false;
    }
    return true;
}

static void in_child(const bench *b, const row *r, int to) {
    bench_result out;
    bench_run(r->work, r->precision, (int)b->threads, b->quick, &out);
    const bool sent = write(to, &out, sizeof out) == (ssize_t)sizeof out;
    _exit(sent ? 0 : 1);
}

static fw_status run_row(const bench *b, row *r, fw_err *err) {
    int fd[2], status = 0;
    struct rusage use;
    if (pipe(fd) != 0) {
        return fw_fail(err, FW_IO, "%s: no pipe: %s", r->name, strerror(errno));
    }
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        close(fd[0]);
        in_child(b, r, fd[1]);
    }
    close(fd[1]);
    const bool got = child > 0 && read(fd[0], &r->r, sizeof r->r) == (ssize_t)sizeof r->r;
    close(fd[0]);
    if (child < 0 || wait4(child, &status, 0, &use) != child) {
        return fw_fail(err, FW_IO, "%s: no process: %s", r->name, strerror(errno));
    }
    r->r.rss_mb = (double)use.ru_maxrss / 1024.0;
    if (!got) {
        r->r = (bench_result){0};
        snprintf(r->r.error, sizeof r->r.error, "ended by signal %d%s", WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                 WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? ": out of memory?" : "");
    }
    r->failed = r->r.ms <= 0.0;
    if (r->failed) {
        snprintf(r->note, sizeof r->note, "failed: %s", r->r.error);
    } else if (b->peak[r->precision] > 0.0) {
        r->of_peak = r->r.gflop / (1e-3 * r->r.ms) / b->peak[r->precision];
    }
    return FW_OK;
}

static fw_status run_rows(bench *b, fw_err *err) {
    fw_progress progress;
    fw_progress_start(&progress, "rows", (uint64_t)b->n_row);
    for (int i = 0; i < b->n_row; i++) {
        row *r = &b->row[i];
        if (possible(b, r)) {
            FW_TRY(run_row(b, r, err));
        }
        fw_progress_update(&progress, (uint64_t)i + 1, "%s", r->name);
    }
    fw_progress_end(&progress);
    return FW_OK;
}

/* ---- the peer ---- */

/* A line of the peer: {"work": "smolvla", "precision": "f32", "how": "compiled", "ms": 1.5, "cpu_ms": 2.9}, of
 * training also "rss_mb" and "base_mb", the memory of its process at most and before the network; or "note" instead of "ms". */
static void hear(bench *b, const char *line) {
    const char *work = NULL, *precision = NULL, *how = "", *note = "";
    double ms = 0.0, cpu_ms = 0.0, rss_mb = 0.0, base_mb = 0.0;
    peer_time *t = &b->seen[b->n_seen];
    json_t *o = json_loads(line, 0, NULL);
    if (o == NULL ||
        json_unpack(o, "{s:s, s:s, s?s, s?F, s?F, s?s, s?F, s?F}", "work", &work, "precision", &precision, "how", &how,
                    "ms", &ms, "cpu_ms", &cpu_ms, "note", &note, "rss_mb", &rss_mb, "base_mb", &base_mb) != 0) {
        fw_warn("peer: %s", line);
    } else if (fw_precision_parse(precision, &t->precision, NULL) == FW_OK && b->n_seen < PEERS_MAX - 1) {
        snprintf(t->work, sizeof t->work, "%s", work);
        snprintf(t->how, sizeof t->how, "%s%s%s", precision, how[0] != 0 || note[0] != 0 ? ", " : "",
                 ms > 0.0 ? how : note);
        t->ms = ms;
        t->cpu_ms = cpu_ms;
        t->rss_mb = rss_mb;
        t->base_mb = base_mb;
        b->n_seen++;
        fw_info("peer: %s, %s: %.2f ms", t->work, t->how, ms);
    }
    json_decref(o);
}

static void peer_argv(const bench *b, const char *script, char *threads, const char **argv) {
    int n = 0;
    argv[n++] = b->peer;
    argv[n++] = "-u";
    argv[n++] = script;
    argv[n++] = "--threads";
    argv[n++] = threads;
    if (b->quick) {
        argv[n++] = "--quick";
    }
    for (int i = 0; i < b->n_row; i++) {
        if (i == 0 || b->row[i].work != b->row[i - 1].work) {
            argv[n++] = b->row[i].work->name;
        }
    }
    argv[n] = NULL;
}

static fw_status run_peer(bench *b, fw_err *err) {
    char script[4096], threads[16], line[1024];
    const char *argv[ROWS_MAX + 8];
    int fd[2], status = 0;
    FW_TRY(fw_path_join(script, sizeof script, fw_home(), "bench/torch_policies.py", err));
    snprintf(threads, sizeof threads, "%d", (int)b->threads);
    peer_argv(b, script, threads, argv);
    if (pipe(fd) != 0) {
        return fw_fail(err, FW_IO, "peer: no pipe: %s", strerror(errno));
    }
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        dup2(fd[1], STDOUT_FILENO);
        close(fd[0]);
        close(fd[1]);
        execvp(b->peer, (char *const *)(uintptr_t)argv);
        fprintf(stderr, "%s: %s\n", b->peer, strerror(errno));
        _exit(127);
    }
    close(fd[1]);
    FILE *from = child > 0 ? fdopen(fd[0], "r") : NULL;
    while (from != NULL && fgets(line, sizeof line, from) != NULL) {
        hear(b, line);
    }
    from != NULL ? fclose(from) : close(fd[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return fw_fail(err, FW_IO, "peer: %s %s ended with %d", b->peer, script,
                       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    return FW_OK;
}

/* A row meets the peer's best of all precisions that are no coarser: what its user would run. Its memory is the least of these ways. */
static void match(bench *b) {
    for (int i = 0; i < b->n_row; i++) {
        row *r = &b->row[i];
        for (int k = 0; k < b->n_seen; k++) {
            const peer_time *t = &b->seen[k];
            if (strcmp(t->work, r->work->name) != 0 || t->precision > r->precision) {
                continue;
            }
            if (t->rss_mb > 0.0 && (r->peer_mb <= 0.0 || t->rss_mb < r->peer_mb)) {
                r->peer_mb = t->rss_mb;
                r->peer_base_mb = t->base_mb;
            }
            const bool better = t->ms > 0.0 ? r->peer_ms <= 0.0 || t->ms < r->peer_ms : r->peer[0] == 0;
            if (better) {
                r->peer_ms = t->ms;
                r->peer_cpu_ms = t->cpu_ms;
                snprintf(r->peer, sizeof r->peer, "PyTorch %s", t->how);
            }
        }
    }
}

/* ---- the table ---- */

static double ratio(double ours, double peers) {
    return ours > 0.0 && peers > 0.0 ? peers / ours : 0.0;
}

static json_t *number(double x) {
    return x > 0.0 ? json_real(x) : json_null();
}

static json_t *text(const char *s) {
    return s[0] != 0 ? json_string(s) : json_null();
}

static json_t *to_json(const bench *b) {
    json_t *rows = json_array(), *peaks = json_object(), *kernels = json_object();
    for (int i = 0; i < 3; i++) {
        const bool none = i == FW_PRECISION_BF16 && !has_bf16(b);
        json_object_set_new(peaks, precisions[i], none ? json_null() : number(b->peak[i]));
        json_object_set_new(kernels, precisions[i], none ? json_null() : json_string(b->kernels[i]));
    }
    for (int i = 0; i < b->n_row; i++) {
        const row *r = &b->row[i];
        const double rate = r->r.ms > 0.0 ? r->r.gflop / (1e-3 * r->r.ms) : 0.0;
        json_array_append_new(
            rows, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "work", r->name,
                            "ours_ms", number(r->r.ms), "peer", text(r->peer), "peer_ms", number(r->peer_ms),
                            "ours_cpu_ms", number(r->r.cpu_ms), "peer_cpu_ms", number(r->peer_cpu_ms), "ratio",
                            number(ratio(r->r.ms, r->peer_ms)), "gflops", number(rate), "of_peak", number(r->of_peak),
                            "rss_mb", number(r->r.rss_mb), "base_mb", number(r->r.base_mb), "peer_rss_mb",
                            number(r->peer_mb), "peer_base_mb", number(r->peer_base_mb), "note", text(r->note)));
    }
    return json_pack("{s:s, s:i, s:o, s:o, s:o}", "cpu", b->cpu, "threads", (int)b->threads, "kernels", kernels,
                     "peaks", peaks, "rows", rows);
}

static void put(double x, const char *format) {
    if (x > 0.0) {
        printf(format, x);
    } else {
        int width = atoi(format + 1);
        printf("%*s", width, "-");
    }
}

static void print_row(const bench *b, const row *r) {
    printf("%-34s ", r->name);
    put(r->r.ms, "%10.2f");
    put(r->r.cpu_ms, "%10.2f");
    put(r->r.ms > 0.0 ? r->r.gflop / (1e-3 * r->r.ms) : 0.0, "%9.1f");
    put(100.0 * r->of_peak, "%7.0f%%");
    put(r->r.rss_mb, "%8.0f");
    if (b->peer != NULL) {
        put(r->peer_ms, "%11.2f");
        put(ratio(r->r.ms, r->peer_ms), "%7.2f");
        put(ratio(r->r.cpu_ms, r->peer_cpu_ms), "%7.2f");
        printf("  %s", r->peer);
    }
    printf("%s%s\n", r->note[0] != 0 ? "  " : "", r->note);
}

static void print_table(const bench *b) {
    printf("%s, %d threads. Measured peak, 10^9 operations/s:", b->cpu, (int)b->threads);
    for (int i = 0; i < 3; i++) {
        if (i == FW_PRECISION_BF16 && !has_bf16(b)) {
            printf("  bf16 none");
        } else {
            printf("  %s %.0f (%s, %s)", precisions[i], b->peak[i], b->kernels[i], fw_peak_name(b->kernels[i]));
        }
    }
    printf("\n\n%-34s %10s%10s%9s%8s%8s", "work", "ms", "CPU ms", "GFLOP/s", "of peak", "MB");
    printf("%s\n", b->peer != NULL ? "    peer ms  ratio    CPU  peer" : "");
    for (int i = 0; i < b->n_row; i++) {
        print_row(b, &b->row[i]);
    }
    for (int i = 0; i < b->n_row; i++) {
        const row *r = &b->row[i];
        if (r->peer_mb > 0.0 && r->r.ms > 0.0) {
            printf("%s: %.0f MB at most, %.0f before the network is made; PyTorch %.0f (the least of its ways), %.0f "
                   "before, "
                   "with torch imported\n",
                   r->name, r->r.rss_mb, r->r.base_mb, r->peer_mb, r->peer_base_mb);
        }
    }
}

static int conclude(const bench *b, fw_status st, fw_err *err) {
    int failed = 0;
    const int code = b->json ? cli_json(to_json(b)) : 0;
    if (!b->json) {
        print_table(b);
    }
    for (int i = 0; i < b->n_row; i++) {
        failed += b->row[i].failed;
    }
    if (failed > 0) {
        st = fw_fail(err, FW_IO, "%d of %d rows failed; their notes say why", failed, b->n_row);
    }
    return st != FW_OK ? cli_fail(err) : code;
}

int cmd_bench(int argc, char **argv) {
    static bench b;
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    b.threads = cpus > 0 ? cpus : 1;
    const fw_arg args[] = {
        FW_ARG_STR("peer", &b.peer, "PYTHON", "a Python with PyTorch and LeRobot: the same work by them, after ours"),
        FW_ARG_STR("only", &b.only, "NAME", "rows whose name contains this: smolvla, 'linear', int8 ..."),
        FW_ARG_INT("threads", &b.threads, 1, 256, "N", "threads of ours and of the peer"),
        FW_ARG_BOOL("quick", &b.quick, "shorter, without the largest"),
        FW_ARG_BOOL("json", &b.json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "bench",
        .example = "flywheel bench\nflywheel bench --only smolvla --peer ~/venv/bin/python",
        .what =
            "How fast this machine is: layers, our own policy, SmolVLA, pi0 and ACT at their real sizes with random\n"
            "weights (2 cameras, 16 words, 10 flow steps). Best call of several. MB: most memory of the row's "
            "process.\n"
            "Ratio: the peer's time over ours. A few minutes without --peer.",
    };
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err = {FW_OK, ""};
    list_rows(&b);
    if (b.n_row == 0) {
        fw_error("bench: no row's name contains '%s'", b.only);
        return 2;
    }
    look_at_machine(&b);
    fw_status st = run_rows(&b, &err);
    if (st == FW_OK && b.peer != NULL) {
        st = run_peer(&b, &err);
        match(&b);
    }
    return conclude(&b, st, &err);
}
