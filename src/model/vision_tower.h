/*
 * vision_tower.h - EfficientNet-Lite0 (ImageNet, Apache-2.0) as a frozen or fine-tuned image encoder.
 *
 *   fw_vision_opts o = FW_VISION_OPTS_DEFAULT;                 // 128 px, tap after block 10
 *   fw_vision_tower_open(NULL, &o, &t, &err);                  // NULL: the converted file of this installation
 *   fw_vision_tower_run_f16(t, rgb, n, &out, &err);            // [n,128,128,3] u8 -> [n,8,8,112] f16
 *
 * DESIGN. Weights come from `flywheel towers` (batch norms folded). Pixels are x/127 - 1. A *tap* is the output of
 * block 0..15; several taps may be read at once. The bulk runner gives each thread its own plan of a small batch, so
 * that threads never wait for each other and activations stay in cache; parameters are shared. Architecture: arXiv
 * 1905.11946, the "lite" variant (ReLU6, no squeeze-and-excitation).
 */
#ifndef FW_MODEL_VISION_TOWER_H
#define FW_MODEL_VISION_TOWER_H

#include "model/int8.h"

#define FW_TAP_MAX       2
#define FW_EFFNET_BLOCKS 16

/* Height = width and channels of the output of a block for square images of image_size pixels. FW_INVALID outside. */
FW_NODISCARD fw_status fw_effnet_tap_shape(int block, int image_size, int *size, int *channels, fw_err *err);

/* The network in a graph: x [B,S,S,3] f32, already x/127 - 1. out[i] = output of block taps[i] (ascending). Parameters
 * are named prefix + "stem.weight", "block10.project.bias", ...; the caller loads and freezes them. */
void fw_effnet_graph(fw_graph *g, const char *prefix, fw_val x, const int *taps, int n_tap, fw_val *out);

typedef struct fw_vision_opts {
    fw_pool *pool;       /* borrowed until close; NULL: one thread */
    int image_size;      /* pixels, square; a multiple of 32 */
    int n_tap;           /* 1..FW_TAP_MAX */
    int tap[FW_TAP_MAX]; /* ascending block numbers */
    int batch;           /* images a plan; 0: chosen */
    fw_precision precision;
    fw_int8 *int8;         /* borrowed while it is opened, for precision int8; or NULL */
    const fw_watch *watch; /* as fw_plan_opts */
} fw_vision_opts;
#define FW_VISION_OPTS_DEFAULT ((fw_vision_opts){.image_size = 128, .n_tap = 1, .tap = {10, 0}})

typedef struct fw_vision_tower fw_vision_tower;
/* path: a file written by `flywheel towers`, NULL: fw_home()/.deps/towers/efficientnet_lite0.safetensors. FW_IO says
 * which command makes it. */
FW_NODISCARD fw_status fw_vision_tower_open(const char *path, const fw_vision_opts *opts, fw_vision_tower **out,
                                            fw_err *err);
/* The same with weights of `params` (names: prefix + ...), e.g. fine-tuned ones; params must outlive the tower. */
FW_NODISCARD fw_status fw_vision_tower_new(fw_params *params, const char *prefix, const fw_vision_opts *opts,
                                           fw_vision_tower **out, fw_err *err);
void fw_vision_tower_close(fw_vision_tower *t);
/* SHA-256 (hex) of the original weights that the converted file records; "" for fw_vision_tower_new. */
const char *fw_vision_tower_sha256(const fw_vision_tower *t);
/* Values an image of tap i: size * size * channels. */
size_t fw_vision_tower_values(const fw_vision_tower *t, int i);
/* rgb [n,S,S,3]; out[i] [n, values(i)] caller's memory, i < n_tap. No allocation. Not thread-safe. */
FW_NODISCARD fw_status fw_vision_tower_run(fw_vision_tower *t, const uint8_t *rgb, int n, float *const *out,
                                           fw_err *err);
/* As fw_plan_profile, for the first thread's plan. */
void fw_vision_tower_profile(fw_vision_tower *t, bool on);
/* As IEEE half precision (round to nearest even, saturating at the largest finite value). */
FW_NODISCARD fw_status fw_vision_tower_run_f16(fw_vision_tower *t, const uint8_t *rgb, int n, uint16_t *const *out,
                                               fw_err *err);

/* Read the original weights (PyTorch .pth), fold the batch norms, write out_path in the graph's layout with the
 * source's SHA-256 as metadata. Atomic. */
FW_NODISCARD fw_status fw_effnet_convert(const char *pth_path, const char *out_path, fw_err *err);
/* Is out_path the conversion of exactly this source? */
FW_NODISCARD fw_status fw_effnet_is_current(const char *pth_path, const char *out_path, bool *current, fw_err *err);

#endif /* FW_MODEL_VISION_TOWER_H */
