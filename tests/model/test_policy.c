#include "alloc_guard.h"
#include "model_test.h"

#include <unistd.h>

#include "model/checkpoint.h"
#include "model/proprio.h"

enum { PIXELS = 128 * 128 * 3 };
static char dir[] = "/tmp/fw_policy_XXXXXX";
static uint8_t front[PIXELS], wrist[160 * 120 * 3];
static const float state[3] = {0.1f, -0.2f, 0.5f};

static void need_towers(void) {
    skip_without(".deps/towers/efficientnet_lite0.safetensors");
    skip_without(".deps/minilm/model.safetensors");
    if (strstr(dir, "XXXXXX") != NULL) {
        CHECK(mkdtemp(dir) != NULL);
    }
    paint(front, 128, 128, 0);
    paint(wrist, 120, 160, 1);
}

static const char *file_in(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(fw_stats *s, const char *key, int n, float mean, float std) {
    fw_err err = {0};
    float m[512], d[512], lo[512], hi[512];
    for (int i = 0; i < n; i++) {
        m[i] = mean;
        d[i] = std;
        lo[i] = mean - std;
        hi[i] = mean + std;
    }
    CHECK_OK(fw_stats_put(s, key, n, m, d, lo, hi, lo, hi, &err), err);
}

static fw_stats *stats_of(const fw_flywheel_cfg *cfg) {
    fw_err err = {0};
    fw_stats *s = NULL;
    CHECK_OK(fw_stats_new(&s, &err), err);
    put(s, "observation.state", 3, 0.0f, 0.5f);
    put(s, "observation.state.delta", 3, 0.0f, 0.05f);
    put(s, "action", 2, 0.01f, 0.02f);
    for (int c = 0; c < cfg->n_camera; c++) {
        char key[64];
        snprintf(key, sizeof key, "features.%s.10", cfg->camera[c]);
        put(s, key, 112, 0.0f, 7.0f);
    }
    return s;
}

/* Of the installed packages, from a policy that opened them. */
static void installed_shas(fw_flywheel_meta *meta) {
    fw_err err = {0};
    fw_vision_opts o = FW_VISION_OPTS_DEFAULT;
    fw_vision_tower *v = NULL;
    fw_text_tower *t = NULL;
    CHECK_OK(fw_vision_tower_open(NULL, &o, &v, &err), err);
    CHECK_OK(fw_text_tower_open(NULL, NULL, &t, &err), err);
    strcpy(meta->tower_sha256, fw_vision_tower_sha256(v));
    strcpy(meta->text_sha256, fw_text_tower_sha256(t));
    fw_vision_tower_close(v);
    fw_text_tower_close(t);
}

/* A folder with random weights. */
static void save(fw_flywheel_cfg *cfg, fw_dtype dtype) {
    static char vision[65], text[65];
    fw_err err = {0};
    fw_flywheel_meta meta = {.name = "test", .embodiment = small_robot()};
    fw_params *params = NULL;
    fw_graph *g = NULL;
    fw_flywheel_io io;
    CHECK_OK(fw_flywheel_cfg_bind(cfg, &meta.embodiment, &err), err);
    meta.cfg = *cfg;
    if (vision[0] == 0) {
        installed_shas(&meta);
        strcpy(vision, meta.tower_sha256);
        strcpy(text, meta.text_sha256);
    }
    strcpy(meta.tower_sha256, vision);
    strcpy(meta.text_sha256, text);
    CHECK_OK(fw_params_new(5, &params, &err), err);
    CHECK_OK(fw_graph_new(params, &g, &err), err);
    CHECK_OK(fw_flywheel_build(g, cfg, fw_proprio_width(cfg, &meta.embodiment), 2, 4, true, &io, &err), err);
    fw_stats *stats = stats_of(cfg);
    if (cfg->train_tower) {
        CHECK_OK(fw_flywheel_set_feature_norm(params, cfg, stats, &err), err);
    }
    CHECK_OK(fw_flywheel_save(dir, &meta, params, stats, dtype, "# test\n", &err), err);
    fw_stats_free(stats);
    fw_graph_free(g);
    fw_params_free(params);
}

static fw_obs observation(const char *sentence) {
    fw_obs o = {.n_image = 2, .state = state, .n_state = 3, .instruction = sentence, .t_ns = 42};
    o.image[0] = (fw_image){front, 128, 128};
    o.image[1] = (fw_image){wrist, 120, 160};
    return o;
}

static fw_policy *open_saved(fw_pool *pool) {
    fw_err err = {0};
    fw_policy *p = NULL;
    fw_flywheel_opts o = {.pool = pool, .seed = 3};
    CHECK_OK(fw_flywheel_open(dir, &o, &p, &err), err);
    return p;
}

static void ask(fw_policy *p, const char *sentence, float out[32]) {
    fw_err err = {0};
    fw_obs o = observation(sentence);
    fw_chunk c = {.actions = out, .cap_horizon = 16};
    CHECK_OK(fw_policy_infer(p, &o, &c, &err), err);
    CHECK_INT(c.horizon, 16);
    CHECK_INT(c.n_action, 2);
    CHECK_INT(c.t_ns, 42);
    CHECK(fabs(c.dt_s - 0.1) < 1e-12);
}

static void a_saved_policy_opens_and_acts_within_limits(void) {
    need_towers();
    fw_flywheel_cfg cfg;
    fw_flywheel_cfg_default(&cfg);
    save(&cfg, FW_F32);
    fw_policy *p = open_saved(NULL);
    fw_policy_info info;
    fw_policy_describe(p, &info);
    CHECK(strcmp(info.name, "test") == 0 && strcmp(info.embodiment->name, "small") == 0);
    CHECK_INT(info.horizon, 16);
    CHECK_INT(info.n_execute, 8);
    float a[32], b[32];
    ask(p, "put the mug in the sink", a);
    for (int i = 0; i < 16; i++) {
        CHECK(a[2 * i] >= -0.05f && a[2 * i] <= 0.05f && a[2 * i + 1] >= 0.0f && a[2 * i + 1] <= 1.0f);
    }
    ask(p, "put the banana on the plate", b);
    CHECK(memcmp(a, b, sizeof a) != 0); /* it listens */
    ask(p, "put the mug in the sink", b);
    CHECK(memcmp(a, b, sizeof a) == 0); /* and remembers */
    paint(front, 128, 128, 9);
    ask(p, "put the mug in the sink", b);
    CHECK(memcmp(a, b, sizeof a) != 0); /* and looks */
    fw_policy_close(p);
}

/* Random weights: what the prefix does to a chunk is not right, but it must be there, and the settled rows are kept. */
static void a_chunk_goes_on_from_its_prefix(void) {
    need_towers();
    fw_err err = {0};
    fw_flywheel_cfg cfg;
    fw_flywheel_cfg_default(&cfg);
    cfg.max_delay = 3;
    save(&cfg, FW_F32);
    fw_policy *p = open_saved(NULL);
    fw_policy_info info;
    fw_policy_describe(p, &info);
    CHECK_INT(info.max_delay, 3);
    float alone[32], told[32], other[32], prefix[8] = {0.01f, 0.2f, 0.02f, 0.3f, 0.03f, 0.4f, 0.0f, 0.0f};
    ask(p, "put the mug in the sink", alone);
    fw_obs o = observation("put the mug in the sink");
    fw_chunk c = {.actions = told, .cap_horizon = 16};
    o.prefix = prefix;
    o.n_prefix = 3;
    CHECK_OK(fw_policy_infer(p, &o, &c, &err), err);
    CHECK(memcmp(told, prefix, 6 * sizeof(float)) == 0 && memcmp(told + 6, alone + 6, 26 * sizeof(float)) != 0);
    c.actions = other;
    prefix[0] = -0.01f;
    CHECK_OK(fw_policy_infer(p, &o, &c, &err), err);
    CHECK(memcmp(other + 6, told + 6, 26 * sizeof(float)) != 0);
    o.n_prefix = 4;
    CHECK(fw_policy_infer(p, &o, &c, &err) == FW_INVALID && strstr(err.msg, "0 to 3") != NULL);
    o.n_prefix = 2;
    prefix[3] = NAN;
    CHECK(fw_policy_infer(p, &o, &c, &err) == FW_FORMAT && strstr(err.msg, "prefix") != NULL);
    o.prefix = NULL;
    CHECK(fw_policy_infer(p, &o, &c, &err) == FW_INVALID);
    fw_policy_close(p);
}

static void threads_and_half_weights_change_little(void) {
    need_towers();
    fw_err err = {0};
    fw_flywheel_cfg cfg;
    fw_pool *pool = NULL;
    float a[32], b[32];
    CHECK_OK(fw_pool_new(2, &pool, &err), err);
    fw_flywheel_cfg_default(&cfg);
    save(&cfg, FW_F32);
    fw_policy *p = open_saved(NULL), *q = open_saved(pool);
    ask(p, "put the mug in the sink", a);
    ask(q, "put the mug in the sink", b);
    CHECK_NEAR(b, a, 32, 1e-5, 1e-4);
    fw_policy_close(p);
    fw_policy_close(q);
    save(&cfg, FW_BF16);
    p = open_saved(NULL);
    ask(p, "put the mug in the sink", b);
    CHECK_NEAR(b, a, 32, 2e-3, 0.0); /* actions have a spread of 0.02 */
    fw_policy_close(p);
    fw_pool_free(pool);
}

static void infer_allocates_nothing(void) {
    need_towers();
    static const char *const kinds[] = {
        "{}", "{\"trunk\": {\"kind\": \"transformer\", \"layers\": 1}, \"head\": {\"kind\": \"flow\"}, "
              "\"proprio\": {\"previous_state\": true, \"previous_action\": true}}"};
    for (int i = 0; i < 2; i++) {
        fw_err err = {0};
        fw_flywheel_cfg cfg;
        fw_pool *pool = NULL;
        json_t *j = NULL;
        CHECK_OK(fw_json_parse(kinds[i], strlen(kinds[i]), "test", &j, &err), err);
        CHECK_OK(fw_flywheel_cfg_parse(j, "test", &cfg, &err), err);
        json_decref(j);
        save(&cfg, FW_BF16);
        CHECK_OK(fw_pool_new(2, &pool, &err), err);
        fw_policy *p = open_saved(pool);
        float a[32];
        fw_obs known = observation("put the mug in the sink"), fresh = observation("a sentence never heard before");
        fw_chunk c = {.actions = a, .cap_horizon = 16};
        fw_status st[3] = {FW_INVALID, FW_INVALID, FW_INVALID};
        CHECK_NO_ALLOC(st[0] = fw_policy_infer(p, &known, &c, &err)); /* also the very first */
        CHECK_NO_ALLOC(st[1] = fw_policy_infer(p, &known, &c, &err));
        CHECK_NO_ALLOC(st[2] = fw_policy_infer(p, &fresh, &c, &err));
        CHECK(st[0] == FW_OK && st[1] == FW_OK && st[2] == FW_OK);
        fw_policy_close(p);
        fw_pool_free(pool);
    }
}

static void flow_repeats_itself_after_reset(void) {
    need_towers();
    fw_err err = {0};
    fw_flywheel_cfg cfg;
    json_t *j = NULL;
    const char *text = "{\"head\": {\"kind\": \"flow\"}}";
    CHECK_OK(fw_json_parse(text, strlen(text), "test", &j, &err), err);
    CHECK_OK(fw_flywheel_cfg_parse(j, "test", &cfg, &err), err);
    json_decref(j);
    save(&cfg, FW_F32);
    fw_policy *p = open_saved(NULL);
    float a[32], b[32], c[32];
    ask(p, "put the mug in the sink", a);
    ask(p, "put the mug in the sink", b);
    fw_policy_reset(p);
    ask(p, "put the mug in the sink", c);
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK(memcmp(a, c, sizeof a) == 0);
    fw_policy_close(p);
}

static void a_fine_tuned_tower_travels_in_the_checkpoint(void) {
    need_towers();
    fw_err err = {0};
    fw_flywheel_cfg cfg;
    fw_flywheel_cfg_default(&cfg);
    cfg.train_tower = true;
    save(&cfg, FW_F32);
    fw_policy *p = NULL;
    fw_flywheel_opts o = {.vision_path = "/nowhere"}; /* not needed */
    CHECK_OK(fw_flywheel_open(dir, &o, &p, &err), err);
    float a[32], b[32];
    ask(p, "put the mug in the sink", a);
    paint(front, 128, 128, 4);
    ask(p, "put the mug in the sink", b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    fw_policy_close(p);
}

static void bad_observations_are_refused_and_write_nothing(void) {
    need_towers();
    fw_err err = {0};
    fw_flywheel_cfg cfg;
    fw_flywheel_cfg_default(&cfg);
    save(&cfg, FW_BF16);
    fw_policy *p = open_saved(NULL);
    float a[32], bad_state[3] = {0.0f, NAN, 0.0f};
    memset(a, 0x55, sizeof a);
    fw_chunk c = {.actions = a, .cap_horizon = 16, .horizon = -1};
    fw_obs o = observation("go");
    o.image[1].rgb = NULL;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_SHAPE, "camera 'wrist' is missing");
    o = observation("go");
    o.n_image = 1;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_SHAPE, "1 images, embodiment small wants 2");
    o = observation("go");
    o.image[0].h = 0;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_SHAPE, "camera 'front'");
    o = observation("go");
    o.n_state = 4;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_SHAPE, "4 state values, embodiment small wants 3");
    o = observation("go");
    o.state = bad_state;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_FORMAT, "state 'y' is nan");
    o = observation("go");
    o.prev_state = bad_state;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_FORMAT, "previous state 'y' is nan");
    o = observation("not UTF-8: \xff");
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_FORMAT, "UTF-8");
    o = observation(NULL);
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_INVALID, "no instruction");
    o = observation("go");
    c.cap_horizon = 15;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_INVALID, "room for 15 rows");
    for (int i = 0; i < 32; i++) {
        uint32_t bits;
        memcpy(&bits, &a[i], sizeof bits);
        CHECK(bits == 0x55555555u);
    }
    CHECK_INT(c.horizon, -1);
    fw_policy_close(p);
}

/* config.json with one text replaced; returns what open says. */
static void open_changed(const char *file, const char *from, const char *to, fw_status status, const char *says) {
    fw_err err = {0};
    char *text = NULL;
    size_t size = 0;
    fw_policy *p = NULL;
    CHECK_OK(fw_file_read(file_in(file), 1 << 22, &text, &size, &err), err);
    char *at = strstr(text, from);
    CHECK(at != NULL);
    size_t n = strlen(from), m = strlen(to), before = (size_t)(at - text);
    char *changed = malloc(size - n + m + 1);
    memcpy(changed, text, before);
    memcpy(changed + before, to, m);
    memcpy(changed + before + m, at + n, size - before - n + 1);
    CHECK_OK(fw_file_write_atomic(file_in(file), changed, size - n + m, &err), err);
    CHECK_FAILS(fw_flywheel_open(dir, NULL, &p, &err), err, status, says);
    CHECK(p == NULL);
    CHECK_OK(fw_file_write_atomic(file_in(file), text, size, &err), err);
    free(text);
    free(changed);
}

static void a_folder_that_disagrees_with_itself_is_refused(void) {
    need_towers();
    fw_err err = {0};
    fw_policy *p = NULL;
    fw_flywheel_cfg cfg;
    fw_flywheel_meta meta;
    fw_flywheel_cfg_default(&cfg);
    save(&cfg, FW_BF16);
    CHECK_OK(fw_flywheel_read_meta(dir, &meta, &err), err);
    open_changed("config.json", "\"format\": 1", "\"format\": 2", FW_UNSUPPORTED, "format 2");
    open_changed("config.json", "\"name\": \"test\"", "\"nome\": \"test\"", FW_FORMAT, "nome");
    open_changed("config.json", "\"hidden\": 512", "\"hidden\": 256", FW_SHAPE, "model.safetensors");
    open_changed("config.json", "\"layers\": 3", "\"layers\": 4", FW_SHAPE, "model.safetensors");
    open_changed("config.json", "\"layers\": 3", "\"layers\": 2", FW_SHAPE, "model.safetensors");
    open_changed("config.json", meta.text_sha256, meta.tower_sha256, FW_FORMAT, "text tower");
    open_changed("config.json", meta.tower_sha256, meta.text_sha256, FW_FORMAT, "vision tower");
    open_changed("config.json", "\"minilm\"", "\"gpt\"", FW_FORMAT, "gpt");
    open_changed("config.json", "\"weights_sha256\": \"", "\"weights_sha256\": \"0", FW_FORMAT, "damaged");
    open_changed("config.json", "{", "", FW_FORMAT, "config.json");
    open_changed("stats.json", "\"action\"", "\"auction\"", FW_FORMAT, "no 'action'");
    open_changed("stats.json", "\"features.wrist.10\"", "\"features.ceiling.10\"", FW_FORMAT, "no 'features.wrist.10'");
    open_changed("stats.json", "\"q01\"", "\"q02\"", FW_FORMAT, "q01");
    fw_flywheel_opts o = {.embodiment = "aloha"};
    CHECK_FAILS(fw_flywheel_open(dir, &o, &p, &err), err, FW_INVALID, "is for embodiment 'small', not 'aloha'");
    /* one byte of the weights */
    char *data = NULL;
    size_t size = 0;
    CHECK_OK(fw_file_read(file_in("model.safetensors"), 1u << 28, &data, &size, &err), err);
    data[size / 2] ^= 1;
    CHECK_OK(fw_file_write_atomic(file_in("model.safetensors"), data, size, &err), err);
    CHECK_FAILS(fw_flywheel_open(dir, NULL, &p, &err), err, FW_FORMAT, "damaged");
    CHECK(unlink(file_in("model.safetensors")) == 0);
    CHECK_FAILS(fw_flywheel_open(dir, NULL, &p, &err), err, FW_IO, "model.safetensors");
    free(data);
    CHECK_FAILS(fw_flywheel_open("/nowhere", NULL, &p, &err), err, FW_IO, "/nowhere");
}

static void saving_without_a_statistic_writes_nothing(void) {
    need_towers();
    fw_err err = {0};
    fw_flywheel_meta meta = {.name = "test", .embodiment = small_robot()};
    fw_params *params = NULL;
    fw_stats *s = NULL;
    char where[300];
    fw_flywheel_cfg_default(&meta.cfg);
    CHECK_OK(fw_flywheel_cfg_bind(&meta.cfg, &meta.embodiment, &err), err);
    CHECK_OK(fw_params_new(1, &params, &err), err);
    CHECK_OK(fw_stats_new(&s, &err), err);
    put(s, "observation.state", 3, 0.0f, 1.0f);
    snprintf(where, sizeof where, "%s/sub", dir);
    CHECK_FAILS(fw_flywheel_save(where, &meta, params, s, FW_F32, NULL, &err), err, FW_FORMAT, "no 'action'");
    CHECK(!fw_path_exists(where));
    fw_stats_free(s);
    fw_params_free(params);
    CHECK_OK(fw_remove_tree(dir, &err), err); /* the last test */
}

FW_TEST_MAIN(T(a_saved_policy_opens_and_acts_within_limits), T(a_chunk_goes_on_from_its_prefix),
             T(threads_and_half_weights_change_little), T(infer_allocates_nothing), T(flow_repeats_itself_after_reset),
             T(a_fine_tuned_tower_travels_in_the_checkpoint), T(bad_observations_are_refused_and_write_nothing),
             T(a_folder_that_disagrees_with_itself_is_refused), T(saving_without_a_statistic_writes_nothing))
