#include <stdio.h>

#include "cli.h"

int cmd_version(int argc, char **argv) {
    (void)argc, (void)argv;
    printf("flywheel 0.1.0\n");
    return 0;
}
