/* The write path: everything that takes a stream position is written here, and nothing of it is told before it is
 * durable.
 *
 * A hs_write is one unit: all of it happens or none. A worker has one writer connection; while a flush is under way
 * further units gather, and go together in the next transaction:
 *
 *     the `before` statements of all units   heavy rows, no lock held (events, txn ids, new rooms)
 *     hs_commit(rows, states, …)             takes the ticket (advisory lock 1), checks heads, gives positions,
 *                                            writes timeline, state and the feed row, which is the bus message
 *     the `after` statements of all units    small rows that carry positions or must be in step with the head
 *     COMMIT                                 asynchronous: the ticket is not held while a disk works
 *     hs_flush()                             one durable flush of the log: only now do callers resume
 *
 * A unit whose room's head has moved away from what it was built on raises HS001: the transaction is rolled back, the
 * unit's caller gets HS_WRITE_STALE, and so do later units of the same room that are waiting; the others go again.
 *
 * Positions inside a unit are small numbers `at` (0, 1, …) until the batch is made. In an `after` statement a parameter
 * of letter 'p' takes such a number and the SQL says hs_pos($n), which is the real position: "INSERT INTO receipt(…,
 * pos) VALUES ($1, hs_pos($2))". It is for values, not for WHERE. */
#ifndef HS_STORE_WRITE_H
#define HS_STORE_WRITE_H

#include "store/db.h"

typedef struct hs_write hs_write;

typedef enum {
    HS_WRITE_OK,
    HS_WRITE_STALE,    /* built on a head that has moved, or on an earlier unit of the room that was not written */
    HS_WRITE_CONFLICT, /* a row of it was there already (event id, transaction id, room, line): read, then answer or
                          build anew */
    HS_WRITE_FENCED,   /* written by the holder of a lease that has moved on (store/leases.h) */
} hs_write_status;

typedef struct {
    hs_write_status status;
    int64_t first; /* position of `at` 0: position of `at` k is first + k */
} hs_write_result;

typedef struct {
    hs_nid room, event; /* event 0: a marker */
    int64_t depth;
    hs_nids prev;
    int32_t seen_line, seen_snap; /* what the writer resolved against; line -1: the room is new */
    int64_t seen_pos;             /* 0: only the snapshot matters */
    int32_t line, snap;           /* the room's state once this is in */
    hs_nids delta;
    int32_t d_notify, d_high;
} hs_write_timeline;

HS_NODISCARD hs_error *hs_write_open(hs_db *db, hs_arena *a, hs_write **ret);
hs_arena *hs_write_arena(const hs_write *w);
/* Parameters are copied into the unit's arena. */
HS_NODISCARD hs_error *hs_write_before(hs_write *w, const hs_stmt *s, ...);
HS_NODISCARD hs_error *hs_write_after(hs_write *w, const hs_stmt *s, ...); /* 'p' params: uint32_t at */
/* A timeline row; takes one position. */
HS_NODISCARD hs_error *hs_write_item(hs_write *w, const hs_write_timeline *t, uint32_t *ret_at);
/* A position for something that is not a timeline row (receipt, account data …). */
HS_NODISCARD hs_error *hs_write_position(hs_write *w, uint32_t *ret_at);
/* State change belonging to item `at`: slot of `line` holds `event` from snapshot `snap` on. */
HS_NODISCARD hs_error *hs_write_state(hs_write *w, uint32_t at, int32_t line, int32_t snap, int64_t slot, hs_nid event);
/* Units that are built one on another share a chain: once one of them is not written, whatever of the chain is
 * committed later is stale, for it would follow something that does not exist. Counted; a unit holds its chain. */
typedef struct hs_write_chain hs_write_chain;
hs_write_chain *hs_write_chain_open(void); /* one reference; NULL without memory */
hs_write_chain *hs_write_chain_ref(hs_write_chain *c);
void hs_write_chain_unref(hs_write_chain *c); /* NULL is fine */
bool hs_write_chain_broken(const hs_write_chain *c);
/* The chain must outlive the unit's commit. */
void hs_write_follow(hs_write *w, hs_write_chain *c);
/* What is told once durable; `news` must live in the unit's arena. The store does not look inside. */
void hs_write_news(hs_write *w, void *news);
/* Suspends until durable (or stale). An error means: not written, or the outcome could not be learned in time; then the
 * unit is still told if it turns out to have been written, and what is in its arena lives until then. A lost
 * connection is followed up: the unit is looked for after reconnecting and answered by what is true. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_write_commit(hs_write *w, hs_write_result *ret);

/* ── telling ── given once by the server at start ── */
typedef struct {
    void *news;     /* as given to hs_write_news; may be NULL */
    int64_t first;  /* position of the unit's at 0 */
    uint32_t base;  /* the unit's first item number in the batch */
    uint32_t count; /* positions it took */
} hs_told;

/* A durable batch: the positions of its transaction, its bus message and its units. Lives until it is let go. */
typedef struct hs_told_batch {
    int64_t pos_from, pos;
    hs_str msg;
    const hs_told *units;
    size_t n;
} hs_told_batch;

typedef struct {
    /* Makes the bus message (proto/news.proto Feed without what must not be in the table), before the transaction is
     * sent, when only `base` and `count` are known. */
    hs_error *(*encode)(void *ud, hs_arena *a, const hs_told *units, size_t n, hs_str *ret_msg);
    /* After the flush, in order of position among this worker's batches. True: all has been applied, the units' callers
     * resume. False: they wait for hs_write_told, since another worker's news come first. Must not suspend. */
    bool (*told)(void *ud, hs_told_batch *batch);
    /* The database has lost what was durable: its newest position is below what was told. Said after a reconnect. */
    void (*went_back)(void *ud, int64_t newest);
    void *ud;
} hs_write_hooks;
void hs_write_set_hooks(hs_db *db, const hs_write_hooks *hooks);
/* Lets a batch go that the hook kept: its callers resume. */
void hs_write_told(hs_told_batch *batch);
/* Counts the batches that were sent, and those whose callers have resumed or failed: what was committed when the first
 * was n has been told when the second is n. */
uint64_t hs_write_sent(const hs_db *db);
uint64_t hs_write_ended(const hs_db *db);

/* Highest position known to be flushed. */
int64_t hs_write_durable(const hs_db *db);
/* Flushes what has been committed by anybody so far; then hs_write_durable is at least the newest position that was
 * readable before. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_write_flush(hs_db *db, hs_arena *a);
/* Somebody else has flushed up to here. */
void hs_write_note_durable(hs_db *db, int64_t pos);

/* ── reading the feed ── */
typedef struct {
    int64_t pos_from, pos, ts;
    hs_str msg;
} hs_feed_row;
/* Rows after a position, oldest first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_feed_after(hs_db *db, hs_arena *a, int64_t after, int32_t limit,
                                                       hs_feed_row **ret, size_t *ret_n);
/* Forgets a slice of what is older than `before_ts`; *ret_n 0: that was all. The newest row stays. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_feed_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n);
/* Position of the newest row, durable or not. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_feed_newest(hs_db *db, hs_arena *a, int64_t *ret);

#endif
