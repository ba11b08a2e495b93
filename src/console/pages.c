/* pages.c - WHAT: the page's files, built in or from a folder, their headers, and who may ask for them */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "console/console_int.h"

enum { FILE_MAX = 4 << 20 };

/* ---- who may ask ---- */

/* The name in "name:80", "[::1]:80", "name". false: it is no such thing. */
static bool host_name(const char *host, char *out, size_t cap) {
    const char *from = host, *end = host + strcspn(host, ":");
    if (*host == '[') {
        from++;
        end = strchr(host, ']');
        if (end == NULL || (end[1] != 0 && end[1] != ':')) {
            return false;
        }
    } else if (*end == ':' && strchr(end + 1, ':') != NULL) {
        return false;
    }
    return end > from && snprintf(out, cap, "%.*s", (int)(end - from), from) < (int)cap;
}

/* Names that nobody else can have bound to us. */
static bool is_ours(const char *name) {
    struct in6_addr any;
    char own[256] = "", local[270];
    gethostname(own, sizeof own - 1);
    snprintf(local, sizeof local, "%s.local", own);
    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1 ||
           strcasecmp(name, "localhost") == 0 || strcasecmp(name, own) == 0 || strcasecmp(name, local) == 0;
}

bool fw_console_origin_fits(const char *host, const char *origin, bool tls, bool any_name, char *why, size_t cap) {
    char name[256];
    const char *of = strncmp(origin, "https://", 8) == 0          ? origin + 8
                     : !tls && strncmp(origin, "http://", 7) == 0 ? origin + 7
                                                                  : NULL;
    if (!host_name(host, name, sizeof name) || (!any_name && !is_ours(name))) {
        snprintf(why, cap, "the host '%.60s' is not a name of this machine", host);
        return false;
    }
    if (origin[0] != 0 && (of == NULL || strcasecmp(of, host) != 0)) {
        snprintf(why, cap, "the page of '%.60s' may not talk to the robot at '%.60s'", origin, host);
        return false;
    }
    return true;
}

/* ---- the files ---- */

static const fw_http_header guards[] = {
    {"content-security-policy:",
     "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"},
    {"x-content-type-options:", "nosniff"},
    {"x-frame-options:", "DENY"},
    {"referrer-policy:", "no-referrer"},
    {"cross-origin-opener-policy:", "same-origin"},
    {"cross-origin-resource-policy:", "same-origin"},
    {"cache-control:", "no-cache"},
    {NULL, NULL},
};

static const char *type_of(const char *name) {
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".webmanifest", "application/manifest+json"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(dot, types[i][0]) == 0) {
            return types[i][1];
        }
    }
    return NULL;
}

static void built_in(const char *name, fw_http_reply *r) {
    for (const fw_web_file *f = fw_web_files; f->name != NULL; f++) {
        if (strcmp(f->name, name) == 0) {
            r->body = malloc(f->n + 1);
            if (r->body != NULL) {
                memcpy(r->body, f->data, f->n);
                r->n = f->n;
            }
        }
    }
}

static void from_folder(const char *web, const char *name, fw_http_reply *r) {
    char path[4096];
    fw_err err;
    if (fw_path_join(path, sizeof path, web, name, &err) != FW_OK || !fw_path_exists(path)) {
        return;
    }
    if (fw_file_read(path, FILE_MAX, &r->body, &r->n, &err) != FW_OK) {
        fw_warn("%s", err.msg);
        r->body = NULL;
    }
}

void fw_console_page(const char *web, const char *path, fw_http_reply *r) {
    const char *name = strcmp(path, "/") == 0 ? "index.html" : path + (path[0] == '/');
    const size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.");
    const char *type = type_of(name);
    r->more = guards;
    if (n == 0 || name[n] != 0 || type == NULL) { /* no folders, so no way out of ours */
        return;
    }
    if (web != NULL) {
        from_folder(web, name, r);
    } else {
        built_in(name, r);
    }
    if (r->body != NULL) {
        r->status = 200;
        r->type = type;
    }
}
