/* view_page.c - the text of the page, its pictures and curves: see view_int.h. */
#include <libavcodec/avcodec.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "data/view_int.h"

/* --- text */
static char *room(view_page *p, size_t more) {
    if (!p->nomem && p->n + more + 1 > p->cap) {
        size_t cap = 2 * p->cap + more + 4096;
        char *text = realloc(p->text, cap);
        p->nomem = text == NULL;
        p->text = text != NULL ? text : p->text;
        p->cap = text != NULL ? cap : p->cap;
    }
    return p->nomem ? NULL : p->text + p->n;
}

static void put(view_page *p, const char *text, size_t n) {
    char *at = room(p, n);
    if (at != NULL) {
        memcpy(at, text, n);
        p->n += n;
        at[n] = 0;
    }
}

void view_add(view_page *p, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *at = n >= 0 ? room(p, (size_t)n) : NULL;
    if (at != NULL) {
        vsnprintf(at, (size_t)n + 1, fmt, again);
        p->n += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

/* Bytes of the character at s when it is well-formed UTF-8 and can be shown, else 0. */
static size_t character(const unsigned char *s) {
    static const unsigned least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
               : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
               : s[0] < 0xF5                 ? 4
                                             : 0;
    unsigned code = n == 1 ? s[0] : n == 2 ? s[0] & 31u : n == 3 ? s[0] & 15u : s[0] & 7u;
    if (n == 0 || (s[0] >= 0x80 && s[0] < 0xC2)) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
        code = code << 6 | (s[i] & 63u);
    }
    bool control = code < 32 || (code >= 0x7F && code < 0xA0);
    return code < least[n] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) || control ? 0 : n;
}

void view_text(view_page *p, const char *text) {
    const unsigned char *s = (const unsigned char *)(text != NULL ? text : "");
    while (*s != 0) {
        const char *as = *s == '&'                  ? "&amp;"
                         : *s == '<'                ? "&lt;"
                         : *s == '>'                ? "&gt;"
                         : *s == '"'                ? "&quot;"
                         : *s == '\''               ? "&#39;"
                         : *s == '\n' || *s == '\t' ? " "
                                                    : NULL;
        size_t n = as != NULL ? 1 : character(s);
        if (n == 0) {
            as = "\xEF\xBF\xBD";
            n = 1;
        }
        put(p, as != NULL ? as : (const char *)s, as != NULL ? strlen(as) : n);
        s += n;
    }
}

void view_base64(view_page *p, const void *data, size_t n) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = data;
    char *at = room(p, (n + 2) / 3 * 4);
    for (size_t i = 0; at != NULL && i < n; i += 3, at += 4) {
        unsigned v = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0u) | (i + 2 < n ? s[i + 2] : 0u);
        at[0] = digit[v >> 18];
        at[1] = digit[v >> 12 & 63];
        at[2] = i + 1 < n ? digit[v >> 6 & 63] : '=';
        at[3] = i + 2 < n ? digit[v & 63] : '=';
        at[4] = 0;
        p->n += 4;
    }
}

void view_hash(view_page *p, const char *text) {
    char hex[65];
    unsigned char raw[32];
    fw_sha256_hex(text, strlen(text), hex);
    for (int i = 0; i < 32; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        raw[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    view_base64(p, raw, sizeof raw);
}

void view_duration(view_page *p, double s) {
    if (s < 60) {
        view_add(p, "%.1f s", s);
    } else if (s < 3600) {
        view_add(p, "%d min %02d s", (int)s / 60, (int)s % 60);
    } else {
        view_add(p, "%d h %02d min", (int)s / 3600, (int)s / 60 % 60);
    }
}

/* --- curves: a path in 0..W by 0..H, in whole steps relative to the one before, which is short and exact enough for the eye */
enum { W = 240, H = 100, BUCKETS = 60 };

static int y_of(double v, double lo, double hi) {
    double f = hi > lo ? (v - lo) / (hi - lo) : 0.5;
    return (int)lround(H - fmin(1, fmax(0, f)) * H);
}

typedef struct pen {
    view_page *p;
    int x, y;
    bool down;
} pen;

static void draw_to(pen *k, int x, int y) {
    if (!k->down) {
        view_add(k->p, "M%d %d", x, y);
    } else if (x != k->x || y != k->y) {
        view_add(k->p, y < k->y ? "l%d%d" : "l%d %d", x - k->x, y - k->y);
    }
    *k = (pen){k->p, x, y, true};
}

/* The extremes of samples [a, b), in their order. */
static void draw_bucket(pen *k, const float *x, int64_t n, int64_t stride, int64_t a, int64_t b, double lo, double hi) {
    int64_t low = -1, high = -1;
    for (int64_t i = a; i < b; i++) {
        double v = (double)x[i * stride];
        if (isfinite(v)) {
            low = low < 0 || v < (double)x[low * stride] ? i : low;
            high = high < 0 || v > (double)x[high * stride] ? i : high;
        }
    }
    if (low < 0) {
        k->down = false; /* a gap */
        return;
    }
    int64_t first = low < high ? low : high, last = low < high ? high : low;
    draw_to(k, (int)(n > 1 ? first * W / (n - 1) : 0), y_of((double)x[first * stride], lo, hi));
    draw_to(k, (int)(n > 1 ? last * W / (n - 1) : W), y_of((double)x[last * stride], lo, hi));
}

void view_curve(view_page *p, const float *x, int64_t n, int64_t stride, double lo, double hi) {
    int64_t parts = n < 2 * BUCKETS ? n : BUCKETS;
    pen k = {.p = p};
    view_add(p, "<svg viewBox=\"0 -4 %d %d\" preserveAspectRatio=\"none\"><path d=\"", W, H + 8);
    for (int64_t i = 0; i < parts; i++) {
        draw_bucket(&k, x, n, stride, i * n / parts, (i + 1) * n / parts, lo, hi);
    }
    if (k.down && n == 1) {
        draw_to(&k, W, k.y);
    }
    view_add(p, "\"/></svg>");
}

void view_bars(view_page *p, const double *count, int n) {
    double most = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, count[i]);
    }
    view_add(p, "<svg class=\"bars\" viewBox=\"0 0 %d 40\" preserveAspectRatio=\"none\"><path d=\"", 4 * n);
    for (int i = 0; i < n; i++) {
        int h = most > 0 ? (int)lround(40 * count[i] / most) : 0;
        if (count[i] > 0) {
            view_add(p, "M%d 40v-%dh3v%dz", 4 * i, h > 0 ? h : 1, h > 0 ? h : 1);
        }
    }
    view_add(p, "\"/></svg>");
}

/* --- pictures */
typedef struct jpeg {
    AVCodecContext *c;
    AVFrame *frame;
    AVPacket *packet;
    struct SwsContext *sws;
} jpeg;

static fw_status jpeg_open(jpeg *j, int h, int w, fw_err *err) {
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
    if (codec == NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "this libavcodec has no JPEG encoder");
    }
    j->c = avcodec_alloc_context3(codec);
    j->frame = av_frame_alloc();
    j->packet = av_packet_alloc();
    if (j->c == NULL || j->frame == NULL || j->packet == NULL) {
        return fw_fail(err, FW_NOMEM, "JPEG");
    }
    j->c->width = j->frame->width = w;
    j->c->height = j->frame->height = h;
    j->c->pix_fmt = AV_PIX_FMT_YUVJ420P;
    j->frame->format = AV_PIX_FMT_YUVJ420P;
    j->c->time_base = (AVRational){1, 1};
    j->c->flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_BITEXACT;
    j->c->global_quality = 6 * FF_QP2LAMBDA;
    j->c->thread_count = 1;
    j->frame->quality = j->c->global_quality;
    j->sws = sws_getContext(w, h, AV_PIX_FMT_RGB24, w, h, AV_PIX_FMT_YUVJ420P, SWS_BILINEAR, NULL, NULL, NULL);
    if (avcodec_open2(j->c, codec, NULL) < 0 || av_frame_get_buffer(j->frame, 0) < 0 || j->sws == NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "this libavcodec makes no JPEG of %dx%d", w, h);
    }
    return FW_OK;
}

static void jpeg_close(jpeg *j) {
    sws_freeContext(j->sws);
    av_packet_free(&j->packet);
    av_frame_free(&j->frame);
    avcodec_free_context(&j->c);
}

fw_status view_picture(view_page *p, const uint8_t *rgb, int h, int w, const char *alt, fw_err *err) {
    jpeg j = {NULL, NULL, NULL, NULL};
    const uint8_t *rows[1] = {rgb};
    int pitch[1] = {3 * w};
    fw_status st = jpeg_open(&j, h, w, err);
    if (st == FW_OK) {
        sws_scale(j.sws, rows, pitch, 0, h, j.frame->data, j.frame->linesize);
        bool made = avcodec_send_frame(j.c, j.frame) == 0 && avcodec_receive_packet(j.c, j.packet) == 0;
        st = made ? FW_OK : fw_fail(err, FW_UNSUPPORTED, "this libavcodec makes no JPEG of %dx%d", w, h);
    }
    if (st == FW_OK) {
        view_add(p, "<img width=\"%d\" height=\"%d\" alt=\"", w, h);
        view_text(p, alt);
        view_add(p, "\" src=\"data:image/jpeg;base64,");
        view_base64(p, j.packet->data, (size_t)j.packet->size);
        view_add(p, "\">");
    }
    jpeg_close(&j);
    return st;
}
