/* setting_coffee.h - a coffee machine at the right, a mug with a big handle, a coaster, a carton of milk that is not asked for. */
#ifndef FW_TASK_SETTING_COFFEE_H
#define FW_TASK_SETTING_COFFEE_H

#include "sim/sim.h"

enum { COFFEE_MUG, COFFEE_MILK, COFFEE_N_OBJ };
enum { COFFEE_TABLE, COFFEE_TRAY, COFFEE_COASTER };
enum { COFFEE_BUTTON };
enum { COFFEE_FILL, COFFEE_BREWING, COFFEE_SINCE }; /* aux: 0..1 full; 1 while it runs; time of the last tick, s */
extern const fw_setting setting_coffee;

/* The mug stands where the spout fills it. */
bool coffee_under_spout(const fw_scene *s);

#endif /* FW_TASK_SETTING_COFFEE_H */
