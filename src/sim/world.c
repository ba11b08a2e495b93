/*
 * world.c - building a model: the setting's furniture and things, lights, floor, then the robot; compiled once a home.
 *
 * Contact settings that hold a grasp (measured): elliptic cone, impratio 100, Newton, pads of friction 1.5 (the robot's file).
 * A setting may change them (cloth wants its own integrator).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/sim_int.h"

/* --- registering */
int fw_world_add_obj(fw_world *w, mjsBody *body, const char *name, const char *kind, double radius, double height,
                     double rest_z) {
    if (w->n_obj >= FW_OBJ_MAX) {
        w->n_obj = FW_OBJ_MAX + 1;
        return -1;
    }
    fw_world_obj *o = &w->obj[w->n_obj];
    mjs_setName(body->element, name);
    snprintf(o->name, sizeof o->name, "%s", name);
    snprintf(o->kind, sizeof o->kind, "%s", kind);
    o->radius = radius, o->height = height, o->rest_z = rest_z;
    return w->n_obj++;
}

int fw_world_add_region(fw_world *w, const char *name, const char *body, const double pos[3], double yaw,
                        const double half[3]) {
    if (w->n_region >= FW_REGION_MAX) {
        w->n_region = FW_REGION_MAX + 1;
        return -1;
    }
    fw_world_region *r = &w->region[w->n_region];
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(r->body, sizeof r->body, "%s", body);
    mju_copy3(r->pos, pos);
    mju_copy3(r->half, half);
    r->yaw = yaw;
    return w->n_region++;
}

int fw_world_add_hinge(fw_world *w, const char *joint, const double grip[3]) {
    if (w->n_hinge >= FW_HINGE_MAX) {
        w->n_hinge = FW_HINGE_MAX + 1;
        return -1;
    }
    fw_world_hinge *h = &w->hinge[w->n_hinge];
    snprintf(h->name, sizeof h->name, "%s", joint);
    mju_copy3(h->grip, grip);
    return w->n_hinge++;
}

double fw_world_vary(fw_world *w, double plain, double a, double b) {
    return w->home == 0 ? plain : fw_rng_uniform(&w->shape, a, b);
}

/* --- geoms and bodies */
mjsGeom *fw_geom(mjsBody *b, mjtGeom type, const double pos[3], const double size[3], fw_rgb c) {
    mjsGeom *g = mjs_addGeom(b, NULL);
    g->type = type;
    mju_copy3(g->pos, pos);
    mju_copy3(g->size, size);
    g->rgba[0] = c.r, g->rgba[1] = c.g, g->rgba[2] = c.b, g->rgba[3] = 1;
    g->friction[0] = FW_OBJ_MU;
    g->contype = 1, g->conaffinity = 3;
    return g;
}

mjsGeom *fw_geom_held(mjsBody *b, mjtGeom type, const double pos[3], const double size[3], fw_rgb c, double density) {
    mjsGeom *g = fw_geom(b, type, pos, size, c);
    mju_copy3(g->friction, (double[]){FW_OBJ_MU, 0.01, 0.0005});
    g->condim = 4;
    g->density = density;
    return g;
}

void fw_geom_ring(mjsBody *b, int n, double r, double z, double t, double h, double tilt, fw_rgb c, double density) {
    for (int i = 0; i < n; i++) {
        double a = 2 * mjPI * i / n;
        mjsGeom *g = fw_geom_held(b, mjGEOM_BOX, FW_V3(r * cos(a), r * sin(a), z),
                                  FW_V3(t, r * tan(mjPI / n) + t * 0.5, h), c, density);
        mju_mulQuat(g->quat, (double[]){cos(a / 2), 0, 0, sin(a / 2)}, (double[]){cos(tilt / 2), 0, sin(tilt / 2), 0});
    }
}

mjsBody *fw_free_body(fw_world *w, const char *name) {
    mjsBody *b = mjs_addBody(w->root, NULL);
    mjs_setName(b->element, name);
    b->pos[0] = 0.4 + 0.2 * w->n_obj;
    mjs_addFreeJoint(b);
    return b;
}

mjsBody *fw_mocap_body(fw_world *w, const char *name, const double pos[3], double yaw) {
    mjsBody *b = mjs_addBody(w->root, NULL);
    mjs_setName(b->element, name);
    b->mocap = 1;
    mju_copy3(b->pos, pos);
    mju_copy4(b->quat, (double[]){cos(yaw / 2), 0, 0, sin(yaw / 2)});
    return b;
}

/* --- the room */
static void add_sky(mjSpec *s) {
    mjsTexture *sky = mjs_addTexture(s, NULL);
    mjs_setName(sky->element, "sky");
    sky->type = mjTEXTURE_SKYBOX;
    sky->builtin = mjBUILTIN_GRADIENT;
    sky->width = sky->height = 32;
    mju_copy3(sky->rgb1, (double[]){0.75, 0.78, 0.8});
    mju_copy3(sky->rgb2, (double[]){0.45, 0.45, 0.45});
}

static void add_lights(mjsBody *world) {
    for (int i = 0; i < RZ_LIGHTS; i++) {
        mjsLight *l = mjs_addLight(world, NULL);
        l->castshadow = 0;
        l->type = mjLIGHT_DIRECTIONAL;
        mju_copy3(l->pos, (double[]){0.5, 0, 2});
        mju_copy3(l->dir, (double[]){i ? 0.5 : -0.4, i ? -0.4 : 0.3, -1});
        for (int k = 0; k < 3; k++) {
            l->diffuse[k] = 0.4f, l->specular[k] = 0.1f, l->ambient[k] = 0;
        }
    }
    mjsGeom *floor = fw_geom(world, mjGEOM_PLANE, FW_V3(0, 0, -0.8), FW_V3(3, 3, 0.5), (fw_rgb){0.45f, 0.45f, 0.47f});
    mjs_setName(floor->element, "floor");
}

static void set_options(mjSpec *s, int max_px) {
    s->compiler.degree = 0;
    s->option.timestep = 0.002;
    s->option.integrator = mjINT_IMPLICITFAST;
    s->option.cone = mjCONE_ELLIPTIC;
    s->option.solver = mjSOL_NEWTON;
    s->option.impratio = 100;
    s->option.disableflags |= mjDSBL_AUTORESET; /* divergence is ours to see */
    s->visual.quality.shadowsize = 0;
    s->visual.quality.offsamples = 0;
    s->visual.quality.numslices = 16;
    s->visual.quality.numstacks = 8;
    s->visual.quality.numquads = 1;
    s->visual.global.offwidth = max_px;
    s->visual.global.offheight = max_px;
    s->visual.map.znear = 0.01f;
    s->visual.map.zfar = 10;
    s->stat.extent = 1.0;
    s->stat.center[0] = 0.4;
}

static fw_status check_room(const fw_sim *s, fw_err *err) {
    const fw_world *w = &s->world;
    if (w->n_obj > FW_OBJ_MAX || w->n_region > FW_REGION_MAX || w->n_hinge > FW_HINGE_MAX) {
        return fw_fail(err, FW_INVALID, "setting %s: more than %d objects, %d regions or %d hinges", s->setting->name,
                       FW_OBJ_MAX, FW_REGION_MAX, FW_HINGE_MAX);
    }
    return FW_OK;
}

fw_status sim_build_model(fw_sim *s, mjModel **out, fw_err *err) {
    fw_world *w = &s->world;
    mjSpec *spec = mj_makeSpec();
    memset(w, 0, sizeof *w);
    w->spec = spec;
    w->root = mjs_findBody(spec, "world");
    w->home = s->home;
    w->shape = fw_rng_stream(s->home, "home");
    w->reach = *robot_reach(s->robot);
    set_options(spec, s->opts.max_px);
    add_sky(spec);
    add_lights(w->root);
    fw_status st = s->setting->build(w, err);
    if (st == FW_OK && w->lacks != NULL) {
        st = fw_fail(err, FW_UNSUPPORTED, "%s on %s: wanted %s", s->setting->name, fw_sim_version(), w->lacks);
    }
    if (st == FW_OK) {
        st = check_room(s, err);
    }
    if (st == FW_OK) {
        st = robot_attach(s->robot, spec, err);
    }
    if (st == FW_OK) {
        rz_build(s->rz, spec);
        *out = mj_compile(spec, NULL);
        if (*out == NULL) {
            st = fw_fail(err, FW_FORMAT, "compiling %s, home %llu, with %s: %.200s", s->setting->name,
                         (unsigned long long)s->home, robot_embodiment(s->robot)->name, mjs_getError(spec));
        }
    }
    mj_deleteSpec(spec);
    w->spec = NULL;
    w->root = NULL;
    return st;
}
