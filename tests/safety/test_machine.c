/* The mode machine: its invariants in every state, with up to two conditions at a time (test_machine_all.c: all). */
#include "machine_walk.h"

static void every_reachable_state_keeps_the_invariants(void) {
    const char *at_once = getenv("FW_SAFETY_AT_ONCE"); /* mutants are found with one */
    walk_machine(at_once != NULL ? atoi(at_once) : 2);
}

static void faults_of_a_class_are_alike(void) {
    for (int i = 0; i < FW_SAFETY_N_FAULT; i++) {
        uint32_t bit = 1u << i;
        int alike = 0;
        for (int c = 0; c < N_CLASS; c++) {
            bool same_where = true;
            for (int mode = 0; mode < 4; mode++) {
                uint32_t in = fw_safety_counts_in((fw_safety_mode)mode);
                same_where = same_where && ((in & bit) != 0) == ((in & CLASS[c]) != 0);
            }
            fw_safety_machine a = {.latched = bit}, b = {.latched = CLASS[c]};
            alike +=
                same_where && reaction(bit) == reaction(CLASS[c]) && fw_safety_releases(&a) == fw_safety_releases(&b);
        }
        CHECK_INT(alike, 1);
    }
}

static void every_fault_says_what_it_is(void) {
    for (int i = 0; i < FW_SAFETY_N_FAULT; i++) {
        CHECK(strlen(fw_safety_fault_text(i)) > 10);
    }
    CHECK(!strcmp(fw_safety_fault_text(FW_SAFETY_IX_ESTOP), "emergency stop"));
    CHECK(!strcmp(fw_safety_fault_text(FW_SAFETY_NOBODY), "none"));
    CHECK(!strcmp(fw_safety_fault_text(FW_SAFETY_N_FAULT), "none"));
}

FW_TEST_MAIN(T(every_reachable_state_keeps_the_invariants), T(faults_of_a_class_are_alike),
             T(every_fault_says_what_it_is))
