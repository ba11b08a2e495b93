/* select.c - see select.h. Expressions are evaluated while they are parsed, once an episode: they are short. */
#include "data/select.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/dataset_int.h"

/* --- a set of episodes --- */

static fw_status from_flags(const fw_dataset *ds, const bool *in, int64_t **episodes, int64_t *n, fw_err *err) {
    *n = 0;
    *episodes = malloc((size_t)(ds->n_episodes + 1) * sizeof(int64_t));
    if (*episodes == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: %lld episodes", ds->dir, (long long)ds->n_episodes);
    }
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        if (in[e]) {
            (*episodes)[(*n)++] = e;
        }
    }
    return FW_OK;
}

static bool *flags(const fw_dataset *ds, fw_err *err) {
    bool *in = calloc((size_t)ds->n_episodes + 1, sizeof(bool));
    if (in == NULL) {
        fw_fail(err, FW_NOMEM, "%s: %lld episodes", ds->dir, (long long)ds->n_episodes);
    }
    return in;
}

/* "a", "a-b" or "a-" at *p, which moves on. */
static bool read_range(const char **p, int64_t last, int64_t *a, int64_t *b) {
    char *end;
    if (!isdigit((unsigned char)**p)) {
        return false;
    }
    *a = *b = strtoll(*p, &end, 10);
    if (*end == '-') {
        const char *q = end + 1;
        *b = isdigit((unsigned char)*q) ? strtoll(q, &end, 10) : (end = (char *)(uintptr_t)q, last);
    }
    *p = end;
    return *a <= *b;
}

fw_status fw_select_list(const fw_dataset *ds, const char *list, int64_t **episodes, int64_t *n, fw_err *err) {
    bool *in = flags(ds, err);
    if (in == NULL) {
        return FW_NOMEM;
    }
    fw_status st = FW_OK;
    for (const char *p = list; st == FW_OK;) {
        int64_t a = 0, b = -1;
        if (!read_range(&p, ds->n_episodes - 1, &a, &b)) {
            st = fw_fail(err, FW_INVALID, "episodes '%s': wanted numbers and ranges like 0-9,12,40-, found '%s'", list,
                         p);
        } else if (b >= ds->n_episodes) {
            st = fw_fail(err, FW_INVALID, "episodes '%s': no episode %lld, %s has %lld", list, (long long)b, ds->dir,
                         (long long)ds->n_episodes);
        }
        for (int64_t e = a; st == FW_OK && e <= b; e++) {
            in[e] = true;
        }
        if (st == FW_OK && *p == 0) {
            break;
        }
        if (st == FW_OK && *p++ != ',') {
            st = fw_fail(err, FW_INVALID, "episodes '%s': wanted a comma, found '%s'", list, p - 1);
        }
    }
    st = st == FW_OK ? from_flags(ds, in, episodes, n, err) : st;
    free(in);
    return st;
}

fw_status fw_select_fraction(const fw_dataset *ds, double fraction, uint64_t seed, int64_t **episodes, int64_t *n,
                             fw_err *err) {
    bool *in = flags(ds, err);
    if (in == NULL) {
        return FW_NOMEM;
    }
    int64_t want = llround(fraction * (double)ds->n_episodes);
    fw_rng rng = fw_rng_stream(seed, "episodes");
    for (int64_t e = 0, taken = 0; e < ds->n_episodes; e++) { /* each with the chance that makes all subsets alike */
        in[e] = (double)(want - taken) > fw_rng_unit(&rng) * (double)(ds->n_episodes - e);
        taken += in[e];
    }
    fw_status st = from_flags(ds, in, episodes, n, err);
    free(in);
    return st;
}

fw_status fw_select_rest(const fw_dataset *ds, const int64_t *episodes, int64_t n, int64_t **rest, int64_t *n_rest,
                         fw_err *err) {
    bool *in = flags(ds, err);
    if (in == NULL) {
        return FW_NOMEM;
    }
    memset(in, true, (size_t)ds->n_episodes);
    for (int64_t i = 0; i < n; i++) {
        in[episodes[i]] = false;
    }
    fw_status st = from_flags(ds, in, rest, n_rest, err);
    free(in);
    return st;
}

/* --- expressions --- */

typedef struct parser {
    const fw_dataset *ds;
    int64_t e; /* the episode */
    const char *text, *p;
    int depth;
    fw_status st;
    fw_err *err;
} parser;

static bool expr_or(parser *s);

static bool wanted(parser *s, const char *what) {
    if (s->st == FW_OK) {
        s->st = fw_fail(s->err, FW_INVALID, "'%s': at %d: wanted %s, found '%.20s'", s->text, (int)(s->p - s->text),
                        what, s->p);
    }
    return false;
}

static void space(parser *s) {
    s->p += strspn(s->p, " \t\n");
}

static bool is_name(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '/';
}

/* The word comes next: past it. */
static bool word(parser *s, const char *w) {
    size_t n = strlen(w);
    space(s);
    if (strncmp(s->p, w, n) != 0 || is_name(s->p[n])) {
        return false;
    }
    s->p += n;
    return true;
}

typedef enum relation { EQ, NE, LE, LT, GE, GT, HAS, NO_RELATION } relation;

static relation read_relation(parser *s) {
    static const char *const sign[] = {"==", "!=", "<=", "<", ">=", ">", "~"};
    space(s);
    for (int r = EQ; r < NO_RELATION; r++) {
        if (strncmp(s->p, sign[r], strlen(sign[r])) == 0) {
            s->p += strlen(sign[r]);
            return (relation)r;
        }
    }
    wanted(s, "== != < <= > >= or ~");
    return NO_RELATION;
}

static bool fits(relation r, int order) {
    switch (r) {
    case EQ:
        return order == 0;
    case NE:
        return order != 0;
    case LE:
        return order <= 0;
    case LT:
        return order < 0;
    case GE:
        return order >= 0;
    case GT:
        return order > 0;
    case HAS:
    case NO_RELATION:
        break;
    }
    return false;
}

static bool text_fits(relation r, const char *a, const char *b) {
    return r == HAS ? strcasestr(a, b) != NULL : fits(r, strcmp(a, b));
}

/* Quoted text into out. */
static bool read_text(parser *s, char *out, size_t cap) {
    char quote = *s->p;
    const char *end = strchr(s->p + 1, quote);
    if (end == NULL || (size_t)(end - s->p) >= cap) {
        return wanted(s, "text that ends with its quote");
    }
    snprintf(out, cap, "%.*s", (int)(end - s->p - 1), s->p + 1);
    s->p = end + 1;
    return true;
}

static bool compare_text(parser *s, const char *field, relation r, const char *value) {
    const fw_episode_info *i = &s->ds->episodes[s->e];
    const char *text;
    if (strcmp(field, "task") == 0) {
        bool any = false;
        for (int t = 0; t < i->n_tasks; t++) {
            any = any || text_fits(r == NE ? EQ : r, i->tasks[t], value);
        }
        return r == NE ? !any : any;
    }
    if (!fw_dataset_field_text(s->ds, s->e, field, &text)) {
        s->st = fw_fail(s->err, FW_INVALID, "'%s': %s has no text field '%s'", s->text, s->ds->dir, field);
        return false;
    }
    return text_fits(r, text, value);
}

static bool compare_number(parser *s, const char *field, relation r, double value) {
    const fw_episode_info *i = &s->ds->episodes[s->e];
    double v;
    if (strcmp(field, "episode") == 0) {
        v = (double)s->e;
    } else if (strcmp(field, "length") == 0) {
        v = (double)i->length;
    } else if (strcmp(field, "seconds") == 0) {
        v = (double)i->length / s->ds->fps;
    } else if (!fw_dataset_field_number(s->ds, s->e, field, &v)) {
        s->st = fw_fail(s->err, FW_INVALID, "'%s': %s has no number field '%s'", s->text, s->ds->dir, field);
        return false;
    }
    bool unknown = isnan(v) || (strcmp(field, "success") == 0 && v < 0.0);
    if (r == HAS) {
        return wanted(s, "text after ~");
    }
    return !unknown && fits(r, (v > value) - (v < value));
}

static bool comparison(parser *s) {
    char field[256], value[1024];
    size_t n = 0;
    space(s);
    while (is_name(s->p[n])) {
        n++;
    }
    if (n == 0 || n >= sizeof(field)) {
        return wanted(s, "a field's name");
    }
    snprintf(field, sizeof(field), "%.*s", (int)n, s->p);
    s->p += n;
    relation r = read_relation(s);
    space(s);
    if (s->st != FW_OK) {
        return false;
    }
    if (*s->p == '"' || *s->p == '\'') {
        return read_text(s, value, sizeof(value)) && compare_text(s, field, r, value);
    }
    char *end;
    double number = strtod(s->p, &end);
    if (end == s->p || !isfinite(number)) {
        return wanted(s, "a number or quoted text");
    }
    s->p = end;
    return compare_number(s, field, r, number);
}

static bool expr_not(parser *s) {
    if (++s->depth > 100) {
        s->depth--;
        return wanted(s, "at most 100 levels");
    }
    bool v;
    if (word(s, "not")) {
        v = !expr_not(s);
    } else if (space(s), *s->p == '(') {
        s->p++;
        v = expr_or(s);
        space(s);
        if (*s->p == ')') {
            s->p++;
        } else {
            v = wanted(s, "')'");
        }
    } else {
        v = comparison(s);
    }
    s->depth--;
    return v;
}

static bool expr_and(parser *s) {
    bool v = expr_not(s);
    while (s->st == FW_OK && word(s, "and")) {
        v = expr_not(s) && v; /* both are parsed */
    }
    return v;
}

static bool expr_or(parser *s) {
    bool v = expr_and(s);
    while (s->st == FW_OK && word(s, "or")) {
        v = expr_and(s) || v;
    }
    return v;
}

fw_status fw_select_where(const fw_dataset *ds, const char *expression, int64_t **episodes, int64_t *n, fw_err *err) {
    bool *in = flags(ds, err);
    fw_status st = in != NULL ? FW_OK : FW_NOMEM;
    for (int64_t e = 0; e < ds->n_episodes && st == FW_OK; e++) {
        parser s = {.ds = ds, .e = e, .text = expression, .p = expression, .err = err};
        in[e] = expr_or(&s);
        space(&s);
        if (s.st == FW_OK && *s.p != 0) {
            wanted(&s, "and, or, or the end");
        }
        st = s.st;
    }
    st = st == FW_OK ? from_flags(ds, in, episodes, n, err) : st;
    free(in);
    return st;
}
