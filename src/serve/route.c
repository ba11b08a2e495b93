/* route.c - WHAT: a path -> protocol and model: "/", "/kitchen3", "/openpi", "/vla-eval/kitchen3" */
#include <stdio.h>
#include <string.h>

#include "serve/serve_int.h"

/* path without a leading segment `word`; NULL: another one leads */
static const char *after(const char *path, const char *word) {
    const size_t n = strlen(word);
    return strncmp(path, word, n) == 0 && (path[n] == 0 || path[n] == '/') ? path + n + (path[n] == '/') : NULL;
}

int fw_route(const char *path, const char *const *names, int n, route *out, char *why, size_t cap) {
    const char *rest = path + strspn(path, "/"), *inner;
    *out = (route){.protocol = FW_PROTOCOL_UNKNOWN, .model = -1};
    if ((inner = after(rest, "openpi")) != NULL) {
        out->protocol = FW_PROTOCOL_OPENPI;
    } else if ((inner = after(rest, "vla-eval")) != NULL) {
        out->protocol = FW_PROTOCOL_VLA_EVAL;
    }
    rest = inner != NULL ? inner : rest;
    const size_t len = strcspn(rest, "/?");
    for (int i = 0; i < n; i++) {
        if (strlen(names[i]) == len && strncmp(names[i], rest, len) == 0) {
            out->model = i;
        }
    }
    if (out->model >= 0 || len == 0 || n == 1) { /* with one model, as in openpi, any path is that */
        return 0;
    }
    size_t at = (size_t)snprintf(why, cap, "no model '%.60s' here; there are", rest);
    for (int i = 0; i < n && at < cap; i++) {
        at += (size_t)snprintf(why + at, cap - at, " /%s", names[i]);
    }
    return 404;
}
