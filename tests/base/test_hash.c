#include "base/hash.h"

#include <unistd.h>

#include "base/file.h"
#include "fw_test.h"

static void check_text(const char *text, const char *want) {
    char got[65];
    fw_sha256_hex(text, strlen(text), got);
    CHECK(strcmp(got, want) == 0);
}

/* FIPS 180-4 examples (NIST) */
static void sha256_gives_the_standards_examples(void) {
    char got[65];
    check_text("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_text("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *a = malloc(1000000);
    CHECK(a != NULL);
    memset(a, 'a', 1000000);
    fw_sha256_hex(a, 1000000, got);
    free(a);
    CHECK(strcmp(got, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0") == 0);
}

static void a_file_hashes_like_its_bytes_at_every_length_around_a_block(void) {
    char buf[200], a[65], b[65];
    char path[] = "hash_test.bin";
    memset(buf, 'x', sizeof(buf));
    for (size_t n = 0; n < sizeof(buf); n += 1 + n % 3) {
        CHECK_INT(fw_file_write_atomic(path, buf, n, NULL), FW_OK);
        CHECK_INT(fw_sha256_file(path, a, NULL), FW_OK);
        fw_sha256_hex(buf, n, b);
        CHECK(strcmp(a, b) == 0);
    }
    unlink(path);
}

static void a_missing_file_is_an_error_with_its_name(void) {
    char h[65];
    fw_err e = {0};
    CHECK_INT(fw_sha256_file("/no/such/file", h, &e), FW_IO);
    CHECK(strstr(e.msg, "/no/such/file") != NULL);
}

static void hardware_and_plain_rounds_agree_at_every_length(void) {
    unsigned char buf[300];
    char fast[65], plain[65];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(buf); i++) {
        buf[i] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
    }
    for (size_t n = 0; n < sizeof(buf); n++) {
        unsetenv("FW_KERN");
        fw_sha256_hex(buf, n, fast);
        setenv("FW_KERN", "scalar", 1);
        fw_sha256_hex(buf, n, plain);
        CHECK(strcmp(fast, plain) == 0);
    }
    sha256_gives_the_standards_examples(); /* of the plain ones */
    unsetenv("FW_KERN");
}

/* RFC 3720, B.4; and in two pieces at every cut. */
static void crc32c_gives_the_standards_examples(void) {
    uint8_t v[32] = {0};
    CHECK(fw_crc32c(0, v, 32) == 0x8A9136AAu);
    memset(v, 0xFF, sizeof(v));
    CHECK(fw_crc32c(0, v, 32) == 0x62A8AB43u);
    for (int i = 0; i < 32; i++) {
        v[i] = (uint8_t)i;
    }
    CHECK(fw_crc32c(0, v, 32) == 0x46DD794Eu);
    for (size_t n = 0; n <= 32; n++) {
        CHECK(fw_crc32c(fw_crc32c(0, v, n), v + n, 32 - n) == 0x46DD794Eu);
    }
}

FW_TEST_MAIN(T(crc32c_gives_the_standards_examples), T(sha256_gives_the_standards_examples),
             T(hardware_and_plain_rounds_agree_at_every_length),
             T(a_file_hashes_like_its_bytes_at_every_length_around_a_block),
             T(a_missing_file_is_an_error_with_its_name))
