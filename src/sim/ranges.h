/*
 * ranges.h - what an episode may draw: named ranges in a JSON file, configs/randomise/<name>.json.
 *
 *   {"what": "...", "held_out": false, "extends": "default",
 *    "ranges": {"object.mass": {"unit": "x", "uniform": [0.75, 1.35]}, ...}}
 *
 * DESIGN. Every range has a row in FW_RANGE_MAP: its name, unit, the values that make sense at all, and what it is. A file gives
 * each name one distribution: uniform [a, b], loguniform [a, b], band [a, b] (a sign, then a magnitude: a held-out domain lies
 * *outside* the training range on both sides), choice [v, ...] (numbers, or the words of that row), probability p. A file that
 * extends another repeats only what differs; one that does not must give every name: nothing has a hidden default. One draw takes
 * exactly one number of its stream, whatever the distribution, so that another file never shifts the draws of other ranges. A file
 * may name the physics that plays it ("engine": "mujoco 3.17.0"): `flywheel eval --domain` then runs the program built with it.
 */
#ifndef FW_SIM_RANGES_H
#define FW_SIM_RANGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"
#include "fw/status.h"

#define FW_RANGE_CHOICES 16

/* X(ID, "name", "unit", least, most, "words of a choice, or empty", "what it is"); "x" = times what was compiled */
/* clang-format off */
#define FW_RANGE_MAP(X)                                                                                                          \
  X(LIGHT_COUNT,      "light.count",             "1",   1, 3,    "", "lamps that burn")                                             \
  X(LIGHT_KEY,        "light.key.brightness",    "1",   0, 2,    "", "the first lamp")                                              \
  X(LIGHT_FILL,       "light.fill.brightness",   "1",   0, 2,    "", "every other lamp")                                            \
  X(LIGHT_WARMTH,     "light.warmth",            "1",  -0.6, 0.6, "", "red up and blue down by this: the lamp's colour temperature") \
  X(LIGHT_AZIMUTH,    "light.azimuth",           "rad", -3.2, 3.2, "", "where from")                                                \
  X(LIGHT_TILT,       "light.tilt",              "rad", 0, 1.5,  "", "from straight above")                                         \
  X(LIGHT_AMBIENT,    "light.ambient",           "1",   0, 1,    "", "light from everywhere")                                       \
  X(LIGHT_HEAD,       "light.head",              "1",   0, 1,    "", "light from the camera")                                       \
  X(CAM_SCENE_SHIFT,  "camera.scene.shift",      "m",  -0.3, 0.3, "", "each axis, cameras that stand in the room")                  \
  X(CAM_SCENE_TURN,   "camera.scene.turn",       "rad", -0.5, 0.5, "", "about a random axis")                                       \
  X(CAM_HAND_SHIFT,   "camera.hand.shift",       "m",  -0.05, 0.05, "", "cameras on the robot")                                     \
  X(CAM_HAND_TURN,    "camera.hand.turn",        "rad", -0.5, 0.5, "", "")                                                          \
  X(CAM_ZOOM,         "camera.zoom",             "x",   0.5, 2,  "", "field of view")                                               \
  X(COLOUR_OBJECT,    "colour.object",           "x",   0, 2,    "", "each channel of each thing, after its own colour was drawn")  \
  X(COLOUR_ROOM,      "colour.room",             "x",   0, 2,    "", "each channel of each piece of furniture")                     \
  X(COLOUR_ROBOT,     "colour.robot",            "x",   0, 2,    "", "each channel of the whole robot")                                   \
  X(TEXTURE_REDRAW,   "texture.redraw",          "p",   0, 1,    "", "a surface's texture is drawn anew")                           \
  X(TEXTURE_KIND,     "texture.kind",            "1",   0, 0,    "plain wood granite tiles marble checker stripes gradient weave cells zigzag dots", \
                                                                       "as what")                                                    \
  X(TEXTURE_CONTRAST, "texture.contrast",        "1",   0, 1,    "", "between its light and dark")                                  \
  X(TEXTURE_SCALE,    "texture.scale",           "x",   0.1, 10, "", "repeats")                                                     \
  X(DISTRACTORS,      "distractor.count",        "1",   0, 6,    "", "shapes that stand about, out of the way; seen, never touched") \
  X(FX_BLUR,          "effect.blur",             "1",   0, 0.05, "", "sigma of the lens, in picture heights")                       \
  X(FX_WHITE,         "effect.white_balance",    "1",  -0.5, 0.5, "", "gain of red up, blue down")                                  \
  X(FX_EXPOSURE,      "effect.exposure",         "x",   0.2, 4,  "", "gain of all channels")                                        \
  X(FX_GAMMA,         "effect.gamma",            "1",   0.3, 3,  "", "")                                                            \
  X(FX_NOISE,         "effect.noise",            "1",   0, 64,   "", "std of a pixel, of 255")                                      \
  X(FX_JPEG,          "effect.jpeg",             "p",   0, 1,    "", "the picture went through JPEG")                               \
  X(FX_JPEG_QUALITY,  "effect.jpeg.quality",     "1",   1, 100,  "", "")                                                            \
  X(MASS,             "object.mass",             "x",   0.1, 10, "", "of each thing, with its inertia")                             \
  X(FRICTION,         "object.friction",         "x",   0.1, 10, "", "of each thing")                                               \
  X(PAD_FRICTION,     "pad.friction",            "x",   0.1, 10, "", "of the finger pads")                                          \
  X(JOINT_DAMPING,    "joint.damping",           "x",   0.1, 10, "", "of each of the robot's joints")                               \
  X(JOINT_FRICTION,   "joint.frictionloss",      "x",   0, 10,   "", "of each of the robot's joints")                               \
  X(MOTOR_GAIN,       "motor.gain",              "x",   0.2, 5,  "", "stiffness of each position servo")                            \
  X(MOTOR_DAMPING,    "motor.damping",           "x",   0.2, 5,  "", "damping of each position servo, beside its gain")              \
  X(BACKLASH,         "motor.backlash",          "rad", 0, 0.1,  "", "play of each turning joint's gear")                           \
  X(ACTION_DELAY,     "delay.action",            "s",   0, 0.3,  "", "from command to motor")                                       \
  X(IMAGE_DELAY,      "delay.image",             "s",   0, 0.1,  "", "from light to picture; at most one control step")             \
  X(NOISE_ANGLE,      "encoder.noise.angle",     "rad", 0, 0.1,  "", "std, states that are angles")                                 \
  X(NOISE_POSITION,   "encoder.noise.position",  "m",   0, 0.05, "", "std, states that are positions")                              \
  X(OFFSET_ANGLE,     "encoder.offset.angle",    "rad", -0.1, 0.1, "", "zero of each state that is an angle")                       \
  X(OFFSET_POSITION,  "encoder.offset.position", "m",  -0.05, 0.05, "", "zero of each state that is a position")                    \
  X(TIMESTEP,         "physics.timestep",        "x",   0.1, 4,  "", "of the setting's own; drawn once for a run, not an episode")  \
  X(INTEGRATOR,       "physics.integrator",      "1",   0, 0,    "as_built euler implicit implicitfast rk4", "once for a run")      \
  X(IMPRATIO,         "physics.impratio",        "x",   0.01, 10, "", "friction against normal constraints; once for a run")
/* clang-format on */

typedef enum fw_range_id {
#define X(id, name, unit, least, most, words, what) FW_RANGE_##id,
    FW_RANGE_MAP(X)
#undef X
        FW_RANGE_N
} fw_range_id;

typedef enum fw_dist { FW_DIST_UNIFORM, FW_DIST_LOGUNIFORM, FW_DIST_BAND, FW_DIST_CHOICE, FW_DIST_PROBABILITY } fw_dist;

typedef struct fw_range {
    fw_dist dist;
    double a, b;                     /* ends; probability: a */
    int n;                           /* choice */
    double choice[FW_RANGE_CHOICES]; /* numbers, or positions among the row's words */
} fw_range;

typedef struct fw_ranges {
    char name[64], what[256];
    char engine[32]; /* "mujoco 3.17.0": the only physics that plays it; "": any */
    bool held_out;   /* never in training data: `sim make` refuses it */
    fw_range r[FW_RANGE_N];
} fw_ranges;

/* configs/randomise/<name>.json of the installation at home_dir. name NULL = "default". FW_INVALID lists the known names;
 * FW_FORMAT names file, key, what was wanted and what was found. */
FW_NODISCARD fw_status fw_ranges_load(const char *home_dir, const char *name, fw_ranges *out, fw_err *err);
/* From JSON on top of *out, which holds what it extends (base true), or must be given whole (base false). */
FW_NODISCARD fw_status fw_ranges_from_json(const json_t *j, const char *where, bool base, fw_ranges *out, fw_err *err);
/* How things look as in `look`, everything else as it was: an episode drawn again. Held out when either is. */
void fw_ranges_look(fw_ranges *r, const fw_ranges *look);
json_t *fw_ranges_to_json(const fw_ranges *r); /* whole, extends nothing; owned by the caller, NULL out of memory */

/* One value: one number of the stream. probability: 0 or 1; words: the position of the word. */
double fw_range_draw(const fw_range *r, fw_rng *rng);
/* The largest magnitude it can give, and whether it always gives v. */
double fw_range_most(const fw_range *r);
bool fw_range_is(const fw_range *r, double v);

const char *fw_range_name(fw_range_id id);
const char *fw_range_unit(fw_range_id id);
const char *fw_range_what(fw_range_id id);
/* "uniform -0.015 .. 0.015", "choice wood, marble": for tables */
void fw_range_text(fw_range_id id, const fw_range *r, char *out, size_t cap);

#endif /* FW_SIM_RANGES_H */
