/* hs/core.h: events that were read, the rules and state resolution, for embedders. */
#include <hs/core.h>

#include "core/auth.h"
#include "core/sign.h"
#include "core/stateres.h"

#include <assert.h>

/* The public structs are the ones inside under other names. */
static_assert(sizeof(hs_core_entry) == sizeof(hs_state_entry) &&
                  offsetof(hs_core_entry, event) == offsetof(hs_state_entry, event),
              "entries of states");
static_assert(sizeof(hs_core_state) == sizeof(hs_state_set) && offsetof(hs_core_state, n) == offsetof(hs_state_set, n),
              "states");
static_assert(sizeof(hs_core_key) == sizeof(hs_state_key_pair), "keys");
static_assert(HS_CORE_AUTH_MAX == HS_AUTH_TYPES_MAX, "size of the selection");

static hs_error *version_of(hs_arena *a, hs_str version, const hs_roomver **ret)
{
    *ret = hs_roomver_find(version);
    if (!*ret)
        return hs_err(a, 400, HS_M_UNSUPPORTED_ROOM_VERSION, "Room version %.*s is not known", HS_FMT(version));
    return NULL;
}

hs_error *hs_core_event_read(hs_arena *a, hs_str version, hs_str pdu, const hs_core_event **ret)
{
    const hs_roomver *rv;
    hs_event *e;
    hs_str copy;

    HS_TRY(version_of(a, version, &rv));
    HS_TRY(hs_str_dup(a, pdu, &copy));
    HS_TRY(hs_event_parse(a, rv, copy, &e));
    *ret = e;
    return NULL;
}

void hs_core_event_get(const hs_core_event *e, hs_core_event_info *ret)
{
    *ret = (hs_core_event_info){
        .event_id = e->event_id,
        .room_id = e->room_id,
        .type = e->type,
        .sender = e->sender,
        .state_key = e->is_state ? hs_str_make(e->state_key.p ? e->state_key.p : "", e->state_key.n) : (hs_str){ 0 },
        .redacts = e->redacts,
        .content = hs_jv_raw(e->content),
        .json = e->json,
        .depth = e->depth,
        .origin_server_ts = e->origin_ts,
        .prev_events = e->prev,
        .auth_events = e->auth,
        .prev_events_n = e->prev_n,
        .auth_events_n = e->auth_n,
    };
}

hs_error *hs_core_event_signatures_ok(hs_arena *a, const hs_core_event *e, hs_core_key_fn key, void *ud, bool *ret,
                                      hs_str *ret_server)
{
    const hs_key_view keys = { key, ud };

    return hs_event_signatures_ok(a, e, &keys, ret, ret_server);
}

hs_error *hs_core_event_build(hs_arena *a, hs_str version, const hs_core_draft *draft, hs_str server,
                              hs_str key_version, const uint8_t seed[32], const hs_core_event **ret)
{
    const hs_roomver *rv;
    hs_signing_key *key;
    hs_event *e;

    HS_TRY(version_of(a, version, &rv));
    HS_TRY(hs_signing_key_open(a, key_version, seed, &key));
    const hs_event_draft d = {
        .room_id = draft->room_id,
        .type = draft->type,
        .sender = draft->sender,
        .state_key = draft->state_key,
        .is_state = draft->state_key.p != NULL,
        .content = draft->content,
        .redacts = draft->redacts,
        .depth = draft->depth,
        .origin_ts = draft->origin_server_ts,
        .prev = draft->prev_events,
        .auth = draft->auth_events,
        .prev_n = draft->prev_events_n,
        .auth_n = draft->auth_events_n,
    };
    HS_TRY(hs_event_build(a, rv, &d, server, key, &e));
    *ret = e;
    return NULL;
}

void hs_core_public_key(const uint8_t seed[32], uint8_t ret[32])
{
    hs_public_key(seed, ret);
}

size_t hs_core_auth_selection(const hs_core_event *e, hs_core_key ret[HS_CORE_AUTH_MAX])
{
    hs_state_key_pair pairs[HS_AUTH_TYPES_MAX];
    size_t n = hs_auth_types(e->rv, e->type, e->sender, e->state_key, e->is_state, e->content, pairs);

    for (size_t i = 0; i < n; i++)
        ret[i] = (hs_core_key){ pairs[i].type, pairs[i].state_key };
    return n;
}

static hs_core_verdict shown(hs_verdict v)
{
    return (hs_core_verdict){ .ok = v.ok, .rule = v.rule };
}

hs_core_verdict hs_core_auth_check(const hs_core_event *e, hs_core_state_fn get, void *ud)
{
    const hs_state_view view = { .get = get, .ud = ud };

    return shown(hs_auth_check(e, &view));
}

hs_core_verdict hs_core_auth_events_check(const hs_core_event *e, const hs_core_event *const *auth,
                                          const bool *rejected, size_t n)
{
    return shown(hs_auth_check_auth_events(e, auth, rejected, n));
}

bool hs_core_redaction_ok(const hs_core_event *redaction, const hs_core_event *target, hs_core_state_fn get, void *ud)
{
    const hs_state_view view = { .get = get, .ud = ud, .create = get(ud, HS_S("m.room.create"), HS_S("")) };

    return hs_auth_redaction_ok(redaction->rv, &view, redaction, target);
}

hs_error *hs_core_resolve(hs_arena *a, hs_str version, const hs_core_room *room, const hs_core_state *states, size_t n,
                          hs_core_state *ret)
{
    const hs_roomver *rv;
    hs_state_set *sets, out;
    hs_core_entry *at;

    HS_TRY(version_of(a, version, &rv));
    const hs_resolver r = {
        .rv = rv,
        .event = room->event,
        .rejected = room->rejected,
        .auth = room->auth,
        .slot = room->key,
        .load = room->load,
        .create = room->create,
        .ud = room->ud,
        .max_conflicted = room->max_conflicted,
        .max_graph = room->max_graph,
    };
    HS_TRY(hs_alloc(a, n, &sets));
    for (size_t i = 0; i < n; i++) {
        hs_state_entry *copy;
        HS_TRY(hs_alloc(a, states[i].n, &copy));
        if (states[i].n)
            memcpy(copy, states[i].at, states[i].n * sizeof *copy);
        sets[i] = (hs_state_set){ copy, states[i].n };
    }
    HS_TRY(hs_state_resolve(a, &r, sets, n, &out));
    HS_TRY(hs_alloc(a, out.n, &at));
    if (out.n)
        memcpy(at, out.at, out.n * sizeof *at);
    *ret = (hs_core_state){ at, out.n };
    return NULL;
}
