/* What a durable unit of writing tells: the in-memory form of proto/news.proto. Made by the service that writes, kept
 * in the unit's arena, encoded into the feed row before the transaction, applied to the caches and handed to waiting
 * syncs after the flush. */
#ifndef HS_SERVER_NEWS_H
#define HS_SERVER_NEWS_H

#include "server/room.h"

typedef struct {
    hs_nid user;
    int32_t d_notify, d_high;
    hs_nid thread;
    uint32_t actions;
} hs_news_note;

typedef struct {
    hs_nid room;
    uint32_t at;      /* its position is the unit's first + at */
    hs_stored *event; /* NULL: a marker */
    int64_t depth;
    int32_t line, snap;  /* the room's state once it is in */
    const hs_nid *heads; /* forward extremities after it; the writer's view, corrected by the store's. None: they do
                            not follow from its parents, and are to be read */
    size_t heads_n;
    const hs_state_entry *state; /* what changed in the current state: event 0 = removed */
    size_t state_n;
    int32_t d_notify, d_high;
    const hs_news_note *notes;
    size_t notes_n;
    hs_nid target; /* member events: whose, what they are now and were before */
    hs_membership membership, was;
    hs_str device_id, txn_id; /* the sender's, for unsigned.transaction_id; p NULL: none */
    hs_nid redacts;           /* the event that this one redacts, when it takes effect */
    uint32_t released;        /* sticky events that it lets count: they have the positions after its own */
} hs_news_event;

typedef struct {
    hs_nid room, user;
    hs_str type;   /* m.read, m.read.private */
    hs_nid thread; /* -1 unthreaded, 0 main, else the root */
    hs_nid event;
    int64_t ts;
    uint32_t at;
    hs_str user_id, event_id, thread_id; /* the names behind the numbers; thread_id.p NULL: no thread or the main one */
} hs_news_receipt;

typedef enum {
    HS_NEWS_ACCOUNT_DATA,
    HS_NEWS_PUSH_RULES,
    HS_NEWS_PROFILE,
    HS_NEWS_FLAGS,
    HS_NEWS_ROOMS
} hs_news_user_what;
typedef struct {
    hs_nid user;
    uint32_t at;
    hs_news_user_what what;
    hs_nid room; /* 0: global */
    hs_str type;
} hs_news_user;

/* A message for a device. */
typedef struct {
    hs_nid user;
    hs_str device_id;
    uint32_t at;
} hs_news_to_device;

typedef struct hs_news {
    const hs_news_event *events;
    size_t events_n;
    const hs_news_receipt *receipts;
    size_t receipts_n;
    const hs_news_user *users;
    size_t users_n;
    const hs_news_to_device *to_device;
    size_t to_device_n;
} hs_news;

/* What the unit tells. Its texts are copied to the unit's arena: a request may be answered, and what it was read from
 * be gone, before the unit is told (hs_write_commit). Events must be held by that arena, lists and numbers lie in it.
 */
HS_NODISCARD hs_error *hs_news_give(hs_write *w, const hs_news *news);

/* fanout.c: installs the store's hooks. Services that keep state from the feed register here, in the order in which
 * they must see it: the room cache first, waiters last. A listener hears what this worker wrote and, where there are
 * others, what they wrote, in one order of position; it must not suspend. */
typedef void hs_news_listener(void *ud, int64_t first, const hs_news *news);
HS_NODISCARD hs_error *hs_fanout_open(hs_server *srv, hs_arena *a);
HS_NODISCARD hs_error *hs_fanout_listen(hs_server *srv, hs_news_listener *fn, void *ud);
/* When all listeners are there: begins to follow what other workers write. Stopped before the first of them goes. */
HS_NODISCARD hs_error *hs_fanout_start(hs_server *srv);
void hs_fanout_stop(hs_server *srv);
void hs_fanout_close(hs_server *srv);

/* Position of the newest thing told (durable); the upper bound of every sync answer. */
int64_t hs_fanout_position(const hs_server *srv);
/* Position of the newest timeline row of a room told since the start; 0: none. What happened at or below the floor has
 * to be asked of the store. */
int64_t hs_fanout_room_position(const hs_server *srv, hs_nid room);
int64_t hs_fanout_floor(const hs_server *srv);

/* ── other workers ── nothing to do where there are none (srv->shared) ── */
/* Returns when all that any worker has acknowledged before the call has been told here: what is read from memory after
 * it is not older. One small query, shared by all who ask in the same moment. 503 when the database does not answer. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_fanout_fresh(hs_server *srv, hs_arena *a);
/* Returns when the news of all that a read of the database may have seen until now have been told: for those who keep
 * what they read and change it by what they hear. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_fanout_settle(hs_server *srv, hs_arena *a);

#endif
