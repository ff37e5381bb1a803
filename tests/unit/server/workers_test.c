/* Several workers on one database: what one writes the others know, whatever the bus does. */
#include "server/account_data.h"
#include "server/news.h"
#include "server/receipts.h"
#include "server/room_member.h"
#include "server/room_send.h"
#include "server/room_state.h"
#include "server/sync.h"
#include "server/timeline.h"
#include "server/unread.h"
#include "support/rooms.h"
#include "workers/http/hooks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORKERS = TEST_WORKERS };

#define ON_FIBER(f)                                                                                                    \
    static void f##_(void **state)                                                                                     \
    {                                                                                                                  \
        test_case_on_fiber(((test_world *)*state)->w[0].db.loop, f, state);                                            \
    }

/* The answer lives as long as the test. */
static hs_jv sync_with(test_rooms *t, const hs_session *who, hs_str since, const char *filter)
{
    hs_arena *a = hs_arena_open(64u << 20);
    hs_sync_filter *f;
    hs_sync_in in = { .has_since = since.p != NULL };
    hs_sync_made made;
    hs_str text;
    hs_buf b;
    hs_jv v;

    test_ok(hs_fanout_fresh(t->srv, a));
    test_ok(hs_sync_filter_get(t->srv, who, a, hs_str_c(filter), &f));
    in.filter = &f->filter;
    in.filter_id = f->id;
    if (since.p)
        test_ok(hs_sync_token_read(a, since, &in.since));
    hs_buf_init(&b, a);
    test_ok(hs_sync(t->srv, who, a, &in, &b, &made));
    test_ok(hs_buf_flatten(&b, &text));
    test_ok(hs_str_dup(t->db.a, text, &text));
    hs_arena_close(a);
    if (getenv("HS_TEST_SHOW"))
        fprintf(stderr, "%.*s\n\n", HS_FMT(text));
    test_ok(hs_tape_parse(t->db.a, text, HS_JSON_OBJECT, &v));
    return v;
}

static hs_jv sync_of(test_rooms *t, const hs_session *who, hs_str since)
{
    return sync_with(t, who, since, "{\"room\":{\"timeline\":{\"limit\":1000}}}");
}

static hs_str next_of(hs_jv answer)
{
    return hs_jv_str_or_null(hs_jv_get(answer, HS_S("next_batch")));
}

static hs_jv timeline_of(hs_jv answer, hs_str room_id)
{
    return hs_jv_path(hs_jv_get(hs_jv_path(answer, "rooms", "join", NULL), room_id), "timeline", "events", NULL);
}

static hs_str last_body(hs_jv answer, hs_str room_id)
{
    hs_str body = { NULL, 0 };

    for (hs_jv_iter it = { 0 }; hs_jv_next(timeline_of(answer, room_id), &it);)
        body = hs_jv_str_or_null(hs_jv_path(it.value, "content", "body", NULL));
    return body;
}

static void join(test_rooms *t, const hs_session *who, hs_str room_id)
{
    hs_member_change change = { .action = HS_CHANGE_JOIN, .room_id = room_id };
    hs_arena *a = hs_arena_open(8u << 20);

    test_ok(hs_fanout_fresh(t->srv, a));
    test_ok(hs_room_member_change(t->srv, who, a, &change, NULL));
    hs_arena_close(a);
}

#define assert_text(a, b)                                                                                              \
    do {                                                                                                               \
        if (!hs_str_eq((a), HS_S(b)))                                                                                  \
            fail_msg("\"%.*s\" is not \"%s\"", HS_FMT(a), b);                                                          \
    } while (0)

static void what_one_worker_writes_the_others_show(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice"), *bob = test_user(&x->w[0], "bob");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}"), id, none = { NULL, 0 };
    hs_jv first, second;

    join(&x->w[1], bob, room_id);
    first = sync_of(&x->w[2], bob, none);
    assert_true(hs_jv_is(timeline_of(first, room_id)));
    id = test_send(&x->w[0], alice, room_id, "hello", "t1");
    second = sync_of(&x->w[2], bob, next_of(first));
    assert_int_equal(hs_jv_count(timeline_of(second, room_id)), 1);
    assert_text(last_body(second, room_id), "hello");
    /* the token goes on anywhere */
    test_send(&x->w[2], bob, room_id, "hi", "t2");
    for (size_t i = 0; i < WORKERS; i++) {
        hs_jv third = sync_of(&x->w[i], alice, next_of(second));
        assert_int_equal(hs_jv_count(timeline_of(third, room_id)), 1);
        assert_text(last_body(third, room_id), "hi");
    }
    (void)id;
}

static void every_worker_has_the_same_room_in_memory(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}"), id;
    hs_send topic = { .room_id = room_id, .type = HS_S("m.room.topic"), .state_key = HS_S("") };
    hs_room *r[WORKERS];

    for (size_t i = 0; i < WORKERS; i++) { /* now it is in memory everywhere */
        test_ok(hs_room_find(x->w[i].srv, x->w[0].db.a, room_id, &r[i]));
        assert_non_null(r[i]);
    }
    topic.content = test_json(x->w[0].db.a, "{\"topic\":\"one\"}");
    test_ok(hs_room_send_state(x->w[1].srv, alice, x->w[0].db.a, &topic, &id));
    for (int i = 0; i < 30; i++)
        test_send(&x->w[i % WORKERS], alice, room_id, "x", NULL);
    join(&x->w[2], test_user(&x->w[0], "bob"), room_id);

    for (size_t i = 0; i < WORKERS; i++) {
        test_ok(hs_fanout_fresh(x->w[i].srv, x->w[0].db.a));
        assert_ptr_equal(hs_room_cached(x->w[i].srv, r[0]->nid), hs_room_cached(x->w[i].srv, r[i]->nid));
        test_ok(hs_room_find(x->w[i].srv, x->w[0].db.a, room_id, &r[i]));
        assert_int_equal(r[i]->pos, r[0]->pos);
        assert_int_equal(r[i]->depth, r[0]->depth);
        assert_int_equal(r[i]->snap, r[0]->snap);
        assert_int_equal(r[i]->joined, 2);
        assert_int_equal(r[i]->local_members_n, 2);
        assert_int_equal(r[i]->n_notify, r[0]->n_notify);
        assert_int_equal(r[i]->state_n, r[0]->state_n);
        assert_memory_equal(r[i]->state, r[0]->state, r[0]->state_n * sizeof *r[0]->state);
        assert_int_equal(r[i]->heads.n, r[0]->heads.n);
        for (size_t k = 0; k < r[i]->heads.n; k++)
            assert_int_equal(r[i]->heads.at[k], r[0]->heads.at[k]);
    }
}

/* ── everybody at once ── */

enum { SENDERS = 12, EACH = 25 };

typedef struct {
    test_world *x;
    const hs_session *who;
    hs_str room_id;
    int n, failed;
    int *running;
} sender;

static void send_many(void *ud)
{
    sender *s = ud;

    for (int i = 0; i < EACH; i++) {
        test_rooms *t = &s->x->w[(s->n + i) % WORKERS];
        hs_arena *a = hs_arena_open(8u << 20);
        hs_send in = { .room_id = s->room_id, .type = HS_S("m.room.message") };
        hs_str id, body;
        bool state = s->n == 0 && i % 5 == 0;

        test_ok(
            hs_str_fmt(a, &body, "{\"msgtype\":\"m.text\",\"topic\":\"%d.%d\",\"body\":\"%d.%d\"}", s->n, i, s->n, i));
        test_ok(hs_tape_parse(a, body, HS_JSON_OBJECT, &in.content));
        if (state) {
            in.type = HS_S("m.room.topic");
            in.state_key = HS_S("");
        }
        hs_error *e =
            state ? hs_room_send_state(t->srv, s->who, a, &in, &id) : hs_room_send(t->srv, s->who, a, &in, &id);
        if (e && !s->failed++)
            fprintf(stderr, "%d: %d %.*s\n", i, e->status, HS_FMT(e->message));
        hs_arena_close(a);
    }
    --*s->running;
}

static void writers_on_all_workers_make_one_order_that_all_show(void **state)
{
    test_world *x = *state;
    hs_loop *loop = x->w[0].db.loop;
    hs_session *alice = test_user(&x->w[0], "alice"), *bob = test_user(&x->w[0], "bob");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}"), none = { NULL, 0 }, since[WORKERS];
    sender s[SENDERS];
    int running = SENDERS, seen[WORKERS] = { 0 };
    hs_str order[WORKERS][SENDERS * EACH + 10];

    join(&x->w[1], bob, room_id);
    for (size_t i = 0; i < WORKERS; i++)
        since[i] = next_of(sync_of(&x->w[i], bob, none));
    for (int i = 0; i < SENDERS; i++) {
        s[i] = (sender){ x, alice, room_id, i, 0, &running };
        test_ok(hs_fiber_spawn(loop, send_many, &s[i]));
    }
    /* Streams that read all the while, one on each worker, and one that goes round. */
    for (bool more = true; more;) {
        more = running > 0;
        for (size_t i = 0; i < WORKERS; i++) {
            hs_jv answer = sync_of(&x->w[i == 0 ? (size_t)seen[0] % WORKERS : i], bob, since[i]), t;

            since[i] = next_of(answer);
            t = timeline_of(answer, room_id);
            for (hs_jv_iter it = { 0 }; hs_jv_next(t, &it);) {
                assert_true(seen[i] < (int)(sizeof order[0] / sizeof order[0][0]));
                order[i][seen[i]++] = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("event_id")));
            }
        }
        hs_fiber_sleep(loop, 1);
    }
    if (getenv("HS_TEST_SHOW"))
        for (size_t i = 0; i < WORKERS; i++)
            fprintf(stderr, "stream %zu: %d events at %.*s\n", i, seen[i], HS_FMT(since[i]));
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(s[i].failed, 0);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(seen[i], SENDERS * EACH);
        for (int k = 0; k < seen[i]; k++)
            assert_true(hs_str_eq(order[i][k], order[0][k]));
    }
}

static void unread_counts_are_the_same_everywhere(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice"), *bob = test_user(&x->w[0], "bob");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}"), id = { NULL, 0 };
    hs_arena *a = x->w[0].db.a;
    unsigned rnd = 7;
    int after = 0;

    join(&x->w[1], bob, room_id);
    for (int i = 0; i < 60; i++) {
        test_rooms *t = &x->w[(rnd = rnd * 1103515245u + 12345u) >> 16 & 1];
        hs_room *room;
        hs_unread got;

        if (i % 17 == 16) {
            hs_receipt_wish in = { .room_id = room_id, .event_id = id, .type = HS_S("m.read") };
            test_ok(hs_receipt_put(t->srv, bob, a, &in));
            after = 0;
        } else {
            id = test_send(t, alice, room_id, i % 3 ? "hello" : "well bob", NULL);
            after++;
        }
        for (size_t k = 0; k < WORKERS; k++) {
            test_ok(hs_fanout_fresh(x->w[k].srv, a));
            test_ok(hs_room_find(x->w[k].srv, a, room_id, &room));
            test_ok(hs_unread_get(x->w[k].srv, a, bob->user, &room, 1, &got));
            assert_int_equal(got.notify, after);
        }
    }
}

static void nothing_is_missed_while_the_bus_is_down(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}"), since, none = { NULL, 0 };
    hs_loop *loop = x->w[0].db.loop;
    hs_jv answer;

    since = next_of(sync_of(&x->w[1], alice, none));
    hs_bus_local_set_down(x->bus, true);
    test_send(&x->w[0], alice, room_id, "one", NULL);
    answer = sync_of(&x->w[1], alice, since); /* asked for */
    assert_text(last_body(answer, room_id), "one");
    since = next_of(answer);

    test_send(&x->w[0], alice, room_id, "two", NULL);
    int64_t pos = hs_fanout_position(x->w[0].srv), begun = hs_loop_now(loop);
    while (hs_fanout_position(x->w[1].srv) < pos) { /* noticed by itself */
        hs_fiber_sleep(loop, 5);
        assert_true(hs_loop_now(loop) - begun < 2000);
    }
    test_send(&x->w[2], alice, room_id, "three", NULL); /* lost on the bus … */
    hs_bus_local_set_down(x->bus, false);
    test_send(&x->w[0], alice, room_id, "four", NULL); /* … and seen to be missing */
    answer = sync_of(&x->w[1], alice, since);
    assert_int_equal(hs_jv_count(timeline_of(answer, room_id)), 3);
    assert_text(last_body(answer, room_id), "four");
}

/* The newest edit that a worker shows with an event, or NULL. */
static const hs_stored *edit_of(test_rooms *t, const hs_session *who, hs_str room_id, hs_str event_id)
{
    hs_arena *a = t->db.a;
    hs_room *room;
    hs_dressed d;

    test_ok(hs_fanout_fresh(t->srv, a));
    test_ok(hs_timeline_event(t->srv, who, a, room_id, event_id, &room, &d));
    test_ok(hs_timeline_dress(t->srv, a, who, HS_DRESS_BUNDLE, &d, 1));
    return d.edit ? d.edit->event : NULL;
}

static void who_remembers_that_nothing_relates_to_an_event_hears_of_what_does(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}"), id, edit_id, content;
    hs_send edit = { .room_id = room_id, .type = HS_S("m.room.message") };

    id = test_send(&x->w[0], alice, room_id, "one", NULL);
    for (size_t i = 0; i < WORKERS; i++)
        assert_null(edit_of(&x->w[i], alice, room_id, id));
    test_ok(hs_str_fmt(x->w[0].db.a, &content,
                       "{\"msgtype\":\"m.text\",\"body\":\"two\",\"m.new_content\":{\"body\":\"two\"},"
                       "\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":\"%.*s\"}}",
                       HS_FMT(id)));
    test_ok(hs_tape_parse(x->w[0].db.a, content, HS_JSON_OBJECT, &edit.content));
    test_ok(hs_room_send(x->w[1].srv, alice, x->w[0].db.a, &edit, &edit_id));
    for (size_t i = 0; i < WORKERS; i++) {
        const hs_stored *seen = edit_of(&x->w[i], alice, room_id, id);

        assert_non_null(seen);
        assert_true(hs_str_eq(seen->ev->event_id, edit_id));
    }
}

/* The join is written by a worker that has not heard of the message before it. */
static void what_was_said_before_a_join_is_read_whoever_knew_of_it(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice"), *bob = test_user(&x->w[0], "bob");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}");
    hs_member_change change = { .action = HS_CHANGE_JOIN, .room_id = room_id };
    hs_arena *a = x->w[0].db.a;

    test_send(&x->w[1], alice, room_id, "heard of", NULL);
    test_ok(hs_fanout_fresh(x->w[0].srv, a));
    hs_bus_local_set_down(x->bus, true);
    test_send(&x->w[1], alice, room_id, "not heard of", NULL);
    test_ok(hs_room_member_change(x->w[0].srv, bob, a, &change, NULL));
    hs_bus_local_set_down(x->bus, false);
    for (size_t i = 0; i < WORKERS; i++) {
        hs_room *room;
        hs_unread got;

        test_ok(hs_fanout_fresh(x->w[i].srv, a));
        test_ok(hs_room_find(x->w[i].srv, a, room_id, &room));
        test_ok(hs_unread_get(x->w[i].srv, a, bob->user, &room, 1, &got));
        assert_int_equal(got.notify, 0);
    }
}

/* As http does it: the handler runs once more, in the arena of the request. */
static void who_was_refused_by_what_is_old_may_try_again_within_the_request(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice"), *bob = test_user(&x->w[0], "bob");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}"), id, again;
    hs_send in = { .room_id = room_id, .type = HS_S("m.room.message"), .txn_id = HS_S("t1") };
    hs_arena *a = hs_arena_open(1 << 20);

    test_ok(hs_tape_parse(a, HS_S("{\"msgtype\":\"m.text\",\"body\":\"hello\"}"), HS_JSON_OBJECT, &in.content));
    assert_int_equal(hs_room_send(x->w[0].srv, bob, a, &in, &id)->status, 403);
    join(&x->w[1], bob, room_id);
    test_ok(hs_fanout_fresh(x->w[0].srv, a));
    test_ok(hs_room_send(x->w[0].srv, bob, a, &in, &id));
    test_ok(hs_str_dup(x->w[0].db.a, id, &id));
    hs_arena_close(a);
    again = test_send(&x->w[0], bob, room_id, "hello", "t1");
    assert_true(hs_str_eq(id, again));
}

/* Between what the handler looked at and its refusal, what it did not know may have been told. */
static void a_refusal_that_the_news_outran_is_looked_at_once_more(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice");
    hs_str room_id = test_create(&x->w[0], alice, "{\"preset\":\"public_chat\"}");
    hs_http_hooks hooks = hs_worker_hooks();
    hs_arena *a = x->w[0].db.a;
    hs_req q = { .srv = x->w[0].srv, .a = a };
    hs_error *refusal = hs_err(a, 403, HS_M_FORBIDDEN, "Not in the room"), *e = refusal;

    test_ok(hs_fanout_fresh(x->w[0].srv, a));
    q.known = hs_fanout_position(x->w[0].srv);
    assert_false(hooks.once_more(&q, &e));
    assert_ptr_equal(e, refusal);
    test_send(&x->w[1], alice, room_id, "hello", NULL);
    test_ok(hs_fanout_fresh(x->w[0].srv, a));
    assert_true(hooks.once_more(&q, &e));
}

/* The one that does not know of the others' yet forks the room: the newest by position is not the deepest. */
static void the_newest_page_has_the_deeper_branch_too(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice");
    hs_str room_id = test_create(&x->w[0], alice, "{}");
    hs_messages_query newest = { .room_id = room_id, .limit = 4 };
    hs_messages_page page;
    hs_room *room;

    test_ok(hs_room_find(x->w[1].srv, x->w[0].db.a, room_id, &room));
    hs_bus_local_set_down(x->bus, true);
    for (int i = 0; i < 3; i++)
        test_send(&x->w[0], alice, room_id, "deep", NULL);
    test_send(&x->w[1], alice, room_id, "newest", NULL);
    hs_bus_local_set_down(x->bus, false);
    for (size_t i = 0; i < WORKERS; i++) {
        test_ok(hs_fanout_fresh(x->w[i].srv, x->w[0].db.a));
        test_ok(hs_messages_get(x->w[i].srv, alice, x->w[0].db.a, &newest, &page));
        assert_int_equal(page.chunk_n, 4);
        for (size_t k = 0; k < 4; k++)
            assert_true(hs_str_eq(page.chunk[k].event->ev->type, HS_S("m.room.message")));
    }
}

/* Pages to the end: which of the ids are there, and that nothing is there twice. */
static void assert_pages(test_rooms *t, const hs_session *who, hs_messages_query in, const hs_str *ids, size_t n)
{
    hs_str seen[64];
    size_t seen_n = 0, found = 0;
    hs_messages_page page;

    do {
        test_ok(hs_messages_get(t->srv, who, t->db.a, &in, &page));
        for (size_t i = 0; i < page.chunk_n; i++) {
            hs_str id = page.chunk[i].event->ev->event_id;

            if (!hs_str_eq(page.chunk[i].event->ev->type, HS_S("m.room.message")))
                continue;
            for (size_t k = 0; k < seen_n; k++)
                assert_false(hs_str_eq(seen[k], id));
            assert_true(seen_n < 64);
            seen[seen_n++] = id;
            for (size_t k = 0; k < n; k++)
                found += hs_str_eq(ids[k], id);
        }
        in.from = page.end;
    } while (page.end.p);
    assert_int_equal(found, n);
    assert_int_equal(seen_n, n);
}

/* A branch that is deeper than what came after it is in the pages from there, back and forth, whatever their size. */
static void pages_from_a_position_have_all_that_came_before_it_and_nothing_else(void **state)
{
    test_world *x = *state;
    hs_session *alice = test_user(&x->w[0], "alice");
    hs_str room_id = test_create(&x->w[0], alice, "{}"), ids[12], since, prev;
    hs_arena *a = x->w[0].db.a;
    hs_jv room;

    for (int i = 0; i < 2; i++)
        ids[i] = test_send(&x->w[0], alice, room_id, "before", NULL);
    test_ok(hs_fanout_fresh(x->w[1].srv, a));
    since = next_of(sync_of(&x->w[1], alice, (hs_str){ NULL, 0 }));
    hs_bus_local_set_down(x->bus, true);
    for (int i = 2; i < 7; i++)
        ids[i] = test_send(&x->w[0], alice, room_id, "deep", NULL);
    for (int i = 7; i < 9; i++)
        ids[i] = test_send(&x->w[1], alice, room_id, "shallow and later", NULL);
    hs_bus_local_set_down(x->bus, false);
    room =
        hs_jv_path(sync_with(&x->w[0], alice, since, "{\"room\":{\"timeline\":{\"limit\":1}}}"), "rooms", "join", NULL);
    prev = hs_jv_str_or_null(hs_jv_path(hs_jv_get(room, room_id), "timeline", "prev_batch", NULL));
    assert_true(prev.p);
    for (int i = 9; i < 12; i++)
        ids[i] = test_send(&x->w[1], alice, room_id, "after all that", NULL);
    for (size_t i = 0; i < WORKERS; i++)
        test_ok(hs_fanout_fresh(x->w[i].srv, a));
    for (int64_t limit = 1; limit <= 20; limit += limit) {
        hs_messages_query back = { .room_id = room_id, .limit = limit, .from = prev };
        hs_messages_query gap = { .room_id = room_id, .limit = limit, .from = prev, .to = since };
        hs_messages_query forth = { .room_id = room_id, .limit = limit, .from = since, .forwards = true };
        hs_messages_query to = { .room_id = room_id, .limit = limit, .from = since, .to = prev, .forwards = true };
        test_rooms *t = &x->w[limit % WORKERS];

        assert_pages(t, alice, back, ids, 8);
        assert_pages(t, alice, gap, ids + 2, 6);
        assert_pages(t, alice, forth, ids + 2, 10);
        assert_pages(t, alice, to, ids + 2, 6);
    }
}

static void page_tokens_are_read_as_they_are_written_and_the_older_ones_too(void **state)
{
    static const struct {
        const char *text;
        hs_page_token token;
        bool same;
    } T[] = {
        { "s58", { .pos = 58 }, true },
        { "s-3", { .pos = -3 }, true },
        { "t4_58", { .has_depth = true, .depth = 4, .pos = 58 }, true },
        { "t4_58_60", { true, 4, 58, HS_PAGE_UPTO, 60 }, true },
        { "f4_58_50", { true, 4, 58, HS_PAGE_AFTER, 50 }, true },
        { "t4-58_1_2_3", { .has_depth = true, .depth = 4, .pos = 58 }, false },
        { "t4-58", { .has_depth = true, .depth = 4, .pos = 58 }, false },
        { "h58_1.2", { .pos = 58 }, false },
        { "s58_1_2_3", { .pos = 58 }, false },
    };
    static const char *const BAD[] = {
        "t", "t4", "t4_", "t_5", "t4_5_", "t4_5_6_7", "f4", "f4-5", "s", "sx", "x5", ""
    };
    test_world *x = *state;
    hs_arena *a = x->w[0].db.a;
    hs_page_token got;
    hs_str text;

    for (size_t i = 0; i < sizeof T / sizeof *T; i++) {
        test_ok(hs_page_token_read(a, hs_str_c(T[i].text), &got));
        assert_true(got.has_depth == T[i].token.has_depth && got.depth == T[i].token.depth);
        assert_true(got.pos == T[i].token.pos && got.bound == T[i].token.bound);
        assert_int_equal(got.bound_pos, T[i].token.bound_pos);
        test_ok(hs_page_token_write(a, &got, &text));
        assert_true(!T[i].same || hs_str_eq(text, hs_str_c(T[i].text)));
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(hs_page_token_read(a, hs_str_c(BAD[i]), &got)->status, 400);
}

ON_FIBER(the_newest_page_has_the_deeper_branch_too)
ON_FIBER(pages_from_a_position_have_all_that_came_before_it_and_nothing_else)
ON_FIBER(page_tokens_are_read_as_they_are_written_and_the_older_ones_too)
ON_FIBER(what_one_worker_writes_the_others_show)
ON_FIBER(a_refusal_that_the_news_outran_is_looked_at_once_more)
ON_FIBER(who_was_refused_by_what_is_old_may_try_again_within_the_request)
ON_FIBER(who_remembers_that_nothing_relates_to_an_event_hears_of_what_does)
ON_FIBER(every_worker_has_the_same_room_in_memory)
ON_FIBER(writers_on_all_workers_make_one_order_that_all_show)
ON_FIBER(unread_counts_are_the_same_everywhere)
ON_FIBER(what_was_said_before_a_join_is_read_whoever_knew_of_it)
ON_FIBER(nothing_is_missed_while_the_bus_is_down)

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f##_, test_world_open, test_world_close)
    const struct CMUnitTest tests[] = {
        TEST(the_newest_page_has_the_deeper_branch_too),
        TEST(pages_from_a_position_have_all_that_came_before_it_and_nothing_else),
        TEST(page_tokens_are_read_as_they_are_written_and_the_older_ones_too),
        TEST(what_one_worker_writes_the_others_show),
        TEST(a_refusal_that_the_news_outran_is_looked_at_once_more),
        TEST(who_was_refused_by_what_is_old_may_try_again_within_the_request),
        TEST(who_remembers_that_nothing_relates_to_an_event_hears_of_what_does),
        TEST(every_worker_has_the_same_room_in_memory),
        TEST(writers_on_all_workers_make_one_order_that_all_show),
        TEST(unread_counts_are_the_same_everywhere),
        TEST(what_was_said_before_a_join_is_read_whoever_knew_of_it),
        TEST(nothing_is_missed_while_the_bus_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
