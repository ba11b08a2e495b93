/* v4l2.c - a V4L2 camera as a source: memory-mapped streaming, YUYV or MJPEG. The order of the calls is that of the kernel's document
 * "Streaming I/O (Memory Mapping)". */
#include "robot/v4l2.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jpeg.h"
#include "robot/camera_int.h"
#include "robot/pixels.h"

enum { BUFFERS = 4, WAIT_MS = 100 };

/* --- the kernel */

static int kernel_open(const char *path) {
    return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}
static int kernel_ioctl(int fd, unsigned long request, void *arg) {
    int r;
    do {
        r = ioctl(fd, request, arg);
    } while (r < 0 && errno == EINTR);
    return r;
}
static void *kernel_map(size_t length, int fd, int64_t offset) {
    void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
    return p == MAP_FAILED ? NULL : p;
}
static void kernel_unmap(void *p, size_t length) {
    munmap(p, length);
}
static int kernel_wait(int fd, int timeout_ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    const int r = poll(&p, 1, timeout_ms);
    return r < 0 && errno == EINTR ? 0 : r;
}
static void kernel_close(int fd) {
    close(fd);
}
const fw_v4l2_sys fw_v4l2_kernel = {kernel_open, kernel_ioctl, kernel_map, kernel_unmap, kernel_wait, kernel_close};

/* --- the source */

typedef struct v4l2 {
    const fw_cam_opts *o;
    const fw_v4l2_sys *sys;
    int fd;
    size_t pitch; /* bytes a row, YUYV */
    uint32_t n;   /* buffers mapped */
    struct {
        uint8_t *p;
        size_t length;
    } buffer[BUFFERS];
    bool streaming;
} v4l2;

static fw_status fail(const v4l2 *v, const char *what, fw_err *err) {
    const fw_status st = errno == ENODEV || errno == EIO ? FW_CLOSED : FW_IO;
    return fw_fail(err, st, "camera %s: %s: %s: %s", v->o->name, v->o->source, what, strerror(errno));
}

static void v4l2_close(void *self) {
    v4l2 *v = self;
    enum v4l2_buf_type type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (v->streaming) {
        (void)v->sys->ioctl(v->fd, VIDIOC_STREAMOFF, &type);
    }
    for (uint32_t i = 0; i < v->n; i++) {
        v->sys->unmap(v->buffer[i].p, v->buffer[i].length);
    }
    if (v->fd >= 0) {
        v->sys->close(v->fd);
    }
    v->streaming = false;
    v->n = 0;
    v->fd = -1;
}

static void v4l2_free(void *self) {
    v4l2 *v = self;
    v4l2_close(v);
    free(v);
}

static fw_status check_device(v4l2 *v, fw_err *err) {
    struct v4l2_capability cap = {0};
    if (v->sys->ioctl(v->fd, VIDIOC_QUERYCAP, &cap) != 0) {
        return fail(v, "not a V4L2 device", err);
    }
    const uint32_t can = (cap.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? cap.device_caps : cap.capabilities;
    if ((can & V4L2_CAP_VIDEO_CAPTURE) == 0 || (can & V4L2_CAP_STREAMING) == 0) {
        return fw_fail(err, FW_IO,
                       "camera %s: %s: '%.31s' captures no streams (many cameras have a second device, for "
                       "metadata)",
                       v->o->name, v->o->source, (const char *)cap.card);
    }
    return FW_OK;
}

static fw_status set_format(v4l2 *v, fw_err *err) {
    const uint32_t want = v->o->format == FW_CAM_YUYV ? V4L2_PIX_FMT_YUYV : V4L2_PIX_FMT_MJPEG;
    struct v4l2_format f = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
    struct v4l2_streamparm s = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
    f.fmt.pix.width = (uint32_t)v->o->width;
    f.fmt.pix.height = (uint32_t)v->o->height;
    f.fmt.pix.pixelformat = want;
    f.fmt.pix.field = V4L2_FIELD_NONE;
    if (v->sys->ioctl(v->fd, VIDIOC_S_FMT, &f) != 0) {
        return fail(v, errno == EBUSY ? "in use by another program" : "cannot set its format", err);
    }
    const struct v4l2_pix_format *p = &f.fmt.pix;
    if (p->width != (uint32_t)v->o->width || p->height != (uint32_t)v->o->height || p->pixelformat != want) {
        return fw_fail(err, FW_IO, "camera %s: %s: wanted %dx%d %s, it offers %ux%u %.4s", v->o->name, v->o->source,
                       v->o->width, v->o->height, v->o->format == FW_CAM_YUYV ? "YUYV" : "MJPG", p->width, p->height,
                       (const char *)&p->pixelformat);
    }
    v->pitch = p->bytesperline >= 2 * p->width ? p->bytesperline : 2 * (size_t)p->width;
    s.parm.capture.timeperframe.numerator = 1000;
    s.parm.capture.timeperframe.denominator = (uint32_t)(1000 * (v->o->fps > 0 ? v->o->fps : 30));
    (void)v->sys->ioctl(v->fd, VIDIOC_S_PARM, &s); /* cameras without a choice of rates refuse */
    return FW_OK;
}

static fw_status map_one(v4l2 *v, uint32_t i, fw_err *err) {
    struct v4l2_buffer b = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP, .index = i};
    if (v->sys->ioctl(v->fd, VIDIOC_QUERYBUF, &b) != 0) {
        return fail(v, "cannot ask for a buffer", err);
    }
    v->buffer[i].length = b.length;
    if (b.length == 0 || (v->buffer[i].p = v->sys->map(b.length, v->fd, b.m.offset)) == NULL) {
        return fail(v, "cannot map a buffer", err);
    }
    v->n = i + 1;
    return v->sys->ioctl(v->fd, VIDIOC_QBUF, &b) != 0 ? fail(v, "cannot queue a buffer", err) : FW_OK;
}

static fw_status start_stream(v4l2 *v, fw_err *err) {
    struct v4l2_requestbuffers r = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP, .count = BUFFERS};
    enum v4l2_buf_type type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (v->sys->ioctl(v->fd, VIDIOC_REQBUFS, &r) != 0) {
        return fail(v, "no memory-mapped buffers", err);
    }
    if (r.count < 2) {
        return fw_fail(err, FW_IO, "camera %s: %s: wanted 2 buffers at least, got %u", v->o->name, v->o->source,
                       r.count);
    }
    for (uint32_t i = 0; i < r.count && i < BUFFERS; i++) {
        FW_TRY(map_one(v, i, err));
    }
    if (v->sys->ioctl(v->fd, VIDIOC_STREAMON, &type) != 0) {
        return fail(v, "cannot start", err);
    }
    v->streaming = true;
    return FW_OK;
}

static fw_status v4l2_open(void *self, fw_err *err) {
    v4l2 *v = self;
    v->fd = v->sys->open(v->o->source);
    if (v->fd < 0) {
        return fw_fail(err, FW_IO, "camera %s: %s: cannot open: %s%s", v->o->name, v->o->source, strerror(errno),
                       errno == EACCES ? " (is your user in the group video?)" : "");
    }
    fw_status st = check_device(v, err);
    st = st == FW_OK ? set_format(v, err) : st;
    st = st == FW_OK ? start_stream(v, err) : st;
    if (st != FW_OK) {
        v4l2_close(v);
    }
    return st;
}

static fw_status from_jpeg(const v4l2 *v, const uint8_t *p, size_t n, uint8_t *rgb, fw_err *err) {
    uint8_t *own;
    int h, w;
    FW_TRY(fw_jpeg_decode(v->o->source, p, n, &own, &h, &w, err));
    const bool fits = h == v->o->height && w == v->o->width;
    if (fits) {
        memcpy(rgb, own, 3 * (size_t)h * (size_t)w);
    }
    free(own);
    return fits ? FW_OK : fw_fail(err, FW_FORMAT, "a picture of %dx%d", w, h);
}

static fw_status convert(v4l2 *v, const struct v4l2_buffer *b, uint8_t *rgb, fw_err *err) {
    const size_t used = b->bytesused <= v->buffer[b->index].length ? b->bytesused : v->buffer[b->index].length;
    const uint8_t *p = v->buffer[b->index].p;
    const int h = v->o->height, w = v->o->width;
    if ((b->flags & V4L2_BUF_FLAG_ERROR) != 0) {
        return fw_fail(err, FW_AGAIN, "a damaged frame");
    }
    if (v->o->format == FW_CAM_MJPEG) { /* a damaged one is passed over: cables do that */
        return from_jpeg(v, p, used, rgb, err) == FW_OK ? FW_OK : FW_AGAIN;
    }
    if (used < v->pitch * (size_t)(h - 1) + 2 * (size_t)w) {
        return fw_fail(err, FW_AGAIN, "a short frame");
    }
    fw_yuyv_to_rgb(p, v->pitch, h, w, rgb);
    return FW_OK;
}

static fw_status v4l2_next(void *self, uint8_t *rgb, int64_t *t_ns, fw_err *err) {
    v4l2 *v = self;
    struct v4l2_buffer b = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
    const int ready = v->sys->wait(v->fd, WAIT_MS);
    if (ready < 0) {
        return fail(v, "cannot wait", err);
    }
    if (ready == 0) {
        return FW_AGAIN;
    }
    if (v->sys->ioctl(v->fd, VIDIOC_DQBUF, &b) != 0) {
        return errno == EAGAIN ? FW_AGAIN : fail(v, "no frame", err);
    }
    if (b.index >= v->n) {
        return fw_fail(err, FW_IO, "camera %s: %s: buffer %u of %u", v->o->name, v->o->source, b.index, v->n);
    }
    const bool stamped = (b.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    *t_ns = stamped ? (int64_t)b.timestamp.tv_sec * 1000000000 + (int64_t)b.timestamp.tv_usec * 1000 : fw_now_ns();
    const fw_status st = convert(v, &b, rgb, err);
    if (v->sys->ioctl(v->fd, VIDIOC_QBUF, &b) != 0) {
        return fail(v, "cannot queue a buffer", err);
    }
    return st;
}

fw_status fw_cam_v4l2(const fw_cam_opts *o, const fw_cam_source **source, void **self, fw_err *err) {
    static const fw_cam_source table = {true, v4l2_open, v4l2_next, v4l2_close, v4l2_free};
    v4l2 *v = calloc(1, sizeof *v);
    *self = NULL;
    if (v == NULL) {
        return fw_fail(err, FW_NOMEM, "camera %s", o->name);
    }
    *v = (v4l2){.o = o, .sys = o->sys != NULL ? o->sys : &fw_v4l2_kernel, .fd = -1};
    *source = &table;
    *self = v;
    return FW_OK;
}
