/* Reports, for administrators. */
#include "server/reports.h"
#include "runtime/http.h"
#include "workers/admin/list.h"

static void event_members(hs_json_out *j, const hs_report_row *row)
{
    hs_json_int(j, "id", row->id);
    hs_json_int(j, "received_ts", row->ts);
    hs_json_str_or_null(j, "room_id", row->room_id);
    hs_json_str_or_null(j, "event_id", row->event_id);
    hs_json_str(j, "user_id", row->reporter);
    if (row->has_score)
        hs_json_int(j, "score", row->score);
    else
        hs_json_null(j, "score");
    hs_json_str_or_null(j, "reason", row->reason);
    hs_json_str_or_null(j, "sender", row->target);
    hs_json_str_or_null(j, "canonical_alias", row->canonical_alias);
    hs_json_str_or_null(j, "name", row->name);
}

static void user_members(hs_json_out *j, const hs_report_row *row)
{
    hs_json_int(j, "id", row->id);
    hs_json_int(j, "received_ts", row->ts);
    hs_json_str_or_null(j, "target_user_id", row->target);
    hs_json_str(j, "user_id", row->reporter);
    hs_json_str_or_null(j, "reason", row->reason);
}

static void show_event(hs_json_out *j, const void *row)
{
    hs_json_obj(j);
    event_members(j, row);
    hs_json_end(j);
}

static void show_user(hs_json_out *j, const void *row)
{
    hs_json_obj(j);
    user_members(j, row);
    hs_json_end(j);
}

/* A part of an id to look for; an empty one is none. */
static hs_error *read_part(hs_req *q, const char *name, hs_str *ret)
{
    hs_str v = hs_query(q, name);

    HS_TRY(hs_admin_query_text(q, name, v));
    if (v.n)
        *ret = v;
    return NULL;
}

static hs_error *list(hs_req *q, hs_res *r, hs_report_query *in, const char *name, hs_admin_show *show)
{
    hs_report_row *rows;
    hs_admin_page page;
    int64_t total;
    size_t n;

    HS_TRY(hs_admin_page_read(q, &page));
    in->from = page.from;
    in->limit = page.limit;
    HS_TRY(hs_admin_query_dir(q, true, &in->descending));
    HS_TRY(read_part(q, "user_id", &in->reporter));

    HS_TRY(hs_reports_list(q->srv, q->a, in, &rows, &n, &total));

    hs_admin_page_answer(r, &page, name, rows, sizeof *rows, n, total, show);
    return NULL;
}

static hs_error *read_id(hs_req *q, int64_t *ret)
{
    hs_str s = hs_path_param(q, "reportId");

    if (!hs_str_to_i64(s, ret) || *ret < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM,
                      "The report_id parameter must be a string representing a positive integer.");
    return NULL;
}

static hs_error *get_one(hs_req *q, hs_res *r, const char *kind, void (*members)(hs_json_out *, const hs_report_row *))
{
    hs_report_row *row;
    hs_str event;
    int64_t id;

    HS_TRY(read_id(q, &id));

    HS_TRY(hs_report_get(q->srv, q->a, kind, id, &row, &event));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    members(j, row);
    if (event.p)
        hs_json_raw(j, "event_json", event);
    hs_json_end(j);
    return NULL;
}

static hs_error *delete_one(hs_req *q, hs_res *r, const char *kind)
{
    int64_t id;

    HS_TRY(read_id(q, &id));

    HS_TRY(hs_report_remove(q->srv, q->a, kind, id));

    hs_res_empty(r);
    return NULL;
}

/* GET /_synapse/admin/v1/event_reports */
static hs_error *get_event_reports(hs_req *q, hs_res *r)
{
    hs_report_query in = { .kind = "event" };

    HS_TRY(read_part(q, "room_id", &in.room_id));
    HS_TRY(read_part(q, "event_sender_user_id", &in.target));
    return list(q, r, &in, "event_reports", show_event);
}

/* GET /_synapse/admin/v1/event_reports/{reportId} */
static hs_error *get_event_report(hs_req *q, hs_res *r)
{
    return get_one(q, r, "event", event_members);
}

/* DELETE /_synapse/admin/v1/event_reports/{reportId} */
static hs_error *delete_event_report(hs_req *q, hs_res *r)
{
    return delete_one(q, r, "event");
}

/* GET /_synapse/admin/v1/user_reports */
static hs_error *get_user_reports(hs_req *q, hs_res *r)
{
    hs_report_query in = { .kind = "user" };

    HS_TRY(read_part(q, "target_user_id", &in.target_part));
    return list(q, r, &in, "user_reports", show_user);
}

/* GET /_synapse/admin/v1/user_reports/{reportId} */
static hs_error *get_user_report(hs_req *q, hs_res *r)
{
    return get_one(q, r, "user", user_members);
}

/* DELETE /_synapse/admin/v1/user_reports/{reportId} */
static hs_error *delete_user_report(hs_req *q, hs_res *r)
{
    return delete_one(q, r, "user");
}

/* clang-format off */
const hs_route hs_routes_admin_reports[] = {
    { HS_GET, "v1", "/event_reports", get_event_reports, .who = HS_AUTH_ADMIN, .servlet = "EventReportsRestServlet" },
    { HS_GET, "v1", "/event_reports/{reportId}", get_event_report, .who = HS_AUTH_ADMIN, .servlet = "EventReportDetailRestServlet" },
    { HS_DELETE, "v1", "/event_reports/{reportId}", delete_event_report, .who = HS_AUTH_ADMIN, .servlet = "EventReportDetailRestServlet" },
    { HS_GET, "v1", "/user_reports", get_user_reports, .who = HS_AUTH_ADMIN, .servlet = "UserReportsRestServlet" },
    { HS_GET, "v1", "/user_reports/{reportId}", get_user_report, .who = HS_AUTH_ADMIN, .servlet = "UserReportDetailRestServlet" },
    { HS_DELETE, "v1", "/user_reports/{reportId}", delete_user_report, .who = HS_AUTH_ADMIN, .servlet = "UserReportDetailRestServlet" },
    { 0 },
};
/* clang-format on */
