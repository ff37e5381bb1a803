/* The inside of a room's unit of writing: shared by event_persist.c (order, locks, commit) and event_rows.c (rows of an
 * event). */
#ifndef HS_SERVER_EVENT_WRITE_H
#define HS_SERVER_EVENT_WRITE_H

#include "base/vec.h"
#include "server/cache.h"
#include "store/rooms.h"
#include "store/state.h"
#include "store/timeline.h"

typedef struct {
    int64_t slot;
    hs_stored *event;
} hs_overlay;

typedef struct {
    hs_snap at;
    int64_t slot;
    hs_nid event; /* HS_STATE_GONE: nothing from here on */
} hs_state_row;

typedef struct {
    int64_t slot;
    hs_stored *was, *now; /* NULL: nothing */
} hs_state_swap;

struct hs_room_write {
    hs_server *srv;
    hs_arena *a;
    hs_room *room;
    hs_write *unit;
    /* what the next event is built on */
    HS_VEC(hs_stored *) heads;
    int64_t depth;
    int32_t line, snap;
    int64_t seen_pos;           /* 0: only the snapshot matters */
    HS_VEC(hs_overlay) overlay; /* state set by the unit's earlier events */
    hs_nid redacted;            /* by this unit; 0: nothing */
    uint32_t last_at;
    /* what is told and counted at the end */
    HS_VEC(hs_news_event) events;
    hs_summary_delta counts;
    bool counts_changed, summary_changed;
    struct hs_room_write *beside; /* another room's events in the same unit; NULL: none */
};

/* One event that has been built or received, and checked. */
typedef struct hs_event_rows_in {
    hs_stored *event;
    bool refill; /* a stub or an outlier of its number is stored */
    hs_nids prev, auth;
    hs_nids covers;     /* what is no head any more, if that is not just `prev`; the event itself: it is none either */
    bool heads_by_hand; /* … so that the heads do not follow from its parents */
    hs_str device_id, txn_id; /* txn_id.p NULL: none */
    hs_nid redacts;           /* 0: nothing */
    const hs_push_outcome *push;
    /* the room's resolved state once it is in */
    hs_snap after;
    const hs_state_row *rows; /* what is written to state lines for it */
    size_t rows_n;
    const hs_state_swap *changes; /* what changes in the present state */
    size_t changes_n;
} hs_event_rows_in;

/* A unit on the room's head (the pending one if there is one), and its end before the commit. */
HS_NODISCARD hs_error *hs_room_write_begin(hs_server *srv, hs_arena *a, hs_room *room, hs_room_write **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_write_finish(hs_room_write *w);
/* A timeline row without an event, on the row that was seen: `after` is the room's state from then on. All workers read
 * the room again. */
HS_NODISCARD hs_error *hs_room_write_marker(hs_write *w, const hs_timeline_row *seen, hs_snap after);
/* The event itself and its transaction id, without a place in the timeline. */
HS_NODISCARD hs_error *hs_event_rows_insert(hs_room_write *w, const hs_event_rows_in *in);
/* All of it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_event_rows_add(hs_room_write *w, const hs_event_rows_in *in);
/* Once for the unit: summary and counts. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_event_rows_end(hs_room_write *w);

#endif
