/*
 * world.c - the kitchen as a MuJoCo model: counter with a sink, plate, mug, bowl, banana, and the Panda.
 *
 * DESIGN. The arm and its hand come from their XML files; only their collision meshes are kept (they look like a Panda and
 * cost a sixtieth of the drawing meshes to load and to draw). Everything else is boxes, cylinders and capsules made here.
 * The counter is one mocap body, so that an episode may shift it; each vessel is a disc and a ring of boxes, because a
 * hollow thing must be hollow for a finger.
 *
 * Contact settings that hold a grasp (measured): elliptic cone, impratio 100, Newton, pads of friction 1.5, 35 N a finger.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "sim/sim_int.h"

#define PAD_MU 1.5 /* rubber pads: their priority makes theirs the friction of every grasp */
#define OBJ_MU 0.6 /* everything else slides: an object that cannot slide jams between a finger and the counter */

typedef struct rgb {
    float r, g, b;
} rgb;

static mjsGeom *geom(mjsBody *b, mjtGeom type, double x, double y, double z, double sx, double sy, double sz, rgb c) {
    mjsGeom *g = mjs_addGeom(b, NULL);
    g->type = type;
    mju_copy3(g->pos, (double[]){x, y, z});
    mju_copy3(g->size, (double[]){sx, sy, sz});
    g->rgba[0] = c.r, g->rgba[1] = c.g, g->rgba[2] = c.b, g->rgba[3] = 1;
    g->friction[0] = OBJ_MU;
    g->contype = 1, g->conaffinity = 3; /* the robot is contype 2, conaffinity 0: it touches the world, never itself */
    return g;
}

/* A geom of an object that will be held. */
static mjsGeom *part(mjsBody *b, mjtGeom type, const double pos[3], const double size[3], rgb c, double density) {
    mjsGeom *g = geom(b, type, pos[0], pos[1], pos[2], size[0], size[1], size[2], c);
    mju_copy3(g->friction, (double[]){OBJ_MU, 0.01, 0.0005});
    g->condim = 4;
    g->density = density;
    return g;
}
#define V3(x, y, z) ((const double[3]){(x), (y), (z)})

/* n boxes round a circle: radius r at half height, middle at z, half thickness t, half height h, leaning outward by tilt. */
static void ring(mjsBody *b, int n, double r, double z, double t, double h, double tilt, rgb c, double density) {
    for (int i = 0; i < n; i++) {
        double a = 2 * mjPI * i / n;
        mjsGeom *g =
            part(b, mjGEOM_BOX, V3(r * cos(a), r * sin(a), z), V3(t, r * tan(mjPI / n) + t * 0.5, h), c, density);
        mju_mulQuat(g->quat, (double[]){cos(a / 2), 0, 0, sin(a / 2)}, (double[]){cos(tilt / 2), 0, sin(tilt / 2), 0});
    }
}

static mjsBody *free_body(mjsBody *world, fw_obj obj) {
    mjsBody *b = mjs_addBody(world, NULL);
    mjs_setName(b->element, fw_obj_name(obj));
    b->pos[0] = 0.4 + 0.2 * (int)obj;
    mjs_addFreeJoint(b);
    return b;
}

/* A dessert plate: its rim is steep enough to be pinched from above (a flat rim cannot be). */
static void add_plate(mjsBody *world) {
    mjsBody *b = free_body(world, FW_OBJ_PLATE);
    rgb c = {0.92f, 0.92f, 0.95f};
    part(b, mjGEOM_CYLINDER, V3(0, 0, 0.003), V3(0.073, 0.003, 0), c, 900);
    ring(b, 18, FW_PLATE_RIM_M, 0.016, 0.0022, 0.013, 0.25, c, 900);
}

static void add_mug(mjsBody *world) {
    mjsBody *b = free_body(world, FW_OBJ_MUG);
    rgb c = {0.8f, 0.25f, 0.2f};
    double r = 0.028, h = 0.036;
    part(b, mjGEOM_CYLINDER, V3(0, 0, 0.003), V3(r - 0.001, 0.003, 0), c, 900);
    ring(b, 14, r - 0.002, h, 0.002, h, 0, c, 900);
    for (mjsElement *e = mjs_firstChild(b, mjOBJ_GEOM, 0); e != NULL; e = mjs_nextChild(b, e, 0)) {
        mjs_asGeom(e)->contype = mjs_asGeom(e)->conaffinity =
            0; /* looks hollow; for fingers it is the solid cylinder below */
    }
    mjsGeom *solid = part(b, mjGEOM_CYLINDER, V3(0, 0, h), V3(r, h, 0), c, 0);
    solid->group = 4;
    solid->mass = 0;
    for (int k = 0; k < 2; k++) {
        part(b, mjGEOM_BOX, V3(r + 0.009, 0, k ? 0.052 : 0.020), V3(0.010, 0.004, 0.004), c, 500);
    }
    part(b, mjGEOM_BOX, V3(r + 0.019, 0, h), V3(0.004, 0.004, 0.020), c, 500);
}

static void add_bowl(mjsBody *world) {
    mjsBody *b = free_body(world, FW_OBJ_BOWL);
    rgb c = {0.3f, 0.45f, 0.8f};
    part(b, mjGEOM_CYLINDER, V3(0, 0, 0.003), V3(0.036, 0.003, 0), c, 900);
    ring(b, 14, 0.051, 0.027, 0.0025, 0.027, 0.55, c, 900);
}

/* Five capsules along an arc in the plane of the counter, thinner at the ends. */
static void add_banana(mjsBody *world) {
    mjsBody *b = free_body(world, FW_OBJ_BANANA);
    rgb c = {0.95f, 0.85f, 0.2f}, tip = {0.45f, 0.33f, 0.15f};
    for (int i = -2; i <= 2; i++) {
        double a = i * 0.28, arc = 0.096;
        mjsGeom *g = part(b, mjGEOM_CAPSULE, V3(arc * sin(a), arc * (cos(a) - 1), 0),
                          V3(0.0155 - 0.002 * abs(i), 0.014, 0), c, 900);
        double lie[4] = {cos(mjPI / 4), 0, sin(mjPI / 4), 0}, turn[4] = {cos(-a / 2), 0, 0, sin(-a / 2)};
        mju_mulQuat(g->quat, turn, lie);
    }
    mjsGeom *g = part(b, mjGEOM_SPHERE, V3(0.068, -0.026, 0), V3(0.009, 0, 0), tip, 900);
    g->mass = 0.001;
}

/* Small tileable pictures, so that a counter can be wood, stone or tiles; grey on purpose, the colour is a randomised field. */
static void counter_pixels(int look, unsigned char *px, int n) {
    fw_rng r = fw_rng_stream(1, "counter textures");
    double veins[3] = {0, 0, 0};
    for (int k = 0; k < 3; k++) {
        veins[k] = fw_rng_uniform(&r, 0, 6.28);
    }
    for (int y = 0; y < n; y++) {
        for (int x = 0; x < n; x++) {
            double u = 6.28318530718 * x / n, v = 6.28318530718 * y / n, noise = fw_rng_uniform(&r, -1, 1), g = 0.85;
            switch (look) {
            case 1:
                g = 0.82 + 0.10 * sin(6 * v + 0.7 * sin(2 * u) + veins[0]) + 0.03 * noise;
                break; /* wood grain */
            case 2:
                g = 0.85 + 0.12 * noise;
                break; /* granite */
            case 3:
                g = (x < 3 || y < 3) ? 0.62 : 0.88;
                break; /* tiles */
            case 4:
                g = 0.85 + 0.10 * sin(u + 2 * sin(v + veins[1])) * sin(2 * v + sin(u + veins[2]));
                break; /* marble */
            case 5:
                g = ((x < n / 2) != (y < n / 2)) ? 0.78 : 0.90;
                break; /* checker */
            default:
                break;
            }
            unsigned char b = (unsigned char)(255 * fmin(1, fmax(0, g)));
            memset(px + 3 * ((size_t)y * n + x), b, 3);
        }
    }
}

static void add_looks(mjSpec *s) {
    enum { N = 64 };
    unsigned char px[N * N * 3];
    mjsTexture *sky = mjs_addTexture(s, NULL);
    mjs_setName(sky->element, "sky");
    sky->type = mjTEXTURE_SKYBOX;
    sky->builtin = mjBUILTIN_GRADIENT;
    sky->width = sky->height = 32;
    mju_copy3(sky->rgb1, (double[]){0.75, 0.78, 0.8});
    mju_copy3(sky->rgb2, (double[]){0.45, 0.45, 0.45});
    for (int i = 0; i < N_COUNTER_LOOK; i++) {
        char name[16];
        snprintf(name, sizeof name, "counter%d", i);
        counter_pixels(i, px, N);
        mjsTexture *t = mjs_addTexture(s, NULL);
        mjs_setName(t->element, name);
        t->type = mjTEXTURE_2D;
        t->width = t->height = N;
        t->nchannel = 3;
        mjs_setBuffer(t->data, px, sizeof px);
        mjsMaterial *m = mjs_addMaterial(s, NULL);
        mjs_setName(m->element, name);
        mjs_setInStringVec(m->textures, mjTEXROLE_RGB, name);
        m->texrepeat[0] = m->texrepeat[1] = 4;
        m->texuniform = 1;
        m->specular = 0.2f;
    }
}

/* The counter's top is four boxes round the sink's hole; floor, walls, tap. One mocap body, so that it can be shifted. */
static void add_counter(mjsBody *world) {
    mjsBody *b = mjs_addBody(world, NULL);
    mjs_setName(b->element, "counter");
    b->mocap = 1;
    double sx = SINK_X_M, sy = SINK_Y_M, h = SINK_HALF_M, x0 = -0.28, x1 = 0.86, y0 = -0.65, y1 = 0.72, th = 0.02,
           dp = SINK_DEPTH_M;
    double top[4][4] = {
        {x0, x1, y0, sy - h}, {x0, x1, sy + h, y1}, {x0, sx - h, sy - h, sy + h}, {sx + h, x1, sy - h, sy + h}};
    rgb wood = {0.9f, 0.9f, 0.9f}, steel = {0.62f, 0.64f, 0.67f}, dark = {0.5f, 0.52f, 0.55f};
    for (int i = 0; i < 4; i++) {
        double *t = top[i];
        mjsGeom *g = geom(b, mjGEOM_BOX, (t[0] + t[1]) / 2, (t[2] + t[3]) / 2, -th, (t[1] - t[0]) / 2,
                          (t[3] - t[2]) / 2, th, wood);
        char name[16];
        snprintf(name, sizeof name, "top%d", i);
        mjs_setName(g->element, name);
        mjs_setString(g->material, "counter0");
    }
    mjsGeom *g = geom(b, mjGEOM_BOX, sx, sy, -dp - 0.02, h, h, 0.02, dark);
    mjs_setName(g->element, "sink_floor");
    for (int i = 0; i < 4; i++) {
        double sg = i % 2 ? 1 : -1, off = h + 0.006;
        g = geom(b, mjGEOM_BOX, sx + (i < 2 ? sg * off : 0), sy + (i < 2 ? 0 : sg * off), -dp / 2 - 0.02,
                 i < 2 ? 0.006 : h, i < 2 ? h : 0.006, dp / 2 + 0.0195, steel);
        char name[16];
        snprintf(name, sizeof name, "sink%d", i);
        mjs_setName(g->element, name);
    }
    geom(b, mjGEOM_CYLINDER, sx, sy, -dp, 0.02, 0.001, 0, (rgb){0.2f, 0.2f, 0.2f})->contype = 0;
    geom(b, mjGEOM_CYLINDER, sx - 0.03, sy + h + 0.04, 0.09, 0.012, 0.09, 0,
         steel); /* the tap stands where the arm never is */
    g = geom(b, mjGEOM_CAPSULE, sx - 0.03, sy + h + 0.025, 0.24, 0.011, 0.025, 0, steel);
    mju_copy4(g->quat, (double[]){cos(mjPI / 4), sin(mjPI / 4), 0, 0});
}

static void look_at(mjsCamera *c, const double eye[3], const double at[3]) {
    double z[3], x[3], y[3], up[3] = {0, 0, 1}, mat[9];
    mju_sub3(z, eye, at);
    mju_normalize3(z);
    mju_cross(x, up, z);
    mju_normalize3(x);
    mju_cross(y, z, x);
    for (int i = 0; i < 3; i++) {
        mat[3 * i] = x[i], mat[3 * i + 1] = y[i], mat[3 * i + 2] = z[i];
    }
    mju_mat2Quat(c->quat, mat);
    mju_copy3(c->pos, eye);
}

static void add_views(mjsBody *world) {
    mjsCamera *c = mjs_addCamera(world, NULL);
    mjs_setName(c->element, "front");
    c->fovy = 47;
    look_at(c, V3(1.27, 0.045, 0.86), V3(0.43, 0.045, 0.03));
    for (int i = 0; i < N_LIGHT; i++) {
        mjsLight *l = mjs_addLight(world, NULL);
        l->castshadow = 0;
        l->type = mjLIGHT_DIRECTIONAL;
        mju_copy3(l->pos, (double[]){0.5, 0, 2});
        mju_copy3(l->dir, (double[]){i ? 0.5 : -0.4, i ? -0.4 : 0.3, -1});
        for (int k = 0; k < 3; k++) {
            l->diffuse[k] = 0.4f, l->specular[k] = 0.1f, l->ambient[k] = 0;
        }
    }
    mjsGeom *floor = geom(world, mjGEOM_PLANE, 0, 0, -0.8, 3, 3, 0.5, (rgb){0.45f, 0.45f, 0.47f});
    mjs_setName(floor->element, "floor");
}

/* Drop what is only for looks, and the robot's own motors and sensors. */
static void strip(mjSpec *s) {
    static const mjtObj kinds[] = {mjOBJ_ACTUATOR, mjOBJ_SENSOR, mjOBJ_SITE, mjOBJ_CAMERA, mjOBJ_LIGHT};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (mjsElement *e = mjs_firstElement(s, kinds[k]); e != NULL; e = mjs_firstElement(s, kinds[k])) {
            mjs_delete(s, e);
        }
    }
    for (mjsElement *e = mjs_firstElement(s, mjOBJ_GEOM), *next; e != NULL; e = next) {
        next = mjs_nextElement(s, e);
        if (mjs_asGeom(e)->group == 1) {
            mjs_delete(s, e);
        }
    }
    for (mjsElement *e = mjs_firstElement(s, mjOBJ_MESH), *next; e != NULL; e = next) {
        next = mjs_nextElement(s, e);
        if (strstr(mjs_getString(mjs_getName(e)), "_vis") != NULL) {
            mjs_delete(s, e);
        }
    }
}

static void paint(mjSpec *s, const char *name, rgb c, bool touches) {
    mjsElement *e = mjs_findElement(s, mjOBJ_GEOM, name);
    if (e == NULL) {
        return;
    }
    mjsGeom *g = mjs_asGeom(e);
    g->rgba[0] = c.r, g->rgba[1] = c.g, g->rgba[2] = c.b, g->rgba[3] = 1;
    g->contype = touches ? 2 : 0, g->conaffinity = 0;
    g->condim = touches ? 4 : 3;
    mju_copy3(g->friction, (double[]){OBJ_MU, 0.01, 0.0005});
}

/* Position servos on the arm; one servo opens both fingers, which an equality keeps mirrored. */
static void add_motors(mjSpec *s) {
    static const double scale[N_ARM] = {1, 1, 0.8, 0.8, 0.5, 0.5, 0.5};
    for (int i = 0; i < N_ARM; i++) {
        char name[16];
        snprintf(name, sizeof name, "joint%d", i + 1);
        mjsActuator *a = mjs_addActuator(s, NULL);
        mjs_setName(a->element, name);
        a->trntype = mjTRN_JOINT;
        mjs_setString(a->target, name);
        double kp = ARM_KP * scale[i], kv = kp * ARM_KV_PER_KP;
        mjs_setToPosition(a, kp, &kv, NULL, NULL, 0);
        mjsJoint *j = mjs_asJoint(mjs_findElement(s, mjOBJ_JOINT, name));
        j->armature = 0.1;
    }
    mjsActuator *a = mjs_addActuator(s, NULL);
    mjs_setName(a->element, "gripper");
    a->trntype = mjTRN_JOINT;
    mjs_setString(a->target, "finger_joint1");
    double kv = 80;
    mjs_setToPosition(a, 3000, &kv, NULL, NULL, 0);
    a->forcelimited = mjLIMITED_TRUE;
    a->forcerange[0] = -70,
    a->forcerange[1] = 70; /* shared by two fingers: 35 N each; at 60 N pads sink through thin walls */
    for (int i = 1; i <= 2; i++) {
        mjsJoint *j = mjs_asJoint(mjs_findElement(s, mjOBJ_JOINT, i == 1 ? "finger_joint1" : "finger_joint2"));
        j->armature = 0.2;
        j->damping[0] = 10;
        j->frictionloss = 0;
    }
    mjsEquality *eq = mjs_addEquality(s, NULL);
    eq->type = mjEQ_JOINT;
    mjs_setString(eq->name1, "finger_joint2");
    mjs_setString(eq->name2, "finger_joint1");
    eq->data[0] = 0, eq->data[1] = -1;
    eq->solref[0] = 0.006;
}

/* The hand under the arm's last body, pads, the point between them, the wrist camera. */
static fw_status finish_arm(mjSpec *arm, mjSpec *hand, fw_err *err) {
    mjsBody *flange = mjs_findBody(arm, "right_hand"), *root = mjs_findBody(hand, "right_gripper");
    if (flange == NULL || root == NULL) {
        return fw_fail(err, FW_FORMAT, "robosuite's panda: wanted bodies right_hand and right_gripper, found %s",
                       flange ? "no right_gripper" : "no right_hand");
    }
    mjsFrame *f = mjs_addFrame(flange, NULL);
    if (mjs_attach(f->element, root->element, "", "") == NULL) {
        return fw_fail(err, FW_FORMAT, "attaching the hand: %s", mjs_getError(arm));
    }
    mjsSite *site = mjs_addSite(flange, NULL);
    mjs_setName(site->element, "tcp");
    site->pos[2] = 0.0959;
    site->group = 5;
    mjsCamera *c = mjs_addCamera(flange, NULL);
    mjs_setName(c->element, "wrist");
    c->fovy = 70;
    mju_copy3(c->pos, (double[]){0.075, 0, -0.005});
    double tilt = 0.25, flip[4] = {0, 1, 0, 0}, lean[4] = {cos(tilt / 2), 0, sin(tilt / 2), 0}, q[4],
           spin[4] = {cos(mjPI / 4), 0, 0, sin(mjPI / 4)};
    mju_mulQuat(q, flip, lean);
    mju_mulQuat(c->quat, q, spin);

    rgb white = {0.93f, 0.93f, 0.92f}, grey = {0.3f, 0.31f, 0.33f}, dark = {0.18f, 0.18f, 0.2f};
    for (int i = 0; i <= 7; i++) {
        char name[32];
        snprintf(name, sizeof name, "link%d_collision", i);
        paint(arm, name, i == 7 ? grey : white, i >= 5);
    }
    paint(arm, "hand_collision", white, true);
    for (int i = 1; i <= 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "finger%d_collision", i);
        paint(arm, name, dark, true);
        snprintf(name, sizeof name, "finger%d_pad_collision", i);
        paint(arm, name, grey, true);
        mjsElement *e = mjs_findElement(arm, mjOBJ_GEOM, name);
        if (e == NULL) {
            return fw_fail(err, FW_FORMAT, "robosuite's panda: no geom %s", name);
        }
        mjsGeom *g = mjs_asGeom(e); /* 2 x 2 cm of rubber at the finger's end */
        mju_copy3(g->size, (double[]){0.010, 0.004, 0.010});
        g->pos[2] = -0.0125;
        g->priority = 1;
        g->friction[0] = PAD_MU;
        g->solref[0] = 0.006, g->solref[1] = 1;
        g->solimp[0] = 0.95, g->solimp[1] = 0.99;
    }
    for (mjsElement *e = mjs_firstElement(arm, mjOBJ_BODY); e != NULL; e = mjs_nextElement(arm, e)) {
        mjs_asBody(e)->gravcomp = 1;
    }
    return FW_OK;
}

static fw_status load_arm(const char *home, mjSpec **arm, mjSpec **hand, fw_err *err) {
    char path[1024], msg[500] = "";
    FW_TRY(fw_path_join(path, sizeof path, home, ".deps/robosuite/robots/panda/robot.xml", err));
    *arm = mj_parseXML(path, NULL, msg, sizeof msg);
    if (*arm == NULL) {
        return fw_fail(err, FW_IO, "%s: %.150s (tools/setup.sh unpacks it)", path, msg);
    }
    FW_TRY(fw_path_join(path, sizeof path, home, ".deps/robosuite/grippers/panda_gripper.xml", err));
    *hand = mj_parseXML(path, NULL, msg, sizeof msg);
    if (*hand == NULL) {
        return fw_fail(err, FW_IO, "%s: %.150s (tools/setup.sh unpacks it)", path, msg);
    }
    strip(*arm);
    strip(*hand);
    return FW_OK;
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

fw_status sim_build_model(const char *home, int max_px, mjModel **out, fw_err *err) {
    fw_status st = FW_OK;
    mjSpec *s = NULL, *arm = NULL, *hand = NULL;
    st = load_arm(home, &arm, &hand, err);
    if (st != FW_OK) {
        goto done;
    }
    st = finish_arm(arm, hand, err);
    if (st != FW_OK) {
        goto done;
    }
    add_motors(arm);
    s = mj_makeSpec();
    set_options(s, max_px);
    mjsBody *world = mjs_findBody(s, "world");
    add_looks(s);
    add_counter(world);
    add_views(world);
    add_plate(world);
    add_mug(world);
    add_bowl(world);
    add_banana(world);
    mjsBody *root = mjs_findBody(arm, "base");
    mjsFrame *frame = mjs_addFrame(world, NULL);
    if (root == NULL || mjs_attach(frame->element, root->element, "", "") == NULL) {
        st = fw_fail(err, FW_FORMAT, "attaching the arm: %.200s", mjs_getError(s));
        goto done;
    }
    *out = mj_compile(s, NULL);
    if (*out == NULL) {
        st = fw_fail(err, FW_IO, "compiling the kitchen: %.200s", mjs_getError(s));
    }
done:
    mj_deleteSpec(s);
    mj_deleteSpec(hand);
    mj_deleteSpec(arm);
    return st;
}
