/* Who sees what of a room's history: every change of the visibility, every change of the viewer's membership, looked at
 * after each; against the specification's list, which is written down here once more. */
#include "support/rooms.h"

#include "server/room_member.h"
#include "server/room_send.h"
#include "server/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { EVENTS_MAX = 64 };

static const char *const VISIBILITIES[] = { "world_readable", "shared", "invited", "joined" };

/* What happens to bob, one after the other; between any two there is a message. */
typedef struct {
    hs_member_action action;
    bool by_alice;
    hs_membership becomes;
} move;

static const move MOVES[] = {
    { HS_CHANGE_INVITE, true, HS_MEMBER_INVITE }, { HS_CHANGE_LEAVE, false, HS_MEMBER_LEAVE }, /* refused */
    { HS_CHANGE_KNOCK, false, HS_MEMBER_KNOCK },  { HS_CHANGE_LEAVE, false, HS_MEMBER_LEAVE }, /* taken back */
    { HS_CHANGE_INVITE, true, HS_MEMBER_INVITE }, { HS_CHANGE_JOIN, false, HS_MEMBER_JOIN },
    { HS_CHANGE_LEAVE, false, HS_MEMBER_LEAVE },  { HS_CHANGE_INVITE, true, HS_MEMBER_INVITE },
    { HS_CHANGE_JOIN, false, HS_MEMBER_JOIN },    { HS_CHANGE_KICK, true, HS_MEMBER_LEAVE },
    { HS_CHANGE_BAN, true, HS_MEMBER_BAN },       { HS_CHANGE_UNBAN, true, HS_MEMBER_LEAVE },
    { HS_CHANGE_KNOCK, false, HS_MEMBER_KNOCK },
};
enum { MOVES_N = sizeof MOVES / sizeof *MOVES };

typedef struct {
    hs_str id;
    const char *vis_before, *vis_after;
    hs_membership was, is;
    bool own; /* bob's member event */
} seen;

typedef struct {
    test_rooms *t;
    hs_session *alice, *bob;
    hs_str room_id;
    seen events[EVENTS_MAX];
    size_t n;
    const char *visibility;
    hs_membership bob_is;
} room_history;

static bool is(const char *x, const char *y)
{
    return strcmp(x, y) == 0;
}

/* Client-Server API, "Room History Visibility", server behaviour: 1 to 5. */
static bool allowed(const char *visibility, hs_membership at, bool joined_later)
{
    if (is(visibility, "world_readable"))
        return true;
    if (at == HS_MEMBER_JOIN)
        return true;
    if (is(visibility, "shared") && joined_later)
        return true;
    return is(visibility, "invited") && at == HS_MEMBER_INVITE;
}

static bool expected(const room_history *h, size_t i)
{
    const seen *e = &h->events[i];
    bool later = false;

    for (size_t k = i; k < h->n; k++)
        later = later || h->events[k].is == HS_MEMBER_JOIN;
    if (e->own && (e->is == HS_MEMBER_LEAVE || e->is == HS_MEMBER_BAN) && e->was != HS_MEMBER_NONE &&
        e->was != HS_MEMBER_LEAVE && e->was != HS_MEMBER_BAN)
        return true; /* not of the list: the end of an invite, a knock or a stay is never hidden from whom it ends */
    return allowed(e->vis_before, e->was, later) || allowed(e->vis_after, e->was, later) ||
           (e->own && allowed(e->vis_before, e->is, later));
}

static void note(room_history *h, hs_str id, const char *vis_after, hs_membership bob_is, bool own)
{
    assert_true(h->n < EVENTS_MAX);
    h->events[h->n++] = (seen){
        .id = id, .vis_before = h->visibility, .vis_after = vis_after, .was = h->bob_is, .is = bob_is, .own = own
    };
    h->visibility = vis_after;
    h->bob_is = bob_is;
}

static void say(room_history *h)
{
    note(h, test_send(h->t, h->alice, h->room_id, "x", NULL), h->visibility, h->bob_is, false);
}

static void set_visibility(room_history *h, const char *to)
{
    hs_send in = { .room_id = h->room_id, .type = HS_S("m.room.history_visibility"), .state_key = HS_S("") };
    char text[64];
    hs_str id;

    if (is(h->visibility, to))
        return;
    snprintf(text, sizeof text, "{\"history_visibility\":\"%s\"}", to);
    in.content = test_json(h->t->db.a, text);
    test_ok(hs_room_send_state(h->t->srv, h->alice, h->t->db.a, &in, &id));
    note(h, id, to, h->bob_is, false);
}

static void change(room_history *h, const move *m)
{
    hs_member_change in = { .action = m->action, .room_id = h->room_id, .target = h->bob->user_id };
    hs_str id;

    test_ok(hs_room_member_change(h->t->srv, m->by_alice ? h->alice : h->bob, h->t->db.a, &in, &id));
    note(h, id, h->visibility, m->becomes, true);
}

static void look(const room_history *h, const char *from, const char *to, size_t moves)
{
    hs_arena *a = hs_arena_open((size_t)4 << 20);
    hs_stored *events[EVENTS_MAX];
    bool visible[EVENTS_MAX];
    hs_membership at[EVENTS_MAX];
    hs_room *room;

    test_ok(hs_room_find(h->t->srv, a, h->room_id, &room));
    for (size_t i = 0; i < h->n; i++) {
        test_ok(hs_event_find(h->t->srv, a, room->nid, h->events[i].id, &events[i]));
        assert_non_null(events[i]);
    }
    test_ok(hs_timeline_visible(h->t->srv, a, room, h->bob, HS_SEES_PAST_STAYS, events, h->n, visible, at));
    for (size_t i = 0; i < h->n; i++) {
        if (visible[i] != expected(h, i))
            fail_msg("from %s to %s, after %zu changes of membership: event %zu (%.*s, %s to %s) is %s", from, to,
                     moves, i, HS_FMT(events[i]->ev->type),
                     hs_membership_str(h->events[i].was).p ? h->events[i].vis_before : "", h->events[i].vis_after,
                     visible[i] ? "seen" : "not seen");
        assert_int_equal(at[i], h->events[i].is == HS_MEMBER_NONE ? HS_MEMBER_LEAVE : h->events[i].is);
    }
    hs_arena_close(a);
}

/* From one visibility to another, the change being at each place among bob's. */
static void play(test_rooms *t, hs_session *alice, hs_session *bob, const char *from, const char *to, size_t when)
{
    room_history h = { .t = t, .alice = alice, .bob = bob, .visibility = from };
    char body[320];

    snprintf(
        body, sizeof body,
        "{\"initial_state\":[{\"type\":\"m.room.history_visibility\",\"state_key\":\"\",\"content\":{"
        "\"history_visibility\":\"%s\"}},{\"type\":\"m.room.join_rules\",\"state_key\":\"\",\"content\":{\"join_rule\":"
        "\"knock\"}}]}",
        from);
    h.room_id = test_create(t, alice, body);
    say(&h);
    for (size_t i = 0; i < MOVES_N; i++) {
        if (i == when) {
            set_visibility(&h, to);
            say(&h);
        }
        change(&h, &MOVES[i]);
        say(&h);
        look(&h, from, to, i + 1);
    }
}

static void cases(void *ud)
{
    test_rooms *t = ud;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");

    for (size_t from = 0; from < 4; from++)
        for (size_t to = 0; to < 4; to++)
            play(t, alice, bob, VISIBILITIES[from], VISIBILITIES[to], 1 + (5 * from + 3 * to) % MOVES_N);
}

static void history_is_seen_as_visibility_and_membership_had_it(void **state)
{
    static test_rooms t;

    (void)state;
    test_rooms_open(&t);
    test_on_fiber(t.db.loop, cases, &t);
    test_rooms_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_is_seen_as_visibility_and_membership_had_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
