/* journal.h - the log of a run: a line of JSON now and then (log.jsonl), and its curves as a picture (curves.png). */
#ifndef FW_TRAIN_JOURNAL_H
#define FW_TRAIN_JOURNAL_H

#include <stdint.h>

#include "fw/status.h"

typedef struct fw_journal fw_journal;
/* Continue <dir>/log.jsonl after `step`: later lines, and a half-written last one, are dropped. step 0: a new log. */
FW_NODISCARD fw_status fw_journal_open(const char *dir, int64_t step, fw_journal **out, fw_err *err);
void fw_journal_close(fw_journal *j); /* NULL is fine */
/* Whoever goes on from `step` multiplies in `precision`, "f32" or "bf16". */
void fw_journal_begin(fw_journal *j, int64_t step, const char *precision);
FW_NODISCARD fw_status fw_journal_step(fw_journal *j, int64_t step, double loss, double lr, double grad_norm,
                                       double samples_per_s, fw_err *err);
FW_NODISCARD fw_status fw_journal_held_out(fw_journal *j, int64_t step, double loss, fw_err *err);
/* To the disk. */
FW_NODISCARD fw_status fw_journal_flush(fw_journal *j, fw_err *err);
FW_NODISCARD fw_status fw_journal_plot(const fw_journal *j, const char *heading, fw_err *err);

#endif /* FW_TRAIN_JOURNAL_H */
