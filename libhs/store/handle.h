/* What hs_db is. Inside the store only. */
#ifndef HS_STORE_HANDLE_H
#define HS_STORE_HANDLE_H

#include "store/pipeline.h"
#include "store/write.h"

enum { HS_DB_READERS_MAX = 16, HS_DB_TX_MAX = 4 };

/* A fiber (or, off fibers, a caller that turns the loop) that waits for something of this database. */
typedef struct hs_waiting {
    hs_fiber *fiber;
    bool done, asleep;
} hs_waiting;
HS_SUSPENDS void hs_waiting_wait(hs_db *db, hs_waiting *w);
void hs_waiting_done(hs_waiting *w);

typedef struct {
    hs_group *first, *last;
    size_t n;
    int64_t moved; /* ms: when a connection was last there to take from it */
} hs_group_queue;

/* A connection for transactions: one at a time. */
typedef struct {
    hs_conn *conn; /* NULL: not opened yet */
    bool taken;
    hs_group rollback;
    hs_step rollback_step;
    hs_db *db;
} hs_tx_slot;

typedef struct hs_tx_waiter {
    struct hs_tx_waiter *next;
    hs_waiting waiting;
    hs_tx_slot *slot; /* NULL when woken: none within the time allowed */
    int64_t since;
} hs_tx_waiter;

struct hs_db {
    hs_loop *loop;
    hs_logger *log;
    char *conninfo;
    bool closing;
    size_t waiting;  /* who waits for something of ours; they are let out before the handle goes */
    int64_t away_ms; /* how long a request waits for a connection */
    hs_conn *readers[HS_DB_READERS_MAX], *exec, *writer;
    size_t readers_n;
    hs_group_queue reads, execs;
    hs_post flush; /* at the end of the turn: what was queued goes out */
    bool flush_waits;
    hs_timer tick;
    hs_tx_slot tx[HS_DB_TX_MAX];
    hs_tx_waiter *tx_first, *tx_last;
    size_t tx_waiting;
    /* numbers */
    hs_nid nid_next, nid_end; /* [next, end) */
    bool nid_fetching;
    hs_fiber_queue nid_queue;
    struct hs_ticket *ticket;  /* ticket.c */
    bool is_short, said_short; /* PostgreSQL lacked space or memory when it was last asked to write; the log says so */
    int64_t said_at;           /* ms; 0: never */
    hs_metric *queries, *failures, *reconnects, *refused;
    struct hs_meter *meter;
};

/* meter.c */
HS_NODISCARD hs_error *hs_meter_open(hs_db *db, hs_metrics *metrics);
void hs_meter_close(hs_db *db);
/* Something waited so long for a connection. */
void hs_meter_waited(hs_db *db, int64_t ms);
/* A group that was sent has ended. */
void hs_meter_group(hs_db *db, const hs_group *g);
void hs_meter_batch(hs_db *db, size_t units);
/* A unit that was given to hs_write_commit at `since` is durable. */
void hs_meter_unit(hs_db *db, int64_t since, size_t events);

/* refuse.c */
typedef enum {
    HS_REFUSED_AWAY,  /* no connection, or none that answers */
    HS_REFUSED_QUEUE, /* too many wait already */
    HS_REFUSED_LATE,  /* sent, and no answer yet */
    HS_REFUSED_SHORT, /* of space, memory, connections */
    HS_REFUSED_BUSY,  /* time-outs, restarts */
} hs_refusal;
/* The error for the client; counted. */
hs_error *hs_db_refuse(hs_db *db, hs_arena *a, hs_refusal why);
/* Counts how a group ended; says in the log when PostgreSQL begins and ceases to be short of something. `writes`: if
 * it went well, there was space. */
void hs_db_note(hs_db *db, const hs_group *g, bool writes);
/* Too little of disk, memory or connections. */
bool hs_sqlstate_is_short(const char *sqlstate);
/* Whether what failed so may go well a little later. */
bool hs_sqlstate_passes(const char *sqlstate);

/* Puts a group on the queue of the readers or of the executing connection, and waits for it. */
HS_SUSPENDS void hs_db_run_read(hs_db *db, hs_group *g);
HS_SUSPENDS void hs_db_run_exec(hs_db *db, hs_group *g);
/* Sends a group on a connection of one's own, and waits for it. */
HS_SUSPENDS void hs_db_run_on(hs_db *db, hs_conn *c, hs_group *g);

/* tx.c */
void hs_tx_tick(hs_db *db, int64_t now);
void hs_tx_close_all(hs_db *db);

/* ticket.c */
HS_NODISCARD hs_error *hs_ticket_open(hs_db *db, hs_metrics *m); /* begins to connect */
HS_NODISCARD hs_error *hs_ticket_start(hs_db *db, hs_arena *a);  /* waits for it */
void hs_ticket_close(hs_db *db);
void hs_ticket_tick(hs_db *db, int64_t now);
bool hs_ticket_waits(const hs_db *db); /* has something to do at the end of this turn */

#endif
