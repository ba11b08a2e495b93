/*
 * video_copy.c - encoded frames from files into a new file, without decoding (see video.h).
 *
 * An episode's frames are the n packets that follow its first one, which must be a key frame: what comes before is then not
 * needed, and what comes after is not taken. Times are shifted as a whole, so that irregular ones stay as they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <libavformat/avformat.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/video.h"

struct fw_video_copier {
    char *path, *from; /* the new file; the source that is open */
    AVFormatContext *in, *out;
    AVStream *is, *os; /* borrowed from in and out */
    AVPacket *pkt;
    int64_t end;   /* where the next frame begins, in os's time base */
    int64_t after; /* packets of `from` taken so far end before this pts; AV_NOPTS_VALUE: position unknown */
    int64_t bytes;
    bool header;
};

static fw_status copy_fail(fw_err *err, int code, const char *path, const char *what) {
    char why[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, why, sizeof(why));
    bool io = code == AVERROR(ENOENT) || code == AVERROR(ENOSPC) || code == AVERROR(EIO) || code == AVERROR(EACCES);
    return fw_fail(err, code == AVERROR(ENOMEM) ? FW_NOMEM : io ? FW_IO : FW_FORMAT, "%s: %s: %s", path, what, why);
}

static fw_status use_source(fw_video_copier *c, const char *from, fw_err *err) {
    if (c->from != NULL && strcmp(c->from, from) == 0) {
        return FW_OK;
    }
    int r;
    avformat_close_input(&c->in);
    free(c->from);
    c->after = AV_NOPTS_VALUE;
    if ((c->from = strdup(from)) == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", from);
    }
    if ((r = avformat_open_input(&c->in, from, NULL, NULL)) < 0 || (r = avformat_find_stream_info(c->in, NULL)) < 0 ||
        (r = av_find_best_stream(c->in, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0)) < 0) {
        free(c->from);
        c->from = NULL;
        return copy_fail(err, r, from, "cannot read as video");
    }
    c->is = c->in->streams[r];
    return FW_OK;
}

static bool same_stream(const AVCodecParameters *a, const AVCodecParameters *b) {
    return a->codec_id == b->codec_id && a->width == b->width && a->height == b->height && a->format == b->format &&
           a->extradata_size == b->extradata_size &&
           (a->extradata_size == 0 || memcmp(a->extradata, b->extradata, (size_t)a->extradata_size) == 0);
}

fw_status fw_video_copier_fits(fw_video_copier *c, const char *from, bool *fits, fw_err *err) {
    FW_TRY(use_source(c, from, err));
    *fits = same_stream(c->os->codecpar, c->is->codecpar);
    return FW_OK;
}

static fw_status start_file(fw_video_copier *c, fw_err *err) {
    int r = avformat_alloc_output_context2(&c->out, NULL, "mp4", c->path);
    if (r < 0 || (c->os = avformat_new_stream(c->out, NULL)) == NULL) {
        return copy_fail(err, r < 0 ? r : AVERROR(ENOMEM), c->path, "cannot create");
    }
    r = avcodec_parameters_copy(c->os->codecpar, c->is->codecpar);
    c->os->codecpar->codec_tag = 0;
    c->os->time_base = c->is->time_base;
    c->os->avg_frame_rate = c->is->avg_frame_rate;
    r = r < 0 ? r : avio_open(&c->out->pb, c->path, AVIO_FLAG_WRITE);
    r = r < 0 ? r : avformat_write_header(c->out, NULL);
    c->header = r >= 0;
    return r < 0 ? copy_fail(err, r, c->path, "cannot create") : FW_OK;
}

fw_status fw_video_copier_open(const char *path, const char *like, fw_video_copier **out, fw_err *err) {
    fw_status st;
    *out = NULL;
    av_log_set_level(AV_LOG_QUIET);
    fw_video_copier *c = calloc(1, sizeof(*c));
    if (c == NULL || (c->path = strdup(path)) == NULL || (c->pkt = av_packet_alloc()) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s", path);
        goto done;
    }
    if ((st = use_source(c, like, err)) == FW_OK) {
        st = start_file(c, err);
    }
done:
    if (st != FW_OK) {
        fw_video_copier_abort(c);
        c = NULL;
    }
    *out = c;
    return st;
}

/* The next packet of the stream into c->pkt: AVERROR_EOF at the end. */
static int next_packet(fw_video_copier *c) {
    int r;
    while ((r = av_read_frame(c->in, c->pkt)) >= 0 && c->pkt->stream_index != c->is->index) {
        av_packet_unref(c->pkt);
    }
    return r;
}

static int64_t packet_pts(const AVPacket *p) {
    return p->pts != AV_NOPTS_VALUE ? p->pts : p->dts;
}

/* Ticks of a frame, for packets that do not say. */
static int64_t nominal_ticks(const fw_video_copier *c) {
    AVRational rate = c->is->avg_frame_rate.num > 0 ? c->is->avg_frame_rate : c->is->r_frame_rate;
    return rate.num > 0 ? av_rescale_q(1, av_inv_q(rate), c->is->time_base) : 1;
}

/* Read on until the first packet shown at or after from_s - half a frame is in c->pkt. */
static fw_status find_first(fw_video_copier *c, double from_s, fw_err *err) {
    int64_t start = c->is->start_time != AV_NOPTS_VALUE ? c->is->start_time : 0, half = nominal_ticks(c) / 2;
    double ticks = from_s / av_q2d(c->is->time_base);
    if (!(fabs(ticks) < 0x1p53)) { /* no video is that long */
        return fw_fail(err, FW_FORMAT, "%s: no frame from %g s on", c->from, from_s);
    }
    int64_t target = start + llround(ticks);
    int r = 0;
    if (c->after == AV_NOPTS_VALUE || llabs(c->after - target) > half) {
        r = av_seek_frame(c->in, c->is->index, target, AVSEEK_FLAG_BACKWARD);
        r = r < 0 ? av_seek_frame(c->in, c->is->index, start, AVSEEK_FLAG_BACKWARD) : r;
    }
    while (r >= 0 && (r = next_packet(c)) >= 0 && packet_pts(c->pkt) < target - half) {
        av_packet_unref(c->pkt);
    }
    c->after = AV_NOPTS_VALUE;
    if (r == AVERROR_EOF) {
        return fw_fail(err, FW_FORMAT, "%s: no frame from %.3f s on", c->from, from_s);
    }
    if (r < 0) {
        return copy_fail(err, r, c->from, "cannot read");
    }
    if ((c->pkt->flags & AV_PKT_FLAG_KEY) == 0) {
        av_packet_unref(c->pkt);
        return fw_fail(err, FW_UNSUPPORTED, "%s: the frame at %.3f s is no key frame: it cannot be copied alone",
                       c->from, from_s);
    }
    return FW_OK;
}

/* Write c->pkt with its times moved so that `first` of the source comes at c->end. */
static fw_status put(fw_video_copier *c, int64_t first, int64_t *end, fw_err *err) {
    AVPacket *p = c->pkt;
    AVRational from = c->is->time_base, to = c->os->time_base;
    int64_t pts = packet_pts(p), dts = p->dts != AV_NOPTS_VALUE ? p->dts : pts;
    int64_t ticks = p->duration > 0 ? p->duration : nominal_ticks(c), stop = pts + ticks;
    *end = stop > *end ? stop : *end;
    p->pts = c->end + av_rescale_q(pts - first, from, to);
    p->dts = c->end + av_rescale_q(dts - first, from, to);
    p->duration = av_rescale_q(ticks, from, to);
    p->stream_index = c->os->index;
    p->pos = -1;
    c->bytes += p->size;
    int r = av_write_frame(c->out, p);
    av_packet_unref(p);
    r = r < 0 ? r : c->out->pb->error;
    return r < 0 ? copy_fail(err, r, c->path, "cannot write") : FW_OK;
}

fw_status fw_video_copier_add(fw_video_copier *c, const char *from, double from_s, int64_t n, double *start_s,
                              double *end_s, fw_err *err) {
    FW_TRY(use_source(c, from, err));
    if (!same_stream(c->os->codecpar, c->is->codecpar)) {
        return fw_fail(err, FW_INVALID, "%s: its stream is not that of %s", from, c->path);
    }
    FW_TRY(find_first(c, from_s, err));
    int64_t first = packet_pts(c->pkt), end = first;
    for (int64_t i = 0; i < n; i++) {
        int r = i > 0 ? next_packet(c) : 0;
        if (r < 0) {
            return r == AVERROR_EOF ? fw_fail(err, FW_FORMAT, "%s: from %.3f s: wanted %lld frames, found %lld", from,
                                              from_s, (long long)n, (long long)i)
                                    : copy_fail(err, r, from, "cannot read");
        }
        if (packet_pts(c->pkt) < first) {
            av_packet_unref(c->pkt);
            return fw_fail(err, FW_UNSUPPORTED, "%s: frames around %.3f s depend on frames before it", from, from_s);
        }
        FW_TRY(put(c, first, &end, err));
    }
    c->after = end;
    *start_s = (double)c->end * av_q2d(c->os->time_base);
    c->end += av_rescale_q(end - first, c->is->time_base, c->os->time_base);
    *end_s = (double)c->end * av_q2d(c->os->time_base);
    return FW_OK;
}

/* Of the packets from the one in c->pkt on, the n first ones are n frames in a row: what follows in the file, up to the next key
 * frame, is shown after them. */
static bool in_a_row(fw_video_copier *c, int64_t n) {
    int64_t first = packet_pts(c->pkt), last = first;
    for (int64_t i = 1;; i++) {
        av_packet_unref(c->pkt);
        if (next_packet(c) < 0) {
            return true;
        }
        int64_t pts = packet_pts(c->pkt);
        if (i < n) {
            last = pts > last ? pts : last;
        } else if (pts < last || (c->pkt->flags & AV_PKT_FLAG_KEY) != 0) {
            return pts > last;
        }
        if (pts < first) {
            return false;
        }
    }
}

fw_status fw_video_stands_alone(const char *from, double from_s, int64_t n, bool *alone, fw_err *err) {
    fw_video_copier c = {.pkt = av_packet_alloc()};
    av_log_set_level(AV_LOG_QUIET);
    fw_status st = c.pkt != NULL ? use_source(&c, from, err) : fw_fail(err, FW_NOMEM, "%s", from);
    if (st == FW_OK && (st = find_first(&c, from_s, err)) == FW_OK) {
        *alone = c.is->codecpar->video_delay == 0 || in_a_row(&c, n);
    } else if (st == FW_UNSUPPORTED) {
        *alone = false;
        st = FW_OK;
    }
    avformat_close_input(&c.in);
    av_packet_free(&c.pkt);
    free(c.from);
    return st;
}

fw_status fw_video_recode(const char *path, const char *from, double from_s, int64_t n, double fps, fw_err *err) {
    fw_video *in = NULL;
    fw_video_writer *out = NULL;
    uint8_t *rgb = NULL;
    fw_status st = fw_video_open(from, &in, err);
    if (st == FW_OK) {
        const fw_video_info *i = fw_video_get_info(in);
        rgb = malloc((size_t)i->h * (size_t)i->w * 3 + 1);
        st = rgb != NULL ? fw_video_writer_open(path, i->h, i->w, fps, NULL, &out, err)
                         : fw_fail(err, FW_NOMEM, "%s", path);
    }
    st = st == FW_OK ? fw_video_seek(in, from_s, err) : st;
    for (int64_t t = 0; t < n && st == FW_OK; t++) {
        st = fw_video_next(in, 0, 0, rgb, NULL, err);
        st = st == FW_CLOSED ? fw_fail(err, FW_FORMAT, "%s: from %.3f s: wanted %lld frames, found %lld", from, from_s,
                                       (long long)n, (long long)t)
             : st == FW_OK   ? fw_video_writer_add(out, rgb, t == 0, err)
                             : st;
    }
    if (st == FW_OK) {
        st = fw_video_writer_close(out, err);
    } else {
        fw_video_writer_abort(out);
    }
    fw_video_close(in);
    free(rgb);
    return st;
}

int64_t fw_video_copier_bytes(const fw_video_copier *c) {
    return c->bytes;
}

fw_status fw_video_copier_close(fw_video_copier *c, fw_err *err) {
    int r = av_write_trailer(c->out);
    c->header = false;
    avio_flush(c->out->pb);
    r = r < 0 ? r : c->out->pb->error;
    int e = avio_closep(&c->out->pb);
    r = r < 0 ? r : e;
    fw_status st = r < 0 ? copy_fail(err, r, c->path, "cannot finish") : FW_OK;
    int fd = st == FW_OK ? open(c->path, O_RDONLY | O_CLOEXEC) : -1;
    if (st == FW_OK && (fd < 0 || fsync(fd) != 0)) {
        st = fw_fail(err, FW_IO, "%s: fsync: %s", c->path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    fw_video_copier_abort(c);
    return st;
}

void fw_video_copier_abort(fw_video_copier *c) {
    if (c == NULL) {
        return;
    }
    avformat_close_input(&c->in);
    if (c->out != NULL) {
        avio_closep(&c->out->pb);
        avformat_free_context(c->out);
    }
    av_packet_free(&c->pkt);
    free(c->path);
    free(c->from);
    free(c);
}
