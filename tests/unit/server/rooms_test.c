#include "support/rooms.h"

#include "server/event_receive.h"
#include "server/push_rules.h"
#include "server/receipts.h"
#include "server/room_state.h"
#include "server/unread.h"
#include "server/upkeep.h"
#include "store/events.h"
#include "store/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static hs_room *room_of(test_rooms *t, hs_str room_id)
{
    hs_room *room;

    test_ok(hs_room_find(t->srv, t->db.a, room_id, &room));
    assert_non_null(room);
    return room;
}

static void assert_types(const hs_room *room, const char *const *types, size_t n)
{
    for (size_t i = 0; i < room->recent_n && i < n; i++) {
        hs_str type = room->recent[i].event->ev->type;
        if (!hs_str_eq(type, hs_str_c(types[i])))
            fail_msg("event %zu is %.*s, not %s", i, HS_FMT(type), types[i]);
    }
    assert_int_equal(room->recent_n, n);
}

static hs_str content_at(test_rooms *t, hs_room *room, const char *type, const char *key)
{
    hs_stored *s;

    test_ok(hs_room_state_get(t->srv, t->db.a, room, hs_str_c(type), HS_S(""), &s));
    return s ? hs_jv_str_or_null(hs_jv_get(s->ev->content, hs_str_c(key))) : hs_str_make(NULL, 0);
}

static void assert_str(hs_str s, const char *want)
{
    if (!hs_str_eq(s, hs_str_c(want)))
        fail_msg("'%.*s' is not '%s'", HS_FMT(s), want);
}

/* The graph is a line: each event follows the one before, with the next depth and a later position. */
static void assert_linear(const hs_room *room)
{
    for (size_t i = 1; i < room->recent_n; i++) {
        const hs_event *ev = room->recent[i].event->ev, *before = room->recent[i - 1].event->ev;
        assert_int_equal(ev->prev_n, 1);
        assert_true(hs_str_eq(ev->prev[0], before->event_id));
        assert_int_equal(ev->depth, before->depth + 1);
        assert_true(room->recent[i].pos > room->recent[i - 1].pos);
    }
    assert_int_equal(room->heads.n, 1);
    assert_int_equal(room->heads.at[0], room->recent[room->recent_n - 1].event->nid);
}

static void a_private_room_has_synapses_events_in_its_order(void **state)
{
    static const char *const TYPES[] = {
        "m.room.create",       "m.room.member", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility",
        "m.room.guest_access", "m.room.name",   "m.room.topic",        "m.room.member"
    };
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_room *room = room_of(t, test_create(t, alice, "{\"name\":\"N\",\"topic\":\"T\",\"invite\":[\"@bob:test\"]}"));

    assert_types(room, TYPES, 9);
    assert_linear(room);
    assert_str(content_at(t, room, "m.room.join_rules", "join_rule"), "invite");
    assert_str(content_at(t, room, "m.room.history_visibility", "history_visibility"), "shared");
    assert_str(content_at(t, room, "m.room.guest_access", "guest_access"), "can_join");
    assert_str(content_at(t, room, "m.room.create", "room_version"), "11");
    assert_int_equal(room->joined, 1);
    assert_int_equal(room->invited, 1);
    assert_int_equal(room->local_members_n, 1);
}

static void a_public_room_is_open_and_closed_to_guests(void **state)
{
    static const char *const TYPES[] = { "m.room.create",          "m.room.member",     "m.room.power_levels",
                                         "m.room.canonical_alias", "m.room.join_rules", "m.room.history_visibility" };
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_room *room = room_of(t, test_create(t, alice, "{\"visibility\":\"public\",\"room_alias_name\":\"open\"}"));

    assert_types(room, TYPES, 6);
    assert_str(content_at(t, room, "m.room.join_rules", "join_rule"), "public");
    assert_str(content_at(t, room, "m.room.canonical_alias", "alias"), "#open:test");
}

static void initial_state_takes_the_place_of_a_preset(void **state)
{
    static const char *const TYPES[] = { "m.room.create",
                                         "m.room.member",
                                         "m.room.power_levels",
                                         "m.room.join_rules",
                                         "m.room.guest_access",
                                         "m.room.history_visibility",
                                         "x.y" };
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_room *room = room_of(
        t,
        test_create(t, alice,
                    "{\"initial_state\":[{\"type\":\"m.room.history_visibility\",\"content\":{\"history_visibility\":"
                    "\"joined\"}},{\"type\":\"x.y\",\"state_key\":\"k\",\"content\":{\"a\":1}}]}"));

    assert_types(room, TYPES, 7);
    assert_str(content_at(t, room, "m.room.history_visibility", "history_visibility"), "joined");
}

static void a_version_12_room_is_named_by_its_create_event(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_str id = test_create(t, alice,
                            "{\"room_version\":\"12\",\"preset\":\"trusted_private_chat\",\"invite\":[\"@bob:test\"]}");
    hs_room *room = room_of(t, id);

    assert_true(hs_str_find(id, ':', 0) == id.n);
    assert_true(hs_str_eq(hs_str_from(id, 1), hs_str_from(room->recent[0].event->ev->event_id, 1)));
    assert_linear(room);
    test_send(t, alice, id, "hello", NULL);
    assert_linear(room);
}

static void the_same_transaction_gives_the_same_event(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_str room_id = test_create(t, alice, "{}"), first, second, third;
    size_t n = room_of(t, room_id)->recent_n;

    first = test_send(t, alice, room_id, "hello", "t1");
    second = test_send(t, alice, room_id, "hello", "t1");
    assert_true(hs_str_eq(first, second));
    hs_txns_close(t->srv->rooms->txns); /* as after a restart: only the store knows */
    test_ok(hs_txns_open(t->srv, &t->srv->rooms->txns));
    third = test_send(t, alice, room_id, "hello", "t1");
    assert_true(hs_str_eq(first, third));
    assert_int_equal(room_of(t, room_id)->recent_n, n + 1);
    assert_false(hs_str_eq(first, test_send(t, alice, room_id, "hello", "t2")));
}

enum { SENDERS = 20, EACH = 10 };
typedef struct {
    test_rooms *t;
    hs_session *who;
    hs_str room_id;
    int number, *left;
} sender;

static void send_many(void *ud)
{
    sender *s = ud;

    for (int i = 0; i < EACH; i++) {
        char txn[32], text[32];
        snprintf(txn, sizeof txn, "%d-%d", s->number, i);
        snprintf(text, sizeof text, "%d", i);
        test_send(s->t, s->who, s->room_id, text, txn);
    }
    --*s->left;
}

static void concurrent_senders_make_one_line(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_str room_id = test_create(t, alice, "{}");
    hs_room *room = room_of(t, room_id);
    int left = SENDERS;
    sender s[SENDERS];
    hs_timeline_row *rows;
    size_t n;

    for (int i = 0; i < SENDERS; i++) {
        s[i] = (sender){ .t = t, .who = alice, .room_id = room_id, .number = i, .left = &left };
        test_ok(hs_fiber_spawn(t->db.loop, send_many, &s[i]));
    }
    while (left)
        hs_fiber_sleep(t->db.loop, 1);
    assert_linear(room);
    test_ok(hs_store_timeline(t->db.db, t->db.a, room->nid, 0, INT64_MAX, HS_FORWARD, 1000, &rows, &n));
    assert_int_equal(n, 6 + SENDERS * EACH);
    for (size_t i = 1; i < n; i++)
        assert_int_equal(rows[i].depth, rows[i - 1].depth + 1);
    assert_int_equal(rows[n - 1].n_notify, room->n_notify);
}

static void state_sent_among_messages_keeps_the_line(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_str room_id = test_create(t, alice, "{}"), id, again;
    hs_room *room = room_of(t, room_id);
    int left = 4;
    sender s[4];

    for (int i = 0; i < 4; i++) {
        s[i] = (sender){ .t = t, .who = alice, .room_id = room_id, .number = i, .left = &left };
        test_ok(hs_fiber_spawn(t->db.loop, send_many, &s[i]));
    }
    for (int i = 0; i < 5; i++) {
        hs_send in = { .room_id = room_id, .type = HS_S("m.room.topic"), .state_key = HS_S("") };
        char text[64];
        snprintf(text, sizeof text, "{\"topic\":\"%d\"}", i);
        in.content = test_json(t->db.a, text);
        test_ok(hs_room_send_state(t->srv, alice, t->db.a, &in, &id));
        test_ok(hs_room_send_state(t->srv, alice, t->db.a, &in, &again));
        assert_true(hs_str_eq(id, again));
    }
    while (left)
        hs_fiber_sleep(t->db.loop, 1);
    assert_linear(room);
    assert_str(content_at(t, room, "m.room.topic", "topic"), "4");
}

/* A second server on the same database: another worker. */
static void a_head_moved_by_another_worker_is_built_on_anew(void **state)
{
    test_rooms *t = *state;
    test_rooms other = { .db = t->db, .config = t->config };
    hs_session *alice = test_user(t, "alice");
    hs_str room_id = test_create(t, alice, "{}"), id;
    hs_room *room = room_of(t, room_id);
    hs_send in = { .room_id = room_id, .type = HS_S("m.room.topic"), .state_key = HS_S("") };

    test_ok(hs_db_open(t->db.loop, t->db.a, &(hs_db_options){ .conninfo = t->db.conninfo }, &other.db.db));
    test_ok(hs_alloc(t->db.a, 1, &other.srv));
    *other.srv = *t->srv;
    other.srv->db = other.db.db;
    test_ok(hs_server_open_services(other.srv, t->db.a));

    in.content = test_json(t->db.a, "{\"topic\":\"elsewhere\"}");
    test_ok(hs_room_send_state(other.srv, alice, t->db.a, &in, &id));
    assert_null(content_at(t, room, "m.room.topic", "topic").p);
    test_send(t, alice, room_id, "hello", "t1");
    room = room_of(t, room_id);
    assert_str(content_at(t, room, "m.room.topic", "topic"), "elsewhere");
    assert_linear(room);

    hs_server_close_services(other.srv);
    hs_db_close(other.db.db);
}

typedef struct {
    hs_server *srv;
    const hs_session *who;
    hs_arena *a;
    hs_send in;
    hs_str id;
    int *left;
} twin;

static void send_twin(void *ud)
{
    twin *w = ud;
    hs_arena *a = hs_arena_open(1 << 20); /* as each request has one */
    hs_str id;

    if (w->in.state_key.p)
        test_ok(hs_room_send_state(w->srv, w->who, a, &w->in, &id));
    else
        test_ok(hs_room_send(w->srv, w->who, a, &w->in, &id));
    test_ok(hs_str_dup(w->a, id, &w->id));
    hs_arena_close(a);
    --*w->left;
}

/* Both are built on one head in one turn of the loop, so in one millisecond. */
static void the_same_message_on_two_workers_at_once_is_two_events(void **state)
{
    test_rooms *t = *state;
    test_rooms other = { .db = t->db, .config = t->config };
    hs_session *alice = test_user(t, "alice");
    hs_str room_id = test_create(t, alice, "{}");
    hs_send in = { .room_id = room_id, .type = HS_S("m.room.message"), .txn_id = HS_S("one") };

    test_ok(hs_db_open(t->db.loop, t->db.a, &(hs_db_options){ .conninfo = t->db.conninfo }, &other.db.db));
    test_ok(hs_alloc(t->db.a, 1, &other.srv));
    *other.srv = *t->srv;
    other.srv->db = other.db.db;
    test_ok(hs_server_open_services(other.srv, t->db.a));
    in.content = test_json(t->db.a, "{\"msgtype\":\"m.text\",\"body\":\"hello\"}");
    for (int i = 0; i < 6; i++) {
        hs_room *there;
        int left = 2;
        (void)room_of(t, room_id);
        test_ok(hs_room_find(other.srv, t->db.a, room_id, &there));
        twin a = { .srv = t->srv, .who = alice, .a = t->db.a, .in = in, .left = &left }, b = a;
        b.srv = other.srv;
        if (i < 3) {
            a.in.txn_id = hs_str_make((const char *)"abc" + i, 1);
            b.in.txn_id = hs_str_make((const char *)"xyz" + i, 1);
        } else { /* state has no transactions, and the same state again is the same event */
            a.in = b.in = (hs_send){ .room_id = room_id, .type = HS_S("m.room.topic"), .state_key = HS_S("") };
            a.in.content = b.in.content = test_json(t->db.a, i == 3   ? "{\"topic\":\"1\"}"
                                                             : i == 4 ? "{\"topic\":\"2\"}"
                                                                      : "{\"topic\":\"3\"}");
        }
        test_ok(hs_fiber_spawn(t->db.loop, send_twin, &a));
        test_ok(hs_fiber_spawn(t->db.loop, send_twin, &b));
        while (left)
            hs_fiber_sleep(t->db.loop, 1);
        if (i < 3)
            assert_false(hs_str_eq(a.id, b.id));
    }
    hs_server_close_services(other.srv);
    hs_db_close(other.db.db);
}

static void a_room_reads_back_as_it_was(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str room_id = test_create(t, alice, "{\"preset\":\"public_chat\"}");
    hs_member_change join = { .action = HS_CHANGE_JOIN, .room_id = room_id };
    hs_room *before = room_of(t, room_id), *after;
    hs_state_entry *entries;

    test_ok(hs_room_member_change(t->srv, bob, t->db.a, &join, NULL));
    test_send(t, bob, room_id, "hello", NULL);
    hs_cache_room_drop(t->srv, before); /* the arena still holds it */
    after = room_of(t, room_id);
    assert_ptr_not_equal(before, after);
    assert_int_equal(after->pos, before->pos);
    assert_int_equal(after->depth, before->depth);
    assert_int_equal(after->snap, before->snap);
    assert_int_equal(after->state_n, before->state_n);
    entries = after->state;
    assert_memory_equal(entries, before->state, after->state_n * sizeof *entries);
    assert_int_equal(after->recent_n, before->recent_n);
    assert_int_equal(after->joined, 2);
    assert_int_equal(before->joined, 2);
    assert_int_equal(after->local_members_n, 2);
    assert_true(hs_room_has_local(after, bob->user));
    assert_true(after->heads.at[0] == before->heads.at[0]);
    test_send(t, bob, room_id, "again", NULL);
    assert_linear(after);
}

static void a_redacted_event_is_pruned_in_memory_and_when_read_again(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_str room_id = test_create(t, alice, "{}"), id, redaction;
    hs_room *room = room_of(t, room_id);
    hs_redact in = { .room_id = room_id, .content = test_json(t->db.a, "{\"reason\":\"spam\"}") };
    hs_event_row row;
    hs_stored *s;

    id = test_send(t, alice, room_id, "secret", NULL);
    in.event_id = id;
    test_ok(hs_room_redact(t->srv, alice, t->db.a, &in, &redaction));
    test_ok(hs_event_find(t->srv, t->db.a, room->nid, id, &s));
    assert_true(s->flags & HS_EV_REDACTED);
    assert_int_equal(hs_jv_count(s->ev->content), 0);
    test_ok(hs_store_events_by_id(t->db.db, t->db.a, room->nid, &id, 1, &row));
    assert_true(row.flags & HS_EVENT_REDACTED);
    assert_int_equal(row.redacted_by, s->redacted_by);
}

/* An event of alice's with the parents given, as another server would send it. */
static const hs_event *forked(test_rooms *t, const hs_room *room, const hs_session *who, const char *type,
                              const char *content, const hs_stored *const *parents, size_t n, int64_t ts)
{
    static const char *const AUTH[] = { "m.room.create", "m.room.power_levels", "m.room.member" };
    hs_str prev[4], auth[3];
    hs_event *ev;
    int64_t depth = 0;

    for (size_t i = 0; i < n; i++) {
        prev[i] = parents[i]->ev->event_id;
        depth = parents[i]->ev->depth > depth ? parents[i]->ev->depth : depth;
    }
    for (size_t i = 0; i < 3; i++) {
        hs_nid nid = hs_room_state_nid(t->srv, room, hs_str_c(AUTH[i]), i == 2 ? who->user_id : HS_S(""));
        hs_stored *s;
        test_ok(hs_events_load(t->srv, t->db.a, room->nid, &nid, 1, &s));
        auth[i] = s->ev->event_id;
    }
    hs_event_draft d = { .room_id = room->id,
                         .type = hs_str_c(type),
                         .sender = who->user_id,
                         .state_key = HS_S(""),
                         .is_state = strcmp(type, "m.room.message") != 0,
                         .content = hs_str_c(content),
                         .depth = depth + 1,
                         .origin_ts = ts,
                         .prev = prev,
                         .auth = auth,
                         .prev_n = n,
                         .auth_n = 3 };
    test_ok(hs_event_build(t->db.a, room->rv, &d, t->srv->server_name, t->srv->key, &ev));
    return ev;
}

static bool our_key(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32])
{
    test_rooms *t = ud;

    (void)valid_at;
    memcpy(ret, hs_signing_key_public(t->srv->key), 32);
    return hs_str_eq(server, t->srv->server_name) && hs_str_eq(key_id, hs_signing_key_id(t->srv->key));
}

static hs_received receive(test_rooms *t, hs_room *room, const hs_event *ev)
{
    hs_receive_world world = { .keys = { .get = our_key, .ud = t } };
    hs_received ret;

    test_ok(hs_event_receive(t->srv, t->db.a, room, &world, HS_S("test"), ev->json, &ret));
    return ret;
}

static void redacted_content_is_gone_after_its_time(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");
    hs_str room_id = test_create(t, alice, "{}"), id, redaction;
    hs_redact in = { .room_id = room_id, .content = test_json(t->db.a, "{}") };
    hs_event_row row;

    id = test_send(t, alice, room_id, "secret", NULL);
    in.event_id = id;
    test_ok(hs_room_redact(t->srv, alice, t->db.a, &in, &redaction));
    t->config.redaction_retention_ms = 1000000;
    test_ok(hs_upkeep_run(t->srv, NULL, t->db.a));
    test_ok(hs_store_events_by_id(t->db.db, t->db.a, 0, &id, 1, &row));
    assert_non_null(memmem(row.json.p, row.json.n, "secret", 6));
    t->config.redaction_retention_ms = 1;
    hs_fiber_sleep(t->db.loop, 5);
    test_ok(hs_upkeep_run(t->srv, NULL, t->db.a));
    test_ok(hs_store_events_by_id(t->db.db, t->db.a, 0, &id, 1, &row));
    assert_null(memmem(row.json.p, row.json.n, "secret", 6));
    assert_true(row.flags & HS_EVENT_CENSORED);
}

static hs_str set_topic(test_rooms *t, const hs_session *who, hs_str room_id, const char *content)
{
    hs_send in = {
        .room_id = room_id, .type = HS_S("m.room.topic"), .state_key = HS_S(""), .content = test_json(t->db.a, content)
    };
    hs_str id;

    test_ok(hs_room_send_state(t->srv, who, t->db.a, &in, &id));
    return id;
}

/* Two topics on one parent: the later one by its clock wins, whichever came first, and the next message joins the
 * heads. */
static void a_fork_of_state_is_resolved_and_joined(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice");

    for (int later = 0; later < 2; later++) {
        hs_str room_id = test_create(t, alice, "{}");
        hs_room *room = room_of(t, room_id);
        const hs_stored *parent = room->recent[room->recent_n - 1].event;
        hs_stored *read;

        set_topic(t, alice, room_id, "{\"topic\":\"ours\"}");
        const hs_stored *ours = room->head_events[0];
        int64_t ts = ours->ev->origin_ts + (later ? 1000 : -1000);
        const hs_event *ev = forked(t, room, alice, "m.room.topic", "{\"topic\":\"theirs\"}", &parent, 1, ts);
        assert_int_equal(receive(t, room, ev), HS_RECEIVED_ACCEPTED);
        room = room_of(t, room_id);
        assert_int_equal(room->heads.n, 2);
        assert_str(content_at(t, room, "m.room.topic", "topic"), later ? "theirs" : "ours");

        /* on their branch it is their topic, whoever won */
        test_ok(hs_event_find(t->srv, t->db.a, room->nid, ev->event_id, &read));
        assert_true(read->line != room->line);
        hs_room_access there = { .room = room, .at_leave = true, .line = read->line, .snap = read->snap };
        test_ok(hs_room_state_one(t->srv, t->db.a, &there, HS_S("m.room.topic"), HS_S(""), &read));
        assert_str(hs_jv_str_or_null(hs_jv_get(read->ev->content, HS_S("topic"))), "theirs");

        test_send(t, alice, room_id, "joined", NULL);
        assert_int_equal(room->heads.n, 1);
        assert_int_equal(room->head_events[0]->ev->prev_n, 2);
        assert_int_equal(room->head_events[0]->line, room->line);
    }
}

static void an_event_against_the_rules_is_kept_but_no_head(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str room_id = test_create(t, alice, "{\"preset\":\"public_chat\"}");
    hs_member_change join = { .action = HS_CHANGE_JOIN, .room_id = room_id };
    hs_room *room = room_of(t, room_id);
    hs_stored *read;

    test_ok(hs_room_member_change(t->srv, bob, t->db.a, &join, NULL));
    const hs_stored *parent = room->head_events[0];
    const hs_event *ev =
        forked(t, room, bob, "m.room.topic", "{\"topic\":\"mine\"}", &parent, 1, parent->ev->origin_ts);
    assert_int_equal(receive(t, room, ev), HS_RECEIVED_REJECTED);
    room = room_of(t, room_id);
    assert_int_equal(room->heads.n, 1);
    assert_true(room->heads.at[0] == parent->nid);
    test_ok(hs_event_find(t->srv, t->db.a, room->nid, ev->event_id, &read));
    assert_int_equal(read->flags, HS_EV_REJECTED);
    assert_null(content_at(t, room, "m.room.topic", "topic").p);
}

/* What the test counts itself, message by message. */
typedef struct {
    hs_session *who;
    int64_t notify, high;
    bool muted;
} reader;

static void say(test_rooms *t, hs_str room_id, reader *all, size_t n, size_t by, bool loud)
{
    (void)test_send(t, all[by].who, room_id, loud ? "@room listen" : "x", NULL);
    for (size_t i = 0; i < n; i++) {
        if (i == by || (all[i].muted && !loud)) /* @room comes before rules about the room */
            continue;
        all[i].notify++;
        all[i].high += loud;
    }
}

static void read_all(test_rooms *t, hs_room *room, reader *r)
{
    hs_receipt_wish in = { .room_id = room->id,
                           .event_id = room->recent[room->recent_n - 1].event->ev->event_id,
                           .type = HS_S("m.read") };

    test_ok(hs_receipt_put(t->srv, r->who, t->db.a, &in));
    r->notify = r->high = 0;
}

static void mute(test_rooms *t, hs_str room_id, reader *r)
{
    hs_push_put in = { .kind = HS_S("room"), .rule_id = room_id, .body = test_json(t->db.a, "{\"actions\":[]}") };

    test_ok(hs_push_rules_put(t->srv, t->db.a, r->who, &in));
    r->muted = true;
}

static void assert_counts(test_rooms *t, hs_str room_id, const reader *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hs_room *room = room_of(t, room_id);
        hs_unread got;

        test_ok(hs_unread_get(t->srv, t->db.a, all[i].who->user, &room, 1, &got));
        if (got.notify != all[i].notify || got.high != all[i].high)
            fail_msg("user %zu: %lld, %lld", i, (long long)got.notify, (long long)got.high);
    }
}

/* A day later by the marks, in the middle of what is unread, and twice: what is left is looked at again. */
static void old_notes_go_and_no_count_changes(void **state)
{
    test_rooms *t = *state;
    reader all[] = { { .who = test_user(t, "alice") },
                     { .who = test_user(t, "bob") },
                     { .who = test_user(t, "carol") } };
    hs_str room_id =
        test_create(t, all[0].who,
                    "{\"preset\":\"public_chat\",\"power_level_content_override\":{\"notifications\":{\"room\":0}}}");
    hs_member_change join = { .action = HS_CHANGE_JOIN, .room_id = room_id };
    long long before;

    t->config.push_rules_count = t->config.push_rules_id_length = t->config.push_rules_size = 1000;
    test_ok(hs_room_member_change(t->srv, all[1].who, t->db.a, &join, NULL));
    test_ok(hs_room_member_change(t->srv, all[2].who, t->db.a, &join, NULL));
    for (size_t i = 0; i < 90; i++) {
        say(t, room_id, all, 3, i % 7 % 3, i % 10 == 0);
        if (i == 20 || i == 60)
            read_all(t, room_of(t, room_id), &all[0]);
        if (i == 40)
            mute(t, room_id, &all[2]);
        if (i == 70)
            test_pg_sql(t->db.conninfo, "INSERT INTO note_mark SELECT (extract(epoch FROM now()) * 1000)::bigint - "
                                        "90000000, max(pos) FROM timeline");
    }
    assert_counts(t, room_id, all, 3);
    before = test_pg_sql(t->db.conninfo, "SELECT count(*) FROM push_note");
    for (int i = 0; i < 2; i++) {
        test_ok(hs_upkeep_run(t->srv, NULL, t->db.a));
        assert_counts(t, room_id, all, 3);
        test_rooms_restart(t); /* and as they are read anew */
        assert_counts(t, room_id, all, 3);
    }
    assert_true(test_pg_sql(t->db.conninfo, "SELECT count(*) FROM push_note") < before * 2 / 3);
    say(t, room_id, all, 3, 1, true);
    assert_counts(t, room_id, all, 3);
    read_all(t, room_of(t, room_id), &all[1]);
    assert_counts(t, room_id, all, 3);
}

static void who_is_not_in_the_room_may_not_send(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *eve = test_user(t, "eve");
    hs_send in = { .room_id = test_create(t, alice, "{}"), .type = HS_S("m.room.message") };
    hs_str id;
    hs_error *e;

    in.content = test_json(t->db.a, "{\"msgtype\":\"m.text\",\"body\":\"x\"}");
    e = hs_room_send(t->srv, eve, t->db.a, &in, &id);
    assert_non_null(e);
    assert_int_equal(e->status, 403);
    assert_int_equal(e->code, HS_M_FORBIDDEN);
}

TEST_ROOMS_ON_FIBER(a_private_room_has_synapses_events_in_its_order)
TEST_ROOMS_ON_FIBER(a_public_room_is_open_and_closed_to_guests)
TEST_ROOMS_ON_FIBER(initial_state_takes_the_place_of_a_preset)
TEST_ROOMS_ON_FIBER(a_version_12_room_is_named_by_its_create_event)
TEST_ROOMS_ON_FIBER(the_same_transaction_gives_the_same_event)
TEST_ROOMS_ON_FIBER(concurrent_senders_make_one_line)
TEST_ROOMS_ON_FIBER(state_sent_among_messages_keeps_the_line)
TEST_ROOMS_ON_FIBER(a_head_moved_by_another_worker_is_built_on_anew)
TEST_ROOMS_ON_FIBER(the_same_message_on_two_workers_at_once_is_two_events)
TEST_ROOMS_ON_FIBER(a_redacted_event_is_pruned_in_memory_and_when_read_again)
TEST_ROOMS_ON_FIBER(a_fork_of_state_is_resolved_and_joined)
TEST_ROOMS_ON_FIBER(an_event_against_the_rules_is_kept_but_no_head)
TEST_ROOMS_ON_FIBER(redacted_content_is_gone_after_its_time)
TEST_ROOMS_ON_FIBER(old_notes_go_and_no_count_changes)
TEST_ROOMS_ON_FIBER(who_is_not_in_the_room_may_not_send)
TEST_ROOMS_ON_FIBER(a_room_reads_back_as_it_was)

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f##_, test_rooms_setup, test_rooms_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_private_room_has_synapses_events_in_its_order),
        TEST(a_public_room_is_open_and_closed_to_guests),
        TEST(initial_state_takes_the_place_of_a_preset),
        TEST(a_version_12_room_is_named_by_its_create_event),
        TEST(the_same_transaction_gives_the_same_event),
        TEST(concurrent_senders_make_one_line),
        TEST(state_sent_among_messages_keeps_the_line),
        TEST(a_head_moved_by_another_worker_is_built_on_anew),
        TEST(the_same_message_on_two_workers_at_once_is_two_events),
        TEST(a_redacted_event_is_pruned_in_memory_and_when_read_again),
        TEST(a_fork_of_state_is_resolved_and_joined),
        TEST(an_event_against_the_rules_is_kept_but_no_head),
        TEST(redacted_content_is_gone_after_its_time),
        TEST(old_notes_go_and_no_count_changes),
        TEST(who_is_not_in_the_room_may_not_send),
        TEST(a_room_reads_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
