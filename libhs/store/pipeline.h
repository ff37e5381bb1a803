/* One connection to PostgreSQL in pipeline mode, on the loop. Inside the store only.
 *
 * What is sent is a group: statements between two Syncs, so one implicit transaction. A group belongs to whoever waits
 * for it and must stay where it is until done() was called: always exactly once, from the loop, with the results or
 * with what went wrong. Groups that only read may share a Sync; if one of them fails, those that it took along are sent
 * again by themselves.
 *
 * A connection that is lost is opened again with growing pauses. Its groups on the wire are done with `lost` set:
 * whether they happened is not known. */
#ifndef HS_STORE_PIPELINE_H
#define HS_STORE_PIPELINE_H

#include "base/map.h"
#include "store/params.h"

#include <libpq-fe.h>

typedef struct hs_conn hs_conn;
typedef struct hs_group hs_group;

typedef struct {
    const hs_stmt *s;
    const hs_params *params;
    PGresult *res; /* the group's, until taken by hs_step_take */
} hs_step;

struct hs_group {
    hs_group *next;
    hs_step *steps;
    size_t n;
    bool shares; /* reads: may share a Sync with its neighbours, and is sent again when the connection is lost */
    void (*done)(hs_group *g);
    void *ud;
    /* results */
    bool lost;    /* the connection went away after it was sent */
    bool away;    /* never sent: no connection within the time allowed */
    bool refused; /* never queued: too many wait */
    bool failed;  /* a statement failed: `at`, its result in steps[at].res */
    size_t at;
    /* the connection's */
    bool aborted;
    unsigned tries;
    int64_t since; /* ms: queued, then sent */
    struct hs_waiting *waiting;
};

void hs_group_clear(hs_group *g); /* frees results that nobody took */
/* "23505" and so on; "" when the group did not fail. */
const char *hs_group_sqlstate(const hs_group *g);
/* The failure as an error: 503 or 429 for what may go well later, else internal. Do not call for a group that went
 * well. In refuse.c. */
hs_error *hs_group_error(hs_arena *a, const hs_group *g);
/* *ret (may be NULL) gets a step's rows, which live in `a` from now on. */
HS_NODISCARD hs_error *hs_step_take(hs_arena *a, hs_step *step, hs_rows **ret);

typedef enum { HS_CONN_READ, HS_CONN_EXEC, HS_CONN_WRITE, HS_CONN_TX } hs_conn_role;

struct hs_conn_hooks {
    void (*ready)(hs_conn *c, void *ud); /* may take groups now */
    void (*down)(hs_conn *c, void *ud);  /* lost; its groups have been done */
    /* A group that shares (read only) has to be sent again, anywhere. */
    void (*again)(hs_group *g, void *ud);
    void *ud;
};

/* NULL without memory. Starts connecting at once. `fence`: the writer's number (0: none): before a new connection is
 * ready, the one it replaces is known to be dead on the server's side. */
hs_conn *hs_conn_open(hs_loop *loop, hs_logger *log, const char *conninfo, hs_conn_role role, int32_t fence,
                      const struct hs_conn_hooks *hooks);
void hs_conn_close(hs_conn *c);
bool hs_conn_ready(const hs_conn *c);
size_t hs_conn_busy(const hs_conn *c); /* statements on the wire */
/* ms since PostgreSQL last answered something of what is on the wire; 0 when nothing is. */
int64_t hs_conn_silent(const hs_conn *c);
/* Puts a group on the wire; the connection must be ready. Nothing goes out before hs_conn_flush. */
void hs_conn_send(hs_conn *c, hs_group *g);
void hs_conn_flush(hs_conn *c);
/* Called every quarter of a second: what takes too long is ended. */
void hs_conn_tick(hs_conn *c, int64_t now);
/* Why it is not ready, as libpq says it; "" otherwise. */
const char *hs_conn_why(const hs_conn *c);

#endif
