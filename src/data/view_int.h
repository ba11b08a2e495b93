/* view_int.h - what the files of the page share: a growing text that escapes what it is given, pictures and curves in it. */
#ifndef FW_DATA_VIEW_INT_H
#define FW_DATA_VIEW_INT_H

#include <stddef.h>

#include "data/dataset.h"
#include "data/stats.h"

typedef struct view_page {
    char *text; /* owned */
    size_t n, cap;
    bool nomem; /* something did not fit: the page is no use */
} view_page;

/* --- view_page.c */
/* Our own markup and numbers. */
void view_add(view_page *p, const char *fmt, ...) FW_PRINTF(2, 3);
/* Text of others: markup escaped, bytes that are no UTF-8 and control characters shown as U+FFFD. NULL reads as "". */
void view_text(view_page *p, const char *text);
void view_base64(view_page *p, const void *data, size_t n);
/* base64 of the SHA-256 of text, as a content security policy wants it. */
void view_hash(view_page *p, const char *text);
/* An <svg> with the curve of x[0], x[stride], ... (n of them) between lo and hi. Long ones keep their extremes. */
void view_curve(view_page *p, const float *x, int64_t n, int64_t stride, double lo, double hi);
/* An <svg> of bars. */
void view_bars(view_page *p, const double *count, int n);
/* 83.2 -> "1 min 23 s" */
void view_duration(view_page *p, double s);
/* An <img> of rgb [h,w,3]; alt: text of others. FW_NOMEM, FW_UNSUPPORTED without an encoder. */
FW_NODISCARD fw_status view_picture(view_page *p, const uint8_t *rgb, int h, int w, const char *alt, fw_err *err);

/* --- view_episode.c: one card. state, action: statistics of the whole, NULL: unknown. FW_NOMEM only: all else is shown. */
FW_NODISCARD fw_status view_episode(view_page *p, fw_dataset *ds, int64_t ep, const fw_column_stats *state,
                                    const fw_column_stats *action, fw_err *err);

#endif /* FW_DATA_VIEW_INT_H */
