/*
 * sampler.h - which frame to learn from next, and the action chunk that starts there. Deterministic by seed.
 *
 * DESIGN. Draw k is a function of (seed, k) alone: resuming training is fw_sampler_seek, and workers agree without
 * talking. Each source is walked in epochs: a keyed permutation (a small Feistel network with cycle walking) of its
 * frames, another one each epoch, so every frame is seen once before any is seen twice, with no table of indices.
 * Several sources are interleaved so that after any number of draws their counts differ from the wanted shares by less
 * than one draw each.
 */
#ifndef FW_DATA_SAMPLER_H
#define FW_DATA_SAMPLER_H

#include <stdint.h>

#include "data/dataset.h"
#include "fw/status.h"

typedef struct fw_sampler_source {
    const fw_dataset *ds;
    const int64_t *episodes; /* [n_episodes] positions; NULL: all. Copied. */
    int64_t n_episodes;
    double weight; /* share of the draws, > 0; only ratios matter */
} fw_sampler_source;

typedef struct fw_sample {
    int source;      /* into the sources */
    int64_t episode; /* position in its dataset */
    int64_t t;       /* frame in the episode */
    int64_t row;     /* frame in the dataset: episodes[episode].first + t */
} fw_sample;

typedef struct fw_sampler fw_sampler;
/* replacement: draws independent of each other rather than epochs. FW_INVALID: no frames, bad weight or episode. */
FW_NODISCARD fw_status fw_sampler_new(const fw_sampler_source *sources, int n, uint64_t seed, int replacement,
                                      fw_sampler **out, fw_err *err);
void fw_sampler_free(fw_sampler *s);
int64_t fw_sampler_frames(const fw_sampler *s); /* frames in all sources */
fw_sample fw_sampler_next(fw_sampler *s);
int64_t fw_sampler_tell(const fw_sampler *s); /* draws so far */
/* O(1) with one source; with more O(distance) forward, O(draws) back. */
void fw_sampler_seek(fw_sampler *s, int64_t draws);

/* The chunk at frame t of action [length, n_action]: out [horizon, n_action], mask [horizon] 1.0 inside the episode.
 * Beyond its end the last action is repeated and mask is 0. */
void fw_chunk_gather(const float *action, int64_t length, int n_action, int64_t t, int horizon, float *out,
                     float *mask);

#endif /* FW_DATA_SAMPLER_H */
