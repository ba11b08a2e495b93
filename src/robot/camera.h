/*
 * camera.h - the newest picture of a camera, without waiting for it.
 *
 *     fw_cam_open(&opts, &cam, &err);  fw_cam_start(cam, &err);
 *     fw_cam_latest(cam, &frame, &err);      // any time, from one thread
 *     fw_cam_close(cam);
 *
 * Behind it a thread that reads the source into one of three pictures and exchanges it with the newest (no lock: one writes, one reads).
 * Sources: a V4L2 device (a path in /dev), a video file, a folder of PNGs in the order of their names; files run at their rate. A source that
 * fails or gives nothing for timeout_ms is said to be gone, and opened again until it is back.
 */
#ifndef FW_ROBOT_CAMERA_H
#define FW_ROBOT_CAMERA_H

#include <jansson.h>
#include <stdbool.h>

#include "fw/driver.h"
#include "robot/v4l2.h"

typedef enum fw_cam_format { FW_CAM_MJPEG, FW_CAM_YUYV } fw_cam_format;

typedef struct fw_cam_opts {
    char name[FW_NAME_MAX];
    char source[256];
    int width, height;    /* pixels: of a device what is asked of it, of files what they are scaled to */
    double fps;           /* 0: a file's own; folders and devices: 30 */
    fw_cam_format format; /* devices */
    bool loop;            /* files: begin again at the end */
    int timeout_ms;
    const fw_v4l2_sys *sys; /* NULL: the kernel */
} fw_cam_opts;

/* [{"name", "source", "width", "height"} ...], the rest as in docs/DRIVERS.md; j NULL: none. out [FW_CAM_MAX]. */
FW_NODISCARD fw_status fw_cam_opts_from_json(const json_t *j, const char *where, fw_cam_opts *out, int *n, fw_err *err);

typedef struct fw_cam fw_cam;

/* Memory for three pictures; touches no device. */
FW_NODISCARD fw_status fw_cam_open(const fw_cam_opts *opts, fw_cam **out, fw_err *err);
/* Open the source (FW_IO, FW_FORMAT: names it, what was wanted and found) and begin. */
FW_NODISCARD fw_status fw_cam_start(fw_cam *c, fw_err *err);
/* One thread. FW_AGAIN: none yet; FW_CLOSED: gone (err: why), out is the last picture if there was one. Never waits or allocates. */
FW_NODISCARD fw_status fw_cam_latest(fw_cam *c, fw_driver_frame *out, fw_err *err);
void fw_cam_stop(fw_cam *c);  /* NULL is fine, as is twice */
void fw_cam_close(fw_cam *c); /* NULL is fine */

#endif /* FW_ROBOT_CAMERA_H */
