/* record.h - recordings for the tests of the recorder: frame t of episode e is a function of (e, t), so any of them can be checked. */
#ifndef TESTS_DATA_RECORD_H
#define TESTS_DATA_RECORD_H

#include "data/recorder.h"
#include "make.h"

static inline fw_recorder_desc rc_desc(void) {
    fw_recorder_desc d = {.writer = mk_desc(), .queue_frames = 64};
    d.writer.seal_every = 2;
    return d;
}

static inline int64_t rc_time(int64_t e, int64_t t, int sensor) {
    return 1700000000000000000 + e * 1000000000 + t * 100000000 + sensor * 7;
}

static inline void rc_begin(fw_recorder *r, int64_t e) {
    fw_provenance p = FW_PROVENANCE_UNKNOWN;
    p.source = FW_SOURCE_TELEOP;
    p.home = "home-1";
    OK(fw_recorder_begin(r, &(fw_recording){mk_sentence(e), &p}, err));
}

static inline fw_status rc_frame(fw_recorder *r, int64_t e, int64_t t, fw_err *err) {
    static uint8_t img[MK_CAMS][MK_IMAGE];
    float s[MK_NS], a[MK_NA];
    int64_t ns[1 + MK_CAMS];
    for (int d = 0; d < MK_NS; d++) {
        s[d] = mk_state(e, t, d);
    }
    for (int d = 0; d < MK_NA; d++) {
        a[d] = mk_action(e, t, d);
    }
    for (int c = 0; c < MK_CAMS; c++) {
        mk_image(c, e, t, img[c]);
    }
    for (int c = 0; c <= MK_CAMS; c++) {
        ns[c] = rc_time(e, t, c);
    }
    fw_frame f = {s, a, {img[0], img[1]}, ns, t % 3 == 1, t < 4 ? "reach" : "put it down"};
    return fw_recorder_frame(r, &f, err);
}

static inline void rc_episode(fw_recorder *r, int64_t e) {
    rc_begin(r, e);
    for (int64_t t = 0; t < mk_length(e); t++) {
        OK(rc_frame(r, e, t, err));
    }
    OK(fw_recorder_end(r, true, 1, err));
}

#endif /* TESTS_DATA_RECORD_H */
