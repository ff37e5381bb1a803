/* Tokens, names and passwords: what needs no database. */
#include "server/login.h"
#include "server/password.h"
#include "server/register.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct {
    hs_arena *a;
    hs_config config;
    hs_server srv;
    /* of a check that runs on a fiber */
    hs_str password, hash;
    bool right;
} fixture;

static int set_up(void **state)
{
    static fixture f;

    f = (fixture){ .a = hs_arena_open(1 << 22), .config = { .bcrypt_rounds = 4 } };
    f.srv = (hs_server){ .config = &f.config, .server_name = HS_S("example.org"), .loop = hs_loop_open() };
    *state = &f;
    return f.a && f.srv.loop ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    hs_loop_close(f->srv.loop);
    hs_arena_close(f->a);
    return 0;
}

static void an_access_token_has_synapses_form(void **state)
{
    static const struct {
        const char *localpart, *random, *token;
    } CASES[] = {
        /* computed with Python's zlib.crc32 */
        { "alice", "AbCdEfGhIjKlMnOpQrSt", "syt_YWxpY2U_AbCdEfGhIjKlMnOpQrSt_1UdevA" },
        { "zo\xc3\xab", "ZZZZZZZZZZZZZZZZZZZZ", "syt_em/Dqw_ZZZZZZZZZZZZZZZZZZZZ_4c6wDT" },
    };
    fixture *f = *state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_str token;
        assert_null(hs_access_token_make(f->a, hs_str_c(CASES[i].localpart), hs_str_c(CASES[i].random), &token));
        assert_true(hs_str_eq(token, hs_str_c(CASES[i].token)));
    }
}

static void a_new_name_must_have_the_specs_form(void **state)
{
    static const struct {
        const char *localpart, *error; /* NULL: fine */
    } CASES[] = {
        { "alice", NULL },
        { "a.b_c=d-e/f+g9", NULL },
        { "Alice", "User ID can only contain characters a-z, 0-9, or '=_-./+'" },
        { "al ice", "User ID can only contain characters a-z, 0-9, or '=_-./+'" },
        { "zo\xc3\xab", "User ID can only contain characters a-z, 0-9, or '=_-./+'" },
        { "a:b", "User ID can only contain characters a-z, 0-9, or '=_-./+'" },
        { "", "User ID cannot be empty" },
        { "_bridge", "User ID may not begin with _" },
    };
    fixture *f = *state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_error *e = hs_username_check_form(&f->srv, f->a, hs_str_c(CASES[i].localpart));
        if (!CASES[i].error) {
            assert_null(e);
            continue;
        }
        assert_int_equal(e->status, 400);
        assert_int_equal(e->code, HS_M_INVALID_USERNAME);
        assert_true(hs_str_eq(e->message, hs_str_c(CASES[i].error)));
    }
}

static void a_name_must_fit_into_255_bytes_with_the_server(void **state)
{
    fixture *f = *state;
    char longest[255 - sizeof "@:example.org" + 2];

    memset(longest, 'a', sizeof longest);
    assert_null(hs_username_check_form(&f->srv, f->a, hs_str_make(longest, sizeof longest - 1)));
    assert_non_null(hs_username_check_form(&f->srv, f->a, hs_str_make(longest, sizeof longest)));
}

static void a_password_policy_names_what_is_missing(void **state)
{
    static const struct {
        const char *password;
        hs_errcode code;
    } CASES[] = {
        { "aB3$", HS_M_PASSWORD_TOO_SHORT },         { "aBcd$efgh", HS_M_PASSWORD_NO_DIGIT },
        { "aBcd3efgh", HS_M_PASSWORD_NO_SYMBOL },    { "abcd3$fgh", HS_M_PASSWORD_NO_UPPERCASE },
        { "ABCD3$FGH", HS_M_PASSWORD_NO_LOWERCASE },
    };
    fixture *f = *state;

    f->config.password_policy_enabled = f->config.password_require_digit = f->config.password_require_symbol = true;
    f->config.password_require_uppercase = f->config.password_require_lowercase = true;
    f->config.password_minimum_length = 8;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_error *e = hs_password_check_policy(&f->config, f->a, hs_str_c(CASES[i].password));
        assert_non_null(e);
        assert_int_equal(e->code, CASES[i].code);
    }
    assert_null(hs_password_check_policy(&f->config, f->a, HS_S("aBcd3$fgh")));
}

static void verify(void *ud)
{
    fixture *f = ud;

    assert_null(hs_password_verify(&f->srv, f->a, f->password, f->hash, &f->right));
    hs_loop_stop(f->srv.loop);
}

static bool is_right(fixture *f, const char *password, const char *hash)
{
    f->password = hs_str_c(password);
    f->hash = hs_str_c(hash);
    f->right = false;
    assert_null(hs_fiber_spawn(f->srv.loop, verify, f));
    hs_loop_run(f->srv.loop);
    return f->right;
}

/* A15: as Synapse computes them. */
static void hashes_of_synapse_are_accepted(void **state)
{
    /* bcrypt.hashpw(b"correct horse" + b"pepper", bcrypt.gensalt(4)) */
    static const char HASH[] = "$2b$04$WxA4ozyYXeQREQqx1eo7He2fYh5GAIgkRc/3FCvfDmPxvXFhCLbVC";
    fixture *f = *state;

    f->config.password_pepper = HS_S("pepper");
    assert_true(is_right(f, "correct horse", HASH));
    assert_false(is_right(f, "correct horsf", HASH));
    f->config.password_pepper = HS_S("");
    assert_false(is_right(f, "correct horse", HASH));
}

static const char *letters(fixture *f, int c, size_t n)
{
    char *out = hs_arena_alloc(f->a, n + 1);

    assert_non_null(out);
    memset(out, c, n);
    out[n] = 0;
    return out;
}

/* A15: bcrypt reads 72 bytes of the password and the pepper behind it; Synapse cuts there, and so do we. */
static void of_a_long_password_72_bytes_count_for_a_hash_of_synapse(void **state)
{
    /* bcrypt.hashpw((b"x" * 80)[:72], …), bcrypt.hashpw((b"y" * 70 + b"pepper")[:72], …) */
    static const char EIGHTY[] = "$2b$04$WCABsNHhLJnYMgWPaEBnoOgQIGqnBhKKhfmlOHe7hziObeyZV9q7q",
                      PEPPERED[] = "$2b$04$gitw3XXI4Axp8P3KclQPf.5w3t5lsASav2pDBSbWdHOUAbqUIbQgW";
    fixture *f = *state;

    assert_true(is_right(f, letters(f, 'x', 80), EIGHTY));
    assert_true(is_right(f, letters(f, 'x', 72), EIGHTY));
    assert_true(is_right(f, letters(f, 'x', 512), EIGHTY));
    assert_false(is_right(f, letters(f, 'x', 71), EIGHTY));
    f->config.password_pepper = HS_S("pepper");
    assert_true(is_right(f, letters(f, 'y', 70), PEPPERED));
    assert_false(is_right(f, letters(f, 'y', 69), PEPPERED));
    f->config.password_pepper = HS_S("pe"); /* all of it that fits */
    assert_true(is_right(f, letters(f, 'y', 70), PEPPERED));
}

enum { CROWD = 400, QUEUE = 256, THREADS = 4 };

typedef struct {
    fixture *f;
    int refused, served;
    bool answered_meanwhile;
} crowd;

static void log_in(void *ud)
{
    crowd *c = ud;
    bool right;
    hs_error *e = hs_password_verify(&c->f->srv, c->f->a, HS_S("secret"), hs_str_make(NULL, 0), &right);

    if (e) {
        assert_int_equal(e->status, 429);
        assert_int_equal(e->code, HS_M_LIMIT_EXCEEDED);
        c->refused++;
    } else {
        c->served++;
    }
    if (c->refused + c->served == CROWD)
        hs_loop_stop(c->f->srv.loop);
}

/* Somebody who wants no hash. */
static void pass_by(void *ud)
{
    crowd *c = ud;

    hs_fiber_sleep(c->f->srv.loop, 1);
    c->answered_meanwhile = c->served < QUEUE / 2;
}

/* A15: what the threads cannot take is refused with 429, and nobody else waits for them. */
static void too_many_hashes_at_once_are_refused_and_hold_nobody_else(void **state)
{
    fixture *f = *state;
    crowd c = { .f = f };

    f->config.bcrypt_rounds = 12; /* slow enough that few end while the others come */
    for (int i = 0; i < CROWD; i++)
        assert_null(hs_fiber_spawn(f->srv.loop, log_in, &c));
    assert_null(hs_fiber_spawn(f->srv.loop, pass_by, &c));
    hs_loop_run(f->srv.loop);
    assert_in_range(c.refused, 1, CROWD - QUEUE);
    assert_in_range(c.served, QUEUE, CROWD - 1);
    assert_true(c.answered_meanwhile);
}

static void make(void *ud)
{
    fixture *f = ud;

    assert_null(hs_password_hash(&f->srv, f->a, HS_S("secret"), &f->hash));
    hs_loop_stop(f->srv.loop);
}

static void a_new_hash_is_argon2id_and_fits_its_password_only(void **state)
{
    fixture *f = *state;
    const char *hash;

    assert_null(hs_fiber_spawn(f->srv.loop, make, f));
    hs_loop_run(f->srv.loop);
    assert_true(hs_str_starts(f->hash, HS_S("$argon2id$")));
    assert_null(hs_cstr(f->a, f->hash, &hash));
    assert_true(is_right(f, "secret", hash));
    assert_false(is_right(f, "Secret", hash));
}

static void an_account_without_a_password_accepts_none(void **state)
{
    fixture *f = *state;

    assert_false(is_right(f, "", NULL));
    assert_false(is_right(f, "secret", NULL));
    assert_false(is_right(f, "", ""));
    assert_false(is_right(f, "*", "*"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(an_access_token_has_synapses_form),
        T(a_new_name_must_have_the_specs_form),
        T(a_name_must_fit_into_255_bytes_with_the_server),
        T(a_password_policy_names_what_is_missing),
        T(hashes_of_synapse_are_accepted),
        T(of_a_long_password_72_bytes_count_for_a_hash_of_synapse),
        T(too_many_hashes_at_once_are_refused_and_hold_nobody_else),
        T(a_new_hash_is_argon2id_and_fits_its_password_only),
        T(an_account_without_a_password_accepts_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
