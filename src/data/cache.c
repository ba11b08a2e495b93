/*
 * cache.c - arrays that are computed once and mapped ever after (see cache.h).
 *
 * A blob file is one page of header, a byte a row that says whether it is done, and the rows, each part starting on a page.
 * Rows are written through a shared mapping, so forked workers fill one file together. After a power cut the done bytes
 * may be newer than the rows: a blob that was not sealed is therefore only continued on the boot that wrote it.
 */
#include "data/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/threads.h"
#include "data/dataset_int.h"

#define PAGE        4096
#define PATH_BYTES  4096
#define PAGE_SOURCE 3072

typedef struct header {
    char magic[8]; /* "FWBLOB1" */
    char key[128];
    char boot[40]; /* of the machine that began it */
    int64_t n_rows, row_bytes;
    int64_t sealed;           /* 1: complete and flushed */
    char source[PAGE_SOURCE]; /* full path of the dataset's folder; "": unknown */
} header;

struct fw_blob {
    char *path;
    uint8_t *map;
    size_t size;
    header *h;            /* in map */
    _Atomic uint8_t *has; /* [n_rows] in map */
    uint8_t *rows;        /* in map */
};

static void boot_id(char out[40]) {
    memset(out, 0, 40);
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (f != NULL) {
        size_t n = fread(out, 1, 36, f);
        out[n] = 0;
        fclose(f);
    }
}

/* Bytes of the whole file, and where the rows begin; false on overflow. */
static bool layout(int64_t n_rows, int64_t row_bytes, size_t *rows_at, size_t *size) {
    size_t flags, data;
    if (n_rows < 1 || row_bytes < 1 || __builtin_add_overflow((size_t)n_rows, PAGE - 1, &flags) ||
        __builtin_mul_overflow((size_t)n_rows, (size_t)row_bytes, &data)) {
        return false;
    }
    *rows_at = PAGE + flags / PAGE * PAGE;
    return !__builtin_add_overflow(*rows_at, data, size) && *size < (size_t)1 << 46;
}

static bool usable(int fd, const char *key, int64_t n_rows, int64_t row_bytes, size_t size) {
    header h;
    struct stat st;
    char boot[40];
    boot_id(boot);
    return fstat(fd, &st) == 0 && (size_t)st.st_size == size && pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) &&
           memcmp(h.magic, "FWBLOB1", 8) == 0 && strncmp(h.key, key, sizeof(h.key)) == 0 && h.n_rows == n_rows &&
           h.row_bytes == row_bytes && (h.sealed == 1 || strncmp(h.boot, boot, sizeof(boot)) == 0);
}

/* Make the file anew: empty, then at its full size with real disk space, then its header. */
static fw_status create(int fd, const char *path, const char *key, int64_t n_rows, int64_t row_bytes, size_t size,
                        fw_err *err) {
    header h = {.magic = "FWBLOB1", .n_rows = n_rows, .row_bytes = row_bytes};
    snprintf(h.key, sizeof(h.key), "%s", key);
    boot_id(h.boot);
    struct statvfs fs;
    int e = ftruncate(fd, 0) != 0 ? errno : fstatvfs(fd, &fs) == 0 && size / fs.f_frsize > fs.f_bavail ? ENOSPC : 0;
    e = e != 0 ? e : posix_fallocate(fd, 0, (off_t)size);
    if (e != 0 || pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h)) {
        int why = e != 0 ? e : errno;
        (void)!ftruncate(fd, 0);
        return fw_fail(err, FW_IO, "%s: %.1f MiB of cache: %s", path, (double)size / 1048576.0, strerror(why));
    }
    return FW_OK;
}

static fw_status make_folder(const char *path, fw_err *err) {
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return FW_OK;
    }
    if ((size_t)(slash - path) >= sizeof(folder)) {
        return fw_fail(err, FW_INVALID, "%s: path too long", path);
    }
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    return fw_mkdirs(folder, err);
}

fw_status fw_blob_open(const char *path, const char *key, int64_t n_rows, int64_t row_bytes, fw_blob **out,
                       fw_err *err) {
    size_t rows_at, size;
    fw_status st;
    int fd = -1;
    *out = NULL;
    if (strlen(key) > 127 || !layout(n_rows, row_bytes, &rows_at, &size)) {
        return fw_fail(err, FW_INVALID, "%s: %lld rows of %lld bytes, key of %zu bytes", path, (long long)n_rows,
                       (long long)row_bytes, strlen(key));
    }
    FW_TRY(make_folder(path, err));
    fw_blob *b = calloc(1, sizeof(*b));
    if (b == NULL || (b->path = strdup(path)) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s", path);
        goto done;
    }
    if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644)) < 0 || flock(fd, LOCK_EX) != 0) {
        st = fw_fail(err, FW_IO, "%s: %s", path, strerror(errno));
        goto done;
    }
    /* the lock covers only this decision: filling is per row */
    if (!usable(fd, key, n_rows, row_bytes, size) &&
        (st = create(fd, path, key, n_rows, row_bytes, size, err)) != FW_OK) {
        goto done;
    }
    void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED) {
        st = fw_fail(err, FW_IO, "%s: mmap: %s", path, strerror(errno));
        goto done;
    }
    b->map = m;
    b->size = size;
    b->h = m;
    b->has = (_Atomic uint8_t *)(b->map + PAGE);
    b->rows = b->map + rows_at;
    st = FW_OK;
done:
    if (fd >= 0) {
        (void)flock(fd, LOCK_UN); /* by hand: the map keeps the open file, and with it the lock, alive */
        close(fd);
    }
    if (st != FW_OK) {
        fw_blob_close(b);
        b = NULL;
    }
    *out = b;
    return st;
}

void fw_blob_close(fw_blob *b) {
    if (b == NULL) {
        return;
    }
    if (b->map != NULL) {
        munmap(b->map, b->size);
    }
    free(b->path);
    free(b);
}

void *fw_blob_row(const fw_blob *b, int64_t i) {
    return b->rows + (size_t)i * (size_t)b->h->row_bytes;
}

bool fw_blob_has(const fw_blob *b, int64_t i) {
    return atomic_load_explicit(&b->has[i], memory_order_acquire) != 0;
}

void fw_blob_done(fw_blob *b, int64_t i) {
    atomic_store_explicit(&b->has[i], 1, memory_order_release);
}

int64_t fw_blob_count_done(const fw_blob *b) {
    int64_t n = 0;
    for (int64_t i = 0; i < b->h->n_rows; i++) {
        n += fw_blob_has(b, i);
    }
    return n;
}

void fw_blob_source(fw_blob *b, const char *dir) {
    char full[PATH_MAX];
    if (realpath(dir, full) != NULL && strlen(full) < sizeof(b->h->source) && strcmp(b->h->source, full) != 0) {
        strcpy(b->h->source, full);
    }
}

fw_status fw_blob_seal(fw_blob *b, fw_err *err) {
    if (b->h->sealed == 1) {
        return FW_OK;
    }
    int64_t done = fw_blob_count_done(b);
    if (done != b->h->n_rows) {
        return fw_fail(err, FW_INVALID, "%s: %lld of %lld rows are done", b->path, (long long)done,
                       (long long)b->h->n_rows);
    }
    if (msync(b->map, b->size, MS_SYNC) != 0) {
        return fw_fail(err, FW_IO, "%s: msync: %s", b->path, strerror(errno));
    }
    b->h->sealed = 1;
    return msync(b->map, PAGE, MS_SYNC) == 0 ? FW_OK : fw_fail(err, FW_IO, "%s: msync: %s", b->path, strerror(errno));
}

/* --- names --- */

fw_status fw_cache_path(const char *kind, const char *key, char *out, size_t cap, fw_err *err) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *tmp = getenv("TMPDIR");
    char hex[65];
    fw_sha256_hex(key, strlen(key), hex);
    int n = xdg != NULL && xdg[0] == '/' ? snprintf(out, cap, "%s/flywheel/%s/%.16s.blob", xdg, kind, hex)
            : home != NULL && home[0] == '/'
                ? snprintf(out, cap, "%s/.cache/flywheel/%s/%.16s.blob", home, kind, hex)
                : snprintf(out, cap, "%s/flywheel/%s/%.16s.blob", tmp != NULL ? tmp : "/tmp", kind, hex);
    return n > 0 && (size_t)n < cap ? FW_OK : fw_fail(err, FW_INVALID, "cache path of '%s' is too long", kind);
}

/* --- forgetting --- */

/* Whether the blob is of the dataset, or may be. */
static bool is_of(const char *path, const char *dir, const char (*ids)[65], int n_ids) {
    header h;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && memcmp(h.magic, "FWBLOB1", 8) == 0;
    if (fd >= 0) {
        close(fd);
    }
    if (!whole) {
        return true; /* what cannot say what it is may be anything */
    }
    h.key[sizeof(h.key) - 1] = h.source[sizeof(h.source) - 1] = 0;
    for (int i = 0; i < n_ids; i++) {
        char part[33]; /* features name the first half of an identity */
        snprintf(part, sizeof(part), "%.32s", ids[i]);
        if (strstr(h.key, part) != NULL) {
            return true;
        }
    }
    return h.source[0] == 0 || strcmp(h.source, dir) == 0 || !fw_path_is_dir(h.source);
}

static fw_status forget_kind(const char *kind, const char *dir, const char (*ids)[65], int n_ids, int64_t *blobs,
                             int64_t *bytes, fw_err *err) {
    char folder[PATH_BYTES], path[PATH_BYTES], **names;
    size_t n;
    struct stat st;
    FW_TRY(fw_cache_path(kind, "", folder, sizeof(folder), err));
    *strrchr(folder, '/') = 0;
    if (!fw_path_is_dir(folder)) {
        return FW_OK;
    }
    FW_TRY(fw_list_dir(folder, &names, &n, err));
    fw_status result = FW_OK;
    for (size_t i = 0; i < n && result == FW_OK; i++) {
        result = fw_path_join(path, sizeof(path), folder, names[i], err);
        if (result != FW_OK || stat(path, &st) != 0 || !S_ISREG(st.st_mode) || !is_of(path, dir, ids, n_ids)) {
            continue;
        }
        if (unlink(path) != 0 && errno != ENOENT) {
            result = fw_fail(err, FW_IO, "%s: %s", path, strerror(errno));
        }
        ++*blobs;
        *bytes += (int64_t)st.st_size;
    }
    fw_names_free(names, n);
    return result;
}

fw_status fw_cache_forget(const char *dir, const char (*ids)[65], int n_ids, int64_t *blobs, int64_t *bytes,
                          fw_err *err) {
    char full[PATH_MAX];
    *blobs = *bytes = 0;
    if (realpath(dir, full) == NULL) {
        return fw_fail(err, FW_IO, "%s: %s", dir, strerror(errno));
    }
    FW_TRY(forget_kind("frames", full, ids, n_ids, blobs, bytes, err));
    return forget_kind("features", full, ids, n_ids, blobs, bytes, err);
}

/* Name, size and time of each file. */
static void print_files(FILE *f, const fw_dataset *ds, char *const *files, int n) {
    for (int i = 0; i < n; i++) {
        struct stat st = {0};
        (void)stat(files[i], &st);
        fprintf(f, "%s %lld %lld.%09ld\n", fw_dataset_rel(ds, files[i]), (long long)st.st_size,
                (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }
}

fw_status fw_dataset_identity(const fw_dataset *ds, char out[65], fw_err *err) {
    char path[PATH_BYTES], *info;
    size_t n, info_size;
    FW_TRY(fw_path_join(path, sizeof(path), ds->dir, "meta/info.json", err));
    FW_TRY(fw_file_read(path, 64 << 20, &info, &info_size, err));
    char *text = NULL;
    FILE *f = open_memstream(&text, &n);
    if (f == NULL) {
        free(info);
        return fw_fail(err, FW_NOMEM, "%s", ds->dir);
    }
    fwrite(info, 1, info_size, f);
    print_files(f, ds, ds->video_files, ds->n_video_files);
    print_files(f, ds, ds->data_files, ds->n_data_files);
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        fprintf(f, "%lld\n", (long long)ds->episodes[e].length);
    }
    fclose(f);
    fw_sha256_hex(text, n, out);
    free(text);
    free(info);
    return FW_OK;
}

/* --- frames --- */

struct fw_frames {
    fw_blob *blob;
    int64_t n_rows; /* frames of a camera */
};

/* Filling: one task an episode and camera. */
typedef struct filler {
    const fw_dataset *ds;
    fw_blob *blob;
    int h, w;
    fw_progress progress;
    pthread_mutex_t lock; /* progress, frames, status, err */
    uint64_t frames;
    fw_status status; /* the first failure */
    fw_err err;
} filler;

static void fill_failed(filler *f, fw_status st, const fw_err *why) {
    pthread_mutex_lock(&f->lock);
    if (f->status == FW_OK) {
        f->status = st;
        f->err = *why;
    }
    pthread_mutex_unlock(&f->lock);
}

static bool all_there(const filler *f, int64_t row, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (!fw_blob_has(f->blob, row + i)) {
            return false;
        }
    }
    return true;
}

static void fill_episode(void *ctx, int task, int worker) {
    filler *f = ctx;
    (void)worker;
    int64_t ep = task / f->ds->n_cameras, cam = task % f->ds->n_cameras, n = f->ds->episodes[ep].length;
    int64_t row = cam * f->ds->n_frames + f->ds->episodes[ep].first;
    double from;
    fw_video *v = NULL;
    fw_err why;
    pthread_mutex_lock(&f->lock);
    bool go = f->status == FW_OK;
    pthread_mutex_unlock(&f->lock);
    if (go && !all_there(f, row, n)) {
        uint8_t *to = fw_blob_row(f->blob, row);
        fw_status st;
        if (f->ds->cameras[cam].in_rows) {
            st = fw_row_images(f->ds, ep, (int)cam, 0, n, f->h, f->w, to, &why);
        } else {
            const char *path = fw_dataset_video(f->ds, ep, (int)cam, &from);
            st = path == NULL ? fw_fail(&why, FW_FORMAT, "%s: no video of %s", f->ds->dir, f->ds->cameras[cam].key)
                              : fw_video_open(path, &v, &why);
            st = st == FW_OK ? fw_video_read(v, from, n, f->h, f->w, to, &why) : st;
        }
        if (st != FW_OK) {
            fw_err e;
            fill_failed(f, fw_fail(&e, st, "ep %lld: %s", (long long)f->ds->episodes[ep].index, why.msg), &e);
        }
        for (int64_t i = 0; i < n && st == FW_OK; i++) {
            fw_blob_done(f->blob, row + i);
        }
        fw_video_close(v);
    }
    pthread_mutex_lock(&f->lock);
    f->frames += (uint64_t)n;
    fw_progress_update(&f->progress, f->frames, NULL);
    pthread_mutex_unlock(&f->lock);
}

static fw_status fill(const fw_dataset *ds, fw_blob *blob, int h, int w, int n_threads, fw_err *err) {
    filler f = {.ds = ds, .blob = blob, .h = h, .w = w, .lock = PTHREAD_MUTEX_INITIALIZER};
    fw_pool *pool;
    FW_TRY(fw_pool_new(n_threads, &pool, err));
    fw_progress_start(&f.progress, "frames decoded", (uint64_t)(ds->n_frames * ds->n_cameras));
    fw_pool_run(pool, (int)(ds->n_episodes * ds->n_cameras), fill_episode, &f);
    fw_progress_end(&f.progress);
    fw_pool_free(pool);
    return f.status == FW_OK ? fw_blob_seal(blob, err) : fw_fail(err, f.status, "%s", f.err.msg);
}

fw_status fw_frames_open(const fw_dataset *ds, int h, int w, int n_threads, fw_frames **out, fw_err *err) {
    char id[65], key[128], path[PATH_BYTES];
    *out = NULL;
    if (h < 1 || w < 1 || h > 8192 || w > 8192 || ds->n_cameras < 1 || ds->n_frames < 1 ||
        ds->n_episodes > INT32_MAX / FW_MAX_CAMERAS) {
        return fw_fail(err, FW_INVALID, "%s: frames at %dx%d of %d cameras", ds->dir, w, h, ds->n_cameras);
    }
    FW_TRY(fw_dataset_identity(ds, id, err));
    snprintf(key, sizeof(key), "frames %s %dx%d", id, h, w);
    FW_TRY(fw_cache_path("frames", key, path, sizeof(path), err));
    fw_frames *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", path);
    }
    f->n_rows = ds->n_frames;
    fw_status st = fw_blob_open(path, key, ds->n_frames * ds->n_cameras, (int64_t)h * w * 3, &f->blob, err);
    if (st == FW_OK) {
        fw_blob_source(f->blob, ds->dir);
    }
    if (st == FW_OK && f->blob->h->sealed != 1) {
        st = fill(ds, f->blob, h, w, n_threads, err);
    }
    if (st != FW_OK) {
        fw_frames_close(f);
        f = NULL;
    }
    *out = f;
    return st;
}

void fw_frames_close(fw_frames *f) {
    if (f != NULL) {
        fw_blob_close(f->blob);
        free(f);
    }
}

const uint8_t *fw_frames_at(const fw_frames *f, int cam, int64_t row) {
    return fw_blob_row(f->blob, cam * f->n_rows + row);
}
