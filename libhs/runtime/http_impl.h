/* What http_h2o.c (requests) and http_listen.c (connections) share; the only files beside loop.c that know h2o. */
#ifndef HS_RUNTIME_HTTP_IMPL_H
#define HS_RUNTIME_HTTP_IMPL_H

#include "runtime/http_router.h"

#include <h2o.h>

#define HS_HTTP_ARENAS 64

typedef struct hs_listener {
    struct hs_listener *next;
    hs_http *http;
    h2o_accept_ctx_t accept; /* ssl_ctx is changed by a reload */
    h2o_socket_t *sock;      /* NULL: closed by a drain */
    bool paused, x_forwarded;
    uint32_t groups;
    char *tls_cert, *tls_key, *unix_path;
    char *address; /* as it was asked for */
    uint16_t port;
    char log_name[64]; /* synapse.access.http.8008 */
    char tag[16];      /* the port, or "unix" */
} hs_listener;

/* One accepted connection; lives until h2o closes the socket. */
typedef struct hs_conn {
    struct hs_conn *next, *prev;
    const hs_listener *listener;
    h2o_socket_t *sock;
    hs_parked *busy;       /* the request that is being served */
    int64_t idle_since;    /* ms */
    int64_t reading_since; /* ms; first bytes of a request are there; 0: none */
    int64_t window_at;     /* ms, and */
    size_t window_n;       /* bytes: where the progress of a body was last looked at */
    bool head_done;
    char peer[46]; /* empty until first asked for */
} hs_conn;

typedef enum { X_RUNNING, X_PARKED, X_DONE, X_SENT } hs_exchange_state;

/* One request from h2o's call to the end of its answer. It is what q->conn points to and what handlers know as
 * hs_parked. */
struct hs_parked {
    hs_parked *next, *prev; /* of all that are alive */
    hs_parked *queued;      /* in the list of those done or woken */
    hs_http *http;
    hs_conn *conn;
    h2o_req_t *req;
    const hs_route *route;
    hs_arena *a;
    hs_req *q;
    hs_res *r;
    hs_resume_fn *resume;
    hs_gone_fn *gone;
    void *ud;
    hs_io hangup;
    h2o_generator_t generator;
    hs_str requester;
    hs_str client_ip; /* the peer's, or what a proxy told; lives as long as the request */
    uint64_t id;
    int64_t began_ns, sent_ns;
    size_t bytes;
    hs_method method;
    hs_exchange_state state;
    int status;
    bool woken, in_place, last_chance;
};

typedef struct {
    hs_parked *first, *last;
} hs_exchange_list;

struct hs_http {
    hs_loop *loop;
    hs_http_options o;
    hs_router *router;
    char *groups[32];
    size_t groups_n;
    h2o_globalconf_t conf;
    h2o_context_t ctx;
    hs_listener *listeners;
    hs_conn *conns;
    size_t conns_n, conns_max;
    hs_parked *live;
    size_t parked_n;
    hs_exchange_list done, woken;
    hs_post after; /* sends what is done, resumes what is woken */
    bool after_waits;
    hs_arena *arenas[HS_HTTP_ARENAS];
    size_t arenas_n;
    uint64_t seq;
    bool draining;
    hs_timer sweep;
    hs_metric *received, *responses, *seconds, *in_flight, *ticks;
};

/* http_h2o.c */
void hs_http_install(hs_http *h, h2o_pathconf_t *path);
void hs_http_metrics(hs_http *h);
/* Ends a parked request without its resume function. */
void hs_http_give_up(hs_parked *x);

/* http_listen.c */
void hs_http_peer(hs_conn *c); /* fills c->peer */

#endif
