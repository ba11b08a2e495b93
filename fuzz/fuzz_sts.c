/* any bytes on the servo bus: the same packets however they are torn, each with a right checksum, and in step again behind any noise */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "robot/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FOUND_MAX = 4096 };

static size_t feed(fw_sts_parser *p, const uint8_t *data, size_t size, size_t chunk, fw_sts_reply *out, size_t n) {
    for (size_t at = 0; at < size;) {
        size_t cap;
        uint8_t *room = fw_sts_parser_room(p, &cap);
        if (cap == 0) {
            abort();
        }
        size_t take = size - at < chunk ? size - at : chunk;
        take = take < cap ? take : cap;
        memcpy(room, data + at, take);
        fw_sts_parser_added(p, take);
        at += take;
        while (n < FOUND_MAX && fw_sts_parser_next(p, &out[n])) {
            n++;
        }
    }
    return n;
}

static void check(const fw_sts_reply *r) {
    uint8_t packet[FW_STS_PACKET_MAX];
    if (r->n > FW_STS_DATA_MAX || r->id == 0xFF || fw_sts_packet(r->id, r->error, r->data, r->n, packet) != r->n + 6) {
        abort();
    }
    for (int k = 0; k < FW_STS_N_REG; k++) { /* every value goes out and comes back */
        uint8_t back[2];
        if (r->n >= 2) {
            const int32_t v = fw_sts_decode((fw_sts_reg)k, r->data);
            fw_sts_encode((fw_sts_reg)k, v, back);
            if (fw_sts_decode((fw_sts_reg)k, back) != v) {
                abort();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fw_sts_reply once[FOUND_MAX], torn[FOUND_MAX];
    static const uint8_t rest[FW_STS_PACKET_MAX] = {0}, good[] = {0xFF, 0xFF, 5, 3, 0, 0x42, 0xB5};
    fw_sts_parser a = {0}, b = {0};
    if (size > 1 << 14) {
        return 0;
    }
    size_t n = feed(&a, data, size, SIZE_MAX, once, 0);
    const size_t m = feed(&b, data, size, 1 + (size > 0 ? data[0] % 7 : 0), torn, 0);
    if (n != m || a.checksums != b.checksums || a.noise != b.noise || a.n != b.n) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        check(&once[i]);
        if (once[i].id != torn[i].id || once[i].n != torn[i].n || memcmp(once[i].data, torn[i].data, once[i].n) != 0) {
            abort();
        }
    }
    n = feed(&a, rest, sizeof rest, SIZE_MAX, once, n > FOUND_MAX - 100 ? 0 : n);
    n = feed(&a, good, sizeof good, SIZE_MAX, once, n);
    if (n == 0 || once[n - 1].id != 5 || once[n - 1].data[0] != 0x42) {
        abort();
    }
    return 0;
}
