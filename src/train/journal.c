#include "train/journal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/plot.h"

typedef struct curve {
    double *x, *y; /* owned [n] */
    size_t n, cap;
} curve;

struct fw_journal {
    char dir[1024], path[1100];
    FILE *f;
    curve loss, lr, norm, held_out;
};

static fw_status curve_add(curve *c, double x, double y, fw_err *err) {
    if (c->n == c->cap) {
        size_t cap = c->cap > 0 ? 2 * c->cap : 256;
        double *gx = realloc(c->x, cap * sizeof *gx);
        c->x = gx != NULL ? gx : c->x;
        double *gy = gx != NULL ? realloc(c->y, cap * sizeof *gy) : NULL;
        c->y = gy != NULL ? gy : c->y;
        if (gx == NULL || gy == NULL) {
            return fw_fail(err, FW_NOMEM, "journal: out of memory");
        }
        c->cap = cap;
    }
    c->x[c->n] = x;
    c->y[c->n++] = y;
    return FW_OK;
}

static double number(const json_t *j, const char *key) {
    const json_t *v = json_object_get(j, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

/* A line of the old log that is kept. false: it is later than `step`, or no whole line. */
static bool remember(fw_journal *j, const char *line, size_t n, int64_t step, fw_status *s, fw_err *err) {
    json_t *o = json_loadb(line, n, 0, NULL);
    double at = o != NULL ? number(o, "step") : (double)NAN;
    bool keep = at <= (double)step;
    if (keep && json_object_get(o, "held_out") != NULL) {
        *s = curve_add(&j->held_out, at, number(o, "held_out"), err);
    } else if (keep && json_object_get(o, "loss") != NULL) {
        *s = curve_add(&j->loss, at, number(o, "loss"), err);
        *s = *s == FW_OK ? curve_add(&j->lr, at, number(o, "lr"), err) : *s;
        *s = *s == FW_OK ? curve_add(&j->norm, at, number(o, "grad_norm"), err) : *s;
    }
    json_decref(o);
    return keep;
}

/* Read the old log, and replace it by its lines up to `step`. */
static fw_status cut(fw_journal *j, int64_t step, fw_err *err) {
    char *text = NULL;
    size_t size = 0, used = 0;
    if (!fw_path_exists(j->path) || step == 0) {
        return fw_file_write_atomic(j->path, "", 0, err);
    }
    FW_TRY(fw_file_read(j->path, (size_t)1 << 30, &text, &size, err));
    fw_status s = FW_OK;
    for (size_t at = 0; at < size && s == FW_OK;) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL) {
            break;
        }
        size_t n = (size_t)(end - (text + at)) + 1;
        if (remember(j, text + at, n, step, &s, err)) {
            memmove(text + used, text + at, n);
            used += n;
        }
        at += n;
    }
    s = s == FW_OK ? fw_file_write_atomic(j->path, text, used, err) : s;
    free(text);
    return s;
}

fw_status fw_journal_open(const char *dir, int64_t step, fw_journal **out, fw_err *err) {
    fw_journal *j = calloc(1, sizeof *j);
    if (j == NULL) {
        return fw_fail(err, FW_NOMEM, "journal: out of memory");
    }
    snprintf(j->dir, sizeof j->dir, "%s", dir);
    fw_status s = fw_path_join(j->path, sizeof j->path, dir, "log.jsonl", err);
    s = s == FW_OK ? cut(j, step, err) : s;
    if (s == FW_OK && (j->f = fopen(j->path, "a")) == NULL) {
        s = fw_fail(err, FW_IO, "%s: %s", j->path, strerror(errno));
    }
    if (s != FW_OK) {
        fw_journal_close(j);
        return s;
    }
    *out = j;
    return FW_OK;
}

void fw_journal_close(fw_journal *j) {
    if (j == NULL) {
        return;
    }
    curve *c[] = {&j->loss, &j->lr, &j->norm, &j->held_out};
    for (int i = 0; i < 4; i++) {
        free(c[i]->x);
        free(c[i]->y);
    }
    if (j->f != NULL) {
        fclose(j->f);
    }
    free(j);
}

void fw_journal_begin(fw_journal *j, int64_t step, const char *precision) {
    fprintf(j->f, "{\"step\": %lld, \"precision\": \"%s\"}\n", (long long)step, precision);
}

fw_status fw_journal_step(fw_journal *j, int64_t step, double loss, double lr, double grad_norm, double samples_per_s,
                          fw_err *err) {
    FW_TRY(curve_add(&j->loss, (double)step, loss, err));
    FW_TRY(curve_add(&j->lr, (double)step, lr, err));
    FW_TRY(curve_add(&j->norm, (double)step, grad_norm, err));
    fprintf(j->f, "{\"step\": %lld, \"loss\": %.6g, \"lr\": %.6g, \"grad_norm\": %.6g, \"samples_per_s\": %.1f}\n",
            (long long)step, loss, lr, grad_norm, samples_per_s);
    return FW_OK;
}

fw_status fw_journal_held_out(fw_journal *j, int64_t step, double loss, fw_err *err) {
    if (!isfinite(loss)) {
        return FW_OK; /* nothing is held out */
    }
    FW_TRY(curve_add(&j->held_out, (double)step, loss, err));
    fprintf(j->f, "{\"step\": %lld, \"held_out\": %.6g}\n", (long long)step, loss);
    return FW_OK;
}

fw_status fw_journal_flush(fw_journal *j, fw_err *err) {
    if (fflush(j->f) != 0 || fdatasync(fileno(j->f)) != 0 || ferror(j->f)) {
        return fw_fail(err, FW_IO, "%s: %s", j->path, strerror(errno));
    }
    return FW_OK;
}

fw_status fw_journal_plot(const fw_journal *j, const char *heading, fw_err *err) {
    char path[1100];
    const fw_series losses[] = {{.name = "training", .x = j->loss.x, .y = j->loss.y, .n = j->loss.n},
                                {.name = "held out", .x = j->held_out.x, .y = j->held_out.y, .n = j->held_out.n}};
    const fw_series lr = {.x = j->lr.x, .y = j->lr.y, .n = j->lr.n};
    const fw_series norm = {.x = j->norm.x, .y = j->norm.y, .n = j->norm.n};
    const fw_chart charts[] = {
        {.title = "loss", .x_label = "step", .log_y = true, .series = losses, .n_series = 2},
        {.title = "learning rate", .x_label = "step", .series = &lr, .n_series = 1},
        {.title = "norm of the gradient", .x_label = "step", .log_y = true, .series = &norm, .n_series = 1}};
    if (j->loss.n == 0) {
        return FW_OK;
    }
    FW_TRY(fw_path_join(path, sizeof path, j->dir, "curves.png", err));
    return fw_plot_write(path, heading, charts, 3, 3, err);
}
