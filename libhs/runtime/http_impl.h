/* What the http_*.c files around h2o share; they and loop.c are the only ones that know it. http_h2o.c: requests;
 * http_body.c: their bodies; http_wait.c: their connections while they are at work; http_file.c: answers from files;
 * http_account.c: metrics and the log; http_listen.c: connections. */
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
    bool paused, x_forwarded, shared;
    uint32_t groups;
    char *tls_cert, *tls_key, *unix_path;
    dev_t unix_dev; /* the file at unix_path that is ours */
    ino_t unix_ino;
    char *address; /* as it was asked for */
    uint16_t port;
    char log_name[64]; /* synapse.access.http.8008 */
    char tag[16];      /* the port, or "unix" */
} hs_listener;

/* A request body that is kept from h2o (http_body.c). */
typedef struct {
    bool on, expect; /* expect: the client waits for 100 Continue */
    bool broken;     /* nothing more will come */
    bool lingers;    /* the answer is sent, the rest of the body is read and dropped */
    size_t head;     /* bytes before it in the socket's input */
    size_t taken;    /* bytes behind the head that the handler has been given */
    uint64_t left;   /* bytes that have not been taken, whether they are here or not */
    int64_t length;  /* -1: not known */
    hs_fiber *fiber; /* the handler's, while it waits */
} hs_body;

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
    bool handshake; /* of TLS, under way */
    bool used;      /* has had a request */
    struct hs_conn *hook_next;
    h2o_socket_cb h2o_read; /* h2o's own callback, which ours stands before */
    bool *gone;             /* set when the connection is closed inside h2o's callback */
    bool hook_waits;
    bool passed;    /* the head of this request has been looked at */
    hs_body coming; /* of the request that h2o is about to hand over */
    char peer[46];  /* empty until first asked for */
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
    h2o_buffer_t *input; /* the socket's, with the request in it, while http_wait.c reads; or NULL */
    h2o_generator_t generator;
    hs_body body;
    struct hs_file_out *file;
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
    size_t at_work, at_work_max; /* requests on fibers */
    hs_exchange_list done, woken;
    hs_post after; /* sends what is done, resumes what is woken */
    bool after_waits;
    hs_arena *arenas[HS_HTTP_ARENAS];
    size_t arenas_n;
    uint64_t seq;
    uint32_t stream_groups; /* those that have a row with `stream` */
    hs_conn *hooks;         /* connections whose next request is to be watched for again */
    bool draining;
    bool hurry; /* hs_http_hurry */
    hs_timer sweep;
    hs_metric *received, *responses, *seconds, *in_flight, *refused, *ticks;
};

static inline hs_str hs_http_str(h2o_iovec_t v)
{
    return hs_str_make(v.base, v.len);
}

/* http_h2o.c */
void hs_http_install(hs_http *h, h2o_pathconf_t *path);
/* Ends a parked request without its resume function. */
void hs_http_give_up(hs_parked *x);

void hs_http_run_after(hs_http *h); /* h->after at the end of this turn */
/* Queues an exchange for the loop's own stack, where its answer is sent. */
void hs_http_done(hs_parked *x);
hs_arena *hs_http_arena_take(hs_http *h);
void hs_http_arena_put_back(hs_http *h, hs_arena *a);

/* http_request.c */
void hs_http_read_request(hs_parked *x);                     /* fills x->q from what h2o has read */
HS_NODISCARD hs_error *hs_http_refuse_framing(hs_parked *x); /* what is ambiguous, or too long a head */

/* http_body.c */
void hs_http_accept(hs_listener *l, hs_conn *c); /* h2o begins to read; c may be gone afterwards */
void hs_http_watch_again(hs_conn *c);            /* a request is over, h2o will read the next */
void hs_http_watch_queued(hs_http *h);           /* end of the turn */
void hs_http_unwatch(hs_conn *c);                /* the connection closes */
void hs_http_body_begin(hs_parked *x);           /* takes over what is coming */
/* Before the answer is begun: true when its last piece has to wait until the rest of the body was dropped, which
 * x->generator will see to. */
bool hs_http_body_end(hs_parked *x);
bool hs_http_body_slow(hs_parked *x, int64_t now);

/* http_file.c */
hs_error *hs_http_file_open(hs_parked *x); /* takes r's file over */
void hs_http_file_start(hs_parked *x);     /* the first piece; headers are set */
void hs_http_file_go_on(hs_parked *x);     /* a piece has been read on a fiber */
void hs_http_file_close(hs_parked *x);
size_t hs_http_file_sent(const hs_parked *x); /* bytes that the kernel has taken */

/* The client of a request went away: a parked one is answered for nobody; one at work goes on to its end. */
void hs_http_hangup(hs_parked *x);

/* http_account.c */
void hs_http_metrics(hs_http *h);
const char *hs_http_method_name(hs_method m);
const char *hs_http_servlet(const hs_parked *x); /* its name in metrics */
enum { HS_REQUEST_ID = 40 };
hs_str hs_http_request_id(const hs_parked *x, char *room); /* GET-17, in HS_REQUEST_ID bytes of room */
void hs_http_account(const hs_parked *x, int64_t now);     /* its end, ns */

/* http_wait.c */
/* From here to the end of the request its connection is read and a client that leaves is noticed. Again after it was
 * parked anew. */
void hs_http_wait_begin(hs_parked *x);
void hs_http_wait_end(hs_parked *x);

/* http_bind.c */
hs_error *hs_http_bind_tcp(hs_arena *a, const hs_listener_options *o, int *ret_fd, uint16_t *ret_port);
hs_error *hs_http_bind_unix(hs_arena *a, const hs_listener_options *o, int *ret_fd);
/* From now on no new connection begins at a port that others share: its first packet is dropped, and when it is sent
 * again, this socket is closed and another process gets it. What is under way goes on. */
void hs_http_bind_quiet(int fd);

/* http_listen.c */
void hs_http_peer(hs_conn *c); /* fills c->peer */

#endif
