#include "server/todevice.h"

#include "server/news.h"
#include "server/sync_wait.h"
#include "store/sessions.h"
#include "support/rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int open_rooms(void **state)
{
    static test_rooms t;

    t = (test_rooms){ 0 };
    test_rooms_open(&t);
    *state = &t;
    return 0;
}

static int close_rooms(void **state)
{
    test_rooms_close(*state);
    return 0;
}

static hs_session *user_with_device(test_rooms *t, const char *name, const char *device_id)
{
    hs_session *s = test_user(t, name);
    hs_write *w;
    hs_str token;

    s->device_id = hs_str_c(device_id);
    test_ok(hs_str_fmt(t->db.a, &token, "%s %s", name, device_id));
    test_ok(hs_write_open(t->db.db, t->db.a, &w));
    test_ok(hs_store_login(w, s->user, s->device_id, hs_str_make(NULL, 0), token, 1, 0));
    test_ok(hs_sessions_end(w, s->user, (hs_strs){ &s->device_id, 1 }));
    return s;
}

static hs_error *send(test_rooms *t, const hs_session *from, const char *type, const char *txn, const char *messages)
{
    hs_todevice_send in = { .type = hs_str_c(type), .txn_id = hs_str_c(txn), .messages = test_json(t->db.a, messages) };
    hs_arena *a = hs_arena_open(64u << 20); /* a request's own */
    hs_error *e = hs_todevice_send_all(t->srv, from, a, &in), *kept = NULL;

    if (e)
        kept = hs_err(t->db.a, e->status, e->code, "%.*s", HS_FMT(e->message));
    hs_arena_close(a);
    return kept;
}

static void send_n(test_rooms *t, const hs_session *from, int first, int n)
{
    char txn[32], text[128];

    for (int i = first; i < first + n; i++) {
        snprintf(txn, sizeof txn, "n%d", i);
        snprintf(text, sizeof text, "{\"@bob:test\":{\"B\":{\"n\":%d}}}", i);
        test_ok(send(t, from, "m.n", txn, text));
    }
}

static hs_todevice_page read_all(test_rooms *t, const hs_session *who, int64_t after)
{
    hs_todevice_page page;

    test_ok(hs_todevice_read(t->srv, who, t->db.a, after, hs_fanout_position(t->srv), &page));
    return page;
}

static int64_t number_of(test_rooms *t, hs_str msg)
{
    hs_jv v;
    int64_t n = -1;

    test_ok(hs_tape_parse(t->db.a, msg, HS_JSON_OBJECT, &v));
    hs_jv_int(hs_jv_path(v, "content", "n", NULL), &n);
    return n;
}

static void a_message_says_its_type_sender_and_content(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B");
    hs_todevice_page page;

    test_ok(send(t, alice, "m.\"quoted\"", "1",
                 "{\"@bob:test\":{\"B\":{\"k\": [1]},\"NONE\":{}},\"@nobody:test\":{\"X\":{}},"
                 "\"@far:elsewhere\":{\"*\":{}},\"not a user\":{\"*\":{}}}"));
    page = read_all(t, bob, 0);
    assert_int_equal(page.msgs.n, 1);
    assert_true(hs_str_eq(page.msgs.at[0],
                          HS_S("{\"type\":\"m.\\\"quoted\\\"\",\"sender\":\"@alice:test\",\"content\":{\"k\": [1]}}")));
    assert_int_equal(page.upto, hs_fanout_position(t->srv));
    assert_int_equal(read_all(t, bob, page.upto).msgs.n, 0);
    assert_int_equal(test_pg_sql(t->db.conninfo, "SELECT count(*) FROM to_device"), 1);
}

static void a_star_alone_is_every_device_of_the_user(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B"),
               *phone = user_with_device(t, "bob", "PHONE");

    test_ok(send(t, alice, "m.n", "1", "{\"@bob:test\":{\"*\":{\"n\":1}},\"@alice:test\":{\"*\":{\"n\":2}}}"));
    assert_int_equal(number_of(t, read_all(t, bob, 0).msgs.at[0]), 1);
    assert_int_equal(number_of(t, read_all(t, phone, 0).msgs.at[0]), 1);
    assert_int_equal(number_of(t, read_all(t, alice, 0).msgs.at[0]), 2);
    test_ok(send(t, alice, "m.n", "2", "{\"@bob:test\":{\"*\":{\"n\":3},\"PHONE\":{\"n\":4}}}"));
    assert_int_equal(read_all(t, bob, 0).msgs.n, 1); /* as in Synapse: among others it is a name like theirs */
    assert_int_equal(read_all(t, phone, 0).msgs.n, 2);
}

static void many_messages_come_in_pages_in_order(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B");
    int64_t after = 0, expected = 0;
    size_t pages = 0;

    send_n(t, alice, 0, 250);
    do {
        hs_todevice_page page = read_all(t, bob, after);

        assert_true(page.msgs.n <= 100);
        for (size_t i = 0; i < page.msgs.n; i++)
            assert_int_equal(number_of(t, page.msgs.at[i]), expected++);
        assert_true(page.upto > after);
        after = page.upto;
        pages++;
        test_ok(hs_todevice_acknowledge(t->srv, bob, t->db.a, after));
        assert_int_equal(test_pg_sql(t->db.conninfo, "SELECT count(*) FROM to_device"), 250 - expected);
    } while (after < hs_fanout_position(t->srv));
    assert_int_equal(expected, 250);
    assert_int_equal(pages, 3);
}

/* Another worker has given the device the pages in between: what this one remembers of the first must not hide the
 * last. */
static void a_page_that_somebody_else_gave_hides_nothing(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B");
    hs_todevice_page page;
    int64_t pos;

    send_n(t, alice, 0, 150);
    pos = hs_fanout_position(t->srv);
    send_n(t, alice, 150, 20);
    hs_todevice_close(t->srv); /* a process that has heard of none of them */
    test_ok(hs_todevice_open(t->srv, t->db.a));
    assert_int_equal(read_all(t, bob, 0).msgs.n, 100);
    page = read_all(t, bob, pos);
    assert_int_equal(page.msgs.n, 20);
    assert_int_equal(number_of(t, page.msgs.at[0]), 150);
}

static void an_idle_device_asks_the_store_nothing(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B"),
               *none = test_user(t, "bob");
    hs_todevice_page page;
    hs_error *e;
    int64_t pos;

    send_n(t, alice, 0, 3);
    page = read_all(t, bob, 0);
    assert_int_equal(page.msgs.n, 3);
    test_ok(hs_todevice_acknowledge(t->srv, bob, t->db.a, page.upto));
    test_ok(send(t, alice, "m.n", "other", "{\"@alice:test\":{\"A\":{}}}"));
    pos = hs_fanout_position(t->srv);
    assert_true(pos > page.upto);
    test_pg_sql(t->db.conninfo, "ALTER TABLE to_device RENAME TO away");
    test_ok(hs_todevice_acknowledge(t->srv, bob, t->db.a, pos));
    assert_int_equal(read_all(t, bob, page.upto).msgs.n, 0);
    none->device_id = HS_S("");
    assert_int_equal(read_all(t, none, 0).msgs.n, 0);
    e = hs_todevice_read(t->srv, alice, t->db.a, page.upto, pos, &page);
    assert_true(e && e->status == 500); /* the check can fail */
    test_pg_sql(t->db.conninfo, "ALTER TABLE away RENAME TO to_device");
    send_n(t, alice, 3, 1);
    page = read_all(t, bob, pos);
    assert_int_equal(page.msgs.n, 1);
    assert_int_equal(number_of(t, page.msgs.at[0]), 3);
}

static void a_repeated_transaction_delivers_once(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B"),
               *other = user_with_device(t, "alice", "A2");
    char txn[600];

    test_ok(send(t, alice, "m.n", "1", "{\"@bob:test\":{\"B\":{\"n\":1}}}"));
    test_ok(send(t, alice, "m.n", "1", "{\"@bob:test\":{\"B\":{\"n\":2}}}"));
    assert_int_equal(read_all(t, bob, 0).msgs.n, 1);
    hs_server_close_services(t->srv); /* a process that remembers nothing */
    test_ok(hs_server_open_services(t->srv, t->db.a));
    test_ok(send(t, alice, "m.n", "1", "{\"@bob:test\":{\"B\":{\"n\":3}}}"));
    assert_int_equal(read_all(t, bob, 0).msgs.n, 1);
    test_ok(send(t, alice, "m.other", "1", "{\"@bob:test\":{\"B\":{\"n\":4}}}"));
    test_ok(send(t, other, "m.n", "1", "{\"@bob:test\":{\"B\":{\"n\":5}}}"));
    assert_int_equal(read_all(t, bob, 0).msgs.n, 3);
    memset(txn, 'x', sizeof txn - 1);
    txn[sizeof txn - 1] = 0;
    test_ok(send(t, alice, "m.n", txn, "{\"@bob:test\":{\"B\":{\"n\":6}}}"));
    test_ok(send(t, alice, "m.n", txn, "{\"@bob:test\":{\"B\":{\"n\":6}}}"));
    assert_int_equal(read_all(t, bob, 0).msgs.n, 4);
}

static void a_bad_message_stops_the_whole_request(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B");
    static const char *const BAD[] = { "{\"@bob:test\":{\"B\":{}},\"@alice:test\":1}",
                                       "{\"@bob:test\":{\"B\":{},\"C\":\"text\"}}", "{\"@bob:test\":[]}" };
    hs_error *e;
    char *text = malloc(70000);

    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        e = send(t, alice, "m.n", "bad", BAD[i]);
        assert_true(e && e->status == 400 && e->code == HS_M_BAD_JSON);
    }
    snprintf(text, 70000, "{\"@bob:test\":{\"B\":{}},\"@far:away\":{\"D\":{\"x\":\"%065536d\"}}}", 0);
    e = send(t, alice, "m.n", "large", text);
    assert_true(e && e->status == 413 && e->code == HS_M_TOO_LARGE);
    assert_int_equal(read_all(t, bob, 0).msgs.n, 0);
    /* the limit is the content's, without blanks: {"x":"…"} */
    snprintf(text, 70000, "{\"@bob:test\":{\"B\":{  \"x\":\"%0*d\"}}}", 65536 - 8, 0);
    test_ok(send(t, alice, "m.n", "fits", text));
    assert_int_equal(read_all(t, bob, 0).msgs.n, 1);
    free(text);
}

static void what_a_request_may_store_is_bounded(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A");
    char *text = malloc(70000);
    hs_error *e;

    test_pg_sql(t->db.conninfo, "INSERT INTO device(user_nid, device_id)"
                                " SELECT user_nid, 'D' || d FROM user_id, generate_series(1, 200) d");
    snprintf(text, 70000, "{\"@alice:test\":{\"*\":{\"x\":\"%060000d\"}}}", 0);
    e = send(t, alice, "m.n", "1", text);
    assert_true(e && e->status == 413 && e->code == HS_M_TOO_LARGE);
    assert_int_equal(test_pg_sql(t->db.conninfo, "SELECT count(*) FROM to_device"), 0);
    test_ok(send(t, alice, "m.n", "2", "{\"@alice:test\":{\"*\":{}}}"));
    assert_int_equal(test_pg_sql(t->db.conninfo, "SELECT count(*) FROM to_device"), 201);
    free(text);
}

static void too_many_key_requests_are_dropped(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B");
    char txn[16];

    t->config.rc_key_requests = (hs_rate_limit){ 0.001, 2 };
    for (int i = 0; i < 4; i++) {
        snprintf(txn, sizeof txn, "%d", i);
        test_ok(send(t, alice, "m.room_key_request", txn, "{\"@bob:test\":{\"B\":{}},\"@alice:test\":{\"A\":{}}}"));
    }
    assert_int_equal(read_all(t, bob, 0).msgs.n, 2);
    assert_int_equal(read_all(t, alice, 0).msgs.n, 4); /* one's own devices may always be asked */
}

static void count_wake(hs_waiter *w)
{
    ++*(int *)w->ud;
}

static void a_message_wakes_only_the_device_it_is_for(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = user_with_device(t, "alice", "A"), *bob = user_with_device(t, "bob", "B");
    int woken[2] = { 0, 0 };
    hs_waiter w[2] = { { .fn = count_wake, .ud = &woken[0], .device_id = HS_S("B") },
                       { .fn = count_wake, .ud = &woken[1], .device_id = HS_S("PHONE") } };

    user_with_device(t, "bob", "PHONE");
    test_ok(hs_wait_start(t->srv, &w[0], bob->user, 60000));
    test_ok(hs_wait_start(t->srv, &w[1], bob->user, 60000));
    test_ok(send(t, alice, "m.n", "1", "{\"@bob:test\":{\"B\":{}}}"));
    assert_int_equal(woken[0], 1);
    assert_int_equal(woken[1], 0);
    assert_false(w[0].all);
    hs_wait_stop(&w[0]);
    hs_wait_stop(&w[1]);
}

TEST_ROOMS_ON_FIBER(a_message_says_its_type_sender_and_content)
TEST_ROOMS_ON_FIBER(a_star_alone_is_every_device_of_the_user)
TEST_ROOMS_ON_FIBER(many_messages_come_in_pages_in_order)
TEST_ROOMS_ON_FIBER(a_page_that_somebody_else_gave_hides_nothing)
TEST_ROOMS_ON_FIBER(an_idle_device_asks_the_store_nothing)
TEST_ROOMS_ON_FIBER(a_repeated_transaction_delivers_once)
TEST_ROOMS_ON_FIBER(a_bad_message_stops_the_whole_request)
TEST_ROOMS_ON_FIBER(what_a_request_may_store_is_bounded)
TEST_ROOMS_ON_FIBER(too_many_key_requests_are_dropped)
TEST_ROOMS_ON_FIBER(a_message_wakes_only_the_device_it_is_for)

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f##_, open_rooms, close_rooms)
    const struct CMUnitTest tests[] = {
        TEST(a_message_says_its_type_sender_and_content), TEST(a_star_alone_is_every_device_of_the_user),
        TEST(many_messages_come_in_pages_in_order),       TEST(a_page_that_somebody_else_gave_hides_nothing),
        TEST(an_idle_device_asks_the_store_nothing),      TEST(a_repeated_transaction_delivers_once),
        TEST(a_bad_message_stops_the_whole_request),      TEST(what_a_request_may_store_is_bounded),
        TEST(too_many_key_requests_are_dropped),          TEST(a_message_wakes_only_the_device_it_is_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
