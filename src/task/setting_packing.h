/* setting_packing.h - the rooms of the carton tasks. */
#ifndef FW_TASK_SETTING_PACKING_H
#define FW_TASK_SETTING_PACKING_H

#include "sim/sim.h"

extern const fw_setting setting_carton; /* creased, walls not yet up, no flaps */
extern const fw_setting setting_flaps;  /* walls up, flaps open */

#endif /* FW_TASK_SETTING_PACKING_H */
