/* libhs.so as an embedder sees it: only the public headers, only exported functions. */
#include <hs/core.h>
#include <hs/server.h>
#include <hs/version.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define same(s, lit) assert_true(hs_str_eq((s), HS_S(lit)))

static void canonical_json_is_sorted_and_short(void **state)
{
    hs_arena *a = hs_arena_open(1 << 20);
    hs_str s;
    (void)state;

    assert_null(hs_core_canonical_json(a, HS_S("{ \"b\": 1, \"a\": \"\\u65E5\" }"), &s));
    same(s, "{\"a\":\"\xE6\x97\xA5\",\"b\":1}");
    assert_non_null(hs_core_canonical_json(a, HS_S("{\"a\":1.5}"), &s));
    hs_arena_close(a);
}

static void an_event_has_an_id_and_a_redacted_form(void **state)
{
    static const char PDU[] =
        "{\"auth_events\":[],\"content\":{\"body\":\"x\",\"msgtype\":\"m.text\"},\"depth\":1,\"hashes\":{\"sha256\":"
        "\"AAAA\"},"
        "\"origin_server_ts\":1,\"prev_events\":[],\"room_id\":\"!r:a\",\"sender\":\"@u:a\",\"signatures\":{},"
        "\"type\":\"m.room.message\"}";
    hs_arena *a = hs_arena_open(1 << 20);
    hs_str id, redacted;
    bool ok = true;
    (void)state;

    assert_true(hs_core_room_version_known(HS_S("11")));
    assert_false(hs_core_room_version_known(HS_S("nine")));
    assert_null(hs_core_event_id(a, HS_S("11"), HS_S(PDU), &id));
    assert_int_equal(id.n, 44);
    assert_null(hs_core_event_hash_ok(a, HS_S("11"), HS_S(PDU), &ok));
    assert_false(ok);
    assert_null(hs_core_event_redact(a, HS_S("11"), HS_S(PDU), &redacted));
    assert_null(memmem(redacted.p, redacted.n, "body", 4));
    assert_int_equal(hs_core_event_id(a, HS_S("nine"), HS_S(PDU), &id)->code, HS_M_UNSUPPORTED_ROOM_VERSION);
    hs_arena_close(a);
}

static void a_host_says_what_is_wrong_with_its_configuration(void **state)
{
    hs_arena *a = hs_arena_open(1 << 20);
    hs_host *h = NULL;
    hs_error *e;
    (void)state;

    e = hs_host_open(a, HS_S("test"), HS_S("listeners: []\n"), -1, &h);
    assert_non_null(e);
    same(e->message, "Missing mandatory `server_name` config option.");
    e = hs_host_open(a, HS_S("test"), HS_S("server_name: a\n"), -1, &h);
    assert_non_null(e);
    assert_null(h);
    hs_host_close(NULL, 0);
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_json_is_sorted_and_short),
        cmocka_unit_test(an_event_has_an_id_and_a_redacted_form),
        cmocka_unit_test(a_host_says_what_is_wrong_with_its_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
