/*
 * observe.h - a client's observation map -> fw_obs of the policy's robot: whose camera is which, pixels of any layout, numbers of any type.
 *
 * Clients name things as their own robots do. A camera or the state is looked for, in this order: where --map says; under our own names
 * ("images/front", "observation.images.front", ...); under the names of openpi's environments (ALOHA, DROID, LIBERO) for the same role.
 * A path "a/b" is the key "a/b", or the key "b" of the map "a". Clients of ours add "prev_state", "prev_action", "prefix" and "n_prefix":
 * what fw_obs has of that name.
 */
#ifndef FW_SERVE_OBSERVE_H
#define FW_SERVE_OBSERVE_H

#include "fw/policy.h"
#include "wire/mp.h"

#define FW_KEYS_MAX 32

/* --map theirs=ours: ours is a camera's name, "state" or "prompt". theirs may be a sum: "a+b" of numbers. */
typedef struct fw_key_map {
    int n;
    char theirs[FW_KEYS_MAX][160], ours[FW_KEYS_MAX][FW_NAME_MAX];
} fw_key_map;
/* FW_INVALID for what is not theirs=ours. */
FW_NODISCARD fw_status fw_key_map_add(fw_key_map *m, const char *pair, fw_err *err);
/* Every name of ours must be the robot's: FW_INVALID names those that are. */
FW_NODISCARD fw_status fw_key_map_check(const fw_key_map *m, const fw_embodiment *e, fw_err *err);

typedef struct fw_observed {
    fw_obs obs; /* of what is below and of the message */
    float state[FW_DIM_MAX], prev_state[FW_DIM_MAX], prev_action[FW_DIM_MAX];
    char instruction[1024];
    float *prefix;               /* owned; NULL: none */
    uint8_t *pixels[FW_CAM_MAX]; /* owned; NULL: obs.image points into the message */
    int missing;                 /* a camera that the observation lacks; -1: none */
} fw_observed;
/* root: a map, borrowed with its message while out is used. FW_SHAPE, FW_FORMAT name the key, what was wanted and what was there.
 * A camera that is not there stays empty (the policy knows whether it needs it); without any it is FW_SHAPE.
 * default_prompt: NULL: an observation without words is refused. */
FW_NODISCARD fw_status fw_observe(const fw_embodiment *e, const fw_key_map *m, const char *default_prompt,
                                  const msgpack_object *root, fw_observed *out, fw_err *err);
void fw_observed_clear(fw_observed *o);
/* "state [8] f8, images/front [128, 128, 3] u1, prompt 'put ...'" */
void fw_observe_list(const msgpack_object *root, char *out, size_t cap);

#endif /* FW_SERVE_OBSERVE_H */
