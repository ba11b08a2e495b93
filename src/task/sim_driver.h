/*
 * sim_driver.h - the simulator as a robot's body: joint targets in, measured joints and pictures out, in real time.
 *
 *   fw_driver_open_api(fw_sim_driver_api(), "{\"suite\": \"kitchen3\", \"task\": \"plate_in_sink\", \"seed\": 7}", &d, &err);
 *   ... a driver like every other (fw/driver.h); fw_driver_add makes it known as "simulator" ...
 *   fw_sim_driver_now_get(d, &now);                        // what the judge says of it; any thread
 *   fw_sim_driver_reset(d, "mug_in_sink", 8, &err);        // the next episode, while its torque is off; any thread
 *
 * DESIGN. Rooms, tasks and judges are those of task.h. Physics goes on in read, up to the present time and by at most 50 ms; what is
 * more was missed (a stopped process, a slow machine), and is skipped and counted. Samples are the joints at the time of the call. Between
 * two writes each servo runs straight to the new target in the time between the last two, its lag made up for, as the simulator's own
 * controller does; grippers squeeze by themselves when they are told to close. With the torque off the robot is limp, but its weight
 * stays carried. Pictures are drawn by a thread of their own from a room of its own (sim_eye.h). read, write and frame take no lock that
 * is waited for, and allocate nothing.
 *
 * Axes as sim/body.h has them. A base that drives is refused.
 *
 * With "pictures": "wait" the clock is the caller's, and so is the only thread: a picture is drawn when it is asked for, of that moment.
 * Then the same seeds give the same bits.
 */
#ifndef FW_TASK_SIM_DRIVER_H
#define FW_TASK_SIM_DRIVER_H

#include "base/clock.h"
#include "fw/driver.h"
#include "task/task.h"

const fw_driver_api *fw_sim_driver_api(void); /* static */

/* Time for physics and samples instead of CLOCK_MONOTONIC: borrowed until close. Before start. */
void fw_sim_driver_set_clock(fw_driver *d, const fw_clock *clock);

/* --- its owner: any thread; d is a driver of this api, anything else is FW_INVALID */

typedef struct fw_sim_driver_now {
    char task[FW_NAME_MAX];
    char sentence[256];
    uint64_t seed;
    int64_t episode; /* counted from 0 by resets */
    int steps;       /* control steps since the episode began */
    bool done;       /* success has held, its time is over, or physics diverged */
    fw_verdict verdict;
    int64_t skipped_ns; /* time that physics did not keep up with, since open */
} fw_sim_driver_now;
/* As of the last control step (0.1 s at 10 Hz). */
FW_NODISCARD fw_status fw_sim_driver_now_get(fw_driver *d, fw_sim_driver_now *out, fw_err *err);
/* The scene of another episode; task NULL: the same one. FW_AGAIN: its torque is on. FW_CLOSED: no such scene, take another seed. While the
 * driver runs, the new scene is made beside the present one (half a second) and stands there from the next read on: the robot jumps. */
FW_NODISCARD fw_status fw_sim_driver_reset(fw_driver *d, const char *task, uint64_t seed, fw_err *err);
/* The room itself, borrowed until the next reset. Only while no other thread reads the driver. NULL: not a simulator. */
fw_env *fw_sim_driver_env(fw_driver *d);

/* --- faults on purpose: any thread, at once, until told otherwise. What is not there (axis, camera) does nothing. */
void fw_sim_driver_unplug(fw_driver *d, int camera, bool out);
void fw_sim_driver_deaf(fw_driver *d, int axis, bool deaf);        /* a joint that does not answer */
void fw_sim_driver_fault(fw_driver *d, int axis, uint32_t faults); /* fw_driver_fault bits that it reports */
void fw_sim_driver_mute(fw_driver *d, bool mute);                  /* nothing answers: read and write time out */
void fw_sim_driver_stall(fw_driver *d, int ms);                    /* the next read takes so long (real time) */
void fw_sim_driver_push(fw_driver *d, int axis,
                        const float n[3]); /* N, world: somebody pushes the link that the axis moves */

#endif /* FW_TASK_SIM_DRIVER_H */
