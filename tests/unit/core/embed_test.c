/* hs/core.h where the programs in tests/embed do not lead: mistakes, and each question once. */
#include <hs/core.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t SEED[32] = { 3 };

typedef struct {
    hs_arena *a;
    const hs_core_event *events[8]; /* by number */
    hs_core_event_info infos[8];
    int64_t n;
    int64_t auth[8];
    size_t loads;
} room;

static void add(room *r, const char *type, const char *sender, const char *state_key, const char *content)
{
    hs_core_draft d = { .room_id = HS_S_INIT("!r:x"),
                        .type = hs_str_c(type),
                        .sender = hs_str_c(sender),
                        .state_key = hs_str_c(state_key),
                        .content = hs_str_c(content),
                        .origin_server_ts = r->n };

    assert_null(hs_core_event_build(r->a, HS_S("11"), &d, HS_S("x"), HS_S("1"), SEED, &r->events[r->n + 1]));
    hs_core_event_get(r->events[r->n + 1], &r->infos[r->n + 1]);
    r->n++;
}

static void open_room(room *r)
{
    *r = (room){ .a = hs_arena_open((size_t)1 << 22) };
    assert_non_null(r->a);
    add(r, "m.room.create", "@c:x", "", "{}");
    add(r, "m.room.member", "@c:x", "@c:x", "{\"membership\":\"join\"}");
    add(r, "m.room.topic", "@c:x", "", "{\"topic\":\"1\"}");
    add(r, "m.room.topic", "@c:x", "", "{\"topic\":\"2\"}");
    add(r, "m.room.message", "@c:x", NULL, "{}");
    add(r, "m.room.redaction", "@d:y", NULL, "{\"redacts\":\"$a\"}");
}

static const hs_core_event *event_of(void *ud, int64_t number)
{
    const room *r = ud;

    return number > 0 && number <= r->n ? r->events[number] : NULL;
}

static bool is_rejected(void *ud, int64_t number)
{
    (void)ud;
    return number < 0;
}

static size_t auth_of(void *ud, int64_t number, const int64_t **ret)
{
    room *r = ud;

    r->auth[0] = 1;
    r->auth[1] = 2;
    *ret = r->auth;
    return number == 1 ? 0 : number == 2 ? 1 : 2;
}

static int64_t key_of(void *ud, hs_str type, hs_str state_key)
{
    (void)ud;
    (void)state_key;
    return hs_str_eq(type, HS_S("m.room.create"))   ? 1
           : hs_str_eq(type, HS_S("m.room.member")) ? 2
           : hs_str_eq(type, HS_S("m.room.topic"))  ? 3
                                                    : 4;
}

static hs_error *load(void *ud, const int64_t *numbers, size_t n)
{
    (void)numbers;
    ((room *)ud)->loads += n;
    return NULL;
}

static const hs_core_event *state_at(void *ud, hs_str type, hs_str state_key)
{
    int64_t key = key_of(ud, type, state_key);

    return key < 4 ? event_of(ud, key) : NULL;
}

static hs_core_room questions(room *r)
{
    return (hs_core_room){
        .ud = r, .create = 1, .event = event_of, .rejected = is_rejected, .auth = auth_of, .key = key_of, .load = load
    };
}

static void states_resolve_over_the_callers_numbers(void **state)
{
    const hs_core_entry one[] = { { 1, 1 }, { 2, 2 }, { 3, 3 } }, two[] = { { 1, 1 }, { 2, 2 }, { 3, 4 } };
    const hs_core_state states[] = { { one, 3 }, { two, 3 } };
    hs_core_state out;
    room r;
    (void)state;

    open_room(&r);
    hs_core_room q = questions(&r);
    assert_null(hs_core_resolve(r.a, HS_S("11"), &q, states, 2, &out));
    assert_int_equal(out.n, 3);
    assert_int_equal(out.at[2].event, 4); /* the newer */
    assert_true(r.loads >= 3);
    assert_null(hs_core_resolve(r.a, HS_S("11"), &q, states, 1, &out));
    assert_int_equal(out.at[2].event, 3);
    assert_null(hs_core_resolve(r.a, HS_S("11"), &q, NULL, 0, &out));
    assert_int_equal(out.n, 0);
    q.max_conflicted = 1;
    assert_int_equal(hs_core_resolve(r.a, HS_S("11"), &q, states, 2, &out)->status, 500);
    hs_arena_close(r.a);
}

/* In every algorithm. */
static void an_unknown_event_ends_the_resolution(void **state)
{
    static const char *const VERSIONS[] = { "1", "11", "12" };
    const hs_core_entry one[] = { { 1, 1 }, { 2, 2 }, { 3, 3 } }, two[] = { { 1, 1 }, { 2, 2 }, { 3, 7 } };
    const hs_core_state states[] = { { one, 3 }, { two, 3 } };
    hs_core_state out;
    room r;
    (void)state;

    open_room(&r);
    for (size_t v = 0; v < 3; v++) {
        hs_core_room q = questions(&r);
        hs_error *err = hs_core_resolve(r.a, hs_str_c(VERSIONS[v]), &q, states, 2, &out);
        assert_non_null(err);
        assert_non_null(memmem(err->cause->message.p, err->cause->message.n, "event 7 is unknown", 18));
        q.create = 8;
        err = hs_core_resolve(r.a, hs_str_c(VERSIONS[v]), &q, states, 2, &out);
        assert_non_null(err);
        q.create = 1;
        q.max_conflicted = 1;
        assert_non_null(hs_core_resolve(r.a, hs_str_c(VERSIONS[v]), &q, states, 2, &out));
    }
    hs_arena_close(r.a);
}

static void the_rules_answer_over_the_callers_state(void **state)
{
    hs_core_key keys[HS_CORE_AUTH_MAX];
    room r;
    (void)state;

    open_room(&r);
    assert_int_equal(hs_core_auth_selection(r.events[5], keys), 3);
    assert_true(hs_str_eq(keys[2].type, HS_S("m.room.member")) && hs_str_eq(keys[2].state_key, HS_S("@c:x")));
    hs_core_verdict v = hs_core_auth_check(r.events[5], state_at, &r);
    assert_true(v.ok);
    assert_string_equal(v.rule, "event");
    v = hs_core_auth_events_check(r.events[5], r.events + 2, NULL, 1);
    assert_false(v.ok);
    assert_string_equal(v.rule, "auth_events: no create event");
    assert_false(hs_core_redaction_ok(r.events[6], r.events[5], state_at, &r));
    assert_true(hs_str_eq(r.infos[6].redacts, HS_S("$a")));
    assert_null(r.infos[6].state_key.p);
    assert_non_null(r.infos[1].state_key.p);
    hs_arena_close(r.a);
}

static void versions_that_are_not_known_are_an_answer(void **state)
{
    const hs_core_draft d = { .type = HS_S_INIT("t") };
    const hs_core_event *e;
    hs_core_state out;
    hs_str text;
    bool ok;
    room r;
    (void)state;

    open_room(&r);
    hs_core_room q = questions(&r);
    hs_error *errors[] = {
        hs_core_event_read(r.a, HS_S("99"), HS_S("{}"), &e),
        hs_core_event_build(r.a, HS_S("99"), &d, HS_S("x"), HS_S("1"), SEED, &e),
        hs_core_resolve(r.a, HS_S("99"), &q, NULL, 0, &out),
        hs_core_event_id(r.a, HS_S("99"), HS_S("{}"), &text),
        hs_core_event_hash_ok(r.a, HS_S("99"), HS_S("{}"), &ok),
        hs_core_event_redact(r.a, HS_S("99"), HS_S("{}"), &text),
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        assert_non_null(errors[i]);
        assert_int_equal(errors[i]->status, 400);
        assert_int_equal(errors[i]->code, HS_M_UNSUPPORTED_ROOM_VERSION);
    }
    assert_true(hs_core_room_version_known(HS_S("12")) && !hs_core_room_version_known(HS_S("13")));
    assert_non_null(hs_core_event_read(r.a, HS_S("11"), HS_S("{}"), &e));
    hs_arena_close(r.a);
}

typedef struct {
    uint8_t key[32];
} one_key;

static bool give(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32])
{
    (void)server;
    assert_true(hs_str_eq(key_id, HS_S("ed25519:1")) && valid_at == 4);
    memcpy(ret, ((one_key *)ud)->key, 32);
    return true;
}

static void what_is_built_is_signed_with_the_key_that_belongs_to_it(void **state)
{
    one_key k;
    hs_str server;
    bool ok;
    room r;
    (void)state;

    open_room(&r);
    hs_core_public_key(SEED, k.key);
    assert_null(hs_core_event_signatures_ok(r.a, r.events[5], give, &k, &ok, &server));
    assert_true(ok);
    k.key[0] ^= 1;
    assert_null(hs_core_event_signatures_ok(r.a, r.events[5], give, &k, &ok, &server));
    assert_false(ok);
    assert_true(hs_str_eq(server, HS_S("x")));
    hs_arena_close(r.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_resolve_over_the_callers_numbers),
        cmocka_unit_test(an_unknown_event_ends_the_resolution),
        cmocka_unit_test(the_rules_answer_over_the_callers_state),
        cmocka_unit_test(versions_that_are_not_known_are_an_answer),
        cmocka_unit_test(what_is_built_is_signed_with_the_key_that_belongs_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
