/* `hs run --workers N`: N processes of `hs worker` that share the ports, started again when one dies. The supervisor
 * itself serves nothing. */
#ifndef HS_MAIN_SUPERVISE_H
#define HS_MAIN_SUPERVISE_H

#include "main/runner.h"

#define HS_WORKERS_MAX 64

typedef struct hs_supervisor hs_supervisor;

typedef struct {
    unsigned workers;
    const char *data_dir; /* NULL: none; the workers find PostgreSQL and Redis in it */
    int program;          /* a descriptor of this program, opened while its path could still be reached; above 3 */
    int64_t drain_ms;
} hs_supervise_options;

/* Whether every port of the configuration is free: a second server that shared them by mistake would take away half of
 * the requests. */
HS_NODISCARD hs_error *hs_supervise_check_ports(hs_arena *a, const hs_config *c);
/* Starts the workers worker1 … workerN; r->loop is open and r->on_signal becomes this supervisor's. Once all serve,
 * `ready` is called on the loop. It runs on until a signal ends it: then all workers have ended too. */
HS_NODISCARD hs_error *hs_supervise(hs_runner *r, const hs_supervise_options *o, void (*ready)(void *ud), void *ud,
                                    hs_supervisor **ret);
/* Whether one of the workers ended before all served the first time; it has said why. */
bool hs_supervise_failed(const hs_supervisor *s);

#endif
