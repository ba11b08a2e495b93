/* what episodes draw, put to work: looks, delays, encoders; pictures from views */
#include "sim/randomise.h"

#include <math.h>

#include "base/file.h"
#include "fw_test.h"
#include "task/task.h"

enum {
    PX = 64,
    STEPS = 6,
    BYTES = PX * PX * 3,
    VIEW_MAX = 512,
    N_Q = 37
}; /* N_Q: four free things, seven joints, two fingers */

typedef struct log {
    int n_view;
    double view[STEPS][VIEW_MAX];
    int64_t frame[STEPS];
    float state[STEPS][FW_DIM_MAX];
    uint8_t rgb[STEPS][2][BYTES];
    double q[VIEW_MAX]; /* physics at the end */
    size_t n_q;
} log_t;

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        FW_FAILED("%s", err->msg);
    }
}

static fw_env *open_env(const char *ranges, bool render) {
    fw_env *e = NULL;
    fw_err err = {FW_OK, ""};
    const fw_env_opts o = {.render = render, .image_px = PX, .randomise = ranges};
    must(fw_env_open("kitchen3", &o, &e, &err), &err);
    return e;
}

static void step(fw_env *e, int i) {
    fw_err err;
    float a[FW_DIM_MAX] = {0.03f, -0.03f, -0.02f, 0.1f, (float)(i % 2)};
    must(fw_env_step(e, a, &err), &err);
}

static void play(fw_env *e, const fw_seeds *seeds, log_t *l) {
    fw_err err;
    fw_obs obs;
    must(fw_env_reset_seeds(e, 0, seeds, &err), &err);
    fw_sim *s = fw_env_sim(e);
    l->n_view = fw_sim_view_size(s);
    CHECK(l->n_view > 40 && l->n_view <= VIEW_MAX);
    for (int t = 0; t < STEPS; t++) {
        must(fw_env_observe(e, &obs, &err), &err);
        memcpy(l->state[t], obs.state, (size_t)obs.n_state * sizeof(float));
        for (int c = 0; c < 2 && obs.image[c].rgb != NULL; c++) {
            memcpy(l->rgb[t][c], obs.image[c].rgb, BYTES);
        }
        fw_sim_view(s, l->view[t]);
        l->frame[t] = fw_sim_frame(s);
        CHECK_INT(l->frame[t], t);
        step(e, t);
    }
    l->n_q = fw_env_physics_state(e, l->q, VIEW_MAX);
}

static void check_same_physics(const log_t *a, const log_t *b) {
    CHECK(a->n_q == b->n_q && memcmp(a->q, b->q, a->n_q * sizeof *a->q) == 0);
    for (int t = 0; t < STEPS; t++) {
        CHECK(memcmp(a->view[t], b->view[t], (size_t)a->n_view * sizeof(double)) == 0);
        CHECK(memcmp(a->state[t], b->state[t], 6 * sizeof(float)) == 0);
    }
}

static void from_a_view(fw_env *e, const log_t *l, int t, int c, int px, uint8_t *rgb) {
    fw_err err;
    const char *camera = fw_env_embodiment(e)->camera[c].name;
    must(fw_sim_render_view(fw_env_sim(e), l->view[t], l->frame[t], camera, px, px, rgb, &err), &err);
}

/* In every domain: the same seeds play and look the same after other episodes and in another process's place, and a logged view draws
 * the same bytes as it did live, in any order. */
static void same_seeds_and_logged_views_give_the_same_bytes_in(const char *ranges) {
    static log_t a, b;
    static uint8_t rgb[4 * BYTES];
    const fw_seeds one = fw_seeds_all(7), other = fw_seeds_all(8);
    fw_seeds repainted = one;
    fw_err err;
    fw_env *e = open_env(ranges, true), *fresh = open_env(ranges, true);
    repainted.visual = 99;
    play(e, &one, &a);
    play(e, &other, &b);
    CHECK(memcmp(a.rgb[0][0], b.rgb[0][0], BYTES) != 0);
    play(e, &one, &b);
    check_same_physics(&a, &b);
    CHECK(memcmp(a.rgb, b.rgb, sizeof a.rgb) == 0);
    play(fresh, &one, &b);
    check_same_physics(&a, &b);
    CHECK(memcmp(a.rgb, b.rgb, sizeof a.rgb) == 0);

    for (int t = STEPS - 1; t >= 0; t--) {
        for (int c = 0; c < 2; c++) {
            from_a_view(e, &a, t, c, PX, rgb);
            CHECK(memcmp(rgb, a.rgb[t][c], BYTES) == 0);
        }
    }
    from_a_view(e, &a, 2, 0, 2 * PX, rgb); /* another size is another picture of the same: not compared */
    must(fw_env_reset_seeds(e, 0, &repainted, &err), &err);
    from_a_view(e, &a, 2, 0, PX, rgb);
    CHECK(memcmp(rgb, a.rgb[2][0], BYTES) != 0);
    play(e, &repainted, &b); /* another look does not touch physics */
    check_same_physics(&a, &b);
    fw_env_close(fresh);
    fw_env_close(e);
}

static void default_replays(void) {
    same_seeds_and_logged_views_give_the_same_bytes_in("default");
}
static void broad_replays(void) {
    same_seeds_and_logged_views_give_the_same_bytes_in("broad");
}
static void held_out_looks_replay(void) {
    same_seeds_and_logged_views_give_the_same_bytes_in("held_visual");
}
static void held_out_physics_replays(void) {
    same_seeds_and_logged_views_give_the_same_bytes_in("held_physics");
}

/* Views hold no distractors, textures or lamps: what was played with the default look can be drawn with any other. */
static void views_of_one_domain_are_drawn_in_another(void) {
    static log_t l;
    static uint8_t rgb[BYTES];
    const fw_seeds seeds = fw_seeds_all(11);
    fw_err err;
    fw_env *plain = open_env("default", true), *rich = open_env("held_visual", true);
    play(plain, &seeds, &l);
    must(fw_env_reset_seeds(rich, 0, &seeds, &err), &err);
    CHECK_INT(fw_sim_view_size(fw_env_sim(rich)), l.n_view);
    from_a_view(rich, &l, 3, 0, PX, rgb);
    CHECK(memcmp(rgb, l.rgb[3][0], BYTES) != 0);
    must(fw_env_reset_seeds(plain, 0, &seeds, &err), &err);
    from_a_view(plain, &l, 3, 0, PX, rgb);
    CHECK(memcmp(rgb, l.rgb[3][0], BYTES) == 0);
    fw_env_close(rich);
    fw_env_close(plain);
}

static void delays_come_late_and_encoders_err(void) {
    static log_t plain, late;
    const fw_seeds seeds = fw_seeds_all(5);
    fw_env *e = open_env("default", false), *h = open_env("held_physics", false);
    play(e, &seeds, &plain);
    play(h, &seeds, &late);
    /* 60 to 90 ms of the first 100 ms step are lost: the hand has hardly moved after one step */
    double moved = fabs((double)plain.state[1][0] - (double)plain.state[0][0]),
           moved_late = fabs((double)late.state[1][0] - (double)late.state[0][0]);
    CHECK(moved > 0.02 && moved_late < 0.6 * moved);
    const fw_scene *sp = fw_sim_scene(fw_env_sim(e)), *sl = fw_sim_scene(fw_env_sim(h));
    float now[FW_DIM_MAX], again[FW_DIM_MAX];
    fw_sim_state(fw_env_sim(e), now);
    CHECK(fabs((double)now[0] - sp->arm[0].pos[0]) < 1e-6);
    fw_sim_state(fw_env_sim(h), now);
    fw_sim_state(fw_env_sim(h), again);
    CHECK(memcmp(now, again, 6 * sizeof *now) == 0); /* asked twice, the same */
    double off = fabs((double)now[1] - sl->arm[0].pos[1]);
    CHECK(off > 1e-5 && off < 0.02);
    /* the camera shows where the arm was: its view is behind physics while it moves, and only there */
    double behind = 0, live = 0, v[VIEW_MAX], q[VIEW_MAX];
    step(h, 0);
    step(e, 0);
    fw_sim_view(fw_env_sim(h), v);
    fw_env_physics_state(h, q, VIEW_MAX);
    for (int i = 0; i < N_Q; i++) {
        behind = fmax(behind, fabs(v[i] - q[i]));
    }
    fw_sim_view(fw_env_sim(e), v);
    fw_env_physics_state(e, q, VIEW_MAX);
    for (int i = 0; i < N_Q; i++) {
        live = fmax(live, fabs(v[i] - q[i]));
    }
    CHECK(behind > 1e-4 && live <= 0);
    fw_env_close(h);
    fw_env_close(e);
}

static void forks_keep_what_is_still_on_its_way(void) {
    static log_t l;
    const fw_seeds seeds = fw_seeds_all(6);
    fw_err err;
    fw_env *h = open_env("held_physics", false);
    double a[VIEW_MAX], b[VIEW_MAX], va[VIEW_MAX], vb[VIEW_MAX];
    play(h, &seeds, &l);
    fw_sim *s = fw_env_sim(h);
    void *saved = malloc(fw_sim_state_size(s));
    CHECK(saved != NULL);
    fw_sim_save(s, saved);
    step(h, 1);
    step(h, 2);
    size_t n = fw_sim_physics_state(s, a, VIEW_MAX);
    fw_sim_view(s, va);
    must(fw_env_reset(h, 0, 1, &err), &err); /* something else in between */
    must(fw_env_reset_seeds(h, 0, &seeds, &err), &err);
    fw_sim_restore(s, saved);
    step(h, 1);
    step(h, 2);
    fw_sim_physics_state(s, b, VIEW_MAX);
    fw_sim_view(s, vb);
    CHECK(memcmp(a, b, n * sizeof *a) == 0);
    CHECK(memcmp(va, vb, (size_t)fw_sim_view_size(s) * sizeof *va) == 0);
    free(saved);
    fw_env_close(h);
}

static void held_out_domains_say_so(void) {
    static const char *const names[] = {"default", "broad", "held_visual", "held_physics"};
    for (int i = 0; i < 4; i++) {
        fw_env *e = open_env(names[i], false);
        CHECK(fw_sim_held_out(fw_env_sim(e)) == (i >= 2));
        fw_env_close(e);
    }
    fw_env *e = NULL;
    fw_err err;
    CHECK_INT(fw_env_open("kitchen3", &(fw_env_opts){.randomise = "nowhere"}, &e, &err), FW_INVALID);
    CHECK(strstr(err.msg, "there are broad, default") != NULL);
}

FW_TEST_MAIN(T(default_replays), T(broad_replays), T(held_out_looks_replay), T(held_out_physics_replays),
             T(views_of_one_domain_are_drawn_in_another), T(delays_come_late_and_encoders_err),
             T(forks_keep_what_is_still_on_its_way), T(held_out_domains_say_so))
