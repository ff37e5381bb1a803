/* What must hold for any event and any history, tried on random ones. The seed is printed; HS_TEST_SEED sets it. Orders
 * of delivery and of states are in stateres_test.c. */
#include "support/history.h"

#include "core/canonical.h"
#include "core/redact.h"
#include "core/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned first_seed(void)
{
    const char *text = getenv("HS_TEST_SEED");
    unsigned seed = text ? (unsigned)strtoul(text, NULL, 10) : 20240229u;

    print_message("seed %u\n", seed);
    return seed;
}

/* ── histories ── */

/* Whether `view` allows ev; what it holds, and nothing else, is the state. */
typedef struct {
    test_server *s;
    const int64_t *nids;
    size_t n;
} some_events;

static const hs_event *get(void *ud, hs_str type, hs_str state_key)
{
    const some_events *e = ud;

    for (size_t i = 0; i < e->n; i++) {
        const hs_event *ev = e->nids[i] ? e->s->events[e->nids[i]].ev : NULL;
        if (ev && ev->is_state && hs_str_eq(ev->type, type) && hs_str_eq(ev->state_key, state_key))
            return ev;
    }
    return NULL;
}

static bool allowed(test_server *s, const hs_event *ev, const int64_t *nids, size_t n)
{
    some_events view_of = { s, nids, n };
    hs_state_view view = { get, &view_of, s->events[1].ev };

    return hs_auth_check(ev, &view).ok;
}

/* Nothing is in a state whose auth chain is not there down to the create event, that its own auth events do not
 * allow, or that was rejected. */
static void check_state(test_server *s, const int64_t state[TEST_SLOTS_MAX], size_t *checked)
{
    for (size_t slot = 1; slot <= s->slots_n; slot++) {
        bool met[TEST_EVENTS_MAX + 1] = { false };
        int64_t todo[TEST_EVENTS_MAX + 1];
        size_t n = 0;
        if (!state[slot])
            continue;
        todo[n++] = state[slot];
        while (n) {
            int64_t nid = todo[--n];
            const test_known *k = &s->events[nid];
            if (met[nid])
                continue;
            met[nid] = true;
            assert_true(nid > 0 && nid <= (int64_t)s->n && k->ev->is_state);
            for (size_t i = 0; i < k->auth_n; i++)
                todo[n++] = k->auth[i];
        }
        const test_known *k = &s->events[state[slot]];
        assert_false(k->rejected);
        assert_true(state[slot] == 1 || s->rv->create_not_in_auth || met[1]);
        assert_true(state[slot] == 1 || allowed(s, k->ev, k->auth, k->auth_n));
        (*checked)++;
    }
}

/* F10 */
static void the_auth_chain_of_a_resolved_state_is_closed_and_allows_it(void **state)
{
    unsigned seed = first_seed();
    size_t checked = 0;
    (void)state;

    for (unsigned round = 0; round < 36; round++) {
        hs_arena *a = hs_arena_open((size_t)1 << 28);
        const char *version;
        assert_null(hs_cstr(a, hs_roomver_all()[round % 12]->name, &version));
        test_server *s = test_server_open(a, version);
        unsigned own = seed + round * 7919u;

        test_play_start(s);
        test_play_random(s, &own, 80);
        for (size_t i = 1; i <= s->n; i++)
            check_state(s, s->events[i].state, &checked);
        for (size_t k = 0; k < 10; k++) {
            hs_state_set sets[4];
            int64_t out[TEST_SLOTS_MAX];
            for (size_t i = 0; i < 4; i++)
                sets[i] = test_set(s, s->events[s->n - test_random(&own) % 30].state);
            test_resolve(s, sets, 2 + k % 3, out);
            check_state(s, out, &checked);
        }
        free(s);
        hs_arena_close(a);
    }
    print_message("%zu entries of states\n", checked);
    assert_true(checked > 20000);
}

/* ── random JSON ── */

static const char *const WORDS[] = {
    "membership", "ban",     "users",  "signed",  "third_party_invite", "creator", "aliases",
    "join_rule",  "allow",   "invite", "redacts", "history_visibility", "a",       "b",
    "é",          "\\u0000", "z\\n",   "",        "\xf0\x9f\x98\x80",   "events"
};
enum { WORDS_N = sizeof WORDS / sizeof *WORDS };

static void random_value(hs_buf *b, unsigned *seed, int depth);

/* Members in any order; keys are distinct. */
static void random_object(hs_buf *b, unsigned *seed, int depth)
{
    size_t n = test_random(seed) % 6, from = test_random(seed) % WORDS_N;

    hs_buf_addc(b, '{');
    for (size_t i = 0; i < n; i++) {
        hs_buf_add(b, i ? HS_S(", \"") : HS_S("\""));
        hs_buf_add(b, hs_str_c(WORDS[(from + i * 7) % WORDS_N]));
        hs_buf_add(b, HS_S("\" :"));
        random_value(b, seed, depth + 1);
    }
    hs_buf_addc(b, '}');
}

static void random_value(hs_buf *b, unsigned *seed, int depth)
{
    static const char *const PLAIN[] = { "true",     "false",          "null", "0", "-1", "9007199254740991",
                                         "\"join\"", "\"\\u00e9/\\t\"" };
    unsigned what = test_random(seed) % (depth > 3 ? 6 : 8);

    if (what < 6) {
        hs_buf_add(b, hs_str_c(PLAIN[test_random(seed) % 8]));
    } else if (what == 6) {
        random_object(b, seed, depth);
    } else {
        hs_buf_addc(b, '[');
        random_value(b, seed, depth + 1);
        hs_buf_addc(b, ',');
        random_value(b, seed, depth + 1);
        hs_buf_addc(b, ']');
    }
}

static hs_str random_json(hs_arena *a, unsigned *seed)
{
    hs_buf b;
    hs_str out;

    hs_buf_init(&b, a);
    random_object(&b, seed, 0);
    assert_null(hs_buf_flatten(&b, &out));
    return out;
}

/* The members of every object the other way round, with blanks. */
static void backwards(hs_arena *a, hs_buf *b, hs_jv v)
{
    hs_jv_iter it = { 0 };
    hs_str parts[16];
    size_t n = 0;

    if (hs_jv_type_of(v) != HS_JV_OBJ) {
        hs_buf_add(b, hs_jv_raw(v));
        return;
    }
    while (hs_jv_next(v, &it)) {
        hs_buf inner;
        hs_str value;
        hs_buf_init(&inner, a);
        backwards(a, &inner, it.value);
        assert_null(hs_buf_flatten(&inner, &value));
        assert_null(hs_str_cat(a, &parts[n++], 3, it.raw_key, HS_S("\t: "), value));
    }
    hs_buf_addc(b, '{');
    for (size_t i = n; i-- > 0;) {
        hs_buf_add(b, parts[i]);
        if (i)
            hs_buf_add(b, HS_S(" ,"));
    }
    hs_buf_addc(b, '}');
}

/* Z05 */
static void canonical_json_is_one_form_of_all_that_mean_the_same(void **state)
{
    unsigned seed = first_seed();
    hs_arena *a = hs_arena_open((size_t)1 << 24);
    (void)state;

    for (size_t i = 0; i < 10000; i++) {
        hs_jv top, again;
        hs_str once, twice, turned;
        hs_buf b;
        hs_arena_reset(a);
        assert_null(hs_tape_parse(a, random_json(a, &seed), HS_JSON_CANONICAL, &top));
        assert_null(hs_canonical(a, top, NULL, 0, &once));
        assert_null(hs_tape_parse(a, once, HS_JSON_CANONICAL, &again));
        assert_true(hs_jv_is_canonical(again));
        assert_null(hs_canonical(a, again, NULL, 0, &twice));
        assert_true(hs_str_eq(once, twice));
        hs_buf_init(&b, a);
        backwards(a, &b, top);
        assert_null(hs_buf_flatten(&b, &turned));
        assert_null(hs_tape_parse(a, turned, HS_JSON_CANONICAL, &again));
        assert_null(hs_canonical(a, again, NULL, 0, &twice));
        assert_true(hs_str_eq(once, twice));
        assert_true(once.n <= turned.n);
    }
    hs_arena_close(a);
}

/* ── redaction ── */

static const char *const TYPES[] = {
    "m.room.member",  "m.room.create",    "m.room.join_rules",         "m.room.power_levels",
    "m.room.aliases", "m.room.redaction", "m.room.history_visibility", "m.room.message"
};

static hs_str random_event(hs_arena *a, const hs_roomver *rv, unsigned *seed)
{
    const char *type = TYPES[test_random(seed) % 8];
    hs_str json, content = random_json(a, seed), more = random_json(a, seed);

    assert_null(hs_str_fmt(
        a, &json,
        "{\"auth_events\":[],\"content\":%.*s,\"depth\":%u,%s\"hashes\":{\"sha256\":\"AAAA\"},\"membership\":\"x\","
        "\"origin\":\"x\","
        "\"origin_server_ts\":%u,\"prev_events\":[],\"prev_state\":[],\"redacts\":\"$a:x\",\"room_id\":\"!r:x\","
        "\"sender\":\"@u:x\",\"signatures\":{\"x\":{\"ed25519:1\":\"AAAA\"}},%s\"type\":\"%s\",\"unsigned\":%.*s,\"w\":"
        "1}",
        HS_FMT(content), test_random(seed), rv->event_id == HS_EVENT_ID_GIVEN ? "\"event_id\":\"$e:x\"," : "",
        test_random(seed), test_random(seed) % 2 ? "\"state_key\":\"\"," : "", type, HS_FMT(more)));
    return json;
}

/* C10 F24: redaction takes away once and for all, and neither the id nor what is signed changes by it. */
static void redaction_is_idempotent_and_commutes_with_hashing(void **state)
{
    unsigned seed = first_seed();
    hs_arena *a = hs_arena_open((size_t)1 << 24);
    (void)state;

    for (size_t i = 0; i < 12000; i++) {
        const hs_roomver *rv = hs_roomver_all()[i % 12];
        hs_event *whole, *bare, *read;
        hs_str redacted, again, direct;
        uint8_t of_whole[32], of_bare[32];
        hs_arena_reset(a);
        hs_str json = random_event(a, rv, &seed);
        hs_error *err = hs_event_parse(a, rv, json, &whole);
        if (err)
            fail_msg("%.*s: %.*s", HS_FMT(err->message), HS_FMT(json));
        assert_null(hs_event_redact(a, whole, &redacted));
        assert_null(hs_event_parse(a, rv, redacted, &bare));
        assert_null(hs_event_read(a, rv, redacted, (hs_str){ 0 }, &read));
        assert_null(hs_event_redact(a, bare, &again));
        assert_true(hs_str_eq(redacted, again));
        assert_true(hs_str_eq(bare->json, redacted)); /* what is left is canonical */
        assert_null(hs_redact_json(a, rv, whole->json, &direct));
        assert_true(hs_str_eq(redacted, direct));
        assert_null(hs_event_reference_hash(a, whole, of_whole));
        assert_null(hs_event_reference_hash(a, bare, of_bare));
        assert_memory_equal(of_whole, of_bare, 32);
        assert_true(hs_str_eq(whole->event_id, bare->event_id) && hs_str_eq(whole->event_id, read->event_id));
        assert_true(hs_str_eq(whole->room_id, bare->room_id));
        assert_int_equal(whole->kind, bare->kind);
        assert_int_equal(whole->membership, bare->membership);
    }
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_auth_chain_of_a_resolved_state_is_closed_and_allows_it),
        cmocka_unit_test(canonical_json_is_one_form_of_all_that_mean_the_same),
        cmocka_unit_test(redaction_is_idempotent_and_commutes_with_hashing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
