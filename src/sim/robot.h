/*
 * robot.h - any robot from its embodiment file: bodies, motors, cameras, and the controller that turns actions into servo targets.
 *
 * DESIGN. embodiments/<name>.json has a "model" object (docs/ROBOTS.md): the arms' MJCF files under .deps, where they stand, which
 * joints move, gains, the gripper's file, joints and pads, the point between the pads, cameras, the reach. Adding a robot needs
 * no C. Actions are dimensions with a meaning and an arm number; each arm's end-effector steps are added to a *commanded* pose (first
 * pulled to within a lead of the measured one, so that a blocked hand does not wind up), damped least squares finds joints with the hand
 * pointing down (a 5-joint arm: in the five dimensions it has), warm from the last command, posture in the null space. Joint
 * targets run straight to the new command over the control step; the servo's lag is cancelled by feed-forward.
 *
 * Not thread-safe. Everything here is called by sim.c only.
 */
#ifndef FW_SIM_ROBOT_H
#define FW_SIM_ROBOT_H

#include <mujoco/mujoco.h>

#include "fw/embodiment.h"
#include "sim/sim.h"

typedef struct fw_robot fw_robot;

typedef struct fw_arm_start {
    double pos[3], yaw, opening;
} fw_arm_start;

/* Parse embodiments/<embodiment>.json with its "model". *out owned: robot_free. FW_FORMAT names file and key. */
FW_NODISCARD fw_status robot_load(const char *home_dir, const char *embodiment, fw_robot **out, fw_err *err);
void robot_free(fw_robot *r);
const fw_embodiment *robot_embodiment(const fw_robot *r);
const fw_reach *robot_reach(const fw_robot *r);
int robot_n_arm(const fw_robot *r);
void robot_home(const fw_robot *r, int arm, fw_arm_start *out); /* where the hand rests, open */

/* Add bodies, motors, equalities and cameras to the spec (may be called again for another spec: parsed files are kept). */
FW_NODISCARD fw_status robot_attach(fw_robot *r, mjSpec *s, fw_err *err);
/* After compiling: find ids. FW_FORMAT names what the model lacks. */
FW_NODISCARD fw_status robot_bind(fw_robot *r, const mjModel *m, fw_err *err);

/* What a body of the model is: -1 not the robot's, else ROBOT_PART(arm, ...). */
enum { ROBOT_HAND, ROBOT_FINGER1, ROBOT_FINGER2, ROBOT_REST, ROBOT_PARTS };
int robot_part(const fw_robot *r, const mjModel *m, int body); /* arm * ROBOT_PARTS + part */

/* Where a mobile base stands when an episode begins: x, y, yaw. A robot without one draws nothing: 0. */
void robot_draw_base(const fw_robot *r, fw_rng *layout, double base[3]);
/* Begin an episode: the base where `base` says (NULL: the origin), joints to reach `start` [n_arm], poses in the base's frame, by
 * inverse kinematics, at rest, commands = measured. ik: scratch data. */
void robot_start(fw_robot *r, const mjModel *m, mjData *d, mjData *ik, const double base[3], const fw_arm_start *start);
/* One control step: plan from the action [n_action] (finite, clamped here to the embodiment's limits) ... */
void robot_plan(fw_robot *r, const mjModel *m, mjData *d, mjData *ik, const float *action);
/* ... write ctrl at fraction u in (0,1] of the step (before each physics step) ... */
void robot_apply(const fw_robot *r, const mjModel *m, mjData *d, double u);
/* ... and after the last: the plan becomes the command. */
void robot_finish(fw_robot *r);

/* --- its motors one by one, in the order of sim/body.h */
int robot_n_axis(const fw_robot *r);
int robot_axis_body(const fw_robot *r, const mjModel *m, int axis);    /* the link that it moves */
void robot_axes(const fw_robot *r, const mjData *d, fw_sim_axis *out); /* [n_axis] */
/* Before a physics step: ctrl, and torque limits into m (m0: as compiled). */
void robot_drive(fw_robot *r, mjModel *m, const mjModel *m0, mjData *d, const fw_sim_drive *drive);
void robot_engage(const fw_robot *r, mjModel *m, const mjModel *m0); /* torque and its limits as compiled */

void robot_view(const fw_robot *r, const mjModel *m, const mjData *d, fw_scene *out); /* arm[], n_arm, base */
void robot_state(const fw_robot *r, const mjModel *m, const mjData *d, float *state); /* [n_state] */

/* The controller's memory, for forks: plain bytes of a fixed size. */
size_t robot_memory_size(const fw_robot *r);
void robot_save(const fw_robot *r, void *out);
void robot_restore(fw_robot *r, const void *in);

#endif /* FW_SIM_ROBOT_H */
