/* Structured log: one line per event, level, component, a fixed event name, then fields.
 *
 *     hs_log(log, HS_LOG_WARN, "store.slow", "statement=%s ms=%lld", name, ms);
 *
 * Never: tokens, passwords, key material, content. Lines look like Synapse's ("2026-01-31 12:00:00,000 - component - 1 - INFO - id -
 * text") or are JSON, as configured. Writing never blocks: past a bounded buffer lines are dropped and counted. */
#ifndef HS_RUNTIME_LOG_H
#define HS_RUNTIME_LOG_H

#include <hs/error.h>

typedef enum { HS_LOG_DEBUG, HS_LOG_INFO, HS_LOG_WARN, HS_LOG_ERROR } hs_log_level;
typedef struct hs_logger hs_logger;

/* fd is where lines go; `json` selects the format. NULL without memory. */
hs_logger *hs_logger_open(int fd, hs_log_level least, bool json);
void hs_logger_close(hs_logger *l);
void hs_logger_set_level(hs_logger *l, hs_log_level least);
/* event is "component.what". l may be NULL: nothing is written. */
void hs_log(hs_logger *l, hs_log_level level, const char *event, const char *fmt, ...) HS_PRINTF(4, 5);
/* The same with a request id in its place. */
void hs_log_req(hs_logger *l, hs_log_level level, hs_str request_id, const char *event, const char *fmt, ...)
    HS_PRINTF(5, 6);
/* An error with its whole chain, as one line. */
void hs_log_error(hs_logger *l, hs_log_level level, hs_str request_id, const char *event, const hs_error *e);

#endif
