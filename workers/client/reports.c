/* Reports. Spec: Client-Server API, "Reporting Content". */
#include "server/reports.h"
#include "runtime/http.h"

/* POST …/rooms/{roomId}/report/{eventId} */
static hs_error *post_event(hs_req *q, hs_res *r)
{
    hs_str reason = { NULL, 0 };
    int64_t score = 0;
    hs_jv body, v, s;

    HS_TRY(hs_req_object(q, &body));
    v = hs_jv_get(body, HS_S("reason"));
    if (hs_jv_is(v) && !hs_jv_str(v, &reason))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Param 'reason' must be a string");
    s = hs_jv_get(body, HS_S("score"));
    if (hs_jv_is(s) && !hs_jv_int(s, &score))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Param 'score' must be an integer");

    HS_TRY(hs_report_event(q->srv, q->a, q->who, hs_path_param(q, "roomId"), hs_path_param(q, "eventId"), reason,
                           hs_jv_is(s) ? &score : NULL));

    hs_res_empty(r);
    return NULL;
}

static hs_error *read_reason(hs_req *q, hs_str *ret)
{
    hs_jv body, v;

    HS_TRY(hs_req_object(q, &body));
    v = hs_jv_get(body, HS_S("reason"));
    if (!hs_jv_is(v))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['reason']");
    return hs_jv_str(v, ret) ? NULL : hs_err(q->a, 400, HS_M_BAD_JSON, "Param 'reason' must be a string");
}

/* POST …/rooms/{roomId}/report */
static hs_error *post_room(hs_req *q, hs_res *r)
{
    hs_str reason;

    HS_TRY(read_reason(q, &reason));

    HS_TRY(hs_report_room(q->srv, q->a, q->who, hs_path_param(q, "roomId"), reason));

    hs_res_empty(r);
    return NULL;
}

/* POST …/users/{userId}/report */
static hs_error *post_user(hs_req *q, hs_res *r)
{
    hs_str reason;

    HS_TRY(read_reason(q, &reason));

    HS_TRY(hs_report_user(q->srv, q->a, q->who, hs_path_param(q, "userId"), reason));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_reports[] = {
    { HS_POST, "r0 v3 unstable", "/rooms/{roomId}/report/{eventId}", post_event, .who = HS_AUTH_USER, .rate = HS_RC_REPORTS, .servlet = "ReportEventRestServlet" },
    { HS_POST, "v3", "/rooms/{roomId}/report", post_room, .who = HS_AUTH_USER, .rate = HS_RC_REPORTS, .servlet = "ReportRoomRestServlet" },
    { HS_POST, "v3", "/users/{userId}/report", post_user, .who = HS_AUTH_USER, .rate = HS_RC_REPORTS, .servlet = "ReportUserRestServlet" },
    { 0 },
};
/* clang-format on */
