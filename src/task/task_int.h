/*
 * task_int.h - what a task is made of: a goal to judge, and what the scripted expert needs to reach it.
 *
 * A task is one file that fills an fw_task; its name in the table (tasks.c) makes it available to suites.
 */
#ifndef FW_TASK_TASK_INT_H
#define FW_TASK_TASK_INT_H

#include "sim/sim.h"
#include "task/task.h"

#define BIT(obj) (1u << (obj))

typedef struct pose4 {
    double pos[3]; /* m, between the finger pads */
    double yaw;    /* rad */
} pose4;

typedef struct fw_task {
    const char *name;
    unsigned named; /* BIT() of the objects the sentence names: these may move */
    /* Does the goal hold now? Settled, released. Writes why not into reason (never NULL). */
    bool (*goal)(const fw_scene *s, char reason[160]);

    /* the expert */
    fw_obj obj;                                     /* what it carries */
    double open;                                    /* gripper command while it approaches */
    pose4 (*grasp)(const fw_scene *s);              /* where to close, from where the object is now */
    void (*place)(const fw_scene *s, double ee[3]); /* where to open; the hand keeps its yaw */
    bool (*placed)(const fw_scene *s);              /* it lies where it belongs: let go of it and leave */
} fw_task;

/* The task of that name, or NULL. tasks.c */
const fw_task *task_find(const char *name);
void task_names(char *out, size_t cap); /* "a, b, c" */

/* --- pieces that goals are made of (goals.c). Each returns true, or false with a reason. */
bool goal_released(const fw_scene *s, fw_obj o, char reason[160]); /* open hand, no contact with it, at rest */
bool goal_in_sink(const fw_scene *s, fw_obj o, double inset_m, char reason[160]);
bool inside_sink(const fw_scene *s, fw_obj o, double inset_m);
/* An object outside `named` was lifted over 3 cm or lies over 5 cm from its start. */
bool goal_disturbed(const fw_scene *s, unsigned named, char reason[160]);

/* The expert's action for this scene (expert.c). Pure: the same scene gives the same action. phase: static text. */
void expert_action(const fw_task *t, const fw_scene *s, float action[5], bool *done, const char **phase);

#endif /* FW_TASK_TASK_INT_H */
