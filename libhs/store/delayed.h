/* Events to be sent later (MSC4140). Owns: delayed_event. All times are PostgreSQL's. */
#ifndef HS_STORE_DELAYED_H
#define HS_STORE_DELAYED_H

#include "store/write.h"

typedef struct {
    hs_str delay_id; /* p NULL: not found */
    hs_nid user, room;
    hs_str user_id, room_id; /* when read */
    hs_str device_id, type;
    hs_str state_key; /* p NULL: not state */
    hs_str content;   /* JSON */
    int64_t delay_ms;
    int64_t send_ts; /* when it is due */
    bool is_sticky;  /* for sticky_ms */
    int64_t sticky_ms;
    int64_t origin_ts; /* as an application service wants it; 0: none */
} hs_delayed_row;

/* Locks the user against other additions until the transaction's end; *ret_full: there are `most` of the user's
 * already, and the next one goes in *ret_wait_ms. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_delayed_room(hs_tx *tx, hs_arena *a, hs_nid user, int64_t most,
                                                         bool *ret_full, int64_t *ret_wait_ms);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_delayed_add(hs_tx *tx, hs_arena *a, const hs_delayed_row *row);

/* Of those that wait. *ret_found false: none with this id, or being sent. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_delayed_cancel(hs_db *db, hs_arena *a, hs_str delay_id, bool *ret_found);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_delayed_restart(hs_db *db, hs_arena *a, hs_str delay_id, bool *ret_found);
/* … and from then on being sent. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_delayed_claim(hs_db *db, hs_arena *a, hs_str delay_id, hs_delayed_row *ret);
/* Those that are due, and those whose sending was begun stale_ms ago and has not ended; in order of send_ts. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_delayed_due(hs_db *db, hs_arena *a, int32_t limit, int64_t stale_ms,
                                                        hs_delayed_row **ret, size_t *ret_n);
/* What was being sent has ended. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_delayed_end(hs_db *db, hs_arena *a, hs_str delay_id);
/* In order of send_ts; delay_id p NULL: all of the user's. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_delayed_of(hs_db *db, hs_arena *a, hs_nid user, hs_str delay_id,
                                                       hs_delayed_row **ret, size_t *ret_n);

/* With a state event: what others want to set there later is void. */
HS_NODISCARD hs_error *hs_store_delayed_void(hs_write *w, hs_nid room, hs_str type, hs_str state_key, hs_nid sender);

#endif
