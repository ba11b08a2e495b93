/* randomise.c - see randomise.h. Lights, cameras and masses keep the order of draws of the first suite. */
#include "sim/randomise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/effects.h"
#include "sim/texture.h"

enum { N_MATERIAL = 4, TEXTURE_PX = 64, DISTRACTOR_MAX = 6, BITS = 32 };

typedef struct pose {
    double pos[3], quat[4];
} pose;

struct fw_rz {
    fw_ranges f;
    rz_parts parts;

    /* of the compiled model */
    int n_distractor, lamp, material; /* distractors built; the third lamp, the first own material: -1 without */
    int nu, n_view;
    bool *geared;   /* owned [nu]: a position servo of one of the robot's turning joints */
    double *memory; /* owned: what a fork must keep; the parts below point into it */
    size_t n_memory;
    double *play; /* [nu] where the geared side stands */
    double *ring; /* [ring_len,nu] commands of the last physics steps */
    double *head; /* the one that is written next */
    double *kept; /* [n_view] the view of a delayed camera */
    int ring_len;

    /* of the episode */
    uint64_t visual, dynamics;
    double *backlash; /* owned [nu] rad */
    int action_steps; /* delay, physics steps */
    double image_s;
    pose distractor[DISTRACTOR_MAX];
    int shown; /* distractors */
    bool textured;
    uint64_t stale;
};

static double draw(const fw_rz *z, fw_range_id id, fw_rng *r) {
    return fw_range_draw(&z->f.r[id], r);
}
static double most(const fw_rz *z, fw_range_id id) {
    return fw_range_most(&z->f.r[id]);
}

/* --- open, build, bind */
fw_status rz_open(const char *home_dir, const char *name, const char *look, fw_rz **out, fw_err *err) {
    fw_ranges seen;
    fw_rz *z = calloc(1, sizeof *z);
    if (z == NULL) {
        return fw_fail(err, FW_NOMEM, "ranges");
    }
    fw_status st = fw_ranges_load(home_dir, name, &z->f, err);
    if (st == FW_OK && z->f.engine[0] != 0 && strcmp(z->f.engine, fw_sim_version()) != 0) {
        st = fw_fail(err, FW_UNSUPPORTED, "ranges '%s' are played by %s, this program has %s", z->f.name, z->f.engine,
                     fw_sim_version());
    }
    if (st == FW_OK && look != NULL && (st = fw_ranges_load(home_dir, look, &seen, err)) == FW_OK) {
        fw_ranges_look(&z->f, &seen);
    }
    if (st != FW_OK) {
        rz_free(z);
        return st;
    }
    *out = z;
    return FW_OK;
}

static void unbind(fw_rz *z) {
    free(z->geared);
    free(z->memory);
    free(z->backlash);
    z->geared = NULL;
    z->memory = z->backlash = NULL;
}

void rz_free(fw_rz *z) {
    if (z != NULL) {
        unbind(z);
        free(z);
    }
}

const fw_ranges *rz_ranges(const fw_rz *z) {
    return &z->f;
}

static void build_physics(const fw_rz *z, mjSpec *s) {
    static const mjtIntegrator of_word[] = {mjINT_EULER, mjINT_EULER, mjINT_IMPLICIT, mjINT_IMPLICITFAST, mjINT_RK4};
    fw_rng r = fw_rng_stream(0, "physics");
    int word = (int)draw(z, FW_RANGE_INTEGRATOR, &r);
    s->option.timestep *= draw(z, FW_RANGE_TIMESTEP, &r);
    s->option.impratio *= draw(z, FW_RANGE_IMPRATIO, &r);
    if (word != 0 && s->option.integrator == mjINT_IMPLICITFAST) { /* cloth has its own and keeps it */
        s->option.integrator = of_word[word];
    }
}

static void build_distractor(mjsBody *world, int i) {
    static const mjtGeom type[DISTRACTOR_MAX] = {mjGEOM_CYLINDER, mjGEOM_BOX,       mjGEOM_SPHERE,
                                                 mjGEOM_CAPSULE,  mjGEOM_ELLIPSOID, mjGEOM_BOX};
    static const double size[DISTRACTOR_MAX][3] = {{0.030, 0.050, 0}, {0.045, 0.03, 0.07}, {0.035, 0, 0},
                                                   {0.025, 0.060, 0}, {0.05, 0.035, 0.03}, {0.02, 0.06, 0.015}};
    char name[32];
    snprintf(name, sizeof name, "rz_distractor%d", i);
    mjsBody *b = mjs_addBody(world, NULL);
    mjs_setName(b->element, name);
    b->mocap = 1;
    mjsGeom *g = mjs_addGeom(b, NULL);
    g->type = type[i];
    mju_copy3(g->size, size[i]);
    g->pos[2] = type[i] == mjGEOM_CYLINDER || type[i] == mjGEOM_CAPSULE ? size[i][1] : size[i][2];
    g->pos[2] = type[i] == mjGEOM_SPHERE ? size[i][0] : g->pos[2];
    g->contype = g->conaffinity = 0;
}

static void build_lamp(mjsBody *world) {
    mjsLight *l = mjs_addLight(world, NULL);
    mjs_setName(l->element, "rz_lamp");
    l->castshadow = 0;
    l->type = mjLIGHT_DIRECTIONAL;
    mju_copy3(l->pos, (double[]){0.5, 0, 2});
    for (int k = 0; k < 3; k++) {
        l->diffuse[k] = 0, l->specular[k] = 0.1f, l->ambient[k] = 0;
    }
}

static void build_material(mjSpec *s, int i) {
    static const unsigned char grey[TEXTURE_PX * TEXTURE_PX * 3] = {0};
    char name[32];
    snprintf(name, sizeof name, "rz_surface%d", i);
    mjsTexture *t = mjs_addTexture(s, NULL);
    mjs_setName(t->element, name);
    t->type = mjTEXTURE_2D;
    t->width = t->height = TEXTURE_PX;
    t->nchannel = 3;
    mjs_setBuffer(t->data, grey, sizeof grey);
    mjsMaterial *m = mjs_addMaterial(s, NULL);
    mjs_setName(m->element, name);
    mjs_setInStringVec(m->textures, mjTEXROLE_RGB, name);
    m->texrepeat[0] = m->texrepeat[1] = 4;
    m->texuniform = 1;
    m->specular = 0.2f;
}

void rz_build(fw_rz *z, mjSpec *s) {
    mjsBody *world = mjs_findBody(s, "world");
    build_physics(z, s);
    if (most(z, FW_RANGE_LIGHT_COUNT) > RZ_LIGHTS) {
        build_lamp(world);
    }
    for (int i = 0; i < N_MATERIAL && most(z, FW_RANGE_TEXTURE_REDRAW) > 0; i++) {
        build_material(s, i);
    }
    for (int i = 0; i < (int)most(z, FW_RANGE_DISTRACTORS); i++) {
        build_distractor(world, i);
    }
}

/* The distractors' mocap bodies are the model's last: their poses and geoms are cut off a view's end. */
static int view_mocap(const fw_rz *z, const mjModel *m) {
    return (int)m->nmocap - z->n_distractor;
}
static int view_geom(const fw_rz *z, const mjModel *m) {
    return (int)m->ngeom - z->n_distractor;
}

fw_status rz_bind(fw_rz *z, const mjModel *m, const rz_parts *parts, fw_err *err) {
    char name[32];
    unbind(z);
    z->parts = *parts;
    z->lamp = mj_name2id(m, mjOBJ_LIGHT, "rz_lamp");
    z->material = mj_name2id(m, mjOBJ_MATERIAL, "rz_surface0");
    for (z->n_distractor = 0; z->n_distractor < DISTRACTOR_MAX; z->n_distractor++) {
        snprintf(name, sizeof name, "rz_distractor%d", z->n_distractor);
        int b = mj_name2id(m, mjOBJ_BODY, name);
        if (b < 0) {
            break;
        }
    }
    for (int i = 0; i < z->n_distractor; i++) {
        snprintf(name, sizeof name, "rz_distractor%d", i);
        int b = mj_name2id(m, mjOBJ_BODY, name);
        if (m->body_mocapid[b] != view_mocap(z, m) + i || m->body_geomadr[b] != view_geom(z, m) + i) {
            return fw_fail(err, FW_UNSUPPORTED, "the compiled model does not end with its distractors");
        }
    }
    z->nu = (int)m->nu;
    z->n_view = rz_view_size(z, m);
    z->ring_len = (int)ceil(most(z, FW_RANGE_ACTION_DELAY) / m->opt.timestep) + 1;
    bool delayed_eye = most(z, FW_RANGE_IMAGE_DELAY) > 0;
    size_t nu = (size_t)z->nu, ring = (size_t)z->ring_len * nu;
    z->n_memory = nu + ring + 1 + (size_t)z->n_view;
    z->geared = calloc(nu + 1, sizeof *z->geared);
    z->backlash = calloc(nu + 1, sizeof *z->backlash);
    z->memory = calloc(z->n_memory, sizeof *z->memory);
    if (z->geared == NULL || z->backlash == NULL || z->memory == NULL) {
        return fw_fail(err, FW_NOMEM, "delay lines of %d motors", z->nu);
    }
    z->play = z->memory;
    z->ring = z->play + nu;
    z->head = z->ring + ring;
    z->kept = z->head + 1;
    if (!delayed_eye) {
        z->n_memory -= (size_t)z->n_view; /* a live view is no memory */
    }
    for (int u = 0; u < z->nu; u++) {
        int j = m->actuator_trnid[2 * u];
        bool servo = m->actuator_biastype[u] == mjBIAS_AFFINE && m->actuator_biasprm[mjNBIAS * u + 1] < 0;
        z->geared[u] = servo && m->actuator_trntype[u] == mjTRN_JOINT && m->jnt_type[j] == mjJNT_HINGE &&
                       parts->body_is_robot[m->jnt_bodyid[j]];
    }
    return FW_OK;
}

/* --- how it feels */
static void draw_objects(const fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *r) {
    for (int o = 0; o < z->parts.n_obj; o++) {
        int b = z->parts.obj_body[o];
        double heavy = draw(z, FW_RANGE_MASS, r), slide = draw(z, FW_RANGE_FRICTION, r);
        m->body_mass[b] = m0->body_mass[b] * heavy;
        mju_scl3(m->body_inertia + 3 * b, m0->body_inertia + 3 * b, heavy);
        for (int g = m->body_geomadr[b]; g < m->body_geomadr[b] + m->body_geomnum[b]; g++) {
            m->geom_friction[3 * g] = m0->geom_friction[3 * g] * slide;
        }
    }
    double grip = draw(z, FW_RANGE_PAD_FRICTION, r);
    for (int g = 0; g < m->ngeom; g++) {
        if (m->geom_priority[g] > 0 && z->parts.body_is_robot[m->geom_bodyid[g]]) {
            m->geom_friction[3 * g] = m0->geom_friction[3 * g] * grip;
        }
    }
}

/* A cloth is a thing, too. */
static void draw_cloths(const fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *r) {
    for (int f = 0; f < m->nflex; f++) {
        double heavy = draw(z, FW_RANGE_MASS, r), slide = draw(z, FW_RANGE_FRICTION, r);
        for (int v = m->flex_vertadr[f]; v < m->flex_vertadr[f] + m->flex_vertnum[f]; v++) {
            int b = m->flex_vertbodyid[v];
            m->body_mass[b] = m0->body_mass[b] * heavy;
            mju_scl3(m->body_inertia + 3 * b, m0->body_inertia + 3 * b, heavy);
        }
        m->flex_friction[3 * f] = m0->flex_friction[3 * f] * slide;
    }
}

static void draw_joints(const fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *r) {
    for (int v = 0; v < m->nv; v++) {
        if (z->parts.body_is_robot[m->dof_bodyid[v]]) {
            m->dof_damping[v] = m0->dof_damping[v] * draw(z, FW_RANGE_JOINT_DAMPING, r);
            m->dof_frictionloss[v] = m0->dof_frictionloss[v] * draw(z, FW_RANGE_JOINT_FRICTION, r);
        }
    }
}

static void draw_motors(fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *r) {
    for (int u = 0; u < m->nu; u++) {
        double gain = draw(z, FW_RANGE_MOTOR_GAIN, r), damping = draw(z, FW_RANGE_MOTOR_DAMPING, r),
               play = draw(z, FW_RANGE_BACKLASH, r);
        const double *bias0 = m0->actuator_biasprm + mjNBIAS * u;
        double *bias = m->actuator_biasprm + mjNBIAS * u;
        z->backlash[u] = z->geared[u] ? play : 0;
        if (m->actuator_biastype[u] == mjBIAS_AFFINE && bias0[1] < 0) {
            m->actuator_gainprm[mjNGAIN * u] = m0->actuator_gainprm[mjNGAIN * u] * gain;
            bias[1] = bias0[1] * gain;
            bias[2] = bias0[2] * gain * damping;
        }
    }
}

void rz_dynamics(fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *dynamics, uint64_t seed) {
    fw_rng joints = fw_rng_stream(seed, "dynamics joints"), motors = fw_rng_stream(seed, "dynamics motors"),
           delays = fw_rng_stream(seed, "dynamics delays");
    z->dynamics = seed;
    draw_objects(z, m, m0, dynamics);
    draw_cloths(z, m, m0, dynamics);
    draw_joints(z, m, m0, &joints);
    draw_motors(z, m, m0, &motors);
    z->action_steps = (int)lround(draw(z, FW_RANGE_ACTION_DELAY, &delays) / m->opt.timestep);
    z->action_steps = z->action_steps >= z->ring_len ? z->ring_len - 1 : z->action_steps;
    z->image_s = draw(z, FW_RANGE_IMAGE_DELAY, &delays);
}

/* --- how it looks */
void rz_clear(fw_rz *z, mjModel *m, const mjModel *m0) {
    memcpy(m->geom_rgba, m0->geom_rgba, 4 * (size_t)m->ngeom * sizeof *m->geom_rgba);
    memcpy(m->geom_matid, m0->geom_matid, (size_t)m->ngeom * sizeof *m->geom_matid);
    memcpy(m->mat_texrepeat, m0->mat_texrepeat, 2 * (size_t)m->nmat * sizeof *m->mat_texrepeat);
    if (z->textured) {
        memcpy(m->tex_data, m0->tex_data, (size_t)m->ntexdata);
        z->stale = ~(uint64_t)0;
        z->textured = false;
    }
}

static void draw_lamp(const fw_rz *z, mjModel *m, int i, fw_range_id bright_id, fw_rng *r) {
    double bright = draw(z, bright_id, r), warm = draw(z, FW_RANGE_LIGHT_WARMTH, r);
    for (int k = 0; k < 3; k++) {
        m->light_diffuse[3 * i + k] = (float)(bright * (1 + (k == 0 ? warm : k == 2 ? -warm : 0)));
    }
    double az = draw(z, FW_RANGE_LIGHT_AZIMUTH, r), tilt = draw(z, FW_RANGE_LIGHT_TILT, r);
    mjtNum *dir = m->light_dir + 3 * i;
    dir[0] = sin(tilt) * cos(az), dir[1] = sin(tilt) * sin(az), dir[2] = -cos(tilt);
}

static void draw_lights(const fw_rz *z, mjModel *m, fw_rng *r, fw_rng *more) {
    int n = (int)draw(z, FW_RANGE_LIGHT_COUNT, more);
    for (int i = 0; i < RZ_LIGHTS; i++) {
        draw_lamp(z, m, i, i == 0 ? FW_RANGE_LIGHT_KEY : FW_RANGE_LIGHT_FILL, r);
        m->light_active[i] = i < n;
    }
    if (z->lamp >= 0) {
        draw_lamp(z, m, z->lamp, FW_RANGE_LIGHT_FILL, more);
        m->light_active[z->lamp] = n > RZ_LIGHTS;
    }
    float ambient = (float)draw(z, FW_RANGE_LIGHT_AMBIENT, r), head = (float)draw(z, FW_RANGE_LIGHT_HEAD, r);
    for (int k = 0; k < 3; k++) {
        m->vis.headlight.ambient[k] = ambient;
        m->vis.headlight.diffuse[k] = head;
        m->vis.headlight.specular[k] = 0.05f;
    }
}

static void draw_cameras(const fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *r) {
    for (int c = 0; c < m->ncam; c++) {
        bool scene = m->cam_bodyid[c] == 0; /* it stands in the room; the others ride on a hand */
        double axis[3], q[4];
        for (int k = 0; k < 3; k++) {
            m->cam_pos[3 * c + k] =
                m0->cam_pos[3 * c + k] + draw(z, scene ? FW_RANGE_CAM_SCENE_SHIFT : FW_RANGE_CAM_HAND_SHIFT, r);
            axis[k] = fw_rng_uniform(r, -1, 1);
        }
        mju_normalize3(axis);
        mju_axisAngle2Quat(q, axis, draw(z, scene ? FW_RANGE_CAM_SCENE_TURN : FW_RANGE_CAM_HAND_TURN, r));
        mju_mulQuat(m->cam_quat + 4 * c, m0->cam_quat + 4 * c, q);
        m->cam_fovy[c] = m0->cam_fovy[c] * draw(z, FW_RANGE_CAM_ZOOM, r);
    }
}

static bool is_thing(const fw_rz *z, int body) {
    for (int o = 0; o < z->parts.n_obj; o++) {
        if (z->parts.obj_body[o] == body) {
            return true;
        }
    }
    return false;
}

static void tint(mjModel *m, int body, const double gain[3]) {
    for (int g = m->body_geomadr[body]; g < m->body_geomadr[body] + m->body_geomnum[body]; g++) {
        for (int k = 0; k < 3; k++) {
            m->geom_rgba[4 * g + k] = fminf(1, m->geom_rgba[4 * g + k] * (float)gain[k]);
        }
    }
}

/* A robot is of one make; things and furniture have each their own tint. */
static void draw_colours(const fw_rz *z, mjModel *m, fw_rng *r) {
    double robot[3], own[3];
    for (int k = 0; k < 3; k++) {
        robot[k] = draw(z, FW_RANGE_COLOUR_ROBOT, r);
    }
    for (int b = 0; b < m->nbody; b++) {
        for (int k = 0; k < 3; k++) {
            own[k] = draw(z, is_thing(z, b) ? FW_RANGE_COLOUR_OBJECT : FW_RANGE_COLOUR_ROOM, r);
        }
        tint(m, b, z->parts.body_is_robot[b] ? robot : own);
    }
}

static void draw_texture(fw_rz *z, mjModel *m, int t, fw_rng *r) {
    fw_texture kind = (fw_texture)draw(z, FW_RANGE_TEXTURE_KIND, r);
    double contrast = draw(z, FW_RANGE_TEXTURE_CONTRAST, r);
    fw_texture_draw(kind, r, contrast, m->tex_width[t], m->tex_nchannel[t], m->tex_data + m->tex_adr[t]);
    z->stale |= t < 64 ? (uint64_t)1 << t : 0;
    z->textured = true;
}

static int texture_of(const mjModel *m, int mat) {
    int t = m->mat_texid[mjNTEXROLE * mat + mjTEXROLE_RGB];
    bool fits = t >= 0 && t < 64 && m->tex_type[t] == mjTEXTURE_2D && m->tex_width[t] == m->tex_height[t] &&
                m->tex_nchannel[t] >= 3;
    return fits ? t : -1;
}

/* Furniture that has a material gets another texture in it; furniture that has none may get one of ours. */
static void draw_surfaces(fw_rz *z, mjModel *m, fw_rng *r) {
    for (int mat = 0; mat < m->nmat; mat++) {
        bool ours = z->material >= 0 && mat >= z->material && mat < z->material + N_MATERIAL, robot = false;
        for (int g = 0; g < m->ngeom && !ours; g++) {
            robot = robot || (m->geom_matid[g] == mat && z->parts.body_is_robot[m->geom_bodyid[g]]);
        }
        double anew = draw(z, FW_RANGE_TEXTURE_REDRAW, r), scale = draw(z, FW_RANGE_TEXTURE_SCALE, r);
        int t = texture_of(m, mat);
        if (!robot && t >= 0 && (ours || anew > 0)) {
            fw_rng own =
                *r; /* a texture takes many numbers: its own copy, so that the next one's do not depend on its size */
            draw_texture(z, m, t, &own);
            m->mat_texrepeat[2 * mat] *= (float)scale;
            m->mat_texrepeat[2 * mat + 1] *= (float)scale;
        }
    }
    double anew = 0;
    int mat = -1;
    for (int g = 0; g < view_geom(z, m) && z->material >= 0; g++) {
        int b = m->geom_bodyid[g];
        if (b == 0 || g == m->body_geomadr[b]) { /* a piece of furniture is of one material */
            anew = draw(z, FW_RANGE_TEXTURE_REDRAW, r);
            mat = z->material + (int)fw_rng_below(r, N_MATERIAL);
        }
        if (anew > 0 && m->geom_matid[g] < 0 && !z->parts.body_is_robot[b] && !is_thing(z, b)) {
            m->geom_matid[g] = mat;
        }
    }
}

static void draw_distractors(fw_rz *z, mjModel *m, fw_rng *r) {
    z->shown = (int)draw(z, FW_RANGE_DISTRACTORS, r);
    for (int i = 0; i < z->n_distractor; i++) {
        float *c = m->geom_rgba + 4 * (view_geom(z, m) + i);
        for (int k = 0; k < 3; k++) {
            c[k] = (float)fw_rng_uniform(r, 0.05, 0.95);
        }
        c[3] = i < z->shown ? 1 : 0;
    }
}

void rz_visual(fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *visual, uint64_t seed) {
    fw_rng lamps = fw_rng_stream(seed, "visual lamps"), colours = fw_rng_stream(seed, "visual colours"),
           surfaces = fw_rng_stream(seed, "visual surfaces"), others = fw_rng_stream(seed, "visual distractors");
    z->visual = seed;
    draw_lights(z, m, visual, &lamps);
    draw_cameras(z, m, m0, visual);
    draw_colours(z, m, &colours);
    draw_surfaces(z, m, &surfaces);
    draw_distractors(z, m, &others);
}

uint64_t rz_stale_textures(fw_rz *z) {
    uint64_t stale = z->stale;
    z->stale = 0;
    return stale;
}

/* --- distractors: beyond or beside the work area, away from things and places */
static bool clear_of(const fw_scene *s, double x, double y) {
    const double room = 0.09;
    if (x > -0.15 && x < s->reach.far_m + room && fabs(y) < s->reach.side_m + room) {
        return false;
    }
    for (int i = 0; i < s->n_obj; i++) {
        if (hypot(x - s->obj[i].pos[0], y - s->obj[i].pos[1]) < s->obj[i].radius + room) {
            return false;
        }
    }
    for (int i = 0; i < s->n_region; i++) {
        const fw_region_view *p = &s->region[i];
        double c = cos(p->yaw), n = sin(p->yaw), dx = x - p->pos[0], dy = y - p->pos[1];
        if (fabs(c * dx + n * dy) < p->half[0] + room && fabs(c * dy - n * dx) < p->half[1] + room) {
            return false;
        }
    }
    return true;
}

static void place_distractors(fw_rz *z, const fw_scene *scene) {
    const fw_reach *reach = &scene->reach;
    fw_rng r = fw_rng_stream(z->visual, "visual places");
    for (int i = 0; i < z->n_distractor; i++) {
        pose *p = &z->distractor[i];
        bool free = false;
        *p = (pose){{0, 0, -5}, {1, 0, 0, 0}};
        for (int t = 0; t < 60 && !free && i < z->shown; t++) {
            double x = fw_rng_uniform(&r, -0.1, reach->far_m + 0.2),
                   y = fw_rng_uniform(&r, -reach->side_m - 0.3, reach->side_m + 0.3),
                   yaw = fw_rng_uniform(&r, -3.1, 3.1);
            free = clear_of(scene, x, y);
            for (int k = 0; k < i; k++) {
                free = free && hypot(x - z->distractor[k].pos[0], y - z->distractor[k].pos[1]) > 0.13;
            }
            if (free) {
                *p = (pose){{x, y, 0}, {cos(yaw / 2), 0, 0, sin(yaw / 2)}};
            }
        }
    }
}

/* --- views */
int rz_view_size(const fw_rz *z, const mjModel *m) {
    return (int)m->nq + 7 * view_mocap(z, m) + (view_geom(z, m) + BITS - 1) / BITS;
}

static void take_moving(const fw_rz *z, const mjModel *m, const mjData *d, double *view) {
    int n = view_mocap(z, m);
    mju_copy(view, d->qpos, (int)m->nq);
    mju_copy(view + m->nq, d->mocap_pos, 3 * n);
    mju_copy(view + m->nq + 3 * n, d->mocap_quat, 4 * n);
}

static void take_shown(const fw_rz *z, const mjModel *m, double *view) {
    double *bits = view + m->nq + 7 * view_mocap(z, m);
    for (int g = 0; g < view_geom(z, m); g++) {
        bits[g / BITS] = g % BITS == 0 ? 0 : bits[g / BITS];
        bits[g / BITS] += m->geom_rgba[4 * g + 3] > 0 ? ldexp(1, g % BITS) : 0;
    }
}

void rz_view_put(const fw_rz *z, mjModel *m, mjData *eye, const double *view) {
    int n = view_mocap(z, m);
    mju_copy(eye->qpos, view, (int)m->nq);
    mju_copy(eye->mocap_pos, view + m->nq, 3 * n);
    mju_copy(eye->mocap_quat, view + m->nq + 3 * n, 4 * n);
    for (int i = 0; i < z->n_distractor; i++) {
        mju_copy3(eye->mocap_pos + 3 * (n + i), z->distractor[i].pos);
        mju_copy4(eye->mocap_quat + 4 * (n + i), z->distractor[i].quat);
    }
    const double *bits = view + m->nq + 7 * n;
    for (int g = 0; g < view_geom(z, m); g++) {
        bool shown = ((uint64_t)bits[g / BITS] >> (g % BITS)) & 1;
        float *alpha = &m->geom_rgba[4 * g + 3];
        *alpha = !shown ? 0 : *alpha > 0 ? *alpha : 1;
    }
    mj_kinematics(m, eye);
    mj_comPos(m, eye);
    mj_camlight(m, eye);
    mj_flex(m, eye);
    mj_tendon(m, eye);
}

const double *rz_view(fw_rz *z, const mjModel *m, const mjData *d) {
    if (z->image_s <= 0) {
        take_moving(z, m, d, z->kept);
    }
    take_shown(z, m, z->kept);
    return z->kept;
}

void rz_eye(fw_rz *z, const mjModel *m, const mjData *d, int i, int n_sub) {
    if (z->image_s > 0) {
        int back = (int)lround(z->image_s / m->opt.timestep);
        if (i == (back > n_sub ? 0 : n_sub - back)) {
            take_moving(z, m, d, z->kept);
        }
    }
}

/* --- between commands and motors, between joints and observation */
void rz_begin(fw_rz *z, const mjModel *m, const mjData *d, const fw_scene *scene) {
    mju_copy(z->play, d->ctrl, z->nu);
    for (int i = 0; i < z->ring_len; i++) {
        mju_copy(z->ring + (size_t)i * (size_t)z->nu, d->ctrl, z->nu);
    }
    *z->head = 0;
    take_moving(z, m, d, z->kept);
    place_distractors(z, scene);
}

void rz_drive(fw_rz *z, mjData *d) {
    if (z->action_steps > 0) {
        int head = (int)*z->head, from = (head - z->action_steps + z->ring_len) % z->ring_len;
        mju_copy(z->ring + (size_t)head * (size_t)z->nu, d->ctrl, z->nu);
        mju_copy(d->ctrl, z->ring + (size_t)from * (size_t)z->nu, z->nu);
        *z->head = (head + 1) % z->ring_len;
    }
    for (int u = 0; u < z->nu; u++) {
        if (z->backlash[u] > 0) { /* the geared side moves when the motor has crossed the play */
            double half = 0.5 * z->backlash[u];
            z->play[u] = fmin(d->ctrl[u] + half, fmax(d->ctrl[u] - half, z->play[u]));
            d->ctrl[u] = z->play[u];
        }
    }
}

void rz_state(const fw_rz *z, const fw_embodiment *e, int64_t step, float *state) {
    fw_rng zeros = fw_rng_stream(z->dynamics, "encoder zeros"),
           noise = fw_rng_stream(z->dynamics ^ (0x9E3779B97F4A7C15ull * (uint64_t)(step + 1)), "encoder noise"),
           levels = fw_rng_stream(z->dynamics, "encoder levels");
    double level_angle = draw(z, FW_RANGE_NOISE_ANGLE, &levels),
           level_position = draw(z, FW_RANGE_NOISE_POSITION, &levels);
    for (int i = 0; i < e->n_state; i++) {
        bool position = e->state[i].meaning == FW_MEANING_EE_POS,
             angle = e->state[i].meaning == FW_MEANING_JOINT_POS || e->state[i].meaning == FW_MEANING_EE_YAW;
        double a = draw(z, FW_RANGE_OFFSET_ANGLE, &zeros), p = draw(z, FW_RANGE_OFFSET_POSITION, &zeros);
        double n = fw_rng_normal(&noise), more = angle ? a + level_angle * n : position ? p + level_position * n : 0;
        state[i] = (float)((double)state[i] + more);
    }
}

fw_status rz_picture(const fw_rz *z, const char *camera, int64_t frame, int w, int h, uint8_t *rgb, fw_err *err) {
    char name[96];
    snprintf(name, sizeof name, "visual effects %.64s", camera);
    fw_rng r = fw_rng_stream(z->visual, name);
    fw_effects e = {.blur = draw(z, FW_RANGE_FX_BLUR, &r)};
    e.white_balance = draw(z, FW_RANGE_FX_WHITE, &r);
    e.exposure = draw(z, FW_RANGE_FX_EXPOSURE, &r);
    e.gamma = draw(z, FW_RANGE_FX_GAMMA, &r);
    e.noise = draw(z, FW_RANGE_FX_NOISE, &r);
    bool jpeg = draw(z, FW_RANGE_FX_JPEG, &r) > 0;
    int quality = (int)lround(draw(z, FW_RANGE_FX_JPEG_QUALITY, &r));
    e.jpeg_quality = jpeg ? quality : 0;
    return fw_effects_any(&e) ? fw_effects_apply(&e, fw_rng_u64(&r), frame, w, h, rgb, err) : FW_OK;
}

/* --- forks */
size_t rz_memory_size(const fw_rz *z) {
    return z->n_memory * sizeof *z->memory;
}
void rz_save(const fw_rz *z, void *out) {
    memcpy(out, z->memory, rz_memory_size(z));
}
void rz_restore(fw_rz *z, const void *in) {
    memcpy(z->memory, in, rz_memory_size(z));
}
