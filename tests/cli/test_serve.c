/* flywheel serve: the program on a port. The shipped policy's chunk comes through it to the bit; SIGTERM lets it answer and end */
#include <jansson.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "fw_test.h"
#include "model/pretrained.h"
#include "wire/remote.h"

static const char policy[] = FW_SOURCE_DIR "/models/kitchen3";

typedef struct program {
    pid_t pid;
    int port;
} program;

/* Started, and its one line of JSON read. */
static program start(const char *cert, const char *key) {
    int out[2];
    char line[1024] = "";
    CHECK(pipe(out) == 0);
    program p = {.pid = fork()};
    if (p.pid == 0) {
        dup2(out[1], 1);
        close(out[0]), close(out[1]);
        execl(FW_BIN, FW_BIN, "serve", "--policy", policy, "--port", "0", "--json", "--workers", "1",
              cert != NULL ? "--tls-cert" : (char *)NULL, cert, "--tls-key", key, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    CHECK(f != NULL && fgets(line, sizeof line, f) != NULL);
    json_t *j = json_loads(line, 0, NULL);
    CHECK(j != NULL && strcmp(json_string_value(json_array_get(json_object_get(j, "models"), 0)), "kitchen3") == 0);
    p.port = (int)json_integer_value(json_object_get(j, "port"));
    json_decref(j);
    fclose(f);
    return p;
}

static void check_end(program p) {
    int st = 0;
    CHECK(kill(p.pid, SIGTERM) == 0);
    CHECK(waitpid(p.pid, &st, 0) == p.pid && WIFEXITED(st));
    CHECK_INT(WEXITSTATUS(st), 0);
}

/* The same observation to both. */
static fw_status infer(fw_policy *p, float *rows, fw_err *err) {
    static uint8_t pixels[2][128 * 128 * 3];
    static const float state[] = {0.5f, 0.1f, 0.2f, 1.0f, 1.0f, 1.0f};
    for (size_t i = 0; i < sizeof pixels[0]; i++) {
        pixels[0][i] = (uint8_t)(i * 7), pixels[1][i] = (uint8_t)(i / 50);
    }
    const fw_obs obs = {.image = {{pixels[0], 128, 128}, {pixels[1], 128, 128}},
                        .n_image = 2,
                        .state = state,
                        .n_state = 6,
                        .instruction = "put the mug in the sink"};
    fw_chunk c = {.actions = rows, .cap_horizon = 64};
    const fw_status st = fw_policy_infer(p, &obs, &c, err);
    CHECK(st != FW_OK || c.horizon == 16);
    return st;
}

static void the_shipped_policy_answers_through_it_to_the_bit(void) {
    float local[64 * 8] = {0}, remote[64 * 8] = {0};
    char url[64];
    fw_policy *near = NULL, *far = NULL;
    fw_policy_info a, b;
    fw_err err = {0};
    program p = start(NULL, NULL);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/kitchen3", p.port);
    if (fw_policy_open(policy, NULL, &near, &err) != FW_OK ||
        fw_remote_open(&(fw_remote_opts){.url = url, .timeout_ms = 60000}, &far, &err) != FW_OK ||
        infer(near, local, &err) != FW_OK || infer(far, remote, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    CHECK(memcmp(local, remote, sizeof local) == 0);
    fw_policy_describe(near, &a);
    fw_policy_describe(far, &b);
    CHECK(a.horizon == b.horizon && a.n_execute == b.n_execute && a.max_delay == b.max_delay);
    CHECK(strcmp(a.embodiment->name, b.embodiment->name) == 0);
    fw_policy_close(near);
    check_end(p); /* with a client that is still there */
    CHECK_INT(infer(far, remote, &err), FW_CLOSED);
    CHECK(strstr(err.msg, "1001 the server is shutting down") != NULL);
    fw_policy_close(far);
}

/* In the whole program, where other libraries bring an OpenSSL along. */
static void tls_is_spoken_by_the_program(void) {
    static const char cert[] = FW_SOURCE_DIR "/tests/serve/localhost.pem";
    char url[64];
    fw_policy *far = NULL;
    fw_err err = {0};
    program p = start(cert, FW_SOURCE_DIR "/tests/serve/localhost.key");
    snprintf(url, sizeof url, "wss://localhost:%d", p.port);
    if (fw_remote_open(&(fw_remote_opts){.url = url, .ca = cert, .connect_ms = 20000}, &far, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_policy_close(far);
    check_end(p);
}

static int run(const char *args, char *errs, size_t cap) {
    char cmd[1024];
    snprintf(cmd, sizeof cmd, "%s serve %s 2>cli_serve.err >/dev/null </dev/null", FW_BIN, args);
    const int st = system(cmd);
    FILE *f = fopen("cli_serve.err", "rb");
    CHECK(f != NULL && WIFEXITED(st));
    errs[fread(errs, 1, cap - 1, f)] = 0;
    fclose(f);
    remove("cli_serve.err");
    return WEXITSTATUS(st);
}

static void what_is_not_meant_is_refused_before_anything_is_loaded(void) {
    char errs[4096];
    CHECK_INT(run("", errs, sizeof errs), 2);
    CHECK(strstr(errs, "wants --policy DIR") != NULL);
    CHECK_INT(run("--policy x --host 0.0.0.0", errs, sizeof errs), 2);
    CHECK(strstr(errs, "--host 0.0.0.0 lets other machines in: give --api-key-file") != NULL);
    CHECK_INT(run("--policy x --map front", errs, sizeof errs), 2);
    CHECK(strstr(errs, "wanted THEIRS=OURS") != NULL);
    CHECK_INT(run("--policy x --precision f7", errs, sizeof errs), 2);
    CHECK_INT(run("--policy nowhere/at_all", errs, sizeof errs), 1);
    CHECK(strstr(errs, "nowhere/at_all") != NULL);
}

int main(int argc, char **argv) {
    const fw_test tests[] = {T(the_shipped_policy_answers_through_it_to_the_bit), T(tls_is_spoken_by_the_program),
                             T(what_is_not_meant_is_refused_before_anything_is_loaded)};
    fw_log_set_level(FW_LOG_ERROR);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (argc == 1 || strcmp(argv[1], tests[i].name) == 0) {
            tests[i].fn();
            printf("ok %s\n", tests[i].name);
        }
    }
    return 0;
}
