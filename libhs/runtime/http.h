/* All that a handler may know of HTTP.
 *
 * A request runs on a fiber of its own: route row → hooks (authentication, rate limit) → handler → answer. A handler
 * has three paragraphs: read, call one service, write. It returns NULL after filling `r`, or an error, which becomes
 * the spec's JSON error. */
#ifndef HS_RUNTIME_HTTP_H
#define HS_RUNTIME_HTTP_H

#include "base/checked.h"
#include "base/fields.h"
#include "base/json_out.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/metrics.h"

struct hs_server;  /* libhs/server/context.h */
struct hs_session; /* libhs/server/session.h: who is asking */

typedef struct hs_req hs_req;
typedef struct hs_res hs_res;
typedef struct hs_parked hs_parked;
typedef hs_error *hs_handler(hs_req *q, hs_res *r);

typedef enum { HS_GET, HS_PUT, HS_POST, HS_DELETE, HS_HEAD, HS_OPTIONS, HS_OTHER_METHOD } hs_method;

/* Who may call: the `auth` column of the endpoint list. */
typedef enum {
    HS_AUTH_NONE,
    HS_AUTH_OPTIONAL, /* who is NULL without a token; a bad token is still refused */
    HS_AUTH_USER,
    HS_AUTH_ADMIN,
    HS_AUTH_SERVER, /* X-Matrix */
    HS_AUTH_SECRET, /* a shared secret that the handler checks */
} hs_auth_kind;

/* The rate limiter's classes, named after Synapse's rc_ options. */
typedef enum {
    HS_RC_NONE,
    HS_RC_MESSAGE,
    HS_RC_REGISTRATION,
    HS_RC_REGISTRATION_TOKEN,
    HS_RC_LOGIN, /* the service counts by address, account and failures */
    HS_RC_JOIN,
    HS_RC_INVITE,
    HS_RC_ADMIN_REDACTION,
    HS_RC_ROOM_CREATION,
    HS_RC_REPORTS,
    HS_RC_USER_DIRECTORY,
    HS_RC_PRESENCE,
    HS_RC_MEDIA_CREATE,
    HS_RC_DELAYED,
    HS_RC_SUMMARY, /* trees of rooms: not an option */
    HS_RC_PROFILE, /* by user, or by address without a token */
    HS_RC_COUNT
} hs_rate_class;

/* One operation. `prefixes` are the accepted version prefixes, separated by blanks ("r0 v3
 * unstable/org.matrix.msc1234"), put between the set's base and `path`; NULL: base + path as they are. {name} is one
 * segment, matched raw and decoded afterwards. A last segment "{name...}" takes the rest of the path, empty included.
 */
typedef struct {
    hs_method method;
    const char *prefixes;
    const char *path;
    hs_handler *handler;
    hs_auth_kind who;
    bool guest;  /* a guest's token is accepted */
    bool locked; /* works for a locked or suspended account too (logout …) */
    hs_rate_class rate;
    bool lax;            /* need not see what another worker has just acknowledged, see hs_http_hooks */
    size_t body;         /* limit in bytes; 0: 64 KiB for PUT and POST, no body read otherwise */
    bool stream;         /* the handler takes the body as it arrives, with hs_body_read, and looks after its limit */
    const char *servlet; /* Synapse's name for metrics */
} hs_route;

typedef struct {
    const char *base;       /* "/_matrix/client/" */
    const hs_route *routes; /* ends with a zero row */
} hs_route_set;

typedef struct {
    hs_str name, value;
} hs_pair;

struct hs_req {
    struct hs_server *srv;
    struct hs_session *who; /* NULL when nobody is logged in */
    hs_arena *a;            /* the request's arena, cap 64 MiB */
    hs_loop *loop;
    const hs_route *route;
    hs_method method;
    hs_str target; /* raw, with the query */
    hs_str path;   /* raw, without it */
    hs_str body;
    hs_str client_ip; /* after X-Forwarded-For where the listener trusts it */
    hs_str user_agent;
    hs_str host;
    hs_str request_id;     /* "POST-17": the log line's and the error report's */
    const hs_pair *params; /* path parameters, decoded */
    size_t params_n;
    const hs_pair *query; /* decoded, in order, repeated names too */
    size_t query_n;
    bool secure;      /* TLS here or X-Forwarded-Proto: https */
    hs_str requester; /* "@user:server" for the log line; set by the authenticate hook */
    hs_jv json;       /* the body, once it was read */
    bool json_read;
    int64_t known; /* the hooks': how far the news had come when the request began */
    void *conn;    /* the HTTP engine's */
};

/* Header value by lower-case name; { NULL, 0 } when absent. */
hs_str hs_req_header(const hs_req *q, hs_str name);
/* Path parameter by the name in the route's row; always there. */
hs_str hs_path_param(const hs_req *q, const char *name);
/* First query parameter of the name; { NULL, 0 } when absent. */
hs_str hs_query(const hs_req *q, const char *name);
/* Decimal query parameter; absent leaves *ret and sets *has false; not a number is 400 M_INVALID_PARAM. */
HS_NODISCARD hs_error *hs_query_i64(hs_req *q, const char *name, bool *has, int64_t *ret);
/* "true" or "false"; anything else is 400 M_INVALID_PARAM; absent leaves *ret. */
HS_NODISCARD hs_error *hs_query_bool(hs_req *q, const char *name, bool *ret);
/* The body as a JSON object (M_NOT_JSON, M_BAD_JSON). An empty body is M_NOT_JSON, except for hs_req_object_or_empty.
 * Parsed once. */
HS_NODISCARD hs_error *hs_req_object(hs_req *q, hs_jv *ret);
HS_NODISCARD hs_error *hs_req_object_or_empty(hs_req *q, hs_jv *ret);
/* The body as any JSON value: for the few endpoints that take a bare one. */
HS_NODISCARD hs_error *hs_req_value(hs_req *q, hs_jv *ret);
/* The same into a struct by a field table. */
HS_NODISCARD hs_error *hs_req_fields(hs_req *q, const hs_field *fields, void *into);
/* A form that a browser sent (application/x-www-form-urlencoded): its fields are query parameters from here on, before
 * those of the address. */
HS_NODISCARD hs_error *hs_req_form(hs_req *q);

/* ── bodies as they arrive ────────────────────────────────────────────────────────────────────────────────────────────
 * For rows with `stream`, PUT and POST: the handler runs when the head is there, so who asks and how much is announced
 * are looked at before a byte of the body is taken. Nothing is read from the socket between two calls. q->body is not
 * for such handlers. What a handler leaves unread costs the connection. */

/* The Content-Length; -1 when there was none (no body, or a chunked one, which is read whole and up to 1 MiB). */
int64_t hs_body_length(const hs_req *q);
/* The next bytes, valid until the next call; *ret is empty at the end. 499 when the client went away or was too slow.
 */
HS_NODISCARD HS_SUSPENDS hs_error *hs_body_read(hs_req *q, hs_str *ret);

struct hs_res {
    int status;
    hs_buf body;
    hs_json_out json;
    hs_pair *headers;
    size_t headers_n, headers_cap;
    hs_str content_type; /* default application/json */
    bool parked;
    bool page;     /* HTML of our own, for people: without CORS, which is for APIs and media */
    bool has_file; /* the body is file_n bytes of file_fd from file_at on */
    int file_fd;
    int64_t file_at, file_n;
    hs_arena *a;
};

/* Sets the status and gives the writer over the body. */
hs_json_out *hs_res_json(hs_res *r, int status);
/* 200 {} */
void hs_res_empty(hs_res *r);
/* Other content; `bytes` must live as long as the request's arena. */
void hs_res_bytes(hs_res *r, int status, hs_str content_type, hs_str bytes);
/* A part of an open file, sent in small pieces as the client takes them. The descriptor is the answer's from here on:
 * it is closed when the answer is sent or dropped. */
void hs_res_file(hs_res *r, int status, hs_str content_type, int fd, int64_t at, int64_t n);
HS_NODISCARD hs_error *hs_res_header(hs_res *r, hs_str name, hs_str value);

/* ── parking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
 * A long poll does not hold a fiber or an arena. The handler calls hs_req_park and returns NULL; request arena and
 * fiber go. Later hs_parked_wake makes a new fiber with a new arena run resume(q, r, ud), with q->srv, q->who (NULL),
 * q->loop, q->a and q->route set and nothing else. gone(ud) runs instead if the client went away or the worker drains
 * without an answer. Exactly one of the two runs, once, and the handle is dead when it starts. */
typedef hs_error *hs_resume_fn(hs_req *q, hs_res *r, void *ud);
typedef void hs_gone_fn(void *ud);
HS_NODISCARD hs_error *hs_req_park(hs_req *q, hs_res *r, hs_resume_fn *resume, hs_gone_fn *gone, void *ud,
                                   hs_parked **ret);
/* Idempotent until resume starts. */
void hs_parked_wake(hs_parked *p);
/* False while the server drains: answer with what there is. A request that parks nevertheless is resumed at once, and
 * the second time it gets 503. */
bool hs_req_may_park(const hs_req *q);

/* ── the service ──────────────────────────────────────────────────────────────────────────────────────────────────────
 * What stands between a route row and its handler, given by the worker. Each runs on the request's fiber. */
typedef struct {
    /* Sets q->who by the row's `who`, or refuses. Runs before the body is looked at. */
    hs_error *(*authenticate)(hs_req *q);
    /* 429 with retry_after_ms, by the row's class. */
    hs_error *(*rate_limit)(hs_req *q);
    /* The handler of a lax row has refused. True: it may have looked at old news; now it has the newest and runs once
     * more. False: *e is the answer, another one when it cannot be known whether the news were old. */
    bool (*once_more)(hs_req *q, hs_error **e);
} hs_http_hooks;

typedef struct hs_http hs_http;
typedef struct {
    struct hs_server *srv;
    hs_http_hooks hooks;
    hs_logger *log; /* may be NULL, as may metrics */
    hs_metrics *metrics;
    size_t max_connections;    /* per worker; 0: 20,000 */
    size_t max_at_work;        /* requests being worked on at once, parked ones aside; more get 503; 0: 4,096 */
    const char *server_header; /* NULL: none */
} hs_http_options;

/* One per worker: the router and the connections of all its listeners. NULL without memory. If nobody handles SIGPIPE,
 * the process ignores it from here on. */
hs_http *hs_http_open(hs_loop *loop, const hs_http_options *o);
/* Adds routes to a listener's resource group: "client", "federation", "media", "health", "metrics" … Sets are borrowed.
 */
HS_NODISCARD hs_error *hs_http_routes(hs_http *h, hs_arena *a, const char *group, const hs_route_set *sets, size_t n);

typedef struct {
    const char *address; /* NULL with path */
    uint16_t port;
    const char *unix_path;
    unsigned unix_mode;
    const char *tls_cert, *tls_key; /* both or none: files in PEM */
    bool x_forwarded;
    bool reuse_port; /* other processes may listen there too; a socket file is put in the place of another's */
    const char *const *groups; /* NULL-terminated */
} hs_listener_options;
/* One clear error per cause: address in use, no permission, bad certificate. port 0 picks one; *ret_port says which. */
HS_NODISCARD hs_error *hs_http_listen(hs_http *h, hs_arena *a, const hs_listener_options *o, uint16_t *ret_port);
/* Reads certificates anew; the old ones stay on error. */
HS_NODISCARD hs_error *hs_http_reload_tls(hs_http *h, hs_arena *a);
/* Answers what is parked (resume runs), accepts what has begun to connect and then nobody, closes connections after
 * their answer and idle ones; true when nothing is left, false when the deadline passed. Where ports are shared,
 * another process gets new connections from the first moment on, and idle connections have some time for a request
 * whose answer announces the end. */
HS_SUSPENDS bool hs_http_drain(hs_http *h, int64_t deadline_ms);
/* A drain under way ends within some milliseconds, whatever is open. */
void hs_http_hurry(hs_http *h);
void hs_http_close(hs_http *h);
size_t hs_http_parked_count(const hs_http *h);

#endif
