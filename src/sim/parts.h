/*
 * parts.h - what rooms are made of: furniture and things, by name. A setting calls these from its build.
 *
 * Each returns the index of the object (or region, hinge) in fw_scene. Shapes vary with the home (fw_world_vary).
 */
#ifndef FW_SIM_PARTS_H
#define FW_SIM_PARTS_H

#include "sim/sim.h"

#define FW_PLATE_RIM_M 0.076 /* radius of the middle of the plain plate's rim, at half its height */

/* part_kitchen.c: the kitchen of the first suite */
int fw_part_plate(fw_world *w, const char *name);
int fw_part_mug(fw_world *w, const char *name);
int fw_part_bowl(fw_world *w, const char *name);
int fw_part_banana(fw_world *w, const char *name);
/* A counter with a sink on the robot's left; body "counter", region "sink" (its index is returned). In other homes than the plain
 * one its size varies and a kitchen stands round it: wall, cupboards, appliances, only seen. */
int fw_part_counter(fw_world *w);
/* The same, but in every other home the sink is on the right. */
int fw_part_counter_either(fw_world *w);
/* A kitchen's wall, cupboards and appliances round a table, in other homes than the plain one; only seen. */
void fw_part_table_room(fw_world *w);
/* A work surface without a sink; body "counter", region "table" (its index is returned). */
int fw_part_table(fw_world *w);
/* The counter's look, its steel and the floor, from the visual stream. */
void fw_part_counter_paint(fw_sim *s, fw_rng *visual);

/* Hue, saturation, value in [0,1] to r, g, b. */
void fw_hsv(double h, double s, double v, float out[3]);

/* --- Furniture stands on a body of its own name, which fw_sim_shift moves; pos, yaw (m, rad) is where it is built. Things that are
 * pinched are taken across their y axis at `mid`, unless it says otherwise; they are smaller for a smaller hand. An unknown
 * kind gives -1 and adds nothing. */

/* part_tableware.c */
#define FW_COFFEE_HANDLE_M                                                                                             \
    0.078 /* from the coffee mug's axis to the middle of its handle, along +x (for a hand of 8 cm) */
int fw_part_cutlery(fw_world *w, const char *name, const char *kind); /* "fork", "knife", "spoon"; head towards +x */
/* Taken by its handle, fingers along its y; geom "<name>_coffee" is hidden until shown. */
int fw_part_coffee_mug(fw_world *w, const char *name);
/* Regions "<name>_plate" (returned), "_fork", "_knife", "_spoon", "_mug"; the diner sits at -x and has the fork at the left, +y. */
int fw_part_place_mat(fw_world *w, const char *name, const double pos[3], double yaw);
/* Wide and heavy; region "<name>_inside" reaches a little over its edge, for what is heaped up. */
int fw_part_salad_bowl(fw_world *w, const char *name);
int fw_part_cutting_board(fw_world *w, const char *name, const double pos[3], double yaw); /* its region */

/* part_food.c: "tomato", "cucumber", "lettuce", "pepper", "carrot", "onion", "egg", "lemon", "mushroom", "cheese", "celery" */
int fw_part_food(fw_world *w, const char *name, const char *kind);

/* part_rubbish.c: "paper", "can", "carton", "peel" */
int fw_part_rubbish(fw_world *w, const char *name, const char *kind);
int fw_part_bin(fw_world *w, const char *name, const double pos[3], double yaw); /* its region */

/* part_toys.c: "cube", "car", "duck", "matchbox", "tape", "bottle" */
int fw_part_toy(fw_world *w, const char *name, const char *kind);

/* part_drawer.c: a cabinet whose drawer opens towards its +x. The hinge (returned) is "<name>_slide", its grip the bar's middle; region
 * `name` is the drawer's inside. pos: middle of the front's underside. */
#define FW_DRAWER_STROKE_M 0.15
int fw_part_drawer(fw_world *w, const char *name, const double pos[3], double yaw);

/* part_coffee.c: pos: middle of the tray. The hinge (returned) is "<name>_button", pressed at more than FW_BUTTON_PRESSED_M; region
 * `name`: where a mug's origin must be to be filled; geom "<name>_stream" is hidden until shown. */
#define FW_BUTTON_PRESSED_M 0.005
int fw_part_coffee_machine(fw_world *w, const char *name, const double pos[3], double yaw);
int fw_part_coaster(fw_world *w, const char *name, const double pos[3]); /* its region; only seen */

/* part_clean.c */
#define FW_SPONGE_X_M   0.045 /* half its length and width, for a hand of 8 cm */
#define FW_SPONGE_Y_M   0.028
#define FW_SPILL_STEP_M 0.028 /* between stains */
int fw_part_sponge(fw_world *w, const char *name);
/* rows (along x) times cols (along y) stains, geoms "<name>_<row * cols + col>", only seen; its region spans them. */
int fw_part_spill(fw_world *w, const char *name, const double pos[3], int rows, int cols);

/* part_desk.c: an office desk with a monitor and cables at its far end (body "desk", "desk_monitor", "desk_cables"; region "desk" is
 * returned); a wide flat plate, a plastic banana. */
int fw_part_desk(fw_world *w);
int fw_part_dinner_plate(fw_world *w, const char *name);
int fw_part_plastic_banana(fw_world *w, const char *name);

/* part_tray.c: a rim of 1.6 cm; its region. */
int fw_part_tray(fw_world *w, const char *name, const double pos[3], double yaw);

/* part_cloth.c: cloth on a table (fw_scene.cloth), for two-armed robots. A shirt is not a rectangle: its rows is the number of its
 * vertices and its cols 1; fw_part_shirt_vertex numbers them: row 0 the hem, col 0 its right sleeve; -1 where there is no cloth. */
#define FW_SHIRT_ROWS      12
#define FW_SHIRT_COLS      15
#define FW_CLOTH_AUX_READY 0 /* fw_scene.aux[0..1] are the grips' memory */
void fw_part_towel(fw_world *w);
void fw_part_shirt(fw_world *w);
int fw_part_shirt_vertex(int row, int col);
/* For arrange: spread it at an offset from where it was built, with bumps of up to rumple_m. */
void fw_part_cloth_lay(fw_sim *s, double dx, double dy, double yaw, double rumple_m, fw_rng *r);
void fw_part_cloth_paint(fw_sim *s, const float rgb[3]);
/* For tick: fingers catch and let go of vertices; fills scene->cloth.gripped. */
void fw_part_cloth_tick(fw_sim *s, fw_scene *scene);

/* part_worktop.c: a bare worktop, a plane at z = 0 (cloth on a box costs three times as much); and its look, from the visual stream. */
void fw_part_worktop(fw_world *w);
void fw_part_worktop_paint(fw_sim *s, fw_rng *visual);

/* part_carton.c: object "carton"; hinges wall_0 (its -x side), wall_1 (+x), wall_2 (-y), wall_3 (+y): 0 flat on the table, pi/2 upright;
 * flap_0, flap_1 on walls 0 and 1: 0 in line with the wall, pi/2 level over the opening, more: tucked in. */
#define FW_CARTON_X_M    0.080 /* half its base */
#define FW_CARTON_Y_M    0.100
#define FW_CARTON_WALL_M 0.090 /* height of the walls */
#define FW_CARTON_FLAP_M 0.068 /* length of the flaps */
void fw_part_carton(fw_world *w, bool flaps);

#endif /* FW_SIM_PARTS_H */
