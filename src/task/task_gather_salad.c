/*
 * task_gather_salad.c - "put the tomato and the pepper in the bowl, not the carrot": two or three of the four to six that are there.
 *
 * Which ones are meant is said in one of five ways: by name, by name with a warning, by what is left out, by place, by colour.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/errands.h"
#include "task/grasps.h"
#include "task/scatter.h"
#include "task/setting_salad.h"

#define CARRY_M   0.18
#define RELEASE_M 0.062 /* the hand over the bowl's floor */
#define SPOT_M    0.036 /* from the bowl's middle */
#define CLEARLY_M 0.035 /* nearer, or further left, by so much: a person would say so */
enum { FEWEST = 2, MOST = 3 };

static const char *const train[] = {
    "put {0} in the bowl{1}",
    "gather {0} in the bowl{1}",
    "please put {0} into the salad bowl{1}",
    "make a salad of {0}{1}",
    "for the salad I need {0} in the bowl{1}",
    "collect {0} in the salad bowl{1}",
    "could you place {0} in the bowl{1}",
    "the salad gets {0}{1}",
    "bring {0} to the bowl{1}",
    "add {0} to the salad{1}",
    "I want {0} in the bowl{1}",
    "drop {0} into the salad bowl{1}",
    "take {0} and put them in the bowl{1}",
    "move {0} over into the bowl{1}",
    NULL,
};
static const char *const held[] = {
    "kindly fill the bowl with {0}{1}",
    "today's salad is {0}{1}",
    "would you toss {0} into the bowl{1}",
    "get {0} ready in the salad bowl{1}",
    NULL,
};

typedef struct basket {
    int n, obj[SALAD_N_FOOD];
} basket;

/* "the tomato, the egg and the onion" */
static void list(const fw_scene *s, const basket *b, char *out, size_t cap) {
    size_t at = 0;
    for (int i = 0; i < b->n && at < cap; i++) {
        const char *between = i == 0 ? "" : i + 1 < b->n ? ", " : " and ";
        int k = snprintf(out + at, cap - at, "%sthe %s", between, s->obj[b->obj[i]].name);
        at += k > 0 ? (size_t)k : 0;
    }
}

/* Move n drawn ones from `from` to `to`. */
static void take(basket *from, basket *to, int n, fw_rng *r) {
    for (int i = 0; i < n; i++) {
        int k = (int)fw_rng_below(r, (uint64_t)from->n);
        to->obj[to->n++] = from->obj[k];
        from->obj[k] = from->obj[--from->n];
    }
}

/* The two that are first by `key`, if clearly so; `most` is one of them. */
static bool first_two(const basket *there, const double key[SALAD_N_FOOD], basket *out) {
    basket b = *there;
    for (int i = 0; i < b.n; i++) {
        for (int k = i + 1; k < b.n; k++) {
            if (key[b.obj[k]] < key[b.obj[i]]) {
                int t = b.obj[i];
                b.obj[i] = b.obj[k];
                b.obj[k] = t;
            }
        }
    }
    *out = (basket){2, {b.obj[0], b.obj[1]}};
    return key[b.obj[2]] - key[b.obj[1]] > CLEARLY_M;
}

static bool by_place(const fw_scene *s, const basket *there, fw_rng *r, basket *wanted, char slot[64]) {
    static const char *const words[] = {"the two on the far left", "the two on the far right",
                                        "the two that are nearest to the bowl",
                                        "the two that are farthest from the bowl"};
    const double *bowl = s->obj[SALAD_BOWL].start;
    double key[SALAD_N_FOOD];
    int way = (int)fw_rng_below(r, 4);
    for (int o = 0; o < SALAD_N_FOOD; o++) {
        const double *p = s->obj[o].start;
        double off = hypot(p[0] - bowl[0], p[1] - bowl[1]);
        key[o] = way == 0 ? -p[1] : way == 1 ? p[1] : way == 2 ? off : -off;
    }
    snprintf(slot, 64, "%s", words[way]);
    return first_two(there, key, wanted);
}

static bool by_colour(const basket *there, basket *wanted, char slot[64]) {
    *wanted = (basket){0};
    for (int i = 0; i < there->n; i++) {
        if (there->obj[i] < SALAD_N_GREEN) {
            wanted->obj[wanted->n++] = there->obj[i];
        }
    }
    snprintf(slot, 64, "everything green");
    return wanted->n >= FEWEST;
}

static bool mean(const fw_scene *s, fw_rng *r, fw_meant *m) {
    basket there = {0}, wanted = {0};
    for (int o = 0; o < SALAD_N_FOOD; o++) {
        if (scatter_there(s, o)) {
            there.obj[there.n++] = o;
        }
    }
    if (there.n <= FEWEST) {
        return false;
    }
    *m = (fw_meant){.to = SALAD_INSIDE};
    int way = (int)fw_rng_below(r, 5), n = FEWEST + (int)fw_rng_below(r, MOST - FEWEST + 1);
    bool said = (way == 0 && by_place(s, &there, r, &wanted, m->slot[0])) ||
                (way == 1 && by_colour(&there, &wanted, m->slot[0]));
    if (!said) {
        wanted.n = 0;
        n = n < there.n ? n : there.n - 1;
        take(&there, &wanted, n, r);
        if (way == 2 && there.n <= 2) {
            char rest[48];
            list(s, &there, rest, sizeof rest);
            snprintf(m->slot[0], sizeof m->slot[0], "everything but %s", rest);
        } else {
            list(s, &wanted, m->slot[0], sizeof m->slot[0]);
        }
        if (way == 3) {
            snprintf(m->slot[1], sizeof m->slot[1], ", not the %s", s->obj[there.obj[0]].name);
        }
    }
    for (int i = 0; i < wanted.n; i++) {
        m->obj[m->n++] = wanted.obj[i];
        m->named |= BIT(wanted.obj[i]);
    }
    return true;
}

static bool in_bowl(const fw_scene *s, int obj) {
    return inside_region(s, obj, SALAD_INSIDE, 0) && !s->obj[obj].touches_world;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    if (s->obj[SALAD_BOWL].up < 0.95) {
        return goal_no(reason, "salad bowl", "not upright");
    }
    for (int o = 0; o < SALAD_N_FOOD; o++) {
        bool wanted = (m->named & BIT(o)) != 0;
        if (wanted != in_bowl(s, o)) {
            return goal_no(reason, s->obj[o].name, wanted ? "not in the bowl" : "in the bowl, yet not wanted");
        }
        if (wanted && !goal_released(s, o, reason)) {
            return false;
        }
    }
    return goal_released(s, SALAD_BOWL, reason);
}

/* Each to its own third of the bowl, long ones along its wall. */
static int errands(const fw_scene *s, const fw_meant *m, fw_pick p[FW_MEANT_MAX]) {
    const double *in = s->region[SALAD_INSIDE].pos;
    for (int i = 0; i < m->n; i++) {
        double third = 2 * M_PI * i / 3, yaw = expert_half_turn(&s->arm[0], third + M_PI / 2);
        const fw_obj_view *o = &s->obj[m->obj[i]];
        p[i] = (fw_pick){.place_yaw = o->radius > 0.045 ? yaw : (double)NAN, .carry_m = CARRY_M, .release = 0.75};
        grasp_of(s, m->obj[i], &p[i]);
        p[i].place[0] = in[0] + SPOT_M * cos(third);
        p[i].place[1] = in[1] + SPOT_M * sin(third);
        p[i].place[2] = in[2] + RELEASE_M;
        p[i].placed = in_bowl(s, m->obj[i]);
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
        snprintf(out, FW_SUBTASK_LEN, "put the %s in the bowl", s->obj[now->obj].name);
    }
}

extern const fw_task task_gather_salad;
const fw_task task_gather_salad = {.name = "gather_salad",
                                   .version = 1,
                                   .setting = &setting_salad,
                                   .time_s = 45,
                                   .train = train,
                                   .held = held,
                                   .mean = mean,
                                   .goal = goal,
                                   .expert = expert,
                                   .subtask = subtask};
