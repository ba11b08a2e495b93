/* observe.c - from MuJoCo's arrays to an fw_scene: where things are, who touches whom. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim_int.h"

/* --- after compiling: what is where in the model */
static int find(const fw_sim *s, mjtObj type, const char *name, fw_status *st, fw_err *err) {
    int id = mj_name2id(s->m, type, name);
    if (id < 0 && *st == FW_OK) {
        *st = fw_fail(err, FW_FORMAT, "setting %s: registered '%s', which the compiled model lacks", s->setting->name,
                      name);
    }
    return id < 0 ? 0 : id;
}

static void index_bodies(fw_sim *s) {
    for (int b = 0; b < s->m->nbody; b++) {
        int part = robot_part(s->robot, s->m, b);
        s->b.body_kind[b] = part >= 0 ? KIND_ROBOT + part : KIND_WORLD;
        s->b.body_hinge[b] = -1;
        for (int p = b; p > 0; p = s->m->body_parentid[p]) {
            for (int o = 0; o < s->world.n_obj; o++) {
                s->b.body_kind[b] = s->obj_body[o] == p ? o : s->b.body_kind[b];
            }
            for (int h = 0; h < s->world.n_hinge && s->b.body_hinge[b] < 0; h++) {
                s->b.body_hinge[b] = s->m->jnt_bodyid[s->hinge_jnt[h]] == p ? h : -1;
            }
        }
    }
}

static void name_scene(fw_sim *s) {
    fw_scene *v = &s->scene;
    const fw_world *w = &s->world;
    memset(v, 0, sizeof *v);
    v->reach = w->reach;
    v->n_obj = w->n_obj, v->n_region = w->n_region, v->n_hinge = w->n_hinge;
    for (int o = 0; o < w->n_obj; o++) {
        v->obj[o].name = w->obj[o].name, v->obj[o].kind = w->obj[o].kind;
        v->obj[o].radius = w->obj[o].radius, v->obj[o].height = w->obj[o].height;
        v->obj[o].rest_z = w->obj[o].rest_z;
    }
    for (int r = 0; r < w->n_region; r++) {
        v->region[r].name = w->region[r].name;
        mju_copy3(v->region[r].half, w->region[r].half);
    }
    for (int h = 0; h < w->n_hinge; h++) {
        v->hinge[h].name = w->hinge[h].name;
        v->hinge[h].min = s->m->jnt_range[2 * s->hinge_jnt[h]];
        v->hinge[h].max = s->m->jnt_range[2 * s->hinge_jnt[h] + 1];
    }
    v->cloth.rows = w->cloth.rows, v->cloth.cols = w->cloth.cols, v->cloth.spacing = w->cloth.spacing;
    v->cloth.vert = s->cloth;
    v->cloth.gripped[0] = v->cloth.gripped[1] = -1;
}

fw_status sim_index(fw_sim *s, fw_err *err) {
    const fw_world *w = &s->world;
    fw_status st = FW_OK;
    s->b.body_kind = calloc((size_t)s->m->nbody, sizeof *s->b.body_kind);
    s->b.body_hinge = calloc((size_t)s->m->nbody, sizeof *s->b.body_hinge);
    size_t n_vert = (size_t)w->cloth.rows * (size_t)w->cloth.cols;
    free(s->cloth);
    s->cloth = n_vert > 0 ? calloc(3 * n_vert, sizeof *s->cloth) : NULL;
    if (s->b.body_kind == NULL || s->b.body_hinge == NULL || (n_vert > 0 && s->cloth == NULL)) {
        return fw_fail(err, FW_NOMEM, "simulator");
    }
    for (int o = 0; o < w->n_obj; o++) {
        s->obj_body[o] = find(s, mjOBJ_BODY, w->obj[o].name, &st, err);
        int j = s->m->body_jntadr[s->obj_body[o]];
        if (st == FW_OK && (j < 0 || s->m->jnt_type[j] != mjJNT_FREE)) {
            st = fw_fail(err, FW_FORMAT, "setting %s: '%s' has no free joint", s->setting->name, w->obj[o].name);
        }
        s->obj_q[o] = s->m->jnt_qposadr[j < 0 ? 0 : j];
        s->obj_v[o] = s->m->jnt_dofadr[j < 0 ? 0 : j];
    }
    for (int r = 0; r < w->n_region; r++) {
        s->region_body[r] = w->region[r].body[0] != 0 ? find(s, mjOBJ_BODY, w->region[r].body, &st, err) : 0;
    }
    for (int h = 0; h < w->n_hinge; h++) {
        s->hinge_jnt[h] = find(s, mjOBJ_JOINT, w->hinge[h].name, &st, err);
    }
    s->flex = n_vert > 0 ? find(s, mjOBJ_FLEX, w->cloth.flex, &st, err) : -1;
    if (st == FW_OK) {
        index_bodies(s);
        name_scene(s);
    }
    return st;
}

/* --- every step */
typedef bool finger_touch[FW_ARM_MAX][2];

static void note_touch(fw_sim *s, int obj, int other, finger_touch *fingers) {
    fw_obj_view *o = &s->scene.obj[obj];
    if (other < FW_OBJ_MAX) {
        o->touches[other] = true;
    } else if (other == KIND_WORLD) {
        o->touches_world = true;
    } else if (other >= KIND_ROBOT) {
        int arm = (other - KIND_ROBOT) / ROBOT_PARTS, part = (other - KIND_ROBOT) % ROBOT_PARTS;
        o->touches_hand = o->touches_hand || part != ROBOT_REST;
        if (part == ROBOT_FINGER1 || part == ROBOT_FINGER2) {
            fingers[obj][arm][part == ROBOT_FINGER2] = true;
        }
    }
}

static void observe_contacts(fw_sim *s) {
    finger_touch fingers[FW_OBJ_MAX];
    memset(fingers, 0, sizeof fingers);
    for (int i = 0; i < s->d->ncon; i++) {
        const mjContact *c = &s->d->contact[i];
        if (c->dist > 0.0005 || c->geom[0] < 0 || c->geom[1] < 0) { /* geom < 0: a flex's */
            continue;
        }
        int body[2] = {s->m->geom_bodyid[c->geom[0]], s->m->geom_bodyid[c->geom[1]]};
        for (int k = 0; k < 2; k++) {
            int a = s->b.body_kind[body[k]], b = s->b.body_kind[body[1 - k]], hinge = s->b.body_hinge[body[k]];
            if (a < FW_OBJ_MAX) {
                note_touch(s, a, b, fingers);
            }
            if (hinge >= 0 && b >= KIND_ROBOT && (b - KIND_ROBOT) % ROBOT_PARTS != ROBOT_REST) {
                s->scene.hinge[hinge].touches_hand = true;
            }
        }
    }
    for (int o = 0; o < s->scene.n_obj; o++) {
        fw_obj_view *v = &s->scene.obj[o];
        for (int a = 0; a < FW_ARM_MAX; a++) {
            v->held_by |= fingers[o][a][0] && fingers[o][a][1] ? (uint8_t)(1u << a) : 0;
        }
        v->touches_both = v->held_by != 0;
    }
}

static void observe_objects(fw_sim *s) {
    const mjData *d = s->d;
    for (int o = 0; o < s->scene.n_obj; o++) {
        fw_obj_view *ob = &s->scene.obj[o];
        const double *mat = d->xmat + 9 * s->obj_body[o], *vel = d->qvel + s->obj_v[o];
        mju_copy3(ob->pos, d->xpos + 3 * s->obj_body[o]);
        mju_copy3(ob->mid, d->xipos + 3 * s->obj_body[o]);
        mju_copy4(ob->quat, d->xquat + 4 * s->obj_body[o]);
        ob->yaw = atan2(mat[3], mat[0]);
        ob->up = mat[8];
        ob->speed = mju_norm3(vel) + 0.05 * mju_norm3(vel + 3);
        ob->lifted = fmax(ob->lifted, ob->pos[2] - ob->start[2]);
        ob->touches_hand = ob->touches_both = ob->touches_world = false;
        ob->held_by = 0;
        memset(ob->touches, 0, sizeof ob->touches);
    }
}

/* A point of a body's frame in the world; its yaw too when asked. */
static void to_world(const fw_sim *s, int body, const double local[3], double out[3], double *yaw) {
    const double *mat = s->d->xmat + 9 * body;
    mju_mulMatVec3(out, mat, local);
    mju_addTo3(out, s->d->xpos + 3 * body);
    if (yaw != NULL) {
        *yaw = atan2(mat[3], mat[0]);
    }
}

void sim_observe_furniture(fw_sim *s) {
    for (int r = 0; r < s->scene.n_region; r++) {
        fw_region_view *v = &s->scene.region[r];
        to_world(s, s->region_body[r], s->world.region[r].pos, v->pos, &v->yaw);
        v->yaw += s->world.region[r].yaw;
    }
    for (int h = 0; h < s->scene.n_hinge; h++) {
        fw_hinge_view *v = &s->scene.hinge[h];
        int j = s->hinge_jnt[h];
        v->pos = s->d->qpos[s->m->jnt_qposadr[j]];
        v->vel = s->d->qvel[s->m->jnt_dofadr[j]];
        v->touches_hand = false;
        to_world(s, s->m->jnt_bodyid[j], s->world.hinge[h].grip, v->grip, &v->yaw);
    }
    if (s->flex >= 0) {
        size_t n = 3 * (size_t)s->scene.cloth.rows * (size_t)s->scene.cloth.cols;
        memcpy(s->cloth, s->d->flexvert_xpos + 3 * s->m->flex_vertadr[s->flex], n * sizeof *s->cloth);
    }
}

void sim_observe(fw_sim *s) {
    observe_objects(s);
    sim_observe_furniture(s);
    observe_contacts(s);
    robot_view(s->robot, s->m, s->d, &s->scene);
    s->scene.t_s = s->d->time;
}

/* --- indices by name */
int fw_scene_obj(const fw_scene *s, const char *name) {
    for (int i = 0; i < s->n_obj; i++) {
        if (strcmp(s->obj[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int fw_scene_region(const fw_scene *s, const char *name) {
    for (int i = 0; i < s->n_region; i++) {
        if (strcmp(s->region[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int fw_scene_hinge(const fw_scene *s, const char *name) {
    for (int i = 0; i < s->n_hinge; i++) {
        if (strcmp(s->hinge[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}
