/* Sending messages and redactions. Spec: Client-Server API, "Sending events to a room", "Redactions". */
#include "server/room_send.h"
#include "runtime/http.h"
#include "workers/client/delayed.h"

static hs_error *event_id_answer(hs_res *r, hs_str event_id)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_str(j, "event_id", event_id);
    hs_json_end(j);
    return NULL;
}

/* An application service may say when the event happened. */
static hs_error *read_ts(hs_req *q, hs_send *in)
{
    return q->who->is_appservice ? hs_query_i64(q, "ts", &in->has_ts, &in->ts) : NULL;
}

/* MSC4354. As with Synapse it says so of messages only: that of a state event is not read. */
static hs_error *read_sticky(hs_req *q, hs_send *in)
{
    static const char NAME[] = "org.matrix.msc4354.sticky_duration_ms";

    if (!q->srv->config->msc4354_enabled)
        return NULL;
    HS_TRY(hs_query_i64(q, NAME, &in->is_sticky, &in->sticky_ms));
    if (in->sticky_ms < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter %s must be a positive integer.", NAME);
    if (in->sticky_ms > HS_JSON_INT_MAX) /* an event could not say it */
        return hs_err(q->a, 400, HS_M_BAD_JSON, "JSON integer out of range");
    return NULL;
}

/* PUT …/rooms/{roomId}/send/{eventType}/{txnId} */
static hs_error *put_send(hs_req *q, hs_res *r)
{
    hs_send in = {
        .room_id = hs_path_param(q, "roomId"),
        .type = hs_path_param(q, "eventType"),
        .txn_id = hs_path_param(q, "txnId"),
    };
    hs_str event_id;
    bool later;

    HS_TRY(read_sticky(q, &in));
    HS_TRY(hs_delayed_request(q, r, &in, &later));
    if (later)
        return NULL;
    HS_TRY(hs_req_object(q, &in.content));
    HS_TRY(read_ts(q, &in));

    HS_TRY(hs_room_send(q->srv, q->who, q->a, &in, &event_id));

    return event_id_answer(r, event_id);
}

/* POST …/rooms/{roomId}/send/{eventType}: without a transaction id */
static hs_error *post_send(hs_req *q, hs_res *r)
{
    hs_send in = { .room_id = hs_path_param(q, "roomId"), .type = hs_path_param(q, "eventType") };
    hs_str event_id;
    bool later;

    HS_TRY(read_sticky(q, &in));
    HS_TRY(hs_delayed_request(q, r, &in, &later));
    if (later)
        return NULL;
    HS_TRY(hs_req_object(q, &in.content));
    HS_TRY(read_ts(q, &in));

    HS_TRY(hs_room_send(q->srv, q->who, q->a, &in, &event_id));

    return event_id_answer(r, event_id);
}

/* PUT …/rooms/{roomId}/redact/{eventId}/{txnId} */
static hs_error *put_redact(hs_req *q, hs_res *r)
{
    hs_redact in = {
        .room_id = hs_path_param(q, "roomId"),
        .event_id = hs_path_param(q, "eventId"),
        .txn_id = hs_path_param(q, "txnId"),
    };
    hs_str event_id;

    HS_TRY(hs_req_object_or_empty(q, &in.content));

    HS_TRY(hs_room_redact(q->srv, q->who, q->a, &in, &event_id));

    return event_id_answer(r, event_id);
}

/* POST …/rooms/{roomId}/redact/{eventId} */
static hs_error *post_redact(hs_req *q, hs_res *r)
{
    hs_redact in = { .room_id = hs_path_param(q, "roomId"), .event_id = hs_path_param(q, "eventId") };
    hs_str event_id;

    HS_TRY(hs_req_object_or_empty(q, &in.content));

    HS_TRY(hs_room_redact(q->srv, q->who, q->a, &in, &event_id));

    return event_id_answer(r, event_id);
}

/* clang-format off */
const hs_route hs_routes_room_send[] = {
    { HS_PUT, "api/v1 r0 v3 unstable", "/rooms/{roomId}/send/{eventType}/{txnId}", put_send,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .lax = true, .body = HS_KIB(128), .servlet = "RoomSendEventRestServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/rooms/{roomId}/send/{eventType}", post_send,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .lax = true, .body = HS_KIB(128), .servlet = "RoomSendEventRestServlet" },
    { HS_PUT, "api/v1 r0 v3 unstable", "/rooms/{roomId}/redact/{eventId}/{txnId}", put_redact,
      .who = HS_AUTH_USER, .rate = HS_RC_ADMIN_REDACTION, .lax = true, .servlet = "RoomRedactEventRestServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/rooms/{roomId}/redact/{eventId}", post_redact,
      .who = HS_AUTH_USER, .rate = HS_RC_ADMIN_REDACTION, .lax = true, .servlet = "RoomRedactEventRestServlet" },
    { 0 },
};
/* clang-format on */
