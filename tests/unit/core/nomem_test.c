/* Each thing that the core does, with one allocation that fails: the first, then the second, and so on. The answer is
 * that there is no memory, and nothing else happens. In builds where every allocation stands alone (sanitizers,
 * coverage) that is each place that allocates. */
#include "core/auth.h"
#include "core/canonical.h"
#include "core/client_event.h"
#include "core/filter.h"
#include "core/pushrules.h"
#include "core/sign.h"
#include "support/history.h"

#include <hs/core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The linker puts this in malloc's place (--wrap=malloc). Two fail, since an arena asks for less when it does not get
 * what it wants. */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
static size_t fail_at, asked; /* fail_at 0: none fails */

void *__wrap_malloc(size_t n)
{
    if (fail_at)
        asked++;
    return fail_at && (asked == fail_at || asked == fail_at + 1) ? NULL : __real_malloc(n);
}

static void fail_next(size_t nth)
{
    fail_at = nth;
    asked = 0;
}

static const uint8_t SEED[32] = { 5 };

#define V1_EVENT                                                                                                       \
    "{\"auth_events\":[[\"$a:x\",{}]],\"content\":{\"membership\":\"join\"},\"depth\":1,\"event_id\":\"$e:x\","        \
    "\"hashes\":"                                                                                                      \
    "{\"sha256\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"},\"origin_server_ts\":1,\"prev_events\":[],\"room_"   \
    "id\":\"!r:x\","                                                                                                   \
    "\"sender\":\"@u:x\",\"signatures\":{\"x\":{\"ed25519:1\":\"AAAA\"}},\"state_key\":\"@u:x\",\"type\":\"m.room."    \
    "member\"}"
#define V12_CREATE                                                                                                     \
    "{\"auth_events\":[],\"content\":{},\"depth\":1,\"hashes\":{\"sha256\":\"AAAA\"},\"origin_server_ts\":1,\"prev_"   \
    "events\":[],"                                                                                                     \
    "\"sender\":\"@u:x\",\"signatures\":{},\"state_key\":\"\",\"type\":\"m.room.create\",\"unsigned\":{\"\\u0041\":1}" \
    "}"

static bool any_key(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32])
{
    (void)ud;
    (void)server;
    (void)key_id;
    (void)valid_at;
    memset(ret, 1, 32);
    return true;
}

static hs_error *reading(hs_arena *a)
{
    static const struct {
        const char *version, *json;
    } EVENTS[] = { { "1", V1_EVENT }, { "12", V12_CREATE } };
    const hs_key_view keys = { any_key, NULL };

    for (size_t i = 0; i < 2; i++) {
        const hs_roomver *rv = hs_roomver_find(hs_str_c(EVENTS[i].version));
        hs_str redacted, again, server;
        hs_event *e, *stored;
        uint8_t hash[32];
        bool ok;
        HS_TRY(hs_event_parse(a, rv, hs_str_c(EVENTS[i].json), &e));
        HS_TRY(hs_event_hash_ok(a, e, &ok));
        HS_TRY(hs_event_reference_hash(a, e, hash));
        HS_TRY(hs_event_signatures_ok(a, e, &keys, &ok, &server));
        HS_TRY(hs_event_redact(a, e, &redacted));
        HS_TRY(hs_redact_json(a, rv, hs_str_c(EVENTS[i].json), &again));
        HS_TRY(hs_event_read(a, rv, e->json, (hs_str){ 0 }, &stored));
    }
    return NULL;
}

static hs_error *building(hs_arena *a)
{
    static const char *const VERSIONS[] = { "1", "3", "11" };
    const hs_str refs[] = { HS_S("$a:x"), HS_S("$b:x") };
    hs_signing_key *key, *from_file;
    hs_str text, json;
    bool ok;

    HS_TRY(hs_signing_key_open(a, HS_S("1"), SEED, &key));
    HS_TRY(hs_signing_key_write(a, key, &text));
    HS_TRY(hs_signing_key_read(a, text, &from_file));
    for (size_t i = 0; i < 3; i++) {
        const hs_roomver *rv = hs_roomver_find(hs_str_c(VERSIONS[i]));
        hs_event *e;
        hs_event_draft d = { .room_id = HS_S("!r:x"),
                             .type = HS_S("m.room.redaction"),
                             .sender = HS_S("@\"u:x"),
                             .state_key = HS_S("k"),
                             .is_state = true,
                             .content = HS_S("{\"membership\":\"join\"}"),
                             .redacts = HS_S("$r:x"),
                             .prev = refs,
                             .auth = refs,
                             .prev_n = 2,
                             .auth_n = 2 };
        HS_TRY(hs_event_build(a, rv, &d, HS_S("x"), key, &e));
        d.type = HS_S("m.room.member");
        HS_TRY(hs_event_build(a, rv, &d, HS_S("x"), key, &e));
        HS_TRY(hs_sign_json(a, e->json, HS_S("y"), key, &json));
        HS_TRY(hs_verify_json(a, json, HS_S("y"), HS_S("ed25519:1"), hs_signing_key_public(key), &ok));
        assert_true(ok);
    }
    return hs_hex_encode(a, HS_S("abc"), &text);
}

static hs_error *canonical(hs_arena *a)
{
    hs_jv top;
    hs_str out;

    HS_TRY(hs_tape_parse(a, HS_S("{\"b\":[[[[[[[[[[{\"z\":\"\\u00e9\",\"a\":1}]]]]]]]]]],\"a\": {\"c\":2, \"b\":1}}"),
                         HS_JSON_OBJECT, &top));
    HS_TRY(hs_canonical(a, top, NULL, 0, &out));
    HS_TRY(hs_core_canonical_json(a, HS_S("{\"b\":1, \"a\":2}"), &out));
    return NULL;
}

static hs_error *refusing(hs_arena *a)
{
    const hs_verdict v = { .text = "{sender} not in room {room}, {nobody}", .status = 403 }, bad = { .status = 400 };
    const hs_event e = { .sender = HS_S_INIT("@u:x"), .room_id = HS_S_INIT("!r:x") };
    hs_error *err = hs_auth_refusal(a, v, &e);

    if (err == HS_ERR_NOMEM)
        return err;
    assert_int_equal(err->status, 403);
    assert_true(hs_str_eq(err->message, HS_S("@u:x not in room !r:x, {nobody}")));
    err = hs_auth_refusal(a, bad, &e);
    if (err == HS_ERR_NOMEM)
        return err;
    assert_int_equal(err->status, 400);
    return NULL;
}

static hs_error *clients(hs_arena *a)
{
    hs_jv v;
    hs_filter filter;
    hs_pushrules *rules;
    hs_str json, out;
    hs_event *e;
    hs_buf b;

    HS_TRY(
        hs_tape_parse(a,
                      HS_S("{\"event_fields\":[\"a\"],\"room\":{\"rooms\":[\"!r:x\"],\"timeline\":{\"types\":[\"m.*\"],"
                           "\"not_senders\":[\"@u:x\"],\"related_by_rel_types\":[\"m.thread\"]}}}"),
                      HS_JSON_OBJECT, &v));
    HS_TRY(hs_filter_read(a, v, &filter));
    HS_TRY(hs_pushrules_json(a, HS_S("@u:x"), HS_S(""), 0, &json));
    HS_TRY(hs_pushrules_compile(a, json, &rules));
    HS_TRY(hs_event_parse(a, hs_roomver_find(HS_S("1")), HS_S(V1_EVENT), &e));
    hs_buf_init(&b, a);
    hs_client_event_head(&b, e);
    hs_client_event_stripped(&b, e);
    return hs_buf_flatten(&b, &out);
}

static hs_error *embedding(hs_arena *a)
{
    const hs_core_draft d = { .room_id = HS_S_INIT("!r:x"),
                              .type = HS_S_INIT("m.room.message"),
                              .sender = HS_S_INIT("@u:x"),
                              .content = HS_S_INIT("{}") };
    const hs_core_event *e;
    hs_core_event_info info;
    hs_str out;
    bool ok;

    HS_TRY(hs_core_event_build(a, HS_S("11"), &d, HS_S("x"), HS_S("1"), SEED, &e));
    hs_core_event_get(e, &info);
    HS_TRY(hs_core_event_read(a, HS_S("11"), info.json, &e));
    HS_TRY(hs_core_event_id(a, HS_S("11"), info.json, &out));
    assert_true(hs_str_eq(out, info.event_id));
    HS_TRY(hs_core_event_redact(a, HS_S("11"), info.json, &out));
    return hs_core_event_hash_ok(a, HS_S("11"), info.json, &ok);
}

/* How many allocations were made to fail before it went well. */
static size_t run(hs_error *(*what)(hs_arena *a))
{
    for (size_t nth = 1;; nth++) {
        hs_arena *a = hs_arena_open((size_t)1 << 24);
        assert_non_null(a);
        fail_next(nth);
        hs_error *err = what(a);
        bool failed = asked >= nth;
        fail_next(0);
        if (failed != (err != NULL) || (err && err->status < 500))
            fail_msg("allocation %zu: %d %.*s", nth, err ? err->status : 0,
                     HS_FMT(err ? err->message : HS_S("went well")));
        hs_arena_close(a);
        if (!err)
            return nth - 1;
    }
}

/* D21 */
static void without_memory_events_are_neither_read_nor_made(void **state)
{
    (void)state;
    assert_true(run(reading) > 0);
    assert_true(run(building) > 0);
    assert_true(run(canonical) > 0);
    assert_true(run(refusing) > 0);
    assert_true(run(clients) > 0);
    assert_true(run(embedding) > 0);
}

/* ── state resolution ── */

static hs_error *told(void *ud, const int64_t *nids, size_t n)
{
    (void)ud;
    (void)nids;
    (void)n;
    return NULL;
}

/* D21 */
static void without_memory_there_is_no_state(void **state)
{
    static const char *const VERSIONS[] = { "1", "11", "12" };
    (void)state;

    for (size_t v = 0; v < 3; v++) {
        hs_arena *a = hs_arena_open((size_t)1 << 26);
        test_server *s = test_server_open(a, VERSIONS[v]);
        int64_t expected[TEST_SLOTS_MAX];
        hs_state_set sets[3];
        size_t times = 0;
        unsigned seed = 12;

        test_play_start(s);
        test_play_random(s, &seed, 120);
        for (size_t i = 0; i < 3; i++)
            sets[i] = test_set(s, s->events[s->n - i * 9].state);
        test_resolve(s, sets, 3, expected);
        for (size_t nth = 1;; nth++) {
            hs_arena *fresh = hs_arena_open((size_t)1 << 24);
            hs_resolver r = test_resolver(s);
            hs_state_set out;
            assert_non_null(fresh);
            r.load = told;
            fail_next(nth);
            hs_error *err = hs_state_resolve(fresh, &r, sets, 3, &out);
            bool failed = asked >= nth;
            fail_next(0);
            assert_int_equal(failed, err != NULL);
            for (size_t i = 0; !err && i < out.n; i++)
                assert_int_equal(out.at[i].event, expected[out.at[i].slot]);
            hs_arena_close(fresh);
            if (!err)
                break;
            times++;
        }
        assert_true(times > 0);
        free(s);
        hs_arena_close(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_events_are_neither_read_nor_made),
        cmocka_unit_test(without_memory_there_is_no_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
