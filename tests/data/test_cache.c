/* Blobs and frame caches: resumed, shared between processes, made anew when what they hold is not what is wanted. */
#include "data/cache.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "make.h"

static void a_blob_resumes_where_it_stopped(void) {
    const char *dir = mk_dir("blob");
    char path[600];
    fw_blob *b;
    snprintf(path, sizeof(path), "%s/deep/x.blob", dir);
    OK(fw_blob_open(path, "k1", 10000, 24, &b, err));
    CHECK_INT(fw_blob_count_done(b), 0);
    for (int64_t i = 0; i < 6000; i++) {
        memset(fw_blob_row(b, i), (int)(i % 251), 24);
        fw_blob_done(b, i);
    }
    FAILS(fw_blob_seal(b, err), FW_INVALID, "6000 of 10000 rows");
    fw_blob_close(b);
    OK(fw_blob_open(path, "k1", 10000, 24, &b, err));
    CHECK_INT(fw_blob_count_done(b), 6000);
    CHECK(fw_blob_has(b, 5999) && !fw_blob_has(b, 6000));
    for (int64_t i = 0; i < 6000; i++) {
        CHECK_INT(((uint8_t *)fw_blob_row(b, i))[23], i % 251);
    }
    fw_blob_close(b);
    OK(fw_remove_tree(dir, err));
}

static void another_key_or_shape_starts_again(void) {
    const char *dir = mk_dir("blobkey");
    char path[600];
    fw_blob *b;
    snprintf(path, sizeof(path), "%s/x.blob", dir);
    OK(fw_blob_open(path, "k1", 100, 64, &b, err));
    fw_blob_done(b, 7);
    fw_blob_close(b);
    OK(fw_blob_open(path, "k2", 100, 64, &b, err));
    CHECK_INT(fw_blob_count_done(b), 0);
    fw_blob_done(b, 7);
    fw_blob_close(b);
    OK(fw_blob_open(path, "k2", 100, 32, &b, err));
    CHECK_INT(fw_blob_count_done(b), 0);
    fw_blob_close(b);
    OK(fw_file_write_atomic(path, "rubbish", 7, err));
    OK(fw_blob_open(path, "k2", 100, 32, &b, err));
    CHECK_INT(fw_blob_count_done(b), 0);
    fw_blob_close(b);
    FAILS(fw_blob_open(path, "k", INT64_MAX / 2, 1 << 20, &b, err), FW_INVALID, "rows");
    FAILS(fw_blob_open(path, "k", 1 << 20, (int64_t)1 << 25, &b, err), FW_IO, "MiB"); /* 32 TiB: no disk has it */
    OK(fw_remove_tree(dir, err));
}

static void forked_workers_fill_one_blob(void) {
    const char *dir = mk_dir("blobfork");
    char path[600];
    fw_blob *b;
    snprintf(path, sizeof(path), "%s/x.blob", dir);
    OK(fw_blob_open(path, "k", 1000, 8, &b, err));
    for (int64_t k = 0; k < 3; k++) {
        if (fork() == 0) {
            for (int64_t i = k; i < 1000; i += 3) {
                memcpy(fw_blob_row(b, i), &i, 8);
                fw_blob_done(b, i);
            }
            _exit(0);
        }
    }
    int status;
    while (wait(&status) > 0) {
        CHECK(status == 0);
    }
    OK(fw_blob_seal(b, err));
    for (int64_t i = 0; i < 1000; i++) {
        CHECK(*(int64_t *)fw_blob_row(b, i) == i);
    }
    fw_blob_close(b);
    OK(fw_remove_tree(dir, err));
}

static void cached_frames_are_the_decoded_frames(void) {
    const char *dir = mk_dir("frames"), *cache = mk_dir("frames_cache");
    CHECK(setenv("XDG_CACHE_HOME", cache, 1) == 0);
    mk_dataset(dir, 0, 5);
    fw_dataset *ds;
    fw_frames *f;
    enum { H = 20, W = 24 };
    uint8_t one[H * W * 3];
    OK(fw_dataset_open(dir, &ds, err));
    for (int pass = 0; pass < 2; pass++) { /* decoded, then only mapped */
        OK(fw_frames_open(ds, H, W, 2, &f, err));
        for (int64_t e = 0; e < ds->n_episodes; e++) {
            for (int64_t t = 0; t < ds->episodes[e].length; t += 3) {
                for (int c = 0; c < ds->n_cameras; c++) {
                    OK(fw_dataset_read_images(ds, e, c, t, 1, H, W, one, err));
                    CHECK(memcmp(one, fw_frames_at(f, c, ds->episodes[e].first + t), sizeof(one)) == 0);
                }
            }
        }
        fw_frames_close(f);
    }
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
    OK(fw_remove_tree(cache, err));
}

static void a_changed_dataset_is_another_cache(void) {
    const char *dir = mk_dir("ident");
    char a[65], b[65];
    fw_dataset *ds;
    mk_dataset(dir, 0, 1);
    OK(fw_dataset_open(dir, &ds, err));
    OK(fw_dataset_identity(ds, a, err));
    OK(fw_dataset_identity(ds, b, err));
    CHECK(strcmp(a, b) == 0);
    fw_dataset_close(ds);
    mk_dataset(dir, 1, 1);
    OK(fw_dataset_open(dir, &ds, err));
    OK(fw_dataset_identity(ds, b, err));
    CHECK(strcmp(a, b) != 0);
    struct timespec later[2] = {{.tv_sec = 2000000000},
                                {.tv_sec = 2000000000}}; /* values that change without a new size */
    CHECK(utimensat(AT_FDCWD, ds->data_files[0], later, 0) == 0);
    OK(fw_dataset_identity(ds, a, err));
    CHECK(strcmp(a, b) != 0);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
}

FW_TEST_MAIN(T(a_blob_resumes_where_it_stopped), T(another_key_or_shape_starts_again), T(forked_workers_fill_one_blob),
             T(cached_frames_are_the_decoded_frames), T(a_changed_dataset_is_another_cache))
