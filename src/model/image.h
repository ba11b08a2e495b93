/*
 * image.h - how images of any size become the tower's square in inference. Training decodes video at the tower's size through
 * libswscale's bilinear filter; this is the same filter (a triangle as wide as the pixel that it makes), because a policy that has
 * seen another filter's pixels sees another world.
 */
#ifndef FW_MODEL_IMAGE_H
#define FW_MODEL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of scratch that fw_image_resize wants for this source; 0 when the size is right already. */
size_t fw_image_scratch(int h, int w, int size);
/* src [h,w,3] -> dst [size,size,3], not overlapping; each axis on its own, so the aspect ratio is not kept. Same size: a copy.
 * scratch: fw_image_scratch(h, w, size) bytes, aligned to 64. */
void fw_image_resize(const uint8_t *src, int h, int w, uint8_t *dst, int size, void *scratch);

#endif /* FW_MODEL_IMAGE_H */
