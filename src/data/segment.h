/*
 * segment.h - the recorder's log on disk: an append-only file of checksummed records, readable up to where it was cut.
 *
 * DESIGN. One file is one episode, or a part of one (a part follows when the disk failed and came back). All numbers are
 * little-endian; a record begins at a multiple of 8 bytes.
 *   file      magic "FWSEG\1\0\0", u64 key (random), u32 crc of these 16 bytes, u32 0
 *   record    u32 magic "FWR1", u32 type, u32 bytes, u32 crc of payload, u64 seq, u64 acked, u32 crc of the header before, u32 0,
 *             payload [bytes], zeros up to 8
 * crc is CRC-32C, of the key first: a record of another file that the disk kept in a reused block does not pass for one of
 * this file. The header's own crc lets a reader pass over a damaged payload, and keeps reading linear whatever the file holds. seq
 * counts the records of an episode: 0 what is recorded (in each part), then frames, then the end. acked: every record up
 * to this seq was known to be on the disk when this one was written.
 *
 * What a power cut leaves at the end of a file is anything: blocks missing, or later ones without earlier ones. A record
 * counts when its crc is right and either all before it are there, or some valid record says that it was acknowledged, or the end
 * is there; so a torn tail ends the file, and damage in the middle (a bad block) costs only the records that it hit.
 */
#ifndef FW_DATA_SEGMENT_H
#define FW_DATA_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

#define FW_SEG_FILE_BYTES   24
#define FW_SEG_RECORD_BYTES 40
#define FW_SEG_MAX_BYTES    (256u << 20) /* of a payload */

typedef enum fw_seg_type { FW_SEG_BEGIN = 1, FW_SEG_FRAME = 2, FW_SEG_END = 3 } fw_seg_type;

typedef struct fw_seg_record {
    fw_seg_type type;
    uint32_t bytes;
    uint64_t seq, acked;
    const uint8_t *payload; /* borrowed from the file's bytes */
} fw_seg_record;

/* Bytes that a record of this payload takes. */
size_t fw_seg_size(uint32_t bytes);
/* The file's first bytes. */
void fw_seg_put_file(uint8_t out[FW_SEG_FILE_BYTES], uint64_t key);
/* Complete the record at `at`, whose payload of `bytes` bytes stands at at + FW_SEG_RECORD_BYTES: header, padding, crc. */
void fw_seg_put_record(uint8_t *at, uint64_t key, fw_seg_type type, uint32_t bytes, uint64_t seq, uint64_t acked);

/* Reading: data [size] is the file, borrowed. FW_FORMAT when it does not begin as a segment. */
typedef struct fw_seg_reader {
    const uint8_t *data;
    size_t size, at;
    uint64_t key;
    uint64_t skipped; /* bytes so far that belong to no valid record */
} fw_seg_reader;
FW_NODISCARD fw_status fw_seg_open(fw_seg_reader *r, const void *data, size_t size, const char *where, fw_err *err);
/* The next valid record, wherever it is. false: there is none. */
bool fw_seg_next(fw_seg_reader *r, fw_seg_record *out);

#endif /* FW_DATA_SEGMENT_H */
