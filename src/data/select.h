/*
 * select.h - which episodes: by a list, by a share drawn from a seed, by an expression over what is known of them.
 *
 *     int64_t *episodes, n;
 *     FW_TRY(fw_select_where(ds, "success == 1 and (home == 'h17' or length > 40) and task ~ 'mug'", &episodes, &n, err));
 *
 * Results are positions in ascending order, owned by the caller (free).
 *
 * Expressions: `and`, `or`, `not`, parentheses, and comparisons FIELD == VALUE with == != < <= > >= and ~ (text: contains, whatever
 * the case). Values are numbers or quoted text ("..." or '...'). Fields: `episode` (position), `length` (frames), `seconds`, `task`
 * (true when any of the episode's sentences fits; != when none is equal), and every column of meta/episodes by its name or without "provenance/":
 * source, home, policy_id, consent, control_mode, success, quality, speed, and a dataset's own. A number that is not known
 * (NaN; success -1) makes every comparison false, also != : say `not (...)` to get those too.
 */
#ifndef FW_DATA_SELECT_H
#define FW_DATA_SELECT_H

#include "data/dataset.h"

/* FW_INVALID names the place in the expression, what was wanted and what was found. */
FW_NODISCARD fw_status fw_select_where(const fw_dataset *ds, const char *expression, int64_t **episodes, int64_t *n,
                                       fw_err *err);
/* "0-9,12,40-": positions and ranges with both ends, an open end means the last. */
FW_NODISCARD fw_status fw_select_list(const fw_dataset *ds, const char *list, int64_t **episodes, int64_t *n,
                                      fw_err *err);
/* round(fraction * n) episodes drawn without replacement; the same for the same seed and number of episodes. */
FW_NODISCARD fw_status fw_select_fraction(const fw_dataset *ds, double fraction, uint64_t seed, int64_t **episodes,
                                          int64_t *n, fw_err *err);
/* Those that are not in episodes [n]. */
FW_NODISCARD fw_status fw_select_rest(const fw_dataset *ds, const int64_t *episodes, int64_t n, int64_t **rest,
                                      int64_t *n_rest, fw_err *err);

#endif /* FW_DATA_SELECT_H */
