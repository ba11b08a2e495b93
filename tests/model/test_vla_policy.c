/* SmolVLA, pi0 and pi0.5 behind fw_policy: an observation in the robot's units and a sentence give LeRobot's chunk in those units */
#include "alloc_guard.h"
#include "policy_golden.h"

#include <unistd.h>

#include "model/pretrained.h"

static fw_err g_err;

typedef struct meeting {
    golden g;
    fw_policy *p;
    float *noise, *state;
    json_t *tasks;
    int n;                /* observations in the golden */
    size_t chunk, action; /* values a row of noise, of a chunk in the robot's units */
} meeting;

static fw_policy *open_with(const char *dir, const fw_policy_opts *o) {
    fw_policy *p = NULL;
    CHECK_OK(fw_policy_open(dir, o, &p, &g_err), g_err);
    return p;
}

static meeting meet(const char *name, const char *file) {
    meeting m = {.g = golden_open(name, file)};
    m.noise = golden_f32(&m.g, "in.noise", NULL);
    m.state = golden_f32(&m.g, "in.observation.state", NULL);
    m.n = (int)golden_at(&m.g, "in.noise")->shape.d[0];
    m.chunk = (size_t)(golden_at(&m.g, "in.noise")->shape.d[1] * golden_at(&m.g, "in.noise")->shape.d[2]);
    m.action = (size_t)(golden_at(&m.g, "out.chunk")->shape.d[1] * golden_at(&m.g, "out.chunk")->shape.d[2]);
    m.tasks = json_loads(fw_st_meta(m.g.st, "tasks"), 0, NULL);
    CHECK(m.tasks != NULL && (int)json_array_size(m.tasks) == m.n);
    m.p = open_with(m.g.dir, &(fw_policy_opts){.noise = m.noise});
    return m;
}

static void part(meeting *m) {
    fw_policy_close(m->p);
    json_decref(m->tasks);
    free(m->noise), free(m->state);
    fw_st_close(m->g.st);
}

/* Observation b of the golden; a camera that is not in the file is missing. */
static fw_obs seen(const meeting *m, int b) {
    fw_policy_info info;
    fw_policy_describe(m->p, &info);
    const fw_embodiment *e = info.embodiment;
    fw_obs o = {.n_image = e->n_camera, .n_state = e->n_state, .state = m->state + b * e->n_state, .t_ns = 42};
    o.instruction = json_string_value(json_array_get(m->tasks, (size_t)b));
    for (int i = 0; i < e->n_camera; i++) {
        char name[160];
        snprintf(name, sizeof name, "in.observation.images.%s", e->camera[i].name);
        const fw_st_tensor *t = fw_st_find(m->g.st, name);
        if (t != NULL) {
            const int h = (int)t->shape.d[1], w = (int)t->shape.d[2];
            o.image[i] = (fw_image){(const uint8_t *)t->data + (size_t)b * (size_t)(h * w * 3), h, w};
        }
    }
    return o;
}

static void chunks_in_the_robots_units_are_those_of_lerobot(void) {
    static const char *const policy[] = {"smolvla", "pi0", "pi05"};
    static const char *const file[] = {"golden", "golden_long", "golden_empty", "golden_missing"};
    for (int k = 0; k < 12; k++) {
        meeting m = meet(policy[k / 4], file[k % 4]);
        float got[4 * 64], *all = golden_f32(&m.g, "in.noise", NULL);
        CHECK(m.action * (size_t)m.n <= sizeof got / sizeof *got);
        for (int b = 0; b < m.n; b++) {
            const fw_obs o = seen(&m, b);
            fw_chunk c = {.actions = got + (size_t)b * m.action, .cap_horizon = 64};
            memcpy(m.noise, all + (size_t)b * m.chunk, m.chunk * sizeof *all); /* what this call draws */
            CHECK_OK(fw_policy_infer(m.p, &o, &c, &g_err), g_err);
            CHECK((size_t)(c.horizon * c.n_action) == m.action && c.t_ns == 42);
        }
        check_golden(&m.g, "out.chunk", got);
        free(all);
        part(&m);
    }
}

/* openpi's folders: its network, its resizing, its transforms (gen_openpi.py); all cameras, and one of three. */
static void chunks_of_openpis_folders_are_those_of_openpi(void) {
    static const char *const policy[] = {"openpi_pi0", "openpi_pi05"}, *const file[] = {"golden", "golden_missing"};
    for (int k = 0; k < 4; k++) {
        meeting m = meet(policy[k / 2], file[k % 2]);
        float got[4 * 64], *all = golden_f32(&m.g, "in.noise", NULL);
        CHECK(m.action * (size_t)m.n <= sizeof got / sizeof *got);
        for (int b = 0; b < m.n; b++) {
            const fw_obs o = seen(&m, b);
            fw_chunk c = {.actions = got + (size_t)b * m.action, .cap_horizon = 64};
            memcpy(m.noise, all + (size_t)b * m.chunk, m.chunk * sizeof *all);
            CHECK_OK(fw_policy_infer(m.p, &o, &c, &g_err), g_err);
        }
        check_golden(&m.g, "out.chunk", got);
        free(all);
        part(&m);
    }
}

static void noise_is_drawn_from_the_seed(void) {
    meeting m = meet("pi0", "golden");
    float a[256], b[256];
    fw_chunk ca = {.actions = a, .cap_horizon = 64}, cb = {.actions = b, .cap_horizon = 64};
    const fw_obs o = seen(&m, 0);
    fw_policy *p = open_with(m.g.dir, &(fw_policy_opts){.seed = 5}),
              *q = open_with(m.g.dir, &(fw_policy_opts){.seed = 5});
    for (int i = 0; i < 2; i++) {
        CHECK_OK(fw_policy_infer(p, &o, &ca, &g_err), g_err);
        CHECK_OK(fw_policy_infer(q, &o, &cb, &g_err), g_err);
        CHECK(memcmp(a, b, m.action * sizeof *a) == 0);
    }
    CHECK_OK(fw_policy_infer(p, &o, &ca, &g_err), g_err);
    CHECK(memcmp(a, b, m.action * sizeof *a) != 0);
    fw_policy_close(p), fw_policy_close(q);
    part(&m);
}

/* Observations that run together have the chunks that they have alone; one that is none fails alone. */
static void a_batch_gives_what_each_observation_gives_alone(void) {
    static const char *const policy[] = {"smolvla", "pi0", "pi05"}, *const file[] = {"golden", "golden_missing"};
    for (int k = 0; k < 6; k++) {
        meeting m = meet(policy[k / 2], file[k % 2]);
        enum { N = 5, MOST = 256 };
        float alone[N][MOST], together[N][MOST], bad[FW_DIM_MAX] = {0};
        fw_obs o[N];
        fw_chunk c[N];
        fw_err err[N];
        for (int i = 0; i < N; i++) {
            fw_chunk a = {.actions = alone[i], .cap_horizon = 64};
            o[i] = seen(&m, i % m.n);
            c[i] = (fw_chunk){.actions = together[i], .cap_horizon = 64};
            CHECK_OK(fw_policy_infer(m.p, &o[i], &a, &g_err), g_err);
        }
        bad[0] = NAN;
        o[2].state = bad;
        fw_policy_infer_batch(m.p, N, o, c, err);
        for (int i = 0; i < N; i++) {
            CHECK_INT(err[i].code, i == 2 ? FW_FORMAT : FW_OK);
            if (i != 2) {
                CHECK_NEAR(together[i], alone[i], m.action, 1e-5, 1e-5);
            }
        }
        part(&m);
    }
}

/* Settled rows are kept to the bit, and the rows wished for pull: in the robot's units, whatever its processors do (pi0.5's are relative). */
static void a_chunk_is_drawn_towards_the_last_one(void) {
    static const char *const policy[] = {"smolvla", "pi0", "pi05"};
    for (int k = 0; k < 3; k++) {
        meeting m = meet(policy[k], "golden");
        float alone[256], last[256], next[256];
        fw_policy_info info;
        fw_policy_describe(m.p, &info);
        fw_obs o = seen(&m, 0);
        fw_chunk c = {.actions = alone, .cap_horizon = 64};
        CHECK_OK(fw_policy_infer(m.p, &o, &c, &g_err), g_err);
        const int n = c.n_action;
        CHECK(info.guided && info.max_delay == c.horizon / 2);
        for (int i = 0; i < (int)m.action; i++) { /* between where the chunk would go and the middle of the ranges */
            const fw_dim *d = &info.embodiment->action[i % n];
            const float middle = isfinite(d->min) && isfinite(d->max) ? (float)(d->min + d->max) / 2 : 0.0f;
            last[i] = 0.5f * (alone[i] + middle);
        }
        o.prefix = last, o.n_prefix = 2, o.n_wish = 4;
        c.actions = next;
        CHECK_OK(fw_policy_infer(m.p, &o, &c, &g_err), g_err);
        CHECK(memcmp(next, last, 2 * (size_t)n * sizeof *last) == 0);
        double before = 0, after = 0;
        for (int i = 2 * n; i < 4 * n; i++) {
            before += fabs((double)(alone[i] - last[i]));
            after += fabs((double)(next[i] - last[i]));
        }
        CHECK(after < 0.7 * before);
        o.n_prefix = info.max_delay + 1;
        CHECK(fw_policy_infer(m.p, &o, &c, &g_err) == FW_INVALID && strstr(g_err.msg, "goes on") != NULL);
        part(&m);
    }
}

static void a_call_allocates_nothing(void) {
    meeting m = meet("smolvla", "golden");
    float out[256];
    const fw_obs o = seen(&m, 0);
    fw_chunk c = {.actions = out, .cap_horizon = 64};
    CHECK_OK(fw_policy_infer(m.p, &o, &c, &g_err), g_err);
    fw_status st = FW_IO;
    CHECK_NO_ALLOC(st = fw_policy_infer(m.p, &o, &c, &g_err));
    CHECK_OK(st, g_err);
    part(&m);
}

static void what_does_not_fit_is_refused(void) {
    meeting m = meet("pi05", "golden");
    float out[256] = {7.0f};
    fw_chunk c = {.actions = out, .cap_horizon = 64};
    fw_obs o = seen(&m, 0);
    for (int i = 0; i < o.n_image; i++) {
        o.image[i].rgb = NULL;
    }
    CHECK_FAILS(fw_policy_infer(m.p, &o, &c, &g_err), g_err, FW_SHAPE, "no picture that the policy knows");
    o = seen(&m, 0);
    o.instruction = "\xff\xfe";
    CHECK_FAILS(fw_policy_infer(m.p, &o, &c, &g_err), g_err, FW_FORMAT, "UTF-8");
    CHECK(out[0] == 7.0f);
    fw_policy *p = NULL;
    const fw_policy_opts other = {.tokenizer = POLICIES "nowhere"};
    CHECK(fw_policy_open(m.g.dir, &other, &p, &g_err) != FW_OK && p == NULL);
    part(&m);
}

/* PaliGemma's "<image>" has an id beyond the network's table: no fault until somebody says it. */
static void a_word_beyond_the_networks_table_is_refused(void) {
    meeting m = meet("pi05", "golden");
    char dir[] = "/tmp/fw_vla_XXXXXX", cmd[1200];
    float out[256];
    fw_chunk c = {.actions = out, .cap_horizon = 64};
    fw_obs o = seen(&m, 0);
    fw_policy *p = NULL;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(cmd, sizeof cmd,
             "cp %s/tokenizer*.json %s/ && sed -i 's/\"added_tokens\": \\[/&{\"id\": 9000, \"content\": "
             "\"<image>\", \"special\": true},/' %s/tokenizer.json",
             m.g.dir, dir, dir);
    CHECK_INT(system(cmd), 0);
    const fw_policy_opts opts = {.tokenizer = dir};
    CHECK_OK(fw_policy_open(m.g.dir, &opts, &p, &g_err), g_err);
    CHECK_OK(fw_policy_infer(p, &o, &c, &g_err), g_err);
    o.instruction = "look at <image>";
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &g_err), g_err, FW_INVALID, "names token 9000, the policy knows");
    fw_policy_close(p);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    CHECK_INT(system(cmd), 0);
    part(&m);
}

/* LeRobot's checkpoints name a tokenizer and do not have it: HuggingFace's cache does. */
static void the_tokenizer_is_found_in_the_hubs_cache(void) {
    char home[] = "/tmp/fw_hub_XXXXXX", cmd[2048];
    CHECK(mkdtemp(home) != NULL);
    meeting m = meet("pi0", "golden");
    snprintf(cmd, sizeof cmd,
             "mkdir %s/p && cp %s/*.json %s/*.safetensors %s/p && rm -f %s/p/tokenizer*.json && "
             "d=%s/hub/models--google--paligemma-3b-pt-224 && mkdir -p $d/refs $d/snapshots/abc && printf abc > "
             "$d/refs/main && "
             "cp %s/tokenizer*.json $d/snapshots/abc/",
             home, m.g.dir, m.g.dir, home, home, home, m.g.dir);
    CHECK_INT(system(cmd), 0);
    fw_policy *p = NULL;
    snprintf(cmd, sizeof cmd, "%s/p", home);
    setenv("HF_HOME", "/nowhere", 1);
    CHECK_FAILS(fw_policy_open(cmd, NULL, &p, &g_err), g_err, FW_IO,
                "put tokenizer.json of 'google/paligemma-3b-pt-224'");
    setenv("HF_HOME", home, 1);
    CHECK_OK(fw_policy_open(cmd, NULL, &p, &g_err), g_err);
    fw_policy_close(p);
    part(&m);
    snprintf(cmd, sizeof cmd, "rm -rf %s", home);
    CHECK_INT(system(cmd), 0);
}

FW_TEST_MAIN(T(chunks_in_the_robots_units_are_those_of_lerobot), T(chunks_of_openpis_folders_are_those_of_openpi),
             T(noise_is_drawn_from_the_seed), T(a_batch_gives_what_each_observation_gives_alone),
             T(a_chunk_is_drawn_towards_the_last_one), T(a_call_allocates_nothing), T(what_does_not_fit_is_refused),
             T(a_word_beyond_the_networks_table_is_refused), T(the_tokenizer_is_found_in_the_hubs_cache))
