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
    int64_t create; /* the room's create event */
    void *ud;
    size_t max_conflicted; /* 0: 200,000; more is an error */
} hs_resolver;

HS_NODISCARD hs_error *hs_state_resolve(hs_arena *a, const hs_resolver *r, const hs_state_set *sets, size_t n,
                                        hs_state_set *ret);

#endif
