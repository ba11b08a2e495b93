/* ctest: timeout=600 label=slow */
/* The mode machine: its invariants in every state that can be reached, with every set of conditions. */
#include "machine_walk.h"

static void every_reachable_state_keeps_the_invariants_whatever_comes_at_once(void) {
    walk_machine(N_CLASS);
}

FW_TEST_MAIN(T(every_reachable_state_keeps_the_invariants_whatever_comes_at_once))
