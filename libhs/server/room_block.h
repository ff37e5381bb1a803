/* Rooms that an administrator has blocked: nobody of this server joins, knocks or is invited there. Looked up in the
 * database each time: what one worker has blocked is blocked for all. */
#ifndef HS_SERVER_ROOM_BLOCK_H
#define HS_SERVER_ROOM_BLOCK_H

#include "server/session.h"

/* 403 M_UNKNOWN when it is blocked. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_block_check(hs_server *srv, hs_arena *a, hs_str room_id);
/* *ret_by: who blocked it; p NULL: nobody. 400 for what is no room id. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_block_get(hs_server *srv, hs_arena *a, hs_str room_id, hs_str *ret_by);
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_block_put(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                     bool block);

#endif
