/* png.h - pictures: RGB u8 [h,w,3], rows from the top, to and from PNG files. */
#ifndef FW_BASE_PNG_H
#define FW_BASE_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

#define FW_PNG_SIDE_MAX 16384

/* Replace `path` atomically. rgb: borrowed, [h,w,3]. */
FW_NODISCARD fw_status fw_png_write(const char *path, const uint8_t *rgb, int h, int w, fw_err *err);
/* Any PNG, as RGB (alpha over black): *rgb owned, free(). FW_FORMAT for damaged files and sides over FW_PNG_SIDE_MAX. */
FW_NODISCARD fw_status fw_png_read(const char *path, uint8_t **rgb, int *h, int *w, fw_err *err);

/* The same from the n bytes of a file; `where` names them in messages. */
FW_NODISCARD fw_status fw_png_decode(const char *where, const void *data, size_t n, uint8_t **rgb, int *h, int *w,
                                     fw_err *err);

#endif /* FW_BASE_PNG_H */
