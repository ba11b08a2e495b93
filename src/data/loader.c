/* loader.c - see loader.h. */
#include "data/loader.h"

#include "data/deleted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct part {
    fw_dataset *ds;
    fw_frames *frames;
    int camera[FW_MAX_CAMERAS]; /* of each camera of the first source */
    float *state, *action;      /* owned [n_frames, n_state], [n_frames, n_action] */
    const char **sentence;      /* owned [n_episodes], borrowed from ds */
    int64_t *episodes;          /* owned [n_episodes_used] */
    int64_t n_episodes, n_frames;
    double weight;
} part;

struct fw_loader {
    int n, n_cameras, n_state, n_action;
    fw_loader_opts o;
    part *part; /* owned [n] */
    int64_t frames;
};

/* --- episode lists --- */

/* One number at *p or `none` where there is none; moves *p. */
static bool parse_number(const char **p, int64_t none, int64_t *out) {
    char *end;
    *out = none;
    if (**p < '0' || **p > '9') {
        return true;
    }
    errno = 0;
    *out = strtoll(*p, &end, 10);
    *p = end;
    return errno == 0;
}

/* Set take[i] for what `text` names. */
static fw_status mark(const char *text, uint8_t value, uint8_t *take, int64_t n, fw_err *err) {
    for (const char *p = text; *p != 0;) {
        const char *begin = p;
        int64_t a, b;
        bool ok = parse_number(&p, *p == ':' ? 0 : -1, &a) && a >= 0;
        b = a < n ? a + 1 : a;
        if (ok && *p == ':') {
            p++;
            ok = parse_number(&p, n, &b);
        }
        if (!ok || a >= n || b > n || b <= a || (*p != ',' && *p != 0)) {
            return fw_fail(err, FW_INVALID, "episodes '%.60s': wanted positions below %lld like 0:100,205,300:", begin,
                           (long long)n);
        }
        memset(take + a, value, (size_t)(b - a));
        p += *p == ',';
    }
    return FW_OK;
}

fw_status fw_episode_list(const char *episodes, const char *except, int64_t n_episodes, int64_t **list, int64_t *n,
                          fw_err *err) {
    uint8_t *take = calloc((size_t)n_episodes + 1, 1);
    *list = calloc((size_t)n_episodes + 1, sizeof **list);
    *n = 0;
    fw_status st =
        take != NULL && *list != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%lld episodes", (long long)n_episodes);
    if (st == FW_OK && episodes == NULL) {
        memset(take, 1, (size_t)n_episodes);
    }
    st = st == FW_OK && episodes != NULL ? mark(episodes, 1, take, n_episodes, err) : st;
    st = st == FW_OK && except != NULL ? mark(except, 0, take, n_episodes, err) : st;
    for (int64_t i = 0; st == FW_OK && i < n_episodes; i++) {
        if (take[i]) {
            (*list)[(*n)++] = i;
        }
    }
    if (st == FW_OK && *n == 0) {
        st = fw_fail(err, FW_INVALID, "episodes '%.60s' except '%.60s': none of %lld is left",
                     episodes != NULL ? episodes : "", except != NULL ? except : "", (long long)n_episodes);
    }
    if (st != FW_OK) {
        free(*list);
        *list = NULL;
    }
    free(take);
    return st;
}

/* --- opening --- */

static fw_status check_fit(const fw_loader *l, part *p, fw_err *err) {
    const fw_dataset *first = l->part[0].ds;
    if (p->ds->n_state != l->n_state || p->ds->n_action != l->n_action) {
        return fw_fail(err, FW_SHAPE, "%s: state has %d values and action %d, %s has %d and %d", p->ds->dir,
                       p->ds->n_state, p->ds->n_action, first->dir, l->n_state, l->n_action);
    }
    for (int c = 0; c < l->n_cameras; c++) {
        p->camera[c] = fw_dataset_camera(p->ds, first->cameras[c].key);
        if (p->camera[c] < 0) {
            return fw_fail(err, FW_SHAPE, "%s: no camera '%s', which %s has", p->ds->dir, first->cameras[c].name,
                           first->dir);
        }
    }
    return FW_OK;
}

static fw_status read_numbers(const fw_loader *l, part *p, fw_err *err) {
    int64_t rows = p->ds->n_frames;
    size_t ns = (size_t)l->n_state, na = (size_t)l->n_action;
    p->state = malloc(((size_t)rows * ns + 1) * sizeof(float));
    p->action = malloc(((size_t)rows * na + 1) * sizeof(float));
    p->sentence = calloc((size_t)p->ds->n_episodes + 1, sizeof *p->sentence);
    if (p->state == NULL || p->action == NULL || p->sentence == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: %lld rows", p->ds->dir, (long long)rows);
    }
    for (int64_t i = 0; i < p->n_episodes; i++) {
        fw_episode ep;
        size_t at = (size_t)p->ds->episodes[p->episodes[i]].first;
        FW_TRY(fw_dataset_read_episode(p->ds, p->episodes[i], &ep, err));
        if (ns > 0) {
            memcpy(p->state + at * ns, ep.state, (size_t)ep.length * ns * sizeof(float));
        }
        if (na > 0) {
            memcpy(p->action + at * na, ep.action, (size_t)ep.length * na * sizeof(float));
        }
        p->sentence[p->episodes[i]] = ep.sentence;
        p->n_frames += ep.length;
        fw_episode_clear(&ep);
    }
    return FW_OK;
}

static fw_status open_part(fw_loader *l, int i, const fw_loader_source *src, fw_err *err) {
    part *p = &l->part[i];
    FW_TRY(fw_dataset_open(src->dir, &p->ds, err));
    if (i == 0) {
        l->n_state = p->ds->n_state;
        l->n_action = p->ds->n_action;
        l->n_cameras = p->ds->n_cameras;
    }
    FW_TRY(check_fit(l, p, err));
    fw_status st = fw_episode_list(src->episodes, src->except, p->ds->n_episodes, &p->episodes, &p->n_episodes, err);
    if (st != FW_OK) {
        return fw_fail_in(err, st, "%s", src->dir);
    }
    FW_TRY(read_numbers(l, p, err));
    p->weight = src->weight > 0.0 ? src->weight : (double)p->n_frames;
    l->frames += p->n_frames;
    return FW_OK;
}

/* What was deleted from one of the datasets is not learnt from another. */
static fw_status refuse_deleted(const fw_loader *l, fw_deleted *d, fw_err *err) {
    for (int i = 0; i < l->n; i++) {
        FW_TRY(fw_deleted_load(d, l->part[i].ds->dir, err));
    }
    for (int i = 0; i < l->n; i++) {
        const part *p = &l->part[i];
        FW_TRY(fw_deleted_refuse_homes(d, p->ds, p->episodes, p->n_episodes, err));
        for (int64_t k = 0; k < p->n_episodes && fw_deleted_rules(d) > 0; k++) {
            const fw_episode_info *e = &p->ds->episodes[p->episodes[k]];
            FW_TRY(fw_deleted_refuse_rows(d, p->ds->dir, e->index, p->state + e->first * l->n_state,
                                          p->action + e->first * l->n_action, e->length, l->n_state, l->n_action, err));
        }
    }
    return FW_OK;
}

fw_status fw_loader_open(const fw_loader_source *src, int n, const fw_loader_opts *opts, fw_loader **out, fw_err *err) {
    *out = NULL;
    if (n < 1 || opts->horizon < 1) {
        return fw_fail(err, FW_INVALID, "loader: %d datasets, horizon %d", n, opts->horizon);
    }
    fw_loader *l = calloc(1, sizeof *l);
    if (l == NULL || (l->part = calloc((size_t)n, sizeof *l->part)) == NULL) {
        free(l);
        return fw_fail(err, FW_NOMEM, "loader");
    }
    l->n = n;
    l->o = *opts;
    fw_status st = FW_OK;
    for (int i = 0; i < n && st == FW_OK; i++) {
        st = open_part(l, i, &src[i], err);
    }
    fw_deleted *deleted = NULL;
    st = st == FW_OK ? fw_deleted_new(&deleted, err) : st;
    st = st == FW_OK ? refuse_deleted(l, deleted, err) : st;
    fw_deleted_free(deleted);
    for (int i = 0; i < n && st == FW_OK && l->n_cameras > 0; i++) {
        part *p = &l->part[i];
        st = fw_frames_open(p->ds, l->o.h, l->o.w, l->o.n_threads, &p->frames, err);
    }
    if (st != FW_OK) {
        fw_loader_close(l);
        return st;
    }
    *out = l;
    return FW_OK;
}

void fw_loader_close(fw_loader *l) {
    if (l == NULL) {
        return;
    }
    for (int i = 0; i < l->n; i++) {
        fw_frames_close(l->part[i].frames);
        free(l->part[i].state);
        free(l->part[i].action);
        free(l->part[i].sentence);
        free(l->part[i].episodes);
        fw_dataset_close(l->part[i].ds);
    }
    free(l->part);
    free(l);
}

fw_status fw_loader_sampler(const fw_loader *l, fw_sampler **out, fw_err *err) {
    fw_sampler_source *src = calloc((size_t)l->n, sizeof *src);
    if (src == NULL) {
        return fw_fail(err, FW_NOMEM, "loader: sampler");
    }
    for (int i = 0; i < l->n; i++) {
        const part *p = &l->part[i];
        src[i] = (fw_sampler_source){p->ds, p->episodes, p->n_episodes, p->weight};
    }
    fw_status st = fw_sampler_new(src, l->n, l->o.seed, 0, out, err);
    free(src);
    return st;
}

int fw_loader_cameras(const fw_loader *l) {
    return l->n_cameras;
}

int64_t fw_loader_frames(const fw_loader *l) {
    return l->frames;
}

/* --- batches --- */

static size_t image_values(const fw_loader *l) {
    return (size_t)l->o.h * (size_t)l->o.w * 3;
}

fw_status fw_loader_batch_new(const fw_loader *l, int64_t n, bool f32, fw_loader_batch *out, fw_err *err) {
    size_t rows = (size_t)n, pixels = rows * (size_t)l->n_cameras * image_values(l);
    *out = (fw_loader_batch){.n = n};
    out->rgb = f32 ? NULL : malloc(pixels + 1);
    out->image = f32 ? malloc((pixels + 1) * sizeof(float)) : NULL;
    out->state = malloc((rows * (size_t)l->n_state + 1) * sizeof(float));
    out->action = malloc((rows * (size_t)l->o.horizon * (size_t)l->n_action + 1) * sizeof(float));
    out->mask = malloc((rows * (size_t)l->o.horizon + 1) * sizeof(float));
    out->sentence = calloc(rows + 1, sizeof *out->sentence);
    out->sample = calloc(rows + 1, sizeof *out->sample);
    if ((out->rgb == NULL && out->image == NULL) || out->state == NULL || out->action == NULL || out->mask == NULL ||
        out->sentence == NULL || out->sample == NULL) {
        fw_loader_batch_free(out);
        return fw_fail(err, FW_NOMEM, "a batch of %lld samples", (long long)n);
    }
    return FW_OK;
}

void fw_loader_batch_free(fw_loader_batch *b) {
    free(b->rgb);
    free(b->image);
    free(b->state);
    free(b->action);
    free(b->mask);
    free(b->sentence);
    free(b->sample);
    *b = (fw_loader_batch){0};
}

static void put_image(const fw_loader *l, const uint8_t *rgb, fw_loader_batch *b, size_t slot) {
    size_t n = image_values(l);
    if (b->rgb != NULL) {
        memcpy(b->rgb + slot * n, rgb, n);
        return;
    }
    float *to = b->image + slot * n;
    for (size_t i = 0; i < n; i++) {
        to[i] = (float)rgb[i] * (1.0F / 255.0F);
    }
}

void fw_loader_fill(const fw_loader *l, fw_sampler *s, fw_loader_batch *b) {
    size_t ns = (size_t)l->n_state, na = (size_t)l->n_action, horizon = (size_t)l->o.horizon;
    for (int64_t i = 0; i < b->n; i++) {
        fw_sample x = b->sample[i] = fw_sampler_next(s);
        const part *p = &l->part[x.source];
        const fw_episode_info *e = &p->ds->episodes[x.episode];
        for (int c = 0; c < l->n_cameras; c++) {
            put_image(l, fw_frames_at(p->frames, p->camera[c], x.row), b, (size_t)(i * l->n_cameras + c));
        }
        memcpy(b->state + (size_t)i * ns, p->state + (size_t)x.row * ns, ns * sizeof(float));
        fw_chunk_gather(p->action + (size_t)e->first * na, e->length, l->n_action, x.t, l->o.horizon,
                        b->action + (size_t)i * horizon * na, b->mask + (size_t)i * horizon);
        b->sentence[i] = p->sentence[x.episode];
    }
}
