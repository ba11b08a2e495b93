/* "fold the shirt": right sleeve in, left sleeve in, then the hem up to the shoulders. */
#include "task/fold.h"
#include "task/setting_laundry.h"

enum { TIP_ROW = 9, TOP = FW_SHIRT_ROWS - 1, LEFT = 3, RIGHT = FW_SHIRT_COLS - 4, N_STAGE = 3 };

static const fold_grid grid = {FW_SHIRT_ROWS, FW_SHIRT_COLS, fw_part_shirt_vertex};

static fold_stage stage(const fw_scene *s, int k) {
    double d = s->cloth.spacing;
    int r = TIP_ROW;
    const fold_move none = {-1, -1, 0};
    const fold_move sleeve[2] = {{fw_part_shirt_vertex(r, 0), fw_part_shirt_vertex(r, 2 * LEFT), 2 * LEFT * d},
                                 {fw_part_shirt_vertex(r, FW_SHIRT_COLS - 1),
                                  fw_part_shirt_vertex(r, FW_SHIRT_COLS - 1 - 2 * LEFT), 2 * LEFT * d}};
    const fold_move hem[2] = {{fw_part_shirt_vertex(0, LEFT), fw_part_shirt_vertex(TOP, LEFT), TOP * d},
                              {fw_part_shirt_vertex(0, RIGHT), fw_part_shirt_vertex(TOP, RIGHT), TOP * d}};
    return k == 0   ? (fold_stage){{sleeve[0], none}}
           : k == 1 ? (fold_stage){{none, sleeve[1]}}
                    : (fold_stage){{hem[0], hem[1]}};
}

/* The first that is not done; but what a hand holds comes first, and after the hem nothing under it can be mended. */
static int stage_now(const fw_scene *s) {
    fold_stage hem = stage(s, 2);
    for (int k = 0; k < N_STAGE; k++) {
        fold_stage f = stage(s, k);
        if (fold_stage_held(s, &f)) {
            return k;
        }
    }
    for (int k = 0; k < N_STAGE - 1 && !fold_stage_done(s, &hem); k++) {
        fold_stage f = stage(s, k);
        if (!fold_stage_done(s, &f)) {
            return k;
        }
    }
    return N_STAGE - 1;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    fold_stage left = stage(s, 0), right = stage(s, 1), hem = stage(s, 2);
    return fold_laid(s, &left.hand[0], 0.05, "one sleeve", reason) &&
           fold_laid(s, &right.hand[1], 0.05, "the other sleeve", reason) &&
           fold_laid(s, &hem.hand[0], 0.05, "hem", reason) && fold_laid(s, &hem.hand[1], 0.05, "hem", reason) &&
           fold_neat(s, &grid, 0.32, 0.54, 0.08, reason) && fold_released(s, &grid, reason);
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    fold_stage f = stage(s, stage_now(s));
    if (fold_stage_act(s, &f, out)) {
        fold_leave(s, out);
    }
}

static const char *const train[] = {"fold the shirt",
                                    "fold the t-shirt",
                                    "please fold this shirt",
                                    "fold the sleeves in, then the hem up",
                                    "fold the shirt: sleeves first, then in half",
                                    "tuck both sleeves over and fold the shirt in half",
                                    "put the shirt's sleeves on its front and bring the hem to the shoulders",
                                    "fold the garment on the table",
                                    "make a neat parcel of the t-shirt",
                                    "could you fold my shirt",
                                    "fold the shirt, do not just roll it up",
                                    "fold the tee with its sleeves inside",
                                    NULL};
static const char *const held[] = {"sleeves inward, hem to the collar", "get the t-shirt folded",
                                   "the shirt should lie folded, not spread out", "fold up the top on the table", NULL};

extern const fw_task task_fold_garment;
const fw_task task_fold_garment = {.name = "fold_garment",
                                   .version = 2,
                                   .setting = &setting_shirt,
                                   .time_s = 60,
                                   .train = train,
                                   .held = held,
                                   .obj = -1,
                                   .goal = goal,
                                   .expert = expert};
