/* robot_int.h - what the files of the robot share: the model as read from the embodiment, and the ids in the compiled one. */
#ifndef FW_SIM_ROBOT_INT_H
#define FW_SIM_ROBOT_INT_H

#include "base/embodiment.h"
#include "sim/robot.h"

enum {
    ROBOT_NAME = 64,     /* bytes of a name */
    ROBOT_PART_MAX = 6,  /* MJCF files: base, arms, hands */
    ROBOT_DOF_MAX = 8,   /* joints of one arm */
    ROBOT_GRIP_MAX = 6,  /* joints of one gripper */
    ROBOT_PAD_MAX = 4,   /* pads of one gripper */
    ROBOT_RULE_MAX = 24, /* rules on geoms */
    ROBOT_BASE_DOF = 3,  /* x, y, yaw */
    ROBOT_FIXED_MAX = 4, /* fixed joints of one file */
    ROBOT_GAP_N = 33     /* samples of gap over joint */
};

/* A joint of the file that this robot keeps at one place, and so does not have. */
typedef struct robot_fixed {
    char joint[ROBOT_NAME];
    double at; /* m or rad */
} robot_fixed;

/* A subtree of an MJCF file and where it goes. */
typedef struct robot_piece {
    char file[160]; /* under .deps */
    char body[ROBOT_NAME], to[ROBOT_NAME], prefix[16];
    char mend[2][ROBOT_NAME]; /* a fault in the package's text and what it should be; "" without one */
    double pos[3], quat[4];
    bool has_pose;
    int n_fixed;
    robot_fixed fixed[ROBOT_FIXED_MAX];
} robot_piece;

/* What to do with geoms: each rule in order; empty globs match everything. */
typedef struct robot_rule {
    char body[ROBOT_NAME], geom[ROBOT_NAME], mesh[ROBOT_NAME];
    int64_t group; /* -1: any */
    bool drop, has_touch, touch, has_rgba;
    double rgba[4];
    int n_fit; /* geoms that it fits */
} robot_rule;

typedef struct robot_pad {
    char geom[ROBOT_NAME]; /* an existing one, or "" to add one to `body` */
    char body[ROBOT_NAME];
    double pos[3], quat[4], size[3];
    bool has_quat;
} robot_pad;

typedef struct robot_grip {
    int n_joint, n_pad;
    char joint[ROBOT_GRIP_MAX][ROBOT_NAME]; /* the first is driven; the others follow it */
    double closed[ROBOT_GRIP_MAX], open[ROBOT_GRIP_MAX];
    double kp, kv, force, squeeze, armature, damping, friction;
    double speed; /* m/s (rad/s) of the first joint at most when it is driven joint by joint; 0: as kv lets it */
    double opening_m;
    robot_pad pad[ROBOT_PAD_MAX];
} robot_grip;

typedef struct robot_camera {
    char name[ROBOT_NAME], body[ROBOT_NAME];
    double pos[3], at[3], up[3], fovy;
} robot_camera;

typedef struct robot_arm {
    int n; /* joints */
    char joint[ROBOT_DOF_MAX][ROBOT_NAME];
    double home[ROBOT_DOF_MAX], posture[ROBOT_DOF_MAX], kp[ROBOT_DOF_MAX], force[ROBOT_DOF_MAX];
    double lag_s, armature, damping, frictionloss; /* damping and frictionloss < 0: as the file has them */
    char hand[ROBOT_NAME], finger[2][ROBOT_NAME], tcp_body[ROBOT_NAME];
    double tcp_pos[3], tcp_quat[4];
    double tilt; /* 1: the hand points straight down; less: how much that counts beside the position, m/rad */
    fw_arm_start start;
    double lo[3], hi[3], yaw_lo, yaw_hi; /* of the commanded pose */
    double turn_yaw;                     /* rad: middle of the half turn that experts use */
    robot_grip grip;
    /* ids in the compiled model */
    int q[ROBOT_DOF_MAX], v[ROBOT_DOF_MAX], u[ROBOT_DOF_MAX], site, grip_q[ROBOT_GRIP_MAX], grip_v[ROBOT_GRIP_MAX],
        grip_u;
    double gap[ROBOT_GAP_N]; /* [i]: distance of the pads at fraction i/(N-1) of the gripper's travel, 1 = open */
} robot_arm;

typedef struct robot_base {
    int n; /* 0 or 3 */
    char joint[ROBOT_BASE_DOF][ROBOT_NAME];
    double kp[ROBOT_BASE_DOF], lag_s, lo[ROBOT_BASE_DOF], hi[ROBOT_BASE_DOF];
    double start_lo[ROBOT_BASE_DOF], start_hi[ROBOT_BASE_DOF]; /* where an episode begins */
    int q[ROBOT_BASE_DOF], v[ROBOT_BASE_DOF], u[ROBOT_BASE_DOF];
} robot_base;

/* The controller's memory. */
typedef struct robot_arm_memory {
    double q_cmd[ROBOT_DOF_MAX], q_next[ROBOT_DOF_MAX], pos[3], yaw, grip;
} robot_arm_memory;

typedef struct robot_memory {
    robot_arm_memory arm[FW_ARM_MAX];
    double base_cmd[ROBOT_BASE_DOF], base_next[ROBOT_BASE_DOF];
} robot_memory;

struct fw_robot {
    fw_embodiment emb;
    fw_reach reach;
    int n_piece, n_rule, n_arm, n_camera;
    robot_piece piece[ROBOT_PART_MAX];
    robot_rule rule[ROBOT_RULE_MAX];
    robot_arm arm[FW_ARM_MAX];
    robot_base base;
    robot_camera camera[FW_CAM_MAX];
    mjSpec *spec; /* owned: the robot alone, under one body "robot" */
    int8_t *part; /* owned [nbody]: robot_part of each body */
    int nbody;    /* of the bound model */
    double *jac;  /* owned [6,nv] */
    robot_memory mem;
    double control_dt; /* s */
    int ik_least;      /* steps that inverse kinematics takes however near the hand is */
};

static inline double robot_clamp(double x, double lo, double hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

/* An axis: joint k of an arm, or with k = -1 its gripper. All arms' joints come first. */
typedef struct robot_axis {
    int arm, k;
} robot_axis;

/* robot_axis.c */
robot_axis robot_axis_at(const fw_robot *r, int axis);
/* robot_read.c */
FW_NODISCARD fw_status robot_read(fw_robot *r, const char *path, fw_err *err);
/* robot_build.c: parse the pieces, make r->spec */
FW_NODISCARD fw_status robot_build(fw_robot *r, const char *home_dir, fw_err *err);
/* robot_ik.c: joints q [n] that bring the arm's hand to pos and yaw (world), from q0; everything else as in d. Returns the error
 * that is left (m + 0.1 m/rad). */
double robot_ik(const fw_robot *r, int arm, const mjModel *m, const mjData *d, mjData *ik, const double pos[3],
                double yaw, const double *q0, double *q);
void robot_tcp(const fw_robot *r, int arm, const mjData *d, double pos[3], double *yaw);
/* robot.c: the pads' distance, 0 closed .. 1 open, at fraction f of the gripper's travel, and back. */
double robot_opening(const robot_arm *a, double f);
double robot_travel(const robot_arm *a, double opening);
double robot_grip_ctrl(const robot_arm *a, double opening); /* of its servo */

#endif /* FW_SIM_ROBOT_INT_H */
