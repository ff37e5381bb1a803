/* Messages to devices. Spec: Client-Server API, "Send-to-Device messaging". What was sent is read by /sync. */
#include "server/todevice.h"
#include "runtime/http.h"

typedef struct {
    hs_jv messages;
} send_body;

static const hs_field SEND_BODY[] = {
    HS_NEED_OBJ(send_body, messages),
    { 0 },
};

/* PUT …/sendToDevice/{eventType}/{txnId} */
static hs_error *put_send(hs_req *q, hs_res *r)
{
    hs_todevice_send in = { .type = hs_path_param(q, "eventType"), .txn_id = hs_path_param(q, "txnId") };
    send_body body = { 0 };

    HS_TRY(hs_req_fields(q, SEND_BODY, &body));

    in.messages = body.messages;
    HS_TRY(hs_todevice_send_all(q->srv, q->who, q->a, &in));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_todevice[] = {
    { HS_PUT, "r0 v3 unstable", "/sendToDevice/{eventType}/{txnId}", put_send,
      .who = HS_AUTH_USER, .guest = true, .body = HS_MIB(4), .servlet = "SendToDeviceRestServlet" },
    { 0 },
};
/* clang-format on */
