/*
 * sim_eye.h - cameras of a simulated robot that is driven in real time: a thread that draws what the room looked like.
 *
 * DESIGN. Drawing takes milliseconds, the control loop has none to give. It offers views (fw_sim_view: numbers), the newest of which a
 * thread of its own draws in a room of its own: the same suite, robot and seeds, opened there because an OpenGL context belongs to its
 * thread. Offering copies some kilobytes and never waits: when the other side is just taking the last view, this one is not offered.
 * Each camera has three pictures: one being drawn, the newest, the one that is looked at. When nothing is offered for a while, the room
 * stands still, and is drawn again as cameras would see it.
 */
#ifndef FW_TASK_SIM_EYE_H
#define FW_TASK_SIM_EYE_H

#include "fw/driver.h"
#include "task/task.h"

typedef struct sim_eye sim_eye;

/* Which scene a view is of. */
typedef struct sim_scene {
    int task;
    uint64_t seed;
    int64_t episode; /* another number, another scene */
} sim_scene;

/* Memory only. opts: copied, its texts too. *out owned: sim_eye_close. */
FW_NODISCARD fw_status sim_eye_open(const char *suite, const fw_env_opts *opts, const fw_embodiment *body,
                                    sim_eye **out, fw_err *err);
void sim_eye_close(sim_eye *e); /* NULL is fine */
/* The thread begins, unless it runs; the scene of env is offered and waited for until each camera has a picture of it. real_time: t_ns is
 * CLOCK_MONOTONIC (otherwise nothing is drawn but what is offered). */
FW_NODISCARD fw_status sim_eye_start(sim_eye *e, fw_env *env, const sim_scene *scene, int64_t t_ns, bool real_time,
                                     fw_err *err);
/* FW_UNSUPPORTED when views of env are too large. */
FW_NODISCARD fw_status sim_eye_fits(fw_env *env, fw_err *err);
/* The control thread's: the present view of env. False: not now, offer again. */
bool sim_eye_offer(sim_eye *e, fw_env *env, const sim_scene *scene, int64_t t_ns);
/* As fw_driver_api.frame; t_ns: when the light fell. */
fw_status sim_eye_frame(sim_eye *e, int camera, fw_driver_frame *out, fw_err *err);
void sim_eye_unplug(sim_eye *e, int camera, bool out); /* any thread */

#endif /* FW_TASK_SIM_EYE_H */
