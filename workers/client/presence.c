/* Presence. Spec: Client-Server API, "Presence". */
#include "server/presence.h"

#include "runtime/http.h"

/* GET …/presence/{userId}/status */
static hs_error *get_status(hs_req *q, hs_res *r)
{
    hs_presence_seen seen;

    HS_TRY(hs_presence_get(q->srv, q->who, q->a, hs_path_param(q, "userId"), &seen));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_presence_show(j, q->srv, &seen);
    hs_json_end(j);
    return NULL;
}

/* PUT …/presence/{userId}/status */
static hs_error *put_status(hs_req *q, hs_res *r)
{
    hs_presence_state state;
    hs_str word, status = { 0 };
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));
    for (hs_jv_iter it = { 0 }; hs_jv_next(body, &it);)
        if (!hs_str_eq(it.key, HS_S("presence")) && !hs_str_eq(it.key, HS_S("status_msg")))
            return hs_err(q->a, 400, HS_M_UNKNOWN, "Unable to parse state");
    if (!hs_jv_str(hs_jv_get(body, HS_S("presence")), &word))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Unable to parse state");
    if (hs_jv_is(hs_jv_get(body, HS_S("status_msg"))) && !hs_jv_str(hs_jv_get(body, HS_S("status_msg")), &status))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "status_msg must be a string.");
    if (!hs_presence_parse(q->srv, word, &state))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Invalid presence state");

    HS_TRY(hs_presence_set(q->srv, q->who, q->a, hs_path_param(q, "userId"), state, status));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_presence[] = {
    { HS_GET, "api/v1 r0 v3 unstable", "/presence/{userId}/status", get_status, .who = HS_AUTH_USER, .servlet = "PresenceStatusRestServlet" },
    { HS_PUT, "api/v1 r0 v3 unstable", "/presence/{userId}/status", put_status,
      .who = HS_AUTH_USER, .lax = true, .rate = HS_RC_PRESENCE, .servlet = "PresenceStatusRestServlet" },
    { 0 },
};
/* clang-format on */
