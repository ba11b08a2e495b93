/* camera_int.h - what a source of pictures is to camera.c. Called by the camera's thread alone, but for open the first time. */
#ifndef FW_ROBOT_CAMERA_INT_H
#define FW_ROBOT_CAMERA_INT_H

#include "robot/camera.h"

typedef struct fw_cam_source {
    bool
        comes_back; /* opened again after it failed: what was unplugged may be plugged in, a file that ended stays so */
    fw_status (*open)(void *self, fw_err *err);
    /* The next picture into rgb [h,w,3] and when it came. FW_AGAIN: none in the last 100 ms at most; anything else: it is gone. */
    fw_status (*next)(void *self, uint8_t *rgb, int64_t *t_ns, fw_err *err);
    void (*close)(void *self); /* what open opened; more than once is fine */
    void (*free)(void *self);
} fw_cam_source;

/* *self owned: free. opts: borrowed until then. */
FW_NODISCARD fw_status fw_cam_v4l2(const fw_cam_opts *o, const fw_cam_source **source, void **self, fw_err *err);
FW_NODISCARD fw_status fw_cam_file(const fw_cam_opts *o, const fw_cam_source **source, void **self, fw_err *err);

#endif /* FW_ROBOT_CAMERA_INT_H */
