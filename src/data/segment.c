/* segment.c - see segment.h for the format. */
#include "data/segment.h"

#include <string.h>

#include "base/hash.h"

static const uint8_t file_magic[8] = {'F', 'W', 'S', 'E', 'G', 1, 0, 0};
#define RECORD_MAGIC 0x31525746u /* "FWR1" */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "segments are written as memory lies");

static uint32_t get32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static void put32(uint8_t *p, uint32_t v) {
    memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v) {
    memcpy(p, &v, sizeof(v));
}

size_t fw_seg_size(uint32_t bytes) {
    return FW_SEG_RECORD_BYTES + (((size_t)bytes + 7) & ~(size_t)7);
}

void fw_seg_put_file(uint8_t out[FW_SEG_FILE_BYTES], uint64_t key) {
    memcpy(out, file_magic, sizeof(file_magic));
    put64(out + 8, key);
    put32(out + 16, fw_crc32c(0, out, 16));
    put32(out + 20, 0);
}

static uint32_t keyed_crc(uint64_t key, const uint8_t *p, size_t n) {
    return fw_crc32c(fw_crc32c(0, &key, sizeof(key)), p, n);
}

void fw_seg_put_record(uint8_t *at, uint64_t key, fw_seg_type type, uint32_t bytes, uint64_t seq, uint64_t acked) {
    put32(at, RECORD_MAGIC);
    put32(at + 4, type);
    put32(at + 8, bytes);
    put32(at + 12, keyed_crc(key, at + FW_SEG_RECORD_BYTES, bytes));
    put64(at + 16, seq);
    put64(at + 24, acked);
    put32(at + 32, keyed_crc(key, at, 32));
    put32(at + 36, 0);
    memset(at + FW_SEG_RECORD_BYTES + bytes, 0, fw_seg_size(bytes) - FW_SEG_RECORD_BYTES - bytes);
}

fw_status fw_seg_open(fw_seg_reader *r, const void *data, size_t size, const char *where, fw_err *err) {
    *r = (fw_seg_reader){.data = data, .size = size, .at = FW_SEG_FILE_BYTES};
    if (size < FW_SEG_FILE_BYTES || memcmp(data, file_magic, sizeof(file_magic)) != 0 ||
        get32(r->data + 16) != fw_crc32c(0, data, 16)) {
        return fw_fail(err, FW_FORMAT, "%s: wanted a segment of a recording, found %zu bytes of something else", where,
                       size);
    }
    r->key = get64(r->data + 8);
    return FW_OK;
}

/* A whole header at r->at of a record that fits into the file. */
static bool header_at(const fw_seg_reader *r, fw_seg_record *out) {
    const uint8_t *p = r->data + r->at;
    size_t room = r->size - r->at;
    if (room < FW_SEG_RECORD_BYTES || get32(p) != RECORD_MAGIC || get32(p + 32) != keyed_crc(r->key, p, 32)) {
        return false;
    }
    uint32_t type = get32(p + 4), bytes = get32(p + 8);
    *out = (fw_seg_record){(fw_seg_type)type, bytes, get64(p + 16), get64(p + 24), p + FW_SEG_RECORD_BYTES};
    return type >= FW_SEG_BEGIN && type <= FW_SEG_END && bytes <= FW_SEG_MAX_BYTES &&
           bytes <= room - FW_SEG_RECORD_BYTES;
}

bool fw_seg_next(fw_seg_reader *r, fw_seg_record *out) {
    while (r->at < r->size) {
        const uint8_t *p = r->data + r->at;
        size_t room = r->size - r->at, n = 8;
        bool whole = header_at(r, out), valid = whole && get32(p + 12) == keyed_crc(r->key, out->payload, out->bytes);
        n = whole ? fw_seg_size(out->bytes) : n;
        n = n < room ? n : room;
        r->at += n;
        if (valid) {
            return true;
        }
        r->skipped += n;
    }
    return false;
}
