/* what a page sends: parsed or refused in words; what is let through is in range. The same bytes as names of hosts and origins */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(bool ok) {
    if (!ok) {
        abort();
    }
}

static void check_text(const char *s) {
    want(memchr(s, 0, FW_CONSOLE_TEXT_MAX) != NULL);
    for (; *s != 0; s++) {
        want((unsigned char)*s >= ' ' && *s != 127);
    }
}

static void check_command(const fw_console_command *c) {
    want(c->verb < FW_CONSOLE_VERBS && c->mark <= FW_CONSOLE_WRONG && c->n >= 0 && c->n <= FW_DRIVER_AXIS_MAX);
    want((c->n > 0) == (c->verb == FW_CONSOLE_JOINTS));
    want(c->verb != FW_CONSOLE_SAY || c->text[0] != 0);
    check_text(c->text);
    for (int i = 0; i < 4; i++) {
        want(c->step[i] >= -1 && c->step[i] <= 1);
    }
    want(c->gripper >= 0 && c->gripper <= 1);
    for (int i = 0; i < c->n; i++) {
        want(isfinite(c->position[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_console_command c;
    fw_err err = {0};
    int64_t id;
    char host[300], origin[400], why[200] = "";
    const fw_status st = fw_console_parse(data, size, &c, &id, &err);
    want(id >= -1);
    if (st == FW_OK) {
        check_command(&c);
    } else {
        want(st == FW_FORMAT && err.msg[0] != 0);
    }
    snprintf(host, sizeof host, "%.*s", (int)(size < 299 ? size : 299), (const char *)data);
    snprintf(origin, sizeof origin, "http://%s", host);
    /* whoever is at home under a name may talk to us under it; nobody else may */
    want(fw_console_origin_fits(host, "", false, false, why, sizeof why) ==
         fw_console_origin_fits(host, origin, false, false, why, sizeof why));
    want(!fw_console_origin_fits(host, "http://x.example", false, false, why, sizeof why));
    want(!fw_console_origin_fits(host, origin, true, true, why, sizeof why) && why[0] != 0);
    return 0;
}
