#include "model_test.h"

#include "model/flywheel_s.h"

static void parse(const char *text, fw_flywheel_cfg *cfg) {
    fw_err err = {0};
    json_t *j = NULL;
    CHECK_OK(fw_json_parse(text, strlen(text), "test", &j, &err), err);
    CHECK_OK(fw_flywheel_cfg_parse(j, "test", cfg, &err), err);
    json_decref(j);
}

/* Small, and quick: images of 64 pixels, so maps of 4 x 4 at block 10. */
static fw_flywheel_cfg small(const char *trunk, const char *head, const char *pool, const char *taps) {
    char text[512];
    fw_flywheel_cfg cfg;
    snprintf(text, sizeof text,
             "{\"vision\": {\"image_size\": 64, \"taps\": %s, \"channels1\": 16, \"channels2\": 12, \"keypoints\": 8, "
             "\"cameras\": [\"front\", \"wrist\"]}, \"text\": {\"pool\": \"%s\", \"dim\": 16}, "
             "\"trunk\": {\"kind\": \"%s\", \"hidden\": 32, \"layers\": 2, \"heads\": 4, \"dropout\": 0}, "
             "\"head\": {\"kind\": \"%s\", \"horizon\": 4, \"execute\": 2, \"flow_steps\": 3}}",
             taps, pool, trunk, head);
    parse(text, &cfg);
    return cfg;
}

typedef struct net {
    fw_params *params;
    fw_graph *g;
    fw_plan *plan;
    fw_flywheel_io io;
    int64_t batch;
} net;

enum { N_STATE = 3, N_ACTION = 2 };

static net open_net(fw_params *params, const fw_flywheel_cfg *cfg, int64_t batch, bool train) {
    fw_err err = {0};
    net n = {.params = params, .batch = batch};
    CHECK_OK(fw_graph_new(params, &n.g, &err), err);
    CHECK_OK(fw_flywheel_build(n.g, cfg, N_STATE, N_ACTION, batch, train, &n.io, &err), err);
    fw_plan_opts o = {.train = train, .seed = 3};
    fw_val out[2] = {train ? n.io.loss : n.io.pred, n.io.pred};
    CHECK_OK(fw_plan_new(n.g, &o, out, train ? 2 : 1, &n.plan, &err), err);
    return n;
}

static void close_net(net *n) {
    fw_plan_free(n->plan);
    fw_graph_free(n->g);
}

static fw_params *new_params(void) {
    fw_err err = {0};
    fw_params *p = NULL;
    CHECK_OK(fw_params_new(7, &p, &err), err);
    return p;
}

/* Row b of an input gets values that depend on `seed` only. */
static void fill_row(net *n, fw_val v, int64_t b, int seed, float scale) {
    if (v == FW_NONE) {
        return;
    }
    int64_t count = fw_shape_count(fw_val_shape(n->g, v)) / n->batch;
    float *x = (float *)fw_plan_data(n->plan, v) + b * count;
    fw_rng r = fw_rng_stream((uint64_t)seed, "row");
    for (int64_t i = 0; i < count; i++) {
        x[i] = scale * (float)fw_rng_normal(&r);
    }
}

static void words(net *n, int64_t b, int sentence) {
    static fw_text_features f;
    fw_rng r = fw_rng_stream((uint64_t)sentence, "sentence");
    memset(&f, 0, sizeof f);
    f.n_token = 4 + sentence;
    for (int i = 0; i < FW_TEXT_DIM; i++) {
        f.pooled[i] = (float)fw_rng_normal(&r);
    }
    for (int i = 0; i < f.n_token * FW_TEXT_DIM; i++) {
        (&f.tokens[0][0])[i] = (float)fw_rng_normal(&r);
    }
    fw_flywheel_put_text(n->plan, &n->io, b, &f);
}

/* What the row sees comes from `view`, what it hears from `sentence`. */
static void fill(net *n, int64_t b, int view, int sentence) {
    for (int c = 0; c < n->io.n_camera; c++) {
        fill_row(n, n->io.image[c], b, 100 * view + c, 0.5f);
        for (int t = 0; t < n->io.n_tap; t++) {
            fill_row(n, n->io.feat[c][t], b, 100 * view + 10 * c + t, 1.0f);
        }
    }
    fill_row(n, n->io.state, b, view + 5, 1.0f);
    words(n, b, sentence);
    if (n->io.target != FW_NONE) {
        fill_row(n, n->io.target, b, 1000 + 10 * view + sentence, 1.0f);
        float *w = fw_plan_data(n->plan, n->io.weight);
        for (int i = 0; i < 4; i++) {
            w[b * 4 + i] = 1.0f;
        }
    }
}

static float run(net *n) {
    fw_err err = {0};
    CHECK_OK(fw_plan_run(n->plan, &err), err);
    return n->io.loss != FW_NONE ? *(float *)fw_plan_data(n->plan, n->io.loss) : 0.0f;
}

static const char *const trunks[] = {"keypoint", "transformer"}, *const heads[] = {"l1", "flow", "l1_mse"},
                         *const pools[] = {"mean", "tokens"}, *const taps[] = {"[10]", "[4, 10]"};

static void config_survives_json(void) {
    for (int i = 0; i < 24; i++) {
        fw_err err = {0};
        fw_flywheel_cfg a = small(trunks[i & 1], heads[i / 2 % 3], pools[i / 6 % 2], taps[i / 12]), b;
        json_t *j = fw_flywheel_cfg_json(&a), *k = NULL;
        CHECK_OK(fw_flywheel_cfg_parse(j, "test", &b, &err), err);
        k = fw_flywheel_cfg_json(&b);
        CHECK(json_equal(j, k));
        CHECK_INT(b.trunk, i & 1);
        CHECK_INT(b.head, i / 2 % 3);
        CHECK_INT(b.text_tokens, i / 6 % 2);
        CHECK_INT(b.n_tap, 1 + (i / 12));
        CHECK_INT(b.hidden, 32);
        json_decref(j);
        json_decref(k);
    }
}

static void bad_configs_are_refused_by_key(void) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]", "not a JSON object"},
        {"{\"kind\": \"pi9\"}", "pi9"},
        {"{\"vison\": {}}", "vison"},
        {"{\"vision\": 3}", "vision"},
        {"{\"vision\": {\"tower\": \"resnet\"}}", "resnet"},
        {"{\"vision\": {\"image_size\": 100}}", "multiple of 32"},
        {"{\"vision\": {\"image_size\": 100000}}", "image_size"},
        {"{\"vision\": {\"taps\": []}}", "taps"},
        {"{\"vision\": {\"taps\": [10, 4]}}", "ascending"},
        {"{\"vision\": {\"taps\": [16]}}", "ascending"},
        {"{\"vision\": {\"taps\": [\"a\"]}}", "ascending"},
        {"{\"vision\": {\"kernel2\": 2}}", "kernel2"},
        {"{\"vision\": {\"cameras\": [\"a\", \"a\"]}}", "twice"},
        {"{\"vision\": {\"cameras\": [7]}}", "cameras"},
        {"{\"vision\": {\"cameras\": [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\"]}}", "cameras"},
        {"{\"text\": {\"pool\": \"max\"}}", "max"},
        {"{\"trunk\": {\"kind\": \"mamba\"}}", "mamba"},
        {"{\"trunk\": {\"hidden\": 1e9}}", "hidden"},
        {"{\"trunk\": {\"hidden\": -1}}", "hidden"},
        {"{\"trunk\": {\"dropout\": 1}}", "dropout"},
        {"{\"trunk\": {\"kind\": \"transformer\", \"hidden\": 30}}", "heads"},
        {"{\"head\": {\"horizon\": 0}}", "horizon"},
        {"{\"head\": {\"horizon\": 4, \"execute\": 5}}", "execute"},
        {"{\"head\": {\"horizon\": 4, \"execute\": 2, \"max_delay\": 3}}", "max_delay"},
        {"{\"head\": {\"horizont\": 4}}", "horizont"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_err err = {0};
        fw_flywheel_cfg cfg;
        json_t *j = NULL;
        CHECK_OK(fw_json_parse(bad[i].text, strlen(bad[i].text), "test", &j, &err), err);
        CHECK_FAILS(fw_flywheel_cfg_parse(j, "test", &cfg, &err), err, FW_FORMAT, bad[i].says);
        json_decref(j);
    }
}

static void cameras_are_bound_to_the_embodiment(void) {
    fw_err err = {0};
    fw_embodiment e = small_robot();
    fw_flywheel_cfg cfg;
    fw_flywheel_cfg_default(&cfg);
    CHECK_OK(fw_flywheel_cfg_bind(&cfg, &e, &err), err);
    CHECK_INT(cfg.n_camera, 2);
    CHECK(strcmp(cfg.camera[1], "wrist") == 0);
    strcpy(cfg.camera[1], "ceiling");
    CHECK_FAILS(fw_flywheel_cfg_bind(&cfg, &e, &err), err, FW_INVALID, "'ceiling'");
}

static bool has_gradient(const net *n, const fw_parameter *p) {
    const float *g = fw_plan_grad(n->plan, p);
    int64_t count = fw_shape_count(&p->shape);
    for (int64_t i = 0; g != NULL && i < count; i++) {
        if (g[i] != 0.0f) {
            return true;
        }
    }
    return false;
}

/* The bias of a key shifts all scores of a query alike: softmax does not see it. */
static bool may_be_dead(const char *name) {
    size_t n = strlen(name);
    return (n >= 8 && strcmp(name + n - 8, "key.bias") == 0);
}

static void every_combination_learns_with_all_its_parameters(void) {
    for (int i = 0; i < 24; i++) {
        fw_flywheel_cfg cfg = small(trunks[i & 1], heads[i / 2 % 3], pools[i / 6 % 2], taps[i / 12]);
        fw_params *params = new_params();
        net n = open_net(params, &cfg, 3, true);
        fw_rng r = fw_rng_stream(1, "flow");
        for (int64_t b = 0; b < 3; b++) {
            fill(&n, b, (int)b, (int)b);
        }
        fw_flywheel_fill(n.plan, &n.io, &r);
        CHECK(isfinite(run(&n)) && run(&n) > 0.1f);
        for (int k = 0; k < fw_params_count(params); k++) {
            const fw_parameter *p = fw_params_at(params, k);
            CHECK(strncmp(p->name, "pi.", 3) == 0);
            if (!has_gradient(&n, p) && !may_be_dead(p->name)) {
                FW_FAILED("%s %s %s %s: no gradient for %s", trunks[i & 1], heads[i / 2 % 3], pools[i / 6 % 2],
                          taps[i / 12], p->name);
            }
        }
        close_net(&n);
        fw_params_free(params);
    }
}

static void rows_of_a_batch_do_not_see_each_other(void) {
    for (int i = 0; i < 8; i++) {
        fw_flywheel_cfg cfg = small(trunks[i & 1], heads[i >> 1 & 1], pools[i >> 2 & 1], taps[0]);
        fw_params *params = new_params();
        net three = open_net(params, &cfg, 3, false), one = open_net(params, &cfg, 1, false);
        fw_rng r = fw_rng_stream(1, "flow"), s = r;
        fw_flywheel_fill(three.plan, &three.io, &r);
        fw_flywheel_fill(one.plan, &one.io, &s);
        for (int64_t b = 0; b < 3; b++) {
            fill(&three, b, (int)b, (int)b);
        }
        fill(&one, 0, 2, 2);
        if (one.io.noise != FW_NONE) { /* the same noise in row 2 as alone */
            memcpy((float *)fw_plan_data(three.plan, three.io.noise) + 2 * 8, fw_plan_data(one.plan, one.io.noise),
                   8 * sizeof(float));
        }
        run(&three);
        run(&one);
        CHECK_NEAR((float *)fw_plan_data(three.plan, three.io.pred) + 2 * 8,
                   (float *)fw_plan_data(one.plan, one.io.pred), 8, 1e-5, 1e-5);
        close_net(&three);
        close_net(&one);
        fw_params_free(params);
    }
}

static void steps_of_weight_zero_do_not_count(void) {
    for (int i = 0; i < 2; i++) {
        fw_flywheel_cfg cfg = small("keypoint", heads[i], "mean", taps[0]);
        fw_params *params = new_params();
        net n = open_net(params, &cfg, 2, true);
        fw_rng r = fw_rng_stream(1, "flow");
        fill(&n, 0, 0, 0);
        fill(&n, 1, 1, 1);
        if (i == 1) {
            fw_flywheel_fill(n.plan, &n.io, &r);
        }
        float *w = fw_plan_data(n.plan, n.io.weight), *t = fw_plan_data(n.plan, n.io.target);
        float all = run(&n);
        w[7] = 0.0f; /* row 1, step 3 */
        float masked = run(&n);
        if (i == 0) { /* flow: a target is also an input there, to its whole row */
            t[(1 * 4 + 3) * N_ACTION] += 100.0f;
            CHECK(run(&n) == masked);
            w[7] = 1.0f;
            CHECK(run(&n) > masked + 1.0f);
        }
        CHECK(all != masked);
        close_net(&n);
        fw_params_free(params);
    }
}

/* A few hundred steps of Adam on all parameters. */
static float train(net *n, int steps, float lr) {
    int count = fw_params_count(n->params);
    float **m = calloc((size_t)count, sizeof *m), loss = 0.0f;
    fw_rng r = fw_rng_stream(2, "flow");
    double tail = 0.0;
    for (int s = 1; s <= steps; s++) {
        fw_flywheel_fill(n->plan, &n->io, &r);
        loss = run(n);
        tail += s > steps - 20 ? (double)loss / 20.0 : 0.0;
        for (int k = 0; k < count; k++) {
            fw_parameter *p = fw_params_at(n->params, k);
            const float *g = fw_plan_grad(n->plan, p);
            size_t size = (size_t)fw_shape_count(&p->shape);
            if (g == NULL) {
                continue;
            }
            m[k] = m[k] != NULL ? m[k] : calloc(2 * size, sizeof(float));
            float *v = m[k] + size, c1 = 1.0f - powf(0.9f, (float)s), c2 = 1.0f - powf(0.99f, (float)s);
            for (size_t i = 0; i < size; i++) {
                m[k][i] = 0.9f * m[k][i] + 0.1f * g[i];
                v[i] = 0.99f * v[i] + 0.01f * g[i] * g[i];
                p->data[i] -= lr * m[k][i] / c1 / (sqrtf(v[i] / c2) + 1e-8f);
            }
        }
    }
    for (int k = 0; k < count; k++) {
        free(m[k]);
    }
    free(m);
    return (float)tail;
}

/* One picture, two sentences, two answers; and the same with the pictures exchanged. */
static void the_sentence_decides(void) {
    for (int i = 0; i < 8; i++) {
        fw_flywheel_cfg cfg = small(trunks[i & 1], heads[i >> 1 & 1], pools[i >> 2 & 1], taps[0]);
        fw_params *params = new_params();
        net n = open_net(params, &cfg, 4, true);
        for (int64_t b = 0; b < 4; b++) {
            fill(&n, b, (int)b & 1, (int)b >> 1);
        }
        float loss = train(&n, cfg.head == FW_HEAD_FLOW ? 1500 : 200, 3e-3f);
        if (cfg.head == FW_HEAD_L1) {
            CHECK(loss < 0.15f);
        }
        net p = open_net(params, &cfg, 1, false);
        fw_rng r = fw_rng_stream(9, "flow");
        for (int b = 0; b < 4; b++) {
            fill(&p, 0, b & 1, b >> 1);
            fw_flywheel_fill(p.plan, &p.io, &r);
            run(&p);
            const float *got = fw_plan_data(p.plan, p.io.pred),
                        *want = (float *)fw_plan_data(n.plan, n.io.target) + b * 8;
            double error = 0.0;
            for (int k = 0; k < 8; k++) {
                error += fabs((double)got[k] - (double)want[k]) / 8.0;
            }
            if (error > 0.3) { /* another sentence's answer would be about 1.1 away */
                FW_FAILED("%s %s %s: sentence %d, picture %d: off by %.3f", trunks[i & 1], heads[i >> 1 & 1],
                          pools[i >> 2 & 1], b >> 1, b & 1, error);
            }
        }
        close_net(&p);
        close_net(&n);
        fw_params_free(params);
    }
}

static void a_tower_in_the_graph_equals_the_tower_before_it(void) {
    fw_err err = {0};
    fw_flywheel_cfg cfg = small("keypoint", "l1", "mean", "[4, 10]"), inside = cfg;
    inside.train_tower = true;
    fw_params *params = new_params();
    net a = open_net(params, &inside, 1, false), b = open_net(params, &cfg, 1, false);
    fw_stats *stats = NULL;
    CHECK_OK(fw_stats_new(&stats, &err), err);
    for (int i = 0; i < 4; i++) {
        float mean[112], std[112], low[112];
        int channels = i & 1 ? 112 : 40;
        for (int c = 0; c < channels; c++) {
            mean[c] = 0.01f * (float)(c + i);
            std[c] = 0.5f + 0.01f * (float)c;
            low[c] = -9.0f;
        }
        char key[64];
        snprintf(key, sizeof key, "features.%s.%d", cfg.camera[i >> 1], cfg.tap[i & 1]);
        CHECK_OK(fw_stats_put(stats, key, channels, mean, std, low, std, low, std, &err), err);
    }
    CHECK_OK(fw_flywheel_set_feature_norm(params, &inside, stats, &err), err);
    CHECK(!fw_params_find(params, "pi.norm.front.4.scale")->trainable);
    fw_plan_repack(a.plan);
    fill(&a, 0, 3, 1);
    fill(&b, 0, 3, 1);
    uint8_t rgb[2][64 * 64 * 3];
    fw_vision_opts vo = {.image_size = 64, .n_tap = 2, .tap = {4, 10}, .batch = 1};
    fw_vision_tower *t = NULL;
    CHECK_OK(fw_vision_tower_new(params, "tower.", &vo, &t, &err), err);
    for (int v = 0; v < 2; v++) {
        paint(rgb[v], 64, 64, v);
        float *x = fw_plan_data(a.plan, a.io.image[v]);
        for (int i = 0; i < 64 * 64 * 3; i++) {
            x[i] = (float)rgb[v][i] / 127.0f - 1.0f;
        }
        float *out[2] = {malloc(fw_vision_tower_values(t, 0) * 4), malloc(fw_vision_tower_values(t, 1) * 4)};
        CHECK_OK(fw_vision_tower_run(t, rgb[v], 1, out, &err), err);
        for (int k = 0; k < 2; k++) {
            char key[64];
            fw_stat st;
            fw_norm nm;
            snprintf(key, sizeof key, "features.%s.%d", cfg.camera[v], cfg.tap[k]);
            CHECK_OK(fw_stats_get(stats, key, -1, &st, &err), err);
            CHECK_OK(fw_norm_make(&st, FW_NORM_MEAN_STD, NULL, &nm, &err), err);
            fw_norm_apply(&nm, out[k], fw_plan_data(b.plan, b.io.feat[v][k]),
                          fw_vision_tower_values(t, k) / (size_t)st.n);
            fw_norm_clear(&nm);
            free(out[k]);
        }
    }
    run(&a);
    run(&b);
    CHECK_NEAR((float *)fw_plan_data(a.plan, a.io.pred), (float *)fw_plan_data(b.plan, b.io.pred), 8, 1e-4, 1e-4);
    close_net(&a);
    /* and it can be trained */
    net n = open_net(params, &inside, 2, true);
    fill(&n, 0, 0, 0);
    fill(&n, 1, 1, 1);
    run(&n);
    CHECK(has_gradient(&n, fw_params_find(params, "tower.stem.weight")));
    CHECK(fw_plan_grad(n.plan, fw_params_find(params, "pi.norm.front.4.scale")) == NULL);
    close_net(&n);
    close_net(&b);
    fw_vision_tower_close(t);
    fw_stats_free(stats);
    fw_params_free(params);
}

FW_TEST_MAIN(T(config_survives_json), T(bad_configs_are_refused_by_key), T(cameras_are_bound_to_the_embodiment),
             T(every_combination_learns_with_all_its_parameters), T(rows_of_a_batch_do_not_see_each_other),
             T(steps_of_weight_zero_do_not_count), T(the_sentence_decides),
             T(a_tower_in_the_graph_equals_the_tower_before_it))
