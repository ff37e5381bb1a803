/* Membership changes by local users, with Synapse's checks and texts: what the auth rules would refuse anyway is left
 * to them (event_accept.c), what only a server knows (profiles, restricted joins, who was banned) is here. */
#include "server/room_member.h"

#include "base/checked.h"
#include "core/ids.h"
#include "server/cache.h"
#include "server/directory.h"
#include "server/invite_rules.h"
#include "server/limiter.h"
#include "server/names.h"
#include "server/room_block.h"
#include "server/room_delete.h"
#include "server/room_state.h"
#include "server/server_notices.h"
#include "store/members.h"
#include "store/names.h"
#include "store/users.h"

#define NAME_MAX_BYTES   256
#define AVATAR_MAX_BYTES 1000

static const struct {
    const char *word; /* as in Synapse's messages */
    hs_membership to;
} ACTIONS[] = {
    [HS_CHANGE_JOIN] = { "join", HS_MEMBER_JOIN },       [HS_CHANGE_LEAVE] = { "leave", HS_MEMBER_LEAVE },
    [HS_CHANGE_INVITE] = { "invite", HS_MEMBER_INVITE }, [HS_CHANGE_KICK] = { "kick", HS_MEMBER_LEAVE },
    [HS_CHANGE_BAN] = { "ban", HS_MEMBER_BAN },          [HS_CHANGE_UNBAN] = { "unban", HS_MEMBER_LEAVE },
    [HS_CHANGE_KNOCK] = { "knock", HS_MEMBER_KNOCK },
};

typedef struct {
    hs_server *srv;
    const hs_session *who;
    const hs_member_change *in;
    hs_str target;
    hs_str name, avatar; /* the target's profile; p NULL: not to be added */
    hs_event_made made;
} change;

/* ── content ── */

static bool is_profile(hs_str key)
{
    return hs_str_eq(key, HS_S("displayname")) || hs_str_eq(key, HS_S("avatar_url"));
}

/* What the server says about a member, whatever the body has. */
static bool is_ours(const change *c, hs_str key)
{
    bool own = c->srv->config->allow_per_room_profiles && !(c->who->flags & HS_ACCOUNT_SHADOW_BANNED);

    return hs_str_eq(key, HS_S("membership")) || hs_str_eq(key, HS_S("join_authorised_via_users_server")) ||
           (!own && is_profile(key));
}

static bool brings(const change *c, const char *key)
{
    return hs_jv_is(hs_jv_get(c->in->content, hs_str_c(key))) && !is_ours(c, hs_str_c(key));
}

static hs_error *content_of(hs_arena *a, const change *c, hs_str authorised_by, hs_jv *ret)
{
    const hs_member_change *in = c->in;
    hs_json_out j;
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(in->content, &it);) {
        if (is_ours(c, it.key) || (in->reason.p && hs_str_eq(it.key, HS_S("reason"))))
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_str(&j, "membership", hs_membership_str(ACTIONS[in->action].to));
    if (c->name.p && !brings(c, "displayname"))
        hs_json_str(&j, "displayname", c->name);
    if (c->avatar.p && !brings(c, "avatar_url"))
        hs_json_str(&j, "avatar_url", c->avatar);
    if (in->is_direct && !hs_jv_is(hs_jv_get(in->content, HS_S("is_direct"))))
        hs_json_bool(&j, "is_direct", true);
    hs_json_opt_str(&j, "reason", in->reason);
    if ((c->who->flags & HS_ACCOUNT_GUEST) && in->action == HS_CHANGE_JOIN)
        hs_json_str(&j, "kind", HS_S("guest"));
    hs_json_opt_str(&j, "join_authorised_via_users_server", authorised_by);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_content_parse(a, text, ret);
}

/* ── restricted joins ── */

/* Is the user joined to one of the rooms that the join rules allow? */
static hs_error *meets_allow_rule(hs_server *srv, hs_arena *a, hs_nid user, hs_jv rules, bool *ret)
{
    *ret = false;
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(rules, HS_S("allow")), &it);) {
        hs_str type = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("type")));
        hs_str room_id = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("room_id")));
        hs_room *room;
        if (!hs_str_eq(type, HS_S("m.room_membership")) || !room_id.n)
            continue;
        HS_TRY(hs_room_find(srv, a, room_id, &room));
        if (room && hs_room_has_local(room, user)) {
            *ret = true;
            return NULL;
        }
    }
    return NULL;
}

/* A local member who could invite, in whose name the join is authorised; p NULL: nobody. */
static hs_error *find_inviter(hs_room_write *w, hs_str *ret)
{
    hs_server *srv = hs_room_write_server(w);
    hs_arena *a = hs_room_write_arena(w);
    hs_room *room = hs_room_write_room(w);
    hs_state_view view;
    hs_str *names;
    size_t n = room->local_members_n;

    *ret = hs_str_make(NULL, 0);
    HS_TRY(hs_alloc(a, n, &names));
    HS_TRY(hs_user_names(srv, a, room->local_members, n, names));
    HS_TRY(hs_room_write_view(w, NULL, 0, &view));
    for (size_t i = 0; i < n; i++)
        if (hs_auth_power(room->rv, &view, names[i]) >= hs_auth_level(room->rv, &view, HS_LEVEL_INVITE)) {
            *ret = names[i];
            return NULL;
        }
    return NULL;
}

static hs_error *authorise_join(hs_room_write *w, const change *c, hs_membership before, hs_str *ret)
{
    hs_arena *a = hs_room_write_arena(w);
    const hs_roomver *rv = hs_room_write_room(w)->rv;
    hs_stored *rules;
    bool allowed;

    *ret = hs_str_make(NULL, 0);
    if (!rv->restricted || before == HS_MEMBER_JOIN || before == HS_MEMBER_INVITE || before == HS_MEMBER_BAN)
        return NULL;
    HS_TRY(hs_room_write_state(w, HS_S("m.room.join_rules"), HS_S(""), &rules));
    hs_str rule = rules ? hs_jv_str_or_null(hs_jv_get(rules->ev->content, HS_S("join_rule"))) : HS_S("invite");
    if (!hs_str_eq(rule, HS_S("restricted")) && !(rv->knock_restricted && hs_str_eq(rule, HS_S("knock_restricted"))))
        return NULL;
    HS_TRY(meets_allow_rule(c->srv, a, c->who->user, rules->ev->content, &allowed));
    if (!allowed)
        return hs_err(a, 403, HS_M_FORBIDDEN,
                      "You do not belong to any of the required rooms/spaces to join this room.");
    HS_TRY(find_inviter(w, ret));
    if (!ret->p)
        return hs_err(a, 400, HS_M_UNABLE_TO_GRANT_JOIN, "Unable to find a user which could issue an invite");
    return NULL;
}

/* ── checks ── */

static hs_membership membership_in(const hs_stored *s)
{
    return s ? hs_membership_parse(hs_jv_str_or_null(hs_jv_get(s->ev->content, HS_S("membership")))) : HS_MEMBER_NONE;
}

static hs_error *check_guest(hs_room_write *w, const change *c)
{
    hs_arena *a = hs_room_write_arena(w);
    hs_stored *s;

    if (!(c->who->flags & HS_ACCOUNT_GUEST) || c->in->action != HS_CHANGE_JOIN)
        return NULL;
    HS_TRY(hs_room_write_state(w, HS_S("m.room.guest_access"), HS_S(""), &s));
    if (!s || !hs_str_eq(hs_jv_str_or_null(hs_jv_get(s->ev->content, HS_S("guest_access"))), HS_S("can_join")))
        return hs_err(a, 403, HS_M_FORBIDDEN, "Guest access not allowed");
    return NULL;
}

/* An invite to the room of notices is not rejected; who has come in may leave. */
static hs_error *check_notices(hs_room_write *w, const change *c, hs_membership before)
{
    hs_stored *create;

    if (!c->srv->config->server_notices.localpart.n || c->who->as_admin || before != HS_MEMBER_INVITE ||
        ACTIONS[c->in->action].to != HS_MEMBER_LEAVE)
        return NULL;
    HS_TRY(hs_room_write_state(w, HS_S("m.room.create"), HS_S(""), &create));
    if (create && hs_notices_room_is(c->srv, create->ev))
        return hs_err(hs_room_write_arena(w), 403, HS_M_CANNOT_LEAVE_SERVER_NOTICE_ROOM,
                      "You cannot reject this invite");
    return NULL;
}

/* What Synapse refuses before it asks the auth rules. */
static hs_error *check_before(hs_arena *a, hs_member_action action, hs_membership before)
{
    const char *word = ACTIONS[action].word;

    if (action == HS_CHANGE_KICK && before != HS_MEMBER_JOIN && before != HS_MEMBER_INVITE && before != HS_MEMBER_KNOCK)
        return before == HS_MEMBER_BAN ? hs_err(a, 403, HS_M_BAD_STATE, "Cannot %s user who was banned", word)
                                       : hs_err(a, 403, HS_M_FORBIDDEN, "The target user is not in the room");
    if (action == HS_CHANGE_UNBAN && before != HS_MEMBER_BAN && before != HS_MEMBER_NONE) {
        hs_str was = hs_membership_str(before);
        return hs_err(a, 403, HS_M_BAD_STATE, "Cannot unban user who was not banned (membership=%.*s)", HS_FMT(was));
    }
    if (before == HS_MEMBER_BAN && action != HS_CHANGE_BAN && action != HS_CHANGE_UNBAN && action != HS_CHANGE_LEAVE)
        return hs_err(a, 403, HS_M_BAD_STATE, "Cannot %s user who was banned", word);
    return NULL;
}

static hs_error *fill_change(hs_room_write *w, void *ud)
{
    change *c = ud;
    hs_arena *a = hs_room_write_arena(w);
    hs_event_wish wish = { .type = HS_S("m.room.member"),
                           .state_key = c->target,
                           .is_state = true,
                           .sender = c->who->user_id,
                           .sender_nid = c->who->user,
                           .txn_id = c->in->txn_id,
                           .device_id = c->who->device_id.p ? c->who->device_id : HS_S("") };
    hs_str authorised_by = { NULL, 0 };
    hs_stored *was;

    HS_TRY(hs_room_write_state(w, HS_S("m.room.member"), c->target, &was));
    hs_membership before = membership_in(was);
    HS_TRY(check_before(a, c->in->action, before));
    HS_TRY(check_guest(w, c));
    HS_TRY(check_notices(w, c, before));
    if (c->in->action == HS_CHANGE_JOIN) {
        HS_TRY(authorise_join(w, c, before, &authorised_by));
        /* staying joined keeps who authorised it, or each repeat would be another event; if that is one of ours, whose
         * signature is ours */
        hs_str kept = hs_jv_str_or_null(
            hs_jv_get(was ? was->ev->content : (hs_jv){ 0 }, HS_S("join_authorised_via_users_server")));
        if (before == HS_MEMBER_JOIN && hs_user_is_local(c->srv, kept))
            authorised_by = kept;
    }
    HS_TRY(content_of(a, c, authorised_by, &wish.content));
    return hs_room_write_add(w, &wish, &c->made);
}

/* Joining and knocking tell rooms that are closed from others, which may be on other servers. */
static hs_error *room_for(hs_server *srv, const hs_session *who, hs_arena *a, const hs_member_change *in, hs_room **ret)
{
    bool entering = in->action == HS_CHANGE_JOIN || in->action == HS_CHANGE_KNOCK;

    HS_TRY(entering ? hs_room_find(srv, a, in->room_id, ret) : hs_room_find_own(srv, who, a, in->room_id, ret));
    if (*ret)
        return NULL;
    if (entering)
        return hs_err(a, 404, HS_M_UNKNOWN,
                      "Can't join remote room because no servers that are in the room have been provided.");
    if (in->action == HS_CHANGE_LEAVE && (!in->target.p || hs_str_eq(in->target, who->user_id)))
        return hs_err(a, 404, HS_M_UNKNOWN, "Not a known room");
    return hs_err(a, 403, HS_M_FORBIDDEN, "%.*s not in room %.*s.", HS_FMT(who->user_id), HS_FMT(in->room_id));
}

hs_error *hs_invite_check(hs_server *srv, hs_arena *a, const hs_session *who, hs_str target)
{
    hs_invite_rule rule;
    hs_nid user;

    if (hs_notices_sender_is(srv, target))
        return hs_err(a, 403, HS_M_UNKNOWN, "Cannot invite this user");
    if (who->flags & HS_ACCOUNT_ADMIN)
        return NULL;
    if (srv->config->block_non_admin_invites)
        return hs_err(a, 403, HS_M_FORBIDDEN, "Invites have been disabled on this server");
    if (!hs_user_is_local(srv, target))
        return NULL;
    HS_TRY(hs_user_nid(srv, a, target, &user));
    HS_TRY(hs_invite_rule_of(srv, a, user, who->user_id, &rule));
    if (rule == HS_INVITE_BLOCK)
        return hs_err(a, 403, HS_M_INVITE_BLOCKED, "You are not permitted to invite this user.");
    return NULL; /* one that is ignored is made, and its target not told: sync_choose.c, push_eval.c */
}

static hs_error *check_limits(hs_server *srv, hs_arena *a, const hs_session *who, const hs_member_change *in,
                              hs_str target, const hs_room *room)
{
    if (who->as_admin)
        return in->action == HS_CHANGE_INVITE ? hs_invite_check(srv, a, who, target) : NULL;
    if (in->action == HS_CHANGE_INVITE) {
        HS_TRY(hs_limit_use_as(srv, a, HS_LIMIT_INVITES_PER_ROOM, who, in->room_id, HS_LIMIT_TAKE));
        HS_TRY(hs_limit_use_as(srv, a, HS_LIMIT_INVITES_PER_USER, who, target, HS_LIMIT_TAKE));
        HS_TRY(hs_limit_use_as(srv, a, HS_LIMIT_INVITES_PER_ISSUER, who, who->user_id, HS_LIMIT_TAKE));
        return hs_invite_check(srv, a, who, target);
    }
    if (in->action == HS_CHANGE_JOIN && !hs_room_has_local(room, who->user)) {
        HS_TRY(hs_limit_use_as(srv, a, HS_LIMIT_JOINS_LOCAL, who, who->user_id, HS_LIMIT_TAKE));
        return hs_limit_use_as(srv, a, HS_LIMIT_JOINS_PER_ROOM, who, in->room_id, HS_LIMIT_TAKE);
    }
    return NULL;
}

static bool shows_profile(const hs_server *srv, hs_member_action action)
{
    return action == HS_CHANGE_JOIN || action == HS_CHANGE_KNOCK ||
           (action == HS_CHANGE_INVITE && srv->config->include_profile_data_on_invite);
}

static hs_error *check_lengths(hs_arena *a, hs_jv content)
{
    if (hs_jv_str_or_null(hs_jv_get(content, HS_S("displayname"))).n > NAME_MAX_BYTES)
        return hs_err(a, 400, HS_M_BAD_JSON, "Displayname is too long (max %d)", NAME_MAX_BYTES);
    if (hs_jv_str_or_null(hs_jv_get(content, HS_S("avatar_url"))).n > AVATAR_MAX_BYTES)
        return hs_err(a, 400, HS_M_BAD_JSON, "Avatar URL is too long (max %d)", AVATAR_MAX_BYTES);
    return NULL;
}

static hs_error *change_member(hs_server *srv, const hs_session *who, hs_arena *a, const hs_member_change *in,
                               hs_str *ret)
{
    change c = { .srv = srv, .who = who, .in = in, .target = in->target.p ? in->target : who->user_id };
    hs_room *room;
    hs_id id;
    bool conflict = false;

    HS_TRY(check_lengths(a, in->content));
    if (!hs_user_id_parse(c.target, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid user id: %.*s", HS_FMT(c.target));
    if (ACTIONS[in->action].to != HS_MEMBER_LEAVE && ACTIONS[in->action].to != HS_MEMBER_BAN)
        HS_TRY(hs_room_block_check(srv, a, in->room_id));
    HS_TRY(room_for(srv, who, a, in, &room));
    if (in->txn_id.p) {
        HS_TRY(hs_room_txn_answer(srv, who, a, room, in->txn_id, ret));
        if (ret->p)
            return NULL;
    }
    /* their server has to sign the invite */
    if (in->action == HS_CHANGE_INVITE && !hs_str_eq(id.server, srv->server_name))
        return hs_err(a, 502, HS_M_UNKNOWN, "Can't connect to server %.*s", HS_FMT(id.server));
    HS_TRY(check_limits(srv, a, who, in, c.target, room));
    if (shows_profile(srv, in->action) && hs_user_is_local(srv, c.target)) {
        hs_nid user;
        bool found;
        HS_TRY(hs_user_nid(srv, a, c.target, &user));
        HS_TRY(hs_store_profile_get(srv->db, a, user, &found, &c.name, &c.avatar));
    }
    HS_TRY(hs_room_write_run(srv, a, room, HS_WRITE_STATE, fill_change, &c, in->txn_id.p ? &conflict : NULL));
    if (conflict) /* another worker was asked the same at the same time */
        return hs_room_txn_answer(srv, who, a, room, in->txn_id, ret);
    *ret = c.made.event_id;
    return srv->config->forget_rooms_on_leave && ACTIONS[in->action].to != HS_MEMBER_JOIN
               ? hs_room_forgotten(srv, a, room)
               : NULL;
}

hs_error *hs_room_member_change(hs_server *srv, const hs_session *who, hs_arena *a, const hs_member_change *in,
                                hs_str *ret)
{
    hs_str event_id = { NULL, 0 };
    hs_txn *txn;

    HS_TRY(hs_txn_begin(srv, a, srv->rooms->txns, who, in->room_id, in->txn_id, &txn, &event_id));
    if (!event_id.p && in->action == HS_CHANGE_INVITE && who->flags & HS_ACCOUNT_SHADOW_BANNED)
        HS_TRY(hs_shadow_event_id(srv, who, a, in->room_id, in->txn_id, &event_id));
    if (!event_id.p)
        HS_TRY(hs_txn_fail(txn, change_member(srv, who, a, in, &event_id)));
    hs_txn_answer(txn, event_id);
    if (ret)
        *ret = event_id;
    return NULL;
}

/* ── PUT state of a member event ── */

hs_error *hs_room_member_put(hs_server *srv, const hs_session *who, hs_arena *a, const hs_send *in, hs_str *ret)
{
    static const hs_member_action BY_MEMBERSHIP[] = {
        [HS_MEMBER_INVITE] = HS_CHANGE_INVITE, [HS_MEMBER_JOIN] = HS_CHANGE_JOIN,   [HS_MEMBER_LEAVE] = HS_CHANGE_LEAVE,
        [HS_MEMBER_BAN] = HS_CHANGE_BAN,       [HS_MEMBER_KNOCK] = HS_CHANGE_KNOCK,
    };
    hs_jv given = hs_jv_get(in->content, HS_S("membership"));
    hs_str text = hs_jv_str_or_null(given);
    hs_membership to = hs_membership_parse(text);

    if (!text.p)
        return hs_err(a, 400, HS_M_UNKNOWN, "Invalid membership (must be a string)");
    if (to == HS_MEMBER_NONE)
        return hs_err(a, 400, HS_M_UNKNOWN, "Invalid membership key");
    hs_member_change c = {
        .action = BY_MEMBERSHIP[to],
        .room_id = in->room_id,
        .target = in->state_key,
        .content = in->content,
        .txn_id = in->txn_id,
    };
    return hs_room_member_change(srv, who, a, &c, ret);
}

/* ── the rest ── */

hs_error *hs_room_resolve(hs_server *srv, hs_arena *a, hs_str s, hs_str *ret)
{
    hs_strs servers;
    hs_id id;

    if (hs_room_id_parse(s, &id)) {
        *ret = s;
        return NULL;
    }
    if (!hs_alias_parse(s, &id))
        return hs_err(a, 400, HS_M_UNKNOWN, "%.*s was not legal room ID or room alias", HS_FMT(s));
    return hs_alias_get(srv, a, s, ret, &servers);
}

hs_error *hs_room_forget(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id)
{
    hs_user_room row;
    hs_room *room;
    hs_write *w;
    hs_write_result res;
    uint32_t at;
    bool found;

    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (!room)
        return NULL;
    HS_TRY(hs_store_user_room(srv->db, a, who->user, room->nid, &row, &found));
    if (!found)
        return NULL;
    if (row.membership != HS_MEMBER_LEAVE && row.membership != HS_MEMBER_BAN)
        return hs_err(a, 400, HS_M_UNKNOWN, "User %.*s in room %.*s", HS_FMT(who->user_id), HS_FMT(room_id));
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &at));
    HS_TRY(hs_store_user_room_flags(w, at, who->user, room->nid, HS_USER_ROOM_FORGOTTEN, 0));
    const hs_news_user told = { .user = who->user, .at = at, .what = HS_NEWS_ROOMS, .room = room->nid };
    HS_TRY(hs_news_give(w, &(hs_news){ .users = &told, .users_n = 1 }));
    HS_TRY(hs_write_commit(w, &res));
    return hs_room_forgotten(srv, a, room);
}

hs_error *hs_rooms_joined(hs_server *srv, hs_arena *a, hs_nid user, hs_strs *ret)
{
    hs_user_room *rows;
    hs_nid *nids;
    hs_str *ids;
    size_t n;

    HS_TRY(hs_store_user_rooms(srv->db, a, user, 1u << HS_MEMBER_JOIN, &rows, &n));
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &ids));
    for (size_t i = 0; i < n; i++)
        nids[i] = rows[i].room;
    if (n)
        HS_TRY(hs_store_room_ids(srv->db, a, nids, n, ids));
    *ret = (hs_strs){ .at = ids, .n = n };
    return NULL;
}

/* ── profiles ── */

typedef struct {
    const hs_session *who;
    hs_str name, avatar;
} profile_change;

/* The present member event with the new name and avatar; p NULL takes one away. */
static hs_error *renamed(hs_arena *a, const profile_change *p, hs_jv old, hs_jv *ret)
{
    hs_json_out j;
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(old, &it);) {
        /* an invite's traits and a reason belong to the event that was, not to a change of name */
        if (hs_str_eq(it.key, HS_S("displayname")) || hs_str_eq(it.key, HS_S("avatar_url")) ||
            hs_str_eq(it.key, HS_S("reason")) || hs_str_eq(it.key, HS_S("is_direct")))
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_opt_str(&j, "displayname", p->name);
    hs_json_opt_str(&j, "avatar_url", p->avatar);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_content_parse(a, text, ret);
}

static hs_error *fill_profile(hs_room_write *w, void *ud)
{
    const profile_change *p = ud;
    hs_event_wish wish = { .type = HS_S("m.room.member"),
                           .state_key = p->who->user_id,
                           .is_state = true,
                           .sender = p->who->user_id,
                           .sender_nid = p->who->user };
    hs_event_made made;
    hs_stored *was;

    HS_TRY(hs_room_write_state(w, HS_S("m.room.member"), p->who->user_id, &was));
    if (membership_in(was) != HS_MEMBER_JOIN)
        return NULL;
    HS_TRY(renamed(hs_room_write_arena(w), p, was->ev->content, &wish.content));
    return hs_room_write_add(w, &wish, &made);
}

static hs_error *change_in_room(hs_server *srv, hs_arena *a, hs_nid nid, profile_change *p)
{
    hs_room *room;

    HS_TRY(hs_room_load(srv, a, nid, &room));
    return room ? hs_room_write_run(srv, a, room, HS_WRITE_STATE, fill_profile, p, NULL) : NULL;
}

hs_error *hs_rooms_profile_changed(hs_server *srv, hs_arena *a, const hs_session *who)
{
    profile_change p = { .who = who };
    hs_user_room *rows;
    hs_arena *each;
    size_t n;
    bool found;

    if (who->flags & HS_ACCOUNT_SHADOW_BANNED)
        return NULL;
    HS_TRY(hs_store_profile_get(srv->db, a, who->user, &found, &p.name, &p.avatar));
    HS_TRY(hs_store_user_rooms(srv->db, a, who->user, 1u << HS_MEMBER_JOIN, &rows, &n));
    each = hs_arena_open(HS_MIB(16));
    if (!each)
        return HS_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        hs_error *e = change_in_room(srv, each, rows[i].room, &p);
        if (e)
            hs_log_error(srv->log, HS_LOG_WARN, HS_S(""), "rooms.profile_change", e);
        hs_arena_reset(each);
    }
    hs_arena_close(each);
    return NULL;
}
