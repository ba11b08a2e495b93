/*
 * image.h - the one way in which images of any size become the tower's square. Training and inference must both use it:
 * a policy that has seen another filter's pixels sees another world.
 */
#ifndef FW_MODEL_IMAGE_H
#define FW_MODEL_IMAGE_H

#include <stdint.h>

/* src [h,w,3] -> dst [size,size,3], not overlapping. Each axis on its own, so the aspect ratio is not kept: where it shrinks,
 * the mean over the area that a pixel covers; where it grows, linear between pixel centres. Same size: a copy. */
void fw_image_resize(const uint8_t *src, int h, int w, uint8_t *dst, int size);

#endif /* FW_MODEL_IMAGE_H */
