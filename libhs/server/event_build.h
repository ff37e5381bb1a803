/* Our own events: from a wish and the head of its room to signed bytes in memory. */
#ifndef HS_SERVER_EVENT_BUILD_H
#define HS_SERVER_EVENT_BUILD_H

#include "server/cache.h"

#define HS_PREV_MAX 20

typedef struct {
    const hs_roomver *rv;
    hs_str room_id; /* empty: a create event that gives the room its id */
    const hs_event_wish *wish;
    hs_str content;         /* canonical */
    hs_stored *const *prev; /* newest last; no more than HS_PREV_MAX of them are named */
    size_t prev_n;
    hs_stored *const *auth;
    size_t auth_n;
    int64_t depth;
    hs_stored_facts facts;
} hs_build_in;

/* Signed, size-checked (413 M_TOO_LARGE) and ready to be stored; held by `a`, not in the cache. */
HS_NODISCARD hs_error *hs_event_build_local(hs_server *srv, hs_arena *a, const hs_build_in *in, hs_stored **ret);

#endif
