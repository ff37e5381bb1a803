/* Delayed events: MSC4140 as Synapse serves it. */
#include "workers/client/delayed.h"

#include "server/delayed.h"
#include "server/limiter.h"

hs_error *hs_delayed_request(hs_req *q, hs_res *r, hs_send *in, bool *ret_done)
{
    int64_t delay_ms = 0;
    hs_str delay_id;

    HS_TRY(hs_query_i64(q, "org.matrix.msc4140.delay", ret_done, &delay_ms));
    if (!*ret_done)
        return NULL;
    if (delay_ms < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM,
                      "Query parameter org.matrix.msc4140.delay must be a positive integer.");
    HS_TRY(hs_delayed_answer(q->srv, q->who, q->a, in->room_id, in->txn_id, &delay_id));
    if (!delay_id.p) {
        HS_TRY(hs_req_object(q, &in->content));
        if (q->who->is_appservice)
            HS_TRY(hs_query_i64(q, "ts", &in->has_ts, &in->ts));
        HS_TRY(hs_delayed_add(q->srv, q->who, q->a, in, delay_ms, &delay_id));
    }
    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "delay_id", delay_id);
    hs_json_end(j);
    return NULL;
}

static void show(hs_json_out *j, const hs_delayed_row *row, bool legacy)
{
    hs_json_obj(j);
    hs_json_str(j, "delay_id", row->delay_id);
    hs_json_str(j, "room_id", row->room_id);
    hs_json_str(j, "type", row->type);
    hs_json_opt_str(j, "state_key", row->state_key);
    hs_json_int(j, "delay_ms", row->delay_ms);
    hs_json_int(j, "delayed_since_ts", row->send_ts - row->delay_ms);
    hs_json_raw(j, "content", row->content);
    if (legacy) {
        hs_json_int(j, "delay", row->delay_ms);
        hs_json_int(j, "running_since", row->send_ts - row->delay_ms);
    }
    hs_json_end(j);
}

/* GET …/delayed_events */
static hs_error *get_all(hs_req *q, hs_res *r)
{
    hs_delayed_row *rows;
    size_t n;

    HS_TRY(hs_delayed_list(q->srv, q->who, q->a, &rows, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "delayed_events");
    for (size_t i = 0; i < n; i++)
        show(j, &rows[i], true);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* GET …/delayed_events/{delayId} */
static hs_error *get_one(hs_req *q, hs_res *r)
{
    hs_delayed_row row;

    HS_TRY(hs_delayed_get(q->srv, q->who, q->a, hs_path_param(q, "delayId"), &row));

    show(hs_res_json(r, 200), &row, false);
    return NULL;
}

static hs_error *update(hs_req *q, hs_res *r, hs_delayed_action action)
{
    HS_TRY(hs_delayed_update(q->srv, q->a, hs_path_param(q, "delayId"), action));
    hs_res_empty(r);
    return NULL;
}

/* POST …/delayed_events/{delayId}/cancel */
static hs_error *post_cancel(hs_req *q, hs_res *r)
{
    return update(q, r, HS_DELAYED_CANCEL);
}

/* POST …/delayed_events/{delayId}/restart */
static hs_error *post_restart(hs_req *q, hs_res *r)
{
    return update(q, r, HS_DELAYED_RESTART);
}

/* POST …/delayed_events/{delayId}/send */
static hs_error *post_send(hs_req *q, hs_res *r)
{
    return update(q, r, HS_DELAYED_SEND);
}

/* POST …/delayed_events/{delayId}: the older form, with the action in the body */
static hs_error *post_action(hs_req *q, hs_res *r)
{
    static const hs_str ACTIONS[] = { HS_S_INIT("cancel"), HS_S_INIT("restart"), HS_S_INIT("send") };
    hs_str action;
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));
    if (!hs_jv_is(hs_jv_get(body, HS_S("action"))))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "'action' is missing");
    action = hs_jv_str_or_null(hs_jv_get(body, HS_S("action")));
    for (size_t i = 0; i < sizeof ACTIONS / sizeof *ACTIONS; i++) {
        if (hs_str_eq(action, ACTIONS[i]))
            return update(q, r, (hs_delayed_action)i);
    }
    return hs_err(q->a, 400, HS_M_INVALID_PARAM, "'action' is not one of 'cancel', 'restart', 'send'");
}

/* clang-format off */
#define PREFIX "unstable/org.matrix.msc4140"
const hs_route hs_routes_delayed[] = {
    { HS_GET, PREFIX, "/delayed_events", get_all,
      .who = HS_AUTH_USER, .rate = HS_RC_DELAYED, .servlet = "DelayedEventsServlet" },
    { HS_GET, PREFIX, "/delayed_events/{delayId}", get_one,
      .who = HS_AUTH_USER, .rate = HS_RC_DELAYED, .servlet = "DelayedEventServlet" },
    { HS_POST, PREFIX, "/delayed_events/{delayId}", post_action,
      .who = HS_AUTH_OPTIONAL, .rate = HS_RC_DELAYED, .servlet = "UpdateDelayedEventServlet" },
    { HS_POST, PREFIX, "/delayed_events/{delayId}/cancel", post_cancel,
      .who = HS_AUTH_OPTIONAL, .rate = HS_RC_DELAYED, .servlet = "CancelDelayedEventServlet" },
    { HS_POST, PREFIX, "/delayed_events/{delayId}/restart", post_restart,
      .who = HS_AUTH_OPTIONAL, .rate = HS_RC_DELAYED, .servlet = "RestartDelayedEventServlet" },
    { HS_POST, PREFIX, "/delayed_events/{delayId}/send", post_send,
      .who = HS_AUTH_OPTIONAL, .rate = HS_RC_DELAYED, .servlet = "SendDelayedEventServlet" },
    { 0 },
};
/* clang-format on */
