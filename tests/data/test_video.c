/* Encoding and decoding: every codec we write, exact seek, sizes, times, and errors that name the file. */
#include "data/video.h"

#include "make.h"

enum { H = 2 * MK_H, W = MK_W, IMAGE = H * W * 3 }; /* two pictures, one above the other: SVT-AV1 wants 64 rows */

static uint8_t frames[40 * IMAGE], got[40 * IMAGE];

static const char *encode(const char *name, const fw_video_opts *o, double fps, int n) {
    static char path[600];
    const char *dir = mk_dir("video");
    fw_video_writer *w;
    OK(fw_mkdirs(dir, err));
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    OK(fw_video_writer_open(path, H, W, fps, o, &w, err));
    for (int i = 0; i < n; i++) {
        mk_image(0, i / 10, i % 10, frames + i * IMAGE);
        mk_image(1, i / 10, i % 10, frames + i * IMAGE + MK_IMAGE);
        OK(fw_video_writer_add(w, frames + i * IMAGE, i == 15, err));
    }
    CHECK_INT(fw_video_writer_frames(w), n);
    OK(fw_video_writer_close(w, err));
    return path;
}

static double mean_difference(const uint8_t *a, const uint8_t *b, int n) {
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        sum += abs(a[i] - b[i]);
    }
    return sum / n;
}

static void round_trip(const char *codec, const fw_video_opts *o, double limit) {
    const char *path = encode("a.mp4", o, 30.0, 40);
    fw_video *v;
    int64_t n;
    double pts;
    OK(fw_video_open(path, &v, err));
    const fw_video_info *info = fw_video_get_info(v);
    CHECK(info->w == W && info->h == H && strcmp(info->codec, codec) == 0 && strcmp(info->pix_fmt, "yuv420p") == 0);
    CHECK(fabs(info->fps - 30.0) < 1e-6 && fabs(info->duration - 40.0 / 30.0) < 1e-3);
    OK(fw_video_count(v, &n, err));
    CHECK_INT(n, 40);
    for (int i = 0; i < 40; i++) {
        OK(fw_video_next(v, 0, 0, got + i * IMAGE, &pts, err));
        CHECK(fabs(pts - i / 30.0) < 1e-6);
        double d = mean_difference(got + i * IMAGE, frames + i * IMAGE, IMAGE);
        if (d > limit)
            FW_FAILED("%s: frame %d differs by %.2f on average", codec, i, d);
    }
    FAILS(fw_video_next(v, 0, 0, got, NULL, err), FW_CLOSED, "ends after 40 frames");
    uint8_t one[IMAGE];
    for (int i = 39; i >= 0; i -= 3) { /* by seeking, in any order: the same pixels */
        OK(fw_video_read(v, i / 30.0, 1, 0, 0, one, err));
        CHECK(memcmp(one, got + i * IMAGE, IMAGE) == 0);
    }
    fw_video_close(v);
}

static void h264_round_trip(void) {
    fw_video_opts o = FW_VIDEO_OPTS_DATA;
    round_trip("h264", &o, 2.5);
}

static void av1_round_trip(void) {
    fw_video_opts o = FW_VIDEO_OPTS_AV1;
    round_trip("av1", &o, 4.0);
}

static void h264_for_people_round_trip(void) {
    fw_video_opts o = FW_VIDEO_OPTS_SHOW;
    round_trip("h264", &o, 3.0);
}

static void frames_scale_without_aliasing(void) {
    const char *path = encode("s.mp4", NULL, 10.0, 5);
    fw_video *v;
    uint8_t half[IMAGE / 4];
    OK(fw_video_open(path, &v, err));
    OK(fw_video_read(v, 0.2, 1, H / 2, W / 2, half, err));
    for (int y = 2; y < H / 2 - 2; y++) {
        for (int x = 2; x < W / 2 - 2; x++) {
            const uint8_t *p = frames + 2 * IMAGE + (2 * y * W + 2 * x) * 3, *q = p + (W + 1) * 3;
            for (int c = 0; c < 3; c++) {
                CHECK(abs(half[(y * W / 2 + x) * 3 + c] - (p[c] + q[c]) / 2) < 12);
            }
        }
    }
    fw_video_close(v);
}

static void errors_name_the_file_and_what_was_wanted(void) {
    fw_video *v;
    fw_video_writer *w;
    const char *path = encode("e.mp4", NULL, 10.0, 5);
    OK(fw_video_open(path, &v, err));
    FAILS(fw_video_read(v, 0.3, 4, 0, 0, got, err), FW_FORMAT, "wanted 4 frames, found 2");
    FAILS(fw_video_read(v, 0.3, 4, 0, 0, got, err), FW_FORMAT, path);
    fw_video_close(v);
    OK(fw_file_write_atomic(path, "no video at all", 15, err));
    FAILS(fw_video_open(path, &v, err), FW_FORMAT, path);
    FAILS(fw_video_open("/nonexistent.mp4", &v, err), FW_IO, "/nonexistent.mp4");
    FAILS(fw_video_writer_open("/nonexistent/x.mp4", 48, 64, 10.0, NULL, &w, err), FW_IO, "/nonexistent/x.mp4");
    FAILS(fw_video_writer_open(path, 49, 64, 10.0, NULL, &w, err), FW_INVALID, "64x49");
    fw_video_opts o = FW_VIDEO_OPTS_DATA;
    o.codec = "libnone";
    FAILS(fw_video_writer_open(path, 48, 64, 10.0, &o, &w, err), FW_UNSUPPORTED, "libnone");
}

FW_TEST_MAIN(T(h264_round_trip), T(av1_round_trip), T(h264_for_people_round_trip), T(frames_scale_without_aliasing),
             T(errors_name_the_file_and_what_was_wanted))
