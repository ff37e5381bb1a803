/* Statistics, for administrators. */
#include "runtime/http.h"
#include "server/admin_statistics.h"
#include "server/admin_users.h"
#include "workers/admin/list.h"

static const hs_admin_order UPLOADERS[] = {
    { "media_length", HS_UPLOADER_BY_LENGTH, 0, false },
    { "media_count", HS_UPLOADER_BY_COUNT, 0, false },
    { "user_id", HS_UPLOADER_BY_USER, 0, false },
    { "displayname", HS_UPLOADER_BY_NAME, 0, false },
    { 0 },
};

static hs_error *read_uploaders(hs_req *q, hs_uploader_query *in, hs_admin_page *page)
{
    HS_TRY(hs_admin_page_read(q, page));
    HS_TRY(hs_admin_page_order(q, UPLOADERS, "user_id", page));
    in->from = page->from;
    in->limit = page->limit;
    in->order = (hs_uploader_order)page->order->order;
    in->descending = page->descending;
    HS_TRY(hs_admin_query_count(q, "from_ts", &in->from_ts));
    HS_TRY(hs_admin_query_count(q, "until_ts", &in->until_ts));
    if (in->until_ts <= in->from_ts)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter until_ts must be greater than from_ts.");
    in->search = hs_query(q, "search_term");
    if (in->search.p && !in->search.n)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter search_term cannot be an empty string.");
    return hs_admin_query_text(q, "search_term", in->search);
}

static void show_uploader(hs_json_out *j, const void *row)
{
    const hs_uploader *u = row;

    hs_json_obj(j);
    hs_json_str(j, "user_id", u->user_id);
    hs_json_str_or_null(j, "displayname", u->displayname);
    hs_json_int(j, "media_count", u->media);
    hs_json_int(j, "media_length", u->length);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/statistics/users/media */
static hs_error *get_uploaders(hs_req *q, hs_res *r)
{
    hs_uploader_query in = { .until_ts = INT64_MAX };
    hs_uploader *rows;
    hs_admin_page page;
    int64_t total;
    size_t n;

    HS_TRY(read_uploaders(q, &in, &page));

    HS_TRY(hs_admin_uploaders(q->srv, q->a, &in, &rows, &n, &total));

    hs_admin_page_answer(r, &page, "users", rows, sizeof *rows, n, total, show_uploader);
    return NULL;
}

/* GET /_synapse/admin/v1/statistics/database/rooms */
static hs_error *get_largest_rooms(hs_req *q, hs_res *r)
{
    hs_room_size *rows;
    size_t n;

    HS_TRY(hs_admin_largest_rooms(q->srv, q->a, &rows, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "rooms");
    for (size_t i = 0; i < n; i++) {
        hs_json_obj(j);
        hs_json_str(j, "room_id", rows[i].room_id);
        hs_json_int(j, "estimated_size", rows[i].bytes);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* ── what one user has uploaded ── */

static const hs_admin_order UPLOADS[] = {
    { "media_id", HS_UPLOAD_BY_ID, 0, false },
    { "upload_name", HS_UPLOAD_BY_NAME, 0, false },
    { "created_ts", HS_UPLOAD_BY_CREATED, 0, false },
    { "last_access_ts", HS_UPLOAD_BY_ACCESS, 0, false },
    { "media_length", HS_UPLOAD_BY_LENGTH, 0, false },
    { "media_type", HS_UPLOAD_BY_TYPE, 0, false },
    { "quarantined_by", HS_UPLOAD_BY_QUARANTINE, 0, false },
    { "safe_from_quarantine", HS_UPLOAD_BY_SAFE, 0, false },
    { 0 },
};

static void show_upload(hs_json_out *j, const void *row)
{
    const hs_upload *u = row;

    hs_json_obj(j);
    hs_json_str(j, "media_id", u->media_id);
    hs_json_str_or_null(j, "media_type", u->type);
    hs_json_int(j, "media_length", u->length);
    hs_json_str_or_null(j, "upload_name", u->name);
    hs_json_int(j, "created_ts", u->created_ts);
    hs_json_int_or_null(j, "last_access_ts", u->access_ts);
    hs_json_str_or_null(j, "quarantined_by", u->quarantined_by);
    hs_json_bool(j, "safe_from_quarantine", u->safe);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/users/{userId}/media: the newest first unless an order is given */
static hs_error *get_uploads(hs_req *q, hs_res *r)
{
    hs_session target;
    hs_admin_page page;
    hs_upload *rows;
    int64_t total;
    size_t n;

    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), "Can only look up local users", "Unknown user",
                           &target));
    HS_TRY(hs_admin_page_read(q, &page));
    HS_TRY(hs_admin_page_order(q, UPLOADS, "created_ts", &page));
    if (!hs_query(q, "order_by").p && !hs_query(q, "dir").p)
        page.descending = true;

    HS_TRY(hs_admin_uploads(q->srv, q->a, &target, (hs_upload_order)page.order->order, page.descending, page.from,
                            page.limit, &rows, &n, &total));

    hs_admin_page_answer(r, &page, "media", rows, sizeof *rows, n, total, show_upload);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_statistics[] = {
    { HS_GET, "v1", "/statistics/users/media", get_uploaders, .who = HS_AUTH_ADMIN, .servlet = "UserMediaStatisticsRestServlet" },
    { HS_GET, "v1", "/statistics/database/rooms", get_largest_rooms, .who = HS_AUTH_ADMIN, .servlet = "LargestRoomsStatistics" },
    { HS_GET, "v1", "/users/{userId}/media", get_uploads, .who = HS_AUTH_ADMIN, .servlet = "UserMediaRestServlet" },
    { 0 },
};
/* clang-format on */
