/* Rooms as an administrator lists them. Reads room, room_summary, published, user_id; device and user_room for the
 * details. */
#ifndef HS_STORE_ROOM_LIST_H
#define HS_STORE_ROOM_LIST_H

#include "store/write.h"

typedef struct {
    hs_nid room;
    hs_str room_id, version;
    hs_str creator; /* user id; p NULL: not known */
    hs_str name, canonical_alias, topic, avatar, encryption, join_rules, guest_access, history_visibility, room_type,
        successor; /* p NULL: none */
    bool federatable, published;
    int32_t joined, local_joined, state_events;
} hs_listed_room;

typedef enum {
    HS_ROOM_ORDER_NAME,
    HS_ROOM_ORDER_ALIAS,
    HS_ROOM_ORDER_JOINED,
    HS_ROOM_ORDER_LOCAL_JOINED,
    HS_ROOM_ORDER_VERSION,
    HS_ROOM_ORDER_CREATOR,
    HS_ROOM_ORDER_ENCRYPTION,
    HS_ROOM_ORDER_FEDERATABLE,
    HS_ROOM_ORDER_PUBLIC,
    HS_ROOM_ORDER_JOIN_RULES,
    HS_ROOM_ORDER_GUEST_ACCESS,
    HS_ROOM_ORDER_HISTORY_VISIBILITY,
    HS_ROOM_ORDER_STATE_EVENTS,
} hs_room_order;

typedef enum { HS_EITHER, HS_ONLY, HS_WITHOUT } hs_tristate;

typedef struct {
    hs_str search; /* p NULL: none; in name or alias whatever its case, or a whole room id */
    hs_tristate published, empty;
    hs_room_order order;
    bool descending;
    int64_t from, limit;
} hs_room_list_query;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_list(hs_db *db, hs_arena *a, const hs_room_list_query *q,
                                                      hs_listed_room **ret, size_t *ret_n, int64_t *ret_total);

typedef struct {
    hs_listed_room row;
    int64_t local_devices; /* of its joined users of this server */
    bool forgotten;        /* no user of this server that has not forgotten it */
} hs_room_details;
/* *ret_found false: there is none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_details(hs_db *db, hs_arena *a, hs_str room_id, hs_room_details *ret,
                                                         bool *ret_found);

#endif
