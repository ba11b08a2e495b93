/*
 * sim.h - a simulated room with one robot in it: MuJoCo physics, a controller, cameras, and what a judge may know.
 *
 * DESIGN. A *setting* (kitchen, laundry table; src/task/setting_*.c) says what stands in the room; an *embodiment* says which
 * robot stands before it; a *home* number says which of the endless kitchens it is (furniture, shapes). Setting, robot and home
 * make one compiled model, kept while they stay the same. An episode changes only *fields* of it (poses, colours, lights, cameras,
 * masses, friction), drawn from five named seed streams, so that a reset costs milliseconds and a new draw in one stream never
 * shifts another. Judges and experts read an fw_scene: plain numbers, which a test can also make by hand.
 *
 * Frames: the first arm's base = the world. x away from the robot, y to its left, z up from the work surface; metres, radians.
 * Every object's origin is the middle of its underside when it stands as it should (a banana's: its middle).
 * Not thread-safe; the OpenGL context belongs to the thread that opened the sim.
 */
#ifndef FW_SIM_SIM_H
#define FW_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "fw/embodiment.h"
#include "fw/status.h"

#define FW_OBJ_MAX    24 /* movable things */
#define FW_ARM_MAX    2
#define FW_REGION_MAX 12
#define FW_HINGE_MAX  12
#define FW_AUX_MAX    32
#define FW_AXIS_MAX   16

typedef struct fw_sim fw_sim;
typedef struct fw_world fw_world; /* a model being built: sim/world.h */

/* Everything an episode draws comes from these, each feeding the streams of its own name only. */
typedef struct fw_seeds {
    uint64_t layout, visual, dynamics, expert, noise;
} fw_seeds;
static inline fw_seeds fw_seeds_all(uint64_t seed) {
    return (fw_seeds){seed, seed, seed, seed, seed};
}

/* A thing that can be moved. */
typedef struct fw_obj_view {
    const char *name, *kind; /* "mug_2", "mug"; borrowed from the sim */
    double radius, height;   /* m: the circle round its origin that holds it; how high it stands */
    double rest_z;           /* m, its origin over what it stands on */
    double pos[3];           /* m */
    double mid[3];           /* m, its centre of mass */
    double quat[4];          /* w x y z */
    double yaw;   /* rad, of its x axis about z; a mug's x axis points along its handle, a banana's along its length */
    double up;    /* z component of its z axis: 1 upright, -1 upside down */
    double speed; /* m/s of its origin, plus 0.05 m times its turning rate in rad/s */
    double start[3]; /* pos when the episode began (settled) */
    double start_yaw;
    double lifted;            /* m, highest its underside has been above its start this episode */
    bool touches_hand;        /* any contact with fingers or hand, of any arm */
    bool touches_both;        /* both fingers of one arm */
    uint8_t held_by;          /* bit a: both fingers of arm a touch it */
    bool touches_world;       /* furniture: everything that is neither movable nor the robot */
    bool touches[FW_OBJ_MAX]; /* another object */
} fw_obj_view;

typedef struct fw_arm_view {
    double pos[3], yaw; /* measured: between the finger pads */
    double opening;     /* measured, 0 closed .. 1 open */
    double command;     /* gripper command, 0..1 */
    double home[3];     /* where the hand rests; a mobile robot's goes with its base */
    double home_yaw;    /* rad, there: the wrist has most room on both sides of it */
    double
        turn_yaw; /* rad: middle of the half turn in which experts choose the yaw of a grasp; a base stands straight then */
    double opening_m; /* distance between the pads at opening 1 */
} fw_arm_view;

/* A box-shaped place: a sink, a bin, the inside of a drawer, a spot on a place mat. It moves with what it belongs to. */
typedef struct fw_region_view {
    const char *name;
    double pos[3], yaw; /* middle of its floor */
    double half[3];     /* half its inner size along its x, y; half[2]: half its height */
} fw_region_view;

/* A joint of the furniture: a drawer, a door, a button, a flap. */
typedef struct fw_hinge_view {
    const char *name;
    double pos, vel;     /* m or rad */
    double min, max;     /* its range */
    bool touches_hand;   /* the hand touches the body that it moves */
    double grip[3], yaw; /* m, world: where to take hold of it (a handle's or button's middle); yaw of its body */
} fw_hinge_view;

/* A cloth: rows x cols vertices. */
typedef struct fw_cloth_view {
    int rows, cols;          /* 0 without a cloth */
    const double *vert;      /* [rows*cols,3] m, borrowed, until the next call */
    double spacing;          /* m between neighbours when flat */
    int gripped[FW_ARM_MAX]; /* vertex that the arm's fingers hold, or -1 */
} fw_cloth_view;

/* The region a robot works in, from its embodiment: settings and experts scale to it. */
typedef struct fw_reach {
    double near_m, far_m; /* x of the work area */
    double side_m;        /* |y| of the work area */
    double opening_m;     /* widest thing between the fingers */
    double carry_m;       /* height at which the hand carries things over others */
    double edge_m;        /* x where worktops begin: a robot on the floor stands before them, others stand on them */
} fw_reach;
#define FW_EDGE_M (-0.28)

/* Everything a judge or an expert may know. */
typedef struct fw_scene {
    int n_arm, n_obj, n_region, n_hinge;
    fw_arm_view arm[FW_ARM_MAX];
    bool mobile;    /* it has a base that drives */
    double base[3]; /* a mobile robot's base: x, y (m), yaw (rad) */
    fw_reach reach;
    fw_obj_view obj[FW_OBJ_MAX];
    fw_region_view region[FW_REGION_MAX];
    fw_hinge_view hinge[FW_HINGE_MAX];
    fw_cloth_view cloth;
    double aux
        [FW_AUX_MAX]; /* what a setting keeps beside physics (coffee in the mug, stains wiped): fw_setting.tick writes it */
    double t_s;       /* simulated seconds since the episode began */
} fw_scene;

/* Indices by name, -1 if there is none. */
int fw_scene_obj(const fw_scene *s, const char *name);
int fw_scene_region(const fw_scene *s, const char *name);
int fw_scene_hinge(const fw_scene *s, const char *name);

/* What stands in a room and how an episode arranges it. Static tables; one file each in src/task. */
typedef struct fw_setting {
    const char *name;
    /* Add furniture and things to the model (sim/world.h, sim/parts.h). w->shape is the home's stream; home 0 is the plain one. */
    fw_status (*build)(fw_world *w, fw_err *err);
    /* Where things are this episode, from the layout stream: fw_sim_place, fw_sim_shift. Physics settles afterwards. NULL: as built.
     * fw_sim_scene shows regions and hinges as they were built, and the sizes of things. */
    void (*arrange)(fw_sim *s, fw_rng *layout);
    /* Colours of things, from the visual stream: fw_sim_paint, fw_sim_shade. NULL: as built. */
    void (*paint)(fw_sim *s, fw_rng *visual);
    /* After each control step: keep scene->aux up to date and show it (fw_sim_show). NULL: nothing beside physics. */
    void (*tick)(fw_sim *s, fw_scene *scene);
    double settle_s; /* how long things settle before an episode begins; 0 = 0.3 */
} fw_setting;

/* Homes from this number on are new ones: for testing, never in training data. 0 is the plain home of every setting. */
#define FW_HOME_NEW 1000000

typedef struct fw_sim_opts {
    bool render;
    int max_px;            /* largest picture side that will be asked for */
    const char *randomise; /* a file of configs/randomise/<name>.json; NULL = "default" */
    const char *look;      /* another one for what is seen (a recorded episode drawn again); NULL = randomise */
    uint64_t home_first;   /* homes of this run: home = home_first + stream(layout, "home") % home_count; */
    uint64_t home_count;   /* 0: always home 0, the plain one */
} fw_sim_opts;

/* home_dir: the installation's folder, with .deps in it. setting: static. *out owned: fw_sim_close. FW_IO when files or EGL are
 * missing, FW_FORMAT when the embodiment's model does not fit its package. */
FW_NODISCARD fw_status fw_sim_open(const char *home_dir, const fw_setting *setting, const char *embodiment,
                                   const fw_sim_opts *opts, fw_sim **out, fw_err *err);
void fw_sim_close(fw_sim *s);

/* Draw the scene of these seeds and let it settle. Compiles again only when the layout seed belongs to another home. */
FW_NODISCARD fw_status fw_sim_reset(fw_sim *s, const fw_seeds *seeds, fw_err *err);
/* One control step of 1/rate s: action [n_action] in the embodiment's units; clamped to its limits.
 * FW_INVALID for NaN, FW_CLOSED when physics diverged (then until the next reset). */
FW_NODISCARD fw_status fw_sim_step(fw_sim *s, const float *action, fw_err *err);
bool fw_sim_diverged(const fw_sim *s);
/* Borrowed, valid until close; its values change with every step, reset and placement. */
const fw_scene *fw_sim_scene(const fw_sim *s);
const fw_embodiment *fw_sim_embodiment(const fw_sim *s);
const char *fw_sim_version(void); /* of the physics: "mujoco 4.0.1"; static */
uint64_t fw_sim_home_of(const fw_sim_opts *opts, uint64_t layout_seed);
uint64_t fw_sim_home(const fw_sim *s); /* number of the home that is compiled now */
/* state [n_state], in the embodiment's units, as its dims mean. */
void fw_sim_state(const fw_sim *s, float *state);

/* rgb [h,w,3] caller's memory, top row first. camera: a name of the embodiment's. */
FW_NODISCARD fw_status fw_sim_render(fw_sim *s, const char *camera, int w, int h, uint8_t *rgb, fw_err *err);

int64_t fw_sim_frame(const fw_sim *s); /* control steps since the episode began */
bool fw_sim_held_out(const fw_sim *s); /* its ranges are a held-out domain: never for training data */

/* --- motors, for whoever commands them himself instead of by fw_sim_step: a driver. Axes as sim/body.h numbers them; a mobile base has
 * none and stands. */
typedef struct fw_sim_axis {
    double position, velocity; /* rad (m), rad/s (m/s); a gripper's: the mean of its fingers, as its first joint */
    double effort;             /* Nm (N) that the motor gives beside the arm's weight ... */
    double weight;             /* ... which is carried for it */
} fw_sim_axis;
typedef struct fw_sim_drive {
    bool limp;                    /* no torque; the arm's weight stays carried, as by brakes */
    double position[FW_AXIS_MAX]; /* where the servo shall be now ... */
    double
        velocity[FW_AXIS_MAX]; /* ... and moves; its lag is made up for. A gripper told to close pushes beyond closed */
    double effort[FW_AXIS_MAX]; /* most that the motor gives, weight included; more than its own limit: that */
} fw_sim_drive;
int fw_sim_n_axis(const fw_sim *s);
void fw_sim_axes(const fw_sim *s, fw_sim_axis *out); /* [n_axis] */
double fw_sim_timestep(const fw_sim *s);             /* s of one physics step */
/* One physics step; *looked: it completed a control step, and the scene is a new one. FW_CLOSED as fw_sim_step. */
FW_NODISCARD fw_status fw_sim_drive_step(fw_sim *s, const fw_sim_drive *drive, bool *looked, fw_err *err);
/* The scene as of the last physics step; otherwise it is that of the last control step. */
void fw_sim_refresh(fw_sim *s);
/* Somebody pushes the link that an axis moves, at its centre of mass: N, world, until told otherwise or the next reset. */
void fw_sim_push(fw_sim *s, int axis, const double force[3]);

/* --- views: what the cameras see, as numbers, to be drawn again later with another size, camera or look */
int fw_sim_view_size(const fw_sim *s); /* doubles; constant for one home */
void fw_sim_view(fw_sim *s, double *view);
/* Draw a view of the same setting, robot and home with the look of the last reset. frame: fw_sim_frame when it was taken (the
 * sensor's noise depends on it). With the same look and size: the same bytes as fw_sim_render gave then. */
FW_NODISCARD fw_status fw_sim_render_view(fw_sim *s, const double *view, int64_t frame, const char *camera, int w,
                                          int h, uint8_t *rgb, fw_err *err);

/* --- for settings and tests: between reset's draws and settling, or as a disturbance */
/* Put an object somewhere, upright (up > 0) or upside down, at rest. Settle with fw_sim_step. */
void fw_sim_place(fw_sim *s, int obj, const double pos[3], double yaw, bool upright);
void fw_sim_place_quat(fw_sim *s, int obj, const double pos[3], const double quat[4]);
/* Out of this episode: it hangs there, weightless and at rest, and costs no contacts. Until the next reset. */
void fw_sim_park(fw_sim *s, int obj, const double pos[3]);
/* Move a piece of furniture (a mocap body, by name) by x, y, yaw from where it was built. */
void fw_sim_shift(fw_sim *s, const char *body, double dx, double dy, double dyaw);
void fw_sim_set_hinge(fw_sim *s, int hinge, double pos);
/* Colour every geom of a body (by name); shade multiplies the compiled colours. Alpha 0 hides. */
void fw_sim_paint(fw_sim *s, const char *body, const float rgb[3]);
void fw_sim_shade(fw_sim *s, const char *body, const float gain[3]);
void fw_sim_show(fw_sim *s, const char *geom, bool visible);
/* Where the arm starts, in its base's frame; the robot's default is its own home with the layout stream's jitter. */
void fw_sim_start(fw_sim *s, int arm, const double pos[3], double yaw, double opening);
const fw_reach *fw_sim_reach(const fw_sim *s);

/* --- whole states: everything the next step depends on (physics, controller, auxiliary). A fork is save + restore. */
size_t fw_sim_state_size(const fw_sim *s); /* bytes; constant for one compiled model */
void fw_sim_save(const fw_sim *s, void *state);
void fw_sim_restore(fw_sim *s, const void *state); /* of the same model; also refreshes the scene */
/* qpos then qvel; returns their number, copies up to cap. */
size_t fw_sim_physics_state(const fw_sim *s, double *out, size_t cap);

#endif /* FW_SIM_SIM_H */
