/* ctest: timeout=300 */
/* kitchens: the plain one never changes, each other one is the same whenever it is visited, new ones are never trained on */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "expert_bar.h"
#include "task/setting_kitchen.h"

enum { PX = 96, BYTES = PX * PX * 3, N_Q = 128 };

typedef struct look {
    double q[N_Q];
    size_t n;
    uint8_t rgb[2][BYTES];
    fw_obj_view obj[KITCHEN_N_OBJ];
    fw_region_view sink;
} look_t;

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        FW_FAILED("%s", err->msg);
    }
}

static fw_sim *open_homes(uint64_t first, uint64_t count, bool render) {
    fw_err err = {FW_OK, ""};
    fw_sim *s = NULL;
    const fw_sim_opts o = {.render = render, .max_px = PX, .home_first = first, .home_count = count};
    must(fw_sim_open(fw_home(), &setting_kitchen, "panda_kitchen", &o, &s, &err), &err);
    return s;
}

/* The first seed from `seed` on whose scene is in that home. */
static void visit(fw_sim *s, const fw_sim_opts *o, uint64_t home, uint64_t seed, look_t *l) {
    fw_err err = {FW_OK, ""};
    while (fw_sim_home_of(o, seed) != home) {
        seed++;
    }
    const fw_seeds seeds = fw_seeds_all(seed);
    must(fw_sim_reset(s, &seeds, &err), &err);
    CHECK(fw_sim_home(s) == home);
    for (int i = 0; i < 3; i++) {
        float a[5] = {0.02f, -0.02f, -0.02f, 0.1f, (float)(i % 2)};
        must(fw_sim_step(s, a, &err), &err);
    }
    l->n = fw_sim_physics_state(s, l->q, N_Q);
    must(fw_sim_render(s, "front", PX, PX, l->rgb[0], &err), &err);
    must(fw_sim_render(s, "wrist", PX, PX, l->rgb[1], &err), &err);
    memcpy(l->obj, fw_sim_scene(s)->obj, sizeof l->obj);
    l->sink = fw_sim_scene(s)->region[KITCHEN_SINK];
}

static bool same(const look_t *a, const look_t *b) {
    return a->n == b->n && memcmp(a->q, b->q, a->n * sizeof *a->q) == 0 && memcmp(a->rgb, b->rgb, sizeof a->rgb) == 0;
}

static void a_home_is_the_same_whenever_it_is_visited(void) {
    static look_t first, other, again, elsewhere;
    const fw_sim_opts two = {.home_first = 7, .home_count = 2};
    fw_sim *s = open_homes(7, 2, true);
    visit(s, &two, 7, 40, &first);
    visit(s, &two, 8, 40, &other);
    visit(s, &two, 7, 40, &again);
    fw_sim_close(s);
    s = open_homes(7, 2, true);
    visit(s, &two, 7, 40, &elsewhere);
    fw_sim_close(s);
    CHECK(same(&first, &again) && same(&first, &elsewhere) && !same(&first, &other));
}

/* The sizes, and where things lie in scene 7, as the weights of kitchen3 know them. */
static void the_plain_kitchen_is_home_0_and_stays_as_it_is(void) {
    static look_t bare, zero;
    static const double size[KITCHEN_N_OBJ][2] = {{0.082, 0.029}, {0.048, 0.072}, {0.068, 0.054}, {0.074, 0.031}};
    static const double at[KITCHEN_N_OBJ][2] = {{0.510725042, -0.107034378},
                                                {0.334943722, -0.042845591},
                                                {0.620432141, -0.292622857},
                                                {0.415578683, -0.279960345}};
    const fw_sim_opts none = {.home_count = 0}, only = {.home_first = 0, .home_count = 1};
    fw_sim *s = open_homes(0, 0, true);
    visit(s, &none, 0, 7, &bare);
    fw_sim_close(s);
    s = open_homes(0, 1, true);
    visit(s, &only, 0, 7, &zero);
    fw_sim_close(s);
    CHECK(same(&bare, &zero));
    for (int o = 0; o < KITCHEN_N_OBJ; o++) {
        CHECK(bare.obj[o].radius == size[o][0] && bare.obj[o].height == size[o][1]);
        CHECK(fabs(bare.obj[o].start[0] - at[o][0]) < 1e-6 && fabs(bare.obj[o].start[1] - at[o][1]) < 1e-6);
    }
    CHECK(bare.sink.half[0] == 0.15 && bare.sink.half[1] == 0.15 && bare.sink.half[2] == 0.04);
}

/* Every home offers scenes that stand still, clear of the sink, on either side; no two homes are alike. */
static void homes_differ_and_their_scenes_stand(void) {
    enum { N = 10 };
    const uint64_t from[2] = {1, FW_HOME_NEW};
    double radius[2 * N];
    int right = 0;
    fw_err err = {FW_OK, ""};
    for (int h = 0; h < 2 * N; h++) {
        fw_sim *s = open_homes(from[h / N] + (uint64_t)(h % N), 1, false);
        for (uint64_t seed = 60; seed < 64; seed++) {
            const fw_seeds seeds = fw_seeds_all(seed);
            must(fw_sim_reset(s, &seeds, &err), &err);
            const fw_scene *v = fw_sim_scene(s);
            const fw_region_view *sink = &v->region[KITCHEN_SINK];
            for (int o = 0; o < KITCHEN_N_OBJ; o++) {
                const fw_obj_view *b = &v->obj[o];
                CHECK(b->up > 0.97 && b->speed < 0.05 && b->touches_world && fabs(b->pos[2]) < 0.03);
                CHECK(fabs(b->pos[1] - sink->pos[1]) > sink->half[1] + b->radius);
            }
            radius[h] = v->obj[KITCHEN_PLATE].radius;
            right += seed == 60 && sink->pos[1] < 0;
        }
        for (int k = 0; k < h; k++) {
            CHECK(fabs(radius[h] - radius[k]) > 1e-9);
        }
        fw_sim_close(s);
    }
    CHECK(right >= 4 && right <= 2 * N - 4);
}

static void the_suite_trains_in_64_homes_and_never_in_a_new_one(void) {
    fw_err err = {FW_OK, ""};
    fw_env *e = NULL;
    bool seen[65] = {false};
    must(fw_env_open("kitchen4", &(fw_env_opts){.render = false}, &e, &err), &err);
    for (uint64_t seed = 0; seed < 20000; seed++) {
        uint64_t home = fw_env_home_of(e, seed);
        CHECK(home >= 1 && home <= 64 && home < FW_HOME_NEW);
        seen[home] = true;
    }
    for (int h = 1; h <= 64; h++) {
        CHECK(seen[h]);
    }
    CHECK(strcmp(fw_env_ranges(e), "broad") == 0);
    fw_env_close(e);
}

static void expert_works_in_known_and_in_new_homes(void) {
    for (int i = 0; i < 2; i++) {
        fw_err err = {FW_OK, ""};
        fw_env *e = NULL;
        const fw_env_opts o = {.render = false, .home_first = i > 0 ? FW_HOME_NEW : 1, .home_count = 64};
        must(fw_env_open("kitchen4", &o, &e, &err), &err);
        for (int t = 0; t < fw_env_n_task(e); t++) {
            CHECK(expert_successes(e, t, 91000, 2) == 2);
        }
        fw_env_close(e);
    }
}

FW_TEST_MAIN(T(a_home_is_the_same_whenever_it_is_visited), T(the_plain_kitchen_is_home_0_and_stays_as_it_is),
             T(homes_differ_and_their_scenes_stand), T(the_suite_trains_in_64_homes_and_never_in_a_new_one),
             T(expert_works_in_known_and_in_new_homes))
