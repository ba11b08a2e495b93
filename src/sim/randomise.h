/*
 * randomise.h - the draws of an episode, put into a compiled model and between robot and controller.
 *
 * DESIGN. What can be a field of the model is one (lights, cameras, colours, masses, gains): written from the pristine copy m0 at
 * reset. What cannot sits in three places of the control step: rz_drive between the controller and the motors (delay, backlash),
 * rz_state between the joints and the observation (noise, zeros), and the *view*: what the cameras see is a snapshot of all that
 * is visible and moves, taken when the light falls and drawn later. Every picture goes through a view, so that a delayed one, a
 * live one and one drawn again from a log are the same bytes. Called by sim.c only, in this order:
 *
 *   open   rz_open; rz_build when the spec is complete; rz_bind after compiling
 *   reset  rz_dynamics, mj_setConst, mj_resetData; rz_clear; paint; rz_visual; ...settle...; rz_begin
 *   step   { robot_apply; rz_eye(i); rz_drive; mj_step } n_sub times; rz_eye(n_sub)
 *   look   rz_state; rz_view, rz_view_put, draw, rz_picture
 *   fork   rz_save, rz_restore
 *
 * Streams: `visual` and `dynamics` are the episode's own, drawn from in the order of the first suite; whatever came later draws from
 * streams of its own name, so that it never shifts those.
 */
#ifndef FW_SIM_RANDOMISE_H
#define FW_SIM_RANDOMISE_H

#include <mujoco/mujoco.h>

#include "fw/embodiment.h"
#include "sim/ranges.h"
#include "sim/sim.h"

enum { RZ_LIGHTS = 2 }; /* lamps that every room has; their draws come from the visual stream */

typedef struct fw_rz fw_rz;

/* What of the model is what. Arrays borrowed until rz_free or the next rz_bind. */
typedef struct rz_parts {
    int n_obj;
    const int *obj_body;       /* [n_obj] */
    const bool *body_is_robot; /* [nbody] */
} rz_parts;

/* name: NULL = "default"; look: ranges of what is seen, NULL = name's. *out owned: rz_free. */
FW_NODISCARD fw_status rz_open(const char *home_dir, const char *name, const char *look, fw_rz **out, fw_err *err);
void rz_free(fw_rz *z);
const fw_ranges *rz_ranges(const fw_rz *z);

/* Add what draws may need (more lamps, distractors) and set the run's physics, last before compiling. */
void rz_build(fw_rz *z, mjSpec *s);
/* After each compilation. FW_NOMEM. */
FW_NODISCARD fw_status rz_bind(fw_rz *z, const mjModel *m, const rz_parts *parts, fw_err *err);

/* Masses, friction, gains, delays. mj_setConst afterwards. seed: seeds.dynamics. The pads are the robot's geoms of raised priority. */
void rz_dynamics(fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *dynamics, uint64_t seed);
/* Colours, materials and textures as compiled; before the setting paints. */
void rz_clear(fw_rz *z, mjModel *m, const mjModel *m0);
/* Lights and cameras from `visual` (where the painter left it); the rest from streams of seed = seeds.visual. */
void rz_visual(fw_rz *z, mjModel *m, const mjModel *m0, fw_rng *visual, uint64_t seed);
/* Textures that must be uploaded before the next picture (mjr_uploadTexture): bit t; cleared by the call. */
uint64_t rz_stale_textures(fw_rz *z);

/* The episode begins in this settled, observed state: delay lines are filled with it, distractors stand where nothing else is. */
void rz_begin(fw_rz *z, const mjModel *m, const mjData *d, const fw_scene *scene);
/* Before physics step i of n_sub, and once with i = n_sub after the last: keep the view when the light falls. */
void rz_eye(fw_rz *z, const mjModel *m, const mjData *d, int i, int n_sub);
/* d->ctrl as commanded -> as it arrives at the motors. */
void rz_drive(fw_rz *z, mjData *d);
/* state [n_state] as measured -> as the encoders say; the same for the same step. */
void rz_state(const fw_rz *z, const fw_embodiment *e, int64_t step, float *state);
/* What the lens, the sensor and the encoder of this camera make of a picture; the same for the same frame. */
FW_NODISCARD fw_status rz_picture(const fw_rz *z, const char *camera, int64_t frame, int w, int h, uint8_t *rgb,
                                  fw_err *err);

/* --- views: doubles that hold all that is visible and moves: qpos, mocap poses, which geoms are shown. Distractors belong to the
 * look, not to the view: the same views can be drawn with and without them. */
int rz_view_size(const fw_rz *z, const mjModel *m);
/* Put a view into a model and (scratch) data, ready to be drawn. */
void rz_view_put(const fw_rz *z, mjModel *m, mjData *eye, const double *view);
/* What the cameras see now: borrowed. With no image delay it is taken from d at this call. */
const double *rz_view(fw_rz *z, const mjModel *m, const mjData *d);

/* Delay lines, backlash, the view: plain bytes; the size is constant for one compiled model. */
size_t rz_memory_size(const fw_rz *z);
void rz_save(const fw_rz *z, void *out);
void rz_restore(fw_rz *z, const void *in);

#endif /* FW_SIM_RANDOMISE_H */
