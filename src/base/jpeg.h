/* jpeg.h - pictures: RGB u8 [h,w,3], rows from the top, to and from JPEG in memory (libjpeg). */
#ifndef FW_BASE_JPEG_H
#define FW_BASE_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

#define FW_JPEG_SIDE_MAX   8192
#define FW_JPEG_PIXELS_MAX (1 << 25)

/* Any JPEG as RGB: *rgb owned, free(). `where` names it in messages. FW_FORMAT for damaged ones and those over these limits. */
FW_NODISCARD fw_status fw_jpeg_decode(const char *where, const void *data, size_t n, uint8_t **rgb, int *h, int *w,
                                      fw_err *err);
/* rgb borrowed; quality 1..100. *data owned, free(). */
FW_NODISCARD fw_status fw_jpeg_encode(const uint8_t *rgb, int h, int w, int quality, uint8_t **data, size_t *n,
                                      fw_err *err);

#endif /* FW_BASE_JPEG_H */
