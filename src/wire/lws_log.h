/* lws_log.h - libwebsockets' words go where ours go */
#ifndef FW_WIRE_LWS_LOG_H
#define FW_WIRE_LWS_LOG_H

/* Any number of times, from any thread. */
void fw_lws_log_init(void);

#endif /* FW_WIRE_LWS_LOG_H */
