/* Suites from anywhere: refused with words. The robot that they can name here has no model, so that a good suite ends there. */
#include <stdint.h>

#include "scratch.h"
#include "task/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char bare[] =
    "{\"name\": \"bare\", \"rate_hz\": 10, \"cameras\": [], \"state\": [{\"name\": \"x\", \"meaning\": \"other\", "
    "\"min\": 0, "
    "\"max\": 1}], \"action\": [{\"name\": \"x\", \"meaning\": \"other\", \"min\": 0, \"max\": 1}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const fw_env_opts opts = {.render = false};
    static int ready;
    fw_env *env;
    fw_err err;
    if (!ready) {
        setenv("FLYWHEEL_HOME", scratch(), 1);
        scratch_put("embodiments/bare.json", bare, strlen(bare));
        ready = 1;
    }
    scratch_put("suites/fuzz.json", data, size);
    fw_status st = fw_env_open("fuzz", &opts, &env, &err);
    scratch_refused(st, &err);
    if (st == FW_OK) {
        abort();
    }
    return 0;
}
