/*
 * demo.h - demonstrations: the expert does a task, disturbed on purpose, and what it saw and wanted is kept.
 *
 * DESIGN. In a share of the episodes the *executed* command carries noise (an offset held for some steps, now and then a
 * gripper that opens by itself) and the hand starts somewhere odd, while the *recorded* action stays what the expert wants
 * in that state: so the data shows how to come back (DART, arXiv 1703.09327). Only what ends settled and judged a success
 * is a demonstration. Everything is drawn from the streams "expert" and "noise" of the seed.
 *
 * In place of the expert a student may act (DAgger, arXiv 1011.0686): the data then shows what the expert would do where the student leads.
 *
 * Branch and filter: a disturbed attempt that the judge refuses is not thrown away. The state of every tenth frame is kept; it goes
 * back to before a thing was lost (moved though not named, physics diverged), or else to where the skill began that never
 * ended, and on from there with another draw of the noise, a few times. What is kept is one history: the frames before
 * the fork, then those of the branch. The search is a function of the seeds, so an episode still plays again from them alone.
 */
#ifndef FW_TASK_DEMO_H
#define FW_TASK_DEMO_H

#include "task/task.h"

#define FW_DEMO_STEPS_MAX 32 /* different sentences of steps in one episode */

/* Who acts in place of the expert, whose command is what is recorded all the same. action [n_action]: the expert's at entry, what is executed at return.
 * seed: of the episode; step: 0 when it begins. */
typedef fw_status (*fw_demo_act)(void *ctx, fw_env *env, uint64_t seed, int step, float *action, fw_err *err);

typedef struct fw_demo_opts {
    double noisy_share; /* of the episodes, 0..1 */
    double noise;       /* largest offset, as a share of the action's range */
    int hold_steps;     /* an offset lasts this long */
    int branches;       /* of an attempt that failed, at most; 0: none */
    fw_demo_act act;    /* NULL: the expert itself; else without noise and branches, which know nothing of who acts */
    void *act_ctx;
} fw_demo_opts;
#define FW_DEMO_OPTS_DEFAULT                                                                                           \
    { .noisy_share = 0.6, .noise = 0.4, .hold_steps = 5, .branches = 3, .act = NULL, .act_ctx = NULL }

typedef struct fw_demo_fork fw_demo_fork;

typedef struct fw_demo {
    int task, length; /* frames */
    fw_seeds seeds;   /* of everything drawn */
    int version;      /* of the task */
    uint64_t home;
    bool success; /* settled and judged at the end */
    bool noisy;
    int branch;       /* which one it ended in; 0: the first attempt */
    char reason[160]; /* why not */
    char sentence[256];
    int cap, n_state, n_action, n_camera;
    size_t image_bytes[FW_CAM_MAX]; /* of one frame */
    float *state;                   /* [length, n_state], owned */
    float *action;                  /* [length, n_action], clean, owned */
    int n_view;                     /* doubles of a view (sim/sim.h), of this episode's home */
    int64_t *subtask;               /* [length] into `subtasks`, -1 none: the step that the expert is in; owned */
    int n_subtasks;
    char subtasks[FW_DEMO_STEPS_MAX][FW_SUBTASK_LEN];
    int n_fork;
    size_t fork_bytes;
    fw_demo_fork *fork;          /* [n_fork] moments to go back to, owned */
    uint8_t *fork_state;         /* [n_fork, fork_bytes] of the environment then, owned */
    int64_t *frame;              /* [length] fw_sim_frame, owned: what came before the first one was not kept */
    double *view;                /* [length, n_view] what the cameras saw, owned */
    uint8_t *images[FW_CAM_MAX]; /* a camera each [length, h, w, 3], owned; NULL when env does not render */
} fw_demo;

/* Room for the longest episode of env. *out owned: fw_demo_free. */
FW_NODISCARD fw_status fw_demo_new(const fw_env *env, fw_demo **out, fw_err *err);
void fw_demo_free(fw_demo *d); /* NULL is fine */
/* Room for views of n_view doubles; what was there is lost. */
FW_NODISCARD fw_status fw_demo_size_views(fw_demo *d, int n_view, fw_err *err);
/* One episode of `task` from these seeds, with a sentence drawn from the training phrasings. A failed attempt is FW_OK with
 * success false. opts NULL = defaults. */
FW_NODISCARD fw_status fw_demo_record(fw_env *env, int task, const fw_seeds *seeds, const fw_demo_opts *opts,
                                      fw_demo *d, fw_err *err);

#endif /* FW_TASK_DEMO_H */
