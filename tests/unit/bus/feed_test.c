#include "bus/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static hs_feed_msg sample(void)
{
    static const int64_t heads[] = { 7, 8 }, slots[] = { 1ll << 60, 5 }, events[] = { 70, 0 };
    static const hs_feed_note notes[] = { { .user = 4, .d_notify = -1, .d_high = 1, .thread = 9, .actions = 3 } };
    static hs_feed_event ev[2];
    static hs_feed_delta delta[1];
    static hs_feed_receipt receipt[1];
    static hs_feed_user user[1];
    static hs_feed_to_device letter[1];

    ev[0] = (hs_feed_event){ .room = 1,
                             .event = 2,
                             .at = 0,
                             .depth = INT64_MAX,
                             .line = 3,
                             .snap = 4,
                             .slot = 6,
                             .sender = 5,
                             .d_notify = -2,
                             .heads = heads,
                             .heads_n = 2,
                             .flags = 8,
                             .notes = notes,
                             .notes_n = 1,
                             .target = 11,
                             .membership = 2,
                             .was = 5,
                             .received_ts = 77,
                             .event_line = 9,
                             .event_snap = 10,
                             .room_version = HS_S("12"),
                             .device_id = HS_S("D"),
                             .txn_id = HS_S("m1"),
                             .redacts = 1 };
    ev[1] = (hs_feed_event){ .room = 1, .at = 1 };
    delta[0] = (hs_feed_delta){ .room = 1, .at = 1, .line = 0, .snap = 9, .slots = slots, .events = events, .n = 2 };
    receipt[0] = (hs_feed_receipt){ .room = 1,
                                    .user = 2,
                                    .type = HS_S("m.read"),
                                    .thread = -1,
                                    .event = 3,
                                    .ts = 4,
                                    .at = 2,
                                    .user_id = HS_S("@u"),
                                    .event_id = HS_S("$e") };
    user[0] = (hs_feed_user){ .user = 2, .at = 3, .what = 2, .type = HS_S("m.direct") };
    letter[0] = (hs_feed_to_device){ .user = 2, .device_id = HS_S("PHONE"), .at = 4 };
    return (hs_feed_msg){ .events = ev,
                          .events_n = 2,
                          .deltas = delta,
                          .deltas_n = 1,
                          .receipts = receipt,
                          .receipts_n = 1,
                          .users = user,
                          .users_n = 1,
                          .to_device = letter,
                          .to_device_n = 1 };
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
    hs_arena *a = hs_arena_open(1 << 20);
    hs_feed_msg in = sample(), out;
    const hs_feed_body body = { .at = 0, .json = HS_S("{\"a\":1}") };
    hs_str row, bytes, worker;
    int64_t from, pos;
    (void)state;

    assert_null(hs_feed_encode(a, &in, &row));
    assert_null(hs_feed_address(a, 100, 103, HS_S("w1"), row, &body, 1, &bytes));
    assert_true(hs_feed_peek(bytes, &from, &pos, &worker));
    assert_true(from == 100 && pos == 103 && hs_str_eq(worker, HS_S("w1")));
    assert_null(hs_feed_decode(a, bytes, &out));
    assert_true(out.pos_from == 100 && out.pos == 103 && hs_str_eq(out.worker, HS_S("w1")));
    assert_int_equal(out.events_n, 2);
    assert_true(out.events[0].depth == INT64_MAX && out.events[0].d_notify == -2 && out.events[0].slot == 6);
    assert_true(out.events[0].heads_n == 2 && out.events[0].heads[1] == 8);
    assert_true(out.events[0].notes_n == 1 && out.events[0].notes[0].d_notify == -1);
    assert_true(hs_str_eq(out.events[0].json, HS_S("{\"a\":1}")) && hs_str_eq(out.events[0].txn_id, HS_S("m1")));
    assert_true(out.events[0].membership == 2 && out.events[0].was == 5 && out.events[0].redacts == 1);
    assert_true(out.events[0].received_ts == 77 && out.events[0].event_line == 9 && out.events[0].event_snap == 10);
    assert_true(hs_str_eq(out.events[0].room_version, HS_S("12")) && !out.events[1].json.p);
    assert_true(out.events[1].event == 0 && out.events[1].at == 1 && !out.events[1].txn_id.p);
    assert_true(out.deltas_n == 1 && out.deltas[0].n == 2 && out.deltas[0].slots[0] == 1ll << 60 &&
                out.deltas[0].events[1] == 0);
    assert_true(out.receipts_n == 1 && out.receipts[0].thread == -1 && hs_str_eq(out.receipts[0].type, HS_S("m.read")));
    assert_true(hs_str_eq(out.receipts[0].user_id, HS_S("@u")) && !out.receipts[0].thread_id.p);
    assert_true(out.users_n == 1 && out.users[0].what == 2 && out.users[0].at == 3);
    assert_true(out.to_device_n == 1 && out.to_device[0].user == 2 && out.to_device[0].at == 4 &&
                hs_str_eq(out.to_device[0].device_id, HS_S("PHONE")));
    hs_arena_close(a);
}

static void damaged_bytes_are_an_error(void **state)
{
    hs_arena *a = hs_arena_open(1 << 20);
    hs_feed_msg in = sample(), out;
    hs_str row, worker;
    int64_t from, pos;
    (void)state;

    assert_null(hs_feed_encode(a, &in, &row));
    assert_non_null(hs_feed_decode(a, hs_str_first(row, row.n - 1), &out));
    assert_non_null(hs_feed_decode(a, HS_S("\xff\xff\xff"), &out));
    assert_false(hs_feed_peek(row, &from, &pos, &worker)); /* a row has no positions in front */
    assert_false(hs_feed_peek(HS_S("\x08\x05\x10\x04\x1a\x01w"), &from, &pos, &worker)); /* backwards */
    assert_false(hs_feed_peek(HS_S("\x08\x05\x10\x06\x1a\x7fw"), &from, &pos, &worker)); /* a name past the end */
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_decodes_to_the_same),
        cmocka_unit_test(damaged_bytes_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
