/* test_processor_nomem.c - an allocation fails, the n-th for every n: reading the pipelines says so and leaks nothing */
#include "nomem.h"

#include "model/processor.h"

static fw_status once(const void *ctx, fw_err *err) {
    fw_lerobot_config c;
    fw_processor p;
    FW_TRY(fw_lerobot_config_load(ctx, &c, err));
    FW_TRY(fw_processor_load(ctx, &c, &p, err));
    fw_processor_clear(&p);
    return FW_OK;
}

static void every_allocation_may_fail(void) {
    nomem_every_allocation(once, FW_SOURCE_DIR "/tests/golden/processors/pi05_relative", 7, 200);
}

FW_TEST_MAIN(T(every_allocation_may_fail))
