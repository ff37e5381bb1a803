/* One worker: a loop, its services, the routes of its roles on its listeners. What `hs run` and an embedder put
 * together.
 *
 * Loop thread only. Order: open, listen, run the loop, drain (on a fiber), close. */
#ifndef HS_WORKERS_WORKER_H
#define HS_WORKERS_WORKER_H

#include "runtime/config.h"
#include "runtime/http.h"

typedef struct hs_worker hs_worker;

typedef struct {
    const hs_config *config; /* must outlive the worker */
    hs_logger *log;
    hs_str conninfo;                     /* p NULL: the configuration's database */
    unsigned roles;                      /* HS_ROLE_*; 0: all */
    const char *program;                 /* hs, which knows the subcommand thumbnailer; NULL: on PATH */
    hs_str name;                         /* different from every other worker's of this server; p NULL: "main" */
    const hs_config_listener *listeners; /* NULL: the configuration's; must outlive the worker */
    size_t listeners_n;
    hs_str redis_socket; /* of a private Redis; p NULL: what the configuration says */
    bool shared;         /* there are other workers; with a redis it is so anyway */
    bool share_ports;    /* other processes may listen on the same ports: SO_REUSEPORT; see hs_worker_drain */
} hs_worker_options;

/* Connects, migrates, opens the services. The error's message is the operator's one line. */
HS_NODISCARD hs_error *hs_worker_open(hs_loop *loop, hs_arena *a, const hs_worker_options *o, hs_worker **ret);
/* Opens the listeners, those that serve anything of the worker's roles. */
HS_NODISCARD hs_error *hs_worker_listen(hs_worker *w, hs_arena *a);
/* Reads certificates anew, and takes from `fresh` what may change while it runs: factors of caches. */
HS_NODISCARD hs_error *hs_worker_reload(hs_worker *w, hs_arena *a, const hs_config *fresh);
/* Stops accepting, answers what waits, finishes what is under way. */
HS_SUSPENDS void hs_worker_drain(hs_worker *w, int64_t deadline_ms);
/* Asked again: the drain ends at once. */
void hs_worker_hurry(hs_worker *w);
/* The database has lost what this worker knows (a failover without all data): the loop was stopped, and the process has
 * to be started again. */
bool hs_worker_lost(const hs_worker *w);
void hs_worker_close(hs_worker *w);
hs_str hs_worker_name(const hs_worker *w);
struct hs_server *hs_worker_server(hs_worker *w);

#endif
