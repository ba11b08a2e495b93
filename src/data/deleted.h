/*
 * deleted.h - tombstones: what was deleted from a dataset and must not come back, told without saying what it was.
 *
 *     fw_deleted *d;
 *     FW_TRY(fw_deleted_new(&d, err));
 *     FW_TRY(fw_deleted_load(d, a->dir, err));                       // of every dataset that goes into the mixture
 *     FW_TRY(fw_deleted_load(d, b->dir, err));
 *     FW_TRY(fw_deleted_refuse_homes(d, b, NULL, b->n_episodes, err)); // "b: ep 3: refused by rule home-1f2e of a/meta/deleted.json"
 *
 * DESIGN. meta/deleted.json holds, for each deletion, a rule's name, when it was, how many episodes, a random salt, the salted and
 * stretched hash of the home (names of homes are easy to guess: 2,000 rounds of SHA-256 make guessing slow, nothing makes it
 * impossible), and a salted hash of each deleted episode's states and actions. So an older copy is known again also when it was renumbered,
 * converted, merged or lost its home's name. Everything that makes training data of datasets asks here: loader, train, and the copy
 * behind merge, convert, split and filter, which hands the tombstones on to its result.
 */
#ifndef FW_DATA_DELETED_H
#define FW_DATA_DELETED_H

#include "data/dataset.h"

#define FW_DELETED_FILE "meta/deleted.json"

typedef struct fw_deleted fw_deleted; /* a set of rules, one thread */
FW_NODISCARD fw_status fw_deleted_new(fw_deleted **out, fw_err *err);
void fw_deleted_free(fw_deleted *d); /* NULL is fine */
/* Add the rules of a dataset's folder; none is fine. FW_FORMAT: its file cannot be read, so nothing may be made of it. */
FW_NODISCARD fw_status fw_deleted_load(fw_deleted *d, const char *dir, fw_err *err);
/* Write all rules to dir's file, atomically; nothing when there are none. */
FW_NODISCARD fw_status fw_deleted_save(const fw_deleted *d, const char *dir, fw_err *err);
int fw_deleted_rules(const fw_deleted *d);

/* The name of the rule that `home` falls under, borrowed from d; NULL: none. "" never does. */
const char *fw_deleted_home(fw_deleted *d, const char *home);
/* FW_INVALID, naming the rule, when one of these episodes (positions; NULL: the first n) is of a deleted home. */
FW_NODISCARD fw_status fw_deleted_refuse_homes(fw_deleted *d, const fw_dataset *ds, const int64_t *episodes, int64_t n,
                                               fw_err *err);
/* The same by what was recorded: state [length, n_state], action [length, n_action] of episode `index` of `dir`. */
FW_NODISCARD fw_status fw_deleted_refuse_rows(const fw_deleted *d, const char *dir, int64_t index, const float *state,
                                              const float *action, int64_t length, int n_state, int n_action,
                                              fw_err *err);

/* The rule for a home (NULL: for single episodes, always a new one), made when there is none yet: its number. -1: out of memory. */
int fw_deleted_rule(fw_deleted *d, const char *home);
const char *fw_deleted_name(const fw_deleted *d, int rule); /* borrowed */
/* Count an episode of `length` frames under a rule; rows as above, NULL when they cannot be read. */
FW_NODISCARD fw_status fw_deleted_add(fw_deleted *d, int rule, const float *state, const float *action, int64_t length,
                                      int n_state, int n_action, fw_err *err);

/* A choice by positions would choose others when it is made again: remember it, and the identity (cache.h; "" without a dataset) of
 * what it left. fw_deleted_done: the rule that this very choice has made of what is there now; -1: none. */
void fw_deleted_note(fw_deleted *d, int rule, const char *choice, const char *left);
int fw_deleted_done(const fw_deleted *d, const char *choice, const char *left);

#endif /* FW_DATA_DELETED_H */
