/* What is said of every request: metrics and a line in the log. */
#include "base/int_text.h"
#include "runtime/http_impl.h"

const char *hs_http_method_name(hs_method m)
{
    static const char *const NAMES[] = { "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "OTHER" };

    return NAMES[m];
}

const char *hs_http_servlet(const hs_parked *x)
{
    if (x->route)
        return x->route->servlet ? x->route->servlet : "unnamed";
    return x->method == HS_OPTIONS ? "OptionsResource" : "UnrecognizedRequest";
}

static void count_in_flight(void *ud)
{
    hs_http *h = ud;

    hs_metric_clear(h->in_flight);
    for (const hs_parked *x = h->live; x; x = x->next)
        hs_metric_add(h->in_flight, 1, hs_http_method_name(x->method), hs_http_servlet(x));
}

void hs_http_metrics(hs_http *h)
{
    hs_metrics *m = h->o.metrics;

    h->received = hs_metric_get(m, HS_COUNTER, "synapse_http_server_requests_received_total", "Requests received",
                                "method servlet");
    h->responses = hs_metric_get(m, HS_COUNTER, "synapse_http_server_response_count_total", "Responses sent",
                                 "method servlet tag");
    h->seconds = hs_metric_get(m, HS_HISTOGRAM, "synapse_http_server_response_time_seconds",
                               "Time from a request to the end of its answer", "method servlet tag code");
    h->in_flight = hs_metric_get(m, HS_GAUGE, "synapse_http_server_in_flight_requests_count",
                                 "Requests being processed, parked ones too", "method servlet");
    h->refused = hs_metric_get(m, HS_COUNTER, "hs_refused_total",
                               "What was refused with 503 or 429 because the server or its database could not keep up",
                               "reason");
    h->ticks = hs_metric_get(m, HS_HISTOGRAM, "python_twisted_reactor_tick_time",
                             "Work in a turn of the event loop, under the name that dashboards know", NULL);
    hs_metrics_collector(m, count_in_flight, h);
}

static void count(const hs_parked *x, double seconds)
{
    const hs_http *h = x->http;
    const char *method = hs_http_method_name(x->method), *servlet = hs_http_servlet(x);
    char code[HS_INT_TEXT];

    hs_metric_add(h->responses, 1, method, servlet, "");
    hs_metric_observe(h->seconds, seconds, method, servlet, "", hs_int_text(x->status, code).p);
}

hs_str hs_http_request_id(const hs_parked *x, char *room)
{
    char number[HS_INT_TEXT];
    hs_str method = hs_str_c(hs_http_method_name(x->method)), id = hs_int_text((int64_t)x->id, number);

    memcpy(room, method.p, method.n);
    room[method.n] = '-';
    memcpy(room + method.n + 1, id.p, id.n);
    return hs_str_make(room, method.n + 1 + id.n);
}

/* ── the log ── a line for each request is a good part of what a small one costs, so it is put together without printf
 */
typedef struct {
    char text[3072]; /* the fields below fit; a target is cut at 1 KiB, an agent at 512 bytes */
    size_t n;
} line;

static void put(line *o, hs_str s)
{
    s = hs_str_first(s, sizeof o->text - o->n);
    if (s.n)
        memcpy(o->text + o->n, s.p, s.n);
    o->n += s.n;
}

static void put_int(line *o, int64_t v)
{
    char room[HS_INT_TEXT];

    put(o, hs_int_text(v, room));
}

/* "0.012sec" */
static void put_seconds(line *o, int64_t ns)
{
    int64_t ms = ns > 0 ? ns / 1000000 : 0;
    char rest[3] = { (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10) };

    put_int(o, ms / 1000);
    put(o, HS_S("."));
    put(o, hs_str_make(rest, sizeof rest));
    put(o, HS_S("sec"));
}

static hs_str agent_of(const h2o_req_t *req)
{
    ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_USER_AGENT, -1);

    return at < 0 ? HS_S("-") : hs_str_first(hs_http_str(req->headers.entries[at].value), 512);
}

/* The line that Synapse's log readers know: "address - site - {user} Processed request: 0.001sec/0.000sec (0.000sec,
 * 0.000sec) (0.000sec/0.000sec/0) 2B 200 "GET /path HTTP/1.1" "agent" [0 dbevts]". */
static void log_request(const hs_parked *x, const h2o_req_t *req, int64_t now)
{
    const hs_listener *l = x->conn->listener;
    hs_str path = hs_http_str(req->input.path);
    int64_t sent = x->sent_ns ? x->sent_ns : now;
    bool quiet = x->method == HS_OPTIONS || hs_str_eq(path, HS_S("/health"));
    char id[HS_REQUEST_ID], target[1024];
    line o;

    o.n = 0;
    put(&o, x->client_ip.p ? x->client_ip : hs_str_c(x->conn->peer));
    put(&o, HS_S(" - "));
    put(&o, hs_str_c(l->tag));
    put(&o, HS_S(" - {"));
    put(&o, x->requester.n ? x->requester : HS_S("None"));
    put(&o, HS_S("} Processed request: "));
    put_seconds(&o, sent - x->began_ns);
    put(&o, HS_S("/"));
    put_seconds(&o, now - sent);
    put(&o, HS_S(" (0.000sec, 0.000sec) (0.000sec/0.000sec/0) "));
    put_int(&o, (int64_t)x->bytes);
    put(&o, HS_S("B "));
    put_int(&o, x->status);
    put(&o, HS_S(" \""));
    put(&o, hs_str_first(hs_http_str(req->input.method), 32));
    put(&o, HS_S(" "));
    put(&o, hs_log_target(path, target, sizeof target));
    put(&o, req->version & 1 ? HS_S(" HTTP/1.1\" \"") : HS_S(" HTTP/1.0\" \""));
    put(&o, agent_of(req));
    put(&o, HS_S("\" [0 dbevts]"));
    hs_log_text(x->http->o.log, quiet ? HS_LOG_DEBUG : HS_LOG_INFO, hs_http_request_id(x, id), l->log_name,
                hs_str_make(o.text, o.n));
}

void hs_http_account(const hs_parked *x, int64_t now)
{
    count(x, (double)(now - x->began_ns) / 1e9);
    log_request(x, x->req, now);
}
