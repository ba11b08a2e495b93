/* observations: whose camera is which, pixels of any layout, numbers of any type, and what does not fit */
#include "serve/observe.h"

#include "base/jpeg.h"
#include "fake.h"
#include "fw_test.h"
#include "nomem.h"
#include "serve/serve_int.h"

enum { H = 5, W = 7 };

static fake f;
static fw_observed seen;
static fw_key_map no_map;

/* A message of one test: written by `write`, read by fw_observe. */
typedef struct message {
    fw_buf buf;
    fw_mp_doc doc;
} message;

static message made(fw_mp_out *o) {
    message m = {0};
    fw_err err = {0};
    if (fw_mp_end(o, &m.buf, &err) != FW_OK || fw_mp_parse(fw_buf_data(&m.buf), m.buf.n, &m.doc, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return m;
}

static void drop(message *m) {
    fw_observed_clear(&seen);
    fw_mp_clear(&m->doc);
    fw_buf_free(&m->buf);
}

static const float state[FAKE_STATE] = {1, 2, 3, 4, 5, 6};
static uint8_t rgb[H * W * 3], planes[3 * H * W];
static float floats[H * W * 3];

static void fill(void) {
    for (int i = 0; i < H * W; i++) {
        for (int c = 0; c < 3; c++) {
            rgb[3 * i + c] = planes[c * H * W + i] = (uint8_t)(17 * i + 50 * c);
            floats[3 * i + c] = ((float)rgb[3 * i + c] + 0.5f) / 255;
        }
    }
}

static void put_u8(fw_mp_out *o, const char *key, bool first) {
    const int64_t last_shape[] = {H, W, 3}, first_shape[] = {3, H, W};
    fw_mp_str(o, key);
    fw_nd_put(o, FW_ND_OPENPI, "|u1", 3, first ? first_shape : last_shape, first ? planes : rgb);
}

static void put_state(fw_mp_out *o, const char *key, int n) {
    const int64_t shape[] = {n};
    fw_mp_str(o, key);
    fw_nd_put(o, FW_ND_OPENPI, "<f4", 1, shape, state);
}

static void put_words(fw_mp_out *o) {
    fw_mp_str(o, "prompt"), fw_mp_str(o, "go");
}

static fw_status look(const message *m, const fw_key_map *map, fw_err *err) {
    return fw_observe(&f.e, map, NULL, &m->doc.root, &seen, err);
}

static void check_seen(const message *m, const fw_key_map *map) {
    fw_err err = {0};
    if (look(m, map, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    for (int i = 0; i < 2; i++) {
        const fw_image *im = &seen.obs.image[i];
        CHECK(im->h == H && im->w == W && memcmp(im->rgb, rgb, sizeof rgb) == 0);
    }
    CHECK(memcmp(seen.obs.state, state, sizeof state) == 0 && strcmp(seen.obs.instruction, "go") == 0);
}

static void channels_may_come_first_or_last_and_pixels_may_be_floats(void) {
    const int64_t one[] = {1, H, W, 3};
    fw_mp_out o;
    fw_mp_begin(&o);
    fw_mp_map(&o, 3);
    fw_mp_str(&o, "images"), fw_mp_map(&o, 2), put_u8(&o, "front", true);
    fw_mp_str(&o, "wrist"), fw_nd_put(&o, FW_ND_VLA_EVAL, "<f4", 4, one, floats);
    put_state(&o, "state", FAKE_STATE), put_words(&o);
    message m = made(&o);
    check_seen(&m, &no_map);
    drop(&m);
}

static void pixels_of_the_usual_layout_are_not_copied(void) {
    fw_mp_out o;
    fw_mp_begin(&o);
    fw_mp_map(&o, 4);
    put_u8(&o, "observation/exterior_image_1_left", false), put_u8(&o, "observation/wrist_image_left", false);
    put_state(&o, "observation/state", FAKE_STATE), put_words(&o);
    message m = made(&o);
    check_seen(&m, &no_map);
    CHECK(seen.pixels[0] == NULL && seen.pixels[1] == NULL);
    CHECK(seen.obs.image[0].rgb > m.buf.mem && seen.obs.image[0].rgb < m.buf.mem + m.buf.n);
    drop(&m);
}

static void a_map_of_names_goes_before_ours(void) {
    fw_key_map map = {0};
    fw_err err;
    fw_mp_out o;
    CHECK_INT(fw_key_map_add(&map, "cams/left=front", &err), FW_OK);
    CHECK_INT(fw_key_map_add(&map, "hand=wrist", &err), FW_OK);
    CHECK_INT(fw_key_map_add(&map, "arm+gripper=state", &err), FW_OK);
    CHECK_INT(fw_key_map_add(&map, "say=prompt", &err), FW_OK);
    CHECK_INT(fw_key_map_check(&map, &f.e, &err), FW_OK);
    const int64_t four[] = {4}, two[] = {2}, grey[] = {H, W, 1};
    fw_mp_begin(&o);
    fw_mp_map(&o, 6);
    fw_mp_str(&o, "cams"), fw_mp_map(&o, 1), put_u8(&o, "left", false);
    put_u8(&o, "hand", false);
    fw_mp_str(&o, "arm"), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 1, four, state);
    fw_mp_str(&o, "gripper"), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 1, two, state + 4);
    fw_mp_str(&o, "say"), fw_mp_str(&o, "go");
    fw_mp_str(&o, "front"), fw_nd_put(&o, FW_ND_OPENPI, "|u1", 3, grey, rgb); /* not looked at */
    message m = made(&o);
    check_seen(&m, &map);
    drop(&m);
    CHECK_INT(fw_key_map_add(&map, "front", &err), FW_INVALID);
    CHECK_INT(fw_key_map_add(&map, "=front", &err), FW_INVALID);
}

static void jpeg_and_alpha_are_read(void) {
    uint8_t *jpeg, four[H * W * 4];
    size_t n;
    const int64_t alpha[] = {H, W, 4};
    fw_mp_out o;
    fw_err err = {0};
    for (int i = 0; i < H * W * 4; i++) {
        four[i] = (uint8_t)(i % 4 == 3 ? 0 : 100);
    }
    CHECK_INT(fw_jpeg_encode(rgb, H, W, 90, &jpeg, &n, NULL), FW_OK);
    fw_mp_begin(&o);
    fw_mp_map(&o, 3);
    fw_mp_str(&o, "images"), fw_mp_map(&o, 2);
    fw_mp_str(&o, "front"), fw_mp_map(&o, 3);
    fw_mp_str(&o, "__image__"), fw_mp_bool(&o, true);
    fw_mp_str(&o, "format"), fw_mp_str(&o, "jpeg");
    fw_mp_str(&o, "data"), fw_mp_bin(&o, jpeg, n);
    fw_mp_str(&o, "wrist"), fw_nd_put(&o, FW_ND_OPENPI, "|u1", 3, alpha, four);
    put_state(&o, "state", FAKE_STATE), put_words(&o);
    message m = made(&o);
    CHECK_INT(look(&m, &no_map, &err), FW_OK);
    CHECK(seen.obs.image[0].h == H && seen.obs.image[0].w == W);
    for (int i = 0; i < H * W * 3; i++) {
        CHECK_INT(seen.obs.image[1].rgb[i], 100);
    }
    drop(&m);
    free(jpeg);
}

/* An observation with one thing wrong: `what` is written by the test. */
static void check_refused(message m, fw_status code, const char *words) {
    fw_err err = {0};
    const fw_status st = look(&m, &no_map, &err);
    if (st != code || strstr(err.msg, words) == NULL) {
        FW_FAILED("%s: '%s', wanted '%s'", fw_status_name(st), err.msg, words);
    }
    drop(&m);
}

static void begin(fw_mp_out *o, size_t more) {
    fw_mp_begin(o);
    fw_mp_map(o, 3 + more);
    put_u8(o, "observation/image", false), put_u8(o, "observation/wrist_image", false);
    put_words(o);
}

static void what_does_not_fit_is_refused_by_name(void) {
    static const float nan_state[] = {0, NAN, 0, 0, 0, 0};
    const int64_t six[] = {6}, flat[] = {H, W * 3}, matrix[] = {2, 4};
    uint8_t bomb[33] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x40\0\0\0\x40\0\x08\x02"; /* 16384 x 16384 */
    fw_mp_out o;
    begin(&o, 0), check_refused(made(&o), FW_SHAPE, "no 'state': wanted 6 numbers (s0, s1");
    begin(&o, 1), put_state(&o, "state", 5), check_refused(made(&o), FW_SHAPE, "state: 5 numbers, wanted 6");
    begin(&o, 1), fw_mp_str(&o, "state"), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 1, six, nan_state);
    check_refused(made(&o), FW_FORMAT, "state: value 1 is nan");
    begin(&o, 2), put_state(&o, "state", 6), put_state(&o, "prev_action", 4);
    check_refused(made(&o), FW_SHAPE, "prev_action: 4 numbers, wanted 5");
    begin(&o, 3), put_state(&o, "state", 6), fw_mp_str(&o, "n_prefix"), fw_mp_int(&o, 1);
    fw_mp_str(&o, "prefix"), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 2, matrix, floats);
    check_refused(made(&o), FW_SHAPE, "prefix: [2, 4] f4 with n_prefix 1, wanted [rows, 5]");
    fw_mp_begin(&o), fw_mp_map(&o, 1), fw_mp_str(&o, "observation/image");
    fw_nd_put(&o, FW_ND_OPENPI, "|u1", 2, flat, rgb);
    check_refused(made(&o), FW_SHAPE, "observation/image: [5, 21] u1 is no picture: wanted [h, w, 3] or [3, h, w]");
    floats[4] = NAN;
    const int64_t hwc[] = {H, W, 3};
    fw_mp_begin(&o), fw_mp_map(&o, 1), fw_mp_str(&o, "observation/image"),
        fw_nd_put(&o, FW_ND_OPENPI, "<f4", 3, hwc, floats);
    check_refused(made(&o), FW_FORMAT, "the pixel at row 0, column 1 is not a number");
    fill();
    fw_mp_begin(&o), fw_mp_map(&o, 1), fw_mp_str(&o, "observation/image"), fw_mp_map(&o, 3);
    fw_mp_str(&o, "__image__"), fw_mp_bool(&o, true), fw_mp_str(&o, "format"), fw_mp_str(&o, "png");
    fw_mp_str(&o, "data"), fw_mp_bin(&o, bomb, sizeof bomb);
    check_refused(made(&o), FW_SHAPE, "a picture of 16384 x 16384, at most 33554432 pixels");
    fw_mp_begin(&o), fw_mp_map(&o, 0), check_refused(made(&o), FW_SHAPE, "no picture of camera 'front'");
    fw_mp_begin(&o), fw_mp_array(&o, 0), check_refused(made(&o), FW_FORMAT, "is a map");
}

static void one_camera_may_be_missing_and_is_named(void) {
    fw_mp_out o;
    fw_err err = {0};
    fw_mp_begin(&o), fw_mp_map(&o, 3), put_u8(&o, "observation/front", false), put_state(&o, "state", 6), put_words(&o);
    message m = made(&o);
    CHECK_INT(look(&m, &no_map, &err), FW_OK);
    CHECK(seen.missing == 1 && seen.obs.image[1].rgb == NULL && seen.obs.n_image == 2);
    drop(&m);
}

static void paths_say_protocol_and_model(void) {
    static const char *const names[] = {"kitchen3", "pi0"};
    route r;
    char why[200];
    CHECK(fw_route("/", names, 2, &r, why, sizeof why) == 0 && r.model == -1 && r.protocol == FW_PROTOCOL_UNKNOWN);
    CHECK(fw_route("/pi0", names, 2, &r, why, sizeof why) == 0 && r.model == 1);
    CHECK(fw_route("/vla-eval/kitchen3", names, 2, &r, why, sizeof why) == 0 && r.model == 0 &&
          r.protocol == FW_PROTOCOL_VLA_EVAL);
    CHECK(fw_route("/openpi", names, 2, &r, why, sizeof why) == 0 && r.protocol == FW_PROTOCOL_OPENPI);
    CHECK(fw_route("/openpi/pi", names, 2, &r, why, sizeof why) == 404 &&
          strstr(why, "'pi' here; there are /kitchen3 /pi0") != NULL);
    CHECK(fw_route("/anything/at/all", names, 1, &r, why, sizeof why) == 0 && r.model == -1);
}

/* An observation with a JPEG, floats and a prefix, looked at once. */
static fw_status look_once(const void *ctx, fw_err *err) {
    const fw_status st = look(ctx, &no_map, err);
    fw_observed_clear(&seen);
    return st;
}

static void any_allocation_may_fail(void) {
    const int64_t one[] = {1, H, W, 3}, rows[] = {3, FAKE_ACTION};
    fw_mp_out o;
    fw_mp_begin(&o);
    fw_mp_map(&o, 5);
    fw_mp_str(&o, "images"), fw_mp_map(&o, 2), put_u8(&o, "front", true);
    fw_mp_str(&o, "wrist"), fw_nd_put(&o, FW_ND_VLA_EVAL, "<f4", 4, one, floats);
    put_state(&o, "state", FAKE_STATE), put_words(&o);
    fw_mp_str(&o, "n_prefix"), fw_mp_int(&o, 1);
    fw_mp_str(&o, "prefix"), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 2, rows, floats);
    message m = made(&o);
    nomem_every_allocation(look_once, &m, 1, 3);
    drop(&m);
}

int main(int argc, char **argv) {
    const fw_test tests[] = {T(channels_may_come_first_or_last_and_pixels_may_be_floats),
                             T(pixels_of_the_usual_layout_are_not_copied),
                             T(a_map_of_names_goes_before_ours),
                             T(jpeg_and_alpha_are_read),
                             T(what_does_not_fit_is_refused_by_name),
                             T(one_camera_may_be_missing_and_is_named),
                             T(paths_say_protocol_and_model),
                             T(any_allocation_may_fail)};
    fake_init(&f, 0, 0);
    fill();
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (argc == 1 || strcmp(argv[1], tests[i].name) == 0) {
            tests[i].fn();
            printf("ok %s\n", tests[i].name);
        }
    }
    return 0;
}
