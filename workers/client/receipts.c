/* Receipts and read markers. Spec: Client-Server API, "Receipts", "Fully read markers". */
#include "server/receipts.h"

#include "runtime/http.h"

/* POST …/rooms/{roomId}/receipt/{receiptType}/{eventId} */
static hs_error *post_receipt(hs_req *q, hs_res *r)
{
    hs_receipt_wish in = { .room_id = hs_path_param(q, "roomId"),
                           .event_id = hs_path_param(q, "eventId"),
                           .type = hs_path_param(q, "receiptType") };
    bool fully_read = hs_str_eq(in.type, HS_S("m.fully_read"));
    hs_jv body, thread;

    if (!fully_read && !hs_str_eq(in.type, HS_S("m.read")) && !hs_str_eq(in.type, HS_S("m.read.private"))) {
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Receipt type must be m.read, m.read.private, m.fully_read");
    }
    HS_TRY(hs_req_object_or_empty(q, &body));
    thread = hs_jv_get(body, HS_S("thread_id"));
    if (hs_jv_is(thread)) {
        if (!hs_jv_str(thread, &in.thread_id) || !in.thread_id.n)
            return hs_err(q->a, 400, HS_M_INVALID_PARAM, "thread_id field must be a non-empty string");
        if (fully_read)
            return hs_err(q->a, 400, HS_M_INVALID_PARAM, "thread_id is not compatible with m.fully_read receipts.");
    }

    HS_TRY(hs_receipt_put(q->srv, q->who, q->a, &in));

    hs_res_empty(r);
    return NULL;
}

/* POST …/rooms/{roomId}/read_markers */
static hs_error *post_read_markers(hs_req *q, hs_res *r)
{
    static const hs_field FIELDS[] = {
        HS_NAMED("m.fully_read", HS_F_STR, false, hs_read_markers, fully_read),
        HS_NAMED("m.read", HS_F_STR, false, hs_read_markers, read),
        HS_NAMED("m.read.private", HS_F_STR, false, hs_read_markers, read_private),
        { 0 },
    };
    hs_read_markers in = { 0 };

    HS_TRY(hs_req_fields(q, FIELDS, &in));
    in.room_id = hs_path_param(q, "roomId");

    HS_TRY(hs_read_markers_put(q->srv, q->who, q->a, &in));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_receipts[] = {
    { HS_POST, "r0 v3 unstable", "/rooms/{roomId}/receipt/{receiptType}/{eventId}", post_receipt,
      .who = HS_AUTH_USER, .lax = true, .servlet = "ReceiptRestServlet" },
    { HS_POST, "r0 v3 unstable", "/rooms/{roomId}/read_markers", post_read_markers,
      .who = HS_AUTH_USER, .lax = true, .servlet = "ReadMarkerRestServlet" },
    { 0 },
};
/* clang-format on */
