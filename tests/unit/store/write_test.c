#include "store/events.h"
#include "store/state.h"
#include "store/timeline.h"
#include "store/write.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROOM = 1000 };

/* What the hooks saw. */
static struct {
    int64_t last, gaps, backwards;
    int told, encoded, units;
    bool keep; /* batches wait for hs_write_told */
    hs_told_batch *kept;
    int64_t went_back_to; /* 0: never */
    void *news[64];
    size_t news_n;
} seen;

static hs_error *encode(void *ud, hs_arena *a, const hs_told *units, size_t n, hs_str *ret_msg)
{
    (void)ud;
    (void)units;
    seen.encoded++;
    return hs_str_fmt(a, ret_msg, "units=%zu", n);
}

static void went_back(void *ud, int64_t newest)
{
    (void)ud;
    seen.went_back_to = newest;
}

static bool told(void *ud, hs_told_batch *b)
{
    (void)ud;
    seen.told++;
    if (b->pos_from <= seen.last)
        seen.backwards++;
    seen.last = b->pos;
    for (size_t i = 0; i < b->n; i++) {
        assert_true(b->units[i].first == b->pos_from + b->units[i].base);
        seen.units++;
        if (b->units[i].news && seen.news_n < 64)
            seen.news[seen.news_n++] = b->units[i].news;
    }
    if (!seen.keep)
        return true;
    seen.kept = b;
    return false;
}

static int open_db(void **state)
{
    static test_db t;
    static const hs_write_hooks hooks = { .encode = encode, .told = told, .went_back = went_back };

    test_db_open(&t);
    hs_write_set_hooks(t.db, &hooks);
    memset(&seen, 0, sizeof seen);
    *state = &t;
    return 0;
}

static int close_db(void **state)
{
    test_db_close(*state);
    return 0;
}

static hs_event_row event_of(hs_nid room, hs_nid nid)
{
    static char ids[64][32];
    static int at;
    char *id = ids[at++ % 64];
    int n = snprintf(id, 32, "$e%lld", (long long)nid);

    return (hs_event_row){
        .room = room,
        .event = nid,
        .event_id = hs_str_make(id, (size_t)n),
        .type = HS_S("m.room.message"),
        .state_key = { NULL, 0 },
        .sender = 1,
        .depth = nid,
        .origin_ts = 1,
        .received_ts = 2,
        .json = HS_S("{}"),
    };
}

/* A message after `prev`, on snapshot (line, snap); new_room: the room's first row. */
static hs_error *add_message(hs_write *w, hs_nid room, hs_nid nid, const hs_nid *prev, int32_t seen_line,
                             int32_t seen_snap, uint32_t *ret_at)
{
    hs_event_row row = event_of(room, nid);

    HS_TRY(hs_store_event_insert(w, &row));
    return hs_write_item(w,
                         &(hs_write_timeline){ .room = room,
                                               .event = nid,
                                               .depth = nid,
                                               .prev = { prev, prev ? 1 : 0 },
                                               .seen_line = seen_line,
                                               .seen_snap = seen_snap,
                                               .line = 0,
                                               .snap = 0,
                                               .d_notify = 1 },
                         ret_at);
}

static hs_write_result write_message(test_db *t, hs_nid room, hs_nid nid, hs_nid prev, int32_t seen_line)
{
    hs_arena *a = hs_arena_open(1 << 20);
    hs_write_result r;
    hs_write *w;
    uint32_t at;

    test_ok(hs_write_open(t->db, a, &w));
    test_ok(add_message(w, room, nid, prev ? &prev : NULL, seen_line, 0, &at));
    test_ok(hs_write_commit(w, &r));
    hs_arena_close(a);
    return r;
}

static void a_written_message_is_the_rooms_head_and_was_told_once(void **state)
{
    test_db *t = *state;
    hs_nid room = ROOM, news_of = 7;
    hs_write_result r = write_message(t, room, 1, 0, -1);
    hs_timeline_row head;
    hs_feed_row *feed;
    size_t n;
    bool found;
    int before = seen.told;
    hs_write *w;
    uint32_t at;

    assert_int_equal(r.status, HS_WRITE_OK);
    test_ok(hs_write_open(t->db, t->a, &w));
    test_ok(add_message(w, room, 2, (const hs_nid[]){ 1 }, 0, 0, &at));
    hs_write_news(w, &news_of);
    seen.news_n = 0;
    test_ok(hs_write_commit(w, &r));
    assert_int_equal(r.status, HS_WRITE_OK);
    assert_int_equal(seen.told, before + 1);
    assert_int_equal(seen.news_n, 1);
    assert_ptr_equal(seen.news[0], &news_of);

    test_ok(hs_store_head(t->db, t->a, room, &head, &found));
    assert_true(found);
    assert_true(head.pos == r.first && head.event == 2);
    assert_int_equal(head.heads.n, 1);
    assert_int_equal(head.n_notify, 2);
    assert_true(hs_write_durable(t->db) >= r.first);
    test_ok(hs_store_feed_after(t->db, t->a, r.first - 1, 10, &feed, &n));
    assert_int_equal(n, 1);
    assert_true(feed[0].pos == r.first && hs_str_eq(feed[0].msg, HS_S("units=1")));
}

static void forks_and_merges_keep_the_heads(void **state)
{
    test_db *t = *state;
    hs_nid room = ROOM + 1;
    hs_timeline_row head;
    hs_write_result r;
    hs_write *w;
    uint32_t at;
    bool found;

    write_message(t, room, 10, 0, -1);
    write_message(t, room, 11, 10, 0);
    write_message(t, room, 12, 10, 0); /* beside 11 */
    test_ok(hs_store_head(t->db, t->a, room, &head, &found));
    assert_int_equal(head.heads.n, 2);
    assert_true(head.heads.at[0] == 11 && head.heads.at[1] == 12);

    test_ok(hs_write_open(t->db, t->a, &w)); /* a marker changes nothing about them */
    test_ok(hs_write_item(
        w, &(hs_write_timeline){ .room = room, .depth = 12, .line = 0, .delta = { (const hs_nid[]){ 10 }, 1 } }, &at));
    test_ok(hs_write_commit(w, &r));
    test_ok(hs_store_head(t->db, t->a, room, &head, &found));
    assert_true(head.event == 0 && head.heads.n == 2 && head.delta.n == 1);

    test_ok(hs_write_open(t->db, t->a, &w));
    {
        hs_event_row row = event_of(room, 13);
        const hs_nid prev[] = { 11, 12 };
        test_ok(hs_store_event_insert(w, &row));
        test_ok(hs_write_item(
            w, &(hs_write_timeline){ .room = room, .event = 13, .depth = 13, .prev = { prev, 2 }, .line = 0 }, &at));
    }
    test_ok(hs_write_commit(w, &r));
    test_ok(hs_store_head(t->db, t->a, room, &head, &found));
    assert_true(head.heads.n == 1 && head.heads.at[0] == 13);
}

static void state_of_a_unit_is_readable_afterwards(void **state)
{
    test_db *t = *state;
    hs_nid room = ROOM + 2;
    hs_write_result r;
    hs_state_set set;
    hs_write *w;
    uint32_t at;

    test_ok(hs_write_open(t->db, t->a, &w));
    test_ok(hs_store_line_insert(w, room, 0, (hs_snap){ -1, 0 }, 0));
    for (int i = 1; i <= 5; i++) { /* as creating a room does: several in one unit */
        hs_event_row row = event_of(room, 20 + i);
        const hs_nid prev = 20 + i - 1;
        test_ok(hs_store_event_insert(w, &row));
        test_ok(hs_write_item(w,
                              &(hs_write_timeline){ .room = room,
                                                    .event = 20 + i,
                                                    .depth = i,
                                                    .prev = { &prev, i > 1 },
                                                    .seen_line = i > 1 ? 0 : -1,
                                                    .seen_snap = i - 1,
                                                    .line = 0,
                                                    .snap = i },
                              &at));
        test_ok(hs_write_state(w, at, 0, i, 100 + i % 3, 20 + i));
    }
    test_ok(hs_write_commit(w, &r));
    assert_int_equal(r.status, HS_WRITE_OK);
    test_ok(hs_store_state_at(t->db, t->a, room, (hs_snap){ 0, 5 }, &set));
    assert_int_equal(set.n, 3);
    assert_true(set.at[0].slot == 100 && set.at[0].event == 23);
    assert_true(set.at[1].slot == 101 && set.at[1].event == 24);
    assert_true(set.at[2].slot == 102 && set.at[2].event == 25);
    test_ok(hs_store_state_at(t->db, t->a, room, (hs_snap){ 0, 2 }, &set));
    assert_int_equal(set.n, 2);
    assert_true(set.at[0].slot == 101 && set.at[0].event == 21);
}

static void what_was_built_on_an_old_head_is_stale_and_leaves_nothing(void **state)
{
    test_db *t = *state;
    hs_nid room = ROOM + 3;
    hs_event_row ev[1];
    hs_write_result r;
    hs_write *w;
    uint32_t at;

    assert_int_equal(write_message(t, room, 30, 0, 0).status, HS_WRITE_STALE); /* there is no room yet */
    assert_int_equal(write_message(t, room, 30, 0, -1).status, HS_WRITE_OK);
    assert_int_equal(write_message(t, room, 31, 0, -1).status, HS_WRITE_STALE); /* now there is */

    test_ok(hs_write_open(t->db, t->a, &w)); /* another snapshot */
    test_ok(add_message(w, room, 32, NULL, 0, 5, &at));
    test_ok(hs_write_commit(w, &r));
    assert_int_equal(r.status, HS_WRITE_STALE);

    test_ok(hs_write_open(t->db, t->a, &w)); /* another position */
    test_ok(hs_write_item(w, &(hs_write_timeline){ .room = room, .event = 33, .seen_pos = 1 }, &at));
    test_ok(hs_write_commit(w, &r));
    assert_int_equal(r.status, HS_WRITE_STALE);

    test_ok(hs_store_events(t->db, t->a, room, (const hs_nid[]){ 31 }, 1, ev));
    assert_true(ev[0].event == 0);
}

typedef struct {
    test_db *t;
    hs_nid room, nid, prev;
    int32_t seen_line;
    const char *txn;
    hs_write_result r;
    bool error;
    int *left;
} sender;

static void send_one(void *ud)
{
    sender *s = ud;
    hs_arena *a = hs_arena_open(1 << 20);
    hs_write *w;
    uint32_t at;
    hs_error *e;

    test_ok(hs_write_open(s->t->db, a, &w));
    test_ok(add_message(w, s->room, s->nid, s->prev ? &s->prev : NULL, s->seen_line, 0, &at));
    if (s->txn)
        test_ok(hs_store_txn_insert(w, &(hs_txn_row){ .user = 1,
                                                      .device_id = HS_S("D"),
                                                      .scope = s->room,
                                                      .txn_id = hs_str_c(s->txn),
                                                      .room = s->room,
                                                      .event = s->nid,
                                                      .ts = 1 }));
    e = hs_write_commit(w, &s->r);
    s->error = e != NULL;
    hs_arena_close(a);
    --*s->left;
}

static void send_all(test_db *t, sender *s, size_t n)
{
    int left = (int)n;

    for (size_t i = 0; i < n; i++) {
        s[i].t = t;
        s[i].left = &left;
        test_ok(hs_fiber_spawn(t->loop, send_one, &s[i]));
    }
    while (left)
        hs_loop_turn(t->loop, 50);
}

static void a_stale_unit_takes_only_what_was_built_on_it(void **state)
{
    test_db *t = *state;
    hs_nid x = ROOM + 4, y = ROOM + 5;
    sender s[] = {
        { .room = x, .nid = 42, .prev = 40 },                 /* fine */
        { .room = x, .nid = 43, .prev = 42, .seen_line = 7 }, /* stale */
        { .room = y, .nid = 52, .prev = 51 },                 /* another room */
        { .room = x, .nid = 44, .prev = 43 },                 /* built on the stale one */
        { .room = y, .nid = 53, .prev = 52 },
    };

    write_message(t, x, 40, 0, -1);
    write_message(t, y, 51, 0, -1);
    send_all(t, s, 5);
    assert_int_equal(s[0].r.status, HS_WRITE_OK);
    assert_int_equal(s[1].r.status, HS_WRITE_STALE);
    assert_int_equal(s[2].r.status, HS_WRITE_OK);
    assert_int_equal(s[3].r.status, HS_WRITE_STALE);
    assert_int_equal(s[4].r.status, HS_WRITE_OK);
    assert_true(s[4].r.first > s[2].r.first && s[2].r.first > s[0].r.first);
}

static void the_same_transaction_id_is_written_once(void **state)
{
    test_db *t = *state;
    hs_nid room = ROOM + 6;
    hs_txn_row txn = { .user = 1, .device_id = HS_S("D"), .scope = room, .txn_id = HS_S("m1") };
    sender s[] = {
        { .room = room, .nid = 61, .prev = 60, .txn = "m1" },
        { .room = room, .nid = 62, .prev = 61, .txn = "m1" },
        { .room = room, .nid = 63, .prev = 62, .txn = "m2" }, /* built on the one that is refused */
    };
    hs_str found_txn;
    bool found;

    write_message(t, room, 60, 0, -1);
    send_all(t, s, 3);
    assert_int_equal(s[0].r.status, HS_WRITE_OK);
    assert_int_equal(s[1].r.status, HS_WRITE_CONFLICT);
    assert_int_equal(s[2].r.status, HS_WRITE_STALE);
    test_ok(hs_store_txn_get(t->db, t->a, &txn, &found));
    assert_true(found && txn.event == 61);
    test_ok(hs_store_txns_of_events(t->db, t->a, room, 1, HS_S("D"), (const hs_nid[]){ 61 }, 1, &found_txn));
    assert_true(hs_str_eq(found_txn, HS_S("m1")));
}

static void a_broken_statement_fails_its_unit_and_no_other(void **state)
{
    static const hs_stmt BAD = { .name = "t_bad", .sql = "SELECT 1 / $1", .params = "i", .cols = "i" };
    test_db *t = *state;
    hs_nid room = ROOM + 7;
    sender s[] = { { .room = room, .nid = 71, .prev = 70 }, { .room = room, .nid = 72, .prev = 71 } };
    hs_write_result r;
    hs_write *w;
    hs_error *e;
    uint32_t at;

    write_message(t, room, 70, 0, -1);
    test_ok(hs_write_open(t->db, t->a, &w));
    test_ok(hs_write_position(w, &at));
    test_ok(hs_write_after(w, &BAD, 0));
    e = hs_write_commit(w, &r);
    assert_non_null(e);
    assert_int_equal(e->status, 500);
    send_all(t, s, 2);
    assert_int_equal(s[0].r.status, HS_WRITE_OK);
    assert_int_equal(s[1].r.status, HS_WRITE_OK);
}

static void positions_in_statements_are_those_that_are_answered(void **state)
{
    static const hs_stmt PUT = { .name = "t_put_pos",
                                 .sql = "INSERT INTO t_pos VALUES ($1, hs_pos($2))",
                                 .params = "np" };
    static const hs_stmt GET = {
        .name = "t_get_pos", .sql = "SELECT pos FROM t_pos WHERE k = $1", .params = "n", .cols = "n"
    };
    test_db *t = *state;
    hs_write_result r;
    hs_rows *rows;
    hs_write *w;
    uint32_t x, y, z;

    test_pg_sql(t->conninfo, "CREATE TABLE t_pos(k bigint, pos bigint)");
    test_ok(hs_write_open(t->db, t->a, &w));
    test_ok(hs_write_position(w, &x));
    test_ok(hs_write_position(w, &y));
    test_ok(hs_write_position(w, &z));
    test_ok(hs_write_after(w, &PUT, (int64_t)3, z));
    test_ok(hs_write_after(w, &PUT, (int64_t)1, x));
    test_ok(hs_write_after(w, &PUT, (int64_t)2, y));
    test_ok(hs_write_commit(w, &r));
    for (int64_t k = 1; k <= 3; k++) {
        test_ok(hs_db_query(t->db, t->a, &GET, &rows, k));
        assert_true(hs_rows_i64(rows, 0, 0) == r.first + k - 1);
    }
}

/* Connections are cut at any moment; each unit's answer must be what is in the database, once. */
static void lost_connections_lose_and_repeat_nothing(void **state)
{
    enum { ROUNDS = 12, N = 30 };
    test_db *t = *state;
    hs_nid room = ROOM + 8, prev = 80;
    int ok = 0;

    write_message(t, room, 80, 0, -1);
    for (int round = 0; round < ROUNDS; round++) {
        sender s[N];
        int left = N;
        for (int i = 0; i < N; i++) {
            s[i] = (sender){ .t = t, .room = room, .nid = 1000 + round * N + i, .prev = prev, .left = &left };
            test_ok(hs_fiber_spawn(t->loop, send_one, &s[i]));
        }
        for (int turn = 0; turn < round % 6; turn++)
            hs_loop_turn(t->loop, 0);
        test_pg_sql(t->conninfo, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                 " WHERE application_name LIKE 'hs write%' AND datname = current_database()");
        while (left)
            hs_loop_turn(t->loop, 50);
        for (int i = 0; i < N; i++) {
            assert_false(s[i].error);
            assert_int_equal(s[i].r.status, HS_WRITE_OK);
            ok++;
        }
    }
    assert_int_equal(test_pg_sql(t->conninfo, "SELECT count(*) FROM timeline WHERE room_nid = 1008") - 1, ok);
    assert_int_equal(
        test_pg_sql(t->conninfo, "SELECT count(*) - count(DISTINCT event_nid) FROM timeline WHERE room_nid = 1008"), 0);
    assert_int_equal(seen.backwards, 0);
}

/* Cuts this process's own ends of its connections to PostgreSQL, and throws away what had come. */
static void cut_sockets(void)
{
    char lost[4096];

    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_un peer;
        socklen_t n = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &n) != 0 || peer.sun_family != AF_UNIX ||
            n <= sizeof(sa_family_t) || !strstr(peer.sun_path, ".s.PGSQL"))
            continue;
        while (recv(fd, lost, sizeof lost, MSG_DONTWAIT) > 0)
            ;
        shutdown(fd, SHUT_RDWR);
    }
}

/* Sent, committed there, and the answer never came: the unit's own row in the feed tells. */
static void what_was_committed_before_the_answer_was_lost_is_not_written_again(void **state)
{
    test_db *t = *state;
    hs_nid room = ROOM + 9;
    sender s[] = { { .room = room, .nid = 91, .prev = 90, .t = t }, { .room = room, .nid = 92, .prev = 91, .t = t } };
    int left = 2, told_before;

    write_message(t, room, 90, 0, -1);
    told_before = seen.units;
    for (int i = 0; i < 2; i++) {
        s[i].left = &left;
        test_ok(hs_fiber_spawn(t->loop, send_one, &s[i]));
    }
    while (test_pg_sql(t->conninfo, "SELECT count(*) FROM timeline WHERE room_nid = 1009") < 3) {
        if (left == 2 && seen.units == told_before)
            hs_loop_turn(t->loop, 0); /* until it is sent; the answer is not read before the connection is cut */
        if (left < 2)
            fail_msg("answered too early");
    }
    cut_sockets();
    while (left)
        hs_loop_turn(t->loop, 50);
    assert_int_equal(s[0].r.status, HS_WRITE_OK);
    assert_int_equal(s[1].r.first, s[0].r.first + 1);
    assert_int_equal(seen.units, told_before + 2);
    assert_int_equal(test_pg_sql(t->conninfo, "SELECT count(*) FROM timeline WHERE room_nid = 1009"), 3);
}

/* All that was told in order is in the feed in order, without overlap. */
static void the_feed_covers_every_position_once(void **state)
{
    test_db *t = *state;

    assert_int_equal(test_pg_sql(t->conninfo,
                                 "SELECT count(*) FROM (SELECT pos_from, lag(pos) OVER (ORDER BY pos) AS before"
                                 " FROM feed) x WHERE before >= pos_from"),
                     0);
    assert_int_equal(test_pg_sql(t->conninfo, "SELECT count(*) FROM timeline t WHERE NOT EXISTS (SELECT FROM feed f"
                                              " WHERE t.pos BETWEEN f.pos_from AND f.pos)"),
                     0);
    assert_int_equal(seen.backwards, 0);
    assert_true(seen.last == hs_write_durable(t->db));
}

static void forgetting_the_feed_keeps_its_newest_row(void **state)
{
    test_db *t = *state;
    hs_feed_row *rows;
    uint64_t gone = 1;
    hs_tx *tx;
    size_t n;

    assert_true(test_pg_sql(t->conninfo, "SELECT count(*) FROM feed") > 1);
    while (gone) {
        test_ok(hs_tx_begin(t->db, t->a, &tx));
        test_ok(hs_store_feed_expire(tx, t->a, INT64_MAX, &gone));
        test_ok(hs_tx_commit(tx));
    }
    test_ok(hs_store_feed_after(t->db, t->a, 0, 10, &rows, &n));
    assert_true(n == 1 && rows[0].pos == hs_write_durable(t->db));
}

static void allow_connections(const test_db *t, bool yes)
{
    const char *name = strstr(t->conninfo, "dbname=") + 7;
    char admin[256], sql[200];

    snprintf(admin, sizeof admin, "host=%s user=hs dbname=postgres", getenv("HS_TEST_PG"));
    snprintf(sql, sizeof sql, "ALTER DATABASE %s ALLOW_CONNECTIONS %s", name, yes ? "true" : "false");
    test_pg_sql(admin, sql);
    if (yes)
        return;
    snprintf(sql, sizeof sql, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '%s'",
             name);
    while (test_pg_sql(admin, sql) > 0)
        usleep(10000); /* they end by themselves; asked again until nobody is left */
}

static void a_writer_that_cannot_connect_answers_503_and_works_again_later(void **state)
{
    test_db *t = *state;
    hs_write_result r = { 0 };
    hs_write *w;
    hs_error *e;
    hs_rows *rows;
    uint32_t at;
    static const hs_stmt ONE = { .name = "t_one", .sql = "SELECT 1::bigint", .cols = "n" };

    allow_connections(t, false);
    for (int i = 0; i < 30; i++)
        hs_loop_turn(t->loop, 10); /* the loss is seen: a unit that had been sent would wait for the truth */
    test_ok(hs_write_open(t->db, t->a, &w));
    test_ok(hs_write_position(w, &at));
    e = hs_write_commit(w, &r);
    assert_non_null(e);
    assert_true(e->status == 503 && e->retry_ms > 0);
    e = hs_db_query(t->db, t->a, &ONE, &rows);
    assert_non_null(e);
    assert_true(e->status == 503 && e->retry_ms > 0);
    for (int i = 0; i < 20; i++) /* who comes now need not wait to hear the same */
        hs_loop_turn(t->loop, 10);
    int64_t began = hs_loop_now(t->loop);
    assert_non_null(hs_db_query(t->db, t->a, &ONE, &rows));
    assert_int_equal(hs_loop_now(t->loop), began);

    allow_connections(t, true);
    test_await_writing(t);
    for (int i = 0; i < 300 && hs_db_query(t->db, t->a, &ONE, &rows); i++) /* readers come back by themselves */
        hs_loop_turn(t->loop, 20);
    test_ok(hs_db_query(t->db, t->a, &ONE, &rows));
}

/* Another worker's news come first: the callers wait, the next batch does not. */
static void a_batch_that_is_told_later_holds_its_callers_and_nobody_else(void **state)
{
    test_db *t = *state;
    sender s[] = { { .room = ROOM + 20, .nid = 201, .prev = 200, .t = t },
                   { .room = ROOM + 21, .nid = 211, .prev = 210, .t = t } };
    hs_told_batch *first;
    int left = 1, other = 1;

    write_message(t, ROOM + 20, 200, 0, -1);
    write_message(t, ROOM + 21, 210, 0, -1);
    s[0].left = &left;
    s[1].left = &other;
    seen.keep = true;
    seen.kept = NULL;
    test_ok(hs_fiber_spawn(t->loop, send_one, &s[0]));
    while (!seen.kept)
        hs_loop_turn(t->loop, 50);
    first = seen.kept;
    seen.keep = false;
    test_ok(hs_fiber_spawn(t->loop, send_one, &s[1]));
    while (other)
        hs_loop_turn(t->loop, 50);
    assert_int_equal(left, 1);
    assert_true(hs_write_sent(t->db) == hs_write_ended(t->db) + 1);
    assert_true(s[1].r.first > first->pos);
    hs_write_told(first);
    while (left)
        hs_loop_turn(t->loop, 50);
    assert_int_equal(s[0].r.status, HS_WRITE_OK);
    assert_true(s[0].r.first < s[1].r.first);
    assert_true(hs_write_sent(t->db) == hs_write_ended(t->db));
}

/* A standby takes over that had not received the end. */
static void a_database_that_has_lost_what_was_durable_is_noticed(void **state)
{
    test_db *t = *state;
    hs_write_result r = write_message(t, ROOM + 30, 300, 0, -1);
    char sql[160];

    assert_int_equal(r.status, HS_WRITE_OK);
    cut_sockets();
    r = write_message(t, ROOM + 30, 301, 300, 0); /* back, and nothing is missing */
    assert_int_equal(r.status, HS_WRITE_OK);
    assert_int_equal(seen.went_back_to, 0);
    snprintf(sql, sizeof sql, "DELETE FROM feed WHERE pos >= %lld", (long long)r.first);
    test_pg_sql(t->conninfo, sql);
    cut_sockets();
    while (!seen.went_back_to)
        hs_loop_turn(t->loop, 50);
    assert_true(seen.went_back_to < r.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_message_is_the_rooms_head_and_was_told_once),
        cmocka_unit_test(forks_and_merges_keep_the_heads),
        cmocka_unit_test(state_of_a_unit_is_readable_afterwards),
        cmocka_unit_test(what_was_built_on_an_old_head_is_stale_and_leaves_nothing),
        cmocka_unit_test(a_stale_unit_takes_only_what_was_built_on_it),
        cmocka_unit_test(the_same_transaction_id_is_written_once),
        cmocka_unit_test(a_broken_statement_fails_its_unit_and_no_other),
        cmocka_unit_test(positions_in_statements_are_those_that_are_answered),
        cmocka_unit_test(lost_connections_lose_and_repeat_nothing),
        cmocka_unit_test(what_was_committed_before_the_answer_was_lost_is_not_written_again),
        cmocka_unit_test(the_feed_covers_every_position_once),
        cmocka_unit_test(a_batch_that_is_told_later_holds_its_callers_and_nobody_else),
        cmocka_unit_test(forgetting_the_feed_keeps_its_newest_row),
        cmocka_unit_test(a_writer_that_cannot_connect_answers_503_and_works_again_later),
        cmocka_unit_test(a_database_that_has_lost_what_was_durable_is_noticed),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
