/* recording.c - what the records of a segment hold (see recorder_int.h), and an episode put together from its parts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/recorder_int.h"

#define FRAME_HEAD 16
#define MAX_FRAMES 10000000

/* --- what is recorded --- */

fw_status rec_layout_of(const fw_writer_desc *d, rec_layout *out, fw_err *err) {
    *out = (rec_layout){d->n_state, d->n_action, d->n_cameras, {0}, 0, 0};
    uint64_t bytes =
        FRAME_HEAD + 8u * (1u + (uint64_t)d->n_cameras) + 4u * ((uint64_t)d->n_state + (uint64_t)d->n_action);
    for (int c = 0; c < d->n_cameras; c++) {
        uint64_t image = 3u * (uint64_t)d->cameras[c].h * (uint64_t)d->cameras[c].w;
        out->image_bytes[c] = (uint32_t)image;
        out->images += (uint32_t)image;
        bytes += image;
        if (bytes > FW_SEG_MAX_BYTES / 2) {
            break;
        }
    }
    if (bytes > FW_SEG_MAX_BYTES / 2) {
        return fw_fail(err, FW_INVALID, "recorder: a frame of more than %u bytes", FW_SEG_MAX_BYTES / 2);
    }
    out->fixed = (uint32_t)bytes;
    return FW_OK;
}

static json_t *texts_json(const char *const *v, int n) {
    json_t *a = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(a, json_string(v[i]));
    }
    return a;
}

char *rec_desc_text(const fw_writer_desc *d) {
    fw_video_opts v = d->video.codec != NULL ? d->video : FW_VIDEO_OPTS_DATA;
    json_t *cameras = json_array();
    for (int c = 0; c < d->n_cameras; c++) {
        json_array_append_new(cameras, json_pack("{s:s, s:i, s:i}", "name", d->cameras[c].name, "h", d->cameras[c].h,
                                                 "w", d->cameras[c].w));
    }
    json_t *j = json_pack("{s:i, s:s, s:o, s:o, s:o, s:{s:s, s:s, s:i, s:i, s:i}}", "fps", d->fps, "robot_type",
                          d->robot_type, "state", texts_json(d->state_names, d->n_state), "action",
                          texts_json(d->action_names, d->n_action), "cameras", cameras, "video", "codec", v.codec,
                          "preset", v.preset, "crf", v.crf, "gop", v.gop, "threads", v.threads);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(j);
    return text;
}

static fw_status parse_names(const json_t *j, const char *key, const char *where, const char **out, int *n,
                             fw_err *err) {
    const json_t *a;
    FW_TRY(fw_json_arr(j, key, where, &a, err));
    *n = (int)json_array_size(a);
    for (int i = 0; i < *n; i++) {
        if ((out[i] = json_string_value(json_array_get(a, (size_t)i))) == NULL) {
            return fw_fail(err, FW_FORMAT, "%s: %s[%d] is no text", where, key, i);
        }
    }
    return FW_OK;
}

static fw_status parse_cameras(const json_t *j, const char *where, fw_writer_desc *d, fw_err *err) {
    const json_t *a;
    FW_TRY(fw_json_arr(j, "cameras", where, &a, err));
    if (json_array_size(a) > FW_MAX_CAMERAS) {
        return fw_fail(err, FW_FORMAT, "%s: %zu cameras, at most %d are allowed", where, json_array_size(a),
                       FW_MAX_CAMERAS);
    }
    for (d->n_cameras = 0; d->n_cameras < (int)json_array_size(a); d->n_cameras++) {
        const json_t *c = json_array_get(a, (size_t)d->n_cameras);
        int64_t h, w;
        FW_TRY(fw_json_str(c, "name", where, &d->cameras[d->n_cameras].name, err));
        FW_TRY(fw_json_i64(c, "h", where, 1, 65536, &h, err));
        FW_TRY(fw_json_i64(c, "w", where, 1, 65536, &w, err));
        d->cameras[d->n_cameras].h = (int)h;
        d->cameras[d->n_cameras].w = (int)w;
    }
    return FW_OK;
}

static fw_status parse_video(const json_t *j, const char *where, fw_video_opts *v, fw_err *err) {
    int64_t crf, gop, threads;
    const json_t *o = json_object_get(j, "video");
    FW_TRY(fw_json_str(o, "codec", where, &v->codec, err));
    FW_TRY(fw_json_str(o, "preset", where, &v->preset, err));
    FW_TRY(fw_json_i64(o, "crf", where, 0, 1000, &crf, err));
    FW_TRY(fw_json_i64(o, "gop", where, 0, 100000, &gop, err));
    FW_TRY(fw_json_i64(o, "threads", where, 0, 1024, &threads, err));
    v->crf = (int)crf;
    v->gop = (int)gop;
    v->threads = (int)threads;
    return FW_OK;
}

fw_status rec_desc_parse(const char *text, size_t n, const char *where, rec_desc *out, fw_err *err) {
    int64_t fps;
    *out = (rec_desc){0};
    FW_TRY(fw_json_parse(text, n, where, &out->json, err));
    const json_t *j = out->json;
    size_t ns = json_array_size(json_object_get(j, "state")), na = json_array_size(json_object_get(j, "action"));
    fw_status st = FW_NOMEM;
    if (ns > 65536 || na > 65536 || (out->names = calloc(ns + na + 1, sizeof(char *))) == NULL) {
        st = fw_fail(err, FW_FORMAT, "%s: %zu state and %zu action names", where, ns, na);
        goto done;
    }
    if ((st = fw_json_i64(j, "fps", where, 1, 1000, &fps, err)) != FW_OK ||
        (st = fw_json_str(j, "robot_type", where, &out->d.robot_type, err)) != FW_OK ||
        (st = parse_names(j, "state", where, out->names, &out->d.n_state, err)) != FW_OK ||
        (st = parse_names(j, "action", where, out->names + ns, &out->d.n_action, err)) != FW_OK ||
        (st = parse_cameras(j, where, &out->d, err)) != FW_OK ||
        (st = parse_video(j, where, &out->d.video, err)) != FW_OK) {
        goto done;
    }
    out->d.fps = (int)fps;
    out->d.state_names = out->names;
    out->d.action_names = out->names + ns;
done:
    if (st != FW_OK) {
        rec_desc_clear(out);
    }
    return st;
}

void rec_desc_clear(rec_desc *d) {
    json_decref(d->json);
    free(d->names);
    *d = (rec_desc){0};
}

/* --- payloads out --- */

static uint8_t *put(uint8_t *at, const void *v, size_t n) {
    if (n > 0) {
        memcpy(at, v, n);
    }
    return at + n;
}

static uint8_t *put_u32(uint8_t *at, uint32_t v) {
    return put(at, &v, sizeof(v));
}

static uint8_t *put_text(uint8_t *at, const char *s) {
    size_t n = s != NULL ? strlen(s) : 0;
    return put(put_u32(at, (uint32_t)n), s, n);
}

uint32_t rec_begin_max(const char *desc) {
    return (uint32_t)(8 + strlen(desc) + 8 + 16 + 6 * (4 + FW_RECORDER_TEXT));
}

uint32_t rec_put_begin(uint8_t *at, const char *desc, const char *recording, const fw_recording *what) {
    static const fw_provenance none = {.quality = (double)NAN, .speed = (double)NAN};
    const fw_provenance *p = what->provenance != NULL ? what->provenance : &none;
    uint8_t *q = put_text(put_u32(at, 1), desc);
    q = put_u32(put_u32(q, (uint32_t)p->source), 0);
    q = put(put(q, &p->quality, 8), &p->speed, 8);
    q = put_text(put_text(q, what->sentence), recording);
    q = put_text(put_text(q, p->policy_id), p->control_mode);
    q = put_text(put_text(q, p->consent), p->home);
    return (uint32_t)(q - at);
}

uint32_t rec_put_frame(uint8_t *at, const rec_layout *l, const fw_frame *f, uint32_t refused) {
    static const int64_t unknown[1 + FW_MAX_CAMERAS];
    uint32_t n = f->subtask != NULL ? (uint32_t)strlen(f->subtask) : 0;
    uint8_t *q = put_u32(put_u32(at, f->intervention ? 1 : 0), refused);
    q = put_u32(put_u32(q, n), 0);
    q = put(q, f->capture_ns != NULL ? f->capture_ns : unknown, 8 * (1 + (size_t)l->n_cameras));
    q = put(q, f->state, 4 * (size_t)l->n_state);
    q = put(q, f->action, 4 * (size_t)l->n_action);
    q = put(q, f->subtask, n);
    for (int c = 0; c < l->n_cameras; c++) {
        q = put(q, f->images[c], l->image_bytes[c]);
    }
    return (uint32_t)(q - at);
}

uint32_t rec_put_end(uint8_t *at, bool keep, int success, uint64_t refused) {
    uint8_t *q = put(put_u32(put_u32(at, keep ? 1 : 0), (uint32_t)success), &refused, 8);
    return (uint32_t)(q - at);
}

/* --- payloads in --- */

typedef struct input {
    const uint8_t *at;
    size_t left;
    bool bad; /* asked for more than there is */
} input;

static const uint8_t *take(input *in, size_t n) {
    if (n > in->left) {
        in->bad = true;
        return NULL;
    }
    const uint8_t *p = in->at;
    in->at += n;
    in->left -= n;
    return p;
}

static uint32_t take_u32(input *in) {
    uint32_t v = 0;
    const uint8_t *p = take(in, 4);
    if (p != NULL) {
        memcpy(&v, p, 4);
    }
    return v;
}

static void take_bytes(input *in, void *out, size_t n) {
    const uint8_t *p = take(in, n);
    if (p != NULL) {
        memcpy(out, p, n);
    }
}

static void take_text(input *in, char out[FW_RECORDER_TEXT]) {
    uint32_t n = take_u32(in);
    in->bad = in->bad || n >= FW_RECORDER_TEXT;
    if (!in->bad) {
        take_bytes(in, out, n);
        out[in->bad ? 0 : n] = 0;
    }
}

static fw_status read_begin(const fw_seg_record *r, const char *where, rec_episode *e, fw_err *err) {
    input in = {r->payload, r->bytes, false};
    uint32_t version = take_u32(&in), n = take_u32(&in);
    const uint8_t *json = take(&in, n);
    if (version != 1 || json == NULL) {
        return fw_fail(err, version != 1 ? FW_UNSUPPORTED : FW_FORMAT, "%s: version %u of a recording, wanted 1", where,
                       version);
    }
    uint32_t source = take_u32(&in);
    (void)take_u32(&in);
    take_bytes(&in, &e->quality, 8);
    take_bytes(&in, &e->speed, 8);
    for (int i = 0; i < 6; i++) {
        take_text(&in, e->text[i]);
    }
    if (in.bad || source > FW_SOURCE_INTERVENTION || e->text[REC_SENTENCE][0] == 0) {
        return fw_fail(err, FW_FORMAT, "%s: its first record makes no sense", where);
    }
    e->source = (fw_source)source;
    rec_desc d;
    FW_TRY(rec_desc_parse((const char *)json, n, where, &d, err));
    fw_status st = rec_layout_of(&d.d, &e->layout, err);
    rec_desc_clear(&d);
    if (st == FW_OK && (e->desc = strndup((const char *)json, n)) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: description", where);
    }
    return st;
}

/* A frame's numbers and texts, where they lie in its payload. */
typedef struct frame_view {
    uint32_t flags, refused, text;
    const uint8_t *capture, *state, *action, *subtask, *images;
} frame_view;

static void view_frame(const rec_layout *l, const uint8_t *p, frame_view *v) {
    memcpy(&v->flags, p, 4);
    memcpy(&v->refused, p + 4, 4);
    memcpy(&v->text, p + 8, 4);
    v->capture = p + FRAME_HEAD;
    v->state = v->capture + 8 * (1 + l->n_cameras);
    v->action = v->state + 4 * (size_t)l->n_state;
    v->subtask = v->action + 4 * (size_t)l->n_action;
    v->images = v->subtask + v->text;
}

static bool frame_fits(const rec_layout *l, const fw_seg_record *r) {
    uint32_t text;
    if (r->bytes < l->fixed) {
        return false;
    }
    memcpy(&text, r->payload + 8, 4);
    return text < FW_RECORDER_TEXT && r->bytes == l->fixed + text;
}

/* --- an episode from its parts --- */

typedef struct found {
    uint64_t seq;
    const uint8_t *payload;
    uint32_t bytes;
    bool end;
} found;

typedef struct gather {
    found *v;
    size_t n, cap;
    uint64_t acked; /* the highest that any record says, or the end's own */
} gather;

static int by_seq(const void *a, const void *b) {
    const found *x = a, *y = b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static fw_status gather_record(gather *g, const rec_episode *e, const fw_seg_record *r, const char *where,
                               fw_err *err) {
    if (r->type == FW_SEG_FRAME ? !frame_fits(&e->layout, r) : r->bytes != 16) {
        return fw_fail(err, FW_FORMAT, "%s: record %llu has %u bytes, a frame has %u", where,
                       (unsigned long long)r->seq, r->bytes, e->layout.fixed);
    }
    if (g->n == g->cap) {
        size_t cap = g->cap > 0 ? 2 * g->cap : 256;
        found *v = realloc(g->v, cap * sizeof(*v));
        if (v == NULL) {
            return fw_fail(err, FW_NOMEM, "%s: %zu records", where, cap);
        }
        g->v = v;
        g->cap = cap;
    }
    g->v[g->n++] = (found){r->seq, r->payload, r->bytes, r->type == FW_SEG_END};
    return FW_OK;
}

/* All records of one part. A part whose file header is not there was never acknowledged: it adds nothing. */
static fw_status gather_part(gather *g, rec_episode *e, const fw_map *m, const char *where, fw_err *err) {
    fw_seg_reader in;
    fw_seg_record r;
    if (fw_seg_open(&in, m->data, m->size, where, NULL) != FW_OK) {
        return FW_OK;
    }
    bool begun = false;
    while (fw_seg_next(&in, &r)) {
        uint64_t acked = r.type == FW_SEG_END ? r.seq : r.acked;
        g->acked = acked > g->acked ? acked : g->acked;
        if (r.type == FW_SEG_BEGIN) {
            begun = true;
            if (e->desc == NULL) {
                FW_TRY(read_begin(&r, where, e, err));
            }
        } else if (begun || e->desc != NULL) {
            FW_TRY(gather_record(g, e, &r, where, err));
        }
    }
    return FW_OK;
}

static fw_status take_frames(rec_episode *e, const gather *g, const char *where, fw_err *err) {
    uint64_t next = 1; /* the seq that follows what was taken */
    e->frames = calloc(g->n + 1, sizeof(*e->frames));
    if (e->frames == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: frames", where);
    }
    for (size_t i = 0; i < g->n && e->length < MAX_FRAMES; i++) {
        const found *f = &g->v[i];
        if (f->seq < next) {
            continue; /* written again after an error */
        }
        if (f->seq > next && f->seq > g->acked) {
            break; /* a torn tail: nobody was told of these */
        }
        if (f->seq - next > MAX_FRAMES) {
            return fw_fail(err, FW_FORMAT, "%s: record %llu follows record %llu", where, (unsigned long long)f->seq,
                           (unsigned long long)next - 1);
        }
        e->damaged += (int64_t)(f->seq - next);
        next = f->seq + 1;
        if (f->end) {
            uint32_t keep;
            uint64_t refused;
            memcpy(&keep, f->payload, 4);
            memcpy(&e->success, f->payload + 4, 4);
            memcpy(&refused, f->payload + 8, 8);
            e->ended = true;
            e->keep = keep != 0;
            e->success = e->success < -1 || e->success > 1 ? -1 : e->success;
            e->dropped = refused < INT64_MAX ? (int64_t)refused : INT64_MAX;
            break;
        }
        frame_view v;
        view_frame(&e->layout, f->payload, &v);
        e->dropped = v.refused;
        e->frames[e->length++] = f->payload;
    }
    if (!e->ended && g->acked >= next && g->acked - next < MAX_FRAMES) {
        e->damaged += (int64_t)(g->acked - next + 1); /* the last ones, which a valid record says were there */
    }
    return FW_OK;
}

fw_status rec_episode_load_mem(const fw_map *maps, int n, const char *where, rec_episode *out, fw_err *err) {
    gather g = {0};
    fw_status st = FW_OK;
    *out = (rec_episode){.success = -1};
    for (int i = 0; i < n && st == FW_OK; i++) {
        st = gather_part(&g, out, &maps[i], where, err);
    }
    if (st == FW_OK && out->desc == NULL) {
        st = fw_fail(err, FW_FORMAT, "%s: no record says what was recorded", where);
    }
    if (st == FW_OK && g.n > 0) {
        qsort(g.v, g.n, sizeof(*g.v), by_seq);
        st = take_frames(out, &g, where, err);
    }
    free(g.v);
    if (st != FW_OK) {
        rec_episode_clear(out);
    }
    return st;
}

fw_status rec_episode_load(const char *const *paths, int n, rec_episode *out, fw_err *err) {
    fw_map *maps = calloc((size_t)n + 1, sizeof(fw_map));
    fw_status st = maps != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: %d parts", paths[0], n);
    *out = (rec_episode){0};
    for (int i = 0; i < n && st == FW_OK; i++) {
        st = fw_map_open(paths[i], &maps[i], err);
    }
    st = st == FW_OK ? rec_episode_load_mem(maps, n, paths[0], out, err) : st;
    if (st == FW_OK) {
        out->maps = maps;
        out->n_parts = n;
        return FW_OK;
    }
    for (int i = 0; maps != NULL && i < n; i++) {
        fw_map_close(&maps[i]);
    }
    free(maps);
    return st;
}

void rec_episode_clear(rec_episode *e) {
    for (int i = 0; i < e->n_parts; i++) {
        fw_map_close(&e->maps[i]);
    }
    free(e->maps);
    free(e->desc);
    free(e->frames);
    *e = (rec_episode){0};
}

/* --- into the dataset --- */

static const fw_field rec_fields[] = {{.name = "recording", .kind = FW_FIELD_TEXT},
                                      {.name = "truncated", .kind = FW_FIELD_INT},
                                      {.name = "dropped_frames", .kind = FW_FIELD_INT},
                                      {.name = "damaged_frames", .kind = FW_FIELD_INT}};
enum { N_FIELDS = sizeof(rec_fields) / sizeof(*rec_fields) };

fw_writer_desc rec_writer_desc(const fw_writer_desc *d) {
    fw_writer_desc w = *d;
    w.marks = FW_MARK_INTERVENTION | FW_MARK_SUBTASK | FW_MARK_CAPTURE;
    w.fields = rec_fields;
    w.n_fields = N_FIELDS;
    w.seal_every = d->seal_every > 0 ? d->seal_every : 10;
    return w;
}

fw_status rec_writer_open(const char *dir, const fw_writer_desc *d, fw_writer **out, fw_err *err) {
    FW_TRY(fw_writer_open(dir, d, out, err));
    const char *lacks =
        (fw_writer_marks(*out) & d->marks) != d->marks ? "columns of intervention, subtask and capture_ns" : NULL;
    for (int i = 0; i < N_FIELDS; i++) {
        lacks = fw_writer_has_field(*out, rec_fields[i].name) ? lacks : rec_fields[i].name;
    }
    if (lacks != NULL) {
        fw_writer_abort(*out);
        *out = NULL;
        return fw_fail(err, FW_INVALID, "%s: wanted a dataset that a recorder made, this one has no %s", dir, lacks);
    }
    return FW_OK;
}

/* The arrays that the writer wants, of one episode. */
typedef struct columns {
    float *state, *action;
    uint8_t *intervention;
    int64_t *subtask, *capture;
    char **subtasks; /* [n_subtasks], owned */
    int n_subtasks;
} columns;

static void columns_clear(columns *c) {
    for (int i = 0; i < c->n_subtasks; i++) {
        free(c->subtasks[i]);
    }
    free(c->subtasks);
    free(c->state);
    free(c->action);
    free(c->intervention);
    free(c->subtask);
    free(c->capture);
}

/* Index of the sentence, new or seen; -1 for none, -2 when out of memory. The last one first: it rarely changes. */
static int64_t subtask_of(columns *c, const frame_view *v) {
    if (v->text == 0) {
        return -1;
    }
    for (int i = c->n_subtasks - 1; i >= 0; i--) {
        if (strlen(c->subtasks[i]) == v->text && memcmp(c->subtasks[i], v->subtask, v->text) == 0) {
            return i;
        }
    }
    char **more = realloc(c->subtasks, ((size_t)c->n_subtasks + 1) * sizeof(char *));
    if (more == NULL) {
        return -2;
    }
    c->subtasks = more;
    if ((more[c->n_subtasks] = strndup((const char *)v->subtask, v->text)) == NULL) {
        return -2;
    }
    return c->n_subtasks++;
}

static fw_status columns_of(const rec_episode *e, columns *c, fw_err *err) {
    const rec_layout *l = &e->layout;
    size_t n = (size_t)e->length, ns = (size_t)l->n_state, na = (size_t)l->n_action, nc = 1 + (size_t)l->n_cameras;
    *c = (columns){
        malloc(n * ns * 4 + 4), malloc(n * na * 4 + 4), malloc(n + 1), malloc(n * 8 + 8), malloc(n * nc * 8), NULL, 0};
    bool ok =
        c->state != NULL && c->action != NULL && c->intervention != NULL && c->subtask != NULL && c->capture != NULL;
    for (size_t t = 0; t < n && ok; t++) {
        frame_view v;
        view_frame(l, e->frames[t], &v);
        memcpy(c->state + t * ns, v.state, ns * 4);
        memcpy(c->action + t * na, v.action, na * 4);
        memcpy(c->capture + t * nc, v.capture, nc * 8);
        c->intervention[t] = (v.flags & 1) != 0;
        c->subtask[t] = subtask_of(c, &v);
        ok = c->subtask[t] > -2;
    }
    return ok ? FW_OK : fw_fail(err, FW_NOMEM, "recording %s: %zu frames", e->text[REC_RECORDING], n);
}

static fw_status image_of(void *ctx, int camera, int64_t t, const uint8_t **rgb, fw_err *err) {
    const rec_episode *e = ctx;
    frame_view v;
    (void)err;
    view_frame(&e->layout, e->frames[t], &v);
    *rgb = v.images;
    for (int c = 0; c < camera; c++) {
        *rgb += e->layout.image_bytes[c];
    }
    return FW_OK;
}

fw_status rec_episode_add(const rec_episode *e, fw_writer *w, fw_err *err) {
    columns c;
    fw_field field[N_FIELDS];
    memcpy(field, rec_fields, sizeof(field));
    field[0].text = e->text[REC_RECORDING];
    field[1].i = !e->ended;
    field[2].i = e->dropped;
    field[3].i = e->damaged;
    fw_provenance p = {.source = e->source,
                       .policy_id = e->text[REC_POLICY],
                       .control_mode = e->text[REC_MODE],
                       .consent = e->text[REC_CONSENT],
                       .home = e->text[REC_HOME],
                       .quality = e->quality,
                       .speed = e->speed,
                       .success = e->success,
                       .n_fields = N_FIELDS,
                       .fields = field};
    fw_status st = columns_of(e, &c, err);
    if (st == FW_OK && p.source == FW_SOURCE_AUTONOMOUS && memchr(c.intervention, 1, (size_t)e->length) != NULL) {
        p.source = FW_SOURCE_INTERVENTION;
    }
    if (st == FW_OK) {
        fw_writer_episode ep = {.length = e->length,
                                .state = c.state,
                                .action = c.action,
                                .image = image_of,
                                .image_ctx = (void *)(uintptr_t)e,
                                .sentence = e->text[REC_SENTENCE],
                                .provenance = &p,
                                .marks = {.intervention = c.intervention,
                                          .subtask = c.subtask,
                                          .subtasks = (const char *const *)c.subtasks,
                                          .n_subtasks = c.n_subtasks,
                                          .capture_ns = c.capture}};
        st = fw_writer_add_episode(w, &ep, err);
    }
    columns_clear(&c);
    return st;
}
