/*
 * recorded.h - the frames of a dataset as observations of a policy's robot.
 *
 *   FW_TRY(fw_recorded_open("data/cups", embodiment, 32, &r, err));
 *   FW_TRY(fw_recorded_episode(r, 3, &ep, err));          // numbers of episode 3
 *   FW_TRY(fw_recorded_obs(r, t, &obs, err));             // what the robot saw at its frame t
 *
 * Images are as recorded; state and action of frame t - 1 come along. Nobody is shown what was deleted (data/deleted.h).
 */
#ifndef FW_TRAIN_RECORDED_H
#define FW_TRAIN_RECORDED_H

#include "data/dataset.h"
#include "fw/policy.h"

typedef struct fw_recorded fw_recorded;
/* e: borrowed until close. ahead: frames decoded at a time, 1 for frames here and there. FW_SHAPE, FW_INVALID: the dataset's state,
 * action or cameras are not the robot's. *out owned. */
FW_NODISCARD fw_status fw_recorded_open(const char *dir, const fw_embodiment *e, int ahead, fw_recorded **out,
                                        fw_err *err);
void fw_recorded_close(fw_recorded *r);       /* NULL is fine */
fw_dataset *fw_recorded_data(fw_recorded *r); /* borrowed until close */
/* FW_INVALID: one of episodes [from, to) is of a deleted home. */
FW_NODISCARD fw_status fw_recorded_allowed(fw_recorded *r, int64_t from, int64_t to, fw_err *err);
/* Go to episode ep (position): *out borrowed until the next one. FW_INVALID: it was deleted. */
FW_NODISCARD fw_status fw_recorded_episode(fw_recorded *r, int64_t ep, const fw_episode **out, fw_err *err);
/* Frame t of it. Borrowed until the next frame. */
FW_NODISCARD fw_status fw_recorded_obs(fw_recorded *r, int64_t t, fw_obs *out, fw_err *err);

#endif /* FW_TRAIN_RECORDED_H */
