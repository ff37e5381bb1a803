/* Transactions on a connection of their own: at most HS_DB_TX_MAX at a time, opened when first needed. BEGIN travels
 * with the first statement; what is not committed when the arena is reset is rolled back, and then the connection
 * serves the next. */
#include "store/handle.h"

#include <stdlib.h>

enum { WAITING_MAX = 256 }; /* for one of the connections */

struct hs_tx {
    hs_db *db;
    hs_arena *a;
    hs_tx_slot *slot; /* NULL: over */
    bool begun, failed;
};

/* clang-format off */
static const hs_stmt BEGIN_TX = { .name = "begin", .sql = "BEGIN" };
static const hs_stmt COMMIT_TX = { .name = "commit", .sql = "COMMIT" };
static const hs_stmt ROLLBACK_TX = { .name = "rollback", .sql = "ROLLBACK" };
/* clang-format on */

static void slot_free(hs_tx_slot *slot);

static void slot_ready(hs_conn *c, void *ud)
{
    hs_tx_slot *slot = ud;

    (void)c;
    if (!slot->taken)
        slot_free(slot);
}

static void slot_down(hs_conn *c, void *ud)
{
    hs_tx_slot *slot = ud;

    (void)c;
    hs_metric_add(slot->db->reconnects, 1);
}

static void slot_again(hs_group *g, void *ud)
{
    (void)ud;
    g->lost = true;
    g->done(g);
}

/* Gives the slot to whoever waits longest. */
static void slot_free(hs_tx_slot *slot)
{
    hs_db *db = slot->db;
    hs_tx_waiter *w = db->tx_first;

    slot->taken = false;
    if (!w || !slot->conn || !hs_conn_ready(slot->conn))
        return;
    db->tx_first = w->next;
    if (!db->tx_first)
        db->tx_last = NULL;
    slot->taken = true;
    w->slot = slot;
    hs_waiting_done(&w->waiting);
}

static void rolled_back(hs_group *g)
{
    hs_tx_slot *slot = g->ud;

    hs_group_clear(g);
    slot_free(slot);
}

static void roll_back(hs_tx_slot *slot)
{
    if (!slot->conn || !hs_conn_ready(slot->conn)) { /* lost: the server has rolled back */
        slot_free(slot);
        return;
    }
    slot->rollback_step = (hs_step){ .s = &ROLLBACK_TX };
    slot->rollback = (hs_group){ .steps = &slot->rollback_step, .n = 1, .done = rolled_back, .ud = slot };
    hs_conn_send(slot->conn, &slot->rollback);
    hs_conn_flush(slot->conn);
}

static void tx_over(void *ud)
{
    hs_tx *tx = ud;
    hs_tx_slot *slot = tx->slot;

    tx->slot = NULL;
    if (!slot)
        return;
    if (tx->begun)
        roll_back(slot);
    else
        slot_free(slot);
}

static hs_tx_slot *slot_take(hs_db *db)
{
    for (size_t i = 0; i < HS_DB_TX_MAX; i++) {
        hs_tx_slot *slot = &db->tx[i];
        if (slot->conn && !slot->taken && hs_conn_ready(slot->conn)) {
            slot->taken = true;
            return slot;
        }
    }
    return NULL;
}

/* All are taken, or none is open yet: opens one more if there may be one. */
static void slot_open_one(hs_db *db)
{
    for (size_t i = 0; i < HS_DB_TX_MAX; i++) {
        hs_tx_slot *slot = &db->tx[i];
        if (slot->conn)
            continue;
        slot->db = db;
        slot->conn = hs_conn_open(
            db->loop, db->log, db->conninfo, HS_CONN_TX, 0,
            &(struct hs_conn_hooks){ .ready = slot_ready, .down = slot_down, .again = slot_again, .ud = slot });
        return;
    }
}

hs_error *hs_tx_begin(hs_db *db, hs_arena *a, hs_tx **ret)
{
    hs_tx *tx;

    HS_TRY(hs_alloc(a, 1, &tx));
    tx->db = db;
    tx->a = a;
    HS_TRY(hs_arena_on_reset(a, tx_over, tx));
    tx->slot = db->tx_first || db->closing ? NULL : slot_take(db);
    if (!tx->slot && db->tx_waiting >= WAITING_MAX)
        return hs_db_refuse(db, a, HS_REFUSED_QUEUE);
    if (!tx->slot && !db->closing) {
        hs_tx_waiter w = { .waiting = { .fiber = hs_fiber_self(db->loop) }, .since = hs_loop_now(db->loop) };
        slot_open_one(db);
        if (db->tx_last)
            db->tx_last->next = &w;
        else
            db->tx_first = &w;
        db->tx_last = &w;
        db->tx_waiting++;
        hs_waiting_wait(db, &w.waiting);
        db->tx_waiting--;
        tx->slot = w.slot;
        hs_meter_waited(db, hs_loop_now(db->loop) - w.since);
    } else if (tx->slot) {
        hs_meter_waited(db, 0);
    }
    if (!tx->slot)
        return hs_db_refuse(db, a, HS_REFUSED_AWAY);
    *ret = tx;
    return NULL;
}

/* BEGIN if it is the first, then the statement; the results in step 1. */
static hs_error *tx_run(hs_tx *tx, hs_arena *a, hs_step steps[2], hs_group *g)
{
    if (!tx->slot || tx->failed)
        return hs_err_internal(a, NULL, "the transaction is over");
    *g = (hs_group){ .steps = tx->begun ? steps + 1 : steps, .n = tx->begun ? 1 : 2 };
    steps[0] = (hs_step){ .s = &BEGIN_TX };
    tx->begun = true;
    hs_db_run_on(tx->db, tx->slot->conn, g);
    if (g->lost || g->failed) {
        hs_error *e = hs_group_error(a, g);
        tx->failed = true;
        hs_group_clear(g);
        return e;
    }
    return NULL;
}

hs_error *hs_tx_query(hs_tx *tx, hs_arena *a, const hs_stmt *s, hs_rows **ret, ...)
{
    hs_params params;
    hs_step steps[2] = { { 0 }, { .s = s, .params = &params } };
    hs_group g;
    hs_error *e;
    va_list ap;

    va_start(ap, ret);
    e = hs_params_bind(a, s, HS_PARAMS_BORROW, ap, &params);
    va_end(ap);
    if (!e)
        e = tx_run(tx, a, steps, &g);
    if (e)
        return e;
    e = hs_step_take(a, &steps[1], ret);
    hs_group_clear(&g);
    return e;
}

hs_error *hs_tx_exec(hs_tx *tx, hs_arena *a, const hs_stmt *s, uint64_t *ret_n, ...)
{
    hs_params params;
    hs_step steps[2] = { { 0 }, { .s = s, .params = &params } };
    hs_group g;
    hs_error *e;
    va_list ap;

    va_start(ap, ret_n);
    e = hs_params_bind(a, s, HS_PARAMS_BORROW, ap, &params);
    va_end(ap);
    if (!e)
        e = tx_run(tx, a, steps, &g);
    if (e)
        return e;
    if (ret_n)
        *ret_n = strtoull(PQcmdTuples(steps[1].res), NULL, 10);
    hs_group_clear(&g);
    return NULL;
}

hs_error *hs_tx_commit(hs_tx *tx)
{
    hs_db *db = tx->db;
    hs_step step = { .s = &COMMIT_TX };
    hs_group g = { .steps = &step, .n = 1 };
    hs_tx_slot *slot = tx->slot;
    hs_error *e = NULL;

    if (!slot || tx->failed)
        return hs_err_internal(tx->a, NULL, "the transaction is over");
    tx->slot = NULL;
    if (!tx->begun) {
        slot_free(slot);
        return NULL;
    }
    hs_db_run_on(db, slot->conn, &g);
    if (g.lost || g.failed)
        e = hs_group_error(tx->a, &g);
    else if (strcmp(PQcmdStatus(step.res), "COMMIT") != 0)
        e = hs_err_internal(tx->a, NULL, "the transaction was rolled back");
    hs_group_clear(&g);
    slot_free(slot);
    return e;
}

void hs_tx_tick(hs_db *db, int64_t now)
{
    for (size_t i = 0; i < HS_DB_TX_MAX; i++)
        if (db->tx[i].conn)
            hs_conn_tick(db->tx[i].conn, now);
    while (db->tx_first && db->tx_first->since < now - db->away_ms) {
        hs_tx_waiter *w = db->tx_first;
        db->tx_first = w->next;
        if (!db->tx_first)
            db->tx_last = NULL;
        hs_waiting_done(&w->waiting);
    }
}

void hs_tx_close_all(hs_db *db)
{
    hs_tx_tick(db, INT64_MAX);
    for (size_t i = 0; i < HS_DB_TX_MAX; i++) {
        hs_conn_close(db->tx[i].conn);
        db->tx[i].conn = NULL;
    }
}
