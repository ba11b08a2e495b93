/* tasks.c - the table of tasks: a new task is a file and a line here. */
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

/* clang-format off */
#define TASKS(X)           \
  X(task_plate_in_sink)    \
  X(task_mug_in_sink)      \
  X(task_bowl_in_sink)     \
  X(task_banana_on_plate)  \
  X(task_block_on_tray)    \
  X(task_put_in_drawer)    \
  X(task_wipe_spill)       \
  X(task_make_coffee)      \
  X(task_fold_towel)       \
  X(task_fold_garment)     \
  X(task_fold_carton)      \
  X(task_bus_table)        \
  X(task_set_place)        \
  X(task_tuck_flaps)       \
  X(task_gather_salad)     \
  X(task_banana_twin)
/* clang-format on */

#define X(t) extern const fw_task t;
TASKS(X)
#undef X

static const fw_task *const table[] = {
#define X(t) &t,
    TASKS(X)
#undef X
};

const fw_task *task_find(const char *name) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i]->name, name) == 0) {
            return table[i];
        }
    }
    return NULL;
}

const fw_task *task_at(int i) {
    return i >= 0 && (size_t)i < sizeof table / sizeof *table ? table[i] : NULL;
}

void task_names(char *out, size_t cap) {
    size_t at = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table && at < cap; i++) {
        int n = snprintf(out + at, cap - at, "%s%s", i > 0 ? ", " : "", table[i]->name);
        at += n > 0 ? (size_t)n : 0;
    }
}

bool task_say(const char *phrasing, const fw_meant *m, char out[FW_SENTENCE_LEN]) {
    size_t n = 0;
    bool said = true;
    for (const char *p = phrasing; *p != 0 && n + 1 < FW_SENTENCE_LEN; p++) {
        bool slot = p[0] == '{' && p[1] >= '0' && p[1] < '0' + FW_SLOT_MAX && p[2] == '}';
        if (!slot) {
            out[n++] = *p;
            continue;
        }
        said = said && (m->unsaid & BIT(p[1] - '0')) == 0;
        int k = snprintf(out + n, FW_SENTENCE_LEN - n, "%s", m->slot[p[1] - '0']);
        n += (size_t)k < FW_SENTENCE_LEN - n ? (size_t)k : FW_SENTENCE_LEN - 1 - n;
        p += 2;
    }
    out[n] = 0;
    return said;
}
