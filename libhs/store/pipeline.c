/* A connection in pipeline mode: connecting, what is on the wire, results, loss.
 *
 * States: DOWN (waiting to try again) → CONNECTING (libpq's handshake) → SETTING_UP (our settings, and for the writer
 * the fence) → READY. The wire is a queue of what answers are expected: the preparation of a statement, a step of a
 * group, a Sync. */
#include "store/pipeline.h"

#include "base/checked.h"
#include "store/rows.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CONNECT_MS = 10000,
    CONNECT_ONE_MS = 4000, /* where there are several hosts: then another one is tried first */
    READ_MS = 14000,       /* without any answer, above statement_timeout: the server is not there any more … */
    ANSWER_MS = 20000,     /* … and for what writes */
    LIST_MAX = 1024,
    RETRY_LEAST_MS = 100,
    RETRY_MOST_MS = 2000,
    WHY_MAX = 256,
};

typedef enum { DOWN, CONNECTING, SETTING_UP, READY } conn_state;
typedef enum { W_PREPARE, W_STEP, W_SYNC } wire_kind;

typedef struct {
    wire_kind kind;
    hs_group *g; /* W_STEP, W_SYNC: the newest group under this Sync */
    size_t step;
    const hs_stmt *s;
} wire;

struct hs_conn {
    hs_loop *loop;
    hs_logger *log;
    char *conninfo;
    hs_conn_role role;
    int32_t fence;
    struct hs_conn_hooks hooks;
    conn_state state;
    PGconn *pg;
    hs_io io;
    hs_timer retry;
    int64_t since; /* ms: when this state began */
    int64_t heard; /* ms: when something was answered, or sent while nothing was on the wire */
    unsigned turn; /* of several hosts, which is tried first */
    bool many_hosts;
    int64_t pause; /* ms until the next try */
    char why[WHY_MAX];
    hs_map *prepared; /* statement's address → itself */
    /* a ring */
    wire *wire;
    size_t wire_at, wire_n, wire_cap;
    /* groups on the wire, oldest first */
    hs_group *first, *last;
    bool unsynced;   /* statements were sent that no Sync follows yet */
    bool got_result; /* of the wire's head: its NULL is to come */
    bool closing, was_lost;
    bool reading; /* in on_io: lost connections are dealt with when it returns */
    bool broken;
    hs_step setup_steps[2];
    hs_params setup_params[2];
    const char *fence_value[1];
    int fence_length[1];
    char fence_bytes[4];
    hs_group setup;
};

/* By hs_conn_role, for the log. */
static const char *const ROLES[] = { "reader", "exec", "writer", "transaction" };

static void start_connecting(hs_conn *c);

/* ── groups ── */

void hs_group_clear(hs_group *g)
{
    for (size_t i = 0; i < g->n; i++) {
        PQclear(g->steps[i].res);
        g->steps[i].res = NULL;
    }
}

const char *hs_group_sqlstate(const hs_group *g)
{
    const char *state = g->failed ? PQresultErrorField(g->steps[g->at].res, PG_DIAG_SQLSTATE) : NULL;

    return state ? state : "";
}

static void clear_result(void *ud)
{
    PQclear(ud);
}

hs_error *hs_step_take(hs_arena *a, hs_step *step, hs_rows **ret)
{
    size_t cols = step->s->cols ? strlen(step->s->cols) : 0;
    PGresult *res = step->res;
    hs_rows *r;

    if (!ret)
        return NULL;
    if (!res || (size_t)PQnfields(res) != cols)
        return hs_err_internal(a, NULL, "statement %s gave %d columns, not %zu", step->s->name,
                               res ? PQnfields(res) : 0, cols);
    HS_TRY(hs_alloc(a, 1, &r));
    HS_TRY(hs_arena_on_reset(a, clear_result, res));
    step->res = NULL;
    r->res = res;
    *ret = r;
    return NULL;
}

/* ── the wire ── */

static bool wire_push(hs_conn *c, wire w)
{
    if (c->wire_n == c->wire_cap) {
        size_t cap = c->wire_cap ? c->wire_cap * 2 : 64;
        wire *grown = calloc(cap, sizeof *grown);
        if (!grown)
            return false;
        for (size_t i = 0; i < c->wire_n; i++)
            grown[i] = c->wire[(c->wire_at + i) % c->wire_cap];
        free(c->wire);
        c->wire = grown;
        c->wire_at = 0;
        c->wire_cap = cap;
    }
    c->wire[(c->wire_at + c->wire_n++) % c->wire_cap] = w;
    return true;
}

static void wire_pop(hs_conn *c)
{
    c->wire_at = (c->wire_at + 1) % c->wire_cap;
    c->wire_n--;
    c->got_result = false;
}

static bool send_prepare(hs_conn *c, const hs_stmt *s)
{
    Oid oids[HS_PARAMS_MAX];
    int n = hs_params_oids(s, oids);
    union {
        const hs_stmt *s;
        void *p;
    } known = { .s = s };

    if (hs_map_get_n(c->prepared, (uintptr_t)s))
        return true;
    return PQsendPrepare(c->pg, s->name, s->sql, n, oids) == 1 && wire_push(c, (wire){ .kind = W_PREPARE, .s = s }) &&
           hs_map_put_n(c->prepared, (uintptr_t)s, known.p, NULL);
}

static bool send_step(hs_conn *c, hs_group *g, size_t i)
{
    static const int BINARY[HS_PARAMS_MAX] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                               1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const hs_step *step = &g->steps[i];
    const hs_params *p = step->params;

    return send_prepare(c, step->s) &&
           PQsendQueryPrepared(c->pg, step->s->name, p ? p->n : 0, p ? p->values : NULL, p ? p->lengths : NULL, BINARY,
                               1) == 1 &&
           wire_push(c, (wire){ .kind = W_STEP, .g = g, .step = i });
}

static void send_sync(hs_conn *c)
{
    if (!c->unsynced || c->broken)
        return;
    if (PQpipelineSync(c->pg) != 1 || !wire_push(c, (wire){ .kind = W_SYNC, .g = c->last }))
        c->broken = true;
    c->unsynced = false;
}

void hs_conn_send(hs_conn *c, hs_group *g)
{
    if (!g->shares)
        send_sync(c);
    g->next = NULL;
    g->since = hs_loop_now(c->loop);
    if (!c->wire_n)
        c->heard = g->since;
    g->lost = g->away = g->failed = g->aborted = false;
    if (c->last)
        c->last->next = g;
    else
        c->first = g;
    c->last = g;
    c->unsynced = true;
    for (size_t i = 0; i < g->n && !c->broken; i++)
        c->broken = !send_step(c, g, i);
    if (!g->shares || g->tries)
        send_sync(c);
}

/* ── losing it ── */

static void set_why(hs_conn *c, const char *text)
{
    size_t n = text ? strcspn(text, "\n") : 0;

    if (n >= WHY_MAX)
        n = WHY_MAX - 1;
    if (n)
        memcpy(c->why, text, n);
    c->why[n] = 0;
}

static void try_again(hs_timer *t)
{
    start_connecting(t->ud);
}

static void drop_pg(hs_conn *c)
{
    if (c->io.on)
        (void)!hs_io_want(c->loop, &c->io, 0);
    PQfinish(c->pg);
    c->pg = NULL;
    hs_map_close(c->prepared);
    c->prepared = NULL;
    c->wire_n = 0;
    c->got_result = c->unsynced = c->broken = false;
}

static void lost(hs_conn *c)
{
    hs_group *g = c->first;
    conn_state was = c->state;

    if (c->pg && *PQerrorMessage(c->pg))
        set_why(c, PQerrorMessage(c->pg));
    drop_pg(c);
    c->state = DOWN;
    c->since = hs_loop_now(c->loop);
    c->first = c->last = NULL;
    if (was == READY && !c->closing) {
        c->was_lost = true;
        hs_log(c->log, HS_LOG_WARN, "store.lost", "connection=%s reason=\"%s\"", ROLES[c->role], c->why);
    }
    if (!c->closing) {
        if (hs_timer_arm(c->loop, &c->retry, c->pause) != NULL)
            c->pause = 0; /* the tick tries again */
        c->pause = c->pause * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : c->pause * 2;
    }
    while (g) {
        hs_group *next = g->next;
        hs_group_clear(g);
        g->failed = false;
        if (g == &c->setup) {
            ;
        } else if (g->shares && !c->closing && g->tries++ < 3) {
            c->hooks.again(g, c->hooks.ud);
        } else {
            g->lost = true;
            g->done(g);
        }
        g = next;
    }
    if (was == READY)
        c->hooks.down(c, c->hooks.ud);
}

/* ── results ── */

static void settle(hs_conn *c, hs_group *g)
{
    if (g->aborted && !g->failed && g->shares) { /* a neighbour failed: alone this time */
        hs_group_clear(g);
        g->tries++;
        c->hooks.again(g, c->hooks.ud);
        return;
    }
    g->done(g);
}

static void on_sync(hs_conn *c, hs_group *newest)
{
    hs_group *g = c->first, *next;

    for (; g; g = next) {
        bool end = g == newest;
        next = g->next;
        c->first = next;
        if (!next)
            c->last = NULL;
        settle(c, g);
        if (end)
            break;
    }
}

static void on_result(hs_conn *c, PGresult *res)
{
    wire *w = &c->wire[c->wire_at];
    ExecStatusType status = PQresultStatus(res);
    bool ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;

    c->got_result = true;
    if (w->kind == W_PREPARE) {
        if (!ok)
            hs_map_remove_n(c->prepared, (uintptr_t)w->s);
        if (status == PGRES_FATAL_ERROR && c->wire_n > 1) { /* belongs to the step that follows */
            wire *next = &c->wire[(c->wire_at + 1) % c->wire_cap];
            next->g->failed = true;
            next->g->at = next->step;
            next->g->steps[next->step].res = res;
            return;
        }
        PQclear(res);
        return;
    }
    if (ok) {
        PQclear(w->g->steps[w->step].res);
        w->g->steps[w->step].res = res;
        return;
    }
    if (status == PGRES_FATAL_ERROR && !w->g->failed) {
        const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        /* Connected to what is a standby now: the next connection finds the primary. */
        if (c->role != HS_CONN_READ && sqlstate && strcmp(sqlstate, "25006") == 0)
            c->broken = true;
        w->g->failed = true;
        w->g->at = w->step;
        PQclear(w->g->steps[w->step].res);
        w->g->steps[w->step].res = res;
        return;
    }
    w->g->aborted = true;
    PQclear(res);
}

static void read_results(hs_conn *c)
{
    while (c->wire_n && c->pg && !PQisBusy(c->pg)) {
        PGresult *res = PQgetResult(c->pg);
        wire w = c->wire[c->wire_at];

        if (!res) {
            if (!c->got_result) /* libpq has nothing, although an answer is due */
                break;
            if (w.kind == W_SYNC)
                c->got_result = false; /* the commit's error has ended, the Sync's own answer comes now */
            else
                wire_pop(c);
        } else if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            if (w.kind != W_SYNC) {
                c->broken = true;
                break;
            }
            wire_pop(c);
            on_sync(c, w.g);
        } else if (w.kind == W_SYNC) { /* an error at commit belongs to the newest group under the Sync */
            c->got_result = true;
            if (PQresultStatus(res) == PGRES_FATAL_ERROR && w.g && !w.g->failed && w.g->n) {
                w.g->failed = true;
                w.g->at = w.g->n - 1;
                PQclear(w.g->steps[w.g->at].res);
                w.g->steps[w.g->at].res = res;
            } else {
                PQclear(res);
            }
        } else {
            on_result(c, res);
        }
    }
}

static void watch(hs_conn *c, unsigned want)
{
    c->io.fd = PQsocket(c->pg);
    if (hs_io_want(c->loop, &c->io, want) != NULL)
        c->broken = true;
}

void hs_conn_flush(hs_conn *c)
{
    if (c->state != READY && c->state != SETTING_UP)
        return;
    send_sync(c);
    if (!c->broken) {
        int left = PQflush(c->pg);
        c->broken = left < 0;
        if (!c->broken && (left > 0) != ((c->io.want & HS_IO_WRITE) != 0))
            watch(c, left > 0 ? HS_IO_READ | HS_IO_WRITE : HS_IO_READ);
    }
    if (c->broken && !c->reading) /* not from here: the caller may be a fiber in the middle of something */
        (void)!hs_io_want(c->loop, &c->io, HS_IO_READ | HS_IO_WRITE);
}

/* ── connecting ── */

static void setup_done(hs_group *g)
{
    hs_conn *c = g->ud;
    bool ok = !g->failed && !g->lost && !g->aborted;

    if (!ok) {
        const char *text = g->failed ? PQresultErrorField(g->steps[g->at].res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
        set_why(c, text ? text : "settings refused");
        hs_log(c->log, HS_LOG_WARN, "store.setup", "reason=\"%s\"", c->why);
        c->broken = true;
    }
    hs_group_clear(g);
    if (!ok)
        return;
    c->state = READY;
    c->since = hs_loop_now(c->loop);
    c->pause = RETRY_LEAST_MS;
    c->why[0] = 0;
    if (c->was_lost)
        hs_log(c->log, HS_LOG_INFO, "store.back", "connection=%s", ROLES[c->role]);
    c->was_lost = false;
    c->hooks.ready(c, c->hooks.ud);
}

/* clang-format off */
#define COMMON_SETTINGS                                                                                                \
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"                \
    "   ELSE current_setting('synchronous_commit') END, false),"                                                       \
    " set_config('jit', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false),"                    \
    " set_config('random_page_cost', '1.1', false), set_config('max_parallel_workers_per_gather', '0', false)"

static const hs_stmt SETUP_READ = {
    .name = "setup_read",
    .sql = "SELECT set_config('statement_timeout', '10s', false),"
           " set_config('default_transaction_isolation', 'repeatable read', false),"
           " set_config('default_transaction_read_only', 'on', false)," COMMON_SETTINGS,
    .cols = "tttttttt",
};
static const hs_stmt SETUP_EXEC = {
    .name = "setup_exec",
    .sql = "SELECT set_config('statement_timeout', '15s', false), set_config('lock_timeout', '10s', false),"
           " set_config('idle_in_transaction_session_timeout', '60s', false)," COMMON_SETTINGS,
    .cols = "tttttttt",
};
/* A worker whose machine dies after half a batch has left must not hold the ticket for hours: PostgreSQL looks whether it
 * is there, and (17 and later) bounds the transaction. */
static const hs_stmt SETUP_WRITE = {
    .name = "setup_write",
    .sql = "SELECT set_config('statement_timeout', '10s', false), set_config('lock_timeout', '10s', false),"
           " set_config('idle_in_transaction_session_timeout', '2s', false),"
           " set_config('tcp_keepalives_idle', '2', false), set_config('tcp_keepalives_interval', '1', false),"
           " set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '5000', false),"
           " CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL"
           "   THEN set_config('transaction_timeout', '20s', false) END," COMMON_SETTINGS ","
           " (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = current_user"
           "   AND datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'hs write ' || $1)",
    .params = "i",
    .cols = "tttttttttttttn",
};
/* Held as long as the backend lives: once we have it, an older one of ours has ended, and with it whatever it had begun. */
static const hs_stmt FENCE = {
    .name = "fence",
    .sql = "SELECT pg_advisory_lock(3, $1)::text",
    .params = "i",
    .cols = "t",
};
/* clang-format on */

static void set_up(hs_conn *c)
{
    hs_group *g = &c->setup;
    size_t n = 0;

    memset(g, 0, sizeof *g);
    memset(c->setup_steps, 0, sizeof c->setup_steps);
    hs_put_be(c->fence_bytes, (uint32_t)c->fence, 4);
    c->fence_value[0] = c->fence_bytes;
    c->fence_length[0] = 4;
    c->setup_params[0] = (hs_params){ 1, c->fence_value, c->fence_length };
    if (c->role == HS_CONN_WRITE) {
        c->setup_steps[n++] = (hs_step){ .s = &SETUP_WRITE, .params = &c->setup_params[0] };
        c->setup_steps[n++] = (hs_step){ .s = &FENCE, .params = &c->setup_params[0] };
    } else {
        c->setup_steps[n++] = (hs_step){ .s = c->role == HS_CONN_READ ? &SETUP_READ : &SETUP_EXEC };
    }
    g->steps = c->setup_steps;
    g->n = n;
    g->done = setup_done;
    g->ud = c;
    c->state = SETTING_UP;
    c->since = hs_loop_now(c->loop);
    c->prepared = hs_map_open((uintptr_t)c);
    if (!c->prepared || PQsetnonblocking(c->pg, 1) != 0 || PQenterPipelineMode(c->pg) != 1) {
        c->broken = true;
        return;
    }
    watch(c, HS_IO_READ);
    hs_conn_send(c, g);
    hs_conn_flush(c);
}

/* libpq may close its socket and open another one in here, so nothing watches it meanwhile. */
static void go_on_connecting(hs_conn *c)
{
    if (c->io.on)
        (void)!hs_io_want(c->loop, &c->io, 0);
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING:
        watch(c, HS_IO_READ);
        break;
    case PGRES_POLLING_WRITING:
        watch(c, HS_IO_WRITE);
        break;
    case PGRES_POLLING_OK:
        set_up(c);
        break;
    default:
        c->broken = true;
        break;
    }
}

static void on_io(hs_io *io, unsigned events)
{
    hs_conn *c = io->ud;

    c->reading = true;
    if (c->state == CONNECTING) {
        go_on_connecting(c);
    } else if (!c->broken) {
        if (events & HS_IO_READ)
            c->heard = hs_loop_now(c->loop);
        if (!PQconsumeInput(c->pg))
            c->broken = true;
        read_results(c);
        hs_conn_flush(c);
        if (c->pg && PQstatus(c->pg) == CONNECTION_BAD)
            c->broken = true;
    }
    c->reading = false;
    if (c->broken)
        lost(c);
}

static void quiet(void *ud, const char *message)
{
    (void)ud;
    (void)message;
}

/* "a,b,c" from its k-th element on: "b,c,a". */
static bool rotate(const char *list, unsigned k, char *ret, size_t n)
{
    size_t count = 1, used = 0;
    hs_str rest;

    for (const char *p = list; *p; p++)
        count += *p == ',';
    if (count == 1 || strlen(list) + 2 > n)
        return false;
    for (size_t i = 0; i < count; i++) {
        hs_str one = { NULL, 0 };
        rest = hs_str_c(list);
        for (size_t at = 0; at <= (i + k) % count; at++)
            one = hs_str_split(&rest, ',');
        if (i)
            ret[used++] = ',';
        if (one.n)
            memcpy(ret + used, one.p, one.n);
        used += one.n;
    }
    ret[used] = 0;
    return true;
}

/* libpq tries hosts in order, and one that takes packets and says nothing would keep it from the others for ever: after
 * a time-out the next one is the first. */
static void rotate_hosts(hs_conn *c, const char **keys, const char **values, char lists[3][LIST_MAX])
{
    static const char *const NAMES[] = { "host", "hostaddr", "port" };
    PQconninfoOption *options = PQconninfoParse(c->conninfo, NULL), *o;
    size_t n = 0;

    while (keys[n])
        n++;
    for (size_t i = 0; i < 3; i++) {
        for (o = options; o && o->keyword && strcmp(o->keyword, NAMES[i]) != 0; o++)
            ;
        if (!o || !o->keyword || !o->val || !rotate(o->val, c->turn, lists[i], LIST_MAX))
            continue;
        c->many_hosts = true;
        keys[n] = NAMES[i];
        values[n++] = lists[i];
    }
    keys[n] = NULL;
    PQconninfoFree(options);
}

static void start_connecting(hs_conn *c)
{
    /* What stands before dbname may be set otherwise in it. */
    const char *keys[12] = { "tcp_user_timeout", "keepalives_idle",  "keepalives_interval", "keepalives_count",
                             "dbname",           "application_name", "client_encoding",     NULL };
    const char *values[12] = { "5000", "30", "5", "3", c->conninfo, NULL, "UTF8", NULL };
    char name[40], lists[3][LIST_MAX];

    if (c->state != DOWN || c->closing)
        return;
    snprintf(name, sizeof name, c->role == HS_CONN_WRITE ? "hs write %d" : "hs", (int)c->fence);
    values[5] = name;
    rotate_hosts(c, keys, values, lists);
    c->pg = PQconnectStartParams(keys, values, 1);
    c->state = CONNECTING;
    c->since = hs_loop_now(c->loop);
    if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
        lost(c);
        return;
    }
    PQsetNoticeProcessor(c->pg, quiet, NULL);
    watch(c, HS_IO_WRITE);
    if (c->broken)
        lost(c);
}

hs_conn *hs_conn_open(hs_loop *loop, hs_logger *log, const char *conninfo, hs_conn_role role, int32_t fence,
                      const struct hs_conn_hooks *hooks)
{
    hs_conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->conninfo = strdup(conninfo);
    if (!c->conninfo) {
        free(c);
        return NULL;
    }
    c->loop = loop;
    c->log = log;
    c->role = role;
    c->fence = fence;
    c->hooks = *hooks;
    c->pause = RETRY_LEAST_MS;
    c->io = (hs_io){ .fn = on_io, .ud = c, .fd = -1 };
    c->retry = (hs_timer){ .fn = try_again, .ud = c };
    start_connecting(c);
    return c;
}

void hs_conn_close(hs_conn *c)
{
    if (!c)
        return;
    c->closing = true;
    hs_timer_disarm(c->loop, &c->retry);
    lost(c);
    free(c->wire);
    free(c->conninfo);
    free(c);
}

bool hs_conn_ready(const hs_conn *c)
{
    return c->state == READY && !c->broken;
}

size_t hs_conn_busy(const hs_conn *c)
{
    return c->wire_n;
}

int64_t hs_conn_silent(const hs_conn *c)
{
    return c->state == READY && c->wire_n ? hs_loop_now(c->loop) - c->heard : 0;
}

const char *hs_conn_why(const hs_conn *c)
{
    return c->why;
}

void hs_conn_tick(hs_conn *c, int64_t now)
{
    bool late = c->state != READY && now - c->since > (c->many_hosts ? CONNECT_ONE_MS : CONNECT_MS);

    if (c->state == DOWN) {
        if (now - c->since > 2 * RETRY_MOST_MS)
            start_connecting(c);
        return;
    }
    if (late) {
        c->turn++;
        set_why(c, "no answer to the connection");
    }
    if (c->state == READY && hs_conn_silent(c) > (c->role == HS_CONN_READ ? READ_MS : ANSWER_MS)) {
        set_why(c, "no answer");
        late = true;
    }
    if (late || c->broken)
        lost(c);
}
