/* Following threads (MSC4306, MSC4308): there when experimental_features.msc4306_enabled is. */
#include "server/thread_subs.h"

#include "runtime/http.h"

static hs_error *check(hs_req *q, hs_str *ret_room, hs_str *ret_root)
{
    *ret_room = hs_path_param(q, "roomId");
    *ret_root = hs_path_param(q, "threadRootId");
    if (!q->srv->config->msc4306_enabled)
        return hs_err(q->a, 404, HS_M_UNRECOGNIZED, "Unrecognized request");
    if (!hs_str_starts(*ret_root, HS_S("$")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Invalid event ID");
    return NULL;
}

/* GET …/rooms/{roomId}/thread/{threadRootId}/subscription */
static hs_error *get_subscription(hs_req *q, hs_res *r)
{
    hs_str room, root;
    bool automatic;

    HS_TRY(check(q, &room, &root));

    HS_TRY(hs_thread_sub_get(q->srv, q->who, q->a, room, root, &automatic));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "automatic", automatic);
    hs_json_end(j);
    return NULL;
}

/* PUT …/rooms/{roomId}/thread/{threadRootId}/subscription */
static hs_error *put_subscription(hs_req *q, hs_res *r)
{
    hs_str room, root, cause = { 0 };
    hs_jv body, automatic;

    HS_TRY(check(q, &room, &root));
    HS_TRY(hs_req_object(q, &body));
    automatic = hs_jv_get(body, HS_S("automatic"));
    if (hs_jv_is(automatic) && hs_jv_type_of(automatic) != HS_JV_NULL &&
        (!hs_jv_str(automatic, &cause) || !hs_str_starts(cause, HS_S("$"))))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "automatic must be an event ID");

    HS_TRY(hs_thread_subscribe(q->srv, q->who, q->a, room, root, cause));

    hs_res_empty(r);
    return NULL;
}

/* DELETE …/rooms/{roomId}/thread/{threadRootId}/subscription */
static hs_error *delete_subscription(hs_req *q, hs_res *r)
{
    hs_str room, root;

    HS_TRY(check(q, &room, &root));

    HS_TRY(hs_thread_unsubscribe(q->srv, q->who, q->a, room, root));

    hs_res_empty(r);
    return NULL;
}

/* {"!room":{"$root":{…}}} of those that are or are not subscribed; nothing where there are none. */
static hs_error *write_kind(hs_req *q, hs_json_out *j, const char *key, bool subscribed, const hs_thread_sub_row *rows,
                            size_t n)
{
    bool *done;
    bool open = false;

    HS_TRY(hs_alloc(q->a, n, &done));
    for (size_t i = 0; i < n; i++) {
        if (done[i] || rows[i].subscribed != subscribed)
            continue;
        if (!open)
            hs_json_obj_at(j, key);
        open = true;
        hs_json_key(j, rows[i].room_id);
        hs_json_obj(j);
        for (size_t k = i; k < n; k++) {
            if (rows[k].subscribed != subscribed || !hs_str_eq(rows[k].room_id, rows[i].room_id))
                continue;
            done[k] = true;
            hs_json_key(j, rows[k].root_id);
            hs_json_obj(j);
            if (subscribed)
                hs_json_bool(j, "automatic", rows[k].automatic);
            hs_json_int(j, "bump_stamp", rows[k].pos);
            hs_json_end(j);
        }
        hs_json_end(j);
    }
    if (open)
        hs_json_end(j);
    return NULL;
}

/* GET …/thread_subscriptions */
static hs_error *get_subscriptions(hs_req *q, hs_res *r)
{
    hs_thread_sub_row *rows;
    hs_str end;
    size_t n;
    int64_t limit = 100;
    bool has;

    if (!q->srv->config->msc4306_enabled)
        return hs_err(q->a, 404, HS_M_UNRECOGNIZED, "Unrecognized request");
    if (!hs_str_eq(hs_query(q, "dir"), HS_S("b")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'dir' must be one of ['b']");
    HS_TRY(hs_query_i64(q, "limit", &has, &limit));

    HS_TRY(hs_thread_subs_list(q->srv, q->who, q->a, hs_query(q, "from"), hs_query(q, "to"), limit, &rows, &n, &end));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    HS_TRY(write_kind(q, j, "subscribed", true, rows, n));
    HS_TRY(write_kind(q, j, "unsubscribed", false, rows, n));
    hs_json_opt_str(j, "end", end);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
#define SUBSCRIPTION "unstable/io.element.msc4306", "/rooms/{roomId}/thread/{threadRootId}/subscription"
const hs_route hs_routes_thread_subs[] = {
    { HS_GET, SUBSCRIPTION, get_subscription, .who = HS_AUTH_USER, .servlet = "ThreadSubscriptionsRestServlet" },
    { HS_PUT, SUBSCRIPTION, put_subscription, .who = HS_AUTH_USER, .servlet = "ThreadSubscriptionsRestServlet" },
    { HS_DELETE, SUBSCRIPTION, delete_subscription, .who = HS_AUTH_USER, .servlet = "ThreadSubscriptionsRestServlet" },
    { HS_GET, "unstable/io.element.msc4308", "/thread_subscriptions", get_subscriptions, .who = HS_AUTH_USER, .servlet = "ThreadSubscriptionsPaginationRestServlet" },
    { 0 },
};
/* clang-format on */
