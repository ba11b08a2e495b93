/* Video files from anywhere: what opens can be asked, counted, searched and decoded a little, whatever libav makes of it. */
#include <stdint.h>

#include "data/video.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t rgb[32 * 32 * 3];
    fw_video *v;
    fw_err err;
    int64_t n = 0;
    double pts;
    fw_status st = fw_video_open(scratch_put("video.mp4", data, size), &v, &err);
    scratch_refused(st, &err);
    if (st != FW_OK) {
        return 0;
    }
    const fw_video_info *i = fw_video_get_info(v);
    if (i->w < 1 || i->h < 1 || !(i->fps >= 0.0) || i->frames < 0) {
        abort();
    }
    scratch_refused(fw_video_count(v, &n, &err), &err);
    for (int k = 0; k < 3 && (int64_t)i->w * i->h <= 1 << 20; k++) {
        st = fw_video_next(v, 32, 32, rgb, &pts, &err);
        scratch_refused(st, &err);
        if (st != FW_OK) {
            break;
        }
    }
    (void)!fw_video_seek(v, 0.2, &err);
    if ((int64_t)i->w * i->h <= 1 << 20) {
        (void)!fw_video_next(v, 32, 32, rgb, NULL, &err);
    }
    fw_video_close(v);
    return 0;
}
