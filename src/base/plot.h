/*
 * plot.h - charts and contact sheets as PNG.
 *
 *     fw_series s[] = {{.name = "train", .x = step, .y = loss, .n = n}, {.name = "held out", .x = step, .y = held, .n = n}};
 *     fw_chart c = {.title = "loss", .x_label = "step", .log_y = true, .series = s, .n_series = 2};
 *     fw_plot_write("out/loss.png", "run 1", &c, 1, 1, err);
 *
 * All arrays and text are borrowed during the call. Text is UTF-8. Needs a font (Debian: fonts-dejavu-core, which
 * libcairo2 brings along).
 */
#ifndef FW_BASE_PLOT_H
#define FW_BASE_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_series {
    const char *name; /* for the legend; NULL: not in it */
    const double *x;  /* [n]; NULL: 0, 1, 2, ... */
    const double *y;  /* [n]; a value that is not finite (or <= 0 on a log axis) leaves a gap */
    size_t n;
    bool dashed;
} fw_series;

typedef struct fw_chart {
    const char *title, *x_label, *y_label; /* NULL: none */
    bool log_y;
    const fw_series *series; /* [n_series] */
    size_t n_series;
} fw_chart;

/* `n` charts in a grid of `columns`, each 640x360 pixels. heading: above all, NULL: none. */
FW_NODISCARD fw_status fw_plot_write(const char *path, const char *heading, const fw_chart *charts, size_t n,
                                     int columns, fw_err *err);

typedef struct fw_tile {
    const uint8_t *rgb; /* [h,w,3] */
    int h, w;
    const char *caption; /* below the picture, cut to its width; NULL: none */
    int mark;            /* frame: 0 none, 1 green (success), -1 red (failure) */
} fw_tile;

/* `n` pictures in a grid of `columns`, each scaled to `side` pixels wide (aspect kept). heading: above all, NULL: none. */
FW_NODISCARD fw_status fw_sheet_write(const char *path, const char *heading, const fw_tile *tiles, size_t n,
                                      int columns, int side, fw_err *err);

#endif /* FW_BASE_PLOT_H */
