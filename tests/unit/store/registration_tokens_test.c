#include "store/registration_tokens.h"

#include "store/uia.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { NOW = 1000 };

static int open_db(void **state)
{
    static test_db t;

    t = (test_db){ 0 };
    test_db_open(&t);
    *state = &t;
    return 0;
}

static int close_db(void **state)
{
    test_db_close(*state);
    return 0;
}

static void make(test_db *t, const char *name, int64_t uses, int64_t expires_ts)
{
    hs_registration_token token = {
        .token = hs_str_c(name),
        .has_uses = uses >= 0,
        .uses_allowed = uses,
        .has_expiry = expires_ts > 0,
        .expires_ts = expires_ts,
    };
    bool is_new;

    test_ok(hs_store_registration_token_insert(t->db, t->a, &token, &is_new));
    assert_true(is_new);
}

static hs_registration_token *get(test_db *t, const char *name)
{
    hs_registration_token *row;

    test_ok(hs_store_registration_token_get(t->db, t->a, hs_str_c(name), &row));
    return row;
}

static void session(test_db *t, const char *id)
{
    hs_uia_row row = {
        .method = HS_S("POST"), .uri = HS_S("/register"), .client = HS_S("{}"), .server = HS_S("{}"), .created_ts = NOW
    };

    test_ok(hs_store_uia_insert(t->db, t->a, hs_str_c(id), &row));
}

static bool take(test_db *t, const char *session_id, const char *token)
{
    bool taken;

    test_ok(hs_store_registration_token_take(t->db, t->a, hs_str_c(session_id), hs_str_c(token), NOW, &taken));
    return taken;
}

static size_t count(test_db *t, hs_tokens_filter which)
{
    hs_registration_token *rows;
    size_t n;

    test_ok(hs_store_registration_tokens_list(t->db, t->a, which, NOW, &rows, &n));
    return n;
}

static void a_session_takes_one_use_and_only_one(void **state)
{
    test_db *t = *state;

    make(t, "five", 5, 0);
    session(t, "s1");
    assert_true(take(t, "s1", "five"));
    assert_false(take(t, "s1", "five"));
    assert_false(take(t, "nobody", "five"));
    assert_int_equal(get(t, "five")->pending, 1);
}

static void what_is_pending_counts_against_the_limit(void **state)
{
    test_db *t = *state;
    hs_tx *tx;

    make(t, "one", 1, 0);
    session(t, "s1");
    session(t, "s2");
    assert_true(take(t, "s1", "one"));
    assert_false(take(t, "s2", "one"));
    test_ok(hs_tx_begin(t->db, t->a, &tx));
    test_ok(hs_store_registration_token_complete(tx, t->a, HS_S("one")));
    test_ok(hs_tx_commit(tx));
    assert_false(take(t, "s2", "one"));
    assert_int_equal(get(t, "one")->pending, 0);
    assert_int_equal(get(t, "one")->completed, 1);
}

static void expired_tokens_and_those_of_no_use_are_not_taken(void **state)
{
    test_db *t = *state;

    make(t, "old", -1, NOW - 1);
    make(t, "none", 0, 0);
    make(t, "good", -1, NOW + 1);
    session(t, "s1");
    assert_false(take(t, "s1", "old"));
    assert_false(take(t, "s1", "none"));
    assert_false(take(t, "s1", "unknown"));
    assert_int_equal(count(t, HS_TOKENS_ALL), 3);
    assert_int_equal(count(t, HS_TOKENS_VALID), 1);
    assert_int_equal(count(t, HS_TOKENS_INVALID), 2);
    assert_true(take(t, "s1", "good"));
}

static void an_update_sets_what_it_is_told_to(void **state)
{
    test_db *t = *state;
    hs_registration_token to = { .token = HS_S("five"), .has_uses = true, .uses_allowed = 7 }, *row;

    make(t, "five", 5, NOW);
    test_ok(hs_store_registration_token_update(t->db, t->a, &to, true, false, &row));
    assert_int_equal(row->uses_allowed, 7);
    assert_int_equal(row->expires_ts, NOW);
    test_ok(hs_store_registration_token_update(t->db, t->a, &to, false, true, &row));
    assert_int_equal(row->uses_allowed, 7);
    assert_false(row->has_expiry);
    to.token = HS_S("unknown");
    test_ok(hs_store_registration_token_update(t->db, t->a, &to, true, true, &row));
    assert_null(row);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_db, close_db)
    const struct CMUnitTest tests[] = {
        T(a_session_takes_one_use_and_only_one),
        T(what_is_pending_counts_against_the_limit),
        T(expired_tokens_and_those_of_no_use_are_not_taken),
        T(an_update_sets_what_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
