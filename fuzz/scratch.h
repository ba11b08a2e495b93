/* scratch.h - for targets whose format is read from files: a folder of this process's own, in memory where there is some, gone at exit. */
#ifndef FUZZ_SCRATCH_H
#define FUZZ_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static char scratch_dir[128];

static void scratch_remove(void) {
    (void)!fw_remove_tree(scratch_dir, NULL);
}

/* The folder, made at the first call. */
static inline const char *scratch(void) {
    if (scratch_dir[0] == 0) {
        snprintf(scratch_dir, sizeof scratch_dir, "%s/fw_fuzz_%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
                 (int)getpid());
        if (fw_remove_tree(scratch_dir, NULL) != FW_OK || fw_mkdirs(scratch_dir, NULL) != FW_OK) {
            abort();
        }
        atexit(scratch_remove);
    }
    return scratch_dir;
}

/* scratch()/name; static, one at a time. Makes the folders on the way. */
static inline const char *scratch_path(const char *name) {
    static char path[512], folder[512];
    snprintf(path, sizeof path, "%s/%s", scratch(), name);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    if (fw_mkdirs(folder, NULL) != FW_OK) {
        abort();
    }
    return path;
}

static inline const char *scratch_put(const char *name, const void *data, size_t n) {
    const char *path = scratch_path(name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || (n > 0 && fwrite(data, 1, n, f) != n) || fclose(f) != 0) {
        abort();
    }
    return path;
}

/* A refusal says why. */
static inline void scratch_refused(fw_status st, const fw_err *err) {
    if (st != FW_OK && (err->msg[0] == 0 || err->code != st)) {
        fprintf(stderr, "refused without a word: %d\n", (int)st);
        abort();
    }
}

#endif /* FUZZ_SCRATCH_H */
