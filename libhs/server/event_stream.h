/* GET /events: what clients listened to before /sync. One list, in order of time: events of the joined rooms, or of one
 * room that may be looked into, and what else /sync would tell. Spec: Client-Server API, getEvents, peekEvents. */
#ifndef HS_SERVER_EVENT_STREAM_H
#define HS_SERVER_EVENT_STREAM_H

#include "server/sync.h"
#include "server/timeline.h"

typedef struct {
    hs_sync_token from;
    hs_str room_id; /* p NULL: the rooms that the user has joined */
    int64_t limit;  /* of events; more come with the next token */
} hs_event_stream_in;

typedef struct {
    hs_dressed *events;
    size_t events_n;
    hs_strs others; /* whole objects: presence, typing, receipts, account data */
    hs_sync_token end;
    bool looks_in; /* the room is not the user's: no waiter hears of it */
} hs_event_stream_page;

/* 403 M_FORBIDDEN for a room that is neither joined nor world readable. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_event_stream(hs_server *srv, const hs_session *who, hs_arena *a,
                                                   const hs_event_stream_in *in, hs_event_stream_page *ret);
/* The token of this moment. Messages to the device count as not shown: here they are not told. */
hs_sync_token hs_event_stream_now(const hs_server *srv);

/* An m.presence event of /sync as older clients know it: the user is in the content. */
HS_NODISCARD hs_error *hs_presence_in_old_form(hs_arena *a, hs_str event, hs_str *ret);

#endif
