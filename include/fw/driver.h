/*
 * driver.h - what every robot's body is to the rest: measured positions out, position targets in, pictures.
 *
 *   fw_driver *d;
 *   fw_driver_open("so101", "{\"port\": \"/dev/ttyACM0\", \"calibration\": \"arm.json\"}", &d, &err);   // or "./mine.so"
 *   fw_driver_start(d, &err);                    // connects, looks whether everything is there; torque stays off
 *   fw_driver_read(d, &state, &err);             // once a control cycle
 *   fw_driver_write(d, &command, &err);          // the same thread
 *   fw_driver_close(&d);                         // torque off, everything freed
 *
 * The first part is the ABI: what a driver fills in. It needs this header and no symbol of ours, so that it can be a shared object of
 * its own (docs/DRIVERS.md, examples/driver/template.c). The second part is what the robot's side calls; it keeps the order of the calls
 * and refuses what is not a number or not in range before a driver sees it.
 *
 * Threads. open, start, stop, close: one thread, with no other call under way. read and write: one thread, the control loop's; they do
 * not allocate, and come back within info.read_bound_us and info.write_bound_us, whatever the hardware does. frame: one other thread a
 * camera, at the same time as read and write; never waits. describe: any thread after open.
 *
 * States: open -> (start -> stop)*  -> close. stop and close may come in any state and any number of times (close: once a handle).
 */
#ifndef FW_DRIVER_H
#define FW_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/embodiment.h"
#include "fw/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FW_DRIVER_ABI      1U /* rises when anything below changes its meaning or place */
#define FW_DRIVER_AXIS_MAX 16
#define FW_DRIVER_SYMBOL   "fw_driver_api_of" /* what a shared object exports: see fw_driver_entry */

/* --- 1. the ABI */

/* What an axis says is wrong with itself (bits). X(NAME, bit, text) */
/* clang-format off */
#define FW_DRIVER_FAULT_MAP(X)                                                  \
  X(VOLTAGE,      1U, "supply voltage out of range")                           \
  X(SENSOR,       2U, "position sensor")                                       \
  X(TEMPERATURE,  4U, "too hot")                                               \
  X(CURRENT,      8U, "too much current")                                      \
  X(OVERLOAD,    16U, "overloaded: its torque is off")                         \
  X(OTHER,       32U, "unknown fault")
/* clang-format on */

typedef enum fw_driver_fault {
#define X(name, bit, text) FW_DRIVER_FAULT_##name = (bit),
    FW_DRIVER_FAULT_MAP(X)
#undef X
} fw_driver_fault;

typedef enum fw_driver_effort {
    FW_DRIVER_EFFORT_NONE,   /* not measured: 0 */
    FW_DRIVER_EFFORT_NM,     /* Nm (N for a slide) */
    FW_DRIVER_EFFORT_AMPERE, /* motor current, signed */
} fw_driver_effort;

typedef struct fw_driver_axis {
    char name[FW_NAME_MAX];
    float min, max; /* rad (m for a slide): targets outside are refused */
    bool slide;
    bool has_velocity;       /* measured, not a difference of positions */
    fw_driver_effort effort; /* what fw_driver_sample.effort is */
} fw_driver_axis;

typedef struct fw_driver_info {
    char name[FW_NAME_MAX]; /* of the driver: "so101" */
    char where[256];        /* "/dev/ttyACM0": for messages */
    int n_axis;             /* 1..FW_DRIVER_AXIS_MAX */
    fw_driver_axis axis[FW_DRIVER_AXIS_MAX];
    int n_camera;
    fw_camera camera[FW_CAM_MAX];
    uint32_t read_bound_us, write_bound_us; /* longest a call takes, faults included */
    float rate_hz;                          /* most cycles (read and write) a second */
} fw_driver_info;

typedef struct fw_driver_sample {
    bool valid;      /* measured by this read. false: the other fields are those of the last valid one */
    uint32_t faults; /* fw_driver_fault bits that came with it */
    int64_t t_ns;    /* CLOCK_MONOTONIC of the measurement; rises from valid sample to valid sample. 0: never */
    float position;  /* rad (m) */
    float velocity;  /* rad/s (m/s) */
    float effort;
    float temperature; /* degrees C, NaN when not measured */
    float voltage;     /* V, NaN when not measured */
} fw_driver_sample;

typedef struct fw_driver_state {
    int n_axis;
    fw_driver_sample axis[FW_DRIVER_AXIS_MAX];
    bool torque_on; /* as last commanded with success */
    uint64_t retries,
        lost; /* since start: questions asked again, samples that could not be had; 0 where that means nothing */
} fw_driver_state;

typedef struct fw_driver_command {
    int n_axis;
    float position[FW_DRIVER_AXIS_MAX];   /* rad (m), looked at when torque_on */
    float effort_max[FW_DRIVER_AXIS_MAX]; /* Nm (N), >= 0; infinity: the hardware's own limit */
    bool torque_on; /* false: limp. The step from false to true is refused far from where the robot is */
} fw_driver_command;

typedef struct fw_driver_frame {
    const uint8_t *rgb; /* [h,w,3], borrowed until the next call for this camera, or stop */
    int h, w;
    int64_t t_ns; /* CLOCK_MONOTONIC of its arrival */
    uint64_t seq; /* rises by one with every frame of the camera: the same number, the same picture */
} fw_driver_frame;

typedef struct fw_driver_dev fw_driver_dev; /* the driver's own */

/* Statuses mean, everywhere:
 *   FW_INVALID      the caller's mistake: wrong config, order, value
 *   FW_UNSAFE       a target outside the axis' range, or torque switched on far from where the robot is; nothing was sent
 *   FW_TIMEOUT      nothing answered in time; the next call may succeed
 *   FW_CLOSED       the device is gone; only stop and start (or close) help
 *   FW_IO, FW_FORMAT, FW_NOMEM, FW_UNSUPPORTED   as they say
 * err: never NULL; code and msg are written by whoever fails: the motor or camera, the port, what was wanted and what was there. */
typedef struct fw_driver_api {
    uint32_t abi;     /* FW_DRIVER_ABI as the driver was compiled */
    uint32_t size;    /* sizeof(fw_driver_api), the same */
    const char *name; /* static */
    const char *help; /* static: the config's keys, for people */
    /* config: JSON text, borrowed. Reads files it names, allocates everything; touches no hardware. *out owned: close. */
    fw_status (*open)(const char *config, fw_driver_dev **out, fw_err *err);
    void (*describe)(const fw_driver_dev *d, fw_driver_info *out);
    /* Connect and check: every axis and camera is there and is what the config says. Torque is off afterwards, and nothing moves.
     * On failure everything is as after stop. */
    fw_status (*start)(fw_driver_dev *d, fw_err *err);
    /* FW_OK: at least one axis is valid. out is filled in any case. */
    fw_status (*read)(fw_driver_dev *d, fw_driver_state *out, fw_err *err);
    /* Torque off is FW_OK only when it is known to be off: the caller repeats it until then. */
    fw_status (*write)(fw_driver_dev *d, const fw_driver_command *cmd, fw_err *err);
    /* The newest frame of camera i. FW_AGAIN: none yet; FW_CLOSED: none came for so long that it must be unplugged (*out: the last). */
    fw_status (*frame)(fw_driver_dev *d, int i, fw_driver_frame *out, fw_err *err);
    /* Torque off as well as can be, everything that start opened closed. */
    void (*stop)(fw_driver_dev *d);
    void (*close)(fw_driver_dev *d); /* stop, and free; NULL is fine */
} fw_driver_api;

/* A shared object exports   const fw_driver_api *fw_driver_api_of(uint32_t host_abi);   it returns NULL for an ABI it does not know. */
typedef const fw_driver_api *(*fw_driver_entry)(uint32_t host_abi);

/* --- 2. the robot's side */

typedef struct fw_driver fw_driver;

/* A built-in driver by its name, or a shared object by a path with '/' in it. *out owned: fw_driver_close.
 * FW_INVALID: unknown name (names the known ones), or the config; FW_FORMAT: not a driver, or of another ABI. */
FW_NODISCARD fw_status fw_driver_open(const char *name_or_path, const char *config, fw_driver **out, fw_err *err);
/* One that the caller has: the simulator, a test's. api: static. */
FW_NODISCARD fw_status fw_driver_open_api(const fw_driver_api *api, const char *config, fw_driver **out, fw_err *err);
/* Those that fw_driver_open knows by name: [*n] static. */
const fw_driver_api *const *fw_driver_builtin(size_t *n);
/* One more. api: static. Before any other thread opens drivers. FW_INVALID: no room, or another one has its name. */
FW_NODISCARD fw_status fw_driver_add(const fw_driver_api *api, fw_err *err);

/* Time as the driver's samples have it, where it is not CLOCK_MONOTONIC: a simulation. Before start. */
void fw_driver_set_time(fw_driver *d, int64_t (*now_ns)(void *self), void *self);

const fw_driver_info *fw_driver_get_info(const fw_driver *d); /* borrowed until close */
/* The driver's own object, for whoever knows more of it than this interface (the simulator's owner). NULL: it is not of this api. */
fw_driver_dev *fw_driver_get_dev(const fw_driver *d, const fw_driver_api *api);
FW_NODISCARD fw_status fw_driver_start(fw_driver *d, fw_err *err);
FW_NODISCARD fw_status fw_driver_read(fw_driver *d, fw_driver_state *out, fw_err *err);
FW_NODISCARD fw_status fw_driver_write(fw_driver *d, const fw_driver_command *cmd, fw_err *err);
FW_NODISCARD fw_status fw_driver_frame_latest(fw_driver *d, int camera, fw_driver_frame *out, fw_err *err);
void fw_driver_stop(fw_driver *d);
void fw_driver_close(fw_driver **d); /* *d = NULL; NULL is fine in both places */

/* "too hot, overloaded: its torque is off" for the bits; "no fault" for none. Returns out. */
const char *fw_driver_faults_text(uint32_t faults, char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif /* FW_DRIVER_H */
