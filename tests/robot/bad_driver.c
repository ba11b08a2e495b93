/* bad_driver.c - the template with one planted fault, named by its config {"fault": "..."}: what the conformance test must find. */
#define fw_driver_api_of template_api_of
#include "../../examples/driver/template.c"
#undef fw_driver_api_of

#include <unistd.h>

static char fault[32]; /* one driver at a time */

static int is(const char *name) {
    return strcmp(fault, name) == 0;
}

static fw_status bad_open(const char *config, fw_driver_dev **out, fw_err *err) {
    int end = 0;
    if (sscanf(config, " { \"fault\" : \"%31[a-z_]\" } %n", fault, &end) == 1 && end > 0) {
        return template_open("{}", out, err);
    }
    if (is("takes_any_config")) {
        return template_open("{}", out, err);
    }
    fw_status st = template_open(config, out, err);
    if (is("says_nothing")) {
        err->msg[0] = 0;
    }
    return st;
}
static void bad_describe(const fw_driver_dev *d, fw_driver_info *out) {
    template_describe(d, out);
    if (is("same_names")) {
        strcpy(out->axis[1].name, out->axis[0].name);
    }
    if (is("no_range")) {
        out->axis[1].max = out->axis[1].min;
    }
}
static fw_status bad_start(fw_driver_dev *d, fw_err *err) {
    static int starts;
    fw_status st = template_start(d, err);
    if (is("starts_once") && ++starts == 2) {
        starts = 0;
        return fail(err, FW_IO, "still open");
    }
    if (is("moves_at_start")) {
        d->torque_on = 1;
        d->target[0] = 1;
    }
    return st;
}
static fw_status bad_read(fw_driver_dev *d, fw_driver_state *out, fw_err *err) {
    const fw_status st = template_read(d, out, err);
    if (is("slow")) {
        usleep(5000);
    }
    if (is("stands_still")) {
        out->axis[1].t_ns = 1;
    }
    if (is("future")) {
        out->axis[1].t_ns += 1000000000;
    }
    if (is("not_a_number")) {
        out->axis[1].position = NAN;
    }
    if (is("half_blind")) {
        out->axis[0].valid = false;
    }
    return st;
}
static fw_status bad_write(fw_driver_dev *d, const fw_driver_command *cmd, fw_err *err) {
    fw_driver_command c = *cmd;
    if (is("jumps") && !d->torque_on) {
        d->position[1] += 0.3;
    }
    if (is("lame")) {
        c.position[0] = (float)d->position[0];
    }
    if (is("stays_on") && !cmd->torque_on) {
        return fail(err, FW_INVALID, "not now");
    }
    return template_write(d, &c, err);
}

static const fw_driver_api bad = {FW_DRIVER_ABI, sizeof(fw_driver_api), "bad",         "fault",
                                  bad_open,      bad_describe,          bad_start,     bad_read,
                                  bad_write,     template_frame,        template_stop, template_close};
static const fw_driver_api older = {.abi = FW_DRIVER_ABI - 1, .size = 16, .name = "older"};
static const fw_driver_api empty = {.abi = FW_DRIVER_ABI, .size = sizeof(fw_driver_api), .name = "empty"};

const fw_driver_api *fw_driver_api_of(uint32_t host_abi);
const fw_driver_api *fw_driver_api_of(uint32_t host_abi) {
    const char *which = getenv("FW_BAD_DRIVER");
    (void)host_abi;
    return which == NULL ? &bad : strcmp(which, "older") == 0 ? &older : strcmp(which, "empty") == 0 ? &empty : NULL;
}
