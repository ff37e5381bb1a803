/* State resolution on hostile graphs. The first byte is the room version ('1' to '9', 'a' to 'c'), then seven bytes an
 * event: what it is, who sends it, whom it is about, three auth events (any event, so also itself, a later one or none
 * that there is), and in which of three states it is. Whatever the graph is, the result does not depend on the order of
 * the states, on how events and slots are numbered, or on one state being given twice; and what all states agree on
 * stays. */
#include "core/stateres.h"

#include "fuzz/fuzz.h"

enum { MAX_EVENTS = 40, SETS = 3, SLOTS = 64, AUTH = 3, RECORD = 7 };

typedef struct {
    hs_event ev;
    size_t slot; /* 1 … SLOTS - 1; 0: no state event */
    size_t auth[AUTH];
    uint8_t sets;
    bool rejected;
} known;

typedef struct {
    const hs_roomver *rv;
    known events[MAX_EVENTS];
    size_t n;
    size_t state[SETS][SLOTS]; /* slot → index + 1 */
    bool mirrored;             /* numbers run the other way */
    int64_t auth[AUTH];        /* of the last answer */
} world;

static const char *const USERS[] = { "@a:x", "@b:x", "@c:y", "@d:y" };
static const char *const KINDS[] = { "m.room.create", "m.room.power_levels", "m.room.join_rules",
                                     "m.room.topic",  "m.room.member",       "m.room.message" };
static const char *const CONTENTS[][4] = {
    { "{\"creator\":\"@a:x\"}", "{\"creator\":\"@a:x\",\"m.federate\":false}", "{}",
      "{\"additional_creators\":[\"@b:x\"]}" },
    { "{\"users\":{\"@b:x\":100}}", "{\"users\":{\"@b:x\":50,\"@c:y\":50}}", "{\"ban\":0,\"users_default\":50}", "{}" },
    { "{\"join_rule\":\"public\"}", "{\"join_rule\":\"invite\"}", "{\"join_rule\":\"knock\"}",
      "{\"join_rule\":\"restricted\"}" },
    { "{}", "{\"topic\":\"t\"}", "{}", "{}" },
    { "{\"membership\":\"join\"}", "{\"membership\":\"ban\"}", "{\"membership\":\"leave\"}",
      "{\"membership\":\"invite\"}" },
    { "{}", "{}", "{}", "{}" },
};

static int64_t number(const world *w, size_t i) /* of an index + 1 */
{
    return w->mirrored ? (int64_t)(MAX_EVENTS + 5 - i) : (int64_t)i;
}

static size_t index_of(const world *w, int64_t nid)
{
    return w->mirrored ? (size_t)(MAX_EVENTS + 5 - nid) : (size_t)nid;
}

static const hs_event *event_of(void *ud, int64_t nid)
{
    const world *w = ud;
    size_t i = index_of(w, nid);

    return i >= 1 && i <= w->n ? &w->events[i - 1].ev : NULL;
}

static bool is_rejected(void *ud, int64_t nid)
{
    const world *w = ud;
    size_t i = index_of(w, nid);

    return i >= 1 && i <= w->n && w->events[i - 1].rejected;
}

static size_t auth_of(void *ud, int64_t nid, const int64_t **ret)
{
    world *w = ud;
    size_t i = index_of(w, nid), n = 0;

    if (i < 1 || i > w->n)
        return 0;
    for (size_t k = 0; k < AUTH; k++)
        if (w->events[i - 1].auth[k])
            w->auth[n++] = number(w, w->events[i - 1].auth[k]);
    *ret = w->auth;
    return n;
}

static size_t plain_slot(hs_str type, hs_str state_key)
{
    for (size_t k = 0; k < 6; k++)
        for (size_t u = 0; u < 5; u++)
            if (hs_str_eq(type, hs_str_c(KINDS[k])) && hs_str_eq(state_key, u < 4 ? hs_str_c(USERS[u]) : HS_S("")))
                return 1 + k * 5 + u;
    return SLOTS - 1;
}

static int64_t slot_of(void *ud, hs_str type, hs_str state_key)
{
    const world *w = ud;
    size_t slot = plain_slot(type, state_key);

    return w->mirrored ? (int64_t)(SLOTS - slot) : (int64_t)slot;
}

static void read_event(hs_arena *a, world *w, const uint8_t *p)
{
    known *k = &w->events[w->n++];
    size_t kind = p[0] % 6;
    bool member = kind == 4, state = kind != 5;
    hs_str json, key = member ? hs_str_c(USERS[p[2] % 4]) : HS_S("");
    hs_event *e = NULL;
    char id[8] = "$e00";

    id[2] = (char)('0' + p[6] % 10);
    id[3] = (char)('!' + w->n);
    must(!hs_str_fmt(a, &json,
                     "{\"auth_events\":[],\"content\":%s,\"depth\":%u,%s\"origin_server_ts\":%u,\"prev_events\":[],"
                     "\"room_id\":\"!r:x\",\"sender\":\"%s\",\"signatures\":{\"x\":{}},%s%.*s%s\"type\":\"%s\"}",
                     CONTENTS[kind][p[0] / 6 % 4], p[6] % 8,
                     w->rv->event_id == HS_EVENT_ID_GIVEN ? "\"event_id\":\"$e:x\"," : "", p[5] % 8, USERS[p[1] % 4],
                     state ? "\"state_key\":\"" : "", HS_FMT(key), state ? "\"," : "", KINDS[kind]));
    hs_str name;
    must(!hs_str_dup(a, hs_str_c(id), &name) && !hs_event_read(a, w->rv, json, name, &e));
    e->room_id = HS_S("!r:x");
    k->ev = *e;
    k->slot = state ? plain_slot(e->type, e->state_key) : 0;
    for (size_t i = 0; i < AUTH; i++)
        k->auth[i] = p[3 + i] % (MAX_EVENTS + 4);
    k->sets = p[6] >> 4 & 7;
    k->rejected = p[2] >= 0xf0;
    for (size_t s = 0; s < SETS && k->slot; s++)
        if (k->sets & 1u << s)
            w->state[s][k->slot] = w->n;
}

/* The states in the order given; the result as indexes by slot. */
static bool resolve(hs_arena *a, world *w, const size_t *order, size_t n, size_t ret[SLOTS])
{
    hs_state_entry at[4][SLOTS];
    hs_state_set sets[4], out;
    hs_resolver r = { .rv = w->rv,
                      .event = event_of,
                      .rejected = is_rejected,
                      .auth = auth_of,
                      .slot = slot_of,
                      .create = number(w, 1),
                      .ud = w };

    for (size_t s = 0; s < n; s++) {
        sets[s] = (hs_state_set){ at[s], 0 };
        for (size_t i = 1; i < SLOTS; i++) {
            size_t slot = w->mirrored ? SLOTS - i : i;
            if (w->state[order[s]][slot])
                at[s][sets[s].n++] = (hs_state_entry){ (int64_t)i, number(w, w->state[order[s]][slot]) };
        }
    }
    if (hs_state_resolve(a, &r, sets, n, &out))
        return false;
    memset(ret, 0, SLOTS * sizeof *ret);
    for (size_t i = 0; i < out.n; i++) {
        must(i == 0 || out.at[i - 1].slot < out.at[i].slot);
        size_t slot = (size_t)(w->mirrored ? SLOTS - out.at[i].slot : out.at[i].slot);
        ret[slot] = index_of(w, out.at[i].event);
        must(ret[slot] >= 1 && ret[slot] <= w->n && w->events[ret[slot] - 1].slot == slot);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char VERSIONS[] = "123456789abc";
    static const size_t ORDERS[][4] = { { 0, 1, 2 }, { 2, 0, 1 }, { 1, 2, 0, 2 }, { 0, 1, 2 } };
    const char *at = n ? strchr(VERSIONS, data[0]) : NULL;
    world w = { .n = 0 };
    size_t first[SLOTS], other[SLOTS];

    if (!at || !*at)
        return 0;
    hs_arena *a = fresh_arena();
    w.rv = hs_roomver_all()[at - VERSIONS];
    for (size_t i = 1; i + RECORD <= n && w.n < MAX_EVENTS; i += RECORD)
        read_event(a, &w, data + i);
    if (!w.n || w.events[0].ev.kind != HS_KIND_CREATE)
        return 0;
    bool ok = resolve(a, &w, ORDERS[0], 3, first);
    for (size_t k = 1; k < 4; k++) {
        w.mirrored = k == 3;
        must(resolve(a, &w, ORDERS[k], k == 2 ? 4 : 3, other) == ok);
        must(!ok || !memcmp(first, other, sizeof first));
    }
    for (size_t i = 1; i < SLOTS && ok; i++)
        if (w.state[0][i] && w.state[0][i] == w.state[1][i] && w.state[0][i] == w.state[2][i])
            must(first[i] == w.state[0][i]);
    return 0;
}
