/* sim_int.h - what the files of sim share. */
#ifndef FW_SIM_SIM_INT_H
#define FW_SIM_SIM_INT_H

#include <mujoco/mujoco.h>
#include <setjmp.h>

#include "sim/randomise.h"
#include "sim/robot.h"
#include "sim/sim.h"
#include "sim/world.h"

typedef struct fw_renderer fw_renderer;

/* What one compiled model is made of; replaced as a whole when the home changes. */
typedef struct fw_built {
    mjModel *m;      /* owned */
    mjModel *m0;     /* owned: as compiled, the source of every randomised field */
    mjData *d;       /* owned */
    mjData *ik;      /* owned: scratch of the inverse kinematics */
    mjData *eye;     /* owned: what is drawn; NULL without rendering */
    fw_renderer *r;  /* owned; NULL without rendering */
    int *body_kind;  /* owned, [nbody]: an object's index, or KIND_... */
    int *body_hinge; /* owned, [nbody]: the hinge that moves it, or -1 */
    bool *is_robot;  /* owned, [nbody] */
} fw_built;

struct fw_sim {
    fw_built b;
    mjModel *m;  /* = b.m, and so on */
    mjModel *m0; /* its */
    mjData *d;
    fw_robot *robot; /* owned */
    fw_rz *rz;       /* owned: what episodes draw */
    fw_world world;  /* names and sizes; its spec is gone */
    const fw_setting *setting;
    fw_sim_opts opts;
    char home_dir[512];
    uint64_t home;
    fw_scene scene;
    fw_arm_start start[FW_ARM_MAX];
    bool start_set[FW_ARM_MAX]; /* by the setting, for this episode */
    double start_base[3];
    bool diverged;
    int n_sub;     /* physics steps a control step */
    int sub;       /* those of the present one, when motors are commanded (fw_sim_drive_step) */
    double *cloth; /* owned: vertices as doubles, [rows*cols,3]; NULL without */

    int obj_body[FW_OBJ_MAX], obj_q[FW_OBJ_MAX], obj_v[FW_OBJ_MAX];
    int region_body[FW_REGION_MAX];
    int hinge_jnt[FW_HINGE_MAX];
    int flex;
};
enum { KIND_WORLD = 1000, KIND_ROBOT = 2000 }; /* KIND_ROBOT + robot_part */

/* world.c */
FW_NODISCARD fw_status sim_build_model(fw_sim *s, mjModel **out, fw_err *err);
/* mesh.c: merge the vertices of every mesh that fall into one cell; drawing only (collision keeps its hulls) */
void sim_decimate(mjModel *m, double cell_m);
/* observe.c */
FW_NODISCARD fw_status sim_index(fw_sim *s, fw_err *err);
void sim_observe(fw_sim *s);
void sim_observe_furniture(fw_sim *s); /* regions and hinges alone */
/* render.c */
FW_NODISCARD fw_status sim_renderer_new(mjModel *m, int max_px, fw_renderer **out, fw_err *err);
void sim_renderer_free(fw_renderer *r);
FW_NODISCARD fw_status sim_renderer_draw(fw_renderer *r, const mjModel *m, mjData *d, int cam, int w, int h,
                                         uint8_t *rgb, fw_err *err);
/* Upload texture t again where bit t is set. */
FW_NODISCARD fw_status sim_renderer_textures(fw_renderer *r, const mjModel *m, uint64_t stale, fw_err *err);
/* sim.c: run fn(ctx) so that a MuJoCo error becomes a status instead of the end of the process */
FW_NODISCARD fw_status sim_guard(void (*fn)(void *ctx), void *ctx, const char *what, fw_err *err);

#endif /* FW_SIM_SIM_INT_H */
