/* pixels.h - what cameras send, as RGB u8 [h,w,3]. */
#ifndef FW_ROBOT_PIXELS_H
#define FW_ROBOT_PIXELS_H

#include <stddef.h>
#include <stdint.h>

/* YUYV 4:2:2, BT.601, limited range: yuyv [h, pitch] bytes, pitch >= 2 w; w even. */
void fw_yuyv_to_rgb(const uint8_t *yuyv, size_t pitch, int h, int w, uint8_t *rgb);

#endif /* FW_ROBOT_PIXELS_H */
