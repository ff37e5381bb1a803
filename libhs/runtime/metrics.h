/* Counters, gauges and histograms in Prometheus' text format, under Synapse's names where its dashboard asks for them.
 * Loop thread only. A registry belongs to a server; there is none by default. */
#ifndef HS_RUNTIME_METRICS_H
#define HS_RUNTIME_METRICS_H

#include "base/buf.h"

typedef struct hs_metrics hs_metrics;
typedef struct hs_metric hs_metric;

typedef enum {
    HS_COUNTER,
    HS_GAUGE,
    HS_HISTOGRAM,       /* Synapse's buckets, for seconds */
    HS_HISTOGRAM_FINE,  /* from a millisecond on */
    HS_HISTOGRAM_SIZES, /* 1, 2, 4 … 256 */
} hs_metric_kind;

hs_metrics *hs_metrics_open(void);
void hs_metrics_close(hs_metrics *m);
/* The label server_name that each synapse_* series carries, as Synapse's do. */
void hs_metrics_set_server_name(hs_metrics *m, hs_str name);
/* Finds or makes a family; `labels` are names separated by blanks, NULL for none. NULL without memory; the functions
 * below accept NULL. */
hs_metric *hs_metric_get(hs_metrics *m, hs_metric_kind kind, const char *name, const char *help, const char *labels);
/* Label values in the order of the names; bounded: past 2,000 series of a family the rest is counted as "other". */
void hs_metric_add(hs_metric *f, double v, ...); /* const char *, … one per label */
void hs_metric_set(hs_metric *f, double v, ...);
void hs_metric_clear(hs_metric *f); /* all series to 0: gauges that a collector counts anew */
void hs_metric_observe(hs_metric *f, double v, ...);
/* Called at each scrape, to fill gauges. */
void hs_metrics_collector(hs_metrics *m, void (*fn)(void *ud), void *ud);
/* Its owner goes: no call with this ud any more. */
void hs_metrics_forget(hs_metrics *m, const void *ud);
/* All families as text/plain; version=0.0.4. Process metrics (CPU, memory, descriptors) are included. */
void hs_metrics_write(hs_metrics *m, hs_buf *out);

#endif
