/* Making rooms: the initial events in Synapse's order, as one unit.
 *
 *   m.room.create, the creator's join, m.room.power_levels, m.room.canonical_alias, m.room.join_rules,
 * m.room.history_visibility, m.room.guest_access, initial_state in its order, m.room.encryption (if the server asks for
 * it), m.room.name, m.room.topic, the invites */
#include "server/room_create.h"

#include "base/vec.h"
#include "core/ids.h"
#include "server/cache.h"
#include "server/directory.h"
#include "server/event_content.h"
#include "server/names.h"
#include "store/directory.h"
#include "store/events.h"
#include "store/names.h"
#include "store/rooms.h"
#include "store/state.h"
#include "store/users.h"

#define ID_TRIES  5
#define TXN_SCOPE (-2) /* of hs_txn_row: rooms have positive numbers */

typedef struct {
    hs_str name;
    hs_str join_rule;
    bool invitees_have_ops, guest_can_join;
    bool anyone_invites;
    bool encrypted_when_invite;
} preset;

static const preset PRESETS[] = {
    { HS_S_INIT("private_chat"), HS_S_INIT("invite"), false, true, true, true },
    { HS_S_INIT("trusted_private_chat"), HS_S_INIT("invite"), true, true, true, true },
    { HS_S_INIT("public_chat"), HS_S_INIT("public"), false, false, false, false },
};

typedef struct {
    hs_str type, state_key;
    hs_jv content;
} initial;

typedef struct {
    hs_server *srv;
    const hs_session *who;
    const hs_room_wish *in;
    const hs_roomver *rv;
    const preset *preset;
    bool is_public;
    hs_str alias; /* p NULL: none */
    int64_t ts;   /* 0: now */
    HS_VEC(initial) state;
    hs_str name, avatar; /* the creator's profile */
} plan;

/* ── reading the wish ── */

/* A room that does not exist yet has no alias but the one that it is made with. */
static hs_error *check_own_alias(hs_arena *a, const plan *p, hs_jv alias)
{
    hs_str text = hs_jv_str_or_null(alias);
    hs_id id;

    if (hs_jv_is(alias) && !text.p && hs_jv_type_of(alias) != HS_JV_NULL)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "The alias must be of type string.");
    if (!text.n || (p->alias.p && hs_str_eq(text, p->alias)))
        return NULL;
    if (!hs_alias_parse(text, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "%.*s is not a room alias", HS_FMT(text));
    return hs_err(a, 400, HS_M_BAD_ALIAS, "Room alias %.*s does not point to the room", HS_FMT(text));
}

static hs_error *check_own_aliases(hs_arena *a, const plan *p, hs_jv content)
{
    HS_TRY(check_own_alias(a, p, hs_jv_get(content, HS_S("alias"))));
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(content, HS_S("alt_aliases")), &it);)
        HS_TRY(check_own_alias(a, p, it.value));
    return NULL;
}

static initial *find_initial(plan *p, hs_str type, hs_str state_key)
{
    for (size_t i = 0; i < p->state.n; i++)
        if (hs_str_eq(p->state.at[i].type, type) && hs_str_eq(p->state.at[i].state_key, state_key))
            return &p->state.at[i];
    return NULL;
}

static hs_error *read_initial_state(hs_arena *a, plan *p)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(p->in->initial_state, &it);) {
        initial s = { .type = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("type"))),
                      .state_key = HS_S(""),
                      .content = hs_jv_get(it.value, HS_S("content")) };
        hs_jv key = hs_jv_get(it.value, HS_S("state_key"));
        if (!s.type.p)
            return hs_err(a, 400, HS_M_BAD_JSON, "Each of 'initial_state' needs a 'type'");
        if (hs_jv_type_of(s.content) != HS_JV_OBJ)
            return hs_err(a, 400, HS_M_BAD_JSON, "Each of 'initial_state' needs an object 'content'");
        if (hs_jv_is(key) && !hs_jv_str(key, &s.state_key))
            return hs_err(a, 400, HS_M_BAD_JSON, "'state_key' must be a string");
        HS_TRY(hs_event_content_check(p->srv, a, s.type, true, s.content));
        if (hs_str_eq(s.type, HS_S("m.room.canonical_alias")) && !s.state_key.n)
            HS_TRY(check_own_aliases(a, p, s.content));
        initial *twin = find_initial(p, s.type, s.state_key);
        if (twin) { /* the last of a key counts, in the place of the first */
            twin->content = s.content;
            continue;
        }
        HS_TRY(hs_vec_push(a, &p->state, s));
    }
    return NULL;
}

static hs_error *read_version(hs_arena *a, plan *p)
{
    hs_str v = p->in->room_version.p ? p->in->room_version : p->srv->config->default_room_version;

    if (!v.n)
        v = HS_S("10");
    p->rv = hs_roomver_find(v);
    if (!p->rv)
        return hs_err(a, 400, HS_M_UNSUPPORTED_ROOM_VERSION, "Your homeserver does not support this room version");
    return NULL;
}

static hs_error *read_preset(hs_arena *a, plan *p)
{
    hs_str want = p->in->preset;

    p->is_public = hs_str_eq(p->in->visibility, HS_S("public"));
    if (!want.p)
        want = !p->in->visibility.p || hs_str_eq(p->in->visibility, HS_S("private")) ? HS_S("private_chat")
                                                                                     : HS_S("public_chat");
    for (size_t i = 0; i < sizeof PRESETS / sizeof *PRESETS; i++)
        if (hs_str_eq(PRESETS[i].name, want))
            p->preset = &PRESETS[i];
    if (!p->preset)
        return hs_err(a, 400, HS_M_BAD_JSON, "'%.*s' is not a valid preset", HS_FMT(want));
    return NULL;
}

static hs_error *read_alias(hs_arena *a, plan *p)
{
    hs_str local = p->in->room_alias_name, room_id;
    hs_strs servers;
    hs_id id;

    if (!local.p)
        return NULL;
    for (size_t i = 0; i < local.n; i++) {
        if (strchr(" \t\n\r\v\f", local.p[i]))
            return hs_err(a, 400, HS_M_UNKNOWN, "Invalid characters in room alias");
        if (local.p[i] == ':')
            return hs_err(a, 400, HS_M_UNKNOWN,
                          "':' is not permitted in the room alias name. Please note this expects a local part, "
                          "'wombat', not '#wombat:example.com'.");
    }
    HS_TRY(hs_str_cat(a, &p->alias, 4, HS_S("#"), local, HS_S(":"), p->srv->server_name));
    if (!hs_alias_parse(p->alias, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid room alias");
    hs_error *e = hs_alias_get(p->srv, a, p->alias, &room_id, &servers);
    if (!e)
        return hs_err(a, 400, HS_M_ROOM_IN_USE, "Room alias already taken");
    return e->code == HS_M_NOT_FOUND ? NULL : e;
}

static hs_error *read_people(hs_arena *a, const plan *p)
{
    hs_jv override = p->in->power_level_content_override, users = hs_jv_get(override, HS_S("users"));

    for (size_t i = 0; i < p->in->invite.n; i++) {
        hs_id id;
        if (!hs_user_id_parse(p->in->invite.at[i], &id) || !hs_server_name_is_valid(id.server))
            return hs_err(a, 400, HS_M_UNKNOWN, "Invalid user_id: %.*s", HS_FMT(p->in->invite.at[i]));
        if (!hs_str_eq(id.server, p->srv->server_name))
            return hs_err(a, 502, HS_M_UNKNOWN, "Can't connect to server %.*s", HS_FMT(id.server));
    }
    for (hs_jv_iter it = { 0 }; hs_jv_next(p->in->invite_3pid, &it);)
        if (!hs_jv_is(hs_jv_get(it.value, HS_S("medium"))) || !hs_jv_is(hs_jv_get(it.value, HS_S("address"))) ||
            !hs_jv_is(hs_jv_get(it.value, HS_S("id_server"))) ||
            !hs_jv_is(hs_jv_get(it.value, HS_S("id_access_token"))))
            return hs_err(a, 400, HS_M_MISSING_PARAM,
                          "all of `medium`, `address`, `id_server` and `id_access_token` are required when making a "
                          "3pid invite");
    if (hs_jv_count(p->in->invite_3pid))
        return hs_err(a, 403, HS_M_THREEPID_DENIED, "Third-party identifiers cannot be invited on this server");
    if (hs_jv_is(users) && !p->rv->privileged_creators && !hs_jv_is(hs_jv_get(users, p->who->user_id)))
        return hs_err(a, 400, HS_M_UNKNOWN, "Not a valid power_level_content_override: 'users' did not contain %.*s",
                      HS_FMT(p->who->user_id));
    return hs_jv_is(override) ? hs_event_content_check(p->srv, a, HS_S("m.room.power_levels"), true, override) : NULL;
}

/* As many as a room's limit would let through at once; they are not counted. None who may not be invited. */
static hs_error *check_invites(hs_arena *a, const plan *p)
{
    if ((int64_t)p->in->invite.n > p->srv->config->rc_invites_per_room.burst)
        return hs_err(a, 400, HS_M_UNKNOWN, "Cannot invite so many users at once");
    for (size_t i = 0; i < p->in->invite.n; i++)
        HS_TRY(hs_invite_check(p->srv, a, p->who, p->in->invite.at[i]));
    return NULL;
}

/* ── contents ── */

typedef struct {
    hs_buf b;
    hs_json_out j;
} object;

static void object_open(object *o, hs_arena *a)
{
    hs_buf_init(&o->b, a);
    hs_json_out_init(&o->j, &o->b);
    hs_json_obj(&o->j);
}

static hs_error *object_done(object *o, hs_arena *a, hs_jv *ret)
{
    hs_str text;

    hs_json_end(&o->j);
    HS_TRY(hs_buf_flatten(&o->b, &text));
    return hs_content_parse(a, text, ret);
}

static hs_error *one_member(hs_arena *a, const char *key, hs_str value, hs_jv *ret)
{
    object o;

    object_open(&o, a);
    hs_json_str(&o.j, key, value);
    return object_done(&o, a, ret);
}

static void add_creators(object *o, const plan *p)
{
    hs_jv given = hs_jv_get(p->in->creation_content, HS_S("additional_creators"));

    if (!p->rv->privileged_creators || (!hs_jv_is(given) && !(p->preset->invitees_have_ops && p->in->invite.n)))
        return;
    if (!p->preset->invitees_have_ops || (hs_jv_is(given) && hs_jv_type_of(given) != HS_JV_ARR)) {
        hs_json_raw(&o->j, "additional_creators", hs_jv_raw(given));
        return;
    }
    hs_json_arr_at(&o->j, "additional_creators");
    for (hs_jv_iter it = { 0 }; hs_jv_next(given, &it);)
        hs_json_v_raw(&o->j, hs_jv_raw(it.value));
    for (size_t i = 0; i < p->in->invite.n; i++) {
        bool twice = hs_str_eq(p->in->invite.at[i], p->who->user_id);
        for (hs_jv_iter it = { 0 }; hs_jv_next(given, &it);)
            twice = twice || hs_str_eq(hs_jv_str_or_null(it.value), p->in->invite.at[i]);
        for (size_t k = 0; k < i; k++)
            twice = twice || hs_str_eq(p->in->invite.at[k], p->in->invite.at[i]);
        if (!twice)
            hs_json_v_str(&o->j, p->in->invite.at[i]);
    }
    hs_json_end(&o->j);
}

static hs_error *create_content(hs_arena *a, const plan *p, hs_jv *ret)
{
    object o;

    object_open(&o, a);
    for (hs_jv_iter it = { 0 }; hs_jv_next(p->in->creation_content, &it);) {
        if (hs_str_eq(it.key, HS_S("room_version")) ||
            (!p->rv->creator_is_sender && hs_str_eq(it.key, HS_S("creator"))) ||
            (p->rv->privileged_creators && hs_str_eq(it.key, HS_S("additional_creators"))))
            continue;
        hs_json_key(&o.j, it.key);
        hs_json_v_raw(&o.j, hs_jv_raw(it.value));
    }
    hs_json_str(&o.j, "room_version", p->rv->name);
    if (!p->rv->creator_is_sender)
        hs_json_str(&o.j, "creator", p->who->user_id);
    add_creators(&o, p);
    return object_done(&o, a, ret);
}

/* default_power_level_content_override of the preset, which the request's own goes before. */
static hs_jv server_override(const plan *p)
{
    return hs_jv_get(p->srv->config->default_power_level_content_override, p->preset->name);
}

static bool overridden(const plan *p, const char *key)
{
    return hs_jv_is(hs_jv_get(p->in->power_level_content_override, hs_str_c(key))) ||
           hs_jv_is(hs_jv_get(server_override(p), hs_str_c(key)));
}

static void level_unless(object *o, const plan *p, const char *key, int64_t v)
{
    if (!overridden(p, key))
        hs_json_int(&o->j, key, v);
}

static void power_users(object *o, const plan *p)
{
    if (overridden(p, "users"))
        return;
    hs_json_obj_at(&o->j, "users");
    if (!p->rv->privileged_creators) {
        hs_json_key(&o->j, p->who->user_id);
        hs_json_v_int(&o->j, 100);
    }
    for (size_t i = 0; p->preset->invitees_have_ops && !p->rv->privileged_creators && i < p->in->invite.n; i++) {
        bool twice = hs_str_eq(p->in->invite.at[i], p->who->user_id);
        for (size_t k = 0; k < i; k++)
            twice = twice || hs_str_eq(p->in->invite.at[k], p->in->invite.at[i]);
        if (twice)
            continue;
        hs_json_key(&o->j, p->in->invite.at[i]);
        hs_json_v_int(&o->j, 100);
    }
    hs_json_end(&o->j);
}

static void power_events(object *o, const plan *p)
{
    if (overridden(p, "events"))
        return;
    hs_json_obj_at(&o->j, "events");
    hs_json_int(&o->j, "m.room.name", 50);
    hs_json_int(&o->j, "m.room.power_levels", 100);
    hs_json_int(&o->j, "m.room.history_visibility", 100);
    hs_json_int(&o->j, "m.room.canonical_alias", 50);
    hs_json_int(&o->j, "m.room.avatar", 50);
    hs_json_int(&o->j, "m.room.tombstone", p->rv->privileged_creators ? 150 : 100);
    hs_json_int(&o->j, "m.room.server_acl", 100);
    hs_json_int(&o->j, "m.room.encryption", 100);
    if (!p->preset->anyone_invites)
        hs_json_int(&o->j, "m.call.invite", 50);
    hs_json_end(&o->j);
}

static hs_error *power_content(hs_arena *a, const plan *p, hs_jv *ret)
{
    object o;

    object_open(&o, a);
    power_users(&o, p);
    power_events(&o, p);
    level_unless(&o, p, "users_default", 0);
    level_unless(&o, p, "events_default", 0);
    level_unless(&o, p, "state_default", 50);
    level_unless(&o, p, "ban", 50);
    level_unless(&o, p, "kick", 50);
    level_unless(&o, p, "redact", 50);
    level_unless(&o, p, "invite", p->preset->anyone_invites ? 0 : 50);
    level_unless(&o, p, "historical", 100);
    for (hs_jv_iter it = { 0 }; hs_jv_next(server_override(p), &it);) {
        if (hs_jv_is(hs_jv_get(p->in->power_level_content_override, it.key)))
            continue;
        hs_json_key(&o.j, it.key);
        hs_json_v_raw(&o.j, hs_jv_raw(it.value));
    }
    for (hs_jv_iter it = { 0 }; hs_jv_next(p->in->power_level_content_override, &it);) {
        hs_json_key(&o.j, it.key);
        hs_json_v_raw(&o.j, hs_jv_raw(it.value));
    }
    return object_done(&o, a, ret);
}

/* Plain and, for clients that know it, as an extensible text (MSC3765). */
static hs_error *topic_content(hs_arena *a, hs_str topic, hs_jv *ret)
{
    object o;

    object_open(&o, a);
    hs_json_str(&o.j, "topic", topic);
    hs_json_obj_at(&o.j, "m.topic");
    hs_json_arr_at(&o.j, "m.text");
    hs_json_obj(&o.j);
    hs_json_str(&o.j, "body", topic);
    hs_json_end(&o.j);
    hs_json_end(&o.j);
    hs_json_end(&o.j);
    return object_done(&o, a, ret);
}

static hs_error *member_content(hs_arena *a, const char *membership, hs_str name, hs_str avatar, bool direct,
                                hs_jv *ret)
{
    object o;

    object_open(&o, a);
    hs_json_str(&o.j, "membership", hs_str_c(membership));
    hs_json_opt_str(&o.j, "displayname", name);
    hs_json_opt_str(&o.j, "avatar_url", avatar);
    if (direct)
        hs_json_bool(&o.j, "is_direct", true);
    return object_done(&o, a, ret);
}

/* ── the unit ── */

static bool is_invite(hs_str type, hs_jv content)
{
    return hs_str_eq(type, HS_S("m.room.member")) &&
           hs_str_eq(hs_jv_str_or_null(hs_jv_get(content, HS_S("membership"))), HS_S("invite"));
}

static hs_error *add(hs_room_write *w, const plan *p, hs_str type, hs_str state_key, hs_jv content)
{
    hs_event_wish wish = { .type = type,
                           .state_key = state_key,
                           .is_state = true,
                           .sender = p->who->user_id,
                           .sender_nid = p->who->user,
                           .content = content,
                           .has_ts = p->ts != 0,
                           .ts = p->ts,
                           .no_push = !is_invite(type, content) };
    hs_event_made made;

    return hs_room_write_add(w, &wish, &made);
}

/* What initial_state gives for a fixed place; NULL: nothing. */
static const initial *find_given(const plan *p, const char *type)
{
    for (size_t i = 0; i < p->state.n; i++)
        if (!p->state.at[i].state_key.n && hs_str_eq(p->state.at[i].type, hs_str_c(type)))
            return &p->state.at[i];
    return NULL;
}

static hs_error *add_member_unless_given(hs_room_write *w, const plan *p, const char *type, const char *key,
                                         hs_str value)
{
    hs_jv content;

    if (find_given(p, type))
        return NULL;
    HS_TRY(one_member(hs_room_write_arena(w), key, value, &content));
    return add(w, p, hs_str_c(type), HS_S(""), content);
}

static hs_error *add_rules(hs_room_write *w, plan *p)
{
    hs_arena *a = hs_room_write_arena(w);
    const initial *levels = find_given(p, "m.room.power_levels");
    hs_jv content;

    if (levels) {
        content = levels->content;
    } else {
        HS_TRY(power_content(a, p, &content));
    }
    HS_TRY(add(w, p, HS_S("m.room.power_levels"), HS_S(""), content));
    if (p->alias.p)
        HS_TRY(add_member_unless_given(w, p, "m.room.canonical_alias", "alias", p->alias));
    HS_TRY(add_member_unless_given(w, p, "m.room.join_rules", "join_rule", p->preset->join_rule));
    HS_TRY(add_member_unless_given(w, p, "m.room.history_visibility", "history_visibility", HS_S("shared")));
    if (p->preset->guest_can_join)
        HS_TRY(add_member_unless_given(w, p, "m.room.guest_access", "guest_access", HS_S("can_join")));
    return NULL;
}

static bool is_levels(const initial *s)
{
    return !s->state_key.n && hs_str_eq(s->type, HS_S("m.room.power_levels"));
}

static hs_error *add_wishes(hs_room_write *w, plan *p)
{
    const hs_config *cfg = p->srv->config;
    hs_arena *a = hs_room_write_arena(w);
    const initial *encryption = find_given(p, "m.room.encryption");
    bool encrypt = !p->in->never_encrypted && (cfg->encryption_default_all ||
                                               (cfg->encryption_default_invite && p->preset->encrypted_when_invite));
    hs_jv content;

    if (encryption && hs_jv_str_or_null(hs_jv_get(encryption->content, HS_S("algorithm"))).p)
        encrypt = false;
    for (size_t i = 0; i < p->state.n; i++)
        if (!is_levels(&p->state.at[i])) /* those went before */
            HS_TRY(add(w, p, p->state.at[i].type, p->state.at[i].state_key, p->state.at[i].content));
    if (encrypt) {
        HS_TRY(one_member(a, "algorithm", HS_S("m.megolm.v1.aes-sha2"), &content));
        HS_TRY(add(w, p, HS_S("m.room.encryption"), HS_S(""), content));
    }
    if (p->in->name.p) {
        HS_TRY(one_member(a, "name", p->in->name, &content));
        HS_TRY(add(w, p, HS_S("m.room.name"), HS_S(""), content));
    }
    if (p->in->topic.p) {
        HS_TRY(topic_content(a, p->in->topic, &content));
        HS_TRY(add(w, p, HS_S("m.room.topic"), HS_S(""), content));
    }
    return NULL;
}

static hs_error *add_invites(hs_room_write *w, const plan *p)
{
    hs_arena *a = hs_room_write_arena(w);

    for (size_t i = 0; i < p->in->invite.n; i++) {
        hs_str user_id = p->in->invite.at[i], name = { NULL, 0 }, avatar = { NULL, 0 };
        hs_jv content;
        hs_nid user;
        bool found;
        if (p->srv->config->include_profile_data_on_invite && hs_user_is_local(p->srv, user_id)) {
            HS_TRY(hs_user_nid(p->srv, a, user_id, &user));
            HS_TRY(hs_store_profile_get(p->srv->db, a, user, &found, &name, &avatar));
        }
        HS_TRY(member_content(a, "invite", name, avatar, p->in->is_direct, &content));
        HS_TRY(add(w, p, HS_S("m.room.member"), user_id, content));
    }
    return NULL;
}

static bool may_publish(const plan *p, hs_str room_id)
{
    hs_str alias = p->alias;
    hs_strs aliases = { .at = &alias, .n = alias.p ? 1 : 0 };

    return hs_directory_allows(&p->srv->config->room_list_publication_rules, p->who->user_id, room_id, &aliases);
}

/* Versions before 12: a random id; 12: the create event's hash gives it. */
static hs_error *name_room(hs_server *srv, hs_arena *a, hs_room *room)
{
    hs_str opaque, id;

    if (room->rv->room_id_is_hash)
        return NULL;
    HS_TRY(hs_random_text(a, 18, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", &opaque));
    HS_TRY(hs_str_cat(a, &id, 4, HS_S("!"), opaque, HS_S(":"), srv->server_name));
    return hs_cache_room_name(room, id);
}

hs_error *hs_room_new(hs_server *srv, hs_arena *a, const hs_roomver *rv, hs_room **ret)
{
    hs_nid nid;

    HS_TRY(hs_db_new_nid(srv->db, a, &nid));
    HS_TRY(hs_cache_room_new(srv, a, nid, rv, ret));
    return name_room(srv, a, *ret);
}

hs_error *hs_room_new_rows(hs_room_write *w, hs_nid creator)
{
    hs_server *srv = hs_room_write_server(w);
    const hs_room *room = hs_room_write_room(w);
    hs_write *unit = hs_room_write_unit(w);
    hs_room_row row = { .room = room->nid,
                        .room_id = room->id,
                        .version = room->rv->name,
                        .creator = creator,
                        .created_ts = hs_loop_wall(srv->loop) };

    HS_TRY(hs_store_line_insert(unit, room->nid, 0, (hs_snap){ .line = -1 }, 0));
    return hs_store_room_insert(unit, &row);
}

static hs_txn_row txn_of(const hs_session *who, hs_str txn_id)
{
    return (hs_txn_row){ .user = who->user, .device_id = who->device_id, .scope = TXN_SCOPE, .txn_id = txn_id };
}

/* The room that the transaction has made; p NULL: none. */
static hs_error *room_of_txn(hs_server *srv, const hs_session *who, hs_arena *a, hs_str txn_id, hs_str *ret_room_id)
{
    hs_txn_row row = txn_of(who, txn_id);
    bool found;

    *ret_room_id = hs_str_make(NULL, 0);
    HS_TRY(hs_store_txn_get(srv->db, a, &row, &found));
    return found ? hs_store_room_ids(srv->db, a, &row.room, 1, ret_room_id) : NULL;
}

static hs_error *fill_room(hs_room_write *w, void *ud)
{
    plan *p = ud;
    hs_arena *a = hs_room_write_arena(w);
    hs_room *room = hs_room_write_room(w);
    hs_write *unit = hs_room_write_unit(w);
    hs_jv content;

    HS_TRY(create_content(a, p, &content));
    HS_TRY(add(w, p, HS_S("m.room.create"), HS_S(""), content));
    HS_TRY(hs_room_new_rows(w, p->who->user));
    if (p->is_public && may_publish(p, room->id)) /* else it is made all the same */
        HS_TRY(hs_store_published_insert(unit, room->nid));
    if (p->alias.p && !hs_directory_allows(&p->srv->config->alias_creation_rules, p->who->user_id, room->id,
                                           &(hs_strs){ .at = &p->alias, .n = 1 }))
        return hs_err(a, 403, HS_M_UNKNOWN, "Not allowed to create alias");
    if (p->alias.p)
        HS_TRY(hs_store_alias_insert(unit, p->alias, room->nid, p->who->user));

    if (p->in->txn_id.p) {
        hs_txn_row txn = txn_of(p->who, p->in->txn_id);
        txn.room = room->nid;
        txn.ts = hs_loop_wall(p->srv->loop);
        HS_TRY(hs_store_txn_insert(unit, &txn));
    }
    HS_TRY(member_content(a, "join", p->name, p->avatar, false, &content));
    HS_TRY(add(w, p, HS_S("m.room.member"), p->who->user_id, content));
    HS_TRY(add_rules(w, p));
    HS_TRY(add_wishes(w, p));
    return add_invites(w, p);
}

/* The unit, again while the room's id is taken: in version 12 it is a hash, and two rooms that somebody makes in the
 * same millisecond are alike but for that. */
static hs_error *make(plan *p, hs_arena *a, hs_str *ret)
{
    hs_room *room;
    bool conflict;

    for (int i = 0; i < ID_TRIES; i++) {
        HS_TRY(hs_room_new(p->srv, a, p->rv, &room));
        HS_TRY(hs_room_write_run(p->srv, a, room, HS_WRITE_STATE, fill_room, p, &conflict));
        *ret = room->id;
        if (!conflict)
            return NULL;
        if (p->in->txn_id.p) {
            HS_TRY(room_of_txn(p->srv, p->who, a, p->in->txn_id, ret));
            if (ret->p)
                return NULL;
        }
        HS_TRY(read_alias(a, p));
        p->ts = hs_loop_wall(p->srv->loop) + 1 + (int64_t)(hs_random_u64() % 10);
    }
    return hs_err_internal(a, NULL, "couldn't generate a unique room ID");
}

static hs_error *create(plan *p, hs_arena *a, hs_str *ret_room_id)
{
    hs_room_wish alone;
    bool found;

    HS_TRY(read_version(a, p));
    HS_TRY(read_preset(a, p));
    HS_TRY(read_alias(a, p));
    HS_TRY(read_people(a, p));
    HS_TRY(read_initial_state(a, p));
    HS_TRY(check_invites(a, p));
    if (p->who->flags & HS_ACCOUNT_SHADOW_BANNED) { /* nobody hears of it */
        alone = *p->in;
        alone.invite.n = 0;
        p->in = &alone;
    }
    HS_TRY(hs_store_profile_get(p->srv->db, a, p->who->user, &found, &p->name, &p->avatar));
    if (p->in->has_profile) {
        p->name = p->in->displayname;
        p->avatar = p->in->avatar_url;
    }
    return make(p, a, ret_room_id);
}

hs_error *hs_room_create(hs_server *srv, const hs_session *who, hs_arena *a, const hs_room_wish *in, hs_str *ret)
{
    plan p = { .srv = srv, .who = who, .in = in };
    hs_str room_id;
    hs_txn *txn;

    HS_TRY(hs_txn_begin(srv, a, srv->rooms->txns, who, HS_S("createRoom"), in->txn_id, &txn, &room_id));
    if (!room_id.p && in->txn_id.p)
        HS_TRY(hs_txn_fail(txn, room_of_txn(srv, who, a, in->txn_id, &room_id)));
    if (!room_id.p)
        HS_TRY(hs_txn_fail(txn, create(&p, a, &room_id)));
    hs_txn_answer(txn, room_id);
    *ret = room_id;
    return NULL;
}
