#include "model/image.h"

#include <string.h>

#include "kern/kern.h"

size_t fw_image_scratch(int h, int w, int size) {
    return h == size && w == size ? 0 : fw_kern_get()->resize_scratch(h, w, size, size);
}

void fw_image_resize(const uint8_t *src, int h, int w, uint8_t *dst, int size, void *scratch) {
    if (h == size && w == size) {
        memcpy(dst, src, (size_t)size * (size_t)size * 3);
        return;
    }
    fw_kern_get()->resize_u8(src, (int64_t)w * 3, h, w, dst, size, size, scratch);
}
