/* effnet.c - the table of EfficientNet-Lite0, its shapes and names */
#include "model/effnet_int.h"

#include <stdio.h>
#include <string.h>

#include "tensor/safetensors.h"

/* 16 inverted-residual blocks after a 3x3 stride-2 stem */
const effnet_block effnet_blocks[FW_EFFNET_BLOCKS] = {
    {3, 1, 1, 32, 16},                                                                  /* 0        /2 */
    {3, 2, 6, 16, 24},   {3, 1, 6, 24, 24},                                             /* 1..2     /4 */
    {5, 2, 6, 24, 40},   {5, 1, 6, 40, 40},                                             /* 3..4     /8 */
    {3, 2, 6, 40, 80},   {3, 1, 6, 80, 80},   {3, 1, 6, 80, 80},                        /* 5..7     /16 */
    {5, 1, 6, 80, 112},  {5, 1, 6, 112, 112}, {5, 1, 6, 112, 112},                      /* 8..10    /16 */
    {5, 2, 6, 112, 192}, {5, 1, 6, 192, 192}, {5, 1, 6, 192, 192}, {5, 1, 6, 192, 192}, /* 11..14 /32 */
    {3, 1, 6, 192, 320},                                                                /* 15       /32 */
};

fw_status fw_effnet_tap_shape(int b, int image_size, int *size, int *channels, fw_err *err) {
    if (b < 0 || b >= FW_EFFNET_BLOCKS) {
        return fw_fail(err, FW_INVALID, "EfficientNet-Lite0 has blocks 0 to %d, not %d", FW_EFFNET_BLOCKS - 1, b);
    }
    if (image_size < 32 || image_size > 512 || image_size % 32 != 0) {
        return fw_fail(err, FW_INVALID, "image size %d: wanted a multiple of 32 up to 512", image_size);
    }
    int s = image_size / 2;
    for (int i = 0; i <= b; i++) {
        s /= effnet_blocks[i].stride;
    }
    *size = s;
    *channels = effnet_blocks[b].out;
    return FW_OK;
}

effnet_names effnet_name(const char *prefix, int b, const char *part) {
    effnet_names n;
    if (b < 0) {
        snprintf(n.w, sizeof n.w, "%s%s.weight", prefix, part);
        snprintf(n.b, sizeof n.b, "%s%s.bias", prefix, part);
    } else {
        snprintf(n.w, sizeof n.w, "%sblock%d.%s.weight", prefix, b, part);
        snprintf(n.b, sizeof n.b, "%sblock%d.%s.bias", prefix, b, part);
    }
    return n;
}

/* The hash of the original weights, as the conversion recorded it. */
fw_status effnet_read_sha(const char *path, char out[65], fw_err *err) {
    fw_st *s = NULL;
    FW_TRY(fw_st_open(path, &s, err));
    const char *sha = fw_st_meta(s, "source_sha256");
    bool ok = sha != NULL && strlen(sha) == 64;
    if (ok) {
        memcpy(out, sha, 65);
    }
    fw_st_close(s);
    return ok ? FW_OK
              : fw_fail(err, FW_FORMAT, "%s: no source_sha256 of 64 digits: make it with  flywheel towers", path);
}
