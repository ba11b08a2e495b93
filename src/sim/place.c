/* place.c - setting things down, colouring them, saving and restoring whole states. */
#include <math.h>
#include <string.h>

#include "sim/sim_int.h"

void fw_sim_place_quat(fw_sim *s, int obj, const double pos[3], const double quat[4]) {
    double *q = s->d->qpos + s->obj_q[obj];
    mju_copy3(q, pos);
    mju_copy4(q + 3, quat);
    mju_zero(s->d->qvel + s->obj_v[obj], 6);
}

void fw_sim_place(fw_sim *s, int obj, const double pos[3], double yaw, bool upright) {
    double spin[4] = {cos(yaw / 2), 0, 0, sin(yaw / 2)}, flip[4] = {0, 1, 0, 0}, q[4];
    mju_mulQuat(q, spin, flip);
    fw_sim_place_quat(s, obj, pos, upright ? spin : q);
}

void fw_sim_park(fw_sim *s, int obj, const double pos[3]) {
    fw_sim_place(s, obj, pos, 0, true);
    s->m->body_gravcomp[s->obj_body[obj]] = 1;
}

void fw_sim_shift(fw_sim *s, const char *body, double dx, double dy, double dyaw) {
    int b = mj_name2id(s->m, mjOBJ_BODY, body), k = b >= 0 ? s->m->body_mocapid[b] : -1;
    if (k < 0) {
        return;
    }
    double turn[4] = {cos(dyaw / 2), 0, 0, sin(dyaw / 2)}, *pos = s->d->mocap_pos + 3 * k;
    mju_add3(pos, s->m0->body_pos + 3 * b, (double[]){dx, dy, 0});
    mju_mulQuat(s->d->mocap_quat + 4 * k, turn, s->m0->body_quat + 4 * b);
}

void fw_sim_set_hinge(fw_sim *s, int hinge, double pos) {
    int j = s->hinge_jnt[hinge];
    s->d->qpos[s->m->jnt_qposadr[j]] = pos;
    s->d->qvel[s->m->jnt_dofadr[j]] = 0;
}

void fw_sim_paint(fw_sim *s, const char *body, const float rgb[3]) {
    int b = mj_name2id(s->m, mjOBJ_BODY, body);
    for (int g = b < 0 ? 0 : s->m->body_geomadr[b]; b >= 0 && g < s->m->body_geomadr[b] + s->m->body_geomnum[b]; g++) {
        memcpy(s->m->geom_rgba + 4 * g, rgb, 3 * sizeof *rgb);
    }
}

void fw_sim_shade(fw_sim *s, const char *body, const float gain[3]) {
    int b = mj_name2id(s->m, mjOBJ_BODY, body);
    for (int g = b < 0 ? 0 : s->m->body_geomadr[b]; b >= 0 && g < s->m->body_geomadr[b] + s->m->body_geomnum[b]; g++) {
        for (int k = 0; k < 3; k++) {
            s->m->geom_rgba[4 * g + k] = fminf(1, s->m0->geom_rgba[4 * g + k] * gain[k]);
        }
    }
}

void fw_sim_show(fw_sim *s, const char *geom, bool visible) {
    int g = mj_name2id(s->m, mjOBJ_GEOM, geom);
    if (g >= 0) {
        s->m->geom_rgba[4 * g + 3] = visible ? 1 : 0;
    }
}

void fw_sim_start(fw_sim *s, int arm, const double pos[3], double yaw, double opening) {
    s->start[arm] = (fw_arm_start){{pos[0], pos[1], pos[2]}, yaw, opening};
    s->start_set[arm] = true;
}

/* --- whole states: physics, then the controller's memory, then the scene (what was lifted, auxiliary values) */
enum { STATE = mjSTATE_INTEGRATION };

size_t fw_sim_state_size(const fw_sim *s) {
    return (size_t)mj_stateSize(s->m, STATE) * sizeof(mjtNum) + robot_memory_size(s->robot) + sizeof s->scene +
           rz_memory_size(s->rz);
}

void fw_sim_save(const fw_sim *s, void *state) {
    char *p = state;
    size_t n = (size_t)mj_stateSize(s->m, STATE) * sizeof(mjtNum);
    mj_getState(s->m, s->d, (mjtNum *)state, STATE);
    memcpy(p + n, &s->scene, sizeof s->scene);
    robot_save(s->robot, p + n + sizeof s->scene);
    rz_save(s->rz, p + n + sizeof s->scene + robot_memory_size(s->robot));
}

void fw_sim_restore(fw_sim *s, const void *state) {
    const char *p = state;
    size_t n = (size_t)mj_stateSize(s->m, STATE) * sizeof(mjtNum);
    mj_setState(s->m, s->d, (const mjtNum *)state, STATE);
    memcpy(&s->scene, p + n, sizeof s->scene);
    robot_restore(s->robot, p + n + sizeof s->scene);
    rz_restore(s->rz, p + n + sizeof s->scene + robot_memory_size(s->robot));
    mj_forward(s->m, s->d);
    s->diverged = false;
    sim_observe(s);
    if (s->setting->tick != NULL) {
        s->setting->tick(s, &s->scene);
    }
}

size_t fw_sim_physics_state(const fw_sim *s, double *out, size_t cap) {
    size_t nq = (size_t)s->m->nq, n = nq + (size_t)s->m->nv;
    for (size_t i = 0; i < n && i < cap; i++) {
        out[i] = i < nq ? s->d->qpos[i] : s->d->qvel[i - nq];
    }
    return n;
}
