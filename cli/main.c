/* main.c - the program: one verb a job, each in its own cmd_<verb>.c, listed in cli.h */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const fw_verb verbs[] = {
#define X(name, help) {#name, help, cmd_##name},
    FW_VERBS(X)
#undef X
};

static void usage(FILE *f) {
    fprintf(f, "flywheel VERB [ARGUMENTS]: one general policy for any robot, and the loop that makes it better\n\n");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        fprintf(f, "  %-10s %s\n", verbs[i].name, verbs[i].help);
    }
    fprintf(f, "\n  flywheel VERB --help shows an example first. Exit codes: 0 done, 1 failed, 2 usage.\n");
}

int main(int argc, char **argv) {
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "flywheel: no verb '%s'; flywheel --help lists them\n", argv[1]);
    return 2;
}
