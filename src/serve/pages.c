/* pages.c - WHAT: /healthz (openpi), /health and /config (vla-eval), /metrics (Prometheus), and a page that names them */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "serve/serve_int.h"

bool fw_serve_page_is_open(void *serve, const char *path) {
    (void)serve;
    return strcmp(path, "/healthz") == 0 || strcmp(path, "/health") == 0;
}

static void metrics(fw_serve *s, fw_http_reply *reply) {
    fw_metrics_of of[FW_SERVE_MODELS];
    for (int i = 0; i < s->n_model; i++) {
        of[i] = (fw_metrics_of){s->model[i].name, &s->model[i].metrics, fw_model_waiting(&s->model[i])};
    }
    reply->body = fw_metrics_text(of, s->n_model, fw_ws_server_connections(s->ws));
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    reply->status = reply->body != NULL ? 200 : 500;
}

/* One "key=value" of /config's query. */
static void set_one(fw_serve *s, char *pair, json_t *applied, json_t *errors) {
    char *eq = strchr(pair, '='), *end = NULL, text[160];
    if (eq != NULL) {
        *eq = 0;
    }
    const double x = eq != NULL ? strtod(eq + 1, &end) : 0;
    const bool number = end != NULL && end != eq + 1 && *end == 0 && isfinite(x);
    if (strcmp(pair, "max_batch_size") == 0 && number && x >= 1 && x <= FW_SERVE_BATCH && x == floor(x)) {
        atomic_store(&s->max_batch, (int)x);
        json_object_set_new(applied, pair, json_integer((json_int_t)x));
    } else if (strcmp(pair, "max_wait_time") == 0 && number && x >= 0 && x <= 10) {
        atomic_store(&s->batch_wait_ms, 1e3 * x);
        json_object_set_new(applied, pair, json_real(x));
    } else {
        const bool known = strcmp(pair, "max_batch_size") == 0 || strcmp(pair, "max_wait_time") == 0;
        snprintf(text, sizeof text, known ? "bad value for %.60s: '%.60s'" : "unknown key: %.60s", pair,
                 eq != NULL ? eq + 1 : "");
        json_array_append_new(errors, json_string(text));
    }
}

/* vla-eval's knobs: values now, after those of the query were set. */
static void config(fw_serve *s, const char *query, fw_http_reply *reply) {
    char all[512], *rest = NULL;
    json_t *applied = json_object(), *errors = json_array();
    snprintf(all, sizeof all, "%s", query);
    for (char *pair = strtok_r(all, "&", &rest); pair != NULL; pair = strtok_r(NULL, "&", &rest)) {
        set_one(s, pair, applied, errors);
    }
    const bool bad = json_array_size(errors) > 0;
    json_t *j = json_object();
    reply->status = bad && json_object_size(applied) == 0 ? 422 : 200;
    if (reply->status == 200) {
        json_object_set(j, "applied", applied);
        json_object_set_new(j, "config",
                            json_pack("{s:i, s:f}", "max_batch_size", atomic_load(&s->max_batch), "max_wait_time",
                                      1e-3 * atomic_load(&s->batch_wait_ms)));
    }
    if (bad) {
        json_object_set(j, "errors", errors);
    }
    reply->type = "application/json";
    reply->body = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    json_decref(applied);
    json_decref(errors);
}

static void index_page(const fw_serve *s, fw_http_reply *reply) {
    char text[2048] = "flywheel serve: websockets for openpi and vla-eval clients at / and /<model>;\n"
                      "pages: /healthz /health /config /metrics\nmodels:";
    for (int i = 0; i < s->n_model; i++) {
        const size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, " %s", s->model[i].name);
    }
    strncat(text, "\n", 2);
    reply->status = 200;
    reply->body = strdup(text);
}

void fw_serve_page(void *serve, const fw_ws_request *r, fw_http_reply *reply) {
    fw_serve *s = serve;
    const char *path = r->path;
    const bool draining = atomic_load(&s->draining);
    if (strcmp(path, "/healthz") == 0) {
        reply->status = draining ? 503 : 200;
        reply->body = strdup(draining ? "shutting down\n" : "OK\n");
    } else if (strcmp(path, "/health") == 0) {
        reply->status = draining ? 503 : 200;
        reply->type = "application/json";
        reply->body = strdup(draining ? "{\"status\": \"shutting down\"}\n" : "{\"status\": \"ok\"}\n");
    } else if (strcmp(path, "/metrics") == 0) {
        metrics(s, reply);
    } else if (strcmp(path, "/config") == 0) {
        config(s, r->query, reply);
    } else if (strcmp(path, "/") == 0) {
        index_page(s, reply);
    }
}
