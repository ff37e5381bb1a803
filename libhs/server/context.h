/* hs_server: what the services hold. Everything a server remembers hangs here; there are no globals.
 * Each service owns one member, opens it in its own hs_<service>_open and closes it in reverse order (server.c). */
#ifndef HS_SERVER_CONTEXT_H
#define HS_SERVER_CONTEXT_H

#include "bus/bus.h"
#include "core/sign.h"
#include "runtime/config.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "store/db.h"
#include "store/note_upkeep.h"
#include "store/write.h"

/* What a worker does: sets of routes and of loops. */
enum {
    HS_ROLE_CLIENT = 1,
    HS_ROLE_FEDERATION = 2,
    HS_ROLE_MEDIA = 4,
    HS_ROLE_BACKGROUND = 8,
    HS_ROLE_ALL = 15,
};

typedef struct hs_server hs_server;
struct hs_server {
    hs_loop *loop;
    hs_logger *log;
    hs_metrics *metrics;
    const hs_config *config;
    hs_db *db;
    /* hs itself, for subcommands that run as processes of their own. */
    const char *program;
    hs_bus *bus;        /* news from and to the other workers */
    hs_str worker_name; /* of this process, different from every other's */
    unsigned roles;     /* HS_ROLE_* */
    bool lost;          /* what is in memory is not in the database any more: the worker has to start anew */
    bool shared;        /* other workers write to the same database */
    hs_str server_name;
    hs_nid server_nid;
    const hs_signing_key *key;
    uint8_t slot_key[16];
    uint64_t hash_seed; /* for hs_map_open */
    hs_arena *arena;    /* for what lives as long as the server */

    hs_note_key notes_at; /* upkeep.c: up to where old notes have been looked at */

    struct hs_gauges *gauges;           /* gauges.c: metrics of the whole */
    struct hs_caches *caches;           /* caches.c: what the caches may take */
    struct hs_peers *peers;             /* peers.c: the other workers */
    struct hs_names *names;             /* names.c: user ids, room ids, servers ↔ numbers, cached */
    struct hs_sessions *sessions;       /* session.c: access token → session, cached */
    struct hs_limiter *limiter;         /* limiter.c: buckets */
    struct hs_limit_share *limit_share; /* limit_share.c: what the other workers are to count */
    struct hs_rooms *rooms;             /* cache_room.c: room heads, states, recent events */
    struct hs_waiters *waiters;         /* sync_wait.c: parked /sync requests by user */
    struct hs_ephemeral *ephemeral;     /* typing.c: who is typing where */
    struct hs_presence *presence;       /* presence.c: who is there */
    struct hs_inboxes *inboxes;         /* todevice.c: which devices may have messages */
    struct hs_push *push;               /* push_eval.c: compiled rule sets */
    struct hs_unreads *unreads;         /* unread.c: counts of those who asked */
    struct hs_sticky *sticky;           /* sticky.c: which rooms have sticky events; NULL: they are off */
    struct hs_timelines *timelines;     /* timeline_dress.c: what state events replaced, who ignores whom */
    struct hs_leases *leases;           /* leases.c: once-only duties */
    struct hs_jobs *jobs;               /* jobs.c: what takes long or comes later */
    struct hs_thumbs *thumbs;           /* media_thumb.c: the process that makes them */
    struct hs_media *media;             /* media.c: where files are kept; NULL without the media role */
    struct hs_feed *feed;               /* fanout.c: what has been told, last position per room */
#define HS_USER_LOCKS 32
    hs_fiber_lock account_data_locks[HS_USER_LOCKS]; /* account_data.c: by user */
    hs_fiber_lock push_rules_locks[HS_USER_LOCKS];   /* push_rules.c: by user */
};

/* Sets srv->bus and srv->shared: by the configuration a Redis or the bus of a single process; `redis_socket` (p NULL:
 * none) overrules it. A Redis that is away does not matter. */
HS_NODISCARD hs_error *hs_server_open_bus(hs_server *srv, hs_arena *a, hs_str redis_socket);
HS_NODISCARD hs_error *hs_server_open_services(hs_server *srv, hs_arena *a);
void hs_server_close_services(hs_server *srv);

#endif
