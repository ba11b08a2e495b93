/*
 * effects.h - what a real camera does to a picture: lens, sensor, encoder. Pure functions on RGB u8 [h,w,3].
 *
 * DESIGN. Order of light: blur (lens), white balance, exposure, gamma (sensor), noise, JPEG. What is drawn once an episode is in
 * fw_effects; what differs from frame to frame (the noise) is a function of (seed, frame), so that drawing a frame again gives the
 * same bytes, in any order. Sizes are in picture heights, so that the same look fits another resolution.
 */
#ifndef FW_SIM_EFFECTS_H
#define FW_SIM_EFFECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_effects {
    double blur;          /* sigma of a Gaussian, in picture heights; 0 none */
    double white_balance; /* red times 1 + this, blue times 1 - this */
    double exposure;      /* times; 1 none */
    double gamma;         /* v -> v^gamma of 0..1; 1 none */
    double noise;         /* standard deviation, of 255; 0 none */
    int jpeg_quality;     /* 1..100; 0: no JPEG */
} fw_effects;
#define FW_EFFECTS_NONE ((fw_effects){.exposure = 1, .gamma = 1})

bool fw_effects_any(const fw_effects *e); /* does it change anything? */
/* rgb [h,w,3] in place. seed: of the episode's look and the camera. FW_NOMEM. */
FW_NODISCARD fw_status fw_effects_apply(const fw_effects *e, uint64_t seed, int64_t frame, int w, int h, uint8_t *rgb,
                                        fw_err *err);

/* The parts, each in place. sigma in pixels; scratch: 3*w*h bytes. */
void fw_effect_blur(double sigma_px, int w, int h, uint8_t *rgb, uint8_t *scratch);
void fw_effect_tone(double white_balance, double exposure, double gamma, int w, int h, uint8_t *rgb);
void fw_effect_noise(double std, uint64_t seed, int w, int h, uint8_t *rgb);
/* The losses of baseline JPEG (ITU T.81: 8x8 DCT, the tables of its Annex K scaled by quality, 4:2:0), without the bytes. */
FW_NODISCARD fw_status fw_effect_jpeg(int quality, int w, int h, uint8_t *rgb, fw_err *err);

#endif /* FW_SIM_EFFECTS_H */
