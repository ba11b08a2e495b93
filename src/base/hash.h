/* hash.h - SHA-256 (FIPS 180-4), to name weights and data by content; CRC-32C, to notice torn writes. */
#ifndef FW_BASE_HASH_H
#define FW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

/* 64 hexadecimal digits and NUL. */
void fw_sha256_hex(const void *data, size_t n, char out[65]);
FW_NODISCARD fw_status fw_sha256_file(const char *path, char out[65], fw_err *err);

/* CRC-32C (Castagnoli, RFC 3720) of n bytes, going on from `crc` (0 to begin). */
uint32_t fw_crc32c(uint32_t crc, const void *data, size_t n);

#endif /* FW_BASE_HASH_H */
