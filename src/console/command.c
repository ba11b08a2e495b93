/* command.c - WHAT: commands as JSON, {"id": 7, "do": "say", "text": "..."}, checked and made a struct */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "console/console.h"

static const char where[] = "command";

static const char *const verbs[] = {
#define X(name, text) [FW_CONSOLE_##name] = (text),
    FW_CONSOLE_VERB_MAP(X)
#undef X
};

const char *fw_console_verb_name(fw_console_verb v) {
    return v < FW_CONSOLE_VERBS ? verbs[v] : "?";
}

/* Text for people and policies: fits, and no control characters (JSON saw to UTF-8). */
static fw_status read_text(const json_t *j, const char *key, bool may_be_empty, char out[FW_CONSOLE_TEXT_MAX],
                           fw_err *err) {
    const char *s = "";
    FW_TRY(may_be_empty ? fw_json_str_or(j, key, where, "", &s, err) : fw_json_str(j, key, where, &s, err));
    if (strlen(s) >= FW_CONSOLE_TEXT_MAX || (!may_be_empty && s[0] == 0)) {
        return fw_fail(err, FW_FORMAT, "%s: %s has %zu bytes, wanted %d to %d", where, key, strlen(s), !may_be_empty,
                       FW_CONSOLE_TEXT_MAX - 1);
    }
    for (const unsigned char *c = (const unsigned char *)s; *c != 0; c++) {
        if (*c < ' ' || *c == 127) {
            return fw_fail(err, FW_FORMAT, "%s: %s has a control character", where, key);
        }
    }
    strcpy(out, s);
    return FW_OK;
}

/* fw_json_f64s and _f64 see to finite. */
static fw_status in_range(const char *key, double x, double min, double max, fw_err *err) {
    return x >= min && x <= max ? FW_OK
                                : fw_fail(err, FW_FORMAT, "%s: %s is %g, wanted %g to %g", where, key, x, min, max);
}

static fw_status read_move(const json_t *j, fw_console_command *out, fw_err *err) {
    static const char *const known[] = {"id", "do", "step", "gripper", NULL};
    double step[4], gripper = 0;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_f64s(j, "step", where, step, 4, err));
    for (int i = 0; i < 4; i++) {
        FW_TRY(in_range("step", step[i], -1, 1, err));
        out->step[i] = (float)step[i];
    }
    out->has_gripper = json_object_get(j, "gripper") != NULL;
    if (out->has_gripper) {
        FW_TRY(fw_json_f64(j, "gripper", where, &gripper, err));
        FW_TRY(in_range("gripper", gripper, 0, 1, err));
        out->gripper = (float)gripper;
    }
    return FW_OK;
}

static fw_status read_joints(const json_t *j, fw_console_command *out, fw_err *err) {
    static const char *const known[] = {"id", "do", "position", NULL};
    const json_t *a;
    double position[FW_DRIVER_AXIS_MAX];
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_arr(j, "position", where, &a, err));
    const size_t n = json_array_size(a);
    if (n < 1 || n > FW_DRIVER_AXIS_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: position has %zu numbers, wanted 1 to %d", where, n, FW_DRIVER_AXIS_MAX);
    }
    FW_TRY(fw_json_f64s(j, "position", where, position, n, err));
    for (size_t i = 0; i < n; i++) {
        FW_TRY(
            in_range("position", position[i], -1e4, 1e4, err)); /* rad or m: far beyond any joint, and a finite float */
        out->position[i] = (float)position[i];
    }
    out->n = (int)n;
    return FW_OK;
}

static fw_status read_mark(const json_t *j, fw_console_command *out, fw_err *err) {
    static const char *const known[] = {"id", "do", "what", "note", NULL}, *const marks[] = {"good", "bad", "wrong"};
    const char *what;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_str(j, "what", where, &what, err));
    FW_TRY(read_text(j, "note", true, out->text, err));
    for (int i = 0; i < 3; i++) {
        if (strcmp(what, marks[i]) == 0) {
            out->mark = (fw_console_mark)i;
            return FW_OK;
        }
    }
    return fw_fail(err, FW_FORMAT, "%s: what is '%.40s', wanted good, bad or wrong", where, what);
}

static fw_status read_say(const json_t *j, fw_console_command *out, fw_err *err) {
    static const char *const known[] = {"id", "do", "text", NULL};
    FW_TRY(fw_json_only(j, where, known, err));
    return read_text(j, "text", false, out->text, err);
}

static fw_status read_verb(const json_t *j, fw_console_command *out, fw_err *err) {
    const char *name;
    FW_TRY(fw_json_str(j, "do", where, &name, err));
    for (int v = 0; v < FW_CONSOLE_VERBS; v++) {
        if (strcmp(name, verbs[v]) == 0) {
            out->verb = (fw_console_verb)v;
            return FW_OK;
        }
    }
    return fw_fail(err, FW_FORMAT, "%s: nobody can do '%.40s' here", where, name);
}

static fw_status read_command(const json_t *j, fw_console_command *out, int64_t *id, fw_err *err) {
    static const char *const known[] = {"id", "do", NULL};
    FW_TRY(fw_json_i64_or(j, "id", where, 0, (int64_t)1 << 53, -1, id, err));
    FW_TRY(read_verb(j, out, err));
    switch (out->verb) {
    case FW_CONSOLE_SAY:
        return read_say(j, out, err);
    case FW_CONSOLE_MOVE:
        return read_move(j, out, err);
    case FW_CONSOLE_JOINTS:
        return read_joints(j, out, err);
    case FW_CONSOLE_MARK:
        return read_mark(j, out, err);
    default:
        return fw_json_only(j, where, known, err);
    }
}

fw_status fw_console_parse(const void *data, size_t n, fw_console_command *out, int64_t *id, fw_err *err) {
    json_t *j;
    *id = -1;
    memset(out, 0, sizeof *out);
    FW_TRY(fw_json_parse(data, n, where, &j, err));
    fw_status st =
        json_is_object(j) ? read_command(j, out, id, err) : fw_fail(err, FW_FORMAT, "%s: not a JSON object", where);
    json_decref(j);
    return st;
}
