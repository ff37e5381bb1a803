/* Redacting what somebody has said, for administrators. */
#include "runtime/http.h"
#include "server/admin_redact.h"

static hs_error *bad(hs_req *q, const char *name, const char *what)
{
    return hs_err(q->a, 400, HS_M_BAD_JSON, "Param '%s' must be %s", name, what);
}

static hs_error *read_int(hs_req *q, hs_jv body, const char *name, int64_t *ret)
{
    hs_jv v = hs_jv_get(body, hs_str_c(name));

    return !hs_jv_is(v) || hs_jv_type_of(v) == HS_JV_NULL || hs_jv_int(v, ret) ? NULL : bad(q, name, "an integer");
}

static hs_error *read_rooms(hs_req *q, hs_jv list, hs_strs *ret)
{
    hs_str *ids;
    size_t n = 0;

    if (!hs_jv_is(list))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['rooms']");
    if (hs_jv_type_of(list) != HS_JV_ARR)
        return bad(q, "rooms", "a list of strings");
    HS_TRY(hs_alloc(q->a, hs_jv_count(list) + 1, &ids));
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it); n++)
        if (!hs_jv_str(it.value, &ids[n]) || (ids[n].n && memchr(ids[n].p, 0, ids[n].n)))
            return bad(q, "rooms", "a list of strings");
    *ret = (hs_strs){ ids, n };
    return NULL;
}

static hs_error *read_body(hs_req *q, hs_user_redaction *in)
{
    hs_jv body, v;

    HS_TRY(hs_req_object(q, &body));
    HS_TRY(read_rooms(q, hs_jv_get(body, HS_S("rooms")), &in->rooms));
    v = hs_jv_get(body, HS_S("reason"));
    if (hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_NULL &&
        (!hs_jv_str(v, &in->reason) || memchr(in->reason.p, 0, in->reason.n)))
        return bad(q, "reason", "a string");
    v = hs_jv_get(body, HS_S("use_admin"));
    if (hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_NULL && !hs_jv_bool(v, &in->by_admin))
        return bad(q, "use_admin", "a boolean");
    HS_TRY(read_int(q, body, "before_ts", &in->before_ts));
    HS_TRY(read_int(q, body, "after_ts", &in->after_ts));
    HS_TRY(read_int(q, body, "limit", &in->limit));
    if (in->limit < 0)
        return hs_err(q->a, 400, HS_M_UNKNOWN,
                      "If limit is provided it must be a non-negative integer greater than 0.");
    return NULL;
}

/* POST /_synapse/admin/v1/user/{userId}/redact */
static hs_error *post_redact(hs_req *q, hs_res *r)
{
    hs_user_redaction in = { .user_id = hs_path_param(q, "userId") };
    hs_str id;

    HS_TRY(read_body(q, &in));

    HS_TRY(hs_admin_redact(q->srv, q->who, q->a, &in, &id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "redact_id", id);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/user/redact_status/{redactId} */
static hs_error *get_status(hs_req *q, hs_res *r)
{
    hs_str id = hs_path_param(q, "redactId");
    hs_job_row *job = NULL;

    if (hs_str_is_utf8(id) && !memchr(id.p, 0, id.n))
        HS_TRY(hs_job_get(q->srv, q->a, HS_JOB_REDACT_USER, id, &job));
    if (!job)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "redact id '%.*s' not found", HS_FMT(id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "status", hs_job_status_name(job->status));
    if (job->status == HS_JOB_COMPLETE) {
        hs_jv result;
        HS_TRY(hs_tape_parse(q->a, job->result, HS_JSON_OBJECT, &result));
        hs_json_raw(j, "failed_redactions", hs_jv_raw(hs_jv_get(result, HS_S("failed_redactions"))));
    }
    if (job->status == HS_JOB_FAILED)
        hs_json_opt_str(j, "error", job->error);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_user_redact[] = {
    { HS_POST, "v1", "/user/{userId}/redact", post_redact, .who = HS_AUTH_ADMIN, .servlet = "RedactUser" },
    { HS_GET, "v1", "/user/redact_status/{redactId}", get_status, .who = HS_AUTH_ADMIN, .servlet = "RedactUserStatus" },
    { 0 },
};
/* clang-format on */
