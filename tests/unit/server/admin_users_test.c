/* Users as administrators find and change them. */
#include "server/admin_users.h"

#include "server/account_data.h"
#include "server/register.h"
#include "support/rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int open_rooms(void **state)
{
    (void)test_rooms_setup(state);
    test_pg_sql(((test_rooms *)*state)->db.conninfo, "TRUNCATE account, profile"); /* of the test before */
    return 0;
}

/* Somebody with an account. */
static hs_session *account(test_rooms *t, const char *name, unsigned flags, const char *kind)
{
    hs_session *s = test_user(t, name);
    hs_account_new in = { .localpart = s->localpart,
                          .kind = kind ? hs_str_c(kind) : (hs_str){ NULL, 0 },
                          .flags = HS_ACCOUNT_APPROVED | flags };
    hs_identity who;

    test_ok(hs_account_create(t->srv, t->db.a, &in, &who));
    assert_int_equal(who.user, s->user);
    return s;
}

static void assert_list(test_rooms *t, hs_user_list_query q, const char *want, int64_t want_total)
{
    hs_listed_user *users;
    int64_t total;
    char is[256] = "";
    size_t n;

    if (!q.limit)
        q.limit = 100;
    test_ok(hs_admin_users(t->srv, t->db.a, &q, &users, &n, &total));
    for (size_t i = 0; i < n; i++) {
        hs_str local = hs_str_first(hs_str_from(users[i].user_id, 1), users[i].user_id.n - strlen("@:test"));
        snprintf(is + strlen(is), sizeof is - strlen(is), "%.*s ", HS_FMT(local));
    }
    assert_string_equal(is, want);
    assert_int_equal(total, want_total);
}

static void lists_take_filters_orders_and_pages(void **state)
{
    test_rooms *t = *state;
    hs_str bot = HS_S("bot");

    account(t, "dan", 0, NULL);
    account(t, "ann", HS_ACCOUNT_ADMIN, NULL);
    account(t, "b_n", HS_ACCOUNT_LOCKED, "bot");
    account(t, "cin", HS_ACCOUNT_DEACTIVATED, "support");
    test_user(t, "nobody"); /* is known, and has no account */

    assert_list(t, (hs_user_list_query){ 0 }, "ann b_n cin dan ", 4);
    assert_list(t, (hs_user_list_query){ .descending = true }, "dan cin b_n ann ", 4);
    assert_list(t, (hs_user_list_query){ .order = HS_USER_ORDER_CREATED, .descending = true }, "cin b_n ann dan ", 4);
    assert_list(t, (hs_user_list_query){ .order = HS_USER_ORDER_FLAG, .flag = HS_ACCOUNT_ADMIN, .descending = true },
                "ann b_n cin dan ", 4);
    assert_list(t, (hs_user_list_query){ .from = 1, .limit = 2 }, "b_n cin ", 4);
    assert_list(t, (hs_user_list_query){ .from = 9 }, "", 4);
    assert_list(t, (hs_user_list_query){ .with = HS_ACCOUNT_ADMIN }, "ann ", 1);
    assert_list(t, (hs_user_list_query){ .without = HS_ACCOUNT_LOCKED | HS_ACCOUNT_DEACTIVATED }, "ann dan ", 2);
    assert_list(t, (hs_user_list_query){ .not_kinds = { &bot, 1 } }, "ann cin dan ", 3);
    assert_list(t, (hs_user_list_query){ .not_kinds = { &bot, 1 }, .needs_kind = true }, "cin ", 1);
    assert_list(t, (hs_user_list_query){ .name = HS_S("N") }, "ann b_n cin dan ", 4);
    assert_list(t, (hs_user_list_query){ .name = HS_S("_") }, "b_n ", 1); /* as it is, no pattern */
    assert_list(t, (hs_user_list_query){ .name = HS_S("test") }, "", 0);  /* the local part alone */
    assert_list(t, (hs_user_list_query){ .user_id = HS_S("N:TEST") }, "ann b_n cin dan ", 4);
}

static void a_target_is_one_of_ours_with_an_account(void **state)
{
    static const struct {
        const char *id;
        int status;
    } ROWS[] = {
        { "@ann:elsewhere", 400 }, { "ann", 400 }, { "@:x", 400 }, { "@nobody:test", 404 }, { "@none:test", 404 }
    };
    test_rooms *t = *state;
    hs_session *ann = account(t, "ann", HS_ACCOUNT_LOCKED, NULL), target;

    test_user(t, "nobody");
    test_ok(hs_admin_target(t->srv, t->db.a, HS_S("@ann:test"), "foreign", "unknown", &target));
    assert_int_equal(target.user, ann->user);
    assert_true(target.flags & HS_ACCOUNT_LOCKED);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        hs_error *e = hs_admin_target(t->srv, t->db.a, hs_str_c(ROWS[i].id), "foreign", "unknown", &target);
        assert_non_null(e);
        assert_int_equal(e->status, ROWS[i].status);
    }
    assert_null(hs_admin_local(t->srv, t->db.a, HS_S("@none:test"), "foreign"));
}

static bool put(test_rooms *t, const hs_session *who, const char *id, const char *body)
{
    bool is_new;

    test_ok(hs_admin_user_put(t->srv, who, t->db.a, hs_str_c(id), test_json(t->db.a, body), &is_new));
    return is_new;
}

static hs_error *bad_put(test_rooms *t, const hs_session *who, const char *id, const char *body)
{
    bool is_new;
    hs_error *e = hs_admin_user_put(t->srv, who, t->db.a, hs_str_c(id), test_json(t->db.a, body), &is_new);

    assert_non_null(e);
    return e;
}

static void a_user_is_made_and_changed_in_what_is_named(void **state)
{
    test_rooms *t = *state;
    hs_session *admin = account(t, "admin", HS_ACCOUNT_ADMIN, NULL);
    hs_admin_user_view v;
    hs_str found;

    assert_true(put(t, admin, "@new:test",
                    "{\"displayname\":\"New\",\"user_type\":\"bot\",\"threepids\":[{\"medium\":\"email\",\"address\":"
                    "\"New@Example.org\"}],\"external_ids\":[{\"auth_provider\":\"p\",\"external_id\":\"1\"}]}"));
    test_ok(hs_admin_user(t->srv, t->db.a, HS_S("@new:test"), &v));
    assert_true(hs_str_eq(v.details.row.displayname, HS_S("New")));
    assert_int_equal(v.threepids_n, 1);
    assert_true(hs_str_eq(v.threepids[0].address, HS_S("new@example.org")));
    test_ok(hs_admin_user_by_threepid(t->srv, t->db.a, HS_S("email"), HS_S("NEW@example.org"), &found));
    assert_true(hs_str_eq(found, HS_S("@new:test")));
    test_ok(hs_admin_user_by_external_id(t->srv, t->db.a, HS_S("p"), HS_S("1"), &found));
    assert_true(hs_str_eq(found, HS_S("@new:test")));

    assert_false(put(t, admin, "@new:test", "{\"locked\":true,\"external_ids\":[]}"));
    test_ok(hs_admin_user(t->srv, t->db.a, HS_S("@new:test"), &v));
    assert_true(v.details.row.flags & HS_ACCOUNT_LOCKED);
    assert_true(hs_str_eq(v.details.row.kind, HS_S("bot")));
    assert_int_equal(v.threepids_n, 1);
    assert_int_equal(v.external_ids_n, 0);
    assert_int_equal(hs_admin_user_by_external_id(t->srv, t->db.a, HS_S("p"), HS_S("1"), &found)->status, 404);
}

/* Nothing of a body that is refused is done. */
static void a_bad_change_changes_nothing(void **state)
{
    test_rooms *t = *state;
    hs_session *admin = account(t, "admin", HS_ACCOUNT_ADMIN, NULL);
    hs_admin_user_view v;
    hs_session target;

    assert_int_equal(bad_put(t, admin, "@new:test", "{\"displayname\":\"X\",\"user_type\":\"queen\"}")->status, 400);
    assert_int_equal(hs_admin_target(t->srv, t->db.a, HS_S("@new:test"), "f", "u", &target)->status, 404);
    assert_int_equal(bad_put(t, admin, "@admin:test", "{\"displayname\":\"X\",\"admin\":false}")->status, 400);
    assert_int_equal(bad_put(t, admin, "@admin:test", "{\"displayname\":\"X\",\"locked\":1}")->status, 400);
    assert_int_equal(bad_put(t, admin, "@admin:test", "{\"locked\":true,\"deactivated\":true}")->status, 400);
    assert_int_equal(bad_put(t, admin, "@x:elsewhere", "{}")->status, 400);
    test_ok(hs_admin_user(t->srv, t->db.a, HS_S("@admin:test"), &v));
    assert_true(hs_str_eq(v.details.row.displayname, HS_S("admin")));
    assert_int_equal(v.details.row.flags, HS_ACCOUNT_APPROVED | HS_ACCOUNT_ADMIN);
}

static void memberships_and_account_data_are_those_of_the_user(void **state)
{
    test_rooms *t = *state;
    hs_session *ann = account(t, "ann", 0, NULL), *ben = account(t, "ben", 0, NULL);
    hs_str room = test_create(t, ann, "{\"invite\":[\"@ben:test\"]}");
    hs_admin_account_data *data;
    hs_admin_membership *rows;
    hs_strs joined;
    size_t n;

    test_ok(hs_admin_user_rooms(t->srv, t->db.a, ann->user_id, &joined));
    assert_int_equal(joined.n, 1);
    assert_true(hs_str_eq(joined.at[0], room));
    test_ok(hs_admin_user_rooms(t->srv, t->db.a, ben->user_id, &joined));
    assert_int_equal(joined.n, 0);
    test_ok(hs_admin_user_memberships(t->srv, t->db.a, ben->user_id, &rows, &n));
    assert_int_equal(n, 1);
    assert_true(hs_str_eq(rows[0].membership, HS_S("invite")));
    test_ok(hs_admin_user_memberships(t->srv, t->db.a, HS_S("@none:test"), &rows, &n));
    assert_int_equal(n, 0);

    test_ok(hs_account_data_put(t->srv, t->db.a, ann, room, HS_S("x.room"), test_json(t->db.a, "{\"a\":1}")));
    test_ok(hs_account_data_put(t->srv, t->db.a, ann, (hs_str){ 0 }, HS_S("x.all"), test_json(t->db.a, "{\"b\":2}")));
    test_ok(hs_admin_user_account_data(t->srv, t->db.a, ann, &data, &n));
    assert_int_equal(n, 2);
    assert_null(data[0].room_id.p);
    assert_true(hs_str_eq(data[0].type, HS_S("x.all")) && hs_str_eq(data[0].content, HS_S("{\"b\":2}")));
    assert_true(hs_str_eq(data[1].room_id, room) && hs_str_eq(data[1].type, HS_S("x.room")));
    test_ok(hs_admin_user_account_data(t->srv, t->db.a, ben, &data, &n));
    assert_int_equal(n, 0);
}

TEST_ROOMS_ON_FIBER(lists_take_filters_orders_and_pages)
TEST_ROOMS_ON_FIBER(a_target_is_one_of_ours_with_an_account)
TEST_ROOMS_ON_FIBER(a_user_is_made_and_changed_in_what_is_named)
TEST_ROOMS_ON_FIBER(a_bad_change_changes_nothing)
TEST_ROOMS_ON_FIBER(memberships_and_account_data_are_those_of_the_user)

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f##_, open_rooms, test_rooms_teardown)
    const struct CMUnitTest tests[] = {
        TEST(lists_take_filters_orders_and_pages),
        TEST(a_target_is_one_of_ours_with_an_account),
        TEST(a_user_is_made_and_changed_in_what_is_named),
        TEST(a_bad_change_changes_nothing),
        TEST(memberships_and_account_data_are_those_of_the_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
