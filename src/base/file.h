/* file.h - files whole, files mapped, files replaced atomically, folders. Every error names the path. */
#ifndef FW_BASE_FILE_H
#define FW_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

/* Read the whole file: *data owned by the caller (free), NUL-terminated beyond *size. FW_FORMAT over max_bytes. */
FW_NODISCARD fw_status fw_file_read(const char *path, size_t max_bytes, char **data, size_t *size, fw_err *err);
/* Replace `path` with these bytes: temporary file, fsync, rename, fsync of the folder. Old or new, never half. */
FW_NODISCARD fw_status fw_file_write_atomic(const char *path, const void *data, size_t size, fw_err *err);
/* The file `from` also as `to`, replaced when it is there: a link, or a copy where there can be none (another file system). For files
 * that are only ever replaced, never changed in place. */
FW_NODISCARD fw_status fw_file_link(const char *from, const char *to, fw_err *err);

typedef struct fw_map {
    uint8_t *data; /* NULL when size == 0 */
    size_t size;   /* bytes */
} fw_map;
/* Map read-only; the file may be unlinked while mapped. */
FW_NODISCARD fw_status fw_map_open(const char *path, fw_map *out, fw_err *err);
/* Create or replace with `size` zero bytes and map it shared, writable. The disk space is really allocated
 * (posix_fallocate): FW_IO now rather than SIGBUS later when the disk is full. */
FW_NODISCARD fw_status fw_map_create(const char *path, size_t size, fw_map *out, fw_err *err);
FW_NODISCARD fw_status fw_map_sync(const fw_map *m, const char *path, fw_err *err);
void fw_map_close(fw_map *m);

bool fw_path_exists(const char *path);
bool fw_path_is_dir(const char *path);
/* mkdir -p */
FW_NODISCARD fw_status fw_mkdirs(const char *path, fw_err *err);
/* rm -r of a folder or file; missing is fine. Does not follow links. */
FW_NODISCARD fw_status fw_remove_tree(const char *path, fw_err *err);
/* Names in a folder, sorted, without "." and "..": *names owned (fw_names_free). */
FW_NODISCARD fw_status fw_list_dir(const char *path, char ***names, size_t *n, fw_err *err);
void fw_names_free(char **names, size_t n);

/* Write "dir/name" to out; FW_INVALID when it does not fit. Returns out's length through nothing: check the status. */
FW_NODISCARD fw_status fw_path_join(char *out, size_t cap, const char *dir, const char *name, fw_err *err);

/* Where the program's data lives (models/, the unpacked wheels): $FLYWHEEL_HOME, else the folder two above the running
 * executable that holds .deps, else the compiled-in source folder. Static string. */
const char *fw_home(void);

#endif /* FW_BASE_FILE_H */
