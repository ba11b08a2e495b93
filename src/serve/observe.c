/* observe.c - WHAT: keys, pixels, numbers and words of an observation; see observe.h */
#include "serve/observe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jpeg.h"
#include "base/png.h"

enum { SIDE_MAX = 8192, PATH = 200, PREFIX_MAX = 1024 };

/* ---- names ---- */

fw_status fw_key_map_add(fw_key_map *m, const char *pair, fw_err *err) {
    const char *eq = strrchr(pair, '=');
    if (eq == NULL || eq == pair || eq[1] == 0 || (size_t)(eq - pair) >= sizeof m->theirs[0] ||
        strlen(eq + 1) >= sizeof m->ours[0]) {
        return fw_fail(err, FW_INVALID, "'%s': wanted THEIRS=OURS, like observation/image=front", pair);
    }
    if (m->n == FW_KEYS_MAX) {
        return fw_fail(err, FW_INVALID, "more than %d keys are mapped", FW_KEYS_MAX);
    }
    snprintf(m->theirs[m->n], sizeof m->theirs[0], "%.*s", (int)(eq - pair), pair);
    snprintf(m->ours[m->n], sizeof m->ours[0], "%s", eq + 1);
    m->n++;
    return FW_OK;
}

static int camera_of(const fw_embodiment *e, const char *name) {
    for (int i = 0; i < e->n_camera; i++) {
        if (strcmp(e->camera[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

fw_status fw_key_map_check(const fw_key_map *m, const fw_embodiment *e, fw_err *err) {
    for (int i = 0; i < m->n; i++) {
        char names[160] = "";
        const char *ours = m->ours[i];
        if (camera_of(e, ours) >= 0 || strcmp(ours, "state") == 0 || strcmp(ours, "prompt") == 0) {
            continue;
        }
        for (int k = 0; k < e->n_camera; k++) {
            const size_t at = strlen(names);
            snprintf(names + at, sizeof names - at, ", %s", e->camera[k].name);
        }
        return fw_fail(err, FW_INVALID, "'%s=%s': the robot %s knows: state, prompt%s", m->theirs[i], ours, e->name,
                       names);
    }
    return FW_OK;
}

/* Which name of ours is which of the environments': the same place on the robot. */
static const struct role {
    const char *ours[10], *theirs[6];
} roles[] = {
    {{"front", "high", "base", "top", "exterior", "image", "agentview", "cam_high", "base_0_rgb"},
     {"images/cam_high", "observation/exterior_image_1_left", "observation/image", "images/agentview"}},
    {{"low", "cam_low"}, {"images/cam_low"}},
    {{"wrist", "hand", "left_wrist", "wrist_left", "wrist_image", "image2", "cam_left_wrist", "left_wrist_0_rgb"},
     {"images/cam_left_wrist", "observation/wrist_image_left", "observation/wrist_image", "images/wrist"}},
    {{"right_wrist", "wrist_right", "cam_right_wrist", "right_wrist_0_rgb"}, {"images/cam_right_wrist"}},
};
static const char *const state_names[] = {"state", "observation/state", "observation.state", "states",
                                          "observation/joint_position+observation/gripper_position"};
static const char *const prompt_names[] = {"prompt", "task_description", "task", "instruction"};

static bool has_name(const char *const *names, int n, const char *name) {
    for (int i = 0; i < n && names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* "a/b": the key itself, or the key b of the map a */
static const msgpack_object *at_path(const msgpack_object *map, const char *path) {
    const msgpack_object *o = fw_mp_get(map, path);
    for (const char *slash = strchr(path, '/'); o == NULL && slash != NULL; slash = strchr(slash + 1, '/')) {
        char head[PATH];
        snprintf(head, sizeof head, "%.*s", (int)(slash - path), path);
        const msgpack_object *inner = fw_mp_get(map, head);
        if (inner != NULL && !fw_nd_is(inner)) {
            o = at_path(inner, slash + 1);
        }
    }
    return o;
}

static const msgpack_object *mapped(const fw_key_map *m, const msgpack_object *root, const char *ours,
                                    const char **as) {
    for (int i = 0; i < m->n; i++) {
        const msgpack_object *o = strcmp(m->ours[i], ours) == 0 ? at_path(root, m->theirs[i]) : NULL;
        if (o != NULL) {
            *as = m->theirs[i];
            return o;
        }
    }
    return NULL;
}

/* The picture of a camera; path: where it was. */
static const msgpack_object *find_picture(const fw_key_map *m, const msgpack_object *root, const char *name,
                                          char path[PATH]) {
    static const char *const form[] = {"images/%s", "observation/images/%s", "observation.images.%s", "observation/%s"};
    const char *as;
    const msgpack_object *o = mapped(m, root, name, &as);
    if (o != NULL) {
        snprintf(path, PATH, "%s", as);
        return o;
    }
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, PATH, form[i], name);
#pragma GCC diagnostic pop
        if ((o = at_path(root, path)) != NULL) {
            return o;
        }
    }
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++) {
        for (int i = 0; i < 6 && has_name(roles[r].ours, 10, name) && roles[r].theirs[i] != NULL; i++) {
            if ((o = at_path(root, roles[r].theirs[i])) != NULL) {
                snprintf(path, PATH, "%s", roles[r].theirs[i]);
                return o;
            }
        }
    }
    return NULL;
}

/* ---- pixels ---- */

typedef struct layout {
    int h, w, channels;
    size_t step_y, step_x, step_c; /* elements */
} layout;

static fw_status no_picture(const fw_nd *nd, const char *where, fw_err *err) {
    char say[96];
    fw_nd_say(nd, say, sizeof say);
    return fw_fail(err, FW_SHAPE,
                   "%s: %s is no picture: wanted [h, w, 3] or [3, h, w], u1 or floats of 0 to 1, at most %d a side",
                   where, say, SIDE_MAX);
}

/* As openpi does: a first dimension of 3 means channels first. */
static fw_status read_layout(const fw_nd *nd, const char *where, layout *l, fw_err *err) {
    if (nd->n_dim < 3 || (nd->kind != 'f' && (nd->kind != 'u' || nd->size != 1))) {
        return no_picture(nd, where, err);
    }
    for (int i = 0; i < nd->n_dim - 3; i++) {
        if (nd->shape[i] != 1) {
            return no_picture(nd, where, err);
        }
    }
    const int64_t *s = nd->shape + (nd->n_dim - 3);
    const bool first = s[0] == 3, last = s[2] == 3 || s[2] == 4 || s[2] == 1;
    const int64_t h = first ? s[1] : s[0], w = first ? s[2] : s[1], c = first ? 3 : s[2];
    if ((!first && !last) || h < 1 || w < 1 || h > SIDE_MAX || w > SIDE_MAX) {
        return no_picture(nd, where, err);
    }
    *l = (layout){.h = (int)h, .w = (int)w, .channels = (int)c};
    l->step_c = first ? (size_t)h * (size_t)w : 1;
    l->step_x = first ? 1 : (size_t)c;
    l->step_y = l->step_x * (size_t)w;
    return FW_OK;
}

/* 0 to 1, cut down like numpy's astype; -1: not a number */
static int from_float(double x) {
    return isnan(x) ? -1 : x <= 0.0 ? 0 : x >= 1.0 ? 255 : (int)(255.0 * x);
}

/* To [h, w, 3] u8; grey becomes three equal channels, alpha is left out. */
static fw_status convert(const fw_nd *nd, const layout *l, const char *where, uint8_t *rgb, fw_err *err) {
    for (int y = 0; y < l->h; y++) {
        for (int x = 0; x < l->w; x++) {
            for (int c = 0; c < 3; c++) {
                const size_t i =
                    (size_t)y * l->step_y + (size_t)x * l->step_x + (l->channels == 1 ? 0 : (size_t)c) * l->step_c;
                double v = 0;
                int u;
                if (nd->kind == 'u') {
                    u = nd->data[i];
                } else {
                    fw_nd_f64(nd, i, 1, &v);
                    u = from_float(v);
                }
                if (u < 0) {
                    return fw_fail(err, FW_FORMAT, "%s: the pixel at row %d, column %d is not a number", where, y, x);
                }
                *rgb++ = (uint8_t)u;
            }
        }
    }
    return FW_OK;
}

static fw_status from_array(const fw_nd *nd, const char *where, fw_image *im, uint8_t **own, fw_err *err) {
    layout l = {0};
    FW_TRY(read_layout(nd, where, &l, err));
    *im = (fw_image){.rgb = nd->data, .h = l.h, .w = l.w};
    if (nd->kind == 'u' && l.channels == 3 && l.step_c == 1) {
        return FW_OK; /* as it lies in the message */
    }
    *own = malloc((size_t)l.h * (size_t)l.w * 3);
    if (*own == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for a picture of %d x %d", where, l.w, l.h);
    }
    im->rgb = *own;
    return convert(nd, &l, where, *own, err);
}

/* A few bytes of PNG may stand for gigabytes of pixels: its header says so beforehand. */
static fw_status check_png(const msgpack_object_bin *png, const char *where, fw_err *err) {
    const uint8_t *p = (const uint8_t *)png->ptr;
    uint64_t side[2] = {0, 0};
    for (int i = 0; i < 8 && png->size >= 24; i++) {
        side[i / 4] = side[i / 4] << 8 | p[16 + i];
    }
    return side[0] * side[1] <= FW_JPEG_PIXELS_MAX
               ? FW_OK
               : fw_fail(err, FW_SHAPE, "%s: a picture of %d x %d, at most %d pixels", where, (int)side[0],
                         (int)side[1], FW_JPEG_PIXELS_MAX);
}

/* vla-eval's {"__image__": true, "format": "png" | "jpeg" | "raw", "data", "shape"} */
static fw_status from_encoded(const msgpack_object *o, const char *where, fw_image *im, uint8_t **own, fw_err *err) {
    const msgpack_object *data = fw_mp_get(o, "data");
    char format[16] = "";
    (void)fw_mp_text(fw_mp_get(o, "format"), format, sizeof format);
    if (data == NULL || data->type != MSGPACK_OBJECT_BIN) {
        return fw_fail(err, FW_FORMAT, "%s: a picture without bytes in 'data'", where);
    }
    if (strcmp(format, "png") == 0) {
        FW_TRY(check_png(&data->via.bin, where, err));
        FW_TRY(fw_png_decode(where, data->via.bin.ptr, data->via.bin.size, own, &im->h, &im->w, err));
    } else if (strcmp(format, "jpeg") == 0) {
        FW_TRY(fw_jpeg_decode(where, data->via.bin.ptr, data->via.bin.size, own, &im->h, &im->w, err));
    } else {
        return fw_fail(err, FW_FORMAT, "%s: a picture of format '%s', wanted png, jpeg or raw", where, format);
    }
    im->rgb = *own;
    return im->h <= SIDE_MAX && im->w <= SIDE_MAX
               ? FW_OK
               : fw_fail(err, FW_SHAPE, "%s: a picture of %d x %d, at most %d a side", where, im->w, im->h, SIDE_MAX);
}

static fw_status take_picture(const msgpack_object *o, const char *where, fw_image *im, uint8_t **own, fw_err *err) {
    fw_nd nd;
    char format[16] = "";
    if (fw_mp_get(o, "__image__") != NULL) {
        (void)fw_mp_text(fw_mp_get(o, "format"), format, sizeof format);
        if (strcmp(format, "raw") != 0) {
            return from_encoded(o, where, im, own, err);
        }
    }
    FW_TRY(fw_nd_view(o, where, &nd, err));
    return from_array(&nd, where, im, own, err);
}

static fw_status take_pictures(const fw_embodiment *e, const fw_key_map *m, const msgpack_object *root,
                               fw_observed *out, fw_err *err) {
    int found = 0;
    out->obs.n_image = e->n_camera;
    for (int i = 0; i < e->n_camera; i++) {
        char path[PATH];
        const msgpack_object *o = find_picture(m, root, e->camera[i].name, path);
        if (o == NULL) {
            out->missing = out->missing < 0 ? i : out->missing;
            continue;
        }
        FW_TRY(take_picture(o, path, &out->obs.image[i], &out->pixels[i], err));
        found++;
    }
    return found > 0 || e->n_camera == 0
               ? FW_OK
               : fw_fail(err, FW_SHAPE, "no picture of camera '%s' (images/%s, or another name and --map)",
                         e->camera[0].name, e->camera[0].name);
}

/* ---- numbers and words ---- */

/* One path, or a sum of them. *n 0: something is not there. */
static fw_status take_sum(const msgpack_object *root, const char *paths, float *out, size_t cap, size_t *n,
                          fw_err *err) {
    *n = 0;
    for (const char *s = paths; *s != 0;) {
        char path[PATH];
        const size_t len = strcspn(s, "+");
        size_t got = 0;
        snprintf(path, sizeof path, "%.*s", (int)len, s);
        const msgpack_object *o = at_path(root, path);
        if (o == NULL) {
            *n = 0;
            return FW_OK;
        }
        FW_TRY(fw_mp_numbers(o, path, out + *n, cap - *n, &got, err));
        *n += got;
        s += len + (s[len] == '+');
    }
    return FW_OK;
}

static void dim_names(const fw_dim *d, int n, char *out, size_t cap) {
    out[0] = 0;
    for (int i = 0; i < n; i++) {
        const size_t at = strlen(out);
        snprintf(out + at, cap - at, "%s%s", i > 0 ? ", " : "", d[i].name);
    }
}

static fw_status state_size(const fw_embodiment *e, const char *where, size_t n, fw_err *err) {
    char names[140];
    if (n == (size_t)e->n_state) {
        return FW_OK;
    }
    dim_names(e->state, e->n_state, names, sizeof names);
    return n == 0 ? fw_fail(err, FW_SHAPE, "no '%s': wanted %d numbers (%s)", where, e->n_state, names)
                  : fw_fail(err, FW_SHAPE, "%s: %zu numbers, wanted %d (%s)", where, n, e->n_state, names);
}

static fw_status take_state(const fw_embodiment *e, const fw_key_map *m, const msgpack_object *root, fw_observed *out,
                            fw_err *err) {
    size_t n = 0;
    const char *where = "state";
    for (int i = 0; i < m->n && n == 0; i++) {
        if (strcmp(m->ours[i], "state") == 0) {
            where = m->theirs[i];
            FW_TRY(take_sum(root, where, out->state, FW_DIM_MAX, &n, err));
        }
    }
    for (size_t i = 0; i < sizeof state_names / sizeof *state_names && n == 0; i++) {
        FW_TRY(take_sum(root, state_names[i], out->state, FW_DIM_MAX, &n, err));
        where = n > 0 ? state_names[i] : where;
    }
    out->obs.state = out->state;
    out->obs.n_state = e->n_state;
    return state_size(e, where, n, err);
}

/* What clients of ours add: where the robot was a step ago, and what it was told. */
static fw_status take_motion(const fw_embodiment *e, const msgpack_object *root, fw_observed *out, fw_err *err) {
    size_t n = 0;
    FW_TRY(take_sum(root, "prev_state", out->prev_state, FW_DIM_MAX, &n, err));
    if (n > 0) {
        FW_TRY(state_size(e, "prev_state", n, err));
        out->obs.prev_state = out->prev_state;
    }
    FW_TRY(take_sum(root, "prev_action", out->prev_action, FW_DIM_MAX, &n, err));
    if (n > 0 && n != (size_t)e->n_action) {
        return fw_fail(err, FW_SHAPE, "prev_action: %zu numbers, wanted %d", n, e->n_action);
    }
    out->obs.prev_action = n > 0 ? out->prev_action : NULL;
    return FW_OK;
}

/* "prefix" [n_prefix + n_wish, n_action], "n_prefix" */
static fw_status take_prefix(const fw_embodiment *e, const msgpack_object *root, fw_observed *out, fw_err *err) {
    const msgpack_object *o = fw_mp_get(root, "prefix");
    double settled = 0;
    fw_nd nd;
    size_t n = 0;
    if (o == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_nd_view(o, "prefix", &nd, err));
    const bool has_n = fw_mp_number(fw_mp_get(root, "n_prefix"), &settled);
    if (nd.n_dim != 2 || nd.shape[1] != e->n_action || nd.shape[0] < 1 || nd.shape[0] > PREFIX_MAX || !has_n ||
        !(settled >= 0 && settled <= (double)nd.shape[0])) {
        char say[96];
        fw_nd_say(&nd, say, sizeof say);
        return fw_fail(err, FW_SHAPE, "prefix: %s with n_prefix %g, wanted [rows, %d] and n_prefix of 0 to rows", say,
                       settled, e->n_action);
    }
    out->prefix = malloc(nd.count * sizeof *out->prefix);
    if (out->prefix == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a prefix");
    }
    FW_TRY(fw_mp_numbers(o, "prefix", out->prefix, nd.count, &n, err));
    out->obs.prefix = out->prefix;
    out->obs.n_prefix = (int)settled;
    out->obs.n_wish = (int)nd.shape[0] - (int)settled;
    return FW_OK;
}

static fw_status take_words(const fw_key_map *m, const char *default_prompt, const msgpack_object *root,
                            fw_observed *out, fw_err *err) {
    const char *as = "prompt";
    const msgpack_object *o = mapped(m, root, "prompt", &as);
    for (size_t i = 0; i < sizeof prompt_names / sizeof *prompt_names && o == NULL; i++) {
        o = fw_mp_get(root, as = prompt_names[i]);
    }
    out->obs.instruction = out->instruction;
    if (o == NULL) {
        snprintf(out->instruction, sizeof out->instruction, "%s", default_prompt != NULL ? default_prompt : "");
        return default_prompt != NULL
                   ? FW_OK
                   : fw_fail(err, FW_SHAPE, "no 'prompt': wanted a sentence (the server has no --default-prompt)");
    }
    if (!fw_mp_text(o, out->instruction, sizeof out->instruction)) {
        return fw_fail(err, FW_FORMAT, "%s: not a text", as);
    }
    return strlen(out->instruction) + 1 < sizeof out->instruction
               ? FW_OK
               : fw_fail(err, FW_FORMAT, "%s: longer than %zu bytes", as, sizeof out->instruction - 2);
}

fw_status fw_observe(const fw_embodiment *e, const fw_key_map *m, const char *default_prompt,
                     const msgpack_object *root, fw_observed *out, fw_err *err) {
    memset(out, 0, sizeof *out);
    out->missing = -1;
    if (root->type != MSGPACK_OBJECT_MAP) {
        return fw_fail(err, FW_FORMAT, "an observation is a map of names to arrays");
    }
    fw_status st = take_pictures(e, m, root, out, err);
    st = st != FW_OK ? st : take_state(e, m, root, out, err);
    st = st != FW_OK ? st : take_motion(e, root, out, err);
    st = st != FW_OK ? st : take_prefix(e, root, out, err);
    st = st != FW_OK ? st : take_words(m, default_prompt, root, out, err);
    if (st != FW_OK) {
        fw_observed_clear(out);
    }
    return st;
}

void fw_observed_clear(fw_observed *o) {
    for (int i = 0; i < FW_CAM_MAX; i++) {
        free(o->pixels[i]);
        o->pixels[i] = NULL;
    }
    free(o->prefix);
    o->prefix = NULL;
}

/* ---- what was there ---- */

static void say_value(const msgpack_object *o, char *out, size_t cap) {
    fw_nd nd;
    fw_err ignored;
    double x;
    char text[40];
    if (fw_nd_is(o) && fw_nd_view(o, "", &nd, &ignored) == FW_OK) {
        fw_nd_say(&nd, out, cap);
    } else if (fw_mp_get(o, "__image__") != NULL) {
        snprintf(out, cap, "(a picture)");
    } else if (fw_mp_number(o, &x)) {
        snprintf(out, cap, "%g", x);
    } else if (o->type == MSGPACK_OBJECT_STR && fw_mp_text(o, text, sizeof text)) {
        snprintf(out, cap, "'%s%s'", text, o->via.str.size >= sizeof text ? "..." : "");
    } else {
        snprintf(out, cap, "%s",
                 o->type == MSGPACK_OBJECT_ARRAY ? "(a list)"
                 : o->type == MSGPACK_OBJECT_BIN ? "(bytes)"
                                                 : "(something else)");
    }
}

static void list(const msgpack_object *map, const char *prefix, int depth, char *out, size_t cap) {
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *v = &map->via.map.ptr[i].val;
        char key[80], path[PATH], value[128];
        const size_t at = strlen(out);
        if (!fw_mp_text(&map->via.map.ptr[i].key, key, sizeof key) || at + 2 >= cap) {
            continue;
        }
        snprintf(path, sizeof path, "%s%s", prefix, key);
        if (v->type == MSGPACK_OBJECT_MAP && depth < 2 && !fw_nd_is(v) && fw_mp_get(v, "__image__") == NULL) {
            char inner[PATH];
            snprintf(inner, sizeof inner, "%.190s/", path);
            list(v, inner, depth + 1, out, cap);
            continue;
        }
        say_value(v, value, sizeof value);
        snprintf(out + at, cap - at, "%s%s %s", at > 0 ? ", " : "", path, value);
    }
}

void fw_observe_list(const msgpack_object *root, char *out, size_t cap) {
    out[0] = 0;
    if (root->type == MSGPACK_OBJECT_MAP) {
        list(root, "", 0, out, cap);
    }
}
