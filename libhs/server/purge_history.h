/* Purging a room's history up to an event or a time. Synapse's admin API, "Purge History API". */
#ifndef HS_SERVER_PURGE_HISTORY_H
#define HS_SERVER_PURGE_HISTORY_H

#include "server/jobs.h"

#define HS_JOB_PURGE_HISTORY "purge_history"

HS_NODISCARD hs_error *hs_purge_history_open(hs_server *srv);

/* Events before this one go. 404 when it is not known, 400 when it is of another room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_purge_history_to_event(hs_server *srv, hs_arena *a, hs_str room_id,
                                                             hs_str event_id, bool local, hs_str *ret_id);
/* Those received before the time, but the newest of them. 404 when there are none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_purge_history_to_ts(hs_server *srv, hs_arena *a, hs_str room_id, int64_t ts,
                                                          bool local, hs_str *ret_id);
/* The same for what has expired, if there is anything and nobody is at it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_purge_history_expire(hs_server *srv, hs_arena *a, hs_nid room, hs_str room_id,
                                                           int64_t ts);

#endif
