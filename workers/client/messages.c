/* Reading a room's events: pages, one event, what is around it. Spec: Client-Server API, "Getting events for a room",
 * "Event context". */
#include "server/timeline.h"

#include "runtime/http.h"

/* "filter" as JSON; *ret NULL: none. */
static hs_error *read_filter(hs_req *q, hs_event_filter *filter, const hs_event_filter **ret, unsigned *flags)
{
    hs_str text = hs_query(q, "filter");
    hs_jv v;

    *ret = NULL;
    if (!text.p || !text.n)
        return NULL;
    if (hs_tape_parse(q->a, text, HS_JSON_DUP_KEYS_LAST, &v))
        return hs_err(q->a, 400, HS_M_NOT_JSON, "Query parameter filter must be a valid JSON object");
    if (!hs_jv_count(v))
        return NULL; /* an empty one of any kind is none */
    if (hs_jv_type_of(v) != HS_JV_OBJ)
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Filter must be an object");
    HS_TRY(hs_event_filter_read(q->a, v, filter));
    if (flags && hs_str_eq(hs_jv_str_or_null(hs_jv_get(v, HS_S("event_format"))), HS_S("federation")))
        *flags |= HS_SHOW_FEDERATION;
    *ret = filter;
    return NULL;
}

static hs_error *read_limit(hs_req *q, int64_t *limit)
{
    bool has;

    HS_TRY(hs_query_i64(q, "limit", &has, limit));
    if (*limit < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter limit must be a positive integer.");
    return NULL;
}

static hs_show show_of(const hs_req *q)
{
    return (hs_show){ .flags = HS_SHOW_ROOM_ID, .viewer = q->who, .now = hs_loop_wall(q->loop) };
}

/* State with what it replaced, but where there is too much of it to be worth looking up. */
static hs_error *show_state(hs_req *q, hs_json_out *j, const hs_show *how, hs_stored *const *state, size_t n)
{
    enum { DRESSED_MAX = 300 };
    hs_show plain = *how;
    hs_dressed *dressed;

    plain.viewer = NULL;
    if (n > DRESSED_MAX) {
        hs_state_show(j, &plain, state, n);
        return NULL;
    }
    HS_TRY(hs_alloc(q->a, n, &dressed));
    for (size_t i = 0; i < n; i++)
        dressed[i].event = state[i];
    HS_TRY(hs_timeline_dress(q->srv, q->a, q->who, HS_DRESS_REPLACED | HS_DRESS_STATE, dressed, n));
    hs_dressed_show(j, &plain, dressed, n);
    return NULL;
}

/* GET …/rooms/{roomId}/messages */
static hs_error *get_messages(hs_req *q, hs_res *r)
{
    hs_str dir = hs_query(q, "dir");
    hs_messages_query in = {
        .room_id = hs_path_param(q, "roomId"), .from = hs_query(q, "from"), .to = hs_query(q, "to"), .limit = 10
    };
    hs_show how = show_of(q);
    hs_event_filter filter;
    hs_messages_page page;
    hs_json_out *j;

    if (dir.p && !hs_str_eq(dir, HS_S("b")) && !hs_str_eq(dir, HS_S("f")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'dir' must be one of ['b', 'f']");
    in.forwards = !hs_str_eq(dir, HS_S("b"));
    if (!in.from.n)
        in.from.p = NULL;
    if (!in.to.n)
        in.to.p = NULL;
    HS_TRY(read_limit(q, &in.limit));
    HS_TRY(read_filter(q, &filter, &in.filter, &how.flags));

    HS_TRY(hs_messages_get(q->srv, q->who, q->a, &in, &page));

    j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_key(j, HS_S("chunk"));
    hs_dressed_show(j, &how, page.chunk, page.chunk_n);
    hs_json_str(j, "start", page.start);
    hs_json_opt_str(j, "end", page.end);
    if (page.state_n) {
        hs_json_key(j, HS_S("state"));
        HS_TRY(show_state(q, j, &how, page.state, page.state_n));
    }
    hs_json_end(j);
    return NULL;
}

/* GET …/rooms/{roomId}/context/{eventId} */
static hs_error *get_context(hs_req *q, hs_res *r)
{
    hs_show how = show_of(q);
    hs_event_filter filter;
    const hs_event_filter *given;
    hs_event_context c;
    hs_json_out *j;
    int64_t limit = 10;

    HS_TRY(read_limit(q, &limit));
    HS_TRY(read_filter(q, &filter, &given, NULL));

    HS_TRY(hs_context_get(q->srv, q->who, q->a, hs_path_param(q, "roomId"), hs_path_param(q, "eventId"), limit, given,
                          &c));

    j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_key(j, HS_S("events_before"));
    hs_dressed_show(j, &how, c.before, c.before_n);
    hs_json_key(j, HS_S("event"));
    hs_event_show(j, &how, &c.event);
    hs_json_key(j, HS_S("events_after"));
    hs_dressed_show(j, &how, c.after, c.after_n);
    hs_json_key(j, HS_S("state"));
    if (c.state_bare)
        hs_state_show(j, &how, c.state, c.state_n);
    else
        HS_TRY(show_state(q, j, &how, c.state, c.state_n));
    hs_json_str(j, "start", c.start);
    hs_json_str(j, "end", c.end);
    hs_json_end(j);
    return NULL;
}

/* GET …/rooms/{roomId}/event/{eventId} */
static hs_error *get_event(hs_req *q, hs_res *r)
{
    hs_show how = show_of(q);
    hs_dressed event;
    hs_room *room;

    HS_TRY(hs_timeline_event(q->srv, q->who, q->a, hs_path_param(q, "roomId"), hs_path_param(q, "eventId"), &room,
                             &event));
    HS_TRY(hs_timeline_dress(q->srv, q->a, q->who, HS_DRESS_BUNDLE | HS_DRESS_REPLACED, &event, 1));

    hs_event_show(hs_res_json(r, 200), &how, &event);
    return NULL;
}

/* GET …/rooms/{roomId}/timestamp_to_event */
static hs_error *get_nearest(hs_req *q, hs_res *r)
{
    hs_str dir = hs_query(q, "dir");
    hs_stored *event;
    int64_t ts = 0;
    bool has;

    HS_TRY(hs_query_i64(q, "ts", &has, &ts));
    if (!has)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required integer query parameter ts");
    if (ts < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter ts must be a positive integer.");
    if (dir.p && !hs_str_eq(dir, HS_S("b")) && !hs_str_eq(dir, HS_S("f")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'dir' must be one of ['b', 'f']");

    HS_TRY(hs_timeline_at(q->srv, q->who, q->a, hs_path_param(q, "roomId"), ts, !hs_str_eq(dir, HS_S("b")), &event));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "event_id", event->ev->event_id);
    hs_json_int(j, "origin_server_ts", event->ev->origin_ts);
    hs_json_end(j);
    return NULL;
}

/* ── the same for administrators, who may read all rooms ── */

static hs_error *as_admin(hs_req *q, hs_res *r, hs_handler *handler)
{
    hs_session *who;

    HS_TRY(hs_alloc(q->a, 1, &who));
    *who = *q->who;
    who->as_admin = true;
    q->who = who;
    return handler(q, r);
}

/* GET /_synapse/admin/v1/rooms/{roomId}/messages */
static hs_error *get_messages_as_admin(hs_req *q, hs_res *r)
{
    return as_admin(q, r, get_messages);
}

/* GET /_synapse/admin/v1/rooms/{roomId}/context/{eventId} */
static hs_error *get_context_as_admin(hs_req *q, hs_res *r)
{
    return as_admin(q, r, get_context);
}

/* GET /_synapse/admin/v1/rooms/{roomId}/timestamp_to_event */
static hs_error *get_nearest_as_admin(hs_req *q, hs_res *r)
{
    return as_admin(q, r, get_nearest);
}

/* clang-format off */
#define PREFIXES "api/v1 r0 v3 unstable"
const hs_route hs_routes_messages[] = {
    { HS_GET, PREFIXES, "/rooms/{roomId}/messages", get_messages,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomMessageListRestServlet" },
    { HS_GET, PREFIXES, "/rooms/{roomId}/context/{eventId}", get_context,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomEventContextServlet" },
    { HS_GET, PREFIXES, "/rooms/{roomId}/event/{eventId}", get_event,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomEventServlet" },
    { HS_GET, "v1", "/rooms/{roomId}/timestamp_to_event", get_nearest,
      .who = HS_AUTH_USER, .servlet = "TimestampLookupRestServlet" },
    { 0 },
};

const hs_route hs_routes_admin_messages[] = {
    { HS_GET, "v1", "/rooms/{roomId}/messages", get_messages_as_admin, .who = HS_AUTH_ADMIN, .servlet = "RoomMessagesRestServlet" },
    { HS_GET, "v1", "/rooms/{roomId}/context/{eventId}", get_context_as_admin, .who = HS_AUTH_ADMIN, .servlet = "RoomEventContextServlet" },
    { HS_GET, "v1", "/rooms/{roomId}/timestamp_to_event", get_nearest_as_admin, .who = HS_AUTH_ADMIN, .servlet = "RoomTimestampToEventRestServlet" },
    { 0 },
};
/* clang-format on */
