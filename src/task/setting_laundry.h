/* setting_laundry.h - the rooms of the folding tasks on cloth. */
#ifndef FW_TASK_SETTING_LAUNDRY_H
#define FW_TASK_SETTING_LAUNDRY_H

#include "sim/sim.h"

extern const fw_setting setting_towel, setting_shirt;

#endif /* FW_TASK_SETTING_LAUNDRY_H */
