/* Who follows which thread (MSC4306). Owns: thread_sub. A row stays after its subscription has ended: what came before
 * that moment does not bring it back. */
#ifndef HS_STORE_THREAD_SUBS_H
#define HS_STORE_THREAD_SUBS_H

#include "store/write.h"

typedef struct {
    bool subscribed, automatic;
    int64_t unsub_pos; /* when it ended; 0: it has not */
} hs_thread_sub;
/* *ret_found: whether there has ever been one. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_thread_sub_get(hs_db *db, hs_arena *a, hs_nid user, hs_nid room,
                                                           hs_nid root, hs_thread_sub *ret, bool *ret_found);
/* unsub_pos is not read: it is the position `at` where the subscription ends. */
HS_NODISCARD hs_error *hs_store_thread_sub_put(hs_write *w, uint32_t at, hs_nid user, hs_nid room, hs_nid root,
                                               const hs_thread_sub *in);

typedef struct {
    int64_t pos;
    hs_str room_id, root_id;
    bool subscribed, automatic;
} hs_thread_sub_row;
/* The user's newest `limit` changes with after < pos <= upto, the newest first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_thread_subs(hs_db *db, hs_arena *a, hs_nid user, int64_t after,
                                                        int64_t upto, int32_t limit, hs_thread_sub_row **ret,
                                                        size_t *ret_n);
/* Who follows the thread, in order; some may have left the room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_thread_followers(hs_db *db, hs_arena *a, hs_nid room, hs_nid root,
                                                             hs_nids *ret);

#endif
