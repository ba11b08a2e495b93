/*
 * pictures.h - the newest picture of each of a driver's cameras, for as many threads as want it.
 *
 *   fw_pictures_new(driver, &p, &err);
 *   fw_pictures_start(p, &err);                       // driver is started; before fw_driver_stop: fw_pictures_stop
 *   fw_pictures_get(p, camera, rgb, &frame, &err);    // any thread but the control thread
 *
 * A driver gives a camera's frames to one thread and lends them until the next call (fw/driver.h). This is that thread: it looks for new frames
 * every few milliseconds and copies them; the policy, the recorder and the page copy them out again under a lock. Without the thread
 * (tests, simulated time) fw_pictures_get looks itself.
 */
#ifndef FW_ROBOT_PICTURES_H
#define FW_ROBOT_PICTURES_H

#include "fw/driver.h"

typedef struct fw_pictures fw_pictures;

/* driver: borrowed. *out owned. */
FW_NODISCARD fw_status fw_pictures_new(fw_driver *driver, fw_pictures **out, fw_err *err);
void fw_pictures_free(fw_pictures *p); /* stops; NULL is fine */
FW_NODISCARD fw_status fw_pictures_start(fw_pictures *p, fw_err *err);
void fw_pictures_stop(fw_pictures *p); /* NULL is fine */
/* Copies camera's newest frame to rgb [h,w,3], as large as the driver says the camera is; out->rgb = rgb. FW_AGAIN: none yet. FW_CLOSED: the camera
 * is gone; rgb is its last picture if there was one (out->seq > 0). FW_SHAPE: it gives another size than the driver said. */
FW_NODISCARD fw_status fw_pictures_get(fw_pictures *p, int camera, uint8_t *rgb, fw_driver_frame *out, fw_err *err);

#endif /* FW_ROBOT_PICTURES_H */
