/* keys.c - WHAT: API keys: a file of them, and whether a header has one. DESIGN: only hashes are kept and compared, all of them, always. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "wire/ws_server.h"

enum { KEYS = 64, KEY_MIN = 16, KEY_MAX = 512 };

struct fw_ws_keys {
    int n;
    char sha256[KEYS][65];
};

static fw_status add(fw_ws_keys *k, const char *path, int line, const char *key, size_t n, fw_err *err) {
    if (n < KEY_MIN || n > KEY_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: line %d: a key of %zu characters, wanted %d to %d", path, line, n, KEY_MIN,
                       KEY_MAX);
    }
    if (k->n == KEYS) {
        return fw_fail(err, FW_FORMAT, "%s: more than %d keys", path, KEYS);
    }
    fw_sha256_hex(key, n, k->sha256[k->n++]);
    return FW_OK;
}

/* A key a line; empty lines and those that begin with # are left out. */
static fw_status read_lines(fw_ws_keys *k, const char *path, const char *text, fw_err *err) {
    int line = 1;
    for (const char *s = text; *s != 0; line++) {
        size_t n = strcspn(s, "\r\n");
        if (n > 0 && s[0] != '#') {
            FW_TRY(add(k, path, line, s, n, err));
        }
        s += n;
        s += strspn(s, "\r\n") > 0;
    }
    return k->n > 0 ? FW_OK : fw_fail(err, FW_FORMAT, "%s: no key in it", path);
}

fw_status fw_ws_keys_load(const char *path, fw_ws_keys **out, fw_err *err) {
    char *text;
    size_t n;
    struct stat st;
    *out = NULL;
    FW_TRY(fw_file_read(path, 1 << 16, &text, &n, err));
    if (stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0) {
        fw_warn("%s: everybody on this machine may read the keys (chmod 600 %s)", path, path);
    }
    fw_ws_keys *k = calloc(1, sizeof *k);
    fw_status s = k == NULL ? fw_fail(err, FW_NOMEM, "no memory for keys") : read_lines(k, path, text, err);
    explicit_bzero(text, n);
    free(text);
    if (s != FW_OK) {
        free(k);
        return s;
    }
    *out = k;
    return FW_OK;
}

void fw_ws_keys_free(fw_ws_keys *k) {
    free(k);
}

static unsigned differs(const char *a, const char *b) {
    unsigned d = 0;
    for (int i = 0; i < 64; i++) {
        d |= (unsigned)(a[i] ^ b[i]);
    }
    return d;
}

bool fw_ws_keys_fit(const fw_ws_keys *k, const char *header) {
    char sha[65];
    unsigned fits = 0;
    if (k == NULL) {
        return true;
    }
    size_t skip = strncasecmp(header, "Api-Key ", 8) == 0 ? 8 : strncasecmp(header, "Bearer ", 7) == 0 ? 7 : 0;
    fw_sha256_hex(header + skip, strlen(header + skip), sha);
    for (int i = 0; i < k->n; i++) {
        fits |= differs(sha, k->sha256[i]) == 0;
    }
    return fits != 0 && skip > 0;
}
