/* remote.c - WHAT: observation out, chunk in, and a connection that may fail at any time; see remote.h */
#include "wire/remote.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/embodiment.h"
#include "base/log.h"
#include "wire/mp_json.h"
#include "wire/ws_client.h"

enum { ROWS_MAX = 4096, BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000 };

/* How an environment of openpi calls things. A camera "images/x" lies in the map "images". */
typedef struct style {
    const char *name;
    const char *camera[FW_CAM_MAX]; /* NULL: by our name, in "images" */
    const char *state[2];
    int n_second; /* numbers at the state's end that are called state[1] */
    bool channels_first;
} style;

static const style styles[] = {
    {"flywheel", {NULL}, {"state", NULL}, 0, false},
    {"aloha",
     {"images/cam_high", "images/cam_left_wrist", "images/cam_right_wrist", "images/cam_low"},
     {"state", NULL},
     0,
     true},
    {"droid",
     {"observation/exterior_image_1_left", "observation/wrist_image_left"},
     {"observation/joint_position", "observation/gripper_position"},
     1,
     false},
    {"libero", {"observation/image", "observation/wrist_image"}, {"observation/state", NULL}, 0, false},
};

typedef struct remote {
    fw_policy base; /* first */
    char *url, *api_key, *ca;
    const style *style;
    fw_embodiment e;
    int horizon, n_execute, max_delay, timeout_ms, connect_ms;
    bool wants_motion, guided, ours; /* ours: a server of ours, which knows more keys */
    double rate_hz;
    fw_ws_client *ws; /* NULL: not connected */
    int backoff_ms;
    int64_t next_try_ns;
    fw_err last; /* why it is not connected */
    float *rows; /* [ROWS_MAX or horizon, n_action] of the last answer, checked */
    size_t cap;
} remote;

/* ---- the connection ---- */

static void hang_up(remote *p, const fw_err *why) {
    fw_ws_client_close(p->ws);
    p->ws = NULL;
    p->last = *why;
    p->backoff_ms = p->backoff_ms == 0                   ? BACKOFF_FIRST_MS
                    : 2 * p->backoff_ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : 2 * p->backoff_ms;
    p->next_try_ns = fw_now_ns() + (int64_t)p->backoff_ms * 1000000;
    fw_warn("%s; next try in %d ms", why->msg, p->backoff_ms);
}

/* The message that the server begins with. */
static fw_status greet(remote *p, json_t **metadata, fw_err *err) {
    fw_buf m;
    bool text = false;
    fw_mp_doc doc = {0};
    fw_status st = fw_ws_client_recv(p->ws, p->connect_ms, &m, &text, err);
    if (st == FW_OK && text) {
        st = fw_fail(err, FW_FORMAT, "%s: the server greets with '%.*s'", p->url, (int)(m.n < 100 ? m.n : 100),
                     (const char *)fw_buf_data(&m));
    }
    st = st == FW_OK ? fw_mp_parse(fw_buf_data(&m), m.n, &doc, err) : st;
    if (st == FW_OK && metadata != NULL && fw_mp_to_json(&doc.root, metadata, NULL) != FW_OK) {
        *metadata = json_object(); /* metadata with arrays or bytes: not ours */
    }
    fw_mp_clear(&doc);
    fw_buf_free(&m);
    return st;
}

static fw_status reach(remote *p, json_t **metadata, fw_err *err) {
    const fw_ws_client_opts o = {.url = p->url, .api_key = p->api_key, .ca = p->ca};
    FW_TRY(fw_ws_client_open(&o, p->connect_ms, &p->ws, err));
    return greet(p, metadata, err);
}

static fw_status need_connection(remote *p, fw_err *err) {
    const int64_t wait = p->next_try_ns - fw_now_ns();
    fw_err why = {0};
    if (p->ws != NULL) {
        return FW_OK;
    }
    if (wait > 0) {
        return fw_fail(err, FW_CLOSED, "%.180s (next try in %d ms)", p->last.msg, (int)(wait / 1000000) + 1);
    }
    if (reach(p, NULL, &why) != FW_OK) {
        hang_up(p, &why);
        return fw_fail(err, why.code, "%s", why.msg);
    }
    fw_info("%s: connected again", p->url);
    return FW_OK;
}

/* ---- the question ---- */

static void put_picture(fw_mp_out *o, const remote *p, const fw_image *im, uint8_t *planes) {
    const size_t area = (size_t)im->h * (size_t)im->w;
    const int64_t last[] = {im->h, im->w, 3}, first[] = {3, im->h, im->w};
    if (!p->style->channels_first) {
        fw_nd_put(o, FW_ND_OPENPI, "|u1", 3, last, im->rgb);
        return;
    }
    for (size_t i = 0; i < area; i++) {
        for (size_t c = 0; c < 3; c++) {
            planes[c * area + i] = im->rgb[3 * i + c];
        }
    }
    fw_nd_put(o, FW_ND_OPENPI, "|u1", 3, first, planes);
}

static const char *camera_key(const remote *p, int i) {
    const char *key = p->style->camera[i];
    return key != NULL ? key : p->e.camera[i].name;
}

static bool is_inner(const remote *p, int i) {
    return p->style->camera[i] == NULL || strncmp(p->style->camera[i], "images/", 7) == 0;
}

/* Pictures that lie in the map "images" (inner), or beside it. Returns how many; o NULL: only counts. */
static int put_pictures(fw_mp_out *o, const remote *p, const fw_obs *obs, bool inner, uint8_t *planes) {
    int n = 0;
    for (int i = 0; i < obs->n_image; i++) {
        if (obs->image[i].rgb == NULL || is_inner(p, i) != inner) {
            continue;
        }
        n++;
        if (o != NULL) {
            const char *key = camera_key(p, i);
            fw_mp_str(o, strncmp(key, "images/", 7) == 0 ? key + 7 : key);
            put_picture(o, p, &obs->image[i], planes);
        }
    }
    return n;
}

static void put_numbers(fw_mp_out *o, const char *key, const float *x, int rows, int n) {
    const int64_t shape[] = {rows, n};
    fw_mp_str(o, key);
    fw_nd_put(o, FW_ND_OPENPI, "<f4", rows > 0 ? 2 : 1, rows > 0 ? shape : shape + 1, x);
}

static void put_state(fw_mp_out *o, const remote *p, const fw_obs *obs) {
    const int second = p->style->n_second;
    put_numbers(o, p->style->state[0], obs->state, 0, obs->n_state - second);
    if (second > 0) {
        put_numbers(o, p->style->state[1], obs->state + (obs->n_state - second), 0, second);
    }
}

/* What only servers of ours read. Returns how many keys; o NULL: only counts. */
static int put_more(fw_mp_out *o, const remote *p, const fw_obs *obs) {
    int n = 0;
    const int rows = obs->prefix != NULL ? obs->n_prefix + obs->n_wish : 0;
    if (!p->ours) {
        return 0;
    }
    if (obs->prev_state != NULL && ++n > 0 && o != NULL) {
        put_numbers(o, "prev_state", obs->prev_state, 0, obs->n_state);
    }
    if (obs->prev_action != NULL && ++n > 0 && o != NULL) {
        put_numbers(o, "prev_action", obs->prev_action, 0, p->e.n_action);
    }
    if (rows > 0) {
        n += 2;
        if (o != NULL) {
            put_numbers(o, "prefix", obs->prefix, rows, p->e.n_action);
            fw_mp_str(o, "n_prefix"), fw_mp_int(o, obs->n_prefix);
        }
    }
    return n;
}

static fw_status write_question(const remote *p, const fw_obs *obs, fw_buf *out, fw_err *err) {
    const int inner = put_pictures(NULL, p, obs, true, NULL), beside = put_pictures(NULL, p, obs, false, NULL);
    size_t largest = 1;
    fw_mp_out o;
    for (int i = 0; i < obs->n_image; i++) {
        const size_t bytes = obs->image[i].rgb != NULL ? (size_t)obs->image[i].h * (size_t)obs->image[i].w * 3 : 0;
        largest = bytes > largest ? bytes : largest;
    }
    uint8_t *planes = p->style->channels_first ? malloc(largest) : NULL;
    fw_mp_begin(&o);
    o.failed = p->style->channels_first && planes == NULL;
    if (!o.failed) {
        fw_mp_map(&o, (size_t)(beside + (inner > 0) + 1 + (p->style->n_second > 0) + 1 + put_more(NULL, p, obs)));
        if (inner > 0) {
            fw_mp_str(&o, "images"), fw_mp_map(&o, (size_t)inner);
            put_pictures(&o, p, obs, true, planes);
        }
        put_pictures(&o, p, obs, false, planes);
        put_state(&o, p, obs);
        fw_mp_str(&o, "prompt"), fw_mp_str(&o, obs->instruction != NULL ? obs->instruction : "");
        put_more(&o, p, obs);
    }
    free(planes);
    return fw_mp_end(&o, out, err);
}

static fw_status check_obs(const remote *p, const fw_obs *obs, const fw_chunk *chunk, fw_err *err) {
    if (obs->n_state != p->e.n_state || obs->n_image != p->e.n_camera) {
        return fw_fail(err, FW_SHAPE, "%d numbers of state and %d pictures, the robot has %d and %d", obs->n_state,
                       obs->n_image, p->e.n_state, p->e.n_camera);
    }
    for (int i = 0; i < obs->n_state; i++) {
        if (!isfinite(obs->state[i])) {
            return fw_fail(err, FW_FORMAT, "state '%s' is %g", p->e.state[i].name, (double)obs->state[i]);
        }
    }
    if (obs->prefix != NULL && obs->n_prefix > p->max_delay) {
        return fw_fail(err, FW_INVALID, "a prefix of %d rows, the policy goes on from at most %d", obs->n_prefix,
                       p->max_delay);
    }
    return chunk->cap_horizon > 0 ? FW_OK : fw_fail(err, FW_SHAPE, "room for no row");
}

/* ---- the answer ---- */

/* The server's words: ours begin with the name of a status. */
static fw_status server_error(const remote *p, const fw_buf *m, fw_err *err) {
    const char *text = (const char *)fw_buf_data(m);
    fw_status code = FW_IO;
#define X(name, number, what)                                                                                          \
    if (p->ours && m->n > sizeof #name && memcmp(text, #name ": ", sizeof #name) == 0) {                               \
        code = FW_##name;                                                                                              \
    }
    FW_STATUS_MAP(X)
#undef X
    return fw_fail(err, code != FW_OK ? code : FW_IO, "%s: %.*s", p->url, (int)(m->n < 180 ? m->n : 180), text);
}

/* [rows, n_action], or one row [n_action] */
static fw_status check_shape(const remote *p, const fw_nd *nd, size_t *rows, fw_err *err) {
    const int64_t n = p->e.n_action;
    const bool one = nd->n_dim == 1 && nd->shape[0] == n, many = nd->n_dim == 2 && nd->shape[1] == n;
    if ((!one && !many) || (many && (nd->shape[0] < 1 || nd->shape[0] > ROWS_MAX)) || nd->kind == 'b') {
        char say[96];
        fw_nd_say(nd, say, sizeof say);
        return fw_fail(err, FW_SHAPE, "%s: actions are %s, wanted [rows, %d] numbers for %s", p->url, say,
                       p->e.n_action, p->e.name);
    }
    *rows = one ? 1 : (size_t)nd->shape[0];
    return FW_OK;
}

/* Into p->rows, held to the robot's limits. */
static fw_status take_rows(remote *p, const fw_nd *nd, size_t rows, fw_err *err) {
    const size_t n = (size_t)p->e.n_action;
    if (rows * n > p->cap) {
        float *more = realloc(p->rows, rows * n * sizeof *more);
        if (more == NULL) {
            return fw_fail(err, FW_NOMEM, "no memory for a chunk of %zu rows", rows);
        }
        p->rows = more;
        p->cap = rows * n;
    }
    for (size_t i = 0; i < rows * n; i++) {
        const fw_dim *d = &p->e.action[i % n];
        double x;
        fw_nd_f64(nd, i, 1, &x);
        if (!isfinite(x)) {
            return fw_fail(err, FW_FORMAT, "%s: action '%s' of row %zu is %g", p->url, d->name, i / n, x);
        }
        p->rows[i] = (float)(x < d->min ? d->min : x > d->max ? d->max : x);
    }
    return FW_OK;
}

static fw_status read_answer(remote *p, const fw_buf *m, bool text, size_t *rows, fw_err *err) {
    fw_mp_doc doc;
    fw_nd nd;
    if (text) {
        return server_error(p, m, err);
    }
    fw_status st = fw_mp_parse(fw_buf_data(m), m->n, &doc, err);
    if (st != FW_OK) {
        return fw_fail_in(err, st, "%s", p->url);
    }
    const msgpack_object *a = fw_mp_get(&doc.root, "actions");
    st = a != NULL ? fw_nd_view(a, "actions", &nd, err) : fw_fail(err, FW_FORMAT, "the answer has no 'actions'");
    st = st == FW_OK ? check_shape(p, &nd, rows, err) : fw_fail_in(err, st, "%s", p->url);
    st = st == FW_OK ? take_rows(p, &nd, *rows, err) : st;
    fw_mp_clear(&doc);
    return st;
}

/* One question and its answer in p->rows. Whatever fails ends the connection. */
static fw_status ask(remote *p, const fw_obs *obs, int timeout_ms, size_t *rows, fw_err *err) {
    fw_buf m = {0};
    bool text = false;
    fw_err why = {0};
    FW_TRY(need_connection(p, err));
    FW_TRY(write_question(p, obs, &m, err));
    fw_status st = fw_ws_client_send(p->ws, &m, false, &why);
    st = st == FW_OK ? fw_ws_client_recv(p->ws, timeout_ms, &m, &text, &why) : st;
    st = st == FW_OK ? read_answer(p, &m, text, rows, &why) : st;
    fw_buf_free(&m);
    if (st != FW_OK) {
        hang_up(p, &why);
        return fw_fail(err, st, "%s", why.msg);
    }
    p->backoff_ms = 0;
    return FW_OK;
}

static fw_status remote_infer(fw_policy *self, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    remote *p = (remote *)self;
    size_t rows = 0;
    FW_TRY(check_obs(p, obs, chunk, err));
    FW_TRY(ask(p, obs, p->timeout_ms, &rows, err));
    rows = rows < (size_t)chunk->cap_horizon ? rows : (size_t)chunk->cap_horizon;
    memcpy(chunk->actions, p->rows, rows * (size_t)p->e.n_action * sizeof *p->rows);
    chunk->horizon = (int)rows;
    chunk->n_action = p->e.n_action;
    chunk->dt_s = 1.0 / p->rate_hz;
    chunk->t_ns = obs->t_ns;
    return FW_OK;
}

static void remote_describe(const fw_policy *self, fw_policy_info *out) {
    const remote *p = (const remote *)self;
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", p->url);
    out->embodiment = &p->e;
    out->horizon = p->horizon;
    out->n_execute = p->n_execute;
    out->wants_motion = p->wants_motion;
    out->max_delay = p->max_delay;
    out->guided = p->guided;
}

static void remote_reset(fw_policy *self) {
    (void)self; /* openpi's protocol knows no episodes */
}

static void remote_close(fw_policy *self) {
    remote *p = (remote *)self;
    fw_ws_client_close(p->ws);
    free(p->url);
    free(p->api_key);
    free(p->ca);
    free(p->rows);
    free(p);
}

static const fw_policy_vtable vtable = {remote_describe, remote_infer, remote_reset, remote_close, NULL};

/* ---- open ---- */

/* The robot: the caller's, or the one that the server tells of. */
static fw_status learn_robot(remote *p, const fw_remote_opts *o, const json_t *meta, fw_err *err) {
    const json_t *j = json_object_get(meta, "embodiment");
    fw_embodiment theirs;
    if (json_is_object(j)) {
        FW_TRY(fw_embodiment_from_json(j, p->url, &theirs, err));
    }
    if (o->embodiment == NULL && !json_is_object(j)) {
        return fw_fail(err, FW_INVALID, "%s: the server does not say for which robot it is: name one", p->url);
    }
    p->e = o->embodiment != NULL ? *o->embodiment : theirs;
    if (json_is_object(j) && (theirs.n_state != p->e.n_state || theirs.n_action != p->e.n_action)) {
        return fw_fail(err, FW_INVALID, "%s is for %s (%d numbers of state, %d of action), the robot is %s (%d and %d)",
                       p->url, theirs.name, theirs.n_state, theirs.n_action, p->e.name, p->e.n_state, p->e.n_action);
    }
    return p->style->n_second < p->e.n_state
               ? FW_OK
               : fw_fail(err, FW_INVALID, "keys of '%s' want more than %d numbers of state", p->style->name,
                         p->style->n_second);
}

static int meta_int(const json_t *meta, const char *key, int max) {
    const json_int_t x = json_integer_value(json_object_get(meta, key));
    return x < 0 ? 0 : x > max ? max : (int)x;
}

/* An observation of nothing, to see how long a chunk is. */
static fw_status probe(remote *p, int *rows, fw_err *err) {
    float state[FW_DIM_MAX];
    fw_obs obs = {.n_image = p->e.n_camera, .state = state, .n_state = p->e.n_state, .instruction = "do nothing"};
    size_t largest = 1, n = 0;
    for (int i = 0; i < p->e.n_state; i++) {
        state[i] = (float)(0.5 * (p->e.state[i].min + p->e.state[i].max));
    }
    for (int i = 0; i < p->e.n_camera; i++) {
        const size_t bytes = (size_t)p->e.camera[i].height * (size_t)p->e.camera[i].width * 3;
        largest = bytes > largest ? bytes : largest;
    }
    uint8_t *black = calloc(1, largest);
    if (black == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a picture");
    }
    for (int i = 0; i < p->e.n_camera; i++) {
        obs.image[i] = (fw_image){.rgb = black, .h = p->e.camera[i].height, .w = p->e.camera[i].width};
    }
    /* a server that compiles its network at the first question takes its time */
    fw_status st = ask(p, &obs, p->timeout_ms > 120000 ? p->timeout_ms : 120000, &n, err);
    free(black);
    *rows = (int)n;
    return st;
}

static fw_status learn(remote *p, const fw_remote_opts *o, const json_t *meta, fw_err *err) {
    const char *server = json_string_value(json_object_get(meta, "server"));
    p->ours = server != NULL && strcmp(server, "flywheel") == 0;
    FW_TRY(learn_robot(p, o, meta, err));
    p->horizon = o->horizon > 0 ? o->horizon : meta_int(meta, "horizon", ROWS_MAX);
    if (p->horizon == 0) {
        FW_TRY(probe(p, &p->horizon, err));
    }
    p->n_execute = o->n_execute > 0 ? o->n_execute : meta_int(meta, "n_execute", ROWS_MAX);
    p->n_execute = p->n_execute < 1 || p->n_execute > p->horizon ? p->horizon : p->n_execute;
    p->max_delay = p->ours ? meta_int(meta, "max_delay", p->horizon - 1) : 0;
    p->guided = p->ours && json_is_true(json_object_get(meta, "guided"));
    p->wants_motion = p->ours && json_is_true(json_object_get(meta, "wants_motion"));
    p->rate_hz = o->rate_hz > 0 ? o->rate_hz : p->e.rate_hz;
    return FW_OK;
}

static fw_status pick_style(remote *p, const char *name, fw_err *err) {
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        if (strcmp(styles[i].name, name) == 0) {
            p->style = &styles[i];
        }
    }
    return p->style != NULL ? FW_OK
                            : fw_fail(err, FW_INVALID, "keys '%s': wanted flywheel, aloha, droid or libero", name);
}

static fw_status open_all(remote *p, const fw_remote_opts *o, fw_err *err) {
    json_t *meta = NULL;
    p->url = strdup(o->url);
    p->api_key = o->api_key != NULL ? strdup(o->api_key) : NULL;
    p->ca = o->ca != NULL ? strdup(o->ca) : NULL;
    if (p->url == NULL || (o->api_key != NULL && p->api_key == NULL) || (o->ca != NULL && p->ca == NULL)) {
        return fw_fail(err, FW_NOMEM, "no memory for a remote policy");
    }
    p->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : 2000;
    p->connect_ms = o->connect_ms > 0 ? o->connect_ms : 5000;
    FW_TRY(pick_style(p, o->keys != NULL ? o->keys : "flywheel", err));
    FW_TRY(reach(p, &meta, err));
    fw_status st = meta != NULL ? learn(p, o, meta, err) : fw_fail(err, FW_NOMEM, "no memory for a remote policy");
    json_decref(meta);
    return st;
}

fw_status fw_remote_open(const fw_remote_opts *o, fw_policy **out, fw_err *err) {
    remote *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a remote policy");
    }
    p->base.v = &vtable;
    fw_status st = open_all(p, o, err);
    if (st != FW_OK) {
        remote_close(&p->base);
        return st;
    }
    *out = &p->base;
    return FW_OK;
}
