/*
 * crash.h - stand between a process and its disk: stop it at its n-th change of a file, let changes fail, and work out what a power
 * cut between any two of them would leave.
 *
 * Include it in one file of a test program. It defines the functions of libc that change files, which the dynamic linker prefers
 * over libc's for every library (libav and Arrow write through them too); calls on paths below `crash->root` count as
 * operations, in the order in which they take effect. A child process sets `crash->mode`; what it did is read from the shared memory
 * when it is gone.
 *
 * THE MODEL OF A POWER CUT. A file's bytes are safe once fsync or fdatasync of that file has returned; a name (created, renamed,
 * removed) once fsync of the folder has. Of everything else, any part may be on the disk: cr_disk_at(k, how) makes the
 * tree that is left when the power goes before operation k, where of what is unsafe
 *   CR_NOTHING  nothing is there
 *   CR_NAMES    names are there, bytes are not: files have their length, full of zeros (a journal of metadata alone)
 *   CR_SOME     each name and each block of 4 KiB is there or not, by a coin; names take effect in order, so that
 *               two changes of one name do not change places
 */
#ifndef TESTS_DATA_CRASH_H
#define TESTS_DATA_CRASH_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "make.h"

#define CR_PATH    256
#define CR_OPS     40000
#define CR_BYTES   (192u << 20)
#define CR_HANDLES 1024
#define CR_BLOCK   4096

typedef enum cr_kind { CR_MKDIR, CR_OPEN, CR_WRITE, CR_SIZE, CR_SYNC, CR_RENAME, CR_REMOVE } cr_kind;
typedef enum cr_how { CR_NOTHING, CR_NAMES, CR_SOME } cr_how;

typedef struct cr_op {
    cr_kind kind;
    int handle;                  /* OPEN, WRITE, SIZE, SYNC: number of the opening */
    bool created;                /* OPEN: the file was not there before */
    int64_t at, bytes;           /* WRITE: offset, length; SIZE: the new size */
    uint64_t data;               /* WRITE: where the bytes are kept */
    uint64_t told;               /* what the caller had been told when it began: see crash->told */
    char a[CR_PATH], b[CR_PATH]; /* below root */
} cr_op;

typedef struct cr_shared {
    char root[CR_PATH];
    atomic_int mode; /* 0: off; 1: count and act; 2: keep a log too */
    atomic_int lock; /* held through each operation, so that their order is one */
    int64_t n;       /* operations so far */
    int64_t kill_at; /* SIGKILL before operation n == kill_at; -1: never. A write is half done first when kill_half */
    bool kill_half;
    int64_t fail_at, fail_n; /* operations [fail_at, fail_at + fail_n) fail with fail_errno */
    int fail_errno;
    uint64_t (*told)(void); /* called before each operation */
    atomic_uint_fast64_t told_last;
    int handles;
    uint64_t used;
    cr_op op[CR_OPS];
    uint8_t data[CR_BYTES];
} cr_shared;

static cr_shared *crash;
static int cr_handle[CR_HANDLES]; /* of a descriptor, plus one */

/* Shared with the children; pages come as they are touched. */
static inline void cr_open(void) {
    crash = mmap(NULL, sizeof(*crash), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(crash != MAP_FAILED);
}

/* In the child: operations below root count from here. mode as in cr_shared. */
static inline void cr_begin(const char *root, int mode, int64_t kill_at) {
    snprintf(crash->root, sizeof(crash->root), "%s/", root);
    crash->n = crash->handles = 0;
    crash->used = 0;
    crash->kill_at = kill_at;
    crash->kill_half = kill_at % 2 != 0;
    crash->fail_at = -1;
    memset(cr_handle, 0, sizeof(cr_handle));
    atomic_store(&crash->lock, 0);
    atomic_store(&crash->mode, mode);
}

/* --- operations --- */

static const char *cr_below(const char *path) {
    size_t n = strlen(crash->root);
    if (strncmp(path, crash->root, n) == 0) {
        return path + n;
    }
    return strlen(path) == n - 1 && strncmp(path, crash->root, n - 1) == 0 ? "" : NULL; /* the root itself */
}

static bool cr_on(void) {
    return crash != NULL && atomic_load(&crash->mode) > 0;
}

static bool cr_mine(int fd) {
    return cr_on() && fd >= 0 && fd < CR_HANDLES && cr_handle[fd] > 0;
}

static void cr_enter(void) {
    while (atomic_exchange(&crash->lock, 1) != 0) {
        syscall(SYS_sched_yield);
    }
}

static void cr_die(void) {
    syscall(SYS_kill, (long)getpid(), (long)SIGKILL);
    for (;;) {
        syscall(SYS_pause);
    }
}

/* An operation is about to happen: the lock is held from here to cr_done. NULL: it is to fail, errno is set. */
static cr_op *cr_begins(cr_kind kind, int handle, const char *a, const char *b) {
    static cr_op unkept;
    cr_enter();
    atomic_store(&crash->told_last, crash->told != NULL ? crash->told() : 0);
    if (crash->n == crash->kill_at && !(kind == CR_WRITE && crash->kill_half)) {
        cr_die();
    }
    if (crash->fail_at >= 0 && crash->n >= crash->fail_at && crash->n < crash->fail_at + crash->fail_n) {
        crash->n++;
        atomic_store(&crash->lock, 0);
        errno = crash->fail_errno;
        return NULL;
    }
    cr_op *o = atomic_load(&crash->mode) == 2 ? &crash->op[crash->n] : &unkept;
    CHECK(crash->n < CR_OPS);
    *o = (cr_op){.kind = kind, .handle = handle, .told = atomic_load(&crash->told_last)};
    snprintf(o->a, CR_PATH, "%s", a != NULL ? a : "");
    snprintf(o->b, CR_PATH, "%s", b != NULL ? b : "");
    return o;
}

static long cr_done(long r) {
    int why = errno;
    if (r >= 0) { /* what failed changed nothing */
        crash->n++;
    }
    atomic_store(&crash->lock, 0);
    errno = why;
    return r;
}

static int cr_openat(const char *path, int flags, mode_t mode) {
    const char *below = cr_on() ? cr_below(path) : NULL;
    if (below == NULL) {
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    }
    bool there = access(path, F_OK) == 0, creates = (flags & O_CREAT) != 0 && !there;
    cr_op *o = cr_begins(CR_OPEN, -1, below, NULL);
    if (o == NULL && !creates) { /* a disk that is full still reads */
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    }
    if (o == NULL) {
        return -1;
    }
    o->handle = crash->handles;
    o->created = creates;
    o->at = (flags & O_TRUNC) != 0 ? 0 : -1;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < CR_HANDLES) {
        cr_handle[fd] = ++crash->handles;
    }
    return (int)cr_done(fd);
}

static ssize_t cr_write(int fd, const struct iovec *v, int n, int64_t at) {
    bool given = at >= 0;
    if (!cr_mine(fd)) {
        return given ? syscall(SYS_pwrite64, fd, v->iov_base, v->iov_len, at) : syscall(SYS_writev, fd, v, (long)n);
    }
    cr_op *o = cr_begins(CR_WRITE, cr_handle[fd] - 1, NULL, NULL);
    if (o == NULL) {
        return -1;
    }
    bool append = (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) != 0;
    o->at = given ? at : syscall(SYS_lseek, fd, 0L, SEEK_CUR);
    if (append) {
        struct stat st;
        CHECK(syscall(SYS_fstat, fd, &st) == 0);
        o->at = st.st_size;
    }
    if (crash->n == crash->kill_at) { /* half of it */
        (void)!syscall(SYS_write, fd, v[0].iov_base, v[0].iov_len / 2);
        cr_die();
    }
    ssize_t r = given ? syscall(SYS_pwrite64, fd, v->iov_base, v->iov_len, at) : syscall(SYS_writev, fd, v, (long)n);
    if (r > 0 && atomic_load(&crash->mode) == 2) {
        size_t left = (size_t)r;
        CHECK(crash->used + left <= CR_BYTES);
        o->data = crash->used;
        for (int i = 0; i < n && left > 0; i++) {
            size_t take = v[i].iov_len < left ? v[i].iov_len : left;
            memcpy(crash->data + crash->used, v[i].iov_base, take);
            crash->used += take;
            left -= take;
        }
    }
    o->bytes = r;
    return cr_done(r);
}

int open(const char *path, int flags, ...) {
    va_list l;
    va_start(l, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(l, mode_t) : 0;
    va_end(l);
    return cr_openat(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list l;
    va_start(l, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(l, mode_t) : 0;
    va_end(l);
    return cr_openat(path, flags, mode);
}
int close(int fd) {
    if (fd >= 0 && fd < CR_HANDLES) {
        cr_handle[fd] = 0;
    }
    return (int)syscall(SYS_close, fd);
}
ssize_t write(int fd, const void *p, size_t n) {
    struct iovec v = {(void *)(uintptr_t)p, n};
    return cr_write(fd, &v, 1, -1);
}
ssize_t writev(int fd, const struct iovec *v, int n) {
    return cr_write(fd, v, n, -1);
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) {
    struct iovec v = {(void *)(uintptr_t)p, n};
    return cr_write(fd, &v, 1, at);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) {
    return pwrite(fd, p, n, at);
}

static int cr_sync(int fd, long call) {
    cr_op *o = cr_mine(fd) ? cr_begins(CR_SYNC, cr_handle[fd] - 1, NULL, NULL) : NULL;
    if (cr_mine(fd) && o == NULL) {
        return -1;
    }
    long r = syscall(call, fd);
    return (int)(o != NULL ? cr_done(r) : r);
}
int fsync(int fd) {
    return cr_sync(fd, SYS_fsync);
}
int fdatasync(int fd) {
    return cr_sync(fd, SYS_fdatasync);
}
int ftruncate(int fd, off_t size) {
    cr_op *o = cr_mine(fd) ? cr_begins(CR_SIZE, cr_handle[fd] - 1, NULL, NULL) : NULL;
    if (cr_mine(fd) && o == NULL) {
        return -1;
    }
    long r = syscall(SYS_ftruncate, fd, size);
    if (o != NULL) {
        o->at = size;
    }
    return (int)(o != NULL ? cr_done(r) : r);
}
int ftruncate64(int fd, off_t size) {
    return ftruncate(fd, size);
}

/* mkdir, unlink, rename: one or two paths. */
static int cr_name(cr_kind kind, long call, const char *a, const char *b, long x) {
    const char *below = cr_on() ? cr_below(a) : NULL;
    cr_op *o = below != NULL ? cr_begins(kind, -1, below, b != NULL ? cr_below(b) : NULL) : NULL;
    if (below != NULL && o == NULL) {
        return -1;
    }
    long r = b != NULL ? syscall(call, a, b) : syscall(call, a, x);
    return (int)(o != NULL ? cr_done(r) : r);
}
int mkdir(const char *path, mode_t mode) {
    return cr_name(CR_MKDIR, SYS_mkdir, path, NULL, (long)mode);
}
int unlink(const char *path) {
    return cr_name(CR_REMOVE, SYS_unlink, path, NULL, 0);
}
int rename(const char *from, const char *to) {
    return cr_name(CR_RENAME, SYS_rename, from, to, 0);
}
/* What removing a tree does: the folder's path comes from its descriptor. */
int unlinkat(int at, const char *name, int flags) {
    char dir[CR_PATH * 2] = "", proc[64];
    if (cr_on() && at == AT_FDCWD) {
        snprintf(dir, sizeof(dir), "%s", name);
    } else if (cr_on()) {
        snprintf(proc, sizeof(proc), "/proc/self/fd/%d", at);
        long n = syscall(SYS_readlink, proc, dir, (long)sizeof(dir) / 2);
        n = n > 0 ? n : 0;
        snprintf(dir + n, sizeof(dir) - (size_t)n, "/%s", name);
    }
    const char *below = cr_on() ? cr_below(dir) : NULL;
    cr_op *o = below != NULL ? cr_begins(CR_REMOVE, -1, below, NULL) : NULL;
    if (below != NULL && o == NULL) {
        return -1;
    }
    long r = syscall(SYS_unlinkat, at, name, flags);
    return (int)(o != NULL ? cr_done(r) : r);
}

/* --- what a power cut leaves --- */

typedef struct cr_change { /* of a name, not safe yet */
    int dir, from_dir;     /* folders that it touches; from_dir -1: one */
    char name[64], from[64];
    int node; /* dir/name is this now; -1: nothing */
} cr_change;

typedef struct cr_piece { /* bytes written, not safe yet */
    int64_t at, bytes;
    const uint8_t *data; /* NULL: the file gets this size */
} cr_piece;

typedef struct cr_node {
    bool is_dir;
    uint8_t *safe; /* owned [safe_n] */
    int64_t safe_n;
    cr_piece *piece; /* owned [n] */
    int n, cap;
} cr_node;

typedef struct cr_entry {
    int dir, node;
    char name[64];
} cr_entry;

typedef struct cr_disk {
    cr_node *node;
    int n_nodes;
    cr_entry *now, *safe; /* names as the process sees them, and as they surely are */
    int n_now, n_safe;
    cr_change *change;
    int n_changes;
    int *of_handle;
} cr_disk;

enum { CR_NODES = 20000, CR_ENTRIES = 8000, CR_CHANGES = 20000 };

static int cr_find(const cr_entry *e, int n, int dir, const char *name) {
    for (int i = 0; i < n; i++) {
        if (e[i].dir == dir && strcmp(e[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static void cr_set(cr_entry *e, int *n, int dir, const char *name, int node) {
    int i = cr_find(e, *n, dir, name);
    if (node < 0 && i >= 0) {
        e[i] = e[--*n];
    } else if (node >= 0 && i >= 0) {
        e[i].node = node;
    } else if (node >= 0) {
        CHECK(*n < CR_ENTRIES);
        e[*n] = (cr_entry){.dir = dir, .node = node};
        snprintf(e[(*n)++].name, sizeof(e->name), "%s", name);
    }
}

/* The folder that path lies in, and its last part; what it names now in *node (-1: nothing). */
static int cr_walk(const cr_disk *d, const char *path, char last[64], int *node) {
    int dir = 0;
    *node = 0;
    last[0] = 0;
    for (const char *p = path; *p != 0;) {
        size_t n = strcspn(p, "/");
        dir = *node;
        CHECK(n < 64 && dir >= 0);
        snprintf(last, 64, "%.*s", (int)n, p);
        int i = cr_find(d->now, d->n_now, dir, last);
        *node = i >= 0 ? d->now[i].node : -1;
        p += n + (p[n] == '/');
    }
    return dir;
}

static int cr_node_new(cr_disk *d, bool is_dir) {
    CHECK(d->n_nodes < CR_NODES);
    d->node[d->n_nodes] = (cr_node){.is_dir = is_dir};
    return d->n_nodes++;
}

static void cr_change_name(cr_disk *d, int dir, const char *name, int from_dir, const char *from, int node) {
    CHECK(d->n_changes < CR_CHANGES);
    cr_change *c = &d->change[d->n_changes++];
    *c = (cr_change){.dir = dir, .from_dir = from_dir, .node = node};
    snprintf(c->name, sizeof(c->name), "%s", name);
    snprintf(c->from, sizeof(c->from), "%s", from);
    if (from_dir >= 0) {
        cr_set(d->now, &d->n_now, from_dir, from, -1);
    }
    cr_set(d->now, &d->n_now, dir, name, node);
}

static void cr_apply(cr_entry *e, int *n, const cr_change *c) {
    if (c->from_dir >= 0) {
        cr_set(e, n, c->from_dir, c->from, -1);
    }
    cr_set(e, n, c->dir, c->name, c->node);
}

static void cr_put(cr_node *f, int64_t at, int64_t bytes, const uint8_t *data) {
    if (at + bytes > f->safe_n || data == NULL) {
        int64_t size = data == NULL ? at : at + bytes;
        f->safe = realloc(f->safe, (size_t)size + 1);
        CHECK(f->safe != NULL);
        if (size > f->safe_n) {
            memset(f->safe + f->safe_n, 0, (size_t)(size - f->safe_n));
        }
        f->safe_n = size;
    }
    if (data != NULL && bytes > 0) {
        memcpy(f->safe + at, data, (size_t)bytes);
    }
}

static void cr_pend(cr_node *f, int64_t at, int64_t bytes, const uint8_t *data) {
    if (f->n == f->cap) {
        f->cap = f->cap > 0 ? 2 * f->cap : 16;
        f->piece = realloc(f->piece, (size_t)f->cap * sizeof(*f->piece));
        CHECK(f->piece != NULL);
    }
    f->piece[f->n++] = (cr_piece){at, bytes, data};
}

static void cr_synced(cr_disk *d, int node) {
    cr_node *f = &d->node[node];
    for (int i = 0; i < f->n; i++) {
        cr_put(f, f->piece[i].at, f->piece[i].bytes, f->piece[i].data);
    }
    f->n = 0;
    int kept = 0;
    for (int i = 0; f->is_dir && i < d->n_changes; i++) {
        const cr_change *c = &d->change[i];
        if (c->dir == node || c->from_dir == node) {
            cr_apply(d->safe, &d->n_safe, c);
        } else {
            d->change[kept++] = *c;
        }
    }
    d->n_changes = f->is_dir ? kept : d->n_changes;
}

static void cr_replay(cr_disk *d, const cr_op *o) {
    char last[64], last_b[64];
    int node, node_b, dir = cr_walk(d, o->a, last, &node);
    switch (o->kind) {
    case CR_MKDIR:
        cr_change_name(d, dir, last, -1, "", cr_node_new(d, true));
        break;
    case CR_OPEN:
        if (o->created) {
            cr_change_name(d, dir, last, -1, "", node = cr_node_new(d, false));
        }
        CHECK(node >= 0);
        d->of_handle[o->handle] = node;
        if (o->at == 0 && !o->created) {
            cr_pend(&d->node[node], 0, 0, NULL);
        }
        break;
    case CR_WRITE:
        cr_pend(&d->node[d->of_handle[o->handle]], o->at, o->bytes, crash->data + o->data);
        break;
    case CR_SIZE:
        cr_pend(&d->node[d->of_handle[o->handle]], o->at, 0, NULL);
        break;
    case CR_SYNC:
        cr_synced(d, d->of_handle[o->handle]);
        break;
    case CR_RENAME: {
        int dir_b = cr_walk(d, o->b, last_b, &node_b);
        cr_change_name(d, dir_b, last_b, dir, last, node);
        break;
    }
    case CR_REMOVE:
        cr_change_name(d, dir, last, -1, "", -1);
        break;
    }
}

/* Of a file's unsafe pieces, what `how` keeps. */
static void cr_keep_pieces(cr_node *f, cr_how how, fw_rng *rng) {
    static const uint8_t zeros[CR_BLOCK];
    for (int i = 0; i < f->n && how != CR_NOTHING; i++) {
        const cr_piece *p = &f->piece[i];
        if (p->data == NULL) {
            cr_put(f, p->at, 0, NULL);
            continue;
        }
        for (int64_t at = 0; at < p->bytes; at += CR_BLOCK) {
            int64_t n = p->bytes - at < CR_BLOCK ? p->bytes - at : CR_BLOCK;
            bool keep = how == CR_SOME && fw_rng_below(rng, 2) == 1;
            if (keep || p->at + at + n > f->safe_n) {
                cr_put(f, p->at + at, n, keep ? p->data + at : zeros);
            }
        }
    }
}

static void cr_write_tree(const cr_disk *d, int dir, const char *path) {
    char sub[1024];
    OK(fw_mkdirs(path, err));
    for (int i = 0; i < d->n_safe; i++) {
        const cr_entry *e = &d->safe[i];
        if (e->dir != dir) {
            continue;
        }
        snprintf(sub, sizeof(sub), "%s/%s", path, e->name);
        const cr_node *f = &d->node[e->node];
        if (f->is_dir) {
            cr_write_tree(d, e->node, sub);
        } else {
            FILE *out = fopen(sub, "wb");
            CHECK(out != NULL && fwrite(f->safe_n > 0 ? f->safe : (const uint8_t *)"", 1, (size_t)f->safe_n, out) ==
                                     (size_t)f->safe_n);
            fclose(out);
        }
    }
}

/* Make `path` the tree that a power cut before operation k of the log leaves. The root itself was there from the start. */
static inline void cr_disk_at(int64_t k, cr_how how, uint64_t seed, const char *path) {
    cr_disk d = {.node = calloc(CR_NODES, sizeof(cr_node)),
                 .now = calloc(CR_ENTRIES, sizeof(cr_entry)),
                 .safe = calloc(CR_ENTRIES, sizeof(cr_entry)),
                 .change = calloc(CR_CHANGES, sizeof(cr_change)),
                 .of_handle = calloc(CR_OPS, sizeof(int))};
    fw_rng rng = fw_rng_stream(seed, "power cut");
    CHECK(d.node != NULL && d.now != NULL && d.safe != NULL && d.change != NULL && d.of_handle != NULL);
    (void)cr_node_new(&d, true);
    for (int64_t i = 0; i < k; i++) {
        cr_replay(&d, &crash->op[i]);
    }
    for (int i = 0; i < d.n_changes && how != CR_NOTHING; i++) {
        if (how == CR_NAMES || fw_rng_below(&rng, 2) == 1) {
            cr_apply(d.safe, &d.n_safe, &d.change[i]);
        }
    }
    for (int i = 0; i < d.n_nodes; i++) {
        cr_keep_pieces(&d.node[i], how, &rng);
    }
    OK(fw_remove_tree(path, err));
    cr_write_tree(&d, 0, path);
    for (int i = 0; i < d.n_nodes; i++) {
        free(d.node[i].safe);
        free(d.node[i].piece);
    }
    free(d.node), free(d.now), free(d.safe), free(d.change), free(d.of_handle);
}

#endif /* TESTS_DATA_CRASH_H */
