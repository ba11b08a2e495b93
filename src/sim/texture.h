/*
 * texture.h - surfaces drawn by arithmetic: wood, stone, tiles and others, grey; the colour is the geom's.
 *
 * Every kind is tileable: a function of the place on a torus and of a few numbers drawn from a stream.
 */
#ifndef FW_SIM_TEXTURE_H
#define FW_SIM_TEXTURE_H

#include <stdint.h>

#include "base/rng.h"

/* In the order of the words of the range "texture.kind". */
typedef enum fw_texture {
    FW_TEXTURE_PLAIN,
    FW_TEXTURE_WOOD,
    FW_TEXTURE_GRANITE,
    FW_TEXTURE_TILES,
    FW_TEXTURE_MARBLE,
    FW_TEXTURE_CHECKER,
    FW_TEXTURE_STRIPES,
    FW_TEXTURE_GRADIENT,
    FW_TEXTURE_WEAVE,
    FW_TEXTURE_CELLS,
    FW_TEXTURE_ZIGZAG,
    FW_TEXTURE_DOTS,
    FW_TEXTURE_N
} fw_texture;

/* px [n,n,channels] (3 or 4; the fourth becomes 255). contrast 0..1: from the surface's light to its dark. */
void fw_texture_draw(fw_texture kind, fw_rng *r, double contrast, int n, int channels, uint8_t *px);

#endif /* FW_SIM_TEXTURE_H */
