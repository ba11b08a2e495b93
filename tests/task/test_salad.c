/* ctest: timeout=300 */
/* gather_salad: what a sentence means in its scene, near misses of the goal, the expert */
#include <math.h>
#include <string.h>

#include "expert_bar.h"
#include "task/scatter.h"
#include "task/setting_salad.h"
#include "task/task_int.h"

static char why[160];
static const char *const names[SALAD_N_OBJ] = {"cucumber", "lettuce", "tomato",   "pepper", "carrot",
                                               "onion",    "egg",     "mushroom", "cheese", "salad_bowl"};

static fw_env *open_plain(void) {
    fw_err err = {FW_OK, ""};
    fw_env *e = NULL;
    const fw_env_opts o = {.render = false, .randomise = "default", .home_first = 0, .home_count = 1};
    if (fw_env_open("salad", &o, &e, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return e;
}

static void put(fw_scene *s, int o, double x, double y, double z) {
    s->obj[o].pos[0] = s->obj[o].mid[0] = x, s->obj[o].pos[1] = s->obj[o].mid[1] = y;
    s->obj[o].pos[2] = s->obj[o].mid[2] = z;
    s->obj[o].touches_world = z < 0.02;
}

/* Tomato and egg lie in the bowl, everything else on the table; the hand is open and away. */
static fw_scene gathered(fw_meant *m) {
    fw_scene s = {.n_arm = 1,
                  .n_obj = SALAD_N_OBJ,
                  .n_region = 2,
                  .arm = {{.pos = {0.4, 0, 0.25}, .opening = 1, .command = 1}},
                  .region = {{.name = "table", .pos = {0.45, 0, 0}, .half = {0.25, 0.45, 0.2}},
                             {.name = "salad_bowl_inside", .pos = {0.5, 0.22, 0.009}, .half = {0.087, 0.087, 0.045}}}};
    for (int o = 0; o < SALAD_N_OBJ; o++) {
        s.obj[o].name = names[o];
        s.obj[o].up = 1;
        put(&s, o, 0.35 + 0.03 * o, -0.2, 0.018);
    }
    put(&s, SALAD_BOWL, 0.5, 0.22, 0.001);
    put(&s, SALAD_TOMATO, 0.53, 0.22, 0.034);
    put(&s, SALAD_EGG, 0.47, 0.25, 0.028);
    *m = (fw_meant){.n = 2, .obj = {SALAD_TOMATO, SALAD_EGG}, .named = BIT(SALAD_TOMATO) | BIT(SALAD_EGG)};
    return s;
}

static bool holds(const fw_scene *s, const fw_meant *m) {
    why[0] = 0;
    bool ok = task_find("gather_salad")->goal(s, m, why);
    CHECK(ok || why[0] != 0);
    return ok;
}

static void near_misses_of_the_salad_are_misses(void) {
    fw_meant m;
    fw_scene s = gathered(&m);
    CHECK(holds(&s, &m));
    put(&s, SALAD_EGG, 0.38, 0.22, 0.018); /* beside the bowl */
    CHECK(!holds(&s, &m) && strstr(why, "egg") != NULL);
    s = gathered(&m);
    s.obj[SALAD_EGG].touches_world = true; /* leaning on it from outside */
    CHECK(!holds(&s, &m));
    s = gathered(&m);
    s.obj[SALAD_TOMATO].mid[2] = 0.12; /* above it */
    CHECK(!holds(&s, &m) && strstr(why, "tomato") != NULL);
    s = gathered(&m);
    put(&s, SALAD_CARROT, 0.5, 0.20, 0.03); /* one too many */
    CHECK(!holds(&s, &m) && strstr(why, "not wanted") != NULL);
    s = gathered(&m);
    s.obj[SALAD_EGG].touches_hand = true;
    CHECK(!holds(&s, &m) && strstr(why, "touched") != NULL);
    s = gathered(&m);
    s.obj[SALAD_TOMATO].speed = 0.2; /* still rolling */
    CHECK(!holds(&s, &m) && strstr(why, "moving") != NULL);
    s = gathered(&m);
    s.obj[SALAD_BOWL].up = -1;
    CHECK(!holds(&s, &m) && strstr(why, "bowl") != NULL);
}

/* Does each named thing go in, or stay out, as the words say? Counts which way of saying it was. */
static void check_words(const fw_scene *s, const fw_meant *m, int ways[5]) {
    const char *what = m->slot[0], *but = strstr(what, "everything but ");
    int there = 0;
    for (int o = 0; o < SALAD_N_FOOD; o++) {
        bool in = (m->named & BIT(o)) != 0, said = strstr(what, names[o]) != NULL;
        there += scatter_there(s, o);
        CHECK(!in || scatter_there(s, o)); /* what is wanted is there */
        CHECK(strstr(m->slot[1], names[o]) == NULL || (!in && scatter_there(s, o)));
        CHECK(but == NULL || !scatter_there(s, o) || in != said);
        CHECK(strncmp(what, "the two", 7) == 0 || strncmp(what, "every", 5) == 0 || in == said);
        for (int k = 0; k < m->n && strcmp(what, "the two on the far left") == 0 && !in; k++) {
            CHECK(!scatter_there(s, o) || s->obj[m->obj[k]].start[1] > s->obj[o].start[1] + 0.03);
        }
        CHECK(strcmp(what, "everything green") != 0 || !scatter_there(s, o) || in == (o < SALAD_N_GREEN));
    }
    CHECK(m->n >= 2 && m->n <= 3 && m->n < there && there >= 4 && there <= 6);
    ways[but != NULL                             ? 2
         : strncmp(what, "the two", 7) == 0      ? 0
         : strcmp(what, "everything green") == 0 ? 1
         : m->slot[1][0] != 0                    ? 3
                                                 : 4]++;
}

static void sentences_mean_what_they_say(void) {
    fw_env *e = open_plain();
    const fw_task *t = task_find("gather_salad");
    int ways[5] = {0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        fw_err err = {FW_OK, ""};
        if (fw_env_reset(e, 0, seed, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
        fw_meant m;
        fw_rng r = fw_rng_stream(seed, t->name);
        const fw_scene *s = fw_sim_scene(fw_env_sim(e));
        CHECK(t->mean(s, &r, &m));
        CHECK(!t->goal(s, &m, why)); /* nothing is done yet */
        CHECK(strstr(fw_env_sentence(e, 0, FW_SPLIT_TRAIN, 0), m.slot[0]) != NULL);
        CHECK(strchr(fw_env_sentence(e, 0, FW_SPLIT_HELD, 3), '{') == NULL);
        check_words(s, &m, ways);
    }
    for (int i = 0; i < 5; i++) {
        CHECK(ways[i] > 0);
    }
    fw_env_close(e);
}

static void phrasings_are_many_and_held_ones_are_new(void) {
    const fw_task *t = task_find("gather_salad");
    int n[2] = {0};
    while (t->train[n[0]] != NULL) {
        CHECK(strstr(t->train[n[0]++], "{0}") != NULL);
    }
    for (; t->held[n[1]] != NULL; n[1]++) {
        for (int i = 0; i < n[0]; i++) {
            CHECK(strcmp(t->train[i], t->held[n[1]]) != 0);
        }
    }
    CHECK(n[0] >= 12 && n[1] >= 4);
}

static void expert_gathers_what_is_wanted(void) {
    fw_env *e = open_plain();
    CHECK(expert_successes(e, 0, 92000, 6) == 6);
    fw_env_close(e);
}

FW_TEST_MAIN(T(near_misses_of_the_salad_are_misses), T(sentences_mean_what_they_say),
             T(phrasings_are_many_and_held_ones_are_new), T(expert_gathers_what_is_wanted))
