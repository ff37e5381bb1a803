/* The memory behind sync_wait.h: users' room lists and rooms' recent receipts, transaction ids and renders. */
#ifndef HS_SERVER_SYNC_RECENT_H
#define HS_SERVER_SYNC_RECENT_H

#include "server/sync_wait.h"

struct hs_waiters {
    hs_map *users, *rooms; /* by number */
    hs_map *filters;       /* by text, sync_filter.c */
    uint64_t next_filter;
    hs_map *lazies;  /* by user and device, sync_lazy.c */
    hs_map *answers; /* by user and device, sync_whole.c */
    hs_metric *answers_total;
    hs_cache lazy_cache, room_cache, user_cache, filter_cache, answer_cache;
    size_t count;        /* of those who wait */
    int64_t rooms_floor; /* of rooms that have no entry; 0: hs_fanout_floor */
};

/* The user's entry, made when it is not there; NULL without memory. */
hs_sync_user *hs_sync_user_entry(hs_server *srv, hs_nid user);
void hs_sync_recent_hear(hs_server *srv, int64_t first, const hs_news *news);
void hs_sync_recent_clear(hs_server *srv);
/* Opens the accounts of all that is kept here. */
void hs_sync_recent_open(hs_server *srv);
/* sync_lazy.c, sync_filter.c, sync_whole.c */
void hs_lazy_trim(void *ud);
void hs_lazy_clear(struct hs_waiters *w);
void hs_sync_filters_trim(void *ud);
void hs_sync_answers_open(hs_server *srv);
void hs_sync_answers_trim(void *ud);
void hs_sync_answers_clear(struct hs_waiters *w);
/* For the timer of a waiter. */
void hs_wait_expired(hs_timer *t);

#endif
