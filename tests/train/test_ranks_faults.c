/* ctest: timeout=400
 * A run shared by ranks is stopped, killed and resumed by another number of them; what goes wrong in one ends all, with a reason. */
#include <stdbool.h>

#include "ranks_test.h"

/* Every rank's process under mpirun, by its environment: the pid of one. */
static pid_t pid_of_rank(pid_t mpirun, int rank) {
    char path[64], list[4096] = "", env[1 << 16], want[64];
    snprintf(want, sizeof want, "OMPI_COMM_WORLD_RANK=%d", rank);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)mpirun, (int)mpirun);
    FILE *f = fopen(path, "r");
    CHECK(f != NULL && fgets(list, sizeof list, f) != NULL);
    fclose(f);
    for (char *at = strtok(list, " "); at != NULL; at = strtok(NULL, " ")) {
        snprintf(path, sizeof path, "/proc/%s/environ", at);
        f = fopen(path, "r");
        size_t n = f != NULL ? fread(env, 1, sizeof env - 1, f) : 0;
        env[n] = 0;
        for (const char *e = env; e < env + n; e += strlen(e) + 1) {
            if (strcmp(e, want) == 0) {
                fclose(f);
                return (pid_t)atoi(at);
            }
        }
        if (f != NULL) {
            fclose(f);
        }
    }
    FW_FAILED("no process of rank %d", rank);
}

/* mpirun, once a checkpoint is there. */
static pid_t start_and_wait(int ranks, const char *out, ...) {
    char state[700];
    int how;
    va_list more;
    va_start(more, out);
    const pid_t pid = start_run(ranks, NULL, out, more);
    va_end(more);
    snprintf(state, sizeof state, "%s/train/state.safetensors", in_tmp(out));
    for (int i = 0; !fw_path_exists(state); i++) {
        if (i > WAIT_S * 1000 || waitpid(pid, &how, WNOHANG) != 0) {
            FW_FAILED("no checkpoint: %s", said());
        }
        usleep(1000);
    }
    return pid;
}

/* A process that nobody has asked for its end yet counts as gone. */
static bool is_running(pid_t pid) {
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (f != NULL) {
        CHECK(fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
        fclose(f);
    }
    return state != 'Z' && state != 'X';
}

static void killed_and_resumed_by_others_it_ends_in_the_same_bytes(void) {
    begin();
    RUN_OK(0, "straight", "--steps", "300", NULL);
    const pid_t pid = start_and_wait(2, "killed", "--steps", "300", NULL);
    const pid_t victim = pid_of_rank(pid, 1), other = pid_of_rank(pid, 0);
    CHECK(kill(victim, SIGKILL) == 0);
    CHECK(end_of(pid) != 0);
    check_said("signal 9");
    for (int i = 0; is_running(other); i++) { /* mpirun ends it */
        CHECK(i < 1000);
        usleep(10000);
    }
    const int64_t at = steps_of("killed");
    CHECK(at >= 10 && at < 300 && !fw_path_exists(in_tmp("killed/model.safetensors")));
    RUN_OK(4, "killed", "--steps", "300", "--resume", NULL);
    check_said("resumed at step");
    same_end("killed", "straight");
}

/* stop: to whom, mpirun itself when rank < 0 */
static void stop_and_resume(const char *out, int sig, int rank, int ranks) {
    char line[64];
    const pid_t pid = start_and_wait(2, out, "--steps", "300", NULL);
    CHECK(kill(rank < 0 ? pid : pid_of_rank(pid, rank), sig) == 0);
    CHECK(end_of(pid) == 1);
    snprintf(line, sizeof line, "stopped after step %lld;", (long long)steps_of(out));
    check_said(line);
    CHECK_INT(times_said("stopped after step"), 1);
    CHECK(steps_of(out) < 300);
    RUN_OK(ranks, out, "--steps", "300", "--resume", NULL);
    same_end(out, "straight");
}

static void a_signal_to_one_stops_all_at_one_step(void) {
    begin();
    stop_and_resume("term", SIGTERM, 1, 0);
    stop_and_resume("usr1", SIGUSR1, -1, 2); /* mpirun passes it on */
}

/* Without "micro" a step is one run in each rank. Who goes on keeps the runs as they are. */
static void runs_stay_as_they_began(void) {
    begin();
    tiny_config(in_tmp("tiny.json"), "");
    RUN_OK(2, "halves", "--steps", "10", NULL);
    RUN_OK(0, "halves", "--steps", "20", "--resume", NULL);
    CHECK_INT(steps_of("halves"), 20);
    RUN_OK(0, "whole", "--steps", "10", NULL);
    CHECK_INT(run(2, "whole", "--steps", "20", "--resume", NULL), 1);
    check_said("a batch of 16 in runs of 16 rows has 1 of them, which 2 ranks cannot share: wanted a multiple of 2");
    CHECK_INT(steps_of("whole"), 10);
    tiny_config(in_tmp("tiny.json"), ", \"micro\": 4");
}

static void what_cannot_be_shared_is_refused(void) {
    begin();
    CHECK_INT(run(3, "no", NULL), 1);
    check_said("a batch of 16 in runs of 4 rows has 4 of them, which 3 ranks cannot share: wanted a multiple of 3");
    CHECK(!fw_path_exists(in_tmp("no")));
}

/* Two ranks with a command line of their own. */
static int run_pair(const char *out, const char *const first[3], const char *const second[3]) {
    command c = {.n = 0};
    add_mpirun(&c, 1);
    add_train(&c, 2, NULL, out);
    for (int i = 0; i < 3 && first[i] != NULL; i++) {
        add(&c, first[i]);
    }
    add(&c, ":"), add(&c, "-n"), add(&c, "1");
    add_train(&c, 2, NULL, out);
    for (int i = 0; i < 3 && second[i] != NULL; i++) {
        add(&c, second[i]);
    }
    return end_of(start(&c));
}

static void what_fails_in_one_rank_ends_all(void) {
    begin();
    CHECK_INT(run_pair("pair", (const char *const[3]){NULL}, (const char *const[3]){"--seed", "7", NULL}), 1);
    check_said("config (hash)");
    CHECK_INT(run_pair("pair", (const char *const[3]){NULL}, (const char *const[3]){"--data", "/nonexistent", NULL}),
              1);
    check_said("rank 1 of 2: /nonexistent");
    CHECK_INT(times_said("error:"), 1);
    CHECK(!fw_path_exists(in_tmp("pair")));
}

static void a_checkpoint_that_cannot_be_written_ends_all(void) {
    begin();
    char dir[600], gone[600];
    const pid_t pid = start_and_wait(2, "full", "--steps", "100000", NULL);
    snprintf(dir, sizeof dir, "%s/train", in_tmp("full"));
    snprintf(gone, sizeof gone, "%s/gone", in_tmp("full"));
    CHECK(rename(dir, gone) == 0);
    CHECK_INT(end_of(pid), 1);
    check_said("rank 0 of 2:");
    check_said("full/train/");
    CHECK_INT(times_said("error:"), 1);
}

static void a_loss_that_is_no_number_ends_all(void) {
    begin();
    char *text = NULL;
    size_t n = 0;
    fw_err err = {0};
    tiny_config(in_tmp("wild.json"), ", \"micro\": 4, \"weight_decay\": 10, \"clip\": 0");
    CHECK_OK(fw_file_read(in_tmp("wild.json"), 1 << 16, &text, &n, &err), err);
    char *lr = strstr(text, "0.003");
    CHECK(lr != NULL);
    memcpy(lr, "10.00", 5);
    CHECK_OK(fw_file_write_atomic(in_tmp("wild.json"), text, n, &err), err);
    free(text);
    CHECK_INT(run(2, "wild", "--config", in_tmp("wild.json"), NULL), 1);
    check_said("step ");
    CHECK(strstr(said(), "the loss is") != NULL || strstr(said(), "is not finite") != NULL);
    CHECK_INT(times_said("error:"), 1);
    CHECK(!fw_path_exists(in_tmp("wild/model.safetensors")));
}

static void minutes_are_those_of_rank_0(void) {
    begin();
    RUN_OK(2, "timed", "--minutes", "0.03", NULL);
    CHECK(steps_of("timed") > 0 && fw_path_exists(in_tmp("timed/model.safetensors")));
    end_tmp();
}

FW_TEST_MAIN(T(killed_and_resumed_by_others_it_ends_in_the_same_bytes), T(a_signal_to_one_stops_all_at_one_step),
             T(runs_stay_as_they_began), T(what_cannot_be_shared_is_refused), T(what_fails_in_one_rank_ends_all),
             T(a_checkpoint_that_cannot_be_written_ends_all), T(a_loss_that_is_no_number_ends_all),
             T(minutes_are_those_of_rank_0))
