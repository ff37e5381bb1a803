/* Reading a room's events as a user: what may be seen, in which order, and how it looks to a client.
 * Spec: Client-Server API, "Getting events for a room", "Event Context", "Room history visibility". */
#ifndef HS_SERVER_TIMELINE_H
#define HS_SERVER_TIMELINE_H

#include "base/json_out.h"
#include "core/client_event.h"
#include "core/filter.h"
#include "server/room.h"
#include "server/session.h"
#include "store/timeline.h"

enum { HS_PAGE_LIMIT = 1000 }; /* the most that any page holds, as Synapse's */

/* ── how an event looks ── */
enum {
    HS_SHOW_ROOM_ID = 1,    /* with room_id: everywhere but in /sync */
    HS_SHOW_FEDERATION = 2, /* the PDU as it is (event_format "federation") */
};

typedef struct {
    unsigned flags;
    const hs_session *viewer; /* whose transaction ids hs_events_show may show; NULL: nobody's */
    int64_t now;              /* ms since 1970, for unsigned.age */
    hs_strs fields;           /* event_fields; n 0: all */
} hs_show;

/* An event with all that its `unsigned` needs. The caller sets event and membership, hs_timeline_dress the rest. */
typedef struct hs_dressed hs_dressed;
struct hs_dressed {
    hs_stored *event;
    hs_membership membership; /* the viewer's at the event; NONE: not shown */
    int64_t pos;              /* of the timeline row, where the caller knows it; else 0 */
    hs_stored *redaction;     /* NULL: not redacted */
    hs_stored *replaced;      /* the state event before it; NULL: none */
    hs_str txn_id;            /* of the viewer's device; p NULL: none */
    hs_str delay_id;          /* under which the viewer had it sent later; p NULL: not */
    /* aggregations */
    const hs_dressed *edit, *thread_last;
    int64_t thread_count;
    bool participated; /* the viewer is in the thread */
    const hs_str *references;
    size_t references_n;
};

enum {
    HS_DRESS_BUNDLE = 1,   /* aggregations too */
    HS_DRESS_REPLACED = 2, /* what state events replaced, where the viewer may see it */
    HS_DRESS_STATE = 4,    /* the events are state that the viewer is shown because it holds: memberships are not set */
};
/* The events may be of several rooms. One round trip at most for each kind of thing that is not in memory. viewer NULL:
 * nobody's transaction ids. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_dress(hs_server *srv, hs_arena *a, const hs_session *viewer,
                                                     unsigned what, hs_dressed *events, size_t n);
/* Puts the redacted form in the place of what erased users have sent, for viewers who were not in the room then
 * (timeline_erase.c). A part of hs_timeline_dress. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_erase(hs_server *srv, hs_arena *a, hs_dressed *events, size_t n);
/* Writes the whole JSON object as the next value. Does not suspend. */
void hs_event_show(hs_json_out *j, const hs_show *how, const hs_dressed *e);
/* A list of them as an array. */
void hs_dressed_show(hs_json_out *j, const hs_show *how, const hs_dressed *events, size_t n);
/* Dresses and writes a list of events as an array, the next value. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_events_show(hs_server *srv, hs_arena *a, hs_json_out *j, hs_room *room,
                                                  const hs_show *how, bool bundle, hs_stored *const *events, size_t n);
/* State events without any dress but their age. */
void hs_state_show(hs_json_out *j, const hs_show *how, hs_stored *const *events, size_t n);

/* What a state event replaced, for many; ret[i] is 0 for none and for what is no state event. Remembered. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_events_replaced(hs_server *srv, hs_arena *a, hs_stored *const *events, size_t n,
                                                      hs_nid *ret);

HS_NODISCARD hs_error *hs_timeline_open(hs_server *srv, hs_arena *a);
void hs_timeline_close(hs_server *srv);

/* ── what may be seen ── */
typedef enum {
    HS_SEES_PAST_STAYS, /* somebody who has left sees what they saw as a member */
    HS_SEES_NOW_ONLY,   /* … but what was before the join only while they are joined */
} hs_sees;
/* visible[i]: may the user see events[i]? By history visibility at the event, membership then and now, and ignored
 * users; who asks as an administrator sees all. membership[i]: the user's at the event (LEAVE when there was none). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_visible(hs_server *srv, hs_arena *a, hs_room *room,
                                                       const hs_session *who, hs_sees sees, hs_stored *const *events,
                                                       size_t n, bool *visible, hs_membership *membership);
/* Is it of a type that clients are shown at all? */
bool hs_event_is_shown(const hs_event *ev);
/* Clears io_visible of redactions whose event is not here (yet), as Synapse does: whether they may is not known, and
 * there is nothing that they say. hs_timeline_visible has done it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_hide_idle_redactions(hs_server *srv, hs_arena *a, hs_nid room,
                                                                    hs_stored *const *events, size_t n,
                                                                    bool *io_visible);
/* Of an event that the user may see: may they see the state that held there? Whoever was in the room may, and anybody
 * where history was world readable; who was only invited may not. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_state_visible(hs_server *srv, hs_arena *a, hs_room *room,
                                                             const hs_session *who, hs_stored *event,
                                                             hs_membership membership, bool *ret);
/* Users whom somebody ignores. Remembered by the sync service's news; see account data. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_ignored_users(hs_server *srv, hs_arena *a, hs_nid user, hs_nids *ret);

/* ── tokens ── each divides the room's events in two. Sync tokens are accepted too.
 *   s<pos>                what came up to a position, and what came later
 *   t<depth>_<pos>        what is up to a point of the topological order, and what is after it
 *   t<depth>_<pos>_<upto> going backward from s<upto>, what is left: up to the point, and came up to that position
 *   f<depth>_<pos>_<after> going forward from s<after>, what is left: after the point, and came after that position
 * The last two keep the position that the first page began with: where workers write at once, an event may be deeper
 * than one that came later, and a point alone would pass it over. */
typedef enum { HS_PAGE_WHOLE, HS_PAGE_UPTO, HS_PAGE_AFTER } hs_page_bound;
typedef struct {
    bool has_depth; /* by (depth, pos); else by pos alone */
    int64_t depth, pos;
    hs_page_bound bound; /* only with a depth */
    int64_t bound_pos;
} hs_page_token;
/* 400 M_UNKNOWN for what is none. */
HS_NODISCARD hs_error *hs_page_token_read(hs_arena *a, hs_str s, hs_page_token *ret);
/* Its place in the room's topological order. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_page_token_point(hs_server *srv, hs_arena *a, hs_nid room, const hs_page_token *t,
                                                       hs_topo *ret);
HS_NODISCARD hs_error *hs_page_token_write(hs_arena *a, const hs_page_token *t, hs_str *ret);

/* ── services ── */
typedef struct {
    hs_str room_id;
    hs_str from, to; /* p NULL: none */
    bool forwards;
    int64_t limit;
    const hs_event_filter *filter; /* NULL: none */
} hs_messages_query;

typedef struct {
    hs_room *room;
    hs_dressed *chunk;
    size_t chunk_n;
    hs_stored **state; /* NULL: not lazy */
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
    bool state_bare; /* it is shown without what it replaced */
    hs_str start, end;
} hs_event_context;
HS_NODISCARD HS_SUSPENDS hs_error *hs_context_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                  hs_str event_id, int64_t limit, const hs_event_filter *filter,
                                                  hs_event_context *ret);
/* The event sent closest to a moment, at it or on that side of it: the nearest of those that `who` may see (NULL: of
 * all). 404 when there is none. hs_timeline_at asks first whether `who` is in the room or may look in. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_nearest(hs_server *srv, const hs_session *who, hs_arena *a,
                                                       hs_room *room, int64_t ts, bool forwards, hs_stored **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_at(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                  int64_t ts, bool forwards, hs_stored **ret);
/* ret->event NULL: unknown. Not dressed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_find(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                    hs_str event_id, hs_room **ret_room, hs_dressed *ret,
                                                    bool *ret_visible);
/* 404 M_NOT_FOUND when unknown or not to be seen. Not dressed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_timeline_event(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                     hs_str event_id, hs_room **ret_room, hs_dressed *ret);

#endif
