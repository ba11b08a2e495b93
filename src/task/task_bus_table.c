/*
 * task_bus_table.c - "clear the table: dishes into the sink, rubbish into the bin", all of it or all but what the sentence spares.
 *
 * A chain of errands: dishes first, a peel before the rubbish that it would roll off. Each has its own spot in the sink or bin, so that
 * nothing is dropped on what lies there.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/errands.h"
#include "task/grasps.h"
#include "task/scatter.h"
#include "task/setting_bus.h"

#define CARRY_M 0.17

/* What is spared, after each: {0} of everything; {1} of dishes and rubbish, said apart, so that some of both must be meant; {2} nothing. */
enum { SPARED, SPARED_OF_BOTH, SPARED_NONE };
static const char *const train[] = {
    "clear the table{0}",
    "bus the table{0}",
    "please tidy up the counter{0}",
    "dishes into the sink, rubbish into the bin{1}",
    "put the dishes in the sink and throw the rubbish away{1}",
    "clean up after the meal{0}",
    "clear everything away{0}",
    "could you clear the counter{0}",
    "take the dishes to the sink and the trash to the bin{1}",
    "the dirty dishes go into the sink and the waste goes into the bin{1}",
    "sort the things on the counter into the sink and the bin{1}",
    "make the counter empty again{2}",
    "bring what is to be washed to the sink and bin the rest{1}",
    "I want the table cleared{0}",
    NULL,
};
static const char *const held[] = {
    "do the clearing up{0}",
    "crockery to the sink, garbage to the bin{1}",
    "nothing should be left standing on the counter{2}",
    "tidy away the leftovers of lunch, washing-up in the sink and litter in the bin{1}",
    NULL,
};

/* Where each is put down, from the middle of the sink's or bin's floor; its own yaw where that matters. */
static const struct spot {
    const char *name;
    double x, y, z; /* of the object's origin, or middle if it is taken there; z of the hand */
    bool along_y;   /* so that the hand stays inside the sink's front edge */
} spots[BUS_N_OBJ] = {{"plate", -0.066, 0.055, -0.022, false}, {"bowl", 0.075, 0.080, -0.010, false},
                      {"mug", 0.100, -0.045, -0.028, false},   {"fork", -0.090, -0.070, -0.030, true},
                      {"spoon", -0.045, -0.070, -0.030, true}, {"paper", 0.050, 0.030, 0.080, false},
                      {"can", -0.040, -0.060, 0.090, false},   {"carton", 0.040, -0.055, 0.090, false},
                      {"peel", -0.035, 0.045, 0.080, false}};

static int region_of(int obj) {
    return obj < BUS_N_DISH ? BUS_SINK : BUS_BIN;
}

/* Words for what is spared: way 2 a thing, way 3 its sort; else nothing. */
static void spare(int way, int thing, char words[64]) {
    static const char *const sorts[] = {", but leave the dishes where they are", ", but do not touch the rubbish"};
    if (way == 2) {
        snprintf(words, 64, ", but leave the %s where it is", spots[thing].name);
    } else {
        snprintf(words, 64, "%s", way == 3 ? sorts[region_of(thing)] : "");
    }
}

/* In which they are cleared away. */
static const int order[BUS_N_OBJ] = {BUS_PLATE, BUS_BOWL,  BUS_MUG, BUS_FORK,  BUS_SPOON,
                                     BUS_PEEL,  BUS_PAPER, BUS_CAN, BUS_CARTON};

/* Everything; or all but one thing; or all but one sort. */
static bool mean(const fw_scene *s, fw_rng *r, fw_meant *m) {
    int there[BUS_N_OBJ], n = 0, of_sort[2] = {0, 0};
    for (int o = 0; o < BUS_N_OBJ; o++) {
        if (scatter_there(s, o)) {
            there[n++] = o;
        }
    }
    if (n == 0) {
        return false;
    }
    int way = (int)fw_rng_below(r, 4), spared = there[fw_rng_below(r, (uint64_t)n)];
    *m = (fw_meant){.to = -1};
    for (int i = 0; i < BUS_N_OBJ; i++) {
        int o = order[i];
        bool stays = way == 2 ? o == spared : way == 3 && region_of(o) == region_of(spared);
        if (scatter_there(s, o) && !stays) {
            m->obj[m->n++] = o;
            m->named |= BIT(o);
            of_sort[region_of(o)]++;
        }
    }
    spare(way, spared, m->slot[SPARED]);
    spare(way, spared, m->slot[SPARED_OF_BOTH]);
    m->unsaid =
        (of_sort[BUS_SINK] > 0 && of_sort[BUS_BIN] > 0 ? 0 : BIT(SPARED_OF_BOTH)) | (m->n == n ? 0 : BIT(SPARED_NONE));
    return m->n > 0;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    for (int i = 0; i < m->n; i++) {
        if (!goal_in_region(s, m->obj[i], region_of(m->obj[i]), 0, reason) || !goal_released(s, m->obj[i], reason)) {
            return false;
        }
    }
    return true;
}

static void errand(const fw_scene *s, int obj, fw_pick *p) {
    const fw_obj_view *o = &s->obj[obj];
    const fw_region_view *r = &s->region[region_of(obj)];
    *p = (fw_pick){.place_yaw = spots[obj].along_y ? copysign(M_PI / 2, s->arm[0].yaw) : (double)NAN,
                   .carry_m = CARRY_M};
    grasp_of(s, obj, p);
    const double at[2] = {r->pos[0] + spots[obj].x, r->pos[1] + spots[obj].y};
    bool by_rim = obj == BUS_PLATE || obj == BUS_BOWL;
    for (int k = 0; k < 2; k++) {
        p->place[k] = at[k] + (by_rim ? p->grasp.pos[k] - o->pos[k] : 0);
    }
    p->place[2] = spots[obj].z;
    p->placed = inside_region(s, obj, region_of(obj), 0);
}

static int errands(const fw_scene *s, const fw_meant *m, fw_pick p[FW_MEANT_MAX]) {
    for (int i = 0; i < m->n; i++) {
        errand(s, m->obj[i], &p[i]);
    }
    return m->n;
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    fw_pick p[FW_MEANT_MAX];
    errand_act(s, p, errands(s, m, p), out);
}

static void subtask(const fw_scene *s, const fw_meant *m, char out[FW_SUBTASK_LEN]) {
    fw_pick p[FW_MEANT_MAX];
    const fw_pick *now = errand_say(s, p, errands(s, m, p), out);
    if (now != NULL) {
        bool dish = region_of(now->obj) == BUS_SINK;
        snprintf(out, FW_SUBTASK_LEN, dish ? "put the %s in the sink" : "throw the %s in the bin",
                 spots[now->obj].name);
    }
}

extern const fw_task task_bus_table;
const fw_task task_bus_table = {.name = "bus_table",
                                .version = 3,
                                .setting = &setting_bus,
                                .time_s = 60,
                                .train = train,
                                .held = held,
                                .mean = mean,
                                .goal = goal,
                                .expert = expert,
                                .subtask = subtask};
