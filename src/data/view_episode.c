/* view_episode.c - the card of an episode: its sentence, how it went, moments of each camera, its steps, curves, where it comes from. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/view_int.h"

enum { MOMENTS = 6, THUMB_H = 84, THUMB_W_MAX = 160, GAP = 2, FIELDS_MAX = 64 };

/* --- what is known of it */
static void chip(view_page *p, const char *kind, const char *label, const char *text) {
    view_add(p, "<span class=\"chip %s\">%s", kind, label);
    view_text(p, text);
    view_add(p, "</span>");
}

static void chips(view_page *p, const fw_provenance *o) {
    char text[64];
    if (o->success >= 0) {
        chip(p, o->success ? "good" : "bad", "", o->success ? "success" : "failure");
    }
    if (o->source != FW_SOURCE_UNKNOWN) {
        chip(p, "", "", fw_source_name(o->source));
    }
    if (o->home != NULL && o->home[0] != 0) {
        chip(p, "", "home ", o->home);
    }
    if (o->policy_id != NULL && o->policy_id[0] != 0) {
        chip(p, "", "policy ", o->policy_id);
    }
    if (isfinite(o->quality)) {
        snprintf(text, sizeof text, "%.2g", o->quality);
        chip(p, "", "quality ", text);
    }
}

static void fact(view_page *p, const char *name, const char *text) {
    if (text != NULL && text[0] != 0) {
        view_add(p, "<div><dt>");
        view_text(p, name);
        view_add(p, "</dt><dd><bdi>");
        view_text(p, text);
        view_add(p, "</bdi></dd></div>");
    }
}

static void fact_number(view_page *p, const char *name, double x) {
    char text[40];
    snprintf(text, sizeof text, "%.6g", x);
    fact(p, name, isfinite(x) ? text : "");
}

static void provenance(view_page *p, const fw_dataset *ds, int64_t ep, const fw_provenance *o) {
    fw_field fields[FIELDS_MAX];
    int n = fw_dataset_fields(ds, ep, fields, FIELDS_MAX);
    if (o->source == FW_SOURCE_UNKNOWN && n == 0 && o->success < 0) {
        return;
    }
    view_add(p, "<details><summary>Provenance</summary><dl>");
    fact(p, "source", fw_source_name(o->source));
    fact(p, "policy", o->policy_id);
    fact(p, "control mode", o->control_mode);
    fact(p, "consent", o->consent);
    fact(p, "home", o->home);
    fact_number(p, "quality", o->quality);
    fact_number(p, "speed", o->speed);
    for (int i = 0; i < n && i < FIELDS_MAX; i++) {
        const fw_field *f = &fields[i];
        char text[40];
        snprintf(text, sizeof text, "%lld", (long long)f->i);
        if (f->kind == FW_FIELD_REAL) {
            fact_number(p, f->name, f->real);
        } else {
            fact(p, f->name, f->kind == FW_FIELD_TEXT ? f->text : text);
        }
    }
    view_add(p, "</dl></details>");
}

/* --- moments of one camera, side by side in one picture */
static fw_status film(view_page *p, fw_dataset *ds, int64_t ep, int c, uint8_t *strip, fw_err *err) {
    const fw_ds_camera *cam = &ds->cameras[c];
    int64_t T = ds->episodes[ep].length;
    int n = T < MOMENTS ? (int)T : MOMENTS, h = THUMB_H;
    int w = 2 * (int)fmax(8, fmin(THUMB_W_MAX / 2, round(0.5 * h * cam->w / (cam->h > 0 ? cam->h : 1))));
    if (n < 1) {
        return fw_fail(err, FW_FORMAT, "ep %lld: %lld frames", (long long)ep, (long long)T);
    }
    size_t row = 3 * (size_t)(n * (w + GAP) - GAP), step = 3 * (size_t)(w + GAP);
    uint8_t *thumb = strip + (size_t)3 * MOMENTS * (THUMB_W_MAX + GAP) * THUMB_H;
    memset(strip, 128, row * (size_t)h);
    for (int i = 0; i < n; i++) {
        int64_t t = n > 1 ? (i * (T - 1) + (n - 1) / 2) / (n - 1) : 0;
        FW_TRY(fw_dataset_read_images(ds, ep, c, t, 1, h, w, thumb, err));
        for (int y = 0; y < h; y++) {
            memcpy(strip + (size_t)y * row + (size_t)i * step, thumb + (size_t)3 * y * w, 3 * (size_t)w);
        }
    }
    return view_picture(p, strip, h, (int)(row / 3), cam->name, err);
}

static void trouble(view_page *p, const fw_err *err) {
    view_add(p, "<p class=\"trouble\">");
    view_text(p, err->msg);
    view_add(p, "</p>");
}

static fw_status films(view_page *p, fw_dataset *ds, int64_t ep, fw_err *err) {
    uint8_t *strip = malloc((size_t)3 * (MOMENTS + 1) * (THUMB_W_MAX + GAP) * THUMB_H);
    if (strip == NULL) {
        return fw_fail(err, FW_NOMEM, "pictures of the page");
    }
    view_add(p, "<div class=\"films\">");
    for (int c = 0; c < ds->n_cameras; c++) {
        fw_err why = {FW_OK, ""};
        view_add(p, "<figure class=\"over\">");
        if (film(p, ds, ep, c, strip, &why) != FW_OK) {
            trouble(p, &why);
        }
        view_add(p, "<figcaption>");
        view_text(p, ds->cameras[c].name);
        view_add(p, "</figcaption></figure>");
    }
    view_add(p, "</div>");
    free(strip);
    return FW_OK;
}

/* --- steps and hands on it, over time */
/* Runs of equal values of one frame after another; value(t) < 0: nothing. */
typedef int64_t (*at_frame)(const fw_marks *m, int64_t t);

static int64_t step_at(const fw_marks *m, int64_t t) {
    bool named = m->subtask[t] >= 0 && m->subtask[t] < m->n_subtasks && m->subtasks[m->subtask[t]][0] != 0;
    return named ? m->subtask[t] : -1;
}
static int64_t hand_at(const fw_marks *m, int64_t t) {
    return m->intervention[t] != 0 ? 0 : -1;
}

static int64_t run_end(const fw_marks *m, at_frame value, int64_t t, int64_t T) {
    int64_t b = t + 1;
    while (b < T && value(m, b) == value(m, t)) {
        b++;
    }
    return b;
}

static void lane(view_page *p, const fw_marks *m, at_frame value, int64_t T, const char *kind) {
    view_add(p, "<svg class=\"lane over\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\">");
    for (int64_t t = 0, b; t < T; t = b) {
        b = run_end(m, value, t, T);
        if (value(m, t) >= 0) {
            view_add(p, "<rect class=\"%s s%d\" x=\"%d\" width=\"%d\" height=\"10\"/>", kind, (int)(value(m, t) % 8),
                     (int)(1000 * t / T), (int)(1000 * b / T - 1000 * t / T));
        }
    }
    view_add(p, "</svg>");
}

static void timeline(view_page *p, const fw_marks *m, int64_t T, double fps) {
    if (m->subtask != NULL) {
        view_add(p, "<div class=\"time\"><h4>steps</h4>");
        lane(p, m, step_at, T, "step");
        view_add(p, "<ol>");
        for (int64_t t = 0, b; t < T; t = b) {
            b = run_end(m, step_at, t, T);
            if (step_at(m, t) >= 0) {
                view_add(p, "<li class=\"s%d\"><bdi>", (int)(step_at(m, t) % 8));
                view_text(p, m->subtasks[m->subtask[t]]);
                view_add(p, "</bdi> <small>%.1f\xE2\x80\x93%.1f s</small></li>", (double)t / fps, (double)b / fps);
            }
        }
        view_add(p, "</ol></div>");
    }
    int64_t hands = 0;
    for (int64_t t = 0; m->intervention != NULL && t < T; t++) {
        hands += m->intervention[t] != 0;
    }
    if (hands > 0) {
        view_add(p, "<div class=\"time\"><h4>interventions <small>%.1f s</small></h4>", (double)hands / fps);
        lane(p, m, hand_at, T, "hand");
        view_add(p, "</div>");
    }
}

/* --- curves */
static void plot(view_page *p, const char *name, const float *x, int64_t n, int64_t stride, double lo, double hi) {
    view_add(p, "<div class=\"plot over\" data-lo=\"%.5g\" data-hi=\"%.5g\"><b>", lo, hi);
    view_text(p, name);
    view_add(p, "</b><output>%.3g \xE2\x80\xA6 %.3g</output>", lo, hi);
    view_curve(p, x, n, stride, lo, hi);
    view_add(p, "</div>");
}

/* One small chart a dimension, in the range that it has in the whole dataset (or here, when that is not known). */
static void plots(view_page *p, const char *title, const fw_feature *f, const float *x, int64_t T, int64_t n,
                  const fw_column_stats *all) {
    view_add(p, "<h4>%s</h4><div class=\"plots %s\">", title, title);
    for (int64_t d = 0; d < n; d++) {
        char name[32];
        double lo = INFINITY, hi = -INFINITY;
        snprintf(name, sizeof name, "[%lld]", (long long)d);
        for (int64_t t = 0; t < T; t++) {
            lo = fmin(lo, (double)x[t * n + d]);
            hi = fmax(hi, (double)x[t * n + d]);
        }
        if (all != NULL && d < all->n) {
            lo = fmin(lo, all->min[d]), hi = fmax(hi, all->max[d]);
        }
        plot(p, f != NULL && d < f->n_names && f->names[d][0] != 0 ? f->names[d] : name, x + d, T, n, lo, hi);
    }
    view_add(p, "</div>");
}

static void advantage(view_page *p, const fw_marks *m, int64_t T) {
    double lo = INFINITY, hi = -INFINITY;
    for (int64_t t = 0; m->advantage != NULL && t < T; t++) {
        if (isfinite(m->advantage[t])) {
            lo = fmin(lo, (double)m->advantage[t]);
            hi = fmax(hi, (double)m->advantage[t]);
        }
    }
    if (lo <= hi) {
        view_add(p, "<h4>labels</h4><div class=\"plots\">");
        plot(p, "advantage", m->advantage, T, 1, lo, hi);
        view_add(p, "</div>");
    }
}

static void sentences(view_page *p, const fw_dataset *ds, int64_t ep) {
    const fw_episode_info *e = &ds->episodes[ep];
    view_add(p, "<h3><small>%lld</small> ", (long long)ep);
    for (int i = 0; i < e->n_tasks && i < 8; i++) {
        view_add(p, "%s<bdi>", i > 0 ? " \xC2\xB7 " : "");
        view_text(p, e->tasks[i]);
        view_add(p, "</bdi>");
    }
    view_add(p, "</h3>");
}

fw_status view_episode(view_page *p, fw_dataset *ds, int64_t ep, const fw_column_stats *state,
                       const fw_column_stats *action, fw_err *err) {
    fw_episode e = {0};
    fw_episode_marks marks = {0};
    fw_err why = {FW_OK, ""};
    double fps = ds->fps > 0 ? ds->fps : 1;
    fw_provenance prov = fw_dataset_provenance(ds, ep);
    view_add(p, "<article class=\"ep\" id=\"ep%lld\" data-n=\"%lld\" data-fps=\"%g\"><header>", (long long)ep,
             (long long)ds->episodes[ep].length, fps);
    sentences(p, ds, ep);
    view_add(p, "<p>");
    view_duration(p, (double)ds->episodes[ep].length / fps);
    view_add(p, " \xC2\xB7 %lld frames ", (long long)ds->episodes[ep].length);
    chips(p, &prov);
    view_add(p, "<span class=\"now\"></span></p></header>");
    fw_status st = films(p, ds, ep, err);
    if (fw_dataset_read_episode(ds, ep, &e, &why) != FW_OK || fw_dataset_read_marks(ds, ep, &marks, &why) != FW_OK) {
        trouble(p, &why);
    }
    if (e.length > 0 && marks.length == e.length) {
        timeline(p, &marks.m, e.length, fps);
    }
    if (e.length > 0 && e.n_state > 0) {
        plots(p, "state", ds->state, e.state, e.length, e.n_state, state);
    }
    if (e.length > 0 && e.n_action > 0) {
        plots(p, "action", ds->action, e.action, e.length, e.n_action, action);
    }
    if (marks.length == e.length && e.length > 0) {
        advantage(p, &marks.m, e.length);
    }
    provenance(p, ds, ep, &prov);
    view_add(p, "</article>");
    fw_episode_marks_clear(&marks);
    fw_episode_clear(&e);
    return st;
}
