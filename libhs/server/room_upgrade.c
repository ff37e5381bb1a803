/* See room_upgrade.h. One unit over both rooms, so that a crash leaves neither a tombstone that leads nowhere nor a
 * room that nobody is sent to. Its order:
 *
 *   the tombstone, whose id the new room's create event names; from version 12 on the create event, whose hash is the
 * id that the tombstone names; the creator's join, power levels that let everything through, the state that is copied,
 *   the bans; the canonical aliases of both rooms; the final power levels of both
 *
 * Tags, m.direct and push rules of the old room's local members follow by a job that is part of the unit
 * (room_follow.c). */
#include "server/room_upgrade.h"

#include "base/checked.h"
#include "core/ids.h"
#include "core/sign.h"
#include "server/cache.h"
#include "server/names.h"
#include "server/room_create.h"
#include "server/room_follow.h"
#include "server/room_state.h"
#include "server/room_upgrade_power.h"
#include "store/directory.h"
#include "store/members.h"
#include "store/rooms.h"
#include "store/users.h"

#define AGAIN_MS     (INT64_C(5) * 60 * 1000) /* so long a repeat gives the same room */
#define BANS_AT_ONCE 500

typedef struct {
    hs_server *srv;
    const hs_session *who;
    const hs_upgrade *in;
    const hs_roomver *rv;
    hs_str name, avatar; /* the creator's profile */
    /* of one attempt */
    hs_room_write *from, *to;
    hs_upgrade_power power;
    hs_event_made tombstone;
    hs_str room_id; /* the answer */
    hs_str follow;  /* the job */
    hs_room *old_room, *new_room;
} upgrade;

/* ── contents ── */

typedef struct {
    hs_buf b;
    hs_json_out j;
} object;

static hs_json_out *object_open(object *o, hs_arena *a)
{
    hs_buf_init(&o->b, a);
    hs_json_out_init(&o->j, &o->b);
    hs_json_obj(&o->j);
    return &o->j;
}

static hs_error *object_done(object *o, hs_arena *a, hs_jv *ret)
{
    hs_str text;

    hs_json_end(&o->j);
    HS_TRY(hs_buf_flatten(&o->b, &text));
    return hs_content_parse(a, text, ret);
}

static hs_error *one_member(hs_arena *a, const char *key, const char *value, hs_jv *ret)
{
    object o;

    hs_json_str(object_open(&o, a), key, hs_str_c(value));
    return object_done(&o, a, ret);
}

static hs_jv content_of(const hs_stored *s)
{
    return s ? s->ev->content : (hs_jv){ 0 };
}

static hs_error *tombstone_content(hs_arena *a, hs_str room_id, hs_jv *ret)
{
    object o;
    hs_json_out *j = object_open(&o, a);

    hs_json_str(j, "body", HS_S("This room has been replaced"));
    hs_json_str(j, "replacement_room", room_id);
    return object_done(&o, a, ret);
}

static hs_error *create_content(hs_arena *a, const upgrade *u, hs_jv old, hs_jv *ret)
{
    hs_jv type = hs_jv_get(old, HS_S("type"));
    bool federate;
    object o;
    hs_json_out *j = object_open(&o, a);

    hs_json_str(j, "room_version", u->rv->name);
    if (!u->rv->creator_is_sender)
        hs_json_str(j, "creator", u->who->user_id);
    hs_json_obj_at(j, "predecessor");
    hs_json_str(j, "room_id", u->old_room->id);
    hs_json_opt_str(j, "event_id", u->tombstone.event_id);
    hs_json_end(j);
    if (u->rv->privileged_creators && hs_jv_type_of(u->in->additional_creators) == HS_JV_ARR)
        hs_json_raw(j, "additional_creators", hs_jv_raw(u->in->additional_creators));
    if (hs_jv_bool(hs_jv_get(old, HS_S("m.federate")), &federate) && !federate)
        hs_json_bool(j, "m.federate", false);
    if (hs_jv_is(type))
        hs_json_raw(j, "type", hs_jv_raw(type));
    return object_done(&o, a, ret);
}

static hs_error *join_content(hs_arena *a, const upgrade *u, hs_jv *ret)
{
    object o;
    hs_json_out *j = object_open(&o, a);

    hs_json_str(j, "membership", HS_S("join"));
    hs_json_opt_str(j, "displayname", u->name);
    hs_json_opt_str(j, "avatar_url", u->avatar);
    return object_done(&o, a, ret);
}

/* ── events ── */

static hs_error *add(hs_room_write *w, const upgrade *u, hs_str type, hs_str state_key, hs_jv content,
                     hs_event_made *ret)
{
    hs_event_wish wish = { .type = type,
                           .state_key = state_key,
                           .is_state = true,
                           .sender = u->who->user_id,
                           .sender_nid = u->who->user,
                           .content = content,
                           .no_push = w == u->to };
    hs_event_made made;

    HS_TRY(hs_room_write_add(w, &wish, ret ? ret : &made));
    return NULL;
}

/* What only fails because of the power that the user has there is left out, as Synapse does. */
static hs_error *add_if_allowed(hs_room_write *w, const upgrade *u, hs_str type, hs_str state_key, hs_jv content)
{
    hs_error *e = add(w, u, type, state_key, content, NULL);

    return e && e->status == 403 ? NULL : e;
}

static hs_error *add_levels(hs_room_write *w, const upgrade *u, hs_str text)
{
    hs_jv content;

    HS_TRY(hs_content_parse(hs_room_write_arena(w), text, &content));
    return add(w, u, HS_S("m.room.power_levels"), HS_S(""), content, NULL);
}

/* ── who has power by himself ── */

static hs_error *creators_of(hs_arena *a, const hs_roomver *rv, hs_str creator, hs_jv additional, hs_strs *ret)
{
    size_t n = 0;
    hs_str *at;

    *ret = (hs_strs){ 0 };
    if (!rv->privileged_creators)
        return NULL;
    HS_TRY(hs_alloc(a, hs_jv_count(additional) + 1, &at));
    at[n++] = creator;
    for (hs_jv_iter it = { 0 }; hs_jv_next(additional, &it);)
        if (hs_jv_str_or_null(it.value).p)
            at[n++] = hs_jv_str_or_null(it.value);
    *ret = (hs_strs){ .at = at, .n = n };
    return NULL;
}

static hs_error *read_power(upgrade *u, hs_arena *a, const hs_stored *create)
{
    hs_stored *levels;

    HS_TRY(hs_room_write_state(u->from, HS_S("m.room.power_levels"), HS_S(""), &levels));
    u->power =
        (hs_upgrade_power){ .from = u->old_room->rv, .to = u->rv, .old = content_of(levels), .user = u->who->user_id };
    HS_TRY(creators_of(a, u->old_room->rv, create->ev->sender,
                       hs_jv_get(create->ev->content, HS_S("additional_creators")), &u->power.old_creators));
    return creators_of(a, u->rv, u->who->user_id, u->in->additional_creators, &u->power.new_creators);
}

/* ── the new room ── */

static hs_error *add_or(upgrade *u, const char *type, const char *key, const char *otherwise)
{
    hs_stored *was;
    hs_jv content;

    HS_TRY(hs_room_write_state(u->from, hs_str_c(type), HS_S(""), &was));
    if (was) {
        content = was->ev->content;
    } else {
        if (!otherwise)
            return NULL;
        HS_TRY(one_member(hs_room_write_arena(u->to), key, otherwise, &content));
    }
    return add(u->to, u, hs_str_c(type), HS_S(""), content, NULL);
}

/* m.room.encryption, and what the server wishes where the old room has none that counts. */
static hs_error *add_encryption(upgrade *u)
{
    const hs_config *c = u->srv->config;
    bool wanted = c->encryption_default_all || c->encryption_default_invite;
    hs_stored *was;
    hs_jv content;

    HS_TRY(hs_room_write_state(u->from, HS_S("m.room.encryption"), HS_S(""), &was));
    if (was)
        HS_TRY(add(u->to, u, HS_S("m.room.encryption"), HS_S(""), was->ev->content, NULL));
    if (!wanted || (was && hs_jv_str_or_null(hs_jv_get(was->ev->content, HS_S("algorithm"))).p))
        return NULL;
    HS_TRY(one_member(hs_room_write_arena(u->to), "algorithm", "m.megolm.v1.aes-sha2", &content));
    return add(u->to, u, HS_S("m.room.encryption"), HS_S(""), content, NULL);
}

/* The rooms of a space; those that were taken out have no content. */
static hs_error *add_children(upgrade *u, hs_arena *a)
{
    const hs_room *room = u->old_room;
    bool exact;
    size_t from = hs_state_search(room->state, room->state_n, hs_slot_low(HS_SLOT_SPACE_CHILD), &exact);
    size_t n = hs_state_search(room->state, room->state_n, hs_slot_low(HS_SLOT_SPACE_CHILD + 1), &exact) - from;
    hs_stored **events;
    hs_nid *nids;

    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &events));
    for (size_t i = 0; i < n; i++)
        nids[i] = room->state[from + i].event;
    HS_TRY(hs_events_load(u->srv, a, room->nid, nids, n, events));
    for (size_t i = 0; i < n; i++)
        if (events[i] && hs_jv_count(events[i]->ev->content))
            HS_TRY(add(u->to, u, events[i]->ev->type, events[i]->ev->state_key, events[i]->ev->content, NULL));
    return NULL;
}

static hs_error *add_state(upgrade *u, hs_arena *a, hs_jv create)
{
    HS_TRY(add_or(u, "m.room.join_rules", "join_rule", "invite"));
    HS_TRY(add_or(u, "m.room.history_visibility", "history_visibility", "shared"));
    HS_TRY(add_or(u, "m.room.guest_access", "guest_access", "can_join"));
    HS_TRY(add_or(u, "m.room.name", NULL, NULL));
    HS_TRY(add_or(u, "m.room.topic", NULL, NULL));
    HS_TRY(add_or(u, "m.room.avatar", NULL, NULL));
    HS_TRY(add_or(u, "m.room.server_acl", NULL, NULL));
    HS_TRY(add_encryption(u));
    return hs_str_eq(hs_jv_str_or_null(hs_jv_get(create, HS_S("type"))), HS_S("m.space")) ? add_children(u, a) : NULL;
}

static hs_error *add_bans(upgrade *u, hs_arena *a)
{
    hs_member_row *rows;
    size_t n;

    HS_TRY(hs_store_members(u->srv->db, a, u->old_room->nid, 1u << HS_MEMBER_BAN, &rows, &n));
    for (size_t i = 0; i < n; i += BANS_AT_ONCE) {
        size_t some = n - i < BANS_AT_ONCE ? n - i : BANS_AT_ONCE;
        hs_nid nids[BANS_AT_ONCE];
        hs_stored *events[BANS_AT_ONCE];
        for (size_t k = 0; k < some; k++)
            nids[k] = rows[i + k].event;
        HS_TRY(hs_events_load(u->srv, a, u->old_room->nid, nids, some, events));
        for (size_t k = 0; k < some; k++)
            if (events[k])
                HS_TRY(
                    add_if_allowed(u->to, u, HS_S("m.room.member"), events[k]->ev->state_key, events[k]->ev->content));
    }
    return NULL;
}

static hs_error *open_new_room(upgrade *u, hs_arena *a, hs_jv old_create)
{
    hs_jv content;

    HS_TRY(hs_room_new(u->srv, a, u->rv, &u->new_room));
    HS_TRY(hs_room_write_beside(u->from, u->new_room, &u->to));
    if (!u->rv->room_id_is_hash) {
        HS_TRY(tombstone_content(a, u->new_room->id, &content));
        HS_TRY(add(u->from, u, HS_S("m.room.tombstone"), HS_S(""), content, &u->tombstone));
    }
    HS_TRY(create_content(a, u, old_create, &content));
    HS_TRY(add(u->to, u, HS_S("m.room.create"), HS_S(""), content, NULL));
    if (u->rv->room_id_is_hash) {
        HS_TRY(tombstone_content(a, u->new_room->id, &content));
        HS_TRY(add(u->from, u, HS_S("m.room.tombstone"), HS_S(""), content, &u->tombstone));
    }
    return hs_room_new_rows(u->to, u->who->user);
}

static hs_error *fill_new_room(upgrade *u, hs_arena *a, hs_jv old_create)
{
    hs_jv content;
    hs_str levels;

    HS_TRY(join_content(a, u, &content));
    HS_TRY(add(u->to, u, HS_S("m.room.member"), u->who->user_id, content, NULL));
    HS_TRY(hs_upgrade_power_first(a, &u->power, &levels));
    HS_TRY(add_levels(u->to, u, levels));
    HS_TRY(add_state(u, a, old_create));
    return add_bans(u, a);
}

/* ── aliases ── */

static bool is_ours(const upgrade *u, hs_jv alias)
{
    hs_id id;

    return hs_alias_parse(hs_jv_str_or_null(alias), &id) && hs_str_eq(id.server, u->srv->server_name);
}

/* The part of a canonical alias' content that is of this server, or the rest. */
static hs_error *alias_part(hs_arena *a, const upgrade *u, hs_jv old, bool ours, hs_jv *ret)
{
    hs_jv alias = hs_jv_get(old, HS_S("alias")), alts = hs_jv_get(old, HS_S("alt_aliases"));
    bool any = false;
    object o;
    hs_json_out *j = object_open(&o, a);

    for (hs_jv_iter it = { 0 }; !ours && hs_jv_next(old, &it);) {
        if (hs_str_eq(it.key, HS_S("alias")) || hs_str_eq(it.key, HS_S("alt_aliases")))
            continue;
        hs_json_key(j, it.key);
        hs_json_v_raw(j, hs_jv_raw(it.value));
    }
    if (hs_jv_is(alias) && is_ours(u, alias) == ours)
        hs_json_raw(j, "alias", hs_jv_raw(alias));
    for (hs_jv_iter it = { 0 }; hs_jv_next(alts, &it);) {
        if (is_ours(u, it.value) != ours)
            continue;
        if (!any)
            hs_json_arr_at(j, "alt_aliases");
        any = true;
        hs_json_v_raw(j, hs_jv_raw(it.value));
    }
    if (any)
        hs_json_end(j);
    return object_done(&o, a, ret);
}

static hs_error *move_aliases(upgrade *u, hs_arena *a)
{
    hs_write *unit = hs_room_write_unit(u->from);
    hs_str type = HS_S("m.room.canonical_alias");
    hs_stored *was;
    hs_jv content;

    HS_TRY(hs_store_aliases_move(unit, u->old_room->nid, u->new_room->nid));
    HS_TRY(hs_store_published_move(unit, u->old_room->nid, u->new_room->nid));
    HS_TRY(hs_room_write_state(u->from, type, HS_S(""), &was));
    if (!was)
        return NULL;
    HS_TRY(alias_part(a, u, was->ev->content, false, &content));
    HS_TRY(add_if_allowed(u->from, u, type, HS_S(""), content));
    HS_TRY(alias_part(a, u, was->ev->content, true, &content));
    return add_if_allowed(u->to, u, type, HS_S(""), content);
}

static hs_error *settle_levels(upgrade *u, hs_arena *a)
{
    bool changed;
    hs_str text;
    hs_jv content;

    if (hs_jv_is(u->power.old)) {
        HS_TRY(hs_upgrade_power_old(a, &u->power, &changed, &text));
        HS_TRY(hs_content_parse(a, text, &content));
        if (changed)
            HS_TRY(add_if_allowed(u->from, u, HS_S("m.room.power_levels"), HS_S(""), content));
    }
    HS_TRY(hs_upgrade_power_last(a, &u->power, &text));
    return add_levels(u->to, u, text);
}

/* ── the unit ── */

/* Has somebody done it within five minutes? The user himself: his room is the answer. */
static hs_error *done_lately(upgrade *u, hs_arena *a, bool *ret)
{
    hs_stored *tombstone, *create;
    hs_room *room;

    *ret = false;
    HS_TRY(hs_room_write_state(u->from, HS_S("m.room.tombstone"), HS_S(""), &tombstone));
    if (!tombstone || tombstone->received_ts + AGAIN_MS < hs_loop_wall(u->srv->loop))
        return NULL;
    hs_str next = hs_jv_str_or_null(hs_jv_get(tombstone->ev->content, HS_S("replacement_room")));
    if (!next.n)
        return NULL;
    HS_TRY(hs_room_find(u->srv, a, next, &room));
    if (!room)
        return NULL;
    HS_TRY(hs_room_state_get(u->srv, a, room, HS_S("m.room.create"), HS_S(""), &create));
    hs_str before = hs_jv_str_or_null(hs_jv_path(content_of(create), "predecessor", "room_id", NULL));
    if (!hs_str_eq(before, u->old_room->id))
        return NULL;
    if (tombstone->sender != u->who->user)
        return hs_err(a, 400, HS_M_UNKNOWN, "An upgrade for this room is currently in progress");
    u->room_id = next;
    *ret = true;
    return NULL;
}

static hs_error *fill(hs_room_write *w, void *ud)
{
    upgrade *u = ud;
    hs_arena *a = hs_room_write_arena(w);
    hs_stored *create;
    bool done;

    u->from = w;
    u->to = NULL;
    u->old_room = hs_room_write_room(w);
    u->new_room = NULL;
    u->tombstone = (hs_event_made){ 0 };
    HS_TRY(done_lately(u, a, &done));
    if (done)
        return NULL;
    HS_TRY(hs_room_write_state(w, HS_S("m.room.create"), HS_S(""), &create));
    if (!create)
        return hs_err_internal(a, NULL, "a room without a create event");
    HS_TRY(read_power(u, a, create));
    HS_TRY(open_new_room(u, a, create->ev->content));
    HS_TRY(fill_new_room(u, a, create->ev->content));
    HS_TRY(move_aliases(u, a));
    HS_TRY(settle_levels(u, a));
    u->room_id = u->new_room->id;
    return hs_room_follow_add(a, hs_room_write_unit(u->from), u->old_room->id, u->room_id, &u->follow);
}

static hs_error *check_creators(hs_arena *a, const upgrade *u)
{
    hs_jv list = u->in->additional_creators;
    hs_id id;

    if (!u->rv->privileged_creators || !hs_jv_is(list) || hs_jv_type_of(list) == HS_JV_NULL)
        return NULL;
    if (hs_jv_type_of(list) != HS_JV_ARR)
        return hs_err(a, 400, HS_M_BAD_JSON, "additional_creators must be an array");
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);)
        if (!hs_user_id_parse(hs_jv_str_or_null(it.value), &id))
            return hs_err(a, 400, HS_M_BAD_JSON, "entry in additional_creators is not a valid user ID");
    return NULL;
}

/* The id of a room that there is not: what a shadow-banned user is answered. */
static hs_error *shadow_room_id(const hs_server *srv, hs_arena *a, hs_str *ret)
{
    hs_str letters;

    HS_TRY(hs_random_text(a, 18, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", &letters));
    return hs_str_cat(a, ret, 4, HS_S("!"), letters, HS_S(":"), srv->server_name);
}

hs_error *hs_room_upgrade(hs_server *srv, const hs_session *who, hs_arena *a, const hs_upgrade *in, hs_str *ret)
{
    upgrade u = { .srv = srv, .who = who, .in = in, .rv = hs_roomver_find(in->new_version) };
    hs_room *room;
    bool found;

    if (!u.rv)
        return hs_err(a, 400, HS_M_UNSUPPORTED_ROOM_VERSION, "Your homeserver does not support this room version");
    HS_TRY(check_creators(a, &u));
    HS_TRY(hs_room_find_own(srv, who, a, in->room_id, &room));
    if (!room)
        return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s (None)", HS_FMT(who->user_id),
                      HS_FMT(in->room_id));
    if (who->flags & HS_ACCOUNT_SHADOW_BANNED)
        return shadow_room_id(srv, a, ret);
    HS_TRY(hs_store_profile_get(srv->db, a, who->user, &found, &u.name, &u.avatar));
    HS_TRY(hs_room_write_run(srv, a, room, HS_WRITE_STATE, fill, &u, NULL));
    *ret = u.room_id;
    return u.new_room ? hs_room_follow_wait(srv, a, room->id, u.follow) : NULL;
}
