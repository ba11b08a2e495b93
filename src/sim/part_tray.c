/* part_tray.c - a low tray, to put things on. */
#include "sim/part_int.h"

int fw_part_tray(fw_world *w, const char *name, const double pos[3], double yaw) {
    mjsBody *b = fw_mocap_body(w, name, pos, yaw);
    fw_rgb c = {0.4f, 0.5f, 0.6f};
    double k = part_fit(w), hx = k * fw_world_vary(w, 0.055, 0.05, 0.065),
           hy = k * fw_world_vary(w, 0.055, 0.05, 0.065), t = 0.003, h = 0.008;
    fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, 0.0015), FW_V3(hx, hy, 0.0015), c);
    for (int i = 0; i < 4; i++) {
        double sign = i % 2 ? 1 : -1;
        bool ends = i < 2;
        fw_geom(b, mjGEOM_BOX, FW_V3(ends ? sign * (hx + t) : 0, ends ? 0 : sign * (hy + t), h),
                FW_V3(ends ? t : hx, ends ? hy + 2 * t : t, h), c);
    }
    return fw_world_add_region(w, name, name, FW_V3(0, 0, 0.003), 0, FW_V3(hx, hy, 0.04));
}
