/* What the store tells the metrics: how long statements waited for a connection and took, by statement; how large
 * batches of writing were and how long their units waited. Synapse's names where its dashboard asks for them.
 *
 * Times are of the loop's clock, which stands still within a turn: single ones are to the millisecond, sums come out
 * right. Totals by statement are kept apart and handed over at a scrape: a statement costs one look into a map. */
#include "store/handle.h"

#include <stdlib.h>

typedef struct {
    const hs_stmt *s;
    double n, seconds;
} total;

struct hs_meter {
    hs_metrics *metrics;
    hs_map *totals; /* statement's address → total */
    hs_metric *waited, *count, *sum;
    hs_metric *batch_units, *unit_seconds, *persisted;
};

static void collect(void *ud)
{
    struct hs_meter *m = ud;
    size_t it = 0;
    hs_str key;
    void *v;

    while (hs_map_next(m->totals, &it, &key, &v)) {
        const total *t = v;
        hs_metric_set(m->count, t->n, t->s->name);
        hs_metric_set(m->sum, t->seconds, t->s->name);
    }
}

hs_error *hs_meter_open(hs_db *db, hs_metrics *metrics)
{
    struct hs_meter *m = calloc(1, sizeof *m);

    if (!m)
        return HS_ERR_NOMEM;
    db->meter = m;
    m->metrics = metrics;
    m->totals = hs_map_open((uintptr_t)m);
    if (!m->totals)
        return HS_ERR_NOMEM;
    m->waited = hs_metric_get(metrics, HS_HISTOGRAM, "synapse_storage_schedule_time",
                              "Time that statements and transactions waited for a connection", NULL);
    m->count = hs_metric_get(metrics, HS_COUNTER, "synapse_storage_transaction_time_count_total",
                             "Round trips to PostgreSQL, by their first statement", "desc");
    m->sum = hs_metric_get(metrics, HS_COUNTER, "synapse_storage_transaction_time_sum_total", "Seconds that they took",
                           "desc");
    m->batch_units =
        hs_metric_get(metrics, HS_HISTOGRAM_SIZES, "hs_write_batch_units", "Units in a write transaction", NULL);
    m->unit_seconds = hs_metric_get(metrics, HS_HISTOGRAM_FINE, "hs_write_unit_seconds",
                                    "Time of a unit from its commit until it is durable, waiting included", NULL);
    m->persisted = hs_metric_get(metrics, HS_COUNTER, "synapse_storage_events_persisted_events_total",
                                 "Events that this worker has written", NULL);
    hs_metrics_collector(metrics, collect, m);
    return NULL;
}

void hs_meter_close(hs_db *db)
{
    struct hs_meter *m = db->meter;
    size_t it = 0;
    hs_str key;
    void *v;

    if (!m)
        return;
    hs_metrics_forget(m->metrics, m);
    while (m->totals && hs_map_next(m->totals, &it, &key, &v))
        free(v);
    hs_map_close(m->totals);
    free(m);
    db->meter = NULL;
}

void hs_meter_waited(hs_db *db, int64_t ms)
{
    hs_metric_observe(db->meter->waited, (double)ms / 1000);
}

void hs_meter_group(hs_db *db, const hs_group *g)
{
    size_t first = g->n > 1 && strcmp(g->steps[0].s->name, "begin") == 0;
    const hs_stmt *s = g->n ? g->steps[first].s : NULL;
    total *t = s ? hs_map_get_n(db->meter->totals, (uintptr_t)s) : NULL;

    if (s && !t) {
        t = calloc(1, sizeof *t);
        if (!t || !hs_map_put_n(db->meter->totals, (uintptr_t)s, t, NULL)) {
            free(t);
            return;
        }
        t->s = s;
    }
    if (!t)
        return;
    t->n++;
    t->seconds += (double)(hs_loop_now(db->loop) - g->since) / 1000;
}

void hs_meter_batch(hs_db *db, size_t units)
{
    hs_metric_observe(db->meter->batch_units, (double)units);
}

void hs_meter_unit(hs_db *db, int64_t since, size_t events)
{
    hs_metric_observe(db->meter->unit_seconds, (double)(hs_loop_now(db->loop) - since) / 1000);
    if (events)
        hs_metric_add(db->meter->persisted, (double)events);
}
