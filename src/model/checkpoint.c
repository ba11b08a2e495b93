/* checkpoint.c - a policy's folder: writing it in an order that is never half, reading it with suspicion */
#include "model/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/embodiment.h"
#include "base/file.h"
#include "base/hash.h"
#include "tensor/safetensors.h"

#define FORMAT 1

/* ---- writing ---- */

static json_t *tower_json(const char *package, const char *sha256) {
    return json_pack("{s:s, s:s}", "package", package, "sha256", sha256);
}

static fw_status write_config(const char *path, const fw_flywheel_meta *meta, const char *weights_sha, fw_err *err) {
    json_t *j = json_pack("{s:i, s:s, s:o, s:o, s:{s:o, s:o}, s:s}", "format", FORMAT, "name", meta->name, "model",
                          fw_flywheel_cfg_json(&meta->cfg), "embodiment", fw_embodiment_to_json(&meta->embodiment),
                          "towers", "vision", tower_json("efficientnet_lite0", meta->tower_sha256), "text",
                          tower_json("minilm", meta->text_sha256), "weights_sha256", weights_sha);
    if (j == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory, or a name that is not UTF-8", path);
    }
    fw_status st = fw_json_save(path, j, 2, err);
    json_decref(j);
    return st;
}

static bool is_ours(const fw_parameter *p, const fw_flywheel_cfg *cfg) {
    return strncmp(p->name, "pi.", 3) == 0 || (cfg->train_tower && strncmp(p->name, "tower.", 6) == 0);
}

static fw_status write_weights(const char *path, const fw_flywheel_cfg *cfg, fw_params *params, fw_dtype dtype,
                               fw_err *err) {
    int n = 0, count = fw_params_count(params);
    fw_st_out *out = calloc((size_t)count + 1, sizeof *out);
    if (out == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory", path);
    }
    for (int i = 0; i < count; i++) {
        const fw_parameter *p = fw_params_at(params, i);
        if (is_ours(p, cfg)) {
            out[n++] = (fw_st_out){p->name, dtype, p->shape, p->data};
        }
    }
    fw_status st = n > 0 ? fw_st_write(path, out, n, NULL, err)
                         : fw_fail(err, FW_INVALID, "%s: the store holds no parameter 'pi.*'", path);
    free(out);
    return st;
}

/* What open will ask for must be there before anything is written. */
static fw_status check_stats(const fw_flywheel_meta *meta, const fw_stats *stats, fw_err *err) {
    const fw_flywheel_cfg *cfg = &meta->cfg;
    fw_stat st;
    FW_TRY(fw_stats_get(stats, "observation.state", meta->embodiment.n_state, &st, err));
    FW_TRY(fw_stats_get(stats, "action", meta->embodiment.n_action, &st, err));
    if (cfg->prev_state) {
        FW_TRY(fw_stats_get(stats, "observation.state.delta", meta->embodiment.n_state, &st, err));
    }
    for (int i = 0; i < cfg->n_camera * cfg->n_tap; i++) {
        char key[128];
        int size = 0, channels = 0, block = cfg->tap[i % cfg->n_tap];
        snprintf(key, sizeof key, "features.%s.%d", cfg->camera[i / cfg->n_tap], block);
        FW_TRY(fw_effnet_tap_shape(block, cfg->image_size, &size, &channels, err));
        FW_TRY(fw_stats_get(stats, key, channels, &st, err));
    }
    return FW_OK;
}

fw_status fw_flywheel_save(const char *dir, const fw_flywheel_meta *meta, fw_params *params, const fw_stats *stats,
                           fw_dtype dtype, const char *card, fw_err *err) {
    char config[4096], path[4096], sha[65];
    FW_TRY(check_stats(meta, stats, err));
    FW_TRY(fw_mkdirs(dir, err));
    FW_TRY(fw_path_join(config, sizeof config, dir, "config.json", err));
    if (unlink(config) != 0 && errno != ENOENT) { /* until the new one is there, the folder is not a policy */
        return fw_fail(err, FW_IO, "%s: %s", config, strerror(errno));
    }
    FW_TRY(fw_path_join(path, sizeof path, dir, "stats.json", err));
    FW_TRY(fw_stats_save(stats, path, err));
    if (card != NULL) {
        FW_TRY(fw_path_join(path, sizeof path, dir, "card.md", err));
        FW_TRY(fw_file_write_atomic(path, card, strlen(card), err));
    }
    FW_TRY(fw_path_join(path, sizeof path, dir, "model.safetensors", err));
    FW_TRY(write_weights(path, &meta->cfg, params, dtype, err));
    FW_TRY(fw_sha256_file(path, sha, err));
    return write_config(config, meta, sha, err);
}

/* ---- reading ---- */

static fw_status read_sha(const json_t *towers, const char *key, const char *package, const char *where, char out[65],
                          fw_err *err) {
    static const char *const known[] = {"package", "sha256", NULL};
    const json_t *t = NULL;
    const char *name = NULL, *sha = NULL;
    FW_TRY(fw_json_obj(towers, key, where, &t, err));
    FW_TRY(fw_json_only(t, where, known, err));
    FW_TRY(fw_json_str(t, "package", where, &name, err));
    FW_TRY(fw_json_str(t, "sha256", where, &sha, err));
    if (strcmp(name, package) != 0) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: %s tower '%s', this build has '%s'", where, key, name, package);
    }
    if (strlen(sha) != 64 || strspn(sha, "0123456789abcdef") != 64) {
        return fw_fail(err, FW_FORMAT, "%s: sha256 of the %s tower is not 64 hexadecimal digits", where, key);
    }
    memcpy(out, sha, 65);
    return FW_OK;
}

static fw_status parse_meta(const json_t *j, const char *where, fw_flywheel_meta *out, char weights_sha[65],
                            fw_err *err) {
    static const char *const known[] = {"format", "name", "model", "embodiment", "towers", "weights_sha256", NULL};
    static const char *const known_towers[] = {"vision", "text", NULL};
    const json_t *model = NULL, *emb = NULL, *towers = NULL;
    const char *name = NULL, *sha = NULL;
    int64_t format = 0;
    if (!json_is_object(j)) {
        return fw_fail(err, FW_FORMAT, "%s: not a JSON object", where);
    }
    FW_TRY(fw_json_i64(j, "format", where, 1, 1000000, &format, err));
    if (format != FORMAT) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: format %lld, this build reads %d", where, (long long)format, FORMAT);
    }
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_str(j, "name", where, &name, err));
    if (strlen(name) >= FW_NAME_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: 'name' has %zu bytes, at most %d", where, strlen(name), FW_NAME_MAX - 1);
    }
    strcpy(out->name, name);
    FW_TRY(fw_json_obj(j, "model", where, &model, err));
    FW_TRY(fw_flywheel_cfg_parse(model, where, &out->cfg, err));
    FW_TRY(fw_json_obj(j, "embodiment", where, &emb, err));
    FW_TRY(fw_embodiment_from_json(emb, where, &out->embodiment, err));
    FW_TRY(fw_flywheel_cfg_bind(&out->cfg, &out->embodiment, err));
    FW_TRY(fw_json_obj(j, "towers", where, &towers, err));
    FW_TRY(fw_json_only(towers, where, known_towers, err));
    FW_TRY(read_sha(towers, "vision", "efficientnet_lite0", where, out->tower_sha256, err));
    FW_TRY(read_sha(towers, "text", "minilm", where, out->text_sha256, err));
    FW_TRY(fw_json_str(j, "weights_sha256", where, &sha, err));
    snprintf(weights_sha, 65, "%.64s", sha);
    return FW_OK;
}

static fw_status read_config(const char *dir, fw_flywheel_meta *out, char weights_sha[65], fw_err *err) {
    char path[4096];
    json_t *j = NULL;
    memset(out, 0, sizeof *out);
    if (!fw_path_is_dir(dir)) {
        return fw_fail(err, FW_IO, "%s: no such policy folder", dir);
    }
    FW_TRY(fw_path_join(path, sizeof path, dir, "config.json", err));
    FW_TRY(fw_json_load(path, &j, err));
    fw_status st = parse_meta(j, path, out, weights_sha, err);
    json_decref(j);
    return st;
}

fw_status fw_flywheel_read_meta(const char *dir, fw_flywheel_meta *out, fw_err *err) {
    char sha[65];
    return read_config(dir, out, sha, err);
}

fw_status fw_flywheel_load_params(const char *dir, fw_params *params, fw_err *err) {
    fw_flywheel_meta *meta = malloc(sizeof *meta);
    char want[65], have[65], path[4096];
    if (meta == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory", dir);
    }
    fw_status st = read_config(dir, meta, want, err);
    free(meta);
    FW_TRY(st);
    FW_TRY(fw_path_join(path, sizeof path, dir, "model.safetensors", err));
    FW_TRY(fw_sha256_file(path, have, err));
    if (strcmp(want, have) != 0) {
        return fw_fail(err, FW_FORMAT,
                       "%s: sha256 %.12s..., config.json wants %.12s...: damaged, or of another training", path, have,
                       want);
    }
    return fw_params_load(params, path, false, err);
}
