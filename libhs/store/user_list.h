/* Users as administrators look for them. Reads what users.c, sessions.c, members.c and events.c own. */
#ifndef HS_STORE_USER_LIST_H
#define HS_STORE_USER_LIST_H

#include "store/members.h"

typedef struct {
    hs_nid user;
    hs_str user_id, kind, displayname, avatar_url; /* p NULL: none */
    unsigned flags;                                /* HS_ACCOUNT_* of server/session.h */
    int64_t created_ts, seen_ts;                   /* seen 0: never */
} hs_listed_user;

typedef enum {
    HS_USER_ORDER_NAME,
    HS_USER_ORDER_DISPLAYNAME,
    HS_USER_ORDER_KIND,
    HS_USER_ORDER_AVATAR,
    HS_USER_ORDER_FLAG, /* those without `flag` first */
    HS_USER_ORDER_CREATED,
    HS_USER_ORDER_SEEN,
} hs_user_order;

typedef struct {
    hs_str name;            /* in local part or display name; p NULL: any */
    hs_str user_id;         /* in the whole id; p NULL: any */
    unsigned with, without; /* flags */
    hs_strs not_kinds;
    bool needs_kind; /* without those who have none */
    hs_user_order order;
    unsigned flag;
    bool descending; /* the same in order: by id, ascending */
    int64_t from, limit;
} hs_user_list_query;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_user_list(hs_db *db, hs_arena *a, const hs_user_list_query *q,
                                                      hs_listed_user **ret, size_t *ret_n, int64_t *ret_total);

typedef struct {
    hs_listed_user row;
    hs_str appservice_id, consent_version; /* p NULL: none */
    int64_t consent_ts;                    /* 0: none */
} hs_user_details;
/* *ret_found false: nobody has an account of this id. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_user_details(hs_db *db, hs_arena *a, hs_str user_id, hs_user_details *ret,
                                                         bool *ret_found);

/* Ids of the rooms in which any user, ours or not, has a membership. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_rooms_of_user(hs_db *db, hs_arena *a, hs_nid user, hs_membership membership,
                                                          hs_strs *ret);

typedef struct {
    hs_nid event;
    int64_t pos;
} hs_sent;
/* Of the newest 2,000 rows of a room's timeline before a position those that the user sent with after_ts <= their time
 * <= before_ts (0: any), newest first, and the last position that was looked at (0: there was none). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_sent_by(hs_db *db, hs_arena *a, hs_nid room, hs_nid user, int64_t before,
                                                    int64_t before_ts, int64_t after_ts, hs_sent **ret, size_t *ret_n,
                                                    int64_t *ret_last);

/* How often the user has invited somebody since, and how many rooms the user has joined. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_sent_member_counts(hs_db *db, hs_arena *a, hs_nid user, hs_str user_id,
                                                               int64_t from_ts, int64_t *ret_invites,
                                                               int64_t *ret_rooms);

#endif
