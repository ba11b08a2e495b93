/*
 * body.h - a robot without a room: from joints to what policies speak of and back, and its dynamics.
 *
 *   fw_body *b;
 *   fw_body_open(fw_home(), "panda_kitchen", &b, &err);
 *   fw_body_state(b, joints, last_action, state);                     // measured [n_axis] -> [n_state]
 *   if (fw_body_target(b, set_point, joints, action, target)) ...     // [n_action] -> [n_axis]
 *   fw_body_close(b);
 *
 * DESIGN. The robot of an embodiment file ("model": docs/ROBOTS.md), compiled alone. What the simulator's controller does between an
 * action and its joint servos is done here for any robot that takes joint targets: numbers of the same functions (robot_int.h), so that
 * a policy trained there finds the same arm here. The controller's memory is the set-point that the caller passes.
 *
 * Axes: the joints of all arms, arm by arm, then the first joint of each gripper; rad (m for a slide). A driver and "safety.axes" of the
 * file have the same order. Grippers that move several joints are one axis: the others follow in proportion.
 *
 * One object, one thread. Nothing allocates after open. A call takes some tens of microseconds, fw_body_target some hundreds.
 */
#ifndef FW_SIM_BODY_H
#define FW_SIM_BODY_H

#include <stdbool.h>

#include "fw/embodiment.h"
#include "fw/status.h"

#define FW_BODY_AXIS_MAX 16
#define FW_BODY_LINK_MAX 64

typedef struct fw_body fw_body;

typedef struct fw_body_axis {
    char name[FW_NAME_MAX];
    bool slide, gripper;
    int arm;
    double min, max;       /* rad (m): range of the joint; a gripper's: from closed to open or the other way round */
    double damping, stick; /* Nm s/rad, Nm (N s/m, N): viscous and dry friction of the model's joint */
    double effort;         /* Nm (N): most that its motor gives; infinity: not said */
} fw_body_axis;

/* home_dir: the installation's folder. *out owned: fw_body_close. FW_FORMAT: the file, or "safety.axes" of another order (names the first);
 * FW_UNSUPPORTED: a base that drives, or a state that wants velocities. */
FW_NODISCARD fw_status fw_body_open(const char *home_dir, const char *embodiment, fw_body **out, fw_err *err);
void fw_body_close(fw_body *b); /* NULL is fine */

const fw_embodiment *fw_body_embodiment(const fw_body *b); /* borrowed until close */
int fw_body_n_axis(const fw_body *b);
const fw_body_axis *fw_body_axis_of(const fw_body *b, int axis); /* borrowed until close */
int fw_body_axis_find(const fw_body *b, const char *name);       /* -1: none */
/* Joints of the embodiment's resting pose, grippers open [n_axis]. */
void fw_body_home(const fw_body *b, float *joints);

/* joints [n_axis], last_action [n_action] or NULL before there is one (a gripper's command is then where it is) -> state [n_state] in the
 * embodiment's units. */
void fw_body_state(fw_body *b, const float *joints, const float *last_action, float *state);

/* One action row -> joint targets one control step later. from [n_axis]: the set-point that it goes on from. measured [n_axis] or NULL: the
 * hand's set-point is first pulled to within the controller's lead of the measured hand, so that a blocked hand does not wind up.
 * Values past the action's limits are clamped, poses to the arm's space, a joint to 0.3 rad a step; a pose that the arm cannot reach
 * is approached as near as it goes, as in the simulator. False: a value that is no number; joints is untouched. */
bool fw_body_target(fw_body *b, const float *from, const float *measured, const float *action, float *joints);

/* The other way: what took the set-point from `from` to `to` [n_axis] within one control step -> action [n_action], held to its limits. */
void fw_body_action(fw_body *b, const float *from, const float *to, float *action);

/* Fraction 0 closed .. 1 open of the pads' distance at a gripper axis' position, and back. */
double fw_body_opening(const fw_body *b, int axis, double position);
double fw_body_position(const fw_body *b, int axis, double opening);

/* M [n_axis, n_axis] mass matrix with the motors' rotors, coriolis [n_axis] (Coriolis and centrifugal torques), gravity [n_axis]: what a
 * motor must give is M a + coriolis + gravity + friction. Each output may be NULL. Units as the axes have them. */
void fw_body_dynamics(fw_body *b, const double *q, const double *v, double *M, double *coriolis, double *gravity);

/* The same as an fw_observer_dynamics (robot/observer.h), quicker; body: an fw_body. bias [n_axis] = coriolis + gravity. */
void fw_body_model(void *body, const double *q, const double *v, double *M, double *bias);

/* The robot as capsules, to be drawn: xyzr [n,7] = both ends and the radius, m, world. */
int fw_body_n_link(const fw_body *b); /* at most FW_BODY_LINK_MAX */
void fw_body_links(fw_body *b, const float *joints, float *xyzr);
/* Where the hands are: pos [3] m and yaw rad of the point between the pads of an arm. */
void fw_body_hand(fw_body *b, const float *joints, int arm, double pos[3], double *yaw);

#endif /* FW_SIM_BODY_H */
