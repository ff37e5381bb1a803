/* Who waits for news, and what the process remembers of recent news so that a /sync can be answered without the
 * database.
 *
 * A waiter hangs on its user. News about a room touches the waiters of the room's local members only. Loop thread only.
 */
#ifndef HS_SERVER_SYNC_WAIT_H
#define HS_SERVER_SYNC_WAIT_H

#include "server/caches.h"
#include "server/news.h"

/* Registers itself with fanout: after the room cache. */
HS_NODISCARD hs_error *hs_waiters_open(hs_server *srv, hs_arena *a);
void hs_waiters_close(hs_server *srv);

/* ── waiting ── */
enum { HS_WAITER_ROOMS = 4, HS_WAITER_PRESENCE = 8 };

/* Belongs to the caller and stays where it is until fn ran or hs_wait_stop. What came is collected until the stop, even
 * after fn: between the wake and the answer there may be more. */
typedef struct hs_waiter {
    struct hs_waiter *next, **prevp;
    void (*fn)(struct hs_waiter *w); /* once: news came, or the time is over */
    void *ud;
    hs_server *srv;
    hs_nid user;
    hs_str device_id; /* set by the caller, and lives as long: whose messages wake it */
    hs_timer timer;
    hs_nid rooms[HS_WAITER_ROOMS]; /* where it came from … */
    uint8_t rooms_n;
    hs_nid presence[HS_WAITER_PRESENCE]; /* users who share a room and whose presence has changed … */
    uint8_t presence_n;
    bool presence_more; /* … more than fit */
    bool all; /* … or anywhere: more rooms than fit, or the user's own news; neither: a message for the device */
    bool woken, timed_out;
} hs_waiter;

HS_NODISCARD hs_error *hs_wait_start(hs_server *srv, hs_waiter *w, hs_nid user, int64_t timeout_ms);
void hs_wait_stop(hs_waiter *w);

/* Wakes those who wait for a user's own news, or for a room's ephemeral news (typing). */
void hs_waiters_wake_user(hs_server *srv, hs_nid user);
void hs_waiters_wake_room(hs_server *srv, hs_nid room);
/* The presence of `whom` has changed, whom `user` may see. */
void hs_waiters_tell_presence(hs_server *srv, hs_nid user, hs_nid whom);
/* Does a device of the user wait here? By the hash of its id, hs_presence_device. */
bool hs_waits_here(const hs_server *srv, hs_nid user, uint64_t device);
size_t hs_waiters_count(const hs_server *srv);

/* ── what is remembered of a user ── */
typedef struct {
    hs_nid room, event, sender; /* event: the member event */
    int64_t pos;
    hs_membership membership;
    int32_t flags; /* HS_USER_ROOM_* */
} hs_su_room;

typedef struct {
    hs_lru_link lru;
    size_t bytes;
    hs_nid user;
    uint32_t refs; /* who reads it over a suspension */
    bool loaded;
    uint32_t version; /* changes with rooms */
    int64_t floor;    /* positions above it are known to the fields below */
    int64_t account_pos, rooms_pos;
    hs_su_room *rooms; /* sorted by room; forgotten ones too */
    size_t rooms_n, rooms_cap;
    hs_waiter *waiters;
} hs_sync_user;

/* The user's entry with rooms loaded; valid until the next suspension. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_user_get(hs_server *srv, hs_arena *a, hs_nid user, hs_sync_user **ret);
const hs_su_room *hs_sync_user_room(const hs_sync_user *u, hs_nid room);

/* ── what is remembered of a room ── */
typedef struct {
    hs_nid user, thread;
    bool is_private;
    int64_t pos, ts;
    hs_str user_id, event_id, thread_id; /* one block of memory, at user_id.p; thread_id.p NULL: unthreaded */
} hs_recent_receipt;

typedef struct {
    hs_nid event, user;
    hs_str device_id, txn_id; /* one block of memory, at device_id.p */
} hs_recent_txn;

/* A timeline that was written once and fits everybody who asks for the same rows. */
typedef struct {
    int64_t first, last; /* positions of the rows at its ends */
    int64_t made_ms;
    uint64_t filter;
    hs_blob *timeline; /* the whole object */
    hs_nid *senders;
    int64_t *sender_slots; /* in the same block */
    size_t senders_n;
    bool member_events, has_state;
} hs_render;

enum { HS_RENDERS = 4 };
typedef struct {
    hs_lru_link lru; /* only while there is something to take away */
    size_t bytes;
    hs_nid room;
    int64_t receipts_floor, receipts_pos, txns_floor;
    hs_recent_receipt *receipts; /* newest last, one for each (user, kind, thread) */
    size_t receipts_n, receipts_cap;
    hs_recent_txn *txns; /* newest last */
    size_t txns_n;
    hs_render renders[HS_RENDERS];
    unsigned next_render;
} hs_sync_room;

/* NULL: nothing happened there since the start. */
hs_sync_room *hs_sync_room_peek(hs_server *srv, hs_nid room);
/* Made when it is not there; NULL without memory. */
hs_sync_room *hs_sync_room_get(hs_server *srv, hs_nid room);
/* What happened at or below it is not remembered for rooms without an entry. */
int64_t hs_sync_rooms_floor(const hs_server *srv);
/* Something was added to the room: counts it, and takes from others what is too much. */
void hs_sync_room_changed(hs_server *srv, hs_sync_room *r);
/* The transaction id of (event, device): 1 found, 0 there is none, -1 not remembered. */
int hs_recent_txn_find(hs_server *srv, hs_nid room, hs_nid event, int64_t event_pos, hs_nid user, hs_str device_id,
                       hs_str *ret);

#endif
