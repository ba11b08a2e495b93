/* "put the bowl in the sink": pinch its rim where the fingers find room, hang it into the sink, let go. */
#include <math.h>

#include "task/setting_kitchen.h"
#include "task/task_int.h"

#define WALL_IN_M 0.007 /* the middle of the wall where it is pinched, inside the bowl's circle */
#define PINCH_M   0.013 /* where it is pinched, below its edge */
#define FINGER_M  0.030 /* the outer finger, before it closes */
#define N_SIDE    8

static const char *const train[] = {
    "put the bowl in the sink",
    "place the bowl into the sink",
    "please put the bowl in the sink",
    "move the bowl to the sink",
    "drop the bowl in the sink",
    "take the bowl and put it in the sink",
    "could you put the bowl in the sink",
    "the bowl goes into the sink",
    "set the bowl down in the sink",
    "carry the bowl over to the sink",
    "pick up the bowl and place it in the sink",
    "I want the bowl in the sink",
    "bring the cereal bowl to the sink",
    "clear the bowl away into the sink",
    "the dirty bowl belongs in the sink",
    "would you move the bowl into the sink please",
    NULL,
};
static const char *const held[] = {
    "kindly deposit the bowl in the sink",
    "grab the bowl and leave it in the sink",
    "get the bowl into the sink for me",
    "transfer the cereal bowl to the sink",
    NULL,
};

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    return goal_in_region(s, KITCHEN_BOWL, KITCHEN_SINK, 0.02, reason) && goal_released(s, KITCHEN_BOWL, reason);
}

/* Room for the outer finger at this side of the bowl: m to the nearest other thing. */
static double room_at(const fw_scene *s, double side) {
    const fw_obj_view *b = &s->obj[KITCHEN_BOWL];
    double out = b->radius + FINGER_M, x = b->pos[0] + out * cos(side), y = b->pos[1] + out * sin(side), room = 1;
    for (int o = 0; o < s->n_obj; o++) {
        const fw_obj_view *v = &s->obj[o];
        if (o != KITCHEN_BOWL) {
            room = fmin(room, hypot(v->pos[0] - x, v->pos[1] - y) - v->radius);
        }
    }
    return room;
}

/* The side away from the sink, or the next one to it that has room. */
static double choose_side(const fw_scene *s) {
    static const int turns[N_SIDE] = {0, 1, -1, 2, -2, 3, -3, 4};
    double away = s->region[KITCHEN_SINK].pos[1] > 0 ? -M_PI / 2 : M_PI / 2, best = away, most = -1;
    for (int i = 0; i < N_SIDE; i++) {
        double side = away + turns[i] * 2 * M_PI / N_SIDE, room = fmin(room_at(s, side), 0.015);
        if (room > most + 0.001) {
            most = room;
            best = side;
        }
    }
    return best;
}

/* The bowl hangs where the fingers took it: aim with its middle, not with the hand's. */
static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const fw_obj_view *b = &s->obj[KITCHEN_BOWL];
    const double *sink = s->region[KITCHEN_SINK].pos, *hand = s->arm[0].pos;
    double side = choose_side(s), r = b->radius - WALL_IN_M;
    const fw_pick pick = {
        .obj = KITCHEN_BOWL,
        .open = 0.5,
        .grasp = {{b->pos[0] + r * cos(side), b->pos[1] + r * sin(side), b->pos[2] + b->height - PINCH_M},
                  expert_half_turn(side + M_PI / 2)},
        .place = {sink[0] + hand[0] - b->mid[0], sink[1] + hand[1] - b->mid[1], -0.028},
        .place_yaw = NAN,
        .carry_m = KITCHEN_CARRY_M,
        .placed = inside_region(s, KITCHEN_BOWL, KITCHEN_SINK, 0.02)};
    expert_pick(s, &pick, out);
}

extern const fw_task task_bowl_in_sink;
const fw_task task_bowl_in_sink = {.name = "bowl_in_sink",
                                   .version = 1,
                                   .setting = &setting_kitchen,
                                   .time_s = 16,
                                   .train = train,
                                   .held = held,
                                   .obj = KITCHEN_BOWL,
                                   .named = BIT(KITCHEN_BOWL),
                                   .goal = goal,
                                   .expert = expert};
