/* test_safetensors.c - what is written is read back; every way a file can lie is refused with a message. */
#include "base/file.h"
#include "fw_test.h"
#include "tensor/safetensors.h"

#define S FW_SHAPE_OF
static fw_err g_err;
static void must(fw_status st) {
    if (st != FW_OK)
        FW_FAILED("%s", g_err.msg);
}

/* A file in memory: 8-byte length, header, n_data bytes 0, 1, 2, ... */
typedef struct mem {
    uint8_t bytes[4096];
    size_t n;
} mem;

static mem file_of(const char *header, size_t n_data) {
    mem m = {.n = 8 + strlen(header) + n_data};
    for (int i = 0; i < 8; i++)
        m.bytes[i] = (uint8_t)(strlen(header) >> (8 * i));
    memcpy(m.bytes + 8, header, strlen(header));
    for (size_t i = 0; i < n_data; i++)
        m.bytes[8 + strlen(header) + i] = (uint8_t)i;
    return m;
}

static void reads_every_float_type(void) {
    mem m = file_of("{\"__metadata__\":{\"format\":\"pt\"},"
                    "\"h\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                    "\"b\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[6,10]},"
                    "\"d\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[10,18]},"
                    "\"f\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[18,22]},"
                    "\"i\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[22,30]}}   ",
                    30);
    uint8_t *at = m.bytes + m.n - 30;
    const uint16_t half[3] = {0x3C00, 0xC100, 0x0001}, bf[2] = {0x3F80, 0xC040};
    const double d = 0.1;
    const float f = -7.5f;
    memcpy(at, half, 6);
    memcpy(at + 6, bf, 4);
    memcpy(at + 10, &d, 8);
    memcpy(at + 18, &f, 4);
    fw_st *s;
    must(fw_st_open_mem(m.bytes, m.n, "mem", &s, &g_err));
    CHECK_INT(fw_st_count(s), 5);
    CHECK(strcmp(fw_st_meta(s, "format"), "pt") == 0 && fw_st_meta(s, "x") == NULL);
    float out[3];
    must(fw_st_read_f32(s, "h", &S(3), out, &g_err));
    CHECK_NEAR(out, ((float[]){1.0f, -2.5f, 0x1p-24f}), 3, 0, 0);
    must(fw_st_read_f32(s, "b", &S(1, 2), out, &g_err));
    CHECK_NEAR(out, ((float[]){1.0f, -3.0f}), 2, 0, 0);
    must(fw_st_read_f32(s, "d", &(fw_shape){0}, out, &g_err));
    CHECK(out[0] == 0.1f);
    must(fw_st_read_f32(s, "f", &S(1), out, &g_err));
    CHECK(out[0] == -7.5f);
    CHECK_INT(fw_st_read_f32(s, "f", &S(2), out, &g_err), FW_SHAPE);
    CHECK(strcmp(g_err.msg, "mem: tensor 'f' is [1], [2] wanted") == 0);
    CHECK_INT(fw_st_read_f32(s, "i", &S(1), out, &g_err), FW_FORMAT);
    CHECK(strcmp(g_err.msg, "mem: tensor 'i' is I64, a float type wanted") == 0);
    CHECK_INT(fw_st_read_f32(s, "nope", &S(1), out, &g_err), FW_SHAPE);
    CHECK(fw_st_find(s, "i")->bytes == 8 && fw_st_at(s, 5) == NULL);
    fw_st_close(s);
}

static void hostile_files_are_refused(void) {
#define ONE(dtype, shape, from, to)                                                                                    \
    "{\"t\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}}"
#define AND(a, b)                                                                                                      \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" a                                                      \
    "]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" b "]}}"
    static const struct {
        const char *header;
        size_t n_data;
        const char *says; /* part of the message */
    } k[] = {
        {ONE("F32", "[2]", "0", "8"), 7, "tensor 't': bytes 0..8 lie outside the 7 bytes of data"},
        {ONE("F32", "[2]", "0", "8"), 9, "1 bytes after the last tensor"},
        {ONE("F32", "[2]", "4", "12"), 12, "tensor 't': a gap lies before it"},
        {ONE("F32", "[2]", "0", "4"), 4, "does not fit dtype and shape"},
        {ONE("F32", "[2]", "-8", "0"), 8, "lie outside"},
        {ONE("F32", "[2]", "8", "0"), 8, "lie outside"},
        {ONE("F32", "[2]", "0", "18446744073709551616"), 8, ""},
        {ONE("F32", "[2]", "0.0", "8.0"), 8, "data_offsets must be two integers"},
        {ONE("F32", "[2.0]", "0", "8"), 8, "each dimension must be an integer >= 1"},
        {ONE("F32", "[-2]", "0", "8"), 8, "each dimension must be an integer >= 1"},
        {ONE("F32", "[0]", "0", "0"), 0, "each dimension must be an integer >= 1"},
        {ONE("F32", "[4294967296,4294967296,4294967296]", "0", "0"), 0, "does not fit dtype and shape"},
        {ONE("F32", "[2305843009213693952,2]", "0", "0"), 0, "does not fit dtype and shape"},
        {ONE("F32", "[1,1,1,1,1,1]", "0", "4"), 4, "at most 5 numbers"},
        {ONE("F32", "2", "0", "8"), 8, "shape must be a list"},
        {ONE("F33", "[2]", "0", "8"), 8, "unknown dtype 'F33'"},
        {AND("0,4", "2,6"), 6, "overlaps another"},
        {AND("0,4", "0,4"), 4, "overlaps another"},
        {AND("0,4", "5,9"), 9, "a gap lies before it"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_"
         "offsets\":[0,1]}}",
         1, ""},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":1}}", 1, "wants exactly"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "wants exactly"},
        {"{\"t\":3}", 1, "wants exactly"},
        {"{\"t\":[]}", 1, "wants exactly"},
        {"{\"t\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "wants exactly"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, "two integers"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "is not a string"},
        {"[]", 0, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"{", 0, "header of 1 bytes"},
        {"{\"t\"", 0, ""},
        {"{} {}", 0, ""},
        {"{\"\xff\":{}}", 0, ""},
        {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, ""},
    };
    for (size_t i = 0; i < sizeof(k) / sizeof(*k); i++) {
        mem m = file_of(k[i].header, k[i].n_data);
        uint8_t *exact = malloc(m.n); /* so that a sanitizer sees one byte too far */
        memcpy(exact, m.bytes, m.n);
        fw_st *s;
        g_err = (fw_err){0};
        fw_status st = fw_st_open_mem(exact, m.n, "bad.safetensors", &s, &g_err);
        if (st != FW_FORMAT || s != NULL || strstr(g_err.msg, k[i].says) == NULL ||
            strncmp(g_err.msg, "bad.safetensors", 15) != 0)
            FW_FAILED("case %zu: %s \"%s\", want \"%s\"", i, fw_status_name(st), g_err.msg, k[i].says);
        free(exact);
    }
}

static void truncated_files_are_refused(void) {
    mem m = file_of(AND("0,4", "4,8"), 8);
    fw_st *s;
    for (size_t n = 0; n < m.n; n++) {
        uint8_t *part = malloc(n + 1);
        memcpy(part, m.bytes, n);
        CHECK_INT(fw_st_open_mem(part, n, "mem", &s, &g_err), FW_FORMAT);
        free(part);
    }
    must(fw_st_open_mem(m.bytes, m.n, "mem", &s, &g_err));
    fw_st_close(s);
    memset(m.bytes, 0xFF, 8); /* header length 2^64 - 1 */
    CHECK_INT(fw_st_open_mem(m.bytes, m.n, "mem", &s, &g_err), FW_FORMAT);
    memset(m.bytes, 0, 8);
    CHECK_INT(fw_st_open_mem(m.bytes, m.n, "mem", &s, &g_err), FW_FORMAT);
}

#define PATH "safetensors_test.safetensors"

static void what_is_written_is_read_back(void) {
    const float x[6] = {1.0f, -2.00390625f, 65504.0f, 1e-7f, 3.14159274f, 0x1.008p0f};
    const int64_t ids[2] = {-1, INT64_C(1) << 40};
    const fw_st_out t[] = {
        {"a.f32", FW_F32, S(2, 3), x},
        {"b.bf16", FW_BF16, S(6), x},
        {"c \"quoted\" \xc3\xa9", FW_F16, S(3, 2), x},
        {"d.i64", FW_I64, S(2), ids},
    };
    static const char *const kv[] = {"format", "pt", "source", "a test", NULL};
    must(fw_st_write(PATH, t, 4, kv, &g_err));
    fw_st *s;
    must(fw_st_open(PATH, &s, &g_err));
    float y[6];
    must(fw_st_read_f32(s, "a.f32", &S(2, 3), y, &g_err));
    CHECK(memcmp(x, y, sizeof(x)) == 0);
    must(fw_st_read_f32(s, "b.bf16", &S(6), y, &g_err));
    CHECK_NEAR(y, x, 6, 0, 0x1p-8);
    CHECK(y[1] == -2.0f); /* halfway: to even */
    must(fw_st_read_f32(s, t[2].name, &S(3, 2), y, &g_err));
    CHECK_NEAR(y, x, 6, 0x1p-25, 0x1p-11);
    CHECK(y[2] == 65504.0f && y[5] == 0x1.008p0f);
    CHECK(memcmp(fw_st_find(s, "d.i64")->data, ids, sizeof(ids)) == 0);
    CHECK(strcmp(fw_st_meta(s, "source"), "a test") == 0);
    fw_st_close(s);

    const fw_st_out twice[] = {t[0], t[0]};
    CHECK_INT(fw_st_write(PATH, twice, 2, NULL, &g_err), FW_INVALID);
    CHECK_INT(fw_st_write("/nonexistent/x.safetensors", t, 1, NULL, &g_err), FW_IO);
    CHECK(strstr(g_err.msg, "/nonexistent/") != NULL);
    CHECK_INT(fw_st_open("/nonexistent/x.safetensors", &s, &g_err), FW_IO);
}

static fw_params *two_params(uint64_t seed, int64_t n) {
    fw_params *p;
    fw_parameter *q;
    must(fw_params_new(seed, &p, &g_err));
    must(fw_params_get(p, "one", &S(2, n), (fw_init){FW_INIT_NORMAL, 1}, &q, &g_err));
    must(fw_params_get(p, "two", &S(3), (fw_init){FW_INIT_UNIFORM, 1}, &q, &g_err));
    return p;
}

static void a_store_is_saved_and_loaded(void) {
    fw_params *a = two_params(1, 5), *b = two_params(2, 5), *c = two_params(2, 6);
    fw_parameter *q;
    must(fw_params_save(a, PATH, FW_F32, NULL, &g_err));
    must(fw_params_load(b, PATH, false, &g_err));
    CHECK(memcmp(fw_params_at(a, 0)->data, fw_params_at(b, 0)->data, 40) == 0);
    CHECK(memcmp(fw_params_at(a, 1)->data, fw_params_at(b, 1)->data, 12) == 0);
    CHECK(fw_params_at(b, 1)->loaded && !fw_params_at(a, 1)->loaded);

    CHECK_INT(fw_params_load(c, PATH, false, &g_err), FW_SHAPE);
    CHECK(strcmp(g_err.msg, PATH ": tensor 'one' is F32 [2,5], a float [2,6] wanted") == 0);
    must(fw_params_get(b, "three", &S(1), (fw_init){FW_INIT_ONE, 0}, &q, &g_err));
    float before = fw_params_at(b, 0)->data[0] = 42.0f;
    CHECK_INT(fw_params_load(b, PATH, false, &g_err), FW_SHAPE);
    CHECK(strstr(g_err.msg, "tensor 'three' is missing") != NULL);
    CHECK(fw_params_at(b, 0)->data[0] == before); /* a failed load changes nothing */

    must(fw_params_save(b, PATH, FW_BF16, NULL, &g_err));
    CHECK_INT(fw_params_load(a, PATH, false, &g_err), FW_SHAPE);
    CHECK(strstr(g_err.msg, "tensor 'three' belongs to no parameter") != NULL);
    must(fw_params_load(a, PATH, true, &g_err));
    CHECK(fw_params_at(a, 0)->data[0] == 42.0f);
    CHECK_INT(fw_params_save(b, PATH, FW_I32, NULL, &g_err), FW_INVALID);
    fw_params_free(a);
    fw_params_free(b);
    fw_params_free(c);
    must(fw_remove_tree(PATH, &g_err));
}

/* A value depends on (seed, name) only. */
static void parameters_do_not_depend_on_the_order_of_creation(void) {
    fw_params *a = two_params(1, 5), *b;
    fw_parameter *q;
    must(fw_params_new(1, &b, &g_err));
    must(fw_params_get(b, "two", &S(3), (fw_init){FW_INIT_UNIFORM, 1}, &q, &g_err));
    CHECK(memcmp(q->data, fw_params_find(a, "two")->data, 12) == 0);
    CHECK(q->data[0] != q->data[1] && fabsf(q->data[0]) <= 1.0f);
    CHECK_INT(fw_params_get(b, "two", &S(4), (fw_init){FW_INIT_ZERO, 0}, &q, &g_err), FW_SHAPE);
    CHECK_INT(fw_params_get(b, "", &S(4), (fw_init){FW_INIT_ZERO, 0}, &q, &g_err), FW_INVALID);
    CHECK_INT(fw_params_set_trainable(a, "t", false), 1);
    CHECK(!fw_params_find(a, "two")->trainable && fw_params_find(a, "one")->trainable);
    for (int i = 0; i < 300; i++) { /* pointers stay valid while the store grows */
        char name[16];
        snprintf(name, sizeof(name), "p%d", i);
        fw_parameter *more;
        must(fw_params_get(b, name, &S(1), (fw_init){FW_INIT_ONE, 0}, &more, &g_err));
        CHECK(more->data[0] == 1.0f && (uintptr_t)more->data % 64 == 0);
    }
    CHECK(fw_params_find(b, "two") == fw_params_at(b, 0) && fw_params_at(b, 0)->shape.d[0] == 3);
    fw_params_free(a);
    fw_params_free(b);
}

static void every_half_survives_the_way_through_float(void) {
    enum { N = 65536 };
    static float f[N];
    static uint8_t file[128 + 2 * N];
    const char *header = "{\"t\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}";
    mem m = file_of(header, 0);
    memcpy(file, m.bytes, m.n);
    for (uint32_t h = 0; h < N; h++)
        memcpy(file + m.n + 2 * h, &(uint16_t){(uint16_t)h}, 2);
    fw_st *s;
    must(fw_st_open_mem(file, m.n + 2 * N, "mem", &s, &g_err));
    must(fw_st_read_f32(s, "t", &S(N), f, &g_err));
    fw_st_close(s);
    must(fw_st_write(PATH, &(fw_st_out){"t", FW_F16, S(N), f}, 1, NULL, &g_err));
    must(fw_st_open(PATH, &s, &g_err));
    for (uint32_t h = 0; h < N; h++) {
        uint16_t back;
        memcpy(&back, (const uint8_t *)fw_st_at(s, 0)->data + 2 * h, 2);
        bool nan = (h & 0x7C00) == 0x7C00 && (h & 0x3FF) != 0;
        CHECK(nan ? isnan(f[h]) && (back & 0x7C00) == 0x7C00 && (back & 0x3FF) != 0 : back == h);
    }
    fw_st_close(s);
    must(fw_remove_tree(PATH, &g_err));
}

FW_TEST_MAIN(T(reads_every_float_type), T(hostile_files_are_refused), T(truncated_files_are_refused),
             T(what_is_written_is_read_back), T(a_store_is_saved_and_loaded),
             T(parameters_do_not_depend_on_the_order_of_creation), T(every_half_survives_the_way_through_float))
