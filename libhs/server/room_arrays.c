/* The arrays of a room in memory, on the heap: state, local members, heads, recent timeline. */
#include "server/cache.h"

#include "base/checked.h"

#include <stdlib.h>

#define RECENT_MAX  120
#define RECENT_KEEP 50 /* this many stay when there are too many */

static bool grow(void **at, size_t size, size_t n, size_t *cap)
{
    if (n <= *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 8, bytes;
    if (want < n)
        want = n;
    if (!hs_mul_size(want, size, &bytes))
        return false;
    void *p = realloc(*at, bytes);
    if (!p)
        return false;
    *at = p;
    *cap = want;
    return true;
}

size_t hs_state_search(const hs_state_entry *at, size_t n, int64_t slot, bool *found)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (at[mid].slot < slot)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < n && at[low].slot == slot;
    return low;
}

bool hs_room_reserve_state(hs_room *room, size_t n)
{
    return grow((void **)(void *)&room->state, sizeof *room->state, n, &room->state_cap);
}

bool hs_room_set_state(hs_room *room, int64_t slot, hs_nid event)
{
    bool found;
    size_t i = hs_state_search(room->state, room->state_n, slot, &found);

    if (found && event > 0) {
        room->state[i].event = event;
    } else if (found) {
        room->state_n--;
        memmove(room->state + i, room->state + i + 1, (room->state_n - i) * sizeof *room->state);
    } else if (event > 0) {
        if (!hs_room_reserve_state(room, room->state_n + 1))
            return false;
        memmove(room->state + i + 1, room->state + i, (room->state_n - i) * sizeof *room->state);
        room->state[i] = (hs_state_entry){ .slot = slot, .event = event };
        room->state_n++;
    }
    return true;
}

static size_t member_search(const hs_room *room, hs_nid user, bool *found)
{
    size_t low = 0, high = room->local_members_n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (room->local_members[mid] < user)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < room->local_members_n && room->local_members[low] == user;
    return low;
}

bool hs_room_has_local(const hs_room *room, hs_nid user)
{
    bool found;

    (void)member_search(room, user, &found);
    return found;
}

bool hs_room_set_local(hs_room *room, hs_nid user, bool joined)
{
    bool found;
    size_t i = member_search(room, user, &found);

    if (found == joined)
        return true;
    if (!joined) {
        room->local_members_n--;
        memmove(room->local_members + i, room->local_members + i + 1,
                (room->local_members_n - i) * sizeof *room->local_members);
        return true;
    }
    if (!grow((void **)(void *)&room->local_members, sizeof *room->local_members, room->local_members_n + 1,
              &room->local_members_cap))
        return false;
    memmove(room->local_members + i + 1, room->local_members + i,
            (room->local_members_n - i) * sizeof *room->local_members);
    room->local_members[i] = user;
    room->local_members_n++;
    return true;
}

bool hs_room_set_heads(hs_room *room, hs_stored *const *events, size_t n)
{
    size_t cap = room->heads_cap;
    hs_nid *nids = (hs_nid *)(uintptr_t)room->heads.at;

    if (n > cap) {
        nids = malloc(n * sizeof *nids);
        hs_stored **evs = malloc(n * sizeof(hs_stored *));
        if (!nids || !evs) {
            free(nids);
            free(evs);
            return false;
        }
        for (size_t i = 0; i < n; i++)
            evs[i] = hs_stored_ref(events[i]);
        for (size_t i = 0; i < room->heads.n; i++)
            hs_stored_unref(room->head_events[i]);
        free((void *)(uintptr_t)room->heads.at);
        free(room->head_events);
        room->head_events = evs;
        room->heads_cap = n;
    } else {
        for (size_t i = 0; i < n; i++)
            hs_stored_ref(events[i]);
        for (size_t i = 0; i < room->heads.n; i++)
            hs_stored_unref(room->head_events[i]);
        memmove(room->head_events, events, n * sizeof *events);
    }
    for (size_t i = 0; i < n; i++)
        nids[i] = room->head_events[i]->nid;
    room->heads = (hs_nids){ .at = nids, .n = n };
    return true;
}

static size_t event_bytes(const hs_stored *ev)
{
    return ev ? hs_stored_bytes(ev) : 0;
}

bool hs_room_append_recent(hs_room *room, int64_t pos, hs_stored *ev, int32_t line, int32_t snap)
{
    if (room->recent_n >= RECENT_MAX) {
        size_t gone = room->recent_n - RECENT_KEEP;
        for (size_t i = 0; i < gone; i++) {
            size_t bytes = event_bytes(room->recent[i].event); /* a redaction may have added to them */
            room->recent_bytes -= bytes < room->recent_bytes ? bytes : room->recent_bytes;
            hs_stored_unref(room->recent[i].event);
        }
        memmove(room->recent, room->recent + gone, RECENT_KEEP * sizeof *room->recent);
        room->recent_n = RECENT_KEEP;
        room->recent_complete = false;
    }
    room->recent_bytes += event_bytes(ev);
    if (!grow((void **)(void *)&room->recent, sizeof *room->recent, room->recent_n + 1, &room->recent_cap))
        return false;
    room->recent[room->recent_n++] =
        (hs_timeline_entry){ .pos = pos, .event = ev ? hs_stored_ref(ev) : NULL, .line = line, .snap = snap };
    return true;
}

void hs_room_free_arrays(hs_room *room)
{
    for (size_t i = 0; i < room->recent_n; i++)
        hs_stored_unref(room->recent[i].event);
    for (size_t i = 0; i < room->heads.n; i++)
        hs_stored_unref(room->head_events[i]);
    free(room->recent);
    free(room->head_events);
    free((void *)(uintptr_t)room->heads.at);
    free(room->state);
    free(room->local_members);
}
