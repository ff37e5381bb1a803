/* Pushers. Spec: Client-Server API, "Push Notifications". */
#include "server/pushers.h"
#include "runtime/http.h"

/* GET …/pushers */
static hs_error *get_pushers(hs_req *q, hs_res *r)
{
    hs_pusher_row *rows;
    size_t n;

    HS_TRY(hs_pushers_list(q->srv, q->a, q->who->user, &rows, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_pushers_write(j, rows, n, false);
    hs_json_end(j);
    return NULL;
}

/* POST …/pushers/set */
static hs_error *post_set(hs_req *q, hs_res *r)
{
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_pushers_set(q->srv, q->a, q->who, body));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_pushers[] = {
    { HS_GET, "api/v1 r0 v3 unstable", "/pushers", get_pushers, .who = HS_AUTH_USER, .servlet = "PushersRestServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/pushers/set", post_set, .who = HS_AUTH_USER, .servlet = "PushersSetRestServlet" },
    { 0 },
};
/* clang-format on */
