/* The inside of presence, shared by presence.c (the state), presence_time.c (what time does to it, and who is told) and
 * presence_sync.c (what is shown). Everybody else uses presence.h. */
#ifndef HS_SERVER_PRESENCE_STATE_H
#define HS_SERVER_PRESENCE_STATE_H

#include "base/map.h"
#include "server/presence.h"
#include "store/presence.h"

enum {
    HS_PRESENCE_DEVICES = 8,      /* of a user that count; the one least recently seen makes room */
    HS_PRESENCE_USERS = 100000,   /* remembered; those offline for longest make room */
    HS_PRESENCE_STATUS = 2048,    /* bytes */
    HS_PRESENCE_REPEAT = 10000,   /* ms between two messages about a device that goes on asking for news */
    HS_PRESENCE_BUSY_MS = 3600000 /* after which the busy are offline too */
};

typedef struct {
    uint64_t id;
    hs_presence_state state;
    int64_t active_ms, sync_ms; /* since 1970 */
    uint64_t owner;             /* the worker that saw it last; peers.h: boot */
} hs_presence_dev;

typedef struct hs_presence_user {
    struct hs_presence_user *newer, *older; /* by serial */
    struct hs_presence_user *next_changed;  /* of those whose change is still to be told */
    hs_nid user;
    uint64_t serial; /* of the newest change that others are told of */
    hs_presence_state state;
    int64_t active_ms, told_ms; /* last active; and as others were told */
    char *status;
    size_t status_n;
    bool changed, unsaved;
    bool telling; /* waiters are being told: some may not know yet */
    uint8_t devices_n;
    hs_presence_dev devices[HS_PRESENCE_DEVICES];
} hs_presence_user;

struct hs_presence {
    hs_server *srv;
    hs_map *users; /* of hs_presence_user, by number */
    hs_presence_user *newest, *oldest;
    hs_presence_user *changed; /* to be told */
    hs_timer sweep;
    bool telling, saving, closing;
};

static inline hs_str hs_presence_status_of(const hs_presence_user *u)
{
    return hs_str_make(u->status, u->status_n);
}

/* Tracked here at all? */
static inline bool hs_presence_on(const hs_server *srv)
{
    return srv->config->presence_enabled && !srv->config->presence_untracked;
}

hs_presence_user *hs_presence_find(const hs_server *srv, hs_nid user);

/* ── presence_time.c ── */
HS_NODISCARD hs_error *hs_presence_time_open(struct hs_presence *p);
void hs_presence_time_close(struct hs_presence *p);
/* Somebody's entry has changed so that others are to be told. */
void hs_presence_tell_later(struct hs_presence *p, hs_presence_user *u);

#endif
