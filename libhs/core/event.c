/* See event.h. Reading and checking; what a local event is made of is in event_draft.c. */
#include "core/event.h"

#include "core/canonical.h"
#include "core/ids.h"
#include "core/redact.h"
#include "core/sign.h"

#define MAX_EVENT       65536u /* bytes of canonical JSON; spec, "Size limits" */
#define MAX_FIELD       255u
#define MAX_PREV_EVENTS 20u /* spec, "Checks performed on receipt of a PDU" */
#define MAX_AUTH_EVENTS 10u
#define MAX_DEPTH       HS_JSON_INT_MAX /* in every version: a greater one broke what came after it (CVE-2025-30355) */

static hs_error *bad(hs_arena *a, const char *what)
{
    return hs_err(a, 400, HS_M_BAD_JSON, "Event: %s", what);
}

/* Integers past 2^53 are not integers to the strict reader, but the lenient versions have them. */
static bool read_i64(const hs_roomver *rv, hs_jv v, int64_t *ret)
{
    if (hs_jv_int(v, ret))
        return true;
    return !rv->strict_json && hs_jv_type_of(v) == HS_JV_REAL && hs_str_to_i64(hs_jv_raw(v), ret);
}

/* A list of event ids; in versions 1 and 2 each is the first of a pair [id, hashes]. */
static hs_error *read_refs(hs_arena *a, const hs_roomver *rv, hs_jv list, hs_str **ret, size_t *ret_n)
{
    hs_str *out;
    size_t n = 0;

    if (hs_jv_type_of(list) != HS_JV_ARR)
        return bad(a, "prev_events and auth_events must be arrays");
    HS_TRY(hs_alloc(a, hs_jv_count(list), &out));
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        hs_jv id = it.value;
        if (rv->event_id == HS_EVENT_ID_GIVEN) {
            hs_jv_iter pair = { 0 };
            if (hs_jv_type_of(id) != HS_JV_ARR || !hs_jv_next(id, &pair))
                return bad(a, "a reference must be a pair of event id and hashes");
            id = pair.value;
        }
        if (!hs_jv_str(id, &out[n]))
            return bad(a, "a reference must be an event id");
        n++;
    }
    *ret = out;
    *ret_n = n;
    return NULL;
}

/* The members of a PDU that the rules read; absent ones stay { NULL, 0 }. */
typedef struct {
    hs_jv auth_events, content, depth, event_id, sticky, origin_server_ts, prev_events, redacts, room_id, sender,
        state_key, type;
} members;

static members gather(hs_jv top)
{
    members m = { 0 };
    const struct {
        hs_str key;
        hs_jv *at;
    } wanted[] = {
        { HS_S_INIT("auth_events"), &m.auth_events },
        { HS_S_INIT("content"), &m.content },
        { HS_S_INIT("depth"), &m.depth },
        { HS_S_INIT("event_id"), &m.event_id },
        { HS_S_INIT("msc4354_sticky"), &m.sticky },
        { HS_S_INIT("origin_server_ts"), &m.origin_server_ts },
        { HS_S_INIT("prev_events"), &m.prev_events },
        { HS_S_INIT("redacts"), &m.redacts },
        { HS_S_INIT("room_id"), &m.room_id },
        { HS_S_INIT("sender"), &m.sender },
        { HS_S_INIT("state_key"), &m.state_key },
        { HS_S_INIT("type"), &m.type },
    };
    size_t from = 0;

    /* Canonical members come sorted, so both sides only go forward. */
    for (hs_jv_iter it = { 0 }; from < sizeof wanted / sizeof *wanted && hs_jv_next(top, &it);) {
        for (size_t i = from; i < sizeof wanted / sizeof *wanted; i++) {
            if (!hs_str_eq(wanted[i].key, it.key))
                continue;
            *wanted[i].at = it.value;
            from = i + 1;
            break;
        }
    }
    return m;
}

/* v12: the room is named by the hash of its create event. */
static hs_error *name_room(hs_arena *a, hs_event *e)
{
    if (!e->rv->room_id_is_hash || e->kind != HS_KIND_CREATE)
        return NULL;
    return hs_str_cat(a, &e->room_id, 2, HS_S("!"), hs_str_from(e->event_id, 1));
}

static hs_error *give_id(hs_arena *a, hs_event *e)
{
    uint8_t hash[32];
    hs_str text;

    if (!e->event_id.n) {
        if (e->rv->event_id == HS_EVENT_ID_GIVEN)
            return bad(a, "event_id is missing");
        HS_TRY(hs_event_reference_hash(a, e, hash));
        HS_TRY(hs_base64_encode(a, hs_str_make((const char *)hash, sizeof hash),
                                e->rv->event_id == HS_EVENT_ID_HASH_URLSAFE, &text));
        HS_TRY(hs_str_cat(a, &e->event_id, 2, HS_S("$"), text));
    }
    return name_room(a, e);
}

static const hs_str MEMBERSHIPS[] = {
    [HS_MEMBER_NONE] = HS_S_INIT(""),     [HS_MEMBER_INVITE] = HS_S_INIT("invite"),
    [HS_MEMBER_JOIN] = HS_S_INIT("join"), [HS_MEMBER_LEAVE] = HS_S_INIT("leave"),
    [HS_MEMBER_BAN] = HS_S_INIT("ban"),   [HS_MEMBER_KNOCK] = HS_S_INIT("knock"),
};

hs_membership hs_membership_parse(hs_str s)
{
    for (size_t i = HS_MEMBER_INVITE; i < sizeof MEMBERSHIPS / sizeof *MEMBERSHIPS; i++)
        if (hs_str_eq(s, MEMBERSHIPS[i]))
            return (hs_membership)i;
    return HS_MEMBER_NONE;
}

hs_str hs_membership_str(hs_membership m)
{
    return MEMBERSHIPS[m];
}

static hs_event_kind kind_of(const hs_event *e)
{
    if (hs_str_eq(e->type, HS_S("m.room.member")))
        return HS_KIND_MEMBER;
    if (!e->is_state || e->state_key.n)
        return HS_KIND_OTHER;
    if (hs_str_eq(e->type, HS_S("m.room.create")))
        return HS_KIND_CREATE;
    if (hs_str_eq(e->type, HS_S("m.room.power_levels")))
        return HS_KIND_POWER_LEVELS;
    return hs_str_eq(e->type, HS_S("m.room.join_rules")) ? HS_KIND_JOIN_RULES : HS_KIND_OTHER;
}

/* More bytes than a field may have, though not more characters, in a version that counts those. */
static bool is_oversized(const hs_event *e)
{
    const hs_str fields[] = { e->sender, e->room_id, e->state_key, e->type, e->event_id };

    if (e->rv->strict_field_bytes)
        return false;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].n > MAX_FIELD)
            return true;
    return false;
}

/* MSC4354: anything but a length of time is none. */
static int64_t sticky_ms(hs_jv sticky)
{
    int64_t ms;

    if (hs_jv_type_of(sticky) != HS_JV_OBJ || !hs_jv_int(hs_jv_get(sticky, HS_S("duration_ms")), &ms) || ms < 0)
        return -1;
    return ms < HS_STICKY_MAX_MS ? ms : HS_STICKY_MAX_MS;
}

/* Fills a struct from canonical bytes. Types are checked, values are not. */
static hs_error *fill(hs_arena *a, const hs_roomver *rv, hs_str json, hs_jv top, hs_event **ret)
{
    members m = gather(top);
    hs_event *e;

    HS_TRY(hs_alloc(a, 1, &e));
    *e = (hs_event){ .rv = rv, .json = json, .top = top, .content = m.content, .sticky = m.sticky, .sticky_ms = -1 };

    if (!hs_jv_str(m.type, &e->type))
        return bad(a, "type must be a string");
    if (!hs_jv_str(m.sender, &e->sender))
        return bad(a, "sender must be a string");
    if (hs_jv_type_of(m.content) != HS_JV_OBJ)
        return bad(a, "content must be an object");
    if (!read_i64(rv, m.depth, &e->depth))
        return bad(a, "depth must be an integer");
    if (!read_i64(rv, m.origin_server_ts, &e->origin_ts))
        return bad(a, "origin_server_ts must be an integer");
    if (hs_jv_is(m.room_id) && !hs_jv_str(m.room_id, &e->room_id))
        return bad(a, "room_id must be a string");
    if (hs_jv_is(m.state_key)) {
        if (!hs_jv_str(m.state_key, &e->state_key))
            return bad(a, "state_key must be a string");
        e->is_state = true;
    }
    if (rv->event_id == HS_EVENT_ID_GIVEN && !hs_jv_str(m.event_id, &e->event_id))
        return bad(a, "event_id must be a string");
    if (hs_str_eq(e->type, HS_S("m.room.redaction")))
        e->redacts = hs_jv_str_or_null(rv->redacts_in_content ? hs_jv_get(m.content, HS_S("redacts")) : m.redacts);
    HS_TRY(read_refs(a, rv, m.prev_events, &e->prev, &e->prev_n));
    HS_TRY(read_refs(a, rv, m.auth_events, &e->auth, &e->auth_n));
    if (hs_jv_is(m.sticky))
        e->sticky_ms = sticky_ms(m.sticky);
    e->oversized = is_oversized(e);
    e->kind = kind_of(e);
    if (e->kind == HS_KIND_MEMBER) {
        e->membership = hs_membership_parse(hs_jv_str_or_null(hs_jv_get(e->content, HS_S("membership"))));
        e->has_via = hs_jv_is(hs_jv_get(e->content, HS_S("join_authorised_via_users_server")));
    }

    *ret = e;
    return NULL;
}

hs_error *hs_event_read(hs_arena *a, const hs_roomver *rv, hs_str json, hs_str event_id, hs_event **ret)
{
    hs_event *e = NULL;
    hs_jv top;
    hs_error *err = hs_tape_parse(a, json, HS_JSON_OBJECT | HS_JSON_DEEP, &top);

    if (!err)
        err = fill(a, rv, json, top, &e);
    if (!err) {
        if (event_id.n)
            e->event_id = event_id;
        err = give_id(a, e);
    }
    if (err)
        return err == HS_ERR_NOMEM ? err : hs_err_internal(a, err, "stored event %.*s", HS_FMT(event_id));

    *ret = e;
    return NULL;
}

static size_t code_points(hs_str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0u) != 0x80u;
    return n;
}

static hs_error *check_length(hs_arena *a, const hs_roomver *rv, hs_str s, const char *name)
{
    if ((rv->strict_field_bytes ? s.n : code_points(s)) > MAX_FIELD)
        return hs_err(a, 413, HS_M_TOO_LARGE, "'%s' too large", name);
    return NULL;
}

/* Spec, "Size limits". The names in the messages are those that Synapse uses. */
static hs_error *check_sizes(hs_arena *a, const hs_event *e)
{
    HS_TRY(check_length(a, e->rv, e->sender, "user_id"));
    HS_TRY(check_length(a, e->rv, e->room_id, "room_id"));
    HS_TRY(check_length(a, e->rv, e->state_key, "state_key"));
    HS_TRY(check_length(a, e->rv, e->type, "type"));
    HS_TRY(check_length(a, e->rv, e->event_id, "event_id"));
    if (e->json.n > MAX_EVENT)
        return hs_err(a, 413, HS_M_TOO_LARGE, "event too large");
    return NULL;
}

static bool ids_ok(const hs_str *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hs_id id;
        if (ids[i].n > MAX_FIELD || !hs_event_id_parse(ids[i], &id))
            return false;
    }
    return true;
}

static hs_error *check_values(hs_arena *a, const hs_event *e)
{
    hs_id id;

    if (!hs_user_id_parse(e->sender, &id))
        return bad(a, "sender is not a user id");
    if (!hs_room_id_parse(e->room_id, &id))
        return bad(a, "room_id is not a room id");
    if (!hs_event_id_parse(e->event_id, &id))
        return bad(a, "event_id is not an event id");
    if (e->depth < 0 || e->depth > MAX_DEPTH)
        return bad(a, "depth is out of range");
    if (e->prev_n > MAX_PREV_EVENTS)
        return bad(a, "too many prev_events");
    if (e->auth_n > MAX_AUTH_EVENTS)
        return bad(a, "too many auth_events");
    if (!ids_ok(e->prev, e->prev_n) || !ids_ok(e->auth, e->auth_n))
        return bad(a, "a reference is not an event id");
    return NULL;
}

hs_error *hs_event_parse(hs_arena *a, const hs_roomver *rv, hs_str json, hs_event **ret)
{
    static const hs_str WITHOUT[] = { HS_S_INIT("unsigned"), HS_S_INIT("event_id") };
    unsigned flags = rv->strict_json ? HS_JSON_CANONICAL : HS_JSON_DUP_KEYS_LAST;
    hs_event *e;
    hs_str canonical;
    hs_jv top;

    HS_TRY(hs_tape_parse(a, json, flags | HS_JSON_OBJECT | HS_JSON_DEEP, &top));
    HS_TRY(hs_canonical(a, top, WITHOUT, rv->event_id == HS_EVENT_ID_GIVEN ? 1 : 2, &canonical));
    if (canonical.n > MAX_EVENT)
        return hs_err(a, 413, HS_M_TOO_LARGE, "event too large");
    HS_TRY(hs_tape_parse(a, canonical, HS_JSON_OBJECT | HS_JSON_DEEP, &top));
    HS_TRY(fill(a, rv, canonical, top, &e));
    HS_TRY(give_id(a, e));
    HS_TRY(check_sizes(a, e));
    HS_TRY(check_values(a, e));

    *ret = e;
    return NULL;
}

/* ── hashes ── */

hs_error *hs_event_content_hash(hs_arena *a, const hs_event *e, uint8_t ret[32])
{
    char *p;
    size_t n = 0;
    char first = '{';

    HS_TRY(hs_alloc(a, e->json.n + 2, &p));
    for (hs_jv_iter it = { 0 }; hs_jv_next(e->top, &it);) {
        if (hs_str_eq(it.key, HS_S("hashes")) || hs_str_eq(it.key, HS_S("signatures")))
            continue;
        hs_str value = hs_jv_raw(it.value);
        p[n++] = first;
        first = ',';
        memcpy(p + n, it.raw_key.p, it.raw_key.n);
        n += it.raw_key.n;
        p[n++] = ':';
        memcpy(p + n, value.p, value.n);
        n += value.n;
    }
    if (first == '{')
        p[n++] = '{';
    p[n++] = '}';
    hs_sha256(hs_str_make(p, n), ret);
    return NULL;
}

hs_error *hs_event_reference_hash(hs_arena *a, const hs_event *e, uint8_t ret[32])
{
    hs_redact_out o = { 0 };

    HS_TRY(hs_alloc(a, e->json.n + HS_REDACT_SLACK, &o.p));
    hs_redact_write(&o, e->rv, e->top, HS_REDACT_FOR_HASH);
    hs_sha256(hs_str_make(o.p, o.n), ret);
    return NULL;
}

hs_error *hs_event_hash_ok(hs_arena *a, const hs_event *e, bool *ret)
{
    hs_str said = hs_jv_str_or_null(hs_jv_path(e->top, "hashes", "sha256", NULL));
    uint8_t is[32];
    hs_str bytes;
    bool ok = false;

    if (!said.p) {
        *ret = false;
        return NULL;
    }
    HS_TRY(hs_base64_decode(a, said, false, &bytes, &ok));
    if (ok && bytes.n == sizeof is) {
        HS_TRY(hs_event_content_hash(a, e, is));
        ok = memcmp(bytes.p, is, sizeof is) == 0;
    } else {
        ok = false;
    }
    *ret = ok;
    return NULL;
}
