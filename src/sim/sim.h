/*
 * sim.h - a simulated kitchen: MuJoCo physics, a Panda with a hand that always points down, two cameras, one seed.
 *
 * DESIGN. One compiled model a process, kept for its life. An episode changes only *fields* of it (poses, colours, lights,
 * cameras, masses, friction), drawn from named streams of the seed, so that a reset costs milliseconds and a new draw in one
 * stream never shifts another. Physics (sim.c), robot control (control.c), drawing of lots (reset.c) and pictures (render.c)
 * share the struct in sim_int.h. Judges and experts read an fw_scene: plain numbers, which a test can also make by hand.
 *
 * Frames: the robot's base = the world. x away from the robot, y to its left, z up from the counter's surface; metres, radians.
 * Every object's origin is the middle of its underside (the banana's: its middle).
 * Not thread-safe; the OpenGL context belongs to the thread that opened the sim.
 */
#ifndef FW_SIM_SIM_H
#define FW_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_sim fw_sim;

typedef enum fw_obj { FW_OBJ_PLATE, FW_OBJ_MUG, FW_OBJ_BOWL, FW_OBJ_BANANA, FW_N_OBJ } fw_obj;

typedef struct fw_obj_view {
    double pos[3]; /* m */
    double mid[3]; /* m, its centre of mass */
    double
        yaw;   /* rad, of its x axis about z; the mug's x axis points along its handle, the banana's along its length */
    double up; /* z component of its z axis: 1 upright, -1 upside down */
    double speed;           /* m/s of its origin, plus 0.05 m times its turning rate in rad/s */
    double start[3];        /* pos when the episode began (settled) */
    double lifted;          /* m, highest its underside has been above its start this episode */
    bool touches_hand;      /* any contact with fingers or hand */
    bool touches_both;      /* both fingers */
    bool touches_world;     /* counter or sink */
    bool touches[FW_N_OBJ]; /* another object */
} fw_obj_view;

/* Everything a judge or an expert may know. */
#define FW_ARM_MAX 2

typedef struct fw_arm_view {
    double pos[3], yaw; /* measured: between the finger pads */
    double opening;     /* measured, 0 closed .. 1 open */
    double command;     /* gripper command, 0..1 */
    double home[3];     /* where the hand rests */
    double opening_m;   /* distance between the pads at opening 1 */
} fw_arm_view;

/* The region a robot works in, from its embodiment: settings scale to it. */
typedef struct fw_reach {
    double near_m, far_m; /* x of the work area */
    double side_m;        /* |y| of the work area */
    double opening_m;     /* widest thing between the fingers */
    double carry_m;       /* height at which the hand carries things over others */
} fw_reach;

typedef struct fw_scene {
    int n_arm;
    fw_arm_view arm[FW_ARM_MAX];
    double base[3]; /* a mobile robot's base: x, y (m), yaw (rad) */
    fw_obj_view obj[FW_N_OBJ];
    double ee_pos[3], ee_yaw; /* measured: between the finger pads */
    double opening;           /* measured, 0 closed .. 1 open (8 cm) */
    double command;           /* gripper command, 0..1 */
    double sink[3];           /* middle of the sink's floor */
    double sink_half[2];      /* half its inner size along x, y */
    double home[3];           /* where the hand rests */
} fw_scene;

#define FW_PLATE_RIM_M  0.076 /* radius of the middle of the plate's rim, at half its height */
#define FW_FINGER_MAX_M 0.08  /* distance between the pads at opening 1 */

typedef struct fw_sim_opts {
    bool render;
    int max_px; /* largest picture side that will be asked for */
} fw_sim_opts;

/* home: the installation's folder, with .deps/robosuite in it. *out owned: fw_sim_close. FW_IO when files or EGL are missing. */
FW_NODISCARD fw_status fw_sim_open(const char *home, const fw_sim_opts *opts, fw_sim **out, fw_err *err);
void fw_sim_close(fw_sim *s);

/* Draw the scene of this seed and let it settle (streams "layout", "visual", "dynamics"). */
FW_NODISCARD fw_status fw_sim_reset(fw_sim *s, uint64_t seed, fw_err *err);
/* One control step of 0.1 s: delta x, y, z (m), delta yaw (rad), gripper 0..1; clamped to the limits of panda_kitchen.json.
 * FW_INVALID for NaN, FW_CLOSED when physics diverged (then until the next reset). */
FW_NODISCARD fw_status fw_sim_step(fw_sim *s, const float action[5], fw_err *err);
bool fw_sim_diverged(const fw_sim *s);
/* Borrowed, valid until close; its values change with every step, reset and placement. */
const fw_scene *fw_sim_scene(const fw_sim *s);

/* rgb [h,w,3] caller's memory, top row first. camera: "front" or "wrist". */
FW_NODISCARD fw_status fw_sim_render(fw_sim *s, const char *camera, int w, int h, uint8_t *rgb, fw_err *err);

/* Put an object somewhere, upright (up > 0) or upside down, at rest: for tests and disturbances. Settle with fw_sim_step. */
void fw_sim_place(fw_sim *s, fw_obj obj, const double pos[3], double yaw, bool upright);
/* qpos then qvel; returns their number, copies up to cap. */
size_t fw_sim_physics_state(const fw_sim *s, double *out, size_t cap);
const char *fw_obj_name(fw_obj obj); /* "plate"; static */

#endif /* FW_SIM_SIM_H */
