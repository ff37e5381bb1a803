/* Events against the specification's vectors and those computed with Synapse (tests/vectors/vectors.json), and the
 * limits. */
#include "core/event.h"

#include "core/canonical.h"
#include "core/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
    hs_arena *a;
    hs_jv top;
    hs_signing_key *key;
    uint8_t public_key[32];
} vectors;

static hs_str file_of(hs_arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t cap = (size_t)1 << 20;
    char *p = hs_arena_alloc(a, cap);

    assert_non_null(f);
    assert_non_null(p);
    size_t n = fread(p, 1, cap, f);
    assert_true(n > 0 && n < cap);
    assert_int_equal(fclose(f), 0);
    return hs_str_make(p, n);
}

static hs_str text(hs_jv obj, const char *key)
{
    hs_str s = { 0 };

    assert_true(hs_jv_str(hs_jv_get(obj, hs_str_c(key)), &s));
    return s;
}

static int open_vectors(void **state)
{
    vectors *v = calloc(1, sizeof *v);
    hs_str seed;
    bool ok;

    assert_non_null(v);
    v->a = hs_arena_open((size_t)1 << 26);
    assert_non_null(v->a);
    assert_null(
        hs_tape_parse(v->a, file_of(v->a, HS_SOURCE_DIR "/tests/vectors/vectors.json"), HS_JSON_OBJECT, &v->top));
    hs_jv key = hs_jv_get(v->top, HS_S("spec_key"));
    assert_null(hs_base64_decode(v->a, text(key, "seed_unpadded_base64"), false, &seed, &ok));
    assert_true(ok && seed.n == 32);
    assert_null(hs_signing_key_open(v->a, HS_S("1"), (const uint8_t *)seed.p, &v->key));
    memcpy(v->public_key, hs_signing_key_public(v->key), 32);
    *state = v;
    return 0;
}

static int close_vectors(void **state)
{
    vectors *v = *state;

    hs_arena_close(v->a);
    free(v);
    return 0;
}

static void assert_str(hs_str is, hs_str expected)
{
    if (!hs_str_eq(is, expected))
        fail_msg("\n     is %.*s\nexpect %.*s", HS_FMT(is), HS_FMT(expected));
}

static hs_str base64_of(hs_arena *a, const uint8_t hash[32])
{
    hs_str s;

    assert_null(hs_base64_encode(a, hs_str_make((const char *)hash, 32), false, &s));
    return s;
}

static hs_event *parsed(vectors *v, const hs_roomver *rv, hs_jv json)
{
    hs_event *e;
    hs_error *err = hs_event_parse(v->a, rv, hs_jv_raw(json), &e);

    if (err)
        fail_msg("%.*s: %.*s", HS_FMT(hs_jv_raw(json)), HS_FMT(err->message));
    return e;
}

static void ids_hashes_and_redactions_are_those_of_synapse(void **state)
{
    static const hs_str UNSIGNED[] = { HS_S_INIT("unsigned"), HS_S_INIT("event_id") };
    vectors *v = *state;
    hs_jv list = hs_jv_path(v->top, "derived_events", "vectors", NULL);
    size_t n = 0;

    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it); n++) {
        const hs_roomver *rv = hs_roomver_find(text(it.value, "room_version"));
        hs_jv in = hs_jv_get(it.value, HS_S("input")), with = hs_jv_get(it.value, HS_S("signed"));
        hs_event *bare = parsed(v, rv, in), *e = parsed(v, rv, with);
        bool given = rv->event_id == HS_EVENT_ID_GIVEN, ok;
        uint8_t hash[32];
        hs_str redacted, expected;

        assert_null(hs_event_content_hash(v->a, bare, hash));
        assert_str(base64_of(v->a, hash), hs_jv_str_or_null(hs_jv_path(with, "hashes", "sha256", NULL)));
        assert_null(hs_event_hash_ok(v->a, e, &ok));
        assert_true(ok);
        assert_null(hs_event_reference_hash(v->a, e, hash));
        assert_str(base64_of(v->a, hash), text(it.value, "reference_hash_sha256"));
        assert_str(e->event_id, text(it.value, "event_id"));
        if (hs_jv_is(hs_jv_get(it.value, HS_S("room_id"))))
            assert_str(e->room_id, text(it.value, "room_id"));

        assert_null(hs_canonical(v->a, hs_jv_get(it.value, HS_S("redacted")), UNSIGNED, given ? 1 : 2, &expected));
        assert_null(hs_event_redact(v->a, e, &redacted));
        assert_str(redacted, expected);
        assert_null(hs_redact_json(v->a, rv, hs_jv_raw(with), &redacted));
        assert_str(redacted, expected);
        assert_null(hs_verify_json(v->a, redacted, HS_S("domain"), HS_S("ed25519:1"), v->public_key, &ok));
        assert_true(ok);
    }
    assert_int_equal(n, 65);
}

static void the_specifications_signatures_are_of_the_redacted_form(void **state)
{
    vectors *v = *state;
    hs_jv list = hs_jv_path(v->top, "spec_event_signing", "vectors", NULL);

    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        hs_jv with = hs_jv_get(it.value, HS_S("signed"));
        for (hs_jv_iter of = { 0 }; hs_jv_next(hs_jv_get(it.value, HS_S("matching_room_versions")), &of);) {
            const hs_roomver *rv = hs_roomver_find(hs_jv_str_or_null(of.value));
            hs_str redacted;
            bool ok;
            assert_null(hs_redact_json(v->a, rv, hs_jv_raw(with), &redacted));
            assert_null(hs_verify_json(v->a, redacted, HS_S("domain"), HS_S("ed25519:1"), v->public_key, &ok));
            assert_true(ok);
        }
    }
}

static hs_event_draft draft(const hs_roomver *rv, const hs_str *refs)
{
    return (hs_event_draft){
        .room_id = rv->room_id_is_hash ? HS_S("!0123456789012345678901234567890123456789012") : HS_S("!r:domain"),
        .type = HS_S("m.room.member"),
        .sender = HS_S("@\"quoted\":domain"),
        .state_key = HS_S("@\"quoted\":domain"),
        .is_state = true,
        .content = HS_S("{\"displayname\":\"d\",\"membership\":\"join\"}"),
        .depth = 7,
        .origin_ts = 1700000000000,
        .prev = refs,
        .auth = refs,
        .prev_n = 2,
        .auth_n = 1,
    };
}

static void what_we_build_reads_back_checks_and_verifies(void **state)
{
    vectors *v = *state;

    for (const hs_roomver *const *rv = hs_roomver_all(); *rv; rv++) {
        const hs_str refs[] = { HS_S("$a:x"), HS_S("$b:x") };
        hs_event_draft d = draft(*rv, refs);
        hs_event *e, *again;
        hs_str redacted;
        bool ok;

        assert_null(hs_event_build(v->a, *rv, &d, HS_S("domain"), v->key, &e));
        hs_error *err = hs_event_parse(v->a, *rv, e->json, &again);
        if (err)
            fail_msg("%.*s: %.*s", HS_FMT(e->json), HS_FMT(err->message));
        assert_str(again->json, e->json); /* canonical as built */
        assert_str(again->event_id, e->event_id);
        assert_str(e->room_id, d.room_id);
        assert_str(e->state_key, d.state_key);
        assert_int_equal(e->prev_n, 2);
        assert_str(e->prev[1], refs[1]);
        assert_int_equal(e->auth_n, 1);
        assert_null(hs_event_hash_ok(v->a, e, &ok));
        assert_true(ok);
        assert_null(hs_event_redact(v->a, e, &redacted));
        assert_null(hs_verify_json(v->a, redacted, HS_S("domain"), HS_S("ed25519:1"), v->public_key, &ok));
        assert_true(ok);
    }
}

static void a_redaction_names_its_target_where_the_version_wants_it(void **state)
{
    vectors *v = *state;

    for (const hs_roomver *const *rv = hs_roomver_all(); *rv; rv++) {
        const hs_str refs[] = { HS_S("$a:x"), HS_S("$b:x") };
        hs_event_draft d = draft(*rv, refs);
        hs_event *e;
        d.type = HS_S("m.room.redaction");
        d.is_state = false;
        d.state_key = (hs_str){ 0 };
        d.redacts = HS_S("$a:x");
        d.content = (*rv)->redacts_in_content ? HS_S("{\"redacts\":\"$a:x\"}") : HS_S("{}");
        assert_null(hs_event_build(v->a, *rv, &d, HS_S("domain"), v->key, &e));
        assert_str(e->redacts, HS_S("$a:x"));
        assert_int_equal(hs_jv_is(hs_jv_get(e->top, HS_S("redacts"))), !(*rv)->redacts_in_content);
    }
}

/* MSC4354. The id and our signature are of the redacted form, in which it is not. */
static void a_sticky_event_says_so_until_it_is_redacted(void **state)
{
    vectors *v = *state;

    for (const hs_roomver *const *rv = hs_roomver_all(); *rv; rv++) {
        const hs_str refs[] = { HS_S("$a:x"), HS_S("$b:x") };
        hs_event_draft d = draft(*rv, refs);
        hs_event *e, *again;
        hs_str redacted;
        bool ok;

        d.is_sticky = true;
        d.sticky_ms = 5000;
        assert_null(hs_event_build(v->a, *rv, &d, HS_S("domain"), v->key, &e));
        assert_int_equal(e->sticky_ms, 5000);
        assert_null(hs_event_parse(v->a, *rv, e->json, &again));
        assert_str(again->json, e->json);
        assert_str(again->event_id, e->event_id);
        assert_str(hs_jv_raw(again->sticky), HS_S("{\"duration_ms\":5000}"));
        assert_null(hs_event_hash_ok(v->a, e, &ok));
        assert_true(ok);
        assert_null(hs_event_redact(v->a, e, &redacted));
        assert_null(hs_verify_json(v->a, redacted, HS_S("domain"), HS_S("ed25519:1"), v->public_key, &ok));
        assert_true(ok);
        assert_null(memmem(redacted.p, redacted.n, "sticky", 6));
    }
}

/* As Synapse reads it. */
static void what_is_no_length_of_time_is_not_sticky(void **state)
{
    static const struct {
        const char *sticky;
        int64_t ms;
    } CASES[] = {
        { "{\"duration_ms\":0}", 0 },
        { "{\"duration_ms\":3600000}", 3600000 },
        { "{\"duration_ms\":3600001}", 3600000 },
        { "{\"duration_ms\":9007199254740991}", 3600000 },
        { "{\"duration_ms\":-1}", -1 },
        { "{\"duration_ms\":\"5\"}", -1 },
        { "{\"duration_ms\":true}", -1 },
        { "{}", -1 },
        { "null", -1 },
        { "5", -1 },
        { "[]", -1 },
    };
    vectors *v = *state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_event *e;
        hs_str json;

        assert_null(hs_str_fmt(v->a, &json,
                               "{\"auth_events\":[],\"content\":{},\"depth\":1,\"hashes\":{\"sha256\":\"x\"},"
                               "\"msc4354_sticky\":%s,\"origin_server_ts\":5,\"prev_events\":[],\"room_id\":\"!r:x\","
                               "\"sender\":\"@a:x\",\"signatures\":{},\"type\":\"m.x\"}",
                               CASES[i].sticky));
        assert_null(hs_event_read(v->a, hs_roomver_find(HS_S("11")), json, HS_S("$e"), &e));
        if (e->sticky_ms != CASES[i].ms)
            fail_msg("%s: %lld", CASES[i].sticky, (long long)e->sticky_ms);
    }
}

static void a_room_of_version_12_is_named_by_its_create_event(void **state)
{
    vectors *v = *state;
    const hs_roomver *rv = hs_roomver_find(HS_S("12"));
    hs_event_draft d = { .type = HS_S("m.room.create"),
                         .sender = HS_S("@a:domain"),
                         .is_state = true,
                         .content = HS_S("{\"room_version\":\"12\"}"),
                         .depth = 1,
                         .origin_ts = 1 };
    hs_event *e, *again;

    assert_null(hs_event_build(v->a, rv, &d, HS_S("domain"), v->key, &e));
    assert_false(hs_jv_is(hs_jv_get(e->top, HS_S("room_id"))));
    assert_str(hs_str_from(e->room_id, 1), hs_str_from(e->event_id, 1));
    assert_null(hs_event_read(v->a, rv, e->json, (hs_str){ 0 }, &again));
    assert_str(again->room_id, e->room_id);
    assert_str(again->event_id, e->event_id);
}

/* A good event of version 11 with one thing different. */
static const struct {
    const char *version, *json;
    int status;
} REFUSED[] = {
#define EV(more) "{\"auth_events\":[],\"content\":{},\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[]," more "}"
#define IDS      "\"room_id\":\"!r:x\",\"sender\":\"@a:x\",\"type\":\"t\""
    { "11", EV(IDS), 0 },
    { "11", "[]", 400 },
    { "11", "{", 400 },
    { "11", "{}", 400 },
    { "11", EV("\"room_id\":\"!r:x\",\"sender\":\"@a:x\""), 400 },
    { "11", EV("\"room_id\":\"!r:x\",\"sender\":\"@a:x\",\"type\":1"), 400 },
    { "11", EV("\"room_id\":\"!r:x\",\"sender\":\"a\",\"type\":\"t\""), 400 },
    { "11", EV("\"room_id\":\"r\",\"sender\":\"@a:x\",\"type\":\"t\""), 400 },
    { "11", EV("\"sender\":\"@a:x\",\"type\":\"t\""), 400 },
    { "11", EV("\"state_key\":null," IDS), 400 },
    { "11", EV("\"state_key\":\"\"," IDS), 0 },
    { "11", EV("\"event_id\":\"$spoof\"," IDS), 0 },
    { "11", EV("\"unsigned\":{\"age\":1}," IDS), 0 },
    { "11", EV("\"x\":1.5," IDS), 400 },
    { "11", EV("\"x\":9007199254740992," IDS), 400 },
    { "11", EV("\"x\":1,\"x\":1," IDS), 400 },
    { "5", EV("\"x\":1.5," IDS), 0 },
    { "5", EV("\"x\":1,\"x\":1," IDS), 0 },
    { "1", EV(IDS), 400 },
    { "1", EV("\"event_id\":\"$e:x\"," IDS), 0 },
    { "1",
      "{\"auth_events\":[[\"$a:x\",{}]],\"content\":{},\"depth\":9007199254740991,\"event_id\":\"$e:x\",\"origin_"
      "server_ts\":1,"
      "\"prev_events\":[[\"$p:x\",{}]]," IDS "}",
      0 },
    { "1",
      "{\"auth_events\":[\"$a:x\"],\"content\":{},\"depth\":1,\"event_id\":\"$e:x\",\"origin_server_ts\":1,\"prev_"
      "events\":[]," IDS "}",
      400 },
    { "11", "{\"auth_events\":[\"a\"],\"content\":{},\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[]," IDS "}",
      400 },
    { "11", "{\"auth_events\":{},\"content\":{},\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[]," IDS "}", 400 },
    { "11", "{\"auth_events\":[],\"content\":[],\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[]," IDS "}", 400 },
    { "11", "{\"auth_events\":[],\"content\":{},\"depth\":-1,\"origin_server_ts\":1,\"prev_events\":[]," IDS "}", 400 },
    { "11", "{\"auth_events\":[],\"content\":{},\"depth\":\"1\",\"origin_server_ts\":1,\"prev_events\":[]," IDS "}",
      400 },
    { "11", "{\"auth_events\":[],\"content\":{},\"depth\":1,\"prev_events\":[]," IDS "}", 400 },
};

static void what_is_no_event_is_refused(void **state)
{
    vectors *v = *state;

    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        hs_event *e;
        hs_error *err =
            hs_event_parse(v->a, hs_roomver_find(hs_str_c(REFUSED[i].version)), hs_str_c(REFUSED[i].json), &e);
        int status = err ? err->status : 0;
        if (status != REFUSED[i].status)
            fail_msg("case %zu: %d %.*s", i, status, HS_FMT(err ? err->message : HS_S("accepted")));
        if (!err) {
            assert_false(hs_jv_is(hs_jv_get(e->top, HS_S("unsigned"))));
            assert_int_equal(hs_jv_is(hs_jv_get(e->top, HS_S("event_id"))), e->rv->event_id == HS_EVENT_ID_GIVEN);
        }
    }
}

static hs_str filled(hs_arena *a, const char *unit, size_t n)
{
    size_t each = strlen(unit);
    char *p = hs_arena_alloc(a, each * n + 1);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        memcpy(p + i * each, unit, each);
    return hs_str_make(p, each * n);
}

static int status_of_type(vectors *v, const char *version, hs_str type)
{
    hs_str json;
    hs_event *e;

    assert_null(hs_str_fmt(v->a, &json,
                           "{\"auth_events\":[],\"content\":{},\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[],"
                           "\"room_id\":\"!r:x\",\"sender\":\"@a:x\",\"type\":\"%.*s\"}",
                           HS_FMT(type)));
    hs_error *err = hs_event_parse(v->a, hs_roomver_find(hs_str_c(version)), json, &e);
    return err ? err->status : 0;
}

/* U+1F600 is four bytes and one code point. */
static void names_are_measured_in_bytes_from_version_11_on(void **state)
{
    vectors *v = *state;

    assert_int_equal(status_of_type(v, "11", filled(v->a, "t", 255)), 0);
    assert_int_equal(status_of_type(v, "11", filled(v->a, "t", 256)), 413);
    assert_int_equal(status_of_type(v, "11", filled(v->a, "\xf0\x9f\x98\x80", 64)), 413);
    assert_int_equal(status_of_type(v, "10", filled(v->a, "\xf0\x9f\x98\x80", 64)), 0);
    assert_int_equal(status_of_type(v, "10", filled(v->a, "\xf0\x9f\x98\x80", 255)), 0);
    assert_int_equal(status_of_type(v, "10", filled(v->a, "\xf0\x9f\x98\x80", 256)), 413);
}

static void an_event_is_65536_bytes_at_most(void **state)
{
    vectors *v = *state;
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    const hs_str refs[] = { HS_S("$a"), HS_S("$b") };
    hs_event_draft d = draft(rv, refs);
    hs_event *e;
    hs_str content;

    d.content = HS_S("{\"membership\":\"join\",\"x\":\"\"}");
    assert_null(hs_event_build(v->a, rv, &d, HS_S("domain"), v->key, &e));
    size_t room = 65536 - e->json.n;
    for (size_t more = 0; more < 2; more++) {
        assert_null(hs_str_fmt(v->a, &content, "{\"membership\":\"join\",\"x\":\"%.*s\"}",
                               HS_FMT(filled(v->a, "x", room + more))));
        d.content = content;
        hs_error *err = hs_event_build(v->a, rv, &d, HS_S("domain"), v->key, &e);
        assert_int_equal(err ? err->status : 0, more ? 413 : 0);
    }
}

static void more_references_than_the_specification_allows_are_refused(void **state)
{
    vectors *v = *state;
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    static const struct {
        size_t prev, auth;
        int status;
    } CASES[] = { { 20, 10, 0 }, { 21, 10, 400 }, { 20, 11, 400 } };

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_str refs[32];
        hs_event *e, *again;
        for (size_t k = 0; k < 32; k++)
            assert_null(hs_str_fmt(v->a, &refs[k], "$ref%zu", k));
        hs_event_draft d = draft(rv, refs);
        d.prev_n = CASES[i].prev;
        d.auth_n = CASES[i].auth;
        assert_null(hs_event_build(v->a, rv, &d, HS_S("domain"), v->key, &e));
        hs_error *err = hs_event_parse(v->a, rv, e->json, &again);
        assert_int_equal(err ? err->status : 0, CASES[i].status);
    }
}

static void content_too_deep_for_an_event_is_the_senders_fault(void **state)
{
    vectors *v = *state;
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    const hs_str refs[] = { HS_S("$a"), HS_S("$b") };
    hs_event_draft d = draft(rv, refs);
    hs_str content;
    hs_event *e;

    d.type = HS_S("m.room.message");
    assert_null(hs_str_cat(v->a, &content, 5, HS_S("{\"x\":"), filled(v->a, "[", HS_JSON_DEEP_DEPTH - 1), HS_S(""),
                           filled(v->a, "]", HS_JSON_DEEP_DEPTH - 1), HS_S("}")));
    d.content = content;
    hs_error *err = hs_event_build(v->a, rv, &d, HS_S("domain"), v->key, &e);
    assert_non_null(err);
    assert_int_equal(err->status, 400);
}

static void a_changed_content_breaks_the_hash(void **state)
{
    vectors *v = *state;
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    const hs_str refs[] = { HS_S("$a"), HS_S("$b") };
    hs_event_draft d = draft(rv, refs);
    hs_event *e;
    bool ok = true;

    assert_null(hs_event_build(v->a, rv, &d, HS_S("domain"), v->key, &e));
    char *p = hs_arena_alloc(v->a, e->json.n);
    assert_non_null(p);
    memcpy(p, e->json.p, e->json.n);
    char *at = memmem(p, e->json.n, "\"d\"", 3);
    assert_non_null(at);
    at[1] = 'e';
    assert_null(hs_event_parse(v->a, rv, hs_str_make(p, e->json.n), &e));
    assert_null(hs_event_hash_ok(v->a, e, &ok));
    assert_false(ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_hashes_and_redactions_are_those_of_synapse),
        cmocka_unit_test(the_specifications_signatures_are_of_the_redacted_form),
        cmocka_unit_test(what_we_build_reads_back_checks_and_verifies),
        cmocka_unit_test(a_redaction_names_its_target_where_the_version_wants_it),
        cmocka_unit_test(a_sticky_event_says_so_until_it_is_redacted),
        cmocka_unit_test(what_is_no_length_of_time_is_not_sticky),
        cmocka_unit_test(a_room_of_version_12_is_named_by_its_create_event),
        cmocka_unit_test(what_is_no_event_is_refused),
        cmocka_unit_test(names_are_measured_in_bytes_from_version_11_on),
        cmocka_unit_test(an_event_is_65536_bytes_at_most),
        cmocka_unit_test(more_references_than_the_specification_allows_are_refused),
        cmocka_unit_test(content_too_deep_for_an_event_is_the_senders_fault),
        cmocka_unit_test(a_changed_content_breaks_the_hash),
    };
    return cmocka_run_group_tests(tests, open_vectors, close_vectors);
}
