/* Exceptions to the room's running totals of unread counts; who ignores whom. Owns: push_note, ignored.
 *
 * count(user, room) = totals now - totals at the newest receipt + the notes after it, of the user and of user 0 (who is
 * everybody). Notes with a thread count there, the others in the main timeline. store-design §3.5. */
#ifndef HS_STORE_UNREAD_H
#define HS_STORE_UNREAD_H

#include "store/write.h"

typedef struct {
    hs_nid user; /* 0: everybody */
    hs_nid thread;
    int32_t d_notify, d_high;
    int32_t actions;
} hs_note;

/* At position `at` of the unit. */
HS_NODISCARD hs_error *hs_store_notes_insert(hs_write *w, uint32_t at, hs_nid room, hs_nid event, const hs_note *notes,
                                             size_t n);
/* The event at event_pos was redacted: it counts for nobody any more. `members`: local users who may have a note about
 * it. Before `plain` (note_upkeep.h) only its highlights are taken back. */
HS_NODISCARD hs_error *hs_store_notes_redact(hs_write *w, hs_nid room, hs_nid event, int64_t event_pos, int64_t plain,
                                             const hs_nid *members, size_t n);

/* Where a user has read to, and the notes since. */
typedef struct {
    hs_nid room, thread; /* thread -1: unthreaded */
    int64_t event_pos, n_notify, n_high;
} hs_read_row;
typedef struct {
    hs_nid room, thread;
    int64_t d_notify, d_high;
} hs_note_sum;
typedef struct {
    hs_read_row *reads; /* the furthest one of each (room, thread) */
    hs_note_sum *sums;  /* per (room, thread), after the furthest of the thread's and the unthreaded receipt */
    size_t reads_n, sums_n;
} hs_unread_rows;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_unread(hs_db *db, hs_arena *a, hs_nid user, const hs_nid *rooms, size_t n,
                                                   hs_unread_rows *ret);

/* Whom a user ignores: the index of the account data m.ignored_user_list, written with it. */
HS_NODISCARD hs_error *hs_store_ignored_put(hs_write *w, hs_nid user, const hs_nid *ignored, size_t n);
/* Whom a user ignores, and which users of this server ignore somebody. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_ignored(hs_db *db, hs_arena *a, hs_nid user, hs_nids *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_ignored_by(hs_db *db, hs_arena *a, hs_nid user, hs_nids *ret);

#endif
