/*
 * loader.h - training samples out of decoded datasets: images, state, an action chunk with its mask, a sentence.
 *
 *     fw_loader_source src[] = {{.dir = "out/k3", .weight = 3}, {.dir = "real", .weight = 1, .except = "12,40:60"}};
 *     fw_loader_opts o = {.h = 128, .w = 128, .horizon = 16, .seed = 1};
 *     FW_TRY(fw_loader_open(src, 2, &o, &l, err));            // decodes what is not in the cache yet, with progress
 *     FW_TRY(fw_loader_sampler(l, &s, err));                  // one a thread
 *     FW_TRY(fw_loader_batch_new(l, 32, false, &b, err));
 *     fw_sampler_seek(s, 32 * k), fw_loader_fill(l, s, &b);   // batch k, whoever makes it
 *
 * DESIGN. Everything is in memory or mapped before the first sample: numbers as one array a dataset, pixels in the frame cache
 * (cache.h), which processes share. A sample is then copies, and which one comes next is the sampler's function of (seed, draw):
 * any thread or process can make any batch, so there is no queue, no worker protocol and nothing to restore after a
 * crash but the number of the batch. A fw_loader is immutable after open and may be read by any number of threads.
 */
#ifndef FW_DATA_LOADER_H
#define FW_DATA_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "data/cache.h"
#include "data/dataset.h"
#include "data/sampler.h"

typedef struct fw_loader_source {
    const char *dir;
    double weight;        /* share of the draws; 0: its frames, so that every frame is as likely as any other */
    const char *episodes; /* positions to learn from: "0:100,205,300:" (ends are left out); NULL: all */
    const char *except;   /* of these, not; NULL: none */
} fw_loader_source;

typedef struct fw_loader_opts {
    int h, w;    /* pixels that frames are scaled to */
    int horizon; /* actions a chunk */
    uint64_t seed;
    int n_threads; /* for decoding; <= 0: all CPUs */
} fw_loader_opts;

typedef struct fw_loader fw_loader;
/* Datasets must have the same widths of state and action and the same cameras by name (FW_SHAPE names the one that has not).
 * FW_INVALID also when an episode of one was deleted from another (deleted.h). */
FW_NODISCARD fw_status fw_loader_open(const fw_loader_source *src, int n, const fw_loader_opts *opts, fw_loader **out,
                                      fw_err *err);
void fw_loader_close(fw_loader *l); /* NULL is fine */
/* A sampler over the sources, at draw 0. Owned. */
FW_NODISCARD fw_status fw_loader_sampler(const fw_loader *l, fw_sampler **out, fw_err *err);
int fw_loader_cameras(const fw_loader *l);
int64_t fw_loader_frames(const fw_loader *l); /* that may be drawn */

typedef struct fw_loader_batch {
    int64_t n;
    uint8_t *rgb;          /* [n,cameras,h,w,3]; NULL when f32 */
    float *image;          /* the same as 0..1; NULL unless f32 */
    float *state;          /* [n,n_state] */
    float *action, *mask;  /* [n,horizon,n_action], [n,horizon] 1 inside the episode */
    const char **sentence; /* [n] borrowed from the loader */
    fw_sample *sample;     /* [n] where each comes from */
} fw_loader_batch;
FW_NODISCARD fw_status fw_loader_batch_new(const fw_loader *l, int64_t n, bool f32, fw_loader_batch *out, fw_err *err);
void fw_loader_batch_free(fw_loader_batch *b);
/* The sampler's next b->n draws. Thread-safe for different s and b. */
void fw_loader_fill(const fw_loader *l, fw_sampler *s, fw_loader_batch *b);

/* Episodes that `episodes` names and `except` does not (see fw_loader_source), in increasing order: *list owned (free) [*n].
 * FW_INVALID names the part that is no list of positions below n_episodes; an empty result is an error too. */
FW_NODISCARD fw_status fw_episode_list(const char *episodes, const char *except, int64_t n_episodes, int64_t **list,
                                       int64_t *n, fw_err *err);

#endif /* FW_DATA_LOADER_H */
