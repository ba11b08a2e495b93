/* cmd_data.c - `flywheel data VERB`: the table of its verbs (data.h), and what they say the same way. */
#include <stdio.h>

#include "data.h"

static json_t *number_or_null(int64_t v) {
    return v >= 0 ? json_integer(v) : json_null();
}

json_t *data_findings_json(const fw_findings *f) {
    json_t *a = json_array();
    for (int64_t i = 0; i < f->n; i++) {
        const fw_finding *x = &f->item[i];
        json_array_append_new(a, json_pack("{s:s, s:s, s:o, s:o, s:b, s:s}", "kind", x->kind, "file", x->file,
                                           "episode", number_or_null(x->episode), "frame", number_or_null(x->frame),
                                           "repairable", x->repairable, "text", x->text));
    }
    return a;
}

void data_print_findings(const char *dir, const fw_findings *f) {
    for (int64_t i = 0; i < f->n; i++) {
        const fw_finding *x = &f->item[i];
        printf("%s%s%s: ", dir, x->file[0] != 0 ? "/" : "", x->file);
        if (x->episode >= 0) {
            printf("ep %lld: ", (long long)x->episode);
        }
        if (x->frame >= 0) {
            printf("frame %lld: ", (long long)x->frame);
        }
        printf("%s: %s%s\n", x->kind, x->text, x->repairable ? " (repairable)" : "");
    }
    if (f->n == 0) {
        printf("%s: no findings\n", dir);
    } else {
        printf("%lld finding%s\n", (long long)f->n, f->n == 1 ? "" : "s");
    }
}

int data_need_out(const char *verb, const char *out) {
    if (out == NULL) {
        fprintf(stderr, "flywheel %s: --out DIR is missing\n", verb);
    }
    return out == NULL ? 2 : 0;
}

int data_say_written(const char *out, bool json, json_t *more) {
    fw_err err;
    fw_dataset *ds;
    int code = 0;
    if (fw_dataset_open(out, &ds, &err) != FW_OK) {
        json_decref(more);
        return cli_fail(&err);
    }
    if (json) {
        json_t *j = json_pack("{s:s, s:I, s:I}", "out", out, "episodes", (json_int_t)ds->n_episodes, "frames",
                              (json_int_t)ds->n_frames);
        if (j != NULL && more != NULL) {
            json_object_update(j, more);
        }
        code = cli_json(j);
    } else {
        printf("%s: %lld episodes, %lld frames\n", out, (long long)ds->n_episodes, (long long)ds->n_frames);
    }
    json_decref(more);
    fw_dataset_close(ds);
    return code;
}

int cmd_data(int argc, char **argv) {
    static const fw_verb verbs[] = {
#define X(name, help) {#name, help, data_##name},
        FW_DATA_VERBS(X)
#undef X
    };
    return cli_dispatch("flywheel data", "flywheel data info datasets/banana --stats", "datasets", verbs,
                        sizeof(verbs) / sizeof(*verbs), argc, argv);
}
