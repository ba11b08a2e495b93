/*
 * feed.h - parameters of a store from a published checkpoint, read when a graph first asks for them; and back into a file.
 *
 *   fw_feed f = {.weights = w, .rule = rules, .n_rule = 3, .half = true};
 *   fw_feed_start(&f, params);
 *   ... build the graphs: each parameter they name is read, checked and laid out as ours ...
 *   FW_TRY(fw_feed_done(&f, err));            // and nothing of the file was left over
 *
 * DESIGN. A graph knows which tensors it needs and their shapes, so there is no second list. Names are the checkpoint's; where a
 * value differs there is a rule. Weights of convolutions, [O,C,kh,kw] there, are [O,kh,kw,C] here, always.
 */
#ifndef FW_MODEL_FEED_H
#define FW_MODEL_FEED_H

#include "model/weights.h"

typedef enum fw_feed_kind {
    FW_FEED_PLUS_ONE, /* ours = theirs + 1: norms whose weight is stored around zero */
    FW_FEED_ALIAS,    /* where the file lacks it: the tensor called `other` (tied weights) */
    FW_FEED_SPARE     /* what begins with pattern may be in the file without anybody asking (heads that nothing uses) */
} fw_feed_kind;
typedef struct fw_feed_rule {
    fw_feed_kind kind;
    const char *pattern; /* fnmatch(3) of names as we ask for them */
    const char *other;   /* FW_FEED_ALIAS only */
} fw_feed_rule;

typedef struct fw_feed {
    fw_weights *weights;      /* borrowed; must outlive the store when half is set (the file stays mapped) */
    const fw_feed_rule *rule; /* [n_rule], borrowed */
    int n_rule;
    bool half;     /* weights of linear layers and tables stay, or become, bfloat16: frozen, ... */
    bool lossless; /* ... but only those that the file has so */
    bool (*exact)(const void *ctx, const char *name); /* ... and never those of which this says yes; NULL: all */
    const void *exact_ctx;
    /* private */
    fw_params *params;
    fw_param_source source;
} fw_feed;

/* From now on new parameters of the store come from the file. f must stay where it is until fw_feed_done. */
void fw_feed_start(fw_feed *f, fw_params *params);
/* After the graphs are built, also when that failed: parameters made later have their initialisers. FW_SHAPE names the first
 * tensor of the file that no graph asked for. */
FW_NODISCARD fw_status fw_feed_done(fw_feed *f, fw_err *err);
/* The file again, with its names, types and layout: trainable parameters of the store as they are now, all else as it was. */
FW_NODISCARD fw_status fw_feed_save(const fw_feed *f, const char *path, fw_err *err);

#endif /* FW_MODEL_FEED_H */
