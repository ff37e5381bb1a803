/* Rooms in need: of an event behind all heads, of a new line for their states. */
#include "server/room_upkeep.h"

#include "server/event_graph.h"
#include "server/room_send.h"
#include "server/state_rollover.h"
#include "server/timeline.h"
#include "support/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HEADS = 12 };

static void round_of(graph_world *w, int64_t threshold)
{
    w->t.config.dummy_events = true;
    w->t.config.dummy_events_threshold = threshold;
    test_ok(hs_room_upkeep_run(w->t.srv, NULL, w->t.db.a));
}

/* Events of other servers that know nothing of each other; half of them are state. */
static void many_heads(graph_world *w)
{
    hs_str prev[4];
    size_t n = graph_all_heads(w, prev);
    char text[64];

    graph_play(w, GRAPH_PEOPLE[1], "m.room.member", GRAPH_PEOPLE[1], "{\"membership\":\"join\"}", prev, n);
    n = graph_all_heads(w, prev);
    graph_play(w, GRAPH_PEOPLE[0], "m.room.power_levels", "",
               "{\"events\":{\"x.y\":0},\"users\":{\"@alice:test\":100}}", prev, n);
    n = graph_all_heads(w, prev);
    for (int i = 0; i < HEADS; i++) {
        snprintf(text, sizeof text, "{\"body\":\"%d\"}", i);
        graph_play(w, GRAPH_PEOPLE[1], i % 2 ? "x.y" : "m.room.message", i % 2 ? "" : NULL, text, prev, n);
    }
    assert_int_equal(graph_room_of(w)->heads.n, HEADS);
}

static void tied_together(void *ud)
{
    graph_world *w = ud;
    hs_str before[GRAPH_STATE_MAX], after[GRAPH_STATE_MAX];
    size_t before_n, after_n;
    hs_membership at;
    hs_room *room;
    bool visible;

    many_heads(w);
    graph_current_now(w, before, &before_n);
    round_of(w, HEADS);
    assert_int_equal(graph_room_of(w)->heads.n, HEADS); /* no more than what is endured */
    round_of(w, HEADS - 1);
    room = graph_room_of(w);
    assert_int_equal(room->heads.n, 1);
    assert_true(hs_str_eq(room->head_events[0]->ev->type, HS_S(HS_DUMMY_EVENT)));
    assert_true(hs_str_eq(room->head_events[0]->ev->sender, hs_str_c(GRAPH_PEOPLE[0])));
    assert_int_equal(room->head_events[0]->ev->prev_n, HEADS);
    graph_current_now(w, after, &after_n);
    graph_assert_same("current state", before, before_n, after, after_n);

    hs_session *alice = test_user(&w->t, "alice");
    test_ok(hs_timeline_visible(w->t.srv, w->t.db.a, room, alice, HS_SEES_PAST_STAYS, &room->head_events[0], 1,
                                &visible, &at));
    assert_false(visible);
    round_of(w, 0); /* … of which one head is too many, and still there is one: of the next event */
    assert_int_equal(graph_room_of(w)->heads.n, 1);
}

static void a_room_with_many_heads_has_one_after_a_round(void **state)
{
    (void)state;
    graph_by_itself(tied_together);
}

static void nobody_may(void *ud)
{
    graph_world *w = ud;
    hs_str prev[4];
    size_t n;

    many_heads(w);
    n = graph_all_heads(w, prev);
    graph_play(w, GRAPH_PEOPLE[0], "m.room.power_levels", "",
               "{\"events\":{\"org.matrix.dummy_event\":50,\"x.y\":0},\"users\":{\"@alice:test\":49}}", prev, n);
    n = graph_room_of(w)->heads.n;
    assert_int_equal(n, HEADS - 3); /* four are followed */
    round_of(w, 1);
    assert_int_equal(graph_room_of(w)->heads.n, n);
}

static void nothing_is_sent_where_nobody_of_ours_may(void **state)
{
    (void)state;
    graph_by_itself(nobody_may);
}

static void switched_off(void *ud)
{
    graph_world *w = ud;

    many_heads(w);
    w->t.config.dummy_events = false;
    test_ok(hs_room_upkeep_run(w->t.srv, NULL, w->t.db.a));
    assert_int_equal(graph_room_of(w)->heads.n, HEADS);
}

static void nothing_is_sent_where_it_is_switched_off(void **state)
{
    (void)state;
    graph_by_itself(switched_off);
}

/* ── lines of states ── */

static hs_snap state_of(graph_world *w, hs_str id)
{
    hs_known known;

    test_ok(hs_graph_find(w->t.srv, w->t.db.a, graph_room_of(w), &id, 1, &known));
    return (hs_snap){ known.line, known.snap };
}

static long long newest_line(graph_world *w)
{
    return test_pg_sql(w->t.db.conninfo, "SELECT max(line) FROM state_line");
}

static void assert_states_as_made(graph_world *w)
{
    hs_str ids[GRAPH_STATE_MAX];
    uint32_t flags;
    size_t n;

    for (size_t i = 0; i < w->n; i++) {
        const graph_event *e = &w->events[i];
        graph_state_after(w, e->id, ids, &n, &flags);
        graph_assert_same("state after an event", e->state, e->state_n, ids, n);
    }
}

static graph_event *bob_says(graph_world *w, const char *key, const char *content)
{
    hs_str prev[4];
    size_t n = graph_all_heads(w, prev);

    return graph_play(w, GRAPH_PEOPLE[1], "x.y", key, content, prev, n);
}

static void followed(void *ud)
{
    graph_world *w = ud;
    hs_session *alice = test_user(&w->t, "alice");
    hs_str before[GRAPH_STATE_MAX], after[GRAPH_STATE_MAX], id;
    size_t before_n, after_n;
    hs_state_change *diff;
    hs_room *room;

    many_heads(w);
    round_of(w, 1);
    graph_event *last = bob_says(w, "a", "{\"a\":1}"), *fork = bob_says(w, NULL, "{}");
    hs_snap old = state_of(w, last->id);
    graph_current_now(w, before, &before_n);
    test_ok(hs_state_rollover_now(w->t.srv, NULL, w->t.db.a, graph_room_of(w)->nid));
    room = graph_room_of(w);
    assert_int_equal(room->line, newest_line(w));
    assert_int_equal(room->snap, 0);
    assert_int_equal(room->heads.n, 1);
    graph_current_now(w, after, &after_n);
    graph_assert_same("current state", before, before_n, after, after_n);
    assert_states_as_made(w);

    /* What comes behind the heads goes on on the new line, whoever it is of; what comes beside them on another. */
    graph_event *e = bob_says(w, "b", "{\"b\":2}");
    assert_int_equal(state_of(w, e->id).line, room->line);
    assert_int_equal(state_of(w, e->id).snap, 1);
    hs_send send = {
        .room_id = w->room_id, .type = HS_S("x.y"), .state_key = HS_S("a"), .content = test_json(w->t.db.a, "{\"c\":3}")
    };
    test_ok(hs_room_send_state(w->t.srv, alice, w->t.db.a, &send, &id));
    assert_int_equal(state_of(w, id).line, room->line);
    assert_int_equal(state_of(w, id).snap, 2);
    assert_int_equal(newest_line(w), room->line);
    graph_play(w, GRAPH_PEOPLE[1], "x.y", "b", "{\"d\":4}", &fork->id, 1);
    assert_states_as_made(w);

    /* From before to after without reading both whole: what a sync over it asks. */
    room = graph_room_of(w);
    test_ok(hs_store_state_diff(w->t.db.db, w->t.db.a, room->nid, old, state_of(w, id), &diff, &after_n));
    assert_int_equal(after_n, 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(diff[i].before != diff[i].after);
}

static void a_line_is_followed_by_another_that_holds_the_same(void **state)
{
    (void)state;
    graph_by_itself(followed);
}

static void long_lines(void *ud)
{
    static const struct {
        int live, changes, low;
        bool due;
    } CASES[] = {
        { 100, 10000, 0, false },  { 100, 10001, 0, true },    { 2499, 10001, 0, true },
        { 2501, 10001, 0, false }, { 100, 10500, 600, false }, { 100, 30000, 600, true },
    };
    graph_world *w = ud;
    char sql[512];
    bool due;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        snprintf(
            sql, sizeof sql,
            "INSERT INTO state_line(room_nid, line, flags, low) VALUES (7, %zu, 0, %d); INSERT INTO state_tip(room_nid,"
            " line, since, slot, event_nid) SELECT 7, %zu, 1, i, i FROM generate_series(1, %d) i",
            i, CASES[i].low, i, CASES[i].live);
        test_pg_sql(w->t.db.conninfo, sql);
        test_ok(hs_store_rollover_due(w->t.db.db, w->t.db.a, 7, (hs_snap){ (int32_t)i, CASES[i].changes }, &due));
        assert_int_equal(due, CASES[i].due);
    }
}

static void it_is_time_when_far_more_has_changed_than_there_is(void **state)
{
    (void)state;
    graph_by_itself(long_lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_room_with_many_heads_has_one_after_a_round),
        cmocka_unit_test(nothing_is_sent_where_nobody_of_ours_may),
        cmocka_unit_test(nothing_is_sent_where_it_is_switched_off),
        cmocka_unit_test(a_line_is_followed_by_another_that_holds_the_same),
        cmocka_unit_test(it_is_time_when_far_more_has_changed_than_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
