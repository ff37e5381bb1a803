/* Taking a room out of the database: every row of every table that names it, in slices. This is the one place that
 * knows all tables with a room_nid; tests/unit/store/purge_test.c compares them with the schema.
 *
 * In this order: sealed (nobody writes or loads it any more), what users have of it, the tables, the room itself. */
#ifndef HS_STORE_PURGE_H
#define HS_STORE_PURGE_H

#include "store/write.h"

/* From here on the room is not found (rooms.h, timeline.h). With a row in its timeline whose snapshot nobody can have
 * seen (HS_SEALED_SNAP), whatever is on its way to it comes back stale. */
enum { HS_SEALED_SNAP = INT32_MAX };
HS_NODISCARD hs_error *hs_store_room_seal(hs_write *w, hs_nid room);

/* Users of this server with a row in user_room, whatever it says: those after `after`, in order. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_users(hs_db *db, hs_arena *a, hs_nid room, hs_nid after, int32_t limit,
                                                       hs_nids *ret);
/* The same of those who are joined, invited or knocking. *ret_joined[i]: joined. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_present(hs_db *db, hs_arena *a, hs_nid room, hs_nid after,
                                                         int32_t limit, hs_nids *ret, bool **ret_joined);
/* A slice of what some users have in tables that are theirs; *ret_n 0: that was all. User 0 stands for everybody. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_purge_of_users(hs_tx *tx, hs_arena *a, hs_nid room, hs_nids users,
                                                           int32_t limit, uint64_t *ret_n);
/* Their rows in user_room, in a unit that tells of it. */
HS_NODISCARD hs_error *hs_store_purge_user_rooms(hs_write *w, hs_nid room, hs_nids users);

/* The tables that are led by the room. A slice of the rows of one, from *io_cursor on (INT64_MIN: the start). */
size_t hs_store_purge_tables(void);
const char *hs_store_purge_table(size_t i);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_purge_slice(hs_tx *tx, hs_arena *a, size_t table, hs_nid room,
                                                        int64_t *io_cursor, int32_t limit, uint64_t *ret_n);
/* The last row. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_purge_room(hs_tx *tx, hs_arena *a, hs_nid room);

#endif
