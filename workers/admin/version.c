/* What this server is, and what it does by the way. */
#include <hs/version.h>

#include "runtime/http.h"

/* GET /_synapse/admin/v1/server_version */
static hs_error *get_version(hs_req *q, hs_res *r)
{
    (void)q;
    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "server_version", HS_S(HS_VERSION));
    hs_json_end(j);
    return NULL;
}

/* Synapse changes its tables piece by piece while it runs, which an administrator may stop for a while. Here a table is
 * as it should be before a worker serves anything; so there is never such an update, and none that could be stopped. */

static void show_enabled(hs_res *r)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_bool(j, "enabled", true);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/background_updates/enabled */
static hs_error *get_enabled(hs_req *q, hs_res *r)
{
    (void)q;
    show_enabled(r);
    return NULL;
}

/* POST /_synapse/admin/v1/background_updates/enabled */
static hs_error *post_enabled(hs_req *q, hs_res *r)
{
    bool enabled = true;
    hs_jv body, v;

    HS_TRY(hs_req_object(q, &body));
    v = hs_jv_get(body, HS_S("enabled"));
    if (hs_jv_is(v) && !hs_jv_bool(v, &enabled))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "'enabled' parameter must be a boolean");
    if (!enabled)
        return hs_err(q->a, 400, HS_M_UNKNOWN, "This server has no background updates that could be disabled");
    show_enabled(r);
    return NULL;
}

/* GET /_synapse/admin/v1/background_updates/status */
static hs_error *get_status(hs_req *q, hs_res *r)
{
    (void)q;
    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "enabled", true);
    hs_json_obj_at(j, "current_updates");
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v1/background_updates/start_job */
static hs_error *post_start_job(hs_req *q, hs_res *r)
{
    hs_jv body, v;
    hs_str name;

    (void)r;
    HS_TRY(hs_req_object(q, &body));
    v = hs_jv_get(body, HS_S("job_name"));
    if (!hs_jv_is(v))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['job_name']");
    name = hs_jv_str_or_null(v);
    if (hs_str_eq(name, HS_S("populate_stats_process_rooms")) || hs_str_eq(name, HS_S("regenerate_directory")))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Job %.*s is not needed: its tables are kept as they should be",
                      HS_FMT(name));
    return hs_err(q->a, 400, HS_M_UNKNOWN, "Invalid job_name");
}

/* clang-format off */
const hs_route hs_routes_admin_version[] = {
    { HS_GET, "v1", "/server_version", get_version, .who = HS_AUTH_NONE, .servlet = "VersionServlet" },
    { HS_GET, "v1", "/background_updates/enabled", get_enabled, .who = HS_AUTH_ADMIN, .servlet = "BackgroundUpdateEnabledRestServlet" },
    { HS_POST, "v1", "/background_updates/enabled", post_enabled, .who = HS_AUTH_ADMIN, .servlet = "BackgroundUpdateEnabledRestServlet" },
    { HS_GET, "v1", "/background_updates/status", get_status, .who = HS_AUTH_ADMIN, .servlet = "BackgroundUpdateRestServlet" },
    { HS_POST, "v1", "/background_updates/start_job", post_start_job, .who = HS_AUTH_ADMIN, .servlet = "BackgroundUpdateStartJobRestServlet" },
    { 0 },
};
/* clang-format on */
