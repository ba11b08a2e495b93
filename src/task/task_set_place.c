/*
 * task_set_place.c - "set the table with the plate and the fork": plate in the middle, fork at its left, knife and spoon at its right,
 * mug behind; the diner sits where the robot stands.
 *
 * A chain of errands, plate first and mug last, so that what is put down leaves room for the hand that brings the next. Cutlery must
 * point away from the diner. What lies the other way round is turned as far as the wrist can where it lay, and taken anew.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/errands.h"
#include "task/grasps.h"
#include "task/scatter.h"
#include "task/setting_place.h"
#include "task/skill_int.h"

#define CARRY_M   0.16
#define WRIST_RAD 1.9 /* as far as the hand turns, less some room */
#define AWRY_RAD  0.5 /* cutlery may lie so far from straight */
#define LEVEL_UP  0.95

static const char *const train[] = {
    "set the table with {0}",
    "lay {0} on the place mat",
    "set a place with {0}",
    "please set {0} on the mat",
    "put {0} where it belongs on the mat",
    "for the place setting I need {0}",
    "could you lay the table with {0}",
    "arrange {0} on the place mat",
    "the place mat gets {0}",
    "I want {0} on the mat, each in its place",
    "prepare a place: {0}",
    "set my place with {0} please",
    "bring {0} to the place mat",
    "lay a place, using {0}",
    NULL,
};
static const char *const held[] = {
    "I would like to eat: lay out {0}",
    "the guest needs {0} at their seat",
    "position {0} on the mat as is proper",
    "deck the place mat with {0}",
    NULL,
};

static const struct thing {
    const char *name, *where; /* where: after "put the plate" */
    bool long_thing;
    double above; /* m: the grasp over its underside */
    double release;
} things[PLACE_N_OBJ] = {{"plate", "in the middle of the mat", false, 0.019, 0.5},
                         {"fork", "to the left of the plate", true, 0.014, 0.5},
                         {"knife", "to the right of the plate", true, 0.014, 0.5},
                         {"spoon", "to the right of the knife", true, 0.014, 0.5},
                         {"mug", "behind the plate", false, 0.043, 0}};

enum { CUTLERY = BIT(PLACE_FORK) | BIT(PLACE_KNIFE) | BIT(PLACE_SPOON), ALL = BIT(PLACE_N_OBJ) - 1 };

/* --- words */
static int count(uint32_t set) {
    return __builtin_popcount(set);
}

/* "the plate, the fork and the mug" */
static void list(uint32_t set, const char *before, char out[64]) {
    int left = count(set), n = snprintf(out, 64, "%s", before);
    for (int o = 0; o < PLACE_N_OBJ; o++) {
        if ((set & BIT(o)) != 0) {
            left--;
            n += snprintf(out + n, (size_t)(64 - n), "the %s%s", things[o].name,
                          left > 1    ? ", "
                          : left == 1 ? " and "
                                      : "");
        }
    }
}

static uint32_t some(uint32_t of, int n, fw_rng *r) {
    uint32_t set = 0;
    while (count(set) < n) {
        set |= of & BIT(fw_rng_below(r, PLACE_N_OBJ));
    }
    return set;
}

/* By name; by what is left out; by where it goes; by its sort. Returns the wanted ones, 0 where the scene offers no such case. */
static uint32_t want(uint32_t there, int way, fw_rng *r, char words[64]) {
    static const struct {
        uint32_t set;
        const char *words;
    } groups[] = {{BIT(PLACE_FORK), "what goes to the left of the plate"},
                  {BIT(PLACE_KNIFE) | BIT(PLACE_SPOON), "what goes to the right of the plate"},
                  {BIT(PLACE_MUG), "what goes behind the plate"},
                  {CUTLERY, "the cutlery, not the rest"},
                  {ALL & ~(uint32_t)CUTLERY, "all that is not cutlery"},
                  {ALL & ~(uint32_t)BIT(PLACE_FORK), "all that does not go to the left"},
                  {ALL, "everything"}};
    uint32_t set;
    uint64_t group;
    switch (way) {
    case 0:
        set = some(there, 1 + (int)fw_rng_below(r, (uint64_t)count(there) - 1), r);
        list(set, "", words);
        return set;
    case 1:
        set = some(there, 1 + (int)fw_rng_below(r, 2), r);
        list(set, "everything but ", words);
        return there & ~set;
    default:
        group = fw_rng_below(r, sizeof groups / sizeof *groups);
        snprintf(words, 64, "%s", groups[group].words);
        return there & groups[group].set;
    }
}

static bool mean(const fw_scene *s, fw_rng *r, fw_meant *m) {
    uint32_t there = 0;
    for (int o = 0; o < PLACE_N_OBJ; o++) {
        there |= scatter_there(s, o) ? BIT(o) : 0;
    }
    if (count(there) < 3) {
        return false;
    }
    *m = (fw_meant){.to = -1};
    for (int way = (int)fw_rng_below(r, 3); m->named == 0;) {
        m->named = want(there, way, r, m->slot[0]);
    }
    for (int o = 0; o < PLACE_N_OBJ; o++) {
        if ((m->named & BIT(o)) != 0) {
            m->obj[m->n++] = o;
        }
    }
    return true;
}

/* --- the judge */
static double awry(const fw_scene *s, int obj) {
    return remainder(s->region[PLACE_SPOT + obj].yaw - s->obj[obj].yaw, 2 * M_PI);
}

static bool set_right(const fw_scene *s, int obj, char reason[160]) {
    const fw_obj_view *o = &s->obj[obj];
    if (!goal_in_region(s, obj, PLACE_SPOT + obj, 0, reason)) {
        return false;
    }
    if (!o->touches_world) {
        return goal_no(reason, o->name, "not on the table");
    }
    if ((things[obj].long_thing ? fabs(o->up) : o->up) < LEVEL_UP) {
        return goal_no(reason, o->name, "not level");
    }
    if (things[obj].long_thing && fabs(awry(s, obj)) > AWRY_RAD) {
        return goal_no(reason, o->name, "points the wrong way");
    }
    return true;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    for (int i = 0; i < m->n; i++) {
        if (!set_right(s, m->obj[i], reason) || !goal_released(s, m->obj[i], reason)) {
            return false;
        }
    }
    return true;
}

/* --- the expert */
/* Cutlery: the hand's yaw is its own, or the half turn of it that the wrist has. */
static void aim_long(const fw_scene *s, int obj, fw_pick *p) {
    const fw_obj_view *o = &s->obj[obj];
    p->grasp.yaw = fabs(o->yaw) < WRIST_RAD ? o->yaw : o->yaw - copysign(M_PI, o->yaw);
    if (skill_holds(s, obj)) {
        p->place_yaw = s->arm[0].yaw + awry(s, obj);
        if (fabs(p->place_yaw) > WRIST_RAD) { /* back to where it lay, turned as far as can be */
            p->place_yaw = copysign(WRIST_RAD - 0.05, p->place_yaw);
            p->place[0] = o->start[0], p->place[1] = o->start[1];
        }
    }
}

static void errand(const fw_scene *s, int obj, fw_pick *p) {
    char why[160];
    const fw_obj_view *o = &s->obj[obj];
    const fw_region_view *r = &s->region[PLACE_SPOT + obj];
    *p = (fw_pick){.place = {r->pos[0], r->pos[1], things[obj].above + 0.003},
                   .place_yaw = NAN,
                   .placed = set_right(s, obj, why),
                   .carry_m = CARRY_M,
                   .release = things[obj].release};
    grasp_of(s, obj, p);
    if (things[obj].long_thing) {
        aim_long(s, obj, p);
    }
    for (int k = 0; k < 2; k++) { /* its middle goes there, wherever the hand has it */
        p->place[k] += (skill_holds(s, obj) ? s->arm[0].pos[k] : p->grasp.pos[k]) - o->mid[k];
    }
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
        snprintf(out, FW_SUBTASK_LEN, "put the %s %s", things[now->obj].name, things[now->obj].where);
    }
}

extern const fw_task task_set_place;
const fw_task task_set_place = {.name = "set_place",
                                .version = 1,
                                .setting = &setting_place,
                                .time_s = 50,
                                .train = train,
                                .held = held,
                                .mean = mean,
                                .goal = goal,
                                .expert = expert,
                                .subtask = subtask};
