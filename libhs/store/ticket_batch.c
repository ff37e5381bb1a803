/* Making a batch: the statements of its units around hs_commit, in one transaction. */
#include "store/ticket.h"

#include "runtime/random.h"

/* clang-format off */
static const hs_stmt COMMIT = {
    .name = "hs_commit",
    .sql = "SELECT hs_commit($1, $2, $3, $4, $5, $6)",
    .params = "NNinnb", /* timeline rows, state, positions, ts, mark, msg */
    .cols = "n",
};
/* clang-format on */

const hs_stmt *const hs_ticket_batch_statements[] = { &COMMIT, NULL };

static size_t step_count(const hs_ticket *t)
{
    size_t n = 1;

    for (const hs_write *w = t->units; w; w = w->next)
        n += w->before.n + w->after.n;
    return n;
}

/* Made before the transaction, so that nothing can fail after it; positions are filled in when they are known. */
static hs_error *make_told(hs_ticket *t)
{
    size_t i = 0;

    HS_TRY(hs_alloc(t->a, 1, &t->done));
    HS_TRY(hs_alloc(t->a, t->units_n, &t->told));
    for (const hs_write *w = t->units; w; w = w->next)
        t->told[i++] = (hs_told){ .news = w->news, .base = w->base, .count = w->count };
    return NULL;
}

static hs_error *pack(hs_ticket *t, hs_nids *ret_rows, hs_nids *ret_states)
{
    size_t rows = 0, states = 0;
    hs_nid *r, *s;

    for (const hs_write *w = t->units; w; w = w->next) {
        for (size_t i = 0; i < w->items.n; i++)
            rows += 13 + w->items.at[i].t.prev.n + w->items.at[i].t.delta.n;
        states += w->states.n * 5;
    }
    HS_TRY(hs_alloc(t->a, rows, &r));
    HS_TRY(hs_alloc(t->a, states, &s));
    *ret_rows = (hs_nids){ r, rows };
    *ret_states = (hs_nids){ s, states };
    for (const hs_write *w = t->units; w; w = w->next) {
        for (size_t i = 0; i < w->items.n; i++) {
            const hs_write_timeline *x = &w->items.at[i].t;
            const hs_nid head[13] = { x->room,           w->base + w->items.at[i].at,
                                      x->event,          x->depth,
                                      x->seen_line,      x->seen_snap,
                                      x->seen_pos,       x->line,
                                      x->snap,           x->d_notify,
                                      x->d_high,         (hs_nid)x->prev.n,
                                      (hs_nid)x->delta.n };
            memcpy(r, head, sizeof head);
            r += 13;
            if (x->prev.n)
                memcpy(r, x->prev.at, x->prev.n * sizeof *r);
            r += x->prev.n;
            if (x->delta.n)
                memcpy(r, x->delta.at, x->delta.n * sizeof *r);
            r += x->delta.n;
        }
        for (size_t i = 0; i < w->states.n; i++) {
            const hs_unit_state *x = &w->states.at[i];
            *s++ = x->room;
            *s++ = x->line;
            *s++ = x->snap;
            *s++ = x->slot;
            *s++ = x->event;
        }
    }
    return NULL;
}

hs_error *hs_ticket_bind(hs_arena *a, const hs_stmt *s, hs_params *ret, ...)
{
    hs_error *e;
    va_list ap;

    va_start(ap, ret);
    e = hs_params_bind(a, s, HS_PARAMS_BORROW, ap, ret);
    va_end(ap);
    return e;
}

static void add_steps(hs_ticket *t, size_t *n, hs_write *w, const hs_unit_stmt *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < at[i].params.n; k++)
            if (at[i].s->params[k] == 'p')
                hs_params_set_pos(&at[i].params, k,
                                  (int64_t)w->base + hs_params_at(&at[i].params, k) - ((int64_t)t->count - 1));
        t->owner[*n] = w;
        t->commit.steps[(*n)++] = (hs_step){ .s = at[i].s, .params = &at[i].params };
    }
}

hs_error *hs_ticket_make(hs_ticket *t)
{
    hs_params *params;
    hs_nids rows, states;
    size_t n = 0, most = step_count(t);

    HS_TRY(hs_alloc(t->a, most, &t->commit.steps));
    HS_TRY(hs_alloc(t->a, most, &t->owner));
    for (hs_write *w = t->units; w; w = w->next)
        add_steps(t, &n, w, w->before.at, w->before.n);
    t->commit_step = SIZE_MAX;
    if (t->count) {
        HS_TRY(make_told(t));
        t->msg = HS_S("");
        if (t->hooks.encode)
            HS_TRY(t->hooks.encode(t->hooks.ud, t->a, t->told, t->units_n, &t->msg));
        HS_TRY(pack(t, &rows, &states));
        HS_TRY(hs_alloc(t->a, 1, &params));
        t->mark = (int64_t)(hs_random_u64() >> 1);
        HS_TRY(hs_ticket_bind(t->a, &COMMIT, params, rows, states, (int32_t)t->count, hs_loop_wall(t->db->loop),
                              t->mark, t->msg.p ? t->msg : HS_S("")));
        t->commit_step = n;
        t->commit.steps[n++] = (hs_step){ .s = &COMMIT, .params = params };
    }
    for (hs_write *w = t->units; w; w = w->next)
        add_steps(t, &n, w, w->after.at, w->after.n);
    t->commit.n = n;
    return NULL;
}
