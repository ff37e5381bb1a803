/* Who has signed an event, against keys that the test holds. Who must is a table: tests/vectors/auth_rules.md. */
#include "core/event.h"

#include "core/sign.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The keys of the servers x and y; y's second one is known to nobody. */
typedef struct {
    hs_arena *a;
    hs_signing_key *x, *y, *y2;
    int64_t asked_at;
} keys;

static bool get(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32])
{
    keys *k = ud;
    const hs_signing_key *key = hs_str_eq(server, HS_S("x")) ? k->x : hs_str_eq(server, HS_S("y")) ? k->y : NULL;

    k->asked_at = valid_at;
    if (!key || !hs_str_eq(hs_signing_key_id(key), key_id))
        return false;
    memcpy(ret, hs_signing_key_public(key), 32);
    return true;
}

static void open_keys(keys *k)
{
    const uint8_t seeds[3][32] = { { 1 }, { 2 }, { 3 } };

    *k = (keys){ .a = hs_arena_open((size_t)1 << 22) };
    assert_non_null(k->a);
    assert_null(hs_signing_key_open(k->a, HS_S("1"), seeds[0], &k->x));
    assert_null(hs_signing_key_open(k->a, HS_S("1"), seeds[1], &k->y));
    assert_null(hs_signing_key_open(k->a, HS_S("2"), seeds[2], &k->y2));
}

/* A join of @u:x, by way of a user of y. */
static hs_str event_json(keys *k, const hs_roomver *rv, bool via_y)
{
    hs_str json;

    assert_null(hs_str_fmt(
        k->a, &json,
        "{\"auth_events\":[],\"content\":{\"displayname\":\"redaction takes this\",%s\"membership\":\"join\"},"
        "\"depth\":1,%s\"origin_server_ts\":1234,\"prev_events\":[],\"room_id\":\"!r:x\",\"sender\":\"@u:x\","
        "\"state_key\":\"@u:x\",\"type\":\"m.room.member\"}",
        via_y ? "\"join_authorised_via_users_server\":\"@v:y\"," : "",
        rv->event_id == HS_EVENT_ID_GIVEN ? "\"event_id\":\"$e:x\"," : ""));
    return json;
}

/* Signs the redacted form and puts the signature into the whole. */
static hs_str signed_by(keys *k, const hs_roomver *rv, hs_str json, hs_str server, const hs_signing_key *key)
{
    hs_str redacted, once, out, text;
    hs_jv top;

    assert_null(hs_redact_json(k->a, rv, json, &redacted));
    assert_null(hs_sign_json(k->a, redacted, server, key, &once));
    assert_null(hs_tape_parse(k->a, once, HS_JSON_OBJECT, &top));
    text = hs_jv_raw(hs_jv_get(top, HS_S("signatures")));
    assert_null(hs_tape_parse(k->a, json, HS_JSON_OBJECT, &top));
    if (hs_jv_is(hs_jv_get(top, HS_S("signatures")))) {
        hs_str old = hs_jv_raw(hs_jv_get(top, HS_S("signatures")));
        size_t at = (size_t)(old.p - json.p);
        assert_null(hs_str_cat(k->a, &out, 3, hs_str_first(json, at), text, hs_str_from(json, at + old.n)));
    } else {
        assert_null(
            hs_str_cat(k->a, &out, 4, hs_str_first(json, json.n - 1), HS_S(",\"signatures\":"), text, HS_S("}")));
    }
    return out;
}

static bool ok(keys *k, const hs_roomver *rv, hs_str json, hs_str *ret_server)
{
    const hs_key_view view = { get, k };
    hs_event *e;
    bool is = false;

    assert_null(hs_event_parse(k->a, rv, json, &e));
    assert_null(hs_event_signatures_ok(k->a, e, &view, &is, ret_server));
    return is;
}

/* F01 */
static void the_senders_server_must_have_signed_in_every_version(void **state)
{
    (void)state;

    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        keys k;
        hs_str server, json;
        open_keys(&k);
        json = event_json(&k, *v, false);
        assert_false(ok(&k, *v, json, &server));
        assert_true(hs_str_eq(server, HS_S("x")));
        assert_false(ok(&k, *v, signed_by(&k, *v, json, HS_S("x"), k.y), &server)); /* with another's key */
        assert_false(ok(&k, *v, signed_by(&k, *v, json, HS_S("y"), k.y), &server)); /* by another */
        hs_str good = signed_by(&k, *v, json, HS_S("x"), k.x);
        assert_true(ok(&k, *v, good, &server));
        assert_null(server.p);
        hs_arena_close(k.a);
    }
}

static void a_change_of_what_redaction_keeps_breaks_the_signature_and_one_of_the_rest_does_not(void **state)
{
    (void)state;

    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        static const struct {
            const char *from, *to;
            bool kept;
        } CHANGES[] = { { "takes this", "took  this", false },
                        { "1234", "1235", true },
                        { "\"join\"", "\"kick\"", true } };
        keys k;
        open_keys(&k);
        hs_str good = signed_by(&k, *v, event_json(&k, *v, false), HS_S("x"), k.x);
        for (size_t i = 0; i < 3; i++) {
            hs_str copy, server;
            assert_null(hs_str_dup(k.a, good, &copy));
            char *at = memmem(copy.p, copy.n, CHANGES[i].from, strlen(CHANGES[i].from));
            assert_non_null(at);
            memcpy(at, CHANGES[i].to, strlen(CHANGES[i].to));
            assert_int_equal(ok(&k, *v, copy, &server), !CHANGES[i].kept);
        }
        hs_arena_close(k.a);
    }
}

static void the_authorising_users_server_must_have_signed_too_from_version_8_on(void **state)
{
    (void)state;

    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        keys k;
        hs_str server;
        open_keys(&k);
        hs_str one = signed_by(&k, *v, event_json(&k, *v, true), HS_S("x"), k.x);
        assert_int_equal(ok(&k, *v, one, &server), !(*v)->restricted);
        if ((*v)->restricted)
            assert_true(hs_str_eq(server, HS_S("y")));
        assert_true(ok(&k, *v, signed_by(&k, *v, one, HS_S("y"), k.y), &server));
        hs_arena_close(k.a);
    }
}

static void signatures_with_unknown_keys_count_for_nothing_and_a_bad_one_spoils_all(void **state)
{
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    keys k;
    hs_str server;
    (void)state;

    open_keys(&k);
    hs_str json = signed_by(&k, rv, event_json(&k, rv, true), HS_S("x"), k.x);
    assert_false(ok(&k, rv, signed_by(&k, rv, json, HS_S("y"), k.y2), &server));
    hs_str both = signed_by(&k, rv, signed_by(&k, rv, json, HS_S("y"), k.y2), HS_S("y"), k.y);
    assert_true(ok(&k, rv, both, &server));
    /* the signature of the known key is no signature */
    hs_str copy;
    assert_null(hs_str_dup(k.a, both, &copy));
    char *at = memmem(copy.p, copy.n, "\"y\":{\"ed25519:1\":\"", 18);
    assert_non_null(at);
    at[18] = at[18] == 'A' ? 'B' : 'A';
    assert_false(ok(&k, rv, copy, &server));
    at[18] = '!';
    assert_false(ok(&k, rv, copy, &server));
    hs_arena_close(k.a);
}

/* F16, as far as it is the core's: which time the key is asked for. */
static void keys_must_have_been_valid_then_from_version_5_on(void **state)
{
    (void)state;

    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        keys k;
        hs_str server;
        open_keys(&k);
        assert_true(ok(&k, *v, signed_by(&k, *v, event_json(&k, *v, false), HS_S("x"), k.x), &server));
        assert_true(k.asked_at == ((*v)->key_validity ? 1234 : HS_KEY_ANY_TIME));
        hs_arena_close(k.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_senders_server_must_have_signed_in_every_version),
        cmocka_unit_test(a_change_of_what_redaction_keeps_breaks_the_signature_and_one_of_the_rest_does_not),
        cmocka_unit_test(the_authorising_users_server_must_have_signed_too_from_version_8_on),
        cmocka_unit_test(signatures_with_unknown_keys_count_for_nothing_and_a_bad_one_spoils_all),
        cmocka_unit_test(keys_must_have_been_valid_then_from_version_5_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
