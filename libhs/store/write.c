/* Gathering a unit of writing, and reading what units left in the feed. Writing itself is ticket.c's. */
#include "store/unit.h"

#include <stdlib.h>

/* clang-format off */
static const hs_stmt FEED_AFTER = {
    .name = "feed_after",
    .sql = "SELECT pos_from, pos, ts, msg FROM feed WHERE pos > $1 ORDER BY pos LIMIT $2",
    .params = "ni", .cols = "nnnb", .big = "feed",
};
/* A slice. The oldest come first and are in order of time, near enough. The newest stays: it says where we are. */
static const hs_stmt FEED_EXPIRE = {
    .name = "feed_expire",
    .sql = "DELETE FROM feed WHERE pos IN (SELECT x.pos FROM (SELECT pos, ts FROM feed ORDER BY pos LIMIT 1000) x"
           " WHERE x.ts < $1 AND x.pos < (SELECT max(pos) FROM feed))",
    .params = "n", .big = "feed",
};
/* clang-format on */

const hs_stmt *const hs_write_statements[] = { &FEED_AFTER, &FEED_EXPIRE, NULL };

/* ── a unit ── */

hs_error *hs_write_open(hs_db *db, hs_arena *a, hs_write **ret)
{
    hs_write *w;

    HS_TRY(hs_alloc(a, 1, &w));
    w->db = db;
    w->a = a;
    *ret = w;
    return NULL;
}

hs_arena *hs_write_arena(const hs_write *w)
{
    return w->a;
}

static hs_error *bind_into(hs_write *w, const hs_stmt *s, va_list ap, hs_unit_stmt *ret)
{
    ret->s = s;
    HS_TRY(hs_params_bind(w->a, s, HS_PARAMS_COPY, ap, &ret->params));
    for (int i = 0; i < ret->params.n; i++)
        w->bytes += (size_t)ret->params.lengths[i] + 8;
    return NULL;
}

hs_error *hs_write_before(hs_write *w, const hs_stmt *s, ...)
{
    hs_unit_stmt u;
    hs_error *e;
    va_list ap;

    va_start(ap, s);
    e = bind_into(w, s, ap, &u);
    va_end(ap);
    if (e)
        return e;
    return hs_vec_push(w->a, &w->before, u);
}

hs_error *hs_write_after(hs_write *w, const hs_stmt *s, ...)
{
    hs_unit_stmt u;
    hs_error *e;
    va_list ap;

    va_start(ap, s);
    e = bind_into(w, s, ap, &u);
    va_end(ap);
    if (e)
        return e;
    return hs_vec_push(w->a, &w->after, u);
}

static hs_error *copy_nids(hs_arena *a, hs_nids in, hs_nids *ret)
{
    hs_nid *out;

    HS_TRY(hs_alloc(a, in.n, &out));
    if (in.n)
        memcpy(out, in.at, in.n * sizeof *out);
    *ret = (hs_nids){ out, in.n };
    return NULL;
}

hs_error *hs_write_item(hs_write *w, const hs_write_timeline *t, uint32_t *ret_at)
{
    hs_unit_item item = { .at = w->count, .t = *t };

    HS_TRY(copy_nids(w->a, t->prev, &item.t.prev));
    HS_TRY(copy_nids(w->a, t->delta, &item.t.delta));
    HS_TRY(hs_vec_push(w->a, &w->items, item));
    w->bytes += 200;
    *ret_at = w->count++;
    return NULL;
}

hs_error *hs_write_position(hs_write *w, uint32_t *ret_at)
{
    *ret_at = w->count++;
    return NULL;
}

hs_error *hs_write_state(hs_write *w, uint32_t at, int32_t line, int32_t snap, int64_t slot, hs_nid event)
{
    for (size_t i = 0; i < w->items.n; i++)
        if (w->items.at[i].at == at)
            return hs_vec_push(
                w->a, &w->states,
                (hs_unit_state){
                    .room = w->items.at[i].t.room, .line = line, .snap = snap, .slot = slot, .event = event });
    return hs_err_internal(w->a, NULL, "state for a position that is not a timeline row");
}

void hs_write_news(hs_write *w, void *news)
{
    w->news = news;
}

/* ── chains ── */

hs_write_chain *hs_write_chain_open(void)
{
    hs_write_chain *c = calloc(1, sizeof *c);

    if (c)
        c->refs = 1;
    return c;
}

hs_write_chain *hs_write_chain_ref(hs_write_chain *c)
{
    c->refs++;
    return c;
}

void hs_write_chain_unref(hs_write_chain *c)
{
    if (c && --c->refs == 0)
        free(c);
}

bool hs_write_chain_broken(const hs_write_chain *c)
{
    return c->broken;
}

void hs_write_follow(hs_write *w, hs_write_chain *c)
{
    w->chain = c;
}

/* ── the feed ── */

hs_error *hs_store_feed_after(hs_db *db, hs_arena *a, int64_t after, int32_t limit, hs_feed_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_feed_row *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &FEED_AFTER, &rows, after, limit));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_feed_row){ .pos_from = hs_rows_i64(rows, i, 0),
                                .pos = hs_rows_i64(rows, i, 1),
                                .ts = hs_rows_i64(rows, i, 2),
                                .msg = hs_rows_str(rows, i, 3) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_feed_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n)
{
    return hs_tx_exec(tx, a, &FEED_EXPIRE, ret_n, before_ts);
}
