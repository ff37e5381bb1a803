/* Rooms as they are shown from outside, and the tree below a space. */
#include "server/spaces.h"

#include "server/room_member.h"
#include "server/room_send.h"
#include "support/rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static hs_str textf(test_rooms *t, const char *format, hs_str s)
{
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, t->db.a);
    for (; *format; format++)
        if (*format == '%')
            hs_buf_add(&b, s);
        else
            hs_buf_addc(&b, *format);
    hs_buf_addc(&b, 0);
    test_ok(hs_buf_flatten(&b, &text));
    return text;
}

static void set_state(test_rooms *t, hs_session *who, hs_str room, const char *type, hs_str key, const char *content)
{
    hs_send in = { .room_id = room, .type = hs_str_c(type), .state_key = key, .content = test_json(t->db.a, content) };
    hs_str id;

    test_ok(hs_room_send_state(t->srv, who, t->db.a, &in, &id));
}

static hs_error *change(test_rooms *t, hs_session *who, hs_member_action action, hs_str room, hs_str target)
{
    hs_member_change in = { .action = action, .room_id = room, .target = target };

    return hs_room_member_change(t->srv, who, t->db.a, &in, NULL);
}

static hs_str space(test_rooms *t, hs_session *who, const char *name)
{
    return test_create(t, who,
                       textf(t,
                             "{\"preset\":\"public_chat\",\"name\":\"%\",\"creation_content\":{\"type\":\"m.space\"}}",
                             hs_str_c(name))
                           .p);
}

static hs_str room(test_rooms *t, hs_session *who, const char *name)
{
    return test_create(t, who, textf(t, "{\"preset\":\"public_chat\",\"name\":\"%\"}", hs_str_c(name)).p);
}

static void child(test_rooms *t, hs_session *who, hs_str parent, hs_str id, const char *content)
{
    set_state(t, who, parent, "m.space.child", id, content);
}

/* The names of a page's rooms, one after another. */
static void assert_page(const hs_hierarchy_page *p, const char *want)
{
    char is[256] = "";

    for (size_t i = 0; i < p->n; i++) {
        hs_str name = p->at[i].room.card.summary.name;
        snprintf(is + strlen(is), sizeof is - strlen(is), "%.*s ", HS_FMT(name));
    }
    assert_string_equal(is, want);
}

static hs_hierarchy_page walk(test_rooms *t, hs_session *who, hs_hierarchy_query in)
{
    hs_hierarchy_page p;

    test_ok(hs_hierarchy_get(t->srv, who, t->db.a, &in, &p));
    return p;
}

static bool sees(test_rooms *t, hs_session *who, hs_str id)
{
    hs_room_view_card card;
    hs_error *e = hs_space_summary(t->srv, who, t->db.a, id, &card);

    if (e)
        assert_int_equal(e->status, 404);
    return !e;
}

static void who_could_come_in_sees_a_room_and_nobody_else(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob"), *carol = test_user(t, "carol");
    hs_str open = room(t, alice, "open"), closed = test_create(t, alice, "{\"preset\":\"private_chat\"}");
    hs_str knock = test_create(t, alice,
                               "{\"initial_state\":[{\"type\":\"m.room.join_rules\",\"content\":{\"join_rule\":"
                               "\"knock\"}}]}");
    hs_str shown = test_create(t, alice,
                               "{\"initial_state\":[{\"type\":\"m.room.history_visibility\",\"content\":{"
                               "\"history_visibility\":\"world_readable\"}}]}");

    assert_true(sees(t, NULL, open) && sees(t, bob, open));
    assert_true(sees(t, NULL, knock) && sees(t, NULL, shown));
    assert_true(sees(t, alice, closed));
    assert_false(sees(t, NULL, closed) || sees(t, bob, closed));
    assert_false(sees(t, alice, HS_S("!nothere:test")));
    test_ok(change(t, alice, HS_CHANGE_INVITE, closed, bob->user_id));
    assert_true(sees(t, bob, closed));
    assert_false(sees(t, carol, closed));
    test_ok(change(t, bob, HS_CHANGE_LEAVE, closed, (hs_str){ 0 }));
    assert_false(sees(t, bob, closed));
}

static void a_restricted_room_is_seen_by_members_of_what_it_names(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str club = room(t, alice, "club");
    hs_str inner = test_create(
        t, alice,
        textf(
            t,
            "{\"initial_state\":[{\"type\":\"m.room.join_rules\",\"content\":{\"join_rule\":\"restricted\",\"allow\":["
            "{\"type\":\"m.room_membership\",\"room_id\":\"%\"},{\"type\":\"x\",\"room_id\":\"!x:test\"}]}}]}",
            club)
            .p);
    hs_room_view_card card;

    assert_false(sees(t, bob, inner) || sees(t, NULL, inner));
    test_ok(change(t, bob, HS_CHANGE_JOIN, club, (hs_str){ 0 }));
    test_ok(hs_space_summary(t->srv, bob, t->db.a, inner, &card));
    assert_int_equal(card.allowed.n, 1);
    assert_true(hs_str_eq(card.allowed.at[0], club));
}

static void a_summary_says_what_the_room_is(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str id = test_create(t, alice,
                            "{\"preset\":\"public_chat\",\"room_alias_name\":\"here\",\"name\":\"N\",\"topic\":\"T\"}");
    hs_room_view_card card;
    hs_json_out j;
    hs_buf b;
    hs_str is, want;

    test_ok(change(t, bob, HS_CHANGE_JOIN, id, (hs_str){ 0 }));
    test_ok(hs_space_summary(t->srv, NULL, t->db.a, HS_S("#here:test"), &card));
    hs_buf_init(&b, t->db.a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_space_show(&j, &card);
    hs_json_end(&j);
    test_ok(hs_buf_flatten(&b, &is));
    want = textf(t,
                 "{\"room_id\":\"%\",\"room_version\":\"11\",\"name\":\"N\",\"topic\":\"T\",\"canonical_alias\":"
                 "\"#here:test\",\"num_joined_members\":2,\"world_readable\":false,\"guest_can_join\":false,"
                 "\"join_rule\":\"public\"}",
                 id);
    want.n--; /* its NUL */
    if (!hs_str_eq(is, want))
        fail_msg("%.*s", HS_FMT(is));
}

static void a_tree_is_walked_depth_first_in_the_order_of_its_spaces(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str top = space(t, alice, "top"), sub = space(t, alice, "sub");
    hs_str x = room(t, alice, "x"), y = room(t, alice, "y"), z = room(t, alice, "z");
    hs_str hidden = test_create(t, alice, "{\"name\":\"hidden\"}"), gone = room(t, alice, "gone");

    child(t, alice, top, x, "{\"via\":[\"test\"]}"); /* no order: behind those with one */
    child(t, alice, top, y, "{\"via\":[\"test\"],\"order\":\"b\"}");
    child(t, alice, top, sub, "{\"via\":[\"test\"],\"order\":\"a\",\"suggested\":true}");
    child(t, alice, top, hidden, "{\"via\":[\"test\"],\"order\":\"aa\"}");
    child(t, alice, top, gone, "{}"); /* no child any more */
    child(t, alice, sub, z, "{\"via\":[\"test\"]}");
    child(t, alice, sub, top, "{\"via\":[\"test\"]}"); /* a ring */

    hs_hierarchy_page p = walk(t, bob, (hs_hierarchy_query){ .room_id = top });
    assert_page(&p, "top sub z y x ");
    assert_null(p.next_batch.p);
    assert_int_equal(p.at[0].children_n, 4);
    p = walk(t, alice, (hs_hierarchy_query){ .room_id = top });
    assert_page(&p, "top sub z hidden y x ");
    p = walk(t, bob, (hs_hierarchy_query){ .room_id = top, .suggested_only = true });
    assert_page(&p, "top sub ");
    p = walk(t, bob, (hs_hierarchy_query){ .room_id = top, .has_depth = true, .max_depth = 1 });
    assert_page(&p, "top sub y x ");
    p = walk(t, bob, (hs_hierarchy_query){ .room_id = top, .has_depth = true });
    assert_page(&p, "top ");
    p = walk(t, bob, (hs_hierarchy_query){ .room_id = x });
    assert_page(&p, "x ");
}

static void a_page_goes_on_with_its_token_for_who_asked_what_it_asked(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str top = space(t, alice, "top");
    hs_hierarchy_query in = { .room_id = top, .limit = 2 };
    hs_hierarchy_page p;

    child(t, alice, top, room(t, alice, "x"), "{\"via\":[\"test\"],\"order\":\"a\"}");
    child(t, alice, top, room(t, alice, "y"), "{\"via\":[\"test\"],\"order\":\"b\"}");
    child(t, alice, top, room(t, alice, "z"), "{\"via\":[\"test\"],\"order\":\"c\"}");
    p = walk(t, bob, in);
    assert_page(&p, "top x ");
    in.from = p.next_batch;
    assert_non_null(in.from.p);
    p = walk(t, bob, in);
    assert_page(&p, "y z ");
    assert_null(p.next_batch.p);

    assert_int_equal(hs_hierarchy_get(t->srv, alice, t->db.a, &in, &p)->status, 400); /* not hers */
    in.suggested_only = true;
    assert_int_equal(hs_hierarchy_get(t->srv, bob, t->db.a, &in, &p)->status, 400); /* another question */
    in = (hs_hierarchy_query){ .room_id = top, .from = HS_S("nonsense") };
    assert_int_equal(hs_hierarchy_get(t->srv, bob, t->db.a, &in, &p)->status, 400);
}

static void a_closed_space_is_refused_but_to_who_may_see_all(void **state)
{
    test_rooms *t = *state;
    hs_session *alice = test_user(t, "alice"), *bob = test_user(t, "bob");
    hs_str closed = test_create(t, alice, "{\"name\":\"closed\",\"creation_content\":{\"type\":\"m.space\"}}");
    hs_hierarchy_query in = { .room_id = closed };
    hs_hierarchy_page p;

    assert_int_equal(hs_hierarchy_get(t->srv, bob, t->db.a, &in, &p)->status, 403);
    in.all = true;
    p = walk(t, bob, in);
    assert_page(&p, "closed ");
    in.room_id = HS_S("!nothere:test");
    assert_int_equal(hs_hierarchy_get(t->srv, bob, t->db.a, &in, &p)->status, 404);
}

TEST_ROOMS_ON_FIBER(who_could_come_in_sees_a_room_and_nobody_else)
TEST_ROOMS_ON_FIBER(a_restricted_room_is_seen_by_members_of_what_it_names)
TEST_ROOMS_ON_FIBER(a_summary_says_what_the_room_is)
TEST_ROOMS_ON_FIBER(a_tree_is_walked_depth_first_in_the_order_of_its_spaces)
TEST_ROOMS_ON_FIBER(a_page_goes_on_with_its_token_for_who_asked_what_it_asked)
TEST_ROOMS_ON_FIBER(a_closed_space_is_refused_but_to_who_may_see_all)

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f##_, test_rooms_setup, test_rooms_teardown)
    const struct CMUnitTest tests[] = {
        TEST(who_could_come_in_sees_a_room_and_nobody_else),
        TEST(a_restricted_room_is_seen_by_members_of_what_it_names),
        TEST(a_summary_says_what_the_room_is),
        TEST(a_tree_is_walked_depth_first_in_the_order_of_its_spaces),
        TEST(a_page_goes_on_with_its_token_for_who_asked_what_it_asked),
        TEST(a_closed_space_is_refused_but_to_who_may_see_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
