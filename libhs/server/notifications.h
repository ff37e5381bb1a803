/* What somebody was notified of, newest first. */
#ifndef HS_SERVER_NOTIFICATIONS_H
#define HS_SERVER_NOTIFICATIONS_H

#include "server/timeline.h"

typedef struct {
    hs_room *room;
    hs_dressed event;
    int64_t pos;
    hs_str actions; /* JSON */
    bool read;
} hs_notification;

typedef struct {
    hs_notification *at;
    size_t n;
    int64_t next; /* what the next page begins before; 0: there is none */
} hs_notifications;

/* Those before position `before` (0: the newest), `limit` at most, or only those that highlight. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_notifications_get(hs_server *srv, hs_arena *a, const hs_session *who,
                                                        int64_t before, size_t limit, bool highlights,
                                                        hs_notifications *ret);

#endif
