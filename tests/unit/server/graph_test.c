/* The graph of a room that other servers write to: whatever the order in which its events come, it ends the same. */
#include "support/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* One to three parents among the newest events, heads or not, soft-failed ones and rejected ones too. */
static size_t some_parents(graph_world *w, hs_str *ret)
{
    size_t n = 0, want = graph_draw(w, 3) ? 1 : 1 + graph_draw(w, 3);

    if (graph_draw(w, 3) == 0)
        return graph_all_heads(w, ret);
    while (n < want) {
        const graph_event *e = &w->events[w->n - 1 - graph_draw(w, (unsigned)(w->n < 8 ? w->n : 8))];
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || hs_str_eq(ret[i], e->id);
        if (!known)
            ret[n++] = e->id;
        else
            want--;
    }
    return n ? n : graph_all_heads(w, ret);
}

static bool is_in(graph_world *w, const char *user, const hs_str *prev, size_t prev_n)
{
    for (size_t p = 0; p < prev_n; p++) {
        const graph_event *e = graph_find_made(w, prev[p]);
        for (size_t i = 0; e && i < e->state_n; i++) {
            const graph_event *s = graph_find_made(w, e->state[i]);
            char key[64];
            int len = snprintf(key, sizeof key, "\"state_key\":\"%s\"", user);
            if (s && memmem(s->json.p, s->json.n, key, (size_t)len))
                return true;
        }
    }
    return strcmp(user, "@alice:test") == 0;
}

static void history(graph_world *w, size_t steps)
{
    hs_str prev[4], old[4];
    size_t n = graph_all_heads(w, prev), old_n = n;
    char text[128];

    memcpy(old, prev, sizeof old);
    w->joined[0] = true;
    for (int i = 1; i < 4; i++) {
        n = graph_all_heads(w, prev);
        graph_play(w, GRAPH_PEOPLE[i], "m.room.member", GRAPH_PEOPLE[i], "{\"membership\":\"join\"}", prev, n);
        w->joined[i] = true;
        if (i == 2) { /* where carl, and soon dora, are not banned yet */
            old_n = graph_all_heads(w, old);
        }
    }
    n = graph_all_heads(w, prev);
    graph_play(w, GRAPH_PEOPLE[0], "m.room.power_levels", "",
               "{\"state_default\":50,\"users\":{\"@alice:test\":100,\"@bob:one.example\":50}}", prev, n)
        ->never_withheld = true;
    old_n = graph_all_heads(w, old);
    for (size_t i = 0; i < steps; i++) {
        unsigned what = graph_draw(w, 12);
        const char *who = GRAPH_PEOPLE[graph_draw(w, 4)];
        n = some_parents(w, prev);
        if (!is_in(w, who, prev, n))
            continue;
        snprintf(text, sizeof text, "{\"name\":\"%zu\",\"topic\":\"%u\"}", i, graph_draw(w, 100));
        if (what < 3)
            graph_play(w, who, "m.room.message", NULL, "{\"body\":\"x\",\"msgtype\":\"m.text\"}", prev, n);
        else if (what < 6) /* bob and alice may, the others are rejected */
            graph_play(w, who, what == 3 ? "m.room.name" : "m.room.topic", "", text, prev, n);
        else if (what < 8)
            graph_play(w, GRAPH_PEOPLE[graph_draw(w, 2)], what == 6 ? "x.one" : "x.two", graph_draw(w, 2) ? "" : "k",
                       text, prev, n);
        else if (what == 8 && !w->joined[4 + graph_draw(w, 2)])
            for (int k = 4; k < GRAPH_PEOPLE_N; k++) {
                if (w->joined[k])
                    continue;
                graph_play(w, GRAPH_PEOPLE[k], "m.room.member", GRAPH_PEOPLE[k], "{\"membership\":\"join\"}", prev, n);
                w->joined[k] = true;
                break;
            }
        else if (what == 9) { /* one more power level, behind everything */
            n = graph_all_heads(w, prev);
            snprintf(text, sizeof text,
                     "{\"events\":{\"x.%zu\":50},\"state_default\":50,\"users\":{\"@alice:test\":100,\"@bob:one."
                     "example\":50}}",
                     i);
            graph_play(w, GRAPH_PEOPLE[0], "m.room.power_levels", "", text, prev, n)->never_withheld = true;
        } else if (what == 10 && i > steps / 2 && !w->banned[3]) {
            n = graph_all_heads(w, prev);
            graph_event *e =
                graph_play(w, GRAPH_PEOPLE[0], "m.room.member", GRAPH_PEOPLE[3], "{\"membership\":\"ban\"}", prev, n);
            e->is_ban = e->never_withheld = true;
            w->banned[3] = true;
        } else if (what == 11 && w->banned[3]) { /* dora goes on where she was not banned */
            graph_event *e = graph_play(w, GRAPH_PEOPLE[3], "m.room.message", NULL,
                                        "{\"body\":\"late\",\"msgtype\":\"m.text\"}", old, old_n);
            assert_int_equal(e->flags, HS_EV_SOFT_FAILED);
        }
    }
}

/* ── running it ── */

static void first_run(void *ud)
{
    graph_world *w = ud;

    history(w, 45);
    graph_current_now(w, w->current, &w->current_n);
    graph_heads_now(w, w->heads, &w->heads_n);
    graph_shown_now(w, w->shown, &w->shown_n);
    graph_assert_as_made(w);
}

static void shuffle(graph_world *w, int *order)
{
    for (size_t i = 0; i < w->n; i++)
        order[i] = (int)i;
    for (size_t i = w->n; i > 1; i--) {
        size_t k = graph_draw(w, (unsigned)i);
        int t = order[k];
        order[k] = order[i - 1];
        order[i - 1] = t;
    }
}

static void another_run(void *ud)
{
    graph_world *w = ud;
    int order[GRAPH_EVENTS_MAX];

    shuffle(w, order);
    for (w->round = 0; w->round < 4; w->round++)
        for (size_t i = 0; i < w->n; i++) {
            const graph_event *e = &w->events[order[i]];
            if (graph_round_of(w, e) == w->round)
                graph_receive(w, e);
        }
    graph_assert_as_made(w);
    long long rows = graph_rows_of_all_tables(w);
    for (size_t i = 0; i < w->n; i++)
        graph_receive(w, &w->events[order[i]]);
    assert_int_equal(graph_rows_of_all_tables(w), rows);
}

static int rounds(int otherwise)
{
    const char *text = getenv("HS_TEST_ROUNDS");
    int64_t n;

    return text && hs_str_to_i64(hs_str_c(text), &n) ? (int)n : otherwise;
}

/* Withholds some events: the others have to be taken in over the gap. */
static void withhold(graph_world *w)
{
    for (size_t i = 0; i < w->n; i++)
        w->events[i].withheld =
            !w->events[i].late && !w->events[i].never_withheld && w->events[i].flags == 0 && graph_draw(w, 8) == 0;
}

/* S06 S07: heads, too, are the same whenever a soft-failed event came; and chains are closed, computed as they are from
 * nothing but the events' own auth events. */
static void any_order_of_events_ends_the_same(void **state)
{
    const char *first = test_pg_create(""), *base = test_pg_create(""), *db = test_pg_create("");

    (void)state;
    for (int i = 0; i < rounds(2); i++) {
        unsigned seed = 100 + (unsigned)i;
        graph_world *w = graph_world_open(seed, base, db);
        printf("seed %u\n", seed);
        graph_on_server(w, base, graph_begin);
        test_pg_copy(base, first);
        graph_on_server(w, first, first_run);
        for (int k = 0; k < 2; k++) { /* waiting for each other; then asking for each other */
            w->has_events = k;
            test_pg_copy(base, db);
            graph_on_server(w, db, another_run);
        }
        withhold(w);
        w->has_state = true;
        test_pg_copy(base, db);
        graph_on_server(w, db, another_run);
        graph_world_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_events_ends_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
