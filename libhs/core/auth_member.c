/* Rule 5, "If type is m.room.member": one function per membership. */
#include "core/auth_rules.h"

#include "core/ids.h"
#include "core/sign.h"

hs_membership hs_auth_membership(const hs_state_view *state, hs_str user)
{
    const hs_event *ev = state->get(state->ud, HS_S("m.room.member"), user);

    return ev ? ev->membership : HS_MEMBER_NONE;
}

hs_str hs_auth_join_rule(const hs_state_view *state)
{
    const hs_event *ev = state->get(state->ud, HS_S("m.room.join_rules"), HS_S(""));
    hs_str rule = ev ? hs_jv_str_or_null(hs_jv_get(ev->content, HS_S("join_rule"))) : (hs_str){ 0 };

    return rule.p ? rule : HS_S("invite");
}

/* Rule 5.3.5: "a user with sufficient permission to invite other users", which needs membership too. */
static hs_verdict join_authorised(const hs_auth_in *in, const hs_event *ev)
{
    hs_str via = hs_jv_str_or_null(hs_jv_get(ev->content, HS_S("join_authorised_via_users_server")));

    if (!via.p)
        return REJECT("member.join: no join_authorised_via_users_server", "Join event is missing authorising user.");
    if (hs_auth_membership(in->state, via) != HS_MEMBER_JOIN)
        return REJECT("member.join: authorising user is not joined", "Join event authorised by invalid server.");
    if (hs_auth_power(in->rv, in->state, via) < hs_auth_level(in->rv, in->state, HS_LEVEL_INVITE))
        return REJECT("member.join: authorising user is below the invite level",
                      "Join event authorised by invalid server.");
    return ALLOW("member.join: authorised");
}

/* Rule 5.3, "If membership is join". */
static hs_verdict member_join(const hs_auth_in *in, const hs_event *ev)
{
    hs_membership is = hs_auth_membership(in->state, ev->state_key);
    hs_str rule = hs_auth_join_rule(in->state);

    if (ev->prev_n == 1 && hs_str_eq(ev->state_key, hs_auth_creator(in->create)) &&
        hs_str_eq(ev->prev[0], in->create->event_id))
        return ALLOW("member.join: of the creator");
    if (!hs_str_eq(ev->sender, ev->state_key))
        return REJECT("member.join: sender is not the target", "Cannot force another user to join.");
    if (is == HS_MEMBER_BAN)
        return REJECT("member.join: banned", "You are banned from this room");
    if (hs_str_eq(rule, HS_S("public")))
        return ALLOW("member.join: public");

    bool restricted = (in->rv->restricted && hs_str_eq(rule, HS_S("restricted"))) ||
                      (in->rv->knock_restricted && hs_str_eq(rule, HS_S("knock_restricted")));
    bool invite = hs_str_eq(rule, HS_S("invite")) || (in->rv->knock && hs_str_eq(rule, HS_S("knock")));
    if (!restricted && !invite)
        return REJECT("member.join: join rule allows nobody", "You are not allowed to join this room");
    if (is == HS_MEMBER_INVITE || is == HS_MEMBER_JOIN)
        return ALLOW("member.join");
    if (restricted)
        return join_authorised(in, ev);
    return REJECT("member.join: not invited", "You are not invited to this room.");
}

/* Whether any signature in `signed` was made with this key (unpadded base64 of either alphabet). */
static hs_error *signed_with(hs_arena *a, hs_jv sig, hs_str key_text, int *tries, bool *ret)
{
    hs_str key;
    bool ok = false;

    *ret = false;
    HS_TRY(hs_base64_decode(a, key_text, false, &key, &ok));
    if (!ok)
        HS_TRY(hs_base64_decode(a, key_text, true, &key, &ok));
    if (!ok || key.n != 32)
        return NULL;
    for (hs_jv_iter server = { 0 }; hs_jv_next(hs_jv_get(sig, HS_S("signatures")), &server);) {
        for (hs_jv_iter id = { 0 }; hs_jv_next(server.value, &id);) {
            if (!hs_str_starts(id.key, HS_S("ed25519:")))
                continue;
            if (--*tries < 0)
                return NULL;
            HS_TRY(hs_verify_json(a, hs_jv_raw(sig), server.key, id.key, (const uint8_t *)key.p, ret));
            if (*ret)
                return NULL;
        }
    }
    return NULL;
}

/* Rule 5.4.1.7: the keys of the m.room.third_party_invite event are few, and so are the signatures; hostile lists of
 * either are cut, since each pair costs a verification. */
static bool third_party_signed(const hs_event *invite, hs_jv sig)
{
    enum { MAX_KEYS = 16, MAX_TRIES = 64 };
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    hs_str one = hs_jv_str_or_null(hs_jv_get(invite->content, HS_S("public_key")));
    bool ok = false;
    int tried = 0, tries = MAX_TRIES;

    if (!a)
        return false;
    if (one.p && signed_with(a, sig, one, &tries, &ok))
        ok = false;
    for (hs_jv_iter it = { 0 };
         !ok && tried++ < MAX_KEYS && hs_jv_next(hs_jv_get(invite->content, HS_S("public_keys")), &it);) {
        hs_str key = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("public_key")));
        if (key.p && signed_with(a, sig, key, &tries, &ok))
            ok = false;
    }
    hs_arena_close(a);
    return ok;
}

/* Rule 5.4.1, "If content has a third_party_invite property". */
static hs_verdict member_invite_third_party(const hs_auth_in *in, const hs_event *ev)
{
    static const char TEXT[] = "You are not invited to this room.";
    hs_jv sig = hs_jv_path(ev->content, "third_party_invite", "signed", NULL);
    hs_str mxid = hs_jv_str_or_null(hs_jv_get(sig, HS_S("mxid")));
    hs_str token = hs_jv_str_or_null(hs_jv_get(sig, HS_S("token")));

    if (hs_auth_membership(in->state, ev->state_key) == HS_MEMBER_BAN)
        return REJECT("member.invite.third_party: target is banned", "{target} is banned from the room");
    if (hs_jv_type_of(sig) != HS_JV_OBJ)
        return REJECT("member.invite.third_party: no signed", TEXT);
    if (!mxid.p || !token.p)
        return REJECT("member.invite.third_party: no mxid or token", TEXT);
    if (!hs_str_eq(mxid, ev->state_key))
        return REJECT("member.invite.third_party: mxid is not the target", TEXT);

    const hs_event *invite = in->state->get(in->state->ud, HS_S("m.room.third_party_invite"), token);
    if (!invite)
        return REJECT("member.invite.third_party: no such token", TEXT);
    if (!hs_str_eq(invite->sender, ev->sender))
        return REJECT("member.invite.third_party: of another sender", TEXT);
    if (!third_party_signed(invite, sig))
        return REJECT("member.invite.third_party: no good signature", TEXT);
    return ALLOW("member.invite.third_party");
}

/* Rule 5.4, "If membership is invite". */
static hs_verdict member_invite(const hs_auth_in *in, const hs_event *ev)
{
    hs_membership target = hs_auth_membership(in->state, ev->state_key);

    if (hs_jv_is(hs_jv_get(ev->content, HS_S("third_party_invite"))))
        return member_invite_third_party(in, ev);
    if (hs_auth_membership(in->state, ev->sender) != HS_MEMBER_JOIN)
        return REJECT("member.invite: sender is not joined", "{sender} not in room {room}.");
    if (target == HS_MEMBER_BAN)
        return REJECT("member.invite: target is banned", "{target} is banned from the room");
    if (target == HS_MEMBER_JOIN)
        return REJECT("member.invite: target is joined", "{target} is already in the room.");
    if (hs_auth_power(in->rv, in->state, ev->sender) < hs_auth_level(in->rv, in->state, HS_LEVEL_INVITE))
        return REJECT("member.invite: sender is below the invite level", "You don't have permission to invite users");
    return ALLOW("member.invite");
}

/* Rule 5.5, "If membership is leave". */
static hs_verdict member_leave(const hs_auth_in *in, const hs_event *ev)
{
    hs_membership sender = hs_auth_membership(in->state, ev->sender);

    if (hs_str_eq(ev->sender, ev->state_key)) {
        if (sender == HS_MEMBER_INVITE || sender == HS_MEMBER_JOIN || (sender == HS_MEMBER_KNOCK && in->rv->knock))
            return ALLOW("member.leave: own");
        return REJECT("member.leave: not in the room", "{sender} not in room {room}.");
    }
    if (sender != HS_MEMBER_JOIN)
        return REJECT("member.leave: sender is not joined", "{sender} not in room {room}.");

    int64_t power = hs_auth_power(in->rv, in->state, ev->sender);
    if (hs_auth_membership(in->state, ev->state_key) == HS_MEMBER_BAN &&
        power < hs_auth_level(in->rv, in->state, HS_LEVEL_BAN))
        return REJECT("member.leave: sender is below the ban level", "You cannot unban user {target}.");
    if (power < hs_auth_level(in->rv, in->state, HS_LEVEL_KICK))
        return REJECT("member.leave: sender is below the kick level", "You cannot kick user {target}.");
    if (hs_auth_power(in->rv, in->state, ev->state_key) >= power)
        return REJECT("member.leave: target is not below the sender", "You cannot kick user {target}.");
    return ALLOW("member.leave");
}

/* Rule 5.6, "If membership is ban". */
static hs_verdict member_ban(const hs_auth_in *in, const hs_event *ev)
{
    if (hs_auth_membership(in->state, ev->sender) != HS_MEMBER_JOIN)
        return REJECT("member.ban: sender is not joined", "{sender} not in room {room}.");

    int64_t power = hs_auth_power(in->rv, in->state, ev->sender);
    if (power < hs_auth_level(in->rv, in->state, HS_LEVEL_BAN))
        return REJECT("member.ban: sender is below the ban level", "You don't have permission to ban");
    if (hs_auth_power(in->rv, in->state, ev->state_key) >= power)
        return REJECT("member.ban: target is not below the sender", "You don't have permission to ban");
    return ALLOW("member.ban");
}

/* Rule 5.7, "If membership is knock". */
static hs_verdict member_knock(const hs_auth_in *in, const hs_event *ev)
{
    hs_str rule = hs_auth_join_rule(in->state);

    if (!hs_str_eq(rule, HS_S("knock")) && !(in->rv->knock_restricted && hs_str_eq(rule, HS_S("knock_restricted"))))
        return REJECT("member.knock: join rule is not knock", "You don't have permission to knock");
    if (!hs_str_eq(ev->sender, ev->state_key))
        return REJECT("member.knock: sender is not the target", "You cannot knock for other users");
    switch (hs_auth_membership(in->state, ev->sender)) {
    case HS_MEMBER_JOIN:
        return REJECT("member.knock: joined", "You cannot knock on a room you are already in");
    case HS_MEMBER_INVITE:
        return REJECT("member.knock: invited", "You are already invited to this room");
    case HS_MEMBER_BAN:
        return REJECT("member.knock: banned", "You are banned from this room");
    case HS_MEMBER_NONE:
    case HS_MEMBER_LEAVE:
    case HS_MEMBER_KNOCK:
        break;
    }
    return ALLOW("member.knock");
}

/* Rule 5.2. Signatures that are there were verified on receipt; here it matters that there is one. */
static bool has_authorising_signature(const hs_event *ev)
{
    hs_id id;

    if (!ev->rv->restricted || !ev->has_via)
        return true;
    hs_jv via = hs_jv_get(ev->content, HS_S("join_authorised_via_users_server"));
    return hs_user_id_parse(hs_jv_str_or_null(via), &id) &&
           hs_jv_type_of(hs_jv_get(hs_jv_get(ev->top, HS_S("signatures")), id.server)) == HS_JV_OBJ;
}

hs_verdict hs_auth_member(const hs_auth_in *in, const hs_event *ev)
{
    if (!ev->is_state ||
        (ev->membership == HS_MEMBER_NONE && !hs_jv_str_or_null(hs_jv_get(ev->content, HS_S("membership"))).p))
        return REJECT("member: no state_key or membership", NULL);
    /* Not in the specification: nobody of another server is made a member of a room that does not federate. */
    if (!hs_auth_federates(in->create) && !hs_str_eq(hs_auth_domain(in->create->sender), hs_auth_domain(ev->state_key)))
        return REJECT("federate: target of another server", "This room has been marked as unfederatable.");
    if (!has_authorising_signature(ev))
        return REJECT("member: not signed by the authorising user's server", "Event not signed by authorising server");

    switch (ev->membership) {
    case HS_MEMBER_JOIN:
        return member_join(in, ev);
    case HS_MEMBER_INVITE:
        return member_invite(in, ev);
    case HS_MEMBER_LEAVE:
        return member_leave(in, ev);
    case HS_MEMBER_BAN:
        return member_ban(in, ev);
    case HS_MEMBER_KNOCK:
        if (in->rv->knock)
            return member_knock(in, ev);
        break;
    case HS_MEMBER_NONE:
        break;
    }
    return REJECT("member: unknown membership", "Unknown membership");
}
