/*
 * file.c - WHAT: whole files, mapped files, folders.
 *
 * DESIGN: a file is replaced by writing "<path>.tmp-<pid>-<n>" beside it, fsync, rename, fsync of the folder. Whatever
 * fails in between unlinks the temporary file and leaves the old one as it was. Deletion walks with openat/unlinkat on
 * descriptors and never follows a link, so that a link in a tree cannot lead it outside.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FW_HOME_DIR
#define FW_HOME_DIR "." /* the build passes its source folder */
#endif

static fw_status fail_errno(fw_err *err, const char *path, const char *what) {
    return fw_fail(err, FW_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* A regular file, open for reading, with its size. *fd is the caller's to close. */
static fw_status open_regular(const char *path, int *fd, size_t *size, fw_err *err) {
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) {
        return fail_errno(err, path, "open");
    }
    if (fstat(*fd, &st) != 0) {
        close(*fd);
        return fail_errno(err, path, "stat");
    }
    if (!S_ISREG(st.st_mode)) {
        close(*fd);
        return fw_fail(err, FW_IO, "%s: wanted a file, found a %s", path,
                       S_ISDIR(st.st_mode) ? "folder" : "special file");
    }
    *size = (size_t)st.st_size;
    return FW_OK;
}

fw_status fw_file_read(const char *path, size_t max_bytes, char **data, size_t *size, fw_err *err) {
    int fd;
    size_t want = 0, got = 0;
    *data = NULL;
    *size = 0;
    FW_TRY(open_regular(path, &fd, &want, err));
    if (want > max_bytes) {
        close(fd);
        return fw_fail(err, FW_FORMAT, "%s: %zu bytes, at most %zu are allowed", path, want, max_bytes);
    }
    char *buf = malloc(want + 1);
    if (buf == NULL) {
        close(fd);
        return fw_fail(err, FW_NOMEM, "%s: no memory for %zu bytes", path, want);
    }
    ssize_t n = 1;
    while (got < want && n > 0) {
        n = read(fd, buf + got, want - got);
        got += n > 0 ? (size_t)n : 0;
        n = n < 0 && errno == EINTR ? 1 : n;
    }
    if (n < 0) {
        fail_errno(err, path, "read");
        close(fd);
        free(buf);
        return FW_IO;
    }
    close(fd);
    buf[got] = 0; /* a file that shrank meanwhile gives what is there */
    *data = buf;
    *size = got;
    return FW_OK;
}

static bool write_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* "a/b" -> "a", "b" -> ".", "/b" -> "/" */
static void parent_of(const char *path, char out[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    if (slash == NULL) {
        snprintf(out, PATH_MAX, ".");
    } else {
        snprintf(out, PATH_MAX, "%.*s", n == 0 ? 1 : (int)n, path);
    }
}

/* A rename is on the disk only when its folder is. */
static bool sync_parent(const char *path) {
    char dir[PATH_MAX];
    parent_of(path, dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool ok = fsync(fd) == 0 || errno == EINVAL; /* some file systems cannot */
    close(fd);
    return ok;
}

fw_status fw_file_write_atomic(const char *path, const void *data, size_t size, fw_err *err) {
    static atomic_uint serial;
    char tmp[PATH_MAX];
    const char *failed = NULL;
    int len = snprintf(tmp, sizeof(tmp), "%s.tmp-%d-%u", path, (int)getpid(), atomic_fetch_add(&serial, 1));
    if (len < 0 || len >= (int)sizeof(tmp)) {
        return fw_fail(err, FW_INVALID, "%.100s...: path is too long", path);
    }
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_errno(err, path, "create");
    }

    /* every step may fail, close included (a network file system reports there) */
    if (!write_all(fd, data, size)) {
        failed = "write";
    } else if (fsync(fd) != 0) {
        failed = "fsync";
    }
    int saved = errno;
    if (close(fd) != 0 && failed == NULL) {
        failed = "close";
        saved = errno;
    }
    if (failed == NULL && rename(tmp, path) != 0) {
        failed = "rename";
        saved = errno;
    }
    if (failed != NULL) {
        unlink(tmp);
        errno = saved;
        return fail_errno(err, path, failed);
    }
    return sync_parent(path) ? FW_OK : fail_errno(err, path, "fsync of the folder");
}

fw_status fw_file_link(const char *from, const char *to, fw_err *err) {
    struct stat a, b;
    fw_map m;
    if (stat(from, &a) != 0) {
        return fail_errno(err, from, "link");
    }
    if (lstat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
        return FW_OK; /* both are names of it already */
    }
    if (unlink(to) != 0 && errno != ENOENT) {
        return fail_errno(err, to, "remove");
    }
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0) {
        return FW_OK;
    }
    FW_TRY(fw_map_open(from, &m, err));
    fw_status st = fw_file_write_atomic(to, m.data, m.size, err);
    fw_map_close(&m);
    return st;
}

static fw_status map_fd(const char *path, int fd, size_t size, int prot, int flags, fw_map *out, fw_err *err) {
    *out = (fw_map){NULL, 0};
    if (size == 0) {
        return FW_OK;
    }
    void *p = mmap(NULL, size, prot, flags, fd, 0);
    if (p == MAP_FAILED) {
        return fail_errno(err, path, "mmap");
    }
    *out = (fw_map){p, size};
    return FW_OK;
}

fw_status fw_map_open(const char *path, fw_map *out, fw_err *err) {
    int fd;
    size_t size = 0;
    *out = (fw_map){NULL, 0};
    FW_TRY(open_regular(path, &fd, &size, err));
    fw_status s = map_fd(path, fd, size, PROT_READ, MAP_PRIVATE, out, err);
    close(fd);
    return s;
}

fw_status fw_map_create(const char *path, size_t size, fw_map *out, fw_err *err) {
    *out = (fw_map){NULL, 0};
    if (size > (size_t)INT64_MAX) {
        return fw_fail(err, FW_INVALID, "%s: size %zu is beyond any file", path, size);
    }
    /* a new inode: whoever has the old file mapped keeps it whole */
    if (unlink(path) != 0 && errno != ENOENT) {
        return fail_errno(err, path, "unlink");
    }
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_errno(err, path, "create");
    }
    fw_status s = FW_OK;
    int e = size > 0 ? posix_fallocate(fd, 0, (off_t)size) : 0;
    if (e != 0) {
        errno = e;
        s = fail_errno(err, path, "reserve disk space");
    } else {
        s = map_fd(path, fd, size, PROT_READ | PROT_WRITE, MAP_SHARED, out, err);
    }
    close(fd);
    if (s != FW_OK) {
        unlink(path);
    }
    return s;
}

fw_status fw_map_sync(const fw_map *m, const char *path, fw_err *err) {
    if (m->data != NULL && msync(m->data, m->size, MS_SYNC) != 0) {
        return fail_errno(err, path, "msync");
    }
    return FW_OK;
}

void fw_map_close(fw_map *m) {
    if (m->data != NULL) {
        munmap(m->data, m->size);
    }
    *m = (fw_map){NULL, 0};
}

bool fw_path_exists(const char *path) {
    return access(path, F_OK) == 0;
}

bool fw_path_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

fw_status fw_mkdirs(const char *path, fw_err *err) {
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(part)) {
        return fw_fail(err, FW_INVALID, "folder name of %zu characters, wanted 1..%zu", n, sizeof(part) - 1);
    }
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0) {
            continue;
        }
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && !(errno == EEXIST && fw_path_is_dir(part))) {
            return fail_errno(err, part, "mkdir");
        }
        part[i] = path[i];
    }
    return FW_OK;
}

static int remove_at(int at, const char *name);

/* Empties and closes the folder open at fd. 0, or -1 with errno. */
static int empty_dir(int fd) {
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        close(fd);
        return -1;
    }
    int r = 0;
    for (struct dirent *e = readdir(d); r == 0 && e != NULL; e = readdir(d)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            r = remove_at(dirfd(d), e->d_name);
        }
    }
    int saved = errno;
    closedir(d);
    errno = saved;
    return r;
}

static int remove_at(int at, const char *name) {
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return -1;
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || empty_dir(fd) != 0) {
        return -1;
    }
    return unlinkat(at, name, AT_REMOVEDIR);
}

fw_status fw_remove_tree(const char *path, fw_err *err) {
    return remove_at(AT_FDCWD, path) == 0 ? FW_OK : fail_errno(err, path, "remove");
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends a copy of `name`, growing by doubling. False: no memory. */
static bool push_name(char ***names, size_t *n, size_t *cap, const char *name) {
    if (*n == *cap) {
        size_t grown = *cap == 0 ? 16 : *cap * 2;
        char **p = reallocarray(*names, grown, sizeof(*p));
        if (p == NULL) {
            return false;
        }
        *names = p;
        *cap = grown;
    }
    (*names)[*n] = strdup(name);
    return (*names)[*n] != NULL && ++*n > 0;
}

fw_status fw_list_dir(const char *path, char ***names, size_t *n, fw_err *err) {
    size_t cap = 0;
    *names = NULL;
    *n = 0;
    DIR *d = opendir(path);
    if (d == NULL) {
        return fail_errno(err, path, "open folder");
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        if (!push_name(names, n, &cap, e->d_name)) {
            closedir(d);
            fw_names_free(*names, *n);
            *names = NULL;
            *n = 0;
            return fw_fail(err, FW_NOMEM, "%s: no memory for the names", path);
        }
    }
    closedir(d);
    if (*n > 1) {
        qsort(*names, *n, sizeof(**names), by_name);
    }
    return FW_OK;
}

void fw_names_free(char **names, size_t n) {
    for (size_t i = 0; names != NULL && i < n; i++) {
        free(names[i]);
    }
    free(names);
}

fw_status fw_path_join(char *out, size_t cap, const char *dir, const char *name, fw_err *err) {
    size_t d = strlen(dir);
    const char *sep = d == 0 || dir[d - 1] == '/' ? "" : "/";
    int n = snprintf(out, cap, "%s%s%s", dir, sep, name);
    if (n < 0 || (size_t)n >= cap) {
        return fw_fail(err, FW_INVALID, "%.80s/%.80s: path has %d characters, room for %zu", dir, name, n, cap);
    }
    return FW_OK;
}

/* The nearest folder above the running program that holds .deps; false when there is none. */
static bool home_of_exe(char out[PATH_MAX]) {
    char probe[PATH_MAX + 8];
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = 0;
    for (char *slash = strrchr(out, '/'); slash != NULL && slash != out; slash = strrchr(out, '/')) {
        *slash = 0;
        snprintf(probe, sizeof(probe), "%s/.deps", out);
        if (fw_path_is_dir(probe)) {
            return true;
        }
    }
    return false;
}

const char *fw_home(void) {
    static char home[PATH_MAX];
    static atomic_int state; /* 0 unknown, 1 being written, 2 known */
    int expected = 0;
    if (atomic_load(&state) == 2) {
        return home;
    }
    if (atomic_compare_exchange_strong(&state, &expected, 1)) {
        const char *env = getenv("FLYWHEEL_HOME");
        if (env != NULL && env[0] != 0) {
            snprintf(home, sizeof(home), "%s", env);
        } else if (!home_of_exe(home)) {
            snprintf(home, sizeof(home), "%s", FW_HOME_DIR);
        }
        atomic_store(&state, 2);
    }
    while (atomic_load(&state) != 2) {
    }
    return home;
}
