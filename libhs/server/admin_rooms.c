/* See admin_rooms.h. */
#include "server/admin_rooms.h"

#include "core/ids.h"
#include "server/cache.h"
#include "server/event_persist.h"
#include "server/names.h"
#include "server/room_member.h"
#include "server/room_send.h"
#include "server/room_state.h"
#include "store/events.h"
#include "store/members.h"
#include "store/users.h"

enum { LIST_MAX = 10000, TRIES = 4 };

hs_error *hs_admin_rooms(hs_server *srv, hs_arena *a, hs_room_list_query *q, hs_listed_room **ret, size_t *ret_n,
                         int64_t *ret_total)
{
    if (q->limit > LIST_MAX)
        q->limit = LIST_MAX;
    return hs_store_room_list(srv->db, a, q, ret, ret_n, ret_total);
}

static hs_error *not_found(hs_arena *a)
{
    return hs_err(a, 404, HS_M_NOT_FOUND, "Room not found");
}

hs_error *hs_admin_room(hs_server *srv, hs_arena *a, hs_str room_id, hs_room_details *ret, bool *ret_tombstoned)
{
    hs_stored *tombstone = NULL;
    hs_room *room;
    bool found;

    if (!hs_str_is_utf8(room_id) || memchr(room_id.p, 0, room_id.n))
        return not_found(a);
    HS_TRY(hs_store_room_details(srv->db, a, room_id, ret, &found));
    if (!found)
        return not_found(a);
    HS_TRY(hs_room_load(srv, a, ret->row.room, &room));
    if (room)
        HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.tombstone"), HS_S(""), &tombstone));
    *ret_tombstoned = tombstone != NULL;
    return NULL;
}

static hs_error *find(hs_server *srv, hs_arena *a, hs_str room_id, hs_room **ret)
{
    HS_TRY(hs_room_find(srv, a, room_id, ret));
    return *ret ? NULL : not_found(a);
}

hs_error *hs_admin_room_members(hs_server *srv, hs_arena *a, hs_str room_id, hs_strs *ret)
{
    hs_member_row *rows;
    hs_room *room;
    hs_nid *nids;
    hs_str *names;
    size_t n;

    HS_TRY(find(srv, a, room_id, &room));
    HS_TRY(hs_store_members(srv->db, a, room->nid, 1u << HS_MEMBER_JOIN, &rows, &n));
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &names));
    for (size_t i = 0; i < n; i++)
        nids[i] = rows[i].user;
    HS_TRY(hs_user_names(srv, a, nids, n, names));
    *ret = (hs_strs){ names, n };
    return NULL;
}

hs_error *hs_admin_room_state(hs_server *srv, hs_arena *a, hs_str room_id, hs_str type, hs_room **ret_room,
                              hs_stored ***ret, size_t *ret_n)
{
    hs_room_access access = { .membership = HS_MEMBER_JOIN };
    size_t kept = 0;

    HS_TRY(find(srv, a, room_id, &access.room));
    access.line = access.room->line;
    access.snap = access.room->snap;
    HS_TRY(hs_room_state_list(srv, a, &access, ret, ret_n));
    for (size_t i = 0; i < *ret_n; i++)
        if (!type.p || hs_str_eq((*ret)[i]->ev->type, type))
            (*ret)[kept++] = (*ret)[i];
    *ret_n = kept;
    *ret_room = access.room;
    return NULL;
}

static hs_error *resolve(hs_server *srv, hs_arena *a, hs_str id_or_alias, hs_room **ret)
{
    hs_str room_id;

    HS_TRY(hs_room_resolve(srv, a, id_or_alias, &room_id));
    return hs_room_find(srv, a, room_id, ret);
}

/* ── forward extremities ── */

hs_error *hs_admin_room_heads(hs_server *srv, hs_arena *a, hs_str id, hs_stored ***ret, size_t *ret_n)
{
    hs_stored **out;
    hs_room *room;

    HS_TRY(resolve(srv, a, id, &room));
    size_t n = room ? room->heads.n : 0;
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++) {
        out[i] = room->head_events[i];
        HS_TRY(hs_stored_hold(a, out[i]));
    }
    *ret = out;
    *ret_n = n;
    return NULL;
}

/* A row without an event that follows all heads but one: the ticket takes them away. The room's state stays what it was
 * resolved to. */
static hs_error *clear_once(hs_server *srv, hs_arena *a, const hs_room *room, hs_write_status *ret)
{
    hs_news_event news = { .room = room->nid, .depth = room->depth, .line = room->line, .snap = room->snap };
    hs_write_timeline row = { .room = room->nid,
                              .depth = room->depth,
                              .seen_line = room->line,
                              .seen_snap = room->snap,
                              .seen_pos = room->pos,
                              .line = room->line,
                              .snap = room->snap };
    hs_write_result res;
    hs_nid *gone;
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_alloc(hs_write_arena(w), room->heads.n, &gone));
    for (size_t i = 0; i + 1 < room->heads.n; i++)
        gone[i] = room->heads.at[i];
    row.prev = (hs_nids){ gone, room->heads.n - 1 };
    HS_TRY(hs_write_item(w, &row, &news.at));
    HS_TRY(hs_news_give(w, &(hs_news){ .events = &news, .events_n = 1 }));
    HS_TRY(hs_write_commit(w, &res));
    *ret = res.status;
    return NULL;
}

hs_error *hs_admin_room_heads_clear(hs_server *srv, hs_arena *a, hs_str id, size_t *ret_n)
{
    hs_write_status status = HS_WRITE_STALE;
    hs_room *room;

    HS_TRY(resolve(srv, a, id, &room));
    *ret_n = 0;
    for (int i = 0; i < TRIES && status == HS_WRITE_STALE; i++) {
        if (!room || room->heads.n < 2)
            return NULL;
        *ret_n = room->heads.n - 1;
        HS_TRY(clear_once(srv, a, room, &status));
        if (status == HS_WRITE_STALE)
            HS_TRY(hs_room_refresh(srv, a, room, &room));
    }
    if (status != HS_WRITE_OK)
        return hs_err(a, 503, HS_M_UNKNOWN, "The room is changing too fast");
    return NULL;
}

/* ── acting for others ── */

static hs_error *local_account(hs_server *srv, hs_arena *a, hs_str user_id, hs_session *ret)
{
    hs_account_row *account = NULL;
    hs_id id;

    if (!hs_user_id_parse(user_id, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "%.*s is not a legal user ID", HS_FMT(user_id));
    if (!hs_str_eq(id.server, srv->server_name))
        return hs_err(a, 400, HS_M_UNKNOWN, "This endpoint can only be used with local users");
    HS_TRY(hs_store_account_find(srv->db, a, id.local, &account));
    if (!account)
        return hs_err(a, 404, HS_M_NOT_FOUND, "User not found");
    *ret = hs_session_acting(account->user, user_id);
    ret->flags = account->flags & HS_ACCOUNT_GUEST;
    return NULL;
}

static hs_error *join_rule_is_public(hs_server *srv, hs_arena *a, hs_room *room, bool *ret_has, bool *ret)
{
    hs_stored *rules;

    HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.join_rules"), HS_S(""), &rules));
    *ret_has = rules != NULL;
    *ret = rules && hs_str_eq(hs_jv_str_or_null(hs_jv_get(rules->ev->content, HS_S("join_rule"))), HS_S("public"));
    return NULL;
}

hs_error *hs_admin_room_join(hs_server *srv, const hs_session *who, hs_arena *a, hs_str id, hs_str user_id, hs_str *ret)
{
    hs_member_change change = { .action = HS_CHANGE_JOIN }, invite = { .action = HS_CHANGE_INVITE, .target = user_id };
    hs_session target, host = *who;
    bool has = false, is_public = false;
    hs_room *room;

    HS_TRY(local_account(srv, a, user_id, &target));
    HS_TRY(hs_room_resolve(srv, a, id, &change.room_id));
    HS_TRY(hs_room_find(srv, a, change.room_id, &room));
    if (room)
        HS_TRY(join_rule_is_public(srv, a, room, &has, &is_public));
    host.as_admin = true;
    host.device_id = HS_S("");
    invite.room_id = change.room_id;
    if (has && !is_public && !hs_room_has_local(room, target.user))
        HS_TRY(hs_room_member_change(srv, &host, a, &invite, NULL));
    HS_TRY(hs_room_member_change(srv, &target, a, &change, NULL));
    *ret = change.room_id;
    return NULL;
}

/* ── make_room_admin ── */

typedef struct {
    hs_str user_id; /* p NULL: none yet */
    hs_nid user;
    int64_t power;
} mighty;

static hs_error *consider(hs_server *srv, hs_arena *a, const hs_room *room, hs_str user_id, int64_t power, mighty *io)
{
    hs_nid user;

    if (!hs_user_is_local(srv, user_id) || (io->user_id.p && power < io->power))
        return NULL;
    HS_TRY(hs_user_nid_find(srv, a, user_id, &user));
    if (user && hs_room_has_local(room, user))
        *io = (mighty){ user_id, user, power };
    return NULL;
}

/* The local member with the most power; of equals the one who is named last. */
static hs_error *mightiest(hs_server *srv, hs_arena *a, hs_room *room, hs_stored *create, hs_stored *levels,
                           mighty *ret)
{
    mighty m = { 0 };

    if (!levels) {
        HS_TRY(consider(srv, a, room, create->ev->sender, 0, &m));
    } else {
        for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(levels->ev->content, HS_S("users")), &it);) {
            int64_t power = 0;
            hs_str text = hs_jv_str_or_null(it.value); /* old rooms have numbers as text */
            if (!hs_jv_int(it.value, &power) && text.p)
                (void)hs_str_to_i64(text, &power);
            HS_TRY(consider(srv, a, room, it.key, power, &m));
        }
        if (room->rv->privileged_creators) {
            for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(create->ev->content, HS_S("additional_creators")), &it);)
                HS_TRY(consider(srv, a, room, hs_jv_str_or_null(it.value), INT64_MAX, &m));
            HS_TRY(consider(srv, a, room, create->ev->sender, INT64_MAX, &m));
        }
    }
    if (!m.user_id.p)
        return hs_err(a, 400, HS_M_UNKNOWN, "No local admin user in room");
    *ret = m;
    return NULL;
}

/* The levels as they are, but for one user, who gets what `from` has: 100 when that is not said. */
static hs_error *raised(hs_arena *a, hs_jv levels, hs_str from, hs_str to, hs_jv *ret)
{
    hs_jv users = hs_jv_get(levels, HS_S("users")), power = hs_jv_get(users, from);
    hs_json_out j;
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(levels, &it);) {
        if (hs_str_eq(it.key, HS_S("users")))
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_obj_at(&j, "users");
    for (hs_jv_iter it = { 0 }; hs_jv_next(users, &it);) {
        if (hs_str_eq(it.key, to))
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_key(&j, to);
    hs_json_v_raw(&j, hs_jv_is(power) ? hs_jv_raw(power) : HS_S("100"));
    hs_json_end(&j);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_content_parse(a, text, ret);
}

hs_error *hs_admin_room_make_admin(hs_server *srv, hs_arena *a, hs_str id, hs_str user_id)
{
    hs_send send = { .type = HS_S("m.room.power_levels"), .state_key = HS_S("") };
    hs_member_change invite = { .action = HS_CHANGE_INVITE, .target = user_id };
    hs_stored *create = NULL, *levels;
    hs_membership now;
    bool has, is_public;
    hs_room *room;
    hs_str event_id;
    mighty host = { 0 };
    hs_id parsed;

    if (!hs_user_id_parse(user_id, &parsed))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "%.*s is not a legal user ID", HS_FMT(user_id));
    HS_TRY(resolve(srv, a, id, &room));
    if (room)
        HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.create"), HS_S(""), &create));
    if (!create)
        return hs_err(a, 400, HS_M_UNKNOWN, "Server not in room");
    HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.power_levels"), HS_S(""), &levels));
    HS_TRY(mightiest(srv, a, room, create, levels, &host));
    hs_session as = hs_session_acting(host.user, host.user_id);

    send.room_id = invite.room_id = room->id;
    HS_TRY(raised(a, levels ? levels->ev->content : (hs_jv){ 0 }, host.user_id, user_id, &send.content));
    hs_error *e = hs_room_send_state(srv, &as, a, &send, &event_id);
    if (e && e->status == 403)
        return hs_err(a, 400, HS_M_UNKNOWN, "No local admin user in room with power to update power levels.");
    if (e)
        return e;
    HS_TRY(hs_room_membership(srv, a, room, user_id, &now));
    HS_TRY(join_rule_is_public(srv, a, room, &has, &is_public));
    if (now == HS_MEMBER_JOIN || now == HS_MEMBER_INVITE || is_public)
        return NULL;
    return hs_room_member_change(srv, &as, a, &invite, NULL);
}

/* ── one event ── */

hs_error *hs_admin_event(hs_server *srv, hs_arena *a, hs_str event_id, hs_str *ret)
{
    hs_event_row row = { 0 };
    hs_json_out j;
    hs_buf b;
    hs_jv ev;

    if (event_id.n && event_id.n <= 255 && hs_str_is_utf8(event_id) && !memchr(event_id.p, 0, event_id.n))
        HS_TRY(hs_store_events_by_id(srv->db, a, 0, &event_id, 1, &row));
    if (!row.event || !row.json.p || row.flags & HS_EVENT_REJECTED)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Event not found");
    HS_TRY(hs_tape_parse(a, row.json, HS_JSON_OBJECT | HS_JSON_DUP_KEYS_LAST | HS_JSON_DEEP, &ev));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(ev, &it);) {
        if (hs_str_eq(it.key, HS_S("event_id")) || hs_str_eq(it.key, HS_S("unsigned")))
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_str(&j, "event_id", row.event_id);
    hs_json_obj_at(&j, "unsigned");
    hs_json_int(&j, "age", hs_loop_wall(srv->loop) - row.received_ts);
    if (row.flags & HS_EVENT_SOFT_FAILED)
        hs_json_bool(&j, "io.element.synapse.soft_failed", true);
    hs_json_end(&j);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}
