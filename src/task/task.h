/*
 * task.h - an environment: a room with a robot, a sentence, a judge and an expert, behind one handle.
 *
 *   fw_env *env;
 *   fw_env_open("kitchen3", &(fw_env_opts)FW_ENV_OPTS_DEFAULT, &env, &err);
 *   fw_env_reset(env, 0, seed, &err);                // the scene depends on the seed and the task's setting only
 *   while (!fw_env_done(env)) {
 *       fw_env_observe(env, &obs, &err);             // renders; obs.instruction is the sentence
 *       fw_env_step(env, action, &err);              // one control step
 *   }
 *   fw_env_judge(env, &verdict);
 *
 * A suite (suites/<name>.json) names tasks, a robot, homes and ranges of randomisation. A task (src/task/task_<name>.c, one table
 * entry) is a setting, words, a goal predicate and an expert: a new task is a new file. An episode is its suite, task, version and
 * five seeds: the same ones give the same bits, in state and image, on one machine. An env is not thread-safe and owns OpenGL
 * contexts: one env, one process.
 */
#ifndef FW_TASK_TASK_H
#define FW_TASK_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/embodiment.h"
#include "fw/policy.h"
#include "fw/status.h"
#include "sim/sim.h"

#define FW_TASK_MAX    32
#define FW_SUBTASK_LEN 96 /* bytes of a step's sentence, 0 included */

typedef struct fw_env fw_env;

typedef enum fw_split {
    FW_SPLIT_TRAIN,
    FW_SPLIT_HELD
} fw_split; /* phrasings for training; phrasings never trained on */

typedef struct fw_env_opts {
    bool render;            /* false: fw_env_observe gives state only (image[i].rgb == NULL) and no OpenGL is touched */
    int image_px;           /* square images of this size instead of the embodiment's; 0 = the embodiment's */
    const char *embodiment; /* another robot than the suite's; NULL = the suite's */
    const char *randomise;  /* other ranges than the suite's (a held-out domain); NULL = the suite's */
    const char *look;       /* other ranges of what is seen only (sim/sim.h); NULL = randomise */
    uint64_t home_first, home_count; /* other homes than the suite's; count 0 = the suite's */
} fw_env_opts;
#define FW_ENV_OPTS_DEFAULT                                                                                            \
    { .render = true, .image_px = 0 }

typedef struct fw_verdict {
    bool success; /* goal of the current task holds and nothing it does not name was disturbed */
    bool
        goal[FW_TASK_MAX]; /* [n_task] which of the suite's goals hold now (settled, released), whatever the sentence */
    bool wrong_object;     /* an object that the current task does not name was lifted, or moved by more than 5 cm */
    bool diverged;         /* physics left the finite numbers: the episode is over */
    int held_steps;        /* control steps in a row for which success held (counted by fw_env_step) */
    char reason[160];      /* why it is no success, for people: "plate: still touched by the fingers"; "" on success */
} fw_verdict;

/* opts NULL = defaults. *out owned: fw_env_close. Loads the suite, compiles the scene (about 0.3 s). FW_INVALID for an
 * unknown suite or task (lists the known ones), FW_FORMAT for a bad file, FW_IO if the robot's files or EGL are
 * missing. */
FW_NODISCARD fw_status fw_env_open(const char *suite, const fw_env_opts *opts, fw_env **out, fw_err *err);
void fw_env_close(fw_env *e); /* NULL is fine */

const fw_embodiment *fw_env_embodiment(const fw_env *e);          /* borrowed until close */
int fw_env_n_task(const fw_env *e);                               /* 1..FW_TASK_MAX */
const char *fw_env_task_name(const fw_env *e, int task);          /* "plate_in_sink"; borrowed until close */
int fw_env_task_find(const fw_env *e, const char *name);          /* index, or -1 */
int fw_env_n_sentence(const fw_env *e, int task, fw_split split); /* of this scene: not every phrasing suits each */
/* Borrowed until the next reset: words such as "the left mug" follow the scene. "" when this scene has no such case. */
const char *fw_env_sentence(const fw_env *e, int task, fw_split split, int i);
int fw_env_task_version(const fw_env *e, int task);
bool fw_env_same_setting(const fw_env *e, int task_a, int task_b); /* both can be said, and judged, in one scene */
/* Control steps an episode may take: the current task's; at most fw_env_time_limit_max. */
int fw_env_time_limit(const fw_env *e);
int fw_env_time_limit_max(const fw_env *e);

/* Start an episode: the scene of these seeds, judged by `task`, its first training sentence. FW_CLOSED: this scene cannot be had
 * (physics diverged while settling, or it offers no case of the task): take another seed. */
FW_NODISCARD fw_status fw_env_reset_seeds(fw_env *e, int task, const fw_seeds *seeds, fw_err *err);
/* The same with one number for all five. */
FW_NODISCARD fw_status fw_env_reset(fw_env *e, int task, uint64_t seed, fw_err *err);
uint64_t fw_env_home(const fw_env *e);                          /* the home of this episode; 0 the plain one */
uint64_t fw_env_home_of(const fw_env *e, uint64_t layout_seed); /* the one that a layout seed would have */
const char *fw_env_ranges(const fw_env *e);                     /* name of the ranges of randomisation; until close */
/* Say something else from now on (copied); the judge stays with the task of fw_env_reset. FW_INVALID over 255 bytes. */
FW_NODISCARD fw_status fw_env_set_sentence(fw_env *e, const char *sentence, fw_err *err);

/* What the robot sees now. Images [h,w,3] top row first and state are borrowed until the next call on e. */
FW_NODISCARD fw_status fw_env_observe(fw_env *e, fw_obs *obs, fw_err *err);
/* One control step with action [n_action] in the embodiment's units; values past its limits are clamped, NaN is
 * FW_INVALID. FW_CLOSED when physics diverged (now or before): the episode is over. */
FW_NODISCARD fw_status fw_env_step(fw_env *e, const float *action, fw_err *err);
/* One physics step with the motors commanded joint by joint (sim/sim.h); *looked: it completed a control step, which counts. */
FW_NODISCARD fw_status fw_env_drive(fw_env *e, const fw_sim_drive *drive, bool *looked, fw_err *err);
int fw_env_steps(const fw_env *e); /* control steps since reset */
/* Success has held for 5 steps, or the time limit is reached, or physics diverged. */
bool fw_env_done(const fw_env *e);
/* Judge the present moment: regions, contacts, speeds. Cheap (no physics, no rendering). */
void fw_env_judge(const fw_env *e, fw_verdict *out);

/* One image of a camera at any size up to 640x640, apart from the observation: rgb [h,w,3] caller's memory. Needs
 * opts.render. */
FW_NODISCARD fw_status fw_env_picture(fw_env *e, const char *camera, int w, int h, uint8_t *rgb, fw_err *err);
/* The physics state (qpos then qvel, doubles) for logs. Returns the number of doubles; copies up to cap of them. */
size_t fw_env_physics_state(const fw_env *e, double *out, size_t cap);

/* Forks: everything that this episode's next step depends on, counters included, as bytes; of one task's scene in one home. The sentence
 * is not in it. A restored state goes on to the same bits. */
size_t fw_env_state_size(const fw_env *e);
void fw_env_save(const fw_env *e, void *state);
void fw_env_restore(fw_env *e, const void *state);
fw_sim *fw_env_sim(fw_env *e); /* the current task's; borrowed until close */

/* --- the scripted expert of the current task: privileged state in, clean action [n_action] out, within the embodiment's limits. It
 * keeps no clock: the phase follows from where things are, so it recovers from disturbances. *done: it has nothing left to do
 * (rest pose reached). */
FW_NODISCARD fw_status fw_expert_act(fw_env *e, float action[FW_DIM_MAX], bool *done, fw_err *err);
const char *fw_expert_phase(const fw_env *e); /* "approach", ...: of the last fw_expert_act. Static. */
/* The step of a long task that the expert is in now, in words: "put the mug in the sink"; "" when it has none. What a high level
 * learns to say, and a low level to obey. */
void fw_env_subtask(const fw_env *e, char out[FW_SUBTASK_LEN]);
bool fw_env_has_subtasks(const fw_env *e, int task);

#endif /* FW_TASK_TASK_H */
