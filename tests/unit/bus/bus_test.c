#include "bus/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
    hs_bus *bus;
    hs_bus_subscription *self;
    char got[64];
    size_t got_n;
    bool leave, answer;
} listener;

static void hear(void *ud, hs_str m)
{
    listener *l = ud;

    assert_true(l->got_n + m.n < sizeof l->got);
    memcpy(l->got + l->got_n, m.p, m.n);
    l->got_n += m.n;
    if (l->leave)
        hs_bus_unsubscribe(l->self);
    if (l->answer)
        hs_bus_publish(l->bus, HS_S("x"), HS_S("!"));
    l->answer = false;
}

static void messages_reach_their_channel_in_order_and_never_inside_publish(void **state)
{
    hs_loop *loop = hs_loop_open();
    hs_bus *b = hs_bus_local_open(loop);
    listener x = { .bus = b, .answer = true }, y = { .bus = b }, once = { .bus = b, .leave = true };
    (void)state;

    x.self = hs_bus_subscribe(b, HS_S("x"), hear, &x);
    y.self = hs_bus_subscribe(b, HS_S("y"), hear, &y);
    once.self = hs_bus_subscribe(b, HS_S("x"), hear, &once);
    hs_bus_publish(b, HS_S("x"), HS_S("1"));
    hs_bus_publish(b, HS_S("y"), HS_S("2"));
    hs_bus_publish(b, HS_S("x"), HS_S("3"));
    assert_string_equal(x.got, "");
    for (int i = 0; i < 3; i++)
        hs_loop_turn(loop, 0);
    assert_string_equal(x.got, "13!");
    assert_string_equal(y.got, "2");
    assert_string_equal(once.got, "1");
    hs_bus_publish(b, HS_S("x"), HS_S("lost"));
    hs_bus_close(b);
    assert_string_equal(x.got, "13!");
    hs_loop_close(loop);
}

typedef struct {
    hs_bus_watch watch;
    char told[16];
    size_t n;
} watcher;

static void note_health(hs_bus_watch *w, bool healthy)
{
    watcher *x = w->ud;

    assert_true(x->n + 1 < sizeof x->told);
    x->told[x->n++] = healthy ? '+' : '-';
}

static void a_loss_is_told_and_so_is_the_recovery(void **state)
{
    hs_loop *loop = hs_loop_open();
    hs_bus *b = hs_bus_local_open(loop);
    listener x = { .bus = b };
    watcher w = { .watch = { .fn = note_health, .ud = &w } };
    (void)state;

    x.self = hs_bus_subscribe(b, HS_S("x"), hear, &x);
    hs_bus_watch_start(b, &w.watch);
    assert_true(hs_bus_healthy(b));
    hs_bus_local_set_down(b, true);
    assert_false(hs_bus_healthy(b));
    assert_string_equal(w.told, "");
    hs_bus_publish(b, HS_S("x"), HS_S("lost"));
    hs_loop_turn(loop, 0);
    assert_string_equal(w.told, "-");
    hs_bus_local_set_down(b, false);
    hs_loop_turn(loop, 0);
    assert_string_equal(w.told, "-+");
    hs_bus_publish(b, HS_S("x"), HS_S("1"));
    hs_loop_turn(loop, 0);
    assert_string_equal(x.got, "1");
    assert_int_equal(hs_bus_stats_of(b)->dropped, 1);
    hs_bus_local_set_down(b, true);
    hs_bus_local_set_down(b, false); /* something may have been lost all the same */
    hs_loop_turn(loop, 0);
    assert_string_equal(w.told, "-+-+");
    hs_bus_local_set_down(b, true);
    hs_bus_close(b);
    assert_string_equal(w.told, "-+-+");
    hs_loop_close(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_reach_their_channel_in_order_and_never_inside_publish),
        cmocka_unit_test(a_loss_is_told_and_so_is_the_recovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
