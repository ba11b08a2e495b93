/* setting_place.h - a place mat at the left, and at the right what a place is set with: a plate, a fork, a knife, a spoon, a mug. */
#ifndef FW_TASK_SETTING_PLACE_H
#define FW_TASK_SETTING_PLACE_H

#include "sim/sim.h"

enum { PLACE_PLATE, PLACE_FORK, PLACE_KNIFE, PLACE_SPOON, PLACE_MUG, PLACE_N_OBJ };
/* Where each belongs on the mat: PLACE_SPOT + the object. */
enum { PLACE_TABLE, PLACE_SPOT };
extern const fw_setting setting_place;

#endif /* FW_TASK_SETTING_PLACE_H */
