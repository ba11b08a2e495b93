/*
 * data.h - the verbs of `flywheel data`, one file each.
 *
 * A new one: a line in FW_DATA_VERBS and cli/data_<verb>.c with `int data_<verb>(int argc, char **argv)`, which parses its
 * arguments by base/args.h and returns the exit code. What several verbs say the same way is declared below.
 */
#ifndef FW_CLI_DATA_H
#define FW_CLI_DATA_H

#include <stdbool.h>

#include "cli.h"
#include "data/dataset.h"

/* X(name, one line of help), in the order of the help; one a line, so that additions do not collide */
/* clang-format off */
#define FW_DATA_VERBS(X)                                                   \
  X(info,    "what a dataset holds")                                       \
  X(check,   "what is wrong with it")                                      \
  X(repair,  "put right what can be")                                      \
  X(stats,   "exact statistics and histograms")                            \
  X(convert, "v2.1 to v3.0 and back")                                      \
  X(merge,   "several datasets into one")                                  \
  X(split,   "one dataset in parts")                                       \
  X(filter,  "the episodes that an expression chooses")                    \
  X(replay,  "simulated episodes played again: the same bits?")            \
  X(render,  "simulated episodes drawn again: other cameras, sizes, looks")\
  X(view,    "a page to look at: pictures, curves, findings")              \
  X(delete,  "forget a home, and prove it")
/* clang-format on */

#define X(name, help) int data_##name(int argc, char **argv);
FW_DATA_VERBS(X)
#undef X

/* --out is there: 0. Otherwise a usage error on stderr: 2. verb: "data merge". */
int data_need_out(const char *verb, const char *out);
/* Open the dataset that was just written and say what it holds: "OUT: 3 episodes, 30 frames", or as JSON {"out", "episodes",
 * "frames"} with the keys of `more` (consumed; may be NULL). Returns the exit code. */
int data_say_written(const char *out, bool json, json_t *more);
/* Findings as a JSON array of {kind, file, episode, frame, repairable, text}; episode and frame null where they do not apply. */
json_t *data_findings_json(const fw_findings *f);
/* The same for people, a line each, and their number. */
void data_print_findings(const char *dir, const fw_findings *f);

#endif /* FW_CLI_DATA_H */
