/* A room in memory: its durable head, its current state, its recent timeline; and stored events.
 *
 * Everything here is durable: positions and state appear only after their flush (fanout applies them). Entries are
 * counted and bounded by an LRU with a byte budget; an arena that asked for one holds it until its reset. What is read
 * before a suspension may be stale after it. */
#ifndef HS_SERVER_ROOM_H
#define HS_SERVER_ROOM_H

#include "core/auth.h"
#include "core/stateres.h"
#include "server/context.h"
#include "store/state.h"

/* event.flags in the store, store-design §1. */
enum {
    HS_EV_OUTLIER = 1,
    HS_EV_REJECTED = 2,
    HS_EV_SOFT_FAILED = 4,
    HS_EV_REDACTED = 8,
    HS_EV_STUB = 16,
    HS_EV_PARTIAL = 32,
    HS_EV_CENSORED = 64,
};

enum { HS_REPLACED_NONE = -1 };

/* A stored event: immutable but for `flags`, `redacted_by` and what is found out about it in time. */
typedef struct hs_stored {
    uint32_t refs;
    uint32_t flags;
    hs_nid nid, room, sender;
    int64_t received_ts;
    int64_t slot;       /* state events; 0 otherwise */
    int32_t line, snap; /* state after it; line -1: outlier */
    hs_nid redacted_by; /* 0: not redacted, or not known to the cache */
    hs_nid replaced;    /* the state event before it; 0: not known yet, HS_REPLACED_NONE: there is none */
    bool tells_ttl;     /* its `unsigned` says how long it is sticky yet, where sticky events are served */
    bool unrelated;     /* nothing that is shown with it relates to it; kept true by the news (timeline_dress.c) */
    hs_event *ev;       /* of the redacted form when flags say so */
    hs_str client;      /* hs_client_event_head's bytes */
    hs_arena *arena;    /* owns ev and client */
} hs_stored;

typedef struct {
    int64_t pos;
    hs_stored *event; /* NULL: a marker */
    int32_t line, snap;
} hs_timeline_entry;

/* Whom a room without a name is named after: the first who came, one more than are shown, as one may be who asks.
 * Joined before invited; who is gone only where at most one is present. */
enum { HS_HEROES = 5 };
typedef struct {
    bool known;
    size_t present_n, gone_n;
    hs_nid present[HS_HEROES + 1], gone[HS_HEROES + 1];
} hs_heroes;

typedef struct hs_room {
    uint32_t refs;
    hs_nid nid;
    hs_str id;
    const hs_roomver *rv;
    bool is_new; /* not written yet */
    /* durable head */
    int64_t pos, depth;
    int32_t line, snap;
    hs_snap copied; /* what snapshot 0 of the line is a copy of; line -1: of nothing */
    hs_nids heads;
    hs_stored **head_events; /* the same, as events */
    size_t heads_cap;
    int64_t n_notify, n_high; /* running totals of the newest timeline row */
    hs_state_entry *state;    /* current state, sorted by slot */
    size_t state_n, state_cap;
    hs_nid create;         /* event */
    hs_nid *local_members; /* joined users of this server */
    size_t local_members_n, local_members_cap;
    int64_t joined, invited;
    uint64_t members_version; /* rises with each change of a membership */
    hs_heroes heroes;
    /* the newest timeline rows, oldest first, without a hole; complete when the room's first row is among them */
    hs_timeline_entry *recent;
    size_t recent_n, recent_cap;
    size_t recent_bytes; /* of the events in it */
    bool recent_complete;
    /* writing: see event_persist.c */
    hs_fiber_lock lock;  /* messages shared, state exclusive */
    hs_fiber_lock order; /* exclusive from choosing parents until the unit is queued */
    struct hs_room_pending *pending;
} hs_room;

HS_NODISCARD hs_error *hs_rooms_open(hs_server *srv, hs_arena *a);
void hs_rooms_close(hs_server *srv);

/* Keeps a room or an event in memory until the arena's reset. */
HS_NODISCARD hs_error *hs_room_hold(hs_server *srv, hs_arena *a, hs_room *room);
HS_NODISCARD hs_error *hs_stored_hold(hs_arena *a, hs_stored *event);
hs_stored *hs_stored_ref(hs_stored *event);
void hs_stored_unref(hs_stored *event); /* NULL is fine */

/* Finds a room by id or number; *ret NULL when this server does not know it. Held by `a`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_find(hs_server *srv, hs_arena *a, hs_str room_id, hs_room **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_load(hs_server *srv, hs_arena *a, hs_nid room, hs_room **ret);
/* The room if it is in memory and needs no suspension; not held. */
hs_room *hs_room_cached(hs_server *srv, hs_nid room);

/* Events by number, in the order asked; an unknown one is NULL in *ret. One round trip for all that are not cached.
 * Held by `a`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_events_load(hs_server *srv, hs_arena *a, hs_nid room, const hs_nid *nids,
                                                  size_t n, hs_stored **ret);
/* By event id; *ret NULL: unknown. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_event_find(hs_server *srv, hs_arena *a, hs_nid room, hs_str event_id,
                                                 hs_stored **ret);

/* Number of the event that holds (type, state_key) now; 0: none. Does not suspend. */
hs_nid hs_room_state_nid(hs_server *srv, const hs_room *room, hs_str type, hs_str state_key);
/* The event itself; *ret NULL: none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_state_get(hs_server *srv, hs_arena *a, hs_room *room, hs_str type,
                                                     hs_str state_key, hs_stored **ret);
/* Fills a view that the auth rules can ask without suspending: loads the named keys (and create, power levels, join
 * rules). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_view(hs_server *srv, hs_arena *a, hs_room *room,
                                                const hs_state_key_pair *want, size_t n, hs_state_view *ret);
/* Is this one of our users, and joined? */
bool hs_room_has_local(const hs_room *room, hs_nid user);
/* Current membership of anybody; does not need the database for a cached room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_membership(hs_server *srv, hs_arena *a, hs_room *room, hs_str user_id,
                                                      hs_membership *ret);

#endif
