/* Reading a room's state as a user: the present one when joined, the one at their leaving when they have left. */
#ifndef HS_SERVER_ROOM_STATE_H
#define HS_SERVER_ROOM_STATE_H

#include "server/room.h"
#include "server/session.h"

typedef struct {
    hs_room *room;
    hs_membership membership; /* NONE: neither in nor left, but the room is world readable */
    bool at_leave;            /* the state to show is (line, snap), not the present one */
    int32_t line, snap;
} hs_room_access;

/* The room, if `who` has or had to do with it (joined, invited, left …). *ret NULL: not, or there is no such room: who
 * asks must not be able to tell which. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_find_own(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                    hs_room **ret);
/* May `who` look at the room, and at which state? 403 M_FORBIDDEN with Synapse's text. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_access_check(hs_server *srv, const hs_session *who, hs_arena *a,
                                                        hs_str room_id, hs_room_access *ret);
/* All state events at the access' point; without order. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_state_list(hs_server *srv, hs_arena *a, const hs_room_access *access,
                                                      hs_stored ***ret, size_t *ret_n);
/* One; *ret NULL: none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_state_one(hs_server *srv, hs_arena *a, const hs_room_access *access,
                                                     hs_str type, hs_str state_key, hs_stored **ret);
/* Member events, filtered; at_pos 0: the access' point, else the state at that stream position, 403 for who may not see
 * it. HS_MEMBER_NONE: no filter. */
typedef struct {
    int64_t at_pos;
    hs_membership membership, not_membership;
} hs_members_filter;
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_members(hs_server *srv, const hs_session *who, hs_arena *a,
                                                   const hs_room_access *access, const hs_members_filter *f,
                                                   hs_stored ***ret, size_t *ret_n);
/* State entries (slot → event) at a snapshot, from memory or the store. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_snapshot(hs_server *srv, hs_arena *a, hs_room *room, int32_t line,
                                                    int32_t snap, hs_state_set *ret);

#endif
