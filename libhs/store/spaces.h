/* What is told of a room to those who are not in it, and unfinished walks through spaces. Owns: space_walk; reads room,
 * room_summary and user_room. */
#ifndef HS_STORE_SPACES_H
#define HS_STORE_SPACES_H

#include "core/auth.h"
#include "store/rooms.h"

/* A room as its summary says it, and the user's membership in it. */
typedef struct {
    hs_nid room; /* 0: not known, or nobody of ours is in it */
    hs_str room_id, version;
    hs_room_summary summary;
    hs_membership membership; /* NONE: never had to do with it, or has forgotten it */
} hs_room_card;

/* ret[i] belongs to rooms[i]. user 0: nobody's membership. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_cards(hs_db *db, hs_arena *a, hs_nid user, const hs_nid *rooms,
                                                       size_t n, hs_room_card *ret);
/* Is the user joined to one of the rooms with these ids? */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_joined_any(hs_db *db, hs_arena *a, hs_nid user, hs_strs room_ids,
                                                       bool *ret);

/* Where a walk stands, for its next page. `params` says what was asked: a token is good for the same question only. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_walk_put(hs_db *db, hs_arena *a, hs_str token_sha256, hs_nid user,
                                                     hs_str params, hs_nids queue, hs_nids done, int64_t now_ts,
                                                     int64_t expires_ts);
/* *ret_found false: never given to that user for that question, or expired. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_walk_get(hs_db *db, hs_arena *a, hs_str token_sha256, hs_nid user,
                                                     hs_str params, int64_t now_ts, hs_nids *ret_queue,
                                                     hs_nids *ret_done, bool *ret_found);

#endif
