/* Rooms that other servers have left in need: of an event behind all heads. */
#include "server/room_upkeep.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_room_with_many_heads_has_one_after_a_round),
        cmocka_unit_test(nothing_is_sent_where_nobody_of_ours_may),
        cmocka_unit_test(nothing_is_sent_where_it_is_switched_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
