/*
 * video.h - frames out of and into video files, through libav.
 *
 * Decoding: one thread, exact seek (key frame before, then forward), any codec the system's libav reads; AV1 always by
 * libdav1d. Encoding: RGB to H.264 (x264, crf 18, a key frame every second frame: what a training set wants) or AV1.
 * Pixels are RGB u8, rows top down, no padding: [h,w,3].
 */
#ifndef FW_DATA_VIDEO_H
#define FW_DATA_VIDEO_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_video fw_video; /* one file being read; not thread-safe, any number of them in any threads */

typedef struct fw_video_info {
    int w, h;
    double fps;      /* average */
    double duration; /* s */
    int64_t frames;  /* as the container says; 0 unknown */
    char codec[16];  /* "h264", "av1", "hevc" */
    char pix_fmt[16];
} fw_video_info;

/* FW_IO: cannot open; FW_FORMAT: no video in it, or damaged. */
FW_NODISCARD fw_status fw_video_open(const char *path, fw_video **out, fw_err *err);
void fw_video_close(fw_video *v); /* NULL is fine */
const fw_video_info *fw_video_get_info(const fw_video *v);

/* The next fw_video_next returns the first frame shown at or after t_s - half a frame (seconds from the file's start).
 */
FW_NODISCARD fw_status fw_video_seek(fw_video *v, double t_s, fw_err *err);
/* Decode the next frame, scaled to [h,w,3] (h = w = 0: the video's own size), into rgb. pts_s: its time, may be NULL.
 * FW_CLOSED after the last frame (err then says how many frames there were). */
FW_NODISCARD fw_status fw_video_next(fw_video *v, int h, int w, uint8_t *rgb, double *pts_s, fw_err *err);
/* seek + n times next into rgb [n,h,w,3]; FW_FORMAT when the video ends early (names file, frame, wanted, found). */
FW_NODISCARD fw_status fw_video_read(fw_video *v, double from_s, int64_t n, int h, int w, uint8_t *rgb, fw_err *err);
/* Count frames by reading packets, without decoding: what is really in the file. Leaves the position at the start. */
FW_NODISCARD fw_status fw_video_count(fw_video *v, int64_t *frames, fw_err *err);

/* The times at which its frames are shown, in order, s from the first one's: *t_s owned (free) [*frames]. Reads packets, as above.
 * *plain (may be NULL): they lie in the file in that order too, so that the file can be cut behind any of them. */
FW_NODISCARD fw_status fw_video_times(fw_video *v, double **t_s, int64_t *frames, bool *plain, fw_err *err);
/* A picture [h,w,3] scaled to [h2,w2,3] as frames are. */
FW_NODISCARD fw_status fw_rgb_scale(const uint8_t *rgb, int h, int w, int h2, int w2, uint8_t *out, fw_err *err);

typedef struct fw_video_opts {
    const char *codec;  /* "libx264" or "libsvtav1" */
    const char *preset; /* the codec's own name for it */
    int crf;            /* quality, smaller is better */
    int gop;            /* frames from key frame to key frame */
    int threads;
} fw_video_opts;
#define FW_VIDEO_OPTS_DATA ((fw_video_opts){"libx264", "veryfast", 18, 2, 1}) /* training data */
#define FW_VIDEO_OPTS_AV1  ((fw_video_opts){"libsvtav1", "12", 30, 2, 1})     /* what LeRobot writes by default */
#define FW_VIDEO_OPTS_SHOW ((fw_video_opts){"libx264", "medium", 20, 60, 1})  /* for people */

typedef struct fw_video_writer fw_video_writer;
/* Create (truncate) an .mp4 of [h,w] frames; w and h even (4:2:0). opts NULL: FW_VIDEO_OPTS_DATA. */
FW_NODISCARD fw_status fw_video_writer_open(const char *path, int h, int w, double fps, const fw_video_opts *opts,
                                            fw_video_writer **out, fw_err *err);
/* rgb [h,w,3]; key: start a new group here (the first frame of an episode). */
FW_NODISCARD fw_status fw_video_writer_add(fw_video_writer *v, const uint8_t *rgb, bool key, fw_err *err);
int64_t fw_video_writer_frames(const fw_video_writer *v);
int64_t fw_video_writer_bytes(const fw_video_writer *v);
/* Flush, write the index, fsync, close; frees v whatever the result. The file is complete only when this says FW_OK. */
FW_NODISCARD fw_status fw_video_writer_close(fw_video_writer *v, fw_err *err);
void fw_video_writer_abort(fw_video_writer *v); /* NULL is fine; leaves a broken file to remove */

/* --- copying encoded frames --- */
typedef struct fw_video_copier fw_video_copier;
/* Create (truncate) an .mp4 whose stream is of the kind of the file `like`. */
FW_NODISCARD fw_status fw_video_copier_open(const char *path, const char *like, fw_video_copier **out, fw_err *err);
/* Whether frames of `from` can follow: the same codec, its parameters, size and pixel format. */
FW_NODISCARD fw_status fw_video_copier_fits(fw_video_copier *c, const char *from, bool *fits, fw_err *err);
/* Append the n frames of `from` that are shown from from_s on, byte for byte, the first of which must be a key frame
 * (FW_UNSUPPORTED). They lie at [*start_s, *end_s) of the new file; distances between their times are kept. */
FW_NODISCARD fw_status fw_video_copier_add(fw_video_copier *c, const char *from, double from_s, int64_t n,
                                           double *start_s, double *end_s, fw_err *err);
/* Whether those n frames can be copied: the first is a key frame, and none of theirs lies among others in the file. */
FW_NODISCARD fw_status fw_video_stands_alone(const char *from, double from_s, int64_t n, bool *alone, fw_err *err);
/* Those n frames encoded again, as FW_VIDEO_OPTS_DATA says, into a file of their own at nominal times. */
FW_NODISCARD fw_status fw_video_recode(const char *path, const char *from, double from_s, int64_t n, double fps,
                                       fw_err *err);
int64_t fw_video_copier_bytes(const fw_video_copier *c);
/* Write the index, fsync, close; frees c whatever the result. */
FW_NODISCARD fw_status fw_video_copier_close(fw_video_copier *c, fw_err *err);
void fw_video_copier_abort(fw_video_copier *c); /* NULL is fine; leaves a broken file to remove */

#endif /* FW_DATA_VIDEO_H */
