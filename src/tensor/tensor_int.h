/* tensor_int.h - helpers of this module only: sizes with overflow checks, aligned memory, half-precision conversion. */
#ifndef FW_TENSOR_INT_H
#define FW_TENSOR_INT_H

#include <string.h>

#include "tensor/tensor.h"

/* "BF16" -> FW_BF16; false if unknown. */
bool fw_dtype_parse(const char *name, fw_dtype *out);
/* Bytes of a tensor; false when a dimension is < 1, there are too many, or the product overflows. */
bool fw_shape_bytes(const fw_shape *s, size_t elem, size_t *bytes);
/* Zeroed, aligned to 64 bytes, owned (free). NULL when out of memory. */
void *fw_alloc64(size_t bytes);

/* fw_params_get; half: the caller can read a parameter that is kept in bfloat16. */
FW_NODISCARD fw_status fw_params_get_any(fw_params *p, const char *name, const fw_shape *shape, fw_init init, bool half,
                                         fw_parameter **out, fw_err *err);
/* fw_params_get of one that the source knows nothing of. */
FW_NODISCARD fw_status fw_params_get_own(fw_params *p, const char *name, const fw_shape *shape, fw_init init,
                                         fw_parameter **out, fw_err *err);
/* A frozen parameter as kernels want it, shared by all plans over a store that ask for the same. */
typedef struct fw_pack {
    const fw_parameter *param;
    const void *op, *kern; /* who packed it, for which kernels */
    int which;
    size_t bytes;
    void *mem;
    int refs;
    struct fw_pack *next;
} fw_pack;
/* The one with this key (param to bytes), one more reference; *fresh: it was just made and holds zeros. NULL: out of memory. */
fw_pack *fw_params_pack(fw_params *p, const fw_pack *key, bool *fresh);
void fw_params_unpack(fw_params *p, fw_pack *pack); /* one reference less; NULL is fine */

/* Up to the next multiple of 64: buffers laid out one after the other stay aligned. */
static inline size_t fw_up64(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

static inline float fw_bits_f32(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}
static inline uint32_t fw_f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    return u;
}

/* bfloat16 is the upper half of a float. */
static inline float fw_f32_of_bf16(uint16_t h) {
    return fw_bits_f32((uint32_t)h << 16);
}
/* Round to nearest even; a NaN stays a (quiet) NaN. */
static inline uint16_t fw_bf16_of_f32(float f) {
    uint32_t u = fw_f32_bits(f);
    if ((u & 0x7FFFFFFFu) > 0x7F800000u) {
        return (uint16_t)((u >> 16) | 0x40u);
    }
    return (uint16_t)((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
}

/* IEEE 754 binary16. */
static inline float fw_f32_of_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = (h >> 10) & 31u, m = h & 1023u;
    if (e == 0) { /* zero or subnormal: m * 2^-24, exact in f32 */
        float v = (float)m * 0x1.0p-24f;
        return sign ? -v : v;
    }
    if (e == 31) {
        return fw_bits_f32(sign | 0x7F800000u | (m << 13));
    }
    return fw_bits_f32(sign | ((e + 112u) << 23) | (m << 13));
}
/* Round to nearest even; overflow becomes infinity. */
static inline uint16_t fw_f16_of_f32(float f) {
    uint32_t u = fw_f32_bits(f), sign = (u >> 16) & 0x8000u, a = u & 0x7FFFFFFFu;
    if (a > 0x7F800000u) {
        return (uint16_t)(sign | 0x7E00u); /* NaN */
    }
    if (a >= 0x477FF000u) {
        return (uint16_t)(sign | 0x7C00u); /* >= 65520 rounds to infinity */
    }
    if (a < 0x38800000u) { /* below 2^-14: subnormal. Adding 0.5 puts the result in the low mantissa bits, rounded */
        float r = fw_bits_f32(a) + 0.5f;
        return (uint16_t)(sign | (fw_f32_bits(r) - 0x3F000000u));
    }
    uint32_t r = a + 0xFFFu + ((a >> 13) & 1u);
    return (uint16_t)(sign | ((r - 0x38000000u) >> 13));
}

#endif /* FW_TENSOR_INT_H */
