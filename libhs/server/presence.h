/* Who is there: in memory, the same in all workers; the status text outlives a restart. Spec: Client-Server API,
 * "Presence".
 *
 * A user is what the best of their devices is: busy, online, unavailable, offline. Devices are told of by messages of
 * the ephemeral channel (typing_share.c), which all workers apply in one order, so a change has the same number in all
 * of them, on the clock that numbers typing too; a sync token says up to which one its client knows. The worker where a
 * device was last seen ends its time; when that one is gone, any other does. */
#ifndef HS_SERVER_PRESENCE_H
#define HS_SERVER_PRESENCE_H

#include "base/json_out.h"
#include "bus/live.h"
#include "core/filter.h"
#include "server/session.h"
#include "server/sync_wait.h"
#include "server/typing.h"

typedef enum {
    HS_PRESENCE_OFFLINE,
    HS_PRESENCE_UNAVAILABLE,
    HS_PRESENCE_ONLINE,
    HS_PRESENCE_BUSY,
} hs_presence_state;
/* false: not one of the words. Busy only where it is switched on (experimental_features.msc3026_enabled). */
bool hs_presence_parse(const hs_server *srv, hs_str word, hs_presence_state *ret);

HS_NODISCARD hs_error *hs_presence_open(hs_server *srv, hs_arena *a);
void hs_presence_close(hs_server *srv);

/* ── what users do ── nothing where presence is off or untracked ── */
/* A device asks for news, in this state. Told to others at once when that changes something, else now and then. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_presence_syncing(hs_server *srv, const hs_session *who, hs_arena *a,
                                                       hs_presence_state state);
/* The user has done something. */
void hs_presence_active(hs_server *srv, const hs_session *who);
/* Returns when all who ask this worker see it. status.p NULL: none. 403 for another user; 400 M_INVALID_PARAM for a
 * status of more than 2,048 bytes. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_presence_set(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id,
                                                   hs_presence_state state, hs_str status);

/* ── what others see ── */
typedef struct {
    hs_presence_state state;
    int64_t active_ms; /* since 1970; 0: not known */
    hs_str status;     /* p NULL: none */
} hs_presence_seen;
/* 403 M_FORBIDDEN for who shares no room with the user. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_presence_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id,
                                                   hs_presence_seen *ret);
/* Its members, into an object that is open. */
void hs_presence_show(hs_json_out *j, const hs_server *srv, const hs_presence_seen *seen);

/* ── for /sync ── */
/* What is to be told of presence: whole m.presence events. woken as in hs_sync_in; fresh: rooms that the user has just
 * joined; newcomers: users who have just joined rooms of theirs. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_presence_news(hs_server *srv, hs_arena *a, const hs_session *who,
                                                    const hs_typing_view *view, const hs_waiter *woken,
                                                    const hs_event_filter *filter, hs_room *const *fresh,
                                                    size_t fresh_n, hs_nids newcomers, hs_strs *ret);

/* ── for typing.c, which carries the messages ── */
void hs_presence_apply(hs_server *srv, const hs_ephemeral_msg *m, uint64_t clock);
/* What this worker answers for. */
HS_NODISCARD hs_error *hs_presence_own(hs_server *srv, hs_arena *a, hs_presence_msg **ret, size_t *ret_n);
uint64_t hs_presence_device(hs_str device_id);

#endif
