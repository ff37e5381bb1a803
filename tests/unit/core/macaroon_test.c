#include "core/macaroon.h"

#include "core/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Made with pymacaroons and the key "the key". */
#define PUSHER                                                                                                         \
    "MDAxMmxvY2F0aW9uIHRlc3QKMDAxM2lkZW50aWZpZXIga2V5CjAwMTBjaWQgZ2VuID0gMQowMDFkY2lkIHR5cGUgPSBkZWxldGVfcHVzaGVyCjAw" \
    "MWFjaWQgdXNlcl9pZCA9IEBhOnRlc3QKMDAxOWNpZCBhcHBfaWQgPSBtLmVtYWlsCjAwMTZjaWQgcHVzaGtleSA9IGFAYgowMDJmc2lnbmF0dXJl" \
    "IJgVfJkUGOx_YSGwVyYbOalFRK-u_yGepmsqsGuzWfmsCg"
#define BARE                                                                                                           \
    "MDAxMmxvY2F0aW9uIHRlc3QKMDAxM2lkZW50aWZpZXIga2V5CjAwMmZzaWduYXR1cmUg8RwuyhxxRKXcf_dl6rksGer--ye7N0dcl6O3WSoG4EoK"

static hs_arena *a;

static int open_arena(void **state)
{
    (void)state;
    a = hs_arena_open((size_t)16 << 20);
    return a ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    hs_arena_close(a);
    return 0;
}

static bool opens(hs_str token, const char *key, hs_strs *ret)
{
    bool ok;

    assert_null(hs_macaroon_open(a, token, hs_str_c(key), ret, &ok));
    return ok;
}

static void a_token_of_ours_tells_its_caveats(void **state)
{
    static const char *const CAVEATS[] = { "gen = 1", "type = delete_pusher", "user_id = @a:test", "app_id = m.email",
                                           "pushkey = a@b" };
    hs_strs got;
    (void)state;

    assert_true(opens(HS_S(PUSHER), "the key", &got));
    assert_int_equal(got.n, 5);
    for (size_t i = 0; i < got.n; i++)
        assert_true(hs_str_eq(got.at[i], hs_str_c(CAVEATS[i])));
    assert_true(opens(HS_S(BARE), "the key", &got));
    assert_int_equal(got.n, 0);
    assert_false(opens(HS_S(PUSHER), "another key", &got));
    assert_false(opens(HS_S(PUSHER), "", &got));
}

/* A06 a token that was changed anywhere, or is only the beginning of one */
static void a_token_that_was_touched_is_none(void **state)
{
    hs_str bytes, token;
    hs_strs got;
    char copy[512];
    bool ok;
    (void)state;

    assert_null(hs_base64_decode(a, HS_S(PUSHER), true, &bytes, &ok));
    assert_true(ok && bytes.n < sizeof copy);
    for (size_t i = HS_S("0012location test\n").n; i < bytes.n; i++) { /* where it was made is not signed */
        memcpy(copy, bytes.p, bytes.n);
        copy[i] = (char)(copy[i] ^ 1);
        assert_null(hs_base64_encode(a, hs_str_make(copy, bytes.n), true, &token));
        if (opens(token, "the key", &got))
            fail_msg("byte %zu", i);
    }
    for (size_t n = 0; n < bytes.n; n++) {
        assert_null(hs_base64_encode(a, hs_str_first(bytes, n), true, &token));
        assert_false(opens(token, "the key", &got));
    }
    assert_null(hs_str_cat(a, &token, 2, bytes, HS_S("0008cid x\n")));
    assert_null(hs_base64_encode(a, token, true, &token));
    assert_false(opens(token, "the key", &got));
    assert_false(opens(HS_S("!"), "the key", &got));
    assert_false(opens(HS_S(""), "the key", &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_of_ours_tells_its_caveats),
        cmocka_unit_test(a_token_that_was_touched_is_none),
    };

    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
