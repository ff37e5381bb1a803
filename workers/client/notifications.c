/* What one was notified of. Spec: Client-Server API, "Listing Notifications". */
#include "server/notifications.h"
#include "runtime/http.h"

#include <stdio.h>

enum { PAGE = 50, PAGE_MAX = 500 };

static void write_one(hs_json_out *j, const hs_show *how, const hs_notification *n)
{
    hs_json_obj(j);
    hs_json_raw(j, "actions", n->actions);
    hs_json_key(j, HS_S("event"));
    hs_event_show(j, how, &n->event);
    hs_json_null(j, "profile_tag");
    hs_json_bool(j, "read", n->read);
    hs_json_str(j, "room_id", n->room->id);
    hs_json_int(j, "ts", n->event.event->received_ts);
    hs_json_end(j);
}

/* GET …/notifications */
static hs_error *get_notifications(hs_req *q, hs_res *r)
{
    hs_show how = { .viewer = q->who, .now = hs_loop_wall(q->loop) };
    hs_str from = hs_query(q, "from"), only = hs_query(q, "only");
    int64_t before = 0, limit = PAGE;
    hs_notifications page;
    hs_json_out *j;
    char next[24];
    bool has;

    if (from.p && !hs_str_to_i64(from, &before))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Query parameter \"from\" contains unrecognised token");
    if (from.p && before < 1)
        before = 1; /* nothing is before it */
    HS_TRY(hs_query_i64(q, "limit", &has, &limit));
    if (limit < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter limit must be a positive integer.");

    HS_TRY(hs_notifications_get(q->srv, q->a, q->who, before, (size_t)(limit < PAGE_MAX ? limit : PAGE_MAX),
                                hs_str_eq(only, HS_S("highlight")), &page));

    j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "notifications");
    for (size_t i = 0; i < page.n; i++)
        write_one(j, &how, &page.at[i]);
    hs_json_end(j);
    if (page.next)
        hs_json_str(j, "next_token",
                    hs_str_make(next, (size_t)snprintf(next, sizeof next, "%lld", (long long)page.next)));
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_notifications[] = {
    { HS_GET, "r0 v3 unstable", "/notifications", get_notifications, .who = HS_AUTH_USER, .servlet = "NotificationsServlet" },
    { 0 },
};
/* clang-format on */
