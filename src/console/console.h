/*
 * console.h - the page of a robot: a small web server that shows what the robot does, and passes on what people ask of it.
 *
 *   const fw_console_events on = {.ctx = me, .command = heard, .left = gone};
 *   FW_TRY(fw_console_start(&(fw_console_opts){.port = 8080}, &on, &c, err));
 *   ... any thread but the control thread:
 *   fw_console_state(c, "{\"mode\": \"standby\", ...}"), fw_console_picture(c, 0, jpeg, n), fw_console_log(c, "episode 3 is on disk");
 *   fw_console_stop(c);
 *
 * DESIGN. It knows no robot. A browser (or another process: docs/CONSOLE.md is the protocol) has a websocket, on which commands come as
 * JSON and are given to `command` as a checked struct; what the robot does goes out as it was told. Only the newest state and the newest
 * picture of each camera are kept: who takes them slowly gets fewer, never older ones, and holds up nobody. Lines of the log are all sent.
 * Anyone who was let in may send any command: who may move the robot is decided by who implements `command`.
 *
 * SECURITY. Pages of other servers, open in the same browser, must not move a robot: a websocket is refused unless its Origin is the host
 * it asks for, and that host is an address, this machine's name, or localhost (a name that was re-bound to us is none of these). Whatever
 * does not listen on this machine alone wants a file of keys; then the first message of a browser is {"do": "hello", "key": "..."}.
 */
#ifndef FW_CONSOLE_CONSOLE_H
#define FW_CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/driver.h"
#include "fw/status.h"

#define FW_CONSOLE_TEXT_MAX 256 /* bytes of a sentence or note, with its NUL */
#define FW_CONSOLE_CAMERAS  16
#define FW_CONSOLE_LOG      500 /* lines kept for those who come later */

/* clang-format off */
#define FW_CONSOLE_VERB_MAP(X)                                                                 \
  X(SAY, "say")                 /* text: a sentence for the policy                          */ \
  X(START, "start")             /* let the policy move it                                   */ \
  X(PAUSE, "pause")             /* stand, torque on                                         */ \
  X(STOP, "stop")               /* the stop button; anyone                                  */ \
  X(RELEASE, "release")         /* the stop button again: no longer pressed                 */ \
  X(ACKNOWLEDGE, "acknowledge") /* what happened was seen by a person                       */ \
  X(OFF, "off")                 /* torque off                                               */ \
  X(TAKE, "take")               /* take over: who asks becomes the operator                 */ \
  X(GIVE, "give")               /* give back to the policy                                  */ \
  X(MOVE, "move")               /* the operator: step and gripper; at 20 Hz, a sign of life */ \
  X(JOINTS, "joints")           /* the operator: position of every axis                     */ \
  X(MARK, "mark")               /* mark, text: a note                                       */ \
  X(NEW, "new")                 /* next episode (in the simulator: a new scene)             */
/* clang-format on */

typedef enum fw_console_verb {
#define X(name, text) FW_CONSOLE_##name,
    FW_CONSOLE_VERB_MAP(X)
#undef X
        FW_CONSOLE_VERBS
} fw_console_verb;
const char *fw_console_verb_name(fw_console_verb v); /* static */

typedef enum fw_console_mark { FW_CONSOLE_GOOD, FW_CONSOLE_BAD, FW_CONSOLE_WRONG } fw_console_mark;

/* What was asked, in range: every number finite, text valid UTF-8 without control characters. What is not of the verb is zero. */
typedef struct fw_console_command {
    fw_console_verb verb;
    char text[FW_CONSOLE_TEXT_MAX]; /* say: not empty; mark: may be */
    fw_console_mark mark;
    float step[4];                      /* move: x, y, z, yaw as shares -1..1 of the action's range */
    bool has_gripper;                   /* move: else leave it as it is */
    float gripper;                      /* 0 closed .. 1 open */
    int n;                              /* joints */
    float position[FW_DRIVER_AXIS_MAX]; /* [n] rad (m), in the driver's order */
} fw_console_command;

/* Both on the service thread; neither may block. They may call fw_console_state, _picture and _log. */
typedef struct fw_console_events {
    void *ctx;
    /* true: it is done, or on its way. false: why not, in words for a person. who: of a connection, never 0, never used again. */
    bool (*command)(void *ctx, uint64_t who, const fw_console_command *cmd, char *why, size_t cap);
    /* Nobody is there under this number any more. A page whose network died is noticed after seconds only: an operator's sign of life is
     * that his moves come. NULL: not interested. */
    void (*left)(void *ctx, uint64_t who);
} fw_console_events;

typedef struct fw_console_opts {
    const char *host;       /* address to listen on; NULL: 127.0.0.1 */
    int port;               /* 0: any free one */
    const char *keys;       /* file of keys, a line each; NULL: none is asked for, on 127.0.0.1 only */
    const char *cert, *key; /* PEM files for TLS; NULL: none */
    const char *web; /* folder to serve the page from instead of the built-in one (development); NULL: built-in */
} fw_console_opts;

typedef struct fw_console fw_console;
/* *out owned: fw_console_stop. FW_INVALID: no keys for an address others can reach; FW_IO: address in use, files unreadable. */
FW_NODISCARD fw_status fw_console_start(const fw_console_opts *o, const fw_console_events *on, fw_console **out,
                                        fw_err *err);
int fw_console_port(const fw_console *c);
/* How many watch now: pictures for nobody need not be encoded. */
int fw_console_watchers(const fw_console *c);
/* `left` comes for everybody who is still there; afterwards nothing. NULL is fine. */
void fw_console_stop(fw_console *c);

/* ---- any thread but a real-time one: they lock and allocate; texts are copied ---- */

/* One JSON object; docs/CONSOLE.md says which keys the page shows. */
void fw_console_state(fw_console *c, const char *json);
/* camera: 0.. < FW_CONSOLE_CAMERAS, its place in the state's "cameras". */
void fw_console_picture(fw_console *c, int camera, const void *jpeg, size_t n);
/* A line for people, without its end; what is not UTF-8 is shown as '?'. */
void fw_console_log(fw_console *c, const char *line);

/* ---- for tests and fuzzing: what reads strangers' bytes ---- */

/* One command. *id: to be answered with, -1 when there is none; it is set whenever it could be read. FW_FORMAT says what is wrong. */
FW_NODISCARD fw_status fw_console_parse(const void *data, size_t n, fw_console_command *out, int64_t *id, fw_err *err);
/* May a page from `origin` ("": no browser asks) talk to us under the name `host`? tls: we speak it. any_name: who asks must have a key
 * besides, so that a re-bound name gains nothing. false: why not. */
bool fw_console_origin_fits(const char *host, const char *origin, bool tls, bool any_name, char *why, size_t cap);

#endif /* FW_CONSOLE_CONSOLE_H */
