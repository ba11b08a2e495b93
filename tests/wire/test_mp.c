/* msgpack with numpy's arrays: bytes as the clients of others write them, and what is refused */
#include "wire/mp.h"

#include "fw_test.h"
#include "nomem.h"
#include "wire/mp_json.h"

/* Each written by numpy 2.2.6 and msgpack 1.0.3 through openpi's msgpack_numpy */
static const char *const f32_matrix =
    "84c40b5f5f6e6461727261795f5fc3c40464617461c4080000803f000000c0c4056474797065a33c6634c405"
    "7368617065920102";
static const char *const f64_vector =
    "84c40b5f5f6e6461727261795f5fc3c40464617461c410000000000000f03f00000000000000c0c405647479"
    "7065a33c6638c40573686170659102";
static const char *const u8_vector =
    "84c40b5f5f6e6461727261795f5fc3c40464617461c40207ffc4056474797065a37c7531c40573686170659102";
static const char *const f32_scalar =
    "84c40b5f5f6e6461727261795f5fc3c40464617461c4040000003fc4056474797065a33c6634c405736861706590";
static const char *const f32_empty =
    "84c40b5f5f6e6461727261795f5fc3c40464617461c400c4056474797065a33c6634c4057368617065920003";
static const char *const response =
    "83a7616374696f6e7384c40b5f5f6e6461727261795f5fc3c40464617461c410000000000000f03f00000000000000c0c4056474797065a33c"
    "6638c4057368617065920102ad706f6c6963795f74696d696e6781a8696e6665725f6d73cb4029000000000000ad7365727665725f74696d69"
    "6e6781a8696e6665725f6d73cb402a000000000000";

static size_t unhex(const char *hex, uint8_t *out) {
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned x;
        CHECK(sscanf(hex + 2 * i, "%2x", &x) == 1);
        out[i] = (uint8_t)x;
    }
    return n;
}

static void check_bytes(fw_mp_out *o, const char *hex) {
    uint8_t want[1024];
    fw_buf b;
    const size_t n = unhex(hex, want);
    CHECK_INT(fw_mp_end(o, &b, NULL), FW_OK);
    CHECK_INT(b.n, n);
    CHECK(memcmp(fw_buf_data(&b), want, n) == 0);
    fw_buf_free(&b);
}

static void arrays_are_written_byte_for_byte(void) {
    const float m[] = {1, -2}, half = 0.5f;
    const double v[] = {1, -2};
    const uint8_t u[] = {7, 255};
    const int64_t two[] = {2}, matrix[] = {1, 2}, empty[] = {0, 3};
    fw_mp_out o;
    fw_mp_begin(&o), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 2, matrix, m), check_bytes(&o, f32_matrix);
    fw_mp_begin(&o), fw_nd_put(&o, FW_ND_OPENPI, "<f8", 1, two, v), check_bytes(&o, f64_vector);
    fw_mp_begin(&o), fw_nd_put(&o, FW_ND_OPENPI, "|u1", 1, two, u), check_bytes(&o, u8_vector);
    fw_mp_begin(&o), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 0, NULL, &half), check_bytes(&o, f32_scalar);
    fw_mp_begin(&o), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 2, empty, m), check_bytes(&o, f32_empty);
    fw_mp_begin(&o), fw_mp_map(&o, 0), check_bytes(&o, "80");
}

static void a_response_is_written_byte_for_byte(void) {
    const double a[] = {1, -2};
    const int64_t shape[] = {1, 2};
    fw_mp_out o;
    fw_mp_begin(&o);
    fw_mp_map(&o, 3);
    fw_mp_str(&o, "actions"), fw_nd_put(&o, FW_ND_OPENPI, "<f8", 2, shape, a);
    fw_mp_str(&o, "policy_timing"), fw_mp_map(&o, 1), fw_mp_str(&o, "infer_ms"), fw_mp_f64(&o, 12.5);
    fw_mp_str(&o, "server_timing"), fw_mp_map(&o, 1), fw_mp_str(&o, "infer_ms"), fw_mp_f64(&o, 13.0);
    check_bytes(&o, response);
}

static void metadata_is_written_byte_for_byte(void) {
    json_t *j = json_pack("{s:[i,f,f,i,i,i]}", "reset_pose", 0, -1.5, 1.5, 0, 0, 0);
    fw_mp_out o;
    fw_mp_begin(&o), fw_mp_put_json(&o, j);
    check_bytes(&o, "81aa72657365745f706f73659600cbbff8000000000000cb3ff8000000000000000000");
    json_decref(j);
}

/* The numbers of a message. */
static size_t numbers_of(const char *hex, float *out, size_t cap) {
    uint8_t bytes[1024];
    fw_mp_doc doc;
    fw_err err = {0};
    size_t n;
    if (fw_mp_parse(bytes, unhex(hex, bytes), &doc, &err) != FW_OK ||
        fw_mp_numbers(&doc.root, "x", out, cap, &n, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_mp_clear(&doc);
    return n;
}

static void what_numpy_wrote_is_read(void) {
    float x[8];
    CHECK(numbers_of(f32_matrix, x, 8) == 2 && x[0] == 1 && x[1] == -2);
    CHECK(numbers_of(f64_vector, x, 8) == 2 && x[0] == 1 && x[1] == -2);
    CHECK(numbers_of(u8_vector, x, 8) == 2 && x[0] == 7 && x[1] == 255);
    CHECK(numbers_of(f32_scalar, x, 8) == 1 && x[0] == 0.5f);
    CHECK_INT(numbers_of(f32_empty, x, 8), 0);
    /* np.float32(0.5), np.float64(0.5), np.int64(5), np.bool_(True), [1, 2.5, -3] */
    CHECK(numbers_of("83c40d5f5f6e7067656e657269635f5fc3c40464617461cb3fe0000000000000c4056474797065a33c6634", x, 8) ==
              1 &&
          x[0] == 0.5f);
    CHECK(numbers_of("cb3fe0000000000000", x, 8) == 1 && x[0] == 0.5f);
    CHECK(numbers_of("83c40d5f5f6e7067656e657269635f5fc3c4046461746105c4056474797065a33c6938", x, 8) == 1 && x[0] == 5);
    CHECK(numbers_of("83c40d5f5f6e7067656e657269635f5fc3c40464617461c3c4056474797065a37c6231", x, 8) == 1 && x[0] == 1);
    CHECK(numbers_of("9301cb4004000000000000fd", x, 8) == 3 && x[1] == 2.5f && x[2] == -3);
}

/* An array of one element of any type in vla-eval's dialect, whose keys are text. */
static double element_of(const char *dtype, const void *data) {
    const int64_t one[] = {1};
    fw_mp_out o;
    fw_buf b;
    fw_mp_doc doc;
    fw_nd nd;
    fw_err err = {0};
    double x;
    fw_mp_begin(&o), fw_nd_put(&o, FW_ND_VLA_EVAL, dtype, 1, one, data);
    if (fw_mp_end(&o, &b, &err) != FW_OK || fw_mp_parse(fw_buf_data(&b), b.n, &doc, &err) != FW_OK ||
        fw_nd_view(&doc.root, "x", &nd, &err) != FW_OK) {
        FW_FAILED("%s: %s", dtype, err.msg);
    }
    fw_nd_f64(&nd, 0, 1, &x);
    fw_mp_clear(&doc);
    fw_buf_free(&b);
    return x;
}

static void every_number_type_is_read_in_both_byte_orders(void) {
    CHECK(element_of("<f2", "\x00\x3e") == 1.5 && element_of(">f2", "\x3e\x00") == 1.5);
    CHECK(element_of("<f2", "\x01\x00") == 0x1p-24 && isinf(element_of("<f2", "\x00\x7c")));
    CHECK(element_of(">f4", "\xbf\x80\x00\x00") == -1.0 && element_of("<f4", "\x00\x00\x80\xbf") == -1.0);
    CHECK(element_of(">f8", "\x3f\xf0\x00\x00\x00\x00\x00\x00") == 1.0);
    CHECK(element_of("<i2", "\xfe\xff") == -2.0 && element_of(">i2", "\xff\xfe") == -2.0);
    CHECK(element_of("<i8", "\xff\xff\xff\xff\xff\xff\xff\xff") == -1.0 && element_of("|i1", "\x80") == -128.0);
    CHECK(element_of("<u2", "\xff\xff") == 65535.0 && element_of("<u4", "\xff\xff\xff\xff") == 4294967295.0);
    CHECK(element_of("|b1", "\x05") == 1.0 && element_of("=u1", "\x05") == 5.0);
}

static void check_refused(const char *hex, const char *because) {
    uint8_t bytes[1024];
    fw_mp_doc doc;
    fw_err err = {0};
    float x[4];
    size_t n;
    fw_status st = fw_mp_parse(bytes, unhex(hex, bytes), &doc, &err);
    st = st == FW_OK ? fw_mp_numbers(&doc.root, "here", x, 4, &n, &err) : st;
    if (st == FW_OK || strstr(err.msg, because) == NULL) {
        FW_FAILED("%s: '%s', wanted '%s'", hex, err.msg, because);
    }
    fw_mp_clear(&doc);
}

static void what_is_cut_off_or_lies_is_refused_with_its_place(void) {
    char cut[400];
    for (size_t n = 0; n < strlen(response); n += 2) {
        snprintf(cut, sizeof cut, "%.*s", (int)n, response);
        check_refused(cut, "byte");
    }
    check_refused("c1", "not a type");
    check_refused("8080", "1 bytes behind the value");
    check_refused("dd10000000", "more than 100000 values"); /* 2^28 elements that never come */
    check_refused("dc8000", "before everything announced");
    check_refused("9191919191919191919191919191919191919100", "nest deeper");
    check_refused("9501020304cb7ff8000000000000", "more than 4");
    check_refused("91cb7ff8000000000000", "value 0 is nan");
    check_refused("a3616263", "neither numbers");
    check_refused("c7ffffffff", "middle");
}

static void arrays_that_lie_are_refused_by_name(void) {
    /* data of 7 bytes for two f4; dtype <U4; a negative size; no bytes; sizes that overflow */
    check_refused("84c40b5f5f6e6461727261795f5fc3c40464617461c407000000000000"
                  "00c4056474797065a33c6634c40573686170659102",
                  "here: [2] f4 has 7 bytes");
    check_refused("84c40b5f5f6e6461727261795f5fc3c40464617461c400c4056474797065a33c5534c405736861706590",
                  "dtype '<U4'");
    check_refused("84c40b5f5f6e6461727261795f5fc3c40464617461c400c4056474797065a33c6634c405736861706591ff", "no size");
    check_refused("84c40b5f5f6e6461727261795f5fc3c4046461746100c4056474797065a33c6634c405736861706590", "no bytes");
    check_refused(
        "84c40b5f5f6e6461727261795f5fc3c40464617461c400c4056474797065a33c6634c405736861706593cf0000010000000000cf"
        "0000010000000000cf0000010000000000",
        "no size");
}

static void the_last_of_equal_keys_counts_as_in_python(void) {
    uint8_t bytes[16];
    fw_mp_doc doc;
    double x;
    CHECK_INT(fw_mp_parse(bytes, unhex("82a16101c4016102", bytes), &doc, NULL), FW_OK); /* "a": 1, b"a": 2 */
    CHECK(fw_mp_number(fw_mp_get(&doc.root, "a"), &x) && x == 2.0);
    CHECK(fw_mp_get(&doc.root, "b") == NULL && fw_mp_get(NULL, "a") == NULL);
    fw_mp_clear(&doc);
}

static void json_comes_back_from_msgpack_as_it_was(void) {
    json_t *j = json_pack("{s:i, s:f, s:s, s:b, s:n, s:[i,{s:i}]}", "i", -7, "f", 1.5, "s", "h\xc3\xa9", "b", 1, "n",
                          "a", 1, "x", 2),
           *back;
    fw_mp_out o;
    fw_buf b;
    fw_mp_doc doc;
    fw_mp_begin(&o), fw_mp_put_json(&o, j);
    CHECK_INT(fw_mp_end(&o, &b, NULL), FW_OK);
    CHECK_INT(fw_mp_parse(fw_buf_data(&b), b.n, &doc, NULL), FW_OK);
    CHECK_INT(fw_mp_to_json(&doc.root, &back, NULL), FW_OK);
    CHECK(json_equal(j, back));
    json_decref(j), json_decref(back);
    fw_mp_clear(&doc), fw_buf_free(&b);
}

/* A message written, read, its numbers taken. */
static fw_status there_and_back(const void *ctx, fw_err *err) {
    static const float values[300];
    const int64_t shape[] = {300};
    fw_mp_out o;
    fw_buf b;
    fw_mp_doc doc = {0};
    float x[300];
    size_t n;
    (void)ctx;
    fw_mp_begin(&o);
    fw_mp_map(&o, 2);
    fw_mp_str(&o, "list"), fw_mp_array(&o, 600);
    for (int i = 0; i < 600; i++) {
        fw_mp_map(&o, 0);
    }
    fw_mp_str(&o, "state"), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 1, shape, values);
    fw_status st = fw_mp_end(&o, &b, err);
    st = st == FW_OK ? fw_mp_parse(fw_buf_data(&b), b.n, &doc, err) : st;
    st = st == FW_OK ? fw_mp_numbers(fw_mp_get(&doc.root, "state"), "state", x, 300, &n, err) : st;
    fw_mp_clear(&doc);
    fw_buf_free(&b);
    return st;
}

static void any_allocation_may_fail(void) {
    nomem_every_allocation(there_and_back, NULL, 1, 8);
}

FW_TEST_MAIN(T(arrays_are_written_byte_for_byte), T(a_response_is_written_byte_for_byte),
             T(metadata_is_written_byte_for_byte), T(what_numpy_wrote_is_read),
             T(every_number_type_is_read_in_both_byte_orders), T(what_is_cut_off_or_lies_is_refused_with_its_place),
             T(arrays_that_lie_are_refused_by_name), T(the_last_of_equal_keys_counts_as_in_python),
             T(json_comes_back_from_msgpack_as_it_was), T(any_allocation_may_fail))
