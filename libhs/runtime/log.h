/* Structured log: one line per event, level, component, a fixed event name, then fields.
 *
 *     hs_log(log, HS_LOG_WARN, "store.slow", "statement=%s ms=%lld", name, ms);
 *
 * Never: tokens, passwords, key material, content. Lines look like Synapse's ("2026-01-31 12:00:00,000 - component - 1
 * - INFO - id - text") or are JSON, as configured. Writing never blocks: past a bounded buffer lines are dropped and
 * counted. */
#ifndef HS_RUNTIME_LOG_H
#define HS_RUNTIME_LOG_H

#include <hs/error.h>

typedef enum { HS_LOG_DEBUG, HS_LOG_INFO, HS_LOG_WARN, HS_LOG_ERROR } hs_log_level;
typedef struct hs_logger hs_logger;

/* fd is where lines go (it stays the caller's); `json` selects the format. NULL without memory. A thread of its own
 * writes; it starts with the first line, so a program that daemonises does that before it logs. */
hs_logger *hs_logger_open(int fd, hs_log_level least, bool json);
/* Writes what is there, but waits no longer than 2 s for a reader. */
void hs_logger_close(hs_logger *l);
/* Lines from now on go to fd (log rotation). What was logged before has been written to the old one when this returns.
 */
void hs_logger_set_fd(hs_logger *l, int fd);
void hs_logger_set_level(hs_logger *l, hs_log_level least);
/* event is "component.what". l may be NULL: nothing is written. */
void hs_log(hs_logger *l, hs_log_level level, const char *event, const char *fmt, ...) HS_PRINTF(4, 5);
/* The same with a request id in its place. */
void hs_log_req(hs_logger *l, hs_log_level level, hs_str request_id, const char *event, const char *fmt, ...)
    HS_PRINTF(5, 6);
/* A line that is put together already; beyond 4 KiB it is cut. */
void hs_log_text(hs_logger *l, hs_log_level level, hs_str request_id, const char *event, hs_str text);
/* An error with its whole chain, as one line. */
void hs_log_error(hs_logger *l, hs_log_level level, hs_str request_id, const char *event, const hs_error *e);

/* A request's target as it may stand in a log: the values of query parameters that are secrets are replaced by
 * "<redacted>", and what does not fit into `room` is cut. */
hs_str hs_log_target(hs_str target, char *room, size_t room_n);

#endif
