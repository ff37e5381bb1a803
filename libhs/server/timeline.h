/* Reading a room's events as a user: what may be seen, in which order, and how it looks to a client.
 * Spec: Client-Server API, "Getting events for a room", "Event Context", "Room history visibility". */
#ifndef HS_SERVER_TIMELINE_H
#define HS_SERVER_TIMELINE_H

#include "core/client_event.h"
#include "core/filter.h"
#include "server/room.h"
#include "server/session.h"

/* ── how an event looks ── */
typedef enum {
    HS_SHOW_ROOM_ID = 1,    /* with room_id: everywhere but in /sync */
    HS_SHOW_FEDERATION = 2, /* the PDU as it is (event_format "federation") */
} hs_show_flags;

typedef struct {
    unsigned flags;
    const hs_session *viewer; /* for unsigned.transaction_id; NULL: none */
    int64_t now;              /* ms since 1970, for unsigned.age */
    hs_strs fields;           /* event_fields; n 0: all */
} hs_show;

/* An event with all that its `unsigned` needs, filled by hs_timeline_dress. */
typedef struct {
    hs_stored *event;
    hs_stored *redaction;     /* NULL: not redacted */
    hs_stored *replaced;      /* the state event before it; NULL: none */
    hs_str txn_id;            /* of the viewer's device; p NULL: none */
    hs_str bundle;            /* value of m.relations; p NULL: none */
    hs_membership membership; /* the viewer's at the event; NONE: not shown */
} hs_dressed;

/* Fills redaction, replaced, txn_id and (bundle true) bundle of n events whose `event` is set. One round trip at most
 * for each kind. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_dress(hs_server *srv, hs_arena *a, hs_room *room,
                                                     const hs_session *viewer, bool bundle, hs_dressed *events,
                                                     size_t n);
/* Writes the whole JSON object. Does not suspend. */
void hs_event_show(hs_json_out *j, const hs_show *how, const hs_dressed *e);
/* Both for a list, as the next value: an array. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_events_show(hs_server *srv, hs_arena *a, hs_json_out *j, hs_room *room,
                                                  const hs_show *how, bool bundle, hs_stored *const *events, size_t n);

/* ── what may be seen ── */
/* visible[i]: may the user see events[i]? By history visibility at the event, membership then and now, and ignored
 * users. ret_membership (may be NULL) gets the user's membership at each. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_visible(hs_server *srv, hs_arena *a, hs_room *room,
                                                       const hs_session *who, hs_stored *const *events, size_t n,
                                                       bool *visible, hs_membership *ret_membership);

/* ── tokens ── "t<depth>_<pos>" for paging; a sync token is accepted wherever one of these is */
typedef struct {
    bool has_depth; /* by (depth, pos); else by pos alone */
    int64_t depth, pos;
} hs_page_token;
/* 400 M_INVALID_PARAM? as Synapse answers for garbage. */
HS_NODISCARD hs_error *hs_page_token_read(hs_arena *a, hs_str s, hs_page_token *ret);
HS_NODISCARD hs_error *hs_page_token_write(hs_arena *a, const hs_page_token *t, hs_str *ret);

/* ── services ── */
typedef struct {
    hs_str room_id;
    hs_str from, to; /* p NULL: none */
    bool forwards;
    int64_t limit;
    hs_event_filter filter;
} hs_messages_query;

typedef struct {
    hs_room *room;
    hs_dressed *chunk;
    size_t chunk_n;
    hs_stored **state;
    size_t state_n;
    hs_str start, end; /* end.p NULL: nothing more */
} hs_messages_page;
HS_NODISCARD HS_SUSPENDS hs_error *hs_messages_get(hs_server *srv, const hs_session *who, hs_arena *a,
                                                   const hs_messages_query *in, hs_messages_page *ret);

typedef struct {
    hs_room *room;
    hs_dressed event;
    hs_dressed *before, *after;
    size_t before_n, after_n;
    hs_stored **state;
    size_t state_n;
    hs_str start, end;
} hs_event_context;
HS_NODISCARD HS_SUSPENDS hs_error *hs_context_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                  hs_str event_id, int64_t limit, const hs_event_filter *filter,
                                                  hs_event_context *ret);
/* 404 M_NOT_FOUND when unknown or not visible. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_event(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                     hs_str event_id, hs_room **ret_room, hs_dressed *ret);

#endif
