/* setting_drawer.h - a cabinet with a drawer at the right, and small things before it: two blocks that look alike, a car, a duck. */
#ifndef FW_TASK_SETTING_DRAWER_H
#define FW_TASK_SETTING_DRAWER_H

#include "sim/sim.h"

enum { DRAWER_BLOCK_1, DRAWER_BLOCK_2, DRAWER_CAR, DRAWER_DUCK, DRAWER_N_OBJ };
enum { DRAWER_TABLE, DRAWER_INSIDE };
enum { DRAWER_SLIDE };
extern const fw_setting setting_drawer;

#endif /* FW_TASK_SETTING_DRAWER_H */
