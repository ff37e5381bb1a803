/* Pushers. Spec: Client-Server API, "Push Notifications". */
#include "server/pushers.h"
#include "runtime/http.h"
#include "workers/http/html.h"

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

static hs_error *need(hs_req *q, const char *name, hs_str *ret)
{
    *ret = hs_query(q, name);
    return ret->p ? NULL : hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required string query parameter '%s'", name);
}

/* GET and POST …/unsubscribe: the link in a mail, opened by somebody or by their mail program. */
static hs_error *unsubscribe(hs_req *q, hs_res *r)
{
    hs_str token, app_id, pushkey;

    HS_TRY(need(q, "access_token", &token));
    HS_TRY(need(q, "app_id", &app_id));
    HS_TRY(need(q, "pushkey", &pushkey));

    HS_TRY(hs_pushers_unsubscribe(q->srv, q->a, token, app_id, pushkey));

    return hs_html_answer(r, 200, HS_S("<!DOCTYPE html><html><body>You have been unsubscribed</body></html>\n"));
}

/* clang-format off */
const hs_route hs_routes_pushers[] = {
    { HS_GET, "api/v1 r0 v3 unstable", "/pushers", get_pushers, .who = HS_AUTH_USER, .servlet = "PushersRestServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/pushers/set", post_set, .who = HS_AUTH_USER, .servlet = "PushersSetRestServlet" },
    { HS_GET, "unstable", "/pushers/remove", unsubscribe, .who = HS_AUTH_NONE, .servlet = "LegacyPushersRemoveRestServlet" },
    { 0 },
};
const hs_route hs_routes_unsubscribe[] = {
    { HS_GET, NULL, "/_synapse/client/unsubscribe", unsubscribe, .who = HS_AUTH_NONE, .servlet = "UnsubscribeResource" },
    { HS_POST, NULL, "/_synapse/client/unsubscribe", unsubscribe, .who = HS_AUTH_NONE, .servlet = "UnsubscribeResource" },
    { 0 },
};
/* clang-format on */
