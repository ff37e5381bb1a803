/* State resolution on whole histories: a graph of events is played as a server would receive it, resolving at each
 * fork. */
#include "core/stateres.h"

#include "support/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_EVENTS = 300, MAX_SLOTS = 64, MAX_PREV = 4 };

/* What a server knows of an event. Numbers are indexes + 1, so two servers number differently. */
typedef struct {
    const hs_event *ev;
    int64_t auth[HS_AUTH_TYPES_MAX];
    size_t auth_n;
    bool rejected;
    int64_t state[MAX_SLOTS]; /* after it, by slot */
} known;

typedef struct {
    hs_arena *a;
    const hs_roomver *rv;
    known events[MAX_EVENTS + 1];
    size_t n;
    hs_state_key_pair slots[MAX_SLOTS];
    size_t slots_n;
    const int64_t *looking; /* the state that view_get reads */
    bool wrong;
} server;

static int64_t slot_of(void *ud, hs_str type, hs_str state_key)
{
    server *s = ud;

    for (size_t i = 1; i <= s->slots_n; i++)
        if (hs_str_eq(s->slots[i].type, type) && hs_str_eq(s->slots[i].state_key, state_key))
            return (int64_t)i;
    assert_true(s->slots_n + 1 < MAX_SLOTS);
    s->slots[++s->slots_n] = (hs_state_key_pair){ type, state_key };
    return (int64_t)s->slots_n;
}

static const hs_event *event_of(void *ud, int64_t nid)
{
    return ((server *)ud)->events[nid].ev;
}

static bool is_rejected(void *ud, int64_t nid)
{
    return ((server *)ud)->events[nid].rejected;
}

static size_t auth_of(void *ud, int64_t nid, const int64_t **ret)
{
    known *k = &((server *)ud)->events[nid];

    *ret = k->auth;
    return k->auth_n;
}

static const hs_event *view_get(void *ud, hs_str type, hs_str state_key)
{
    server *s = ud;
    int64_t nid = s->looking[slot_of(s, type, state_key)];

    return nid ? s->events[nid].ev : NULL;
}

static int64_t number_of(server *s, hs_str id)
{
    for (size_t i = 1; i <= s->n; i++)
        if (hs_str_eq(s->events[i].ev->event_id, id))
            return (int64_t)i;
    return 0;
}

static hs_resolver resolver(server *s)
{
    return (hs_resolver){ .rv = s->rv,
                          .event = event_of,
                          .rejected = is_rejected,
                          .auth = auth_of,
                          .slot = slot_of,
                          .create = number_of(s, HS_S("$create")),
                          .ud = s };
}

static hs_state_set set_of(server *s, const int64_t *state)
{
    hs_state_entry *at;
    size_t n = 0;

    assert_null(hs_alloc(s->a, MAX_SLOTS, &at));
    for (size_t i = 1; i <= s->slots_n; i++)
        if (state[i])
            at[n++] = (hs_state_entry){ (int64_t)i, state[i] };
    return (hs_state_set){ at, n };
}

static void resolve(server *s, const hs_state_set *sets, size_t n, int64_t ret[MAX_SLOTS])
{
    hs_resolver r = resolver(s);
    hs_state_set out;
    hs_error *err = hs_state_resolve(s->a, &r, sets, n, &out);

    if (err)
        fail_msg("%.*s", HS_FMT(err->cause ? err->cause->message : err->message));
    memset(ret, 0, MAX_SLOTS * sizeof *ret);
    for (size_t i = 0; i < out.n; i++) {
        assert_true(i == 0 || out.at[i - 1].slot < out.at[i].slot);
        ret[out.at[i].slot] = out.at[i].event;
    }
}

static void state_before(server *s, const hs_event *ev, int64_t ret[MAX_SLOTS])
{
    hs_state_set sets[MAX_PREV];

    memset(ret, 0, MAX_SLOTS * sizeof *ret);
    for (size_t i = 0; i < ev->prev_n; i++)
        sets[i] = set_of(s, s->events[number_of(s, ev->prev[i])].state);
    if (ev->prev_n)
        resolve(s, sets, ev->prev_n, ret);
}

/* Which events authorise it, by a state. */
static size_t select_auth(server *s, const int64_t *state, const test_event_in *in, hs_jv content,
                          int64_t ret[HS_AUTH_TYPES_MAX])
{
    hs_state_key_pair want[HS_AUTH_TYPES_MAX];
    size_t n = hs_auth_types(s->rv, hs_str_c(in->type), hs_str_c(in->sender), hs_str_c(in->state_key),
                             in->state_key != NULL, content, want);
    size_t out = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t nid = state[slot_of(s, want[i].type, want[i].state_key)];
        if (nid)
            ret[out++] = nid;
    }
    return out;
}

/* Takes an event in: its state, whether the rules allow it there, the state after it. */
static int64_t receive(server *s, const hs_event *ev)
{
    int64_t before[MAX_SLOTS];
    known *k = &s->events[s->n + 1];

    assert_true(s->n < MAX_EVENTS);
    state_before(s, ev, before);
    *k = (known){ .ev = ev };
    for (size_t i = 0; i < ev->auth_n; i++)
        k->auth[k->auth_n++] = number_of(s, ev->auth[i]);
    s->n++;

    s->looking = before;
    hs_state_view view = { .get = view_get, .ud = s, .create = s->events[number_of(s, HS_S("$create"))].ev };
    k->rejected = !hs_auth_check(ev, &view).ok;
    memcpy(k->state, before, sizeof before);
    if (ev->is_state && !k->rejected)
        k->state[slot_of(s, ev->type, ev->state_key)] = (int64_t)s->n;
    return (int64_t)s->n;
}

/* Makes an event on top of `prev`, as its sender's server would. */
static const hs_event *make(server *s, const test_event_in *in, const int64_t *prev, size_t prev_n)
{
    hs_state_set sets[MAX_PREV];
    int64_t before[MAX_SLOTS] = { 0 }, auth[HS_AUTH_TYPES_MAX];
    const char *ids[HS_AUTH_TYPES_MAX + 1] = { NULL };
    test_event_in e = *in;

    for (size_t i = 0; i < prev_n; i++)
        sets[i] = set_of(s, s->events[prev[i]].state);
    if (prev_n)
        resolve(s, sets, prev_n, before);

    e.prev = "";
    hs_event *shape = test_event(s->a, s->rv, &e); /* for its content */
    size_t n = select_auth(s, before, in, shape->content, auth);
    for (size_t i = 0; i < n; i++)
        assert_null(hs_cstr(s->a, s->events[auth[i]].ev->event_id, &ids[i]));
    e.auth = ids;
    e.ts = in->ts ? in->ts : (int64_t)s->n + 1;
    e.depth = 1;
    for (size_t i = 0; i < prev_n; i++)
        if (s->events[prev[i]].ev->depth >= e.depth)
            e.depth = s->events[prev[i]].ev->depth + 1;
    hs_event *ev = test_event(s->a, s->rv, &e);
    assert_null(hs_alloc(s->a, prev_n + 1, &ev->prev));
    ev->prev_n = prev_n;
    for (size_t i = 0; i < prev_n; i++)
        ev->prev[i] = s->events[prev[i]].ev->event_id;
    return ev;
}

static server *server_open(hs_arena *a, const char *version)
{
    server *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->a = a;
    s->rv = hs_roomver_find(hs_str_c(version));
    return s;
}

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
    test_event_in in;
    const char *prev[MAX_PREV];
} step;

/* In version 12 the creator may not be in `users`, so alice is not her. */
static const step START[] = {
    { { .id = "$create",
        .type = "m.room.create",
        .sender = "@zed:x",
        .state_key = "",
        .content = "{'creator':'@zed:x'}" },
      { NULL } },
    { { .id = "$zed", MEMBER("@zed:x", "@zed:x", "join") }, { "$create" } },
    { { .id = "$open",
        .type = "m.room.join_rules",
        .sender = "@zed:x",
        .state_key = "",
        .content = "{'join_rule':'public'}" },
      { "$zed" } },
    { { .id = "$ima", MEMBER("@alice:x", "@alice:x", "join") }, { "$open" } },
    { { .id = "$ipower", POWER("@zed:x", A100) }, { "$ima" } },
    { { .id = "$imb", MEMBER("@bob:x", "@bob:x", "join") }, { "$ipower" } },
    { { .id = "$imc", MEMBER("@charlie:x", "@charlie:x", "join") }, { "$imb" } },
    { { .id = "$start", MESSAGE("@charlie:x") }, { "$imc" } },
};

typedef struct {
    const char *name;
    step steps[12];
    const char *ends[MAX_PREV]; /* what the last event is on top of */
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

static void play(server *s, const step *steps)
{
    for (; steps->in.id; steps++) {
        int64_t prev[MAX_PREV];
        size_t n = 0;
        for (; n < MAX_PREV && steps->prev[n]; n++) {
            prev[n] = number_of(s, hs_str_c(steps->prev[n]));
            assert_true(prev[n] > 0);
        }
        receive(s, make(s, &steps->in, prev, n));
    }
}

static void play_start(server *s)
{
    for (size_t i = 0; i < sizeof START / sizeof *START; i++) {
        step one[2] = { START[i], { .in = { .id = NULL } } };
        play(s, one);
        assert_false(s->events[s->n].rejected);
    }
}

static void known_histories_end_as_known(void **state)
{
    static const char *const VERSIONS[] = { "2", "6", "10", "11", "12" };
    (void)state;

    for (size_t v = 0; v < sizeof VERSIONS / sizeof *VERSIONS; v++) {
        for (size_t h = 0; h < sizeof HISTORIES / sizeof *HISTORIES; h++) {
            hs_arena *a = hs_arena_open((size_t)1 << 26);
            server *s = server_open(a, VERSIONS[v]);
            hs_state_set sets[MAX_PREV];
            int64_t end[MAX_SLOTS];
            size_t n = 0;

            play_start(s);
            play(s, HISTORIES[h].steps);
            for (; n < MAX_PREV && HISTORIES[h].ends[n]; n++)
                sets[n] = set_of(s, s->events[number_of(s, hs_str_c(HISTORIES[h].ends[n]))].state);
            resolve(s, sets, n, end);
            for (size_t i = 0; HISTORIES[h].expected[i]; i++) {
                int64_t nid = number_of(s, hs_str_c(HISTORIES[h].expected[i]));
                const hs_event *ev = s->events[nid].ev;
                int64_t is = end[slot_of(s, ev->type, ev->state_key)];
                if (is != nid)
                    fail_msg("version %s, %s: expected %s, is %.*s", VERSIONS[v], HISTORIES[h].name,
                             HISTORIES[h].expected[i], HS_FMT(is ? s->events[is].ev->event_id : HS_S("nothing")));
            }
            free(s);
            hs_arena_close(a);
        }
    }
}

/* MSC4297: a server has lost the join of somebody who joined while the room was public. Version 2 checks the join
 * under today's rules and loses it too, version 2.1 under those that it was made under. */
static void a_join_under_older_rules_survives_in_v2_1_only(void **state)
{
    static const step STEPS[] = {
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
        server *s = server_open(a, VERSIONS[v]);
        int64_t with[MAX_SLOTS], without[MAX_SLOTS], end[MAX_SLOTS];

        play_start(s);
        play(s, STEPS);
        int64_t bob = slot_of(s, HS_S("m.room.member"), HS_S("@bob:x"));
        memcpy(with, s->events[s->n].state, sizeof with);
        memcpy(without, with, sizeof without);
        without[bob] = 0;
        hs_state_set sets[] = { set_of(s, with), set_of(s, without) };
        resolve(s, sets, 2, end);
        assert_int_equal(end[bob], v == 0 ? 0 : with[bob]);
        free(s);
        hs_arena_close(a);
    }
}

/* MSC4297: one state fell back to old power levels, though both agree on a topic that newer ones allowed. The newest
 * were set by somebody whom only the ones in between name. */
static void power_between_two_conflicted_events_counts_in_v2_1_only(void **state)
{
    static const step STEPS[] = {
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
        server *s = server_open(a, VERSIONS[v]);
        int64_t fell[MAX_SLOTS], end[MAX_SLOTS];

        play_start(s);
        play(s, STEPS);
        int64_t power = slot_of(s, HS_S("m.room.power_levels"), HS_S(""));
        memcpy(fell, s->events[s->n].state, sizeof fell);
        fell[power] = number_of(s, HS_S("$p1"));
        hs_state_set sets[] = { set_of(s, fell), set_of(s, s->events[s->n].state) };
        resolve(s, sets, 2, end);
        assert_int_equal(end[power], number_of(s, v == 0 ? HS_S("$p1") : HS_S("$p3")));
        free(s);
        hs_arena_close(a);
    }
}

/* ── properties, on random histories ── */

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16 & 0x7fffu;
}

static const char *const USERS[] = { "@alice:x", "@bob:x", "@charlie:x", "@dora:y", "@eve:y" };
enum { USERS_N = 5 };

static const char *random_user(unsigned *seed)
{
    return USERS[next_random(seed) % USERS_N];
}

static test_event_in random_event(hs_arena *a, unsigned *seed, size_t i)
{
    test_event_in in = { .sender = random_user(seed), .state_key = "", .ts = (int64_t)(next_random(seed) % 4) + 1 };
    hs_str text;

    assert_null(hs_str_fmt(a, &text, "$%03u-%zu:x", next_random(seed) % 1000, i));
    assert_null(hs_cstr(a, text, &in.id));
    switch (next_random(seed) % 8) {
    case 0:
    case 1:
        in.type = "m.room.member";
        in.state_key = in.sender;
        in.content = next_random(seed) % 3 ? "{'membership':'join'}" : "{'membership':'leave'}";
        break;
    case 2:
        in.type = "m.room.member";
        in.state_key = random_user(seed);
        in.content = next_random(seed) % 2 ? "{'membership':'ban'}" : "{'membership':'leave'}";
        break;
    case 3:
        in.type = "m.room.member";
        in.state_key = random_user(seed);
        in.content = "{'membership':'invite'}";
        break;
    case 4:
        in.type = "m.room.power_levels";
        assert_null(hs_str_fmt(a, &text, "{'users':{'@alice:x':%u,'@bob:x':%u,'@charlie:x':%u,'@dora:y':%u}}",
                               next_random(seed) % 4 ? 100 : 50, next_random(seed) % 3 * 50, next_random(seed) % 3 * 50,
                               next_random(seed) % 3 * 50));
        assert_null(hs_cstr(a, text, &in.content));
        break;
    case 5:
        in.type = "m.room.join_rules";
        in.content = next_random(seed) % 2 ? "{'join_rule':'public'}" : "{'join_rule':'invite'}";
        break;
    case 6:
        in.type = next_random(seed) % 2 ? "m.room.topic" : "m.room.name";
        break;
    default:
        in.type = "m.room.message";
        in.state_key = NULL;
        break;
    }
    return in;
}

/* Forks often, merges now and then. */
static void play_random(server *s, unsigned *seed, size_t events)
{
    for (size_t i = 0; i < events; i++) {
        int64_t prev[MAX_PREV];
        size_t n = 0, want = next_random(seed) % 3 ? 1 : 2 + next_random(seed) % 2;
        size_t span = s->n < 12 ? s->n - 6 : 12;
        while (n < want) {
            int64_t p = (int64_t)(s->n - next_random(seed) % span);
            bool twice = false;
            for (size_t k = 0; k < n; k++)
                twice = twice || prev[k] == p;
            if (twice)
                want--;
            else
                prev[n++] = p;
        }
        test_event_in in = random_event(s->a, seed, i);
        receive(s, make(s, &in, prev, n));
    }
}

static bool has_all_prev(server *s, const hs_event *ev)
{
    for (size_t i = 0; i < ev->prev_n; i++)
        if (!number_of(s, ev->prev[i]))
            return false;
    for (size_t i = 0; i < ev->auth_n; i++)
        if (!number_of(s, ev->auth[i]))
            return false;
    return true;
}

static void assert_same_state(server *x, int64_t in_x, server *y, int64_t in_y)
{
    for (size_t i = 1; i <= x->slots_n; i++) {
        int64_t a = x->events[in_x].state[i];
        int64_t b = y->events[in_y].state[slot_of(y, x->slots[i].type, x->slots[i].state_key)];
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
        server *x = server_open(a, version), *y = server_open(a, version);
        unsigned seed = round * 7919 + 1;
        bool sent[MAX_EVENTS + 1] = { false };

        play_start(x);
        play_random(x, &seed, 80);
        /* The other one numbers its slots the other way round, and receives at random what it can. */
        for (size_t i = x->slots_n; i > 0; i--)
            (void)slot_of(y, x->slots[i].type, x->slots[i].state_key);
        while (y->n < x->n) {
            size_t pick = next_random(&seed) % x->n + 1;
            while (sent[pick] || !has_all_prev(y, x->events[pick].ev))
                pick = pick % x->n + 1;
            sent[pick] = true;
            receive(y, x->events[pick].ev);
        }
        for (size_t i = 1; i <= x->n; i++) {
            int64_t there = number_of(y, x->events[i].ev->event_id);
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

static void neither_the_order_nor_the_number_of_equal_states_matters(void **state)
{
    (void)state;

    for (unsigned round = 0; round < 25; round++) {
        hs_arena *a = hs_arena_open((size_t)1 << 28);
        server *s = server_open(a, RANDOM_VERSIONS[round % 5]);
        unsigned seed = round * 104729 + 5;

        play_start(s);
        play_random(s, &seed, 60);
        for (size_t k = 0; k < 20; k++) {
            hs_state_set sets[4], turned[4];
            int64_t once[MAX_SLOTS], again[MAX_SLOTS];
            for (size_t i = 0; i < 3; i++)
                sets[i] = set_of(s, s->events[s->n - next_random(&seed) % 20].state);
            resolve(s, sets, 3, once);
            turned[0] = sets[2];
            turned[1] = sets[0];
            turned[2] = sets[1];
            turned[3] = sets[0];
            resolve(s, turned, 4, again);
            assert_memory_equal(once, again, sizeof once);

            sets[1] = sets[2] = sets[0];
            resolve(s, sets, 3, again);
            hs_state_set same = set_of(s, again);
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
    hs_arena *a = hs_arena_open((size_t)1 << 24);
    server *s = server_open(a, "11");
    hs_state_set sets[2], out;
    (void)state;

    play_start(s);
    sets[0] = set_of(s, s->events[s->n].state);
    sets[1] = set_of(s, s->events[1].state);
    hs_resolver r = resolver(s);
    r.max_conflicted = 3;
    assert_non_null(hs_state_resolve(a, &r, sets, 2, &out));
    r.max_conflicted = 30;
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
