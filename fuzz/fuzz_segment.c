/*
 * A recorder's segments from anywhere. An input of odd length has its checksums made to fit first (a record of the format, wherever
 * one seems to begin), so that what lies behind them is looked at; of an even length it is taken as it is. What is read is an episode in which every
 * frame can be looked at, or a refusal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "data/recorder_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static void mend(uint8_t *p, size_t size) {
    if (size < FW_SEG_FILE_BYTES) {
        return;
    }
    uint32_t crc = fw_crc32c(0, p, 16);
    uint64_t key, seq, acked;
    memcpy(p + 16, &crc, 4);
    memcpy(&key, p + 8, 8);
    for (size_t at = FW_SEG_FILE_BYTES; at + FW_SEG_RECORD_BYTES <= size; at += 8) {
        uint32_t bytes = u32(p + at + 8);
        if (u32(p + at) != 0x31525746u || fw_seg_size(bytes) > size - at || bytes > FW_SEG_MAX_BYTES) {
            continue;
        }
        memcpy(&seq, p + at + 16, 8);
        memcpy(&acked, p + at + 24, 8);
        fw_seg_put_record(p + at, key, (fw_seg_type)u32(p + at + 4), bytes, seq, acked);
        at += fw_seg_size(bytes) - 8;
    }
}

static uint64_t touch(const rec_episode *e) {
    uint64_t sum = strlen(e->desc) + strlen(e->text[REC_SENTENCE]) + strlen(e->text[REC_HOME]);
    for (int64_t t = 0; t < e->length; t++) {
        const uint8_t *p = e->frames[t];
        for (uint32_t i = 0; i < e->layout.fixed; i++) {
            sum += p[i];
        }
    }
    return sum;
}

static volatile uint64_t sum; /* so that every byte is read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);
    rec_episode e;
    fw_err err;
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    if (size % 2 == 1) {
        mend(copy, size);
    }
    size_t half = size / 2 & ~(size_t)7; /* as one file, and as the two parts of one */
    fw_map one = {copy, size}, two[2] = {{copy, half}, {copy + half, size - half}};
    if (rec_episode_load_mem(&one, 1, "fuzz", &e, &err) == FW_OK) {
        sum += touch(&e);
        rec_episode_clear(&e);
    } else if (err.msg[0] == 0) {
        abort();
    }
    if (rec_episode_load_mem(two, 2, "fuzz", &e, &err) == FW_OK) {
        sum += touch(&e);
        rec_episode_clear(&e);
    }
    free(copy);
    return 0;
}
