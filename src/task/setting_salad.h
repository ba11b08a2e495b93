/* setting_salad.h - a salad bowl at one end of the table, four to six of nine ingredients beside it. */
#ifndef FW_TASK_SETTING_SALAD_H
#define FW_TASK_SETTING_SALAD_H

#include "sim/sim.h"

enum {
    SALAD_CUCUMBER, /* the green ones */
    SALAD_LETTUCE,
    SALAD_N_GREEN,
    SALAD_TOMATO = SALAD_N_GREEN,
    SALAD_PEPPER,
    SALAD_CARROT,
    SALAD_ONION,
    SALAD_EGG,
    SALAD_MUSHROOM,
    SALAD_CHEESE,
    SALAD_N_FOOD,
    SALAD_BOWL = SALAD_N_FOOD,
    SALAD_N_OBJ
};
enum { SALAD_TABLE, SALAD_INSIDE };
extern const fw_setting setting_salad;

#endif /* FW_TASK_SETTING_SALAD_H */
