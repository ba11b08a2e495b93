/* browser.h - headless Chromium for tests, over its DevTools protocol: pages opened, clicked, typed at, looked at.
 *
 * Only Debian's `chromium` (or $FW_CHROMIUM) is needed; without it a test is skipped. Whatever happens it is ended with the test: by the
 * process group at exit, by the kernel when the test is killed. Its profile is a folder under TMPDIR, removed at the end. */
#ifndef FW_TEST_BROWSER_H
#define FW_TEST_BROWSER_H

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "fw_test.h"
#include "wire/ws_client.h"

static struct {
    pid_t pid;
    char folder[512];
    fw_ws_client *devtools;
    int next_id;
    int complaints; /* exceptions and refused loads in pages */
} browser;

typedef struct page {
    char target[80], session[80];
    bool touch;
} page;

static inline void browser_stop(void) {
    fw_ws_client_close(browser.devtools);
    browser.devtools = NULL;
    if (browser.pid > 0) {
        kill(-browser.pid, SIGKILL);
        waitpid(browser.pid, NULL, 0);
        browser.pid = 0;
    }
    for (int i = 0; i < 20 && browser.folder[0] != 0 && fw_remove_tree(browser.folder, NULL) != FW_OK; i++) {
        usleep(100000); /* its last threads are still writing */
    }
    browser.folder[0] = 0;
}

static inline const char *browser_path(void) {
    const char *given = getenv("FW_CHROMIUM");
    return given != NULL ? given : "/usr/bin/chromium";
}

static inline void browser_exec(void) {
    char profile[600];
    const int null = open("/dev/null", O_RDWR);
    snprintf(profile, sizeof profile, "--user-data-dir=%s", browser.folder);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, 0), dup2(null, 1), dup2(null, 2);
    execl(browser_path(), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
          "--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars",
          "--proxy-server=direct://", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
          "--ignore-certificate-errors", "--remote-debugging-port=0", profile, "about:blank", (char *)NULL);
    _exit(127);
}

/* The file in which it writes its port and path. */
static inline void browser_url(char *url, size_t cap) {
    char path[600], *text = NULL;
    size_t n;
    snprintf(path, sizeof path, "%s/DevToolsActivePort", browser.folder);
    for (int i = 0; i < 600; i++) {
        char *line = NULL;
        if (fw_path_exists(path) && fw_file_read(path, 4096, &text, &n, NULL) == FW_OK) {
            line = strchr(text, '\n');
            if (line != NULL && line[1] != 0) {
                snprintf(url, cap, "ws://127.0.0.1:%d%.*s", atoi(text), (int)strcspn(line + 1, "\n"), line + 1);
                free(text);
                return;
            }
            free(text);
        }
        usleep(50000);
    }
    FW_FAILED("%s did not start within 30 s", browser_path());
}

static inline void browser_start(void) {
    char url[300];
    fw_err err = {0};
    const char *tmp = getenv("TMPDIR");
    if (!fw_path_exists(browser_path())) {
        SKIP("no chromium: tools/setup.sh --checks installs it");
    }
    snprintf(browser.folder, sizeof browser.folder, "%s/flywheel-browser-XXXXXX", tmp != NULL ? tmp : "/tmp");
    CHECK(mkdtemp(browser.folder) != NULL);
    atexit(browser_stop);
    fflush(NULL);
    browser.pid = fork();
    if (browser.pid == 0) {
        browser_exec();
    }
    setpgid(browser.pid, browser.pid);
    browser_url(url, sizeof url);
    if (fw_ws_client_open(&(fw_ws_client_opts){.url = url}, 10000, &browser.devtools, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
}

/* ---- the protocol ---- */

static inline void browser_event(const json_t *m) {
    const char *what = json_string_value(json_object_get(m, "method"));
    if (what != NULL && (strcmp(what, "Runtime.exceptionThrown") == 0 || strcmp(what, "Log.entryAdded") == 0)) {
        const json_t *entry = json_object_get(json_object_get(m, "params"), "entry");
        const char *level = json_string_value(json_object_get(entry, "level")),
                   *source = json_string_value(json_object_get(entry, "source"));
        if (entry == NULL || (strcmp(level, "error") == 0 && strcmp(source, "network") != 0)) {
            char *words = json_dumps(m, JSON_COMPACT);
            fprintf(stderr, "the page complains: %s\n", words);
            free(words);
            browser.complaints++;
        }
    }
}

/* params is consumed. -> the result, owned. */
static inline json_t *devtools(const char *session, const char *method, json_t *params) {
    const int id = ++browser.next_id;
    json_t *q =
        json_pack("{s:i,s:s,s:o}", "id", id, "method", method, "params", params != NULL ? params : json_object());
    fw_buf m = {0};
    fw_err err = {0};
    bool text;
    if (session != NULL) {
        json_object_set_new(q, "sessionId", json_string(session));
    }
    char *s = json_dumps(q, JSON_COMPACT);
    CHECK_INT(fw_buf_put(&m, s, strlen(s), NULL), FW_OK);
    free(s);
    json_decref(q);
    fw_status st = fw_ws_client_send(browser.devtools, &m, true, &err);
    while (st == FW_OK) {
        json_t *j = NULL;
        st = fw_ws_client_recv(browser.devtools, 20000, &m, &text, &err);
        if (st == FW_OK) {
            j = json_loadb((const char *)fw_buf_data(&m), m.n, 0, NULL);
            fw_buf_free(&m);
            CHECK(j != NULL);
        }
        if (j != NULL && json_integer_value(json_object_get(j, "id")) == id) {
            json_t *result = json_object_get(j, "result");
            if (result == NULL) {
                FW_FAILED("%s: %s", method, json_dumps(j, JSON_COMPACT));
            }
            json_incref(result);
            json_decref(j);
            return result;
        }
        if (j != NULL) {
            browser_event(j);
            json_decref(j);
        }
    }
    FW_FAILED("%s: %s", method, err.msg);
}

static inline void tell(const char *session, const char *method, json_t *params) {
    json_decref(devtools(session, method, params));
}

/* ---- pages ---- */

static inline void page_close(const page *p) {
    tell(NULL, "Target.closeTarget", json_pack("{s:s}", "targetId", p->target));
}

/* The value of an expression (or what it promises); owned. */
static inline json_t *page_eval(const page *p, const char *js) {
    json_t *r = devtools(p->session, "Runtime.evaluate",
                         json_pack("{s:s,s:b,s:b}", "expression", js, "returnByValue", 1, "awaitPromise", 1));
    if (json_object_get(r, "exceptionDetails") != NULL) {
        FW_FAILED("%s: %s", js, json_dumps(r, JSON_COMPACT));
    }
    json_t *v = json_incref(json_object_get(json_object_get(r, "result"), "value"));
    json_decref(r);
    return v;
}

static inline double page_number(const page *p, const char *js) {
    json_t *v = page_eval(p, js);
    const double x = json_number_value(v);
    json_decref(v);
    return x;
}

/* Until the expression is true; false: not within so many seconds. */
static inline bool page_soon(const page *p, const char *js, double seconds) {
    for (int64_t until = fw_now_ns() + (int64_t)(1e9 * seconds); fw_now_ns() < until; usleep(20000)) {
        json_t *v = page_eval(p, js);
        const bool yes = json_is_true(v);
        json_decref(v);
        if (yes) {
            return true;
        }
    }
    return false;
}

static inline void page_wait(const page *p, const char *js) {
    if (page_soon(p, js, 15)) {
        return;
    }
    json_t *v =
        page_eval(p, "`${document.activeElement.id || document.activeElement.tagName} has the focus, its value is"
                     " '${document.activeElement.value}'; ${document.body.innerText}`.replace(/\\s+/g, ' ')");
    FW_FAILED("not within 15 s: %s; the page says: %s", js, json_string_value(v));
}

static inline page page_open(const char *url, int w, int h, bool phone) {
    page p = {.touch = phone};
    json_t *t = devtools(NULL, "Target.createTarget", json_pack("{s:s}", "url", "about:blank"));
    snprintf(p.target, sizeof p.target, "%s", json_string_value(json_object_get(t, "targetId")));
    json_decref(t);
    t = devtools(NULL, "Target.attachToTarget", json_pack("{s:s,s:b}", "targetId", p.target, "flatten", 1));
    snprintf(p.session, sizeof p.session, "%s", json_string_value(json_object_get(t, "sessionId")));
    json_decref(t);
    tell(p.session, "Runtime.enable", NULL);
    tell(p.session, "Log.enable", NULL);
    tell(p.session, "Emulation.setDeviceMetricsOverride",
         json_pack("{s:i,s:i,s:f,s:b}", "width", w, "height", h, "deviceScaleFactor", phone ? 2.0 : 1.0, "mobile",
                   phone));
    tell(p.session, "Emulation.setTouchEmulationEnabled", json_pack("{s:b}", "enabled", phone));
    tell(p.session, "Emulation.setFocusEmulationEnabled", json_pack("{s:b}", "enabled", 1));
    tell(p.session, "Page.navigate", json_pack("{s:s}", "url", url));
    page_wait(&p, "document.readyState === 'complete' && location.href !== 'about:blank'");
    return p;
}

static inline void page_centre(const page *p, const char *selector, double *x, double *y) {
    char js[400];
    snprintf(js, sizeof js,
             "(() => { const e = document.querySelector('%s'); const r = e.getBoundingClientRect();"
             " const x = r.left + r.width / 2, y = r.top + r.height / 2;"
             " return e.contains(document.elementFromPoint(x, y)) ? x + 1e5 * Math.round(y) : -1 })()",
             selector);
    const double xy = page_number(p, js);
    if (xy < 0) {
        FW_FAILED("'%s' is not on the screen, or lies under something", selector);
    }
    *y = floor(xy / 1e5);
    *x = xy - 1e5 * *y;
}

static inline void page_finger(const page *p, const char *type, double x, double y) {
    json_t *points = json_array();
    if (strcmp(type, "touchEnd") != 0) {
        json_array_append_new(points, json_pack("{s:f,s:f}", "x", x, "y", y));
    }
    tell(p->session, "Input.dispatchTouchEvent", json_pack("{s:s,s:o}", "type", type, "touchPoints", points));
}

static inline void page_mouse(const page *p, const char *type, double x, double y) {
    tell(p->session, "Input.dispatchMouseEvent",
         json_pack("{s:s,s:f,s:f,s:s,s:i,s:i}", "type", type, "x", x, "y", y, "button", "left", "buttons", 1,
                   "clickCount", 1));
}

/* A finger or the mouse on the middle of it, pressed only. */
static inline void page_press(const page *p, const char *selector) {
    double x, y;
    page_centre(p, selector, &x, &y);
    if (p->touch) {
        page_finger(p, "touchStart", x, y);
    } else {
        page_mouse(p, "mousePressed", x, y);
    }
}

static inline void page_click(const page *p, const char *selector) {
    double x, y;
    page_centre(p, selector, &x, &y);
    page_press(p, selector);
    if (p->touch) {
        page_finger(p, "touchEnd", x, y);
    } else {
        page_mouse(p, "mouseReleased", x, y);
    }
}

static inline void page_drag(const page *p, const char *selector, double dx, double dy) {
    double x, y;
    page_centre(p, selector, &x, &y);
    page_mouse(p, "mousePressed", x, y);
    page_mouse(p, "mouseMoved", x + dx, y + dy);
    page_mouse(p, "mouseReleased", x + dx, y + dy);
}

/* code: as of KeyboardEvent, "KeyW"; key: what it types. */
static inline void page_key(const page *p, const char *type, const char *code, const char *key) {
    tell(p->session, "Input.dispatchKeyEvent", json_pack("{s:s,s:s,s:s}", "type", type, "code", code, "key", key));
}

static inline void page_type(const page *p, const char *text) {
    tell(p->session, "Input.insertText", json_pack("{s:s}", "text", text));
}

static inline int base64(const char *s, uint8_t *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int n = 0, have = 0;
    for (; *s != 0 && *s != '='; s++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, *s) - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    return n;
}

/* A PNG of what is seen, so much larger or smaller: $FW_SHOTS/name.png; nothing is done without FW_SHOTS. */
static inline void page_shot(const page *p, const char *name, double scale) {
    char path[600];
    const char *folder = getenv("FW_SHOTS");
    if (folder == NULL) {
        return;
    }
    const double w = page_number(p, "innerWidth"), h = page_number(p, "innerHeight");
    json_t *r = devtools(p->session, "Page.captureScreenshot",
                         json_pack("{s:s,s:{s:f,s:f,s:f,s:f,s:f}}", "format", "png", "clip", "x", 0.0, "y", 0.0,
                                   "width", w, "height", h, "scale", scale));
    const char *data = json_string_value(json_object_get(r, "data"));
    uint8_t *png = malloc(strlen(data));
    snprintf(path, sizeof path, "%s/%s.png", folder, name);
    CHECK_INT(fw_file_write_atomic(path, png, (size_t)base64(data, png), NULL), FW_OK);
    free(png);
    json_decref(r);
}

static inline void page_dark(const page *p, bool dark) {
    tell(p->session, "Emulation.setEmulatedMedia",
         json_pack("{s:[{s:s,s:s}]}", "features", "name", "prefers-color-scheme", "value", dark ? "dark" : "light"));
}

#endif /* FW_TEST_BROWSER_H */
