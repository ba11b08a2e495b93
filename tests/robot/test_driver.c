/* drivers by name and by path; the conformance test passes good ones and finds each planted fault */
#include "alloc_guard.h"

#include <dlfcn.h>
#include <link.h>

#include "data/video.h"
#include "robot/arm.h"
#include "robot/conform.h"

static void shown(const fw_conform_check *c, void *ctx) {
    (void)ctx;
    if (c->result != FW_CONFORM_OK) {
        printf("  %s: %s: %s\n", c->result == FW_CONFORM_FAILED ? "FAILED" : "skipped", c->claim, c->why);
    }
}

static void the_template_conforms(void) {
    fw_conform r;
    fw_driver_conform(FW_DRIVER_TEMPLATE, "{\"start\": [0.1, -0.2]}", true, shown, NULL, &r);
    CHECK_INT(r.failed, 0);
    CHECK_INT(r.n, 15);
    int skipped = 0;
    for (int i = 0; i < r.n; i++) {
        skipped += r.check[i].result == FW_CONFORM_SKIPPED;
    }
    CHECK_INT(skipped, 1); /* cameras: it has none */
}

static void the_so101_conforms(void) {
    arm a;
    fw_conform r;
    arm_open(&a, "");
    fw_driver_conform("so101", a.config, true, shown, NULL, &r);
    CHECK_INT(r.failed, 0);
    CHECK_INT(r.n, 15);
    arm_close(&a);
}

static void the_so101_with_a_camera_conforms(void) {
    arm a;
    fw_conform r;
    fw_video_writer *v;
    uint8_t rgb[3 * 32 * 16] = {0};
    char more[256];
    OK(fw_video_writer_open("robot_driver_test.mp4", 16, 32, 30, NULL, &v, &ok_err));
    for (int i = 0; i < 5; i++) {
        OK(fw_video_writer_add(v, rgb, i == 0, &ok_err));
    }
    OK(fw_video_writer_close(v, &ok_err));
    snprintf(more, sizeof more,
             ", \"cameras\": [{\"name\": \"front\", \"source\": \"%s\", \"width\": 32, \"height\": 16}]",
             "robot_driver_test.mp4");
    arm_open(&a, more);
    fw_driver_conform("so101", a.config, false, shown, NULL, &r);
    CHECK_INT(r.failed, 0);
    CHECK_INT(r.check[12].result, FW_CONFORM_OK);
    arm_close(&a);
    CHECK_INT(remove("robot_driver_test.mp4"), 0);
}

/* The claim that must fail, by its beginning. */
static void every_planted_fault_is_found(void) {
    static const struct {
        const char *fault, *claim;
    } table[] = {{"takes_any_config", "bad configs"},
                 {"says_nothing", "bad configs"},
                 {"no_range", "opens and closes"},
                 {"same_names", "describes itself"},
                 {"stands_still", "every axis"},
                 {"future", "every axis"},
                 {"not_a_number", "every axis"},
                 {"half_blind", "every axis"},
                 {"slow", "read keeps"},
                 {"moves_at_start", "torque is off after start"},
                 {"stays_on", "torque off is taken"},
                 {"jumps", "holds still"},
                 {"lame", "goes where"},
                 {"starts_once", "stops, and starts"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char config[64];
        fw_conform r;
        bool found = false;
        snprintf(config, sizeof config, "{\"fault\": \"%s\"}", table[i].fault);
        fw_driver *warm; /* the fault must be known when the bad configs come */
        if (fw_driver_open(FW_DRIVER_BAD, config, &warm, NULL) == FW_OK) {
            fw_driver_conform(FW_DRIVER_BAD, config, true, NULL, NULL, &r);
            fw_driver_close(&warm);
        } else {
            fw_driver_conform(FW_DRIVER_BAD, config, true, NULL, NULL, &r);
        }
        for (int k = 0; k < r.n; k++) {
            found |= r.check[k].result == FW_CONFORM_FAILED &&
                     strncmp(r.check[k].claim, table[i].claim, strlen(table[i].claim)) == 0;
        }
        if (!found) {
            FW_FAILED("'%s' was not found by '%s...'; %d other checks failed", table[i].fault, table[i].claim,
                      r.failed);
        }
    }
}

static void what_is_no_driver_is_refused(void) {
    fw_driver *d = NULL;
    FAILS(fw_driver_open("./none.so", "{}", &d, &fails_err), FW_IO, "none.so");
    void *libm = dlopen("libm.so.6", RTLD_LAZY);
    struct link_map *map;
    CHECK(libm != NULL && dlinfo(libm, RTLD_DI_LINKMAP, &map) == 0);
    FAILS(fw_driver_open(map->l_name, "{}", &d, &fails_err), FW_FORMAT, map->l_name, "exports no fw_driver_api_of");
    dlclose(libm);
    setenv("FW_BAD_DRIVER", "older", 1);
    FAILS(fw_driver_open(FW_DRIVER_BAD, "{}", &d, &fails_err), FW_FORMAT, "wanted ABI 1", "found 0");
    setenv("FW_BAD_DRIVER", "empty", 1);
    FAILS(fw_driver_open(FW_DRIVER_BAD, "{}", &d, &fails_err), FW_FORMAT, "all functions");
    setenv("FW_BAD_DRIVER", "none", 1);
    FAILS(fw_driver_open(FW_DRIVER_BAD, "{}", &d, &fails_err), FW_FORMAT, "does not know ABI 1");
    unsetenv("FW_BAD_DRIVER");
    CHECK(d == NULL);
}

static void a_lie_is_never_valid(void) {
    fw_driver *d;
    fw_driver_state s;
    OK(fw_driver_open(FW_DRIVER_BAD, "{\"fault\": \"not_a_number\"}", &d, &ok_err));
    OK(fw_driver_start(d, &ok_err));
    FAILS(fw_driver_read(d, &s, &fails_err), FW_FORMAT, "axis right", "no number");
    CHECK(s.axis[0].valid && !s.axis[1].valid && s.axis[1].position == 0.0F);
    fw_driver_close(&d);
    OK(fw_driver_open(FW_DRIVER_BAD, "{\"fault\": \"stands_still\"}", &d, &ok_err));
    OK(fw_driver_start(d, &ok_err));
    OK(fw_driver_read(d, &s, &ok_err));
    FAILS(fw_driver_read(d, &s, &fails_err), FW_FORMAT, "axis right", "does not rise");
    CHECK(s.axis[0].valid && !s.axis[1].valid);
    fw_driver_close(&d);
    OK(fw_driver_open(FW_DRIVER_BAD, "{\"fault\": \"future\"}", &d, &ok_err));
    OK(fw_driver_start(d, &ok_err));
    FAILS(fw_driver_read(d, &s, &fails_err), FW_FORMAT, "axis right", "in the future");
    CHECK(!s.axis[1].valid);
    fw_driver_close(&d);
    fw_driver_close(&d);
    fw_driver_close(NULL);
}

static void the_cycle_allocates_nothing(void) {
    fw_driver *d;
    fw_driver_state s;
    fw_driver_command c = {.n_axis = 2, .torque_on = true};
    OK(fw_driver_open(FW_DRIVER_TEMPLATE, "{}", &d, &ok_err));
    OK(fw_driver_start(d, &ok_err));
    CHECK_NO_ALLOC({
        for (int i = 0; i < 100; i++) {
            CHECK_INT(fw_driver_read(d, &s, NULL), FW_OK);
            CHECK_INT(fw_driver_write(d, &c, NULL), FW_OK);
        }
    });
    fw_driver_close(&d);
}

FW_TEST_MAIN(T(the_template_conforms), T(the_so101_conforms), T(the_so101_with_a_camera_conforms),
             T(every_planted_fault_is_found), T(what_is_no_driver_is_refused), T(a_lie_is_never_valid),
             T(the_cycle_allocates_nothing))
