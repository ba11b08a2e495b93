/* run_page.c - the page of `flywheel run`: what it hears becomes the session's business, what is shown of it (docs/CONSOLE.md). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/jpeg.h"
#include "run.h"

enum { JPEG_QUALITY = 80 };

/* ---- what it hears ---- */

/* x, y, z, yaw of the first arm, and its gripper, by meaning. */
static void shares(const run *r, const fw_console_command *k, float *share) {
    int nth = 0;
    for (int i = 0; i < r->e.n_action; i++) {
        const fw_dim *d = &r->e.action[i];
        share[i] = d->meaning == FW_MEANING_GRIPPER ? NAN : 0;
        if (d->arm != 0) {
            continue;
        }
        if (d->meaning == FW_MEANING_EE_DELTA_POS && nth < 3) {
            share[i] = k->step[nth++];
        } else if (d->meaning == FW_MEANING_EE_DELTA_YAW) {
            share[i] = k->step[3];
        } else if (d->meaning == FW_MEANING_GRIPPER && k->has_gripper) {
            share[i] = k->gripper;
        }
    }
}

static fw_status operate(run *r, uint64_t who, const fw_console_command *k, fw_err *err) {
    float share[FW_DIM_MAX];
    if (k->verb == FW_CONSOLE_MOVE) {
        shares(r, k, share);
        return fw_session_move(r->session, who, share, err);
    }
    if (k->n != r->body->n_axis) {
        return fw_fail(err, FW_SHAPE, "%d positions, %s has %d axes", k->n, r->body->name, r->body->n_axis);
    }
    return fw_session_joints(r->session, who, k->position, err);
}

static fw_status obey(run *r, uint64_t who, const fw_console_command *k, fw_err *err) {
    fw_session *s = r->session;
    switch (k->verb) {
    case FW_CONSOLE_SAY:
        return fw_session_say(s, k->text, err);
    case FW_CONSOLE_START:
        return fw_session_run(s, err);
    case FW_CONSOLE_PAUSE:
        fw_session_pause(s);
        return FW_OK;
    case FW_CONSOLE_STOP:
    case FW_CONSOLE_RELEASE:
        fw_session_press(s, k->verb == FW_CONSOLE_STOP);
        return FW_OK;
    case FW_CONSOLE_ACKNOWLEDGE:
        fw_session_acknowledge(s);
        return FW_OK;
    case FW_CONSOLE_OFF:
        fw_session_off(s);
        return FW_OK;
    case FW_CONSOLE_TAKE:
        return fw_session_take(s, who, r->leader != NULL, err);
    case FW_CONSOLE_GIVE:
        return fw_session_give(s, who, err);
    case FW_CONSOLE_MOVE:
    case FW_CONSOLE_JOINTS:
        return operate(r, who, k, err);
    case FW_CONSOLE_MARK:
        return fw_session_mark(s, who, (fw_session_verdict)k->mark, k->text, err);
    case FW_CONSOLE_NEW:
        fw_session_end_episode(s, -1);
        atomic_store(&r->again, r->simulated);
        return FW_OK;
    case FW_CONSOLE_VERBS:
    default:
        return fw_fail(err, FW_INVALID, "unknown command");
    }
}

static bool heard(void *ctx, uint64_t who, const fw_console_command *k, char *why, size_t cap) {
    fw_err err;
    const fw_status st = obey(ctx, who, k, &err);
    if (st != FW_OK) {
        snprintf(why, cap, "%s", err.msg);
    }
    return st == FW_OK;
}

static void gone(void *ctx, uint64_t who) {
    fw_session_left(((run *)ctx)->session, who);
}

void run_page_log(void *ctx, const char *line) {
    fw_console *c = atomic_load(&((run *)ctx)->console);
    if (c != NULL) {
        fw_console_log(c, line);
    }
}

/* ---- what it shows ---- */

static json_t *faults_json(uint32_t bits) {
    json_t *list = json_array();
    for (int i = 0; i < FW_SAFETY_N_FAULT; i++) {
        if ((bits >> i & 1) != 0) {
            json_array_append_new(list, json_string(fw_safety_fault_text(i)));
        }
    }
    return list;
}

static json_t *axes_json(const run *r, const fw_control_status *c) {
    json_t *list = json_array();
    for (int i = 0; i < r->body->n_axis; i++) {
        const fw_safety_axis *l = &r->limits.axis[i];
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "name", r->body->axis[i].name, "q",
                                              (double)c->position[i], "v", (double)c->velocity[i], "effort",
                                              (double)c->effort[i], "command", (double)c->command[i], "min",
                                              (double)l->position_min, "max", (double)l->position_max));
    }
    return list;
}

static json_t *reals(const float *x, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(list, json_real(isfinite(x[i]) ? round(1e4 * (double)x[i]) * 1e-4 : 0));
    }
    return list;
}

static json_t *links_json(const run *r, const fw_control_status *c) {
    json_t *list = json_array();
    float xyzr[FW_BODY_LINK_MAX * 7];
    if (r->of_page.target == NULL) {
        return list;
    }
    fw_body_links(r->of_page.target, c->position, xyzr);
    for (int i = 0; i < fw_body_n_link(r->of_page.target); i++) {
        json_array_append_new(list, reals(xyzr + 7 * i, 7));
    }
    return list;
}

static json_t *recording_json(const fw_session_status *s) {
    return json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:s}", "on", s->records, "within", s->within, "episode",
                     (json_int_t)s->episodes, "frames", (json_int_t)s->frames, "acknowledged",
                     (json_int_t)s->recorder.acknowledged, "interventions", (json_int_t)s->interventions, "error",
                     s->recorder.last_error.code != FW_OK ? s->recorder.last_error.msg : "");
}

/* Pictures that the page has not got go out; what it reads of each camera. */
static json_t *cameras_json(run *r, fw_console *console) {
    json_t *list = json_array();
    for (int i = 0; i < r->body->n_camera; i++) {
        const fw_camera *cam = &r->body->camera[i];
        fw_driver_frame f = {0};
        fw_err err;
        uint8_t *jpeg;
        size_t n;
        const fw_status st = fw_control_picture(r->control, i, r->picture, &f, &err);
        if (f.seq > 0 && f.seq != r->shown[i] && fw_console_watchers(console) > 0 &&
            fw_jpeg_encode(r->picture, f.h, f.w, JPEG_QUALITY, &jpeg, &n, &err) == FW_OK) {
            fw_console_picture(console, i, jpeg, n);
            free(jpeg);
            r->shown[i] = f.seq;
        }
        json_array_append_new(
            list, json_pack("{s:s, s:i, s:i, s:f, s:b}", "name", cam->name, "w", cam->width, "h", cam->height, "age_s",
                            f.seq > 0 ? 1e-9 * (double)(fw_now_ns() - f.t_ns) : -1.0, "gone", st == FW_CLOSED));
    }
    return list;
}

static json_t *chunk_json(const run *r, const fw_control_status *c) {
    return json_pack("{s:I, s:i, s:i, s:f, s:i, s:f}", "n", (json_int_t)c->chunks, "row", c->row, "horizon",
                     r->info.horizon, "infer_ms", 1e3 * c->infer_s, "delay_rows", (int)ceil(c->infer_s * r->e.rate_hz),
                     "jump", (double)c->jump);
}

static json_t *state_json(run *r, fw_console *console, const fw_session_status *s) {
    static const char *const modes[] = {"silent", "standby", "autonomous", "teleoperated"};
    static const char *const severities[] = {"none", "warn", "hold", "retract", "stop", "terminate"};
    const fw_control_status *c = &s->control;
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:I, s:b, s:b, s:f, s:I, s:I}", "robot",
                          r->body->name, "embodiment", r->e.name, "policy", r->policy != NULL ? r->info.name : "",
                          "mode", (unsigned)c->mode < 4 ? modes[c->mode] : "silent", "severity",
                          (unsigned)c->severity < 6 ? severities[c->severity] : "terminate", "why", s->why, "faults",
                          faults_json(c->latched), "refused", faults_json(c->refused), "sentence", s->sentence,
                          "subtask", "", "holder", (json_int_t)s->holder, "stopped", s->stopped, "leader", s->leader,
                          "t_s", 1e-9 * (double)(fw_now_ns() - r->began_ns), "cycles", (json_int_t)c->cycle, "misses",
                          (json_int_t)c->misses);
    if (j == NULL) {
        return NULL;
    }
    json_object_set_new(j, "axes", axes_json(r, c));
    json_object_set_new(j, "action", reals(c->action, r->e.n_action));
    json_object_set_new(j, "chunk", chunk_json(r, c));
    json_object_set_new(j, "failure", json_null());
    json_object_set_new(j, "latency_ms",
                        json_pack("{s:f, s:f}", "p50", 1e3 * s->infer_p50_s, "p99", 1e3 * s->infer_p99_s));
    json_object_set_new(j, "links", links_json(r, c));
    json_object_set_new(j, "cameras", cameras_json(r, console));
    json_object_set_new(j, "recording", recording_json(s));
    if (r->simulated) {
        json_object_set_new(j, "task", run_sim_now_json(r));
    }
    return j;
}

void run_page_show(run *r) {
    fw_console *console = atomic_load(&r->console);
    fw_session_status s;
    if (console == NULL) {
        return;
    }
    fw_session_get(r->session, &s);
    json_t *j = state_json(r, console, &s);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text != NULL) {
        fw_console_state(console, text);
    }
    free(text);
    json_decref(j);
}

fw_status run_page_start(run *r, fw_err *err) {
    const fw_console_opts o = {.host = r->a.host,
                               .port = (int)r->a.port,
                               .keys = r->a.keys,
                               .cert = r->a.cert,
                               .key = r->a.key,
                               .web = r->a.web};
    const fw_console_events on = {.ctx = r, .command = heard, .left = gone};
    fw_console *c;
    FW_TRY(fw_console_start(&o, &on, &c, err));
    atomic_store(&r->console, c);
    return FW_OK;
}

void run_page_stop(run *r) {
    fw_console_stop(atomic_exchange(&r->console, NULL));
}
