/* setting_desk.h - the scene of the real CR5 recordings: a plate and a banana on a dark desk. */
#ifndef FW_TASK_SETTING_DESK_H
#define FW_TASK_SETTING_DESK_H

#include "sim/sim.h"

enum { DESK_PLATE, DESK_BANANA, DESK_N_OBJ };
extern const fw_setting setting_desk;

#endif /* FW_TASK_SETTING_DESK_H */
