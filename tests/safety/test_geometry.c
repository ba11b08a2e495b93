/* Where links are and how near they come, against sums in double of another kind: points along lines, not halving. */
#include "rig.h"

static void square_roots_are_those_of_libm(void) {
    uint64_t seed = 1;
    for (int k = 0; k < 20000; k++) {
        float x = random_in(&seed, 0, 1);
        x = k % 3 == 0 ? x : k % 3 == 1 ? x * 1.0e6f : x * x * x * x * 1.0e-6f;
        CHECK(fabsf(fw_safety_sqrt(x) - sqrtf(x)) <= 1.2e-7f * sqrtf(x));
    }
    CHECK(fw_safety_sqrt(0.0f) < 1.0e-18f);
    CHECK(fw_safety_sqrt(4.0f) == 2.0f);
}

static void sine_and_cosine_are_those_of_libm(void) {
    for (int k = -7800; k <= 7800; k++) { /* without a turn taken off, cosine is right to its last bit or two */
        float x = (float)k * 1.0e-4f, s, c;
        fw_safety_sincos(x, &s, &c);
        CHECK(fabs((double)s - sin((double)x)) < 3.8e-7 && fabs((double)c - cos((double)x)) < 1.3e-7);
    }
    for (int k = -200000; k <= 200000; k += 17) {
        float x = (float)k * (k % 2 == 0 ? 5.0e-3f : 5.0e-5f), s, c;
        fw_safety_sincos(x, &s, &c);
        CHECK(fabs((double)s - sin((double)x)) < 6.0e-7 && fabs((double)c - cos((double)x)) < 6.0e-7);
    }
}

/* --- a chain in double */

typedef struct {
    double r[9], p[3];
} frame;

static void rotate(double r[9], const double about[3], double angle) { /* Rodrigues */
    double c = cos(angle), s = sin(angle), v = 1 - c, x = about[0], y = about[1], z = about[2], was[9];
    double t[9] = {c + x * x * v,     x * y * v - z * s, x * z * v + y * s, y * x * v + z * s, c + y * y * v,
                   y * z * v - x * s, z * x * v - y * s, z * y * v + x * s, c + z * z * v};
    memcpy(was, r, sizeof(was));
    for (int i = 0; i < 9; i++) {
        r[i] = was[i / 3 * 3] * t[i % 3] + was[i / 3 * 3 + 1] * t[3 + i % 3] + was[i / 3 * 3 + 2] * t[6 + i % 3];
    }
}

static void carry(const frame *f, const double local[3], double out[3]) {
    double p[3] = {local[0], local[1], local[2]};
    for (int i = 0; i < 3; i++) {
        out[i] = f->p[i] + f->r[3 * i] * p[0] + f->r[3 * i + 1] * p[1] + f->r[3 * i + 2] * p[2];
    }
}

static frame frame_of(const fw_safety_limits *l, int32_t i, const float *q) {
    frame f = {{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 0, 0}};
    if (i == FW_SAFETY_NOBODY) {
        return f;
    }
    const fw_safety_link *k = &l->link[i];
    f = frame_of(l, k->parent, q);
    carry(&f, (double[]){(double)k->pos[0], (double)k->pos[1], (double)k->pos[2]}, f.p);
    double x = (double)k->quat[1], y = (double)k->quat[2], z = (double)k->quat[3];
    double n = fmax(1.0e-30, sqrt(x * x + y * y + z * z)), half = atan2(n, (double)k->quat[0]);
    rotate(f.r, (double[]){x / n, y / n, z / n}, 2 * half);
    if (k->axis != FW_SAFETY_NOBODY) {
        double value = (double)k->scale * (double)q[k->axis] + (double)k->offset;
        double about[3] = {(double)k->about[0], (double)k->about[1], (double)k->about[2]};
        if (k->slide) {
            carry(&f, (double[]){about[0] * value, about[1] * value, about[2] * value}, f.p);
        } else {
            rotate(f.r, about, value);
        }
    }
    return f;
}

enum { POINTS = 401 };

static void point_of(const fw_safety_limits *l, uint32_t i, const frame *f, int k, double out[3]) {
    double s = (double)k / (POINTS - 1), local[3];
    for (int d = 0; d < 3; d++) {
        local[d] = (1 - s) * (double)l->link[i].from[d] + s * (double)l->link[i].to[d];
    }
    carry(f, local, out);
}

static double box_distance(const fw_safety_box *b, const double p[3]) {
    double sum = 0;
    for (int d = 0; d < 3; d++) {
        double out = fmax(fmax((double)b->min[d] - p[d], p[d] - (double)b->max[d]), 0);
        sum += out * out;
    }
    return sqrt(sum);
}

static double line_distance(const double p[3], const double a[3], const double b[3]) {
    double ab = 0, ap = 0, sum = 0;
    for (int d = 0; d < 3; d++) {
        ab += (b[d] - a[d]) * (b[d] - a[d]);
        ap += (p[d] - a[d]) * (b[d] - a[d]);
    }
    double s = ab > 0 ? fmin(1, fmax(0, ap / ab)) : 0;
    for (int d = 0; d < 3; d++) {
        double out = p[d] - a[d] - s * (b[d] - a[d]);
        sum += out * out;
    }
    return sqrt(sum);
}

/* The clearance by walking along every line. */
static double walked(const fw_safety_limits *l, const float *q) {
    double least = 1.0e6;
    frame f[FW_SAFETY_LINK_MAX];
    for (uint32_t i = 0; i < l->n_link; i++) {
        f[i] = frame_of(l, (int32_t)i, q);
        for (int k = 0; k < POINTS && l->link[i].capsule; k++) {
            double p[3], radius = (double)l->link[i].radius;
            point_of(l, i, &f[i], k, p);
            for (int d = 0; d < 3 && l->link[i].confined; d++) {
                least = fmin(least, p[d] - (double)l->workspace.min[d] - radius);
                least = fmin(least, (double)l->workspace.max[d] - p[d] - radius);
            }
            for (uint32_t b = 0; b < l->n_keepout; b++) {
                if ((l->keepout[b].links >> i & 1) != 0) {
                    least = fmin(least, box_distance(&l->keepout[b], p) - radius);
                }
            }
        }
    }
    for (uint32_t k = 0; k < l->n_pair; k++) {
        uint32_t i = l->pair[k][0], j = l->pair[k][1];
        double a[3], b[3];
        point_of(l, j, &f[j], 0, a);
        point_of(l, j, &f[j], POINTS - 1, b);
        for (int n = 0; n < POINTS; n++) {
            double p[3];
            point_of(l, i, &f[i], n, p);
            least = fmin(least, line_distance(p, a, b) - (double)l->link[i].radius - (double)l->link[j].radius);
        }
    }
    return least;
}

static void random_unit(uint64_t *seed, float *v, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) {
        v[i] = random_in(seed, -1, 1);
        sum += v[i] * v[i];
    }
    for (int i = 0; i < n; i++) {
        v[i] /= sqrtf(sum);
    }
}

static fw_safety_limits random_robot(uint64_t *seed) {
    fw_safety_limits l = small_arm(4);
    l.n_link = 6;
    for (int i = 0; i < 6; i++) {
        fw_safety_link *k = &l.link[i];
        *k = bar(i == 5 ? 2 : i - 1, i < 4 ? i : i == 4 ? FW_SAFETY_NOBODY : 3, 0, 0, random_in(seed, 0.01f, 0.05f));
        for (int d = 0; d < 3; d++) {
            k->pos[d] = random_in(seed, -0.3f, 0.3f);
            k->from[d] = random_in(seed, -0.2f, 0.2f);
            k->to[d] = i == 3 ? k->from[d] : random_in(seed, -0.2f, 0.2f);
        }
        random_unit(seed, k->quat, 4);
        for (int d = 0; d < 4; d++) { /* as far from unit length as limits may be */
            k->quat[d] *= 1.0009f;
        }
        random_unit(seed, k->about, 3);
        k->slide = i == 1;
        k->scale = random_in(seed, -1.5f, 1.5f);
        k->offset = random_in(seed, -0.2f, 0.2f);
        k->confined = i >= 2;
        k->capsule = i != 0;
    }
    l.workspace = (fw_safety_box){.min = {-2, -2.1f, -1.9f}, .max = {2.2f, 2, 1.8f}};
    l.n_keepout = 2;
    for (int b = 0; b < 2; b++) {
        for (int d = 0; d < 3; d++) {
            l.keepout[b].min[d] = random_in(seed, -1, 1);
            l.keepout[b].max[d] = l.keepout[b].min[d] + random_in(seed, 0.05f, 0.5f);
        }
        l.keepout[b].links = b == 0 ? 0x3e : 0x18;
    }
    l.n_pair = 3;
    l.pair[0][0] = 1, l.pair[0][1] = 4;
    l.pair[1][0] = 2, l.pair[1][1] = 5;
    l.pair[2][0] = 3, l.pair[2][1] = 1;
    return l;
}

static void clearance_is_that_of_every_point_of_every_link(void) {
    uint64_t seed = 7;
    int near = 0, inside = 0;
    for (int k = 0; k < 120; k++) {
        fw_safety_limits l = random_robot(&seed);
        CHECK_INT(fw_safety_limits_check(&l).what, FW_SAFETY_LIMITS_OK);
        /* each sort of thing gets its turn to be the nearest */
        l.n_keepout = k % 4 == 0 ? 0 : 2;
        l.n_pair = k % 4 == 1 ? 0 : 3;
        l.workspace.max[k % 3] = k % 4 == 2 ? 0.5f : l.workspace.max[k % 3];
        l.workspace.min[k % 3] = k % 4 == 3 ? -0.5f : l.workspace.min[k % 3];
        float q[FW_SAFETY_AXIS_MAX] = {0};
        for (int i = 0; i < 4; i++) {
            q[i] = random_in(&seed, -1.5f, 2);
        }
        double want = walked(&l, q), got = (double)fw_safety_clearance(&l, q);
        if (fabs(got - want) > 3.0e-5) {
            FW_FAILED("robot %d: clearance %.7f, want %.7f", k, got, want);
        }
        near += want < 0.1;
        inside += want < 0;
    }
    CHECK(near > 20 && inside > 8);
}

static void known_clearances_are_exact(void) {
    fw_safety_limits l = small_arm(1);
    float q[FW_SAFETY_AXIS_MAX] = {0};
    CHECK(fw_safety_clearance(&l, q) == 1.0e6f);
    l.n_link = 2;
    l.link[0] = bar(FW_SAFETY_NOBODY, 0, 0, 1, 0.125f);
    l.link[1] = bar(FW_SAFETY_NOBODY, FW_SAFETY_NOBODY, 0, 0, 0.25f);
    l.link[1].pos[1] = 0.5f;
    l.link[1].capsule = false;
    l.workspace = (fw_safety_box){.min = {-2, -2, -2}, .max = {3, 2, 2}};
    CHECK(fw_safety_clearance(&l, q) == 1.875f); /* x may grow by 2 and y, z by 2: less the radius */
    l.link[0].confined = false;
    CHECK(fw_safety_clearance(&l, q) == 1.0e6f - 0.125f || fw_safety_clearance(&l, q) == 1.0e6f);
    l.n_keepout = 1;
    l.keepout[0] = (fw_safety_box){.min = {0.25f, 0.5f, -1}, .max = {0.5f, 1, 1}, .links = 1};
    CHECK(fw_safety_clearance(&l, q) == 0.375f);
    l.keepout[0].links = 2;
    CHECK(fw_safety_clearance(&l, q) > 1.0e5f);
    l.link[1].capsule = true;
    l.link[1].confined = false;
    l.n_pair = 1;
    l.pair[0][0] = 0;
    l.pair[0][1] = 1;
    l.n_keepout = 0;
    CHECK(fw_safety_clearance(&l, q) == 0.125f);
    l.pair[0][0] = 1; /* from the ball's side */
    l.pair[0][1] = 0;
    CHECK(fw_safety_clearance(&l, q) == 0.125f);
}

static double moved(const fw_safety_limits *l, const float *a, const float *b) {
    double most = 0;
    for (uint32_t i = 0; i < l->n_link; i++) {
        frame f = frame_of(l, (int32_t)i, a), g = frame_of(l, (int32_t)i, b);
        for (int k = 0; k < POINTS; k += 50) {
            double p[3], q[3];
            point_of(l, i, &f, k, p);
            point_of(l, i, &g, k, q);
            most = fmax(most, hypot(hypot(p[0] - q[0], p[1] - q[1]), p[2] - q[2]));
        }
    }
    return most;
}

static void no_point_moves_more_than_the_reach_of_the_axes(void) {
    uint64_t seed = 9;
    for (int k = 0; k < 150; k++) {
        fw_safety_limits l = random_robot(&seed);
        float a[FW_SAFETY_AXIS_MAX] = {0}, b[FW_SAFETY_AXIS_MAX] = {0};
        double most = 0;
        for (uint32_t i = 0; i < 4; i++) {
            a[i] = random_in(&seed, -1.5f, 2);
            b[i] = k % 5 == (int)i || k % 5 == 4 ? a[i] + random_in(&seed, -0.05f, 0.05f) : a[i];
            most += (double)fw_safety_reach(&l, i) * fabs((double)b[i] - (double)a[i]);
        }
        CHECK(moved(&l, a, b) <= most * 1.0001 + 1.0e-6);
    }
}

static void reach_is_what_the_longest_chain_gives(void) {
    fw_safety_limits l = planar_arm();
    float want[4] = {0.3f + 0.3f + 0.03f, 0.3f + 0.03f, 0.0f, 0.0f}, got[4];
    for (uint32_t i = 0; i < 4; i++) {
        got[i] = fw_safety_reach(&l, i);
    }
    CHECK_NEAR(got, want, 4, 1.0e-6, 0);
    l.link[1].scale = -2;
    l.link[0].slide = true;
    CHECK(fabsf(fw_safety_reach(&l, 1) - 0.66f) < 1.0e-6f);
    CHECK(fw_safety_reach(&l, 0) == 1.0f);
    l.link[0].axis = FW_SAFETY_NOBODY; /* fixed: nothing slides */
    CHECK(fw_safety_reach(&l, 0) == 0.0f);

    /* a slide between two links adds its stroke: 2 * 2 + 0.5 = 4.5 on one side, 2 * -1.5 + 0.5 on the other */
    l = planar_arm();
    l.link[1].slide = true;
    l.link[1].scale = 2;
    l.link[1].offset = 0.5f;
    l.axis[1].position_min = -1.5f;
    l.axis[1].position_max = 2;
    CHECK(fabsf(fw_safety_reach(&l, 0) - (0.3f + 4.5f + 0.3f + 0.03f)) < 1.0e-5f);
    l.axis[1].position_min = -4; /* now 7.5 the other way */
    CHECK(fabsf(fw_safety_reach(&l, 0) - (0.3f + 7.5f + 0.3f + 0.03f)) < 1.0e-5f);
    l.link[1].axis = FW_SAFETY_NOBODY; /* a slide that nothing moves has no stroke */
    CHECK(fabsf(fw_safety_reach(&l, 0) - 0.63f) < 1.0e-6f);
    /* links of one axis add; the farther end counts, whichever it is */
    l = planar_arm();
    l.link[1].axis = 0;
    CHECK(fabsf(fw_safety_reach(&l, 0) - (0.63f + 0.33f)) < 1.0e-6f);
    l.link[1].from[1] = 0.5f;
    CHECK(fabsf(fw_safety_reach(&l, 0) - (0.83f + 0.53f)) < 1.0e-6f);
    l.link[1].to[0] = 0.01f;
    CHECK(fabsf(fw_safety_reach(&l, 0) - (0.83f + 0.53f)) < 1.0e-6f);
}

FW_TEST_MAIN(T(square_roots_are_those_of_libm), T(sine_and_cosine_are_those_of_libm),
             T(clearance_is_that_of_every_point_of_every_link), T(known_clearances_are_exact),
             T(no_point_moves_more_than_the_reach_of_the_axes), T(reach_is_what_the_longest_chain_gives))
