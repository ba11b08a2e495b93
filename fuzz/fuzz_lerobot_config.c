/* fuzz_lerobot_config.c - bytes as config.json of a published policy: refused with words, or sizes that a network can have */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/lerobot_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(int ok) {
    if (!ok) {
        abort();
    }
}

static void check_feature(const fw_lerobot_feature *f) {
    want(f->key[0] != 0 || f->kind < FW_N_FEATURE_KIND);
    want(f->n_dim >= 1 && f->n_dim <= 4 && memchr(f->key, 0, sizeof f->key) != NULL);
    for (int i = 0; i < f->n_dim; i++) {
        want(f->shape[i] >= 1 && f->shape[i] <= 65536);
    }
    want(fw_lerobot_camera(f)[0] != 0 || f->key[0] == 0);
}

static void check_decoder(const fw_decoder_size *d) {
    want(d->width > 0 && d->layers > 0 && d->mlp > 0 && d->kv_heads > 0 && d->heads % d->kv_heads == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_err err = {0};
    fw_lerobot_config c;
    json_t *j = NULL;
    if (fw_json_parse((const char *)data, size, "fuzz", &j, &err) != FW_OK) {
        return 0;
    }
    fw_status st = fw_lerobot_config_parse(j, "fuzz", &c, &err);
    json_decref(j);
    if (st != FW_OK) {
        want(err.msg[0] != 0 && err.code == st);
        return 0;
    }
    want(c.chunk >= 1 && c.n_execute >= 1 && c.n_execute <= c.chunk && fw_policy_kind_name(c.policy) != NULL);
    want(c.n_input <= FW_LEROBOT_FEATURES && c.n_output <= FW_LEROBOT_FEATURES);
    for (int i = 0; i < c.n_input; i++) {
        check_feature(&c.input[i]);
    }
    want(fw_lerobot_output(&c, FW_FEATURE_ACTION) != NULL);
    if (c.policy == FW_POLICY_ACT) {
        want(c.act.width % c.act.heads == 0 && c.act.latent > 0 && (c.act.resnet == 18 || c.act.resnet == 34));
        return 0;
    }
    check_decoder(&c.vla.text);
    check_decoder(&c.vla.expert);
    want(c.vla.vision.image % c.vla.vision.patch == 0 && c.vla.flow_steps >= 1);
    return 0;
}
