/* PostgreSQL: prepared statements on pipelined connections.
 *
 * A statement is a static const beside the function that runs it. Its parameters and columns are typed by letters:
 *   n  bigint (int64_t)            i  int (int32_t)         s  smallint (int32_t)    f  boolean (int)
 *   t  text (hs_str; p NULL: NULL) b  bytea (hs_str; p NULL: NULL)
 *   o  bigint or NULL (const int64_t *)
 *   N  bigint[] (hs_nids; at NULL: NULL)  T  text[] (hs_strs; at NULL: NULL)  I  int[] (hs_ints)   B  bytea[] (hs_strs)
 *   p  only in statements of a hs_write: a position of that write (uint32_t `at`), bound as bigint (store/write.h)
 * Everything travels in binary. Columns: n i s f t b N T; any column may be NULL (hs_rows_null). */
#ifndef HS_STORE_DB_H
#define HS_STORE_DB_H

#include "base/fields.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/metrics.h"

typedef int64_t hs_nid; /* our number for a room, user, server or event; 0: none */

typedef struct {
    const hs_nid *at;
    size_t n;
} hs_nids;

typedef struct {
    const int32_t *at;
    size_t n;
} hs_ints;

typedef struct {
    const char *name; /* stable, unique */
    const char *sql;
    const char *params;
    const char *cols; /* NULL: no rows */
    const char *big; /* tables that may be large here: tests/sql refuses a sequential scan of them, and of "-table" any;
                        blanks between */
} hs_stmt;

typedef struct hs_db hs_db;
typedef struct hs_rows hs_rows;

typedef struct {
    const char *conninfo;     /* libpq's */
    bool allow_unsafe_locale; /* a collation other than C is accepted */
    unsigned away_ms;         /* how long a request waits for PostgreSQL to be there; 0: 5,000 */
    unsigned readers;         /* connections beside the writer; 0: 3 */
    hs_logger *log;
    hs_metrics *metrics;
} hs_db_options;

/* Connects (suspends if on a fiber, blocks if not), checks encoding UTF8, collation C and version ≥ 14
 * (allow_unsafe_locale as Synapse's), applies migrations under a lock. The error's message is the one clear line an
 * operator sees. */
HS_NODISCARD hs_error *hs_db_open(hs_loop *loop, hs_arena *a, const hs_db_options *o, hs_db **ret);
/* Who still waits for something gets a 503 and is let out first. */
void hs_db_close(hs_db *db);
hs_loop *hs_db_loop(const hs_db *db);

/* One statement, one round trip, on any reader connection (shared, pipelined). Rows live in `a`. Errors are internal,
 * but: 503 M_UNKNOWN "database" when PostgreSQL is away for longer than the request may wait. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_db_query(hs_db *db, hs_arena *a, const hs_stmt *s, hs_rows **ret, ...);
/* For statements that write without a position, in a transaction of their own (durable when this returns unless the
 * statement says otherwise). *ret_n (may be NULL): rows touched. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_db_exec(hs_db *db, hs_arena *a, const hs_stmt *s, uint64_t *ret_n, ...);
/* The same for a statement that gives rows although it writes where its text does not show it: a function's call. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_db_call(hs_db *db, hs_arena *a, const hs_stmt *s, hs_rows **ret, ...);

/* Several statements in one flush and one snapshot (REPEATABLE READ, read only). Add all, run once, read rows. */
typedef struct hs_pipe hs_pipe;
HS_NODISCARD hs_error *hs_pipe_open(hs_db *db, hs_arena *a, hs_pipe **ret);
/* *ret is filled by hs_pipe_run. */
HS_NODISCARD hs_error *hs_pipe_add(hs_pipe *p, const hs_stmt *s, hs_rows **ret, ...);
HS_NODISCARD HS_SUSPENDS hs_error *hs_pipe_run(hs_pipe *p);

/* A transaction on a connection of its own, for what must read before it writes (registration, refresh). Rolled back
 * when the arena is reset unless committed. */
typedef struct hs_tx hs_tx;
HS_NODISCARD HS_SUSPENDS hs_error *hs_tx_begin(hs_db *db, hs_arena *a, hs_tx **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_tx_query(hs_tx *tx, hs_arena *a, const hs_stmt *s, hs_rows **ret, ...);
HS_NODISCARD HS_SUSPENDS hs_error *hs_tx_exec(hs_tx *tx, hs_arena *a, const hs_stmt *s, uint64_t *ret_n, ...);
HS_NODISCARD HS_SUSPENDS hs_error *hs_tx_commit(hs_tx *tx);

size_t hs_rows_count(const hs_rows *r);
bool hs_rows_null(const hs_rows *r, size_t row, size_t col);
int64_t hs_rows_i64(const hs_rows *r, size_t row, size_t col); /* n, i, s; 0 for NULL */
bool hs_rows_bool(const hs_rows *r, size_t row, size_t col);
hs_str hs_rows_str(const hs_rows *r, size_t row, size_t col); /* t, b; { NULL, 0 } for NULL */
HS_NODISCARD hs_error *hs_rows_nids(const hs_rows *r, hs_arena *a, size_t row, size_t col, hs_nids *ret);
HS_NODISCARD hs_error *hs_rows_strs(const hs_rows *r, hs_arena *a, size_t row, size_t col, hs_strs *ret);

/* A fresh number from this worker's block (nid_seq in blocks of 1,024). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_db_new_nid(hs_db *db, hs_arena *a, hs_nid *ret);
/* n numbers in a row. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_db_new_nids(hs_db *db, hs_arena *a, size_t n, hs_nid *ret_first);

#endif
