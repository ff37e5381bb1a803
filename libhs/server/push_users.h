/* Who has push rules of their own, and which: compiled once for all who have made the same changes, and the users of a
 * room who have any. In memory, moved by the news. */
#ifndef HS_SERVER_PUSH_USERS_H
#define HS_SERVER_PUSH_USERS_H

#include "core/pushrules.h"
#include "server/caches.h"
#include "server/news.h"

/* A set of rules, of all who have made the same changes. */
typedef struct hs_push_shape {
    int64_t shape;
    hs_arena *a;
    hs_pushrules *rules;
    size_t refs, bytes;
    uint64_t turn;          /* of the evaluation that `unmeant` is of */
    hs_push_result unmeant; /* for somebody whose name does not matter */
} hs_push_shape;

typedef struct {
    hs_lru_link lru;
    hs_nid user;
    hs_push_shape *shape; /* NULL: the default rules */
    bool known;           /* else it has to be read (again) */
    bool listed;          /* a change of theirs was heard: all lists of rooms made since have them */
    uint32_t version;     /* moves with every news of the user's rules */
    uint64_t turn;        /* of the evaluation that has a verdict already */
} hs_push_user;

typedef struct {
    const hs_pushrules *base; /* the default rules */
    unsigned features;        /* that `base` has been made with */
    hs_arena *scratch;
    hs_map *users, *shapes, *rooms;
    uint64_t version; /* moves whenever something of a user may be unknown that was known */
    hs_cache cache, rooms_cache;
    uint64_t epoch; /* moves when somebody of whom nothing is known may have got rules: lists of rooms before it are
                       read again */
} hs_push_users;

HS_NODISCARD hs_error *hs_push_users_open(hs_server *srv, const hs_pushrules *base, hs_push_users *u);
void hs_push_users_close(hs_push_users *u);
void hs_push_users_hear(hs_server *srv, hs_push_users *u, const hs_news *news);

/* The room's members here who may have rules of their own, and never one less. The copy is `a`'s. What is known of them
 * is kept with the list: hs_push_users_known says whether all of it still is, hs_push_users_all that it is now. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_users_of(hs_server *srv, hs_push_users *u, hs_arena *a, const hs_room *room,
                                                    hs_nids *ret);
bool hs_push_users_known(const hs_push_users *u, hs_nid room);
void hs_push_users_all(hs_push_users *u, hs_nid room);
/* Reads what is not known of these users. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_users_need(hs_server *srv, hs_push_users *u, hs_arena *a, hs_nids users);
/* NULL: not needed before, so nothing is known. Valid until the next suspension. */
hs_push_user *hs_push_user_get(hs_push_users *u, hs_nid user);

#endif
