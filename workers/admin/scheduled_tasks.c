/* Jobs, as an administrator sees them. */
#include "runtime/http.h"
#include "server/jobs.h"

enum { CANCELLED = 1 << 16 }; /* Synapse has this status; no job of ours ever does */

static hs_error *add_status(hs_req *q, const char *name, hs_str v, unsigned *status)
{
    for (hs_job_status s = HS_JOB_DUE; s <= HS_JOB_FAILED; s++) {
        if (!hs_str_eq(v, hs_job_status_name(s)))
            continue;
        *status |= 1u << s;
        return NULL;
    }
    if (!hs_str_eq(v, HS_S("cancelled")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM,
                      "Query parameter '%s' must be one of ['scheduled', 'active', 'complete', 'failed', 'cancelled']",
                      name);
    *status |= CANCELLED;
    return NULL;
}

/* All values of `status`; of its old name if there are none. */
static hs_error *read_statuses(hs_req *q, unsigned *ret)
{
    static const char *const NAMES[] = { "status", "job_status" };

    for (size_t k = 0; k < 2 && !*ret; k++)
        for (size_t i = 0; i < q->query_n; i++)
            if (hs_str_eq(q->query[i].name, hs_str_c(NAMES[k])))
                HS_TRY(add_status(q, NAMES[k], q->query[i].value, ret));
    return NULL;
}

static hs_error *read_kinds(hs_req *q, hs_strs *ret)
{
    size_t n = 0;

    HS_TRY(hs_alloc(q->a, q->query_n, &ret->at));
    for (size_t i = 0; i < q->query_n; i++)
        if (hs_str_eq(q->query[i].name, HS_S("action_name")))
            ret->at[n++] = q->query[i].value;
    ret->n = n;
    if (!n)
        ret->at = NULL;
    return NULL;
}

static void write_job(hs_json_out *j, const hs_job_row *row)
{
    hs_json_obj(j);
    hs_json_str(j, "id", row->id);
    hs_json_str(j, "action", row->kind);
    hs_json_str(j, "status", hs_job_status_name(row->status));
    hs_json_int(j, "timestamp_ms", row->run_ts);
    hs_json_str_or_null(j, "resource_id", row->resource);
    if (row->result.p)
        hs_json_raw(j, "result", row->result);
    else
        hs_json_null(j, "result");
    hs_json_str_or_null(j, "error", row->error);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/scheduled_tasks */
static hs_error *get_scheduled_tasks(hs_req *q, hs_res *r)
{
    hs_job_filter f = { .resource = hs_query(q, "resource_id"), .until_ts = INT64_MAX };
    hs_job_row *rows;
    size_t n;
    bool has;

    HS_TRY(read_kinds(q, &f.kinds));
    HS_TRY(read_statuses(q, &f.status));
    HS_TRY(hs_query_i64(q, "max_timestamp", &has, &f.until_ts));

    HS_TRY(hs_jobs_list(q->srv, q->a, &f, &rows, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "scheduled_tasks");
    for (size_t i = 0; i < n; i++)
        write_job(j, &rows[i]);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_scheduled_tasks[] = {
    { HS_GET, "v1", "/scheduled_tasks", get_scheduled_tasks, .who = HS_AUTH_ADMIN, .servlet = "ScheduledTasksRestServlet" },
    { 0 },
};
/* clang-format on */
