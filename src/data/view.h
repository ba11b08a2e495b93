/*
 * view.h - a dataset as one HTML page: what it holds, what check finds, statistics, and episodes with pictures and curves.
 *
 *     fw_view_result r;
 *     FW_TRY(fw_dataset_view("data/banana", "banana.html", &(fw_view_opts){.limit = 20}, &r, err));
 *
 * DESIGN. The page needs nothing but itself: pictures are JPEGs in it, curves are SVG, and its content security policy allows only its own
 * style sheet and script, by their hashes. All text of the dataset is escaped on its way in (view_int.h: view_text), so that a
 * sentence is a sentence whatever it says. A part that cannot be read (a broken episode, a missing video) is shown as what is wrong
 * with it, in its place; the page is for looking at bad datasets too. About 20 KB an episode.
 */
#ifndef FW_DATA_VIEW_H
#define FW_DATA_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_view_opts {
    const int64_t *episodes; /* [n_episodes] positions to show; NULL: evenly spread over all */
    int64_t n_episodes;
    int64_t limit; /* at most so many of them, evenly spread; 0: all */
    bool progress; /* on stderr */
} fw_view_opts;

typedef struct fw_view_result {
    int64_t episodes, shown; /* of the dataset; in the page */
    int64_t findings, bytes;
} fw_view_result;

/* Replaces `out` atomically. result may be NULL. FW_IO, FW_FORMAT: the dataset cannot be opened, the page cannot be written. */
FW_NODISCARD fw_status fw_dataset_view(const char *dir, const char *out, const fw_view_opts *opts,
                                       fw_view_result *result, fw_err *err);

#endif /* FW_DATA_VIEW_H */
