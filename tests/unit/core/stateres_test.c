/* State resolution on whole histories: a graph of events is played as a server would receive it, resolving at each
 * fork. */
#include "support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ── known histories ── */

#define MEMBER(who, user, m)                                                                                           \
    .type = "m.room.member", .sender = who, .state_key = user, .content = "{'membership':'" m "'}"
#define POWER(who, users)                                                                                              \
    .type = "m.room.power_levels", .sender = who, .state_key = "", .content = "{'users':{" users "}}"
#define TOPIC(who)   .type = "m.room.topic", .sender = who, .state_key = ""
#define MESSAGE(who) .type = "m.room.message", .sender = who
#define A100         "'@alice:x':100"
#define A100_BOB(n)  "'@alice:x':100,'@bob:x':" n

typedef struct {
    const char *name;
    test_step steps[12];
    const char *ends[TEST_PREV_MAX]; /* what the last event is on top of */
    const char *expected[6];
} history;

/* clang-format off */
static const history HISTORIES[] = {
    { "a ban holds against a change of power by the banned", {
        { { .id = "$pa", POWER("@alice:x", A100_BOB("50")) }, { "$start" } },
        { { .id = "$ma", MEMBER("@alice:x", "@alice:x", "join") }, { "$pa" } },
        { { .id = "$mb", MEMBER("@alice:x", "@bob:x", "ban") }, { "$ma" } },
        { { .id = "$pb", POWER("@bob:x", A100_BOB("50")) }, { "$pa" } } },
      { "$mb", "$pb" }, { "$pa", "$ma", "$mb" } },
    { "a new join rule holds against a join beside it", {
        { { .id = "$jr", .type = "m.room.join_rules", .sender = "@alice:x", .state_key = "", .content = "{'join_rule':'invite'}" }, { "$start" } },
        { { .id = "$me", MEMBER("@evelyn:x", "@evelyn:x", "join") }, { "$start" } } },
      { "$jr", "$me" }, { "$jr" } },
    { "the longer line of power levels wins over its own past", {
        { { .id = "$pa", POWER("@alice:x", A100_BOB("50")) }, { "$start" } },
        { { .id = "$pb", POWER("@bob:x", A100_BOB("50") ",'@charlie:x':50") }, { "$pa" } },
        { { .id = "$pc", POWER("@charlie:x", A100_BOB("50") ",'@charlie:x':0") }, { "$pb" } } },
      { "$pc", "$pa" }, { "$pc" } },
    { "a topic set with power that was taken beside it is dropped", {
        { { .id = "$t1", TOPIC("@alice:x") }, { "$start" } },
        { { .id = "$pa1", POWER("@alice:x", A100_BOB("50")) }, { "$t1" } },
        { { .id = "$t2", TOPIC("@alice:x") }, { "$pa1" } },
        { { .id = "$pa2", POWER("@alice:x", A100_BOB("0")) }, { "$t2" } },
        { { .id = "$pb", POWER("@bob:x", A100_BOB("50")) }, { "$pa1" } },
        { { .id = "$t3", TOPIC("@bob:x") }, { "$pb" } } },
      { "$pa2", "$t3" }, { "$pa2", "$t2" } },
    { "a topic by somebody who is then banned goes back", {
        { { .id = "$t1", TOPIC("@alice:x") }, { "$start" } },
        { { .id = "$pa", POWER("@alice:x", A100_BOB("50")) }, { "$t1" } },
        { { .id = "$t2", TOPIC("@bob:x") }, { "$pa" } },
        { { .id = "$mb", MEMBER("@alice:x", "@bob:x", "ban") }, { "$t2" } } },
      { "$mb", "$t1" }, { "$t1", "$mb", "$pa" } },
    { "a topic after the merge stands", {
        { { .id = "$t1", TOPIC("@alice:x") }, { "$start" } },
        { { .id = "$pa1", POWER("@alice:x", A100_BOB("50")) }, { "$t1" } },
        { { .id = "$t2", TOPIC("@alice:x") }, { "$pa1" } },
        { { .id = "$pa2", POWER("@alice:x", A100_BOB("0")) }, { "$t2" } },
        { { .id = "$pb", POWER("@bob:x", A100_BOB("50")) }, { "$pa1" } },
        { { .id = "$t3", TOPIC("@bob:x") }, { "$pb" } },
        { { .id = "$mz", MESSAGE("@charlie:x") }, { "$pa2", "$t3" } },
        { { .id = "$t4", TOPIC("@alice:x") }, { "$mz" } } },
      { "$t4" }, { "$t4", "$pa2" } },
    { "the topic on the mainline's newer power levels wins", {
        { { .id = "$t1", TOPIC("@alice:x") }, { "$start" } },
        { { .id = "$pa1", POWER("@alice:x", A100_BOB("50")) }, { "$t1" } },
        { { .id = "$t2", TOPIC("@alice:x") }, { "$pa1" } },
        { { .id = "$pa2", .type = "m.room.power_levels", .sender = "@alice:x", .state_key = "",
            .content = "{'events':{'m.room.power_levels':100},'users':{" A100_BOB("50") "}}" }, { "$t2" } },
        { { .id = "$pb", POWER("@bob:x", A100_BOB("50")) }, { "$pa1" } },
        { { .id = "$t3", TOPIC("@bob:x") }, { "$pa2" } },
        { { .id = "$t4", TOPIC("@alice:x") }, { "$pb" } } },
      { "$t3", "$t4" }, { "$t3", "$pa2" } },
};
/* clang-format on */

static void known_histories_end_as_known(void **state)
{
    static const char *const VERSIONS[] = { "2", "6", "10", "11", "12" };
    (void)state;

    for (size_t v = 0; v < sizeof VERSIONS / sizeof *VERSIONS; v++) {
        for (size_t h = 0; h < sizeof HISTORIES / sizeof *HISTORIES; h++) {
            hs_arena *a = hs_arena_open((size_t)1 << 26);
            test_server *s = test_server_open(a, VERSIONS[v]);
            hs_state_set sets[TEST_PREV_MAX];
            int64_t end[TEST_SLOTS_MAX];
            size_t n = 0;

            test_play_start(s);
            test_play(s, HISTORIES[h].steps);
            for (; n < TEST_PREV_MAX && HISTORIES[h].ends[n]; n++)
                sets[n] = test_set(s, s->events[test_number(s, hs_str_c(HISTORIES[h].ends[n]))].state);
            test_resolve(s, sets, n, end);
            for (size_t i = 0; HISTORIES[h].expected[i]; i++) {
                int64_t nid = test_number(s, hs_str_c(HISTORIES[h].expected[i]));
                const hs_event *ev = s->events[nid].ev;
                int64_t is = end[test_slot(s, ev->type, ev->state_key)];
                if (is != nid)
                    fail_msg("version %s, %s: expected %s, is %.*s", VERSIONS[v], HISTORIES[h].name,
                             HISTORIES[h].expected[i], HS_FMT(is ? s->events[is].ev->event_id : HS_S("nothing")));
            }
            free(s);
            hs_arena_close(a);
        }
    }
}

/* S01: MSC4297: a server has lost the join of somebody who joined while the room was public. Version 2 checks the join
 * under today's rules and loses it too, version 2.1 under those that it was made under. */
static void a_join_under_older_rules_survives_in_v2_1_only(void **state)
{
    static const test_step STEPS[] = {
        { { .id = "$closed",
            .type = "m.room.join_rules",
            .sender = "@alice:x",
            .state_key = "",
            .content = "{'join_rule':'invite'}" },
          { "$start" } },
        { { .id = NULL }, { NULL } },
    };
    static const char *const VERSIONS[] = { "11", "12" };
    (void)state;

    for (size_t v = 0; v < 2; v++) {
        hs_arena *a = hs_arena_open((size_t)1 << 24);
        test_server *s = test_server_open(a, VERSIONS[v]);
        int64_t with[TEST_SLOTS_MAX], without[TEST_SLOTS_MAX], end[TEST_SLOTS_MAX];

        test_play_start(s);
        test_play(s, STEPS);
        int64_t bob = test_slot(s, HS_S("m.room.member"), HS_S("@bob:x"));
        memcpy(with, s->events[s->n].state, sizeof with);
        memcpy(without, with, sizeof without);
        without[bob] = 0;
        hs_state_set sets[] = { test_set(s, with), test_set(s, without) };
        test_resolve(s, sets, 2, end);
        assert_int_equal(end[bob], v == 0 ? 0 : with[bob]);
        free(s);
        hs_arena_close(a);
    }
}

/* S01: MSC4297: one state fell back to old power levels, though both agree on a topic that newer ones allowed. The
 * newest were set by somebody whom only the ones in between name. */
static void power_between_two_conflicted_events_counts_in_v2_1_only(void **state)
{
    static const test_step STEPS[] = {
        { { .id = "$p1", POWER("@alice:x", A100_BOB("0")) }, { "$start" } },
        { { .id = "$p2", POWER("@alice:x", A100_BOB("100")) }, { "$p1" } },
        { { .id = "$topic", TOPIC("@bob:x") }, { "$p2" } },
        { { .id = "$p3", POWER("@bob:x", A100_BOB("100") ",'@charlie:x':1") }, { "$topic" } },
        { { .id = NULL }, { NULL } },
    };
    static const char *const VERSIONS[] = { "11", "12" };
    (void)state;

    for (size_t v = 0; v < 2; v++) {
        hs_arena *a = hs_arena_open((size_t)1 << 24);
        test_server *s = test_server_open(a, VERSIONS[v]);
        int64_t fell[TEST_SLOTS_MAX], end[TEST_SLOTS_MAX];

        test_play_start(s);
        test_play(s, STEPS);
        int64_t power = test_slot(s, HS_S("m.room.power_levels"), HS_S(""));
        memcpy(fell, s->events[s->n].state, sizeof fell);
        fell[power] = test_number(s, HS_S("$p1"));
        hs_state_set sets[] = { test_set(s, fell), test_set(s, s->events[s->n].state) };
        test_resolve(s, sets, 2, end);
        assert_int_equal(end[power], test_number(s, v == 0 ? HS_S("$p1") : HS_S("$p3")));
        free(s);
        hs_arena_close(a);
    }
}

/* ── properties, on random histories ── */

static bool has_all_prev(test_server *s, const hs_event *ev)
{
    for (size_t i = 0; i < ev->prev_n; i++)
        if (!test_number(s, ev->prev[i]))
            return false;
    for (size_t i = 0; i < ev->auth_n; i++)
        if (!test_number(s, ev->auth[i]))
            return false;
    return true;
}

static void assert_same_state(test_server *x, int64_t in_x, test_server *y, int64_t in_y)
{
    for (size_t i = 1; i <= x->slots_n; i++) {
        int64_t a = x->events[in_x].state[i];
        int64_t b = y->events[in_y].state[test_slot(y, x->slots[i].type, x->slots[i].state_key)];
        hs_str a_id = a ? x->events[a].ev->event_id : HS_S("nothing");
        hs_str b_id = b ? y->events[b].ev->event_id : HS_S("nothing");
        if (!hs_str_eq(a_id, b_id))
            fail_msg("version %.*s, after %.*s, %.*s \"%.*s\": %.*s here, %.*s there", HS_FMT(x->rv->name),
                     HS_FMT(x->events[in_x].ev->event_id), HS_FMT(x->slots[i].type), HS_FMT(x->slots[i].state_key),
                     HS_FMT(a_id), HS_FMT(b_id));
    }
}

static const char *const RANDOM_VERSIONS[] = { "1", "2", "6", "11", "12" };

static void servers_agree_whatever_the_order_of_delivery(void **state)
{
    size_t rejected = 0, merges = 0;
    (void)state;

    for (unsigned round = 0; round < 60; round++) {
        hs_arena *a = hs_arena_open((size_t)1 << 28);
        const char *version = RANDOM_VERSIONS[round % 5];
        test_server *x = test_server_open(a, version), *y = test_server_open(a, version);
        unsigned seed = round * 7919 + 1;
        bool sent[TEST_EVENTS_MAX + 1] = { false };

        test_play_start(x);
        test_play_random(x, &seed, 80);
        /* The other one numbers its slots the other way round, and receives at random what it can. */
        for (size_t i = x->slots_n; i > 0; i--)
            (void)test_slot(y, x->slots[i].type, x->slots[i].state_key);
        while (y->n < x->n) {
            size_t pick = test_random(&seed) % x->n + 1;
            while (sent[pick] || !has_all_prev(y, x->events[pick].ev))
                pick = pick % x->n + 1;
            sent[pick] = true;
            test_receive(y, x->events[pick].ev);
        }
        for (size_t i = 1; i <= x->n; i++) {
            int64_t there = test_number(y, x->events[i].ev->event_id);
            assert_int_equal(x->events[i].rejected, y->events[there].rejected);
            assert_same_state(x, (int64_t)i, y, there);
            rejected += x->events[i].rejected;
            merges += x->events[i].ev->prev_n > 1;
        }
        free(x);
        free(y);
        hs_arena_close(a);
    }
    /* The histories are neither all refused nor all allowed, and they do merge. */
    assert_true(rejected > 500 && rejected < 4000);
    assert_true(merges > 500);
}

/* S02 */
static void neither_the_order_nor_the_number_of_equal_states_matters(void **state)
{
    (void)state;

    for (unsigned round = 0; round < 25; round++) {
        hs_arena *a = hs_arena_open((size_t)1 << 28);
        test_server *s = test_server_open(a, RANDOM_VERSIONS[round % 5]);
        unsigned seed = round * 104729 + 5;

        test_play_start(s);
        test_play_random(s, &seed, 60);
        for (size_t k = 0; k < 20; k++) {
            hs_state_set sets[4], turned[4];
            int64_t once[TEST_SLOTS_MAX], again[TEST_SLOTS_MAX];
            for (size_t i = 0; i < 3; i++)
                sets[i] = test_set(s, s->events[s->n - test_random(&seed) % 20].state);
            test_resolve(s, sets, 3, once);
            turned[0] = sets[2];
            turned[1] = sets[0];
            turned[2] = sets[1];
            turned[3] = sets[0];
            test_resolve(s, turned, 4, again);
            assert_memory_equal(once, again, sizeof once);

            sets[1] = sets[2] = sets[0];
            test_resolve(s, sets, 3, again);
            hs_state_set same = test_set(s, again);
            assert_int_equal(same.n, sets[0].n);
            assert_memory_equal(same.at, sets[0].at, same.n * sizeof *same.at);
        }
        free(s);
        hs_arena_close(a);
    }
}

static void no_state_and_one_state_need_no_resolution(void **state)
{
    hs_resolver r = { .rv = hs_roomver_find(HS_S("11")) };
    hs_state_entry one = { 1, 2 };
    hs_state_set set = { &one, 1 }, out;
    (void)state;

    assert_null(hs_state_resolve(NULL, &r, NULL, 0, &out));
    assert_int_equal(out.n, 0);
    assert_null(hs_state_resolve(NULL, &r, &set, 1, &out));
    assert_int_equal(out.n, 1);
    assert_int_equal(out.at[0].event, 2);
}

static void more_conflicts_than_the_limit_are_an_error(void **state)
{
    static const char *const VERSIONS[] = { "1", "11", "12" };
    (void)state;

    for (size_t v = 0; v < 3; v++) {
        hs_arena *a = hs_arena_open((size_t)1 << 24);
        test_server *s = test_server_open(a, VERSIONS[v]);
        int64_t one[TEST_SLOTS_MAX];
        hs_state_set sets[2], out;

        test_play_start(s);
        memcpy(one, s->events[s->n].state, sizeof one);
        for (size_t i = 0; i < s->slots_n;
             i++) /* each key by another event, and not by nothing, which version 1 agrees with */
            one[i] = one[i] && i > 1 ? test_number(s, HS_S("$create")) : one[i];
        sets[0] = test_set(s, s->events[s->n].state);
        sets[1] = test_set(s, one);
        hs_resolver r = test_resolver(s);
        r.max_conflicted = 3;
        assert_non_null(hs_state_resolve(a, &r, sets, 2, &out));
        r.max_conflicted = 30;
        assert_null(hs_state_resolve(a, &r, sets, 2, &out));
        free(s);
        hs_arena_close(a);
    }
}

typedef struct {
    test_server *s;
    int64_t unknown;
} forgetful;

static const hs_event *forgetful_event(void *ud, int64_t nid)
{
    const forgetful *f = ud;

    return nid == f->unknown ? NULL : f->s->events[nid].ev;
}

static bool forgetful_rejected(void *ud, int64_t nid)
{
    return ((forgetful *)ud)->s->events[nid].rejected;
}

static size_t forgetful_auth(void *ud, int64_t nid, const int64_t **ret)
{
    const forgetful *f = ud;

    *ret = f->s->events[nid].auth;
    return f->s->events[nid].auth_n;
}

static int64_t forgetful_slot(void *ud, hs_str type, hs_str state_key)
{
    return test_slot(((forgetful *)ud)->s, type, state_key);
}

static hs_error *load_nothing(void *ud, const int64_t *nids, size_t n)
{
    (void)ud;
    (void)nids;
    (void)n;
    return NULL;
}

/* A conflicted event, or the create event, that cannot be loaded: never a state without it. */
static void an_event_that_is_unknown_ends_the_resolution(void **state)
{
    static const char *const VERSIONS[] = { "1", "11", "12" };
    (void)state;

    for (size_t v = 0; v < 3; v++) {
        hs_arena *a = hs_arena_open((size_t)1 << 24);
        test_server *s = test_server_open(a, VERSIONS[v]);
        forgetful f = { .s = s };
        int64_t one[TEST_SLOTS_MAX];
        hs_state_set sets[2], out;

        test_play_start(s);
        memcpy(one, s->events[s->n].state, sizeof one);
        one[test_slot(s, HS_S("m.room.member"), HS_S("@bob:x"))] = test_number(s, HS_S("$create"));
        sets[0] = test_set(s, s->events[s->n].state);
        sets[1] = test_set(s, one);
        const int64_t unknown[] = { s->events[s->n].state[test_slot(s, HS_S("m.room.member"), HS_S("@bob:x"))],
                                    test_number(s, HS_S("$create")) };
        for (size_t i = 0; i < 4; i++) {
            f.unknown = unknown[i / 2];
            hs_resolver r = { .rv = s->rv,
                              .event = forgetful_event,
                              .rejected = forgetful_rejected,
                              .auth = forgetful_auth,
                              .slot = forgetful_slot,
                              .load = i % 2 ? load_nothing : NULL,
                              .create = test_number(s, HS_S("$create")),
                              .ud = &f };
            assert_non_null(hs_state_resolve(a, &r, sets, 2, &out));
        }
        free(s);
        hs_arena_close(a);
    }
}

/* ── asking in bulk ── */

/* A caller that keeps its events elsewhere: what was not loaded is unknown. */
typedef struct {
    test_server *s;
    bool *loaded;
    size_t calls, events;
} lazy;

static const hs_event *lazy_event(void *ud, int64_t nid)
{
    lazy *l = ud;

    return l->loaded[nid] ? l->s->events[nid].ev : NULL;
}

static bool lazy_rejected(void *ud, int64_t nid)
{
    lazy *l = ud;

    assert_true(l->loaded[nid]);
    return l->s->events[nid].rejected;
}

static size_t lazy_auth(void *ud, int64_t nid, const int64_t **ret)
{
    const lazy *l = ud;

    *ret = l->s->events[nid].auth;
    return l->s->events[nid].auth_n;
}

static int64_t lazy_slot(void *ud, hs_str type, hs_str state_key)
{
    return test_slot(((lazy *)ud)->s, type, state_key);
}

static hs_error *lazy_load(void *ud, const int64_t *nids, size_t n)
{
    lazy *l = ud;

    for (size_t i = 0; i < n; i++) {
        assert_false(l->loaded[nids[i]]); /* each once */
        l->loaded[nids[i]] = true;
    }
    l->calls++;
    l->events += n;
    return NULL;
}

static void what_is_asked_for_was_announced_in_bulk(void **state)
{
    size_t calls = 0, resolutions = 0;
    (void)state;

    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        hs_arena *a = hs_arena_open((size_t)1 << 28);
        const char *version;
        assert_null(hs_cstr(a, (*v)->name, &version));
        test_server *s = test_server_open(a, version);
        unsigned seed = 77;

        test_play_start(s);
        test_play_random(s, &seed, 100);
        for (size_t k = 0; k < 40; k++) {
            hs_state_set sets[3], out;
            int64_t expected[TEST_SLOTS_MAX];
            bool loaded[TEST_EVENTS_MAX + 1] = { false };
            lazy l = { .s = s, .loaded = loaded };
            hs_resolver r = { .rv = *v,
                              .event = lazy_event,
                              .rejected = lazy_rejected,
                              .auth = lazy_auth,
                              .slot = lazy_slot,
                              .load = lazy_load,
                              .create = test_number(s, HS_S("$create")),
                              .ud = &l };
            for (size_t i = 0; i < 3; i++)
                sets[i] = test_set(s, s->events[s->n - test_random(&seed) % 40].state);
            test_resolve(s, sets, 3, expected);
            assert_null(hs_state_resolve(a, &r, sets, 3, &out));
            for (size_t i = 0; i < out.n; i++)
                assert_int_equal(expected[out.at[i].slot], out.at[i].event);
            calls += l.calls;
            resolutions++;
        }
        free(s);
        hs_arena_close(a);
    }
    print_message("%zu calls of load for %zu resolutions\n", calls, resolutions);
    assert_true(calls < resolutions * 8);
}

static hs_error *failing_load(void *ud, const int64_t *nids, size_t n)
{
    (void)ud;
    (void)nids;
    (void)n;
    return HS_ERR_NOMEM;
}

static void a_load_that_fails_ends_the_resolution(void **state)
{
    static const char *const VERSIONS[] = { "1", "11", "12" };
    (void)state;

    for (size_t v = 0; v < 3; v++) {
        hs_arena *a = hs_arena_open((size_t)1 << 24);
        test_server *s = test_server_open(a, VERSIONS[v]);
        int64_t one[TEST_SLOTS_MAX];
        hs_state_set sets[2], out;
        unsigned seed = 3;

        test_play_start(s);
        test_play_random(s, &seed, 60);
        memcpy(one, s->events[s->n].state, sizeof one);
        one[test_slot(s, HS_S("m.room.power_levels"), HS_S(""))] = test_number(s, HS_S("$open")); /* any other */
        sets[0] = test_set(s, s->events[s->n].state);
        sets[1] = test_set(s, one);
        hs_resolver r = test_resolver(s);
        r.load = failing_load;
        assert_ptr_equal(hs_state_resolve(a, &r, sets, 2, &out), HS_ERR_NOMEM);
        free(s);
        hs_arena_close(a);
    }
}

/* X08 F22: work is bounded, and past the bound there is an error that says which. */
static void a_graph_past_the_limit_is_an_error(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 24);
    test_server *s = test_server_open(a, "12");
    hs_state_set sets[2], out;
    (void)state;

    test_play_start(s);
    sets[0] = test_set(s, s->events[s->n].state);
    sets[1] = test_set(s, s->events[1].state);
    hs_resolver r = test_resolver(s);
    r.max_graph = 4;
    hs_error *err = hs_state_resolve(a, &r, sets, 2, &out);
    assert_non_null(err);
    assert_non_null(memmem(err->cause ? err->cause->message.p : err->message.p,
                           err->cause ? err->cause->message.n : err->message.n, "4 events in the auth graph", 26));
    r.max_graph = 30;
    assert_null(hs_state_resolve(a, &r, sets, 2, &out));
    free(s);
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_histories_end_as_known),
        cmocka_unit_test(a_join_under_older_rules_survives_in_v2_1_only),
        cmocka_unit_test(power_between_two_conflicted_events_counts_in_v2_1_only),
        cmocka_unit_test(servers_agree_whatever_the_order_of_delivery),
        cmocka_unit_test(neither_the_order_nor_the_number_of_equal_states_matters),
        cmocka_unit_test(no_state_and_one_state_need_no_resolution),
        cmocka_unit_test(more_conflicts_than_the_limit_are_an_error),
        cmocka_unit_test(an_event_that_is_unknown_ends_the_resolution),
        cmocka_unit_test(what_is_asked_for_was_announced_in_bulk),
        cmocka_unit_test(a_load_that_fails_ends_the_resolution),
        cmocka_unit_test(a_graph_past_the_limit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
