/* Who is in a room: join, leave, invite, kick, ban, unban, forget; and profile changes, which are member events too. */
#ifndef HS_SERVER_ROOM_MEMBER_H
#define HS_SERVER_ROOM_MEMBER_H

#include "server/room.h"
#include "server/room_send.h"

typedef enum {
    HS_CHANGE_JOIN,
    HS_CHANGE_LEAVE,
    HS_CHANGE_INVITE,
    HS_CHANGE_KICK,
    HS_CHANGE_BAN,
    HS_CHANGE_UNBAN,
    HS_CHANGE_KNOCK,
} hs_member_action;

typedef struct {
    hs_member_action action;
    hs_str room_id;
    hs_str target;  /* user id; p NULL: oneself */
    hs_str reason;  /* p NULL: none */
    hs_jv content;  /* further members of the event's content (join: the body's own); absent: none */
    hs_str txn_id;  /* p NULL: none */
    bool is_direct; /* invites */
} hs_member_change;

/* One membership change as `who`; Synapse's error texts. A join of somebody joined gives the present event.
 * ret_event_id may be NULL. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_member_change(hs_server *srv, const hs_session *who, hs_arena *a,
                                                         const hs_member_change *in, hs_str *ret_event_id);
/* PUT state of an m.room.member event: the body's own content, checked as Synapse does. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_member_put(hs_server *srv, const hs_session *who, hs_arena *a,
                                                      const hs_send *in, hs_str *ret_event_id);
/* May `who` invite the user at all? 403: the server lets only admins, or the user wants no invites
 * (m.invite_permission_config). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_invite_check(hs_server *srv, hs_arena *a, const hs_session *who, hs_str target);
/* Room id or alias → room id. 404 M_NOT_FOUND, 400 M_INVALID_PARAM. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_resolve(hs_server *srv, hs_arena *a, hs_str room_id_or_alias,
                                                   hs_str *ret_room_id);

/* forget_rooms_on_leave: whether the change ends a stay in a room that is forgotten with it. */
static inline bool hs_member_forgets(const hs_server *srv, hs_membership was, hs_membership now)
{
    return srv->config->forget_rooms_on_leave && was == HS_MEMBER_JOIN && now != HS_MEMBER_JOIN;
}
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_forget(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id);

/* Room ids that the user is joined to. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_rooms_joined(hs_server *srv, hs_arena *a, hs_nid user, hs_strs *ret);

/* Writes the user's present name and avatar into their member event of every joined room. Failures in single rooms are
 * logged, not returned. To be called after the profile is stored. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_rooms_profile_changed(hs_server *srv, hs_arena *a, const hs_session *who);

#endif
