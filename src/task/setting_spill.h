/* setting_spill.h - a spill on the table, a sponge, a bottle that may be to blame. aux[i] is 1 when stain i is wiped. */
#ifndef FW_TASK_SETTING_SPILL_H
#define FW_TASK_SETTING_SPILL_H

#include "sim/sim.h"

enum { SPILL_SPONGE, SPILL_BOTTLE, SPILL_N_OBJ };
enum { SPILL_TABLE, SPILL_STAINS };
enum { SPILL_ROWS = 4, SPILL_COLS = 6, SPILL_N = SPILL_ROWS * SPILL_COLS };
extern const fw_setting setting_spill;

/* Where stain i lies, m, from the spill's region. */
void spill_stain(const fw_region_view *spill, int i, double out[3]);

#endif /* FW_TASK_SETTING_SPILL_H */
