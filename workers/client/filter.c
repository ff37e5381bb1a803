/* Filters that are stored to be named later. Spec: Client-Server API, "Filtering". */
#include "runtime/http.h"
#include "server/account_data.h"

/* POST …/user/{userId}/filter */
static hs_error *post_filter(hs_req *q, hs_res *r)
{
    hs_str text;
    int64_t id;
    hs_jv body;

    if (!hs_str_eq(hs_path_param(q, "userId"), q->who->user_id))
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "Cannot create filters for other users");
    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_filter_put(q->srv, q->a, q->who, body, &id));
    HS_TRY(hs_str_fmt(q->a, &text, "%lld", (long long)id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "filter_id", text);
    hs_json_end(j);
    return NULL;
}

/* GET …/user/{userId}/filter/{filterId} */
static hs_error *get_filter(hs_req *q, hs_res *r)
{
    hs_str body;

    if (!hs_str_eq(hs_path_param(q, "userId"), q->who->user_id))
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "Cannot get filters for other users");

    HS_TRY(hs_filter_get(q->srv, q->a, q->who, hs_path_param(q, "filterId"), &body));

    hs_res_bytes(r, 200, HS_S("application/json"), body);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_filter[] = {
    { HS_POST, "r0 v3 unstable", "/user/{userId}/filter", post_filter, .who = HS_AUTH_USER, .servlet = "CreateFilterRestServlet" },
    { HS_GET, "r0 v3 unstable", "/user/{userId}/filter/{filterId}", get_filter, .who = HS_AUTH_USER, .servlet = "GetFilterRestServlet" },
    { 0 },
};
/* clang-format on */
