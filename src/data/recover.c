/*
 * recover.c - what a recorder left in <dir>/.recorder becomes part of the dataset (see recorder.h).
 *
 * A file there is "<session>-<episode>.<part>.seg"; names sort in the order of recording. A recording is in the dataset exactly when
 * an episode that info.json counts has its name in the field `recording`: that decides, not any note of ours. So a crash anywhere
 * between encoding and removing the segments is answered by the same three steps: skip what is there already, append the rest and
 * seal, remove the segments.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "data/recorder_int.h"

fw_status rec_sync_folder(const char *path, fw_err *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool bad = fd < 0 || (fsync(fd) != 0 && errno != EINVAL);
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return bad ? fw_fail(err, FW_IO, "%s: fsync: %s", path, strerror(why)) : FW_OK;
}

fw_status rec_lock(const char *dir, int *lock, fw_err *err) {
    char folder[STORE_PATH], path[STORE_PATH];
    *lock = -1;
    FW_TRY(fw_path_join(folder, sizeof(folder), dir, REC_FOLDER, err));
    FW_TRY(fw_path_join(path, sizeof(path), folder, "lock", err));
    FW_TRY(store_mkdirs(folder, err));
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*lock < 0) {
        return fw_fail(err, FW_IO, "%s: %s", path, strerror(errno));
    }
    if (flock(*lock, LOCK_EX | LOCK_NB) != 0) {
        close(*lock);
        *lock = -1;
        return fw_fail(err, FW_AGAIN, "%s: another process is recording there", dir);
    }
    return FW_OK;
}

/* --- what lies in the folder --- */

/* The files of one recording, in order. */
typedef struct leftover {
    char name[REC_NAME];
    char **paths; /* borrowed from the list */
    int n;
    bool done; /* in the dataset, or not to be: its files can go */
} leftover;

typedef struct leftovers {
    char **paths; /* owned: full paths of *.seg, sorted */
    size_t n_paths;
    leftover *item; /* owned */
    int n;
} leftovers;

static void leftovers_clear(leftovers *l) {
    fw_names_free(l->paths, l->n_paths);
    free(l->item);
    *l = (leftovers){0};
}

/* "<name>.<part>.seg": the length of <name>; 0 when it is another file. */
static size_t segment_name(const char *file) {
    size_t n = strlen(file);
    const char *dot = strchr(file, '.');
    return n > 4 && strcmp(file + n - 4, ".seg") == 0 && dot != NULL && dot - file < REC_NAME ? (size_t)(dot - file)
                                                                                              : 0;
}

static fw_status list_leftovers(const char *dir, leftovers *out, fw_err *err) {
    char folder[STORE_PATH], path[STORE_PATH];
    char **names;
    size_t n;
    *out = (leftovers){0};
    FW_TRY(fw_path_join(folder, sizeof(folder), dir, REC_FOLDER, err));
    FW_TRY(fw_list_dir(folder, &names, &n, err));
    out->paths = calloc(n + 1, sizeof(char *));
    out->item = calloc(n + 1, sizeof(leftover));
    fw_status st = out->paths != NULL && out->item != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", folder);
    for (size_t i = 0; i < n && st == FW_OK; i++) {
        size_t len = segment_name(names[i]);
        if (len == 0) {
            continue;
        }
        st = fw_path_join(path, sizeof(path), folder, names[i], err);
        if (st != FW_OK || (out->paths[out->n_paths] = strdup(path)) == NULL) {
            st = st != FW_OK ? st : fw_fail(err, FW_NOMEM, "%s", folder);
            break;
        }
        leftover *last = out->n > 0 ? &out->item[out->n - 1] : NULL;
        if (last == NULL || strlen(last->name) != len || strncmp(last->name, names[i], len) != 0) {
            last = &out->item[out->n++];
            snprintf(last->name, sizeof(last->name), "%.*s", (int)len, names[i]);
            last->paths = &out->paths[out->n_paths];
        }
        last->n++;
        out->n_paths++;
    }
    fw_names_free(names, n);
    if (st != FW_OK) {
        leftovers_clear(out);
    }
    return st;
}

fw_status fw_recorder_waiting(const char *dir, int64_t *files, fw_err *err) {
    char folder[STORE_PATH];
    leftovers l;
    *files = 0;
    FW_TRY(fw_path_join(folder, sizeof(folder), dir, REC_FOLDER, err));
    if (!fw_path_is_dir(folder)) {
        return FW_OK;
    }
    FW_TRY(list_leftovers(dir, &l, err));
    *files = (int64_t)l.n_paths;
    leftovers_clear(&l);
    return FW_OK;
}

fw_status rec_find_sealed(const char *dir, char (*name)[REC_NAME], int n, bool *sealed, fw_err *err) {
    char info[STORE_PATH], meta[STORE_PATH];
    fw_dataset *ds;
    FW_TRY(fw_path_join(meta, sizeof(meta), dir, "meta", err));
    FW_TRY(fw_path_join(info, sizeof(info), meta, "info.json", err));
    if (!fw_path_exists(info)) {
        return FW_OK;
    }
    FW_TRY(rec_sync_folder(
        meta, err)); /* whoever replaced info.json may have died before this: without it, a power cut takes it back */
    FW_TRY(fw_dataset_open(dir, &ds, err));
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const char *text;
        if (!fw_dataset_field_text(ds, e, "recording", &text)) {
            break; /* it has no such field: nobody recorded here */
        }
        for (int i = 0; i < n; i++) {
            sealed[i] = sealed[i] || strcmp(name[i], text) == 0;
        }
    }
    fw_dataset_close(ds);
    return FW_OK;
}

static fw_status mark_sealed(const char *dir, leftovers *l, fw_recovered *out, fw_err *err) {
    char(*name)[REC_NAME] = calloc((size_t)l->n + 1, sizeof(*name));
    bool *sealed = calloc((size_t)l->n + 1, sizeof(bool));
    fw_status st = name != NULL && sealed != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", dir);
    for (int i = 0; i < l->n && st == FW_OK; i++) {
        memcpy(name[i], l->item[i].name, REC_NAME);
    }
    st = st == FW_OK ? rec_find_sealed(dir, name, l->n, sealed, err) : st;
    for (int i = 0; i < l->n && st == FW_OK; i++) {
        l->item[i].done = sealed[i];
        out->already += sealed[i];
    }
    free(name);
    free(sealed);
    return st;
}

/* --- sealing them --- */

/* No record in it, so nothing of it was acknowledged - unless its first bytes went bad since: it is kept under another name
 * when it holds anything but zeros. */
static fw_status set_aside(const leftover *x, fw_recovered *out, fw_err *err) {
    for (int i = 0; i < x->n; i++) {
        char to[STORE_PATH];
        fw_map m;
        FW_TRY(fw_map_open(x->paths[i], &m, err));
        size_t at = 0;
        while (at < m.size && m.data[at] == 0) {
            at++;
        }
        bool empty = at == m.size || m.size <= FW_SEG_FILE_BYTES + FW_SEG_RECORD_BYTES;
        fw_map_close(&m);
        int n = snprintf(to, sizeof(to), "%s.unreadable", x->paths[i]);
        if (empty || n < 0 || n >= (int)sizeof(to)) {
            continue;
        }
        if (rename(x->paths[i], to) != 0) {
            return fw_fail(err, FW_IO, "%s: rename: %s", x->paths[i], strerror(errno));
        }
        fw_log(FW_LOG_WARN, "%s: holds no readable record; kept as it is", to);
        out->unreadable++;
    }
    return FW_OK;
}

/* The writer for segments of this kind; another kind closes the one before. */
typedef struct sink {
    const char *dir;
    char *desc; /* owned; of w, as text and parsed: w's video options borrow from it */
    rec_desc parsed;
    fw_writer *w;
    bool adding; /* an error now is the writer's: it is of no more use */
} sink;

static fw_status sink_close(sink *s, fw_err *err) {
    fw_status st = s->w != NULL ? fw_writer_close(s->w, err) : FW_OK;
    s->w = NULL;
    free(s->desc);
    s->desc = NULL;
    rec_desc_clear(&s->parsed);
    return st;
}

static fw_status sink_open(sink *s, const rec_episode *e, fw_err *err) {
    if (s->w != NULL && strcmp(s->desc, e->desc) == 0) {
        return FW_OK;
    }
    FW_TRY(sink_close(s, err));
    FW_TRY(rec_desc_parse(e->desc, strlen(e->desc), e->text[REC_RECORDING], &s->parsed, err));
    fw_writer_desc wd = rec_writer_desc(&s->parsed.d);
    if ((s->desc = strdup(e->desc)) == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", s->dir);
    }
    return rec_writer_open(s->dir, &wd, &s->w, err);
}

static fw_status recover_one(sink *s, leftover *x, fw_recovered *out, fw_err *err) {
    rec_episode e;
    fw_err why;
    fw_status st = rec_episode_load((const char *const *)x->paths, x->n, &e, &why);
    if (st == FW_FORMAT) {
        x->done = true;
        return set_aside(x, out, err);
    }
    if (st != FW_OK) {
        return fw_fail(err, st, "%s", why.msg);
    }
    if (e.length == 0 || (e.ended && !e.keep)) {
        out->discarded++;
    } else if ((st = sink_open(s, &e, err)) == FW_OK &&
               (s->adding = true, st = rec_episode_add(&e, s->w, err)) == FW_OK) {
        s->adding = false;
        out->episodes++;
        out->frames += e.length;
        out->truncated += !e.ended;
        out->damaged_frames += e.damaged;
    }
    x->done = st == FW_OK;
    rec_episode_clear(&e);
    return st != FW_OK ? fw_fail_in(err, st, "recording %s", x->name) : FW_OK;
}

static fw_status remove_done(const char *dir, const leftovers *l, fw_err *err) {
    char folder[STORE_PATH];
    FW_TRY(fw_path_join(folder, sizeof(folder), dir, REC_FOLDER, err));
    for (int i = 0; i < l->n; i++) {
        for (int k = 0; l->item[i].done && k < l->item[i].n; k++) {
            if (unlink(l->item[i].paths[k]) != 0 && errno != ENOENT) {
                return fw_fail(err, FW_IO, "%s: %s", l->item[i].paths[k], strerror(errno));
            }
        }
    }
    return rec_sync_folder(folder, err);
}

fw_status rec_recover(const char *dir, fw_recovered *out, fw_err *err) {
    leftovers l;
    sink s = {.dir = dir};
    *out = (fw_recovered){0};
    FW_TRY(list_leftovers(dir, &l, err));
    if (l.n == 0) {
        leftovers_clear(&l);
        return FW_OK;
    }
    fw_err why = {FW_OK, ""}, misfit = {FW_OK, ""};
    fw_status st = mark_sealed(dir, &l, out, err);
    for (int i = 0; i < l.n && st == FW_OK; i++) {
        fw_status one = l.item[i].done ? FW_OK : recover_one(&s, &l.item[i], out, &why);
        if (one != FW_OK && (s.adding || one == FW_IO || one == FW_NOMEM || one == FW_AGAIN)) {
            st = fw_fail(err, one, "%s", why.msg);
        } else if (one != FW_OK && misfit.code == FW_OK) {
            misfit = why; /* it does not fit this dataset: it stays, the others go on */
        }
    }
    st = st == FW_OK ? sink_close(&s, err) : st;
    st = st == FW_OK ? remove_done(dir, &l, err) : st; /* only when all of it is in the dataset */
    st = st == FW_OK && misfit.code != FW_OK ? fw_fail(err, misfit.code, "%s", misfit.msg) : st;
    fw_writer_abort(s.w);
    free(s.desc);
    rec_desc_clear(&s.parsed);
    leftovers_clear(&l);
    return st;
}

fw_status fw_recorder_recover(const char *dir, fw_recovered *out, fw_err *err) {
    int64_t files;
    int lock;
    *out = (fw_recovered){0};
    FW_TRY(fw_recorder_waiting(dir, &files, err));
    if (files == 0) {
        return FW_OK;
    }
    FW_TRY(rec_lock(dir, &lock, err));
    fw_status st = rec_recover(dir, out, err);
    close(lock);
    return st;
}
