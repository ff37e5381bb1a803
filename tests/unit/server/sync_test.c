#include "server/sync.h"

#include "server/receipts.h"
#include "server/relations.h"
#include "server/sync_recent.h"
#include "server/timeline.h"
#include "server/typing.h"
#include "support/rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ── asking ── the answer lives as long as the test's arena */
static hs_jv sync_with(test_rooms *t, const hs_session *who, hs_str since, const char *filter, bool *ret_empty)
{
    hs_arena *a = hs_arena_open(64u << 20);
    hs_sync_filter *f;
    hs_sync_in in = { .has_since = since.p != NULL };
    hs_sync_made made;
    hs_str text;
    hs_buf b;
    hs_jv v;

    test_ok(hs_sync_filter_get(t->srv, who, a, hs_str_c(filter), &f));
    in.filter = &f->filter;
    in.filter_id = f->id;
    if (since.p)
        test_ok(hs_sync_token_read(a, since, &in.since));
    hs_buf_init(&b, a);
    test_ok(hs_sync(t->srv, who, a, &in, &b, &made));
    *ret_empty = made.empty;
    test_ok(hs_buf_flatten(&b, &text));
    test_ok(hs_str_dup(t->db.a, text, &text));
    hs_arena_close(a);
    if (getenv("HS_TEST_SHOW"))
        fprintf(stderr, "%.*s\n\n", HS_FMT(text));
    test_ok(hs_tape_parse(t->db.a, text, HS_JSON_OBJECT, &v));
    return v;
}

static hs_jv sync_since(test_rooms *t, const hs_session *who, hs_str since)
{
    bool empty;

    return sync_with(t, who, since, NULL, &empty);
}

static hs_str next_of(hs_jv answer)
{
    return hs_jv_str_or_null(hs_jv_get(answer, HS_S("next_batch")));
}

static hs_jv room_in(hs_jv answer, const char *section, hs_str room_id)
{
    return hs_jv_get(hs_jv_path(answer, "rooms", section, NULL), room_id);
}

static hs_jv element(hs_jv array, size_t i)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(array, &it);) {
        if (!i--)
            return it.value;
    }
    return (hs_jv){ NULL, 0 };
}

static hs_str body_of(hs_jv event)
{
    return hs_jv_str_or_null(hs_jv_path(event, "content", "body", NULL));
}

static void assert_bodies(hs_jv events, const char *const *want, size_t n)
{
    assert_int_equal(hs_jv_count(events), n);
    for (size_t i = 0; i < n; i++) {
        hs_str body = body_of(element(events, i));

        if (!hs_str_eq(body, hs_str_c(want[i])))
            fail_msg("event %zu says '%.*s', not '%s'", i, HS_FMT(body), want[i]);
    }
}

static int64_t number(hs_jv v, const char *a, const char *b)
{
    int64_t n = -1;

    hs_jv_int(hs_jv_path(v, a, b, NULL), &n);
    return n;
}

static bool has_state(hs_jv room, const char *type, const char *key)
{
    hs_jv events = hs_jv_path(room, "state", "events", NULL);

    for (hs_jv_iter it = { 0 }; hs_jv_next(events, &it);) {
        if (hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("type"))), hs_str_c(type)) &&
            hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("state_key"))), hs_str_c(key)))
            return true;
    }
    return false;
}

static void change(test_rooms *t, const hs_session *who, hs_member_action action, hs_str room_id, const char *target)
{
    hs_member_change c = { .action = action, .room_id = room_id, .target = hs_str_c(target) };

    test_ok(hs_room_member_change(t->srv, who, t->db.a, &c, NULL));
}

static hs_str send_content(test_rooms *t, const hs_session *who, hs_str room_id, const char *type, const char *content)
{
    hs_send in = { .room_id = room_id, .type = hs_str_c(type), .content = test_json(t->db.a, content) };
    hs_str id;

    test_ok(hs_room_send(t->srv, who, t->db.a, &in, &id));
    return id;
}

static void set_state(test_rooms *t, const hs_session *who, hs_str room_id, const char *type, const char *content)
{
    hs_send in = {
        .room_id = room_id, .type = hs_str_c(type), .state_key = HS_S(""), .content = test_json(t->db.a, content)
    };
    hs_str id;

    test_ok(hs_room_send_state(t->srv, who, t->db.a, &in, &id));
}

static void read_up_to(test_rooms *t, const hs_session *who, hs_str room_id, hs_str event_id, const char *type,
                       const char *thread)
{
    hs_receipt_wish in = { room_id, event_id, hs_str_c(type), hs_str_c(thread) };

    test_ok(hs_receipt_put(t->srv, who, t->db.a, &in));
}

/* ── tests ── */
static void tokens_are_read_as_written_and_as_synapses(void **state)
{
    static const struct {
        const char *text;
        int64_t pos, to_device;
    } GOOD[] = { { "s58_224_0_13_10_1_17_16_0_1", 58, 17 },
                 { "s72594_4483_1934", 72594, 72594 },
                 { "t426-58_0_0_0_0_0_0_0_0_0_0", 58, 0 },
                 { "m56~2.58~3.59_1_2", 56, 56 },
                 { "h12_77.3", 12, 12 },
                 { "h12_77.3_5", 12, 5 } };
    static const char *const BAD[] = { "",
                                       "x",
                                       "s",
                                       "sx",
                                       "s-1",
                                       "h1",
                                       "h1_2",
                                       "h1_2.x",
                                       "h1_2.3_",
                                       "h1_2.3_x",
                                       "h1_2.3_4_5_6",
                                       "h1_2.3_4_",
                                       "h1_2.3_-4",
                                       "t1",
                                       "s1_x",
                                       "hello",
                                       "s58_",
                                       "s1_1_1_1_1_1_1_1_1_1_1_1_1_1_1_1_1",
                                       "s99999999999999999999" };
    hs_arena *a = hs_arena_open(1 << 16);
    hs_sync_token t, same;
    hs_str text;
    (void)state;

    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        test_ok(hs_sync_token_read(a, hs_str_c(GOOD[i].text), &t));
        assert_int_equal(t.pos, GOOD[i].pos);
        assert_int_equal(t.to_device, GOOD[i].to_device);
        assert_int_equal(t.sticky, t.pos);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        hs_error *e = hs_sync_token_read(a, hs_str_c(BAD[i]), &t);
        if (!e)
            fail_msg("'%s' was accepted", BAD[i]);
        assert_int_equal(e->status, 400);
    }
    for (int i = 0; i < 4; i++) {
        t = (hs_sync_token){ 99, 1234567, 8, i & 1 ? 98 : 99, i & 2 ? 97 : 99 };
        test_ok(hs_sync_token_write(a, &t, &text));
        test_ok(hs_sync_token_read(a, text, &same));
        assert_memory_equal(&t, &same, sizeof t);
    }
    hs_arena_close(a);
}

static void a_first_sync_shows_the_room_and_the_next_only_what_is_new(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str room = test_create(t, alice, "{\"preset\":\"public_chat\",\"name\":\"N\"}");
    hs_jv first, second, third, r;
    bool empty;

    change(t, bob, HS_CHANGE_JOIN, room, NULL);
    first = sync_since(t, bob, hs_str_make(NULL, 0));
    r = room_in(first, "join", room);
    assert_true(hs_jv_is(r));
    assert_int_equal(hs_jv_count(hs_jv_path(r, "timeline", "events", NULL)) +
                         hs_jv_count(hs_jv_path(r, "state", "events", NULL)),
                     7);

    test_send(t, alice, room, "one", NULL);
    test_send(t, alice, room, "two", NULL);
    second = sync_since(t, bob, next_of(first));
    r = room_in(second, "join", room);
    assert_bodies(hs_jv_path(r, "timeline", "events", NULL), (const char *[]){ "one", "two" }, 2);
    assert_false(hs_jv_is(hs_jv_get(element(hs_jv_path(r, "timeline", "events", NULL), 0), HS_S("room_id"))));
    assert_int_equal(hs_jv_count(hs_jv_path(r, "state", "events", NULL)), 0);
    assert_int_equal(hs_jv_type_of(hs_jv_path(r, "timeline", "limited", NULL)), HS_JV_FALSE);
    assert_int_equal(number(r, "unread_notifications", "notification_count"), 2);

    third = sync_with(t, bob, next_of(second), NULL, &empty);
    assert_true(empty);
    assert_false(hs_jv_is(hs_jv_get(third, HS_S("rooms"))));
}

static void two_members_share_a_timeline_but_not_a_transaction(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob"), *carol = test_user(t, "carol");
    hs_str room = test_create(t, alice, "{\"preset\":\"public_chat\"}");
    hs_jv a, b, c;
    hs_str since[3], none = { NULL, 0 };

    change(t, bob, HS_CHANGE_JOIN, room, NULL);
    change(t, carol, HS_CHANGE_JOIN, room, NULL);
    since[0] = next_of(sync_since(t, alice, none));
    since[1] = next_of(sync_since(t, bob, none));
    since[2] = next_of(sync_since(t, carol, none));
    test_send(t, alice, room, "hello", "txn");
    b = sync_since(t, bob, since[1]);
    c = sync_since(t, carol, since[2]);
    a = sync_since(t, alice, since[0]);
    b = element(hs_jv_path(room_in(b, "join", room), "timeline", "events", NULL), 0);
    c = element(hs_jv_path(room_in(c, "join", room), "timeline", "events", NULL), 0);
    a = element(hs_jv_path(room_in(a, "join", room), "timeline", "events", NULL), 0);
    assert_true(hs_str_eq(hs_jv_raw(b), hs_jv_raw(c)));
    assert_false(hs_jv_is(hs_jv_path(b, "unsigned", "transaction_id", NULL)));
    assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_path(a, "unsigned", "transaction_id", NULL)), HS_S("txn")));
}

static void a_gap_is_limited_and_paging_back_from_it_misses_nothing(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_str room = test_create(t, alice, "{}"), since = next_of(sync_since(t, alice, hs_str_make(NULL, 0)));
    hs_jv r, events;
    bool empty;
    hs_messages_query in = { .room_id = room, .limit = 7 };
    hs_messages_page page;
    char text[16];
    int expected;

    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "%d", i);
        test_send(t, alice, room, text, NULL);
        if (i == 10)
            set_state(t, alice, room, "m.room.topic", "{\"topic\":\"in the gap\"}");
    }
    r = room_in(sync_with(t, alice, since, "{\"room\":{\"timeline\":{\"limit\":5}}}", &empty), "join", room);
    events = hs_jv_path(r, "timeline", "events", NULL);
    assert_bodies(events, (const char *[]){ "25", "26", "27", "28", "29" }, 5);
    assert_int_equal(hs_jv_type_of(hs_jv_path(r, "timeline", "limited", NULL)), HS_JV_TRUE);
    assert_int_equal(hs_jv_count(hs_jv_path(r, "state", "events", NULL)), 1);
    assert_true(has_state(r, "m.room.topic", ""));

    in.from = hs_jv_str_or_null(hs_jv_path(r, "timeline", "prev_batch", NULL));
    expected = 24;
    do {
        test_ok(hs_messages_get(t->srv, alice, t->db.a, &in, &page));
        for (size_t i = 0; i < page.chunk_n && expected >= 0; i++) {
            hs_str body = hs_jv_str_or_null(hs_jv_get(page.chunk[i].event->ev->content, HS_S("body")));

            if (!body.p)
                continue; /* the topic */
            snprintf(text, sizeof text, "%d", expected--);
            assert_true(hs_str_eq(body, hs_str_c(text)));
        }
        in.from = page.end;
    } while (page.end.p);
    assert_int_equal(expected, -1);
}

static void pages_meet_in_both_directions(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_str room = test_create(t, alice, "{}");
    hs_messages_query in = { .room_id = room, .limit = 4, .forwards = true };
    hs_messages_page page;
    hs_event_context c;
    hs_str middle = { NULL, 0 };
    size_t seen = 0;

    for (int i = 0; i < 20; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        hs_str id = test_send(t, alice, room, text, NULL);
        if (i == 10)
            middle = id;
    }
    do {
        test_ok(hs_messages_get(t->srv, alice, t->db.a, &in, &page));
        seen += page.chunk_n;
        in.from = page.end;
    } while (page.end.p);
    assert_int_equal(seen, 26);

    test_ok(hs_context_get(t->srv, alice, t->db.a, room, middle, 6, NULL, &c));
    assert_int_equal(c.before_n, 3);
    assert_int_equal(c.after_n, 3);
    assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_get(c.before[0].event->ev->content, HS_S("body"))), HS_S("9")));
    assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_get(c.after[2].event->ev->content, HS_S("body"))), HS_S("13")));
    in = (hs_messages_query){ .room_id = room, .limit = 1, .from = c.start };
    test_ok(hs_messages_get(t->srv, alice, t->db.a, &in, &page));
    assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_get(page.chunk[0].event->ev->content, HS_S("body"))), HS_S("6")));
    in = (hs_messages_query){ .room_id = room, .limit = 1, .from = c.end, .forwards = true };
    test_ok(hs_messages_get(t->srv, alice, t->db.a, &in, &page));
    assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_get(page.chunk[0].event->ev->content, HS_S("body"))), HS_S("14")));
}

static void invites_joins_and_leaves_change_the_section(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str room = test_create(t, alice, "{\"name\":\"N\",\"invite\":[\"@bob:test\"]}"), none = { NULL, 0 }, token;
    hs_jv answer, r;

    answer = sync_since(t, bob, none);
    r = room_in(answer, "invite", room);
    assert_true(hs_jv_is(r));
    assert_true(hs_jv_count(hs_jv_path(r, "invite_state", "events", NULL)) >= 4);
    token = next_of(answer);

    change(t, bob, HS_CHANGE_JOIN, room, NULL);
    answer = sync_since(t, bob, token);
    r = room_in(answer, "join", room);
    assert_true(hs_jv_is(r));
    assert_false(hs_jv_is(room_in(answer, "invite", room)));
    assert_int_equal(hs_jv_type_of(hs_jv_path(r, "timeline", "limited", NULL)), HS_JV_TRUE);
    token = next_of(answer);

    test_send(t, alice, room, "before", NULL);
    change(t, bob, HS_CHANGE_LEAVE, room, NULL);
    test_send(t, alice, room, "after", NULL);
    answer = sync_since(t, bob, token);
    r = room_in(answer, "leave", room);
    assert_true(hs_jv_is(r));
    assert_false(hs_jv_is(room_in(answer, "join", room)));
    assert_int_equal(hs_jv_count(hs_jv_path(r, "timeline", "events", NULL)), 2);
    assert_true(hs_str_eq(body_of(element(hs_jv_path(r, "timeline", "events", NULL), 0)), HS_S("before")));
    token = next_of(answer);

    test_send(t, alice, room, "later", NULL);
    answer = sync_since(t, bob, token);
    assert_false(hs_jv_is(hs_jv_get(answer, HS_S("rooms"))));

    change(t, alice, HS_CHANGE_INVITE, room, "@bob:test");
    change(t, bob, HS_CHANGE_JOIN, room, NULL);
    answer = sync_since(t, bob, token);
    r = room_in(answer, "join", room);
    assert_true(hs_jv_is(r));
    assert_true(has_state(r, "m.room.create", "") || hs_jv_count(hs_jv_path(r, "timeline", "events", NULL)) > 10);
}

static void a_lazy_client_is_told_of_senders_once(void **state)
{
    static const char LAZY[] = "{\"room\":{\"state\":{\"lazy_load_members\":true},\"timeline\":{\"limit\":1}}}";
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob"), *carol = test_user(t, "carol");
    hs_str room = test_create(t, alice, "{\"preset\":\"public_chat\"}"), none = { NULL, 0 }, token;
    hs_jv answer, r;
    bool empty;

    change(t, bob, HS_CHANGE_JOIN, room, NULL);
    change(t, carol, HS_CHANGE_JOIN, room, NULL);
    test_send(t, alice, room, "x", NULL);
    answer = sync_with(t, carol, none, LAZY, &empty);
    r = room_in(answer, "join", room);
    assert_true(has_state(r, "m.room.member", "@alice:test"));
    assert_true(has_state(r, "m.room.member", "@carol:test"));
    assert_int_equal(number(r, "summary", "m.joined_member_count"), 3);
    assert_int_equal(hs_jv_count(hs_jv_path(r, "summary", "m.heroes", NULL)), 2);
    token = next_of(answer);

    test_send(t, alice, room, "y", NULL);
    answer = sync_with(t, carol, token, LAZY, &empty);
    assert_int_equal(hs_jv_count(hs_jv_path(room_in(answer, "join", room), "state", "events", NULL)), 0);
    token = next_of(answer);

    test_send(t, bob, room, "z", NULL);
    answer = sync_with(t, carol, token, LAZY, &empty);
    r = room_in(answer, "join", room);
    /* A hero: told with the summary already. */
    assert_int_equal(hs_jv_count(hs_jv_path(r, "state", "events", NULL)), 0);
}

static void relations_are_bundled_and_listed(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str room = test_create(t, alice, "{\"preset\":\"public_chat\"}"), root, reply, edit, reaction;
    hs_relations_query q = { .room_id = room, .limit = 10 };
    hs_relations_page page;
    hs_dressed d;
    hs_room *r;
    hs_redact redact = { .room_id = room };
    char text[512];
    hs_send again = { .room_id = room, .type = HS_S("m.reaction") };
    hs_error *e;

    change(t, bob, HS_CHANGE_JOIN, room, NULL);
    root = test_send(t, alice, room, "root", NULL);
    snprintf(text, sizeof text,
             "{\"msgtype\":\"m.text\",\"body\":\"reply\",\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":\"%.*"
             "s\"}}",
             HS_FMT(root));
    reply = send_content(t, bob, room, "m.room.message", text);
    snprintf(text, sizeof text,
             "{\"msgtype\":\"m.text\",\"body\":\"* r2\",\"m.new_content\":{\"body\":\"r2\",\"msgtype\":\"m.text\"},"
             "\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":\"%.*s\"}}",
             HS_FMT(root));
    edit = send_content(t, alice, room, "m.room.message", text);
    send_content(t, bob, room, "m.room.message", text); /* not the sender's: does not count */
    snprintf(text, sizeof text,
             "{\"m.relates_to\":{\"rel_type\":\"m.annotation\",\"event_id\":\"%.*s\",\"key\":\"+\"}}", HS_FMT(root));
    reaction = send_content(t, bob, room, "m.reaction", text);
    again.content = test_json(t->db.a, text);
    e = hs_room_send(t->srv, bob, t->db.a, &again, &redact.event_id);
    assert_non_null(e);
    assert_int_equal(e->code, HS_M_DUPLICATE_ANNOTATION);

    test_ok(hs_timeline_event(t->srv, bob, t->db.a, room, root, &r, &d));
    test_ok(hs_timeline_dress(t->srv, t->db.a, bob, HS_DRESS_BUNDLE, &d, 1));
    assert_non_null(d.edit);
    assert_true(hs_str_eq(d.edit->event->ev->event_id, edit));
    assert_int_equal(d.thread_count, 1);
    assert_true(d.participated);
    assert_true(hs_str_eq(d.thread_last->event->ev->event_id, reply));

    q.event_id = root;
    test_ok(hs_relations_list(t->srv, alice, t->db.a, &q, &page));
    assert_int_equal(page.n, 4);
    assert_true(hs_str_eq(page.events[0].event->ev->event_id, reaction));
    q.rel_type = HS_S("m.thread");
    test_ok(hs_relations_list(t->srv, alice, t->db.a, &q, &page));
    assert_int_equal(page.n, 1);
    q.rel_type.p = NULL;
    q.limit = 3;
    q.forwards = true;
    test_ok(hs_relations_list(t->srv, alice, t->db.a, &q, &page));
    assert_int_equal(page.n, 3);
    assert_non_null(page.next_batch.p);
    q.from = page.next_batch;
    test_ok(hs_relations_list(t->srv, alice, t->db.a, &q, &page));
    assert_int_equal(page.n, 1);
    assert_null(page.next_batch.p);

    /* The reply is redacted: no thread any more. */
    redact.event_id = reply;
    redact.content = test_json(t->db.a, "{}");
    hs_str id;
    test_ok(hs_room_redact(t->srv, bob, t->db.a, &redact, &id));
    test_ok(hs_timeline_event(t->srv, bob, t->db.a, room, root, &r, &d));
    test_ok(hs_timeline_dress(t->srv, t->db.a, bob, HS_DRESS_BUNDLE, &d, 1));
    assert_null(d.thread_last);
    test_ok(hs_timeline_event(t->srv, bob, t->db.a, room, reply, &r, &d));
    test_ok(hs_timeline_dress(t->srv, t->db.a, bob, HS_DRESS_BUNDLE, &d, 1));
    assert_non_null(d.redaction);
}

static void history_before_the_join_is_hidden_where_the_room_says_so(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str none = { NULL, 0 };
    hs_str room = test_create(t, alice,
                              "{\"preset\":\"public_chat\",\"initial_state\":[{\"type\":\"m.room.history_visibility\","
                              "\"content\":{\"history_visibility\":\"joined\"}}]}");
    hs_messages_query in = { .room_id = room, .limit = 100 };
    hs_messages_page page;
    hs_jv r;

    test_send(t, alice, room, "secret", NULL);
    change(t, bob, HS_CHANGE_JOIN, room, NULL);
    test_send(t, alice, room, "open", NULL);
    r = room_in(sync_since(t, bob, none), "join", room);
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(r, "timeline", "events", NULL), &it);)
        assert_false(hs_str_eq(body_of(it.value), HS_S("secret")));
    test_ok(hs_messages_get(t->srv, bob, t->db.a, &in, &page));
    /* What was said before the visibility was set is shared, as is the setting itself. */
    assert_int_equal(page.chunk_n, 7);
    for (size_t i = 0; i < page.chunk_n; i++)
        assert_false(
            hs_str_eq(hs_jv_str_or_null(hs_jv_get(page.chunk[i].event->ev->content, HS_S("body"))), HS_S("secret")));
    test_ok(hs_messages_get(t->srv, alice, t->db.a, &in, &page));
    assert_int_equal(page.chunk_n, 8);
}

static void receipts_and_typing_are_ephemeral(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str room = test_create(t, alice, "{\"preset\":\"public_chat\"}"), none = { NULL, 0 }, token, event, mine;
    hs_jv answer, r, content;
    bool empty;

    change(t, bob, HS_CHANGE_JOIN, room, NULL);
    event = test_send(t, alice, room, "x", NULL);
    token = next_of(sync_since(t, bob, none));
    mine = next_of(sync_since(t, alice, none));
    read_up_to(t, bob, room, event, "m.read", NULL);
    read_up_to(t, bob, room, event, "m.read", NULL); /* nothing new */
    answer = sync_since(t, bob, token);
    r = room_in(answer, "join", room);
    assert_int_equal(number(r, "unread_notifications", "notification_count"), 0);
    content = hs_jv_get(element(hs_jv_path(r, "ephemeral", "events", NULL), 0), HS_S("content"));
    assert_true(hs_jv_is(hs_jv_get(hs_jv_get(hs_jv_get(content, event), HS_S("m.read")), bob->user_id)));
    token = next_of(answer);
    read_up_to(t, bob, room, event, "m.read.private", NULL);
    sync_with(t, bob, token, NULL, &empty);
    assert_false(empty);
    r = room_in(sync_since(t, alice, mine), "join", room);
    content = hs_jv_get(element(hs_jv_path(r, "ephemeral", "events", NULL), 0), HS_S("content"));
    assert_false(hs_jv_is(hs_jv_get(hs_jv_get(content, event), HS_S("m.read.private"))));

    token = next_of(sync_since(t, bob, none));
    test_ok(hs_typing_set(t->srv, alice, t->db.a, room, alice->user_id, true, 30000));
    r = room_in(sync_since(t, bob, token), "join", room);
    content = hs_jv_get(element(hs_jv_path(r, "ephemeral", "events", NULL), 0), HS_S("content"));
    assert_int_equal(hs_jv_count(hs_jv_get(content, HS_S("user_ids"))), 1);
}

/* ── counts against a model that knows every message ── */
enum { PEOPLE = 4, STEPS = 120 };
typedef struct {
    int sender;
    int thread; /* index of its root; -1: the main timeline */
    bool notifies;
    int meant; /* who is mentioned; -1: nobody */
    bool redacted;
    hs_str id;
} said;

static void counts_agree_with_a_naive_model(void **state)
{
    static const char *const NAMES[PEOPLE] = { "ann", "ben", "cyd", "dot" };
    test_rooms *t = *state;
    hs_session *who[PEOPLE];
    said log[STEPS];
    int n = 0, read[PEOPLE] = { -1, -1, -1, -1 }, thread_read[PEOPLE][STEPS];
    unsigned rnd = 7;
    hs_str room, none = { NULL, 0 };
    char text[512];

    for (int p = 0; p < PEOPLE; p++)
        who[p] = test_user(t, NAMES[p]);
    room = test_create(t, who[0], "{\"preset\":\"public_chat\"}");
    for (int p = 1; p < PEOPLE; p++)
        change(t, who[p], HS_CHANGE_JOIN, room, NULL);
    for (int p = 0; p < PEOPLE; p++)
        for (int i = 0; i < STEPS; i++)
            thread_read[p][i] = -1;

    while (n < STEPS) {
        said s = { .thread = -1, .meant = -1, .notifies = true };
        char relates[256] = "", mentions[64] = "";

        rnd = rnd * 1103515245u + 12345u;
        unsigned dice = (rnd >> 16) % 100;
        s.sender = (int)((rnd >> 8) % PEOPLE);
        if (n && dice < 25) {
            /* Somebody reads, maybe only a thread. */
            int at = (int)((rnd >> 4) % (unsigned)n);
            bool threaded = dice < 10;
            const said *target = &log[at];
            int root = target->thread;

            if (threaded && root >= 0) {
                snprintf(text, sizeof text, "%.*s", HS_FMT(log[root].id));
                read_up_to(t, who[s.sender], room, target->id, "m.read", text);
                if (thread_read[s.sender][root] < at)
                    thread_read[s.sender][root] = at;
            } else if (!threaded) {
                read_up_to(t, who[s.sender], room, target->id, dice & 1 ? "m.read" : "m.read.private", NULL);
                if (read[s.sender] < at)
                    read[s.sender] = at;
            }
        } else if (n && dice < 30) {
            int at = (int)((rnd >> 4) % (unsigned)n);
            hs_redact redact = { .room_id = room, .event_id = log[at].id, .content = test_json(t->db.a, "{}") };
            hs_str id;

            if (!log[at].redacted) {
                test_ok(hs_room_redact(t->srv, who[0], t->db.a, &redact, &id));
                log[at].redacted = true;
            }
        } else {
            const char *msgtype = dice < 40 ? "m.notice" : "m.text";

            s.notifies = dice >= 40;
            if (n && dice % 3 == 0) {
                int root = (int)((rnd >> 5) % (unsigned)n);
                if (log[root].thread < 0 && !log[root].redacted) {
                    s.thread = root;
                    snprintf(relates, sizeof relates,
                             ",\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":\"%.*s\"}",
                             HS_FMT(log[root].id));
                }
            }
            if (dice > 85) {
                s.meant = (int)((rnd >> 3) % PEOPLE);
                if (dice % 2)
                    snprintf(mentions, sizeof mentions, ",\"m.mentions\":{\"user_ids\":[\"@%s:test\"]}",
                             NAMES[s.meant]);
            }
            snprintf(text, sizeof text, "{\"msgtype\":\"%s\",\"body\":\"well %s, %d\"%s%s}", msgtype,
                     s.meant >= 0 && !mentions[0] ? NAMES[s.meant] : "then", n, mentions, relates);
            s.id = send_content(t, who[s.sender], room, "m.room.message", text);
            log[n++] = s;
        }

        if (dice % 5 && n < STEPS)
            continue;
        for (int p = 0; p < PEOPLE; p++) {
            int64_t notify = 0, high = 0;
            hs_jv r = room_in(sync_since(t, who[p], none), "join", room);

            for (int i = 0; i < n; i++) {
                int upto = read[p];
                bool meant = log[i].meant == p;

                if (log[i].thread >= 0 && thread_read[p][log[i].thread] > upto)
                    upto = thread_read[p][log[i].thread];
                if (log[i].sender == p || log[i].redacted || i <= upto || (!log[i].notifies && !meant))
                    continue;
                notify++;
                high += meant;
            }
            assert_int_equal(number(r, "unread_notifications", "notification_count"), notify);
            assert_int_equal(number(r, "unread_notifications", "highlight_count"), high);
        }
    }
}

/* ── whole answers ── */
enum { AT_ONCE = 100 };

typedef struct {
    test_rooms *t;
    const hs_session *who;
    const char *filter;
    hs_str text; /* of the test's arena */
    int *left;
} asker;

static hs_str ask_whole(test_rooms *t, const hs_session *who, const char *filter)
{
    hs_arena *a = hs_arena_open(64u << 20);
    hs_sync_in in = { 0 };
    hs_sync_filter *f;
    hs_str text;
    hs_buf b;

    test_ok(hs_sync_filter_get(t->srv, who, a, hs_str_c(filter), &f));
    in.filter = &f->filter;
    in.filter_id = f->id;
    hs_buf_init(&b, a);
    test_ok(hs_sync_whole(t->srv, who, a, &in, &b));
    test_ok(hs_buf_flatten(&b, &text));
    test_ok(hs_str_dup(t->db.a, text, &text));
    hs_arena_close(a);
    return text;
}

static void ask_on_fiber(void *ud)
{
    asker *x = ud;

    x->text = ask_whole(x->t, x->who, x->filter);
    --*x->left;
}

static size_t place_of(hs_str text, hs_str what)
{
    const char *at = memmem(text.p, text.n, what.p, what.n);

    return at ? (size_t)(at - text.p) : text.n;
}

static uint64_t made(const test_rooms *t)
{
    const hs_cache *c = &t->srv->waiters->answer_cache;

    return c->lookups - c->hits;
}

static uint64_t reused(const test_rooms *t)
{
    return t->srv->waiters->answer_cache.hits;
}

/* X06: a hundred first syncs at once that are the same are one computation, whoever else asks for something else. */
static void first_syncs_at_once_are_computed_once(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    asker x[AT_ONCE + 2];
    int left = AT_ONCE + 2;

    for (int i = 0; i < 5; i++)
        test_send(t, alice, test_create(t, alice, "{}"), "hello", NULL);
    for (int i = 0; i < AT_ONCE + 2; i++) {
        x[i] = (asker){ .t = t, .who = alice, .left = &left };
        if (i == 3)
            x[i].who = bob;
        if (i == 5)
            x[i].filter = "{\"room\":{\"timeline\":{\"limit\":1}}}";
        test_ok(hs_fiber_spawn(t->db.loop, ask_on_fiber, &x[i]));
    }
    while (left)
        hs_fiber_sleep(t->db.loop, 1);
    assert_int_equal(made(t), 3);
    assert_int_equal(reused(t), AT_ONCE - 1);
    for (int i = 1; i < AT_ONCE + 2; i++)
        assert_true(hs_str_eq(x[i].text, x[0].text) == (i != 3 && i != 5));
    (void)ask_whole(t, alice, NULL);
    assert_int_equal(made(t), 4); /* nothing is kept where the configuration does not say so */
}

static void a_repeated_first_sync_is_made_anew_when_something_has_happened(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str room, first, next;
    hs_jv v;

    t->config.sync_answers_ms = 60000;
    room = test_create(t, alice, "{\"preset\":\"public_chat\"}");
    first = ask_whole(t, alice, NULL);
    assert_true(hs_str_eq(ask_whole(t, alice, NULL), first));
    assert_int_equal(reused(t), 1);
    (void)test_create(t, bob, "{}"); /* somebody else's news count too */
    (void)ask_whole(t, alice, NULL);
    assert_int_equal(made(t), 2);

    test_send(t, alice, room, "mine", NULL);
    next = ask_whole(t, alice, NULL);
    assert_true(place_of(next, HS_S("mine")) < next.n);
    assert_int_equal(made(t), 3);

    test_ok(hs_tape_parse(t->db.a, next, HS_JSON_OBJECT, &v));
    hs_sync_token token;
    test_ok(hs_sync_token_read(t->db.a, next_of(v), &token));
    hs_sync_answers_taken(t->srv, alice, token.pos);
    assert_true(ask_whole(t, alice, NULL).n > 0);
    assert_int_equal(made(t), 4);
    assert_int_equal(reused(t), 1);
}

TEST_ROOMS_ON_FIBER(a_first_sync_shows_the_room_and_the_next_only_what_is_new)
TEST_ROOMS_ON_FIBER(two_members_share_a_timeline_but_not_a_transaction)
TEST_ROOMS_ON_FIBER(a_gap_is_limited_and_paging_back_from_it_misses_nothing)
TEST_ROOMS_ON_FIBER(pages_meet_in_both_directions)
TEST_ROOMS_ON_FIBER(invites_joins_and_leaves_change_the_section)
TEST_ROOMS_ON_FIBER(a_lazy_client_is_told_of_senders_once)
TEST_ROOMS_ON_FIBER(relations_are_bundled_and_listed)
TEST_ROOMS_ON_FIBER(history_before_the_join_is_hidden_where_the_room_says_so)
TEST_ROOMS_ON_FIBER(receipts_and_typing_are_ephemeral)
TEST_ROOMS_ON_FIBER(counts_agree_with_a_naive_model)
TEST_ROOMS_ON_FIBER(first_syncs_at_once_are_computed_once)
TEST_ROOMS_ON_FIBER(a_repeated_first_sync_is_made_anew_when_something_has_happened)

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f##_, test_rooms_setup, test_rooms_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_read_as_written_and_as_synapses),
        TEST(a_first_sync_shows_the_room_and_the_next_only_what_is_new),
        TEST(two_members_share_a_timeline_but_not_a_transaction),
        TEST(a_gap_is_limited_and_paging_back_from_it_misses_nothing),
        TEST(pages_meet_in_both_directions),
        TEST(invites_joins_and_leaves_change_the_section),
        TEST(a_lazy_client_is_told_of_senders_once),
        TEST(relations_are_bundled_and_listed),
        TEST(history_before_the_join_is_hidden_where_the_room_says_so),
        TEST(receipts_and_typing_are_ephemeral),
        TEST(counts_agree_with_a_naive_model),
        TEST(first_syncs_at_once_are_computed_once),
        TEST(a_repeated_first_sync_is_made_anew_when_something_has_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
