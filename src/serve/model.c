/*
 * model.c - WHAT: a model's queue and its worker.
 *
 * DESIGN. The worker takes the first request and, if it may run several together, waits a moment for more. Requests past their deadline
 * and those that are no observation are answered before the network runs; the rest run as one batch, each with its own outcome.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/serve_int.h"

void fw_request_free(request *r) {
    if (r != NULL) {
        fw_observed_clear(&r->seen);
        fw_mp_clear(&r->doc);
        fw_buf_free(&r->message);
        fw_serve_session_drop(r->session);
        free(r);
    }
}

fw_status fw_model_put(model *m, request *r, fw_err *err) {
    fw_serve *s = m->s;
    fw_metrics_received(&m->metrics, r->message.n);
    pthread_mutex_lock(&m->lock);
    const int n = m->n_waiting;
    const bool full = n >= s->o.max_queue;
    if (!full) {
        r->next = NULL;
        *m->end = r;
        m->end = &r->next;
        m->n_waiting++;
        atomic_fetch_add(&s->under_way, 1);
        pthread_cond_signal(&m->more);
    }
    pthread_mutex_unlock(&m->lock);
    return full ? fw_fail(err, FW_AGAIN, "model '%s': %d observations wait already, as many as this server keeps",
                          m->name, n)
                : FW_OK;
}

int fw_model_waiting(model *m) {
    pthread_mutex_lock(&m->lock);
    const int n = m->n_waiting;
    pthread_mutex_unlock(&m->lock);
    return n;
}

/* ---- the worker ---- */

static request *pop(model *m) {
    request *r = m->first;
    m->first = r->next;
    m->end = m->first == NULL ? &m->first : m->end;
    m->n_waiting--;
    return r;
}

static struct timespec monotonic(int64_t ns) {
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* Up to max_batch requests, the first as soon as there is one. 0: the server stops. */
static int gather(model *m, request **batch) {
    const int most = atomic_load(&m->s->max_batch);
    int n = 0;
    pthread_mutex_lock(&m->lock);
    while (m->first == NULL && !atomic_load(&m->s->stop)) {
        pthread_cond_wait(&m->more, &m->lock);
    }
    if (m->first != NULL) {
        const double wait_ms = most > 1 ? atomic_load(&m->s->batch_wait_ms) : 0;
        const struct timespec until = monotonic(m->first->came_ns + (int64_t)(1e6 * wait_ms));
        batch[n++] = pop(m);
        while (n < most) {
            if (m->first != NULL) {
                batch[n++] = pop(m);
            } else if (wait_ms <= 0 || atomic_load(&m->s->stop) ||
                       pthread_cond_timedwait(&m->more, &m->lock, &until) != 0) {
                break;
            }
        }
    }
    pthread_mutex_unlock(&m->lock);
    return n;
}

static void done(request *r) {
    fw_serve *s = r->model->s;
    fw_request_free(r);
    atomic_fetch_sub(&s->under_way, 1);
}

static void refuse(request *r, const fw_err *err) {
    fw_metrics_failed(&r->model->metrics, err->code);
    fw_answer_error(r, err);
    done(r);
}

/* Once a connection: a camera that is not there may be a name that is not known. */
static void warn_missing(request *r) {
    const fw_embodiment *e = r->model->info.embodiment;
    if (r->seen.missing >= 0 && !r->session->warned) {
        r->session->warned = true;
        fw_warn("connection %llu: no picture of camera '%s' of %s", (unsigned long long)r->session->id,
                e->camera[r->seen.missing].name, e->name);
    }
}

static fw_status look(request *r, fw_err *err) {
    const fw_serve *s = r->model->s;
    r->begun_ns = fw_now_ns();
    const double waited_ms = 1e-6 * (double)(r->begun_ns - r->came_ns);
    if (s->o.deadline_ms > 0 && waited_ms > s->o.deadline_ms) {
        return fw_fail(err, FW_TIMEOUT, "model '%s': the observation waited %.1f ms, the deadline is %.1f ms",
                       r->model->name, waited_ms, s->o.deadline_ms);
    }
    FW_TRY(fw_observe(r->model->info.embodiment, &s->o.map, s->default_prompt, r->obs, &r->seen, err));
    r->seen.obs.t_ns = r->came_ns;
    r->decode_ms = 1e-6 * (double)(fw_now_ns() - r->begun_ns);
    warn_missing(r);
    return FW_OK;
}

/* Those that can be run, in place; the others are answered. */
static int look_at_all(request **batch, int n) {
    int kept = 0;
    for (int i = 0; i < n; i++) {
        fw_err err = {0};
        if (look(batch[i], &err) == FW_OK) {
            batch[kept++] = batch[i];
        } else {
            refuse(batch[i], &err);
        }
    }
    return kept;
}

static void infer(model *m, request **batch, int n, fw_err *err) {
    const size_t values = (size_t)m->info.horizon * (size_t)m->info.embodiment->n_action;
    for (int i = 0; i < n; i++) {
        m->obs[i] = batch[i]->seen.obs;
        m->chunk[i] = (fw_chunk){.actions = m->actions + (size_t)i * values, .cap_horizon = m->info.horizon};
        err[i] = (fw_err){0};
    }
    const int64_t from = fw_now_ns();
    fw_policy_infer_batch(m->policy, n, m->obs, m->chunk, err);
    const double ms = 1e-6 * (double)(fw_now_ns() - from);
    fw_metrics_batch(&m->metrics, n);
    for (int i = 0; i < n; i++) {
        if (err[i].code != FW_OK) {
            refuse(batch[i], &err[i]);
        } else {
            fw_answer_chunk(batch[i], &m->chunk[i], ms, n);
            done(batch[i]);
        }
    }
}

static void *work(void *self) {
    model *m = self;
    request *batch[FW_SERVE_BATCH];
    fw_err *err = calloc(FW_SERVE_BATCH, sizeof *err);
    for (int n; err != NULL && (n = gather(m, batch)) > 0;) {
        n = look_at_all(batch, n);
        if (n > 0) {
            infer(m, batch, n, err);
        }
    }
    free(err);
    return NULL;
}

/* ---- start and stop ---- */

fw_status fw_model_start(model *m, fw_err *err) {
    pthread_condattr_t a;
    fw_policy_describe(m->policy, &m->info);
    const size_t values = (size_t)m->info.horizon * (size_t)m->info.embodiment->n_action;
    m->end = &m->first;
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->metrics.lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&m->more, &a);
    pthread_condattr_destroy(&a);
    m->actions = calloc(FW_SERVE_BATCH * values, sizeof *m->actions);
    m->running = m->actions != NULL && pthread_create(&m->worker, NULL, work, m) == 0;
    return m->running ? FW_OK : fw_fail(err, FW_NOMEM, "model '%s': no memory for its worker", m->name);
}

void fw_model_stop(model *m) {
    if (m->end == NULL) {
        return; /* never started */
    }
    pthread_mutex_lock(&m->lock);
    pthread_cond_broadcast(&m->more);
    pthread_mutex_unlock(&m->lock);
    if (m->running) {
        pthread_join(m->worker, NULL);
    }
    while (m->first != NULL) {
        done(pop(m));
    }
    free(m->actions);
    pthread_cond_destroy(&m->more);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->metrics.lock);
}
