/* effnet_int.h - the table of EfficientNet-Lite0 and the names of its parameters, for the graph and the conversion */
#ifndef FW_MODEL_EFFNET_INT_H
#define FW_MODEL_EFFNET_INT_H

#include "model/vision_tower.h"

#define EFFNET_STEM 32 /* channels of the first convolution */
typedef struct effnet_block {
    int kernel, stride, expand, in, out;
} effnet_block;

/* Expand (1x1), depthwise (kernel, stride), project (1x1). */
extern const effnet_block effnet_blocks[FW_EFFNET_BLOCKS];

typedef struct effnet_names {
    char w[96], b[96];
} effnet_names;
/* prefix + "block<b>.<part>.weight"; b < 0: prefix + "<part>.weight" */
effnet_names effnet_name(const char *prefix, int b, const char *part);
/* The hash of the original weights, as the conversion recorded it. */
FW_NODISCARD fw_status effnet_read_sha(const char *path, char out[65], fw_err *err);

#endif /* FW_MODEL_EFFNET_INT_H */
