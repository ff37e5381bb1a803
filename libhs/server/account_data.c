/* See account_data.h. Every write takes a position, so that /sync of all devices sees it. Tags of a room are one object
 * of type m.tag: a change reads it, changes it and writes it in place of what was read, and begins anew where somebody
 * else was faster (hs_account_data_change). */
#include "server/account_data.h"

#include "base/checked.h"
#include "base/json_out.h"
#include "base/vec.h"
#include "core/filter.h"
#include "core/ids.h"
#include "server/names.h"
#include "server/news.h"
#include "server/push_rules.h"
#include "store/account_data.h"
#include "store/names.h"
#include "store/unread.h"

#define TYPE_MAX 255
#define TAG_MAX  255
/* What one user may keep; a value has 64 KiB at most, as any body of such a request. */
#define TYPES_MAX   1000 /* of a room, or globally */
#define TAGS_MAX    100  /* of a room */
#define FILTERS_MAX 1000
#define ROUNDS      10 /* of a change that meets those of other workers */

static const hs_str TAGS = HS_S_INIT("m.tag"), NO_TAGS = HS_S_INIT("{\"tags\":{}}");

static hs_error *check_type(hs_arena *a, hs_str type)
{
    if (hs_str_eq(type, HS_S("m.fully_read")))
        return hs_err(a, 405, HS_M_BAD_JSON,
                      "Cannot set m.fully_read through this API. Use /rooms/!roomId:server.name/read_markers");
    if (hs_str_eq(type, HS_S("m.push_rules")))
        return hs_err(a, 405, HS_M_BAD_JSON, "Cannot set m.push_rules through this API. Use /pushrules");
    if (type.n > TYPE_MAX || (type.n && memchr(type.p, 0, type.n)))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "account data type is too long");
    return NULL;
}

/* Number of the room; 0: global, or one that this server does not know. */
static hs_error *find_room(hs_server *srv, hs_arena *a, hs_str room_id, hs_nid *ret)
{
    hs_id id;

    *ret = 0;
    if (!room_id.p)
        return NULL;
    if (!hs_room_id_parse(room_id, &id) || !hs_str_is_utf8(room_id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "%.*s is not a valid room ID", HS_FMT(room_id));
    return hs_store_rooms_find(srv->db, a, &room_id, 1, ret);
}

hs_error *hs_account_data_get(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str type,
                              hs_str *ret_content)
{
    hs_str content = { 0 };
    hs_nid room;

    if (hs_str_eq(type, HS_S("m.push_rules"))) {
        *ret_content = HS_S("{}"); /* a room has none */
        return room_id.p ? NULL : hs_push_rules_json(srv, a, who, ret_content);
    }
    HS_TRY(find_room(srv, a, room_id, &room));
    if (room || !room_id.p)
        HS_TRY(hs_store_account_data_get(srv->db, a, who->user, room, type, &content));
    if (!content.p || (srv->config->msc3391_enabled && hs_str_eq(content, HS_S("{}"))))
        return hs_err(a, 404, HS_M_NOT_FOUND, room_id.p ? "Room account data not found" : "Account data not found");
    *ret_content = content;
    return NULL;
}

/* The people in a m.ignored_user_list, as rows that the timeline and the push rules ask. */
static hs_error *write_ignored(hs_server *srv, hs_arena *a, hs_write *w, hs_nid user, hs_jv content)
{
    hs_jv list = hs_jv_get(content, HS_S("ignored_users"));
    size_t max = hs_jv_type_of(list) == HS_JV_OBJ ? hs_jv_count(list) : 0, n = 0;
    hs_str *ids;
    hs_nid *nids;
    hs_id id;

    HS_TRY(hs_alloc(a, max, &ids));
    HS_TRY(hs_alloc(a, max, &nids));
    for (hs_jv_iter it = { 0 }; n < max && hs_jv_next(list, &it);)
        if (hs_user_id_parse(it.key, &id) && !memchr(it.key.p, 0, it.key.n))
            ids[n++] = it.key;
    HS_TRY(hs_user_nids(srv, a, ids, n, nids));
    return hs_store_ignored_put(w, user, nids, n);
}

static hs_error *write_data(hs_server *srv, hs_arena *a, const hs_session *who, hs_nid room, hs_str type, hs_jv content)
{
    hs_write *w;
    hs_write_result result;
    uint32_t at;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &at));
    HS_TRY(hs_store_account_data_put(w, who->user, room, type, hs_jv_raw(content), at));
    if (!room && hs_str_eq(type, HS_S("m.ignored_user_list")))
        HS_TRY(write_ignored(srv, a, w, who->user, content));
    const hs_news_user told = { .user = who->user, .at = at, .what = HS_NEWS_ACCOUNT_DATA, .room = room, .type = type };
    HS_TRY(hs_news_give(w, &(hs_news){ .users = &told, .users_n = 1 }));
    return hs_write_commit(w, &result);
}

static hs_error *no_membership(hs_arena *a, const hs_session *who, hs_str room_id)
{
    return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s has no membership in room %.*s", HS_FMT(who->user_id),
                  HS_FMT(room_id));
}

/* Who has, or had, to do with the room. A room of others is like one that is not there. */
static hs_error *check_membership(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id)
{
    hs_membership membership = HS_MEMBER_NONE;
    hs_room *room;

    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (room)
        HS_TRY(hs_room_membership(srv, a, room, who->user_id, &membership));
    return membership == HS_MEMBER_NONE ? no_membership(a, who, room_id) : NULL;
}

hs_error *hs_account_data_put(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str type,
                              hs_jv content)
{
    int64_t others;
    hs_nid room;

    HS_TRY(find_room(srv, a, room_id, &room));
    HS_TRY(check_type(a, type));
    if (room_id.p)
        HS_TRY(check_membership(srv, a, who, room_id));
    HS_TRY(hs_store_account_data_others(srv->db, a, who->user, room, type, &others));
    if (others >= TYPES_MAX)
        return hs_err(a, 400, HS_M_UNKNOWN, "An account may have %d types of account data at most%s", TYPES_MAX,
                      room ? " in a room" : "");
    return write_data(srv, a, who, room, type, content);
}

hs_error *hs_account_data_delete(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str type)
{
    hs_jv nothing;

    HS_TRY(hs_tape_parse(a, HS_S("{}"), HS_JSON_OBJECT, &nothing));
    return hs_account_data_put(srv, a, who, room_id, type, nothing);
}

/* ── what is changed in place ── */

static hs_error *write_change(hs_server *srv, hs_arena *a, hs_news_user told, int64_t seen_pos, hs_str content,
                              hs_write_result *ret)
{
    hs_write *w;

    told.what = HS_NEWS_ACCOUNT_DATA;
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &told.at));
    HS_TRY(hs_store_account_data_change(w, told.user, told.room, told.type, seen_pos, content, told.at));
    HS_TRY(hs_news_give(w, &(hs_news){ .users = &told, .users_n = 1 }));
    return hs_write_commit(w, ret);
}

static hs_error *in_rounds(hs_server *srv, hs_arena *a, hs_change_round *round, void *ud, const char *what)
{
    for (int i = 0; i < ROUNDS; i++) {
        hs_write_result result = { .status = HS_WRITE_OK };

        HS_TRY(round(srv, a, ud, &result));
        if (result.status == HS_WRITE_OK)
            return NULL;
        hs_fiber_sleep(srv->loop, 1 + i * 3);
    }
    return hs_err_later(a, 503, HS_M_UNKNOWN, 1000, "The %s being changed elsewhere", what);
}

hs_error *hs_change_in_rounds(hs_server *srv, hs_arena *a, hs_fiber_lock locks[static HS_USER_LOCKS], hs_nid user,
                              hs_change_round *round, void *ud, const char *what)
{
    hs_fiber_lock *lock = &locks[(uint64_t)user % HS_USER_LOCKS];

    hs_lock_exclusive(srv->loop, lock);
    hs_error *e = in_rounds(srv, a, round, ud, what);
    hs_unlock(lock);
    return e;
}

typedef struct {
    hs_nid user, room;
    hs_str type;
    hs_account_data_edit *edit;
    const void *ud;
} data_change;

static hs_error *change_once(hs_server *srv, hs_arena *a, void *ud, hs_write_result *ret)
{
    const data_change *c = ud;
    bool changed;
    hs_str now, then;
    int64_t pos;

    HS_TRY(hs_store_account_data_seen(srv->db, a, c->user, c->room, c->type, &now, &pos));
    HS_TRY(c->edit(a, c->ud, now, &changed, &then));
    if (!changed)
        return NULL;
    return write_change(srv, a, (hs_news_user){ .user = c->user, .room = c->room, .type = c->type }, pos, then, ret);
}

hs_error *hs_account_data_change(hs_server *srv, hs_arena *a, hs_nid user, hs_nid room, hs_str type,
                                 hs_account_data_edit *edit, const void *ud)
{
    data_change c = { user, room, type, edit, ud };

    return hs_change_in_rounds(srv, a, srv->account_data_locks, user, change_once, &c, "account data is");
}

/* ── tags ── */

hs_error *hs_tags_get(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str *ret_content)
{
    hs_nid room;

    HS_TRY(find_room(srv, a, room_id, &room));
    *ret_content = hs_str_make(NULL, 0);
    if (room)
        HS_TRY(hs_store_account_data_get(srv->db, a, who->user, room, TAGS, ret_content));
    if (!ret_content->p)
        *ret_content = NO_TAGS;
    return NULL;
}

typedef struct {
    hs_str tag;
    hs_jv content; /* absent: the tag is removed */
} tag_change;

/* The object with one tag replaced, or without it. */
static hs_error *with_tag(hs_arena *a, const void *ud, hs_str now, bool *changed, hs_str *ret)
{
    const tag_change *c = ud;
    bool put = hs_jv_is(c->content);
    size_t n = 0;
    hs_jv old;
    hs_buf b;
    hs_json_out j;

    *changed = put;
    HS_TRY(hs_tape_parse(a, now.p ? now : NO_TAGS, HS_JSON_OBJECT, &old));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_obj_at(&j, "tags");
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(old, HS_S("tags")), &it);) {
        if (hs_str_eq(it.key, c->tag)) {
            *changed = true;
            continue;
        }
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
        n++;
    }
    if (put && n >= TAGS_MAX)
        return hs_err(a, 400, HS_M_UNKNOWN, "A room may have %d tags at most", TAGS_MAX);
    if (put) {
        hs_json_key(&j, c->tag);
        hs_json_v_raw(&j, hs_jv_raw(c->content));
    }
    hs_json_end(&j);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

static hs_error *change_tags(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str tag,
                             hs_jv content)
{
    tag_change c = { tag, content };
    hs_nid room;

    HS_TRY(find_room(srv, a, room_id, &room));
    return room ? hs_account_data_change(srv, a, who->user, room, TAGS, with_tag, &c) : NULL;
}

hs_error *hs_tag_put(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str tag, hs_jv content)
{
    if (tag.n > TAG_MAX)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "tag parameter's length is over 255 bytes");
    HS_TRY(check_membership(srv, a, who, room_id));
    return change_tags(srv, a, who, room_id, tag, content);
}

hs_error *hs_tag_remove(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str tag)
{
    return change_tags(srv, a, who, room_id, tag, (hs_jv){ 0 });
}

/* ── filters ── */

hs_error *hs_filter_put(hs_server *srv, hs_arena *a, const hs_session *who, hs_jv body, int64_t *ret_id)
{
    hs_filter checked;

    HS_TRY(hs_filter_read(a, body, &checked));
    HS_TRY(hs_store_filter_add(srv->db, a, who->user, hs_jv_raw(body), FILTERS_MAX, ret_id));
    return *ret_id >= 0 ? NULL : hs_err(a, 400, HS_M_UNKNOWN, "An account may have %d filters at most", FILTERS_MAX);
}

hs_error *hs_filter_get(hs_server *srv, hs_arena *a, const hs_session *who, hs_str id, hs_str *ret_body)
{
    int64_t number;

    if (!hs_str_to_i64(id, &number))
        return hs_err(a, 400, HS_M_UNKNOWN, "Invalid filter_id");
    HS_TRY(hs_store_filter_get(srv->db, a, who->user, number, ret_body));
    return ret_body->p ? NULL : hs_err(a, 404, HS_M_NOT_FOUND, "No such filter");
}
