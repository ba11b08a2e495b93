/*
 * row_images.c - pictures that lie in the rows of a data file: a column of dtype image, struct<bytes: binary, path: string>, PNG.
 *
 * Only the row groups that hold the wanted rows are read, and of them this one column. Nothing is kept between calls: the frame
 * cache, which asks for whole episodes, is what training reads from.
 */
#include <stdlib.h>
#include <string.h>

#include "base/png.h"
#include "data/dataset_int.h"

/* The rows that are wanted, counted in the file, and where their pixels go. */
typedef struct wanted {
    const fw_episode_info *e;
    const fw_ds_camera *cam;
    const char *path;
    int64_t first, end; /* rows of the file */
    int h, w;
    uint8_t *rgb;
} wanted;

/* "bytes" among the struct's children; -1 when the column is of another kind. */
static int bytes_child(const struct ArrowSchema *s) {
    for (int64_t i = 0; strcmp(s->format, "+s") == 0 && i < s->n_children; i++) {
        const char *f = s->children[i]->format;
        if (strcmp(s->children[i]->name, "bytes") == 0 && (strcmp(f, "z") == 0 || strcmp(f, "Z") == 0)) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_null(const struct ArrowArray *a, int64_t i) {
    const uint8_t *valid = a->null_count != 0 ? a->buffers[0] : NULL;
    int64_t at = a->offset + i;
    return valid != NULL && ((valid[at >> 3] >> (at & 7)) & 1) == 0;
}

static fw_status decode(const wanted *x, int64_t row, const uint8_t *data, int64_t size, fw_err *err) {
    char where[512];
    uint8_t *rgb;
    int h, w;
    snprintf(where, sizeof(where), "%s: ep %lld: frame %lld: %s", x->path, (long long)x->e->index,
             (long long)(row - x->e->data_row), x->cam->key);
    FW_TRY(fw_png_decode(where, data, (size_t)size, &rgb, &h, &w, err));
    fw_status st = FW_OK;
    if (h != x->cam->h || w != x->cam->w) {
        st = fw_fail(err, FW_SHAPE, "%s is %dx%d, info.json wants %dx%d", where, w, h, x->cam->w, x->cam->h);
    } else {
        int h2 = x->h > 0 ? x->h : h, w2 = x->w > 0 ? x->w : w;
        st = fw_rgb_scale(rgb, h, w, h2, w2, x->rgb + (size_t)(row - x->first) * (size_t)h2 * (size_t)w2 * 3, err);
    }
    free(rgb);
    return st;
}

/* One batch, whose first row is `at`. */
static fw_status decode_batch(const wanted *x, const struct ArrowArray *batch, int child, bool large, int64_t at,
                              fw_err *err) {
    const struct ArrowArray *s = batch->children[0], *b = s->children[child];
    for (int64_t i = 0; i < batch->length; i++) {
        if (at + i < x->first || at + i >= x->end) {
            continue;
        }
        int64_t k = s->offset + i;
        if (is_null(s, i) || is_null(b, k)) {
            return fw_fail(err, FW_UNSUPPORTED, "%s: ep %lld: frame %lld: %s has no bytes in its row", x->path,
                           (long long)x->e->index, (long long)(at + i - x->e->data_row), x->cam->key);
        }
        k += b->offset;
        int64_t from = large ? ((const int64_t *)b->buffers[1])[k] : ((const int32_t *)b->buffers[1])[k],
                to = large ? ((const int64_t *)b->buffers[1])[k + 1] : ((const int32_t *)b->buffers[1])[k + 1];
        FW_TRY(decode(x, at + i, (const uint8_t *)b->buffers[2] + from, to - from, err));
    }
    return FW_OK;
}

static fw_status decode_stream(const wanted *x, struct ArrowArrayStream *s, int64_t at, fw_err *err) {
    struct ArrowSchema schema = {0};
    fw_status st = FW_OK;
    int64_t seen = 0;
    if (s->get_schema(s, &schema) != 0) {
        return fw_fail(err, FW_FORMAT, "%s: its schema cannot be read", x->path);
    }
    int child = schema.n_children == 1 ? bytes_child(schema.children[0]) : -1;
    bool large = child >= 0 && schema.children[0]->children[child]->format[0] == 'Z';
    schema.release(&schema);
    if (child < 0) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: column %s: wanted images with their bytes", x->path, x->cam->key);
    }
    while (st == FW_OK) {
        struct ArrowArray batch = {0};
        if (s->get_next(s, &batch) != 0) {
            const char *why = s->get_last_error(s);
            return fw_fail(err, FW_FORMAT, "%s: %s: %.200s", x->path, x->cam->key, why != NULL ? why : "damaged");
        }
        if (batch.release == NULL) {
            break;
        }
        st = decode_batch(x, &batch, child, large, at + seen, err);
        seen += batch.length;
        batch.release(&batch);
    }
    return st == FW_OK && at + seen < x->end ? fw_fail(err, FW_FORMAT, "%s: %lld rows, wanted %lld", x->path,
                                                       (long long)(at + seen), (long long)x->end)
                                             : st;
}

/* The row groups that hold rows [first, end); *row: the first row of the first of them. */
static void find_groups(const fw_pq_reader *r, const wanted *x, int *g0, int *g1, int64_t *row) {
    int64_t at = 0;
    *g0 = *g1 = 0;
    *row = 0;
    for (int g = 0; g < fw_pq_row_groups(r) && at < x->end; g++) {
        int64_t next = at + fw_pq_group_rows(r, g);
        if (next <= x->first) {
            *g0 = g + 1;
            *row = next;
        }
        *g1 = g + 1;
        at = next;
    }
}

static fw_status column_index(fw_pq_reader *r, const wanted *x, int *index, fw_err *err) {
    struct ArrowSchema schema = {0};
    *index = -1;
    FW_TRY(fw_pq_schema(r, &schema, err));
    for (int64_t i = 0; i < schema.n_children; i++) {
        *index = strcmp(schema.children[i]->name, x->cam->key) == 0 ? (int)i : *index;
    }
    schema.release(&schema);
    return *index >= 0 ? FW_OK : fw_fail(err, FW_FORMAT, "%s: no column '%s'", x->path, x->cam->key);
}

fw_status fw_row_images(const fw_dataset *ds, int64_t ep, int cam, int64_t frame, int64_t n, int h, int w, uint8_t *rgb,
                        fw_err *err) {
    const fw_episode_info *e = &ds->episodes[ep];
    wanted x = {.e = e, .cam = &ds->cameras[cam], .path = ds->data_files[e->data_file], .h = h, .w = w};
    fw_pq_reader *r;
    struct ArrowArrayStream stream = {0};
    int index, g0, g1;
    int64_t row;
    x.first = e->data_row + frame;
    x.end = x.first + n;
    x.rgb = rgb;
    if (n == 0) {
        return FW_OK;
    }
    FW_TRY(fw_pq_open(x.path, &r, err));
    fw_status st = column_index(r, &x, &index, err);
    find_groups(r, &x, &g0, &g1, &row);
    st = st == FW_OK ? fw_pq_stream(r, &index, 1, g0, g1, &stream, err) : st;
    st = st == FW_OK ? decode_stream(&x, &stream, row, err) : st;
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    fw_pq_close(r);
    return st;
}
