/* store.c - see store_int.h. Formats: LeRobotDataset v3.0 as LeRobot 0.6.x reads and writes it. */
#include "data/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset_int.h"

const char *const store_stat_names[STORE_STATS] = {"min", "max", "mean", "std", "q01", "q10", "q50", "q90", "q99"};
enum { STAT_MIN, STAT_MAX, STAT_MEAN, STAT_STD, STAT_Q01 };

/* --- statistics of an episode --- */

void store_stats_clear(store_stats *s) {
    free(s->value);
    *s = (store_stats){0};
}

static fw_status stats_new(store_stats *s, int64_t n, int64_t count, fw_err *err) {
    *s = (store_stats){.n = n, .count = count, .value = calloc((size_t)n * STORE_STATS + 1, sizeof(double))};
    return s->value != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "statistics");
}

fw_status store_stats_of(const double *x, int64_t rows, int64_t n, store_stats *out, fw_err *err) {
    fw_column_stats c;
    *out = (store_stats){0};
    FW_TRY(fw_stats_f64(x, rows, n, &c, err));
    fw_status st = stats_new(out, n, rows, err);
    const double *from[STORE_STATS] = {c.min, c.max, c.mean, c.std, c.q01, c.q10, c.q50, c.q90, c.q99};
    for (int k = 0; k < STORE_STATS && st == FW_OK; k++) {
        memcpy(out->value + k * n, from[k], (size_t)n * sizeof(double));
    }
    fw_column_stats_clear(&c);
    return st;
}

/* Rows [a, b) of a column that are finite, as doubles: *x owned [*rows, width]. */
static fw_status finite_rows(const fw_column *c, int64_t a, int64_t b, double **x, int64_t *rows, fw_err *err) {
    int64_t w = c->width, n = 0;
    if ((*x = malloc((size_t)((b - a) * w + 1) * sizeof(double))) == NULL) {
        return fw_fail(err, FW_NOMEM, "statistics of %s", c->name);
    }
    for (int64_t r = a; r < b; r++) {
        bool finite = true;
        for (int64_t i = 0; i < w; i++) {
            finite = isfinite((*x)[n * w + i] = fw_column_f64(c, r * w + i)) && finite;
        }
        n += finite;
    }
    *rows = n;
    return FW_OK;
}

fw_status store_stats_column(const fw_column *c, int64_t a, int64_t b, store_stats *out, fw_err *err) {
    int64_t w = c->width, n;
    double *x;
    *out = (store_stats){0};
    FW_TRY(finite_rows(c, a, b, &x, &n, err));
    fw_status st = n > 0 ? store_stats_of(x, n, w, out, err) : stats_new(out, w, 0, err);
    for (int64_t i = 0; n == 0 && st == FW_OK && i < w * STORE_STATS; i++) {
        out->value[i] = (double)NAN;
    }
    free(x);
    return st;
}

/* The value below which a share q of the counted pixels lies, in 0..1. */
static double histogram_quantile(const uint64_t hist[256], uint64_t total, double q) {
    double at = q * (double)(total - 1);
    uint64_t seen = 0;
    for (int v = 0; v < 256; v++) {
        seen += hist[v];
        if ((double)seen > at) {
            return v / 255.0;
        }
    }
    return 1.0;
}

static void histogram_stats(const uint64_t hist[256], int channel, store_stats *out) {
    static const double q[] = {0.01, 0.10, 0.50, 0.90, 0.99};
    uint64_t total = 0;
    double sum = 0.0, var = 0.0, *v = out->value + channel;
    int lo = 255, hi = 0;
    for (int i = 0; i < 256; i++) {
        total += hist[i];
        sum += (double)hist[i] * i;
        lo = hist[i] > 0 && i < lo ? i : lo;
        hi = hist[i] > 0 ? i : hi;
    }
    double mean = sum / (double)total;
    for (int i = 0; i < 256; i++) {
        var += (double)hist[i] * (i - mean) * (i - mean);
    }
    v[3 * STAT_MIN] = lo / 255.0;
    v[3 * STAT_MAX] = hi / 255.0;
    v[3 * STAT_MEAN] = mean / 255.0;
    v[3 * STAT_STD] = sqrt(var / (double)total) / 255.0;
    for (int k = 0; k < 5; k++) {
        v[3 * (STAT_Q01 + k)] = histogram_quantile(hist, total, q[k]);
    }
}

fw_status store_image_stats(fw_status (*image_of)(void *ctx, int64_t i, const uint8_t **rgb, fw_err *err), void *ctx,
                            int64_t t, int h, int w, store_stats *out, fw_err *err) {
    int64_t few = t < 100 ? t : 100, many = (int64_t)pow((double)t, 0.75), n = many > 10000 ? 10000 : many;
    n = n > few ? n : few;
    int side = h > w ? h : w, step = side < 300 ? 1 : side / 150;
    uint64_t hist[3][256] = {{0}};
    for (int64_t i = 0; i < n; i++) {
        int64_t frame = n > 1 ? llround((double)i * (double)(t - 1) / (double)(n - 1)) : 0;
        const uint8_t *image;
        FW_TRY(image_of(ctx, frame, &image, err));
        for (int y = 0; y < h; y += step) {
            for (int x = 0; x < w; x += step) {
                const uint8_t *p = image + (y * w + x) * 3;
                hist[0][p[0]]++, hist[1][p[1]]++, hist[2][p[2]]++;
            }
        }
    }
    FW_TRY(stats_new(out, 3, n, err));
    for (int c = 0; c < 3; c++) {
        histogram_stats(hist[c], c, out);
    }
    return FW_OK;
}

/* --- statistics of the whole --- */

static bool is_image(const fw_feature *f) {
    return strcmp(f->dtype, "video") == 0 || strcmp(f->dtype, "image") == 0;
}

static bool is_number(const fw_feature *f) {
    return !is_image(f) && strcmp(f->dtype, "string") != 0 && strcmp(f->dtype, "language") != 0;
}

fw_status store_total_init(store_total *t, const fw_feature *features, int n, fw_err *err) {
    *t = (store_total){.features = features, .n = n, .image = calloc((size_t)n + 1, sizeof(store_total_image))};
    if (t->image == NULL) {
        return fw_fail(err, FW_NOMEM, "statistics");
    }
    for (int i = 0; i < n; i++) {
        if (is_image(&features[i])) {
            t->image[t->n_images++] = (store_total_image){.f = &features[i], .min = {1.0, 1.0, 1.0}};
        }
    }
    return fw_summary_new(&t->numbers, err);
}

void store_total_clear(store_total *t) {
    free(t->image);
    fw_summary_free(t->numbers);
    *t = (store_total){0};
}

/* Mean, std, min and max join exactly; quantiles as the episodes' weighted mean, an approximation. */
static void push_image(store_total_image *f, const store_stats *s) {
    double count = (double)s->count;
    f->count += count;
    for (int c = 0; c < 3; c++) {
        const double *v = s->value + c;
        double mean = v[3 * STAT_MEAN], std = v[3 * STAT_STD];
        f->min[c] = fmin(f->min[c], v[3 * STAT_MIN]);
        f->max[c] = fmax(f->max[c], v[3 * STAT_MAX]);
        f->mean[c] += count * mean;
        f->second[c] += count * (std * std + mean * mean);
        for (int q = 0; q < 5; q++) {
            f->q[q][c] += count * v[3 * (STAT_Q01 + q)];
        }
    }
}

fw_status store_total_push_image(store_total *t, const char *key, const store_stats *s, fw_err *err) {
    for (int i = 0; i < t->n_images; i++) {
        if (strcmp(t->image[i].f->key, key) == 0) {
            push_image(&t->image[i], s);
            return FW_OK;
        }
    }
    return fw_fail(err, FW_INVALID, "statistics: no images '%s'", key);
}

fw_status store_total_push_rows(store_total *t, const char *where, const fw_table *data, int64_t a, int64_t b,
                                fw_err *err) {
    for (int i = 0; i < t->n; i++) {
        const fw_feature *f = &t->features[i];
        double *x;
        int64_t rows;
        if (!is_number(f)) {
            continue;
        }
        const fw_column *c = fw_table_find(data, f->key);
        if (c == NULL || c->type == FW_COL_STR || c->width != f->size) {
            return fw_fail(err, FW_SHAPE, "%s: wanted a column '%s' of %lld numbers, found %lld", where, f->key,
                           (long long)f->size, c == NULL ? 0ll : (long long)c->width);
        }
        FW_TRY(finite_rows(c, a, b, &x, &rows, err));
        fw_status st = rows > 0 ? fw_summary_add_f64(t->numbers, f->key, x, rows, c->width, err) : FW_OK;
        free(x);
        FW_TRY(st);
    }
    return FW_OK;
}

static const fw_feature *number_of(const store_total *t, const char *key) {
    for (int i = 0; i < t->n; i++) {
        if (is_number(&t->features[i]) && strcmp(t->features[i].key, key) == 0) {
            return &t->features[i];
        }
    }
    return NULL;
}

/* A summary of the first rows of this dataset: its features, and indices from 0 on without a gap. */
static int64_t rows_of_summary(const store_total *t, fw_summary *s) {
    fw_column_stats index;
    int64_t rows = fw_summary_count(s, "index");
    if (rows < 1 || fw_summary_is_image(s, "index") || fw_summary_get(s, "index", &index, NULL) != FW_OK) {
        return 0;
    }
    bool fits = index.n == 1 && index.min[0] == 0.0 && index.max[0] == (double)(rows - 1);
    fw_column_stats_clear(&index);
    for (int i = 0; i < fw_summary_features(s) && fits; i++) {
        fw_column_stats c;
        const char *key = fw_summary_key(s, i);
        const fw_feature *f = number_of(t, key);
        fits = f != NULL && fw_summary_count(s, key) <= rows && fw_summary_get(s, key, &c, NULL) == FW_OK;
        if (fits) {
            fits = c.n == f->size;
            fw_column_stats_clear(&c);
        }
    }
    return fits ? rows : 0;
}

fw_status store_total_load(store_total *t, const char *dir, int64_t *rows, int64_t *bytes, fw_err *err) {
    char path[STORE_PATH];
    fw_summary *s;
    struct stat st;
    *rows = *bytes = 0;
    FW_TRY(fw_path_join(path, sizeof(path), dir, FW_SUMMARY_FILE, err));
    if (stat(path, &st) != 0 || fw_summary_load(path, &s, NULL) != FW_OK) {
        return FW_OK;
    }
    for (int i = 0; i < t->n_images; i++) {
        fw_summary_drop(s, t->image[i].f->key); /* what `data stats --images` looked at */
    }
    if ((*rows = rows_of_summary(t, s)) == 0) {
        fw_summary_free(s);
        return FW_OK;
    }
    *bytes = st.st_size;
    fw_summary_free(t->numbers);
    t->numbers = s;
    return FW_OK;
}

fw_status store_total_save(store_total *t, const char *dir, int64_t *bytes, fw_err *err) {
    char path[STORE_PATH];
    struct stat st;
    FW_TRY(fw_path_join(path, sizeof(path), dir, FW_SUMMARY_FILE, err));
    FW_TRY(fw_summary_save(t->numbers, path, err));
    *bytes = stat(path, &st) == 0 ? st.st_size : 0;
    return FW_OK;
}

/* Column "stats/<key>/<stat>" when it has 3 numbers a row (count: 1). */
static const fw_column *stat_column(const fw_table *t, const char *key, const char *stat, int64_t width) {
    char name[512];
    snprintf(name, sizeof(name), "stats/%s/%s", key, stat);
    const fw_column *c = fw_table_find(t, name);
    return c != NULL && c->type != FW_COL_STR && c->width == width ? c : NULL;
}

fw_status store_total_forget(store_total *t, fw_err *err) {
    fw_summary_free(t->numbers);
    return fw_summary_new(&t->numbers, err);
}

int64_t store_total_dims(const store_total *t) {
    int64_t n = 0;
    for (int i = 0; i < t->n; i++) {
        n += is_number(&t->features[i]) ? t->features[i].size : 0;
    }
    return n;
}

void store_total_add_sums(const store_total *t, const fw_table *episodes, int64_t rows, double *sums) {
    for (int i = 0; i < t->n; i++) {
        const fw_feature *f = &t->features[i];
        if (!is_number(f)) {
            continue;
        }
        const fw_column *count = stat_column(episodes, f->key, "count", 1),
                        *mean = stat_column(episodes, f->key, "mean", f->size);
        for (int64_t k = 0; count != NULL && mean != NULL && k < rows * f->size; k++) {
            double n = fw_column_f64(count, k / f->size);
            sums[k % f->size] += n > 0.0 ? n * fw_column_f64(mean, k) : 0.0;
        }
        sums += f->size;
    }
}

bool store_total_agrees(store_total *t, const double *sums) {
    bool agrees = true;
    for (int i = 0; i < t->n; i++) {
        const fw_feature *f = &t->features[i];
        fw_column_stats c;
        if (!is_number(f)) {
            continue;
        }
        if (fw_summary_count(t->numbers, f->key) > 0) {
            if (fw_summary_get(t->numbers, f->key, &c, NULL) != FW_OK) {
                return false;
            }
            for (int64_t d = 0; d < c.n; d++) {
                double n = (double)c.count, large = fmax(fabs(c.min[d]), fabs(c.max[d]));
                agrees = agrees && fabs(sums[d] - n * c.mean[d]) <= 1e-9 * n * large;
            }
            fw_column_stats_clear(&c);
        }
        sums += f->size;
    }
    return agrees;
}

fw_status store_total_push_episodes(store_total *t, const fw_table *episodes, int64_t rows, fw_err *err) {
    (void)err;
    for (int i = 0; i < t->n_images; i++) {
        store_total_image *f = &t->image[i];
        const fw_column *count = stat_column(episodes, f->f->key, "count", 1), *c[STORE_STATS];
        bool all = count != NULL;
        for (int k = 0; k < STORE_STATS && all; k++) {
            all = (c[k] = stat_column(episodes, f->f->key, store_stat_names[k], 3)) != NULL;
        }
        for (int64_t r = 0; r < rows && all; r++) {
            double value[STORE_STATS * 3];
            for (int k = 0; k < STORE_STATS * 3; k++) {
                value[k] = fw_column_f64(c[k / 3], r * 3 + k % 3);
            }
            push_image(f, &(store_stats){.n = 3, .count = fw_column_i64(count, r), .value = value});
        }
    }
    return FW_OK;
}

static fw_status image_total(const store_total_image *f, store_stats *out, fw_err *err) {
    FW_TRY(stats_new(out, 3, (int64_t)f->count, err));
    for (int c = 0; c < 3; c++) {
        double *o = out->value + c, mean = f->mean[c] / f->count;
        o[3 * STAT_MIN] = f->min[c];
        o[3 * STAT_MAX] = f->max[c];
        o[3 * STAT_MEAN] = mean;
        o[3 * STAT_STD] = sqrt(fmax(0.0, f->second[c] / f->count - mean * mean));
        for (int q = 0; q < 5; q++) {
            o[3 * (STAT_Q01 + q)] = f->q[q][c] / f->count;
        }
    }
    return FW_OK;
}

/* [v...] for numbers, [[[r]],[[g]],[[b]]] for images. */
static json_t *stat_json(const double *v, int64_t n, bool image) {
    json_t *a = json_array();
    for (int64_t i = 0; i < n; i++) {
        json_array_append_new(a, image ? json_pack("[[f]]", v[i]) : json_real(v[i]));
    }
    return a;
}

json_t *store_stats_json(const store_stats *s, bool image, bool quantiles) {
    json_t *j = json_object();
    for (int k = 0; k <= STAT_STD; k++) {
        json_object_set_new(j, store_stat_names[k], stat_json(s->value + k * s->n, s->n, image));
    }
    json_object_set_new(j, "count", json_pack("[I]", (json_int_t)s->count));
    for (int k = STAT_Q01; k < STORE_STATS && quantiles; k++) {
        json_object_set_new(j, store_stat_names[k], stat_json(s->value + k * s->n, s->n, image));
    }
    return j;
}

fw_status store_total_json(store_total *t, json_t **out, fw_err *err) {
    fw_status st = FW_OK;
    *out = json_object();
    for (int i = 0; i < t->n_images && st == FW_OK; i++) {
        store_stats s = {0};
        if (t->image[i].count > 0.0 && (st = image_total(&t->image[i], &s, err)) == FW_OK) {
            json_object_set_new(*out, t->image[i].f->key, store_stats_json(&s, true, true));
        }
        store_stats_clear(&s);
    }
    for (int i = 0; i < fw_summary_features(t->numbers) && st == FW_OK; i++) {
        fw_column_stats c;
        const char *key = fw_summary_key(t->numbers, i);
        if ((st = fw_summary_get(t->numbers, key, &c, err)) == FW_OK) {
            json_object_set_new(*out, key, fw_column_stats_json(&c, false));
            fw_column_stats_clear(&c);
        }
    }
    return st;
}

fw_status store_write_stats(const char *dir, store_total *t, fw_err *err) {
    char path[STORE_PATH];
    json_t *all = NULL;
    fw_status st = fw_path_join(path, sizeof(path), dir, "meta/stats.json", err);
    st = st == FW_OK ? store_total_json(t, &all, err) : st;
    st = st == FW_OK ? fw_json_save(path, all, 4, err) : st;
    json_decref(all);
    return st;
}

/* --- metadata files --- */

/* A table of sentences by number, with the "pandas" metadata that makes the text its index. */
static fw_status write_sentences(const char *dir, const char *what, const char *const *text, int n, fw_err *err) {
    char path[STORE_PATH], file[32], number[32], pandas[1024];
    fw_table t = {0};
    snprintf(file, sizeof(file), "meta/%ss.parquet", what);
    snprintf(number, sizeof(number), "%s_index", what);
    snprintf(pandas, sizeof(pandas),
             "{\"index_columns\": [\"%s\"], \"column_indexes\": [{\"name\": null, \"field_name\": null, "
             "\"pandas_type\": \"unicode\", \"numpy_type\": \"object\", \"metadata\": {\"encoding\": \"UTF-8\"}}], "
             "\"columns\": [{\"name\": \"%s\", \"field_name\": \"%s\", \"pandas_type\": \"int64\", \"numpy_type\": "
             "\"int64\", \"metadata\": null}, {\"name\": \"%s\", \"field_name\": \"%s\", \"pandas_type\": \"unicode\", "
             "\"numpy_type\": \"object\", \"metadata\": null}], \"attributes\": {}, \"creator\": {\"library\": "
             "\"pyarrow\", \"version\": \"22.0.0\"}, \"pandas_version\": \"2.3.3\"}",
             what, number, number, what, what);
    fw_kv kv = {"pandas", pandas};
    FW_TRY(fw_path_join(path, sizeof(path), dir, file, err));
    int index = fw_table_add_column(&t, number, FW_COL_I64, 0, 1),
        column = fw_table_add_column(&t, what, FW_COL_STR, 0, 1);
    for (int64_t i = 0; i < n; i++) {
        fw_table_push_i64(&t, index, &i, 1);
        fw_table_push_str(&t, column, &text[i], 1);
    }
    t.rows = n;
    fw_status st = fw_table_write(path, &t, 0, &kv, 1, err);
    fw_table_clear(&t);
    return st;
}

fw_status store_write_tasks(const char *dir, const char *const *tasks, int n, fw_err *err) {
    return write_sentences(dir, "task", tasks, n, err);
}

fw_status store_write_subtasks(const char *dir, const char *const *subtasks, int n, fw_err *err) {
    return write_sentences(dir, "subtask", subtasks, n, err);
}

fw_status store_write_info(const char *dir, json_t *info, int64_t episodes, int64_t frames, int64_t tasks,
                           fw_err *err) {
    char path[STORE_PATH], train[32];
    FW_TRY(fw_path_join(path, sizeof(path), dir, "meta/info.json", err));
    snprintf(train, sizeof(train), "0:%lld", (long long)episodes);
    json_object_set_new(info, "total_episodes", json_integer(episodes));
    json_object_set_new(info, "total_frames", json_integer(frames));
    json_object_set_new(info, "total_tasks", json_integer(tasks));
    json_object_set_new(info, "splits", json_pack("{s:s}", "train", train));
    return fw_json_save(path, info, 4, err);
}

char *store_huggingface(const fw_feature *features, int n, int version) {
    json_t *all = json_object();
    for (int i = 0; i < n; i++) {
        const fw_feature *f = &features[i];
        if (strcmp(f->dtype, "video") == 0) {
            continue;
        }
        json_t *value = json_pack("{s:s, s:s}", "dtype", f->dtype, "_type", "Value");
        if (strcmp(f->dtype, "language") == 0) { /* lists of structs: LeRobot takes them from info.json */
            json_decref(value);
            continue;
        }
        if (strcmp(f->dtype, "image") == 0) {
            json_decref(value);
            value = json_pack("{s:s}", "_type", "Image");
        } else if (f->n_shape > 1) {
            char type[16];
            json_t *shape = json_array();
            for (int d = 0; d < f->n_shape; d++) {
                json_array_append_new(shape, json_integer(f->shape[d]));
            }
            snprintf(type, sizeof(type), "Array%dD", f->n_shape);
            json_decref(value);
            value = json_pack("{s:o, s:s, s:s}", "shape", shape, "dtype", f->dtype, "_type", type);
        } else if (f->size > 1) { /* LeRobot stores shape [1] as a plain number */
            value = json_pack("{s:o, s:I, s:s}", "feature", value, "length", (json_int_t)f->size, "_type",
                              version == 21 ? "Sequence" : "List");
        }
        json_object_set_new(all, f->key, value);
    }
    json_t *j = json_pack("{s:{s:o}}", "info", "features", all);
    char *text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

/* --- files --- */

fw_status store_file(const char *dir, const char *kind, int64_t file, char out[STORE_PATH], fw_err *err) {
    bool table = strcmp(kind, "data") == 0 || strcmp(kind, "meta/episodes") == 0;
    int n =
        snprintf(out, STORE_PATH, "%s/%s%s/chunk-%03lld/file-%03lld.%s", dir, table ? "" : "videos/", kind,
                 (long long)(file / STORE_CHUNK_SIZE), (long long)(file % STORE_CHUNK_SIZE), table ? "parquet" : "mp4");
    return n < STORE_PATH ? FW_OK : fw_fail(err, FW_INVALID, "%s: path too long", dir);
}

static fw_status sync_folder(const char *folder, fw_err *err) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool bad = fd < 0 || (fsync(fd) != 0 && errno != EINVAL); /* some file systems cannot */
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return bad ? fw_fail(err, FW_IO, "%s: fsync: %s", folder, strerror(why)) : FW_OK;
}

fw_status store_sync_file(const char *path, fw_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC), bad = fd < 0 || fsync(fd) != 0, why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return bad ? fw_fail(err, FW_IO, "%s: fsync: %s", path, strerror(why)) : FW_OK;
}

fw_status store_lock(const char *dir, int *lock, fw_err *err) {
    char staging[STORE_PATH], path[STORE_PATH];
    FW_TRY(fw_path_join(staging, sizeof(staging), dir, ".staging", err));
    FW_TRY(fw_path_join(path, sizeof(path), staging, "lock", err));
    FW_TRY(store_mkdirs(staging, err));
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*lock < 0) {
        return fw_fail(err, FW_IO, "%s: %s", path, strerror(errno));
    }
    if (flock(*lock, LOCK_EX | LOCK_NB) != 0) {
        close(*lock);
        *lock = -1;
        return fw_fail(err, FW_AGAIN, "%s: another process is writing this dataset", dir);
    }
    return FW_OK;
}

void store_unlock(const char *dir, int lock) {
    char staging[STORE_PATH], path[STORE_PATH], **names = NULL;
    size_t n = 0;
    if (lock < 0) {
        return;
    }
    if (fw_path_join(staging, sizeof(staging), dir, ".staging", NULL) == FW_OK &&
        fw_path_join(path, sizeof(path), staging, "lock", NULL) == FW_OK &&
        fw_list_dir(staging, &names, &n, NULL) == FW_OK && n == 1) {
        (void)unlink(path);
        (void)rmdir(staging);
    }
    fw_names_free(names, n);
    close(lock);
}

fw_status store_mkdirs(const char *path, fw_err *err) {
    char parent[STORE_PATH];
    if (fw_path_is_dir(path)) {
        return FW_OK;
    }
    snprintf(parent, sizeof(parent), "%s", path);
    char *name = strrchr(parent, '/');
    if (name == NULL) {
        snprintf(parent, sizeof(parent), ".");
    } else {
        name[name == parent] = 0; /* "/out" lies in "/" */
        FW_TRY(store_mkdirs(parent, err));
    }
    FW_TRY(fw_mkdirs(path, err));
    return sync_folder(parent, err);
}

fw_status store_move(const char *from, const char *to, fw_err *err) {
    char folder[STORE_PATH];
    snprintf(folder, sizeof(folder), "%s", to);
    char *name = strrchr(folder, '/');
    if (name == NULL) {
        snprintf(folder, sizeof(folder), ".");
    } else {
        name[name == folder] = 0; /* "/out" lies in "/" */
    }
    FW_TRY(store_mkdirs(folder, err));
    if (rename(from, to) != 0) {
        return fw_fail(err, FW_IO, "%s: rename to %s: %s", from, to, strerror(errno));
    }
    return sync_folder(folder, err);
}

static fw_status add_path(char ***paths, size_t *n, const char *path, fw_err *err) {
    char **more = realloc(*paths, (*n + 1) * sizeof(char *));
    if (more == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", path);
    }
    *paths = more;
    more[*n] = strdup(path);
    return more[*n] != NULL ? (++*n, FW_OK) : fw_fail(err, FW_NOMEM, "%s", path);
}

static fw_status episode_file(const char *path, int64_t episodes, int64_t *seen, char ***paths, size_t *n,
                              fw_err *err) {
    fw_pq_reader *r;
    FW_TRY(fw_pq_open(path, &r, err));
    *seen += fw_pq_rows(r);
    fw_pq_close(r);
    if (*seen > episodes) {
        return fw_fail(err, FW_FORMAT, "%s: holds episodes that info.json does not count (%lld, counted %lld)", path,
                       (long long)*seen, (long long)episodes);
    }
    return add_path(paths, n, path, err);
}

fw_status store_episode_files(const char *dir, int64_t episodes, char ***paths, size_t *n, fw_err *err) {
    char root[STORE_PATH], chunk[STORE_PATH], path[STORE_PATH];
    char **chunks = NULL, **files = NULL;
    size_t n_chunks = 0, n_files = 0;
    int64_t seen = 0;
    *paths = NULL;
    *n = 0;
    FW_TRY(fw_path_join(root, sizeof(root), dir, "meta/episodes", err));
    FW_TRY(fw_list_dir(root, &chunks, &n_chunks, err));
    fw_status st = FW_OK;
    for (size_t c = 0; c < n_chunks && seen < episodes && st == FW_OK; c++) {
        if ((st = fw_path_join(chunk, sizeof(chunk), root, chunks[c], err)) != FW_OK ||
            (st = fw_list_dir(chunk, &files, &n_files, err)) != FW_OK) {
            break;
        }
        for (size_t f = 0; f < n_files && seen < episodes && st == FW_OK; f++) {
            const char *dot = strrchr(files[f], '.');
            if (dot == NULL || strcmp(dot, ".parquet") != 0) {
                continue; /* what a crash left half-renamed */
            }
            st = fw_path_join(path, sizeof(path), chunk, files[f], err);
            st = st == FW_OK ? episode_file(path, episodes, &seen, paths, n, err) : st;
        }
        fw_names_free(files, n_files);
    }
    fw_names_free(chunks, n_chunks);
    if (st != FW_OK) {
        fw_names_free(*paths, *n);
        *paths = NULL;
        *n = 0;
    }
    return st;
}

fw_status store_read_whole(const char *path, fw_table *out, fw_err *err) {
    fw_pq_reader *r;
    struct ArrowSchema schema = {0};
    FW_TRY(fw_pq_open(path, &r, err));
    fw_status st = fw_pq_schema(r, &schema, err);
    if (st == FW_OK) {
        st = fw_table_read_from(r, path, NULL, 0, 0, -1, out, err);
    }
    if (st == FW_OK && out->n_cols != schema.n_children) {
        st = fw_fail(err, FW_UNSUPPORTED, "%s: %lld of its columns have types that cannot be copied", path,
                     (long long)(schema.n_children - out->n_cols));
        fw_table_clear(out);
    }
    if (schema.release != NULL) {
        schema.release(&schema);
    }
    fw_pq_close(r);
    return st;
}
