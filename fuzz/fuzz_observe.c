/* any message as an observation: read into the robot's cameras and numbers, or refused in words */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "serve/observe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void robot(fw_embodiment *e) {
    static const char *const cameras[] = {"front", "wrist", "right_wrist"};
    *e = (fw_embodiment){.name = "fuzz", .rate_hz = 10, .n_camera = 3, .n_state = 8, .n_action = 5};
    for (int i = 0; i < 3; i++) {
        snprintf(e->camera[i].name, FW_NAME_MAX, "%s", cameras[i]);
    }
    for (int i = 0; i < FW_DIM_MAX; i++) {
        snprintf(e->state[i].name, FW_NAME_MAX, "s%d", i);
    }
}

/* Every pixel and number that it promises is there. */
static void use(const fw_embodiment *e, const fw_observed *o) {
    unsigned sum = 0;
    for (int i = 0; i < e->n_camera; i++) {
        const fw_image *im = &o->obs.image[i];
        for (size_t k = 0; im->rgb != NULL && k < (size_t)im->h * (size_t)im->w * 3; k++) {
            sum += im->rgb[k];
        }
    }
    for (int i = 0; i < e->n_state; i++) {
        if (!isfinite(o->obs.state[i])) {
            abort();
        }
    }
    for (int i = 0; o->obs.prefix != NULL && i < (o->obs.n_prefix + o->obs.n_wish) * e->n_action; i++) {
        if (!isfinite(o->obs.prefix[i])) {
            abort();
        }
    }
    if (sum == 1u) {
        printf("%u\n", sum);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fw_observed seen;
    static char list[900];
    fw_embodiment e;
    fw_key_map map = {0};
    fw_mp_doc doc;
    fw_err err = {0};
    robot(&e);
    if (fw_key_map_add(&map, "a/b=front", &err) != FW_OK || fw_key_map_add(&map, "x+y=state", &err) != FW_OK) {
        abort();
    }
    if (fw_mp_parse(data, size, &doc, &err) != FW_OK) {
        return 0;
    }
    const msgpack_object *payload = fw_mp_get(&doc.root, "payload"), *root = payload != NULL ? payload : &doc.root;
    const fw_status st = fw_observe(&e, &map, size % 2 == 0 ? "words" : NULL, root, &seen, &err);
    if (st == FW_OK) {
        use(&e, &seen);
        fw_observed_clear(&seen);
    } else if (err.msg[0] == 0 || err.code != st) {
        abort();
    }
    fw_observe_list(root, list, sizeof list);
    fw_mp_clear(&doc);
    return 0;
}
