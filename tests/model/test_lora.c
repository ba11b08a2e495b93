/* Low-rank adapters: the network with them is the network with merged weights, their files are PEFT's, what does not fit is refused. */
#include "model/lora.h"

#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "model/vla.h"
#include "model_test.h"

static fw_err g_err;
static char tmp[] = "/tmp/fw_lora_XXXXXX";

static const char *in_tmp(const char *name) {
    static char path[4][256];
    static int k;
    k = (k + 1) % 4;
    if (strstr(tmp, "XXXXXX") != NULL) {
        CHECK(mkdtemp(tmp) != NULL);
    }
    snprintf(path[k], sizeof path[k], "%s/%s", tmp, name);
    return path[k];
}

/* A policy's velocity as one graph, of the weights in a file, with or without adapters. */
typedef struct net {
    fw_lerobot_config c;
    fw_vla_rules rules;
    fw_weights *w;
    fw_feed feed;
    fw_params *params;
    fw_graph *g;
    fw_plan *plan;
    fw_vla_io io;
} net;

static void net_open(net *n, const char *policy, const char *weights, const fw_adapter *a) {
    char dir[512];
    memset(n, 0, sizeof *n);
    snprintf(dir, sizeof dir, "%spolicies/%s", GOLDEN, policy);
    CHECK_OK(fw_lerobot_config_load(dir, &n->c, &g_err), g_err);
    CHECK_OK(fw_weights_open(weights, "", &n->w, &g_err), g_err);
    CHECK_OK(fw_params_new(1, &n->params, &g_err), g_err);
    CHECK_OK(fw_graph_new(n->params, &n->g, &g_err), g_err);
    fw_vla_rules_of(&n->c, &n->rules);
    n->feed = (fw_feed){.weights = n->w, .rule = n->rules.rule, .n_rule = n->rules.n};
    n->io = fw_vla_io_of(2, 1, 5);
    fw_feed_start(&n->feed, n->params);
    fw_graph_lora(n->g, a != NULL ? &a->lora : NULL);
    fw_vla_prefix(n->g, &n->c, &n->io);
    fw_vla_suffix(n->g, &n->c, &n->io);
    CHECK_OK(fw_graph_check(n->g, &g_err), g_err);
    CHECK_OK(fw_feed_done(&n->feed, &g_err), g_err);
}

static void net_close(net *n) {
    fw_plan_free(n->plan);
    fw_graph_free(n->g);
    fw_params_free(n->params);
    fw_weights_close(n->w);
}

/* The same inputs for every net. */
static const float *net_run(net *n) {
    const fw_val in[] = {n->io.image[0], n->io.state, n->io.x};
    const int32_t n_words[2] = {5, 3};
    CHECK_OK(fw_plan_new(n->g, &(fw_plan_opts){0}, &n->io.velocity, 1, &n->plan, &g_err), g_err);
    for (int i = 0; i < 3; i++) {
        float *x = in[i] != FW_NONE ? fw_plan_data(n->plan, in[i]) : NULL;
        for (int64_t k = 0; x != NULL && k < fw_shape_count(fw_val_shape(n->g, in[i])); k++) {
            x[k] = (float)((k * 37 + 11 * i) % 101) / 50.0f - 1.0f;
        }
    }
    for (int i = 0; i < 10; i++) {
        ((int32_t *)fw_plan_data(n->plan, n->io.tokens))[i] = 3 * i;
    }
    fw_vla_fill(n->plan, &n->c, &n->io, n_words, NULL);
    fw_vla_put_time(n->plan, &n->c, &n->io, 0, 0.3f);
    fw_vla_put_time(n->plan, &n->c, &n->io, 1, 0.8f);
    CHECK_OK(fw_plan_run(n->plan, &g_err), g_err);
    return fw_plan_data(n->plan, n->io.velocity);
}

static double apart(net *a, net *b) {
    const int64_t n = fw_shape_count(fw_val_shape(a->g, a->io.velocity));
    const float *x = fw_plan_data(a->plan, a->io.velocity), *y = fw_plan_data(b->plan, b->io.velocity);
    double d = 0.0, scale = 0.0;
    for (int64_t i = 0; i < n; i++) {
        d = fmax(d, fabs((double)x[i] - (double)y[i]));
        scale = fmax(scale, fabs((double)x[i]));
    }
    return d / scale;
}

/* As if trained: no B is zero. Returns how many modules have adapters. */
static int disturb(net *n) {
    fw_rng r = fw_rng_stream(3, "adapters");
    int parts = 0;
    for (int i = 0; i < fw_params_count(n->params); i++) {
        fw_parameter *q = fw_params_at(n->params, i);
        if (fw_adapter_is_part(q->name)) {
            parts++;
            for (int64_t k = 0; k < fw_shape_count(&q->shape); k++) {
                q->data[k] += 0.2f * (float)fw_rng_normal(&r);
            }
        }
    }
    CHECK(parts % 2 == 0);
    return parts / 2;
}

static const char *weights_of(const char *policy) {
    static char path[2][512];
    static int k;
    k = 1 - k;
    snprintf(path[k], sizeof path[k], "%spolicies/%s/model.safetensors", GOLDEN, policy);
    return path[k];
}

/* SmolVLA's and pi0.5's goldens keep weights in bfloat16: merged ones are rounded to it. */
static void merged_weights_are_the_adapters(void) {
    static const char *const policy[] = {"smolvla", "pi0", "pi05"};
    static const double most[] = {1e-2, 1e-5, 1e-2};
    static const fw_policy_kind kind[] = {FW_POLICY_SMOLVLA, FW_POLICY_PI0, FW_POLICY_PI05};
    for (int i = 0; i < 3; i++) {
        net base, with, merged, again;
        fw_adapter a;
        char sha[65];
        CHECK_OK(fw_adapter_init(&a, 3, 6.0, fw_adapter_targets(kind[i]), &g_err), g_err);
        CHECK_OK(fw_sha256_file(weights_of(policy[i]), sha, &g_err), g_err);
        net_open(&base, policy[i], weights_of(policy[i]), NULL), net_run(&base);
        net_open(&with, policy[i], weights_of(policy[i]), &a), net_run(&with);
        CHECK(apart(&base, &with) < 1e-6); /* B begins at zero */
        fw_plan_free(with.plan), with.plan = NULL;
        const int n = disturb(&with);
        net_run(&with);
        CHECK(apart(&base, &with) > 1e-2);
        CHECK_OK(fw_adapter_save(&a, with.params, policy[i], sha, in_tmp("adapter"), &g_err), g_err);
        CHECK_OK(fw_adapter_merge(weights_of(policy[i]), "", in_tmp("adapter"), 1, in_tmp("merged"), &g_err), g_err);
        net_open(&merged, policy[i], in_tmp("merged"), NULL), net_run(&merged);
        CHECK_OK(fw_adapter_merge(in_tmp("merged"), "", in_tmp("adapter"), -1, in_tmp("again"), &g_err), g_err);
        net_open(&again, policy[i], in_tmp("again"), NULL), net_run(&again);
        printf("# %s: %d adapters move the velocity by %.2g; merged %.1e apart, unmerged %.1e\n", policy[i], n,
               apart(&base, &with), apart(&with, &merged), apart(&base, &again));
        CHECK(n >= 2 * base.c.vla.expert.layers + 2 && apart(&with, &merged) < most[i] &&
              apart(&base, &again) < most[i]);
        net_close(&base), net_close(&with), net_close(&merged), net_close(&again);
        fw_adapter_clear(&a);
    }
}

static void files_are_those_of_peft(void) {
    json_t *j;
    fw_st *st;
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_config.json", in_tmp("adapter"));
    CHECK_OK(fw_json_load(path, &j, &g_err), g_err);
    CHECK(strcmp(json_string_value(json_object_get(j, "peft_type")), "LORA") == 0);
    CHECK(json_integer_value(json_object_get(j, "r")) == 3);
    CHECK(json_number_value(json_object_get(j, "lora_alpha")) == 6.0);
    CHECK(strcmp(json_string_value(json_object_get(j, "target_modules")), fw_adapter_targets(FW_POLICY_PI05)) == 0);
    json_decref(j);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", in_tmp("adapter"));
    CHECK_OK(fw_st_open(path, &st, &g_err), g_err);
    const fw_st_tensor *a = fw_st_find(st, "base_model.model.model.action_in_proj.lora_A.weight"),
                       *b = fw_st_find(st, "base_model.model.model.action_in_proj.lora_B.weight");
    CHECK(a != NULL && b != NULL && a->shape.d[0] == 3 && b->shape.d[1] == 3 && a->dtype == FW_F32);
    CHECK(fw_st_find(st, "base_model.model.model.paligemma_with_expert.gemma_expert.model.layers.0.self_attn.q_proj."
                         "lora_A.weight") != NULL);
    fw_st_close(st);
}

static void what_does_not_fit_is_refused(void) {
    fw_adapter a;
    net n;
    /* pi05's adapter on pi0's weights: another hash; on those of SmolVLA: its first layer is of another size */
    CHECK_FAILS(fw_adapter_merge(weights_of("pi0"), "", in_tmp("adapter"), 1, in_tmp("no"), &g_err), g_err, FW_INVALID,
                "trained on weights");
    CHECK_FAILS(fw_adapter_merge(weights_of("smolvla"), "", in_tmp("adapter"), -1, in_tmp("no"), &g_err), g_err,
                FW_SHAPE, "action_in_proj");
    CHECK(!fw_path_exists(in_tmp("no")));
    CHECK_FAILS(fw_adapter_init(&a, 4, 4.0, "model\\.(", &g_err), g_err, FW_FORMAT, "targets 'model");
    fw_adapter_clear(&a);
    CHECK_FAILS(fw_adapter_init(&a, 0, 4.0, "x", &g_err), g_err, FW_INVALID, "rank 0");
    fw_adapter_clear(&a);
    CHECK_OK(fw_adapter_init(&a, 4, 4.0, "state_proj", &g_err), g_err); /* the whole name is wanted: matches nothing */
    net_open(&n, "pi0", weights_of("pi0"), &a);
    CHECK_FAILS(fw_adapter_save(&a, n.params, "pi0", "", in_tmp("none"), &g_err), g_err, FW_INVALID, "has no adapters");
    net_close(&n);
    fw_adapter_clear(&a);
    CHECK_OK(fw_remove_tree(tmp, &g_err), g_err);
}

FW_TEST_MAIN(T(merged_weights_are_the_adapters), T(files_are_those_of_peft), T(what_does_not_fit_is_refused))
