/* sampler.c - see sampler.h. */
#include "data/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

typedef struct source {
    const fw_dataset *ds;
    int64_t *episodes; /* owned [n_episodes] */
    int64_t *start;    /* owned [n_episodes+1] frames before each */
    int64_t n_episodes, frames;
    double share;  /* of the draws, sums to 1 */
    int64_t drawn; /* draws so far */
} source;

struct fw_sampler {
    source *src;
    int n;
    int replacement;
    uint64_t seed;
    int64_t draws, frames;
};

static uint64_t mix(uint64_t a, uint64_t b) {
    fw_rng r = {a ^ (b * 0x9E3779B97F4A7C15ull)};
    fw_rng_u64(&r);
    return fw_rng_u64(&r);
}

/* Position i of a permutation of [0, n) that `key` names: four Feistel rounds on the smallest even number of bits that
 * holds n, walked until the value is inside. */
static int64_t permute(int64_t i, int64_t n, uint64_t key) {
    int half = 1;
    while (half < 31 && (1ll << (2 * half)) < n) {
        half++;
    }
    uint64_t mask = (1ull << half) - 1, x = (uint64_t)i;
    do {
        uint64_t l = x >> half, r = x & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t f = mix(key + round, r) & mask, t = l ^ f;
            l = r;
            r = t;
        }
        x = (l << half) | r;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}

static fw_status source_init(source *s, const fw_sampler_source *in, fw_err *err) {
    s->ds = in->ds;
    s->n_episodes = in->episodes != NULL ? in->n_episodes : in->ds->n_episodes;
    if (s->n_episodes < 1 || !(in->weight > 0.0) || !isfinite(in->weight)) {
        return fw_fail(err, FW_INVALID,
                       "sampler: %s: wanted episodes and a weight above 0, found %lld episodes and weight %g",
                       in->ds->dir, (long long)s->n_episodes, in->weight);
    }
    s->episodes = calloc((size_t)s->n_episodes, sizeof(int64_t));
    s->start = calloc((size_t)s->n_episodes + 1, sizeof(int64_t));
    if (s->episodes == NULL || s->start == NULL) {
        return fw_fail(err, FW_NOMEM, "sampler: %lld episodes", (long long)s->n_episodes);
    }
    for (int64_t i = 0; i < s->n_episodes; i++) {
        int64_t e = in->episodes != NULL ? in->episodes[i] : i;
        if (e < 0 || e >= in->ds->n_episodes) {
            return fw_fail(err, FW_INVALID, "sampler: %s: no episode %lld, there are %lld", in->ds->dir, (long long)e,
                           (long long)in->ds->n_episodes);
        }
        s->episodes[i] = e;
        s->start[i + 1] = s->start[i] + in->ds->episodes[e].length;
    }
    s->frames = s->start[s->n_episodes];
    return s->frames > 0 ? FW_OK : fw_fail(err, FW_INVALID, "sampler: %s: no frames", in->ds->dir);
}

fw_status fw_sampler_new(const fw_sampler_source *sources, int n, uint64_t seed, int replacement, fw_sampler **out,
                         fw_err *err) {
    *out = NULL;
    if (n < 1) {
        return fw_fail(err, FW_INVALID, "sampler: no data");
    }
    fw_status st = FW_OK;
    double total = 0.0;
    fw_sampler *s = calloc(1, sizeof(*s));
    if (s == NULL || (s->src = calloc((size_t)n, sizeof(source))) == NULL) {
        st = fw_fail(err, FW_NOMEM, "sampler");
        goto done;
    }
    s->n = n;
    s->seed = seed;
    s->replacement = replacement;
    for (int i = 0; i < n && st == FW_OK; i++) {
        st = source_init(&s->src[i], &sources[i], err);
        s->frames += s->src[i].frames;
        total += sources[i].weight;
    }
    for (int i = 0; i < n; i++) {
        s->src[i].share = sources[i].weight / total;
    }
done:
    if (st != FW_OK) {
        fw_sampler_free(s);
        s = NULL;
    }
    *out = s;
    return st;
}

void fw_sampler_free(fw_sampler *s) {
    if (s == NULL) {
        return;
    }
    for (int i = 0; i < s->n; i++) {
        free(s->src[i].episodes);
        free(s->src[i].start);
    }
    free(s->src);
    free(s);
}

int64_t fw_sampler_frames(const fw_sampler *s) {
    return s->frames;
}

int64_t fw_sampler_tell(const fw_sampler *s) {
    return s->draws;
}

/* The source that is furthest behind its share takes the next draw. */
static int next_source(fw_sampler *s) {
    int best = 0;
    double behind = -INFINITY;
    for (int i = 0; i < s->n; i++) {
        double d = s->src[i].share * (double)(s->draws + 1) - (double)s->src[i].drawn;
        if (d > behind) {
            behind = d;
            best = i;
        }
    }
    s->draws++;
    s->src[best].drawn++;
    return best;
}

fw_sample fw_sampler_next(fw_sampler *s) {
    int i = next_source(s);
    const source *src = &s->src[i];
    uint64_t k = (uint64_t)(src->drawn - 1), n = (uint64_t)src->frames;
    uint64_t key = mix(s->seed, (uint64_t)i + 1);
    int64_t frame;
    if (s->replacement) {
        fw_rng r = {mix(key, k + 1)};
        frame = (int64_t)fw_rng_below(&r, n);
    } else {
        frame = permute((int64_t)(k % n), src->frames, mix(key, k / n + 1));
    }
    int64_t lo = 0, hi = src->n_episodes; /* the episode with start[lo] <= frame < start[lo+1] */
    while (hi - lo > 1) {
        int64_t mid = (lo + hi) / 2;
        if (src->start[mid] <= frame) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    int64_t e = src->episodes[lo], t = frame - src->start[lo];
    return (fw_sample){.source = i, .episode = e, .t = t, .row = src->ds->episodes[e].first + t};
}

void fw_sampler_seek(fw_sampler *s, int64_t draws) {
    if (s->n == 1) {
        s->draws = s->src[0].drawn = draws;
        return;
    }
    for (int i = 0; i < s->n && draws < s->draws; i++) {
        s->src[i].drawn = 0;
    }
    s->draws = draws < s->draws ? 0 : s->draws;
    while (s->draws < draws) {
        (void)next_source(s);
    }
}

void fw_chunk_gather(const float *action, int64_t length, int n_action, int64_t t, int horizon, float *out,
                     float *mask) {
    for (int h = 0; h < horizon; h++) {
        int64_t at = t + h < length ? t + h : length - 1;
        memcpy(out + (size_t)h * (size_t)n_action, action + at * n_action, (size_t)n_action * sizeof(float));
        mask[h] = t + h < length ? 1.0f : 0.0f;
    }
}
