/*
 * delete.c - see delete.h.
 *
 * ORDER. What an earlier run left is finished; recordings of the home go; the dataset is built again without its episodes, with the
 * tombstone, looked through, and exchanged with the old one; the cache forgets; what is there then is looked through again. Each
 * step finds out by itself what there is to do, so a run after a kill does the rest.
 */
#include "data/delete.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "data/cache.h"
#include "data/deleted.h"
#include "data/prove.h"
#include "data/rebuild.h"
#include "data/recorder_int.h"
#include "data/replay.h"
#include "data/select.h"

typedef struct job {
    const char *dir;
    const fw_delete_opts *o;
    fw_delete_proof *proof;
    copy_source s; /* s.ds NULL: there is no dataset (yet, or any more) */
    bool *goes;    /* owned [n_episodes] */
    int64_t *keep; /* owned [n_keep] */
    int64_t n_keep;
    fw_deleted *deleted;
    int rule; /* -1: not made yet */
    prove_rows rows;
    char (*views)[FW_REPLAY_KEY]; /* owned [n_views] that go */
    int64_t n_views;
} job;

/* --- a choice that was made already --- */

static const char *choice_text(const fw_delete_opts *o) {
    return o->where != NULL ? o->where : o->episodes;
}

/* Of what lies in dir now; "" when there is no dataset. */
static fw_status identity(const char *dir, char out[65], fw_err *err) {
    char info[STORE_PATH];
    fw_dataset *ds;
    out[0] = 0;
    FW_TRY(fw_path_join(info, sizeof(info), dir, "meta/info.json", err));
    if (!fw_path_exists(info)) {
        return FW_OK;
    }
    FW_TRY(fw_dataset_open(dir, &ds, err));
    fw_status st = fw_dataset_identity(ds, out, err);
    fw_dataset_close(ds);
    return st;
}

/* --- what goes --- */

static fw_status open_dataset(job *j, fw_err *err) {
    char info[STORE_PATH];
    FW_TRY(fw_path_join(info, sizeof(info), j->dir, "meta/info.json", err));
    j->s.file = -1;
    if (!fw_path_is_dir(j->dir)) {
        return fw_fail(err, FW_IO, "%s: no such folder", j->dir);
    }
    return fw_path_exists(info) ? copy_source_open(&(fw_copy_source){.dir = j->dir}, &j->s, err) : FW_OK;
}

static fw_status choose(job *j, fw_err *err) {
    fw_dataset *ds = j->s.ds;
    int64_t n_all = ds != NULL ? ds->n_episodes : 0, *some = NULL, n = 0;
    j->goes = calloc((size_t)n_all + 1, sizeof(bool));
    j->keep = calloc((size_t)n_all + 1, sizeof(int64_t));
    if (j->goes == NULL || j->keep == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", j->dir);
    }
    if (j->o->home == NULL) { /* positions name others once some are gone: the same choice is not made twice */
        char left[65];
        FW_TRY(identity(j->dir, left, err));
        j->rule = fw_deleted_done(j->deleted, choice_text(j->o), left);
    }
    if (ds == NULL) {
        return j->o->home != NULL || j->rule >= 0
                   ? FW_OK
                   : fw_fail(err, FW_INVALID, "%s: there is no dataset to choose from", j->dir);
    }
    if (j->o->home == NULL && j->rule < 0) {
        FW_TRY(j->o->where != NULL ? fw_select_where(ds, j->o->where, &some, &n, err)
                                   : fw_select_list(ds, j->o->episodes, &some, &n, err));
        for (int64_t i = 0; i < n; i++) {
            j->goes[some[i]] = true;
        }
        free(some);
    }
    for (int64_t e = 0; e < n_all; e++) {
        if (j->o->home != NULL) {
            fw_provenance p = fw_dataset_provenance(ds, e);
            j->goes[e] = p.home != NULL && strcmp(p.home, j->o->home) == 0;
        }
        j->proof->episodes += j->goes[e];
        j->proof->frames += j->goes[e] ? ds->episodes[e].length : 0;
        if (!j->goes[e]) {
            j->keep[j->n_keep++] = e;
        }
    }
    return FW_OK;
}

/* --- recordings --- */

static bool holds_name(const char *path, const char *name) {
    fw_map m;
    if (fw_map_open(path, &m, NULL) != FW_OK) {
        return false;
    }
    bool found = m.data != NULL && memmem(m.data, m.size, name, strlen(name)) != NULL;
    fw_map_close(&m);
    return found;
}

/* Whether a file of .recorder is a recording of the home. One that cannot be read any more is, when the name stands anywhere in it. */
static bool is_recording_of(const char *path, const char *home) {
    rec_episode e;
    size_t n = strlen(path);
    if (n < 4 || (strcmp(path + n - 4, ".seg") != 0 && strstr(path, ".seg.unreadable") == NULL)) {
        return false;
    }
    const char *one[] = {path};
    if (rec_episode_load(one, 1, &e, NULL) != FW_OK) {
        return holds_name(path, home);
    }
    bool of = strcmp(e.text[REC_HOME], home) == 0;
    rec_episode_clear(&e);
    return of;
}

static fw_status remove_recordings(job *j, fw_err *err) {
    char folder[STORE_PATH], path[STORE_PATH], **names;
    size_t n;
    int lock;
    FW_TRY(fw_path_join(folder, sizeof(folder), j->dir, REC_FOLDER, err));
    if (j->o->home == NULL || !fw_path_is_dir(folder)) {
        return FW_OK;
    }
    FW_TRY(rec_lock(j->dir, &lock, err));
    fw_status st = fw_list_dir(folder, &names, &n, err);
    for (size_t i = 0; st == FW_OK && i < n; i++) {
        st = fw_path_join(path, sizeof(path), folder, names[i], err);
        if (st == FW_OK && is_recording_of(path, j->o->home)) {
            j->proof->recordings++;
            if (!j->o->dry_run && unlink(path) != 0) {
                st = fw_fail(err, FW_IO, "%s: %s", path, strerror(errno));
            }
        }
    }
    fw_names_free(names, n);
    st = st == FW_OK ? rec_sync_folder(folder, err) : st;
    close(lock);
    return st;
}

/* --- tombstone, marks --- */

static fw_status episode_values(const job *j, int64_t e, const fw_feature *f, float **out, fw_err *err) {
    const fw_episode_info *i = &j->s.ds->episodes[e];
    const fw_column *c = f != NULL ? fw_table_find(&j->s.rows, f->key) : NULL;
    *out = NULL;
    if (f == NULL || c == NULL || c->width != f->size) {
        return FW_OK;
    }
    int64_t n = i->length * f->size;
    if ((*out = malloc((size_t)(n + 1) * sizeof(float))) == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: ep %lld", j->dir, (long long)i->index);
    }
    for (int64_t k = 0; k < n; k++) {
        (*out)[k] = (float)fw_column_f64(c, i->data_row * f->size + k);
    }
    return FW_OK;
}

static fw_status bury(job *j, int64_t e, fw_err *err) {
    const fw_dataset *ds = j->s.ds;
    bool readable = copy_source_rows(&j->s, e, NULL) == FW_OK && prove_rows_tell(&j->rows, &j->s, e);
    float *state = NULL, *action = NULL;
    fw_status st = readable ? episode_values(j, e, ds->state, &state, err) : FW_OK;
    st = st == FW_OK && readable ? episode_values(j, e, ds->action, &action, err) : st;
    bool whole = readable && (state != NULL || ds->state == NULL) && (action != NULL || ds->action == NULL);
    st = st == FW_OK ? fw_deleted_add(j->deleted, j->rule, whole ? state : NULL, whole ? action : NULL,
                                      ds->episodes[e].length, ds->n_state, ds->n_action, err)
                     : st;
    free(state);
    free(action);
    return st;
}

/* Rows that go are what is looked for, but for those that stay in another episode too; then the tombstone. A damaged episode goes
 * without marks, and so does one that another one repeats bit for bit. */
static fw_status mark(job *j, fw_err *err) {
    const fw_dataset *ds = j->s.ds;
    if ((j->rule = j->rule >= 0 ? j->rule : fw_deleted_rule(j->deleted, j->o->home)) < 0) {
        return fw_fail(err, FW_NOMEM, "%s: tombstone", j->dir);
    }
    if (ds == NULL) {
        return FW_OK;
    }
    j->rows.state = ds->state != NULL ? ds->state->key : NULL;
    j->rows.action = ds->action != NULL ? ds->action->key : NULL;
    j->rows.n_state = ds->n_state;
    j->rows.n_action = ds->n_action;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        if (j->goes[e] && copy_source_rows(&j->s, e, NULL) == FW_OK) {
            FW_TRY(prove_rows_add(&j->rows, &j->s, e, err));
        }
    }
    prove_rows_seal(&j->rows);
    for (int64_t e = 0; e < ds->n_episodes && j->rows.n > 0; e++) {
        if (!j->goes[e]) {
            FW_TRY(copy_source_rows(&j->s, e, err));
            prove_rows_except(&j->rows, &j->s, e);
        }
    }
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        FW_TRY(j->goes[e] ? bury(j, e, err) : FW_OK);
    }
    j->proof->marks = prove_rows_marks(&j->rows);
    return FW_OK;
}

/* Views that only episodes that go have. */
static fw_status mark_views(job *j, fw_err *err) {
    const fw_dataset *ds = j->s.ds;
    fw_replay r;
    char key[FW_REPLAY_KEY];
    int64_t n = ds != NULL ? ds->n_episodes : 0;
    j->views = calloc((size_t)n + 1, sizeof(*j->views));
    if (j->views == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: views", j->dir);
    }
    for (int64_t e = 0; e < n; e++) {
        if (j->goes[e] && fw_replay_read(ds, e, &r, NULL) == FW_OK) {
            fw_replay_key(&r, j->views[j->n_views++]);
        }
    }
    for (int64_t e = 0; e < n && j->n_views > 0; e++) {
        if (j->goes[e] || fw_replay_read(ds, e, &r, NULL) != FW_OK) {
            continue;
        }
        fw_replay_key(&r, key);
        for (int64_t i = 0; i < j->n_views; i++) {
            if (strcmp(j->views[i], key) == 0) {
                memcpy(j->views[i--], j->views[--j->n_views], FW_REPLAY_KEY);
            }
        }
    }
    return FW_OK;
}

static bool carry(void *ctx, const char *dir, const char *rel) {
    job *j = ctx;
    (void)dir;
    for (int64_t i = 0; i < j->n_views && strncmp(rel, "sim/", 4) == 0; i++) {
        if (strncmp(rel + 4, j->views[i], FW_REPLAY_KEY - 1) == 0) {
            j->proof->views++;
            return false;
        }
    }
    return true;
}

/* --- proving --- */

static void forget_counts(fw_delete_proof *p) {
    p->files = p->bytes = p->rows = p->names_found = p->rows_found = p->not_searched = 0;
    p->first[0] = 0;
}

/* The new folder, before it takes its place. */
static fw_status finish(void *ctx, const char *fresh, fw_err *err) {
    job *j = ctx;
    if (j->o->home == NULL) {
        char left[65];
        FW_TRY(identity(fresh, left, err));
        fw_deleted_note(j->deleted, j->rule, choice_text(j->o), left);
    }
    FW_TRY(fw_deleted_save(j->deleted, fresh, err));
    forget_counts(j->proof);
    FW_TRY(prove_folder(fresh, NULL, &j->rows, j->proof, err));
    return j->proof->rows_found == 0
               ? FW_OK
               : fw_fail(err, FW_FORMAT, "%s: %lld rows of what should be gone are still there; nothing was changed",
                         fresh, (long long)j->proof->rows_found);
}

/* --- the verb --- */

static fw_status rebuild(job *j, fw_err *err) {
    fw_rebuild_opts o = {
        .keep = j->keep, .n_keep = j->n_keep, .carry = carry, .finish = finish, .ctx = j, .progress = j->o->progress};
    return fw_dataset_rebuild(j->dir, &o, err);
}

/* What is there now; none of it may fall under the tombstones. */
static fw_status count_left(job *j, fw_err *err) {
    char info[STORE_PATH];
    fw_dataset *ds;
    FW_TRY(fw_path_join(info, sizeof(info), j->dir, "meta/info.json", err));
    if (!fw_path_exists(info)) {
        return FW_OK;
    }
    FW_TRY(fw_dataset_open(j->dir, &ds, err));
    j->proof->episodes_left = ds->n_episodes;
    j->proof->frames_left = ds->n_frames;
    for (int64_t e = 0; e < ds->n_episodes && !j->o->dry_run; e++) {
        fw_episode ep;
        if (fw_dataset_read_episode(ds, e, &ep, NULL) == FW_OK &&
            fw_deleted_refuse_rows(j->deleted, j->dir, e, ep.state, ep.action, ep.length, ep.n_state, ep.n_action,
                                   NULL) != FW_OK) {
            j->proof->rows_found += ep.length;
        }
        fw_episode_clear(&ep);
    }
    fw_dataset_close(ds);
    return FW_OK;
}

static fw_status run(job *j, fw_err *err) {
    char id[1][65] = {""};
    FW_TRY(open_dataset(j, err));
    FW_TRY(fw_deleted_new(&j->deleted, err));
    FW_TRY(fw_deleted_load(j->deleted, j->dir, err));
    FW_TRY(choose(j, err));
    FW_TRY(remove_recordings(j, err));
    bool known = j->o->home != NULL ? fw_deleted_home(j->deleted, j->o->home) != NULL : j->rule >= 0;
    if (j->proof->episodes == 0 && j->proof->recordings == 0 && !known) {
        return fw_fail(err, FW_INVALID, "%s: nothing to delete: no episode, recording or tombstone fits", j->dir);
    }
    if (j->o->dry_run) {
        return FW_OK;
    }
    if (j->s.ds != NULL) {
        FW_TRY(fw_dataset_identity(j->s.ds, id[0], err));
    }
    FW_TRY(mark(j, err));
    snprintf(j->proof->rule, sizeof(j->proof->rule), "%s", fw_deleted_name(j->deleted, j->rule));
    if (j->proof->episodes > 0) {
        FW_TRY(mark_views(j, err));
        FW_TRY(rebuild(j, err));
    } else if (!known) {
        FW_TRY(fw_deleted_save(j->deleted, j->dir, err));
    }
    FW_TRY(fw_cache_forget(j->dir, (const char(*)[65])id, id[0][0] != 0, &j->proof->blobs, &j->proof->blob_bytes, err));
    forget_counts(j->proof);
    return prove_folder(j->dir, j->o->home, &j->rows, j->proof, err);
}

fw_status fw_dataset_delete(const char *dir, const fw_delete_opts *opts, fw_delete_proof *proof, fw_err *err) {
    job j = {.dir = dir, .o = opts, .proof = proof, .s = {.file = -1}, .rule = -1};
    *proof = (fw_delete_proof){0};
    if ((opts->home != NULL) + (opts->episodes != NULL) + (opts->where != NULL) != 1 ||
        (opts->home != NULL && opts->home[0] == 0)) {
        return fw_fail(err, FW_INVALID, "%s: wanted one of a home, a list of episodes, an expression", dir);
    }
    if (!opts->dry_run) {
        FW_TRY(fw_rebuild_resume(dir, &proof->resumed, err));
    }
    fw_status st = run(&j, err);
    st = st == FW_OK ? count_left(&j, err) : st;
    copy_source_clear(&j.s);
    fw_deleted_free(j.deleted);
    prove_rows_clear(&j.rows);
    free(j.goes);
    free(j.keep);
    free(j.views);
    return st;
}
