/*
 * rebuild.c - see rebuild.h.
 *
 * STATES, told apart by what lies there (D the folder, R = D.rebuilding, O = D.replaced, M the marker .rebuilt inside):
 *   as before   D, perhaps R without M     -> clear R away
 *   whole       D, R/M                     -> clear R away (its source may have changed since)
 *   half way    no D, R/M, O               -> rename R to D (only where folders cannot be exchanged)
 *   exchanged   D/M, perhaps R or O        -> remove R and O, then M
 */
#include "data/rebuild.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/copy.h"
#include "data/recorder_int.h"

#define MARKER ".rebuilt"

typedef struct places {
    char dir[STORE_PATH], fresh[STORE_PATH], copying[STORE_PATH], old[STORE_PATH];
} places;

static fw_status name(char out[STORE_PATH], const char *dir, const char *suffix, fw_err *err) {
    return snprintf(out, STORE_PATH, "%s%s", dir, suffix) < STORE_PATH
               ? FW_OK
               : fw_fail(err, FW_INVALID, "%s: path too long", dir);
}

/* The full path of dir, also when only its folder is there. */
static fw_status find_places(const char *dir, places *p, fw_err *err) {
    char full[PATH_MAX], parent[STORE_PATH];
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') {
        n--;
    }
    if (realpath(dir, full) == NULL) {
        if (snprintf(parent, sizeof(parent), "%.*s", (int)n, dir) >= (int)sizeof(parent)) {
            return fw_fail(err, FW_INVALID, "%s: path too long", dir);
        }
        char *last = strrchr(parent, '/'), base[256];
        snprintf(base, sizeof(base), "%.255s", last != NULL ? last + 1 : parent);
        if (last != NULL) {
            last[last == parent] = 0;
        }
        if (realpath(last != NULL ? parent : ".", full) == NULL || strlen(full) + strlen(base) + 2 > sizeof(full)) {
            return fw_fail(err, FW_IO, "%s: %s", dir, strerror(errno));
        }
        strcat(strcat(full, "/"), base);
    }
    FW_TRY(name(p->dir, full, "", err));
    FW_TRY(name(p->fresh, full, ".rebuilding", err));
    FW_TRY(name(p->copying, full, ".rebuilding.copying", err));
    return name(p->old, full, ".replaced", err);
}

static bool marked(const char *dir) {
    char path[STORE_PATH];
    return fw_path_join(path, sizeof(path), dir, MARKER, NULL) == FW_OK && fw_path_exists(path);
}

static fw_status sync_parent(const char *dir, fw_err *err) {
    char parent[STORE_PATH];
    snprintf(parent, sizeof(parent), "%s", dir);
    char *last = strrchr(parent, '/');
    last[last == parent] = 0;
    return rec_sync_folder(parent, err);
}

/* --- finishing --- */

/* The new one is in its place: nothing of the old one stays. */
static fw_status remove_old(const places *p, fw_err *err) {
    char marker[STORE_PATH];
    FW_TRY(fw_path_join(marker, sizeof(marker), p->dir, MARKER, err));
    FW_TRY(fw_remove_tree(p->fresh, err));
    FW_TRY(fw_remove_tree(p->old, err));
    FW_TRY(sync_parent(p->dir, err));
    if (unlink(marker) != 0 && errno != ENOENT) {
        return fw_fail(err, FW_IO, "%s: %s", marker, strerror(errno));
    }
    return rec_sync_folder(p->dir, err);
}

bool fw_rebuild_unfinished(const char *dir) {
    places p;
    return find_places(dir, &p, NULL) == FW_OK && (marked(p.dir) || fw_path_exists(p.fresh) || fw_path_exists(p.old));
}

fw_status fw_rebuild_resume(const char *dir, bool *did, fw_err *err) {
    places p;
    *did = false;
    FW_TRY(find_places(dir, &p, err));
    *did = marked(p.dir) || fw_path_exists(p.fresh) || fw_path_exists(p.old);
    if (!fw_path_exists(p.dir) && marked(p.fresh)) {
        FW_TRY(store_move(p.fresh, p.dir, err));
    }
    if (marked(p.dir)) {
        return remove_old(&p, err);
    }
    if (!fw_path_exists(p.dir) || !fw_path_exists(p.fresh)) {
        return FW_OK;
    }
    int lock; /* whoever builds there holds it */
    FW_TRY(store_lock(p.dir, &lock, err));
    fw_status st = fw_remove_tree(p.fresh, err);
    store_unlock(p.dir, lock);
    return st;
}

/* --- files that are no part of the dataset proper --- */

/* What the copy makes itself, or what counts for nothing. */
static bool is_own(const char *rel) {
    static const char *const whole[] = {"meta/info.json",
                                        "meta/stats.json",
                                        "meta/summary.bin",
                                        "meta/episodes.jsonl",
                                        "meta/tasks.jsonl",
                                        "meta/subtasks.jsonl",
                                        "meta/episodes_stats.jsonl",
                                        "meta/tasks.parquet",
                                        "meta/subtasks.parquet",
                                        "meta/deleted.json",
                                        ".recorder/lock",
                                        MARKER};
    static const char *const under[] = {"data/", "videos/", "images/", "meta/episodes/", ".staging/"};
    for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++) {
        if (strcmp(rel, whole[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(under) / sizeof(*under); i++) {
        if (strncmp(rel, under[i], strlen(under[i])) == 0) {
            return true;
        }
    }
    size_t n = strlen(rel);
    return n > 10 && strcmp(rel + n - 10, ".repairing") == 0;
}

static fw_status carry_folder(const places *p, const fw_rebuild_opts *o, const char *under, fw_err *err) {
    char folder[STORE_PATH], **names;
    size_t n;
    FW_TRY(name(folder, p->dir, under, err));
    FW_TRY(fw_list_dir(folder, &names, &n, err));
    fw_status st = FW_OK;
    for (size_t i = 0; i < n && st == FW_OK; i++) {
        char rel[STORE_PATH], from[STORE_PATH], to[STORE_PATH], parent[STORE_PATH];
        if (snprintf(rel, sizeof(rel), "%s/%s", under, names[i]) >= (int)sizeof(rel)) {
            st = fw_fail(err, FW_INVALID, "%s: path too long", folder);
            continue;
        }
        st = name(from, p->dir, rel, err);
        st = st == FW_OK ? name(to, p->fresh, rel, err) : st;
        st = st == FW_OK ? name(parent, p->fresh, under, err) : st;
        if (st != FW_OK) {
            continue;
        }
        if (fw_path_is_dir(from)) {
            st = carry_folder(p, o, rel, err);
        } else if (!is_own(rel + 1) && (o->carry == NULL || o->carry(o->ctx, p->dir, rel + 1))) {
            st = fw_mkdirs(parent, err);
            st = st == FW_OK ? fw_file_link(from, to, err) : st;
        }
    }
    fw_names_free(names, n);
    return st;
}

/* --- building --- */

static fw_status build(const places *p, const fw_rebuild_opts *o, int version, fw_err *err) {
    char meta[STORE_PATH];
    fw_copy_source from = {.dir = p->dir, .episodes = o->keep, .n_episodes = o->n_keep};
    if (o->n_keep > 0) {
        FW_TRY(fw_dataset_copy(
            &from, 1, p->fresh,
            &(fw_copy_opts){
                .version = version, .resume = true, .progress = o->progress, .recode = true, .link_videos = true},
            NULL, err));
    } else {
        FW_TRY(fw_path_join(meta, sizeof(meta), p->fresh, "meta", err));
        FW_TRY(store_mkdirs(meta, err));
    }
    FW_TRY(carry_folder(p, o, "", err));
    return o->finish != NULL ? o->finish(o->ctx, p->fresh, err) : FW_OK;
}

/* All of it on the disk, then the marker. */
static fw_status seal(const places *p, fw_err *err) {
    char marker[STORE_PATH];
    int fd = open(p->fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool bad = fd < 0 || syncfs(fd) != 0;
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (bad) {
        return fw_fail(err, FW_IO, "%s: %s", p->fresh, strerror(why));
    }
    FW_TRY(fw_path_join(marker, sizeof(marker), p->fresh, MARKER, err));
    return fw_file_write_atomic(marker, "whole\n", 6, err);
}

static fw_status exchange(const places *p, fw_err *err) {
    if (renameat2(AT_FDCWD, p->fresh, AT_FDCWD, p->dir, RENAME_EXCHANGE) != 0) {
        if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) {
            return fw_fail(err, FW_IO, "%s: exchange with %s: %s", p->dir, p->fresh, strerror(errno));
        }
        FW_TRY(fw_remove_tree(p->old, err));
        if (rename(p->dir, p->old) != 0 || rename(p->fresh, p->dir) != 0) {
            return fw_fail(err, FW_IO, "%s: rename: %s", p->dir, strerror(errno));
        }
    }
    return sync_parent(p->dir, err);
}

static fw_status rebuild(const places *p, const fw_rebuild_opts *o, fw_err *err) {
    fw_dataset *ds;
    int version = 30;
    if (o->n_keep > 0) {
        FW_TRY(fw_dataset_open(p->dir, &ds, err));
        version = ds->version;
        fw_dataset_close(ds);
    }
    fw_status st = build(p, o, version, err);
    st = st == FW_OK ? seal(p, err) : st;
    if (st != FW_OK) { /* what was copied is journaled in .copying; a finished folder may not be believed */
        (void)!fw_remove_tree(p->fresh, NULL);
        return st;
    }
    FW_TRY(exchange(p, err));
    return remove_old(p, err);
}

fw_status fw_dataset_rebuild(const char *dir, const fw_rebuild_opts *opts, fw_err *err) {
    places p;
    char recorder[STORE_PATH];
    bool did;
    int lock = -1, recording = -1;
    FW_TRY(fw_rebuild_resume(dir, &did, err));
    FW_TRY(find_places(dir, &p, err));
    FW_TRY(fw_path_join(recorder, sizeof(recorder), p.dir, REC_FOLDER, err));
    FW_TRY(store_lock(p.dir, &lock, err));
    fw_status st = fw_path_is_dir(recorder) ? rec_lock(p.dir, &recording, err) : FW_OK;
    st = st == FW_OK ? rebuild(&p, opts, err) : st;
    if (recording >= 0) {
        close(recording);
    }
    store_unlock(p.dir, lock);
    return st;
}
