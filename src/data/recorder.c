/*
 * recorder.c - the three threads of a recorder (see recorder.h).
 *
 * The ring. Slot i of `head` belongs to the caller until head moves past it, then to the writing thread until `tail` does.
 * Records stay in their slots until fdatasync has returned for them, so that after any failure of the disk they can be
 * written again. Frames leave two slots free: an end and the next begin always find room.
 *
 * The writing thread, for the records between tail and head:
 *   BEGIN       open part 0 of a new file
 *   others      append (after an error: to a new part, which repeats BEGIN)
 *   then        fdatasync, the folder's fsync when the file is new; only then acked, tail, acknowledged
 *   END         close the file, hand the episode to the sealing thread
 * After an error nothing is assumed about what the file holds beyond the last good fdatasync: it is cut off there and never written
 * to again.
 *
 * The sealing thread keeps a list of ended episodes: [0, n_added) are in the writer's open segment, the rest are not yet. When the
 * writer seals, the added ones are in the dataset and their files go. When it fails, all of them are again "not yet".
 */
#include "data/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "data/recorder_int.h"

#define BATCH_RECORDS 64
#define BATCH_BYTES   (16u << 20)
#define RETRY_NS      200000000ll

typedef struct slot {
    fw_seg_type type;
    uint32_t bytes; /* of the payload */
    uint64_t seq;
    uint64_t episode;
} slot;

typedef struct ended {
    uint64_t episode;
    int parts;
} ended;

struct fw_recorder {
    char *dir, *folder; /* folder: dir/.recorder */
    char session[32];
    char *desc; /* JSON, for BEGIN */
    rec_layout layout;
    fw_writer_desc wd; /* its texts live in `own` */
    rec_desc own;
    int lock;

    /* the ring */
    uint64_t n_slots;
    size_t slot_bytes;
    slot *slots;
    uint8_t *ring;         /* [n_slots][slot_bytes] records */
    _Atomic uint64_t head; /* written by the caller */
    _Atomic uint64_t tail; /* written by the writing thread */
    sem_t wake;            /* of the writing thread */

    /* the caller's */
    bool within;
    uint64_t episode; /* number of the open or the next one */
    uint64_t seq, episode_refused;
    _Atomic uint64_t taken, refused;

    /* the writing thread's */
    pthread_t writing;
    int fd;         /* -1: none open */
    uint64_t key;   /* of the open file */
    bool fresh;     /* the folder does not name it durably yet */
    int64_t good;   /* bytes of the file that fdatasync has returned for */
    int part;       /* the open or last one of this episode */
    uint8_t *begin; /* copy of the episode's BEGIN record, for its later parts */
    slot begin_slot;
    uint64_t acked_seq;
    _Atomic uint64_t acknowledged, disk_errors;
    _Atomic int stop; /* 1: when the ring is empty; 2: now */

    /* under `mutex`: the sealing thread's list, and what others ask */
    pthread_t sealing;
    bool threads;
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    ended *list;
    int n_list, cap_list, n_added;
    bool seal_now, seal_stop;
    bool recheck; /* sealing failed: look what is in the dataset before going on */
    uint64_t sealed_episodes, seal_errors, seal_round;
    fw_err disk_error, seal_error;
    fw_writer *w;     /* the sealing thread's alone */
    int64_t w_sealed; /* episodes of the dataset when the list was last cleared up */
};

/* --- the caller --- */

static uint8_t *slot_at(const fw_recorder *r, uint64_t i) {
    return r->ring + (size_t)(i % r->n_slots) * r->slot_bytes;
}

/* Where the next record's payload goes; NULL when fewer than `spare` + 1 slots are free. */
static uint8_t *claim(fw_recorder *r, uint64_t spare) {
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t used = head - atomic_load_explicit(&r->tail, memory_order_acquire);
    return used + spare < r->n_slots ? slot_at(r, head) + FW_SEG_RECORD_BYTES : NULL;
}

static void publish(fw_recorder *r, fw_seg_type type, uint32_t bytes, uint64_t seq) {
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    r->slots[head % r->n_slots] = (slot){type, bytes, seq, r->episode};
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    sem_post(&r->wake);
}

static bool text_fits(const char *s) {
    return s == NULL || strnlen(s, FW_RECORDER_TEXT) < FW_RECORDER_TEXT;
}

static void recording_name(const fw_recorder *r, uint64_t episode, char out[REC_NAME]) {
    snprintf(out, REC_NAME, "%s-%06llu", r->session, (unsigned long long)episode);
}

fw_status fw_recorder_begin(fw_recorder *r, const fw_recording *what, fw_err *err) {
    const fw_provenance *p = what->provenance;
    char name[REC_NAME];
    if (r->within) {
        return fw_fail(err, FW_INVALID, "%s: recorder: an episode has begun already", r->dir);
    }
    if (what->sentence == NULL || what->sentence[0] == 0 || !text_fits(what->sentence) ||
        (p != NULL &&
         !(text_fits(p->policy_id) && text_fits(p->control_mode) && text_fits(p->consent) && text_fits(p->home)))) {
        return fw_fail(err, FW_INVALID, "%s: recorder: wanted a sentence, and texts of less than %d bytes", r->dir,
                       FW_RECORDER_TEXT);
    }
    uint8_t *at = claim(r, 0);
    if (at == NULL) {
        return fw_fail(err, FW_AGAIN, "%s: recorder: the queue is full", r->dir);
    }
    recording_name(r, r->episode, name);
    r->within = true;
    r->seq = 0;
    r->episode_refused = 0;
    publish(r, FW_SEG_BEGIN, rec_put_begin(at, r->desc, name, what), 0);
    return FW_OK;
}

static fw_status check_finite(const fw_recorder *r, const char *what, const float *v, int n, fw_err *err) {
    for (int i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            return fw_fail(err, FW_FORMAT, "%s: recorder: %s[%d] is %g, wanted a finite number", r->dir, what, i,
                           (double)v[i]);
        }
    }
    return FW_OK;
}

fw_status fw_recorder_frame(fw_recorder *r, const fw_frame *f, fw_err *err) {
    if (!r->within || f->state == NULL || f->action == NULL || !text_fits(f->subtask)) {
        return fw_fail(err, FW_INVALID, "%s: recorder: %s", r->dir,
                       !r->within ? "no episode has begun"
                                  : "wanted state, action and a subtask of less than 512 bytes");
    }
    for (int c = 0; c < r->layout.n_cameras; c++) {
        if (f->images[c] == NULL) {
            return fw_fail(err, FW_INVALID, "%s: recorder: no image of camera %d", r->dir, c);
        }
    }
    FW_TRY(check_finite(r, "state", f->state, r->layout.n_state, err));
    FW_TRY(check_finite(r, "action", f->action, r->layout.n_action, err));
    uint8_t *at = claim(r, 2);
    if (at == NULL) {
        r->episode_refused++;
        atomic_fetch_add_explicit(&r->refused, 1, memory_order_relaxed);
        return fw_fail(err, FW_AGAIN, "%s: recorder: the queue of %llu frames is full", r->dir,
                       (unsigned long long)r->n_slots - 2);
    }
    uint32_t refused = r->episode_refused < UINT32_MAX ? (uint32_t)r->episode_refused : UINT32_MAX;
    publish(r, FW_SEG_FRAME, rec_put_frame(at, &r->layout, f, refused), ++r->seq);
    atomic_fetch_add_explicit(&r->taken, 1, memory_order_relaxed);
    return FW_OK;
}

fw_status fw_recorder_end(fw_recorder *r, bool keep, int success, fw_err *err) {
    if (!r->within) {
        return fw_fail(err, FW_INVALID, "%s: recorder: no episode has begun", r->dir);
    }
    uint8_t *at = claim(r, 0);
    if (at == NULL) {
        return fw_fail(err, FW_AGAIN, "%s: recorder: the queue is full", r->dir);
    }
    publish(r, FW_SEG_END, rec_put_end(at, keep, success, r->episode_refused), ++r->seq);
    r->within = false;
    r->episode++;
    return FW_OK;
}

void fw_recorder_name(const fw_recorder *r, int ahead, char *out) {
    recording_name(r, r->episode + (uint64_t)ahead, out);
}

uint64_t fw_recorder_acknowledged(const fw_recorder *r) {
    return atomic_load_explicit(&r->acknowledged, memory_order_acquire);
}

/* --- the writing thread --- */

static fw_status segment_path(const fw_recorder *r, uint64_t episode, int part, char out[STORE_PATH], fw_err *err) {
    char name[REC_NAME], file[REC_NAME + 16];
    recording_name(r, episode, name);
    snprintf(file, sizeof(file), "%s.%04d.seg", name, part);
    return fw_path_join(out, STORE_PATH, r->folder, file, err);
}

static fw_status write_all(fw_recorder *r, struct iovec *v, int n, fw_err *err) {
    while (n > 0) {
        ssize_t put = writev(r->fd, v, n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return fw_fail(err, FW_IO, "%s: write: %s", r->folder, strerror(put < 0 ? errno : ENOSPC));
        }
        for (; n > 0 && (size_t)put >= v->iov_len; n--, v++) {
            put -= (ssize_t)v->iov_len;
        }
        if (n > 0) {
            v->iov_base = (uint8_t *)v->iov_base + put;
            v->iov_len -= (size_t)put;
        }
    }
    return FW_OK;
}

/* What is beyond the last good fdatasync may be anything: cut it off, as far as the disk still lets us. */
static void drop_file(fw_recorder *r) {
    if (r->fd >= 0) {
        (void)!ftruncate(r->fd, r->good);
        close(r->fd);
        r->fd = -1;
        char path[STORE_PATH];
        if (r->good == 0 && segment_path(r, r->begin_slot.episode, r->part, path, NULL) == FW_OK && unlink(path) == 0) {
            r->part--; /* nothing of it counts */
        }
    }
}

/* Open the next part and put BEGIN into it (not synced yet). */
static fw_status open_part(fw_recorder *r, fw_err *err) {
    char path[STORE_PATH];
    uint8_t head[FW_SEG_FILE_BYTES];
    r->part++;
    FW_TRY(segment_path(r, r->begin_slot.episode, r->part, path, err));
    r->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (r->fd < 0) {
        return fw_fail(err, FW_IO, "%s: %s", path, strerror(errno));
    }
    r->fresh = true;
    r->good = 0;
    r->key++;
    fw_seg_put_file(head, r->key);
    fw_seg_put_record(r->begin, r->key, FW_SEG_BEGIN, r->begin_slot.bytes, 0, r->acked_seq);
    struct iovec v[2] = {{head, sizeof(head)}, {r->begin, fw_seg_size(r->begin_slot.bytes)}};
    return write_all(r, v, 2, err);
}

/* Append records [a, b) of one episode, after BEGIN. */
static fw_status append(fw_recorder *r, uint64_t a, uint64_t b, fw_err *err) {
    struct iovec v[BATCH_RECORDS];
    int n = 0;
    if (r->fd < 0) {
        FW_TRY(open_part(r, err));
    }
    for (uint64_t i = a; i < b; i++) {
        const slot *s = &r->slots[i % r->n_slots];
        fw_seg_put_record(slot_at(r, i), r->key, s->type, s->bytes, s->seq, r->acked_seq);
        v[n++] = (struct iovec){slot_at(r, i), fw_seg_size(s->bytes)};
    }
    FW_TRY(write_all(r, v, n, err));
    if (fdatasync(r->fd) != 0) {
        return fw_fail(err, FW_IO, "%s: fdatasync: %s", r->folder, strerror(errno));
    }
    if (r->fresh) {
        FW_TRY(rec_sync_folder(r->folder, err));
        r->fresh = false;
    }
    r->good = lseek(r->fd, 0, SEEK_END);
    return FW_OK;
}

/* Give the sealing thread an ended episode. Its list may grow: this thread may wait, the caller's may not. */
static void hand_over(fw_recorder *r, uint64_t episode) {
    pthread_mutex_lock(&r->mutex);
    if (r->n_list == r->cap_list) {
        int cap = r->cap_list > 0 ? 2 * r->cap_list : 64;
        ended *more = realloc(r->list, (size_t)cap * sizeof(ended));
        if (more == NULL) { /* its segments stay: the next open seals it */
            fw_log(FW_LOG_ERROR, "%s: no memory: episode %llu waits for the next start", r->dir,
                   (unsigned long long)episode);
            pthread_mutex_unlock(&r->mutex);
            return;
        }
        r->list = more;
        r->cap_list = cap;
    }
    r->list[r->n_list++] = (ended){episode, r->part + 1};
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->mutex);
}

static void begin_episode(fw_recorder *r, uint64_t at) {
    const slot *s = &r->slots[at % r->n_slots];
    r->begin_slot = *s;
    memcpy(r->begin, slot_at(r, at), FW_SEG_RECORD_BYTES + s->bytes);
    r->part = -1;
    r->acked_seq = 0;
}

/* The next records up to the end of an episode, or as many as one write takes. */
static uint64_t batch_end(const fw_recorder *r, uint64_t a, uint64_t head) {
    size_t bytes = 0;
    for (uint64_t i = a; i < head; i++) {
        bytes += r->slots[i % r->n_slots].bytes;
        if (r->slots[i % r->n_slots].type == FW_SEG_END || i + 1 - a == BATCH_RECORDS || bytes > BATCH_BYTES) {
            return i + 1;
        }
    }
    return head;
}

static fw_status write_batch(fw_recorder *r, uint64_t a, uint64_t head, fw_err *err) {
    uint64_t from = a, b, frames = 0;
    bool begins = r->slots[a % r->n_slots].type == FW_SEG_BEGIN;
    if (begins && r->begin_slot.episode != r->slots[a % r->n_slots].episode) {
        begin_episode(r, a);
    }
    from += begins;
    b = batch_end(r, from, head);
    fw_status st = append(r, from, b, err);
    if (st != FW_OK) {
        drop_file(r);
        return st;
    }
    for (uint64_t i = from; i < b; i++) {
        frames += r->slots[i % r->n_slots].type == FW_SEG_FRAME;
        r->acked_seq = r->slots[i % r->n_slots].seq;
    }
    if (b > from && r->slots[(b - 1) % r->n_slots].type == FW_SEG_END) {
        close(r->fd);
        r->fd = -1;
        hand_over(r, r->begin_slot.episode);
    }
    atomic_store_explicit(&r->tail, b, memory_order_release);
    atomic_fetch_add_explicit(&r->acknowledged, frames, memory_order_release);
    return FW_OK;
}

static void note_disk(fw_recorder *r, const fw_err *e) {
    pthread_mutex_lock(&r->mutex);
    if (e != NULL && r->disk_error.code == FW_OK) {
        fw_log(FW_LOG_ERROR, "%s; frames wait in memory", e->msg);
    }
    r->disk_error = e != NULL ? *e : (fw_err){FW_OK, ""};
    pthread_cond_broadcast(&r->done);
    pthread_mutex_unlock(&r->mutex);
}

static void sleep_retry(fw_recorder *r) {
    for (int i = 0; i < 20 && atomic_load(&r->stop) != 2; i++) {
        nanosleep(&(struct timespec){0, RETRY_NS / 20}, NULL);
    }
}

static void *write_main(void *arg) {
    fw_recorder *r = arg;
    bool failing = false;
    for (;;) {
        uint64_t a = atomic_load_explicit(&r->tail, memory_order_relaxed);
        uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
        int stop = atomic_load(&r->stop);
        fw_err why;
        if (stop == 2 || (stop == 1 && a == head)) {
            break;
        }
        if (a == head) {
            while (sem_wait(&r->wake) != 0) { /* EINTR */
            }
            continue;
        }
        if (write_batch(r, a, head, &why) != FW_OK) {
            failing = true;
            atomic_fetch_add(&r->disk_errors, 1);
            note_disk(r, &why);
            sleep_retry(r);
        } else if (failing) {
            failing = false;
            note_disk(r, NULL);
        }
    }
    if (r->fd >= 0) {
        close(r->fd);
        r->fd = -1;
    }
    return NULL;
}

/* --- the sealing thread --- */

static fw_status episode_paths(const fw_recorder *r, const ended *e, char ***out, fw_err *err) {
    char path[STORE_PATH];
    char **paths = calloc((size_t)e->parts + 1, sizeof(char *));
    fw_status st = paths != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", r->folder);
    for (int i = 0; i < e->parts && st == FW_OK; i++) {
        st = segment_path(r, e->episode, i, path, err);
        paths[i] = st == FW_OK ? strdup(path) : NULL;
        st = st == FW_OK && paths[i] == NULL ? fw_fail(err, FW_NOMEM, "%s", r->folder) : st;
    }
    if (st != FW_OK) {
        fw_names_free(paths, paths != NULL ? (size_t)e->parts : 0);
        paths = NULL;
    }
    *out = paths;
    return st;
}

static fw_status open_writer(fw_recorder *r, fw_err *err) {
    if (r->w == NULL) {
        FW_TRY(rec_writer_open(r->dir, &r->wd, &r->w, err));
        r->w_sealed = fw_writer_sealed(r->w);
    }
    return FW_OK;
}

/* Put one episode into the writer's open segment. *gone: it is not to be kept. */
static fw_status add_ended(fw_recorder *r, const ended *e, bool *gone, fw_err *err) {
    char **paths;
    rec_episode ep;
    *gone = false;
    FW_TRY(open_writer(r, err));
    FW_TRY(episode_paths(r, e, &paths, err));
    /* a part that failed before it came to be is not there */
    int n = 0;
    for (int i = 0; i < e->parts; i++) {
        if (fw_path_exists(paths[i])) {
            char *p = paths[n];
            paths[n++] = paths[i];
            paths[i] = p;
        }
    }
    fw_status st = rec_episode_load((const char *const *)paths, n, &ep, err);
    if (st == FW_OK) {
        *gone = ep.length == 0 || !ep.keep;
        st = *gone ? FW_OK : rec_episode_add(&ep, r->w, err);
        rec_episode_clear(&ep);
    }
    fw_names_free(paths, (size_t)e->parts);
    return st;
}

static void remove_files(fw_recorder *r, const ended *e) {
    char path[STORE_PATH];
    for (int i = 0; i < e->parts; i++) {
        if (segment_path(r, e->episode, i, path, NULL) == FW_OK) {
            (void)unlink(path); /* a file that stays is found to be sealed already, next time */
        }
    }
}

/* After a failure: what is in the dataset all the same (it failed after info.json was replaced). Mutex held by nobody; the list's first
 * n do not change meanwhile. */
static fw_status recheck(fw_recorder *r, int n, fw_err *err) {
    char(*name)[REC_NAME] = calloc((size_t)n + 1, sizeof(*name));
    bool *sealed = calloc((size_t)n + 1, sizeof(bool));
    fw_status st = name != NULL && sealed != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", r->dir);
    pthread_mutex_lock(&r->mutex);
    for (int i = 0; i < n && st == FW_OK; i++) {
        recording_name(r, r->list[i].episode, name[i]);
    }
    pthread_mutex_unlock(&r->mutex);
    st = st == FW_OK ? rec_find_sealed(r->dir, name, n, sealed, err) : st;
    pthread_mutex_lock(&r->mutex);
    for (int i = n - 1; i >= 0 && st == FW_OK; i--) {
        if (sealed[i]) {
            ended e = r->list[i];
            memmove(r->list + i, r->list + i + 1, (size_t)(--r->n_list - i) * sizeof(ended));
            r->sealed_episodes++;
            remove_files(r, &e);
        }
    }
    r->recheck = st != FW_OK;
    pthread_mutex_unlock(&r->mutex);
    free(name);
    free(sealed);
    return st;
}

/* The first n of the list are done: their files go. Called with the mutex held, which is given back meanwhile. */
static void clear_list(fw_recorder *r, int n) {
    ended first[16];
    while (n > 0) {
        int k = n < 16 ? n : 16;
        memcpy(first, r->list, (size_t)k * sizeof(ended));
        memmove(r->list, r->list + k, (size_t)(r->n_list - k) * sizeof(ended));
        r->n_list -= k;
        r->n_added -= k;
        n -= k;
        pthread_mutex_unlock(&r->mutex);
        for (int i = 0; i < k; i++) {
            remove_files(r, &first[i]);
        }
        (void)rec_sync_folder(r->folder, NULL);
        pthread_mutex_lock(&r->mutex);
    }
}

static void seal_failed(fw_recorder *r, const fw_err *why) {
    pthread_mutex_unlock(&r->mutex);
    fw_writer_abort(r->w);
    r->w = NULL;
    pthread_mutex_lock(&r->mutex);
    r->n_added = 0;
    r->recheck = true;
    r->seal_errors++;
    r->seal_error = *why;
    r->seal_now = false;
    fw_log(FW_LOG_ERROR, "%s; recordings wait in %s", why->msg, r->folder);
}

/* One step: add the next episode, or seal. Called and returns with the mutex held. */
static fw_status seal_step(fw_recorder *r, fw_err *err) {
    fw_status st = FW_OK;
    bool gone = false;
    if (r->recheck) {
        int n = r->n_list;
        pthread_mutex_unlock(&r->mutex);
        st = recheck(r, n, err);
        pthread_mutex_lock(&r->mutex);
    } else if (r->n_added < r->n_list) {
        ended e = r->list[r->n_added];
        pthread_mutex_unlock(&r->mutex);
        st = add_ended(r, &e, &gone, err);
        if (gone) {
            remove_files(r, &e);
        }
        pthread_mutex_lock(&r->mutex);
        if (st == FW_OK && gone) {
            memmove(r->list + r->n_added, r->list + r->n_added + 1,
                    (size_t)(r->n_list - r->n_added - 1) * sizeof(ended));
            r->n_list--;
        }
        r->n_added += st == FW_OK && !gone;
    } else if (r->n_added > 0) {
        pthread_mutex_unlock(&r->mutex);
        st = fw_writer_seal(r->w, err);
        pthread_mutex_lock(&r->mutex);
    }
    if (st == FW_OK && r->w != NULL && fw_writer_sealed(r->w) > r->w_sealed) {
        int64_t n = fw_writer_sealed(r->w) - r->w_sealed;
        r->w_sealed += n;
        r->sealed_episodes += (uint64_t)n;
        clear_list(r, (int)n);
    }
    return st;
}

static void *seal_main(void *arg) {
    fw_recorder *r = arg;
    fw_err why;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 10); /* the control loop comes first */
    pthread_mutex_lock(&r->mutex);
    while (!r->seal_stop) {
        bool all = r->n_added == r->n_list && !r->recheck;
        if (all && !(r->seal_now && r->n_added > 0)) {
            r->seal_now = false;
            r->seal_round++;
            pthread_cond_broadcast(&r->done);
            pthread_cond_wait(&r->work, &r->mutex);
            continue;
        }
        if (seal_step(r, &why) == FW_OK) {
            r->seal_error = (fw_err){FW_OK, ""};
            continue;
        }
        seal_failed(r, &why);
        r->seal_round++;
        pthread_cond_broadcast(&r->done);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        if (!r->seal_stop) {
            (void)pthread_cond_timedwait(&r->work, &r->mutex, &until);
        }
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

/* --- asking, waiting --- */

void fw_recorder_get_state(fw_recorder *r, fw_recorder_state *out) {
    uint64_t tail = atomic_load(&r->tail);
    *out = (fw_recorder_state){.taken = atomic_load(&r->taken),
                               .acknowledged = fw_recorder_acknowledged(r),
                               .refused = atomic_load(&r->refused),
                               .queued = atomic_load(&r->head) - tail,
                               .queue = r->n_slots - 2,
                               .disk_errors = atomic_load(&r->disk_errors)};
    pthread_mutex_lock(&r->mutex);
    out->sealed_episodes = r->sealed_episodes;
    out->waiting_episodes = (uint64_t)r->n_list;
    out->seal_errors = r->seal_errors;
    out->last_error = r->disk_error.code != FW_OK ? r->disk_error : r->seal_error;
    pthread_mutex_unlock(&r->mutex);
}

fw_status fw_recorder_sync(fw_recorder *r, int timeout_ms, fw_err *err) {
    uint64_t want = atomic_load(&r->head);
    int64_t until = fw_now_ns() + (int64_t)timeout_ms * 1000000;
    while (atomic_load_explicit(&r->tail, memory_order_acquire) < want) {
        if (fw_now_ns() > until) {
            fw_recorder_state s;
            fw_recorder_get_state(r, &s);
            return fw_fail(err, FW_TIMEOUT, "%s: %llu records are not on the disk after %d ms%s%.150s", r->dir,
                           (unsigned long long)s.queued, timeout_ms, s.last_error.code != FW_OK ? ": " : "",
                           s.last_error.msg);
        }
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
    return FW_OK;
}

fw_status fw_recorder_seal(fw_recorder *r, fw_err *err) {
    FW_TRY(fw_recorder_sync(r, 10000, err));
    fw_status st = FW_OK;
    pthread_mutex_lock(&r->mutex);
    while (r->n_list > 0 && st == FW_OK) {
        uint64_t round = r->seal_round;
        r->seal_now = true;
        pthread_cond_signal(&r->work);
        while (round == r->seal_round) {
            pthread_cond_wait(&r->done, &r->mutex);
        }
        if (r->seal_error.code != FW_OK) {
            st = fw_fail(err, r->seal_error.code, "%s", r->seal_error.msg);
        }
    }
    pthread_mutex_unlock(&r->mutex);
    return st;
}

/* --- open, close --- */

/* "<ns since 1970, hex>-<random>": names sort in the order of recording. */
static void session_name(fw_recorder *r) {
    struct timespec t;
    uint16_t salt = (uint16_t)getpid();
    clock_gettime(CLOCK_REALTIME, &t);
    (void)!getrandom(&salt, sizeof(salt), 0);
    (void)!getrandom(&r->key, sizeof(r->key), 0);
    snprintf(r->session, sizeof(r->session), "%016llx-%04x",
             (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec, salt);
}

static fw_status make_ring(fw_recorder *r, int queue_frames, fw_err *err) {
    int64_t n = queue_frames > 0 ? queue_frames : 2 * r->wd.fps;
    n = queue_frames > 0 || n >= 32 ? n : 32;
    uint32_t begin = rec_begin_max(r->desc), frame = r->layout.fixed + FW_RECORDER_TEXT;
    r->n_slots = (uint64_t)n + 2;
    r->slot_bytes = fw_seg_size(begin > frame ? begin : frame);
    r->begin = malloc(fw_seg_size(begin));
    r->slots = calloc(r->n_slots, sizeof(slot));
    r->ring = n <= 1 << 20 ? calloc(r->n_slots, r->slot_bytes) : NULL;
    if (r->slots == NULL || r->ring == NULL || r->begin == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: a queue of %lld frames of %zu bytes", r->dir, (long long)n, r->slot_bytes);
    }
    memset(r->ring, 1, r->n_slots * r->slot_bytes); /* the pages are there before the first frame comes */
    return FW_OK;
}

static fw_status start_threads(fw_recorder *r, fw_err *err) {
    if (pthread_create(&r->writing, NULL, write_main, r) != 0) {
        return fw_fail(err, FW_NOMEM, "%s: cannot start a thread", r->dir);
    }
    if (pthread_create(&r->sealing, NULL, seal_main, r) != 0) {
        atomic_store(&r->stop, 2);
        sem_post(&r->wake);
        pthread_join(r->writing, NULL);
        return fw_fail(err, FW_NOMEM, "%s: cannot start a thread", r->dir);
    }
    r->threads = true;
    return FW_OK;
}

static fw_status prepare(fw_recorder *r, const fw_recorder_desc *desc, fw_err *err) {
    if (desc->writer.robot_type == NULL || desc->writer.n_state < 1 || desc->writer.n_action < 1 ||
        desc->writer.n_cameras < 0 || desc->writer.n_cameras > FW_MAX_CAMERAS || desc->writer.state_names == NULL ||
        desc->writer.action_names == NULL || desc->queue_frames < 0) {
        return fw_fail(err, FW_INVALID, "%s: recorder: wanted a robot, state, action and 0..%d cameras", r->dir,
                       FW_MAX_CAMERAS);
    }
    if ((r->desc = rec_desc_text(&desc->writer)) == NULL) {
        return fw_fail(err, FW_INVALID, "%s: recorder: a name is missing or not UTF-8", r->dir);
    }
    FW_TRY(rec_desc_parse(r->desc, strlen(r->desc), r->dir, &r->own, err));
    r->own.d.seal_every = desc->writer.seal_every;
    r->own.d.data_mb = desc->writer.data_mb;
    r->own.d.video_mb = desc->writer.video_mb;
    r->wd = rec_writer_desc(&r->own.d);
    FW_TRY(rec_layout_of(&r->wd, &r->layout, err));
    FW_TRY(make_ring(r, desc->queue_frames, err));
    session_name(r);
    return FW_OK;
}

fw_status fw_recorder_open(const char *dir, const fw_recorder_desc *desc, fw_recorder **out, fw_err *err) {
    fw_status st;
    fw_recovered rec;
    char folder[STORE_PATH];
    *out = NULL;
    FW_TRY(fw_path_join(folder, sizeof(folder), dir, REC_FOLDER, err));
    fw_recorder *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: recorder", dir);
    }
    r->lock = r->fd = -1;
    r->begin_slot.episode = UINT64_MAX;
    sem_init(&r->wake, 0, 0);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->done, NULL);
    if ((r->dir = strdup(dir)) == NULL || (r->folder = strdup(folder)) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: recorder", dir);
        goto done;
    }
    if ((st = prepare(r, desc, err)) != FW_OK || (st = rec_lock(dir, &r->lock, err)) != FW_OK ||
        (st = rec_recover(dir, &rec, err)) != FW_OK || (st = open_writer(r, err)) != FW_OK) {
        goto done;
    }
    st = start_threads(r, err);
done:
    if (st != FW_OK) {
        fw_recorder_abort(r);
        r = NULL;
    }
    *out = r;
    return st;
}

static void stop_threads(fw_recorder *r, int how) {
    if (!r->threads) {
        return;
    }
    atomic_store(&r->stop, how);
    sem_post(&r->wake);
    pthread_join(r->writing, NULL);
    pthread_mutex_lock(&r->mutex);
    r->seal_stop = true;
    pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->mutex);
    pthread_join(r->sealing, NULL);
    r->threads = false;
}

void fw_recorder_abort(fw_recorder *r) {
    if (r == NULL) {
        return;
    }
    stop_threads(r, 2);
    fw_writer_abort(r->w);
    if (r->lock >= 0) {
        close(r->lock);
    }
    rec_desc_clear(&r->own);
    free(r->desc);
    free(r->list);
    free(r->begin);
    free(r->slots);
    free(r->ring);
    free(r->dir);
    free(r->folder);
    pthread_cond_destroy(&r->done);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->mutex);
    sem_destroy(&r->wake);
    free(r);
}

fw_status fw_recorder_close(fw_recorder *r, fw_err *err) {
    fw_recovered rec;
    bool open = r->within; /* its file is sealed below as one that was cut off */
    fw_status st = fw_recorder_seal(r, err);
    stop_threads(r, st == FW_OK ? 1 : 2);
    if (st == FW_OK && open) {
        fw_writer_abort(r->w);
        r->w = NULL;
        st = rec_recover(r->dir, &rec, err);
    }
    fw_recorder_abort(r);
    return st;
}
