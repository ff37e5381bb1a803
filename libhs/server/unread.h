/* Unread counts of (user, room), in the main timeline and in threads: kept in memory once asked for, moved by the news.
 * store-design §3.5. */
#ifndef HS_SERVER_UNREAD_H
#define HS_SERVER_UNREAD_H

#include "server/news.h"

typedef struct {
    hs_nid root;
    int64_t notify, high;
} hs_unread_thread;

typedef struct {
    int64_t notify, high;            /* of the main timeline */
    const hs_unread_thread *threads; /* those with something unread */
    size_t threads_n;
} hs_unread;

HS_NODISCARD hs_error *hs_unread_open(hs_server *srv, hs_arena *a);
void hs_unread_close(hs_server *srv);

/* Counts of a user in some rooms; the rooms are held by the caller. One round trip for those that are not in memory. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_unread_get(hs_server *srv, hs_arena *a, hs_nid user, hs_room *const *rooms,
                                                 size_t n, hs_unread *ret);

#endif
