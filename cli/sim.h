/* sim.h - the verbs of `flywheel sim` that have a file of their own, and what verbs that simulate share; cmd_sim.c has both. */
#ifndef FW_CLI_SIM_H
#define FW_CLI_SIM_H

#include <jansson.h>

#include "train/closed.h"

/* --embodiment, --randomise, --homes (each may be NULL) to options of an environment; the texts stay borrowed. FW_INVALID is a
 * usage error. */
FW_NODISCARD fw_status sim_env_opts(const char *embodiment, const char *randomise, const char *homes, fw_env_opts *out,
                                    fw_err *err);

/* {"outcomes": {task: [0, 1, ...]}, "seeds": [...]}: who succeeded in which scene. Owned; NULL when out of memory. */
json_t *sim_outcomes(const fw_closed_opts *o, const fw_closed_result *r);

extern const fw_closed_through eval_through_control; /* eval_control.c */

int sim_make(int argc, char **argv);   /* sim_make.c */
int sim_show(int argc, char **argv);   /* sim_show.c */
int sim_ranges(int argc, char **argv); /* sim_ranges.c */

#endif /* FW_CLI_SIM_H */
