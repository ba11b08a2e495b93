/* sim.h - the verbs of `flywheel sim` that have a file of their own; cmd_sim.c has the table. */
#ifndef FW_CLI_SIM_H
#define FW_CLI_SIM_H

int sim_ranges(int argc, char **argv); /* sim_ranges.c */

#endif /* FW_CLI_SIM_H */
