/* Summaries of rooms and the tree of rooms below a space. Spec: Client-Server API, "Room Summaries", "Discovering rooms
 * within spaces". */
#include "server/spaces.h"

#include "runtime/http.h"

static hs_error *hierarchy(hs_req *q, hs_res *r, bool all)
{
    hs_hierarchy_query in = { .room_id = hs_path_param(q, "roomId"), .from = hs_query(q, "from"), .all = all };
    hs_hierarchy_page page;
    bool has_limit;

    HS_TRY(hs_query_i64(q, "max_depth", &in.has_depth, &in.max_depth));
    if (in.max_depth < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter max_depth must be a positive integer.");
    HS_TRY(hs_query_i64(q, "limit", &has_limit, &in.limit));
    if (has_limit && in.limit < 1)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter limit must be a positive integer.");
    HS_TRY(hs_query_bool(q, "suggested_only", &in.suggested_only));

    HS_TRY(hs_hierarchy_get(q->srv, q->who, q->a, &in, &page));

    hs_hierarchy_show(hs_res_json(r, 200), &page);
    return NULL;
}

/* GET …/rooms/{roomId}/hierarchy */
static hs_error *get_hierarchy(hs_req *q, hs_res *r)
{
    return hierarchy(q, r, false);
}

/* GET /_synapse/admin/v1/rooms/{roomId}/hierarchy */
static hs_error *get_whole_hierarchy(hs_req *q, hs_res *r)
{
    return hierarchy(q, r, true);
}

/* GET …/room_summary/{roomIdOrAlias} and its unstable forms */
static hs_error *get_summary(hs_req *q, hs_res *r)
{
    hs_room_view_card room;

    HS_TRY(hs_space_summary(q->srv, q->who, q->a, hs_path_param(q, "roomIdOrAlias"), &room));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_space_show(j, &room);
    if (q->who)
        hs_json_str(j, "membership",
                    hs_membership_str(room.card.membership == HS_MEMBER_NONE ? HS_MEMBER_LEAVE : room.card.membership));
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_spaces[] = {
    { HS_GET, "v1", "/rooms/{roomId}/hierarchy", get_hierarchy,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_SUMMARY, .servlet = "RoomHierarchyRestServlet" },
    { HS_GET, "v1", "/room_summary/{roomIdOrAlias}", get_summary,
      .who = HS_AUTH_OPTIONAL, .guest = true, .servlet = "RoomSummaryRestServlet" },
    { HS_GET, "unstable/im.nheko.summary", "/summary/{roomIdOrAlias}", get_summary,
      .who = HS_AUTH_OPTIONAL, .guest = true, .servlet = "RoomSummaryRestServlet" },
    { HS_GET, "unstable/im.nheko.summary", "/rooms/{roomIdOrAlias}/summary", get_summary,
      .who = HS_AUTH_OPTIONAL, .guest = true, .servlet = "RoomSummaryRestServlet" },
    { 0 },
};

const hs_route hs_routes_admin_spaces[] = {
    { HS_GET, "v1", "/rooms/{roomId}/hierarchy", get_whole_hierarchy, .who = HS_AUTH_ADMIN, .servlet = "AdminRoomHierarchy" },
    { 0 },
};
/* clang-format on */
