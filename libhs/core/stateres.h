/* State resolution on sorted arrays of integers. Pure; events by callback. Spec: Rooms, "State resolution". */
#ifndef HS_CORE_STATERES_H
#define HS_CORE_STATERES_H

#include "core/auth.h"

/* One entry of a state: slot is store-design's keyed hash of (type, state_key) with the kind in the top bits. */
typedef struct {
    int64_t slot;
    int64_t event; /* event_nid */
} hs_state_entry;

typedef struct {
    const hs_state_entry *at; /* sorted by slot */
    size_t n;
} hs_state_set;

typedef struct {
    const hs_roomver *rv;
    /* All suspend-free: whatever may be asked for (the sets' events and their auth chains) is loaded before. */
    const hs_event *(*event)(void *ud, int64_t nid); /* NULL: unknown, an internal error */
    bool (*rejected)(void *ud, int64_t nid);
    /* The event's auth events as numbers. */
    size_t (*auth)(void *ud, int64_t nid, const int64_t **ret);
    int64_t (*slot)(void *ud, hs_str type, hs_str state_key);
    /* May be NULL. Told in bulk, and each number once, which events the two callbacks above will be asked for next: for
     * callers that keep events elsewhere. It may suspend. */
    HS_SUSPENDS hs_error *(*load)(void *ud, const int64_t *nids, size_t n);
    int64_t create; /* the room's create event */
    void *ud;
    /* What a hostile room may cost. Past a limit the resolution is an error that says so; it never gives a wrong state.
     */
    size_t max_conflicted; /* events to be checked; 0: 200,000 */
    size_t max_graph;      /* events that the walks meet in the auth graph; 0: 2,000,000 */
} hs_resolver;

HS_NODISCARD hs_error *hs_state_resolve(hs_arena *a, const hs_resolver *r, const hs_state_set *sets, size_t n,
                                        hs_state_set *ret);

#endif
