/* console_int.h - inside the console: the page's files */
#ifndef FW_CONSOLE_CONSOLE_INT_H
#define FW_CONSOLE_CONSOLE_INT_H

#include "console/console.h"
#include "wire/ws_server.h"

/* A file of web/, built in. */
typedef struct fw_web_file {
    const char *name; /* "index.html" */
    const unsigned char *data;
    size_t n;
} fw_web_file;
/* Ends with a NULL name. Written by web/embed.cmake. */
extern const fw_web_file fw_web_files[];

/* The answer to a GET of path. web: folder to read from, or NULL. */
void fw_console_page(const char *web, const char *path, fw_http_reply *reply);

#endif /* FW_CONSOLE_CONSOLE_INT_H */
