/* See auth.h. The list of rules in the order of the specification; the two long groups are in auth_member.c and
 * auth_power.c. Rule numbers in comments are those of room version 12; version 11 and before have no rule 2, so theirs
 * are one lower from there on. */
#include "core/auth_rules.h"

#include "core/ids.h"

const hs_event *hs_auth_create(const hs_state_view *state)
{
    return state->create ? state->create : state->get(state->ud, HS_S("m.room.create"), HS_S(""));
}

hs_str hs_auth_domain(hs_str id)
{
    return hs_str_from(id, hs_str_find(id, ':', 0) + 1);
}

hs_str hs_auth_creator(const hs_event *create)
{
    if (create->rv->creator_is_sender)
        return create->sender;
    return hs_jv_str_or_null(hs_jv_get(create->content, HS_S("creator")));
}

bool hs_auth_federates(const hs_event *create)
{
    hs_jv federate = hs_jv_get(create->content, HS_S("m.federate"));

    return !hs_jv_is(federate) || hs_jv_type_of(federate) == HS_JV_TRUE;
}

/* Rule 1.4. */
static bool additional_creators_ok(hs_jv list)
{
    if (hs_jv_type_of(list) != HS_JV_ARR)
        return false;
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        hs_str user = hs_jv_str_or_null(it.value);
        hs_id id;
        if (!user.p || user.n > HS_ID_MAX || !hs_user_id_parse(user, &id))
            return false;
    }
    return true;
}

/* Rule 1, "If type is m.room.create". */
static hs_verdict rule_create(const hs_event *ev)
{
    const hs_roomver *rv = ev->rv;
    hs_jv version = hs_jv_get(ev->content, HS_S("room_version"));
    hs_jv additional = hs_jv_get(ev->content, HS_S("additional_creators"));

    if (ev->prev_n)
        return REJECT("create: has previous events", "Create event has prev events");
    if (rv->room_id_is_hash) {
        if (hs_jv_is(hs_jv_get(ev->top, HS_S("room_id"))))
            return REJECT("create: has a room_id", "Create event has a room_id");
    } else if (!hs_str_eq(hs_auth_domain(ev->room_id), hs_auth_domain(ev->sender))) {
        return REJECT("create: room_id is of another domain than the sender",
                      "Creation event's room_id domain does not match sender's");
    }
    if (hs_jv_is(version) && !hs_roomver_find(hs_jv_str_or_null(version)))
        return REJECT("create: unknown room_version", "room appears to have unsupported version");
    if (!rv->creator_is_sender && !hs_jv_is(hs_jv_get(ev->content, HS_S("creator"))))
        return REJECT("create: no creator", "Create event lacks a 'creator' property");
    if (rv->privileged_creators && hs_jv_is(additional) && !additional_creators_ok(additional))
        return REJECT_SHAPE("create: additional_creators is not a list of user ids",
                            "additional_creators must be an array of valid user IDs");
    return ALLOW("create");
}

static bool selected(const hs_event *auth, const hs_state_key_pair *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (auth->is_state && hs_str_eq(auth->type, want[i].type) && hs_str_eq(auth->state_key, want[i].state_key))
            return true;
    return false;
}

/* Rule 3, "Considering the event's auth_events". */
hs_verdict hs_auth_check_auth_events(const hs_event *ev, const hs_event *const *auth, const bool *rejected, size_t n)
{
    hs_state_key_pair want[HS_AUTH_TYPES_MAX];
    size_t want_n = hs_auth_types(ev->rv, ev->type, ev->sender, ev->state_key, ev->is_state, ev->content, want);
    bool create = false;

    if (ev->kind == HS_KIND_CREATE)
        return ALLOW("auth_events: of a create event");
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            if (hs_str_eq(auth[i]->type, auth[j]->type) && hs_str_eq(auth[i]->state_key, auth[j]->state_key))
                return REJECT("auth_events: duplicate type and state_key", NULL);
        if (!selected(auth[i], want, want_n))
            return REJECT("auth_events: entry that the selection does not name", NULL);
        if (rejected && rejected[i])
            return REJECT("auth_events: rejected entry", NULL);
        if (!hs_str_eq(auth[i]->room_id, ev->room_id))
            return REJECT("auth_events: entry of another room", NULL);
        create = create || auth[i]->kind == HS_KIND_CREATE;
    }
    if (!ev->rv->create_not_in_auth && !create)
        return REJECT("auth_events: no create event", "No create event in auth events");
    return ALLOW("auth_events");
}

/* Rule of versions 1 to 5, "If type is m.room.aliases". */
static hs_verdict rule_aliases(const hs_event *ev)
{
    if (!ev->is_state)
        return REJECT("aliases: no state_key", "Alias event must be a state event");
    if (!hs_str_eq(ev->state_key, hs_auth_domain(ev->sender)))
        return REJECT("aliases: state_key is not the sender's domain",
                      "Alias event's state_key does not match sender's domain");
    return ALLOW("aliases");
}

/* Rule of versions 1 and 2, "If type is m.room.redaction". */
static hs_verdict rule_redaction(const hs_auth_in *in, const hs_event *ev)
{
    if (hs_auth_power(in->rv, in->state, ev->sender) >= hs_auth_level(in->rv, in->state, HS_LEVEL_REDACT))
        return ALLOW("redaction: by power");
    if (ev->redacts.p && hs_str_eq(hs_auth_domain(ev->redacts), hs_auth_domain(ev->event_id)))
        return ALLOW("redaction: of the same domain");
    return REJECT("redaction: sender is below the redact level", "You don't have permission to redact events");
}

/* Rule "If the event has a state_key that starts with an @". With MSC3757 a state key may go on after the user id, and
 * whoever is above its owner may write too. */
static hs_verdict rule_of_user_keys(const hs_auth_in *in, const hs_event *ev, int64_t sender)
{
    hs_str owner = ev->state_key;
    hs_id id;

    if (hs_str_eq(ev->state_key, ev->sender))
        return ALLOW("event");
    if (!in->rv->owned_state)
        return REJECT("state_key: of another user", "You are not allowed to set others state");

    const char *colon = memchr(owner.p, ':', owner.n);
    const char *suffix = colon ? memchr(colon, '_', owner.n - (size_t)(colon - owner.p)) : NULL;
    if (suffix)
        owner.n = (size_t)(suffix - owner.p);
    if (!hs_user_id_parse(owner, &id))
        return REJECT_SHAPE("state_key: of another user",
                            "State key neither equals a valid user ID, nor starts with one plus an underscore");
    if (hs_str_eq(owner, ev->sender) || sender > hs_auth_power(in->rv, in->state, owner))
        return ALLOW("event");
    return REJECT("state_key: of another user", "You are not allowed to set others state");
}

/* Rules 6 to 11: everything that is not about membership. */
static hs_verdict rules_of_members(const hs_auth_in *in, const hs_event *ev)
{
    if (hs_auth_membership(in->state, ev->sender) != HS_MEMBER_JOIN)
        return REJECT("sender: is not joined", "User {sender} not in room {room}");

    int64_t sender = hs_auth_power(in->rv, in->state, ev->sender);
    if (hs_str_eq(ev->type, HS_S("m.room.third_party_invite"))) {
        if (sender < hs_auth_level(in->rv, in->state, HS_LEVEL_INVITE))
            return REJECT("third_party_invite: sender is below the invite level",
                          "You don't have permission to invite users");
        return ALLOW("third_party_invite");
    }
    if (hs_auth_level_for(in->rv, in->state, ev->type, ev->is_state) > sender)
        return REJECT("power: sender is below the required level",
                      "You don't have permission to post that to the room.");
    if (ev->is_state && hs_str_starts(ev->state_key, HS_S("@"))) {
        hs_verdict v = rule_of_user_keys(in, ev, sender);
        if (!v.ok)
            return v;
    }
    if (hs_str_eq(ev->type, HS_S("m.room.power_levels")))
        return hs_auth_power_levels(in, ev);
    if (in->rv->redaction_auth_rule && hs_str_eq(ev->type, HS_S("m.room.redaction")))
        return rule_redaction(in, ev);
    return ALLOW("event");
}

hs_verdict hs_auth_check(const hs_event *ev, const hs_state_view *state)
{
    hs_auth_in in = { .rv = ev->rv, .state = state };

    /* Not a numbered rule: Client-Server API, "Size limits". Such events stay in the graph, so they are not dropped. */
    if (ev->oversized)
        return REJECT("size: a field has more than 255 bytes", "Event has a field that is too large");
    if (ev->kind == HS_KIND_CREATE)
        return rule_create(ev);

    in.create = hs_auth_create(state);
    if (!in.create)
        return REJECT("create: the room has none", "No create event in auth events");
    /* Rule 2. The room's own create event is the only one that can be meant: its hash names the room. */
    if (!hs_str_eq(in.create->room_id, ev->room_id))
        return REJECT("create: of another room", NULL);
    /* Rule 4. */
    if (!hs_auth_federates(in.create) && !hs_str_eq(hs_auth_domain(in.create->sender), hs_auth_domain(ev->sender)))
        return REJECT("federate: sender of another server", "This room has been marked as unfederatable.");
    if (in.rv->aliases_rule && hs_str_eq(ev->type, HS_S("m.room.aliases")))
        return rule_aliases(ev);
    if (ev->kind == HS_KIND_MEMBER)
        return hs_auth_member(&in, ev);
    return rules_of_members(&in, ev);
}

/* ── auth events selection: Server-Server API, "Auth events selection" ── */

typedef struct {
    hs_state_key_pair *at;
    size_t n;
} selection;

static void select_one(selection *s, hs_str type, hs_str state_key)
{
    for (size_t i = 0; i < s->n; i++)
        if (hs_str_eq(s->at[i].type, type) && hs_str_eq(s->at[i].state_key, state_key))
            return;
    s->at[s->n++] = (hs_state_key_pair){ type, state_key };
}

size_t hs_auth_types(const hs_roomver *rv, hs_str type, hs_str sender, hs_str state_key, bool is_state, hs_jv content,
                     hs_state_key_pair ret[HS_AUTH_TYPES_MAX])
{
    selection s = { ret, 0 };

    if (hs_str_eq(type, HS_S("m.room.create")) && is_state && !state_key.n)
        return 0;
    if (!rv->create_not_in_auth)
        select_one(&s, HS_S("m.room.create"), HS_S(""));
    select_one(&s, HS_S("m.room.power_levels"), HS_S(""));
    select_one(&s, HS_S("m.room.member"), sender);
    if (!is_state || !hs_str_eq(type, HS_S("m.room.member")))
        return s.n;

    hs_membership m = hs_membership_parse(hs_jv_str_or_null(hs_jv_get(content, HS_S("membership"))));
    select_one(&s, HS_S("m.room.member"), state_key);
    if (m == HS_MEMBER_JOIN || m == HS_MEMBER_INVITE || (m == HS_MEMBER_KNOCK && rv->knock))
        select_one(&s, HS_S("m.room.join_rules"), HS_S(""));
    if (m == HS_MEMBER_INVITE) {
        hs_str token = hs_jv_str_or_null(hs_jv_path(content, "third_party_invite", "signed", "token", NULL));
        if (token.p)
            select_one(&s, HS_S("m.room.third_party_invite"), token);
    }
    if (m == HS_MEMBER_JOIN && rv->restricted) {
        hs_str via = hs_jv_str_or_null(hs_jv_get(content, HS_S("join_authorised_via_users_server")));
        if (via.p)
            select_one(&s, HS_S("m.room.member"), via);
    }
    return s.n;
}

/* ── redactions that are checked after the fact: Rooms, "Handling redactions" ── */

bool hs_auth_redaction_ok(const hs_roomver *rv, const hs_state_view *state, const hs_event *redaction,
                          const hs_event *target)
{
    if (hs_auth_power(rv, state, redaction->sender) >= hs_auth_level(rv, state, HS_LEVEL_REDACT))
        return true;
    if (rv->redaction_auth_rule)
        return hs_str_eq(hs_auth_domain(redaction->event_id), hs_auth_domain(target->event_id));
    return hs_str_eq(hs_auth_domain(redaction->sender), hs_auth_domain(target->sender));
}

/* ── what the client is told ── */

static void add_filled(hs_buf *b, hs_str text, const hs_event *ev)
{
    const struct {
        hs_str name, value;
    } names[] = {
        { HS_S_INIT("{sender}"), ev->sender },
        { HS_S_INIT("{target}"), ev->state_key },
        { HS_S_INIT("{room}"), ev->room_id },
    };

    while (text.n) {
        size_t at = hs_str_find(text, '{', 0);
        hs_buf_add(b, hs_str_first(text, at));
        text = hs_str_from(text, at);
        size_t taken = text.n > 0; /* of a brace that is none of ours */
        hs_str with = hs_str_first(text, taken);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (!hs_str_starts(text, names[i].name))
                continue;
            with = names[i].value;
            taken = names[i].name.n;
        }
        hs_buf_add(b, with);
        text = hs_str_from(text, taken);
    }
}

hs_error *hs_auth_refusal(hs_arena *a, hs_verdict v, const hs_event *ev)
{
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    add_filled(&b, hs_str_c(v.text ? v.text : "Forbidden"), ev);
    HS_TRY(hs_buf_flatten(&b, &text));
    if (v.status == 400)
        return hs_err(a, 400, HS_M_BAD_JSON, "%.*s", HS_FMT(text));
    return hs_err(a, 403, HS_M_FORBIDDEN, "%.*s", HS_FMT(text));
}
