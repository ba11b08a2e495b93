/* cameras: a V4L2 device answered by a fake behind the table of system calls, videos and folders; the newest frame, and what is said when there is none */
#include "alloc_guard.h"

#include <errno.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/jpeg.h"
#include "base/png.h"
#include "data/video.h"
#include "robot/arm.h"
#include "robot/camera.h"
#include "robot/pixels.h"

enum { W = 16, H = 8, BUFS = 4, LENGTH = 8192 };

/* --- a device: what it offers, and what happened to it */

static struct fake {
    pthread_mutex_t lock;
    bool there, wrong_size, no_capture, silent, wrong_index;
    unsigned long fail_ioctl; /* this request, with errno */
    int fail_errno;
    bool damaged; /* the next frame */
    int opens, closes, mapped, queued, frames, streamoffs;
    uint8_t memory[BUFS][LENGTH];
    int ring[BUFS], n_ring;
    uint8_t shade;
    struct v4l2_pix_format fmt;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int fake_open(const char *path) {
    (void)path;
    pthread_mutex_lock(&fake.lock);
    const bool there = fake.there;
    fake.opens += there;
    pthread_mutex_unlock(&fake.lock);
    errno = ENOENT;
    return there ? 7 : -1;
}
static void fake_close(int fd) {
    CHECK_INT(fd, 7);
    fake.closes++;
}
static void *fake_map(size_t length, int fd, int64_t offset) {
    CHECK(fd == 7 && length == LENGTH);
    fake.mapped++;
    return fake.memory[offset / LENGTH];
}
static void fake_unmap(void *p, size_t length) {
    (void)p;
    CHECK_INT(length, LENGTH);
    fake.mapped--;
}
static int fake_wait(int fd, int timeout_ms) {
    CHECK(fd == 7 && timeout_ms <= 100);
    usleep(5000);
    pthread_mutex_lock(&fake.lock);
    const int ready = !fake.there ? 1 : !fake.silent && fake.n_ring > 0;
    pthread_mutex_unlock(&fake.lock);
    return ready;
}

/* The next frame into the oldest queued buffer: a grey picture, lighter with each. */
static int dequeue(struct v4l2_buffer *b) {
    uint8_t rgb[3 * W * H];
    const int i = fake.ring[0];
    if (!fake.there) {
        errno = ENODEV;
        return -1;
    }
    if (fake.n_ring == 0) {
        errno = EAGAIN;
        return -1;
    }
    fake.n_ring--;
    memmove(fake.ring, fake.ring + 1, (size_t)fake.n_ring * sizeof *fake.ring);
    fake.shade = (uint8_t)(fake.shade < 200 ? fake.shade + 1 : 50);
    b->index = fake.wrong_index ? 99 : (uint32_t)i;
    b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    b->timestamp.tv_sec = fw_now_ns() / 1000000000;
    b->timestamp.tv_usec = fw_now_ns() / 1000 % 1000000;
    if (fake.fmt.pixelformat == V4L2_PIX_FMT_YUYV) {
        for (int k = 0; k < 2 * W * H; k += 2) {
            fake.memory[i][k] = fake.shade;
            fake.memory[i][k + 1] = 128;
        }
        b->bytesused = fake.damaged ? 10 : 2 * W * H;
    } else {
        uint8_t *data;
        size_t n;
        memset(rgb, fake.shade, sizeof rgb);
        OK(fw_jpeg_encode(rgb, H, W, 95, &data, &n, &ok_err));
        CHECK(n < LENGTH);
        memcpy(fake.memory[i], data, n);
        free(data);
        b->bytesused = (uint32_t)(fake.damaged ? n / 3 : n);
    }
    fake.damaged = false;
    fake.frames++;
    return 0;
}

static int request(unsigned long r, void *arg) {
    struct v4l2_capability *cap = arg;
    struct v4l2_format *f = arg;
    struct v4l2_requestbuffers *q = arg;
    struct v4l2_buffer *b = arg;
    if (fake.fail_ioctl == r) {
        errno = fake.fail_errno;
        return -1;
    }
    switch (r) {
    case VIDIOC_QUERYCAP:
        snprintf((char *)cap->card, sizeof cap->card, "Fake Cam");
        cap->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        cap->device_caps = fake.no_capture ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_S_FMT:
        f->fmt.pix.width = fake.wrong_size ? 640 : f->fmt.pix.width;
        f->fmt.pix.bytesperline = 2 * W;
        fake.fmt = f->fmt.pix;
        return 0;
    case VIDIOC_S_PARM:
        errno = ENOTTY; /* no choice of rates: fine */
        return -1;
    case VIDIOC_REQBUFS:
        CHECK_INT(q->memory, V4L2_MEMORY_MMAP);
        q->count = BUFS;
        fake.n_ring = 0;
        return 0;
    case VIDIOC_QUERYBUF:
        b->length = LENGTH;
        b->m.offset = b->index * LENGTH;
        return 0;
    case VIDIOC_QBUF:
        CHECK(b->index < BUFS && fake.n_ring < BUFS);
        fake.ring[fake.n_ring++] = (int)b->index;
        return 0;
    case VIDIOC_DQBUF:
        return dequeue(b);
    case VIDIOC_STREAMON:
        return 0;
    case VIDIOC_STREAMOFF:
        fake.streamoffs++;
        return 0;
    default:
        FW_FAILED("unknown request %lx", r);
    }
}

static int fake_ioctl(int fd, unsigned long r, void *arg) {
    CHECK_INT(fd, 7);
    pthread_mutex_lock(&fake.lock);
    const int result = request(r, arg);
    pthread_mutex_unlock(&fake.lock);
    return result;
}

static const fw_v4l2_sys fake_sys = {fake_open, fake_ioctl, fake_map, fake_unmap, fake_wait, fake_close};

#define FAKE_SET(field, value)                                                                                         \
    do {                                                                                                               \
        pthread_mutex_lock(&fake.lock);                                                                                \
        fake.field = (value);                                                                                          \
        pthread_mutex_unlock(&fake.lock);                                                                              \
    } while (0)

static void fake_reset(void) {
    fake = (struct fake){.lock = PTHREAD_MUTEX_INITIALIZER, .there = true, .shade = 50};
}

static fw_cam *device(fw_cam_format format, int timeout_ms) {
    fw_cam *c;
    fw_cam_opts o = {.name = "front",
                     .source = "/dev/video0",
                     .width = W,
                     .height = H,
                     .format = format,
                     .timeout_ms = timeout_ms,
                     .sys = &fake_sys};
    OK(fw_cam_open(&o, &c, &ok_err));
    return c;
}

/* The next frame with a number above `after`. */
static fw_driver_frame newer(fw_cam *c, uint64_t after) {
    fw_driver_frame f;
    fw_err err = {0};
    for (int k = 0; k < 2000; k++) {
        const fw_status st = fw_cam_latest(c, &f, &err);
        if (st == FW_OK && f.seq > after) {
            return f;
        }
        usleep(2000);
    }
    FW_FAILED("no frame after %d: %s", (int)after, err.msg);
}

static void frames_of_a_device_come_as_rgb(void) {
    const fw_cam_format formats[] = {FW_CAM_YUYV, FW_CAM_MJPEG};
    for (int k = 0; k < 2; k++) {
        fake_reset();
        fw_cam *c = device(formats[k], 2000);
        OK(fw_cam_start(c, &ok_err));
        const fw_driver_frame a = newer(c, 0);
        const int before = a.rgb[0];
        CHECK(a.h == H && a.w == W && fw_now_ns() - a.t_ns >= 0);
        for (int i = 1; i < 3 * W * H; i++) {
            CHECK(abs(a.rgb[i] - before) <= 2); /* grey */
        }
        const int64_t t = a.t_ns;
        const fw_driver_frame b = newer(c, a.seq + 3);
        CHECK(b.rgb[0] > before && b.t_ns > t);
        fw_cam_close(c);
        CHECK(fake.mapped == 0 && fake.opens == 1 && fake.closes == 1 && fake.streamoffs == 1);
    }
}

static void yuyv_is_bt601(void) {
    /* black, white, and the three colours of full strength, in studio range */
    static const struct {
        uint8_t y, u, v, rgb[3];
    } table[] = {{16, 128, 128, {0, 0, 0}},
                 {235, 128, 128, {255, 255, 255}},
                 {81, 90, 240, {255, 0, 0}},
                 {145, 54, 34, {0, 255, 0}},
                 {41, 240, 110, {0, 0, 255}}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const uint8_t yuyv[4] = {table[i].y, table[i].u, table[i].y, table[i].v};
        uint8_t rgb[6];
        fw_yuyv_to_rgb(yuyv, 4, 1, 2, rgb);
        for (int k = 0; k < 6; k++) {
            CHECK(abs(rgb[k] - table[i].rgb[k % 3]) <= 2);
        }
    }
}

static void a_device_that_does_not_fit_is_refused_at_start(void) {
    fake_reset();
    fw_cam *c = device(FW_CAM_MJPEG, 500);
    fake.there = false;
    FAILS(fw_cam_start(c, &fails_err), FW_IO, "camera front", "/dev/video0", "cannot open");
    fake.there = true;
    fake.wrong_size = true;
    FAILS(fw_cam_start(c, &fails_err), FW_IO, "wanted 16x8 MJPG", "offers 640x8");
    fake.wrong_size = false;
    fake.no_capture = true;
    FAILS(fw_cam_start(c, &fails_err), FW_IO, "Fake Cam", "captures no streams");
    fake.no_capture = false;
    static const unsigned long steps[] = {VIDIOC_QUERYCAP, VIDIOC_S_FMT, VIDIOC_REQBUFS,
                                          VIDIOC_QUERYBUF, VIDIOC_QBUF,  VIDIOC_STREAMON};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fake.fail_ioctl = steps[i];
        fake.fail_errno = EBUSY;
        FAILS(fw_cam_start(c, &fails_err), FW_IO, "/dev/video0");
        CHECK(fake.mapped == 0 && fake.opens == fake.closes);
    }
    fake.fail_ioctl = 0;
    OK(fw_cam_start(c, &ok_err));
    newer(c, 0);
    FAILS(fw_cam_start(c, &fails_err), FW_INVALID, "already started");
    fw_cam_close(c);
}

static void damaged_frames_are_passed_over(void) {
    const fw_cam_format formats[] = {FW_CAM_YUYV, FW_CAM_MJPEG};
    for (int k = 0; k < 2; k++) {
        fake_reset();
        fw_cam *c = device(formats[k], 2000);
        OK(fw_cam_start(c, &ok_err));
        const fw_driver_frame a = newer(c, 0);
        FAKE_SET(damaged, true);
        const fw_driver_frame b = newer(c, a.seq + 5);
        CHECK(b.rgb[0] == b.rgb[3 * W * H - 1] || abs(b.rgb[0] - b.rgb[3 * W * H - 1]) <= 2);
        int frames;
        pthread_mutex_lock(&fake.lock);
        frames = fake.frames;
        pthread_mutex_unlock(&fake.lock);
        CHECK((uint64_t)frames > b.seq); /* one of the device's was not shown */
        fw_cam_close(c);
    }
}

static void silence_is_noticed_after_the_timeout(void) {
    fake_reset();
    fw_cam *c = device(FW_CAM_YUYV, 300);
    fw_driver_frame f;
    OK(fw_cam_start(c, &ok_err));
    FAILS(fw_cam_latest(c, &f, &fails_err), FW_AGAIN, "no picture yet");
    newer(c, 0);
    FAKE_SET(silent, true);
    usleep(900000);
    FAILS(fw_cam_latest(c, &f, &fails_err), FW_CLOSED, "camera front", "/dev/video0", "no picture for");
    CHECK(f.rgb != NULL); /* the last one is still there */
    FAKE_SET(silent, false);
    newer(c, f.seq);
    fw_cam_close(c);
}

static void an_unplugged_device_is_said_and_comes_back(void) {
    fake_reset();
    fw_cam *c = device(FW_CAM_YUYV, 5000);
    fw_driver_frame f;
    OK(fw_cam_start(c, &ok_err));
    const fw_driver_frame a = newer(c, 0);
    FAKE_SET(there, false);
    usleep(500000);
    FAILS(fw_cam_latest(c, &f, &fails_err), FW_CLOSED, "camera front"); /* long before its timeout */
    FAKE_SET(there, true);
    newer(c, a.seq + 1);
    fw_cam_close(c);
    CHECK(fake.mapped == 0 && fake.opens == 2 && fake.closes == 2);
}

static void a_buffer_that_cannot_be_is_refused(void) {
    fake_reset();
    fw_cam *c = device(FW_CAM_YUYV, 5000);
    fw_driver_frame f;
    OK(fw_cam_start(c, &ok_err));
    newer(c, 0);
    FAKE_SET(wrong_index, true);
    usleep(300000);
    FAILS(fw_cam_latest(c, &f, &fails_err), FW_CLOSED, "buffer 99 of 4");
    fw_cam_close(c);
}

static void the_reader_allocates_nothing_and_sees_whole_frames(void) {
    fake_reset();
    fw_cam *c = device(FW_CAM_YUYV, 5000);
    OK(fw_cam_start(c, &ok_err));
    uint64_t seq = newer(c, 0).seq;
    int seen = 0;
    fw_alloc_guard_begin(); /* of all threads: YUYV needs none */
    for (const int64_t end = fw_now_ns() + 500000000; fw_now_ns() < end;) {
        fw_driver_frame f;
        if (fw_cam_latest(c, &f, NULL) != FW_OK) {
            continue;
        }
        CHECK(f.seq >= seq);
        seen += f.seq > seq;
        seq = f.seq;
        for (int i = 1; i < 3 * W * H; i++) {
            CHECK(f.rgb[i] == f.rgb[0]);
        }
        usleep(200);
    }
    CHECK_INT(fw_alloc_guard_end(), 0);
    CHECK(seen > 5);
    fw_cam_close(c);
}

/* --- files */

static void folder_of(const char *dir, int n) {
    uint8_t rgb[3 * W * H];
    OK(fw_remove_tree(dir, &ok_err));
    OK(fw_mkdirs(dir, &ok_err));
    for (int i = 0; i < n; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%03d.png", dir, i);
        memset(rgb, 10 * (i + 1), sizeof rgb);
        OK(fw_png_write(path, rgb, H, W, &ok_err));
    }
}

static fw_cam *file(const char *source, double fps, bool loop) {
    fw_cam *c;
    fw_cam_opts o = {.name = "wrist", .width = W, .height = H, .fps = fps, .loop = loop, .timeout_ms = 2000};
    snprintf(o.source, sizeof o.source, "%s", source);
    OK(fw_cam_open(&o, &c, &ok_err));
    return c;
}

static void a_folder_runs_at_its_rate_in_the_order_of_names(void) {
    const char *dir = "robot_camera_test";
    fw_driver_frame f;
    folder_of(dir, 5);
    fw_cam *c = file(dir, 20, false);
    const int64_t began = fw_now_ns();
    OK(fw_cam_start(c, &ok_err));
    for (uint64_t k = 1; k <= 5; k++) {
        f = newer(c, k - 1);
        if (f.seq == k) { /* a busy machine may have missed some */
            CHECK_INT(f.rgb[0], 10 * (int)k);
        }
    }
    CHECK(fw_now_ns() - began > 190000000);
    usleep(400000);
    FAILS(fw_cam_latest(c, &f, &fails_err), FW_CLOSED, "its end, after 5 pictures");
    CHECK(f.rgb[0] == 50);
    fw_cam_stop(c);
    OK(fw_cam_start(c, &ok_err)); /* and from the beginning again */
    newer(c, 0);
    fw_cam_close(c);
    c = file(dir, 200, true);
    OK(fw_cam_start(c, &ok_err));
    CHECK(newer(c, 12).seq > 12);
    fw_cam_close(c);
    OK(fw_remove_tree(dir, &ok_err));
}

static void a_video_is_scaled_and_shown(void) {
    const char *path = "robot_camera_test.mp4";
    static uint8_t rgb[3 * 64 * 32];
    fw_video_writer *v;
    OK(fw_video_writer_open(path, 32, 64, 50, NULL, &v, &ok_err));
    for (int i = 0; i < 10; i++) {
        memset(rgb, 20 * i, sizeof rgb);
        OK(fw_video_writer_add(v, rgb, i == 0, &ok_err));
    }
    OK(fw_video_writer_close(v, &ok_err));
    fw_cam *c = file(path, 0, true);
    OK(fw_cam_start(c, &ok_err));
    const fw_driver_frame f = newer(c, 11); /* beyond the end: begun again */
    CHECK(f.h == H && f.w == W && abs(f.rgb[0] - (int)((f.seq - 1) % 10) * 20) < 8);
    fw_cam_close(c);
    CHECK_INT(unlink(path), 0);
}

static void sources_that_cannot_be_are_named(void) {
    fw_cam *c = file("/none/such.mp4", 0, true);
    FAILS(fw_cam_start(c, &fails_err), FW_IO, "/none/such.mp4");
    fw_cam_close(c);
    OK(fw_mkdirs("robot_camera_none", &ok_err));
    c = file("robot_camera_none", 0, true);
    FAILS(fw_cam_start(c, &fails_err), FW_FORMAT, "no PNG in");
    fw_cam_close(c);
    CHECK_INT(rmdir("robot_camera_none"), 0);
}

static void options_are_read_and_refused_with_their_key(void) {
    static const struct {
        const char *text, *says;
    } bad[] = {{"{}", "an array"},
               {"[{\"source\": \"a\", \"width\": 4, \"height\": 4}]", "'name'"},
               {"[{\"name\": \"\", \"source\": \"a\", \"width\": 4, \"height\": 4}]", "'name'"},
               {"[{\"name\": \"a\", \"source\": \"a\", \"width\": 5, \"height\": 4}]", "even width"},
               {"[{\"name\": \"a\", \"source\": \"a\", \"width\": 4, \"height\": 9999}]", "'height'"},
               {"[{\"name\": \"a\", \"source\": \"a\", \"width\": 4, \"height\": 4, \"format\": \"h264\"}]", "h264"},
               {"[{\"name\": \"a\", \"source\": \"a\", \"width\": 4, \"height\": 4, \"fps\": -1}]", "fps"},
               {"[{\"name\": \"a\", \"source\": \"a\", \"width\": 4, \"height\": 4, \"rate\": 1}]", "rate"},
               {"[{\"name\": \"a\", \"source\": \"a\", \"width\": 4, \"height\": 4},"
                " {\"name\": \"a\", \"source\": \"b\", \"width\": 4, \"height\": 4}]",
                "second camera 'a'"}};
    fw_cam_opts o[FW_CAM_MAX];
    json_t *j;
    int n;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        OK(fw_json_parse(bad[i].text, strlen(bad[i].text), "x", &j, &ok_err));
        FAILS(fw_cam_opts_from_json(j, "x", o, &n, &fails_err), FW_FORMAT, bad[i].says);
        json_decref(j);
    }
    const char *good =
        "[{\"name\": \"front\", \"source\": \"/dev/video2\", \"width\": 640, \"height\": 480, \"fps\": 30, "
        "\"format\": \"yuyv\", \"loop\": false, \"timeout_ms\": 250}]";
    OK(fw_json_parse(good, strlen(good), "x", &j, &ok_err));
    OK(fw_cam_opts_from_json(j, "x", o, &n, &ok_err));
    json_decref(j);
    CHECK(n == 1 && o[0].width == 640 && o[0].height == 480 && o[0].format == FW_CAM_YUYV && !o[0].loop &&
          o[0].timeout_ms == 250 && strcmp(o[0].source, "/dev/video2") == 0);
}

FW_TEST_MAIN(T(frames_of_a_device_come_as_rgb), T(yuyv_is_bt601), T(a_device_that_does_not_fit_is_refused_at_start),
             T(damaged_frames_are_passed_over), T(silence_is_noticed_after_the_timeout),
             T(an_unplugged_device_is_said_and_comes_back), T(a_buffer_that_cannot_be_is_refused),
             T(the_reader_allocates_nothing_and_sees_whole_frames), T(a_folder_runs_at_its_rate_in_the_order_of_names),
             T(a_video_is_scaled_and_shown), T(sources_that_cannot_be_are_named),
             T(options_are_read_and_refused_with_their_key))
