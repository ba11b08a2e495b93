/* main.c - the program: one verb a job, each in its own cmd_<verb>.c, listed in cli.h */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli.h"
#include "task/sim_driver.h"

static const fw_verb verbs[] = {
#define X(name, help) {#name, help, cmd_##name},
    FW_VERBS(X)
#undef X
};

int main(int argc, char **argv) {
    fw_err err = {FW_OK, ""};
    if (fw_driver_add(fw_sim_driver_api(), &err) !=
        FW_OK) { /* src/robot, which knows the others, may not know src/task */
        return cli_fail(&err);
    }
    int code = cli_dispatch("flywheel", "flywheel demo \"put the mug in the sink\"",
                            "one general policy for any robot, and the loop that makes it better", verbs,
                            sizeof(verbs) / sizeof(*verbs), argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) { /* a result that nobody got is no result */
        fw_error("stdout: cannot write: %s", strerror(errno));
        return code != 0 ? code : 1;
    }
    return code;
}
