/* What the current state of a room in memory says, as events: one by one, and as a view for the auth rules. */
#include "server/cache.h"

hs_nid hs_room_state_nid(hs_server *srv, const hs_room *room, hs_str type, hs_str state_key)
{
    bool found;
    size_t i = hs_state_search(room->state, room->state_n, hs_slot(srv->slot_key, type, state_key), &found);

    return found ? room->state[i].event : 0;
}

hs_error *hs_room_state_get(hs_server *srv, hs_arena *a, hs_room *room, hs_str type, hs_str state_key, hs_stored **ret)
{
    hs_nid nid = hs_room_state_nid(srv, room, type, state_key);

    *ret = NULL;
    if (!nid)
        return NULL;
    HS_TRY(hs_events_load_as(srv, a, room->nid, room->rv, &nid, 1, ret));
    if (!*ret)
        return hs_err_internal(a, NULL, "state event %lld of room %lld is missing", (long long)nid,
                               (long long)room->nid);
    return NULL;
}

typedef struct {
    hs_state_key_pair key;
    const hs_event *event;
} view_entry;

typedef struct {
    hs_server *srv;
    const hs_room *room;
    view_entry *at;
    size_t n;
} view;

static const hs_event *view_get(void *ud, hs_str type, hs_str state_key)
{
    const view *v = ud;

    for (size_t i = 0; i < v->n; i++)
        if (hs_str_eq(v->at[i].key.type, type) && hs_str_eq(v->at[i].key.state_key, state_key))
            return v->at[i].event;
    hs_nid nid = hs_room_state_nid(v->srv, v->room, type, state_key);
    const hs_stored *s = nid ? hs_cache_event_get(v->srv->rooms, nid) : NULL;
    return s ? s->ev : NULL;
}

hs_error *hs_room_view(hs_server *srv, hs_arena *a, hs_room *room, const hs_state_key_pair *want, size_t n,
                       hs_state_view *ret)
{
    const hs_state_key_pair always[] = { { HS_S("m.room.create"), HS_S("") },
                                         { HS_S("m.room.power_levels"), HS_S("") },
                                         { HS_S("m.room.join_rules"), HS_S("") } };
    size_t total = n + sizeof always / sizeof *always, m = 0;
    hs_nid *nids;
    size_t *where;
    hs_stored **found;
    view *v;

    HS_TRY(hs_alloc(a, 1, &v));
    HS_TRY(hs_alloc(a, total, &v->at));
    HS_TRY(hs_alloc(a, total, &nids));
    HS_TRY(hs_alloc(a, total, &where));
    HS_TRY(hs_alloc(a, total, &found));
    v->srv = srv;
    v->room = room;
    v->n = total;
    for (size_t i = 0; i < total; i++) {
        v->at[i].key = i < n ? want[i] : always[i - n];
        hs_nid nid = hs_room_state_nid(srv, room, v->at[i].key.type, v->at[i].key.state_key);
        if (nid) {
            where[m] = i;
            nids[m++] = nid;
        }
    }
    HS_TRY(hs_events_load_as(srv, a, room->nid, room->rv, nids, m, found));
    for (size_t i = 0; i < m; i++) {
        if (!found[i])
            return hs_err_internal(a, NULL, "state event %lld of room %lld is missing", (long long)nids[i],
                                   (long long)room->nid);
        v->at[where[i]].event = found[i]->ev;
    }
    *ret = (hs_state_view){ .get = view_get, .ud = v, .create = v->at[n].event };
    return NULL;
}

hs_error *hs_room_membership(hs_server *srv, hs_arena *a, hs_room *room, hs_str user_id, hs_membership *ret)
{
    hs_stored *s;

    HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.member"), user_id, &s));
    *ret = s ? hs_membership_parse(hs_jv_str_or_null(hs_jv_get(s->ev->content, HS_S("membership")))) : HS_MEMBER_NONE;
    return NULL;
}
