/*
 * reset.c - what every episode draws whatever the setting: lights and cameras ("visual"), masses and friction ("dynamics").
 *
 * Only fields that MuJoCo allows to change on a compiled model are touched, always from the pristine copy m0.
 */
#include <math.h>
#include <string.h>

#include "sim/sim_int.h"

void sim_draw_lights(fw_sim *s, fw_rng *r) {
    mjModel *m = s->m;
    for (int i = 0; i < N_LIGHT; i++) {
        double bright = fw_rng_uniform(r, 0.1, i == 0 ? 0.55 : 0.3), warm = fw_rng_uniform(r, -0.12, 0.12);
        for (int k = 0; k < 3; k++) {
            m->light_diffuse[3 * i + k] = (float)(bright * (1 + (k == 0 ? warm : k == 2 ? -warm : 0)));
        }
        double az = fw_rng_uniform(r, -mjPI, mjPI), tilt = fw_rng_uniform(r, 0.1, 0.9);
        mjtNum *dir = m->light_dir + 3 * i;
        dir[0] = sin(tilt) * cos(az), dir[1] = sin(tilt) * sin(az), dir[2] = -cos(tilt);
    }
    float ambient = (float)fw_rng_uniform(r, 0.15, 0.35), head = (float)fw_rng_uniform(r, 0.1, 0.3);
    for (int k = 0; k < 3; k++) {
        m->vis.headlight.ambient[k] = ambient;
        m->vis.headlight.diffuse[k] = head;
        m->vis.headlight.specular[k] = 0.05f;
    }
}

void sim_draw_cameras(fw_sim *s, fw_rng *r) {
    mjModel *m = s->m;
    for (int c = 0; c < m->ncam; c++) {
        bool front = m->cam_bodyid[c] == 0; /* it stands in the room; the others ride on a hand */
        double off = front ? 0.015 : 0.003, turn = front ? 0.015 : 0.015, axis[3], q[4];
        for (int k = 0; k < 3; k++) {
            m->cam_pos[3 * c + k] = s->m0->cam_pos[3 * c + k] + fw_rng_uniform(r, -off, off);
            axis[k] = fw_rng_uniform(r, -1, 1);
        }
        mju_normalize3(axis);
        mju_axisAngle2Quat(q, axis, fw_rng_uniform(r, -turn, turn));
        mju_mulQuat(m->cam_quat + 4 * c, s->m0->cam_quat + 4 * c, q);
        m->cam_fovy[c] = s->m0->cam_fovy[c] * fw_rng_uniform(r, 0.98, 1.02);
    }
}

void sim_draw_dynamics(fw_sim *s, fw_rng *r) {
    mjModel *m = s->m;
    for (int o = 0; o < s->world.n_obj; o++) {
        int b = s->obj_body[o];
        double heavy = fw_rng_uniform(r, 0.75, 1.35), slide = fw_rng_uniform(r, 0.75, 1.3);
        m->body_mass[b] = s->m0->body_mass[b] * heavy;
        mju_scl3(m->body_inertia + 3 * b, s->m0->body_inertia + 3 * b, heavy);
        for (int g = m->body_geomadr[b]; g < m->body_geomadr[b] + m->body_geomnum[b]; g++) {
            m->geom_friction[3 * g] = s->m0->geom_friction[3 * g] * slide;
        }
    }
    double grip = fw_rng_uniform(r, 0.8, 1.15);
    for (int g = 0; g < m->ngeom; g++) { /* the pads: what has a say in every grasp */
        if (m->geom_priority[g] > 0 && s->b.body_kind[m->geom_bodyid[g]] >= KIND_ROBOT) {
            m->geom_friction[3 * g] = s->m0->geom_friction[3 * g] * grip;
        }
    }
    mj_setConst(m, s->d);
}
