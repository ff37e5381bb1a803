/* Events by number and id, their edges, redactions and transaction ids. Owns: event, redaction, txn_id. */
#ifndef HS_STORE_EVENTS_H
#define HS_STORE_EVENTS_H

#include "store/write.h"

/* event.flags */
enum {
    HS_EVENT_OUTLIER = 1,
    HS_EVENT_REJECTED = 2,
    HS_EVENT_SOFT_FAILED = 4,
    HS_EVENT_REDACTED = 8,
    HS_EVENT_STUB = 16,
    HS_EVENT_PARTIAL = 32,
    HS_EVENT_CENSORED = 64,
};

typedef struct {
    hs_nid room, event; /* event 0: not found */
    hs_str event_id, type;
    hs_str state_key; /* p NULL: not a state event */
    hs_nid sender;
    int64_t slot; /* with state_key */
    int64_t depth, origin_ts, received_ts;
    int32_t line, snap; /* state after it; line -1: outlier */
    int32_t flags;
    hs_nids prev, auth; /* by hs_store_events and hs_store_events_by_id only */
    hs_str json;        /* canonical bytes; p NULL: stub */
    hs_nid redacted_by; /* 0: none */
} hs_event_row;

/* ret[i] belongs to nids[i]; event 0 when unknown. One round trip. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_events(hs_db *db, hs_arena *a, hs_nid room, const hs_nid *nids, size_t n,
                                                   hs_event_row *ret);
/* By event id. room 0: in any room (an id is in one room only, unless somebody forges). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_events_by_id(hs_db *db, hs_arena *a, hs_nid room, const hs_str *event_ids,
                                                         size_t n, hs_event_row *ret);

/* Events of the room's graph (no outliers, rejected or soft-failed ones) after or before a point in the order of their
 * senders' clocks, nearest first; the point itself is left out. `ret` has room for `limit`. */
typedef struct {
    int64_t ts, depth;
    hs_nid event;
} hs_event_time;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_events_near(hs_db *db, hs_arena *a, hs_nid room, bool forwards,
                                                        hs_event_time from, int32_t limit, hs_event_time *ret,
                                                        size_t *ret_n);

/* Into the unit's transaction, before the ticket. An event id that is there already makes the unit HS_WRITE_CONFLICT.
 */
HS_NODISCARD hs_error *hs_store_event_insert(hs_write *w, const hs_event_row *row);
/* The same where a stub or an outlier of that number and id is stored: its row becomes the event's. HS_WRITE_CONFLICT
 * when that has happened already. */
HS_NODISCARD hs_error *hs_store_event_fill(hs_write *w, const hs_event_row *row);
/* A row for an event that others name and nobody has given us. */
HS_NODISCARD hs_error *hs_store_event_stub(hs_write *w, hs_nid room, hs_nid event, hs_str event_id,
                                           int64_t received_ts);
/* The state after a stub or an outlier, as somebody told it. */
HS_NODISCARD hs_error *hs_store_event_state(hs_write *w, hs_nid room, hs_nid event, int32_t line, int32_t snap);
/* Sets flags of a stored event (HS_EVENT_REDACTED). */
HS_NODISCARD hs_error *hs_store_event_flag(hs_write *w, hs_nid room, hs_nid event, int32_t flags);
/* Replaces the bytes (censoring). */
HS_NODISCARD hs_error *hs_store_event_censor(hs_write *w, hs_nid room, hs_nid event, hs_str json);

/* ── redactions ── */
typedef enum {
    HS_REDACTION_UNCHECKED,
    HS_REDACTION_APPLIED,
    HS_REDACTION_REFUSED,
    HS_REDACTION_CENSORED
} hs_redaction_status;
HS_NODISCARD hs_error *hs_store_redaction_insert(hs_write *w, hs_nid room, hs_nid target, hs_nid event,
                                                 hs_redaction_status status, int64_t ts);
/* Redactions that were there before what they redact. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_redactions_unchecked(hs_db *db, hs_arena *a, hs_nid room, hs_nid target,
                                                                 hs_nids *ret);
/* Applied redactions that are due for censoring: redacted before `before_ts`. */
typedef struct {
    hs_nid room, target, event;
} hs_redaction_row;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_redactions_due(hs_db *db, hs_arena *a, int64_t before_ts, int32_t limit,
                                                           hs_redaction_row **ret, size_t *ret_n);

/* ── the auth graph ── */
typedef struct {
    hs_nid event;
    hs_nids auth;
} hs_auth_row;
/* The events and all that their auth_events lead to, each once, in ascending order of number. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_auth_chain(hs_db *db, hs_arena *a, hs_nid room, const hs_nid *nids,
                                                       size_t n, hs_auth_row **ret, size_t *ret_n);
/* All state events of the room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_auth_graph(hs_db *db, hs_arena *a, hs_nid room, hs_auth_row **ret,
                                                       size_t *ret_n);

/* ── transaction ids: the same (user, device, scope, txn_id) always has the same answer ── */
typedef struct {
    hs_nid user;
    hs_str device_id; /* empty: a token without a device */
    hs_nid scope;     /* the room; for requests outside rooms a negative constant of the service's own */
    hs_str txn_id;
    hs_nid room, event; /* 0: none */
    hs_str result;      /* p NULL: none */
    int64_t ts;
} hs_txn_row;
/* *ret_found false: not seen. Reads user, device_id, scope and txn_id of *io and fills in the rest. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_txn_get(hs_db *db, hs_arena *a, hs_txn_row *io, bool *ret_found);
/* HS_WRITE_CONFLICT when it is there already. */
HS_NODISCARD hs_error *hs_store_txn_insert(hs_write *w, const hs_txn_row *row);
/* The same in a transaction. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_txn_keep(hs_tx *tx, hs_arena *a, const hs_txn_row *row);
/* Transaction ids that this device gave events of a room: ret[i] belongs to nids[i], p NULL where there is none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_txns_of_events(hs_db *db, hs_arena *a, hs_nid room, hs_nid user,
                                                           hs_str device_id, const hs_nid *nids, size_t n, hs_str *ret);
/* Forgets those older than `before_ts`, in slices. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_txns_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n);

#endif
