/* ctest: timeout=120 */
/*
 * What a sentence says against what its goal means. A reader of each task that names things by words knows the language and nothing of
 * the task's code: it takes from every phrasing which things are asked for, and refuses a sentence that contradicts itself.
 */
#include <string.h>

#include "fw_test.h"
#include "task/setting_bus.h"
#include "task/setting_drawer.h"
#include "task/setting_place.h"
#include "task/setting_salad.h"
#include "task/task_int.h"

enum { DRAWS = 2000 };

/* What stands in a scene, by name; the things that are not there hang below. */
typedef struct cast {
    const char *const *name;
    int n, least, most; /* things; how many are there */
} cast;

static bool says(const char *text, const char *words) {
    return strstr(text, words) != NULL;
}

static bool says_any(const char *text, const char *const *words) {
    for (; *words != NULL; words++) {
        if (says(text, *words)) {
            return true;
        }
    }
    return false;
}

static uint32_t named(const char *text, const cast *c) {
    uint32_t set = 0;
    for (int o = 0; o < c->n; o++) {
        char the[40];
        snprintf(the, sizeof the, "the %s", c->name[o]);
        set |= says(text, the) ? BIT(o) : 0;
    }
    return set;
}

/* --- readers: the things that the sentence asks for; 0: it contradicts itself */
typedef uint32_t reader(const char *text, const fw_scene *s, uint32_t there, const cast *c);

enum { DISHES = BIT(BUS_N_DISH) - 1 };

static uint32_t read_bus(const char *text, const fw_scene *s, uint32_t there, const cast *c) {
    static const char *const dishes[] = {"dish", "crockery", "wash", "the sink", NULL};
    static const char *const rubbish[] = {"rubbish", "trash", "waste", "garbage", "litter", "bin", NULL};
    static const char *const nothing[] = {"empty", "nothing", NULL};
    const char *but = strstr(text, ", but ");
    char head[FW_SENTENCE_LEN];
    uint32_t spared = 0;
    (void)s;
    snprintf(head, sizeof head, "%.*s", but != NULL ? (int)(but - text) : (int)strlen(text), text);
    if (but != NULL) {
        spared = says(but, "the dishes") ? DISHES : says(but, "the rubbish") ? ~(uint32_t)DISHES : named(but, c);
    }
    uint32_t meant = there & ~spared;
    if ((says_any(head, dishes) && (meant & DISHES) == 0) ||
        (says_any(head, rubbish) && (meant & ~(uint32_t)DISHES) == 0)) {
        return 0;
    }
    return (spared & there) == 0 && but != NULL ? 0 : says_any(head, nothing) && but != NULL ? 0 : meant;
}

static uint32_t read_place(const char *text, const fw_scene *s, uint32_t there, const cast *c) {
    static const struct {
        const char *words;
        uint32_t set;
    } groups[] = {{"to the left of the plate", BIT(PLACE_FORK)},
                  {"to the right of the plate", BIT(PLACE_KNIFE) | BIT(PLACE_SPOON)},
                  {"behind the plate", BIT(PLACE_MUG)},
                  {"not cutlery", BIT(PLACE_PLATE) | BIT(PLACE_MUG)},
                  {"the cutlery", BIT(PLACE_FORK) | BIT(PLACE_KNIFE) | BIT(PLACE_SPOON)},
                  {"not go to the left", ~(uint32_t)BIT(PLACE_FORK)}};
    const char *but = strstr(text, "everything but ");
    (void)s;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (says(text, groups[i].words)) {
            return there & groups[i].set;
        }
    }
    uint32_t things = named(text, c);
    if ((things & ~there) != 0) {
        return 0;
    }
    return but != NULL ? there & ~things : says(text, "everything") ? there : things;
}

/* The two of `there` with the smallest key. */
static uint32_t first_two(uint32_t there, const double *key, int n) {
    uint32_t two = 0;
    for (int i = 0; i < 2; i++) {
        int best = -1;
        for (int o = 0; o < n; o++) {
            bool free = (there & BIT(o)) != 0 && (two & BIT(o)) == 0;
            best = free && (best < 0 || key[o] < key[best]) ? o : best;
        }
        two |= best >= 0 ? BIT(best) : 0;
    }
    return two;
}

static uint32_t read_two(const char *text, const fw_scene *s, uint32_t there) {
    double key[SALAD_N_FOOD];
    for (int o = 0; o < SALAD_N_FOOD; o++) {
        const double *p = s->obj[o].start, *bowl = s->obj[SALAD_BOWL].start;
        double off = hypot(p[0] - bowl[0], p[1] - bowl[1]);
        key[o] = says(text, "far left") ? -p[1] : says(text, "far right") ? p[1] : says(text, "nearest") ? off : -off;
    }
    return first_two(there, key, SALAD_N_FOOD);
}

static uint32_t read_salad(const char *text, const fw_scene *s, uint32_t there, const cast *c) {
    const char *no = strstr(text, ", not the ");
    char head[FW_SENTENCE_LEN];
    snprintf(head, sizeof head, "%.*s", no != NULL ? (int)(no - text) : (int)strlen(text), text);
    uint32_t things = named(head, c), meant = things;
    if (says(head, "everything but ")) {
        meant = there & ~things;
    } else if (says(head, "everything green")) {
        meant = there & (BIT(SALAD_CUCUMBER) | BIT(SALAD_LETTUCE));
    } else if (says(head, "the two ")) {
        meant = read_two(head, s, there);
    }
    uint32_t warned = no != NULL ? named(no, c) : 0;
    bool sound =
        (things & ~there) == 0 && (warned & meant) == 0 && (warned & ~there) == 0 && (no == NULL || warned != 0);
    return sound ? meant : 0;
}

static uint32_t read_drawer(const char *text, const fw_scene *s, uint32_t there, const cast *c) {
    bool first_left = s->obj[DRAWER_BLOCK_1].start[1] > s->obj[DRAWER_BLOCK_2].start[1];
    uint32_t left = first_left ? BIT(DRAWER_BLOCK_1) : BIT(DRAWER_BLOCK_2);
    uint32_t blocks = BIT(DRAWER_BLOCK_1) | BIT(DRAWER_BLOCK_2), toys = BIT(DRAWER_CAR) | BIT(DRAWER_DUCK);
    (void)c;
    if (says(text, "block")) {
        bool is_left = says(text, "left") != says(text, "not on the");
        return there & (is_left ? left : blocks & ~left);
    }
    uint32_t one = says(text, "the duck") ? BIT(DRAWER_DUCK) : says(text, "the car") ? BIT(DRAWER_CAR) : 0;
    return says(text, "that is not") ? toys & ~one : one;
}

/* --- scenes: any things, anywhere */
static const char *const bus_names[] = {"plate", "bowl", "mug", "fork", "spoon", "paper", "can", "carton", "peel"};
static const char *const place_names[] = {"plate", "fork", "knife", "spoon", "mug"};
static const char *const salad_names[] = {"cucumber", "lettuce", "tomato",   "pepper", "carrot",
                                          "onion",    "egg",     "mushroom", "cheese", "salad bowl"};
static const char *const drawer_names[] = {"block", "block", "car", "duck"};

static const struct {
    const char *task;
    cast cast;
    reader *read;
} spoken[] = {{"bus_table", {bus_names, BUS_N_OBJ, 3, 6}, read_bus},
              {"set_place", {place_names, PLACE_N_OBJ, 3, 5}, read_place},
              {"gather_salad", {salad_names, SALAD_N_FOOD, 4, 6}, read_salad},
              {"put_in_drawer", {drawer_names, DRAWER_N_OBJ, 4, 4}, read_drawer}};
enum { N_SPOKEN = sizeof spoken / sizeof *spoken };

static uint32_t draw(const cast *c, fw_rng *r, fw_scene *s) {
    int n = c->least + (int)fw_rng_below(r, (uint64_t)(c->most - c->least) + 1);
    uint32_t there = 0;
    while (__builtin_popcount(there) < n) {
        there |= BIT(fw_rng_below(r, (uint64_t)c->n));
    }
    *s = (fw_scene){.n_arm = 1, .n_obj = c->n};
    for (int o = 0; o < FW_OBJ_MAX; o++) {
        fw_obj_view *v = &s->obj[o];
        v->name = v->kind = o < c->n ? c->name[o] : "other";
        v->start[0] = fw_rng_uniform(r, 0.3, 0.7);
        v->start[1] = fw_rng_uniform(r, -0.3, 0.3);
        v->start[2] = o >= c->n || (there & BIT(o)) != 0 ? 0 : -0.8;
    }
    return there;
}

static void check_sentences(int k, const char *const *text, const fw_scene *s, uint32_t there, const fw_meant *m,
                            int *n_said) {
    int here = 0;
    for (int i = 0; text[i] != NULL; i++) {
        char said[FW_SENTENCE_LEN];
        if (!task_say(text[i], m, said)) {
            continue;
        }
        uint32_t asked = spoken[k].read(said, s, there, &spoken[k].cast);
        if (asked != m->named) {
            FW_FAILED("%s: \"%s\": things 0x%x are there, it asks for 0x%x, the goal means 0x%x", spoken[k].task, said,
                      there, asked, m->named);
        }
        n_said[i]++, here++;
    }
    CHECK(here > 0); /* something can always be said */
}

static void each_sentence_asks_for_what_its_goal_means(void) {
    for (int k = 0; k < N_SPOKEN; k++) {
        const fw_task *t = task_find(spoken[k].task);
        fw_rng r = fw_rng_stream(5, t->name);
        int said[2][64] = {{0}}, offered = 0;
        for (int i = 0; i < DRAWS; i++) {
            fw_scene s;
            fw_meant m = {.to = -1};
            uint32_t there = draw(&spoken[k].cast, &r, &s), objects = 0;
            if (!t->mean(&s, &r, &m)) {
                continue;
            }
            for (int o = 0; o < m.n; o++) {
                objects |= BIT(m.obj[o]);
            }
            if (objects != m.named || (m.named & ~there) != 0 || m.n == 0) {
                FW_FAILED("%s: things 0x%x are there, 0x%x meant, 0x%x may move", t->name, there, objects, m.named);
            }
            check_sentences(k, t->train, &s, there, &m, said[0]);
            check_sentences(k, t->held, &s, there, &m, said[1]);
            offered++;
        }
        CHECK(offered > DRAWS / 2);
        for (int i = 0; t->train[i] != NULL; i++) { /* and none is shut out for good */
            CHECK(said[0][i] > DRAWS / 20);
        }
        for (int i = 0; t->held[i] != NULL; i++) {
            CHECK(said[1][i] > DRAWS / 20);
        }
    }
}

/* The readers themselves: they see a contradiction where there is one. */
static void a_sentence_that_contradicts_itself_is_seen(void) {
    const cast *bus = &spoken[0].cast, *place = &spoken[1].cast, *salad = &spoken[2].cast;
    uint32_t there = BIT(BUS_PLATE) | BIT(BUS_MUG) | BIT(BUS_CAN), food = BIT(SALAD_TOMATO) | BIT(SALAD_EGG);
    fw_scene s = {.n_obj = 1};
    CHECK(read_bus("the waste goes into the bin, but do not touch the rubbish", &s, there, bus) == 0);
    CHECK(read_bus("dishes into the sink, rubbish into the bin, but leave the can where it is", &s, there, bus) == 0);
    CHECK(read_bus("make the counter empty again, but leave the mug where it is", &s, there, bus) == 0);
    CHECK(read_bus("clear the table, but leave the fork where it is", &s, there, bus) == 0);
    CHECK(read_bus("clear the table, but leave the mug where it is", &s, there, bus) == (there & ~BIT(BUS_MUG)));
    CHECK(read_bus("clear the table, but do not touch the rubbish", &s, there, bus) == (there & DISHES));
    CHECK(read_place("set the table with everything but the plate", &s, BIT(PLACE_PLATE), place) == 0);
    CHECK(read_salad("put the tomato and the egg in the bowl, not the egg", &s, food, salad) == 0);
    CHECK(read_salad("put the tomato in the bowl, not the egg", &s, food, salad) == BIT(SALAD_TOMATO));
}

/* Tasks whose sentences are the same in every scene: each names what it is about. */
static const struct {
    const char *task, *words[8];
} fixed[] = {{"plate_in_sink", {"plate", "dish"}},
             {"mug_in_sink", {"mug", "cup"}},
             {"bowl_in_sink", {"bowl"}},
             {"banana_on_plate", {"banana", "fruit"}},
             {"banana_twin", {"banana", "fruit"}},
             {"block_on_tray", {"block", "cube"}},
             {"wipe_spill", {"wipe", "spill", "sponge", "stain"}},
             {"make_coffee", {"coffee", "brew", "mug"}},
             {"fold_towel", {"towel", "cloth"}},
             {"fold_garment", {"shirt", "sleeves", "garment", "tee", "top"}},
             {"fold_carton", {"carton", "box"}},
             {"tuck_flaps", {"flaps"}}};

static void check_fixed(const fw_task *t, const char *const *text) {
    for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++) {
        for (int i = 0; strcmp(t->name, fixed[k].task) == 0 && text[i] != NULL; i++) {
            if (!says_any(text[i], fixed[k].words) || says(text[i], "{")) {
                FW_FAILED("%s: \"%s\" does not say what it is about", t->name, text[i]);
            }
        }
    }
}

static void every_task_has_its_words(void) {
    for (int i = 0; task_at(i) != NULL; i++) {
        const fw_task *t = task_at(i);
        bool known = false;
        for (int k = 0; k < N_SPOKEN; k++) {
            known = known || (strcmp(t->name, spoken[k].task) == 0 && t->mean != NULL);
        }
        for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++) {
            known = known || (strcmp(t->name, fixed[k].task) == 0 && t->mean == NULL);
        }
        if (!known) {
            FW_FAILED("task %s: what its sentences mean is not read here", t->name);
        }
        check_fixed(t, t->train);
        check_fixed(t, t->held);
    }
}

FW_TEST_MAIN(T(each_sentence_asks_for_what_its_goal_means), T(a_sentence_that_contradicts_itself_is_seen),
             T(every_task_has_its_words))
