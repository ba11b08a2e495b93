/*
 * robot_build.c - the robot as a MuJoCo spec: pieces of MJCF files joined, stripped of motors and ornaments, given ours.
 *
 * DESIGN. Packages differ in everything that is not geometry: motors, couplings, friction, contact bits. So only bodies, joints
 * and geoms are taken from them. A gripper becomes one driven joint that the others follow by equalities, whatever linkage the
 * package modelled; each geom is scenery unless a rule lets it touch. The robot is assembled once under a body "robot", compiled once
 * alone to measure how far the pads are apart along the gripper's travel, and then copied into each room.
 */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "sim/robot_int.h"

#define OBJ_MU      0.6 /* what is not a pad slides */
#define MODEL_BYTES (16u << 20)
#define MESSAGE     500

/* What MuJoCo says, on one line. static, until the next call */
static const char *said(const char *text) {
    static _Thread_local char line[MESSAGE];
    snprintf(line, sizeof line, "%s", text != NULL ? text : "no reason given");
    size_t n = strlen(line);
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == ' ')) {
        line[--n] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        line[i] = line[i] == '\n' ? ' ' : line[i];
    }
    return line;
}

/* --- a package's file, reduced to bodies, joints and the geoms that are kept */
static void drop_all(mjSpec *s, mjtObj kind) {
    for (mjsElement *e = mjs_firstElement(s, kind); e != NULL; e = mjs_firstElement(s, kind)) {
        mjs_delete(s, e);
    }
}

static bool fits(const char *glob, const char *name) {
    return glob[0] == 0 || fnmatch(glob, name, 0) == 0;
}

static bool rule_fits(const robot_rule *u, const mjsGeom *g) {
    return (u->group < 0 || u->group == g->group) &&
           fits(u->body, mjs_getString(mjs_getName(mjs_getParent(g->element)->element))) &&
           fits(u->geom, mjs_getString(mjs_getName(g->element))) && fits(u->mesh, mjs_getString(g->meshname));
}

static void set_touch(mjsGeom *g, bool touch) {
    g->contype = touch ? 2 : 0, g->conaffinity = 0;
    g->condim = touch ? 4 : 3;
    mju_copy3(g->friction, (double[]){OBJ_MU, 0.01, 0.0005});
    g->priority = 0;
}

/* Returns whether the geom stays. */
static bool apply_rules(fw_robot *r, mjsGeom *g) {
    set_touch(g, false);
    for (int i = 0; i < r->n_rule; i++) {
        robot_rule *u = &r->rule[i];
        if (!rule_fits(u, g)) {
            continue;
        }
        u->n_fit++;
        if (u->drop) {
            return false;
        }
        if (u->has_touch) {
            set_touch(g, u->touch);
        }
        if (u->has_rgba) {
            mjs_setString(g->material, "");
            for (int k = 0; k < 4; k++) {
                g->rgba[k] = (float)u->rgba[k];
            }
        }
    }
    return true;
}

static void drop_unused_meshes(mjSpec *s) {
    for (mjsElement *e = mjs_firstElement(s, mjOBJ_MESH), *next; e != NULL; e = next) {
        next = mjs_nextElement(s, e);
        bool used = false;
        for (mjsElement *g = mjs_firstElement(s, mjOBJ_GEOM); g != NULL && !used; g = mjs_nextElement(s, g)) {
            used = strcmp(mjs_getString(mjs_asGeom(g)->meshname), mjs_getString(mjs_getName(e))) == 0;
        }
        if (!used) {
            mjs_delete(s, e);
        }
    }
}

static void strip(fw_robot *r, mjSpec *s) {
    static const mjtObj kinds[] = {mjOBJ_KEY,    mjOBJ_EXCLUDE, mjOBJ_ACTUATOR, mjOBJ_SENSOR, mjOBJ_EQUALITY,
                                   mjOBJ_TENDON, mjOBJ_SITE,    mjOBJ_CAMERA,   mjOBJ_LIGHT};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        drop_all(s, kinds[k]);
    }
    for (mjsElement *e = mjs_firstElement(s, mjOBJ_GEOM), *next; e != NULL; e = next) {
        next = mjs_nextElement(s, e);
        if (!apply_rules(r, mjs_asGeom(e))) {
            mjs_delete(s, e);
        }
    }
    drop_unused_meshes(s);
    for (mjsElement *e = mjs_firstElement(s, mjOBJ_BODY); e != NULL; e = mjs_nextElement(s, e)) {
        mjs_asBody(e)->gravcomp = 1;
    }
}

/* --- pieces */
/* The file with its one fault mended in memory; what it names lies beside it. */
static fw_status parse_mended(const robot_piece *p, const char *path, mjSpec **out, char *msg, fw_err *err) {
    char *text = NULL, dir[1024];
    size_t n;
    FW_TRY(fw_file_read(path, MODEL_BYTES, &text, &n, err));
    const char *at = strstr(text, p->mend[0]);
    size_t cap = n + sizeof p->mend[1] + 1;
    char *mended = at != NULL ? malloc(cap) : NULL;
    fw_status st = FW_OK;
    if (mended != NULL) {
        snprintf(mended, cap, "%.*s%s%s", (int)(at - text), text, p->mend[1], at + strlen(p->mend[0]));
        snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') + 1 - path), path);
        *out = mj_parseXMLString(mended, NULL, msg, MESSAGE);
        if (*out != NULL) {
            mjs_setString((*out)->modelfiledir, dir);
        }
    } else {
        st = at == NULL ? fw_fail(err, FW_FORMAT, "%s: has no \"%s\" to mend", p->file, p->mend[0])
                        : fw_fail(err, FW_NOMEM, "%s", p->file);
    }
    free(mended);
    free(text);
    return st;
}

static fw_status parse(const char *home_dir, const robot_piece *p, mjSpec **out, fw_err *err) {
    char file[200], path[1024], msg[MESSAGE] = "";
    *out = NULL;
    snprintf(file, sizeof file, ".deps/%s", p->file);
    FW_TRY(fw_path_join(path, sizeof path, home_dir, file, err));
    if (p->mend[0][0] != 0) {
        FW_TRY(parse_mended(p, path, out, msg, err));
    } else {
        *out = mj_parseXML(path, NULL, msg, sizeof msg);
    }
    return *out != NULL ? FW_OK : fw_fail(err, FW_IO, "%s: %.150s (tools/setup.sh unpacks it)", path, said(msg));
}

/* Take a joint out of the file and leave what it moves where the joint would hold it. */
static fw_status fix_joint(mjSpec *s, const robot_piece *p, const robot_fixed *f, fw_err *err) {
    mjsElement *e = mjs_findElement(s, mjOBJ_JOINT, f->joint);
    if (e == NULL || mjs_asJoint(e)->type != mjJNT_SLIDE) {
        return fw_fail(err, FW_FORMAT, "%s: wanted a slide joint \"%s\" to fix, found %s", p->file, f->joint,
                       e == NULL ? "none" : "another kind");
    }
    mjsBody *b = mjs_getParent(e);
    double way[3];
    mju_rotVecQuat(way, mjs_asJoint(e)->axis, b->quat);
    mju_addToScl3(b->pos, way, f->at);
    mjs_delete(s, e);
    return FW_OK;
}

static fw_status add_piece(fw_robot *r, const char *home_dir, const robot_piece *p, mjsBody *root, fw_err *err) {
    mjSpec *s;
    FW_TRY(parse(home_dir, p, &s, err));
    fw_status st = FW_OK;
    mjsBody *body = mjs_findBody(s, p->body), *to = p->to[0] == 0 ? root : mjs_findBody(r->spec, p->to);
    if (body == NULL || to == NULL) {
        st = fw_fail(err, FW_FORMAT, "%s: wanted body \"%s\" to attach to \"%s\", found no \"%s\"", p->file, p->body,
                     p->to, body == NULL ? p->body : p->to);
        goto done;
    }
    strip(r, s);
    for (int i = 0; i < p->n_fixed && st == FW_OK; i++) {
        st = fix_joint(s, p, &p->fixed[i], err);
    }
    if (st != FW_OK) {
        goto done;
    }
    if (p->has_pose) {
        mju_copy3(body->pos, p->pos);
        mju_copy4(body->quat, p->quat);
        body->alt.type = mjORIENTATION_QUAT;
    }
    mjsFrame *f = mjs_addFrame(to, NULL);
    if (mjs_attach(f->element, body->element, p->prefix, "") == NULL) {
        st = fw_fail(err, FW_FORMAT, "%s: attaching \"%s\": %.120s", p->file, p->body, said(mjs_getError(r->spec)));
    }
done:
    mj_deleteSpec(s);
    return st;
}

static fw_status find(mjSpec *s, mjtObj kind, const char *name, const char *what, mjsElement **out, fw_err *err) {
    *out = mjs_findElement(s, kind, name);
    return *out != NULL ? FW_OK : fw_fail(err, FW_FORMAT, "the robot's pieces have no %s \"%s\"", what, name);
}

static mjsActuator *add_servo(mjSpec *s, const char *joint, double kp, double kv, double force) {
    mjsActuator *a = mjs_addActuator(s, NULL);
    mjs_setName(a->element, joint);
    a->trntype = mjTRN_JOINT;
    mjs_setString(a->target, joint);
    mjs_setToPosition(a, kp, &kv, NULL, NULL, 0);
    if (force > 0) {
        a->forcelimited = mjLIMITED_TRUE;
        a->forcerange[0] = -force, a->forcerange[1] = force;
    }
    return a;
}

static fw_status add_arm_motors(mjSpec *s, const robot_arm *a, fw_err *err) {
    mjsElement *e;
    for (int k = 0; k < a->n; k++) {
        FW_TRY(find(s, mjOBJ_JOINT, a->joint[k], "joint", &e, err));
        add_servo(s, a->joint[k], a->kp[k], a->kp[k] * a->lag_s, a->force[k]);
        mjsJoint *j = mjs_asJoint(e);
        j->armature = a->armature;
        j->damping[0] = a->damping >= 0 ? a->damping : j->damping[0];
        j->frictionloss = a->frictionloss >= 0 ? a->frictionloss : j->frictionloss;
    }
    return FW_OK;
}

/* One servo moves the first joint; an equality makes each other one follow: q = q_closed + ratio (q0 - q0_closed). */
static fw_status add_gripper_motor(mjSpec *s, const robot_grip *g, fw_err *err) {
    mjsElement *e;
    add_servo(s, g->joint[0], g->kp, g->kv, g->force);
    for (int k = 0; k < g->n_joint; k++) {
        FW_TRY(find(s, mjOBJ_JOINT, g->joint[k], "joint", &e, err));
        mjsJoint *j = mjs_asJoint(e);
        j->armature = g->armature;
        j->damping[0] = g->damping;
        j->frictionloss = 0;
        j->stiffness[0] = 0;
        if (k == 0) {
            continue;
        }
        double ratio = (g->open[k] - g->closed[k]) / (g->open[0] - g->closed[0]);
        mjsEquality *eq = mjs_addEquality(s, NULL);
        eq->type = mjEQ_JOINT;
        mjs_setString(eq->name1, g->joint[k]);
        mjs_setString(eq->name2, g->joint[0]);
        eq->data[0] = g->closed[k] - ratio * g->closed[0], eq->data[1] = ratio;
        eq->solref[0] = 0.006;
    }
    return FW_OK;
}

/* Rubber at the fingers' ends; its priority makes its friction that of every grasp. */
static fw_status add_pads(mjSpec *s, const robot_grip *g, fw_err *err) {
    mjsElement *e;
    for (int i = 0; i < g->n_pad; i++) {
        const robot_pad *p = &g->pad[i];
        mjsGeom *geom;
        if (p->geom[0] != 0) {
            FW_TRY(find(s, mjOBJ_GEOM, p->geom, "geom", &e, err));
            geom = mjs_asGeom(e);
        } else {
            mjsBody *b = mjs_findBody(s, p->body);
            if (b == NULL) {
                return fw_fail(err, FW_FORMAT, "the robot's pieces have no body \"%s\" for a pad", p->body);
            }
            geom = mjs_addGeom(b, NULL);
            geom->type = mjGEOM_BOX;
            geom->mass = 0;
            geom->rgba[0] = 0.3f, geom->rgba[1] = 0.31f, geom->rgba[2] = 0.33f;
        }
        set_touch(geom, true);
        mju_copy3(geom->pos, p->pos);
        mju_copy3(geom->size, p->size);
        if (p->has_quat) {
            mju_copy4(geom->quat, p->quat);
        }
        geom->priority = 1;
        geom->friction[0] = g->friction;
        geom->solref[0] = 0.006, geom->solref[1] = 1;
        geom->solimp[0] = 0.95, geom->solimp[1] = 0.99;
    }
    return FW_OK;
}

static fw_status add_tcp(mjSpec *s, const robot_arm *a, int i, fw_err *err) {
    mjsBody *b = mjs_findBody(s, a->tcp_body);
    if (b == NULL) {
        return fw_fail(err, FW_FORMAT, "the robot's pieces have no body \"%s\" for the tcp", a->tcp_body);
    }
    char name[16];
    snprintf(name, sizeof name, "tcp%d", i);
    mjsSite *site = mjs_addSite(b, NULL);
    mjs_setName(site->element, name);
    mju_copy3(site->pos, a->tcp_pos);
    mju_copy4(site->quat, a->tcp_quat);
    site->group = 5;
    return FW_OK;
}

static bool among(const char *name, const char (*list)[ROBOT_NAME], int n) {
    for (int i = 0; i < n; i++) {
        if (strcmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What nobody drives is rigid: a joint that no arm, gripper or base names goes. */
static void drop_idle_joints(fw_robot *r) {
    for (mjsElement *e = mjs_firstElement(r->spec, mjOBJ_JOINT), *next; e != NULL; e = next) {
        const char *name = mjs_getString(mjs_getName(e));
        bool driven = among(name, r->base.joint, r->base.n);
        for (int i = 0; i < r->n_arm; i++) {
            const robot_arm *a = &r->arm[i];
            driven = driven || among(name, a->joint, a->n) || among(name, a->grip.joint, a->grip.n_joint);
        }
        next = mjs_nextElement(r->spec, e);
        if (!driven) {
            mjs_delete(r->spec, e);
        }
    }
}

/* The base turns about its own origin, which is where the arm's frame stands: whatever wheels do that. */
static fw_status add_base_motors(mjSpec *s, const robot_base *b, fw_err *err) {
    mjsElement *e;
    for (int k = 0; k < b->n; k++) {
        FW_TRY(find(s, mjOBJ_JOINT, b->joint[k], "joint", &e, err));
        add_servo(s, b->joint[k], b->kp[k], b->kp[k] * b->lag_s, 0);
        mjs_asJoint(e)->frictionloss = 0;
        mju_zero3(mjs_asJoint(e)->pos);
    }
    return FW_OK;
}

static void look_at(mjsCamera *c, const robot_camera *from) {
    double z[3], x[3], y[3], mat[9];
    mju_sub3(z, from->pos, from->at);
    mju_normalize3(z);
    mju_cross(x, from->up, z);
    mju_normalize3(x);
    mju_cross(y, z, x);
    for (int i = 0; i < 3; i++) {
        mat[3 * i] = x[i], mat[3 * i + 1] = y[i], mat[3 * i + 2] = z[i];
    }
    mju_mat2Quat(c->quat, mat);
    mju_copy3(c->pos, from->pos);
    c->fovy = from->fovy;
}

static fw_status add_camera(mjSpec *s, mjsBody *root, const robot_camera *from, fw_err *err) {
    mjsBody *b = from->body[0] == 0 ? root : mjs_findBody(s, from->body);
    if (b == NULL) {
        return fw_fail(err, FW_FORMAT, "the robot's pieces have no body \"%s\" for camera \"%s\"", from->body,
                       from->name);
    }
    mjsCamera *c = mjs_addCamera(b, NULL);
    mjs_setName(c->element, from->name);
    look_at(c, from);
    return FW_OK;
}

/* --- what the compiled robot tells: how far apart the pads are at each fraction of the gripper's travel */
static bool below(const mjModel *m, int body, int top) {
    while (body > 0 && body != top) {
        body = m->body_parentid[body];
    }
    return body == top;
}

/* The middle of a finger's pads. A finger may hang on the other one (a jaw on its hand): what is that one's is not counted.
 * Returns how many there are. */
static int pad_middle(const mjModel *m, const mjData *d, const robot_arm *a, int finger, double out[3]) {
    int n = 0, own = mj_name2id(m, mjOBJ_BODY, a->finger[finger]),
        other = mj_name2id(m, mjOBJ_BODY, a->finger[1 - finger]);
    mju_zero3(out);
    for (int g = 0; g < m->ngeom; g++) {
        int b = m->geom_bodyid[g];
        bool others = below(m, b, other) && !below(m, own, other);
        if (m->geom_priority[g] == 1 && below(m, b, own) && !others) {
            mju_addTo3(out, d->geom_xpos + 3 * g);
            n++;
        }
    }
    mju_scl3(out, out, n > 0 ? 1.0 / n : 0);
    return n;
}

/* gap[s]: the pads' distance in m at fraction s / (N - 1) of the travel from closed to open. */
static fw_status measure_travel(const robot_arm *a, const mjModel *m, mjData *d, double gap[ROBOT_GAP_N], fw_err *err) {
    for (int s = 0; s < ROBOT_GAP_N; s++) {
        double f = (double)s / (ROBOT_GAP_N - 1), pads[2][3];
        for (int k = 0; k < a->grip.n_joint; k++) {
            int j = mj_name2id(m, mjOBJ_JOINT, a->grip.joint[k]);
            d->qpos[m->jnt_qposadr[j]] = a->grip.closed[k] + f * (a->grip.open[k] - a->grip.closed[k]);
        }
        mj_kinematics(m, d);
        for (int i = 0; i < 2; i++) {
            if (pad_middle(m, d, a, i, pads[i]) == 0) {
                return fw_fail(err, FW_FORMAT, "finger \"%s\" has no pad", a->finger[i]);
            }
        }
        gap[s] = mju_dist3(pads[0], pads[1]);
    }
    for (int s = 1; s < ROBOT_GAP_N; s++) {
        if (!(gap[s] > gap[s - 1])) {
            return fw_fail(
                err, FW_FORMAT,
                "gripper of \"%s\": wanted pads that part steadily from closed to open, found %.1f mm closed, "
                "%.1f mm open, and %.1f mm before %.1f mm on the way",
                a->hand, 1000 * gap[0], 1000 * gap[ROBOT_GAP_N - 1], 1000 * gap[s - 1], 1000 * gap[s]);
        }
    }
    return FW_OK;
}

static fw_status measure_arm(robot_arm *a, const mjModel *m, mjData *d, fw_err *err) {
    FW_TRY(measure_travel(a, m, d, a->gap, err));
    double shut = a->gap[0], wide = a->gap[ROBOT_GAP_N - 1];
    if (a->grip.opening_m > wide) {
        return fw_fail(err, FW_FORMAT, "gripper of \"%s\": opening_m is %.1f mm, yet its pads part by %.1f mm", a->hand,
                       1000 * a->grip.opening_m, 1000 * wide);
    }
    for (int s = 0; s < ROBOT_GAP_N; s++) {
        a->gap[s] = (a->gap[s] - shut) / (wide - shut); /* 0 closed .. 1 open */
    }
    return FW_OK;
}

static fw_status measure(fw_robot *r, fw_err *err) {
    mjModel *m = mj_compile(r->spec, NULL);
    if (m == NULL) {
        return fw_fail(err, FW_FORMAT, "compiling the robot: %.180s", said(mjs_getError(r->spec)));
    }
    mjData *d = mj_makeData(m);
    fw_status st = d != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "robot");
    for (int i = 0; i < r->n_arm && st == FW_OK; i++) {
        st = measure_arm(&r->arm[i], m, d, err);
    }
    mj_deleteData(d);
    mj_deleteModel(m);
    return st;
}

/* A rule or finger that fits nothing is a slip of the pen. */
static fw_status check_names(const fw_robot *r, fw_err *err) {
    mjsElement *e;
    for (int i = 0; i < r->n_rule; i++) {
        const robot_rule *u = &r->rule[i];
        if (u->n_fit == 0) {
            return fw_fail(err, FW_FORMAT,
                           "geoms[%d] (body \"%s\", geom \"%s\", mesh \"%s\") fits no geom of the pieces", i, u->body,
                           u->geom, u->mesh);
        }
    }
    for (int i = 0; i < r->n_arm; i++) {
        const robot_arm *a = &r->arm[i];
        FW_TRY(find(r->spec, mjOBJ_BODY, a->hand, "body", &e, err));
        FW_TRY(find(r->spec, mjOBJ_BODY, a->finger[0], "body", &e, err));
        FW_TRY(find(r->spec, mjOBJ_BODY, a->finger[1], "body", &e, err));
    }
    return FW_OK;
}

fw_status robot_build(fw_robot *r, const char *home_dir, fw_err *err) {
    r->spec = mj_makeSpec();
    if (r->spec == NULL) {
        return fw_fail(err, FW_NOMEM, "robot");
    }
    r->spec->compiler.degree = 0;
    mjs_setDeepCopy(r->spec, 1);
    mjsBody *root = mjs_addBody(mjs_findBody(r->spec, "world"), NULL);
    mjs_setName(root->element, "robot");
    for (int i = 0; i < r->n_piece; i++) {
        FW_TRY(add_piece(r, home_dir, &r->piece[i], root, err));
    }
    FW_TRY(check_names(r, err));
    drop_idle_joints(r);
    FW_TRY(add_base_motors(r->spec, &r->base, err));
    for (int i = 0; i < r->n_arm; i++) {
        FW_TRY(add_arm_motors(r->spec, &r->arm[i], err));
        FW_TRY(add_gripper_motor(r->spec, &r->arm[i].grip, err));
        FW_TRY(add_pads(r->spec, &r->arm[i].grip, err));
        FW_TRY(add_tcp(r->spec, &r->arm[i], i, err));
    }
    for (int i = 0; i < r->n_camera; i++) {
        FW_TRY(add_camera(r->spec, root, &r->camera[i], err));
    }
    return measure(r, err);
}

fw_status robot_attach(fw_robot *r, mjSpec *s, fw_err *err) {
    mjs_setDeepCopy(s, 1);
    mjsBody *root = mjs_findBody(r->spec, "robot");
    mjsFrame *f = mjs_addFrame(mjs_findBody(s, "world"), NULL);
    if (mjs_attach(f->element, root->element, "", "") == NULL) {
        return fw_fail(err, FW_FORMAT, "attaching %s: %.180s", r->emb.name, said(mjs_getError(s)));
    }
    return FW_OK;
}
