/* Writing events of a room: the only way into event, timeline and state.
 *
 * A hs_room_write is one unit of one room: its events are written in their order, all or none. Messages of a room hold
 * its lock shared and chain on an in-memory pending head; what changes state holds it exclusively and builds on the
 * durable head.
 *
 * Legal order: open → add (once per event: built, checked, evaluated) → commit. A stale unit is built anew, see
 * hs_room_write_run. */
#ifndef HS_SERVER_EVENT_PERSIST_H
#define HS_SERVER_EVENT_PERSIST_H

#include "server/news.h"
#include "server/push_eval.h"
#include "server/session.h"

typedef struct hs_room_write hs_room_write;

/* What a local event is to be; the rest (parents, auth events, depth, signature) is the room's head's. */
typedef struct {
    hs_str type, state_key;
    bool is_state;
    hs_str sender;     /* user id … */
    hs_nid sender_nid; /* … and number */
    hs_jv content;     /* an object */
    hs_str redacts;    /* p NULL: none */
    bool has_ts;
    int64_t ts;
    /* idempotency: scope and answer of the client's transaction; txn_id.p NULL: none */
    hs_str txn_id, device_id;
    bool is_sticky; /* MSC4354: for sticky_ms */
    int64_t sticky_ms;
    bool no_push; /* counts for nobody: the initial state of a room */
} hs_event_wish;

typedef struct {
    hs_str event_id;
    hs_nid nid;
    bool already; /* the state was so before; nothing was written: event_id is the event that holds it */
} hs_event_made;

/* Fills a unit on the given room. Called again after a stale attempt, with the arena's earlier results left behind.
 * Must add by hs_room_write_add only, and not commit. */
typedef hs_error *hs_room_write_fn(hs_room_write *w, void *ud);

typedef enum { HS_WRITE_MESSAGE, HS_WRITE_STATE } hs_room_write_kind;

/* Runs fill under the room's lock and commits, rebuilding when stale (3 times; then 503). The room must be held by `a`.
 * *ret_conflict (may be NULL: then that is 500): a row was there already, which for a transaction id means that it has
 * its answer. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_write_run(hs_server *srv, hs_arena *a, hs_room *room,
                                                     hs_room_write_kind kind, hs_room_write_fn *fill, void *ud,
                                                     bool *ret_conflict);
/* Inside fill: builds, checks against the auth rules (403 M_FORBIDDEN with Synapse's text) and adds. The state of later
 * events includes earlier ones. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_write_add(hs_room_write *w, const hs_event_wish *wish, hs_event_made *ret);

/* Inside fill, once: a new room (hs_cache_room_new) whose events are written in the same unit, so that both rooms
 * change or neither does. Nobody else may know the room yet. */
HS_NODISCARD hs_error *hs_room_write_beside(hs_room_write *w, hs_room *room, hs_room_write **ret);

/* Inside fill, to ask things that belong into the same unit. */
hs_server *hs_room_write_server(const hs_room_write *w);
hs_arena *hs_room_write_arena(const hs_room_write *w);
hs_room *hs_room_write_room(const hs_room_write *w);
hs_write *hs_room_write_unit(const hs_room_write *w);
/* The state that the next event will be checked against. Loads what is named. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_write_view(hs_room_write *w, const hs_state_key_pair *want, size_t n,
                                                      hs_state_view *ret);

/* What holds (type, state_key) before the next event; *ret NULL: nothing. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_write_state(hs_room_write *w, hs_str type, hs_str state_key,
                                                       hs_stored **ret);
/* JSON text of our own making as an event's content. */
HS_NODISCARD hs_error *hs_content_parse(hs_arena *a, hs_str json, hs_jv *ret);

/* ── rows of other modules ────────────────────────────────────────────────────────────────────────────────────────────
 * Called once for each event while its unit is put together (relations, threads, push notes, implicit receipts): adds
 * statements to the unit and may add to its news. May suspend to look things up; sees the room as it was before the
 * unit. */
typedef struct {
    hs_room *room;
    const hs_stored *event;
    uint32_t at; /* its position in the unit, for 'p' params */
    const hs_push_outcome *push;
} hs_persist_event;
typedef hs_error *hs_persist_hook(void *ud, hs_arena *a, hs_write *w, const hs_persist_event *e);
HS_NODISCARD hs_error *hs_persist_listen(hs_server *srv, hs_persist_hook *fn, void *ud);

#endif
