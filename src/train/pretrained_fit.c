/*
 * pretrained_fit.c - a published policy meets the data it is trained on (learner_pretrained.c), of its own robot or of another.
 *
 * DESIGN. A policy is fitted before its network is built. Numbers: SmolVLA, pi0 and pi0.5 fill state and action up with zeros, so that another robot, up to the network's width, needs
 * other statistics only (new_stats); ACT has layers of the robot's sizes, which are made anew when that was asked for (new_heads).
 * Cameras: those chosen by hand, then by the names that the policy's processors know, then, when as many are left on either side, by
 * their order. What the data lack the flow policies do without, each dataset what it lacks; ACT, with new_stats, becomes a policy of the
 * cameras that the first dataset has. The first dataset says what the policy becomes, the others must have its numbers. p->c and p->proc are then of that robot, p->fitted says
 * that they are no longer the checkpoint's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "train/pretrained_int.h"

static bool is_act(const fw_pretrained_learner *p) {
    return p->c.policy == FW_POLICY_ACT;
}

/* ---- numbers ---- */

static fw_status refuse_numbers(const fw_pretrained_learner *p, const fw_dataset *ds, const char *why, fw_err *err) {
    return fw_fail(err, FW_SHAPE, "%s: state has %d values and action %d, the policy in %s wants %d and %d: %s",
                   ds->dir, ds->n_state, ds->n_action, p->base.cfg->from, p->proc.n_state, p->proc.n_action, why);
}

/* New statistics of actions relative to the state are of the data's joints, by their names. */
static void name_joints(fw_pretrained_learner *p, const fw_dataset *ds) {
    if (p->base.cfg->tune.new_stats && p->proc.relative != NULL && ds->action != NULL) {
        fw_processor_name_joints(&p->proc, ds->action->names, ds->action->n_names);
        p->fitted = true;
    }
}

static fw_status fit_numbers(fw_pretrained_learner *p, const fw_dataset *ds, bool first, fw_err *err) {
    const fw_tune_cfg *t = &p->base.cfg->tune;
    if (ds->n_state == p->proc.n_state && ds->n_action == p->proc.n_action) {
        return FW_OK;
    }
    if (!first) {
        return refuse_numbers(p, ds, "as the first dataset has", err);
    }
    if (ds->n_action == 0 || (ds->n_state == 0) != (p->proc.n_state == 0)) {
        return refuse_numbers(p, ds, "one of both is missing", err);
    }
    if (!t->new_stats) {
        return refuse_numbers(p, ds, "for another robot its statistics must be new, too (--new-stats)", err);
    }
    if (is_act(p) && !t->new_heads) {
        return refuse_numbers(p, ds, "its layers are of these sizes, --new-heads makes them anew", err);
    }
    if (is_act(p) && t->lora_rank > 0) {
        return refuse_numbers(p, ds, "layers that are made anew must be trained, and adapters do not", err);
    }
    if (!is_act(p) && (ds->n_state > p->c.vla.max_state || ds->n_action > p->c.vla.max_action)) {
        return fw_fail(err, FW_SHAPE,
                       "%s: state has %d values and action %d, the network in %s takes at most %d and %d", ds->dir,
                       ds->n_state, ds->n_action, p->base.cfg->from, p->c.vla.max_state, p->c.vla.max_action);
    }
    fw_info("%s: state of %d values and action of %d instead of %d and %d", p->base.cfg->from, ds->n_state,
            ds->n_action, p->proc.n_state, p->proc.n_action);
    p->fitted = true;
    fw_status s = fw_processor_resize(&p->proc, &p->c, ds->n_state, ds->n_action, err);
    return s == FW_OK ? s : fw_fail_in(err, s, "%s", p->base.cfg->from);
}

/* ---- cameras ---- */

/* Pictures of the policy and cameras of the data, as they find each other. */
typedef struct meeting {
    int n_picture;
    int input[FW_LEROBOT_FEATURES];  /* of the config's inputs */
    int camera[FW_LEROBOT_FEATURES]; /* of the data; -1: none */
    bool taken[FW_MAX_CAMERAS];      /* a camera of the data, or left out by hand */
} meeting;

static int free_picture(const meeting *m) {
    for (int k = 0; k < m->n_picture; k++) {
        if (m->camera[k] < 0) {
            return k;
        }
    }
    return -1;
}

static int free_camera(const meeting *m, const fw_dataset *ds) {
    for (int i = 0; i < ds->n_cameras; i++) {
        if (!m->taken[i]) {
            return i;
        }
    }
    return -1;
}

static bool is_called(const char *name, const char *key, const char *camera) {
    return strcmp(name, key) == 0 || strcmp(name, camera) == 0;
}

/* Names of the policy's pictures, for messages. */
static const char *names_of(const fw_pretrained_learner *p, char out[200]) {
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < p->c.n_input && n < 160; i++) {
        const fw_lerobot_feature *f = &p->c.input[i];
        if (f->kind == FW_FEATURE_VISUAL && !fw_lerobot_is_empty_camera(f)) {
            n += (size_t)snprintf(out + n, 200 - n, "%s'%.24s'", n > 0 ? ", " : "", fw_lerobot_camera(f));
        }
    }
    return out;
}

/* The policy's picture of a name chosen by hand. */
static const fw_lerobot_feature *picture_called(const fw_pretrained_learner *p, const char *name) {
    for (int i = 0; i < p->c.n_input; i++) {
        const fw_lerobot_feature *f = &p->c.input[i];
        if (f->kind == FW_FEATURE_VISUAL && is_called(name, f->key, fw_lerobot_camera(f))) {
            return f;
        }
    }
    return NULL;
}

/* One more picture, of the data's size and normalised as the first is: its weights are those of all pictures. */
static fw_status add_picture(fw_pretrained_learner *p, const fw_ds_camera *cam, const char *name, fw_err *err) {
    const int n = p->c.n_input, first = (int)(fw_lerobot_input(&p->c, FW_FEATURE_VISUAL) - p->c.input);
    const fw_map_stat *map = &p->proc.input[first];
    fw_lerobot_feature f = {"", FW_FEATURE_VISUAL, 3, {3, cam->h, cam->w}};
    if (n == FW_LEROBOT_FEATURES || strlen(name) + 20 > sizeof f.key) {
        return fw_fail(err, FW_UNSUPPORTED, "picture '%.60s': more than %d features, or too long a name", name,
                       FW_LEROBOT_FEATURES);
    }
    snprintf(f.key, sizeof f.key, "observation.images.%s", name);
    p->proc.input[n] = *map;
    if (map->a != NULL) {
        float *a = calloc(2 * (size_t)map->n, sizeof *a);
        if (a == NULL) {
            return fw_fail(err, FW_NOMEM, "picture '%.60s'", name);
        }
        memcpy(a, map->a, 2 * (size_t)map->n * sizeof *a);
        p->proc.input[n].a = a;
        p->proc.input[n].b = a + map->n;
    }
    fw_info("%s: one more picture, '%s'", p->base.cfg->from, name);
    p->c.input[p->c.n_input++] = f;
    p->fitted = true;
    return FW_OK;
}

/* The picture that a choice means; "+name": a new one, unless there is. */
static fw_status chosen_picture(fw_pretrained_learner *p, const fw_camera_choice *c, const fw_ds_camera *cam,
                                const fw_lerobot_feature **out, fw_err *err) {
    const bool more = c->policy[0] == '+' && c->policy[1] != 0;
    const char *name = more ? c->policy + 1 : c->policy;
    char all[200];
    *out = picture_called(p, name);
    if (*out == NULL && more && cam != NULL && fw_lerobot_input(&p->c, FW_FEATURE_VISUAL) != NULL) {
        FW_TRY(add_picture(p, cam, name, err));
        *out = picture_called(p, name);
    }
    if (*out == NULL && name[0] != 0 && !more) {
        return fw_fail(err, FW_INVALID, "camera '%.60s=%.60s': the policy in %s has %s ('+%.60s' gives it one more)",
                       c->data, c->policy, p->base.cfg->from, names_of(p, all), name);
    }
    return FW_OK;
}

/* What was chosen by hand becomes names that the processors know. */
static fw_status choose(fw_pretrained_learner *p, const fw_dataset *ds, meeting *m, fw_err *err) {
    const fw_tune_cfg *t = &p->base.cfg->tune;
    for (int i = 0; i < t->n_camera; i++) {
        const int at = fw_dataset_camera(ds, t->camera[i].data);
        const bool there = at >= 0 && at < ds->n_cameras;
        const fw_lerobot_feature *f;
        FW_TRY(chosen_picture(p, &t->camera[i], there ? &ds->cameras[at] : NULL, &f, err));
        if (!there) {
            continue; /* another dataset may have it */
        }
        p->chosen |= 1u << i;
        m->taken[at] = f == NULL;
        if (f != NULL) {
            FW_TRY(fw_processor_rename(&p->proc, ds->cameras[at].key, f->key, err));
            p->fitted = true;
        }
    }
    return FW_OK;
}

/* Is the camera's own name another picture's, by the processors? */
static bool is_renamed(const fw_processor *proc, const char *key) {
    for (int i = 0; i < proc->n_renamed; i++) {
        if (strcmp(proc->renamed[i].from, key) == 0) {
            return true;
        }
    }
    return false;
}

static int camera_by_name(const fw_processor *proc, const fw_dataset *ds, const char *key) {
    for (int i = 0; i < proc->n_renamed; i++) {
        const int at = strcmp(proc->renamed[i].to, key) == 0 ? fw_dataset_camera(ds, proc->renamed[i].from) : -1;
        if (at >= 0 && at < ds->n_cameras) {
            return at;
        }
    }
    const int at = fw_dataset_camera(ds, key);
    return at >= 0 && at < ds->n_cameras && !is_renamed(proc, key) ? at : -1;
}

static void by_name(const fw_pretrained_learner *p, const fw_dataset *ds, meeting *m) {
    for (int i = 0; i < p->c.n_input; i++) {
        const fw_lerobot_feature *f = &p->c.input[i];
        const int at = f->kind == FW_FEATURE_VISUAL ? camera_by_name(&p->proc, ds, f->key) : -1;
        if (f->kind != FW_FEATURE_VISUAL || (fw_lerobot_is_empty_camera(f) && at < 0)) {
            continue;
        }
        m->input[m->n_picture] = i;
        m->camera[m->n_picture++] = at >= 0 && !m->taken[at] ? at : -1;
        if (at >= 0) {
            m->taken[at] = true;
        }
    }
}

/* As many left here as there: the first is the first. */
static fw_status by_order(fw_pretrained_learner *p, const fw_dataset *ds, meeting *m, fw_err *err) {
    int k, at, pictures = 0, cameras = 0;
    for (int i = 0; i < m->n_picture; i++) {
        pictures += m->camera[i] < 0;
    }
    for (int i = 0; i < ds->n_cameras; i++) {
        cameras += !m->taken[i];
    }
    while (pictures == cameras && (k = free_picture(m)) >= 0 && (at = free_camera(m, ds)) >= 0) {
        const fw_lerobot_feature *f = &p->c.input[m->input[k]];
        fw_warn("%s: camera '%s' is taken for the policy's '%s', by their order (--camera says otherwise)", ds->dir,
                ds->cameras[at].name, fw_lerobot_camera(f));
        FW_TRY(fw_processor_rename(&p->proc, ds->cameras[at].key, f->key, err));
        m->camera[k] = at;
        m->taken[at] = true;
        p->fitted = true;
    }
    return FW_OK;
}

/* ACT, of other cameras or pictures of another size: the config is of those. */
static fw_status fit_act_picture(fw_pretrained_learner *p, const fw_dataset *ds, int input, int camera, fw_err *err) {
    fw_lerobot_feature *f = &p->c.input[input];
    const fw_ds_camera *cam = &ds->cameras[camera];
    if (cam->h == f->shape[1] && cam->w == f->shape[2]) {
        return FW_OK;
    }
    if (!p->base.cfg->tune.new_stats || p->n_camera >= 0) {
        return fw_fail(err, FW_SHAPE, "%s: camera '%s' has %d x %d pixels, the policy wants %d x %d%s", ds->dir,
                       cam->name, cam->w, cam->h, (int)f->shape[2], (int)f->shape[1],
                       p->n_camera >= 0 ? "" : " (--new-stats makes it a policy of these)");
    }
    fw_info("%s: pictures of '%s' have %d x %d pixels instead of %d x %d", p->base.cfg->from, fw_lerobot_camera(f),
            cam->w, cam->h, (int)f->shape[2], (int)f->shape[1]);
    f->shape[1] = cam->h;
    f->shape[2] = cam->w;
    p->fitted = true;
    return FW_OK;
}

/* A picture that ACT has no camera for is a picture no more. */
static void drop_input(fw_pretrained_learner *p, int input) {
    const size_t behind = (size_t)(p->c.n_input - input - 1);
    fw_info("%s: no picture '%s' any more", p->base.cfg->from, fw_lerobot_camera(&p->c.input[input]));
    free(p->proc.input[input].a);
    memmove(&p->c.input[input], &p->c.input[input + 1], behind * sizeof *p->c.input);
    memmove(&p->proc.input[input], &p->proc.input[input + 1], behind * sizeof *p->proc.input);
    p->proc.input[--p->c.n_input] = (fw_map_stat){0};
    p->proc.state_at -= p->proc.state_at > input;
    p->fitted = true;
}

static fw_status refuse_cameras(const fw_pretrained_learner *p, const fw_dataset *ds, const meeting *m, fw_err *err) {
    const int k = free_picture(m), at = free_camera(m, ds);
    char all[200];
    if (at < 0) {
        return fw_fail(err, FW_INVALID, "%s: has no camera '%s', which the policy wants%s", ds->dir,
                       fw_lerobot_camera(&p->c.input[m->input[k]]),
                       is_act(p) && !p->base.cfg->tune.new_stats ? " (--new-stats makes it a policy without)" : "");
    }
    return fw_fail(err, FW_INVALID,
                   "%s: camera '%s' is none of the policy's (%s), of which '%s' has none: --camera %s=%s, "
                   "or --camera %s= to do without",
                   ds->dir, ds->cameras[at].name, names_of(p, all), fw_lerobot_camera(&p->c.input[m->input[k]]),
                   ds->cameras[at].name, fw_lerobot_camera(&p->c.input[m->input[k]]), ds->cameras[at].name);
}

static void drop_missing(fw_pretrained_learner *p, meeting *m) {
    for (int k = m->n_picture - 1; k >= 0; k--) {
        if (m->camera[k] >= 0) {
            continue;
        }
        drop_input(p, m->input[k]);
        for (int i = k; i + 1 < m->n_picture; i++) {
            m->input[i] = m->input[i + 1] - 1;
            m->camera[i] = m->camera[i + 1];
        }
        m->n_picture--;
    }
}

static fw_status find_cameras(fw_pretrained_learner *p, const fw_dataset *ds, meeting *m, fw_err *err) {
    const bool anew = p->base.cfg->tune.new_stats && p->n_camera < 0;
    int found = 0;
    FW_TRY(choose(p, ds, m, err));
    by_name(p, ds, m);
    FW_TRY(by_order(p, ds, m, err));
    for (int k = 0; k < m->n_picture; k++) {
        found += m->camera[k] >= 0;
    }
    if (free_picture(m) >= 0 && (free_camera(m, ds) >= 0 || found == 0 || (is_act(p) && !anew))) {
        return refuse_cameras(p, ds, m, err);
    }
    if (free_camera(m, ds) >= 0) {
        fw_info("%s: camera '%s' is not used, the policy has none of that name", ds->dir,
                ds->cameras[free_camera(m, ds)].name);
    }
    if (is_act(p)) {
        drop_missing(p, m);
    }
    return FW_OK;
}

fw_status fw_pretrained_fit(const fw_train_cfg *cfg, void *ctx, fw_train_data *d, fw_err *err) {
    fw_pretrained_learner *p = ctx;
    const bool first = p->n_camera < 0;
    meeting m = {0};
    int n = 0;
    (void)cfg;
    FW_TRY(fit_numbers(p, d->ds, first, err));
    if (first) {
        name_joints(p, d->ds);
    }
    FW_TRY(find_cameras(p, d->ds, &m, err));
    for (int k = 0; k < m.n_picture; k++) {
        if (m.camera[k] < 0 || n == FW_CAM_MAX) {
            continue; /* a picture that is missing is left out */
        }
        FW_TRY(is_act(p) ? fit_act_picture(p, d->ds, m.input[k], m.camera[k], err) : FW_OK);
        p->picture[n] = m.input[k];
        d->camera[n++] = m.camera[k];
    }
    d->n_camera = n;
    p->ragged = p->ragged || (!first && n != p->n_camera);
    p->n_camera = n > p->n_camera ? n : p->n_camera;
    return FW_OK;
}

fw_status fw_pretrained_fitted(const fw_pretrained_learner *p, fw_err *err) {
    const fw_tune_cfg *t = &p->base.cfg->tune;
    for (int i = 0; i < t->n_camera; i++) {
        if ((p->chosen >> i & 1u) == 0) {
            return fw_fail(err, FW_INVALID, "camera '%.60s=%.60s': no dataset has a camera '%.60s'", t->camera[i].data,
                           t->camera[i].policy, t->camera[i].data);
        }
    }
    return FW_OK;
}
