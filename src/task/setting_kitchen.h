/* setting_kitchen.h - a counter with a sink; plate, mug, bowl, banana. Home 0 is the plain kitchen of the first suite. */
#ifndef FW_TASK_SETTING_KITCHEN_H
#define FW_TASK_SETTING_KITCHEN_H

#include "sim/sim.h"

enum { KITCHEN_PLATE, KITCHEN_MUG, KITCHEN_BOWL, KITCHEN_BANANA, KITCHEN_N_OBJ };
enum { KITCHEN_SINK };
/* m, of the hand while it carries: over everything that stands here, and no higher. A hand that rises to a robot's own height makes
 * demonstrations a sixth longer, and a policy that learnt from them reached 83 % instead of 92 %: docs/RESULTS.md. */
#define KITCHEN_CARRY_M 0.16
extern const fw_setting setting_kitchen;

#endif /* FW_TASK_SETTING_KITCHEN_H */
