/* The user directory. Spec: Client-Server API, "User Directory". */
#include "server/user_directory.h"

#include "runtime/http.h"

#define TERM_MAX 1024 /* bytes; ten words of it count */

/* POST …/user_directory/search */
static hs_error *post_search(hs_req *q, hs_res *r)
{
    struct {
        hs_str term;
        int64_t limit;
    } in = { .limit = 10 };
    hs_user_found *found;
    size_t n;
    bool limited;
    hs_jv body, limit;

    HS_TRY(hs_req_object(q, &body));
    limit = hs_jv_get(body, HS_S("limit"));
    if (!hs_jv_str(hs_jv_get(body, HS_S("search_term")), &in.term))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "`search_term` is required field");
    if (in.term.n > TERM_MAX || memchr(in.term.p, 0, in.term.n))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "search_term is too long");
    if (hs_jv_is(limit) && !hs_jv_int(limit, &in.limit))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "limit must be a number");
    in.limit = in.limit < 0 ? 0 : in.limit > HS_USER_SEARCH_MAX ? HS_USER_SEARCH_MAX : in.limit;

    HS_TRY(hs_users_search(q->srv, q->who, q->a, in.term, (int32_t)in.limit, &found, &n, &limited));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "limited", limited);
    hs_json_arr_at(j, "results");
    for (size_t i = 0; i < n; i++) {
        hs_json_obj(j);
        hs_json_str(j, "user_id", found[i].user_id);
        hs_json_opt_str(j, "display_name", found[i].display_name);
        hs_json_opt_str(j, "avatar_url", found[i].avatar_url);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_user_directory[] = {
    { HS_POST, "r0 v3 unstable", "/user_directory/search", post_search,
      .who = HS_AUTH_USER, .rate = HS_RC_USER_DIRECTORY, .servlet = "UserDirectorySearchRestServlet" },
    { 0 },
};
/* clang-format on */
