/* jpeg.c - libjpeg in memory. It reports errors by a jump: what is allocated before stands in `turn`, which outlives it. */
#include "base/jpeg.h"

#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs it */
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

typedef struct turn {
    struct jpeg_error_mgr mgr; /* first */
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
    struct jpeg_decompress_struct in;
    struct jpeg_compress_struct out;
    uint8_t *rgb;
    unsigned char *data;
    unsigned long n;
    int h, w;
} turn;

static void on_error(j_common_ptr c) {
    turn *t = (turn *)(void *)c->err;
    c->err->format_message(c, t->text);
    longjmp(t->back, 1);
}

/* A damaged file is refused, not shown half: libjpeg only warns. Bytes too many before a marker damage nothing; many cameras send them. */
static void on_message(j_common_ptr c, int level) {
    if (level < 0 && c->err->msg_code != JWRN_EXTRANEOUS_DATA) {
        on_error(c);
    }
}

static turn *turn_new(fw_err *err) {
    turn *t = calloc(1, sizeof *t);
    if (t == NULL) {
        fw_fail(err, FW_NOMEM, "no memory for a JPEG picture");
        return NULL;
    }
    jpeg_std_error(&t->mgr);
    t->mgr.error_exit = on_error;
    t->mgr.emit_message = on_message;
    t->in.err = t->out.err = &t->mgr;
    return t;
}

static fw_status decode(turn *t, const char *where, const void *data, size_t n, fw_err *err) {
    if (setjmp(t->back) != 0) {
        return fw_fail(err, FW_FORMAT, "%s: %.150s", where, t->text);
    }
    jpeg_create_decompress(&t->in);
    jpeg_mem_src(&t->in, data, n);
    jpeg_read_header(&t->in, TRUE);
    if (t->in.image_width > FW_JPEG_SIDE_MAX || t->in.image_height > FW_JPEG_SIDE_MAX ||
        t->in.image_width * t->in.image_height > FW_JPEG_PIXELS_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: picture of %u x %u, at most %d a side and %d pixels", where,
                       t->in.image_width, t->in.image_height, FW_JPEG_SIDE_MAX, FW_JPEG_PIXELS_MAX);
    }
    t->in.out_color_space = JCS_RGB;
    jpeg_start_decompress(&t->in);
    t->h = (int)t->in.output_height;
    t->w = (int)t->in.output_width;
    t->rgb = malloc((size_t)t->h * (size_t)t->w * 3);
    if (t->rgb == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for a picture of %d x %d", where, t->w, t->h);
    }
    while (t->in.output_scanline < t->in.output_height) {
        JSAMPROW row = t->rgb + (size_t)t->in.output_scanline * (size_t)t->w * 3;
        jpeg_read_scanlines(&t->in, &row, 1);
    }
    jpeg_finish_decompress(&t->in);
    return FW_OK;
}

fw_status fw_jpeg_decode(const char *where, const void *data, size_t n, uint8_t **rgb, int *h, int *w, fw_err *err) {
    turn *t = turn_new(err);
    *rgb = NULL;
    *h = *w = 0;
    if (t == NULL) {
        return FW_NOMEM;
    }
    fw_status st = n > 0 ? decode(t, where, data, n, err) : fw_fail(err, FW_FORMAT, "%s: an empty picture", where);
    jpeg_destroy_decompress(&t->in);
    if (st == FW_OK) {
        *rgb = t->rgb, *h = t->h, *w = t->w;
    } else {
        free(t->rgb);
    }
    free(t);
    return st;
}

static fw_status encode(turn *t, const uint8_t *rgb, int quality, fw_err *err) {
    if (setjmp(t->back) != 0) {
        return fw_fail(err, FW_NOMEM, "JPEG: %.150s", t->text);
    }
    jpeg_create_compress(&t->out);
    jpeg_mem_dest(&t->out, &t->data, &t->n);
    t->out.image_width = (JDIMENSION)t->w;
    t->out.image_height = (JDIMENSION)t->h;
    t->out.input_components = 3;
    t->out.in_color_space = JCS_RGB;
    jpeg_set_defaults(&t->out);
    jpeg_set_quality(&t->out, quality, TRUE);
    jpeg_start_compress(&t->out, TRUE);
    while (t->out.next_scanline < t->out.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (size_t)t->out.next_scanline * (size_t)t->w * 3);
        jpeg_write_scanlines(&t->out, &row, 1);
    }
    jpeg_finish_compress(&t->out);
    return FW_OK;
}

fw_status fw_jpeg_encode(const uint8_t *rgb, int h, int w, int quality, uint8_t **data, size_t *n, fw_err *err) {
    *data = NULL;
    *n = 0;
    if (h < 1 || w < 1 || h > FW_JPEG_SIDE_MAX || w > FW_JPEG_SIDE_MAX || quality < 1 || quality > 100) {
        return fw_fail(err, FW_INVALID, "JPEG: a picture of %d x %d at quality %d, wanted 1..%d a side and 1..100", w,
                       h, quality, FW_JPEG_SIDE_MAX);
    }
    turn *t = turn_new(err);
    if (t == NULL) {
        return FW_NOMEM;
    }
    t->h = h, t->w = w;
    fw_status st = encode(t, rgb, quality, err);
    jpeg_destroy_compress(&t->out);
    if (st == FW_OK) {
        *data = t->data, *n = t->n;
    } else {
        free(t->data);
    }
    free(t);
    return st;
}
