/* sim_int.h - what the files of sim share. */
#ifndef FW_SIM_SIM_INT_H
#define FW_SIM_SIM_INT_H

#include <mujoco/mujoco.h>
#include <setjmp.h>

#include "base/rng.h"
#include "sim/sim.h"

enum { N_ARM = 7, N_LIGHT = 2, N_COUNTER_LOOK = 6, MAX_OBJ_GEOM = 24 };

#define CONTROL_DT_S  0.1
#define SINK_X_M      0.48
#define SINK_Y_M      0.36
#define SINK_HALF_M   0.15
#define SINK_DEPTH_M  0.08
#define ARM_KP        4500.0 /* N m/rad, the first joint; the others by scale */
#define ARM_KV_PER_KP 0.035  /* s: the servo's time constant, cancelled by feed-forward */

typedef struct fw_renderer fw_renderer;

struct fw_sim {
    mjModel *m;     /* owned */
    mjModel *m0;    /* owned: as compiled, the source of every randomised field */
    mjData *d;      /* owned */
    mjData *ik;     /* owned: scratch of the inverse kinematics */
    fw_renderer *r; /* owned; NULL without rendering */
    fw_scene scene;
    bool diverged;
    int n_sub; /* physics steps a control step */

    /* ids in m */
    int arm_q[N_ARM], arm_v[N_ARM], arm_u[N_ARM], finger_q[2], grip_u, tcp, counter, counter_mocap;
    int obj_body[FW_N_OBJ], obj_q[FW_N_OBJ], obj_v[FW_N_OBJ];
    int body_kind[256]; /* what a body is to the judge: KIND_... or an fw_obj */

    /* the controller */
    double q_cmd[N_ARM], pos_cmd[3], yaw_cmd, grip_cmd;
};
enum { KIND_OTHER = 100, KIND_WORLD, KIND_HAND, KIND_FINGER1, KIND_FINGER2 };

/* world.c */
FW_NODISCARD fw_status sim_build_model(const char *home, int max_px, mjModel **out, fw_err *err);
/* mesh.c: merge the vertices of every mesh that fall into one cell; drawing only (collision keeps its hulls) */
void sim_decimate(mjModel *m, double cell_m);
/* control.c */
extern const double sim_arm_home[N_ARM];
void sim_tcp(const fw_sim *s, const mjData *d, double pos[3], double *yaw);
double sim_ik(fw_sim *s, const double pos[3], double yaw, const double q0[N_ARM],
              double q[N_ARM]); /* returns the error left */
void sim_control_begin(fw_sim *s, const double pos[3], double yaw, double grip);
void sim_control_target(fw_sim *s, const double a[5], double q_next[N_ARM]);
void sim_control_apply(fw_sim *s, const double q_next[N_ARM], double u);
/* reset.c */
void sim_draw(fw_sim *s, uint64_t seed, double hand_pos[3], double *hand_yaw);
/* render.c */
FW_NODISCARD fw_status sim_renderer_new(mjModel *m, int max_px, fw_renderer **out, fw_err *err);
void sim_renderer_free(fw_renderer *r);
FW_NODISCARD fw_status sim_renderer_draw(fw_renderer *r, const mjModel *m, mjData *d, int cam, int w, int h,
                                         uint8_t *rgb, fw_err *err);
/* sim.c: run fn(ctx) so that a MuJoCo error becomes a status instead of the end of the process */
FW_NODISCARD fw_status sim_guard(void (*fn)(void *ctx), void *ctx, const char *what, fw_err *err);
void sim_observe_scene(fw_sim *s);

#endif /* FW_SIM_SIM_INT_H */
