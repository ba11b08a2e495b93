/*
 * fold.h - what folding tasks share: the shape of a cloth, pieces of goals, and the expert that carries corners over.
 *
 * DESIGN. A fold is a list of stages; a stage is up to two moves, one an arm: this vertex goes onto that place. Everything follows
 * from where vertices and hands are: which stage is on, whether a hand must still come down, wait for the other, carry on (its height
 * over the table follows from how far it still has to go, so that the cloth is laid down and not dragged), let go or leave.
 */
#ifndef FW_TASK_FOLD_H
#define FW_TASK_FOLD_H

#include "task/task_int.h"

/* The cloth as a grid of which some vertices may be missing. */
typedef struct fold_grid {
    int rows, cols;
    int (*vertex)(int row, int col); /* index into fw_cloth_view.vert, or -1 */
} fold_grid;

/* One hand's part of a stage. */
typedef struct fold_move {
    int from, to;  /* vertices: `from` is laid on `to`; from < 0: this hand has no part */
    double length; /* m between them when the cloth lies flat */
} fold_move;

typedef struct fold_stage {
    fold_move hand[FW_ARM_MAX];
} fold_stage;

const double *fold_vert(const fw_scene *s, int v);
/* m between two vertices. */
double fold_gap(const fw_scene *s, int a, int b);
/* m2 of table that the cloth covers, seen from above. */
double fold_area(const fw_scene *s, const fold_grid *g);
/* m2 when it lies flat. */
double fold_flat_area(const fw_scene *s, const fold_grid *g);
double fold_highest(const fw_scene *s, const fold_grid *g);

/* Nothing in the fingers, open, and clear of the cloth. */
bool fold_released(const fw_scene *s, const fold_grid *g, char reason[160]);
/* `from` lies within tol of `to` and above it (not under, and not beside in the air). */
bool fold_laid(const fw_scene *s, const fold_move *m, double tol, const char *what, char reason[160]);
/* Covered area between lo and hi of the flat one, nothing sticking up over high_m. */
bool fold_neat(const fw_scene *s, const fold_grid *g, double lo, double hi, double high_m, char reason[160]);

/* One stage. Returns true when it is done and the hands are clear of it; out is then "leave". */
bool fold_stage_act(const fw_scene *s, const fold_stage *f, fw_expert_out *out);
/* This stage is the one that the hands are at: an arm holds its `from`. */
bool fold_stage_held(const fw_scene *s, const fold_stage *f);
/* Its moves have been made and are let go. */
bool fold_stage_done(const fw_scene *s, const fold_stage *f);
/* Both hands up and away, open; out->done when they are there. */
void fold_leave(const fw_scene *s, fw_expert_out *out);

#endif /* FW_TASK_FOLD_H */
