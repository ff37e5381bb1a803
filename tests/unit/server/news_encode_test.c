/* The writer of feed rows against the generated reader. */
#include "bus/feed.h"
#include "server/news_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_units_news_read_back_with_their_item_numbers(void **state)
{
    hs_arena *a = hs_arena_open(1 << 20);
    const hs_nid heads[] = { 20, 21 };
    const hs_state_entry changed[] = { { 5, 20 }, { 6, 0 } };
    const hs_news_note notes[] = { { .user = 3, .d_notify = -1, .thread = 4, .actions = 1 } };
    hs_stored stored = { .nid = 20, .sender = 9, .slot = 5, .flags = 8 };
    const hs_news_event ev = { .room = 1,
                               .at = 1,
                               .event = &stored,
                               .depth = 12,
                               .line = 0,
                               .snap = 7,
                               .heads = heads,
                               .heads_n = 2,
                               .state = changed,
                               .state_n = 2,
                               .d_notify = 1,
                               .notes = notes,
                               .notes_n = 1,
                               .target = 3,
                               .membership = HS_MEMBER_JOIN,
                               .device_id = HS_S("D"),
                               .txn_id = HS_S("m") };
    const hs_news_receipt receipt = {
        .room = 1, .user = 2, .type = HS_S("m.read"), .thread = -1, .event = 20, .ts = 5
    };
    const hs_news_user user = { .user = 2, .at = 2, .what = HS_NEWS_PROFILE };
    const hs_news_to_device letter = { .user = 2, .device_id = HS_S("PHONE"), .at = 2 };
    hs_news news = { &ev, 1, &receipt, 1, &user, 1, &letter, 1 };
    const hs_told units[] = { { .news = NULL, .base = 0, .count = 4 }, { .news = &news, .base = 4, .count = 3 } };
    hs_feed_msg m;
    hs_str row;
    (void)state;

    assert_null(hs_news_encode(a, units, 2, &row));
    assert_null(hs_feed_decode(a, row, &m));
    assert_true(m.events_n == 1 && m.deltas_n == 1 && m.receipts_n == 1 && m.users_n == 1);
    assert_true(m.events[0].at == 5 && m.events[0].event == 20 && m.events[0].snap == 7 && m.events[0].slot == 5);
    assert_true(m.events[0].heads_n == 2 && m.events[0].notes_n == 1 && m.events[0].notes[0].d_notify == -1);
    assert_true(m.events[0].membership == HS_MEMBER_JOIN && m.events[0].target == 3 && m.events[0].flags == 8);
    assert_true(hs_str_eq(m.events[0].device_id, HS_S("D")) && hs_str_eq(m.events[0].txn_id, HS_S("m")));
    assert_true(m.deltas[0].n == 2 && m.deltas[0].slots[1] == 6 && m.deltas[0].events[1] == 0 && m.deltas[0].at == 5);
    assert_true(m.receipts[0].at == 4 && m.receipts[0].thread == -1 && m.users[0].at == 6 && m.users[0].what == 2);
    assert_true(m.to_device_n == 1 && m.to_device[0].user == 2 && m.to_device[0].at == 6 &&
                hs_str_eq(m.to_device[0].device_id, HS_S("PHONE")));
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_units_news_read_back_with_their_item_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
