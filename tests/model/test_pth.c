#include "fw_test.h"

#include "base/file.h"
#include "model/pth.h"
#include "tensor/safetensors.h"

#define GOLDEN FW_SOURCE_DIR "/tests/golden/"

/* Every tensor of the .pth equals the safetensors golden, bit for bit. */
static void check_against_golden(const char *path) {
    fw_err err = {0};
    fw_pth *p = NULL;
    fw_st *s = NULL;
    fw_status st = fw_pth_open(path, &p, &err);
    if (st != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    CHECK_INT(fw_st_open(GOLDEN "model_tiny.safetensors", &s, &err), FW_OK);
    CHECK_INT(fw_pth_count(p), 6);
    for (int i = 0; i < fw_st_count(s); i++) {
        const fw_st_tensor *want = fw_st_at(s, i);
        const fw_pth_tensor *got = fw_pth_find(p, want->name);
        CHECK(got != NULL);
        CHECK_INT(got->dtype, want->dtype);
        CHECK(fw_shape_eq(&got->shape, &want->shape));
        CHECK_INT(got->bytes, want->bytes);
        CHECK(memcmp(got->data, want->data, want->bytes) == 0);
    }
    fw_st_close(s);
    fw_pth_close(p);
}

static void zip_container_reads_like_the_reference(void) {
    check_against_golden(GOLDEN "model_tiny.pth");
}
static void legacy_container_reads_like_the_reference(void) {
    check_against_golden(GOLDEN "model_tiny_legacy.pth");
}

/* The pickle of the legacy golden with one text replaced by another of any length. */
static fw_status open_changed(const char *from, const char *to, fw_err *err) {
    char *data = NULL, *out = NULL;
    size_t size = 0, n = strlen(from), m = strlen(to);
    CHECK_INT(fw_file_read(GOLDEN "model_tiny_legacy.pth", 1 << 20, &data, &size, err), FW_OK);
    char *at = memmem(data, size, from, n);
    CHECK(at != NULL);
    out = malloc(size - n + m);
    size_t before = (size_t)(at - data);
    memcpy(out, data, before);
    memcpy(out + before, to, m);
    memcpy(out + before + m, at + n, size - before - n);
    fw_pth *p = NULL;
    fw_status st = fw_pth_open_mem(out, size - n + m, "changed", &p, err);
    fw_pth_close(p);
    free(out);
    free(data);
    return st;
}

static void a_foreign_function_is_refused_by_its_name(void) {
    fw_err err = {0};
    CHECK_INT(open_changed("collections\nOrderedDict\n", "os\nsystem\n", &err), FW_FORMAT);
    CHECK(strstr(err.msg, "os.system") != NULL);
    CHECK_INT(open_changed("torch._utils\n_rebuild_tensor_v2\n", "builtins\neval\n", &err), FW_FORMAT);
    CHECK(strstr(err.msg, "builtins.eval") != NULL);
    CHECK_INT(open_changed("torch\nFloatStorage\n", "torch\nQInt8Storage\n", &err), FW_FORMAT);
    CHECK(strstr(err.msg, "torch.QInt8Storage") != NULL);
}

static void a_function_called_with_the_wrong_parts_is_refused(void) {
    fw_err err = {0};
    CHECK_INT(open_changed("collections\nOrderedDict\n", "torch\nFloatStorage\n", &err), FW_FORMAT);
    CHECK(strstr(err.msg, "refused") != NULL);
}

static void truncation_at_every_byte_is_an_error(void) {
    static const char *const files[] = {GOLDEN "model_tiny.pth", GOLDEN "model_tiny_legacy.pth"};
    for (int f = 0; f < 2; f++) {
        char *data = NULL;
        size_t size = 0;
        fw_err err = {0};
        CHECK_INT(fw_file_read(files[f], 1 << 20, &data, &size, &err), FW_OK);
        for (size_t n = 0; n < size; n++) {
            fw_pth *p = NULL;
            char *exact = malloc(n + (n == 0));
            memcpy(exact, data, n);
            CHECK(fw_pth_open_mem(exact, n, "cut", &p, &err) != FW_OK);
            CHECK(p == NULL && err.msg[0] != 0);
            free(exact);
        }
        free(data);
    }
}

static void a_missing_file_is_named(void) {
    fw_err err = {0};
    fw_pth *p = NULL;
    CHECK_INT(fw_pth_open("/nowhere/x.pth", &p, &err), FW_IO);
    CHECK(strstr(err.msg, "/nowhere/x.pth") != NULL);
}

FW_TEST_MAIN(T(zip_container_reads_like_the_reference), T(legacy_container_reads_like_the_reference),
             T(a_foreign_function_is_refused_by_its_name), T(a_function_called_with_the_wrong_parts_is_refused),
             T(truncation_at_every_byte_is_an_error), T(a_missing_file_is_named))
