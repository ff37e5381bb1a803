/* See gauges.h. Filled at a scrape; docs/metrics.md lists all metrics. */
#include "server/gauges.h"

#include "server/limiter.h"
#include "server/news.h"
#include "server/sync_wait.h"

#include <hs/version.h>

struct hs_gauges {
    hs_server *srv;
    hs_metric *parked, *position, *fibers, *timers, *threads, *offloaded;
};

static void collect(void *ud)
{
    struct hs_gauges *g = ud;
    hs_loop_load load = hs_loop_load_of(g->srv->loop);

    hs_metric_set(g->parked, (double)hs_waiters_count(g->srv));
    hs_metric_set(g->position, (double)hs_fanout_position(g->srv));
    hs_metric_set(g->fibers, (double)load.fibers);
    hs_metric_set(g->timers, (double)load.timers);
    hs_metric_set(g->threads, (double)load.offload_running, "offload");
    hs_metric_set(g->offloaded, (double)load.offload_queued);
}

hs_error *hs_gauges_open(hs_server *srv, hs_arena *a)
{
    hs_metrics *m = srv->metrics;
    struct hs_gauges *g;

    HS_TRY(hs_alloc(a, 1, &g));
    g->srv = srv;
    g->parked = hs_metric_get(m, HS_GAUGE, "hs_sync_parked", "Long polls that wait for news", NULL);
    g->position = hs_metric_get(m, HS_GAUGE, "synapse_event_persisted_position",
                                "Stream position up to which everything has been told here", NULL);
    g->fibers = hs_metric_get(m, HS_GAUGE, "hs_fibers", "Fibers: requests and loops that are under way", NULL);
    g->timers = hs_metric_get(m, HS_GAUGE, "hs_timers", "Timers that are armed", NULL);
    g->threads = hs_metric_get(m, HS_GAUGE, "synapse_threadpool_working_threads", "Threads at work", "name");
    g->offloaded =
        hs_metric_get(m, HS_GAUGE, "hs_offload_queue", "Hashes, images and files that wait for a thread", NULL);
    hs_loop_meter_offload(
        srv->loop, hs_metric_get(m, HS_HISTOGRAM_FINE, "hs_offload_wait_seconds", "Time that they waited", NULL));
    hs_metric_set(hs_metric_get(m, HS_GAUGE, "synapse_server_name_info", "1, for the name", NULL), 1);
    hs_metric_set(hs_metric_get(m, HS_GAUGE, "synapse_build_info", "1, for the version that runs",
                                "pythonversion version osversion"),
                  1, "", HS_VERSION, "");
    (void)hs_limit_metric(srv);
    hs_metrics_collector(m, collect, g);
    srv->gauges = g;
    return NULL;
}

void hs_gauges_close(hs_server *srv)
{
    if (!srv->gauges)
        return;
    hs_loop_meter_offload(srv->loop, NULL);
    hs_metrics_forget(srv->metrics, srv->gauges);
    srv->gauges = NULL;
}
