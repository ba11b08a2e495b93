/* int8 made for a network: planted outliers ruin plain int8 and not the calibrated one; a file that does not fit is refused by name */
#include "policy_golden.h"

#include <unistd.h>

#include "model/calibrate.h"
#include "model/pretrained.h"

static fw_err g_err;

static const char *tmp(void) {
    static char dir[64];
    if (dir[0] == 0) {
        snprintf(dir, sizeof dir, "int8_test.%d", (int)getpid());
        CHECK_OK(fw_remove_tree(dir, &g_err), g_err);
    }
    CHECK_OK(fw_mkdirs(dir, &g_err), g_err);
    return dir;
}

static void clean(void) {
    CHECK_OK(fw_remove_tree(tmp(), &g_err), g_err);
}

static const char *in_tmp(const char *name) {
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", tmp(), name);
    return path[turn];
}

static double cosine(const float *a, const float *b, int64_t n) {
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i], aa += (double)a[i] * (double)a[i], bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* ---- a network of our own ---- */

enum { WIDTH = 96, BLOCKS = 3, ROWS = 48, OUT = 7 };

typedef struct net {
    fw_params *params;
    fw_graph *g;
    fw_val x, y;
} net;

/* x + MLP(norm(x)), a few times, and a head. */
static net build(void) {
    net n = {0};
    CHECK_OK(fw_params_new(7, &n.params, &g_err), g_err);
    CHECK_OK(fw_graph_new(n.params, &n.g, &g_err), g_err);
    fw_val h = n.x = fw_input(n.g, "x", FW_F32, FW_SHAPE_OF(ROWS, WIDTH));
    for (int i = 0; i < BLOCKS; i++) {
        char name[4][32];
        snprintf(name[0], sizeof name[0], "%d.norm.weight", i);
        snprintf(name[1], sizeof name[1], "%d.norm.bias", i);
        snprintf(name[2], sizeof name[2], "%d.up.weight", i);
        snprintf(name[3], sizeof name[3], "%d.down.weight", i);
        fw_val z = fw_layer_norm(n.g, h, name[0], name[1], 1e-5f);
        z = fw_linear(n.g, z, name[2], NULL, 4 * WIDTH, FW_ACT_GELU, FW_NONE);
        h = fw_linear(n.g, z, name[3], NULL, WIDTH, FW_ACT_NONE, h);
    }
    n.y = fw_linear(n.g, h, "head.weight", NULL, OUT, FW_ACT_NONE, FW_NONE);
    CHECK_OK(fw_graph_check(n.g, &g_err), g_err);
    fw_params_set_trainable(n.params, "", false);
    return n;
}

static void drop(net *n) {
    fw_graph_free(n->g);
    fw_params_free(n->params);
}

/* The function stays: what a norm gives in a column grows by `by`, the weights that meet it shrink. */
static void plant(net *n, float by) {
    static const int columns[] = {5, 40, 77};
    for (int i = 0; i < BLOCKS * 3; i++) {
        char name[32];
        const int c = columns[i % 3];
        snprintf(name, sizeof name, "%d.norm.weight", i / 3);
        fw_params_find(n->params, name)->data[c] *= by;
        snprintf(name, sizeof name, "%d.norm.bias", i / 3);
        fw_params_find(n->params, name)->data[c] *= by;
        snprintf(name, sizeof name, "%d.up.weight", i / 3);
        for (int k = 0; k < 4 * WIDTH; k++) {
            fw_params_find(n->params, name)->data[k * WIDTH + c] /= by;
        }
    }
}

/* y [ROWS,OUT] */
static void run(const net *n, fw_precision precision, const fw_watch *watch, int seed, float *y) {
    fw_plan *p;
    const fw_plan_opts o = {.precision = precision, .watch = watch};
    CHECK_OK(fw_plan_new(n->g, &o, &n->y, 1, &p, &g_err), g_err);
    float *x = fw_plan_data(p, n->x);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        x[i] = sinf((float)(i + 1) * 1.7f + (float)seed) + 0.3f * cosf((float)i * 0.37f * (float)seed);
    }
    CHECK_OK(fw_plan_run(p, &g_err), g_err);
    memcpy(y, fw_plan_data(p, n->y), ROWS * OUT * sizeof *y);
    fw_plan_free(p);
}

static fw_calibration *calibrate(const net *n, const fw_calibration_opts *o) {
    fw_calibration *c;
    float y[ROWS * OUT];
    CHECK_OK(fw_calibration_new(&c, &g_err), g_err);
    run(n, FW_PRECISION_DEFAULT, fw_calibration_watch(c), 1, y);
    run(n, FW_PRECISION_DEFAULT, fw_calibration_watch(c), 2, y);
    CHECK_INT(fw_calibration_count(c), 2 * BLOCKS + 1);
    CHECK_OK(fw_calibration_choose(c, o, NULL, &g_err), g_err);
    return c;
}

/* A folder whose weights are those of n, and its int8 file. */
static void save(const net *n, const fw_calibration *c) {
    CHECK_OK(fw_params_save(n->params, in_tmp("model.safetensors"), FW_F32, NULL, &g_err), g_err);
    CHECK_OK(fw_calibration_save(c, in_tmp(FW_INT8_FILE), tmp(), NULL, &g_err), g_err);
}

static void load(const net *n) {
    fw_int8 *q;
    CHECK_OK(fw_int8_open(tmp(), NULL, &q, &g_err), g_err);
    CHECK(q != NULL);
    CHECK_OK(fw_int8_apply(q, n->g, &g_err), g_err);
    CHECK_OK(fw_int8_done(q, &g_err), g_err);
    fw_int8_close(q);
}

static void outliers_ruin_plain_int8_and_not_the_calibrated_one(void) {
    net n = build();
    float before[ROWS * OUT], exact[ROWS * OUT], plain[ROWS * OUT], smooth[ROWS * OUT];
    run(&n, FW_PRECISION_DEFAULT, NULL, 3, before);
    plant(&n, 1000.0f);
    run(&n, FW_PRECISION_DEFAULT, NULL, 3, exact);
    CHECK(cosine(before, exact, ROWS * OUT) > 1.0 - 1e-6);
    fw_calibration *c = calibrate(&n, &FW_CALIBRATION_OPTS_DEFAULT);
    save(&n, c);
    run(&n, FW_PRECISION_INT8, NULL, 3, plain);
    load(&n);
    run(&n, FW_PRECISION_INT8, NULL, 3, smooth);
    printf("# cosine: plain %.5f, calibrated %.6f\n", cosine(exact, plain, ROWS * OUT),
           cosine(exact, smooth, ROWS * OUT));
    CHECK(cosine(exact, plain, ROWS * OUT) < 0.98);
    CHECK(cosine(exact, smooth, ROWS * OUT) > 0.9995);
    for (int i = 0; i < fw_calibration_count(c); i++) {
        const fw_calibration_layer *l = fw_calibration_at(c, i);
        CHECK(l->error <= l->plain && l->error < 0.03 && !l->exact);
        CHECK(strstr(l->name, ".up.") == NULL || (l->spread > 100.0 && l->alpha > 0.0 && l->plain > 10.0 * l->error));
    }
    run(&n, FW_PRECISION_DEFAULT, NULL, 3, plain); /* exact plans do not know of it */
    CHECK(memcmp(plain, exact, sizeof exact) == 0);
    fw_calibration_free(c);
    drop(&n);
    clean();
}

static void products_that_stay_wrong_stay_exact_within_the_budget(void) {
    net n = build();
    float exact[ROWS * OUT], got[ROWS * OUT];
    /* nothing is good enough, and there is room for all */
    fw_calibration *c = calibrate(&n, &(fw_calibration_opts){.alpha = 0.5, .exact_above = 0.0, .budget = 1.0});
    save(&n, c);
    load(&n);
    run(&n, FW_PRECISION_DEFAULT, NULL, 3, exact);
    run(&n, FW_PRECISION_INT8, NULL, 3, got);
    CHECK(memcmp(exact, got, sizeof exact) == 0);
    fw_calibration_free(c);
    /* room for two of six equal ones: the worst */
    c = calibrate(&n, &(fw_calibration_opts){.alpha = 0.5, .exact_above = 0.0, .budget = 0.4});
    double share = 0.0;
    for (int i = 0; i < fw_calibration_count(c); i++) {
        const fw_calibration_layer *l = fw_calibration_at(c, i);
        share += l->exact ? l->share : 0.0;
        CHECK(i == 0 || l->error <= fw_calibration_at(c, i - 1)->error);
        CHECK(l->exact || share + l->share > 0.4);
    }
    CHECK(share > 0.3 && share <= 0.4);
    fw_calibration_free(c);
    drop(&n);
    clean();
}

static void what_is_chosen_does_not_depend_on_order_or_threads(void) {
    net n = build();
    fw_calibration *a, *b;
    fw_pool *pool;
    float y[ROWS * OUT];
    plant(&n, 20.0f);
    CHECK_OK(fw_pool_new(2, &pool, &g_err), g_err);
    CHECK_OK(fw_calibration_new(&a, &g_err), g_err);
    CHECK_OK(fw_calibration_new(&b, &g_err), g_err);
    for (int i = 1; i <= 4; i++) {
        run(&n, FW_PRECISION_DEFAULT, fw_calibration_watch(a), i, y);
        run(&n, FW_PRECISION_DEFAULT, fw_calibration_watch(b), 5 - i, y);
    }
    run(&n, FW_PRECISION_DEFAULT, fw_calibration_watch(b), 1, y); /* seen twice: counts once */
    CHECK_OK(fw_calibration_choose(a, &FW_CALIBRATION_OPTS_DEFAULT, pool, &g_err), g_err);
    CHECK_OK(fw_calibration_choose(b, &FW_CALIBRATION_OPTS_DEFAULT, NULL, &g_err), g_err);
    for (int i = 0; i < fw_calibration_count(a); i++) {
        const fw_calibration_layer *p = fw_calibration_at(a, i), *q = fw_calibration_at(b, i);
        CHECK(strcmp(p->name, q->name) == 0 && p->plain == q->plain && p->error == q->error && p->alpha == q->alpha);
    }
    run(&n, FW_PRECISION_DEFAULT, fw_calibration_watch(a), 9, y); /* what comes later is not looked at */
    fw_calibration_free(a), fw_calibration_free(b);
    CHECK_OK(fw_calibration_new(&a, &g_err), g_err);
    CHECK_FAILS(fw_calibration_choose(a, &FW_CALIBRATION_OPTS_DEFAULT, NULL, &g_err), g_err, FW_INVALID, "was not run");
    fw_calibration_free(a);
    fw_pool_free(pool);
    drop(&n);
}

/* ---- files that do not fit ---- */

typedef struct lie {
    const char *name; /* of the tensor that is told wrongly; or a new one */
    fw_dtype dtype;   /* FW_N_DTYPE: it is left out */
    int64_t width;
    float first; /* its first value; the rest 1 */
    fw_status status;
    const char *says;
} lie;

/* The file as it should be, but for one thing. */
static fw_status open_lie(const net *n, const lie *l, const char *format) {
    static float one[4 * WIDTH];
    static uint8_t bytes[4 * WIDTH];
    fw_st_out t[2 * BLOCKS + 2];
    fw_int8 *q = NULL;
    fw_st *st;
    int at = 0;
    for (int i = 0; i < 4 * WIDTH; i++) {
        one[i] = 1.0f;
    }
    for (const fw_parameter *w; (w = fw_graph_rounded(n->g, at)) != NULL; at++) {
        t[at] = (fw_st_out){w->name, FW_F32, FW_SHAPE_OF(w->shape.d[1]), one};
    }
    float value[4 * WIDTH + 1];
    int k = 0;
    for (; k < at && strcmp(t[k].name, l->name) != 0; k++) {
    }
    for (int i = 0; i <= 4 * WIDTH; i++) {
        value[i] = i == 0 ? l->first : 1.0f;
    }
    bytes[0] = l->dtype == FW_BOOL ? (uint8_t)l->first : 0;
    at += k == at;
    t[k] = (fw_st_out){l->name, l->dtype, FW_SHAPE_OF(l->width), l->dtype == FW_BOOL ? (const void *)bytes : value};
    if (l->dtype == FW_N_DTYPE) {
        t[k] = t[--at];
    }
    const char *meta[] = {"format", format, NULL};
    CHECK_OK(fw_st_write(in_tmp("lie.safetensors"), t, at, meta, &g_err), g_err);
    CHECK_OK(fw_st_open(in_tmp("lie.safetensors"), &st, &g_err), g_err);
    fw_status s = fw_int8_of(st, "lie.safetensors", &q, &g_err);
    s = s == FW_OK ? fw_int8_apply(q, n->g, &g_err) : s;
    s = s == FW_OK ? fw_int8_done(q, &g_err) : s;
    fw_int8_close(q);
    fw_st_close(st);
    return s;
}

static void files_that_do_not_fit_are_refused_by_name(void) {
    static const lie lies[] = {
        {"1.up.weight", FW_N_DTYPE, WIDTH, 1.0f, FW_SHAPE, "has nothing for '1.up.weight' [96 columns]"},
        {"1.up.weight", FW_F32, WIDTH + 1, 1.0f, FW_SHAPE, "'1.up.weight' has 97 scales, the network has 96 columns"},
        {"2.sideways.weight", FW_F32, WIDTH, 1.0f, FW_SHAPE, "'2.sideways.weight' is no product"},
        {"0.down.weight", FW_F32, 4 * WIDTH, 0.0f, FW_FORMAT, "scale 0 of '0.down.weight' is 0,"},
        {"0.down.weight", FW_F32, 4 * WIDTH, -2.0f, FW_FORMAT, "scale 0 of '0.down.weight' is -2,"},
        {"0.down.weight", FW_F32, 4 * WIDTH, NAN, FW_FORMAT, "scale 0 of '0.down.weight' is nan"},
        {"0.down.weight", FW_F32, 4 * WIDTH, INFINITY, FW_FORMAT, "scale 0 of '0.down.weight' is inf"},
        {"head.weight", FW_BF16, WIDTH, 1.0f, FW_FORMAT, "'head.weight' is BF16 [96]"},
        {"head.weight", FW_BOOL, 2, 1.0f, FW_FORMAT, "'head.weight' is BOOL [2]"},
        {"head.weight", FW_BOOL, 1, 0.0f, FW_FORMAT, "'head.weight' is BOOL [1]"},
    };
    static const lie none = {"head.weight", FW_BOOL, 1, 1.0f, FW_OK, ""};
    net n = build();
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        CHECK_FAILS(open_lie(&n, &lies[i], "flywheel-int8-1"), g_err, lies[i].status, lies[i].says);
        CHECK(strncmp(g_err.msg, "lie.safetensors: ", 17) == 0);
    }
    CHECK_OK(open_lie(&n, &none, "flywheel-int8-1"), g_err);
    CHECK_FAILS(open_lie(&n, &none, "flywheel-int8-2"), g_err, FW_FORMAT, "'flywheel-int8-1' wanted");
    drop(&n);
    clean();
}

static void other_weights_are_refused(void) {
    net n = build();
    fw_calibration *c = calibrate(&n, &FW_CALIBRATION_OPTS_DEFAULT);
    fw_int8 *q;
    save(&n, c);
    fw_params_find(n.params, "1.up.weight")->data[17] += 1e-6f;
    CHECK_OK(fw_params_save(n.params, in_tmp("model.safetensors"), FW_F32, NULL, &g_err), g_err);
    CHECK_FAILS(fw_int8_open(tmp(), NULL, &q, &g_err), g_err, FW_INVALID, "flywheel calibrate");
    CHECK(q == NULL);
    CHECK_OK(fw_int8_open(tmp(), "", &q, &g_err), g_err);
    CHECK(q == NULL);
    CHECK_FAILS(fw_int8_open(tmp(), in_tmp("nothing"), &q, &g_err), g_err, FW_IO, "nothing");
    CHECK_OK(fw_file_write_atomic(in_tmp(FW_INT8_FILE), "{}", 2, &g_err), g_err);
    CHECK_FAILS(fw_int8_open(tmp(), NULL, &q, &g_err), g_err, FW_FORMAT, FW_INT8_FILE);
    fw_calibration_free(c);
    drop(&n);
    clean();
}

/* ---- published policies, from their folders ---- */

static bool ends_in(const char *name, const char *end) {
    const size_t n = strlen(name), e = strlen(end);
    return n >= e && strcmp(name + n - e, end) == 0;
}

/* +1 what a norm before attention multiplies and adds, -1 the weights behind it, 0 neither; the expert is left alone. */
static int role(const char *name) {
    static const char *const norms[] = {"input_layernorm.weight", "layer_norm1.weight", "layer_norm1.bias"};
    static const char *const behind[] = {"self_attn.q_proj.weight", "self_attn.k_proj.weight",
                                         "self_attn.v_proj.weight"};
    if (strstr(name, "lm_expert") != NULL || strstr(name, "gemma_expert") != NULL) {
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        if (ends_in(name, norms[i]) || ends_in(name, behind[i])) {
            return ends_in(name, norms[i]) ? 1 : -1;
        }
    }
    return 0;
}

/* Two columns grow at the norm and shrink in the weights: the function stays. around_zero: norms are stored less one. */
static void plant_in(float *x, const fw_shape *s, int role, bool around_zero) {
    const float by = 256.0f, one = around_zero ? 1.0f : 0.0f;
    const int64_t c = s->d[s->n - 1];
    for (int64_t i = 0; i < fw_shape_count(s); i++) {
        if (i % c == 3 || i % c == 11) {
            x[i] = role > 0 ? (x[i] + one) * by - one : x[i] / by;
        }
    }
}

/* Policy `name` in tmp; planted: with outliers. */
static void copy_policy(const char *name, bool planted) {
    char from[600];
    fw_st *st;
    snprintf(from, sizeof from, POLICIES "%s", name);
    CHECK_OK(fw_pretrained_copy(from, tmp(), &g_err), g_err);
    snprintf(from, sizeof from, POLICIES "%s/model.safetensors", name);
    CHECK_OK(fw_st_open(from, &st, &g_err), g_err);
    const int n = fw_st_count(st);
    fw_st_out *t = calloc((size_t)n, sizeof *t);
    float **own = calloc((size_t)n, sizeof *own);
    CHECK(t != NULL && own != NULL);
    for (int i = 0; i < n; i++) {
        const fw_st_tensor *s = fw_st_at(st, i);
        t[i] = (fw_st_out){s->name, s->dtype, s->shape, s->data};
        own[i] = malloc((size_t)fw_shape_count(&s->shape) * sizeof(float));
        CHECK(own[i] != NULL);
        CHECK_OK(fw_st_read_f32(st, s->name, &s->shape, own[i], &g_err), g_err);
        if (planted && role(s->name) != 0) {
            plant_in(own[i], &s->shape, role(s->name),
                     strcmp(name, "smolvla") != 0 && strstr(s->name, "language_model") != NULL);
            t[i].dtype = FW_F32;
        }
        t[i].data = own[i];
    }
    CHECK_OK(fw_st_write(in_tmp("model.safetensors"), t, n, NULL, &g_err), g_err);
    for (int i = 0; i < n; i++) {
        free(own[i]);
    }
    free(own), free(t);
    fw_st_close(st);
}

typedef struct meeting {
    golden g;
    float *noise, *state; /* [n, ...] */
    int n;                /* observations */
    json_t *tasks;
} meeting;

static meeting meet(const char *name) {
    meeting m = {.g = golden_open(name, "golden")};
    const char *tasks = fw_st_meta(m.g.st, "tasks");
    m.state = golden_f32(&m.g, "in.observation.state", NULL);
    m.n = (int)golden_at(&m.g, "in.observation.state")->shape.d[0];
    m.noise = fw_st_find(m.g.st, "in.noise") != NULL ? golden_f32(&m.g, "in.noise", NULL) : NULL;
    m.tasks = tasks != NULL ? json_loads(tasks, 0, NULL) : NULL;
    return m;
}

static void part(meeting *m) {
    json_decref(m->tasks);
    free(m->noise), free(m->state);
    fw_st_close(m->g.st);
}

/* The chunk at observation b, always of the first one's noise; returns how many values. */
static int64_t chunk_of(const meeting *m, fw_policy *p, int b, float out[256]) {
    fw_policy_info info;
    fw_policy_describe(p, &info);
    const fw_embodiment *e = info.embodiment;
    fw_obs obs = {.n_image = e->n_camera, .n_state = e->n_state, .state = m->state + b * e->n_state};
    obs.instruction = m->tasks != NULL ? json_string_value(json_array_get(m->tasks, (size_t)b)) : "";
    for (int i = 0; i < e->n_camera; i++) {
        char name[160];
        snprintf(name, sizeof name, "in.observation.images.%s", e->camera[i].name);
        const fw_st_tensor *t = fw_st_find(m->g.st, name);
        const int h = t != NULL ? (int)t->shape.d[1] : 0, w = t != NULL ? (int)t->shape.d[2] : 0;
        if (t == NULL) { /* a camera that is missing */
            continue;
        }
        obs.image[i] = (fw_image){(const uint8_t *)t->data + (size_t)b * (size_t)(h * w * 3), h, w};
    }
    fw_chunk c = {.actions = out, .cap_horizon = 64};
    CHECK_OK(fw_policy_infer(p, &obs, &c, &g_err), g_err);
    CHECK(c.horizon * c.n_action <= 256);
    return c.horizon * c.n_action;
}

static fw_policy *open_policy(const meeting *m, const char *dir, fw_policy_opts o) {
    fw_policy *p = NULL;
    o.noise = m->noise;
    CHECK_OK(fw_policy_open(dir, &o, &p, &g_err), g_err);
    return p;
}

static int64_t chunk_from(const meeting *m, const char *dir, fw_policy_opts o, float out[256]) {
    fw_policy *p = open_policy(m, dir, o);
    const int64_t n = chunk_of(m, p, 0, out);
    fw_policy_close(p);
    return n;
}

static void write_int8(const meeting *m) {
    fw_calibration *c;
    float out[256];
    CHECK_OK(fw_calibration_new(&c, &g_err), g_err);
    fw_policy *p = open_policy(m, tmp(), (fw_policy_opts){.watch = fw_calibration_watch(c)});
    for (int b = 0; b < m->n; b++) {
        chunk_of(m, p, b, out);
    }
    CHECK_OK(fw_calibration_choose(c, &FW_CALIBRATION_OPTS_DEFAULT, NULL, &g_err), g_err);
    fw_policy_close(p);
    CHECK_OK(fw_calibration_save(c, in_tmp(FW_INT8_FILE), tmp(), NULL, &g_err), g_err);
    fw_calibration_free(c);
}

/* The error of a chunk, against what it says. */
static double error(const float *exact, const float *got, int64_t n) {
    double wrong = 0.0, all = 0.0;
    for (int64_t i = 0; i < n; i++) {
        wrong += pow((double)got[i] - (double)exact[i], 2), all += pow((double)exact[i], 2);
    }
    return sqrt(wrong / all);
}

static void opens_with_its_file(const char *name, bool planted) {
    float before[256], exact[256], plain[256], smooth[256], got[256];
    const fw_policy_opts int8 = {.precision = FW_PRECISION_INT8},
                         without = {.precision = FW_PRECISION_INT8, .int8 = ""};
    meeting m = meet(name);
    fw_policy *p;
    copy_policy(name, planted);
    const int64_t n = chunk_from(&m, m.g.dir, (fw_policy_opts){0}, before);
    chunk_from(&m, tmp(), (fw_policy_opts){0}, exact);
    CHECK(error(before, exact, n) < 1e-4);
    chunk_from(&m, tmp(), int8, plain);
    write_int8(&m);
    chunk_from(&m, tmp(), int8, smooth);
    printf("# %s: error of the chunk: plain %.4f, calibrated %.4f\n", name, error(exact, plain, n),
           error(exact, smooth, n));
    CHECK(!planted || error(exact, plain, n) > 4.0 * error(exact, smooth, n));
    CHECK(memcmp(plain, smooth, (size_t)n * sizeof *plain) != 0);
    chunk_from(&m, tmp(), without, got);
    CHECK(memcmp(got, plain, (size_t)n * sizeof *got) == 0);
    chunk_from(&m, tmp(), (fw_policy_opts){0}, got);
    CHECK(memcmp(got, exact, (size_t)n * sizeof *got) == 0);
    CHECK_OK(fw_file_write_atomic(in_tmp(FW_INT8_FILE), "12345678", 8, &g_err), g_err);
    CHECK_FAILS(fw_policy_open(tmp(), &int8, &p, &g_err), g_err, FW_FORMAT, FW_INT8_FILE);
    CHECK(strncmp(g_err.msg, tmp(), strlen(tmp())) == 0);
    part(&m);
    clean();
}

static void folders_of_published_policies_open_with_their_file(void) {
    opens_with_its_file("pi0", true);
    opens_with_its_file("smolvla", true);
    opens_with_its_file("pi05", false);
    opens_with_its_file("act", false);
}

FW_TEST_MAIN(T(outliers_ruin_plain_int8_and_not_the_calibrated_one),
             T(products_that_stay_wrong_stay_exact_within_the_budget),
             T(what_is_chosen_does_not_depend_on_order_or_threads), T(files_that_do_not_fit_are_refused_by_name),
             T(other_weights_are_refused), T(folders_of_published_policies_open_with_their_file))
