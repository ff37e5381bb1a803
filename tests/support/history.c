/* See history.h. */
#include "support/history.h"

#include "core/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

int64_t test_slot(void *ud, hs_str type, hs_str state_key)
{
    test_server *s = ud;

    for (size_t i = 1; i <= s->slots_n; i++)
        if (hs_str_eq(s->slots[i].type, type) && hs_str_eq(s->slots[i].state_key, state_key))
            return (int64_t)i;
    assert_true(s->slots_n + 1 < TEST_SLOTS_MAX);
    s->slots[++s->slots_n] = (hs_state_key_pair){ type, state_key };
    return (int64_t)s->slots_n;
}

static const hs_event *event_of(void *ud, int64_t nid)
{
    return ((test_server *)ud)->events[nid].ev;
}

static bool is_rejected(void *ud, int64_t nid)
{
    return ((test_server *)ud)->events[nid].rejected;
}

static size_t auth_of(void *ud, int64_t nid, const int64_t **ret)
{
    test_known *k = &((test_server *)ud)->events[nid];

    *ret = k->auth;
    return k->auth_n;
}

static const hs_event *view_get(void *ud, hs_str type, hs_str state_key)
{
    test_server *s = ud;
    int64_t nid = s->looking[test_slot(s, type, state_key)];

    return nid ? s->events[nid].ev : NULL;
}

int64_t test_number(test_server *s, hs_str id)
{
    for (size_t i = 1; i <= s->n; i++)
        if (hs_str_eq(s->events[i].ev->event_id, id))
            return (int64_t)i;
    return 0;
}

hs_resolver test_resolver(test_server *s)
{
    return (hs_resolver){ .rv = s->rv,
                          .event = event_of,
                          .rejected = is_rejected,
                          .auth = auth_of,
                          .slot = test_slot,
                          .create = test_number(s, HS_S("$create")),
                          .ud = s };
}

hs_state_set test_set(test_server *s, const int64_t *state)
{
    hs_state_entry *at;
    size_t n = 0;

    assert_null(hs_alloc(s->a, TEST_SLOTS_MAX, &at));
    for (size_t i = 1; i <= s->slots_n; i++)
        if (state[i])
            at[n++] = (hs_state_entry){ (int64_t)i, state[i] };
    return (hs_state_set){ at, n };
}

void test_resolve(test_server *s, const hs_state_set *sets, size_t n, int64_t ret[TEST_SLOTS_MAX])
{
    hs_resolver r = test_resolver(s);
    hs_state_set out;
    hs_error *err = hs_state_resolve(s->a, &r, sets, n, &out);

    if (err)
        fail_msg("%.*s", HS_FMT(err->cause ? err->cause->message : err->message));
    memset(ret, 0, TEST_SLOTS_MAX * sizeof *ret);
    for (size_t i = 0; i < out.n; i++) {
        assert_true(i == 0 || out.at[i - 1].slot < out.at[i].slot);
        ret[out.at[i].slot] = out.at[i].event;
    }
}

void test_state_before(test_server *s, const hs_event *ev, int64_t ret[TEST_SLOTS_MAX])
{
    hs_state_set sets[TEST_PREV_MAX];

    memset(ret, 0, TEST_SLOTS_MAX * sizeof *ret);
    for (size_t i = 0; i < ev->prev_n; i++)
        sets[i] = test_set(s, s->events[test_number(s, ev->prev[i])].state);
    if (ev->prev_n)
        test_resolve(s, sets, ev->prev_n, ret);
}

/* Which events authorise it, by a state. */
static size_t select_auth(test_server *s, const int64_t *state, const test_event_in *in, hs_jv content,
                          int64_t ret[HS_AUTH_TYPES_MAX])
{
    hs_state_key_pair want[HS_AUTH_TYPES_MAX];
    size_t n = hs_auth_types(s->rv, hs_str_c(in->type), hs_str_c(in->sender), hs_str_c(in->state_key),
                             in->state_key != NULL, content, want);
    size_t out = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t nid = state[test_slot(s, want[i].type, want[i].state_key)];
        if (nid)
            ret[out++] = nid;
    }
    return out;
}

/* Takes an event in: its state, whether the rules allow it there, the state after it. */
int64_t test_receive(test_server *s, const hs_event *ev)
{
    int64_t before[TEST_SLOTS_MAX];
    test_known *k = &s->events[s->n + 1];

    assert_true(s->n < TEST_EVENTS_MAX);
    test_state_before(s, ev, before);
    *k = (test_known){ .ev = ev };
    for (size_t i = 0; i < ev->auth_n; i++)
        k->auth[k->auth_n++] = test_number(s, ev->auth[i]);
    s->n++;

    s->looking = before;
    hs_state_view view = { .get = view_get, .ud = s, .create = s->events[test_number(s, HS_S("$create"))].ev };
    k->rejected = !hs_auth_check(ev, &view).ok;
    memcpy(k->state, before, sizeof before);
    if (ev->is_state && !k->rejected)
        k->state[test_slot(s, ev->type, ev->state_key)] = (int64_t)s->n;
    return (int64_t)s->n;
}

/* Makes an event on top of `prev`, as its sender's server would. */
const hs_event *test_make(test_server *s, const test_event_in *in, const int64_t *prev, size_t prev_n)
{
    hs_state_set sets[TEST_PREV_MAX];
    int64_t before[TEST_SLOTS_MAX] = { 0 }, auth[HS_AUTH_TYPES_MAX];
    const char *ids[HS_AUTH_TYPES_MAX + 1] = { NULL };
    test_event_in e = *in;

    for (size_t i = 0; i < prev_n; i++)
        sets[i] = test_set(s, s->events[prev[i]].state);
    if (prev_n)
        test_resolve(s, sets, prev_n, before);

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

test_server *test_server_open(hs_arena *a, const char *version)
{
    test_server *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->a = a;
    s->rv = hs_roomver_find(hs_str_c(version));
    return s;
}

#define MEMBER(who, user, m)                                                                                           \
    .type = "m.room.member", .sender = who, .state_key = user, .content = "{'membership':'" m "'}"
#define POWER(who, users)                                                                                              \
    .type = "m.room.power_levels", .sender = who, .state_key = "", .content = "{'users':{" users "}}"
#define MESSAGE(who) .type = "m.room.message", .sender = who
#define A100         "'@alice:x':100"

/* In version 12 the creator may not be in `users`, so alice is not her. */
static const test_step START[] = {
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

void test_play(test_server *s, const test_step *steps)
{
    for (; steps->in.id; steps++) {
        int64_t prev[TEST_PREV_MAX];
        size_t n = 0;
        for (; n < TEST_PREV_MAX && steps->prev[n]; n++) {
            prev[n] = test_number(s, hs_str_c(steps->prev[n]));
            assert_true(prev[n] > 0);
        }
        test_receive(s, test_make(s, &steps->in, prev, n));
    }
}

void test_play_start(test_server *s)
{
    for (size_t i = 0; i < sizeof START / sizeof *START; i++) {
        test_step one[2] = { START[i], { .in = { .id = NULL } } };
        test_play(s, one);
        assert_false(s->events[s->n].rejected);
    }
}

/* ── random histories ── */

unsigned test_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16 & 0x7fffu;
}

static const char *const USERS[] = { "@alice:x", "@bob:x", "@charlie:x", "@dora:y", "@eve:y" };
enum { USERS_N = 5 };

static const char *random_user(unsigned *seed)
{
    return USERS[test_random(seed) % USERS_N];
}

/* One of several texts; the macro counts them. */
static const char *any_of(unsigned *seed, const char *const *texts, size_t n)
{
    return texts[test_random(seed) % n];
}
#define ANY(seed, ...)                                                                                                 \
    any_of(seed, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* ── what an identity server says ── */

static hs_signing_key *identity_server(hs_arena *a)
{
    static const uint8_t SEED[32] = { 77 };
    hs_signing_key *key;

    assert_null(hs_signing_key_open(a, HS_S("0"), SEED, &key));
    return key;
}

static const char *third_party_keys(hs_arena *a, unsigned *seed)
{
    hs_str key, text;
    const char *c;

    assert_null(
        hs_base64_encode(a, hs_str_make((const char *)hs_signing_key_public(identity_server(a)), 32), false, &key));
    if (test_random(seed) % 4 == 0)
        key = HS_S("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_null(hs_str_fmt(a, &text,
                           test_random(seed) % 2 ? "{'public_key':'%.*s'}" : "{'public_keys':[{'public_key':'%.*s'}]}",
                           HS_FMT(key)));
    assert_null(hs_cstr(a, text, &c));
    return c;
}

static const char *third_party_invite(hs_arena *a, unsigned *seed, const char *user)
{
    hs_str what, sig, text;
    const char *c;

    assert_null(hs_str_fmt(a, &what, "{\"mxid\":\"%s\",\"token\":\"%s\"}", user, ANY(seed, "t1", "t2")));
    assert_null(hs_sign_json(a, what, HS_S("id.example"), identity_server(a), &sig));
    assert_null(hs_str_fmt(a, &text, "{'membership':'invite','third_party_invite':{'display_name':'d','signed':%.*s}}",
                           HS_FMT(sig)));
    assert_null(hs_cstr(a, text, &c));
    return c;
}

/* Now and then with strings for numbers, which versions before 10 take, and with defaults. */
static const char *random_power(hs_arena *a, unsigned *seed)
{
    unsigned v[10];
    hs_str text;
    const char *c;

    for (size_t i = 0; i < 10; i++)
        v[i] = test_random(seed) % 3 * 50;
    assert_null(
        hs_str_fmt(a, &text,
                   "{'ban':%u,'events':{'m.room.name':%u,'m.room.topic':%u}%s,'invite':%u,'kick':%s,"
                   "'notifications':{'room':%u}%s,'users':{'@alice:x':%u,'@bob:x':%u,'@charlie:x':%u,'@dora:y':%u}%s}",
                   v[0], v[1], v[2], ANY(seed, "", "", "", ",'events_default':10"), v[3],
                   ANY(seed, "50", "50", "0", "100", "' 50 '"), v[5], ANY(seed, "", "", "", ",'state_default':0"),
                   test_random(seed) % 4 ? 100 : 50, v[7], v[8], v[9], ANY(seed, "", "", "", ",'users_default':50")));
    assert_null(hs_cstr(a, text, &c));
    return c;
}

static test_event_in random_event(hs_arena *a, unsigned *seed, size_t i)
{
    test_event_in in = { .sender = random_user(seed), .state_key = "", .ts = (int64_t)(test_random(seed) % 4) + 1 };
    hs_str text;

    assert_null(hs_str_fmt(a, &text, "$%03u-%zu:x", test_random(seed) % 1000, i));
    assert_null(hs_cstr(a, text, &in.id));
    in.type = "m.room.member";
    switch (test_random(seed) % 12) {
    case 0:
    case 1:
        in.state_key = in.sender;
        in.content = ANY(seed, "{'membership':'join'}", "{'membership':'join'}", "{'membership':'join'}",
                         "{'membership':'leave'}", "{'membership':'leave'}", "{'membership':'knock'}",
                         "{'join_authorised_via_users_server':'@bob:x','membership':'join'}",
                         "{'join_authorised_via_users_server':'@alice:x','membership':'join'}",
                         "{'join_authorised_via_users_server':'@nobody:x','membership':'join'}");
        break;
    case 8:
        in.state_key = random_user(seed);
        in.content = third_party_invite(a, seed, test_random(seed) % 8 ? in.state_key : "@other:x");
        break;
    case 9:
        in.type = "m.room.third_party_invite";
        in.state_key = ANY(seed, "t1", "t2");
        in.content = third_party_keys(a, seed);
        break;
    case 10:
        in.state_key = in.sender;
        in.content = ANY(seed, "{'membership':'knock'}", "{'membership':'join'}", "{'membership':'leave'}");
        break;
    case 11:
        in.type = ANY(seed, "m.room.aliases", "m.room.redaction", "x.own");
        in.state_key = ANY(seed, "x", "y", "@bob:x");
        in.redacts = ANY(seed, "$any:x", "$any:y");
        if (!strcmp(in.type, "m.room.redaction"))
            in.state_key = NULL;
        break;
    case 2:
        in.state_key = random_user(seed);
        in.content = ANY(seed, "{'membership':'ban'}", "{'membership':'leave'}");
        break;
    case 3:
        in.state_key = random_user(seed);
        in.content = "{'membership':'invite'}";
        break;
    case 4:
        in.type = "m.room.power_levels";
        in.content = random_power(a, seed);
        break;
    case 5:
        in.type = "m.room.join_rules";
        in.content = ANY(seed, "{'join_rule':'public'}", "{'join_rule':'public'}", "{'join_rule':'invite'}",
                         "{'join_rule':'knock'}", "{'join_rule':'restricted'}", "{'join_rule':'knock_restricted'}");
        break;
    case 6:
        in.type = ANY(seed, "m.room.topic", "m.room.name");
        break;
    default:
        in.type = "m.room.message";
        in.state_key = NULL;
        break;
    }
    return in;
}

/* Forks often, merges now and then. */
void test_play_random(test_server *s, unsigned *seed, size_t events)
{
    for (size_t i = 0; i < events; i++) {
        int64_t prev[TEST_PREV_MAX];
        size_t n = 0, want = test_random(seed) % 3 ? 1 : 2 + test_random(seed) % 2;
        size_t span = s->n < 12 ? s->n - 6 : 12;
        while (n < want) {
            int64_t p = (int64_t)(s->n - test_random(seed) % span);
            bool twice = false;
            for (size_t k = 0; k < n; k++)
                twice = twice || prev[k] == p;
            if (twice)
                want--;
            else
                prev[n++] = p;
        }
        test_event_in in = random_event(s->a, seed, i);
        test_receive(s, test_make(s, &in, prev, n));
    }
}
