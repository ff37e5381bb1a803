/* Account data and tags. Spec: Client-Server API, "Client Config", "Room Tagging". */
#include "server/account_data.h"
#include "runtime/http.h"

static hs_error *check_own(hs_req *q, const char *text)
{
    return hs_str_eq(hs_path_param(q, "userId"), q->who->user_id) ? NULL
                                                                  : hs_err(q->a, 403, HS_M_FORBIDDEN, "%s", text);
}

static hs_error *get_data(hs_req *q, hs_res *r, hs_str room_id)
{
    hs_str content;

    HS_TRY(check_own(q, "Cannot get account data for other users."));

    HS_TRY(hs_account_data_get(q->srv, q->a, q->who, room_id, hs_path_param(q, "type"), &content));

    hs_res_bytes(r, 200, HS_S("application/json"), content);
    return NULL;
}

static hs_error *put_data(hs_req *q, hs_res *r, hs_str room_id)
{
    hs_jv body;

    HS_TRY(check_own(q, "Cannot add account data for other users."));
    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_account_data_put(q->srv, q->a, q->who, room_id, hs_path_param(q, "type"), body));

    hs_res_empty(r);
    return NULL;
}

/* GET …/user/{userId}/account_data/{type} */
static hs_error *get_account_data(hs_req *q, hs_res *r)
{
    return get_data(q, r, hs_str_make(NULL, 0));
}

/* PUT …/user/{userId}/account_data/{type} */
static hs_error *put_account_data(hs_req *q, hs_res *r)
{
    return put_data(q, r, hs_str_make(NULL, 0));
}

/* GET …/user/{userId}/rooms/{roomId}/account_data/{type} */
static hs_error *get_room_account_data(hs_req *q, hs_res *r)
{
    return get_data(q, r, hs_path_param(q, "roomId"));
}

/* PUT …/user/{userId}/rooms/{roomId}/account_data/{type} */
static hs_error *put_room_account_data(hs_req *q, hs_res *r)
{
    return put_data(q, r, hs_path_param(q, "roomId"));
}

static hs_error *delete_data(hs_req *q, hs_res *r, hs_str room_id)
{
    if (!q->srv->config->msc3391_enabled)
        return hs_err(q->a, 404, HS_M_UNRECOGNIZED, "Unrecognized request");
    HS_TRY(check_own(q, "Cannot delete account data for other users."));

    HS_TRY(hs_account_data_delete(q->srv, q->a, q->who, room_id, hs_path_param(q, "type")));

    hs_res_empty(r);
    return NULL;
}

/* DELETE …/user/{userId}/account_data/{type} (MSC3391) */
static hs_error *delete_account_data(hs_req *q, hs_res *r)
{
    return delete_data(q, r, hs_str_make(NULL, 0));
}

/* DELETE …/user/{userId}/rooms/{roomId}/account_data/{type} (MSC3391) */
static hs_error *delete_room_account_data(hs_req *q, hs_res *r)
{
    return delete_data(q, r, hs_path_param(q, "roomId"));
}

/* GET …/user/{userId}/rooms/{roomId}/tags */
static hs_error *get_tags(hs_req *q, hs_res *r)
{
    hs_str content;

    HS_TRY(check_own(q, "Cannot get tags for other users."));

    HS_TRY(hs_tags_get(q->srv, q->a, q->who, hs_path_param(q, "roomId"), &content));

    hs_res_bytes(r, 200, HS_S("application/json"), content);
    return NULL;
}

/* PUT …/user/{userId}/rooms/{roomId}/tags/{tag} */
static hs_error *put_tag(hs_req *q, hs_res *r)
{
    hs_jv body;

    HS_TRY(check_own(q, "Cannot add tags for other users."));
    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_tag_put(q->srv, q->a, q->who, hs_path_param(q, "roomId"), hs_path_param(q, "tag"), body));

    hs_res_empty(r);
    return NULL;
}

/* DELETE …/user/{userId}/rooms/{roomId}/tags/{tag} */
static hs_error *delete_tag(hs_req *q, hs_res *r)
{
    HS_TRY(check_own(q, "Cannot add tags for other users."));

    HS_TRY(hs_tag_remove(q->srv, q->a, q->who, hs_path_param(q, "roomId"), hs_path_param(q, "tag")));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_account_data[] = {
    { HS_GET, "r0 v3 unstable", "/user/{userId}/account_data/{type}", get_account_data, .who = HS_AUTH_USER, .servlet = "AccountDataServlet" },
    { HS_PUT, "r0 v3 unstable", "/user/{userId}/account_data/{type}", put_account_data, .who = HS_AUTH_USER, .servlet = "AccountDataServlet" },
    { HS_GET, "r0 v3 unstable", "/user/{userId}/rooms/{roomId}/account_data/{type}", get_room_account_data, .who = HS_AUTH_USER, .servlet = "RoomAccountDataServlet" },
    { HS_PUT, "r0 v3 unstable", "/user/{userId}/rooms/{roomId}/account_data/{type}", put_room_account_data, .who = HS_AUTH_USER, .servlet = "RoomAccountDataServlet" },
    { HS_DELETE, "unstable/org.matrix.msc3391", "/user/{userId}/account_data/{type}", delete_account_data, .who = HS_AUTH_USER, .servlet = "UnstableAccountDataServlet" },
    { HS_DELETE, "unstable/org.matrix.msc3391", "/user/{userId}/rooms/{roomId}/account_data/{type}", delete_room_account_data, .who = HS_AUTH_USER, .servlet = "UnstableRoomAccountDataServlet" },
    { HS_GET, "r0 v3 unstable", "/user/{userId}/rooms/{roomId}/tags", get_tags, .who = HS_AUTH_USER, .servlet = "TagListServlet" },
    { HS_PUT, "r0 v3 unstable", "/user/{userId}/rooms/{roomId}/tags/{tag}", put_tag, .who = HS_AUTH_USER, .servlet = "TagServlet" },
    { HS_DELETE, "r0 v3 unstable", "/user/{userId}/rooms/{roomId}/tags/{tag}", delete_tag, .who = HS_AUTH_USER, .servlet = "TagServlet" },
    { 0 },
};
/* clang-format on */
