/* setting_table.h - a bare table with a block and a tray, made to the measure of the robot before it. */
#ifndef FW_TASK_SETTING_TABLE_H
#define FW_TASK_SETTING_TABLE_H

#include "sim/sim.h"

enum { TABLE_BLOCK };                  /* objects */
enum { TABLE_SURFACE, TABLE_TRAY };    /* regions */
extern const fw_setting setting_table; /* "table" */

#endif /* FW_TASK_SETTING_TABLE_H */
