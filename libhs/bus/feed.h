/* proto/news.proto's Feed as plain structs: what a transaction told, as read from the table `feed` or from the bus.
 * Item `at` has the position pos_from + at. Numbers are the store's; what a field means is written in the .proto. */
#ifndef HS_BUS_FEED_H
#define HS_BUS_FEED_H

#include <hs/arena.h>

typedef struct {
    int64_t user;
    int32_t d_notify, d_high;
    int64_t thread;
    uint32_t actions;
} hs_feed_note;

typedef struct {
    int64_t room, event; /* event 0: a marker */
    uint32_t at;
    int64_t prev_pos, depth;
    int32_t line, snap;
    int64_t slot, sender;
    int32_t d_notify, d_high;
    const int64_t *heads;
    size_t heads_n;
    uint32_t flags;
    const hs_feed_note *notes;
    size_t notes_n;
    hs_str json; /* p NULL: not in it; only on the bus */
    int64_t target;
    int32_t membership, was;
    hs_str device_id, txn_id; /* p NULL: none */
    int64_t redacts, received_ts;
    int32_t event_line, event_snap;
    hs_str room_version;
    uint32_t released;
} hs_feed_event;

typedef struct {
    int64_t room;
    uint32_t at;
    int32_t line, snap;
    const int64_t *slots, *events; /* slots[i] holds events[i]; 0: nothing */
    size_t n;
} hs_feed_delta;

typedef struct {
    int64_t room, user;
    hs_str type;
    int64_t thread, event, ts;
    uint32_t at;
    hs_str user_id, event_id, thread_id; /* p NULL: none */
} hs_feed_receipt;

typedef struct {
    int64_t user;
    uint32_t at;
    int what; /* UserChange.What */
    int64_t room;
    hs_str type;
} hs_feed_user;

typedef struct {
    int64_t user;
    hs_str device_id;
    uint32_t at;
} hs_feed_to_device;

typedef struct {
    int64_t pos_from, pos; /* 0 as it lies in the table */
    hs_str worker;
    hs_feed_event *events;
    size_t events_n;
    hs_feed_delta *deltas;
    size_t deltas_n;
    hs_feed_receipt *receipts;
    size_t receipts_n;
    hs_feed_user *users;
    size_t users_n;
    hs_feed_to_device *to_device;
    size_t to_device_n;
} hs_feed_msg;

/* Everything lives in `a`. 500 when the bytes are not a Feed. */
HS_NODISCARD hs_error *hs_feed_decode(hs_arena *a, hs_str bytes, hs_feed_msg *ret);
/* The same structs as bytes, positions included when they are set. */
HS_NODISCARD hs_error *hs_feed_encode(hs_arena *a, const hs_feed_msg *msg, hs_str *ret);
typedef struct {
    uint32_t at;
    hs_str json;
} hs_feed_body;
/* What goes on the bus: a row of the table with its positions and the sender's name in front, and the events' bytes
 * behind. */
HS_NODISCARD hs_error *hs_feed_address(hs_arena *a, int64_t pos_from, int64_t pos, hs_str worker, hs_str row,
                                       const hs_feed_body *bodies, size_t bodies_n, hs_str *ret);
/* The positions and the sender of such a message, without reading on. False: it does not begin with them. */
bool hs_feed_peek(hs_str bytes, int64_t *ret_pos_from, int64_t *ret_pos, hs_str *ret_worker);

#endif
