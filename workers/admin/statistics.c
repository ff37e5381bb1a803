/* Statistics, for administrators. */
#include "runtime/http.h"
#include "server/admin_statistics.h"
#include "server/admin_users.h"
#include "workers/admin/query.h"

static void show_str(hs_json_out *j, const char *key, hs_str v)
{
    if (v.p)
        hs_json_str(j, key, v);
    else
        hs_json_null(j, key);
}

typedef struct {
    const char *name;
    int order;
} order_name;

/* The value of order_by; absent leaves *ret, and what is not there is told with all that are. */
static hs_error *read_order(hs_req *q, const order_name *names, size_t n, int *ret)
{
    hs_str by = hs_query(q, "order_by"), text;
    hs_buf b;

    if (!by.p)
        return NULL;
    hs_buf_init(&b, q->a);
    for (size_t i = 0; i < n; i++) {
        if (hs_str_eq(by, hs_str_c(names[i].name))) {
            *ret = names[i].order;
            return NULL;
        }
        hs_buf_add(&b, i ? HS_S(", '") : HS_S("'"));
        hs_buf_add(&b, hs_str_c(names[i].name));
        hs_buf_addc(&b, '\'');
    }
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'order_by' must be one of [%.*s]", HS_FMT(text));
}

static const order_name UPLOADERS[] = {
    { "media_length", HS_UPLOADER_BY_LENGTH },
    { "media_count", HS_UPLOADER_BY_COUNT },
    { "user_id", HS_UPLOADER_BY_USER },
    { "displayname", HS_UPLOADER_BY_NAME },
};

static hs_error *read_uploaders(hs_req *q, hs_uploader_query *in)
{
    int order = HS_UPLOADER_BY_USER;

    HS_TRY(read_order(q, UPLOADERS, sizeof UPLOADERS / sizeof *UPLOADERS, &order));
    in->order = (hs_uploader_order)order;
    HS_TRY(hs_admin_query_count(q, "from", &in->from));
    HS_TRY(hs_admin_query_count(q, "limit", &in->limit));
    HS_TRY(hs_admin_query_count(q, "from_ts", &in->from_ts));
    HS_TRY(hs_admin_query_count(q, "until_ts", &in->until_ts));
    if (in->until_ts <= in->from_ts)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter until_ts must be greater than from_ts.");
    in->search = hs_query(q, "search_term");
    if (in->search.p && !in->search.n)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter search_term cannot be an empty string.");
    HS_TRY(hs_admin_query_text(q, "search_term", in->search));
    return hs_admin_query_dir(q, false, &in->descending);
}

/* GET /_synapse/admin/v1/statistics/users/media */
static hs_error *get_uploaders(hs_req *q, hs_res *r)
{
    hs_uploader_query in = { .until_ts = INT64_MAX, .limit = 100 };
    hs_uploader *rows;
    int64_t total;
    size_t n;

    HS_TRY(read_uploaders(q, &in));

    HS_TRY(hs_admin_uploaders(q->srv, q->a, &in, &rows, &n, &total));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "users");
    for (size_t i = 0; i < n; i++) {
        hs_json_obj(j);
        hs_json_str(j, "user_id", rows[i].user_id);
        show_str(j, "displayname", rows[i].displayname);
        hs_json_int(j, "media_count", rows[i].media);
        hs_json_int(j, "media_length", rows[i].length);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_int(j, "total", total);
    if (in.from < total && total - in.from > in.limit)
        hs_json_int(j, "next_token", in.from + (int64_t)n);
    hs_json_end(j);
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

static const order_name UPLOADS[] = {
    { "media_id", HS_UPLOAD_BY_ID },
    { "upload_name", HS_UPLOAD_BY_NAME },
    { "created_ts", HS_UPLOAD_BY_CREATED },
    { "last_access_ts", HS_UPLOAD_BY_ACCESS },
    { "media_length", HS_UPLOAD_BY_LENGTH },
    { "media_type", HS_UPLOAD_BY_TYPE },
    { "quarantined_by", HS_UPLOAD_BY_QUARANTINE },
    { "safe_from_quarantine", HS_UPLOAD_BY_SAFE },
};

static void show_upload(hs_json_out *j, const hs_upload *u)
{
    hs_json_obj(j);
    hs_json_str(j, "media_id", u->media_id);
    show_str(j, "media_type", u->type);
    hs_json_int(j, "media_length", u->length);
    show_str(j, "upload_name", u->name);
    hs_json_int(j, "created_ts", u->created_ts);
    if (u->access_ts)
        hs_json_int(j, "last_access_ts", u->access_ts);
    else
        hs_json_null(j, "last_access_ts");
    show_str(j, "quarantined_by", u->quarantined_by);
    hs_json_bool(j, "safe_from_quarantine", u->safe);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/users/{userId}/media: the newest first unless an order is given */
static hs_error *get_uploads(hs_req *q, hs_res *r)
{
    int64_t from = 0, limit = 100, total;
    int order = HS_UPLOAD_BY_CREATED;
    bool descending = true;
    hs_session target;
    hs_upload *rows;
    size_t n;

    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), "Can only look up local users", "Unknown user",
                           &target));
    HS_TRY(hs_admin_query_count(q, "from", &from));
    HS_TRY(hs_admin_query_count(q, "limit", &limit));
    HS_TRY(read_order(q, UPLOADS, sizeof UPLOADS / sizeof *UPLOADS, &order));
    HS_TRY(hs_admin_query_dir(q, !hs_query(q, "order_by").p, &descending));

    HS_TRY(hs_admin_uploads(q->srv, q->a, &target, (hs_upload_order)order, descending, from, limit, &rows, &n, &total));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "media");
    for (size_t i = 0; i < n; i++)
        show_upload(j, &rows[i]);
    hs_json_end(j);
    hs_json_int(j, "total", total);
    if (from < total && total - from > limit)
        hs_json_int(j, "next_token", from + (int64_t)n);
    hs_json_end(j);
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
