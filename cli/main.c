/* main.c - the program: one verb a job, each in its own cmd_<verb>.c, listed in cli.h */
#include "cli.h"

static const fw_verb verbs[] = {
#define X(name, help) {#name, help, cmd_##name},
    FW_VERBS(X)
#undef X
};

int main(int argc, char **argv) {
    return cli_dispatch("flywheel", "one general policy for any robot, and the loop that makes it better", verbs,
                        sizeof(verbs) / sizeof(*verbs), argc, argv);
}
