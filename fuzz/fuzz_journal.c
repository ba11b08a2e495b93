/*
 * The journal of a copy that was interrupted, from anywhere: the input follows the line that names the copy. The copy goes on
 * and refuses, or it makes a dataset that opens and has its episodes.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>

#include "data/copy.h"
#include "data/dataset.h"
#include "data/writer.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        fprintf(stderr, "%s\n", err->msg);
        abort();
    }
}

static void make_source(const char *dir) {
    static const char *const name[] = {"a", "b"};
    static const float v[8] = {0};
    fw_writer_desc d = {
        .fps = 10, .robot_type = "x", .n_state = 2, .state_names = name, .n_action = 2, .action_names = name};
    fw_writer *w;
    fw_err err;
    must(fw_writer_open(dir, &d, &w, &err), &err);
    for (int e = 0; e < 3; e++) {
        fw_writer_episode ep = {.length = 4, .state = v, .action = v, .sentence = "go"};
        must(fw_writer_add_episode(w, &ep, &err), &err);
    }
    must(fw_writer_close(w, &err), &err);
}

/* What an interrupted copy leaves: it is stopped at the metadata, which are larger than a file may grow here. The line of its journal
 * that names it, and the file of rows that it had finished, are kept. */
typedef struct left {
    char *name, *rows;
    size_t rows_n;
} left;

static void interrupt(const fw_copy_source *src, const char *out, const fw_copy_opts *o, left *l) {
    struct rlimit was, small;
    size_t n;
    fw_err err;
    char path[300];
    getrlimit(RLIMIT_FSIZE, &was);
    small = was;
    small.rlim_cur = 16000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    fw_status st = fw_dataset_copy(src, 1, out, o, NULL, &err);
    setrlimit(RLIMIT_FSIZE, &was);
    if (st == FW_OK) {
        abort();
    }
    snprintf(path, sizeof path, "%s.copying/.journal", out);
    must(fw_file_read(path, 1 << 20, &l->name, &n, &err), &err);
    l->name[strcspn(l->name, "\n")] = 0;
    snprintf(path, sizeof path, "%s.copying/data/chunk-000/file-000.parquet", out);
    must(fw_file_read(path, 1 << 20, &l->rows, &l->rows_n, &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char from[200], out[200];
    static left l;
    fw_copy_source src = {.dir = from};
    fw_copy_opts o = {.version = 30, .resume = true};
    fw_dataset *ds;
    fw_err err;
    if (l.name == NULL) {
        snprintf(from, sizeof from, "%s/from", scratch());
        snprintf(out, sizeof out, "%s/out", scratch());
        make_source(from);
        interrupt(&src, out, &o, &l);
    }
    char *journal = malloc(size + 65), path[300];
    snprintf(path, sizeof path, "%s.copying", out);
    if (journal == NULL || fw_remove_tree(out, NULL) != FW_OK || fw_remove_tree(path, NULL) != FW_OK) {
        abort();
    }
    memcpy(journal, l.name, 64);
    journal[64] = '\n';
    memcpy(journal + 65, data, size);
    scratch_put("out.copying/.journal", journal, size + 65);
    scratch_put("out.copying/data/chunk-000/file-000.parquet", l.rows, l.rows_n);
    free(journal);
    fw_status st = fw_dataset_copy(&src, 1, out, &o, NULL, &err);
    scratch_refused(st, &err);
    if (st == FW_OK) {
        must(fw_dataset_open(out, &ds, &err), &err);
        for (int64_t e = 0; e < 3; e++) {
            fw_episode ep;
            must(fw_dataset_read_episode(ds, e, &ep, &err), &err);
            fw_episode_clear(&ep);
        }
        fw_dataset_close(ds);
    }
    return 0;
}
