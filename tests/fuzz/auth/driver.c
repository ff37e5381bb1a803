/* Hostile sets of events: the first byte is the room version ('1' to '9', 'a' to 'c'), then PDUs, one a line. The last
 * is judged, the ones before it are the room. Whatever they are, the rules ask for nothing that the auth events
 * selection does not name, and the same question has the same answer. */
#include "core/auth.h"

#include "fuzz/fuzz.h"

enum { MAX_EVENTS = 12 };

typedef struct {
    hs_event *events[MAX_EVENTS];
    size_t n;
    const hs_event *judged;
    hs_state_key_pair named[HS_AUTH_TYPES_MAX];
    size_t named_n;
    bool only_named; /* the state holds nothing else */
} room;

static bool is_named(const room *r, hs_str type, hs_str state_key)
{
    for (size_t i = 0; i < r->named_n; i++)
        if (hs_str_eq(r->named[i].type, type) && hs_str_eq(r->named[i].state_key, state_key))
            return true;
    return false;
}

static const hs_event *get(void *ud, hs_str type, hs_str state_key)
{
    const room *r = ud;
    bool create = hs_str_eq(type, HS_S("m.room.create")) && !state_key.n;

    must(create || is_named(r, type, state_key));
    for (size_t i = 0; i < r->n; i++)
        if (r->events[i]->is_state && hs_str_eq(r->events[i]->type, type) &&
            hs_str_eq(r->events[i]->state_key, state_key))
            return r->events[i];
    return NULL;
}

static void judge(room *r)
{
    const hs_event *e = r->judged;
    bool rejected[MAX_EVENTS] = { false };

    r->named_n = hs_auth_types(e->rv, e->type, e->sender, e->state_key, e->is_state, e->content, r->named);
    must(r->named_n <= HS_AUTH_TYPES_MAX);
    hs_state_view view = { .get = get, .ud = r };
    hs_verdict v = hs_auth_check(e, &view), again = hs_auth_check(e, &view);
    must(v.rule && v.ok == again.ok && v.rule == again.rule);
    view.create = hs_str_eq(e->type, HS_S("m.room.create")) ? NULL : get(r, HS_S("m.room.create"), HS_S(""));
    again = hs_auth_check(e, &view);
    must(v.ok == again.ok && v.rule == again.rule);

    const hs_event *const *list = (const hs_event *const *)r->events;
    v = hs_auth_check_auth_events(e, list, NULL, r->n);
    again = hs_auth_check_auth_events(e, list, rejected, r->n);
    must(v.rule && v.ok == again.ok);
    if (v.ok && e->kind != HS_KIND_CREATE)
        for (size_t i = 0; i < r->n; i++)
            must(is_named(r, r->events[i]->type, r->events[i]->state_key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char VERSIONS[] = "123456789abc";
    const char *at = n ? strchr(VERSIONS, data[0]) : NULL;
    room r = { .n = 0 };

    if (!at || !*at)
        return 0;
    hs_arena *a = fresh_arena();
    hs_str rest = exactly(a, data + 1, n - 1);
    while (rest.p && r.n < MAX_EVENTS) {
        hs_event *e;
        if (hs_event_parse(a, hs_roomver_all()[at - VERSIONS], hs_str_split(&rest, '\n'), &e))
            continue;
        if (e->kind == HS_KIND_CREATE && e->rv->room_id_is_hash)
            e->room_id = HS_S("!r:x"); /* no fuzzer finds a hash */
        r.events[r.n++] = e;
    }
    /* Each event over the others, the last one first. */
    for (size_t i = r.n; i-- > 0;) {
        r.judged = r.events[i];
        judge(&r);
    }
    return 0;
}
