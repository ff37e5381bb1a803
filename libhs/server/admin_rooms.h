/* Rooms as an administrator sees and changes them. Synapse's admin API, "Rooms", "Edit room membership". */
#ifndef HS_SERVER_ADMIN_ROOMS_H
#define HS_SERVER_ADMIN_ROOMS_H

#include "server/room.h"
#include "server/session.h"
#include "store/room_list.h"

/* `q->limit` is cut at 10,000. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_rooms(hs_server *srv, hs_arena *a, hs_room_list_query *q,
                                                  hs_listed_room **ret, size_t *ret_n, int64_t *ret_total);
/* 404 M_NOT_FOUND "Room not found", here and below. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_room(hs_server *srv, hs_arena *a, hs_str room_id, hs_room_details *ret,
                                                 bool *ret_tombstoned);
/* User ids of who is joined. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_room_members(hs_server *srv, hs_arena *a, hs_str room_id, hs_strs *ret);
/* The present state; only events of `type` unless its p is NULL. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_room_state(hs_server *srv, hs_arena *a, hs_str room_id, hs_str type,
                                                       hs_room **ret_room, hs_stored ***ret, size_t *ret_n);

/* Rooms by id or alias from here on. */

/* Its forward extremities, oldest first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_room_heads(hs_server *srv, hs_arena *a, hs_str room, hs_stored ***ret,
                                                       size_t *ret_n);
/* All but the newest of them are forgotten; *ret_n of them. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_room_heads_clear(hs_server *srv, hs_arena *a, hs_str room, size_t *ret_n);
/* A local user is joined; invited by `who` where that is needed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_room_join(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room,
                                                      hs_str user_id, hs_str *ret_room_id);
/* Somebody gets the power of the mightiest local user, in whose name it is given. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_room_make_admin(hs_server *srv, hs_arena *a, hs_str room, hs_str user_id);

/* An event of any room as it was stored, redacted or not: a JSON object. 404. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_event(hs_server *srv, hs_arena *a, hs_str event_id, hs_str *ret_json);

#endif
