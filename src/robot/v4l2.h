/* v4l2.h - the system calls that a V4L2 camera needs, as a table: a test's fake answers in place of the kernel. */
#ifndef FW_ROBOT_V4L2_H
#define FW_ROBOT_V4L2_H

#include <stddef.h>
#include <stdint.h>

/* As the calls of the same names: -1 and errno, mmap NULL. */
typedef struct fw_v4l2_sys {
    int (*open)(const char *path);
    int (*ioctl)(int fd, unsigned long request, void *arg);
    void *(*map)(size_t length, int fd, int64_t offset);
    void (*unmap)(void *p, size_t length);
    int (*wait)(int fd, int timeout_ms); /* 1: a buffer is ready, 0: none in this time */
    void (*close)(int fd);
} fw_v4l2_sys;

extern const fw_v4l2_sys fw_v4l2_kernel;

#endif /* FW_ROBOT_V4L2_H */
