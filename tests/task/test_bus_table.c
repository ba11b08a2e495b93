/* ctest: timeout=240 */
#include <string.h>

#include "expert_bar.h"
#include "task/demo.h"
#include "task/scatter.h"
#include "task/setting_bus.h"
#include "task/task_int.h"

static char why[160];

/* A plate, a mug and a can on the counter, the others away; the hand open and high. */
static fw_scene still(void) {
    static const char *const names[BUS_N_OBJ] = {"plate", "bowl", "mug",    "fork", "spoon",
                                                 "paper", "can",  "carton", "peel"};
    fw_scene s = {.n_arm = 1,
                  .n_obj = BUS_N_OBJ,
                  .n_region = 2,
                  .arm = {{.pos = {0.4, 0, 0.32}, .opening = 1, .command = 1, .opening_m = 0.08}},
                  .reach = {.carry_m = 0.26},
                  .region = {{.name = "sink", .pos = {0.48, 0.36, -0.08}, .half = {0.15, 0.15, 0.04}},
                             {.name = "bin", .pos = {0.47, -0.41, 0.004}, .half = {0.085, 0.105, 0.045}}}};
    for (int o = 0; o < BUS_N_OBJ; o++) {
        s.obj[o] = (fw_obj_view){.name = names[o], .kind = names[o], .quat = {1}, .up = 1, .touches_world = true};
        s.obj[o].radius = 0.05;
        s.obj[o].pos[2] = s.obj[o].mid[2] = s.obj[o].start[2] = -0.8;
    }
    static const double at[3][2] = {{0.5, -0.1}, {0.35, -0.2}, {0.6, 0.1}};
    static const int there[3] = {BUS_PLATE, BUS_MUG, BUS_CAN};
    for (int i = 0; i < 3; i++) {
        fw_obj_view *v = &s.obj[there[i]];
        v->pos[0] = v->mid[0] = v->start[0] = at[i][0], v->pos[1] = v->mid[1] = v->start[1] = at[i][1];
        v->pos[2] = v->start[2] = 0, v->mid[2] = 0.02;
    }
    return s;
}

static void put(fw_scene *s, int o, double x, double y, double z) {
    fw_obj_view *v = &s->obj[o];
    v->pos[0] = v->mid[0] = x, v->pos[1] = v->mid[1] = y;
    v->pos[2] = z, v->mid[2] = z + 0.01;
}

static fw_scene cleared(void) {
    fw_scene s = still();
    put(&s, BUS_PLATE, 0.42, 0.42, -0.079);
    put(&s, BUS_MUG, 0.57, 0.27, -0.079);
    put(&s, BUS_CAN, 0.5, -0.45, 0.004);
    return s;
}

/* What some layout seed makes of this scene: the first whose meaning has n objects, with `spared` (-1: any) not among them. */
static fw_meant meaning(const fw_scene *s, int n, int spared) {
    for (uint64_t seed = 0; seed < 400; seed++) {
        fw_rng r = fw_rng_stream(seed, "bus_table");
        fw_meant m;
        if (task_find("bus_table")->mean(s, &r, &m) && m.n == n && (spared < 0 || (m.named & BIT(spared)) == 0)) {
            return m;
        }
    }
    FW_FAILED("no seed means %d things without %d", n, spared);
}

static bool holds(const fw_scene *s, const fw_meant *m) {
    why[0] = 0;
    bool ok = task_find("bus_table")->goal(s, m, why);
    CHECK(ok || why[0] != 0);
    return ok;
}

static void cleared_counts_and_an_item_left_does_not(void) {
    fw_scene s = cleared();
    fw_meant all = meaning(&s, 3, -1);
    CHECK(holds(&s, &all));
    s = still();
    CHECK(!holds(&s, &all));
    for (int i = 0; i < all.n; i++) { /* one of them still stands where it was */
        fw_scene one = cleared(), before = still();
        one.obj[all.obj[i]] = before.obj[all.obj[i]];
        CHECK(!holds(&one, &all) && strstr(why, one.obj[all.obj[i]].name) != NULL);
    }
}

static void near_misses_are_misses(void) {
    fw_scene s = cleared();
    fw_meant all = meaning(&s, 3, -1);
    put(&s, BUS_CAN, 0.5, -0.28, 0); /* slipped beside the bin */
    CHECK(!holds(&s, &all) && strstr(why, "not in the bin") != NULL);
    s = cleared();
    put(&s, BUS_CAN, 0.48, 0.36, -0.08); /* rubbish in the sink */
    CHECK(!holds(&s, &all) && strstr(why, "can: not in the bin") != NULL);
    s = cleared();
    put(&s, BUS_MUG, 0.47, -0.41, 0.004); /* the mug thrown away */
    CHECK(!holds(&s, &all) && strstr(why, "mug: not in the sink") != NULL);
    s = cleared();
    put(&s, BUS_PLATE, 0.48, 0.21, 0.0); /* across the sink's edge */
    CHECK(!holds(&s, &all));
    s = cleared();
    s.obj[BUS_CAN].mid[2] = 0.1; /* on the bin's rim */
    CHECK(!holds(&s, &all));
    s = cleared();
    s.obj[BUS_CAN].touches_hand = true;
    CHECK(!holds(&s, &all) && strstr(why, "touched") != NULL);
    s = cleared();
    s.obj[BUS_MUG].speed = 0.2;
    CHECK(!holds(&s, &all) && strstr(why, "moving") != NULL);
    s = cleared();
    s.arm[0].opening = 0.1;
    CHECK(!holds(&s, &all) && strstr(why, "closed") != NULL);
}

static void what_the_sentence_spares_must_stay(void) {
    fw_scene s = still();
    fw_meant m = meaning(&s, 2, BUS_MUG);
    CHECK(strstr(m.slot[0], "leave the mug") != NULL);
    fw_scene done = cleared(), before = still();
    done.obj[BUS_MUG] = before.obj[BUS_MUG];
    CHECK(holds(&done, &m) && !goal_disturbed(&done, m.named, why));
    done = cleared(); /* put away nevertheless */
    CHECK(goal_disturbed(&done, m.named, why) && strstr(why, "mug") != NULL);
    m = meaning(&s, 1, BUS_PLATE);
    CHECK(m.obj[0] == BUS_CAN && strstr(m.slot[0], "leave the dishes") != NULL);
}

static const char *step_of(const fw_scene *s, const fw_meant *m) {
    static char text[FW_SUBTASK_LEN];
    task_find("bus_table")->subtask(s, m, text);
    return text;
}

static void steps_follow_from_the_scene(void) {
    fw_scene s = still(), end = cleared();
    fw_meant all = meaning(&s, 3, -1);
    CHECK(strcmp(step_of(&s, &all), "put the plate in the sink") == 0);
    s.obj[BUS_CAN].held_by = 1, s.arm[0].command = 0; /* what is in the hand comes first */
    CHECK(strcmp(step_of(&s, &all), "throw the can in the bin") == 0);
    s = still();
    s.obj[BUS_PLATE] = end.obj[BUS_PLATE];
    CHECK(strcmp(step_of(&s, &all), "put the mug in the sink") == 0);
    CHECK(strcmp(step_of(&end, &all), "take the hand away") == 0);
}

/* On a can or a carton it would not stay in the bin. */
static void a_peel_goes_before_the_other_rubbish(void) {
    fw_scene s = still(), end = cleared();
    fw_obj_view *peel = &s.obj[BUS_PEEL];
    put(&s, BUS_PEEL, 0.55, -0.2, 0);
    memcpy(peel->start, peel->pos, sizeof peel->start);
    fw_meant all = meaning(&s, 4, -1);
    s.obj[BUS_PLATE] = end.obj[BUS_PLATE], s.obj[BUS_MUG] = end.obj[BUS_MUG];
    CHECK(strcmp(step_of(&s, &all), "throw the peel in the bin") == 0);
    put(&s, BUS_PEEL, 0.45, -0.4, 0.01);
    CHECK(strcmp(step_of(&s, &all), "throw the can in the bin") == 0);
}

static fw_env *open_bus(void) {
    fw_err err = {FW_OK, ""};
    fw_env *env = NULL;
    if (fw_env_open("bus", &(fw_env_opts){.render = false}, &env, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return env;
}

static void three_to_six_things_of_both_sorts_are_there_and_the_others_out_of_reach(void) {
    fw_env *env = open_bus();
    fw_err err;
    uint32_t seen = 0, numbers = 0;
    for (uint64_t seed = 900; seed < 940; seed++) {
        CHECK_INT(fw_env_reset(env, 0, seed, &err), FW_OK);
        const fw_scene *s = fw_sim_scene(fw_env_sim(env));
        int n = 0, dishes = 0;
        for (int o = 0; o < BUS_N_OBJ; o++) {
            const double *p = s->obj[o].pos;
            bool there = scatter_there(s, o);
            n += there, dishes += there && o < BUS_N_DISH;
            seen |= there ? BIT(o) : 0;
            CHECK(there ? p[2] > -0.005 && p[2] < 0.03 && s->obj[o].up > 0.99
                        : p[2] < -0.3 && p[2] > -0.5 && s->obj[o].speed < 1e-3);
        }
        CHECK(n >= 3 && n <= 6 && dishes > 0 && dishes < n);
        numbers |= BIT(n);
    }
    CHECK_INT(seen, (1u << BUS_N_OBJ) - 1);
    CHECK_INT(numbers, BIT(3) | BIT(4) | BIT(5) | BIT(6));
    fw_env_close(env);
}

/* Every frame has the step that the expert was in; a step comes once, in the order of the errands. */
static void demonstrations_carry_their_steps(void) {
    fw_env *env = open_bus();
    fw_err err;
    fw_demo *d = NULL;
    fw_demo_opts quiet = FW_DEMO_OPTS_DEFAULT;
    quiet.noisy_share = 0;
    CHECK_INT(fw_demo_new(env, &d, &err), FW_OK);
    CHECK(fw_env_has_subtasks(env, 0));
    fw_seeds seeds = fw_seeds_all(7);
    CHECK_INT(fw_demo_record(env, 0, &seeds, &quiet, d, &err), FW_OK);
    CHECK(d->success && d->n_subtasks >= 2);
    for (int t = 0; t < d->length; t++) {
        CHECK(d->subtask[t] == (t == 0 ? 0 : d->subtask[t - 1]) || d->subtask[t] == d->subtask[t - 1] + 1);
    }
    CHECK_INT(d->subtask[d->length - 1], d->n_subtasks - 1);
    CHECK(strcmp(d->subtasks[d->n_subtasks - 1], "take the hand away") == 0);
    fw_demo_free(d);
    fw_env_close(env);
}

static void expert_clears_a_few_tables(void) {
    fw_env *env = open_bus();
    CHECK(expert_successes(env, 0, 910, 4) >= 3);
    fw_env_close(env);
}

FW_TEST_MAIN(T(cleared_counts_and_an_item_left_does_not), T(near_misses_are_misses),
             T(what_the_sentence_spares_must_stay), T(steps_follow_from_the_scene),
             T(a_peel_goes_before_the_other_rubbish),
             T(three_to_six_things_of_both_sorts_are_there_and_the_others_out_of_reach),
             T(demonstrations_carry_their_steps), T(expert_clears_a_few_tables))
