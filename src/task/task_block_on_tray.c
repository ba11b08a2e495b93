/* "put the block on the tray": the pick and place that every robot must be able to do; sizes and places follow its reach. */
#include <math.h>

#include "task/setting_table.h"
#include "task/task_int.h"

static const char *const train[] = {
    "put the block on the tray",
    "place the block onto the tray",
    "please put the cube on the tray",
    "move the block to the tray",
    "drop the cube on the tray",
    "take the block and put it on the tray",
    "could you put the block on the tray",
    "the cube goes onto the tray",
    "set the block down on the tray",
    "carry the cube over to the tray",
    "pick up the block and place it on the tray",
    "I want the block on the tray",
    "lay the cube on the tray",
    "would you move the block onto the tray please",
    NULL,
};
static const char *const held[] = {
    "kindly deposit the block on the tray",
    "grab the cube and leave it on the tray",
    "get the block onto the tray for me",
    "transfer the cube to the tray",
    NULL,
};

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    return goal_in_region(s, TABLE_BLOCK, TABLE_TRAY, 0.0, reason) && goal_released(s, TABLE_BLOCK, reason);
}

/* Of two arms, the one whose hand is nearer: each reaches block and tray, and one that has begun stays the nearer. */
static int arm_for(const fw_scene *s, const fw_obj_view *b) {
    int best = 0;
    for (int a = 1; a < s->n_arm; a++) {
        const double *p = s->arm[a].pos, *q = s->arm[best].pos;
        best = hypot(p[0] - b->pos[0], p[1] - b->pos[1]) < hypot(q[0] - b->pos[0], q[1] - b->pos[1]) ? a : best;
    }
    return best;
}

/* A block has four sides: take those that keep the wrist near its middle, where a base stands straight: not as it sways just now. */
static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const fw_obj_view *b = &s->obj[TABLE_BLOCK];
    int arm = arm_for(s, b);
    const double *tray = s->region[TABLE_TRAY].pos, *hand = s->arm[arm].pos;
    bool in_hand = (b->held_by & BIT(arm)) != 0;
    double home_yaw = s->arm[arm].home_yaw - s->base[2], yaw = home_yaw + remainder(b->yaw - home_yaw, M_PI / 2);
    double above = in_hand ? hand[2] - b->pos[2] : b->height / 2; /* where the fingers have it */
    const fw_pick pick = {.arm = arm,
                          .obj = TABLE_BLOCK,
                          .open = 1,
                          .grasp = {{b->mid[0], b->mid[1], fmax(b->mid[2], 0.014)}, yaw},
                          .place = {tray[0], tray[1], tray[2] + 0.022 + above},
                          .place_yaw = NAN,
                          .placed = inside_region(s, TABLE_BLOCK, TABLE_TRAY, 0.0)};
    expert_pick(s, &pick, out);
}

extern const fw_task task_block_on_tray;
const fw_task task_block_on_tray = {.name = "block_on_tray",
                                    .version = 2,
                                    .setting = &setting_table,
                                    .time_s = 20,
                                    .train = train,
                                    .held = held,
                                    .obj = TABLE_BLOCK,
                                    .named = BIT(TABLE_BLOCK),
                                    .goal = goal,
                                    .expert = expert};
