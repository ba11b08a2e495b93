/*
 * processor.h - what stands around the network of a published policy: from the robot's units to the network's and back, and the words.
 *
 *   fw_processor p;
 *   FW_TRY(fw_processor_load("pretrained_model", &config, &p, err));
 *   fw_map_apply(&p.input[i], obs->state, x, 1);                                            // config.input[i] is the state
 *   FW_TRY(fw_processor_prompt(&p, obs->state, obs->instruction, text, sizeof text, err));  // what the tokenizer is given
 *   ...                                                                                     // the network makes y
 *   fw_processor_chunk(&p, obs->state, y, rows, actions);
 *   fw_processor_clear(&p);
 *
 * DESIGN. policy_preprocessor.json and policy_postprocessor.json are lists of steps, as LeRobot 0.6 runs them one after the other on
 * batches of tensors. Here the lists are read once into this struct: each step is known and leaves its mark, or is refused by its
 * name. So are an order that would change the meaning, and a feature that needs statistics that are not there: LeRobot passes it
 * through as it is, and the robot moves wrongly. Older checkpoints without these files keep the statistics as buffers in
 * model.safetensors ("normalize_inputs.buffer_observation_state.mean"); their steps are those of the policy's kind. openpi's folders have
 * norm_stats.json, and its own formulas: 1e-6 is added to every spread. What openpi does to a robot's data before that (actions
 * relative to the state, grippers turned round) is in its code and in no folder: state and actions here are those behind it.
 */
#ifndef FW_MODEL_PROCESSOR_H
#define FW_MODEL_PROCESSOR_H

#include "model/lerobot_config.h"
#include "tensor/safetensors.h"

#define FW_OPENPI_SPREAD 1e-6f /* what openpi adds to every standard deviation and range: b of its maps has it */

/* One feature's way to the network's units: MEAN_STD (x - a) / (b + eps), back y * b + a; the others 2 (x - a) / (b - a) - 1 and
 * back, a range of exactly 0 counting as eps. No clipping. */
typedef struct fw_map_stat {
    fw_lerobot_norm kind;
    int n; /* values; a picture: its 3 channels */
    float eps;
    float *a, *b; /* [n] mean and std, or the ends of the range; one owned block at a; NULL for IDENTITY */
} fw_map_stat;
/* x, y [rows, n]; may be the same memory. */
void fw_map_apply(const fw_map_stat *m, const float *x, float *y, size_t rows);
void fw_map_invert(const fw_map_stat *m, const float *y, float *x, size_t rows);

typedef enum fw_prompt_kind {
    FW_PROMPT_NONE, /* the policy reads no words */
    FW_PROMPT_TASK, /* the task as it is */
    FW_PROMPT_LINE, /* with a line's end, if it has none */
    FW_PROMPT_CLEAN, /* openpi's pi0: the task without white space around it, '_' and line ends made spaces, and a line's end */
    FW_PROMPT_STATE, /* pi0.5: "Task: <task>, State: <a number of 0 to 255 for each value of the normalised state>;\nAction: " */
} fw_prompt_kind;

typedef struct fw_renamed {
    char from[FW_LEROBOT_KEY_MAX], to[FW_LEROBOT_KEY_MAX];
} fw_renamed;

typedef struct fw_processor {
    fw_map_stat input[FW_LEROBOT_FEATURES]; /* of config.input[i] */
    fw_map_stat action, output;             /* of the action, towards the network (training) and back */
    int n_state, n_action;
    int state_at; /* config.input[state_at] is the state; -1: there is none */
    fw_prompt_kind prompt;
    char tokenizer[256]; /* name on the hub; "" when the file has none */
    int max_tokens;      /* longer prompts are cut */
    bool pad_to_max;     /* shorter ones are filled up on the right; otherwise to the longest of the batch */
    int n_renamed;
    fw_renamed renamed[FW_LEROBOT_FEATURES]; /* the robot's name of an observation -> the policy's */
    uint8_t *
        relative; /* [n_action] 1: the network's action is relative to the state of the same place; NULL: none is. Owned */
    json_t *except; /* words of joints whose actions never are; owned, NULL: none */
} fw_processor;

/* config: of the same directory. FW_FORMAT, FW_SHAPE name the file, the step and the feature. out is zeroed first, and empty
 * unless FW_OK. */
FW_NODISCARD fw_status fw_processor_load(const char *dir, const fw_lerobot_config *config, fw_processor *out,
                                         fw_err *err);
/* The same from memory, with the statistics of both pipelines in one file, or NULL when they have none; for fuzzing. */
FW_NODISCARD fw_status fw_processor_parse(const json_t *pre, const json_t *post, const fw_st *stats,
                                          const fw_lerobot_config *config, fw_processor *out, fw_err *err);
void fw_processor_clear(fw_processor *p);

/* For a robot of other numbers of values: sizes of config and p, whose state and action have all statistics 0 until somebody sets them.
 * FW_SHAPE for actions relative to a state of fewer values. */
FW_NODISCARD fw_status fw_processor_resize(fw_processor *p, fw_lerobot_config *config, int n_state, int n_action,
                                           fw_err *err);
/* Where actions are relative to the state: to the joints of these names [n]; those without a name are. */
void fw_processor_name_joints(fw_processor *p, char *const *names, int n);
/* From now on the robot's observation `from` is the policy's `to`, whatever else it was. FW_FORMAT: too many or too long names. */
FW_NODISCARD fw_status fw_processor_rename(fw_processor *p, const char *from, const char *to, fw_err *err);

/* The robot's name of an observation that the policy calls `key`: key itself unless a step renames it. Borrowed. */
const char *fw_processor_source(const fw_processor *p, const char *key);
/* state [n_state] in the robot's units, finite; only FW_PROMPT_STATE reads it. FW_INVALID when the text does not fit into out[cap]. */
FW_NODISCARD fw_status fw_processor_prompt(const fw_processor *p, const float *state, const char *task, char *out,
                                           size_t cap, fw_err *err);
/* y [rows, n_action] of the network -> out in the robot's units; state [n_state] as it was observed. May be the same memory. */
void fw_processor_chunk(const fw_processor *p, const float *state, const float *y, size_t rows, float *out);
/* The other way, for training. */
void fw_processor_target(const fw_processor *p, const float *state, const float *actions, size_t rows, float *out);

#endif /* FW_MODEL_PROCESSOR_H */
