/* Room aliases and the list of public rooms, with Synapse's checks and texts. */
#include "server/directory.h"

#include "core/glob.h"
#include "core/ids.h"
#include "server/cache.h"
#include "server/names.h"
#include "store/directory.h"
#include "store/rooms.h"

#include <stdio.h>

#define LIST_MAX    100  /* rooms of a page, as in Synapse */
#define ALIASES_MAX 1000 /* of a room */

static bool rule_matches(const hs_config_rule *r, hs_str user_id, hs_str room_id, const hs_strs *aliases)
{
    if ((r->user_id.p && !hs_glob_match(r->user_id, user_id, true)) ||
        (r->room_id.p && !hs_glob_match(r->room_id, room_id, true)))
        return false;
    if (!r->alias.p || hs_str_eq(r->alias, HS_S("*")))
        return true;
    for (size_t i = 0; i < aliases->n; i++)
        if (hs_glob_match(r->alias, aliases->at[i], true))
            return true;
    return false;
}

bool hs_directory_allows(const hs_config_rules *rules, hs_str user_id, hs_str room_id, const hs_strs *aliases)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rule_matches(&rules->at[i], user_id, room_id, aliases))
            return rules->at[i].allow;
    return false;
}

static bool is_our_alias(const hs_server *srv, hs_str alias, hs_id *ret)
{
    return hs_alias_parse(alias, ret) && hs_str_eq(ret->server, srv->server_name);
}

hs_error *hs_alias_get(hs_server *srv, hs_arena *a, hs_str alias, hs_str *ret_room_id, hs_strs *ret_servers)
{
    hs_alias_row row;
    hs_str *servers;
    hs_id id;

    if (!hs_alias_parse(alias, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Room alias invalid");
    if (!hs_str_eq(id.server, srv->server_name)) /* only our own are known here */
        return hs_err(a, 502, HS_M_UNKNOWN, "Failed to fetch alias");
    HS_TRY(hs_store_alias_get(srv->db, a, alias, &row));
    if (!row.room)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Room alias %.*s not found", HS_FMT(alias));
    HS_TRY(hs_alloc(a, 1, &servers));
    servers[0] = srv->server_name;
    *ret_room_id = row.room_id;
    *ret_servers = (hs_strs){ .at = servers, .n = 1 };
    return NULL;
}

hs_error *hs_alias_put(hs_server *srv, const hs_session *who, hs_arena *a, hs_str alias, hs_str room_id)
{
    hs_alias_row row;
    hs_room *room;
    hs_id id;
    bool added, full;

    if (!hs_alias_parse(alias, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Room alias invalid");
    if (!is_our_alias(srv, alias, &id))
        return hs_err(a, 400, HS_M_UNKNOWN, "Room alias must be local");
    for (size_t i = 0; i < id.local.n; i++)
        if (strchr(" \t\n\r\v\f", id.local.p[i]))
            return hs_err(a, 400, HS_M_UNKNOWN, "Invalid characters in room alias");
    HS_TRY(hs_store_alias_get(srv->db, a, alias, &row));
    if (row.room)
        return hs_err(a, 409, HS_M_UNKNOWN, "Room alias %.*s already exists", HS_FMT(alias));
    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (!room)
        return hs_err(a, 400, HS_M_UNKNOWN, "Room does not exist");
    if (srv->config->require_membership_for_aliases && !hs_room_has_local(room, who->user) &&
        !(who->flags & HS_ACCOUNT_ADMIN))
        return hs_err(a, 403, HS_M_FORBIDDEN, "You must be in the room to create an alias for it");
    if (!hs_directory_allows(&srv->config->alias_creation_rules, who->user_id, room_id,
                             &(hs_strs){ .at = &alias, .n = 1 }))
        return hs_err(a, 403, HS_M_UNKNOWN, "Not allowed to create alias");
    hs_alias_new in = { .alias = alias, .room = room->nid, .creator = who->user, .most = ALIASES_MAX };
    HS_TRY(hs_store_alias_add(srv->db, a, &in, &added, &full));
    if (full)
        return hs_err(a, 400, HS_M_UNKNOWN, "A room has no more than %d aliases", ALIASES_MAX);
    if (!added)
        return hs_err(a, 409, HS_M_UNKNOWN, "Room alias %.*s already exists", HS_FMT(alias));
    return NULL;
}

/* Who may set the canonical alias may also publish the room and take aliases away. */
static hs_error *may_manage(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room, bool *ret)
{
    hs_state_view view;

    *ret = (who->flags & HS_ACCOUNT_ADMIN) != 0;
    if (*ret || !hs_room_has_local(room, who->user))
        return NULL;
    HS_TRY(hs_room_view(srv, a, room, NULL, 0, &view));
    *ret = hs_auth_power(room->rv, &view, who->user_id) >=
           hs_auth_level_for(room->rv, &view, HS_S("m.room.canonical_alias"), true);
    return NULL;
}

/* ── an alias that goes leaves m.room.canonical_alias too ── */

typedef struct {
    const hs_session *who;
    hs_str alias;
} removal;

static void other_aliases(hs_json_out *j, hs_jv list, hs_str gone, bool *changed)
{
    bool any = false;

    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        if (hs_str_eq(hs_jv_str_or_null(it.value), gone)) {
            *changed = true;
            continue;
        }
        if (!any)
            hs_json_arr_at(j, "alt_aliases");
        any = true;
        hs_json_v_raw(j, hs_jv_raw(it.value));
    }
    if (any)
        hs_json_end(j);
}

static hs_error *without_alias(hs_arena *a, hs_jv content, hs_str gone, bool *ret_changed, hs_jv *ret)
{
    bool changed = false;
    hs_json_out j;
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(content, &it);) {
        if (hs_str_eq(it.key, HS_S("alias")) && hs_str_eq(hs_jv_str_or_null(it.value), gone)) {
            changed = true;
        } else if (hs_str_eq(it.key, HS_S("alt_aliases"))) {
            other_aliases(&j, it.value, gone, &changed);
        } else {
            hs_json_key(&j, it.key);
            hs_json_v_raw(&j, hs_jv_raw(it.value));
        }
    }
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    *ret_changed = changed;
    return hs_content_parse(a, text, ret);
}

static hs_error *fill_removal(hs_room_write *w, void *ud)
{
    const removal *r = ud;
    hs_event_wish wish = { .type = HS_S("m.room.canonical_alias"),
                           .state_key = HS_S(""),
                           .is_state = true,
                           .sender = r->who->user_id,
                           .sender_nid = r->who->user };
    hs_event_made made;
    hs_stored *was;
    bool changed;

    HS_TRY(hs_room_write_state(w, wish.type, wish.state_key, &was));
    if (!was)
        return NULL;
    HS_TRY(without_alias(hs_room_write_arena(w), was->ev->content, r->alias, &changed, &wish.content));
    return changed ? hs_room_write_add(w, &wish, &made) : NULL;
}

hs_error *hs_alias_delete(hs_server *srv, const hs_session *who, hs_arena *a, hs_str alias)
{
    removal r = { .who = who, .alias = alias };
    hs_alias_row row;
    hs_room *room;
    hs_id id;
    bool may, removed;

    if (!hs_alias_parse(alias, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Room alias invalid");
    HS_TRY(hs_store_alias_get(srv->db, a, alias, &row));
    if (!row.room)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown room alias");
    HS_TRY(hs_room_load(srv, a, row.room, &room));
    may = row.creator == who->user;
    if (!may && room)
        HS_TRY(may_manage(srv, who, a, room, &may));
    if (!may)
        return hs_err(a, 403, HS_M_FORBIDDEN, "You don't have permission to delete the alias.");
    HS_TRY(hs_store_alias_remove(srv->db, a, alias, &removed));
    if (!room)
        return NULL;
    hs_error *e = hs_room_write_run(srv, a, room, HS_WRITE_STATE, fill_removal, &r, NULL);
    return e && e->status == 403 ? NULL : e; /* who may not change the event has deleted the alias all the same */
}

hs_error *hs_alias_list(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_strs *ret)
{
    hs_room *room;
    hs_stored *visibility = NULL;

    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (room && !hs_room_has_local(room, who->user))
        HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.history_visibility"), HS_S(""), &visibility));
    bool readable =
        visibility && hs_str_eq(hs_jv_str_or_null(hs_jv_get(visibility->ev->content, HS_S("history_visibility"))),
                                HS_S("world_readable"));
    if (!room || (!hs_room_has_local(room, who->user) && !readable))
        return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s, and room previews are disabled",
                      HS_FMT(who->user_id), HS_FMT(room_id));
    return hs_store_aliases_of(srv->db, a, room->nid, ret);
}

hs_error *hs_directory_visibility_get(hs_server *srv, hs_arena *a, hs_str room_id, bool *ret)
{
    hs_room *room;

    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (!room)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown room");
    return hs_store_published_get(srv->db, a, room->nid, ret);
}

static hs_error *check_publication(hs_server *srv, const hs_session *who, hs_arena *a, const hs_room *room)
{
    hs_strs aliases;

    HS_TRY(hs_store_aliases_of(srv->db, a, room->nid, &aliases));
    if (!hs_directory_allows(&srv->config->room_list_publication_rules, who->user_id, room->id, &aliases))
        return hs_err(a, 403, HS_M_UNKNOWN, "Not allowed to publish room");
    return NULL;
}

hs_error *hs_directory_visibility_put(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                      bool is_public)
{
    hs_room *room;
    bool may;

    if (is_public && !srv->config->enable_room_list_search)
        return hs_err(a, 403, HS_M_FORBIDDEN, "This user is not permitted to publish rooms to the room list");
    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (!room && (who->flags & HS_ACCOUNT_ADMIN))
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown room");
    may = false;
    if (room)
        HS_TRY(may_manage(srv, who, a, room, &may));
    if (!may) /* there being no such room looks the same */
        return hs_err(a, 403, HS_M_FORBIDDEN,
                      "This server requires you to be a moderator in the room to edit its room list entry");
    if (!is_public)
        return hs_store_published_remove(srv->db, a, room->nid);
    HS_TRY(check_publication(srv, who, a, room));
    return hs_store_published_add(srv->db, a, room->nid);
}

/* ── the list ── token: 'n' or 'p', members, '_', room number of the page's edge */

static hs_error *mark_read(hs_arena *a, hs_str s, hs_public_mark *ret, bool *ret_backwards)
{
    size_t at = hs_str_find(s, '_', 0);

    if (s.n < 4 || (s.p[0] != 'n' && s.p[0] != 'p') || at == s.n ||
        !hs_str_to_i64(hs_str_make(s.p + 1, at - 1), &ret->joined) ||
        !hs_str_to_i64(hs_str_from(s, at + 1), &ret->room))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid since token");
    *ret_backwards = s.p[0] == 'p';
    return NULL;
}

static hs_error *mark_write(hs_arena *a, char way, const hs_public_row *row, hs_str *ret)
{
    return hs_str_fmt(a, ret, "%c%lld_%lld", way, (long long)row->joined, (long long)row->room);
}

static hs_error *read_types(hs_arena *a, hs_jv types, hs_public_filter *f)
{
    hs_str *out;
    size_t n = 0;

    if (hs_jv_type_of(types) != HS_JV_ARR || !hs_jv_count(types))
        return NULL;
    f->by_type = true;
    HS_TRY(hs_alloc(a, hs_jv_count(types), &out));
    for (hs_jv_iter it = { 0 }; hs_jv_next(types, &it);) {
        if (hs_jv_type_of(it.value) == HS_JV_NULL)
            f->untyped = true;
        else if (hs_jv_type_of(it.value) == HS_JV_STR)
            out[n++] = hs_jv_str_or_null(it.value);
    }
    f->types = (hs_strs){ .at = out, .n = n };
    return NULL;
}

static hs_public_room shown(const hs_public_row *r)
{
    return (hs_public_room){ .room_id = r->room_id,
                             .name = r->name,
                             .topic = r->topic,
                             .canonical_alias = r->canonical_alias,
                             .avatar_url = r->avatar,
                             .join_rule = r->join_rules,
                             .room_type = r->room_type,
                             .joined = r->joined,
                             .world_readable = hs_str_eq(r->history_visibility, HS_S("world_readable")),
                             .guest_can_join = hs_str_eq(r->guest_access, HS_S("can_join")) };
}

static hs_error *edges(hs_arena *a, const hs_public_filter *f, const hs_public_row *rows, size_t n, bool more,
                       hs_public_page *ret)
{
    bool after = f->backwards || more, before = f->backwards ? more : f->from != NULL;

    if (n && after)
        HS_TRY(mark_write(a, 'n', &rows[n - 1], &ret->next_batch));
    if (n && before)
        HS_TRY(mark_write(a, 'p', &rows[0], &ret->prev_batch));
    if (!n && before) /* past the end: from there back */
        HS_TRY(mark_write(a, 'p', &(hs_public_row){ .joined = 0 }, &ret->prev_batch));
    return NULL;
}

hs_error *hs_public_rooms(hs_server *srv, hs_arena *a, const hs_public_query *in, hs_public_page *ret)
{
    int64_t limit = in->limit > 0 && in->limit < LIST_MAX ? in->limit : LIST_MAX;
    hs_public_filter f = { .search = in->search };
    hs_public_page page = { 0 };
    hs_public_mark mark;
    hs_public_row *rows;
    hs_public_room *out;
    size_t n;

    if (in->server.n && !hs_str_eq(in->server, srv->server_name)) /* only our own list is here */
        return hs_server_name_is_valid(in->server)
                   ? hs_err(a, 502, HS_M_UNKNOWN, "Failed to fetch room list")
                   : hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid server name: %.*s", HS_FMT(in->server));
    if (in->all_networks && in->network.p)
        return hs_err(a, 400, HS_M_UNKNOWN, "Can't use include_all_networks with an explicit network");
    if (in->network.p && hs_str_find(in->network, '|', 0) == in->network.n)
        return hs_err(a, 400, HS_M_UNKNOWN, "Invalid ID '%.*s'", HS_FMT(in->network));
    if (!srv->config->enable_room_list_search ||
        (in->network.p && !in->all_networks)) { /* no bridges: their networks are empty */
        *ret = page;
        return NULL;
    }
    f.limit = (int32_t)limit + 1;
    if (in->since.n) {
        HS_TRY(mark_read(a, in->since, &mark, &f.backwards));
        f.from = &mark;
    }
    HS_TRY(read_types(a, in->room_types, &f));
    HS_TRY(hs_store_public_rooms(srv->db, a, &f, &rows, &n));
    HS_TRY(hs_store_public_count(srv->db, a, &f, &page.total));
    bool more = n > (size_t)limit;
    if (more && f.backwards)
        rows++; /* the one too many is the first */
    n = more ? (size_t)limit : n;
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = shown(&rows[i]);
    page.at = out;
    page.n = n;
    HS_TRY(edges(a, &f, rows, n, more, &page));
    *ret = page;
    return NULL;
}
