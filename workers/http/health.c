/* GET /health and /_synapse/metrics. */
#include "server/context.h"
#include "workers/http/sets.h"

static hs_error *get_health(hs_req *q, hs_res *r)
{
    (void)q;
    hs_res_bytes(r, 200, HS_S("text/plain"), HS_S("OK"));
    return NULL;
}

static hs_error *get_metrics(hs_req *q, hs_res *r)
{
    hs_buf out;
    hs_str text;

    hs_buf_init(&out, q->a);
    hs_metrics_write(q->srv->metrics, &out);
    HS_TRY(hs_buf_flatten(&out, &text));

    hs_res_bytes(r, 200, HS_S("text/plain; version=0.0.4; charset=utf-8"), text);
    return NULL;
}

/* clang-format off */
static const hs_route HEALTH[] = {
    { HS_GET, NULL, "/health", get_health, .who = HS_AUTH_NONE, .servlet = "HealthResource" },
    { 0 },
};

static const hs_route METRICS[] = {
    { HS_GET, NULL, "/_synapse/metrics", get_metrics, .who = HS_AUTH_NONE, .servlet = "MetricsResource" },
    { HS_GET, NULL, "/metrics", get_metrics, .who = HS_AUTH_NONE, .servlet = "MetricsResource" },
    { 0 },
};
/* clang-format on */

const hs_route_set hs_http_health_routes = { "", HEALTH };
const hs_route_set hs_http_metrics_routes = { "", METRICS };
