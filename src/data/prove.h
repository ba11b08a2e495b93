/* prove.h - is anything of it left: names and rows searched for in every file of a folder (see delete.h). */
#ifndef FW_DATA_PROVE_H
#define FW_DATA_PROVE_H

#include "data/copy_int.h"
#include "data/delete.h"

/* Rows to look for, as hashes of state and action. Zero-initialise. */
typedef struct prove_rows {
    uint64_t *hash; /* owned [n] sorted once, by prove_rows_seal */
    int64_t n, cap;
    bool *common;               /* owned [n]: an episode that stays has it too */
    const char *state, *action; /* column names, NULL: none; borrowed */
    int64_t n_state, n_action;
} prove_rows;
/* The rows of episode e of s; they must have been made available (copy_source_rows). */
fw_status prove_rows_add(prove_rows *r, const copy_source *s, int64_t e, fw_err *err);
void prove_rows_seal(prove_rows *r);
/* These rows stay: they cannot tell. */
void prove_rows_except(prove_rows *r, const copy_source *s, int64_t e);
/* Whether episode e, which goes, has any row that tells. */
bool prove_rows_tell(const prove_rows *r, const copy_source *s, int64_t e);
int64_t prove_rows_marks(const prove_rows *r);
void prove_rows_clear(prove_rows *r);

/* Search every file under dir; counts go to proof (files .. first), which must be zero there. name NULL: only rows; rows NULL: only
 * the name. */
fw_status prove_folder(const char *dir, const char *name, const prove_rows *rows, fw_delete_proof *proof, fw_err *err);

#endif /* FW_DATA_PROVE_H */
