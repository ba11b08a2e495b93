/* setting_kitchen.h - a counter with a sink; plate, mug, bowl, banana. Home 0 is the plain kitchen of the first suite. */
#ifndef FW_TASK_SETTING_KITCHEN_H
#define FW_TASK_SETTING_KITCHEN_H

#include "sim/sim.h"

enum { KITCHEN_PLATE, KITCHEN_MUG, KITCHEN_BOWL, KITCHEN_BANANA, KITCHEN_N_OBJ };
enum { KITCHEN_SINK };
extern const fw_setting setting_kitchen;

#endif /* FW_TASK_SETTING_KITCHEN_H */
