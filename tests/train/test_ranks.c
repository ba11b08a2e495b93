/* ctest: timeout=300
 * A run shared by the processes that mpirun starts ends in the same bytes whatever their number, for every kind of policy. */
#include <sched.h>

#include "ranks_test.h"
#include "train/gradsum.h"

/* ---- tests ---- */

/* ((0+1)+(2+3)) + ((4+5)+6), and whoever has a part of it adds up the same blocks. */
static void blocks_are_those_of_one_tree(void) {
    fw_gradsum_block whole[FW_GRADSUM_BLOCKS], part[FW_GRADSUM_BLOCKS];
    int depth;
    CHECK_INT(fw_gradsum_blocks(0, 7, whole, &depth), 3);
    CHECK(whole[0].runs == 4 && whole[1].first == 4 && whole[1].runs == 2 && whole[2].first == 6);
    CHECK_INT(depth, 3);
    CHECK_INT(fw_gradsum_blocks(6, 6, part, &depth), 2);
    CHECK(part[0].first == 6 && part[0].runs == 2 && part[1].first == 8 && part[1].runs == 4);
    for (int64_t n = 1; n <= 48; n++) { /* what ranks have side by side covers the runs, in blocks of the tree */
        const int64_t share = n % 3 == 0 ? n / 3 : n % 2 == 0 ? n / 2 : n;
        int64_t at = 0;
        for (int64_t first = 0; first < n; first += share) {
            const int k = fw_gradsum_blocks(first, share, part, &depth);
            CHECK(depth <= 12);
            for (int i = 0; i < k; i++) {
                CHECK(part[i].first == at && at % part[i].runs == 0 && (part[i].runs & (part[i].runs - 1)) == 0);
                at += part[i].runs;
            }
        }
        CHECK_INT(at, n);
    }
}

static void one_two_and_four_ranks_end_in_the_same_bytes(void) {
    begin();
    RUN_OK(2, "two", NULL); /* the caches are made by one of them */
    CHECK_INT(times_said("training frames"), 1);
    RUN_OK(0, "alone", NULL);
    RUN_OK(4, "four", NULL);
    same_end("two", "alone");
    same_end("four", "alone");
    CHECK_INT(steps_of("alone"), 40);
}

/* Two ranks that may run on all CPUs have half of them each. */
static void ranks_share_the_cpus(void) {
    cpu_set_t set;
    char line[128];
    begin();
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    RUN_OK(2, "shared", "--workers", "0", "--steps", "1", NULL);
    snprintf(line, sizeof line, "2 ranks, 2 of the 4 runs of a step in each; rank 0 has threads: %d",
             CPU_COUNT(&set) < 2 ? 1 : CPU_COUNT(&set) / 2);
    check_said(line);
}

/* 12 runs: two ranks have six, which are two blocks; three have four, which are one. */
static void shares_that_are_no_subtree_end_in_the_same_bytes(void) {
    begin();
    RUN_OK(0, "alone12", "--batch", "24", "--micro", "2", "--steps", "10", NULL);
    RUN_OK(2, "two12", "--batch", "24", "--micro", "2", "--steps", "10", NULL);
    RUN_OK(3, "three12", "--batch", "24", "--micro", "2", "--steps", "10", NULL);
    same_end("two12", "alone12");
    same_end("three12", "alone12");
}

/* Of policy, a published one. */
static void tune(int ranks, const char *policy, const char *out, ...) {
    va_list more;
    va_start(more, out);
    const pid_t pid = start_run(ranks, policy, out, more);
    va_end(more);
    if (end_of(pid) != 0) {
        FW_FAILED("%s by %d ranks: %s", policy, ranks, said());
    }
}

/* Rows past an episode's end do not count: their runs weigh less, and every rank must know by how much. */
static void published_policies_end_in_the_same_bytes(void) {
    begin();
    toy_dataset(in_tmp("toy"), 72, 48);
    tune(0, "smolvla", "s1", "--steps", "6", "--batch", "8", "--micro", "2", NULL);
    tune(2, "smolvla", "s2", "--steps", "6", "--batch", "8", "--micro", "2", NULL);
    same_end("s2", "s1");
    tune(0, "pi0", "l1", "--lora", "4", "--steps", "6", "--batch", "4", "--micro", "1", NULL);
    tune(4, "pi0", "l4", "--lora", "4", "--steps", "6", "--batch", "4", "--micro", "1", NULL);
    same_end("l4", "l1");
    same_file("l4", "l1", "adapter/adapter_model.safetensors");
    end_tmp();
}

FW_TEST_MAIN(T(blocks_are_those_of_one_tree), T(one_two_and_four_ranks_end_in_the_same_bytes), T(ranks_share_the_cpus),
             T(shares_that_are_no_subtree_end_in_the_same_bytes), T(published_policies_end_in_the_same_bytes))
