#include "wire/lws_log.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"

static void emit(int level, const char *line) {
    const int n = (int)strcspn(line, "\n");
    fw_log((level & LLL_ERR) != 0 ? FW_LOG_WARN : FW_LOG_DEBUG, "libwebsockets: %.*s", n, line);
}

static void init(void) {
    lws_set_log_level(LLL_ERR | LLL_WARN, emit);
}

void fw_lws_log_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init);
}
