/* ctest: timeout=120 */
/* the real clients of openpi and vla-eval, unchanged, drive our server: clients.py in the environment of tools/client_venv.sh */
#include <signal.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/log.h"
#include "fake.h"
#include "fw_test.h"
#include "serve/serve.h"

static fake fakes[6];

static fw_serve *start(fw_serve_opts o) {
    fw_serve *s;
    fw_err err = {0};
    if (fw_serve_start(&o, &s, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return s;
}

static void the_clients_of_openpi_and_vla_eval_drive_the_server_unchanged(void) {
    static const char *const two[] = {"front", "wrist", NULL}, *const one[] = {"front", NULL},
                             *const aloha[] = {"cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist", NULL};
    static const char key[] = "a-key-of-many-letters\n";
    const char *python = getenv("FW_CLIENTS");
    char path[4096], cmd[9000];
    snprintf(path, sizeof path, "%s/bin/python", python != NULL ? python : FW_SOURCE_DIR "/.deps/clients");
    if (!fw_path_exists(path)) {
        SKIP("no environment of others' clients: tools/client_venv.sh makes it");
    }
    fake_init(&fakes[0], 0, 0);
    fake_init_as(&fakes[1], aloha, 14, 14, 16);
    fake_init_as(&fakes[2], two, 8, 8, 16);
    fake_init_as(&fakes[3], two, 8, 7, 16);
    fake_init_as(&fakes[4], one, 6, 32, 5000);
    fake_init_as(&fakes[5], one, 6, 5, 16);
    fakes[5].delay_ms = 3000;
    const fw_serve_model m[] = {{"plain", &fakes[0].base},  {"aloha", &fakes[1].base}, {"droid", &fakes[2].base},
                                {"libero", &fakes[3].base}, {"big", &fakes[4].base},   {"slow", &fakes[5].base}};
    CHECK_INT(fw_file_write_atomic("serve_clients_key.txt", key, sizeof key - 1, NULL), FW_OK);
    fw_serve *s = start((fw_serve_opts){.model = m, .n_model = 6});
    fake droid;
    fake_init_as(&droid, two, 8, 8, 16);
    const fw_serve_model d = {"droid", &droid.base};
    fw_serve *with_key = start((fw_serve_opts){.model = &d, .n_model = 1, .net = {.keys = "serve_clients_key.txt"}});
    snprintf(cmd, sizeof cmd, "'%s' '%s/tests/serve/clients.py' %d %d", path, FW_SOURCE_DIR, fw_serve_port(s),
             fw_serve_port(with_key));
    const int st = system(cmd);
    CHECK(WIFEXITED(st));
    CHECK_INT(WEXITSTATUS(st), 0);
    fw_serve_stop(s, 1000);
    fw_serve_stop(with_key, 1000);
    remove("serve_clients_key.txt");
}

int main(void) {
    fw_log_set_level(FW_LOG_ERROR);
    the_clients_of_openpi_and_vla_eval_drive_the_server_unchanged();
    printf("ok the_clients_of_openpi_and_vla_eval_drive_the_server_unchanged\n");
    return 0;
}
