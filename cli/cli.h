/*
 * cli.h - the frame of the program: a table of verbs.
 *
 * A new verb: one line in FW_VERBS and cli/cmd_<verb>.c with `int cmd_<verb>(int argc, char **argv)`; argv[0] is the verb.
 * Arguments go through base/args.h, so that --help begins with an example and an unknown flag is answered the same way
 * everywhere. Conventions of every verb:
 *   stdout   results only; with --json exactly one object (cli_json), and nothing else
 *   stderr   progress (fw_progress), logs (fw_info, fw_warn), the one line of a failure (cli_fail)
 *   exit     0 done, 1 failed, 2 usage error
 *   flags    --seed, --workers, --out, --json, --resume mean the same everywhere
 * A verb with parts ("sim make", "data info") keeps its own table and calls cli_dispatch.
 */
#ifndef FW_CLI_H
#define FW_CLI_H

#include <jansson.h>
#include <stddef.h>

#include "fw/status.h"

/* X(name, one line of help) */
/* clang-format off */
#define FW_VERBS(X)                                                        \
  X(bench,   "the speed table of this machine")                            \
  X(calibrate, "int8 made for a policy")                                  \
  X(data,    "what a dataset holds, what is wrong with it")                \
  X(sim,     "make demonstrations; show a scene")                          \
  X(compare, "two policies on the same scenes")                             \
  X(demo,    "the shipped policy obeys sentences in a simulated kitchen") \
  X(driver,  "which robots this build drives; is a driver what it must be") \
  X(eval,    "judge a policy, in simulation or on recorded episodes")         \
  X(lora,    "adapters of published policies: merge, unmerge")             \
  X(run,     "a robot at work: policy, page, record, stop button")              \
  X(serve,   "policies on a port, for clients of openpi and vla-eval")     \
  X(so101,   "an SO-100/101 arm on the table: ids, scan, calibrate, read")  \
  X(towers,  "convert the pretrained towers")                              \
  X(train,   "a policy from demonstrations")                               \
  X(version, "what this build is")
/* clang-format on */

typedef struct fw_verb {
    const char *name, *help;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit code */
} fw_verb;

#define X(name, help) int cmd_##name(int argc, char **argv);
FW_VERBS(X)
#undef X

/* Run the verb named by argv[1] with the rest, or print the table (--help), or name the nearest verb and return 2.
 * prog: "flywheel" or "flywheel sim"; example: what its --help begins with; what: a line about it. */
int cli_dispatch(const char *prog, const char *example, const char *what, const fw_verb *verbs, size_t n_verbs,
                 int argc, char **argv);
/* Print `result` (consumed; NULL: out of memory) as one line on stdout. Returns the exit code, 1 when stdout is gone. */
int cli_json(json_t *result);
/* The one line of a failure on stderr. Returns 1. */
int cli_fail(const fw_err *err);

#endif /* FW_CLI_H */
