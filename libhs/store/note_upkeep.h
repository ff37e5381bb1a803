/* What becomes of old push notes. Owns: note_mark; deletes from push_note.
 *
 * A note that its user has read past counts nowhere and goes; unread ones of a user in a room and thread become one,
 * which counts as they did. Notes that highlight stay longer, since the list of notifications shows them. Notes of
 * everybody stay: they are one an event at most, as the timeline is. */
#ifndef HS_STORE_NOTE_UPKEEP_H
#define HS_STORE_NOTE_UPKEEP_H

#include "store/db.h"

#define HS_NOTES_PLAIN_MS (INT64_C(24) * 3600 * 1000) /* Synapse's times */
#define HS_NOTES_HIGH_MS  (INT64_C(30) * 24 * 3600 * 1000)

/* Notes before these positions may be gone. */
typedef struct {
    int64_t plain, high; /* those that do not highlight, those that do; 0: none */
} hs_note_horizon;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_note_horizon(hs_db *db, hs_arena *a, int64_t now, hs_note_horizon *ret);
/* Says that `pos` was the newest position at `now`, once in a quarter of an hour. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_note_mark(hs_tx *tx, hs_arena *a, int64_t now, int64_t pos);

typedef struct {
    hs_nid user, room;
    int64_t pos;
} hs_note_key;
/* Looks at the `limit` notes behind *at and moves it; *ret_end when there are no more. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_notes_slice(hs_tx *tx, hs_arena *a, const hs_note_horizon *h, int32_t limit,
                                                        hs_note_key *at, bool *ret_end);

#endif
