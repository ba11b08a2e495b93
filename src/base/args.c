#include "base/args.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 48
#define FLAG_MAX 64

static int min3(int a, int b, int c) {
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance, one row at a time; words beyond WORD_MAX are cut */
static int edit_distance(const char *a, const char *b) {
    int row[WORD_MAX + 1];
    int na = (int)strnlen(a, WORD_MAX), nb = (int)strnlen(b, WORD_MAX);
    for (int j = 0; j <= nb; j++) {
        row[j] = j;
    }
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[nb];
}

int fw_nearest(const char *word, const char *const *names, size_t n) {
    int best = -1, least = 1 + (int)strnlen(word, WORD_MAX) / 2;
    for (size_t i = 0; i < n; i++) {
        int d = edit_distance(word, names[i]);
        if (d < least) {
            least = d;
            best = (int)i;
        }
    }
    return best;
}

/* "20" or "0.5" or "out/x", as the default in a help line; empty when there is none to show */
static void format_default(const fw_arg *a, char *out, size_t cap) {
    const char *s = a->kind == FW_ARG_KIND_STR ? *(const char *const *)a->out : NULL;
    out[0] = 0;
    if (a->kind == FW_ARG_KIND_INT) {
        snprintf(out, cap, " [%lld]", (long long)*(const int64_t *)a->out);
    } else if (a->kind == FW_ARG_KIND_F64) {
        snprintf(out, cap, " [%g]", *(const double *)a->out);
    } else if (s != NULL) {
        snprintf(out, cap, " [%s]", s);
    }
}

/* every line of the example, indented */
static void print_example(const char *text) {
    while (*text != 0) {
        size_t n = strcspn(text, "\n");
        printf("  %.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static void print_help(const fw_usage *u, const fw_arg *args, size_t n_args) {
    char left[64], def[160];
    printf("example:\n");
    print_example(u->example);
    printf("\nusage: flywheel %s%s%s%s\n%s\n\n", u->verb, u->paths != NULL ? " " : "", u->paths != NULL ? u->paths : "",
           n_args > 0 ? " [flags]" : "", u->what);
    for (size_t i = 0; i < n_args; i++) {
        const char *more = args[i].kind == FW_ARG_KIND_LIST ? "..." : "";
        snprintf(left, sizeof(left), "--%s%s%s%s", args[i].name, args[i].value[0] ? " " : "", args[i].value, more);
        format_default(&args[i], def, sizeof(def));
        printf("  %-24s %s%s\n", left, args[i].help, def);
    }
    printf("  %-24s %s\n", "--help", "this text");
}

static int fail(const fw_usage *u) {
    fprintf(stderr, "; flywheel %s --help shows an example\n", u->verb);
    return 2;
}

static int fail_unknown(const fw_usage *u, const fw_arg *args, size_t n_args, const char *flag, size_t len) {
    const char *names[FLAG_MAX + 1] = {"help"};
    char word[WORD_MAX + 1];
    size_t n = 1;
    for (size_t i = 0; i < n_args && n < FLAG_MAX; i++) {
        names[n++] = args[i].name;
    }
    snprintf(word, sizeof(word), "%.*s", (int)len, flag);
    int near = fw_nearest(word, names, n);
    fprintf(stderr, "flywheel %s: unknown flag --%s", u->verb, word);
    if (near >= 0) {
        fprintf(stderr, " (did you mean --%s?)", names[near]);
    }
    return fail(u);
}

/* The whole text as an integer ("1e6" is none) in [min, max]; false otherwise. */
static bool parse_i64(const fw_arg *a, const char *text) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != 0 || isspace((unsigned char)text[0]) || errno != 0 || (double)v < a->min ||
        (double)v > a->max) {
        return false;
    }
    *(int64_t *)a->out = v;
    return true;
}

static bool parse_f64(const fw_arg *a, const char *text) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != 0 || isspace((unsigned char)text[0]) || !isfinite(v) || v < a->min || v > a->max) {
        return false;
    }
    *(double *)a->out = v;
    return true;
}

/* Store `text` as the value of `a`; 0, or 2 with a message. */
static int take_value(const fw_usage *u, const fw_arg *a, const char *text) {
    fw_arg_list *list = a->out;
    switch (a->kind) {
    case FW_ARG_KIND_INT:
        if (!parse_i64(a, text)) {
            fprintf(stderr, "flywheel %s: --%s: wanted an integer in %.0f..%.0f, found '%s'", u->verb, a->name, a->min,
                    a->max, text);
            return fail(u);
        }
        return 0;
    case FW_ARG_KIND_F64:
        if (!parse_f64(a, text)) {
            fprintf(stderr, "flywheel %s: --%s: wanted a number in %g..%g, found '%s'", u->verb, a->name, a->min,
                    a->max, text);
            return fail(u);
        }
        return 0;
    case FW_ARG_KIND_LIST:
        if (list->n == FW_ARG_LIST_MAX) {
            fprintf(stderr, "flywheel %s: --%s: more than %d values", u->verb, a->name, FW_ARG_LIST_MAX);
            return fail(u);
        }
        list->item[list->n++] = text;
        return 0;
    default:
        *(const char **)a->out = text;
        return 0;
    }
}

static bool is_flag(const char *arg) {
    return arg[0] == '-' && arg[1] != 0 && !isdigit((unsigned char)arg[1]) && arg[1] != '.';
}

static const fw_arg *find_arg(const fw_arg *args, size_t n_args, const char *name, size_t len) {
    for (size_t i = 0; i < n_args; i++) {
        if (strlen(args[i].name) == len && strncmp(args[i].name, name, len) == 0) {
            return &args[i];
        }
    }
    return NULL;
}

/* The flag at argv[*at], with its values; *at moves to its last argument. 0, or 2 with a message. */
static int take_flag(const fw_usage *u, const fw_arg *args, size_t n_args, int argc, char **argv, int *at) {
    const char *name = argv[*at] + (argv[*at][1] == '-' ? 2 : 1);
    size_t len = strcspn(name, "=");
    const fw_arg *a = argv[*at][1] == '-' ? find_arg(args, n_args, name, len) : NULL;
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    if (a == NULL) {
        return fail_unknown(u, args, n_args, name, len);
    }
    if (a->kind == FW_ARG_KIND_BOOL) {
        if (value != NULL) {
            fprintf(stderr, "flywheel %s: --%s takes no value, found '%s'", u->verb, a->name, value);
            return fail(u);
        }
        *(bool *)a->out = true;
        return 0;
    }
    if (value == NULL && (*at + 1 >= argc || is_flag(argv[*at + 1]))) {
        fprintf(stderr, "flywheel %s: --%s wants a value %s", u->verb, a->name, a->value);
        return fail(u);
    }
    int code = take_value(u, a, value != NULL ? value : argv[++*at]);
    while (code == 0 && value == NULL && a->kind == FW_ARG_KIND_LIST && *at + 1 < argc && !is_flag(argv[*at + 1])) {
        code = take_value(u, a, argv[++*at]);
    }
    return code;
}

static int check_paths(const fw_usage *u, int n, char **argv) {
    if (n < u->min_paths) {
        fprintf(stderr, "flywheel %s: wanted %s, found %s", u->verb, u->paths != NULL ? u->paths : "a path",
                n == 0 ? "nothing" : "too few");
        return fail(u);
    }
    if (n > u->max_paths) {
        fprintf(stderr, "flywheel %s: '%s' is one argument too many", u->verb, argv[u->max_paths + 1]);
        return fail(u);
    }
    return FW_ARGS_GO;
}

int fw_args_parse(const fw_usage *u, const fw_arg *args, size_t n_args, int argc, char **argv, int *n_paths) {
    bool flags = true;
    *n_paths = 0;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(u, args, n_args);
            return 0;
        }
    }
    for (int i = 1; i < argc; i++) {
        if (flags && strcmp(argv[i], "--") == 0) {
            flags = false;
        } else if (flags && is_flag(argv[i])) {
            int code = take_flag(u, args, n_args, argc, argv, &i);
            if (code != 0) {
                return code;
            }
        } else {
            char *path = argv[i]; /* what lies before it has been read: its place is free */
            argv[++*n_paths] = path;
        }
    }
    return check_paths(u, *n_paths, argv);
}
