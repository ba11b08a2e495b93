/*
 * robot_read.c - the "model" of an embodiment file, key by key. docs/ROBOTS.md describes each; unknown keys are refused.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "sim/robot_int.h"

static fw_status text(const json_t *j, const char *key, const char *where, char *out, size_t cap, fw_err *err) {
    const char *s;
    FW_TRY(fw_json_str(j, key, where, &s, err));
    if (strlen(s) >= cap) {
        return fw_fail(err, FW_FORMAT, "%.100s: key '%s': wanted at most %zu bytes, found \"%.60s\"", where, key,
                       cap - 1, s);
    }
    memcpy(out, s, strlen(s) + 1);
    return FW_OK;
}

static fw_status text_or(const json_t *j, const char *key, const char *where, char *out, size_t cap, fw_err *err) {
    out[0] = 0;
    return json_object_get(j, key) == NULL ? FW_OK : text(j, key, where, out, cap, err);
}
#define TEXT(key, to)    FW_TRY(text(j, key, where, to, sizeof(to), err))
#define TEXT_OR(key, to) FW_TRY(text_or(j, key, where, to, sizeof(to), err))

/* n numbers, or the default when the key is missing; *found may be NULL */
static fw_status numbers_or(const json_t *j, const char *key, const char *where, double *out, size_t n,
                            const double *def, bool *found, fw_err *err) {
    bool have = json_object_get(j, key) != NULL;
    if (found != NULL) {
        *found = have;
    }
    if (have) {
        return fw_json_f64s(j, key, where, out, n, err);
    }
    memcpy(out, def, n * sizeof *out);
    return FW_OK;
}

/* A list of at most `most` objects; *n = 0 when the key is missing. */
static fw_status list_or(const json_t *j, const char *key, const char *where, int most, const json_t **list, int *n,
                         fw_err *err) {
    *list = NULL;
    *n = 0;
    if (json_object_get(j, key) == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_json_arr(j, key, where, list, err));
    if (json_array_size(*list) > (size_t)most) {
        return fw_fail(err, FW_FORMAT, "%.100s: key '%s': wanted at most %d entries, found %zu", where, key, most,
                       json_array_size(*list));
    }
    *n = (int)json_array_size(*list);
    return FW_OK;
}

static fw_status names(const json_t *j, const char *key, const char *where, int least, int most,
                       char (*out)[ROBOT_NAME], int *n, fw_err *err) {
    const json_t *list;
    FW_TRY(list_or(j, key, where, most, &list, n, err));
    for (int i = 0; i < *n; i++) {
        const char *s = json_string_value(json_array_get(list, (size_t)i));
        if (s == NULL || strlen(s) >= ROBOT_NAME) {
            return fw_fail(err, FW_FORMAT, "%.100s: key '%s'[%d]: wanted a name", where, key, i);
        }
        memcpy(out[i], s, strlen(s) + 1);
    }
    if (*n < least) {
        return fw_fail(err, FW_FORMAT, "%.100s: key '%s': wanted at least %d names, found %d", where, key, least, *n);
    }
    return FW_OK;
}

static const double zero3[3] = {0, 0, 0}, no_turn[4] = {1, 0, 0, 0};

static fw_status read_fixed(const json_t *j, const char *where, robot_fixed *f, fw_err *err) {
    static const char *const known[] = {"joint", "at", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    TEXT("joint", f->joint);
    return fw_json_f64(j, "at", where, &f->at, err);
}

static fw_status read_piece(const json_t *j, const char *where, robot_piece *p, fw_err *err) {
    static const char *const known[] = {"file", "body", "to", "prefix", "mend", "fixed", "pos", "quat", NULL};
    const json_t *list;
    char at[160];
    bool pos, quat;
    int n_mend;
    FW_TRY(fw_json_only(j, where, known, err));
    TEXT("file", p->file);
    FW_TRY(names(j, "mend", where, json_object_get(j, "mend") == NULL ? 0 : 2, 2, p->mend, &n_mend, err));
    TEXT("body", p->body);
    TEXT_OR("to", p->to);
    TEXT_OR("prefix", p->prefix);
    FW_TRY(numbers_or(j, "pos", where, p->pos, 3, zero3, &pos, err));
    FW_TRY(numbers_or(j, "quat", where, p->quat, 4, no_turn, &quat, err));
    p->has_pose = pos || quat;
    FW_TRY(list_or(j, "fixed", where, ROBOT_FIXED_MAX, &list, &p->n_fixed, err));
    for (int i = 0; i < p->n_fixed; i++) {
        snprintf(at, sizeof at, "%.140s.fixed[%d]", where, i);
        FW_TRY(read_fixed(json_array_get(list, (size_t)i), at, &p->fixed[i], err));
    }
    return FW_OK;
}

static fw_status read_rule(const json_t *j, const char *where, robot_rule *u, fw_err *err) {
    static const char *const known[] = {"body", "geom", "mesh", "group", "drop", "touch", "rgba", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    TEXT_OR("body", u->body);
    TEXT_OR("geom", u->geom);
    TEXT_OR("mesh", u->mesh);
    FW_TRY(fw_json_i64_or(j, "group", where, 0, 9, -1, &u->group, err));
    FW_TRY(fw_json_bool_or(j, "drop", where, false, &u->drop, err));
    u->has_touch = json_object_get(j, "touch") != NULL;
    FW_TRY(fw_json_bool_or(j, "touch", where, false, &u->touch, err));
    return numbers_or(j, "rgba", where, u->rgba, 4, (double[4]){0}, &u->has_rgba, err);
}

static fw_status read_pad(const json_t *j, const char *where, robot_pad *p, fw_err *err) {
    static const char *const known[] = {"geom", "body", "pos", "quat", "size", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    TEXT_OR("geom", p->geom);
    TEXT_OR("body", p->body);
    if ((p->geom[0] == 0) == (p->body[0] == 0)) {
        return fw_fail(err, FW_FORMAT, "%.100s: wanted either 'geom' (an existing one) or 'body' (to add one)", where);
    }
    FW_TRY(fw_json_f64s(j, "pos", where, p->pos, 3, err));
    FW_TRY(fw_json_f64s(j, "size", where, p->size, 3, err));
    return numbers_or(j, "quat", where, p->quat, 4, no_turn, &p->has_quat, err);
}

static fw_status read_grip(const json_t *j, const char *where, robot_grip *g, fw_err *err) {
    static const char *const known[] = {"joints",   "closed",  "open",     "kp",        "kv",   "force", "squeeze",
                                        "armature", "damping", "friction", "opening_m", "pads", "speed", NULL};
    const json_t *list;
    char at[160];
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(names(j, "joints", where, 1, ROBOT_GRIP_MAX, g->joint, &g->n_joint, err));
    FW_TRY(fw_json_f64s(j, "closed", where, g->closed, (size_t)g->n_joint, err));
    FW_TRY(fw_json_f64s(j, "open", where, g->open, (size_t)g->n_joint, err));
    for (int i = 0; i < g->n_joint; i++) {
        if (g->open[i] == g->closed[i]) {
            return fw_fail(err, FW_FORMAT, "%.100s: \"%.60s\": open and closed are both %g", where, g->joint[i],
                           g->open[i]);
        }
    }
    FW_TRY(fw_json_f64(j, "kp", where, &g->kp, err));
    FW_TRY(fw_json_f64(j, "kv", where, &g->kv, err));
    FW_TRY(fw_json_f64(j, "force", where, &g->force, err));
    FW_TRY(fw_json_f64(j, "squeeze", where, &g->squeeze, err));
    FW_TRY(fw_json_f64(j, "armature", where, &g->armature, err));
    FW_TRY(fw_json_f64(j, "damping", where, &g->damping, err));
    FW_TRY(fw_json_f64(j, "friction", where, &g->friction, err));
    FW_TRY(fw_json_f64(j, "opening_m", where, &g->opening_m, err));
    FW_TRY(fw_json_f64_or(j, "speed", where, 0, &g->speed, err));
    FW_TRY(list_or(j, "pads", where, ROBOT_PAD_MAX, &list, &g->n_pad, err));
    for (int i = 0; i < g->n_pad; i++) {
        snprintf(at, sizeof at, "%.140s.pads[%d]", where, i);
        FW_TRY(read_pad(json_array_get(list, (size_t)i), at, &g->pad[i], err));
    }
    return FW_OK;
}

static fw_status read_tcp(const json_t *j, const char *where, robot_arm *a, fw_err *err) {
    static const char *const known[] = {"body", "pos", "quat", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    TEXT("body", a->tcp_body);
    FW_TRY(fw_json_f64s(j, "pos", where, a->tcp_pos, 3, err));
    return numbers_or(j, "quat", where, a->tcp_quat, 4, no_turn, NULL, err);
}

static fw_status read_start(const json_t *j, const char *where, fw_arm_start *s, fw_err *err) {
    static const char *const known[] = {"pos", "yaw", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_f64s(j, "pos", where, s->pos, 3, err));
    s->opening = 1;
    return fw_json_f64_or(j, "yaw", where, 0, &s->yaw, err);
}

static fw_status read_space(const json_t *j, const char *where, robot_arm *a, fw_err *err) {
    static const char *const known[] = {"min", "max", "yaw", "turn", NULL};
    double yaw[2];
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_f64s(j, "min", where, a->lo, 3, err));
    FW_TRY(fw_json_f64s(j, "max", where, a->hi, 3, err));
    FW_TRY(fw_json_f64s(j, "yaw", where, yaw, 2, err));
    FW_TRY(fw_json_f64_or(j, "turn", where, a->start.yaw, &a->turn_yaw, err));
    a->yaw_lo = yaw[0], a->yaw_hi = yaw[1];
    for (int i = 0; i < 3; i++) {
        if (!(a->lo[i] < a->hi[i]) || !(yaw[0] < yaw[1])) {
            return fw_fail(err, FW_FORMAT, "%.100s: wanted min < max", where);
        }
    }
    if (!(a->turn_yaw >= yaw[0] && a->turn_yaw <= yaw[1])) {
        return fw_fail(err, FW_FORMAT, "%.100s.turn: wanted a yaw within %g to %g, found %g", where, yaw[0], yaw[1],
                       a->turn_yaw);
    }
    return FW_OK;
}

/* An object inside another one, with its place for messages. */
static fw_status part(const json_t *j, const char *key, const char *where, const json_t **out, char at[160],
                      fw_err *err) {
    FW_TRY(fw_json_obj(j, key, where, out, err));
    snprintf(at, 160, "%.130s.%s", where, key);
    return FW_OK;
}

static fw_status read_arm(const json_t *j, const char *where, robot_arm *a, fw_err *err) {
    static const char *const known[] = {"joints",   "home",    "posture",      "kp",      "force",   "lag_s",
                                        "armature", "damping", "frictionloss", "hand",    "fingers", "tcp",
                                        "tilt",     "start",   "space",        "gripper", NULL};
    static const double none[ROBOT_DOF_MAX] = {0};
    const json_t *sub;
    char at[160], fingers[2][ROBOT_NAME];
    int n_finger;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(names(j, "joints", where, 4, ROBOT_DOF_MAX, a->joint, &a->n, err));
    FW_TRY(fw_json_f64s(j, "home", where, a->home, (size_t)a->n, err));
    FW_TRY(fw_json_f64s(j, "posture", where, a->posture, (size_t)a->n, err));
    FW_TRY(fw_json_f64s(j, "kp", where, a->kp, (size_t)a->n, err));
    FW_TRY(numbers_or(j, "force", where, a->force, (size_t)a->n, none, NULL, err));
    FW_TRY(fw_json_f64(j, "lag_s", where, &a->lag_s, err));
    FW_TRY(fw_json_f64(j, "armature", where, &a->armature, err));
    FW_TRY(fw_json_f64_or(j, "damping", where, -1, &a->damping, err));
    FW_TRY(fw_json_f64_or(j, "frictionloss", where, -1, &a->frictionloss, err));
    FW_TRY(fw_json_f64_or(j, "tilt", where, 1, &a->tilt, err));
    TEXT("hand", a->hand);
    FW_TRY(names(j, "fingers", where, 2, 2, fingers, &n_finger, err));
    memcpy(a->finger, fingers, sizeof fingers);
    FW_TRY(part(j, "tcp", where, &sub, at, err));
    FW_TRY(read_tcp(sub, at, a, err));
    FW_TRY(part(j, "start", where, &sub, at, err));
    FW_TRY(read_start(sub, at, &a->start, err));
    FW_TRY(part(j, "space", where, &sub, at, err));
    FW_TRY(read_space(sub, at, a, err));
    FW_TRY(part(j, "gripper", where, &sub, at, err));
    return read_grip(sub, at, &a->grip, err);
}

/* "start": {"min", "max"}; without it an episode begins at the origin. */
static fw_status read_base_start(const json_t *j, const char *where, robot_base *b, fw_err *err) {
    static const char *const known[] = {"min", "max", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_f64s(j, "min", where, b->start_lo, ROBOT_BASE_DOF, err));
    FW_TRY(fw_json_f64s(j, "max", where, b->start_hi, ROBOT_BASE_DOF, err));
    for (int k = 0; k < ROBOT_BASE_DOF; k++) {
        if (!(b->lo[k] <= b->start_lo[k] && b->start_lo[k] <= b->start_hi[k] && b->start_hi[k] <= b->hi[k])) {
            return fw_fail(err, FW_FORMAT,
                           "%.120s: wanted min <= max within the base's own, found [%g, %g] in [%g, %g]", where,
                           b->start_lo[k], b->start_hi[k], b->lo[k], b->hi[k]);
        }
    }
    return FW_OK;
}

static fw_status read_base(const json_t *j, const char *where, robot_base *b, fw_err *err) {
    static const char *const known[] = {"joints", "kp", "lag_s", "min", "max", "start", NULL};
    const json_t *sub;
    char at[160];
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(names(j, "joints", where, ROBOT_BASE_DOF, ROBOT_BASE_DOF, b->joint, &b->n, err));
    FW_TRY(fw_json_f64s(j, "kp", where, b->kp, ROBOT_BASE_DOF, err));
    FW_TRY(fw_json_f64(j, "lag_s", where, &b->lag_s, err));
    FW_TRY(fw_json_f64s(j, "min", where, b->lo, ROBOT_BASE_DOF, err));
    FW_TRY(fw_json_f64s(j, "max", where, b->hi, ROBOT_BASE_DOF, err));
    if (json_object_get(j, "start") == NULL) {
        return FW_OK;
    }
    FW_TRY(part(j, "start", where, &sub, at, err));
    return read_base_start(sub, at, b, err);
}

static fw_status read_camera(const json_t *j, const char *where, robot_camera *c, fw_err *err) {
    static const char *const known[] = {"name", "body", "pos", "at", "up", "fovy", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    TEXT("name", c->name);
    TEXT_OR("body", c->body);
    FW_TRY(fw_json_f64s(j, "pos", where, c->pos, 3, err));
    FW_TRY(fw_json_f64s(j, "at", where, c->at, 3, err));
    FW_TRY(numbers_or(j, "up", where, c->up, 3, (double[3]){0, 0, 1}, NULL, err));
    return fw_json_f64(j, "fovy", where, &c->fovy, err);
}

static fw_status read_reach(const json_t *j, const char *where, fw_reach *r, fw_err *err) {
    static const char *const known[] = {"near_m", "far_m", "side_m", "opening_m", "carry_m", "edge_m", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_f64(j, "near_m", where, &r->near_m, err));
    FW_TRY(fw_json_f64(j, "far_m", where, &r->far_m, err));
    FW_TRY(fw_json_f64(j, "side_m", where, &r->side_m, err));
    FW_TRY(fw_json_f64(j, "opening_m", where, &r->opening_m, err));
    FW_TRY(fw_json_f64(j, "carry_m", where, &r->carry_m, err));
    return fw_json_f64_or(j, "edge_m", where, FW_EDGE_M, &r->edge_m, err);
}

static fw_status read_model(fw_robot *r, const json_t *j, const char *where, fw_err *err) {
    static const char *const known[] = {"pieces", "geoms", "arms", "base", "cameras", "reach", NULL};
    const json_t *list, *sub;
    char at[160];
    FW_TRY(fw_json_only(j, where, known, err));
#define EACH(key, most, count, read, item)                                                                             \
    FW_TRY(list_or(j, key, where, most, &list, &r->count, err));                                                       \
    for (int i = 0; i < r->count; i++) {                                                                               \
        snprintf(at, sizeof at, "%.130s.%s[%d]", where, key, i);                                                       \
        FW_TRY(read(json_array_get(list, (size_t)i), at, &r->item[i], err));                                           \
    }
    EACH("pieces", ROBOT_PART_MAX, n_piece, read_piece, piece)
    EACH("geoms", ROBOT_RULE_MAX, n_rule, read_rule, rule)
    EACH("arms", FW_ARM_MAX, n_arm, read_arm, arm)
    EACH("cameras", FW_CAM_MAX, n_camera, read_camera, camera)
#undef EACH
    if (r->n_piece == 0 || r->n_arm == 0) {
        return fw_fail(err, FW_FORMAT, "%.140s: wanted at least one piece and one arm, found %d and %d", where,
                       r->n_piece, r->n_arm);
    }
    if (json_object_get(j, "base") != NULL) {
        FW_TRY(part(j, "base", where, &sub, at, err));
        FW_TRY(read_base(sub, at, &r->base, err));
    }
    FW_TRY(part(j, "reach", where, &sub, at, err));
    return read_reach(sub, at, &r->reach, err);
}

/* Every slot must be something that this robot has: the n-th of a meaning and arm is its n-th component. */
static fw_status check_dims(const fw_robot *r, const char *where, const char *what, const fw_dim *dim, int n,
                            bool action, fw_err *err) {
    for (int i = 0; i < n; i++) {
        const fw_dim *d = &dim[i];
        int nth = 0, most = 0;
        for (int k = 0; k < i; k++) {
            nth += dim[k].meaning == d->meaning && dim[k].arm == d->arm;
        }
        if (d->arm < r->n_arm) {
            switch (d->meaning) {
            case FW_MEANING_EE_DELTA_POS:
                most = action ? 3 : 0;
                break;
            case FW_MEANING_EE_DELTA_YAW:
                most = action ? 1 : 0;
                break;
            case FW_MEANING_GRIPPER:
                most = action ? 1 : 2;
                break;
            case FW_MEANING_BASE_VEL:
                most = r->base.n;
                break;
            case FW_MEANING_EE_POS:
                most = action ? 0 : 3;
                break;
            case FW_MEANING_EE_YAW:
                most = action ? 0 : 1;
                break;
            case FW_MEANING_JOINT_POS:
            case FW_MEANING_JOINT_VEL:
                most = action ? 0 : r->arm[d->arm].n;
                break;
            case FW_MEANING_OTHER:
            default:
                break;
            }
        }
        if (nth >= most) {
            return fw_fail(err, FW_FORMAT, "%.90s: %s[%d] \"%.30s\": arm %d of a robot of %d has %d of %s, not %d",
                           where, what, i, d->name, d->arm, r->n_arm, most, fw_meaning_name(d->meaning), nth + 1);
        }
    }
    return FW_OK;
}

static fw_status positive(const char *where, const char *key, double x, fw_err *err) {
    return x > 0 ? FW_OK : fw_fail(err, FW_FORMAT, "%.110s.%s: wanted a number above 0, found %g", where, key, x);
}
#define POSITIVE(key, x) FW_TRY(positive(where, key, x, err))

/* Sizes that no machine has. */
static fw_status check_arm(const robot_arm *a, const char *where, fw_err *err) {
    static const char axis[] = "xyz";
    for (int k = 0; k < a->n; k++) {
        POSITIVE("kp", a->kp[k]);
    }
    POSITIVE("lag_s", a->lag_s);
    POSITIVE("tilt", a->tilt);
    POSITIVE("gripper.kp", a->grip.kp);
    POSITIVE("gripper.kv", a->grip.kv);
    POSITIVE("gripper.force", a->grip.force);
    POSITIVE("gripper.friction", a->grip.friction);
    POSITIVE("gripper.opening_m", a->grip.opening_m);
    for (int k = 0; k < 3; k++) {
        if (a->start.pos[k] < a->lo[k] || a->start.pos[k] > a->hi[k]) {
            return fw_fail(err, FW_FORMAT, "%.110s.start: %c = %g is outside the arm's space, %g to %g", where, axis[k],
                           a->start.pos[k], a->lo[k], a->hi[k]);
        }
    }
    return FW_OK;
}

static fw_status check_sizes(const fw_robot *r, const char *path, fw_err *err) {
    char at[200], where[200];
    size_t n = strlen(path);
    snprintf(at, sizeof at, "%.100s: model", n > 100 ? path + n - 100 : path);
    for (int i = 0; i < r->n_arm; i++) {
        snprintf(where, sizeof where, "%.150s.arms[%d]", at, i);
        FW_TRY(check_arm(&r->arm[i], where, err));
    }
    for (int i = 0; i < r->n_camera; i++) {
        double fovy = r->camera[i].fovy;
        if (!(fovy > 1 && fovy < 170)) {
            return fw_fail(err, FW_FORMAT, "%.120s.cameras[%d].fovy: wanted 1 to 170 degrees, found %g", at, i, fovy);
        }
    }
    snprintf(where, sizeof where, "%.150s.reach", at);
    POSITIVE("near_m", r->reach.near_m);
    POSITIVE("far_m - near_m", r->reach.far_m - r->reach.near_m);
    POSITIVE("side_m", r->reach.side_m);
    POSITIVE("opening_m", r->reach.opening_m);
    return positive(where, "carry_m", r->reach.carry_m, err);
}

fw_status robot_read(fw_robot *r, const char *path, fw_err *err) {
    json_t *j = NULL;
    const json_t *model;
    char where[160];
    FW_TRY(fw_json_load(path, &j, err));
    fw_status st = fw_embodiment_from_json(j, path, &r->emb, err);
    if (st == FW_OK) {
        st = fw_json_obj(j, "model", path, &model, err);
    }
    if (st == FW_OK) {
        size_t n = strlen(path); /* the end of a long path says more than its beginning */
        snprintf(where, sizeof where, "%.110s: model", n > 110 ? path + n - 110 : path);
        st = read_model(r, model, where, err);
    }
    if (st == FW_OK) {
        st = check_sizes(r, path, err);
    }
    if (st == FW_OK) {
        st = check_dims(r, path, "state", r->emb.state, r->emb.n_state, false, err);
    }
    if (st == FW_OK) {
        st = check_dims(r, path, "action", r->emb.action, r->emb.n_action, true, err);
    }
    r->control_dt = 1 / r->emb.rate_hz;
    json_decref(j);
    return st;
}
