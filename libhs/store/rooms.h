/* Rooms. Owns: room, room_summary, published. */
#ifndef HS_STORE_ROOMS_H
#define HS_STORE_ROOMS_H

#include "store/write.h"

/* room.flags */
enum { HS_ROOM_PARTIAL = 2, HS_ROOM_BEING_DELETED = 4, HS_ROOM_BLOCKED = 8 };

typedef struct {
    hs_nid room; /* 0: not found */
    hs_str room_id, version;
    hs_nid creator; /* user; 0: not known */
    int32_t flags;
    int64_t created_ts;
} hs_room_row;

/* Into the unit's transaction, before the ticket; HS_WRITE_CONFLICT when the id or number is there already. */
HS_NODISCARD hs_error *hs_store_room_insert(hs_write *w, const hs_room_row *row);
/* ret[i] belongs to rooms[i]. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_rooms(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n,
                                                  hs_room_row *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_by_id(hs_db *db, hs_arena *a, hs_str room_id, hs_room_row *ret);

/* What lists and sync show of a room without its state. Strings: p NULL when there is none. */
typedef struct {
    hs_nid room; /* 0: not found */
    hs_str name, canonical_alias, topic, avatar, join_rules, history_visibility, guest_access, encryption, room_type,
        successor;
    bool federatable;
    hs_nids heroes; /* users */
    int32_t joined, invited, knocked, banned, local_joined, state_events;
    int64_t bump_pos, pos;
    int64_t retention_max; /* put only; 0: none */
} hs_room_summary;

/* After the ticket: `at` is the position that the row takes (bump_pos becomes it too when row->bump_pos is -1,
 * otherwise stays). Everything but the counts, which hs_store_summary_counts keeps. */
HS_NODISCARD hs_error *hs_store_summary_put(hs_write *w, uint32_t at, const hs_room_summary *row);
/* Changes to the counts, for membership changes: added to what is there. */
typedef struct {
    int32_t joined, invited, knocked, banned, local_joined, state_events;
} hs_summary_delta;
HS_NODISCARD hs_error *hs_store_summary_counts(hs_write *w, uint32_t at, hs_nid room, const hs_summary_delta *d);
/* ret[i] belongs to rooms[i]. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_summaries(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n,
                                                      hs_room_summary *ret);

/* ── the room directory's list of published rooms ── (the public list itself is directory.h) */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_published_get(hs_db *db, hs_arena *a, hs_nid room, bool *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_published_add(hs_db *db, hs_arena *a, hs_nid room);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_published_remove(hs_db *db, hs_arena *a, hs_nid room);
/* In the transaction that makes the room. */
HS_NODISCARD hs_error *hs_store_published_insert(hs_write *w, hs_nid room);
/* `to` instead of `from`, if that is published. */
HS_NODISCARD hs_error *hs_store_published_move(hs_write *w, hs_nid from, hs_nid to);

#endif
