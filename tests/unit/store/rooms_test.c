/* Events, timelines, rooms and members as they read back after being written. */
#include "store/members.h"
#include "store/names.h"
#include "store/rooms.h"
#include "store/timeline.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int open_db(void **state)
{
    static test_db t;

    test_db_open(&t);
    *state = &t;
    return 0;
}

static int close_db(void **state)
{
    test_db_close(*state);
    return 0;
}

static hs_write *unit(test_db *t)
{
    hs_write *w;

    test_ok(hs_write_open(t->db, t->a, &w));
    return w;
}

static int64_t commit(hs_write *w)
{
    hs_write_result r;

    test_ok(hs_write_commit(w, &r));
    assert_int_equal(r.status, HS_WRITE_OK);
    return r.first;
}

/* `n` messages in a room, each after the one before; event numbers first …; depths 1 …; returns the first position. */
static int64_t messages(test_db *t, hs_nid room, hs_nid first, int n)
{
    hs_write *w = unit(t);

    for (int i = 0; i < n; i++) {
        const hs_nid prev = first + i - 1;
        hs_event_row row = { .room = room,
                             .event = first + i,
                             .type = HS_S("m.room.message"),
                             .sender = 4,
                             .depth = i + 1,
                             .origin_ts = 1000 + i,
                             .received_ts = 2000 + i,
                             .line = 0,
                             .snap = 1,
                             .prev = { &prev, i > 0 },
                             .auth = { &first, i > 0 },
                             .json = HS_S("{\"x\":1}") };
        uint32_t at;
        test_ok(hs_str_fmt(t->a, &row.event_id, "$%lld", (long long)row.event));
        test_ok(hs_store_event_insert(w, &row));
        test_ok(hs_write_item(w,
                              &(hs_write_timeline){ .room = room,
                                                    .event = row.event,
                                                    .depth = row.depth,
                                                    .prev = row.prev,
                                                    .seen_line = i ? 0 : -1,
                                                    .seen_snap = i ? 1 : 0,
                                                    .line = 0,
                                                    .snap = 1,
                                                    .d_notify = 1 },
                              &at));
    }
    return commit(w);
}

static void events_come_back_in_the_order_asked(void **state)
{
    test_db *t = *state;
    hs_event_row ev[3];
    hs_write *w;

    messages(t, 100, 1001, 3);
    test_ok(hs_store_events(t->db, t->a, 100, (const hs_nid[]){ 1003, 77, 1001 }, 3, ev));
    assert_true(ev[0].event == 1003 && ev[1].event == 0 && ev[2].event == 1001);
    assert_true(ev[0].room == 100 && ev[0].depth == 3 && ev[0].origin_ts == 1002 && ev[0].received_ts == 2002);
    assert_true(ev[0].line == 0 && ev[0].snap == 1 && !ev[0].state_key.p && ev[0].sender == 4);
    assert_true(hs_str_eq(ev[0].json, HS_S("{\"x\":1}")) && hs_str_eq(ev[0].type, HS_S("m.room.message")));
    assert_true(ev[0].prev.n == 1 && ev[0].prev.at[0] == 1002 && ev[0].auth.at[0] == 1001);
    test_ok(hs_store_events_by_id(t->db, t->a, 0, (const hs_str[]){ HS_S("$1002"), HS_S("$none") }, 2, ev));
    assert_true(ev[0].event == 1002 && ev[1].event == 0);
    test_ok(hs_store_events_by_id(t->db, t->a, 101, (const hs_str[]){ HS_S("$1002") }, 1, ev));
    assert_true(ev[0].event == 0); /* in another room */

    w = unit(t); /* an outlier, with an empty state key */
    test_ok(hs_store_event_insert(w, &(hs_event_row){ .room = 100,
                                                      .event = 1009,
                                                      .event_id = HS_S("$1009"),
                                                      .type = HS_S("m.room.name"),
                                                      .state_key = HS_S(""),
                                                      .slot = 5,
                                                      .line = -1,
                                                      .flags = HS_EVENT_OUTLIER,
                                                      .json = HS_S("{}") }));
    commit(w);
    test_ok(hs_store_events(t->db, t->a, 100, (const hs_nid[]){ 1009 }, 1, ev));
    assert_true(ev[0].line == -1 && ev[0].state_key.p && ev[0].state_key.n == 0 && ev[0].slot == 5);
}

static void a_redacted_event_says_by_what(void **state)
{
    test_db *t = *state;
    hs_redaction_row *due;
    hs_event_row ev[1];
    hs_write *w = unit(t);
    size_t n;

    test_ok(hs_store_event_flag(w, 100, 1002, HS_EVENT_REDACTED));
    test_ok(hs_store_redaction_insert(w, 100, 1002, 1003, HS_REDACTION_APPLIED, 50));
    commit(w);
    test_ok(hs_store_events(t->db, t->a, 100, (const hs_nid[]){ 1002 }, 1, ev));
    assert_true(ev[0].flags == HS_EVENT_REDACTED && ev[0].redacted_by == 1003);
    test_ok(hs_store_redactions_due(t->db, t->a, 51, 10, &due, &n));
    assert_true(n == 1 && due[0].target == 1002 && due[0].event == 1003);
    w = unit(t);
    test_ok(hs_store_event_censor(w, 100, 1002, HS_S("{\"pruned\":1}")));
    commit(w);
    test_ok(hs_store_redactions_due(t->db, t->a, 51, 10, &due, &n));
    assert_int_equal(n, 0);
    test_ok(hs_store_events(t->db, t->a, 100, (const hs_nid[]){ 1002 }, 1, ev));
    assert_true(hs_str_eq(ev[0].json, HS_S("{\"pruned\":1}")) && ev[0].redacted_by == 1003);
}

static void timelines_are_cut_at_both_ends(void **state)
{
    test_db *t = *state;
    int64_t p = messages(t, 200, 2001, 10), q = messages(t, 201, 2101, 5);
    hs_timeline_row *rows, of[3];
    hs_span span = { .low = { 2, p + 1 }, .high = { 9, p + 8 }, .after = INT64_MIN, .upto = INT64_MAX };
    hs_nids news;
    size_t n;

    test_ok(hs_store_timeline(t->db, t->a, 200, p + 1, p + 8, HS_FORWARD, 3, &rows, &n));
    assert_true(n == 3 && rows[0].pos == p + 2 && rows[2].pos == p + 4);
    assert_true(rows[0].event == 2003 && rows[0].n_notify == 3);
    test_ok(hs_store_timeline(t->db, t->a, 200, p + 1, p + 8, HS_BACKWARD, 100, &rows, &n));
    assert_true(n == 7 && rows[0].pos == p + 8 && rows[6].pos == p + 2);
    test_ok(hs_store_timeline_topo(t->db, t->a, 200, &span, HS_BACKWARD, 4, &rows, &n));
    assert_true(n == 4 && rows[0].depth == 9 && rows[3].depth == 6);
    test_ok(hs_store_timeline_topo(t->db, t->a, 200, &span, HS_FORWARD, 4, &rows, &n));
    assert_true(n == 4 && rows[0].depth == 3);
    span.after = p + 3;
    span.upto = p + 6;
    test_ok(hs_store_timeline_topo(t->db, t->a, 200, &span, HS_BACKWARD, 9, &rows, &n));
    assert_true(n == 3 && rows[0].pos == p + 6 && rows[2].pos == p + 4);
    test_ok(hs_store_timeline_topo(t->db, t->a, 200, &span, HS_FORWARD, 2, &rows, &n));
    assert_true(n == 2 && rows[0].pos == p + 4);
    test_ok(hs_store_timelines(t->db, t->a, (const hs_nid[]){ 201, 999, 200 }, 3, 0, q + 3, 2, &rows, &n));
    assert_int_equal(n, 4);
    assert_true(rows[0].room == 201 && rows[0].pos == q + 3 && rows[1].pos == q + 2);
    assert_true(rows[0].ev.event == rows[0].event && rows[0].ev.event_id.n);
    assert_true(rows[2].room == 200 && rows[2].pos == p + 9 && rows[3].pos == p + 8);
    test_ok(hs_store_timeline_of(t->db, t->a, 200, (const hs_nid[]){ 2010, 2101, 2001 }, 3, of));
    assert_true(of[0].pos == p + 9 && of[1].pos == 0 && of[2].pos == p);
    test_ok(hs_store_rooms_with_news(t->db, t->a, (const hs_nid[]){ 200, 201, 999 }, 3, p + 9, INT64_MAX, &news));
    assert_true(news.n == 1 && news.at[0] == 201);
}

static void the_auth_chain_is_complete_and_without_repeats(void **state)
{
    test_db *t = *state;
    hs_auth_row *rows;
    hs_write *w = unit(t);
    size_t n;

    for (hs_nid e = 1; e <= 5; e++) { /* 5 → 3, 4 → 2 → 1; 3 → 1 */
        static const hs_nid auth[6][2] = { { 0 }, { 0 }, { 3001 }, { 3001 }, { 3002 }, { 3003, 3004 } };
        hs_event_row row = { .room = 300,
                             .event = 3000 + e,
                             .type = HS_S("x"),
                             .state_key = HS_S(""),
                             .slot = e,
                             .line = -1,
                             .auth = { auth[e], e == 1   ? 0
                                                : e == 5 ? 2
                                                         : 1 },
                             .json = HS_S("{}") };
        test_ok(hs_str_fmt(t->a, &row.event_id, "$%lld", (long long)row.event));
        test_ok(hs_store_event_insert(w, &row));
    }
    commit(w);
    test_ok(hs_store_auth_chain(t->db, t->a, 300, (const hs_nid[]){ 3004, 3003 }, 2, &rows, &n));
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++)
        assert_true(rows[i].event == 3001 + (hs_nid)i);
    assert_true(rows[3].auth.n == 1 && rows[3].auth.at[0] == 3002);
    test_ok(hs_store_auth_graph(t->db, t->a, 300, &rows, &n));
    assert_int_equal(n, 5);
}

static void a_room_and_its_summary_read_back(void **state)
{
    test_db *t = *state;
    hs_room_summary s[2];
    hs_room_row rooms[2];
    hs_write *w = unit(t);
    const hs_nid heroes[] = { 8, 9 };
    hs_write_result r;
    uint32_t at;
    int64_t pos;
    bool yes;

    test_ok(hs_store_room_insert(
        w,
        &(hs_room_row){ .room = 400, .room_id = HS_S("!r:x"), .version = HS_S("11"), .creator = 8, .created_ts = 5 }));
    test_ok(hs_store_published_insert(w, 400));
    test_ok(hs_write_position(w, &at));
    test_ok(hs_store_summary_put(w, at,
                                 &(hs_room_summary){ .room = 400,
                                                     .name = HS_S("N"),
                                                     .topic = HS_S(""),
                                                     .federatable = true,
                                                     .heroes = { heroes, 2 },
                                                     .bump_pos = -1 }));
    test_ok(hs_store_summary_counts(w, at, 400, &(hs_summary_delta){ .joined = 3, .invited = 1, .state_events = 7 }));
    pos = commit(w);
    test_ok(hs_store_rooms(t->db, t->a, (const hs_nid[]){ 400, 401 }, 2, rooms));
    assert_true(rooms[0].room == 400 && hs_str_eq(rooms[0].version, HS_S("11")) && rooms[0].creator == 8);
    assert_true(rooms[1].room == 0);
    test_ok(hs_store_room_by_id(t->db, t->a, HS_S("!r:x"), &rooms[0]));
    assert_true(rooms[0].room == 400);
    test_ok(hs_store_published_get(t->db, t->a, 400, &yes));
    assert_true(yes);

    w = unit(t);
    test_ok(hs_write_position(w, &at));
    test_ok(hs_store_summary_counts(w, at, 400, &(hs_summary_delta){ .joined = -1, .invited = -1 }));
    assert_true(commit(w) > pos);
    test_ok(hs_store_summaries(t->db, t->a, (const hs_nid[]){ 400, 401 }, 2, s));
    assert_true(s[0].joined == 2 && s[0].invited == 0 && s[0].state_events == 7 && s[1].room == 0);
    assert_true(hs_str_eq(s[0].name, HS_S("N")) && s[0].topic.p && !s[0].avatar.p && s[0].federatable);
    assert_true(s[0].heroes.n == 2 && s[0].bump_pos == pos && s[0].pos > pos);

    w = unit(t); /* the same id again, under another number */
    test_ok(hs_store_room_insert(w, &(hs_room_row){ .room = 402, .room_id = HS_S("!r:x"), .version = HS_S("11") }));
    test_ok(hs_write_commit(w, &r));
    assert_int_equal(r.status, HS_WRITE_CONFLICT);
}

static int64_t set_membership(test_db *t, hs_nid room, hs_nid user, hs_membership m, hs_str stripped)
{
    hs_write *w = unit(t);
    uint32_t at;

    test_ok(hs_write_position(w, &at));
    test_ok(hs_store_member_put(w, at, room, user, m, 5000 + user));
    test_ok(hs_store_user_room_put(
        w, at,
        &(hs_user_room){
            .user = user, .room = room, .membership = m, .event = 5000 + user, .sender = 1, .stripped = stripped }));
    return commit(w);
}

static void membership_moves_the_sync_list(void **state)
{
    test_db *t = *state;
    const hs_str none = { NULL, 0 };
    int64_t invited = set_membership(t, 500, 11, HS_MEMBER_INVITE, HS_S("[]")), left;
    hs_user_room r, *list;
    hs_write *w;
    uint32_t at;
    bool found;
    size_t n;

    test_ok(hs_store_user_room(t->db, t->a, 11, 500, &r, &found));
    assert_true(found && r.membership == HS_MEMBER_INVITE && hs_str_eq(r.stripped, HS_S("[]")) && r.pos == invited);
    set_membership(t, 500, 11, HS_MEMBER_JOIN, none);
    left = set_membership(t, 500, 11, HS_MEMBER_BAN, none);
    test_ok(hs_store_user_room(t->db, t->a, 11, 500, &r, &found));
    assert_true(r.membership == HS_MEMBER_BAN && r.left_pos == left && !r.stripped.p);
    set_membership(t, 500, 11, HS_MEMBER_LEAVE, none); /* unbanned: the stay ended before */
    test_ok(hs_store_user_room(t->db, t->a, 11, 500, &r, &found));
    assert_true(r.left_pos == left);

    w = unit(t);
    test_ok(hs_write_position(w, &at));
    test_ok(hs_store_user_room_flags(w, at, 11, 500, HS_USER_ROOM_FORGOTTEN, 0));
    commit(w);
    test_ok(hs_store_user_rooms(t->db, t->a, 11, 1u << HS_MEMBER_LEAVE | 1u << HS_MEMBER_JOIN, &list, &n));
    assert_int_equal(n, 0);
    test_ok(hs_store_user_rooms_after(t->db, t->a, 11, invited, &list, &n));
    assert_true(n == 1 && list[0].flags == HS_USER_ROOM_FORGOTTEN);
    set_membership(t, 500, 11, HS_MEMBER_JOIN, none); /* is not forgotten any more */
    test_ok(hs_store_user_rooms(t->db, t->a, 11, 1u << HS_MEMBER_JOIN, &list, &n));
    assert_true(n == 1 && list[0].flags == 0 && list[0].left_pos == 0);
}

static void members_are_listed_counted_and_compared(void **state)
{
    test_db *t = *state;
    const hs_str none = { NULL, 0 };
    hs_member_counts counts;
    hs_member_row *rows;
    hs_membership m[3];
    hs_nids nids;
    hs_write *w;
    uint32_t at;
    size_t n;
    bool share[3];

    for (hs_nid u = 21; u <= 25; u++)
        set_membership(t, 600, u, HS_MEMBER_JOIN, none);
    set_membership(t, 600, 26, HS_MEMBER_BAN, none);
    set_membership(t, 601, 21, HS_MEMBER_JOIN, none);
    set_membership(t, 601, 27, HS_MEMBER_JOIN, none);
    w = unit(t); /* somebody from elsewhere: has no sync list here */
    test_ok(hs_write_position(w, &at));
    test_ok(hs_store_member_put(w, at, 600, 29, HS_MEMBER_JOIN, 5029));
    commit(w);

    test_ok(hs_store_members(t->db, t->a, 600, 1u << HS_MEMBER_JOIN, &rows, &n));
    assert_true(n == 6 && rows[0].user == 21 && rows[5].user == 29 && rows[0].event == 5021);
    test_ok(hs_store_member_counts(t->db, t->a, 600, &counts));
    assert_true(counts.joined == 6 && counts.banned == 1 && counts.local_joined == 5);
    test_ok(hs_store_members_get(t->db, t->a, 600, (const hs_nid[]){ 26, 99, 21 }, 3, m));
    assert_true(m[0] == HS_MEMBER_BAN && m[1] == HS_MEMBER_NONE && m[2] == HS_MEMBER_JOIN);
    test_ok(hs_store_shared_rooms(t->db, t->a, 21, 29, &nids));
    assert_true(nids.n == 1 && nids.at[0] == 600);
    test_ok(hs_store_users_share_room(t->db, t->a, 21, (const hs_nid[]){ 27, 26, 29 }, 3, share));
    assert_true(share[0] && !share[1] && share[2]);
    test_ok(hs_store_local_neighbours(t->db, t->a, 21, &nids));
    assert_int_equal(nids.n, 5); /* 22-25 and 27 */

    w = unit(t);
    test_ok(hs_store_member_remove(w, 600, 29));
    commit(w);
    test_ok(hs_store_members_get(t->db, t->a, 600, (const hs_nid[]){ 29 }, 1, m));
    assert_int_equal(m[0], HS_MEMBER_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_back_in_the_order_asked),
        cmocka_unit_test(a_redacted_event_says_by_what),
        cmocka_unit_test(timelines_are_cut_at_both_ends),
        cmocka_unit_test(the_auth_chain_is_complete_and_without_repeats),
        cmocka_unit_test(a_room_and_its_summary_read_back),
        cmocka_unit_test(membership_moves_the_sync_list),
        cmocka_unit_test(members_are_listed_counted_and_compared),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
