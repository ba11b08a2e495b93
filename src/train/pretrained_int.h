/* pretrained_int.h - of learner_pretrained.c (network and rows), pretrained_fit.c (does it fit the data?) and pretrained_save.c (files and
 * statistics) */
#ifndef FW_TRAIN_PRETRAINED_INT_H
#define FW_TRAIN_PRETRAINED_INT_H

#include "model/act.h"
#include "model/lora.h"
#include "model/processor.h"
#include "model/tokenizer.h"
#include "model/vla.h"
#include "train/learner.h"

typedef struct fw_pretrained_learner {
    fw_learner base; /* first */
    fw_lerobot_config c;
    fw_processor proc;
    bool fitted;                           /* c and proc are not the checkpoint's any more: of another robot */
    unsigned chosen;                       /* a bit for each of cfg's cameras that a dataset has */
    fw_column_stats new_state, new_action; /* with new statistics; else empty */
    char sha256[65];                       /* of the weights it began with */
    fw_weights *weights;
    fw_feed feed;
    fw_vla_rules rules;
    fw_adapter adapter; /* rank 0: the weights themselves are trained */
    fw_vla_io vla;      /* one of both */
    fw_act_io act;
    bool seen;               /* the tower is frozen: pictures are read as what it made of them, once */
    int n_camera;            /* pictures of the dataset that has most; -1: not known yet */
    bool ragged;             /* not all datasets have as many */
    int picture[FW_CAM_MAX]; /* ACT's, of which all have the same: of the config's inputs, for each */
    float pixel[FW_CAM_MAX][3][256];
    /* words: owned; with the state in the prompt only the longest is used */
    fw_tokenizer *tokenizer;
    int32_t *words; /* [n_sentence, max_tokens] */
    int *n_words;   /* [n_sentence] */
    int longest;
    /* of the rows of a run: owned */
    fw_status *row_status;
    int32_t *row_words, *row_pictures, *row_ids; /* [micro] twice, [micro, max_tokens] */
    float *row_actions;                          /* [micro] of [chunk, n_action] and weights [chunk] */
} fw_pretrained_learner;

/* A dataset's robot and cameras for p, an fw_trainset_fit; and, when all are open, whether each choice by hand meant one of them. */
FW_NODISCARD fw_status fw_pretrained_fit(const fw_train_cfg *cfg, void *p, fw_train_data *d, fw_err *err);
FW_NODISCARD fw_status fw_pretrained_fitted(const fw_pretrained_learner *p, fw_err *err);

/* Map what every frame's pictures are read from: frames as recorded, or, with p->seen, the connector's output in bfloat16, computed by
 * graph `eye`, whose only picture is io's. */
FW_NODISCARD fw_status fw_pretrained_see(fw_pretrained_learner *p, const fw_graph *eye, const fw_vla_io *io,
                                         fw_err *err);
/* Row b of io->connector of picture i. */
void fw_pretrained_put_seen(const fw_pretrained_learner *p, fw_plan *plan, int64_t b, int i, const void *row);
/* Statistics of the training episodes instead of the checkpoint's: p->proc, p->new_state, p->new_action. */
FW_NODISCARD fw_status fw_pretrained_new_stats(fw_pretrained_learner *p, fw_err *err);
/* A LeRobot pretrained_model folder again. */
FW_NODISCARD fw_status fw_pretrained_save(fw_learner *l, const char *out, const char *card, fw_err *err);

#endif /* FW_TRAIN_PRETRAINED_INT_H */
