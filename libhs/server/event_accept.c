/* The one entry for events.
 *
 *   1  shape and size              core/event.c, when the event was read or built
 *   2  signatures                  remote ones (event_receive.c)
 *   3  hash                        remote ones (event_receive.c); ours are right by making
 *   4  auth against its own auth events        remote ones; ours name what the state before it holds
 *   5  the state before it         the caller's: the room's head, or what its parents resolve to (event_graph.c)
 *   6  auth against that state
 *   7  soft failure: auth against the room's present state        remote ones; for ours that is step 6
 *   8  persist                     event_persist.c
 *
 * A local event that fails is refused and leaves nothing behind; a remote one that fails 4 or 6 is kept as rejected,
 * one that fails 7 as soft-failed. */
#include "server/event_accept.h"

typedef struct {
    const hs_accept_in *in;
} view_of_auth;

/* The state that its own auth events make up. */
static const hs_event *auth_get(void *ud, hs_str type, hs_str state_key)
{
    const hs_accept_in *in = ((const view_of_auth *)ud)->in;

    for (size_t i = 0; i < in->auth_n; i++)
        if (in->auth[i]->is_state && hs_str_eq(in->auth[i]->type, type) && hs_str_eq(in->auth[i]->state_key, state_key))
            return in->auth[i];
    return NULL;
}

static hs_verdict step4_auth_events(const hs_accept_in *in)
{
    view_of_auth ud = { .in = in };
    hs_state_view view = { .get = auth_get, .ud = &ud, .create = in->before ? in->before->create : in->create };
    hs_verdict v = hs_auth_check_auth_events(in->event, in->auth, in->auth_rejected, in->auth_n);

    if (!v.ok)
        return v;
    return hs_auth_check(in->event, &view);
}

static const char *membership_word(const hs_state_view *state, hs_str user)
{
    switch (hs_auth_membership(state, user)) {
    case HS_MEMBER_INVITE:
        return "invite";
    case HS_MEMBER_LEAVE:
        return "leave";
    case HS_MEMBER_BAN:
        return "ban";
    case HS_MEMBER_KNOCK:
        return "knock";
    case HS_MEMBER_JOIN:
        return "join";
    case HS_MEMBER_NONE:
        break;
    }
    return "None";
}

static hs_error *forbidden(hs_arena *a, hs_str text)
{
    return hs_err(a, 403, HS_M_FORBIDDEN, "%.*s", HS_FMT(text));
}

static hs_error *forbidden_join(hs_arena *a, const hs_event *ev, hs_membership target)
{
    if (!hs_str_eq(ev->sender, ev->state_key))
        return forbidden(a, HS_S("Cannot force another user to join."));
    if (target == HS_MEMBER_BAN)
        return forbidden(a, HS_S("You are banned from this room"));
    return forbidden(a, HS_S("You are not invited to this room."));
}

static hs_error *forbidden_knock(hs_arena *a, const hs_event *ev, hs_membership target, hs_str rule)
{
    if (!hs_str_eq(rule, HS_S("knock")) && !hs_str_eq(rule, HS_S("knock_restricted")))
        return forbidden(a, HS_S("You don't have permission to knock"));
    if (!hs_str_eq(ev->sender, ev->state_key))
        return forbidden(a, HS_S("You cannot knock for other users"));
    if (target == HS_MEMBER_JOIN)
        return forbidden(a, HS_S("You cannot knock on a room you are already in"));
    if (target == HS_MEMBER_INVITE)
        return forbidden(a, HS_S("You are already invited to this room"));
    if (target == HS_MEMBER_BAN)
        return forbidden(a, HS_S("You are banned from this room"));
    return forbidden(a, HS_S("You don't have permission to knock"));
}

/* Synapse's texts, in its order. */
static hs_error *forbidden_member(hs_arena *a, const hs_event *ev, const hs_state_view *state)
{
    hs_membership to = hs_membership_parse(hs_jv_str_or_null(hs_jv_get(ev->content, HS_S("membership"))));
    hs_membership target = hs_auth_membership(state, ev->state_key);
    bool sender_in = hs_auth_membership(state, ev->sender) == HS_MEMBER_JOIN;

    if (to == HS_MEMBER_KNOCK)
        return forbidden_knock(a, ev, target, hs_auth_join_rule(state));
    if (to == HS_MEMBER_JOIN)
        return forbidden_join(a, ev, target);
    if (!sender_in)
        return hs_err(a, 403, HS_M_FORBIDDEN, "%.*s not in room %.*s.", HS_FMT(ev->sender), HS_FMT(ev->room_id));
    if (to == HS_MEMBER_INVITE && target == HS_MEMBER_BAN)
        return hs_err(a, 403, HS_M_FORBIDDEN, "%.*s is banned from the room", HS_FMT(ev->state_key));
    if (to == HS_MEMBER_INVITE && target == HS_MEMBER_JOIN)
        return hs_err(a, 403, HS_M_FORBIDDEN, "%.*s is already in the room.", HS_FMT(ev->state_key));
    if (to == HS_MEMBER_INVITE)
        return forbidden(a, HS_S("You don't have permission to invite users"));
    if (to == HS_MEMBER_LEAVE && target == HS_MEMBER_BAN)
        return hs_err(a, 403, HS_M_FORBIDDEN, "You cannot unban user %.*s.", HS_FMT(ev->state_key));
    if (to == HS_MEMBER_LEAVE)
        return hs_err(a, 403, HS_M_FORBIDDEN, "You cannot kick user %.*s.", HS_FMT(ev->state_key));
    return forbidden(a, HS_S("You don't have permission to ban"));
}

/* Version 12: creators have their power without being named. */
static hs_error *forbidden_creators(hs_arena *a, const hs_event *ev, const hs_state_view *state)
{
    hs_jv users = hs_jv_get(ev->content, HS_S("users"));

    if (!ev->rv->privileged_creators)
        return NULL;
    if (hs_jv_is(hs_jv_get(users, state->create->sender)))
        return hs_err(a, 400, HS_M_UNKNOWN, "Creator user %.*s must not appear in content.users",
                      HS_FMT(state->create->sender));
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(state->create->content, HS_S("additional_creators")), &it);) {
        hs_str creator = hs_jv_str_or_null(it.value);
        if (creator.p && hs_jv_is(hs_jv_get(users, creator)))
            return hs_err(a, 400, HS_M_UNKNOWN, "Additional creators users must not appear in content.users");
    }
    return NULL;
}

hs_error *hs_forbidden(hs_arena *a, const hs_event *ev, const hs_state_view *state, const char *rule)
{
    const hs_roomver *rv = ev->rv;

    if (state && state->create && !hs_str_eq(ev->type, HS_S("m.room.member"))) {
        if (hs_auth_membership(state, ev->sender) != HS_MEMBER_JOIN)
            return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s (%s)", HS_FMT(ev->sender),
                          HS_FMT(ev->room_id), membership_word(state, ev->sender));
        int64_t level = hs_auth_power(rv, state, ev->sender);
        int64_t need = hs_auth_level_for(rv, state, ev->type, ev->is_state);
        if (level < need)
            return hs_err(a, 403, HS_M_FORBIDDEN,
                          "You don't have permission to post that to the room. user_level (%lld) < send_level (%lld)",
                          (long long)level, (long long)need);
    }
    if (state && state->create && ev->is_state && hs_str_eq(ev->type, HS_S("m.room.member")))
        return forbidden_member(a, ev, state);
    if (ev->is_state && hs_str_eq(ev->type, HS_S("m.room.create")))
        return hs_err(a, 400, HS_M_FORBIDDEN, "The room cannot be created like this (%s)", rule);
    if (ev->is_state && ev->state_key.n && ev->state_key.p[0] == '@' && !hs_str_eq(ev->state_key, ev->sender))
        return hs_err(a, 403, HS_M_FORBIDDEN, "You are not allowed to set others state");
    if (hs_str_eq(ev->type, HS_S("m.room.power_levels")))
        return hs_err(a, 403, HS_M_FORBIDDEN, "You don't have permission to add ops level greater than your own");
    return hs_err(a, 403, HS_M_FORBIDDEN, "You don't have permission to do that in the room (%s)", rule);
}

hs_error *hs_event_accept(hs_arena *a, const hs_accept_in *in, uint32_t *ret_flags)
{
    bool local = in->origin == HS_ORIGIN_LOCAL;
    hs_verdict v;

    *ret_flags = 0;
    if (!local) { /* 4 */
        v = step4_auth_events(in);
        if (!v.ok) {
            *ret_flags = HS_EV_REJECTED;
            return NULL;
        }
        if (!in->before)
            return NULL;
    }
    v = hs_auth_check(in->event, in->before); /* 6 */
    if (!v.ok && local && v.status == 400 && hs_str_eq(in->event->type, HS_S("m.room.power_levels")) && in->before &&
        in->before->create)
        HS_TRY(forbidden_creators(a, in->event, in->before));
    if (!v.ok && local && v.status == 400)
        return hs_auth_refusal(a, v, in->event); /* a content that no state would allow */
    if (!v.ok && local)
        return hs_forbidden(a, in->event, in->before, v.rule);
    if (!v.ok) {
        *ret_flags = HS_EV_REJECTED;
        return NULL;
    }
    if (!local && in->current) { /* 7 */
        v = hs_auth_check(in->event, in->current);
        if (!v.ok)
            *ret_flags = HS_EV_SOFT_FAILED;
    }
    return NULL;
}
