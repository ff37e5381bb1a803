/* What a unit tells outlives the request that wrote it. */
#include "server/news.h"

#include "server/account_data.h"
#include "server/profile.h"
#include "server/receipts.h"
#include "server/room_member.h"
#include "server/room_send.h"
#include "server/todevice.h"
#include "store/sessions.h"
#include "support/rooms.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef enum { MESSAGE, RECEIPT, DATA, PROFILE, JOIN, CREATE, LETTER, KINDS } kind;

typedef struct {
    test_rooms *t;
    kind what;
    const hs_session *who;
    hs_str room, event;
    int status;
    bool ended;
} request;

/* As it lies in a request's own memory, which goes with the request. */
static hs_str lent(hs_str s, char *to)
{
    memcpy(to, s.p, s.n);
    return hs_str_make(to, s.n);
}

static hs_error *ask(request *q, hs_arena *a, char *room, char *event, char *word, char *json)
{
    hs_server *srv = q->t->srv;
    hs_str room_id = lent(q->room, room), event_id = lent(q->event, event), made;
    hs_send send = { .room_id = room_id, .type = HS_S("m.room.message"), .txn_id = lent(HS_S("a-txn"), word) };
    hs_receipt_wish receipt = { .room_id = room_id, .event_id = event_id, .type = lent(HS_S("m.read"), word + 16) };
    hs_member_change join = { .action = HS_CHANGE_JOIN, .room_id = room_id };
    hs_todevice_send letter = { .type = HS_S("m.x"), .txn_id = lent(HS_S("b-txn"), word + 32) };
    hs_room_wish wish = { .preset = HS_S("public_chat") };
    hs_jv body;

    HS_TRY(hs_tape_parse(a,
                         lent(HS_S("{\"msgtype\":\"m.text\",\"body\":\"late\",\"displayname\":\"Late\","
                                   "\"messages\":{\"@bob:test\":{\"B\":{}}}}"),
                              json),
                         HS_JSON_OBJECT, &body));
    send.content = body;
    letter.messages = hs_jv_get(body, HS_S("messages"));
    switch (q->what) {
    case MESSAGE:
        return hs_room_send(srv, q->who, a, &send, &made);
    case RECEIPT:
        return hs_receipt_put(srv, q->who, a, &receipt);
    case DATA:
        return hs_account_data_put(srv, a, q->who, hs_str_make(NULL, 0), lent(HS_S("m.late"), word + 48), body);
    case PROFILE:
        return hs_profile_set(srv, a, q->who, q->who->user_id, HS_S("displayname"),
                              hs_jv_get(body, HS_S("displayname")));
    case JOIN:
        return hs_room_member_change(srv, q->who, a, &join, NULL);
    case CREATE:
        return hs_room_create(srv, q->who, a, &wish, &made);
    case LETTER:
        return hs_todevice_send_all(srv, q->who, a, &letter);
    case KINDS:
        break;
    }
    return NULL;
}

static void handle(void *ud)
{
    request *q = ud;
    hs_arena *a = hs_arena_open(8 << 20);
    char *room = malloc(512), *event = malloc(512), *word = malloc(64), *json = malloc(512);
    hs_error *e = ask(q, a, room, event, word, json);

    q->status = e ? e->status : 200;
    q->ended = true;
    hs_arena_close(a);
    free(room);
    free(event);
    free(word);
    free(json);
}

static PGconn *holder(test_rooms *t)
{
    PGconn *pg = PQconnectdb(t->db.conninfo);

    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    return pg;
}

static void turn(test_rooms *t, int ms)
{
    for (int64_t until = hs_loop_now(t->db.loop) + ms; hs_loop_now(t->db.loop) < until;)
        hs_loop_turn(t->db.loop, 10);
}

static int64_t heard[KINDS];

static void hear(void *ud, int64_t first, const hs_news *news)
{
    (void)ud;
    (void)first;
    heard[MESSAGE] += news->events_n == 1 && hs_str_eq(news->events[0].txn_id, HS_S("a-txn"));
    heard[RECEIPT] +=
        news->receipts_n == 1 && hs_str_eq(news->receipts[0].type, HS_S("m.read")) && news->receipts[0].event_id.n > 10;
    heard[DATA] += news->users_n == 1 && hs_str_eq(news->users[0].type, HS_S("m.late"));
    heard[PROFILE] += news->users_n == 1 && news->users[0].what == HS_NEWS_PROFILE;
    heard[JOIN] += news->events_n == 1 && news->events[0].membership == HS_MEMBER_JOIN;
    heard[CREATE] += news->events_n > 3;
    heard[LETTER] += news->to_device_n == 1 && hs_str_eq(news->to_device[0].device_id, HS_S("B"));
}

/* The batch that holds them all is sent and stands still behind a lock; their callers are let go; then it goes on. */
static bool all_ended(const request *q)
{
    for (int i = 0; i < KINDS; i++)
        if (!q[i].ended)
            return false;
    return true;
}

static void what_is_told_late_does_not_need_the_request(void **state)
{
    static test_rooms t;
    static request q[KINDS], first;
    hs_session *alice, *bob;
    hs_str room, other, event, token = HS_S("t");
    PGconn *before, *behind;
    (void)state;

    test_rooms_open(&t);
    alice = test_user(&t, "alice");
    bob = test_user(&t, "bob");
    bob->device_id = HS_S("B");
    {
        hs_write_result r;
        hs_write *w;
        uint32_t at;

        test_ok(hs_write_open(t.db.db, t.db.a, &w));
        test_ok(hs_write_position(w, &at));
        test_ok(hs_store_login(w, bob->user, bob->device_id, hs_str_make(NULL, 0), token, 1, 0));
        test_ok(hs_write_commit(w, &r));
    }
    room = test_create(&t, alice, "{\"preset\":\"public_chat\"}");
    other = test_create(&t, alice, "{\"preset\":\"public_chat\"}");
    event = test_send(&t, alice, room, "read me", NULL);
    test_ok(hs_fanout_listen(t.srv, hear, NULL));

    before = holder(&t);
    behind = holder(&t);
    PQclear(PQexec(before, "SELECT pg_advisory_lock(1)"));
    first = (request){ .t = &t, .what = DATA, .who = alice, .room = room, .event = event };
    test_ok(hs_fiber_spawn(t.db.loop, handle, &first));
    turn(&t, 100); /* it waits for the lock … */
    assert_int_equal(PQsendQuery(behind, "SELECT pg_advisory_lock(1)"), 1);
    turn(&t, 100); /* … and behind it this one */
    for (int i = 0; i < KINDS; i++) {
        q[i] = (request){ .t = &t, .what = (kind)i, .who = i == JOIN ? bob : alice, .room = room, .event = event };
        if (i == JOIN)
            q[i].room = other;
        test_ok(hs_fiber_spawn(t.db.loop, handle, &q[i]));
    }
    turn(&t, 300);
    PQfinish(before);
    for (int i = 0; i < 1000 && !(first.ended && all_ended(q)); i++)
        turn(&t, 10);
    assert_int_equal(first.status, 200);
    for (int i = 0; i < KINDS; i++) {
        assert_true(q[i].ended);
        if (q[i].status != 503 || heard[i] != (i == DATA)) /* one went first */
            fail_msg("kind %d: %d, told %d times", i, q[i].status, (int)heard[i]);
    }
    PQfinish(behind);
    for (int i = 0; i < 300 && !heard[LETTER]; i++)
        turn(&t, 10);
    for (int i = 0; i < KINDS; i++)
        if (heard[i] != 1 + (i == DATA))
            fail_msg("kind %d was told %d times", i, (int)heard[i]);
    test_rooms_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_late_does_not_need_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
