/*
 * args.h - the command line of a verb: flags anywhere, paths free, `--flag value` and `--flag=value`.
 *
 *     int64_t episodes = 100;
 *     bool json = false;
 *     const char *out = NULL;
 *     const fw_arg args[] = {
 *         FW_ARG_INT("episodes", &episodes, 1, 1000000, "N", "how many to make"),
 *         FW_ARG_STR("out", &out, "DIR", "where to write (required)"),
 *         FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
 *     };
 *     const fw_usage usage = {.verb = "sim make", .example = "flywheel sim make kitchen3 --out out/k3 --episodes 200",
 *                             .what = "Make demonstrations of a suite.", .paths = "SUITE", .min_paths = 1, .max_paths = 1};
 *     int n_paths, code = fw_args_parse(&usage, args, 3, argc, argv, &n_paths);
 *     if (code != FW_ARGS_GO) {
 *         return code; // 0 after --help, 2 after a usage error; the text has been printed
 *     }
 *     // argv[1] .. argv[n_paths] are the paths; --help shows the values before parsing as defaults
 *
 * A list flag takes every argument up to the next flag (--data A B C), and may come again. `--` ends the flags. A flag
 * given twice: the last one counts. Text in argv is borrowed, never copied.
 */
#ifndef FW_BASE_ARGS_H
#define FW_BASE_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FW_ARGS_GO      (-1)
#define FW_ARG_LIST_MAX 64

typedef enum fw_arg_kind {
    FW_ARG_KIND_BOOL,
    FW_ARG_KIND_INT,
    FW_ARG_KIND_F64,
    FW_ARG_KIND_STR,
    FW_ARG_KIND_LIST
} fw_arg_kind;

typedef struct fw_arg_list {
    int n;
    const char *item[FW_ARG_LIST_MAX]; /* borrowed from argv */
} fw_arg_list;

typedef struct fw_arg {
    const char *name; /* without the dashes */
    fw_arg_kind kind;
    void *out;         /* written when the flag is there; its value before that is the default */
    double min, max;   /* numbers: both ends allowed */
    const char *value; /* what the value is called in the help: "N", "DIR" */
    const char *help;
} fw_arg;

/* The pointer's type is checked at compile time. */
#define FW_ARG_OUT(type, p) ((void *)(0 ? (type *)NULL : (p)))
#define FW_ARG_BOOL(name, p, help)                                                                                     \
    { name, FW_ARG_KIND_BOOL, FW_ARG_OUT(bool, p), 0, 0, "", help }
#define FW_ARG_STR(name, p, v, help)                                                                                   \
    { name, FW_ARG_KIND_STR, FW_ARG_OUT(const char *, p), 0, 0, v, help }
#define FW_ARG_LIST(name, p, v, help)                                                                                  \
    { name, FW_ARG_KIND_LIST, FW_ARG_OUT(fw_arg_list, p), 0, 0, v, help }
#define FW_ARG_INT(name, p, min, max, v, help)                                                                         \
    { name, FW_ARG_KIND_INT, FW_ARG_OUT(int64_t, p), min, max, v, help }
#define FW_ARG_F64(name, p, min, max, v, help)                                                                         \
    { name, FW_ARG_KIND_F64, FW_ARG_OUT(double, p), min, max, v, help }

typedef struct fw_usage {
    const char *verb;    /* "sim make" */
    const char *example; /* one or more command lines, separated by '\n' */
    const char *what;    /* a sentence or two */
    const char *paths;   /* what the paths are: "DIR"; NULL when there are none */
    int min_paths, max_paths;
} fw_usage;

/* Parse argv[1..argc-1]. FW_ARGS_GO: go on; 0: --help was printed on stdout; 2: a usage error was printed on stderr, naming
 * the argument, what was wanted, and for an unknown flag the nearest known one. Reorders argv: paths first. */
int fw_args_parse(const fw_usage *u, const fw_arg *args, size_t n_args, int argc, char **argv, int *n_paths);

/* Index of the name nearest to `word` by edit distance; -1 when none is near enough to be meant. */
int fw_nearest(const char *word, const char *const *names, size_t n);

#endif /* FW_BASE_ARGS_H */
