/*
 * geometry.c - where the links are, and how near to anything that they must not touch.
 *
 * A link's body is a capsule: all points within radius of a line. The distance from a line to a convex thing is convex
 * along the line, and its slope has the sign of (p - nearest(p)) . direction: halving on that sign finds the nearest
 * point of the line to a box, and to another line, by the same few lines and without special cases.
 */
#include <string.h>

#include "safety/safety_int.h"

typedef struct {
    float turn[3][3]; /* rows */
    float at[3];
} pose;

typedef struct {
    bool is_box;
    float a[3], b[3]; /* corners of a box, or ends of a line */
} thing;

static const float FAR = 1.0e6F;                  /* m, where there is nothing */
static const uint32_t HALVINGS = 24U;             /* a line to 6e-8 of its length */
static const uint32_t NEWTON = 3U;                /* from 4 % to float32 */
static const float QUARTERS = 0.636619772F;       /* quarter turns in a rad */
static const float HALF_PI = 1.5703125F;          /* so few bits that its multiples are exact */
static const float HALF_PI_REST = 4.83826795e-4F; /* what it lacks */

float fw_safety_sqrt(float x) {
    uint32_t bits;
    float root;
    (void)memcpy(&bits, &x, sizeof(bits));
    bits = (bits >> 1U) + 0x1FBD1DF5U; /* halves the exponent: at most 3.5 % off */
    (void)memcpy(&root, &bits, sizeof(root));
    for (uint32_t k = 0U; k < NEWTON; k++) {
        root = 0.5F * (root + (x / root));
    }
    return root;
}

void fw_safety_sincos(float x, float *sine, float *cosine) {
    float turns = x * QUARTERS;
    int32_t k = (int32_t)(turns + ((turns < 0.0F) ? -0.5F : 0.5F));
    float r = (x - ((float)k * HALF_PI)) - ((float)k * HALF_PI_REST); /* |r| <= pi/4 */
    float r2 = r * r;
    float s = r - (r * r2 * (0.166666667F - (r2 * (8.33333333e-3F - (r2 * 1.98412698e-4F)))));
    float c = 1.0F - (r2 * (0.5F - (r2 * (4.16666667e-2F - (r2 * (1.38888889e-3F - (r2 * 2.48015873e-5F)))))));
    uint32_t quarter = (uint32_t)k % 4U; /* of two's complement: right for negative k */
    bool swapped = (quarter % 2U) == 1U;
    float s1 = swapped ? c : s;
    float c1 = swapped ? s : c;
    *sine = (quarter >= 2U) ? -s1 : s1;
    *cosine = ((quarter == 1U) || (quarter == 2U)) ? -c1 : c1;
}

static float dot(const float a[3], const float b[3]) {
    return (a[0] * b[0]) + (a[1] * b[1]) + (a[2] * b[2]);
}

/* w x y z, of any length. */
static void turn_of(const float quat[4], float turn[3][3]) {
    float w = quat[0];
    float x = quat[1];
    float y = quat[2];
    float z = quat[3];
    float s = 2.0F / ((w * w) + (x * x) + (y * y) + (z * z));
    turn[0][0] = 1.0F - (s * ((y * y) + (z * z)));
    turn[0][1] = s * ((x * y) - (w * z));
    turn[0][2] = s * ((x * z) + (w * y));
    turn[1][0] = s * ((x * y) + (w * z));
    turn[1][1] = 1.0F - (s * ((x * x) + (z * z)));
    turn[1][2] = s * ((y * z) - (w * x));
    turn[2][0] = s * ((x * z) - (w * y));
    turn[2][1] = s * ((y * z) + (w * x));
    turn[2][2] = 1.0F - (s * ((x * x) + (y * y)));
}

static void place(const pose *p, const float local[3], float world[3]) {
    for (uint32_t i = 0U; i < 3U; i++) {
        world[i] = p->at[i] + dot(p->turn[i], local);
    }
}

/* p, then turned by turn in its own frame. */
static void turn_by(pose *p, const float turn[3][3]) {
    pose was = *p;
    for (uint32_t i = 0U; i < 3U; i++) {
        for (uint32_t j = 0U; j < 3U; j++) {
            float column[3] = {turn[0][j], turn[1][j], turn[2][j]};
            p->turn[i][j] = dot(was.turn[i], column);
        }
    }
}

/* Move a link by its joint's value: rad about or m along its axis. */
static void move_by(pose *p, const fw_safety_link *link, float value) {
    if (link->slide) {
        float way[3] = {link->about[0] * value, link->about[1] * value, link->about[2] * value};
        place(p, way, p->at);
    } else {
        float turn[3][3];
        float quat[4];
        float s;
        fw_safety_sincos(0.5F * value, &s, &quat[0]);
        quat[1] = s * link->about[0];
        quat[2] = s * link->about[1];
        quat[3] = s * link->about[2];
        turn_of(quat, turn);
        turn_by(p, turn);
    }
}

static void place_links(const fw_safety_limits *l, const float q[FW_SAFETY_AXIS_MAX], pose poses[FW_SAFETY_LINK_MAX]) {
    static const pose base = {{{1.0F, 0.0F, 0.0F}, {0.0F, 1.0F, 0.0F}, {0.0F, 0.0F, 1.0F}}, {0.0F, 0.0F, 0.0F}};
    for (uint32_t i = 0U; i < l->n_link; i++) {
        const fw_safety_link *link = &l->link[i];
        pose p = (link->parent == FW_SAFETY_NOBODY) ? base : poses[link->parent];
        float turn[3][3];
        turn_of(link->quat, turn);
        place(&p, link->pos, p.at);
        turn_by(&p, turn);
        if (link->axis != FW_SAFETY_NOBODY) {
            move_by(&p, link, (link->scale * q[link->axis]) + link->offset);
        }
        poses[i] = p;
    }
}

static void nearest_in(const thing *t, const float p[3], float out[3]) {
    if (t->is_box) {
        for (uint32_t i = 0U; i < 3U; i++) {
            out[i] = fw_safety_clamp(p[i], t->a[i], t->b[i]);
        }
    } else {
        float along[3] = {t->b[0] - t->a[0], t->b[1] - t->a[1], t->b[2] - t->a[2]};
        float from[3] = {p[0] - t->a[0], p[1] - t->a[1], p[2] - t->a[2]};
        float squared = dot(along, along);
        float share = (squared > 0.0F) ? fw_safety_clamp(dot(from, along) / squared, 0.0F, 1.0F) : 0.0F;
        for (uint32_t i = 0U; i < 3U; i++) {
            out[i] = t->a[i] + (share * along[i]);
        }
    }
}

/* p, at share of a line, to the nearest point of t. */
static void offset_at(const thing *line, const thing *t, float share, float offset[3]) {
    float p[3];
    float near[3];
    for (uint32_t i = 0U; i < 3U; i++) {
        p[i] = line->a[i] + (share * (line->b[i] - line->a[i]));
    }
    nearest_in(t, p, near);
    for (uint32_t i = 0U; i < 3U; i++) {
        offset[i] = p[i] - near[i];
    }
}

static float distance(const thing *line, const thing *t) {
    float along[3] = {line->b[0] - line->a[0], line->b[1] - line->a[1], line->b[2] - line->a[2]};
    float offset[3];
    float lo = 0.0F;
    float hi = 1.0F;
    for (uint32_t k = 0U; k < HALVINGS; k++) {
        float mid = 0.5F * (lo + hi);
        offset_at(line, t, mid, offset);
        if (dot(offset, along) > 0.0F) {
            hi = mid;
        } else {
            lo = mid;
        }
    }
    return fw_safety_sqrt(dot(offset, offset));
}

/* How far inside the box the ends of a line are, m; negative outside. */
static float depth(const fw_safety_box *box, const thing *line) {
    float least = FAR;
    for (uint32_t i = 0U; i < 3U; i++) {
        float lowest = fw_safety_min(line->a[i], line->b[i]);
        float highest = fw_safety_max(line->a[i], line->b[i]);
        least = fw_safety_min(least, fw_safety_min(lowest - box->min[i], box->max[i] - highest));
    }
    return least;
}

/* The least clearance of one link: workspace and keep-outs. */
static float around(const fw_safety_limits *l, uint32_t i, const thing *line) {
    float least = l->link[i].confined ? depth(&l->workspace, line) : FAR;
    for (uint32_t k = 0U; k < l->n_keepout; k++) {
        const fw_safety_box *box = &l->keepout[k];
        if ((box->links & (1UL << i)) != 0U) {
            thing t = {true, {box->min[0], box->min[1], box->min[2]}, {box->max[0], box->max[1], box->max[2]}};
            least = fw_safety_min(least, distance(line, &t));
        }
    }
    return least - l->link[i].radius;
}

float fw_safety_clearance(const fw_safety_limits *l, const float q[FW_SAFETY_AXIS_MAX]) {
    pose poses[FW_SAFETY_LINK_MAX];
    thing line[FW_SAFETY_LINK_MAX];
    float least = FAR;

    place_links(l, q, poses);
    for (uint32_t i = 0U; i < l->n_link; i++) {
        line[i].is_box = false;
        place(&poses[i], l->link[i].from, line[i].a);
        place(&poses[i], l->link[i].to, line[i].b);
        if (l->link[i].capsule) {
            least = fw_safety_min(least, around(l, i, &line[i]));
        }
    }
    for (uint32_t k = 0U; k < l->n_pair; k++) {
        uint32_t i = l->pair[k][0];
        uint32_t j = l->pair[k][1];
        float between = distance(&line[i], &line[j]) - l->link[i].radius - l->link[j].radius;
        least = fw_safety_min(least, between);
    }
    return least;
}

static float length(const float v[3]) {
    return fw_safety_sqrt(dot(v, v));
}

/* The longest way that a slide adds to what hangs on it. */
static float stroke(const fw_safety_limits *l, const fw_safety_link *link) {
    float longest = 0.0F;
    if (link->slide && (link->axis != FW_SAFETY_NOBODY)) {
        const fw_safety_axis *a = &l->axis[link->axis];
        float one = fw_safety_abs((link->scale * a->position_min) + link->offset);
        float other = fw_safety_abs((link->scale * a->position_max) + link->offset);
        longest = fw_safety_max(one, other);
    }
    return longest;
}

/* Extents add up along a chain, so that they bound every posture. A link that its axis turns moves by its extent for
 * each rad, one that slides by 1 m for each m; several links of one axis add. */
float fw_safety_reach(const fw_safety_limits *l, uint32_t axis) {
    float extent[FW_SAFETY_LINK_MAX] = {0}; /* m from a link's frame to the farthest point that it carries */
    float reach = 0.0F;
    for (uint32_t k = l->n_link; k > 0U; k--) {
        uint32_t i = k - 1U;
        const fw_safety_link *link = &l->link[i];
        float own = fw_safety_max(length(link->from), length(link->to)) + link->radius;
        extent[i] = fw_safety_max(extent[i], own);
        if (link->axis == (int32_t)axis) {
            reach += fw_safety_abs(link->scale) * (link->slide ? 1.0F : extent[i]);
        }
        if (link->parent != FW_SAFETY_NOBODY) {
            float carried = extent[i] + length(link->pos) + stroke(l, link);
            extent[link->parent] = fw_safety_max(extent[link->parent], carried);
        }
    }
    return reach;
}
