/*
 * video.c - libav behind video.h.
 *
 * Decoding pulls packets until a frame comes out; seeking goes to the key frame at or before the wanted time and decodes
 * forward. Colours are converted by libswscale with bilinear filters, which widen when shrinking (no aliasing). libav's own
 * chatter is silenced: every failure is reported here with the file's name.
 */
#include "data/video.h"

#include <errno.h>
#include <fcntl.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void quiet_init(void) {
    av_log_set_level(AV_LOG_QUIET);
    setenv("SVT_LOG", "0", 0); /* SVT-AV1 writes to stderr on its own */
}

static void quiet(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, quiet_init);
}

static fw_status av_fail(fw_err *err, int code, const char *path, const char *what) {
    char why[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, why, sizeof(why));
    bool io = code == AVERROR(ENOENT) || code == AVERROR(ENOSPC) || code == AVERROR(EFBIG) || code == AVERROR(EIO) ||
              code == AVERROR(EACCES) || code == AVERROR(EISDIR);
    return fw_fail(err, code == AVERROR(ENOMEM) ? FW_NOMEM : io ? FW_IO : FW_FORMAT, "%s: %s: %s", path, what, why);
}

/* --- reading --- */

struct fw_video {
    char *path;
    AVFormatContext *fmt;
    AVCodecContext *dec;
    AVStream *st; /* borrowed from fmt */
    AVPacket *pkt;
    AVFrame *frame;
    struct SwsContext *sws;
    int sws_w, sws_h, sws_src_w, sws_src_h, sws_src_fmt;
    uint8_t *rows;   /* owned: the picture as libswscale leaves it */
    int pitch;       /* bytes a row of it */
    int64_t min_pts; /* frames before it are dropped; AV_NOPTS_VALUE: none */
    int64_t shown;   /* frames returned since the last seek */
    bool draining;
    fw_video_info info;
};

static const AVCodec *pick_decoder(enum AVCodecID id) {
    const AVCodec *c = id == AV_CODEC_ID_AV1 ? avcodec_find_decoder_by_name("libdav1d") : NULL;
    return c != NULL ? c : avcodec_find_decoder(id);
}

static fw_status open_decoder(fw_video *v, fw_err *err) {
    const AVCodec *codec = pick_decoder(v->st->codecpar->codec_id);
    if (codec == NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: no decoder for %s", v->path,
                       avcodec_get_name(v->st->codecpar->codec_id));
    }
    if ((v->dec = avcodec_alloc_context3(codec)) == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: decoder", v->path);
    }
    int r = avcodec_parameters_to_context(v->dec, v->st->codecpar);
    v->dec->thread_count = 1;
    if (strcmp(codec->name, "libdav1d") == 0) {
        av_opt_set_int(v->dec->priv_data, "framethreads", 1, 0);
        av_opt_set_int(v->dec->priv_data, "tilethreads", 1, 0);
    }
    r = r < 0 ? r : avcodec_open2(v->dec, codec, NULL);
    return r < 0 ? av_fail(err, r, v->path, "cannot open its decoder") : FW_OK;
}

static void fill_info(fw_video *v) {
    const AVCodecParameters *p = v->st->codecpar;
    AVRational rate = v->st->avg_frame_rate.num > 0 ? v->st->avg_frame_rate : v->st->r_frame_rate;
    v->info.w = p->width;
    v->info.h = p->height;
    v->info.fps = rate.den > 0 ? av_q2d(rate) : 0.0;
    v->info.frames = v->st->nb_frames;
    v->info.duration = v->st->duration != AV_NOPTS_VALUE ? (double)v->st->duration * av_q2d(v->st->time_base)
                       : v->fmt->duration > 0            ? (double)v->fmt->duration / AV_TIME_BASE
                                                         : 0.0;
    const char *pix = av_get_pix_fmt_name(p->format);
    snprintf(v->info.codec, sizeof(v->info.codec), "%s", avcodec_get_name(p->codec_id));
    snprintf(v->info.pix_fmt, sizeof(v->info.pix_fmt), "%s", pix != NULL ? pix : "");
}

fw_status fw_video_open(const char *path, fw_video **out, fw_err *err) {
    fw_status st = FW_OK;
    int r;
    quiet();
    *out = NULL;
    fw_video *v = calloc(1, sizeof(*v));
    if (v == NULL || (v->path = strdup(path)) == NULL || (v->pkt = av_packet_alloc()) == NULL ||
        (v->frame = av_frame_alloc()) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: video", path);
        goto done;
    }
    v->min_pts = AV_NOPTS_VALUE;
    if ((r = avformat_open_input(&v->fmt, path, NULL, NULL)) < 0 || (r = avformat_find_stream_info(v->fmt, NULL)) < 0) {
        st = av_fail(err, r, path, "cannot read as video");
        goto done;
    }
    if ((r = av_find_best_stream(v->fmt, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0)) < 0) {
        st = fw_fail(err, FW_FORMAT, "%s: no video stream in it", path);
        goto done;
    }
    v->st = v->fmt->streams[r];
    if ((st = open_decoder(v, err)) != FW_OK) {
        goto done;
    }
    fill_info(v);
    if (v->info.w < 1 || v->info.h < 1 || v->info.w > 16384 || v->info.h > 16384) {
        st = fw_fail(err, FW_FORMAT, "%s: frame size %dx%d", path, v->info.w, v->info.h);
    }
done:
    if (st != FW_OK) {
        fw_video_close(v);
        v = NULL;
    }
    *out = v;
    return st;
}

void fw_video_close(fw_video *v) {
    if (v == NULL) {
        return;
    }
    sws_freeContext(v->sws);
    av_freep(&v->rows);
    av_frame_free(&v->frame);
    av_packet_free(&v->pkt);
    avcodec_free_context(&v->dec);
    avformat_close_input(&v->fmt);
    free(v->path);
    free(v);
}

const fw_video_info *fw_video_get_info(const fw_video *v) {
    return &v->info;
}

static int64_t stream_start(const fw_video *v) {
    return v->st->start_time != AV_NOPTS_VALUE ? v->st->start_time : 0;
}

fw_status fw_video_seek(fw_video *v, double t_s, fw_err *err) {
    double tick = av_q2d(v->st->time_base);
    double half = v->info.fps > 0 ? 0.5 / v->info.fps : 0.0;
    if (!(fabs(t_s / tick) < 0x1p53)) { /* no video is that long */
        return fw_fail(err, FW_FORMAT, "%s: no frame at %g s", v->path, t_s);
    }
    int64_t target = stream_start(v) + llround(t_s / tick), floor_pts = stream_start(v) + llround((t_s - half) / tick);
    int r = av_seek_frame(v->fmt, v->st->index, target, AVSEEK_FLAG_BACKWARD);
    if (r < 0) { /* before the first key frame: from the start */
        r = av_seek_frame(v->fmt, v->st->index, stream_start(v), AVSEEK_FLAG_BACKWARD);
    }
    if (r < 0) {
        return av_fail(err, r, v->path, "cannot seek");
    }
    avcodec_flush_buffers(v->dec);
    v->draining = false;
    v->shown = 0;
    v->min_pts = floor_pts;
    return FW_OK;
}

/* Feed one packet, or the end, to the decoder. */
static int feed(fw_video *v) {
    int r = av_read_frame(v->fmt, v->pkt);
    if (r == AVERROR_EOF) {
        v->draining = true;
        return avcodec_send_packet(v->dec, NULL);
    }
    if (r < 0) {
        return r;
    }
    r = v->pkt->stream_index == v->st->index ? avcodec_send_packet(v->dec, v->pkt) : 0;
    av_packet_unref(v->pkt);
    return r;
}

/* The next frame at or after min_pts into v->frame. AVERROR_EOF at the end. */
static int pull(fw_video *v) {
    for (;;) {
        int r = avcodec_receive_frame(v->dec, v->frame);
        if (r == 0) {
            int64_t pts = v->frame->best_effort_timestamp;
            if (v->min_pts == AV_NOPTS_VALUE || pts == AV_NOPTS_VALUE || pts >= v->min_pts) {
                return 0;
            }
            av_frame_unref(v->frame);
            continue;
        }
        if (r != AVERROR(EAGAIN) || v->draining) {
            return r;
        }
        if ((r = feed(v)) < 0) {
            return r;
        }
    }
}

static fw_status to_rgb(fw_video *v, int h, int w, uint8_t *rgb, fw_err *err) {
    const AVFrame *f = v->frame;
    if (v->sws == NULL || v->sws_w != w || v->sws_h != h || v->sws_src_w != f->width || v->sws_src_h != f->height ||
        v->sws_src_fmt != f->format) {
        sws_freeContext(v->sws);
        v->sws = sws_getContext(f->width, f->height, f->format, w, h, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
        if (v->sws == NULL) {
            return fw_fail(err, FW_FORMAT, "%s: cannot scale %dx%d to %dx%d", v->path, f->width, f->height, w, h);
        }
        v->pitch = (w * 3 + 127) / 64 * 64; /* libswscale writes in whole vectors: never into the caller's memory */
        av_freep(&v->rows);
        if ((v->rows = av_mallocz((size_t)v->pitch * (size_t)h)) == NULL) {
            v->sws_w = 0;
            return fw_fail(err, FW_NOMEM, "%s: %dx%d", v->path, w, h);
        }
        v->sws_w = w, v->sws_h = h, v->sws_src_w = f->width, v->sws_src_h = f->height, v->sws_src_fmt = f->format;
    }
    uint8_t *dst[4] = {v->rows};
    int pitch[4] = {v->pitch};
    sws_scale(v->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, dst, pitch);
    for (int y = 0; y < h; y++) {
        memcpy(rgb + (size_t)y * (size_t)w * 3, v->rows + (size_t)y * (size_t)v->pitch, (size_t)w * 3);
    }
    return FW_OK;
}

fw_status fw_video_next(fw_video *v, int h, int w, uint8_t *rgb, double *pts_s, fw_err *err) {
    int r = pull(v);
    if (r == AVERROR_EOF) {
        return fw_fail(err, FW_CLOSED, "%s: ends after %lld frames", v->path, (long long)v->shown);
    }
    if (r < 0) {
        return av_fail(err, r, v->path, "cannot decode");
    }
    if (pts_s != NULL) {
        *pts_s = (double)(v->frame->best_effort_timestamp - stream_start(v)) * av_q2d(v->st->time_base);
    }
    fw_status st = to_rgb(v, h > 0 ? h : v->info.h, w > 0 ? w : v->info.w, rgb, err);
    av_frame_unref(v->frame);
    v->shown++;
    return st;
}

fw_status fw_video_read(fw_video *v, double from_s, int64_t n, int h, int w, uint8_t *rgb, fw_err *err) {
    size_t bytes = (size_t)(h > 0 ? h : v->info.h) * (size_t)(w > 0 ? w : v->info.w) * 3;
    FW_TRY(fw_video_seek(v, from_s, err));
    for (int64_t i = 0; i < n; i++) {
        fw_err e;
        fw_status st = fw_video_next(v, h, w, rgb + (size_t)i * bytes, NULL, &e);
        if (st == FW_CLOSED) {
            return fw_fail(err, FW_FORMAT, "%s: from %.3f s: wanted %lld frames, found %lld", v->path, from_s,
                           (long long)n, (long long)i);
        }
        if (st != FW_OK) {
            return fw_fail(err, st, "%s (frame %lld from %.3f s)", e.msg, (long long)i, from_s);
        }
    }
    return FW_OK;
}

/* Call `visit` for every packet of the stream that is not damaged, in the order of the file. */
static fw_status each_packet(fw_video *v, bool (*visit)(void *ctx, const fw_video *v, const AVPacket *p), void *ctx,
                             fw_err *err) {
    bool ok = true;
    FW_TRY(fw_video_seek(v, 0.0, err));
    while (ok) {
        int r = av_read_frame(v->fmt, v->pkt);
        if (r == AVERROR_EOF) {
            break;
        }
        if (r < 0) {
            return av_fail(err, r, v->path, "cannot read");
        }
        if (v->pkt->stream_index == v->st->index && (v->pkt->flags & AV_PKT_FLAG_CORRUPT) == 0) {
            ok = visit(ctx, v, v->pkt);
        }
        av_packet_unref(v->pkt);
    }
    return ok ? fw_video_seek(v, 0.0, err) : fw_fail(err, FW_NOMEM, "%s: times of its frames", v->path);
}

static bool count_packet(void *ctx, const fw_video *v, const AVPacket *p) {
    (void)v, (void)p;
    ++*(int64_t *)ctx;
    return true;
}

fw_status fw_video_count(fw_video *v, int64_t *frames, fw_err *err) {
    int64_t n = 0;
    FW_TRY(each_packet(v, count_packet, &n, err));
    *frames = n;
    return FW_OK;
}

typedef struct time_list {
    double *t;
    int64_t n, cap;
} time_list;

static bool push_time(void *ctx, const fw_video *v, const AVPacket *p) {
    time_list *l = ctx;
    if (l->n == l->cap) {
        l->cap = l->cap > 0 ? 2 * l->cap : 1024;
        double *more = realloc(l->t, (size_t)l->cap * sizeof(*more));
        if (more == NULL) {
            return false;
        }
        l->t = more;
    }
    int64_t pts = p->pts != AV_NOPTS_VALUE ? p->pts : p->dts;
    l->t[l->n++] = (double)(pts - stream_start(v)) * av_q2d(v->st->time_base);
    return true;
}

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

fw_status fw_video_times(fw_video *v, double **t_s, int64_t *frames, bool *plain, fw_err *err) {
    time_list l = {.t = calloc(1, sizeof(double)), .cap = 1};
    fw_status st = l.t != NULL ? each_packet(v, push_time, &l, err) : fw_fail(err, FW_NOMEM, "%s", v->path);
    if (st != FW_OK) {
        free(l.t);
        return st;
    }
    for (int64_t i = 1; plain != NULL && i < l.n; i++) {
        *plain = (i == 1 || *plain) && l.t[i] > l.t[i - 1];
    }
    if (plain != NULL && l.n < 2) {
        *plain = true;
    }
    qsort(l.t, (size_t)l.n, sizeof(*l.t), by_time);
    *t_s = l.t;
    *frames = l.n;
    return FW_OK;
}

fw_status fw_rgb_scale(const uint8_t *rgb, int h, int w, int h2, int w2, uint8_t *out, fw_err *err) {
    if (h == h2 && w == w2) {
        memcpy(out, rgb, (size_t)h * (size_t)w * 3);
        return FW_OK;
    }
    /* libswscale reads and writes in whole vectors: pictures with room beyond their rows */
    struct SwsContext *sws =
        sws_getContext(w, h, AV_PIX_FMT_RGB24, w2, h2, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
    int from_pitch = (w * 3 + 127) / 64 * 64, to_pitch = (w2 * 3 + 127) / 64 * 64;
    uint8_t *from = av_mallocz((size_t)from_pitch * (size_t)h + 64),
            *to = av_mallocz((size_t)to_pitch * (size_t)h2 + 64);
    bool ok = sws != NULL && from != NULL && to != NULL;
    for (int y = 0; y < h && ok; y++) {
        memcpy(from + (size_t)y * (size_t)from_pitch, rgb + (size_t)y * (size_t)w * 3, (size_t)w * 3);
    }
    if (ok) {
        sws_scale(sws, (const uint8_t *const[4]){from}, (const int[4]){from_pitch}, 0, h, (uint8_t *const[4]){to},
                  (const int[4]){to_pitch});
    }
    for (int y = 0; y < h2 && ok; y++) {
        memcpy(out + (size_t)y * (size_t)w2 * 3, to + (size_t)y * (size_t)to_pitch, (size_t)w2 * 3);
    }
    sws_freeContext(sws);
    av_free(from);
    av_free(to);
    return ok ? FW_OK : fw_fail(err, FW_NOMEM, "cannot scale %dx%d to %dx%d", w, h, w2, h2);
}

/* --- writing --- */

struct fw_video_writer {
    char *path;
    AVFormatContext *fmt;
    AVCodecContext *enc;
    AVStream *st; /* borrowed from fmt */
    AVPacket *pkt;
    AVFrame *frame;
    AVFrame *rgb; /* the caller's pixels, with the padding that swscale reads beyond them */
    struct SwsContext *sws;
    int64_t frames, bytes;
    bool header;
};

static fw_status open_encoder(fw_video_writer *v, int h, int w, double fps, const fw_video_opts *o, fw_err *err) {
    const AVCodec *codec = avcodec_find_encoder_by_name(o->codec);
    if (codec == NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: no encoder '%s' in this libav", v->path, o->codec);
    }
    if ((v->enc = avcodec_alloc_context3(codec)) == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: encoder", v->path);
    }
    AVRational rate = av_d2q(fps, 1001000);
    v->enc->width = w;
    v->enc->height = h;
    v->enc->pix_fmt = AV_PIX_FMT_YUV420P;
    v->enc->time_base = av_inv_q(rate);
    v->enc->framerate = rate;
    v->enc->gop_size = o->gop;
    v->enc->max_b_frames = 0;
    v->enc->thread_count = o->threads;
    if ((v->fmt->oformat->flags & AVFMT_GLOBALHEADER) != 0) {
        v->enc->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    AVDictionary *d = NULL;
    av_dict_set(&d, "preset", o->preset, 0);
    av_dict_set_int(&d, "crf", o->crf, 0);
    if (strcmp(o->codec, "libx264") == 0) {
        av_dict_set(&d, "forced-idr", "1", 0);
    } else if (strcmp(o->codec, "libsvtav1") == 0) {
        av_dict_set(&d, "svtav1-params", o->threads == 1 ? "lp=1:fast-decode=0" : "fast-decode=0", 0);
    }
    int r = avcodec_open2(v->enc, codec, &d);
    av_dict_free(&d);
    return r < 0 ? av_fail(err, r, v->path, "cannot open its encoder") : FW_OK;
}

static fw_status open_file(fw_video_writer *v, fw_err *err) {
    if ((v->st = avformat_new_stream(v->fmt, NULL)) == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: stream", v->path);
    }
    v->st->time_base = v->enc->time_base;
    v->st->avg_frame_rate = v->enc->framerate;
    int r = avcodec_parameters_from_context(v->st->codecpar, v->enc);
    r = r < 0 ? r : avio_open(&v->fmt->pb, v->path, AVIO_FLAG_WRITE);
    r = r < 0 ? r : avformat_write_header(v->fmt, NULL);
    v->header = r >= 0;
    return r < 0 ? av_fail(err, r, v->path, "cannot create") : FW_OK;
}

static fw_status open_frame(fw_video_writer *v, int h, int w, fw_err *err) {
    v->frame->width = w;
    v->frame->height = h;
    v->frame->format = AV_PIX_FMT_YUV420P;
    v->sws = sws_getContext(w, h, AV_PIX_FMT_RGB24, w, h, AV_PIX_FMT_YUV420P, SWS_BILINEAR, NULL, NULL, NULL);
    v->rgb = av_frame_alloc();
    if (v->sws == NULL || v->rgb == NULL || av_frame_get_buffer(v->frame, 0) < 0) {
        return fw_fail(err, FW_NOMEM, "%s: frame", v->path);
    }
    v->rgb->format = AV_PIX_FMT_RGB24;
    v->rgb->width = w;
    v->rgb->height = h;
    return av_frame_get_buffer(v->rgb, 0) < 0 ? fw_fail(err, FW_NOMEM, "%s: frame", v->path) : FW_OK;
}

fw_status fw_video_writer_open(const char *path, int h, int w, double fps, const fw_video_opts *opts,
                               fw_video_writer **out, fw_err *err) {
    fw_video_opts o = opts != NULL ? *opts : FW_VIDEO_OPTS_DATA;
    quiet();
    *out = NULL;
    if (w < 16 || h < 16 || w > 8192 || h > 8192 || w % 2 != 0 || h % 2 != 0 || !(fps > 0.0) || fps > 1000.0) {
        return fw_fail(err, FW_INVALID, "%s: %dx%d at %g frames/s: wanted even sizes in 16..8192", path, w, h, fps);
    }
    fw_status st;
    fw_video_writer *v = calloc(1, sizeof(*v));
    if (v == NULL || (v->path = strdup(path)) == NULL || (v->pkt = av_packet_alloc()) == NULL ||
        (v->frame = av_frame_alloc()) == NULL || avformat_alloc_output_context2(&v->fmt, NULL, "mp4", path) < 0) {
        st = fw_fail(err, FW_NOMEM, "%s: video", path);
        goto done;
    }
    if ((st = open_encoder(v, h, w, fps, &o, err)) != FW_OK || (st = open_file(v, err)) != FW_OK) {
        goto done;
    }
    st = open_frame(v, h, w, err);
done:
    if (st != FW_OK) {
        fw_video_writer_abort(v);
        v = NULL;
    }
    *out = v;
    return st;
}

/* Send a frame (NULL: the end) and write the packets that come out. */
static fw_status encode(fw_video_writer *v, const AVFrame *f, fw_err *err) {
    int r = avcodec_send_frame(v->enc, f);
    while (r >= 0 && (r = avcodec_receive_packet(v->enc, v->pkt)) >= 0) {
        av_packet_rescale_ts(v->pkt, v->enc->time_base, v->st->time_base);
        v->pkt->stream_index = v->st->index;
        v->pkt->duration =
            v->pkt->duration > 0 ? v->pkt->duration : av_rescale_q(1, v->enc->time_base, v->st->time_base);
        v->bytes += v->pkt->size;
        r = av_interleaved_write_frame(v->fmt, v->pkt);
        av_packet_unref(v->pkt);
        r = r < 0 ? r : v->fmt->pb->error;
    }
    bool over = r == AVERROR_EOF || r == AVERROR(EAGAIN);
    if (over) {
        return FW_OK;
    }
    fw_err e;
    av_fail(&e, r, v->path, "cannot encode");
    return fw_fail(err, e.code, "%s (frame %lld)", e.msg, (long long)v->frames);
}

fw_status fw_video_writer_add(fw_video_writer *v, const uint8_t *rgb, bool key, fw_err *err) {
    if (av_frame_make_writable(v->frame) < 0) {
        return fw_fail(err, FW_NOMEM, "%s: frame %lld", v->path, (long long)v->frames);
    }
    for (int y = 0; y < v->rgb->height; y++) {
        size_t row = (size_t)v->rgb->width * 3;
        memcpy(v->rgb->data[0] + (ptrdiff_t)y * v->rgb->linesize[0], rgb + (size_t)y * row, row);
    }
    const uint8_t *const *src = (const uint8_t *const *)v->rgb->data;
    sws_scale(v->sws, src, v->rgb->linesize, 0, v->frame->height, v->frame->data, v->frame->linesize);
    v->frame->pts = v->frames;
    v->frame->pict_type = key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    FW_TRY(encode(v, v->frame, err));
    v->frames++;
    return FW_OK;
}

int64_t fw_video_writer_frames(const fw_video_writer *v) {
    return v->frames;
}

int64_t fw_video_writer_bytes(const fw_video_writer *v) {
    return v->bytes;
}

static fw_status sync_path(const char *path, fw_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0;
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return bad ? fw_fail(err, FW_IO, "%s: fsync: %s", path, strerror(why)) : FW_OK;
}

fw_status fw_video_writer_close(fw_video_writer *v, fw_err *err) {
    fw_status st = encode(v, NULL, err);
    if (st == FW_OK) {
        int r = av_write_trailer(v->fmt);
        v->header = false;
        avio_flush(v->fmt->pb);
        r = r < 0 ? r : v->fmt->pb->error;
        int c = avio_closep(&v->fmt->pb);
        r = r < 0 ? r : c;
        st = r < 0 ? av_fail(err, r, v->path, "cannot finish") : sync_path(v->path, err);
    }
    fw_video_writer_abort(v);
    return st;
}

void fw_video_writer_abort(fw_video_writer *v) {
    if (v == NULL) {
        return;
    }
    sws_freeContext(v->sws);
    av_frame_free(&v->frame);
    av_frame_free(&v->rgb);
    av_packet_free(&v->pkt);
    avcodec_free_context(&v->enc);
    if (v->fmt != NULL) {
        avio_closep(&v->fmt->pb);
        avformat_free_context(v->fmt);
    }
    free(v->path);
    free(v);
}
