/* setting_bus.h - a counter after a meal: a sink at the left, a bin at the right, dishes and rubbish between them. */
#ifndef FW_TASK_SETTING_BUS_H
#define FW_TASK_SETTING_BUS_H

#include "sim/sim.h"

/* Dishes first: in this order they are cleared. */
enum {
    BUS_PLATE,
    BUS_BOWL,
    BUS_MUG,
    BUS_FORK,
    BUS_SPOON,
    BUS_N_DISH,
    BUS_PAPER = BUS_N_DISH,
    BUS_CAN,
    BUS_CARTON,
    BUS_PEEL,
    BUS_N_OBJ
};
enum { BUS_SINK, BUS_BIN };
extern const fw_setting setting_bus;

#endif /* FW_TASK_SETTING_BUS_H */
