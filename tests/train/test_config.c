/* Training configs: the shipped ones load; mistakes are named. */
#include "train/config.h"

#include "train_test.h"

static fw_status load_text(const char *text, fw_train_cfg *c, fw_err *err) {
    fw_status s;
    if (strstr(tmp_dir, "XXXXXX") != NULL) {
        CHECK(mkdtemp(tmp_dir) != NULL);
    }
    CHECK_OK(fw_file_write_atomic(in_tmp("c.json"), text, strlen(text), err), *err);
    s = fw_train_cfg_load(in_tmp("c.json"), NULL, c, err);
    return s;
}

static void shipped_configs_load(void) {
    fw_err err = {0};
    fw_train_cfg c;
    CHECK_OK(fw_train_cfg_load(FW_SOURCE_DIR "/configs/kitchen3.json", NULL, &c, &err), err);
    CHECK(c.embodiment.n_action == 5 && c.policy.n_camera == 2 && c.steps > 0);
    CHECK_OK(fw_train_cfg_load(FW_SOURCE_DIR "/configs/cr5.json", NULL, &c, &err), err);
    CHECK(c.embodiment.n_state == 6 && c.embodiment.n_action == 7 && c.held_out == 8 && c.policy.prev_state);
}

static void mistakes_are_named(void) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]", "not a JSON object"},
        {"{\"embodiment\": \"cr5\"}", "name"},
        {"{\"name\": \"x\", \"embodiment\": \"nobody\"}", "nobody"},
        {"{\"name\": \"a/b\", \"embodiment\": \"cr5\"}", "a/b"},
        {"{\"name\": \"x\", \"embodiment\": \"cr5\", \"tran\": {}}", "tran"},
        {"{\"name\": \"x\", \"embodiment\": \"cr5\", \"train\": {\"bacth\": 8}}", "bacth"},
        {"{\"name\": \"x\", \"embodiment\": \"cr5\", \"train\": {\"batch\": 0}}", "batch"},
        {"{\"name\": \"x\", \"embodiment\": \"cr5\", \"train\": {\"ema\": 1.5}}", "ema"},
        {"{\"name\": \"x\", \"embodiment\": \"cr5\", \"train\": {\"lr\": \"high\"}}", "lr"},
        {"{\"name\": \"x\", \"embodiment\": \"cr5\", \"train\": {\"precision\": \"int8\"}}",
         "'precision' is 'int8', wanted f32 or bf16"},
        {"{\"name\": \"x\", \"embodiment\": \"cr5\", \"train\": {\"gradient_checkpointing\": 1}}",
         "gradient_checkpointing"},
        {"{\"name\": \"x\", \"embodiment\": \"cr5\", \"policy\": {\"vision\": {\"cameras\": [\"rear\"]}}}", "rear"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof(*bad); i++) {
        fw_err err = {0};
        fw_train_cfg c;
        if (load_text(bad[i].text, &c, &err) == FW_OK || strstr(err.msg, bad[i].says) == NULL) {
            FW_FAILED("%s: '%s', want a message with '%s'", bad[i].text, err.msg, bad[i].says);
        }
    }
    end_tmp();
}

static void fingerprint_sees_what_changes_a_run(void) {
    fw_err err = {0};
    fw_train_cfg c;
    CHECK_OK(fw_train_cfg_load(FW_SOURCE_DIR "/configs/cr5.json", NULL, &c, &err), err);
    char *a = fw_train_cfg_fingerprint(&c);
    c.steps += 1; /* a longer run is still the same run */
    char *b = fw_train_cfg_fingerprint(&c);
    c.lr *= 2;
    char *d = fw_train_cfg_fingerprint(&c);
    c.gradient_checkpointing = true; /* the same bits */
    char *e = fw_train_cfg_fingerprint(&c);
    c.precision = FW_PRECISION_BF16;
    char *f = fw_train_cfg_fingerprint(&c);
    CHECK(e != NULL && f != NULL && strcmp(d, e) == 0 && strcmp(d, f) != 0);
    free(e), free(f);
    CHECK(a != NULL && b != NULL && d != NULL && strcmp(a, b) == 0 && strcmp(a, d) != 0);
    free(a), free(b), free(d);
}

FW_TEST_MAIN(T(shipped_configs_load), T(mistakes_are_named), T(fingerprint_sees_what_changes_a_run))
