/* Rooms that two users are both in. Spec: Client-Server API, "Mutual Rooms". */
#include "server/mutual_rooms.h"

#include "runtime/http.h"

static hs_error *only_once(hs_req *q, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < q->query_n; i++)
        n += hs_str_eq(q->query[i].name, hs_str_c(name));
    return n > 1 ? hs_err(q->a, 400, HS_M_INVALID_PARAM, "Duplicate %s query parameter", name) : NULL;
}

/* GET …/mutual_rooms */
static hs_error *get_mutual_rooms(hs_req *q, hs_res *r)
{
    hs_str user_id = hs_query(q, "user_id");
    hs_mutual_page page;

    if (!user_id.p)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing string query parameter 'user_id'");
    HS_TRY(only_once(q, "user_id"));
    HS_TRY(only_once(q, "from"));

    HS_TRY(hs_mutual_rooms(q->srv, q->who, q->a, user_id, hs_query(q, "from"), &page));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "joined");
    for (size_t i = 0; i < page.rooms.n; i++)
        hs_json_v_str(j, page.rooms.at[i]);
    hs_json_end(j);
    hs_json_int(j, "count", (int64_t)page.total);
    hs_json_opt_str(j, "next_batch", page.next_batch);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_mutual_rooms[] = {
    { HS_GET, "v1 unstable", "/mutual_rooms", get_mutual_rooms,
      .who = HS_AUTH_USER, .servlet = "UserMutualRoomsServlet" },
    { HS_GET, "unstable/uk.half-shot.msc2666", "/user/mutual_rooms", get_mutual_rooms,
      .who = HS_AUTH_USER, .servlet = "UserMutualRoomsServlet" },
    { 0 },
};
/* clang-format on */
