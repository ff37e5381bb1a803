/* The inside of the room and event cache, shared by cache_room.c, cache_event.c and the writing of events. Everybody
 * else uses room.h. */
#ifndef HS_SERVER_CACHE_H
#define HS_SERVER_CACHE_H

#include "server/caches.h"
#include "server/event_persist.h"
#include "server/news.h"
#include "server/txns.h"

#define HS_PERSIST_HOOKS_MAX 8

struct hs_rooms {
    hs_server *srv;
    hs_map *events;    /* number → entry */
    hs_map *event_ids; /* event id → entry */
    hs_cache event_cache;
    uint64_t redactions; /* counts what has been told: a load that saw it move starts again */

    hs_map *rooms, *room_ids; /* number, id → hs_room */
    hs_map *loading;          /* number → who waits for a load under way */
    hs_cache room_cache;
    hs_timer trim; /* what was held while the caches were full has been let go */

    hs_metric *resets; /* memberships that changed without an event of their own */
    uint64_t resets_n;

    struct hs_txns *txns; /* txns.c: answers given lately */
    hs_persist_hook *hooks[HS_PERSIST_HOOKS_MAX];
    void *hook_ud[HS_PERSIST_HOOKS_MAX];
    size_t hooks_n;
};

/* Trims both caches in the next turn. */
void hs_cache_trim_soon(struct hs_rooms *c);

/* ── events ── */
HS_NODISCARD hs_error *hs_cache_events_open(struct hs_rooms *c);
void hs_cache_events_close(struct hs_rooms *c);
/* What is known of an event beside its bytes. */
typedef struct {
    hs_nid nid, room, sender;
    uint32_t flags;
    int64_t received_ts, slot;
    int32_t line, snap;
    hs_nid redacted_by;
} hs_stored_facts;
/* A stored event from canonical bytes, which are copied; not in the cache yet. One reference, the caller's. */
HS_NODISCARD hs_error *hs_stored_make(struct hs_rooms *c, hs_arena *a, const hs_roomver *rv,
                                      const hs_stored_facts *facts, hs_str json, hs_str event_id, hs_stored **ret);
/* What it costs to keep. */
size_t hs_stored_bytes(const hs_stored *s);
/* Puts it in; if its number is there already, that one is returned. No reference changes hands. */
hs_stored *hs_cache_event_put(struct hs_rooms *c, hs_stored *s);
/* Its row has changed: the next who asks reads it. Who holds it keeps what there was. */
void hs_cache_event_forget(struct hs_rooms *c, hs_nid nid);
hs_stored *hs_cache_event_get(struct hs_rooms *c, hs_nid nid);
hs_stored *hs_cache_event_named(struct hs_rooms *c, hs_str event_id); /* does not count as a use */
/* `target` is redacted by `by` from now on. */
void hs_cache_event_redact(struct hs_rooms *c, hs_nid target, hs_nid by);
/* Events of the room have been deleted. Looks at all that are there. */
void hs_cache_events_forget_room(struct hs_rooms *c, hs_nid room);
void hs_cache_events_trim(struct hs_rooms *c);

/* ── rooms ── */
/* hs_events_load for a room whose version is known. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_events_load_as(hs_server *srv, hs_arena *a, hs_nid room, const hs_roomver *rv,
                                                     const hs_nid *nids, size_t n, hs_stored **ret);
/* A room that is about to be written: in the cache by number at once, by id when its first unit is told. Held by `a`.
 */
HS_NODISCARD hs_error *hs_cache_room_new(hs_server *srv, hs_arena *a, hs_nid nid, const hs_roomver *rv, hs_room **ret);
HS_NODISCARD hs_error *hs_cache_room_name(hs_room *room, hs_str id);
/* The next who asks loads it anew. */
void hs_cache_room_drop(hs_server *srv, hs_room *room);
/* What the store has now: the same room, or another object when somebody else has moved it on. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_refresh(hs_server *srv, hs_arena *a, hs_room *room, hs_room **ret);
/* fanout's first listener: registered by hs_rooms_open, before anybody who looks at rooms. */
void hs_cache_told(void *ud, int64_t first, const hs_news *news);

/* ── arrays of a room (room_arrays.c) ── false: no memory, and the room is as it was or to be dropped. */
bool hs_room_reserve_state(hs_room *room, size_t n);
bool hs_room_set_state(hs_room *room, int64_t slot, hs_nid event); /* event 0: takes the slot away */
bool hs_room_set_local(hs_room *room, hs_nid user, bool joined);
bool hs_room_set_heads(hs_room *room, hs_stored *const *events, size_t n); /* takes a reference to each */
bool hs_room_append_recent(hs_room *room, int64_t pos, hs_stored *event, int32_t line, int32_t snap);
void hs_room_free_arrays(hs_room *room);

/* Position of the entry with the slot, or where it belongs; *found says which. */
size_t hs_state_search(const hs_state_entry *at, size_t n, int64_t slot, bool *found);

#endif
