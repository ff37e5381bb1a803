/* Rooms that two users are both in. Spec: Client-Server API, "Mutual Rooms". */
#ifndef HS_SERVER_MUTUAL_ROOMS_H
#define HS_SERVER_MUTUAL_ROOMS_H

#include "server/session.h"

typedef struct {
    hs_strs rooms;     /* in order of id */
    size_t total;      /* on all pages */
    hs_str next_batch; /* p NULL: nothing more */
} hs_mutual_page;

/* `from`: an earlier next_batch; p NULL: from the start. 400 M_INVALID_PARAM for a user id that is none, one's own, or
 * a token that is none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_mutual_rooms(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id,
                                                   hs_str from, hs_mutual_page *ret);

#endif
