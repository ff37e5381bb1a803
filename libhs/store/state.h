/* State history. Owns: state_line, state_tip, state_past.
 *
 * A room has numbered lines; a snapshot is (line, snap). Snapshot 0 of a line is its base: nothing, or a snapshot of
 * another line. A state event on the newest snapshot n of a line makes n + 1: hs_write_state (slot of `line` holds
 * `event` from `snap` on). Event HS_STATE_GONE says that the slot is empty from there on and the base is not to be
 * asked. The newest snapshot of the room's main line is its current state. store-design §1.2. */
#ifndef HS_STORE_STATE_H
#define HS_STORE_STATE_H

#include "core/stateres.h"
#include "store/write.h"

enum { HS_STATE_GONE = -1 };

typedef struct {
    int32_t line, snap; /* line -1: none */
} hs_snap;

/* Full state at a snapshot, sorted by slot. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_state_at(hs_db *db, hs_arena *a, hs_nid room, hs_snap at,
                                                     hs_state_set *ret);
/* Only slots low <= slot < high: all members, all but members … (core/sign.h, hs_slot_low). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_state_range(hs_db *db, hs_arena *a, hs_nid room, hs_snap at, int64_t low,
                                                        int64_t high, hs_state_set *ret);
/* ret[i]: the event of slots[i] there, 0 for none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_state_slots(hs_db *db, hs_arena *a, hs_nid room, hs_snap at,
                                                        const int64_t *slots, size_t n, hs_nid *ret);
/* One slot at many snapshots (history visibility of a page): ret[i] belongs to at[i]. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_state_slot_at(hs_db *db, hs_arena *a, hs_nid room, int64_t slot,
                                                          const hs_snap *at, size_t n, hs_nid *ret);

typedef struct {
    int64_t slot;
    hs_nid before, after; /* 0: none */
} hs_state_change;
/* What differs between two snapshots of a room, sorted by slot. One statement when both are of one line. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_state_diff(hs_db *db, hs_arena *a, hs_nid room, hs_snap from, hs_snap to,
                                                       hs_state_change **ret, size_t *ret_n);

/* Newest snapshot of a line; 0 when nothing has been written to it but its base. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_line_newest(hs_db *db, hs_arena *a, hs_nid room, int32_t line,
                                                        int32_t *ret);
/* A number that no line of the room has yet. Two writers may get the same: the second unit is HS_WRITE_CONFLICT. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_line_next(hs_db *db, hs_arena *a, hs_nid room, int32_t *ret);

/* state_line.flags: partial, and what a line was born of */
enum { HS_LINE_PARTIAL = 1, HS_LINE_FORK = 2, HS_LINE_JOIN = 4, HS_LINE_GAP = 8, HS_LINE_ROLLOVER = 16 };
/* A new line, with a base (line -1: none: it starts empty). Before any hs_write_state of it, in the same unit or an
 * earlier one. */
HS_NODISCARD hs_error *hs_store_line_insert(hs_write *w, hs_nid room, int32_t line, hs_snap base, int32_t flags);
/* A line that starts with a full state as its snapshot 0 (join, gap). `base` sorted or not; slots once each. */
HS_NODISCARD hs_error *hs_store_line_insert_full(hs_write *w, hs_nid room, int32_t line, const hs_state_entry *state,
                                                 size_t n, int32_t flags);
/* Changes that make the next snapshot `at` of a line which this same unit has begun, so that nobody else can: slots
 * once each, HS_STATE_GONE for what is empty from there on. What others may write to as well is for hs_write_state. */
HS_NODISCARD hs_error *hs_store_line_rows(hs_write *w, hs_nid room, hs_snap at, const hs_state_entry *rows, size_t n);
/* How many bases a lookup at the line passes; more than HS_LINE_MAX_DEPTH asks for a rollover. */
enum { HS_LINE_MAX_DEPTH = 4 };
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_line_depth(hs_db *db, hs_arena *a, hs_nid room, int32_t line, int32_t *ret);

#endif
