/*
 * text_tower.h - MiniLM-L6 (BERT, 6 layers, width 384; Apache-2.0): a sentence -> token vectors and one pooled vector.
 *
 *   fw_text_tower_open(NULL, NULL, &t, &err);
 *   fw_text_features f;                                  // plain struct, 50 kB
 *   fw_text_tower_encode(t, "put the mug in the sink", &f, &err);
 *
 * DESIGN. The weights stay in their package (minilm/) and are never trained here; whoever needs speed caches the result
 * per sentence. Sentences longer than FW_TEXT_TOKENS word pieces are cut (keeping [SEP]), as the reference does.
 */
#ifndef FW_MODEL_TEXT_TOWER_H
#define FW_MODEL_TEXT_TOWER_H

#include "tensor/plan.h"

#define FW_TEXT_DIM    384
#define FW_TEXT_TOKENS 32

typedef struct fw_text_features {
    int n_token;                               /* 2..FW_TEXT_TOKENS, with [CLS] and [SEP] */
    float tokens[FW_TEXT_TOKENS][FW_TEXT_DIM]; /* last hidden state; zero from n_token on */
    float pooled[FW_TEXT_DIM];                 /* mean over the tokens, scaled to length sqrt(FW_TEXT_DIM) */
} fw_text_features;

typedef struct fw_text_tower fw_text_tower;
/* dir: folder with model.safetensors and vocab.txt, NULL: fw_home()/.deps/minilm. pool: borrowed until close, may be
 * NULL. */
FW_NODISCARD fw_status fw_text_tower_open(const char *dir, fw_pool *pool, fw_text_tower **out, fw_err *err);
void fw_text_tower_close(fw_text_tower *t);
/* SHA-256 (hex) of model.safetensors. */
const char *fw_text_tower_sha256(const fw_text_tower *t);
/* FW_FORMAT for text that is not UTF-8. No allocation. Not thread-safe. */
FW_NODISCARD fw_status fw_text_tower_encode(fw_text_tower *t, const char *sentence, fw_text_features *out, fw_err *err);

#endif /* FW_MODEL_TEXT_TOWER_H */
