/* tape.c - see tape.h. */
#include "robot/tape.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/jpeg.h"
#include "base/log.h"

enum { SENTENCE = 256, A_TURN = 8, CLOSE_TURNS = 500, JPEG_QUALITY = 95 };
#define RAW_MOST ((size_t)128 << 20)

typedef struct entry {
    bool end;  /* of an episode; else a frame */
    bool keep; /* it moves on to the recorder */
    int success;
    bool touched;
    char sentence[SENTENCE];
    float state[FW_DIM_MAX], action[FW_DIM_MAX];
    int64_t capture[1 + FW_CAM_MAX];
    uint8_t *image[FW_CAM_MAX]; /* [h,w,3], or JPEG; owned */
    size_t bytes[FW_CAM_MAX];
} entry;

struct fw_tape {
    fw_embodiment e;
    int n_camera;
    fw_camera camera[FW_CAM_MAX];
    fw_tape_keep keep;
    bool jpeg;
    fw_recorder *recorder;
    fw_provenance provenance;
    char text[3][FW_RECORDER_TEXT];
    char marks[1024]; /* path */

    entry *ring;
    int64_t cap, head, sent; /* entries ever put; moved on or passed over */
    int64_t begin;           /* index of the open episode's first frame */
    bool rolling;            /* what comes moves on */
    bool recording;          /* an episode is open in the recorder */
    uint8_t *decoded[FW_CAM_MAX];
    fw_tape_state now;
};

static size_t bytes_of(const fw_camera *c) {
    return 3 * (size_t)c->width * (size_t)c->height;
}

/* ---- open, close ---- */

static fw_status open_recorder(fw_tape *t, const char *dir, fw_err *err) {
    const char *state[FW_DIM_MAX], *action[FW_DIM_MAX];
    fw_recorder_desc d = {.writer = {.fps = (int)lround(t->e.rate_hz),
                                     .robot_type = t->e.name,
                                     .n_state = t->e.n_state,
                                     .n_action = t->e.n_action,
                                     .state_names = state,
                                     .action_names = action,
                                     .n_cameras = t->n_camera}};
    for (int i = 0; i < t->e.n_state; i++) {
        state[i] = t->e.state[i].name;
    }
    for (int i = 0; i < t->e.n_action; i++) {
        action[i] = t->e.action[i].name;
    }
    for (int i = 0; i < t->n_camera; i++) {
        d.writer.cameras[i] = (fw_writer_camera){t->camera[i].name, t->camera[i].height, t->camera[i].width};
    }
    return fw_recorder_open(dir, &d, &t->recorder, err);
}

static void copy_provenance(fw_tape *t, const fw_provenance *p) {
    const char *from[3] = {p->policy_id, p->consent, p->home};
    for (int i = 0; i < 3; i++) {
        snprintf(t->text[i], sizeof t->text[i], "%s", from[i] != NULL ? from[i] : "");
    }
    t->provenance = *p;
    t->provenance.policy_id = t->text[0], t->provenance.consent = t->text[1], t->provenance.home = t->text[2];
}

static fw_status make_ring(fw_tape *t, double ring_s, fw_err *err) {
    size_t a_frame = 0;
    bool whole = true;
    t->cap = (int64_t)ceil(fmax(ring_s, 1.0) * t->e.rate_hz) + 2;
    for (int i = 0; i < t->n_camera; i++) {
        a_frame += bytes_of(&t->camera[i]);
        t->decoded[i] = malloc(bytes_of(&t->camera[i]));
        whole = whole && t->decoded[i] != NULL;
    }
    t->jpeg = a_frame * (size_t)t->cap > RAW_MOST;
    t->ring = calloc((size_t)t->cap, sizeof *t->ring);
    return whole && t->ring != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "tape: out of memory");
}

static void free_all(fw_tape *t) {
    for (int64_t i = 0; t->ring != NULL && i < t->cap; i++) {
        for (int k = 0; k < t->n_camera; k++) {
            free(t->ring[i].image[k]);
        }
    }
    for (int k = 0; k < t->n_camera; k++) {
        free(t->decoded[k]);
    }
    free(t->ring);
    free(t);
}

static fw_status open_all(fw_tape *t, const fw_tape_opts *o, fw_err *err) {
    if (o->n_camera > FW_MAX_CAMERAS) {
        return fw_fail(err, FW_INVALID, "%s: %d cameras, at most %d are recorded", o->dir, o->n_camera, FW_MAX_CAMERAS);
    }
    for (int i = 0; i < o->n_camera; i++) {
        t->camera[i] = o->camera[i];
    }
    t->n_camera = o->n_camera;
    copy_provenance(t, &o->provenance);
    FW_TRY(fw_path_join(t->marks, sizeof t->marks, o->dir, "marks.jsonl", err));
    FW_TRY(make_ring(t, o->ring_s, err));
    return open_recorder(t, o->dir, err);
}

fw_status fw_tape_open(const fw_tape_opts *o, fw_tape **out, fw_err *err) {
    fw_tape *t = calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "tape: out of memory");
    }
    t->e = *o->embodiment;
    t->keep = o->keep;
    const fw_status st = open_all(t, o, err);
    if (st != FW_OK) {
        free_all(t);
        return st;
    }
    *out = t;
    return FW_OK;
}

fw_status fw_tape_close(fw_tape *t, fw_err *err) {
    if (t == NULL) {
        return FW_OK;
    }
    fw_tape_end(t, -1);
    for (int i = 0; i < CLOSE_TURNS && t->sent < t->head; i++) {
        const int64_t before = t->sent;
        fw_tape_turn(t);
        if (t->sent == before) {
            nanosleep(&(struct timespec){0, 10000000}, NULL);
        }
    }
    const fw_status st = fw_recorder_close(t->recorder, err);
    free_all(t);
    return st;
}

/* ---- in ---- */

static fw_status keep_image(fw_tape *t, entry *e, int i, const uint8_t *rgb, fw_err *err) {
    const fw_camera *c = &t->camera[i];
    if (t->jpeg) {
        free(e->image[i]);
        e->image[i] = NULL;
        return fw_jpeg_encode(rgb, c->height, c->width, JPEG_QUALITY, &e->image[i], &e->bytes[i], err);
    }
    if (e->image[i] == NULL && (e->image[i] = malloc(bytes_of(c))) == NULL) {
        return fw_fail(err, FW_NOMEM, "tape: out of memory");
    }
    memcpy(e->image[i], rgb, bytes_of(c));
    return FW_OK;
}

/* The place for the next entry: the oldest one is given up. */
static entry *next_entry(fw_tape *t) {
    if (t->head - t->sent >= t->cap) {
        t->now.lost += t->ring[t->sent % t->cap].keep;
        t->sent = t->head - t->cap + 1;
    }
    return &t->ring[t->head % t->cap];
}

static fw_status check(const fw_tape *t, const fw_frame *f, fw_err *err) {
    for (int i = 0; i < t->e.n_state + t->e.n_action; i++) {
        const float x = i < t->e.n_state ? f->state[i] : f->action[i - t->e.n_state];
        if (!isfinite(x)) {
            return fw_fail(err, FW_FORMAT, "tape: value %d of state and action is %g, wanted a finite number", i,
                           (double)x);
        }
    }
    return FW_OK;
}

fw_status fw_tape_frame(fw_tape *t, const char *sentence, const fw_frame *f, fw_err *err) {
    FW_TRY(check(t, f, err));
    entry *e = next_entry(t);
    e->end = e->keep = false;
    e->touched = f->intervention;
    snprintf(e->sentence, sizeof e->sentence, "%s", sentence[0] != 0 ? sentence : "(no sentence)");
    memcpy(e->state, f->state, sizeof(float) * (size_t)t->e.n_state);
    memcpy(e->action, f->action, sizeof(float) * (size_t)t->e.n_action);
    for (int i = 0; i <= t->n_camera; i++) {
        e->capture[i] = f->capture_ns != NULL ? f->capture_ns[i] : 0;
    }
    for (int i = 0; i < t->n_camera; i++) {
        FW_TRY(keep_image(t, e, i, f->images[i], err));
    }
    if (!t->now.within) {
        t->now.within = true;
        t->now.frames = t->now.touched = 0;
        t->begin = t->head;
        t->rolling = t->keep == FW_TAPE_ALL;
    }
    e->keep = t->rolling;
    t->now.frames++;
    t->now.touched += f->intervention;
    t->head++;
    return FW_OK;
}

void fw_tape_incident(fw_tape *t) {
    if (t->now.within && !t->rolling) {
        t->rolling = true;
        for (int64_t i = t->sent > t->begin ? t->sent : t->begin; i < t->head; i++) {
            t->ring[i % t->cap].keep = true;
        }
    }
}

void fw_tape_end(fw_tape *t, int success) {
    if (!t->now.within) {
        return;
    }
    t->now.within = false;
    t->now.ended++;
    if (t->rolling) {
        entry *e = next_entry(t);
        e->end = e->keep = true;
        e->success = success;
        t->head++;
    }
}

/* ---- on to the recorder ---- */

static fw_status decode(fw_tape *t, const entry *e, const uint8_t *image[], fw_err *err) {
    for (int i = 0; i < t->n_camera; i++) {
        image[i] = e->image[i];
        if (t->jpeg) {
            int h, w;
            uint8_t *rgb;
            FW_TRY(fw_jpeg_decode("tape", e->image[i], e->bytes[i], &rgb, &h, &w, err));
            memcpy(t->decoded[i], rgb, bytes_of(&t->camera[i]));
            free(rgb);
            image[i] = t->decoded[i];
        }
    }
    return FW_OK;
}

static fw_status move_frame(fw_tape *t, const entry *e, fw_err *err) {
    fw_frame f = {.state = e->state, .action = e->action, .capture_ns = e->capture, .intervention = e->touched};
    if (!t->recording) {
        FW_TRY(fw_recorder_begin(t->recorder, &(fw_recording){e->sentence, &t->provenance}, err));
        t->recording = true;
    }
    FW_TRY(decode(t, e, f.images, err));
    return fw_recorder_frame(t->recorder, &f, err);
}

static fw_status move_end(fw_tape *t, const entry *e, fw_err *err) {
    if (t->recording) {
        FW_TRY(fw_recorder_end(t->recorder, true, e->success, err));
        t->recording = false;
    }
    return FW_OK;
}

/* Entries that nobody will want are passed over: those of the open episode may still be wanted. */
static void pass_over(fw_tape *t) {
    const int64_t until = t->now.within ? t->begin : t->head;
    while (t->sent < until && !t->ring[t->sent % t->cap].keep) {
        t->sent++;
    }
}

/* Not by asking the recorder to take a frame: it would count as one that was refused. */
static int64_t room(const fw_tape *t) {
    fw_recorder_state r;
    fw_recorder_get_state(t->recorder, &r);
    return (int64_t)r.queue - (int64_t)r.queued - 3; /* a begin and an end beside a frame */
}

void fw_tape_turn(fw_tape *t) {
    const int64_t most = room(t) < A_TURN ? room(t) : A_TURN;
    for (int i = 0; i < most; i++) {
        pass_over(t);
        const entry *e = &t->ring[t->sent % t->cap];
        fw_err err;
        if (t->sent == t->head || !e->keep) {
            break;
        }
        const fw_status st = e->end ? move_end(t, e, &err) : move_frame(t, e, &err);
        if (st != FW_OK) {
            fw_warn("tape: a frame is not recorded: %s", err.msg);
            t->now.lost++;
        }
        t->sent++;
    }
}

void fw_tape_get(fw_tape *t, fw_tape_state *out) {
    fw_recorder_get_state(t->recorder, &t->now.recorder);
    const fw_recorder_state *r = &t->now.recorder;
    t->now.late = r->queued * 2 > r->queue;
    *out = t->now;
}

/* ---- marks ---- */

static fw_status append(const char *path, const char *line, fw_err *err) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const size_t n = strlen(line);
    if (fd < 0) {
        return fw_fail(err, FW_IO, "%s: %s", path, strerror(errno));
    }
    const ssize_t put = write(fd, line, n);
    const bool whole = put == (ssize_t)n && fdatasync(fd) == 0;
    const int e = put >= 0 && put != (ssize_t)n ? ENOSPC : errno;
    close(fd);
    return whole ? FW_OK : fw_fail(err, FW_IO, "%s: the mark is not on the disk: %s", path, strerror(e));
}

/* Ends that have not moved on yet: so many episodes is the recorder behind. */
void fw_tape_here(const fw_tape *t, fw_tape_place *out) {
    int ahead = t->now.within || t->now.ended == 0 ? 0 : -1;
    for (int64_t i = t->sent; i < t->head; i++) {
        ahead += t->ring[i % t->cap].end;
    }
    fw_recorder_name(t->recorder, ahead, out->recording);
    out->frame = t->now.frames - 1;
}

fw_status fw_tape_mark(const fw_tape *t, const fw_tape_place *at, const char *verdict, const char *note, uint64_t who,
                       double seconds, fw_err *err) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    json_t *j = json_pack("{s:f, s:s, s:s, s:I, s:f, s:s, s:I}", "t_s", (double)now.tv_sec + 1e-9 * (double)now.tv_nsec,
                          "verdict", verdict, "note", note, "who", (json_int_t)who, "seconds", seconds, "recording",
                          at->recording, "frame", (json_int_t)at->frame);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    char *line = NULL;
    if (text == NULL || asprintf(&line, "\n%s\n", text) < 0) {
        line = NULL;
    }
    /* the newline before it: what a full disk cut off stays a line of its own */
    const fw_status st =
        line != NULL ? append(t->marks, line, err) : fw_fail(err, FW_INVALID, "a note that is no UTF-8 text");
    free(line);
    free(text);
    json_decref(j);
    return st;
}
