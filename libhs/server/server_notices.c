/* See server_notices.h. Which room is a user's is asked of the database each time: a room that the sender of notices
 * made and is in, and that the user was invited to, whether or not they have left it. */
#include "server/server_notices.h"

#include "core/ids.h"
#include "server/account_data.h"
#include "server/event_persist.h"
#include "server/names.h"
#include "server/room_create.h"
#include "server/room_member.h"
#include "server/room_send.h"
#include "store/members.h"
#include "store/users.h"

#define TAG "m.server_notice"

bool hs_notices_sender_is(const hs_server *srv, hs_str user_id)
{
    hs_str local = srv->config->server_notices.localpart;
    hs_id id;

    return local.n && hs_user_id_parse(user_id, &id) && hs_str_eq(id.local, local) &&
           hs_str_eq(id.server, srv->server_name);
}

bool hs_notices_room_is(const hs_server *srv, const hs_event *create)
{
    return create && hs_notices_sender_is(srv, create->sender);
}

typedef struct {
    hs_server *srv;
    hs_session sender, target;
    hs_room *room;
} notices;

static hs_error *find_target(notices *n, hs_arena *a, hs_str user_id)
{
    hs_account_row *account;
    hs_id id;

    if (!hs_user_id_parse(user_id, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "%.*s is not a legal user ID", HS_FMT(user_id));
    if (!hs_str_eq(id.server, n->srv->server_name))
        return hs_err(a, 400, HS_M_UNKNOWN, "Server notices can only be sent to local users");
    HS_TRY(hs_store_account_find(n->srv->db, a, id.local, &account));
    if (!account)
        return hs_err(a, 404, HS_M_NOT_FOUND, "User not found");
    n->target = hs_session_acting(account->user, user_id);
    return NULL;
}

static hs_error *find_sender(notices *n, hs_arena *a)
{
    hs_str local = n->srv->config->server_notices.localpart, id;
    hs_nid user;

    if (!local.n)
        return hs_err(a, 400, HS_M_UNKNOWN, "Server notices are not enabled on this server");
    HS_TRY(hs_str_fmt(a, &id, "@%.*s:%.*s", HS_FMT(local), HS_FMT(n->srv->server_name)));
    HS_TRY(hs_user_nid(n->srv, a, id, &user));
    n->sender = hs_session_acting(user, id);
    n->sender.flags = HS_ACCOUNT_ADMIN; /* whom it invites is not up to those who keep others away */
    return NULL;
}

static hs_error *object_of(hs_arena *a, const char *key, hs_str v, const char *key2, hs_str v2, hs_jv *ret)
{
    hs_json_out j;
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_opt_str(&j, key, v);
    if (key2)
        hs_json_opt_str(&j, key2, v2);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_content_parse(a, text, ret);
}

static hs_str given(hs_str s)
{
    return s.n ? s : (hs_str){ NULL, 0 };
}

/* ── the room ── */

static hs_error *make_room(notices *n, hs_arena *a, bool again)
{
    hs_server *srv = n->srv;
    hs_room_wish wish = { .preset = HS_S("private_chat"),
                          .name = given(srv->config->server_notices.room_name),
                          .topic = given(srv->config->server_notices.room_topic),
                          .has_profile =
                              srv->config->server_notices.display_name.n || srv->config->server_notices.avatar_url.n,
                          .displayname = given(srv->config->server_notices.display_name),
                          .avatar_url = given(srv->config->server_notices.avatar_url),
                          .never_encrypted = true };
    hs_str room_id, text, avatar = srv->config->server_notices.room_avatar_url;
    hs_json_out j;
    hs_buf b;

    HS_TRY(hs_tape_parse(a, HS_S("{\"users_default\":-10}"), HS_JSON_OBJECT, &wish.power_level_content_override));
    if (avatar.n) {
        hs_buf_init(&b, a);
        hs_json_out_init(&j, &b);
        hs_json_arr(&j);
        hs_json_obj(&j);
        hs_json_str(&j, "type", HS_S("m.room.avatar"));
        hs_json_str(&j, "state_key", HS_S(""));
        hs_json_obj_at(&j, "content");
        hs_json_str(&j, "url", avatar);
        hs_json_end(&j);
        hs_json_end(&j);
        hs_json_end(&j);
        HS_TRY(hs_buf_flatten(&b, &text));
        HS_TRY(hs_tape_parse(a, text, 0, &wish.initial_state));
    }
    if (!again) /* two who ask at once get one room */
        HS_TRY(hs_str_fmt(a, &wish.txn_id, "notices %lld", (long long)n->target.user));
    HS_TRY(hs_room_create(srv, &n->sender, a, &wish, &room_id));
    return hs_room_find(srv, a, room_id, &n->room);
}

/* A state event whose one member is what the configuration says now. */
static hs_error *update_state(notices *n, hs_arena *a, const char *type, const char *key, hs_str v)
{
    hs_send send = { .room_id = n->room->id, .type = hs_str_c(type), .state_key = HS_S("") };
    hs_stored *now;
    hs_str event_id;

    HS_TRY(hs_room_state_get(n->srv, a, n->room, send.type, HS_S(""), &now));
    hs_str is = now ? hs_jv_str_or_null(hs_jv_get(now->ev->content, hs_str_c(key))) : HS_S("");
    if (hs_str_eq(is, v))
        return NULL;
    HS_TRY(object_of(a, key, v.p ? v : HS_S(""), NULL, v, &send.content));
    return hs_room_send_state(n->srv, &n->sender, a, &send, &event_id);
}

static hs_error *update_profile(notices *n, hs_arena *a)
{
    hs_str name = given(n->srv->config->server_notices.display_name),
           avatar = given(n->srv->config->server_notices.avatar_url);
    hs_member_change join = { .action = HS_CHANGE_JOIN, .room_id = n->room->id };
    hs_stored *now;

    HS_TRY(hs_room_state_get(n->srv, a, n->room, HS_S("m.room.member"), n->sender.user_id, &now));
    if (!now || (!name.p && !avatar.p) ||
        (hs_str_eq(name, hs_jv_str_or_null(hs_jv_get(now->ev->content, HS_S("displayname")))) &&
         hs_str_eq(avatar, hs_jv_str_or_null(hs_jv_get(now->ev->content, HS_S("avatar_url"))))))
        return NULL;
    HS_TRY(object_of(a, "displayname", name, "avatar_url", avatar, &join.content));
    return hs_room_member_change(n->srv, &n->sender, a, &join, NULL);
}

static hs_error *find_room(notices *n, hs_arena *a)
{
    hs_nid room;

    HS_TRY(hs_store_room_made_for(n->srv->db, a, n->target.user, n->sender.user, &room));
    if (room)
        HS_TRY(hs_room_load(n->srv, a, room, &n->room));
    if (n->room) {
        HS_TRY(update_profile(n, a));
        HS_TRY(update_state(n, a, "m.room.name", "name", n->srv->config->server_notices.room_name));
        HS_TRY(update_state(n, a, "m.room.avatar", "url", n->srv->config->server_notices.room_avatar_url));
        return update_state(n, a, "m.room.topic", "topic", n->srv->config->server_notices.room_topic);
    }
    HS_TRY(make_room(n, a, false));
    if (!n->room) /* the one that was made lately has been deleted */
        HS_TRY(make_room(n, a, true));
    return n->room ? NULL : hs_err(a, 503, HS_M_UNKNOWN, "The room of notices is not there yet");
}

static hs_error *tag(notices *n, hs_arena *a)
{
    hs_str tags;
    hs_jv now, empty;

    HS_TRY(hs_tags_get(n->srv, a, &n->target, n->room->id, &tags));
    HS_TRY(hs_tape_parse(a, tags, HS_JSON_OBJECT, &now));
    if (hs_jv_is(hs_jv_get(hs_jv_get(now, HS_S("tags")), HS_S(TAG))))
        return NULL;
    HS_TRY(hs_tape_parse(a, HS_S("{}"), HS_JSON_OBJECT, &empty));
    return hs_tag_put(n->srv, a, &n->target, n->room->id, HS_S(TAG), empty);
}

/* What follows an invite is done for who has been invited before, too: that notice may have been cut off by a crash.
 */
static hs_error *invite(notices *n, hs_arena *a)
{
    hs_member_change in = { .action = HS_CHANGE_INVITE, .room_id = n->room->id, .target = n->target.user_id };
    hs_member_change join = { .action = HS_CHANGE_JOIN, .room_id = n->room->id };
    hs_membership known;
    hs_user_room row;
    bool found, invited;

    HS_TRY(hs_store_user_room(n->srv->db, a, n->target.user, n->room->nid, &row, &found));
    invited = found && row.membership == HS_MEMBER_INVITE;
    if (found && row.membership == HS_MEMBER_JOIN)
        return NULL;
    if (invited) {
        HS_TRY(hs_room_membership(n->srv, a, n->room, n->target.user_id, &known));
        if (known != HS_MEMBER_INVITE) /* stored this moment, by another notice, which goes on by itself */
            return NULL;
    } else {
        HS_TRY(hs_room_member_change(n->srv, &n->sender, a, &in, NULL));
    }
    if (!found || invited)
        HS_TRY(tag(n, a));
    return n->srv->config->server_notices.auto_join ? hs_room_member_change(n->srv, &n->target, a, &join, NULL) : NULL;
}

hs_error *hs_notices_room_of(hs_server *srv, hs_arena *a, hs_nid user, hs_room **ret)
{
    notices n = { .srv = srv };
    hs_nid room;

    *ret = NULL;
    HS_TRY(find_sender(&n, a));
    HS_TRY(hs_store_room_made_for(srv->db, a, user, n.sender.user, &room));
    return room ? hs_room_load(srv, a, room, ret) : NULL;
}

hs_error *hs_notice_send(hs_server *srv, const hs_session *who, hs_arena *a, const hs_notice *in, hs_str *ret)
{
    notices n = { .srv = srv };
    hs_send send = { .type = in->type.p ? in->type : HS_S("m.room.message"), .content = in->content };

    HS_TRY(find_sender(&n, a));
    HS_TRY(find_target(&n, a, in->user_id));
    HS_TRY(find_room(&n, a));
    HS_TRY(invite(&n, a));
    send.room_id = n.room->id;
    if (in->state_key.p) {
        send.state_key = in->state_key;
        return hs_room_send_state(srv, &n.sender, a, &send, ret);
    }
    if (in->txn_id.p)
        HS_TRY(hs_str_fmt(a, &send.txn_id, "%lld %.*s", (long long)who->user, HS_FMT(in->txn_id)));
    return hs_room_send(srv, &n.sender, a, &send, ret);
}
