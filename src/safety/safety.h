/*
 * safety.h - the last thing that every command passes on its way to a robot.
 *
 *   fw_safety_limits limits = { ... };                     // from the embodiment file, see docs/SAFETY.md
 *   fw_safety s;
 *   if (fw_safety_init(&s, &limits).what != FW_SAFETY_LIMITS_OK) ...
 *   fw_safety_step(&s, &in, &out);                         // once a control cycle; send out.position while out.send
 *
 * DESIGN
 * Three parts, one after the other in a step. (1) watch.c turns measurements, commands, heartbeats and time into a set
 * of conditions that are present. (2) machine.c, a pure function over bits, latches faults and decides mode and
 * severity. (3) filter.c moves one reference per axis: as near to the command as velocity, acceleration and jerk
 * allow, and only by steps after which braking at once still ends inside position limits, the window around what was
 * measured, and clear of everything in the workspace. Where a step fails this, the reference brakes: the stretch of
 * path that braking needs was examined one step before. What leaves is therefore inside the envelope by induction.
 *
 * C11, stdint, stdbool and string only; no heap, no clock, no recursion, bounded loops. One owner, no thread of its own.
 * Arithmetic is float32 without contraction (-ffp-contract=off): the same inputs give the same bits everywhere.
 * Never compile with -ffast-math: NaN must compare false. Units are SI; of a slide read m for rad and N for Nm.
 */
#ifndef FW_SAFETY_SAFETY_H
#define FW_SAFETY_SAFETY_H

#include <stdbool.h>
#include <stdint.h>

#define FW_SAFETY_AXIS_MAX    16U
#define FW_SAFETY_LINK_MAX    24U
#define FW_SAFETY_KEEPOUT_MAX 8U
#define FW_SAFETY_PAIR_MAX    32U
#define FW_SAFETY_WINDOW      6U      /* samples: what "measured" means for rates */
#define FW_SAFETY_STOP_US     100000U /* from any velocity to zero, checked with the limits */
#define FW_SAFETY_STOP_STEPS  128U    /* the same, in control cycles */
#define FW_SAFETY_NOBODY      (-1)

/* clang-format off */
/* Faults: name, severity, where it counts (s: silent, b: standby, a: autonomous, t: teleoperated), what it says. The first
 * in this list is named as the cause where several come at once. */
#define FW_SAFETY_FAULT_MAP(X)                                                                                        \
  X(ESTOP,           TERMINATE, SBAT, "emergency stop")                                                               \
  X(LIMITS,          TERMINATE, SBAT, "limits of the embodiment are wrong")                                           \
  X(CONTACT,         STOP,      BAT,  "contact: the arm was pushed against")                                          \
  X(GRIP,            STOP,      BAT,  "gripper force above its limit")                                                \
  X(STOP_ASKED,      STOP,      SBAT, "stop was asked for")                                                           \
  X(CYCLE,           STOP,      BAT,  "control cycle overrun, or time went backwards")                                \
  X(SENSOR_STALE,    STOP,      BAT,  "an axis was not measured in time")                                             \
  X(SENSOR_BAD,      STOP,      BAT,  "an implausible measurement")                                                   \
  X(OVERSPEED,       STOP,      BAT,  "measured velocity above its limit")                                            \
  X(TORQUE,          STOP,      BAT,  "torque above its limit for too long")                                          \
  X(TRACKING,        STOP,      BAT,  "an axis is far from where it was told to be")                                  \
  X(OUTSIDE,         STOP,      BAT,  "measured position outside limits or workspace, or touching a keep-out or itself") \
  X(SUPERVISOR_LOST, STOP,      BAT,  "supervisor's heartbeat lost")                                                  \
  X(COMMAND_BAD,     HOLD,      AT,   "a command that is not finite, from the future, out of order or of another source") \
  X(COMMAND_STALE,   HOLD,      AT,   "no command in time")                                                           \
  X(POLICY_LOST,     HOLD,      A,    "policy's heartbeat lost")                                                      \
  X(OPERATOR_LOST,   HOLD,      T,    "operator's heartbeat lost")                                                    \
  X(CLIPPED,         WARN,      AT,   "commands were outside the envelope for long")
/* clang-format on */

typedef enum {
#define X(name, severity, where, text) FW_SAFETY_IX_##name,
    FW_SAFETY_FAULT_MAP(X)
#undef X
        FW_SAFETY_N_FAULT
} fw_safety_fault_ix;

/* As bits, for sets. Two more are reasons for a refusal only. */
typedef enum {
#define X(name, severity, where, text) FW_SAFETY_##name = (int)(1U << (unsigned)FW_SAFETY_IX_##name),
    FW_SAFETY_FAULT_MAP(X)
#undef X
        FW_SAFETY_MOVING = (int)(1U << (unsigned)FW_SAFETY_N_FAULT),     /* enable at rest */
    FW_SAFETY_LATCHED = (int)(1U << ((unsigned)FW_SAFETY_N_FAULT + 1U)), /* acknowledge first */
} fw_safety_fault;

/* Only ever rises, until acknowledged. */
typedef enum {
    FW_SAFETY_SEV_NONE,
    FW_SAFETY_SEV_WARN,      /* said, nothing else */
    FW_SAFETY_SEV_HOLD,      /* brake, stay */
    FW_SAFETY_SEV_RETRACT,   /* go to the retract posture, slowly */
    FW_SAFETY_SEV_STOP,      /* brake, stay; never moves by itself again */
    FW_SAFETY_SEV_TERMINATE, /* brake, then torque off; final: only fw_safety_init ends it */
} fw_safety_severity;

typedef enum {
    FW_SAFETY_SILENT,       /* torque off, nothing is sent: the mode after fw_safety_init */
    FW_SAFETY_STANDBY,      /* torque on, the reference stands, commands are not looked at */
    FW_SAFETY_AUTONOMOUS,   /* the policy's commands move it */
    FW_SAFETY_TELEOPERATED, /* the operator's commands move it */
    FW_SAFETY_KEEP,         /* as a request: no change */
} fw_safety_mode;

typedef enum { FW_SAFETY_POLICY, FW_SAFETY_OPERATOR, FW_SAFETY_SUPERVISOR, FW_SAFETY_N_PARTY } fw_safety_party;

/* What was commanded that the envelope does not allow (bits). */
typedef enum {
    FW_SAFETY_LIM_POSITION = 1,
    FW_SAFETY_LIM_VELOCITY = 2,
    FW_SAFETY_LIM_ACCELERATION = 4,
    FW_SAFETY_LIM_JERK = 8,
    FW_SAFETY_LIM_MEASURED = 16, /* too far from what was measured */
    FW_SAFETY_LIM_GRIP = 32,     /* closing further at full gripper force */
    FW_SAFETY_LIM_CLEARANCE = 64 /* workspace, keep-out or the robot itself */
} fw_safety_limit;

/* --- limits: what the embodiment is allowed. All values |x| <= 1e6. */

typedef struct {
    float position_min, position_max; /* rad */
    float velocity;                   /* rad/s */
    float acceleration;               /* rad/s^2, braking included */
    float jerk;                       /* rad/s^3 */
    float torque;         /* Nm, sent to the driver as a cap; measured above it for overload_us: a fault. Grippers: N */
    float torque_release; /* Nm, the cap after a contact, enough to carry itself */
    float contact;        /* Nm of momentum-observer residual that is a contact at once */
    float clamp;          /* Nm of residual that is one when it lasts for clamp_us */
    float follow;         /* rad, how far the reference may be from what was measured, stopping included */
    float noise;          /* rad, measurement noise and backlash */
    float velocity_tolerance; /* rad/s by which a velocity sensor may differ from positions; 0: there is none */
    float retract;            /* rad, posture to retract to */
    int32_t grip;             /* +1: a gripper that closes with rising position, -1: with falling; 0: no gripper */
} fw_safety_axis;

/* A link turns about, or slides along, an axis of its own frame. Parents come before their children. */
typedef struct {
    int32_t parent;      /* link, or FW_SAFETY_NOBODY: the base */
    int32_t axis;        /* which axis turns it, or FW_SAFETY_NOBODY: fixed to the parent */
    bool slide;          /* moves along instead of turning about */
    bool confined;       /* must stay in the workspace */
    bool capsule;        /* has the capsule below; otherwise only carries others */
    float pos[3];        /* m, frame in the parent's */
    float quat[4];       /* w x y z, the same; normalised within 1e-3 */
    float about[3];      /* the axis in the link's frame, unit length within 1e-3 */
    float scale, offset; /* joint value = scale * axis + offset */
    float from[3];       /* m, ends of the capsule's line in the link's frame; equal ends: a ball */
    float to[3];
    float radius; /* m */
} fw_safety_link;

typedef struct {
    float min[3], max[3]; /* m, in the base frame */
    uint32_t links;       /* bit i: holds for link i */
} fw_safety_box;

typedef struct {
    uint32_t n_axis;
    fw_safety_axis axis[FW_SAFETY_AXIS_MAX];
    uint32_t period_us;                       /* of the control cycle */
    uint32_t late_us;                         /* a cycle later than this is an overrun */
    uint32_t sensor_us;                       /* oldest measurement */
    uint32_t command_us;                      /* oldest command */
    uint32_t heartbeat_us[FW_SAFETY_N_PARTY]; /* longest silence, both ways; 0 for the supervisor: there is none */
    uint32_t hold_us;                         /* hold this long, then retract (or stop) */
    uint32_t retract_us;                      /* retract at most this long, then stop */
    uint32_t overload_us, clamp_us;           /* see torque, clamp */
    uint32_t warn_us;                         /* clipped without a pause for this long: a warning */
    bool can_retract;
    float retract_scale; /* share of the velocity limits while retracting, 0..1 */

    uint32_t n_link;
    fw_safety_link link[FW_SAFETY_LINK_MAX];
    fw_safety_box workspace; /* confined links stay inside */
    uint32_t n_keepout;
    fw_safety_box keepout[FW_SAFETY_KEEPOUT_MAX];
    uint32_t n_pair;
    uint32_t pair[FW_SAFETY_PAIR_MAX][2]; /* links that must not touch */
    float margin;                         /* m, kept by the reference; covers how far metal strays from it */
} fw_safety_limits;

typedef enum {
    FW_SAFETY_LIMITS_OK,
    FW_SAFETY_LIMITS_N_AXIS,
    FW_SAFETY_LIMITS_POSITION,
    FW_SAFETY_LIMITS_VELOCITY,
    FW_SAFETY_LIMITS_ACCELERATION,
    FW_SAFETY_LIMITS_JERK,
    FW_SAFETY_LIMITS_TORQUE,
    FW_SAFETY_LIMITS_CONTACT,
    FW_SAFETY_LIMITS_FOLLOW,
    FW_SAFETY_LIMITS_NOISE,
    FW_SAFETY_LIMITS_RETRACT,
    FW_SAFETY_LIMITS_GRIP,
    FW_SAFETY_LIMITS_STOP, /* cannot brake from full velocity within FW_SAFETY_STOP_US */
    FW_SAFETY_LIMITS_PERIOD,
    FW_SAFETY_LIMITS_TIMEOUT,
    FW_SAFETY_LIMITS_LINK,
    FW_SAFETY_LIMITS_WORKSPACE,
    FW_SAFETY_LIMITS_KEEPOUT,
    FW_SAFETY_LIMITS_PAIR,
    FW_SAFETY_LIMITS_MARGIN
} fw_safety_limits_what;

typedef struct {
    fw_safety_limits_what what;
    uint32_t index; /* of the axis, link, box, pair or timeout, 0 where there is one only */
} fw_safety_limits_error;

/* --- in and out of a control cycle */

typedef struct {
    bool valid;     /* the driver got it, checksum and all */
    uint64_t t_us;  /* when it was measured */
    float position; /* rad */
    float velocity; /* rad/s; 0 without a sensor */
    float torque;   /* Nm or the current's equivalent; 0 without a sensor. Grippers: N */
    float residual; /* Nm, momentum observer; 0 without one */
} fw_safety_sample;

typedef struct {
    uint32_t count; /* changes with every sign of life */
    uint32_t echo;  /* the last out.beat that party saw: it must hear us, too */
} fw_safety_heartbeat;

typedef struct {
    bool present;
    fw_safety_party source;             /* policy or operator; that of the other mode is refused */
    uint32_t seq;                       /* rises; the same: the same command again */
    uint64_t t_us;                      /* when it was made */
    float position[FW_SAFETY_AXIS_MAX]; /* rad, wanted at the end of this cycle */
} fw_safety_command;

typedef struct {
    uint64_t now_us; /* monotonic */
    fw_safety_sample axis[FW_SAFETY_AXIS_MAX];
    fw_safety_command command;
    fw_safety_heartbeat heartbeat[FW_SAFETY_N_PARTY];
    fw_safety_mode request; /* FW_SAFETY_KEEP, or the mode wanted: repeat it until out.mode has it */
    bool acknowledge;       /* a person has seen the faults: forget those that are over */
    bool stop;              /* the stop button */
    bool estop;             /* the emergency stop chain is open */
} fw_safety_in;

typedef struct {
    bool send;                          /* false: send nothing */
    bool torque_on;                     /* false: take the torque off */
    bool release;                       /* let go: grippers open, torque caps are those of torque_release */
    float position[FW_SAFETY_AXIS_MAX]; /* rad, inside the envelope */
    float velocity[FW_SAFETY_AXIS_MAX]; /* rad/s and rad/s^2 of the same, for feed-forward */
    float acceleration[FW_SAFETY_AXIS_MAX];
    float torque_cap[FW_SAFETY_AXIS_MAX]; /* Nm */
    fw_safety_mode mode;
    fw_safety_severity severity;
    uint32_t latched; /* fw_safety_fault bits since the last acknowledgement */
    int32_t first;    /* fw_safety_fault_ix of the first of them, FW_SAFETY_NOBODY without */
    uint32_t present; /* conditions of this cycle, whether they count in this mode or not */
    uint32_t refused; /* why the request was refused; 0: it was not */
    uint32_t limited; /* fw_safety_limit bits of this cycle */
    uint32_t beat;    /* our heartbeat, one a cycle: parties echo it */
    float clearance;  /* m from the measured arm to the nearest thing it must not touch; 1e6 without links */
} fw_safety_out;

/* --- state: in the caller's memory, private */

typedef struct {
    float q, u, b; /* position, rad; its change in one cycle; the change of that */
} fw_safety_motion;

typedef struct {
    float u, b, j; /* limits of velocity, acceleration, jerk, in rad per cycle, cycle^2, cycle^3 */
} fw_safety_rates;

typedef struct {
    float q[FW_SAFETY_WINDOW]; /* ring of the last positions */
    uint64_t t_us[FW_SAFETY_WINDOW];
    uint32_t n, at;      /* samples in it, index of the newest */
    uint32_t mismatched; /* samples in a row whose velocity does not fit the positions */
    float torque, residual;
    uint64_t under_torque_us, under_clamp_us; /* when it was last within */
} fw_safety_track;

typedef struct {
    fw_safety_mode mode;
    fw_safety_severity severity;
    uint32_t latched, refused;
    int32_t first;
} fw_safety_machine;

typedef struct {
    fw_safety_limits limits;
    fw_safety_rates rates[FW_SAFETY_AXIS_MAX];
    float reach[FW_SAFETY_AXIS_MAX]; /* m that any point of the robot moves at most when the axis moves by 1 rad */
    fw_safety_machine machine;
    fw_safety_motion ref[FW_SAFETY_AXIS_MAX];
    fw_safety_track track[FW_SAFETY_AXIS_MAX];

    bool good; /* limits were right */
    bool started;
    uint64_t now_us, due_us; /* last call, next advance */
    uint64_t severity_us;    /* when severity last rose */
    uint64_t unclipped_us;   /* when a command was last passed as it was */
    uint32_t beat;

    bool heard[FW_SAFETY_N_PARTY];
    uint32_t count[FW_SAFETY_N_PARTY];
    uint64_t heard_us[FW_SAFETY_N_PARTY];

    bool commanded; /* there is a command of this mode */
    bool streaming; /* it came with this cycle */
    uint32_t seq;
    uint64_t command_us;            /* its time; before there is one, when the mode began */
    float goal[FW_SAFETY_AXIS_MAX]; /* the command */
    float rate[FW_SAFETY_AXIS_MAX]; /* rad per cycle at which it moves */
    float clearance;                /* of the measured arm, m */
} fw_safety;

/* Check limits. Names the first that is wrong. */
fw_safety_limits_error fw_safety_limits_check(const fw_safety_limits *l);

/* The longest stop of axis i from full velocity and acceleration, in us. Limits must be valid but for this. */
uint32_t fw_safety_stop_us(const fw_safety_limits *l, uint32_t i);

/* Start, silent. limits: copied. Wrong limits are named, and the state terminates on its first step. */
fw_safety_limits_error fw_safety_init(fw_safety *s, const fw_safety_limits *l);

/* One control cycle. in and out: borrowed for the call. Bounded time; see docs/SAFETY.md for how long. */
void fw_safety_step(fw_safety *s, const fw_safety_in *in, fw_safety_out *out);

/* "emergency stop", ... static; "none" for FW_SAFETY_NOBODY and anything else that is no fault. */
const char *fw_safety_fault_text(int32_t ix);

#endif /* FW_SAFETY_SAFETY_H */
