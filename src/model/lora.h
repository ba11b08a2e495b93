/*
 * lora.h - low-rank adapters (arXiv 2106.09685) of a published policy: which layers get them, their files, and folding them in.
 *
 *   fw_adapter a;
 *   FW_TRY(fw_adapter_init(&a, 16, 8.0, fw_adapter_targets(FW_POLICY_SMOLVLA), err));
 *   fw_graph_lora(g, &a.lora); ... build and train ...
 *   FW_TRY(fw_adapter_save(&a, params, "smolvla_base", sha256, "out/adapter", err));
 *   FW_TRY(fw_adapter_merge("smolvla_base/model.safetensors", "", "out/adapter", 1, "out/model.safetensors", err));
 *   fw_adapter_clear(&a);
 *
 * DESIGN. Files are PEFT's: adapter_config.json, and adapter_model.safetensors with "base_model.model.<module>.lora_A.weight" [r,k] and
 * lora_B [n,r]. The weights that they were trained on are named in the file by their SHA-256, and others are refused.
 */
#ifndef FW_MODEL_LORA_H
#define FW_MODEL_LORA_H

#include <regex.h>

#include "model/lerobot_config.h"
#include "tensor/graph.h"

typedef struct fw_adapter {
    fw_lora lora;
    char targets[512];
    regex_t whole; /* a module's whole name */
} fw_adapter;

/* targets: an extended regular expression of whole module names ("model\.state_proj"); FW_FORMAT when it is none. a must stay where it
 * is until fw_adapter_clear. */
FW_NODISCARD fw_status fw_adapter_init(fw_adapter *a, int rank, double alpha, const char *targets, fw_err *err);
void fw_adapter_clear(fw_adapter *a); /* zeroed is fine */
/* What LeRobot 0.6 adapts in a policy of this kind; NULL: it has no default. Static. */
const char *fw_adapter_targets(fw_policy_kind k);
bool fw_adapter_is_part(const char *name); /* is the parameter called name one of an adapter? */

/* All adapters of the store into the folder dir, which is made. base: what they were trained on, its folder and the SHA-256 of its
 * weights. FW_INVALID when there are none. */
FW_NODISCARD fw_status fw_adapter_save(const fw_adapter *a, fw_params *params, const char *base, const char *sha256,
                                       const char *dir, fw_err *err);
/* The weights in file `base`, whose names lack strip ("" or "model."), with W += sign * alpha / rank * B A, into the file out: same names
 * and types. sign 1 merges, and refuses weights that the adapter was not trained on (FW_INVALID); -1 takes it out again. FW_SHAPE
 * names the adapter that fits no weight. */
FW_NODISCARD fw_status fw_adapter_merge(const char *base, const char *strip, const char *dir, int sign, const char *out,
                                        fw_err *err);

#endif /* FW_MODEL_LORA_H */
