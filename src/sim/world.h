/*
 * world.h - building a room: a setting adds furniture and things to a MuJoCo spec, and registers what judges will watch.
 *
 * Used by sim/part_*.c (which know MuJoCo) and, through sim/parts.h, by the settings in src/task (which need not).
 */
#ifndef FW_SIM_WORLD_H
#define FW_SIM_WORLD_H

#include <mujoco/mujoco.h>

#include "sim/sim.h"

typedef struct fw_world_obj {
    char name[32], kind[16];
    double radius, height; /* m */
    double rest_z;         /* height of its origin over the surface it stands on */
} fw_world_obj;

typedef struct fw_world_region {
    char name[32], body[32]; /* the body that it moves with; "" = the world */
    double pos[3], yaw;      /* in that body's frame: middle of the floor */
    double half[3];
} fw_world_region;

typedef struct fw_world_hinge {
    char name[32];  /* = the MuJoCo joint's name */
    double grip[3]; /* in the moved body's frame */
} fw_world_hinge;

typedef struct fw_world_cloth {
    char flex[32];
    int rows, cols;
    double spacing;
} fw_world_cloth;

struct fw_world {
    mjSpec *spec;      /* owned by the sim while building */
    mjsBody *root;     /* the world body */
    fw_rng shape;      /* stream of the home: shapes, sizes, furniture */
    uint64_t home;     /* 0: the plain one: draw nothing */
    fw_reach reach;    /* of the robot that will stand here */
    const char *lacks; /* static: what a part needs and this physics has not; NULL: nothing */
    int n_obj, n_region, n_hinge;
    fw_world_obj obj[FW_OBJ_MAX];
    fw_world_region region[FW_REGION_MAX];
    fw_world_hinge hinge[FW_HINGE_MAX];
    fw_world_cloth cloth;
};

/* Register; return the index in fw_scene, or -1 when there is no room (build fails then by fw_world_check). */
int fw_world_add_obj(fw_world *w, mjsBody *body, const char *name, const char *kind, double radius, double height,
                     double rest_z);
int fw_world_add_region(fw_world *w, const char *name, const char *body, const double pos[3], double yaw,
                        const double half[3]);
int fw_world_add_hinge(fw_world *w, const char *joint, const double grip[3]);
/* A number of the home: uniform in [a, b) by its stream, or `plain` in home 0. */
double fw_world_vary(fw_world *w, double plain, double a, double b);

/* --- building blocks of parts (part_basic.c): friction and contact bits that work with every robot */
typedef struct fw_rgb {
    float r, g, b;
} fw_rgb;
#define FW_OBJ_MU 0.6 /* things slide: an object that cannot slide jams between a finger and the counter */
/* A geom of the furniture; size as MuJoCo has it (half sizes). The robot is contype 2, conaffinity 0: it touches the world, never itself. */
mjsGeom *fw_geom(mjsBody *b, mjtGeom type, const double pos[3], const double size[3], fw_rgb c);
/* A geom of an object that will be held: condim 4, its density kg/m3. */
mjsGeom *fw_geom_held(mjsBody *b, mjtGeom type, const double pos[3], const double size[3], fw_rgb c, double density);
/* n boxes round a circle: radius r at half height, middle at z, half thickness t, half height h, leaning outward by tilt. */
void fw_geom_ring(mjsBody *b, int n, double r, double z, double t, double h, double tilt, fw_rgb c, double density);
mjsBody *fw_free_body(fw_world *w, const char *name); /* a child of the world with a free joint */
mjsBody *fw_mocap_body(fw_world *w, const char *name, const double pos[3],
                       double yaw); /* furniture that an episode may shift */
#define FW_V3(x, y, z) ((const double[3]){(x), (y), (z)})

#endif /* FW_SIM_WORLD_H */
