/* The inside of the ticket, shared by ticket.c (states and outcomes), ticket_queue.c (who waits, and how long) and
 * ticket_batch.c (what is sent). */
#ifndef HS_STORE_TICKET_H
#define HS_STORE_TICKET_H

#include "store/unit.h"

typedef enum { HS_TICKET_IDLE, HS_TICKET_SENT, HS_TICKET_FLUSHING, HS_TICKET_UNKNOWN } hs_ticket_state;

typedef struct hs_ticket hs_ticket;

/* A batch that is durable, and whose callers wait until it has been told. */
typedef struct hs_batch {
    hs_told_batch told; /* first */
    struct hs_batch *next, **prevp;
    hs_ticket *ticket;
    hs_arena *a; /* this is in it */
    hs_write *units;
} hs_batch;

struct hs_ticket {
    hs_db *db;
    hs_conn *writer;
    hs_write_hooks hooks;
    int64_t durable;
    hs_write *first, *last; /* the queue */
    size_t queued_n, queued_bytes;
    int64_t stuck_since; /* ms: when the batch under way was sent, or the connection was lost; 0: neither */
    hs_post kick;
    bool kick_waits, closing;
    /* the batch */
    hs_ticket_state state;
    hs_arena *a;     /* of the batch under way; NULL: opened with the next */
    hs_write *units; /* in order */
    size_t units_n;
    uint32_t count;
    unsigned tries;
    int64_t mark, seen, first_pos;
    hs_str msg;
    hs_told *told;
    hs_group commit, flush, look, check;
    hs_step flush_step, look_step, check_step;
    bool checking;
    hs_params look_params;
    size_t commit_step; /* of hs_commit; SIZE_MAX: no positions, no ticket */
    hs_write **owner;   /* of each step */
    bool commit_done, flush_done;
    hs_batch *done;   /* made with the transaction, so that nothing can fail after it */
    hs_batch *untold; /* durable ones that wait for others' news */
    uint64_t sent, ended;
    hs_metric *batches, *outcomes;
};

/* ticket_queue.c */
void hs_unit_end(hs_ticket *t, hs_write *w, hs_write_status status);
void hs_unit_fail(hs_ticket *t, hs_write *w, hs_error *e);
/* The unit waits for its batch, or is refused at once: too many wait, or nothing has moved for too long. */
HS_NODISCARD hs_error *hs_ticket_queue(hs_ticket *t, hs_write *w);
/* The queue was rearranged. */
void hs_ticket_recount(hs_ticket *t);
/* The units of the next batch, from the head of the queue. */
void hs_ticket_take(hs_ticket *t);
/* Ends queued units that follow something that was given up. */
void hs_ticket_drop_broken(hs_ticket *t);
/* Refuses queued units that have waited too long, and lets callers of sent ones go whose outcome takes too long to
 * learn: their units stay, and are told when it is known. */
void hs_ticket_expire(hs_ticket *t, int64_t now);

/* ticket_batch.c */
/* The statements of the units taken, in t->commit; what is told, in t->told and t->done. */
HS_NODISCARD hs_error *hs_ticket_make(hs_ticket *t);
HS_NODISCARD hs_error *hs_ticket_bind(hs_arena *a, const hs_stmt *s, hs_params *ret, ...);

#endif
