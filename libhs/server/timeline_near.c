/* The event that was sent closest to a moment ("jump to date"). Spec: Client-Server API, "Getting events for a room",
 * timestamp_to_event. */
#include "server/timeline.h"

#include "server/room_state.h"
#include "store/events.h"

/* How far what may not be seen is passed over: some 8,000 events. */
enum { FIRST_BATCH = 8, BATCH = 800, ROUNDS = 12 };

static hs_error *first_visible(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room,
                               const hs_event_time *at, size_t n, hs_stored **ret)
{
    hs_nid *nids;
    hs_stored **events;
    hs_membership *memberships;
    bool *visible;
    size_t known = 0;

    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &events));
    HS_TRY(hs_alloc(a, n, &visible));
    HS_TRY(hs_alloc(a, n, &memberships));
    for (size_t i = 0; i < n; i++)
        nids[i] = at[i].event;
    HS_TRY(hs_events_load(srv, a, room->nid, nids, n, events));
    for (size_t i = 0; i < n; i++) {
        if (events[i])
            events[known++] = events[i];
    }
    memset(visible, true, n);
    if (who)
        HS_TRY(hs_timeline_visible(srv, a, room, who, HS_SEES_NOW_ONLY, events, known, visible, memberships));
    *ret = NULL;
    for (size_t i = 0; i < known && !*ret; i++) {
        if (visible[i])
            *ret = events[i];
    }
    return NULL;
}

hs_error *hs_timeline_nearest(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room, int64_t ts,
                              bool forwards, hs_stored **ret)
{
    int64_t edge = forwards ? INT64_MIN : INT64_MAX;
    hs_event_time from = { ts, edge, edge }, *batch;
    hs_stored *found = NULL;
    int32_t limit = FIRST_BATCH;

    HS_TRY(hs_alloc(a, BATCH, &batch));
    for (int round = 0; round < ROUNDS && !found; round++) {
        size_t n;

        HS_TRY(hs_store_events_near(srv->db, a, room->nid, forwards, from, limit, batch, &n));
        if (n)
            HS_TRY(first_visible(srv, who, a, room, batch, n, &found));
        if ((int32_t)n < limit)
            break;
        from = batch[n - 1];
        limit = BATCH;
    }
    if (!found)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unable to find event from %lld in direction Direction.%s", (long long)ts,
                      forwards ? "FORWARDS" : "BACKWARDS");
    *ret = found;
    return NULL;
}

hs_error *hs_timeline_at(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, int64_t ts, bool forwards,
                         hs_stored **ret)
{
    hs_room_access access;

    HS_TRY(hs_room_access_check(srv, who, a, room_id, &access));
    return hs_timeline_nearest(srv, who, a, access.room, ts, forwards, ret);
}
