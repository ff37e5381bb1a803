/* The order of a room's events. Owns: timeline (written by the ticket, hs_write_item).
 *
 * A room's head is its newest row. Positions are positive for what came live, negative for history that was fetched
 * later. */
#ifndef HS_STORE_TIMELINE_H
#define HS_STORE_TIMELINE_H

#include "store/events.h"

typedef struct {
    hs_nid room;
    int64_t pos, depth;
    int32_t line, snap; /* the room's resolved state once this row is in */
    hs_nid event;       /* 0: a marker */
    hs_nids heads;      /* never empty for a live row: just the event when the store kept nothing else; heads only */
    hs_nids delta;      /* state events made current besides the row's own */
    int32_t n_notify, n_high; /* running totals */
    hs_event_row ev;          /* of hs_store_timelines only; without prev and auth */
} hs_timeline_row;

typedef enum { HS_FORWARD, HS_BACKWARD } hs_direction;

/* The newest live row; *ret_found false: the room has none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_head(hs_db *db, hs_arena *a, hs_nid room, hs_timeline_row *ret,
                                                 bool *ret_found);
/* The newest live row at or before pos. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_head_at(hs_db *db, hs_arena *a, hs_nid room, int64_t pos,
                                                    hs_timeline_row *ret, bool *ret_found);

/* A room as it is in one snapshot of the database: what is not kept by position belongs to the head. */
typedef struct {
    hs_str room_id, version;
    bool has_head; /* false: known from elsewhere only, an invite or an alias */
    hs_timeline_row head;
    int32_t copy_line, copy_snap; /* what snapshot 0 of the head's line is a copy of; line -1: of nothing */
    int64_t joined, invited;
    hs_nids local_members; /* joined users of this server, in order */
} hs_room_now;
/* *ret_found false: there is none, or it is being deleted. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_now(hs_db *db, hs_arena *a, hs_nid room, hs_room_now *ret,
                                                     bool *ret_found);

/* Rooms by number, after `after`: how the newest row has left each. */
typedef struct {
    hs_nid room;
    int32_t line, snap, heads_n; /* of a room that has no row, or is being deleted: 0, 0, 1 */
} hs_room_top;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_tops(hs_db *db, hs_arena *a, hs_nid after, int32_t limit,
                                                      hs_room_top **ret, size_t *ret_n);

/* Rows with low < pos <= high: the oldest `limit` of them going forward, the newest going backward; in the order of the
 * direction. Markers are left out. Their events are not read: most are in the caller's memory. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_timeline(hs_db *db, hs_arena *a, hs_nid room, int64_t low, int64_t high,
                                                     hs_direction dir, int32_t limit, hs_timeline_row **ret,
                                                     size_t *ret_n);
/* The same in topological order: (depth, pos) between two points, low exclusive, high inclusive, of what has a position
 * in a range of its own. In a room that forked one does not follow from the other. */
typedef struct {
    int64_t depth, pos;
} hs_topo;
typedef struct {
    hs_topo low, high;
    int64_t after, upto; /* after < pos <= upto */
} hs_span;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_timeline_topo(hs_db *db, hs_arena *a, hs_nid room, const hs_span *span,
                                                          hs_direction dir, int32_t limit, hs_timeline_row **ret,
                                                          size_t *ret_n);
/* The least depth of the rows with low < pos <= high; *ret_known false: there are none, or `limit` or more. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_timeline_shallowest(hs_db *db, hs_arena *a, hs_nid room, int64_t low,
                                                                int64_t high, int32_t limit, int64_t *ret_depth,
                                                                bool *ret_known);
/* The newest `limit` rows of each room with low < pos <= high (markers left out), joined with their events, by room as
 * given, newest first within one. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_timelines(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n,
                                                      int64_t low, int64_t high, int32_t limit, hs_timeline_row **ret,
                                                      size_t *ret_n);
/* Where events are: ret[i].pos 0 when nids[i] is not in the timeline. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_timeline_of(hs_db *db, hs_arena *a, hs_nid room, const hs_nid *nids,
                                                        size_t n, hs_timeline_row *ret);
/* Which of these rooms have a row with low < pos <= high: their numbers, in the order given. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_rooms_with_news(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n,
                                                            int64_t low, int64_t high, hs_nids *ret);
/* The oldest `limit` of all these rooms together with low < pos <= high, markers left out. */
typedef struct {
    hs_nid room, event;
    int64_t pos;
} hs_stream_row;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_timeline_stream(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n,
                                                            int64_t low, int64_t high, int32_t limit,
                                                            hs_stream_row **ret, size_t *ret_n);
/* The newest row of every room that has one after `low`: (room, pos), for the index of last positions at start. */
typedef struct {
    hs_nid room;
    int64_t pos;
} hs_room_pos;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_rooms_after(hs_db *db, hs_arena *a, int64_t low, hs_room_pos **ret,
                                                        size_t *ret_n);

#endif
