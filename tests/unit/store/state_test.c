/* State lines against an in-memory oracle: random rooms that fork and merge; every snapshot that was ever given to an
 * event must read back as the state that the oracle holds for it, whole, by range, by slot, and as differences between
 * any two. */
#include "store/state.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SLOTS = 24, EVENTS = 150, HEADS_MAX = 4 };

typedef struct {
    hs_nid of[SLOTS]; /* event of slot 100 + i; 0: none */
} state;

typedef struct {
    hs_nid nid;
    hs_snap after;
    state st;
} node;

typedef struct {
    test_db *t;
    hs_nid room;
    unsigned rnd;
    node nodes[EVENTS + 1];
    size_t n;
    size_t heads[HEADS_MAX + 1];
    size_t heads_n;
    int32_t newest[EVENTS]; /* newest snapshot of each line */
    int32_t lines;
    hs_snap main;  /* the room's resolved state … */
    state main_st; /* … and what it holds */
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

/* Picks winners at random, slot by slot: worse than any real resolver. A winner may be nothing. */
static void resolve(world *w, const size_t *heads, size_t n, state *ret)
{
    for (size_t s = 0; s < SLOTS; s++) {
        hs_nid first = w->nodes[heads[0]].st.of[s];
        bool agree = true;
        for (size_t h = 1; h < n; h++)
            agree = agree && w->nodes[heads[h]].st.of[s] == first;
        ret->of[s] = agree ? first : w->nodes[heads[draw(w, (unsigned)n)]].st.of[s];
    }
}

static bool same(const state *x, const state *y)
{
    return memcmp(x, y, sizeof *x) == 0;
}

/* What a unit will write once its timeline row is made, which has to name the resulting snapshot. */
typedef struct {
    hs_snap at;
    int64_t slot;
    hs_nid event;
} change;

typedef struct {
    hs_write *u;
    change at[4 * SLOTS];
    size_t n;
} pending;

/* Gives `want` a snapshot, store-design §1.2: `from` if it holds the same; else the next one of from's line if that is
 * its newest and may be extended; else a new line on top of it. */
static hs_snap give_snapshot(world *w, pending *p, hs_snap from, const state *have, const state *want, bool may_extend)
{
    hs_snap to = from;

    if (same(have, want))
        return from;
    if (may_extend && from.snap == w->newest[from.line]) {
        to.snap = ++w->newest[from.line];
    } else {
        to = (hs_snap){ w->lines++, 1 };
        w->newest[to.line] = 1;
        test_ok(hs_store_line_insert(p->u, w->room, to.line, from, HS_LINE_FORK));
    }
    for (size_t s = 0; s < SLOTS; s++)
        if (have->of[s] != want->of[s])
            p->at[p->n++] = (change){ to, slot_of(s), want->of[s] ? want->of[s] : HS_STATE_GONE };
    return to;
}

/* An old node now and then: a fork; else some of the heads: a merge when there are several. */
static size_t choose_parents(world *w, size_t parents[HEADS_MAX])
{
    size_t n = 0;

    if (draw(w, 100) < 15 && w->heads_n < HEADS_MAX && w->n > 3) {
        parents[n++] = w->n - 1 - draw(w, w->n < 12 ? (unsigned)w->n : 12);
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

static void step(world *w)
{
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    node *me = &w->nodes[w->n];
    size_t parents[HEADS_MAX], parents_n = choose_parents(w, parents), base = parents[0];
    hs_snap seen = w->main, snap;
    pending p = { .n = 0 };
    state before, resolved;
    hs_nid prev[HEADS_MAX];
    hs_write_result r;
    bool on_main;
    uint32_t at;

    test_ok(hs_write_open(w->t->db, a, &p.u));
    me->nid = 1000 + (hs_nid)w->n;
    resolve(w, parents, parents_n, &before);
    for (size_t i = 0; i < parents_n; i++) {
        prev[i] = w->nodes[parents[i]].nid;
        if (same(&w->nodes[parents[i]].st, &before))
            base = parents[i];
    }
    snap = give_snapshot(w, &p, w->nodes[base].after, &w->nodes[base].st, &before, false);
    on_main = snap.line == w->main.line && snap.snap == w->main.snap;
    me->st = before;
    if (draw(w, 100) < 60) { /* a state event; a branch extends its own line, the main line only from its newest */
        me->st.of[draw(w, SLOTS)] = me->nid;
        snap = give_snapshot(w, &p, snap, &before, &me->st, on_main || snap.line != w->main.line);
        if (on_main) {
            w->main = snap;
            w->main_st = me->st;
        }
    }
    me->after = snap;
    replace_heads(w, parents, parents_n);
    resolve(w, w->heads, w->heads_n, &resolved);
    w->main = give_snapshot(w, &p, w->main, &w->main_st, &resolved, true);
    w->main_st = resolved;

    test_ok(hs_write_item(p.u,
                          &(hs_write_timeline){ .room = w->room,
                                                .event = me->nid,
                                                .depth = (int64_t)w->n,
                                                .prev = { prev, parents_n },
                                                .seen_line = seen.line,
                                                .seen_snap = seen.snap,
                                                .line = w->main.line,
                                                .snap = w->main.snap },
                          &at));
    for (size_t i = 0; i < p.n; i++)
        test_ok(hs_write_state(p.u, at, p.at[i].at.line, p.at[i].at.snap, p.at[i].slot, p.at[i].event));
    test_ok(hs_write_commit(p.u, &r));
    assert_int_equal(r.status, HS_WRITE_OK);
    w->n++;
    hs_arena_close(a);
}

static void build(world *w, test_db *t, hs_nid room, unsigned seed)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    hs_write_result r;
    hs_write *u;
    uint32_t at;

    memset(w, 0, sizeof *w);
    w->t = t;
    w->room = room;
    w->rnd = seed;
    test_ok(hs_write_open(t->db, a, &u));
    test_ok(hs_store_line_insert(u, room, 0, (hs_snap){ -1, 0 }, 0));
    test_ok(hs_write_item(u, &(hs_write_timeline){ .room = room, .event = 1000, .seen_line = -1, .line = 0, .snap = 0 },
                          &at));
    test_ok(hs_write_commit(u, &r));
    w->lines = 1;
    w->nodes[0] = (node){ .nid = 1000 };
    w->n = 1;
    w->heads[0] = 0;
    w->heads_n = 1;
    hs_arena_close(a);
    while (w->n < EVENTS)
        step(w);
}

static void expect_state(const world *w, hs_arena *a, hs_snap at, const state *want)
{
    int64_t slots[SLOTS];
    hs_nid got[SLOTS];
    hs_state_set set;
    size_t n = 0;

    test_ok(hs_store_state_at(w->t->db, a, w->room, at, &set));
    for (size_t s = 0; s < SLOTS; s++) {
        slots[s] = slot_of(s);
        if (!want->of[s])
            continue;
        assert_true(n < set.n);
        assert_true(set.at[n].slot == slot_of(s) && set.at[n].event == want->of[s]);
        n++;
    }
    assert_int_equal(n, set.n);
    test_ok(hs_store_state_slots(w->t->db, a, w->room, at, slots, SLOTS, got));
    assert_memory_equal(got, want->of, sizeof got);
    test_ok(hs_store_state_range(w->t->db, a, w->room, at, slot_of(5), slot_of(15), &set));
    n = 0;
    for (size_t s = 5; s < 15; s++)
        n += want->of[s] != 0;
    assert_int_equal(set.n, n);
}

static void expect_difference(const world *w, hs_arena *a, hs_snap from, const state *x, hs_snap to, const state *y)
{
    hs_state_change *c;
    size_t n, i = 0;

    test_ok(hs_store_state_diff(w->t->db, a, w->room, from, to, &c, &n));
    for (size_t s = 0; s < SLOTS; s++) {
        if (x->of[s] == y->of[s])
            continue;
        assert_true(i < n);
        assert_true(c[i].slot == slot_of(s) && c[i].before == x->of[s] && c[i].after == y->of[s]);
        i++;
    }
    assert_int_equal(i, n);
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

static void every_snapshot_reads_back_as_the_oracle_holds_it(void **state_)
{
    static world w;
    hs_arena *a = hs_arena_open((size_t)64 << 20);

    for (unsigned seed = 1; seed <= 3; seed++) {
        hs_snap at[EVENTS];
        hs_nid got[EVENTS];
        build(&w, *state_, 5000 + (hs_nid)seed, seed * 7919);
        assert_true(w.lines > 5); /* it did fork */
        for (size_t i = 0; i < w.n; i++, hs_arena_reset(a))
            expect_state(&w, a, w.nodes[i].after, &w.nodes[i].st);
        expect_state(&w, a, w.main, &w.main_st);
        for (int k = 0; k < 200; k++, hs_arena_reset(a)) {
            const node *x = &w.nodes[draw(&w, (unsigned)w.n)], *y = &w.nodes[draw(&w, (unsigned)w.n)];
            expect_difference(&w, a, x->after, &x->st, y->after, &y->st);
        }
        for (size_t s = 0; s < SLOTS; s += 7, hs_arena_reset(a)) {
            for (size_t i = 0; i < w.n; i++)
                at[i] = w.nodes[i].after;
            test_ok(hs_store_state_slot_at(w.t->db, a, w.room, slot_of(s), at, w.n, got));
            for (size_t i = 0; i < w.n; i++)
                assert_true(got[i] == w.nodes[i].st.of[s]);
        }
        for (int32_t l = 0; l < w.lines; l++) {
            int32_t newest;
            test_ok(hs_store_line_newest(w.t->db, a, w.room, l, &newest));
            assert_int_equal(newest, w.newest[l]);
        }
        {
            int32_t next;
            test_ok(hs_store_line_next(w.t->db, a, w.room, &next));
            assert_int_equal(next, w.lines);
        }
    }
    hs_arena_close(a);
}

static void a_line_may_start_with_a_full_state(void **state_)
{
    test_db *t = *state_;
    const hs_state_entry full[] = { { 103, 3 }, { 101, 1 }, { 102, 2 } };
    hs_write_result r;
    hs_state_set set;
    hs_state_change *c;
    hs_write *u;
    hs_nid room = 6000;
    uint32_t at;
    size_t n;
    int32_t depth;

    test_ok(hs_write_open(t->db, t->a, &u));
    test_ok(hs_store_line_insert_full(u, room, 0, full, 3, HS_LINE_JOIN));
    test_ok(
        hs_write_item(u, &(hs_write_timeline){ .room = room, .event = 9, .seen_line = -1, .line = 0, .snap = 1 }, &at));
    test_ok(hs_write_state(u, at, 0, 1, 102, 9));
    test_ok(hs_store_line_insert_full(u, room, 1, full, 2, HS_LINE_GAP));
    test_ok(hs_store_line_insert(u, room, 2, (hs_snap){ 1, 0 }, HS_LINE_FORK));
    test_ok(hs_write_state(u, at, 2, 1, 103, HS_STATE_GONE));
    test_ok(hs_write_commit(u, &r));
    test_ok(hs_store_state_at(t->db, t->a, room, (hs_snap){ 0, 0 }, &set));
    assert_int_equal(set.n, 3);
    assert_true(set.at[0].event == 1 && set.at[1].event == 2 && set.at[2].event == 3);
    test_ok(hs_store_state_at(t->db, t->a, room, (hs_snap){ 0, 1 }, &set));
    assert_true(set.n == 3 && set.at[1].event == 9);
    test_ok(hs_store_state_at(t->db, t->a, room, (hs_snap){ 2, 1 }, &set));
    assert_true(set.n == 1 && set.at[0].slot == 101);
    /* no common base: compared whole */
    test_ok(hs_store_state_diff(t->db, t->a, room, (hs_snap){ 0, 1 }, (hs_snap){ 2, 1 }, &c, &n));
    assert_int_equal(n, 2);
    assert_true(c[0].slot == 102 && c[0].before == 9 && c[0].after == 0);
    assert_true(c[1].slot == 103 && c[1].before == 3 && c[1].after == 0);
    test_ok(hs_store_line_depth(t->db, t->a, room, 2, &depth));
    assert_int_equal(depth, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_snapshot_reads_back_as_the_oracle_holds_it),
        cmocka_unit_test(a_line_may_start_with_a_full_state),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
