/* State lines against an in-memory oracle: random rooms that fork, merge, have gaps, soft-failed events and late
 * parents, whose main line is followed by another, and are purged; every snapshot that was ever given to an event must
 * read back as the state that the oracle holds for it, whole, by range, by slot, and as differences between any two. */
#include "server/event_place.h"
#include "store/state_purge.h"
#include "store/state_rollover.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SLOTS = 24, EVENTS = 240, HEADS_MAX = 4 };

typedef struct {
    hs_nid of[SLOTS]; /* event of slot 100 + i; 0: none */
} state;

typedef struct {
    hs_nid nid;
    hs_snap after;
    state st;
    bool gone; /* purged */
} node;

typedef struct {
    test_db *t;
    hs_server srv;
    hs_room room; /* as much of it as placing looks at */
    unsigned rnd;
    node nodes[EVENTS + 1];
    size_t n;
    size_t heads[HEADS_MAX + 1];
    size_t heads_n;
    state main_st; /* the room's resolved state */
} world;

static unsigned draw(world *w, unsigned below)
{
    w->rnd = w->rnd * 1103515245u + 12345u;
    return (w->rnd >> 16) % below;
}

static int64_t slot_of(size_t i)
{
    return 100 + (int64_t)i;
}

static hs_state_set as_set(hs_arena *a, const state *s)
{
    hs_state_entry *at;
    size_t n = 0;

    test_ok(hs_alloc(a, SLOTS, &at));
    for (size_t i = 0; i < SLOTS; i++)
        if (s->of[i])
            at[n++] = (hs_state_entry){ .slot = slot_of(i), .event = s->of[i] };
    return (hs_state_set){ .at = at, .n = n };
}

/* Picks winners at random, slot by slot: worse than any real resolver. A winner may be nothing. */
static void resolve(world *w, const size_t *of, size_t n, state *ret)
{
    for (size_t s = 0; s < SLOTS; s++) {
        hs_nid first = w->nodes[of[0]].st.of[s];
        bool agree = true;
        for (size_t h = 1; h < n; h++)
            agree = agree && w->nodes[of[h]].st.of[s] == first;
        ret->of[s] = agree ? first : w->nodes[of[draw(w, (unsigned)n)]].st.of[s];
    }
}

/* An old node now and then: a fork; else some of the heads: a merge when there are several. */
static size_t choose_parents(world *w, size_t parents[HEADS_MAX])
{
    size_t n = 0;

    if (draw(w, 100) < 25 && w->n > 3) {
        n = 1 + draw(w, 2);
        for (size_t i = 0; i < n; i++)
            parents[i] = w->n - 1 - draw(w, w->n < 12 ? (unsigned)w->n : 12);
        if (n == 2 && parents[0] == parents[1])
            n = 1;
        return n;
    }
    for (size_t h = 0; h < w->heads_n; h++)
        if (w->heads_n == 1 || draw(w, 100) < 70)
            parents[n++] = w->heads[h];
    if (!n)
        parents[n++] = w->heads[0];
    return n;
}

static void replace_heads(world *w, const size_t *parents, size_t parents_n)
{
    size_t kept = 0;

    for (size_t h = 0; h < w->heads_n; h++) {
        bool followed = false;
        for (size_t i = 0; i < parents_n; i++)
            followed = followed || parents[i] == w->heads[h];
        if (!followed)
            w->heads[kept++] = w->heads[h];
    }
    w->heads[kept++] = w->n;
    w->heads_n = kept;
}

/* A parent that is missing: its state is told, and it is no part of the timeline. */
static size_t add_gap(world *w, hs_arena *a)
{
    node *me = &w->nodes[w->n];
    hs_write_result r;
    hs_write *u;
    int32_t line;

    *me = w->nodes[draw(w, (unsigned)w->n)];
    for (int i = 0; i < 6; i++)
        me->st.of[draw(w, SLOTS)] = draw(w, 3) ? me->nid : 0;
    me->nid = 1000 + (hs_nid)w->n;
    me->gone = false;
    hs_state_set set = as_set(a, &me->st);
    test_ok(hs_store_line_next(w->t->db, a, w->room.nid, &line));
    test_ok(hs_write_open(w->t->db, a, &u));
    test_ok(hs_store_line_insert_full(u, w->room.nid, line, set.at, set.n, HS_LINE_GAP));
    test_ok(hs_write_commit(u, &r));
    assert_int_equal(r.status, HS_WRITE_OK);
    me->after = (hs_snap){ line, 0 };
    return w->n++;
}

static hs_error *place_before(world *w, hs_arena *a, hs_placing *p, const state *before, const size_t *parents,
                              size_t n, hs_snap *ret)
{
    hs_state_set set = as_set(a, before), sets[HEADS_MAX + 1];
    hs_place_near near[HEADS_MAX + 1];

    if (n == 1) {
        *ret = hs_place_on_main(p, w->nodes[parents[0]].after);
        return NULL;
    }
    sets[0] = as_set(a, &w->main_st);
    near[0] = (hs_place_near){ .at = p->main, .set = &sets[0] };
    for (size_t i = 0; i < n; i++) {
        sets[i + 1] = as_set(a, &w->nodes[parents[i]].st);
        near[i + 1] = (hs_place_near){ .at = w->nodes[parents[i]].after, .set = &sets[i + 1] };
    }
    return hs_place_state(p, &set, near, n + 1, ret);
}

static void write_step(world *w, hs_placing *p, const node *me, const hs_nid *prev, size_t prev_n)
{
    uint32_t at;

    test_ok(hs_write_item(p->w->unit,
                          &(hs_write_timeline){ .room = w->room.nid,
                                                .event = me->nid,
                                                .depth = (int64_t)w->n,
                                                .prev = { prev, prev_n },
                                                .seen_line = w->room.line,
                                                .seen_snap = w->room.snap,
                                                .line = p->main.line,
                                                .snap = p->main.snap },
                          &at));
    for (size_t i = 0; i < p->rows.n; i++)
        test_ok(hs_write_state(p->w->unit, at, p->rows.at[i].at.line, p->rows.at[i].at.snap, p->rows.at[i].slot,
                               p->rows.at[i].event));
}

static void step(world *w)
{
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    bool gap = w->heads_n < HEADS_MAX && draw(w, 100) < 4 && w->n + 2 < EVENTS;
    size_t parents[HEADS_MAX], parents_n;
    hs_room_write rw = { .srv = &w->srv, .a = a, .room = &w->room };
    state before, newest = w->main_st, resolved;
    hs_nid prev[HEADS_MAX];
    hs_write_result r;
    hs_placing p;
    hs_snap snap;

    if (gap)
        parents[0] = add_gap(w, a), parents_n = 1;
    else
        parents_n = choose_parents(w, parents);
    node *me = &w->nodes[w->n];
    *me = (node){ .nid = 1000 + (hs_nid)w->n };
    test_ok(hs_write_open(w->t->db, a, &rw.unit));
    hs_place_open(&p, &rw);
    p.may = w->heads_n == HEADS_MAX || draw(w, 100) < 10 ? HS_PLACE_APART : HS_PLACE_HEAD;
    for (size_t i = 0; i < parents_n; i++) /* a merge makes room for itself */
        if (w->heads_n == HEADS_MAX && w->heads[0] == parents[i])
            p.may = HS_PLACE_HEAD;
    if (p.may == HS_PLACE_HEAD && draw(w, 100) < 10)
        p.may = HS_PLACE_BRANCH;
    resolve(w, parents, parents_n, &before);
    for (size_t i = 0; i < parents_n; i++)
        prev[i] = w->nodes[parents[i]].nid;
    test_ok(place_before(w, a, &p, &before, parents, parents_n, &snap));
    me->st = before;
    if (draw(w, 100) < 60) {
        size_t slot = draw(w, SLOTS);
        me->st.of[slot] = me->nid;
        hs_state_set after = as_set(a, &me->st);
        hs_snap main = p.main;
        test_ok(hs_place_next(&p, snap, (hs_state_entry){ slot_of(slot), me->nid }, &after, &snap));
        if (p.main.snap != main.snap)
            newest = me->st;
    }
    me->after = snap;
    if (p.may == HS_PLACE_HEAD) {
        replace_heads(w, parents, parents_n);
        w->n++;
        resolve(w, w->heads, w->heads_n, &resolved);
        w->n--;
        hs_state_set from = as_set(a, &newest), to = as_set(a, &resolved);
        test_ok(hs_place_current(&p, &from, &to));
        w->main_st = resolved;
    }
    if (p.may == HS_PLACE_APART)
        assert_int_equal(p.rows.n, 0);
    else
        write_step(w, &p, me, prev, parents_n);
    test_ok(hs_write_commit(rw.unit, &r));
    assert_int_equal(r.status, HS_WRITE_OK);
    w->room.line = p.main.line;
    w->room.snap = p.main.snap;
    w->n++;
    hs_arena_close(a);
}

/* The main line is followed by a copy of what it holds. */
static void roll_over(world *w)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    hs_snap from = { .line = w->room.line, .snap = w->room.snap };
    hs_write_result r;
    hs_write *u;
    uint32_t at;
    int32_t line;

    test_ok(hs_store_line_next(w->t->db, a, w->room.nid, &line));
    test_ok(hs_write_open(w->t->db, a, &u));
    test_ok(hs_store_rollover(u, w->room.nid, line, from));
    test_ok(hs_write_item(
        u, &(hs_write_timeline){ .room = w->room.nid, .seen_line = from.line, .seen_snap = from.snap, .line = line },
        &at));
    test_ok(hs_write_commit(u, &r));
    assert_int_equal(r.status, HS_WRITE_OK);
    w->room.line = line;
    w->room.snap = 0;
    w->room.copied = from;
    hs_arena_close(a);
}

static void steps(world *w, size_t upto)
{
    while (w->n < upto) {
        if (draw(w, 100) < 3)
            roll_over(w);
        step(w);
    }
}

static void begin(world *w, test_db *t, hs_nid room, unsigned seed)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    hs_write_result r;
    hs_write *u;
    uint32_t at;

    memset(w, 0, sizeof *w);
    w->t = t;
    w->srv.db = t->db;
    w->room.nid = room;
    w->room.copied.line = -1;
    w->rnd = seed;
    test_ok(hs_write_open(t->db, a, &u));
    test_ok(hs_store_line_insert(u, room, 0, (hs_snap){ -1, 0 }, 0));
    test_ok(hs_write_item(u, &(hs_write_timeline){ .room = room, .event = 1000, .seen_line = -1, .line = 0, .snap = 0 },
                          &at));
    test_ok(hs_write_commit(u, &r));
    w->nodes[0] = (node){ .nid = 1000 };
    w->n = 1;
    w->heads[0] = 0;
    w->heads_n = 1;
    hs_arena_close(a);
}

static void expect_state(const world *w, hs_arena *a, hs_snap at, const state *want)
{
    int64_t slots[SLOTS];
    hs_nid got[SLOTS];
    hs_state_set set;
    size_t n = 0;

    test_ok(hs_store_state_at(w->t->db, a, w->room.nid, at, &set));
    for (size_t s = 0; s < SLOTS; s++) {
        slots[s] = slot_of(s);
        if (!want->of[s])
            continue;
        assert_true(n < set.n);
        assert_true(set.at[n].slot == slot_of(s) && set.at[n].event == want->of[s]);
        n++;
    }
    assert_int_equal(n, set.n);
    test_ok(hs_store_state_slots(w->t->db, a, w->room.nid, at, slots, SLOTS, got));
    assert_memory_equal(got, want->of, sizeof got);
    test_ok(hs_store_state_range(w->t->db, a, w->room.nid, at, slot_of(5), slot_of(15), &set));
    n = 0;
    for (size_t s = 5; s < 15; s++)
        n += want->of[s] != 0;
    assert_int_equal(set.n, n);
}

static void expect_difference(const world *w, hs_arena *a, hs_snap from, const state *x, hs_snap to, const state *y)
{
    hs_state_change *c;
    size_t n, i = 0;

    test_ok(hs_store_state_diff(w->t->db, a, w->room.nid, from, to, &c, &n));
    for (size_t s = 0; s < SLOTS; s++) {
        if (x->of[s] == y->of[s])
            continue;
        assert_true(i < n);
        assert_true(c[i].slot == slot_of(s) && c[i].before == x->of[s] && c[i].after == y->of[s]);
        i++;
    }
    assert_int_equal(i, n);
}

static const node *some_node(world *w)
{
    const node *x;

    do
        x = &w->nodes[draw(w, (unsigned)w->n)];
    while (x->gone);
    return x;
}

static void expect_all(world *w)
{
    hs_arena *a = hs_arena_open((size_t)64 << 20);
    hs_snap at[EVENTS];
    hs_nid got[EVENTS];

    for (size_t i = 0; i < w->n; i++, hs_arena_reset(a))
        if (!w->nodes[i].gone)
            expect_state(w, a, w->nodes[i].after, &w->nodes[i].st);
    expect_state(w, a, (hs_snap){ w->room.line, w->room.snap }, &w->main_st);
    for (int k = 0; k < 150; k++, hs_arena_reset(a)) {
        const node *x = some_node(w), *y = some_node(w);
        expect_difference(w, a, x->after, &x->st, y->after, &y->st);
    }
    for (size_t s = 0; s < SLOTS; s += 7, hs_arena_reset(a)) {
        size_t n = 0, of[EVENTS];
        for (size_t i = 0; i < w->n; i++) {
            if (w->nodes[i].gone)
                continue;
            of[n] = i;
            at[n++] = w->nodes[i].after;
        }
        test_ok(hs_store_state_slot_at(w->t->db, a, w->room.nid, slot_of(s), at, n, got));
        for (size_t i = 0; i < n; i++)
            assert_true(got[i] == w->nodes[of[i]].st.of[s]);
    }
    hs_arena_close(a);
}

static long long count(const world *w, const char *what)
{
    char sql[256];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s AND room_nid = %lld", what, (long long)w->room.nid);
    return test_pg_sql(w->t->conninfo, sql);
}

#define add_text(b, a, ...)                                                                                            \
    do {                                                                                                               \
        hs_str text_;                                                                                                  \
        test_ok(hs_str_fmt((a), &text_, __VA_ARGS__));                                                                 \
        hs_buf_add((b), text_);                                                                                        \
    } while (0)

/* Of the older half only a few events stay; then their lines go as far as nobody needs them. */
static void purge(world *w)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    long long before = count(w, "state_past WHERE true"), lines = count(w, "state_line WHERE true");
    uint64_t n = 1;
    size_t kept = 0;
    hs_str text;
    hs_buf all;

    hs_buf_init(&all, a);
    add_text(&all, a,
             "DELETE FROM event WHERE room_nid = %lld; DELETE FROM timeline WHERE room_nid = %lld AND pos < (SELECT"
             " max(pos) FROM timeline WHERE room_nid = %lld); INSERT INTO event(room_nid, event_nid, depth, origin_ts,"
             " received_ts, sender_nid, line, snap, flags, event_id, type) VALUES",
             (long long)w->room.nid, (long long)w->room.nid, (long long)w->room.nid);
    for (size_t i = 0; i < w->n; i++) {
        node *x = &w->nodes[i];
        bool head = false;
        for (size_t h = 0; h < w->heads_n; h++)
            head = head || w->heads[h] == i;
        x->gone = x->gone || (i + 20 < w->n && !head && draw(w, 10));
        if (!x->gone)
            add_text(&all, a, "%s(%lld, %lld, 0, 0, 0, 0, %d, %d, 0, '$%lld:%lld', 'x')", kept++ ? "," : "",
                     (long long)w->room.nid, (long long)x->nid, (int)x->after.line, (int)x->after.snap,
                     (long long)w->room.nid, (long long)x->nid);
    }
    hs_buf_addc(&all, 0);
    test_ok(hs_buf_flatten(&all, &text));
    test_pg_sql(w->t->conninfo, text.p);
    hs_loop_turn(w->t->loop, 0); /* it has stood still meanwhile */
    for (int i = 0; n && i < 100; i++) {
        hs_tx *tx;
        test_ok(hs_tx_begin(w->t->db, a, &tx));
        test_ok(hs_store_state_purge(tx, a, w->room.nid, 20, &n));
        test_ok(hs_tx_commit(tx));
        hs_arena_reset(a);
    }
    assert_int_equal(n, 0);
    assert_true(count(w, "state_past WHERE true") < before);
    assert_true(count(w, "state_line WHERE true") < lines);
    assert_int_equal(count(w,
                           "state_past p WHERE NOT EXISTS (SELECT FROM state_line l WHERE l.room_nid = p.room_nid AND "
                           "l.line = p.line AND p.until > l.low)"),
                     0);
    hs_arena_close(a);
}

static int open_db(void **state_)
{
    static test_db t;

    test_db_open(&t);
    *state_ = &t;
    return 0;
}

static int close_db(void **state_)
{
    test_db_close(*state_);
    return 0;
}

/* S09: what was purged is nobody's base. */
static void every_snapshot_reads_back_as_the_oracle_holds_it(void **state_)
{
    static world w;
    const char *more = getenv("HS_TEST_ROUNDS");
    int64_t rounds = 3;
    long long gaps = 0, copies = 0;

    if (more && !hs_str_to_i64(hs_str_c(more), &rounds))
        fail_msg("HS_TEST_ROUNDS is no number");
    for (int64_t i = 1; i <= rounds; i++) {
        unsigned seed = (unsigned)i * 7919;
        printf("seed %u\n", seed);
        begin(&w, *state_, 5000 + i, seed);
        steps(&w, EVENTS / 2);
        assert_true(count(&w, "state_line WHERE true") > 5); /* it did fork */
        copies += count(&w, "state_line WHERE copy_line IS NOT NULL");
        gaps += count(&w, "state_line WHERE flags & 8 <> 0");
        expect_all(&w);
        purge(&w);
        expect_all(&w);
        steps(&w, EVENTS - 1);
        expect_all(&w);
        purge(&w);
        expect_all(&w);
    }
    assert_true(gaps > 0 && copies > 0);
}

static void a_line_on_a_purged_snapshot_is_refused(void **state_)
{
    test_db *t = *state_;
    hs_write_result r;
    hs_write *u;

    test_ok(hs_write_open(t->db, t->a, &u));
    test_ok(hs_store_line_insert(u, 7000, 0, (hs_snap){ -1, 0 }, 0));
    test_ok(hs_write_commit(u, &r));
    test_pg_sql(t->conninfo, "UPDATE state_line SET low = 5 WHERE room_nid = 7000");
    for (int32_t snap = 4; snap <= 5; snap++) {
        test_ok(hs_write_open(t->db, t->a, &u));
        test_ok(hs_store_line_insert(u, 7000, snap, (hs_snap){ 0, snap }, HS_LINE_FORK));
        test_ok(hs_write_commit(u, &r));
        assert_int_equal(r.status, snap == 4 ? HS_WRITE_CONFLICT : HS_WRITE_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_snapshot_reads_back_as_the_oracle_holds_it),
        cmocka_unit_test(a_line_on_a_purged_snapshot_is_refused),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
