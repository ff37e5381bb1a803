/* hs/server.h: the whole homeserver in a process of yours.
 *
 * A host is one worker: an event loop with all services and the listeners of its configuration. There is no state
 * outside of it: several may live in one process, each on a thread of its own. All calls for one host come from the
 * same thread, but for hs_host_wake. It needs a PostgreSQL that `database` of the configuration names; it neither forks
 * nor handles signals. */
#ifndef HS_SERVER_H
#define HS_SERVER_H

#include <hs/arena.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hs_host hs_host;

/* `yaml` is homeserver.yaml as text, `name` what errors call it. The signing key that it names must be there. Connects,
 * migrates the database, opens the listeners. The error lives in `a`. Log lines go to log_fd; -1: nowhere. */
HS_API HS_NODISCARD hs_error *hs_host_open(hs_arena *a, hs_str name, hs_str yaml, int log_fd, hs_host **ret);
/* Serves for at most about max_ms and returns. Call it again and again. */
HS_API void hs_host_turn(hs_host *h, int max_ms);
/* False: the database has lost what was saved (a failover without all data). Requests get 503; close the host and open
 * it again. */
HS_API bool hs_host_ok(const hs_host *h);
/* Ends a running hs_host_turn early. Any thread. */
HS_API void hs_host_wake(hs_host *h);
/* Answers what waits, for at most drain_ms, then closes everything. NULL is fine. */
HS_API void hs_host_close(hs_host *h, int drain_ms);

#ifdef __cplusplus
}
#endif
#endif
