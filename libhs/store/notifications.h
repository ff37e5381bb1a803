/* Reading back what a user was notified of: from the running totals of timelines and the notes beside them. Owns no
 * table. */
#ifndef HS_STORE_NOTIFICATIONS_H
#define HS_STORE_NOTIFICATIONS_H

#include "core/auth.h"
#include "store/db.h"

typedef struct {
    hs_nid room;
    hs_membership membership; /* join or invite */
    int64_t pos;              /* of its newest row before the one that was asked for */
    int64_t since;            /* position of the join; 0: not known */
    int64_t read;             /* position up to which the user has read; 0: nothing */
} hs_notify_room;
/* The user's rooms in which something is at or after position `from` and before `before`, newest first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_notify_rooms(hs_db *db, hs_arena *a, hs_nid user, int64_t from,
                                                         int64_t before, int32_t limit, hs_notify_room **ret,
                                                         size_t *ret_n);

/* A timeline row with its room's totals, or a note. */
typedef struct {
    hs_nid room;
    int64_t pos;
    hs_nid event;
    hs_nid user; /* of a note; 0: everybody's */
    int32_t n_notify, n_high;
} hs_notify_row;

typedef struct {
    hs_notify_row *rows, *notes; /* by room, newest first */
    size_t rows_n, notes_n;
} hs_notify_rows;
/* Of each room the newest `limit` rows before the position and not before since[i], and the newest `limit` notes for
 * the user and for everybody that are not before `from`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_notify_rows(hs_db *db, hs_arena *a, hs_nid user, hs_nids rooms,
                                                        hs_nids since, int64_t from, int64_t before, int32_t limit,
                                                        hs_notify_rows *ret);

#endif
