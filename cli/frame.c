/* frame.c - what all verbs share: dispatch, the JSON result, the line of a failure */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/log.h"
#include "cli.h"

#define VERBS_MAX 64

static void print_verbs(FILE *f, const char *prog, const char *example, const char *what, const fw_verb *verbs,
                        size_t n) {
    fprintf(f, "example:\n  %s\n\n%s VERB [ARGUMENTS]: %s\n\n", example, prog, what);
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "  %-10s %s\n", verbs[i].name, verbs[i].help);
    }
    fprintf(f, "\n%s VERB --help begins with an example. Exit codes: 0 done, 1 failed, 2 usage.\n", prog);
}

int cli_dispatch(const char *prog, const char *example, const char *what, const fw_verb *verbs, size_t n_verbs,
                 int argc, char **argv) {
    const char *names[VERBS_MAX];
    if (argc < 2) {
        print_verbs(stderr, prog, example, what, verbs, n_verbs);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_verbs(stdout, prog, example, what, verbs, n_verbs);
        return 0;
    }
    for (size_t i = 0; i < n_verbs; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
        names[i % VERBS_MAX] = verbs[i].name;
    }
    int near = fw_nearest(argv[1], names, n_verbs < VERBS_MAX ? n_verbs : VERBS_MAX);
    fprintf(stderr, "%s: unknown verb '%s'", prog, argv[1]);
    if (near >= 0) {
        fprintf(stderr, " (did you mean '%s'?)", names[near]);
    }
    fprintf(stderr, "; %s --help lists them\n", prog);
    return 2;
}

int cli_json(json_t *result) {
    char *text = result == NULL ? NULL : json_dumps(result, JSON_COMPACT);
    int ok = text != NULL && puts(text) >= 0 && fflush(stdout) == 0;
    if (!ok) {
        fw_error("cannot write the JSON result to stdout");
    }
    free(text);
    json_decref(result);
    return ok ? 0 : 1;
}

int cli_fail(const fw_err *err) {
    fw_error("%s", err->msg);
    return 1;
}
