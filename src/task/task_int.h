/*
 * task_int.h - what a task is made of: a setting, words, a goal to judge, an expert that reaches it.
 *
 * A task is one file that fills an fw_task; its name in the table (tasks.c) makes it available to suites.
 */
#ifndef FW_TASK_TASK_INT_H
#define FW_TASK_TASK_INT_H

#include "sim/parts.h"
#include "sim/sim.h"
#include "task/task.h"

#define BIT(obj)        (1u << (obj))
#define FW_MEANT_MAX    8
#define FW_SLOT_MAX     4
#define FW_SENTENCE_LEN 256 /* bytes, 0 included */

/* What the sentence of this episode means in this scene. Drawn at reset from the layout seed. */
typedef struct fw_meant {
    int n;                      /* objects that are to be handled */
    int obj[FW_MEANT_MAX];      /* their indices in the scene */
    int to;                     /* object, region or hinge that they go to: the task knows which; -1 */
    int var;                    /* the task's own */
    uint32_t named;             /* BIT() of the objects that may move */
    char slot[FW_SLOT_MAX][64]; /* words for {0}..{3} in the sentence: "the left mug" */
    uint32_t unsaid; /* BIT() of the slots without words in this scene: phrasings with one of these are not said */
} fw_meant;

/* What an expert wants of one hand in this control step. */
typedef struct fw_hand_cmd {
    double dpos[3]; /* m, in the room's directions; a mobile base carries the hand along besides */
    double dyaw;    /* rad */
    double grip;    /* 0 closed .. 1 open */
} fw_hand_cmd;

typedef struct fw_expert_out {
    fw_hand_cmd hand[FW_ARM_MAX]; /* preset to: stay, keep the gripper's command */
    double base[3];               /* a mobile base: m, m, rad in this step, its own frame; preset to 0 */
    bool done;                    /* nothing left to do */
    const char *phase;            /* static text */
} fw_expert_out;

typedef struct fw_task {
    const char *name;
    int version;               /* raise when the scene, goal or expert changes: an episode is (task, version, seeds) */
    const fw_setting *setting; /* scenes may be shared by tasks */
    double time_s;             /* an episode may take this long */
    const char *const *train;  /* phrasings, NULL-terminated, at least 12; {0}..{3} stand for fw_meant.slot */
    const char *const *held;   /* phrasings never trained on, at least 4 */
    /* Which things are meant here; NULL: meant = {.n = 1, .obj = {obj}, .named = named}. False: this scene offers no such case. */
    bool (*mean)(const fw_scene *s, fw_rng *layout, fw_meant *out);
    int obj;
    uint32_t named;
    /* Does the goal hold now? Settled, released. Writes why not into reason (never NULL). */
    bool (*goal)(const fw_scene *s, const fw_meant *m, char reason[160]);
    /* What to do now. Pure: the same scene gives the same action; no clock, no memory. */
    void (*expert)(const fw_scene *s, const fw_meant *m, fw_expert_out *out);
    /* The step that the expert is in, in words: "put the mug in the sink"; "" when there is none. NULL: a task of one step. */
    void (*subtask)(const fw_scene *s, const fw_meant *m, char out[FW_SUBTASK_LEN]);
} fw_task;

/* The task of that name, or NULL. tasks.c */
const fw_task *task_find(const char *name);
void task_names(char *out, size_t cap); /* "a, b, c" */
/* "put {0} in the bowl" with the words of m. False: m has no words for one of its slots, and it is not said in this scene. */
bool task_say(const char *phrasing, const fw_meant *m, char out[FW_SENTENCE_LEN]);
const fw_task *task_at(int i); /* NULL past the last */

/* --- pieces that goals are made of (goals.c). Each returns true, or false with a reason. */
bool goal_no(char reason[160], const char *who, const char *why); /* writes "who: why", returns false */
bool goal_released(const fw_scene *s, int obj, char reason[160]); /* open hands, no contact with it, at rest */
bool goal_in_region(const fw_scene *s, int obj, int region, double inset_m, char reason[160]);
/* Its middle within the region's walls (less inset), below its rim. */
bool inside_region(const fw_scene *s, int obj, int region, double inset_m);
/* An object outside `named` was lifted over 3 cm or lies over 5 cm from its start. */
bool goal_disturbed(const fw_scene *s, uint32_t named, char reason[160]);

/* --- the pick-and-place expert (expert.c), one object, one arm: for tasks that move things from here to there */
typedef struct pose4 {
    double pos[3]; /* m, between the finger pads */
    double yaw;    /* rad */
} pose4;

typedef struct fw_pick {
    int arm, obj;
    double open;      /* gripper command while it approaches */
    pose4 grasp;      /* where to close, from where the object is now */
    double place[3];  /* where to open; the hand keeps its yaw */
    double place_yaw; /* NAN: keep the hand's yaw */
    bool placed;      /* it lies where it belongs: let go of it and leave */
    double carry_m;   /* height over everything, where the robot's own is more; 0: the robot's own */
    double release;   /* gripper command that lets go of it; 0: wide open */
} fw_pick;
void expert_pick(const fw_scene *s, const fw_pick *p, fw_expert_out *out);
/* A mobile base: to its place before the worktop, sideways until `target` lies before the arm, the hand held high. False when it
 * stands there, and for a robot without a base: then out is untouched. */
bool expert_drive(const fw_scene *s, int arm, const double target[3], fw_expert_out *out);
/* Come down on a grasp from above with the gripper at `open`, and close there. Returns the phase, static. */
const char *expert_reach(const pose4 *grasp, double open, const fw_arm_view *arm, fw_hand_cmd *out);
/* Towards a pose, at most `fast` m a step, slowing down near it. */
void expert_go(const fw_arm_view *a, const double target[3], double yaw, double fast_xy, double fast_z,
               fw_hand_cmd *out);
/* The half turn of `yaw` (a gripper is symmetric) that the arm's wrist reaches with most room. */
double expert_half_turn(const fw_arm_view *arm, double yaw);

#endif /* FW_TASK_TASK_INT_H */
