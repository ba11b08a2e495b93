/*
 * player.h - recorded episodes of simulation again: played from their seeds, or their scene set up to be drawn.
 *
 *     fw_player *p;
 *     FW_TRY(fw_player_new(ds->robot_type, false, &p, err));
 *     FW_TRY(fw_replay_read(ds, ep, &r, err));
 *     FW_TRY(fw_player_play(p, &r, &demo, err));                     // refuses what cannot give the same bits
 *     fw_replay_compare(demo, &episode, &marks, &views, &difference); // difference.n_part == 0: the same bits
 *     fw_player_free(p);
 *
 * DESIGN. An episode's identity (data/replay.h) names everything that it was made of except the robot, which is the dataset's. Its home
 * is given by number, so that neither the suite's homes nor those of the command that made it matter. The room stays compiled while
 * suite, ranges, look and home stay the same: episodes of one home should come one after the other.
 */
#ifndef FW_TASK_PLAYER_H
#define FW_TASK_PLAYER_H

#include "data/replay.h"
#include "task/demo.h"

typedef struct fw_player fw_player; /* one process, one thread */

/* embodiment: copied. render: pictures can be drawn (OpenGL of this process). *out owned: fw_player_free. */
FW_NODISCARD fw_status fw_player_new(const char *embodiment, bool render, fw_player **out, fw_err *err);
void fw_player_free(fw_player *p); /* NULL is fine */

/* Play it to its end. *demo borrowed until the next call on p (without pictures when p does not render). FW_UNSUPPORTED: another
 * physics or another version of the task, which would play otherwise (names both); FW_INVALID: no such suite, task or ranges. */
FW_NODISCARD fw_status fw_player_play(fw_player *p, const fw_replay *r, const fw_demo **demo, fw_err *err);
/* Its scene at its beginning, with the look of r (visual seed, look): for fw_sim_render_view of its views. *env borrowed until the next
 * call on p. Another physics is fine; another version of the task is FW_UNSUPPORTED, as its things may be others. */
FW_NODISCARD fw_status fw_player_stand(fw_player *p, const fw_replay *r, fw_env **env, fw_err *err);

/* One thing that is not the same. */
typedef struct fw_replay_part {
    const char *what;       /* "state", "action", "steps", "views", "sentence", "length"; static */
    int64_t frames, first;  /* frames that differ, and the first of them */
    double most;            /* largest difference of a number; NaN: not numbers */
    int64_t wanted, played; /* of "length", and numbers a frame when those differ */
} fw_replay_part;
typedef struct fw_replay_difference {
    int n_part; /* 0: the same bits */
    fw_replay_part part[6];
} fw_replay_difference;
/* What was played against what was recorded; marks (whose subtasks are compared), views NULL: there are none to compare. */
void fw_replay_compare(const fw_demo *played, const fw_episode *recorded, const fw_marks *marks, const fw_views *views,
                       fw_replay_difference *out);
/* "state differs in 12 of 80 frames, from frame 3 on, by up to 0.004; ..." */
void fw_replay_text(const fw_replay_difference *d, int64_t frames, char *out, size_t cap);

#endif /* FW_TASK_PLAYER_H */
