#include "core/ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HASH "0123456789abcdefghijABCDEFGHIJ-_zzzzzzzzzzz"

typedef bool parser(hs_str s, hs_id *ret);

typedef struct {
    parser *parse;
    const char *text, *local, *server; /* local NULL: refused */
} id_case;

static void identifiers_are_cut_at_the_first_colon(void **state)
{
    static const id_case CASES[] = {
        { hs_user_id_parse, "@a:x.org", "a", "x.org" },
        { hs_user_id_parse, "@a:x:8448", "a", "x:8448" },
        { hs_user_id_parse, "@A B!:[::1]:80", "A B!", "[::1]:80" },
        { hs_user_id_parse, "@\xc3\xa9:x", "\xc3\xa9", "x" },
        { hs_user_id_parse, "@a", NULL, NULL },
        { hs_user_id_parse, "@a:", NULL, NULL },
        { hs_user_id_parse, "a:x", NULL, NULL },
        { hs_user_id_parse, "@a:x y", NULL, NULL },
        { hs_user_id_parse, "@a:x/y", NULL, NULL },
        { hs_user_id_parse, "@\xff:x", NULL, NULL },
        { hs_user_id_parse, "", NULL, NULL },
        { hs_user_id_parse, "@", NULL, NULL },
        { hs_room_id_parse, "!r:x", "r", "x" },
        { hs_room_id_parse, "!" HASH, HASH, "" },
        { hs_room_id_parse, "!r", NULL, NULL },
        { hs_room_id_parse, "!r:", NULL, NULL },
        { hs_room_id_parse, "#r:x", NULL, NULL },
        { hs_alias_parse, "#r:x", "r", "x" },
        { hs_alias_parse, "#:x", NULL, NULL },
        { hs_alias_parse, "#r", NULL, NULL },
        { hs_event_id_parse, "$e:x", "e", "x" },
        { hs_event_id_parse, "$" HASH, HASH, "" },
        { hs_event_id_parse, "$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk",
          "acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk", "" },
        { hs_event_id_parse, "$", NULL, NULL },
        { hs_event_id_parse, "$:x", NULL, NULL },
        { hs_event_id_parse, "$e:", NULL, NULL },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_id id = { 0 };
        bool ok = CASES[i].parse(hs_str_c(CASES[i].text), &id);
        if (ok != (CASES[i].local != NULL))
            fail_msg("%s", CASES[i].text);
        if (!ok)
            continue;
        assert_true(hs_str_eq(id.id, hs_str_c(CASES[i].text)));
        assert_true(hs_str_eq(id.local, hs_str_c(CASES[i].local)));
        assert_true(hs_str_eq(id.server, hs_str_c(CASES[i].server)));
    }
    hs_id id;
    assert_false(hs_user_id_parse(hs_str_make("@a\0b:x", 6), &id));
}

static void identifiers_end_at_255_bytes(void **state)
{
    char text[300];
    hs_id id;
    (void)state;

    memset(text, 'a', sizeof text);
    text[0] = '@';
    memcpy(text + 253, ":xy", 3);
    assert_true(hs_user_id_parse(hs_str_make(text, 255), &id));
    assert_false(hs_user_id_parse(hs_str_make(text, 256), &id));
}

static void new_local_parts_have_a_small_alphabet(void **state)
{
    (void)state;

    assert_true(hs_localpart_is_strict(HS_S("abc.xyz_09=-/+")));
    assert_false(hs_localpart_is_strict(HS_S("")));
    assert_false(hs_localpart_is_strict(HS_S("Abc")));
    assert_false(hs_localpart_is_strict(HS_S("a b")));
    assert_false(hs_localpart_is_strict(HS_S("\xc3\xa9")));
    assert_false(hs_localpart_is_strict(hs_str_make("a\0", 2)));
}

static void server_names_are_hosts_with_an_optional_port(void **state)
{
    static const char *const GOOD[] = {
        "x", "x.org", "x.org:1", "1.2.3.4", "1.2.3.4:65535", "[::1]", "[2001:db8::1.2.3.4]:8448", "X-y.ORG"
    };
    static const char *const BAD[] = {
        "",    ":", ":80", "x:",   "x:0",    "x:65536", "x:-1",   "x:+1", "x:80a", "x:000080", "x y", "x/y",
        "x_y", "[", "[]",  "[::1", "[::1]x", "[::1]:",  "[g::1]", "::1",  "x@y",   "x?y",      "x#y", "\xc3\xa9.org"
    };
    char many[232];
    (void)state;

    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
        if (!hs_server_name_is_valid(hs_str_c(GOOD[i])))
            fail_msg("%s", GOOD[i]);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        if (hs_server_name_is_valid(hs_str_c(BAD[i])))
            fail_msg("%s", BAD[i]);
    memset(many, 'a', sizeof many);
    assert_true(hs_server_name_is_valid(hs_str_make(many, 230)));
    assert_false(hs_server_name_is_valid(hs_str_make(many, 231)));
}

static void mxc_uris_name_a_server_and_a_medium(void **state)
{
    static const char *const BAD[] = {
        "",           "mxc://",      "mxc://x",     "mxc://x/", "mxc:///m", "mxc://x/m/n", "mxc://x/../m",
        "http://x/m", "mxc://x/m?a", "mxc://x y/m", "MXC://x/m"
    };
    hs_str server, media;
    (void)state;

    assert_true(hs_mxc_parse(HS_S("mxc://x.org:80/AbC_-9"), &server, &media));
    assert_true(hs_str_eq(server, HS_S("x.org:80")));
    assert_true(hs_str_eq(media, HS_S("AbC_-9")));
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        if (hs_mxc_parse(hs_str_c(BAD[i]), &server, &media))
            fail_msg("%s", BAD[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identifiers_are_cut_at_the_first_colon),
        cmocka_unit_test(identifiers_end_at_255_bytes),
        cmocka_unit_test(new_local_parts_have_a_small_alphabet),
        cmocka_unit_test(server_names_are_hosts_with_an_optional_port),
        cmocka_unit_test(mxc_uris_name_a_server_and_a_medium),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
