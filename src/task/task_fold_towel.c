/* "fold the towel in half": two neighbouring corners are carried over, onto the other two. Any of the four ways is a half. */
#include <math.h>

#include "task/fold.h"
#include "task/setting_laundry.h"

enum { N = 12 };

static int vertex(int row, int col) {
    return row >= 0 && row < N && col >= 0 && col < N ? row * N + col : -1;
}
static const fold_grid grid = {N, N, vertex};

/* m along the line from the first arm to the second. */
static double along(const fw_scene *s, int v) {
    const double *a = s->arm[0].home, *b = s->arm[1].home, *p = fold_vert(s, v);
    double x = b[0] - a[0], y = b[1] - a[1], n = fmax(1e-6, hypot(x, y));
    return (p[0] * x + p[1] * y) / n;
}

/* way 0..3: from which edge. Arm 0 takes the corner on its side. */
static fold_stage way_of(const fw_scene *s, int way) {
    static const int corner[4][4] = {/* from, from, to, to */
                                     {0, N - 1, N * (N - 1), N * N - 1},
                                     {N * (N - 1), N * N - 1, 0, N - 1},
                                     {0, N * (N - 1), N - 1, N * N - 1},
                                     {N - 1, N * N - 1, 0, N * (N - 1)}};
    const int *c = corner[way];
    int swap = along(s, c[0]) > along(s, c[1]);
    double length = s->cloth.spacing * (N - 1);
    return (fold_stage){{{c[swap], c[2 + swap], length}, {c[!swap], c[3 - swap], length}}};
}

/* The way that is furthest on, or, from a flat towel, whose corners lie best before the two arms. A held corner decides. */
static fold_stage choose(const fw_scene *s) {
    fold_stage best = way_of(s, 0);
    double most = -1e9;
    for (int w = 0; w < 4; w++) {
        fold_stage f = way_of(s, w);
        const fold_move *m = f.hand;
        double apart = along(s, m[1].from) - along(s, m[0].from);
        double left = fold_gap(s, m[0].from, m[0].to) + fold_gap(s, m[1].from, m[1].to);
        double score = apart - left + (fold_stage_held(s, &f) ? 10 : 0);
        if (score > most) {
            most = score, best = f;
        }
    }
    return best;
}

static bool both_laid(const fw_scene *s, const fold_stage *f, char reason[160]) {
    return fold_laid(s, &f->hand[0], 0.05, "corner", reason) && fold_laid(s, &f->hand[1], 0.05, "corner", reason);
}

/* Whichever way it is folded; if it is not, the way that is furthest on says why. */
static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    bool laid = false;
    for (int w = 0; w < 4 && !laid; w++) {
        fold_stage f = way_of(s, w);
        laid = both_laid(s, &f, reason);
    }
    if (!laid) {
        fold_stage f = choose(s);
        return both_laid(s, &f, reason);
    }
    reason[0] = 0;
    return fold_neat(s, &grid, 0.42, 0.60, 0.06, reason) && fold_released(s, &grid, reason);
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    fold_stage f = choose(s);
    if (fold_stage_act(s, &f, out)) {
        fold_leave(s, out);
    }
}

static const char *const train[] = {"fold the towel in half",
                                    "fold the towel",
                                    "please fold the towel once",
                                    "fold this towel over",
                                    "lay one half of the towel over the other",
                                    "take two corners of the towel and bring them to the other two",
                                    "fold the cloth on the table in half",
                                    "bring the edges of the towel together",
                                    "make one neat fold in the towel",
                                    "could you fold the towel in the middle",
                                    "double the towel over, do not crumple it",
                                    "fold the towel in half, not in quarters",
                                    NULL};
static const char *const held[] = {
    "halve the towel by folding it", "put one side of the towel on top of its other side",
    "the towel should be folded once", "fold the towel corner to corner along one edge", NULL};

extern const fw_task task_fold_towel;
const fw_task task_fold_towel = {.name = "fold_towel",
                                 .version = 3,
                                 .setting = &setting_towel,
                                 .time_s = 30,
                                 .train = train,
                                 .held = held,
                                 .obj = -1,
                                 .goal = goal,
                                 .expert = expert};
