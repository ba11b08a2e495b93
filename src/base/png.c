/* png.c - libpng's simplified interface, in memory; the file itself is written atomically like every other */
#include "base/png.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define PNG_MAX_BYTES ((size_t)512 << 20)

fw_status fw_png_write(const char *path, const uint8_t *rgb, int h, int w, fw_err *err) {
    if (h < 1 || w < 1 || h > FW_PNG_SIDE_MAX || w > FW_PNG_SIDE_MAX) {
        return fw_fail(err, FW_INVALID, "%s: picture of %dx%d, wanted 1..%d a side", path, w, h, FW_PNG_SIDE_MAX);
    }
    png_image im = {
        .version = PNG_IMAGE_VERSION, .width = (unsigned)w, .height = (unsigned)h, .format = PNG_FORMAT_RGB};
    png_alloc_size_t n = PNG_IMAGE_PNG_SIZE_MAX(im);
    void *data = malloc(n);
    if (data == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for a picture of %dx%d", path, w, h);
    }
    fw_status s;
    if (!png_image_write_to_memory(&im, data, &n, 0, rgb, 0, NULL)) {
        s = fw_fail(err, FW_IO, "%s: %s", path, im.message);
    } else {
        s = fw_file_write_atomic(path, data, n, err);
    }
    png_image_free(&im);
    free(data);
    return s;
}

fw_status fw_png_decode(const char *path, const void *data, size_t n, uint8_t **rgb, int *h, int *w, fw_err *err) {
    png_image im = {.version = PNG_IMAGE_VERSION};
    *rgb = NULL;
    *h = *w = 0;
    png_color black = {0, 0, 0};
    fw_status s = FW_OK;
    if (!png_image_begin_read_from_memory(&im, data, n)) {
        return fw_fail(err, FW_FORMAT, "%s: %s", path, im.message);
    }
    if (im.width > FW_PNG_SIDE_MAX || im.height > FW_PNG_SIDE_MAX) {
        s = fw_fail(err, FW_FORMAT, "%s: picture of %ux%u, at most %d a side", path, im.width, im.height,
                    FW_PNG_SIDE_MAX);
        goto done;
    }
    im.format = PNG_FORMAT_RGB;
    *rgb = malloc(PNG_IMAGE_SIZE(im));
    if (*rgb == NULL) {
        s = fw_fail(err, FW_NOMEM, "%s: no memory for a picture of %ux%u", path, im.width, im.height);
        goto done;
    }
    if (!png_image_finish_read(&im, &black, *rgb, 0, NULL)) {
        s = fw_fail(err, FW_FORMAT, "%s: %s", path, im.message);
        free(*rgb);
        *rgb = NULL;
        goto done;
    }
    *h = (int)im.height;
    *w = (int)im.width;
done:
    png_image_free(&im);
    return s;
}

fw_status fw_png_read(const char *path, uint8_t **rgb, int *h, int *w, fw_err *err) {
    char *data;
    size_t n;
    *rgb = NULL;
    *h = *w = 0;
    FW_TRY(fw_file_read(path, PNG_MAX_BYTES, &data, &n, err));
    fw_status s = fw_png_decode(path, data, n, rgb, h, w, err);
    free(data);
    return s;
}
