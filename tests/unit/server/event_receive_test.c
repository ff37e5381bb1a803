/* Single events of other servers: what is refused, what waits, what a gap is, what hostile servers get. */
#include "support/graph.h"

#include "server/room_member.h"
#include "server/timeline.h"
#include "server/upkeep.h"
#include "store/gaps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static hs_error *receive_bytes(graph_world *w, hs_str json, hs_received *ret)
{
    hs_receive_world there = { .keys = { .get = graph_key_of, .ud = w } };

    return hs_event_receive(w->t.srv, w->t.db.a, graph_room_of(w), &there, HS_S("two.example"), json, ret);
}

/* The bytes with one text in them replaced by another. */
static hs_str altered(graph_world *w, hs_str json, const char *from, const char *to)
{
    const char *at = memmem(json.p, json.n, from, strlen(from));
    hs_str out;

    assert_non_null(at);
    test_ok(hs_str_fmt(w->a, &out, "%.*s%s%.*s", (int)(at - json.p), json.p, to,
                       (int)(json.n - (size_t)(at - json.p) - strlen(from)), at + strlen(from)));
    return out;
}

static void assert_refused(graph_world *w, hs_str json, int status)
{
    long long rows = graph_rows_of_all_tables(w);
    hs_received got;
    hs_error *e = receive_bytes(w, json, &got);

    assert_non_null(e);
    assert_int_equal(e->status, status);
    assert_int_equal(graph_rows_of_all_tables(w), rows);
}

static const graph_event *bob_joins(graph_world *w)
{
    hs_str prev[4];
    size_t n = graph_all_heads(w, prev);

    return graph_play(w, GRAPH_PEOPLE[1], "m.room.member", GRAPH_PEOPLE[1], "{\"membership\":\"join\"}", prev, n);
}

static void refusals(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    const graph_event *e = graph_make(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"x\"}", &join->id, 1);
    hs_str big;

    assert_refused(w, altered(w, e->json, "\"one.example\":", "\"two.example\":"), 403);
    assert_refused(w, altered(w, e->json, "\"ed25519:a\":", "\"ed25519:b\":"), 403);
    assert_refused(w, altered(w, e->json, "\"depth\":7", "\"depth\":8"), 403);
    assert_refused(w, altered(w, e->json, "\"room_id\":\"!", "\"room_id\":\"!x"), 400);
    assert_refused(w, altered(w, e->json, "\"depth\":7", "\"depth\":7.5"), 400);
    assert_refused(w, altered(w, e->json, "\"sender\":\"@bob", "\"sender\":\"bob"), 400);
    assert_refused(w, hs_str_from(e->json, 1), 400);
    assert_refused(w, altered(w, e->json, "\"prev_events\":[\"$", "\"prev_events\":[\"$\\u0000"), 400);
    assert_refused(w, altered(w, e->json, "\"type\":\"m.room.message", "\"type\":\"m\\u0000"), 400);
    char *p = calloc(1, 70000);
    memset(p, 'y', 69999);
    big = altered(w, e->json, "\"body\":\"x", p);
    free(p);
    assert_refused(w, altered(w, big, "yyy", "\"body\":\"yyy"), 413);
}

/* F01 F21 F25: signatures are checked first, and what fails them, or is malformed or too large, leaves no row. */
static void a_pdu_that_is_not_its_senders_leaves_nothing(void **state)
{
    (void)state;
    graph_by_itself(refusals);
}

static void wrong_hash(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    const graph_event *e = graph_make(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"x\"}", &join->id, 1);
    hs_received got;
    hs_stored *s;

    test_ok(receive_bytes(w, altered(w, e->json, "\"body\":\"x\"", "\"body\":\"forged\""), &got));
    assert_int_equal(got, HS_RECEIVED_ACCEPTED);
    test_ok(hs_event_find(w->t.srv, w->t.db.a, graph_room_of(w)->nid, e->id, &s));
    assert_non_null(s);
    assert_false(hs_jv_is(hs_jv_get(s->ev->content, HS_S("body"))));
    test_ok(receive_bytes(w, e->json, &got)); /* too late: what is there stays */
    assert_int_equal(got, HS_RECEIVED_ACCEPTED);
}

static void of_a_pdu_with_a_wrong_hash_only_the_redacted_form_is_taken(void **state)
{
    (void)state;
    graph_by_itself(wrong_hash);
}

static void authorised_by_what_is_missing(void *ud)
{
    graph_world *w = ud;
    hs_str prev[4];
    size_t n = graph_all_heads(w, prev);
    graph_event *join =
        graph_play(w, GRAPH_PEOPLE[1], "m.room.member", GRAPH_PEOPLE[1], "{\"membership\":\"join\"}", prev, n);
    graph_event *again = graph_play(w, GRAPH_PEOPLE[1], "m.room.member", GRAPH_PEOPLE[1],
                                    "{\"displayname\":\"b\",\"membership\":\"join\"}", &join->id, 1);
    graph_event *e = graph_play(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"x\"}", &again->id, 1);

    graph_heads_now(w, w->heads, &w->heads_n);
    graph_shown_now(w, w->shown, &w->shown_n);
    graph_current_now(w, w->current, &w->current_n);
    assert_int_equal(e->flags, 0);
}

static void comes_before_its_auth_events(void *ud)
{
    graph_world *w = ud;
    long long waiting;

    assert_int_equal(graph_receive(w, &w->events[2]), HS_RECEIVED_WAITS);
    assert_int_equal(graph_receive(w, &w->events[2]), HS_RECEIVED_WAITS);
    assert_int_equal(graph_receive(w, &w->events[1]), HS_RECEIVED_WAITS);
    waiting = test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM fed_stage");
    assert_int_equal(waiting, 2);
    test_ok(hs_upkeep_run(w->t.srv, NULL, w->t.db.a)); /* forgets only what has waited long */
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM fed_stage"), 2);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM event WHERE flags & 2 <> 0"), 0);
    assert_int_equal(graph_receive(w, &w->events[0]), HS_RECEIVED_ACCEPTED);
    graph_assert_as_made(w);
}

/* Events are made in one copy of a room that has begun; another, which knows the beginning only, is given them. */
static void made_then_received(void (*make)(void *ud), void (*receive)(void *ud))
{
    const char *base = test_pg_create(""), *db = test_pg_create("");
    graph_world *w = graph_world_open(100, base, db);

    graph_on_server(w, base, graph_begin);
    test_pg_copy(base, db);
    graph_on_server(w, db, make);
    test_pg_copy(base, db);
    graph_on_server(w, db, receive);
    graph_world_close(w);
}

/* F10: nothing is judged by what is not here: it waits, without effect, and is taken in once its auth events turn up.
 */
static void an_event_comes_in_when_its_auth_events_turn_up(void **state)
{
    (void)state;
    made_then_received(authorised_by_what_is_missing, comes_before_its_auth_events);
}

static void all_but_the_first_wait(void *ud)
{
    graph_world *w = ud;

    assert_int_equal(graph_receive(w, &w->events[2]), HS_RECEIVED_WAITS);
    assert_int_equal(graph_receive(w, &w->events[1]), HS_RECEIVED_WAITS);
}

static void the_first_comes(void *ud)
{
    graph_world *w = ud;

    assert_int_equal(graph_receive(w, &w->events[0]), HS_RECEIVED_ACCEPTED);
    graph_assert_as_made(w);
}

static void what_waits_outlives_a_restart(void **state)
{
    const char *base = test_pg_create(""), *db = test_pg_create("");
    graph_world *w = graph_world_open(100, base, db);

    (void)state;
    graph_on_server(w, base, graph_begin);
    test_pg_copy(base, db);
    graph_on_server(w, db, authorised_by_what_is_missing);
    test_pg_copy(base, db);
    graph_on_server(w, db, all_but_the_first_wait);
    graph_on_server(w, db, the_first_comes);
    graph_world_close(w);
}

/* An event of bob's behind one that nobody has. */
static graph_event *behind_nothing(graph_world *w, const hs_event *like, int i)
{
    graph_event *e = &w->events[w->n++];
    hs_str parent;
    hs_event *ev;

    test_ok(hs_str_fmt(w->t.db.a, &parent, "$%043d", i));
    hs_event_draft d = { .room_id = w->room_id,
                         .type = HS_S("m.room.message"),
                         .sender = hs_str_c(GRAPH_PEOPLE[1]),
                         .content = HS_S("{\"body\":\"x\"}"),
                         .depth = 1000 + i,
                         .origin_ts = 1700000000000 + i,
                         .prev = &parent,
                         .auth = like->auth,
                         .prev_n = 1,
                         .auth_n = like->auth_n };
    test_ok(hs_event_build(w->t.db.a, graph_room_of(w)->rv, &d, hs_str_c(GRAPH_SERVERS[1]), w->keys[1], &ev));
    *e = (graph_event){ .prev_n = 1 };
    test_ok(hs_str_dup(w->a, ev->json, &e->json));
    test_ok(hs_str_dup(w->a, ev->event_id, &e->id));
    return e;
}

static void far_too_many(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    graph_event *first = graph_make(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"0\"}", &join->id, 1);
    hs_event *like;

    test_ok(hs_event_parse(w->t.db.a, graph_room_of(w)->rv, first->json, &like));
    for (int i = 0; i < HS_STAGE_MAX + 20; i++) {
        assert_int_equal(graph_receive(w, behind_nothing(w, like, i)), HS_RECEIVED_WAITS);
        assert_in_range(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM fed_stage"), 1, HS_STAGE_MAX);
        if (i == HS_STAGE_MAX - 10) { /* somebody else's, just before it overflows: two, of which one names the other */
            graph_event *last = &w->events[w->n++];
            hs_event *ev;
            hs_event_draft d = { .room_id = w->room_id,
                                 .type = HS_S("m.room.message"),
                                 .sender = hs_str_c(GRAPH_PEOPLE[1]),
                                 .content = HS_S("{\"body\":\"last\"}"),
                                 .depth = first->depth + 1,
                                 .origin_ts = 1700000000000,
                                 .prev = &first->id,
                                 .auth = like->auth,
                                 .prev_n = 1,
                                 .auth_n = like->auth_n };
            test_ok(hs_event_build(w->t.db.a, graph_room_of(w)->rv, &d, hs_str_c(GRAPH_SERVERS[1]), w->keys[1], &ev));
            *last = (graph_event){ .prev_n = 1, .id = ev->event_id, .json = ev->json };
            assert_int_equal(graph_receive(w, last), HS_RECEIVED_WAITS);
        }
    }
    assert_int_equal(graph_receive(w, first), HS_RECEIVED_ACCEPTED);
    assert_int_equal(graph_room_of(w)->heads.n, 1);
    assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_get(graph_room_of(w)->head_events[0]->ev->content, HS_S("body"))),
                          HS_S("last")));
}

/* X07: of what waits in a room the newest ends are kept, so that nobody keeps others from waiting; the rest is asked
 * for again with what names it. */
static void there_is_an_end_to_what_waits_in_a_room(void **state)
{
    (void)state;
    graph_by_itself(far_too_many);
}

/* bob and carl join, bob speaks, carl speaks, twice. */
static void carl_speaks(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    const graph_event *carl =
        graph_play(w, GRAPH_PEOPLE[2], "m.room.member", GRAPH_PEOPLE[2], "{\"membership\":\"join\"}", &join->id, 1);
    const graph_event *bob = graph_play(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"1\"}", &carl->id, 1);
    const graph_event *one = graph_play(w, GRAPH_PEOPLE[2], "m.room.message", NULL, "{\"body\":\"2\"}", &bob->id, 1);

    graph_heads_now(w, w->heads, &w->heads_n);
    graph_shown_now(w, w->shown, &w->shown_n);
    graph_current_now(w, w->current, &w->current_n);
    graph_make(w, GRAPH_PEOPLE[2], "m.room.message", NULL, "{\"body\":\"3\"}", &one->id, 1);
    graph_make(w, GRAPH_PEOPLE[2], "m.room.message", NULL, "{\"body\":\"4\"}", &one->id, 1);
    w->n -= 2;
}

/* carl's join is known as an auth event only, and bob's message not at all. */
static void over_an_outlier(void *ud)
{
    graph_world *w = ud;

    w->events[2].withheld = true;
    w->has_events = w->has_state = true;
    assert_int_equal(graph_receive(w, &w->events[0]), HS_RECEIVED_ACCEPTED);
    assert_int_equal(graph_receive(w, &w->events[3]), HS_RECEIVED_ACCEPTED);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM event WHERE flags = 1"), 1);
}

static void its_turn_comes(void *ud)
{
    graph_world *w = ud;

    assert_int_equal(graph_receive(w, &w->events[1]), HS_RECEIVED_ACCEPTED);
    assert_int_equal(graph_receive(w, &w->events[2]), HS_RECEIVED_ACCEPTED);
    graph_assert_as_made(w);
}

static void outlier_first(void *ud)
{
    over_an_outlier(ud);
    its_turn_comes(ud);
}

static void an_outlier_takes_its_place_in_the_graph(void **state)
{
    (void)state;
    made_then_received(carl_speaks, outlier_first);
}

static void judged_by_what_was_rejected(void *ud)
{
    graph_world *w = ud;

    assert_int_equal(graph_receive(w, &w->events[4]), HS_RECEIVED_REJECTED);
    its_turn_comes(ud);
    w->n = 6;
    assert_int_equal(graph_receive(w, &w->events[4]), HS_RECEIVED_REJECTED); /* that stays, as with Synapse */
    assert_int_equal(graph_receive(w, &w->events[5]), HS_RECEIVED_ACCEPTED);
    assert_int_equal(graph_room_of(w)->heads.n, 1);
}

/* F10: an outlier that was rejected (its bytes, say, had been tampered with, and only what a redaction leaves was
 * taken) is judged anew when it takes its place in the graph, and authorises what comes from then on. */
static void a_rejected_outlier_is_judged_anew_in_the_graph(void **state)
{
    const char *base = test_pg_create(""), *db = test_pg_create("");
    graph_world *w = graph_world_open(100, base, db);

    (void)state;
    graph_on_server(w, base, graph_begin);
    test_pg_copy(base, db);
    graph_on_server(w, db, carl_speaks);
    test_pg_copy(base, db);
    graph_on_server(w, db, over_an_outlier);
    test_pg_sql(db, "UPDATE event SET flags = 3 WHERE flags = 1");
    graph_on_server(w, db, judged_by_what_was_rejected);
    graph_world_close(w);
}

enum { REJECTED = 60, PAGE = 10 };

static void rejected_in_a_row(void *ud)
{
    graph_world *w = ud;
    hs_session *alice = test_user(&w->t, "alice");
    const graph_event *join = bob_joins(w);
    hs_messages_query in = { .room_id = w->room_id, .limit = PAGE };
    hs_str last = join->id;
    size_t shown = 0, pages = 0;

    for (int i = 0; i < REJECTED; i++) { /* bob may not */
        char text[64];
        snprintf(text, sizeof text, "{\"name\":\"%d\"}", i);
        const graph_event *e = graph_play(w, GRAPH_PEOPLE[1], "m.room.name", "", text, &last, 1);
        assert_int_equal(e->flags, HS_EV_REJECTED);
        last = e->id;
    }
    graph_play(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"x\"}", &last, 1);
    for (;;) {
        hs_messages_page page;
        test_ok(hs_messages_get(w->t.srv, alice, w->t.db.a, &in, &page));
        for (size_t i = 0; i < page.chunk_n; i++)
            assert_false(page.chunk[i].event->flags & HS_EV_REJECTED);
        shown += page.chunk_n;
        pages++;
        if (!page.end.p)
            break;
        assert_true(page.chunk_n > 0);
        in.from = page.end;
    }
    assert_int_equal(shown, test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM timeline WHERE event_nid <> 0"));
    assert_true(pages <= shown / PAGE + 2); /* and none for the rejected ones */
}

/* F11: who reads on from before to after many rejected events comes to the room's beginning. */
static void rejected_events_do_not_end_pages(void **state)
{
    (void)state;
    graph_by_itself(rejected_in_a_row);
}

static void with_state_between(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    const graph_event *between = graph_play(w, GRAPH_PEOPLE[0], "x.one", "", "{\"a\":1}", &join->id, 1);

    graph_play(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"x\"}", &between->id, 1);
    graph_heads_now(w, w->heads, &w->heads_n);
    graph_shown_now(w, w->shown, &w->shown_n);
    graph_current_now(w, w->current, &w->current_n);
}

static void over_a_gap(void *ud)
{
    graph_world *w = ud;
    assert_int_equal(graph_receive(w, &w->events[0]), HS_RECEIVED_ACCEPTED);
    w->events[1].withheld = true;
    w->has_events = w->has_state = true;
    assert_int_equal(graph_receive(w, &w->events[2]), HS_RECEIVED_ACCEPTED);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM state_line WHERE flags & 8 <> 0"), 1);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM room_gap"), 1);
    hs_gap_row *gaps;
    size_t n;
    test_ok(hs_store_gaps(w->t.db.db, w->t.db.a, graph_room_of(w)->nid, 10, &gaps, &n));
    assert_int_equal(n, 1);
    assert_true(hs_str_eq(gaps[0].missing_id, w->events[1].id));
    assert_int_equal(graph_receive(w, &w->events[1]), HS_RECEIVED_ACCEPTED);
    graph_assert_as_made(w);
}

static void a_gap_begins_a_line_and_is_closed_by_what_was_missing(void **state)
{
    (void)state;
    made_then_received(with_state_between, over_a_gap);
}

static void redacting(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    const graph_event *e = graph_play(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"x\"}", &join->id, 1);
    char content[128];
    hs_stored *s;

    snprintf(content, sizeof content, "{\"redacts\":\"%.*s\"}", HS_FMT(e->id));
    graph_play(w, GRAPH_PEOPLE[2], "m.room.member", GRAPH_PEOPLE[2], "{\"membership\":\"join\"}", &e->id, 1);
    graph_play(w, GRAPH_PEOPLE[2], "m.room.redaction", NULL, content, &w->events[w->n - 1].id, 1);
    test_ok(hs_event_find(w->t.srv, w->t.db.a, graph_room_of(w)->nid, e->id, &s));
    assert_int_equal(s->flags, 0); /* of another server, and without the power */
    graph_play(w, GRAPH_PEOPLE[3], "m.room.member", GRAPH_PEOPLE[3], "{\"membership\":\"join\"}",
               &w->events[w->n - 1].id, 1);
    graph_play(w, GRAPH_PEOPLE[3], "m.room.redaction", NULL, content, &w->events[w->n - 1].id, 1);
    test_ok(hs_event_find(w->t.srv, w->t.db.a, graph_room_of(w)->nid, e->id, &s));
    assert_int_equal(s->flags, HS_EV_REDACTED);
    assert_false(hs_jv_is(hs_jv_get(s->ev->content, HS_S("body"))));
}

/* F24: by power, or by the same server. */
static void a_redaction_of_another_server_takes_effect_if_it_may(void **state)
{
    (void)state;
    graph_by_itself(redacting);
}

static void lying(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    hs_str before[GRAPH_STATE_MAX], after[GRAPH_STATE_MAX];
    size_t before_n, after_n, n = 0;
    char type[16];

    for (int i = 0; i < 12; i++) {
        snprintf(type, sizeof type, "x.%d", i);
        graph_play(w, GRAPH_PEOPLE[0], type, "", "{\"a\":1}", &w->events[w->n - 1].id, 1);
    }
    graph_current_now(w, before, &before_n);
    /* bob's server: "before my event there was this one, and after that one the room had only what lets me speak" */
    graph_event *missing = graph_make(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"1\"}", &join->id, 1);
    missing->withheld = true;
    for (size_t i = 0; i < join->state_n; i++) {
        const graph_event *of = graph_find_made(w, join->state[i]);
        hs_stored *s;
        test_ok(hs_event_find(w->t.srv, w->t.db.a, graph_room_of(w)->nid, join->state[i], &s));
        if (of || s->ev->kind != HS_KIND_OTHER)
            missing->state[n++] = join->state[i];
    }
    missing->state_n = n;
    assert_true(n < before_n / 2);
    w->has_state = w->has_events = true;
    graph_event *told = &w->events[w->n];
    *told = *missing; /* made without asking this server for the parent, which it does not have */
    hs_event *ev;
    hs_room *room = graph_room_of(w);
    hs_event *like;
    hs_str auth[HS_AUTH_TYPES_MAX];
    test_ok(hs_event_parse(w->t.db.a, room->rv, missing->json, &like));
    for (size_t i = 0; i < like->auth_n; i++)
        auth[i] = like->auth[i];
    hs_event_draft d = { .room_id = w->room_id,
                         .type = HS_S("m.room.message"),
                         .sender = hs_str_c(GRAPH_PEOPLE[1]),
                         .content = HS_S("{\"body\":\"2\"}"),
                         .depth = missing->depth + 1,
                         .origin_ts = 1700000000000,
                         .prev = &missing->id,
                         .auth = auth,
                         .prev_n = 1,
                         .auth_n = like->auth_n };
    test_ok(hs_event_build(w->t.db.a, room->rv, &d, hs_str_c(GRAPH_SERVERS[1]), w->keys[1], &ev));
    told->json = ev->json;
    told->id = ev->event_id;
    assert_int_equal(graph_receive(w, told), HS_RECEIVED_ACCEPTED);
    graph_current_now(w, after, &after_n);
    graph_assert_same("current state", before, before_n, after, after_n);
}

/* S03: a state that another server tells is where its event stands; ours is what both resolve to. */
static void a_told_state_does_not_take_the_place_of_ours(void **state)
{
    (void)state;
    graph_by_itself(lying);
}

enum { MANY = 60 };

/* A chain of events, of which the newest is handed over and each other has to be asked for. */
static void a_long_way_back(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    hs_str prev = join->id;
    hs_room *room = graph_room_of(w);
    hs_event *like;

    const graph_event *first = graph_make(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"0\"}", &prev, 1);
    test_ok(hs_event_parse(w->t.db.a, room->rv, first->json, &like));
    prev = first->id;
    for (int i = 1; i < MANY; i++) {
        graph_event *e = &w->events[w->n++];
        hs_event *ev;
        hs_event_draft d = { .room_id = w->room_id,
                             .type = HS_S("m.room.message"),
                             .sender = hs_str_c(GRAPH_PEOPLE[1]),
                             .content = HS_S("{\"body\":\"x\"}"),
                             .depth = first->depth + i,
                             .origin_ts = 1700000000000 + i,
                             .prev = &prev,
                             .auth = like->auth,
                             .prev_n = 1,
                             .auth_n = like->auth_n };
        test_ok(hs_event_build(w->t.db.a, room->rv, &d, hs_str_c(GRAPH_SERVERS[1]), w->keys[1], &ev));
        *e = (graph_event){ .prev_n = 1 };
        test_ok(hs_str_dup(w->a, ev->json, &e->json));
        test_ok(hs_str_dup(w->a, ev->event_id, &e->id));
        prev = e->id;
    }
    w->has_events = true;
    assert_int_equal(graph_receive(w, &w->events[w->n - 1]), HS_RECEIVED_WAITS);
    assert_true(w->asks < MANY / 2);
    size_t asks = w->asks;
    while (graph_receive(w, &w->events[w->n - 1]) == HS_RECEIVED_WAITS)
        assert_true(w->asks < 4 * asks); /* it comes nearer each time: what was given waits here */
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM fed_stage"), 0);
    assert_int_equal(graph_room_of(w)->heads.n, 1);
}

/* F23: who hands one event over does not make us walk a room's whole history. */
static void one_event_asks_for_others_within_a_budget(void **state)
{
    (void)state;
    graph_by_itself(a_long_way_back);
}

static void power_taken_back(void *ud)
{
    graph_world *w = ud;
    hs_str prev[4];
    size_t n = graph_all_heads(w, prev);

    bob_joins(w);
    graph_play(w, GRAPH_PEOPLE[2], "m.room.member", GRAPH_PEOPLE[2], "{\"membership\":\"join\"}", &w->events[0].id, 1);
    const graph_event *power =
        graph_play(w, GRAPH_PEOPLE[0], "m.room.power_levels", "",
                   "{\"kick\":50,\"users\":{\"@alice:test\":100,\"@bob:one.example\":50}}", &w->events[1].id, 1);
    graph_play(w, GRAPH_PEOPLE[1], "m.room.member", GRAPH_PEOPLE[2], "{\"membership\":\"leave\"}", &power->id, 1);
    assert_int_equal(w->t.srv->rooms->resets_n, 0);
    assert_int_equal(graph_room_of(w)->joined, 2);
    graph_play(w, GRAPH_PEOPLE[0], "m.room.power_levels", "", "{\"kick\":50,\"users\":{\"@alice:test\":100}}",
               &power->id, 1);
    assert_int_equal(w->t.srv->rooms->resets_n, 1);
    assert_int_equal(graph_room_of(w)->joined, 3); /* everywhere: members, counts, state */
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM room_member WHERE membership = 2"), 3);
    n = graph_all_heads(w, prev);
    assert_int_equal(n, 2);
}

/* S04: a membership that a resolution changes is changed in all places, counted and logged. */
static void a_membership_that_changes_without_its_event_is_counted(void **state)
{
    (void)state;
    graph_by_itself(power_taken_back);
}

/* Beside the message its redactions: by its sender, by somebody without the power, and of an event that never comes. */
static void redacted_beside(void *ud)
{
    graph_world *w = ud;
    const graph_event *join = bob_joins(w);
    char content[128];

    graph_play(w, GRAPH_PEOPLE[2], "m.room.member", GRAPH_PEOPLE[2], "{\"membership\":\"join\"}", &join->id, 1);
    const hs_str parent = w->events[1].id;
    const graph_event *e = graph_play(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"x\"}", &parent, 1);
    const graph_event *other = graph_play(w, GRAPH_PEOPLE[1], "m.room.message", NULL, "{\"body\":\"y\"}", &parent, 1);
    snprintf(content, sizeof content, "{\"redacts\":\"%.*s\"}", HS_FMT(e->id));
    graph_play(w, GRAPH_PEOPLE[1], "m.room.redaction", NULL, content, &parent, 1);
    snprintf(content, sizeof content, "{\"redacts\":\"%.*s\"}", HS_FMT(other->id));
    graph_play(w, GRAPH_PEOPLE[2], "m.room.redaction", NULL, content, &parent, 1);
    graph_play(w, GRAPH_PEOPLE[2], "m.room.redaction", NULL, "{\"redacts\":\"$never\"}", &parent, 1);
    graph_heads_now(w, w->heads, &w->heads_n);
    graph_shown_now(w, w->shown, &w->shown_n);
    graph_current_now(w, w->current, &w->current_n);
}

static void redactions_first(void *ud)
{
    static const int ORDER[] = { 0, 1, 4, 5, 6, 2, 3 };
    graph_world *w = ud;
    hs_stored *s;

    for (size_t i = 0; i < sizeof ORDER / sizeof *ORDER; i++)
        assert_int_equal(graph_receive(w, &w->events[ORDER[i]]), HS_RECEIVED_ACCEPTED);
    for (int again = 0; again < 2; again++) {
        test_ok(hs_event_find(w->t.srv, w->t.db.a, graph_room_of(w)->nid, w->events[2].id, &s));
        assert_int_equal(s->flags, HS_EV_REDACTED);
        assert_false(hs_jv_is(hs_jv_get(s->ev->content, HS_S("body"))));
        assert_true(s->redacted_by != 0);
        test_ok(hs_event_find(w->t.srv, w->t.db.a, graph_room_of(w)->nid, w->events[3].id, &s));
        assert_int_equal(s->flags, 0);
        hs_cache_event_forget(w->t.srv->rooms, s->nid);
        hs_cache_room_drop(w->t.srv, graph_room_of(w));
    }
    assert_int_equal(test_pg_sql(w->t.db.conninfo,
                                 "SELECT count(*) FROM event WHERE convert_from(json, 'UTF8') LIKE '%\"body\":\"x\"%'"),
                     0);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM redaction WHERE status = 1"), 1);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM redaction WHERE status = 2"), 1);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM redaction WHERE status = 0"), 1);
}

/* C09: a redaction that is here before what it redacts takes effect when that comes, if it may. */
static void a_redaction_may_come_before_its_target(void **state)
{
    (void)state;
    made_then_received(redacted_beside, redactions_first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_told_state_does_not_take_the_place_of_ours),
        cmocka_unit_test(one_event_asks_for_others_within_a_budget),
        cmocka_unit_test(a_membership_that_changes_without_its_event_is_counted),
        cmocka_unit_test(a_pdu_that_is_not_its_senders_leaves_nothing),
        cmocka_unit_test(of_a_pdu_with_a_wrong_hash_only_the_redacted_form_is_taken),
        cmocka_unit_test(an_event_comes_in_when_its_auth_events_turn_up),
        cmocka_unit_test(what_waits_outlives_a_restart),
        cmocka_unit_test(there_is_an_end_to_what_waits_in_a_room),
        cmocka_unit_test(an_outlier_takes_its_place_in_the_graph),
        cmocka_unit_test(a_rejected_outlier_is_judged_anew_in_the_graph),
        cmocka_unit_test(rejected_events_do_not_end_pages),
        cmocka_unit_test(a_gap_begins_a_line_and_is_closed_by_what_was_missing),
        cmocka_unit_test(a_redaction_may_come_before_its_target),
        cmocka_unit_test(a_redaction_of_another_server_takes_effect_if_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
