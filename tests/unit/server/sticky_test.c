/* Which sticky events are told, and what PostgreSQL is asked for it. */
#include "server/sticky.h"

#include "server/room_send.h"
#include "server/sync.h"
#include "server/upkeep.h"
#include "support/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR 3600000

static int open_rooms(void **state)
{
    static test_rooms t;

    t = (test_rooms){ 0 };
    test_rooms_open_sticky(&t);
    *state = &t;
    return 0;
}

static int close_rooms(void **state)
{
    test_rooms_close(*state);
    return 0;
}

static void stick(test_rooms *t, const hs_session *who, hs_str room_id, int64_t ms)
{
    hs_send in = { .room_id = room_id, .type = HS_S("m.x"), .is_sticky = true, .sticky_ms = ms };
    hs_arena *a = hs_arena_open(1 << 20);
    hs_str id;

    in.content = test_json(a, "{}");
    test_ok(hs_room_send(t->srv, who, a, &in, &id));
    hs_arena_close(a);
}

static void stick_n(test_rooms *t, const hs_session *who, hs_str room_id, int n)
{
    for (int i = 0; i < n; i++)
        stick(t, who, room_id, HOUR);
}

typedef struct {
    size_t n; /* told beside the timeline */
    hs_sync_token next;
    bool empty;
} told;

/* With a filter that keeps the timeline empty. */
static told sync_since(test_rooms *t, const hs_session *who, hs_str room_id, const hs_sync_token *since)
{
    hs_arena *a = hs_arena_open(64u << 20);
    hs_sync_filter *f;
    hs_sync_in in = { .has_since = since != NULL };
    hs_sync_made made;
    hs_buf b;
    hs_str text;
    hs_jv v;
    told ret;

    test_ok(hs_sync_filter_get(t->srv, who, a, HS_S("{\"room\":{\"timeline\":{\"types\":[]}}}"), &f));
    in.filter = &f->filter;
    in.filter_id = f->id;
    if (since)
        in.since = *since;
    hs_buf_init(&b, a);
    test_ok(hs_sync(t->srv, who, a, &in, &b, &made));
    ret.next = made.next;
    ret.empty = made.empty;
    test_ok(hs_buf_flatten(&b, &text));
    test_ok(hs_tape_parse(a, text, HS_JSON_OBJECT, &v));
    v = hs_jv_get(hs_jv_path(v, "rooms", "join", NULL), room_id);
    ret.n = hs_jv_count(hs_jv_path(v, "msc4354_sticky", "events", NULL));
    hs_arena_close(a);
    return ret;
}

static void what_is_new_and_what_is_not_asks_postgresql_nothing(void **state)
{
    test_rooms *t = *state;
    hs_session *ann = test_user(t, "ann");
    hs_str room_id = test_create(t, ann, "{}");
    told was = sync_since(t, ann, room_id, NULL), now;

    stick_n(t, ann, room_id, 3);
    (void)test_pg_sql(t->db.conninfo, "DROP TABLE sticky_event; SELECT 1");
    now = sync_since(t, ann, room_id, &was.next);
    assert_int_equal(now.n, 3);
    was = sync_since(t, ann, room_id, &now.next);
    assert_int_equal(was.n, 0);
    assert_true(was.empty);
}

/* A first look, then nothing that could be asked: the table is not even there. */
static void without_sticky_events_postgresql_is_asked_once_at_all(void **state)
{
    test_rooms *t = *state;
    hs_session *ann = test_user(t, "ann");
    hs_str room_id = test_create(t, ann, "{}");
    told first = sync_since(t, ann, room_id, NULL), second;

    (void)test_pg_sql(t->db.conninfo, "DROP TABLE sticky_event; SELECT 1");
    test_send(t, ann, room_id, "plain", "1");
    second = sync_since(t, ann, room_id, &first.next);
    assert_int_equal(second.n, 0);
    assert_int_equal(second.next.sticky, second.next.pos);
}

static void what_memory_has_let_go_is_read(void **state)
{
    test_rooms *t = *state;
    hs_session *ann = test_user(t, "ann");
    hs_str room_id = test_create(t, ann, "{}");
    told was = sync_since(t, ann, room_id, NULL);

    stick_n(t, ann, room_id, 90);
    assert_int_equal(sync_since(t, ann, room_id, &was.next).n, 90);
    assert_int_equal(sync_since(t, ann, room_id, NULL).n, 90);
}

static void a_start_finds_those_that_hold(void **state)
{
    test_rooms *t = *state;
    hs_session *ann = test_user(t, "ann");
    hs_str room_id = test_create(t, ann, "{}");
    told was = sync_since(t, ann, room_id, NULL), now;

    stick_n(t, ann, room_id, 2);
    test_rooms_restart(t);
    now = sync_since(t, ann, room_id, &was.next);
    assert_int_equal(now.n, 2);
    stick(t, ann, room_id, HOUR);
    assert_int_equal(sync_since(t, ann, room_id, &now.next).n, 1);
    assert_int_equal(sync_since(t, ann, room_id, NULL).n, 3);
}

static void pages_end_where_the_next_one_begins(void **state)
{
    test_rooms *t = *state;
    hs_session *ann = test_user(t, "ann");
    hs_str room_id = test_create(t, ann, "{}");
    told page = sync_since(t, ann, room_id, NULL);
    size_t sum = 0;

    stick_n(t, ann, room_id, 250);
    for (int i = 0; i < 3; i++) {
        page = sync_since(t, ann, room_id, &page.next);
        assert_int_equal(page.n, i < 2 ? 100 : 50);
        assert_int_equal(page.next.sticky == page.next.pos, i == 2);
        sum += page.n;
    }
    assert_int_equal(sum, 250);
    assert_true(sync_since(t, ann, room_id, &page.next).empty);
}

static void what_has_expired_is_told_no_more_and_goes(void **state)
{
    test_rooms *t = *state;
    hs_session *ann = test_user(t, "ann");
    hs_str room_id = test_create(t, ann, "{}");

    stick_n(t, ann, room_id, 3);
    stick(t, ann, room_id, 0); /* is none */
    assert_int_equal(test_pg_sql(t->db.conninfo, "SELECT count(*) FROM sticky_event"), 3);
    (void)test_pg_sql(t->db.conninfo, "WITH x AS (UPDATE sticky_event SET expires_ts = 1 WHERE pos <"
                                      " (SELECT max(pos) FROM sticky_event) RETURNING 1) SELECT count(*) FROM x");
    test_rooms_restart(t);
    assert_int_equal(sync_since(t, ann, room_id, NULL).n, 1);
    test_ok(hs_upkeep_run(t->srv, NULL, t->db.a));
    assert_int_equal(test_pg_sql(t->db.conninfo, "SELECT count(*) FROM sticky_event"), 1);
    assert_int_equal(sync_since(t, ann, room_id, NULL).n, 1);
}

static told told_of(graph_world *w, const hs_sync_token *since)
{
    return sync_since(&w->t, test_user(&w->t, "alice"), w->room_id, since);
}

static graph_event *played(graph_world *w, const char *sender, const char *type, const char *state_key,
                           const char *content)
{
    hs_str heads[4];
    size_t n = graph_all_heads(w, heads);

    return graph_play(w, sender, type, state_key, content, heads, n);
}

/* Bob's event comes when he is banned here already; it hangs on what was before. */
static graph_event *soft_failed(graph_world *w)
{
    hs_str before[4];
    size_t n;
    graph_event *e;

    played(w, "@bob:one.example", "m.room.member", "@bob:one.example", "{\"membership\":\"join\"}");
    n = graph_all_heads(w, before);
    played(w, "@alice:test", "m.room.member", "@bob:one.example", "{\"membership\":\"ban\"}");
    e = graph_make(w, "@bob:one.example", "m.x", NULL, "{}", before, n);
    graph_receive(w, e);
    graph_state_after(w, e->id, e->state, &e->state_n, &e->flags);
    assert_int_equal(e->flags, HS_EV_SOFT_FAILED);
    return e;
}

static void comes_back(void *ud)
{
    graph_world *w = ud;
    told was = told_of(w, NULL), now;

    soft_failed(w);
    now = told_of(w, &was.next);
    assert_int_equal(now.n, 2); /* the join and the ban, of which the helpers make sticky events too */
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM sticky_event WHERE soft"), 1);
    played(w, "@alice:test", "m.room.member", "@bob:one.example", "{\"membership\":\"leave\"}");
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM sticky_event WHERE soft"), 1);
    now = told_of(w, &now.next);
    assert_int_equal(now.n, 1);
    played(w, "@bob:one.example", "m.room.member", "@bob:one.example", "{\"membership\":\"join\"}");
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM sticky_event WHERE soft"), 0);
    was = told_of(w, &now.next);
    assert_int_equal(was.n, 2); /* the join, and what it let count */
    assert_int_equal(told_of(w, &was.next).n, 0);
    test_rooms_restart(&w->t);
    assert_int_equal(told_of(w, &now.next).n, 2);
}

/* MSC4354: "Re-evaluate soft-failure of soft-failed unexpired sticky events when the membership state of the sender
 * changes." */
static void what_soft_failed_is_told_once_its_sender_may_speak(void **state)
{
    const char *db = test_pg_create("");
    graph_world *w = graph_world_open(100, db, db);

    (void)state;
    w->sticky_ms = HOUR;
    graph_on_server(w, db, graph_begin);
    graph_on_server(w, db, comes_back);
    graph_world_close(w);
}

TEST_ROOMS_ON_FIBER(what_is_new_and_what_is_not_asks_postgresql_nothing)
TEST_ROOMS_ON_FIBER(without_sticky_events_postgresql_is_asked_once_at_all)
TEST_ROOMS_ON_FIBER(what_memory_has_let_go_is_read)
TEST_ROOMS_ON_FIBER(a_start_finds_those_that_hold)
TEST_ROOMS_ON_FIBER(pages_end_where_the_next_one_begins)
TEST_ROOMS_ON_FIBER(what_has_expired_is_told_no_more_and_goes)

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f##_, open_rooms, close_rooms)
    const struct CMUnitTest tests[] = {
        TEST(what_is_new_and_what_is_not_asks_postgresql_nothing),
        TEST(without_sticky_events_postgresql_is_asked_once_at_all),
        TEST(what_memory_has_let_go_is_read),
        TEST(a_start_finds_those_that_hold),
        TEST(pages_end_where_the_next_one_begins),
        TEST(what_has_expired_is_told_no_more_and_goes),
        cmocka_unit_test(what_soft_failed_is_told_once_its_sender_may_speak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
