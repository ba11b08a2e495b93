/* draw.h - captions and copies on plain RGB images [h,w,3] u8: what the demo, the contact sheets and the pages need. */
#ifndef FW_BASE_DRAW_H
#define FW_BASE_DRAW_H

#include <stdint.h>

/* Write UTF-8 text with its baseline at (x, y), letters px pixels high, colour 0xRRGGBB; what falls outside is cut. */
void fw_draw_text(uint8_t *rgb, int w, int h, int x, int y, int px, uint32_t colour, const char *text);

/* Copy src [sh,sw,3] into dst [dh,dw,3] with its corner at (x, y), each pixel scale x scale times; cut at the border. */
void fw_draw_image(uint8_t *dst, int dw, int dh, int x, int y, const uint8_t *src, int sw, int sh, int scale);

#endif /* FW_BASE_DRAW_H */
