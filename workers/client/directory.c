/* Aliases, the room directory and the list of public rooms. Spec: Client-Server API, "Room aliases", "Published room
 * directory". */
#include "server/directory.h"
#include "runtime/http.h"

/* ── aliases ── */

static void strings_at(hs_json_out *j, const char *key, const hs_strs *s)
{
    hs_json_arr_at(j, key);
    for (size_t i = 0; i < s->n; i++)
        hs_json_v_str(j, s->at[i]);
    hs_json_end(j);
}

/* GET …/directory/room/{roomAlias} */
static hs_error *get_alias(hs_req *q, hs_res *r)
{
    hs_str room_id;
    hs_strs servers;

    HS_TRY(hs_alias_get(q->srv, q->a, hs_path_param(q, "roomAlias"), &room_id, &servers));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "room_id", room_id);
    strings_at(j, "servers", &servers);
    hs_json_end(j);
    return NULL;
}

typedef struct {
    hs_str room_id;
} alias_body;

static const hs_field ALIAS_BODY[] = {
    HS_NEED_STR(alias_body, room_id),
    { 0 },
};

/* PUT …/directory/room/{roomAlias} */
static hs_error *put_alias(hs_req *q, hs_res *r)
{
    alias_body body = { 0 };

    HS_TRY(hs_req_fields(q, ALIAS_BODY, &body));

    HS_TRY(hs_alias_put(q->srv, q->who, q->a, hs_path_param(q, "roomAlias"), body.room_id));

    hs_res_empty(r);
    return NULL;
}

/* DELETE …/directory/room/{roomAlias} */
static hs_error *delete_alias(hs_req *q, hs_res *r)
{
    HS_TRY(hs_alias_delete(q->srv, q->who, q->a, hs_path_param(q, "roomAlias")));

    hs_res_empty(r);
    return NULL;
}

/* GET …/rooms/{roomId}/aliases */
static hs_error *get_aliases(hs_req *q, hs_res *r)
{
    hs_strs aliases;

    HS_TRY(hs_alias_list(q->srv, q->who, q->a, hs_path_param(q, "roomId"), &aliases));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    strings_at(j, "aliases", &aliases);
    hs_json_end(j);
    return NULL;
}

/* ── visibility ── */

/* GET …/directory/list/room/{roomId} */
static hs_error *get_visibility(hs_req *q, hs_res *r)
{
    bool is_public;

    HS_TRY(hs_directory_visibility_get(q->srv, q->a, hs_path_param(q, "roomId"), &is_public));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "visibility", is_public ? HS_S("public") : HS_S("private"));
    hs_json_end(j);
    return NULL;
}

typedef struct {
    hs_str visibility;
} visibility_body;

static const hs_field VISIBILITY_BODY[] = {
    HS_OPT_STR(visibility_body, visibility),
    { 0 },
};

/* PUT …/directory/list/room/{roomId} */
static hs_error *put_visibility(hs_req *q, hs_res *r)
{
    visibility_body body = { 0 };
    bool is_public;

    HS_TRY(hs_req_fields(q, VISIBILITY_BODY, &body));
    is_public = !body.visibility.p || hs_str_eq(body.visibility, HS_S("public"));
    if (!is_public && !hs_str_eq(body.visibility, HS_S("private")))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Invalid visibility");

    HS_TRY(hs_directory_visibility_put(q->srv, q->who, q->a, hs_path_param(q, "roomId"), is_public));

    hs_res_empty(r);
    return NULL;
}

/* ── public rooms ── */

static void public_room(hs_json_out *j, const hs_public_room *p)
{
    hs_json_obj(j);
    hs_json_str(j, "room_id", p->room_id);
    hs_json_opt_str(j, "name", p->name);
    hs_json_opt_str(j, "topic", p->topic);
    hs_json_opt_str(j, "canonical_alias", p->canonical_alias);
    hs_json_int(j, "num_joined_members", p->joined);
    hs_json_opt_str(j, "avatar_url", p->avatar_url);
    hs_json_bool(j, "world_readable", p->world_readable);
    hs_json_bool(j, "guest_can_join", p->guest_can_join);
    hs_json_opt_str(j, "join_rule", p->join_rule);
    hs_json_opt_str(j, "room_type", p->room_type);
    hs_json_end(j);
}

static hs_error *list_answer(hs_req *q, hs_res *r, const hs_public_query *in)
{
    hs_public_page page;

    HS_TRY(hs_public_rooms(q->srv, q->a, in, &page));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "chunk");
    for (size_t i = 0; i < page.n; i++)
        public_room(j, &page.at[i]);
    hs_json_end(j);
    hs_json_opt_str(j, "next_batch", page.next_batch);
    hs_json_opt_str(j, "prev_batch", page.prev_batch);
    hs_json_int(j, "total_room_count_estimate", page.total);
    hs_json_end(j);
    return NULL;
}

/* GET …/publicRooms */
static hs_error *get_public_rooms(hs_req *q, hs_res *r)
{
    hs_public_query in = { .server = hs_query(q, "server"), .since = hs_query(q, "since") };
    bool has;

    if (!q->who && (!q->srv->config->allow_public_rooms_without_auth || in.server.n))
        return hs_err(q->a, 401, HS_M_MISSING_TOKEN, "Missing access token");
    HS_TRY(hs_query_i64(q, "limit", &has, &in.limit));
    if (in.limit < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter limit must be a positive integer");

    return list_answer(q, r, &in);
}

typedef struct {
    hs_str since, third_party_instance_id;
    hs_jv filter;
    bool include_all_networks, has_limit;
    int64_t limit;
} list_body;

static const hs_field LIST_BODY[] = {
    HS_OPT_STR(list_body, since),
    HS_OPT_STR(list_body, third_party_instance_id),
    HS_OPT_OBJ(list_body, filter),
    HS_OPT_BOOL(list_body, include_all_networks),
    HS_OPT_INT(list_body, limit, has_limit),
    { 0 },
};

/* POST …/publicRooms */
static hs_error *post_public_rooms(hs_req *q, hs_res *r)
{
    list_body body = { 0 };
    hs_jv whole;

    HS_TRY(hs_req_object_or_empty(q, &whole));
    HS_TRY(hs_fields_read(q->a, whole, LIST_BODY, &body));
    hs_public_query in = { .server = hs_query(q, "server"),
                           .limit = body.limit > 0 ? body.limit : 0,
                           .since = body.since,
                           .search = hs_jv_str_or_null(hs_jv_get(body.filter, HS_S("generic_search_term"))),
                           .room_types = hs_jv_get(body.filter, HS_S("room_types")),
                           .network = body.third_party_instance_id,
                           .all_networks = body.include_all_networks };
    if (in.search.p && !in.search.n)
        in.search.p = NULL;

    return list_answer(q, r, &in);
}

/* clang-format off */
#define PREFIXES "api/v1 r0 v3 unstable"
const hs_route hs_routes_directory[] = {
    { HS_GET, PREFIXES, "/directory/room/{roomAlias}", get_alias,
      .who = HS_AUTH_NONE, .servlet = "ClientDirectoryServer" },
    { HS_PUT, PREFIXES, "/directory/room/{roomAlias}", put_alias,
      .who = HS_AUTH_USER, .servlet = "ClientDirectoryServer" },
    { HS_DELETE, PREFIXES, "/directory/room/{roomAlias}", delete_alias,
      .who = HS_AUTH_USER, .servlet = "ClientDirectoryServer" },
    { HS_GET, "r0 v3 unstable/org.matrix.msc2432", "/rooms/{roomId}/aliases", get_aliases,
      .who = HS_AUTH_USER, .servlet = "RoomAliasListServlet" },
    { HS_GET, PREFIXES, "/directory/list/room/{roomId}", get_visibility,
      .who = HS_AUTH_NONE, .servlet = "ClientDirectoryListServer" },
    { HS_PUT, PREFIXES, "/directory/list/room/{roomId}", put_visibility,
      .who = HS_AUTH_USER, .servlet = "ClientDirectoryListServer" },
    { HS_GET, PREFIXES, "/publicRooms", get_public_rooms,
      .who = HS_AUTH_OPTIONAL, .guest = true, .servlet = "PublicRoomListRestServlet" },
    { HS_POST, PREFIXES, "/publicRooms", post_public_rooms,
      .who = HS_AUTH_USER, .guest = true, .servlet = "PublicRoomListRestServlet" },
    { 0 },
};
/* clang-format on */
