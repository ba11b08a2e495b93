/* ctest: timeout=120 */
/* The held-out domain that other physics plays: chosen by its ranges, another program, other numbers. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "fw_test.h"
#include "task/task.h"

/* stdout of `command` in text; its exit code. */
static int run(const char *command, char *text, size_t cap) {
    FILE *p = popen(command, "r");
    CHECK(p != NULL);
    size_t n = fread(text, 1, cap - 1, p);
    text[n] = 0;
    int st = pclose(p);
    CHECK(WIFEXITED(st));
    return WEXITSTATUS(st);
}

static void the_other_program_has_the_other_physics(void) {
    char text[500];
    CHECK_INT(run(FW_BIN " version --json", text, sizeof text), 0);
    CHECK(strstr(text, "mujoco 4.0.1") != NULL);
    CHECK_INT(run(FW_BIN "-mujoco-3.17.0 version --json", text, sizeof text), 0);
    CHECK(strstr(text, "mujoco 3.17.0") != NULL);
}

static void a_domain_of_other_physics_is_played_by_it(void) {
    char text[2000];
    const char *eval =
        FW_BIN " eval --expert --suite kitchen3 --task banana_on_plate --episodes 1 --seed 500000 --workers 1 "
               "--json --domain held_engine 2>/dev/null";
    CHECK_INT(run(eval, text, sizeof text), 0);
    CHECK(strstr(text, "\"n\":1") != NULL && strstr(text, "\"rate\":1.0") != NULL);
}

static void this_physics_refuses_it(void) {
    fw_err err = {FW_OK, ""};
    fw_env *env = NULL;
    fw_env_opts o = {.render = false, .randomise = "held_engine"};
    CHECK_INT(fw_env_open("kitchen3", &o, &env, &err), FW_UNSUPPORTED);
    CHECK(strstr(err.msg, "mujoco 3.17.0") != NULL && strstr(err.msg, fw_sim_version()) != NULL);
}

static void an_unknown_domain_is_refused_by_name(void) {
    char text[2000];
    CHECK_INT(run(FW_BIN " eval --expert --suite kitchen3 --domain held_enigne 2>&1", text, sizeof text), 1);
    CHECK(strstr(text, "no ranges 'held_enigne'") != NULL && strstr(text, "held_engine") != NULL);
}

FW_TEST_MAIN(T(the_other_program_has_the_other_physics), T(a_domain_of_other_physics_is_played_by_it),
             T(this_physics_refuses_it), T(an_unknown_domain_is_refused_by_name))
