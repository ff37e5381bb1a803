/* Opens and closes the services, in the order in which they need each other. The caller has set loop, log, metrics,
 * config, db, server_name, key and arena; the rest of hs_server is filled here. */
#include "bus/bus_redis.h"
#include "server/account_end.h"
#include "server/admin_redact.h"
#include "server/caches.h"
#include "server/delayed.h"
#include "server/gauges.h"
#include "server/jobs.h"
#include "server/leases.h"
#include "server/limit_share.h"
#include "server/limiter.h"
#include "server/names.h"
#include "server/news.h"
#include "server/peers.h"
#include "server/presence.h"
#include "server/purge_history.h"
#include "server/push_eval.h"
#include "server/pushers.h"
#include "server/redact_related.h"
#include "server/relations.h"
#include "server/retention.h"
#include "server/room.h"
#include "server/room_delete.h"
#include "server/room_follow.h"
#include "server/room_upkeep.h"
#include "server/session.h"
#include "server/sticky.h"
#include "server/sync.h"
#include "server/sync_wait.h"
#include "server/timeline.h"
#include "server/todevice.h"
#include "server/typing.h"
#include "server/unread.h"

#include "store/names.h"

/* The name that a database was made for can not change: every id in it carries it. */
static hs_error *check_server_name(hs_server *srv, hs_arena *a)
{
    hs_str stored;

    HS_TRY(hs_store_meta_ensure(srv->db, a, HS_S("server_name"), srv->server_name, &stored));
    if (!hs_str_eq(stored, srv->server_name))
        return hs_err(
            a, 500, HS_M_UNKNOWN,
            "this database belongs to the server %.*s, but server_name is %.*s; a server's name cannot change",
            HS_FMT(stored), HS_FMT(srv->server_name));
    return NULL;
}

/* Secret, made once: see store-wide slots in core/sign.h. */
static hs_error *load_slot_key(hs_server *srv, hs_arena *a)
{
    uint8_t fresh[sizeof srv->slot_key];
    hs_str stored;

    hs_random_bytes(fresh, sizeof fresh);
    HS_TRY(hs_store_meta_ensure(srv->db, a, HS_S("slot_key"), hs_str_make((const char *)fresh, sizeof fresh), &stored));
    if (stored.n != sizeof srv->slot_key)
        return hs_err(a, 500, HS_M_UNKNOWN, "the slot key in the database is damaged");
    memcpy(srv->slot_key, stored.p, stored.n);
    return NULL;
}

/* CLIENT SETNAME takes no blanks. */
static hs_error *client_name(hs_server *srv, hs_arena *a, hs_str *ret)
{
    char *name;

    HS_TRY(hs_alloc(a, srv->worker_name.n + 3, &name));
    memcpy(name, "hs-", 3);
    for (size_t i = 0; i < srv->worker_name.n; i++) {
        char c = srv->worker_name.p[i];
        name[3 + i] = c > ' ' && c <= '~' ? c : '-';
    }
    *ret = hs_str_make(name, srv->worker_name.n + 3);
    return NULL;
}

hs_error *hs_server_open_bus(hs_server *srv, hs_arena *a, hs_str redis_socket)
{
    const hs_config_redis *c = &srv->config->redis;
    hs_bus_redis_options o = { .path = redis_socket, .server_name = srv->server_name, .log = srv->log };
    hs_bus_redis_address *sentinels;

    if (!redis_socket.p && !c->enabled) {
        srv->bus = hs_bus_local_open(srv->loop);
        if (!srv->bus)
            return HS_ERR_NOMEM;
        if (srv->shared) { /* nobody hears us nor we them: the database is asked every so often */
            hs_log(srv->log, HS_LOG_WARN, "bus.none", "there is no redis: section, so news of other workers come late");
            hs_bus_local_set_down(srv->bus, true);
        }
        return NULL;
    }
    srv->shared = true;
    if (srv->key)
        hs_signing_key_derive(srv->key, HS_S("hs bus"), o.secret, sizeof o.secret);
    HS_TRY(client_name(srv, a, &o.client_name));
    if (redis_socket.p)
        return hs_bus_redis_open(srv->loop, a, &o, &srv->bus);
    o.host = c->host;
    o.path = c->path;
    o.port = (uint16_t)c->port;
    o.dbid = c->dbid;
    o.username = c->username;
    o.password = c->password;
    o.tls = c->use_tls;
    o.ca_file = c->ca_file;
    o.ca_path = c->ca_path;
    o.cert_file = c->certificate_file;
    o.key_file = c->private_key_file;
    o.master = c->sentinel_master;
    o.sentinel_username = c->sentinel_username;
    o.sentinel_password = c->sentinel_password;
    o.sentinels_n = c->sentinels_n;
    HS_TRY(hs_alloc(a, c->sentinels_n, &sentinels));
    for (size_t i = 0; i < c->sentinels_n; i++)
        sentinels[i] = (hs_bus_redis_address){ c->sentinels[i].host, c->sentinels[i].port };
    o.sentinels = sentinels;
    return hs_bus_redis_open(srv->loop, a, &o, &srv->bus);
}

hs_error *hs_server_open_services(hs_server *srv, hs_arena *a)
{
    srv->hash_seed = hs_random_u64();
    HS_TRY(check_server_name(srv, a));
    HS_TRY(load_slot_key(srv, a));

    HS_TRY(hs_leases_open(srv, srv->arena));
    HS_TRY(hs_jobs_open(srv, srv->arena));
    HS_TRY(hs_caches_open(srv, srv->arena));
    HS_TRY(hs_names_open(srv, srv->arena));
    HS_TRY(hs_server_nid(srv, a, srv->server_name, &srv->server_nid));
    HS_TRY(hs_sessions_open(srv, srv->arena));
    srv->limiter = hs_limiter_open(srv->hash_seed, srv->caches);
    if (!srv->limiter)
        return HS_ERR_NOMEM;
    HS_TRY(hs_fanout_open(srv, srv->arena));
    HS_TRY(hs_peers_open(srv, srv->arena));
    HS_TRY(hs_limit_share_open(srv, srv->arena));
    HS_TRY(hs_sessions_listen(srv));
    /* who opens first hears first what is told: the room cache, then what is made from it, then who waits for it */
    HS_TRY(hs_rooms_open(srv, srv->arena));
    HS_TRY(hs_relations_open(srv, srv->arena));
    HS_TRY(hs_redact_related_open(srv));
    HS_TRY(hs_room_follow_open(srv));
    HS_TRY(hs_delayed_open(srv, srv->arena));
    HS_TRY(hs_push_open(srv, srv->arena));
    HS_TRY(hs_unread_open(srv, srv->arena));
    hs_pushers_open(srv);
    HS_TRY(hs_timeline_open(srv, srv->arena));
    HS_TRY(hs_todevice_open(srv, srv->arena));
    HS_TRY(hs_sticky_open(srv, srv->arena));
    HS_TRY(hs_waiters_open(srv, srv->arena));
    HS_TRY(hs_presence_open(srv, srv->arena)); /* hears what typing's messages bring */
    HS_TRY(hs_typing_open(srv, srv->arena));   /* wakes who waits */
    HS_TRY(hs_fanout_start(srv));
    hs_caches_check(srv);
    HS_TRY(hs_gauges_open(srv, srv->arena));
    HS_TRY(hs_room_delete_open(srv));
    HS_TRY(hs_admin_redact_open(srv));
    HS_TRY(hs_account_end_open(srv));
    HS_TRY(hs_purge_history_open(srv));
    HS_TRY(hs_retention_open(srv));
    HS_TRY(hs_room_upkeep_open(srv));
    return hs_leases_start(srv); /* duties come with the roles, which open next */
}

void hs_server_close_services(hs_server *srv)
{
    hs_gauges_close(srv);
    hs_leases_close(srv); /* first: duties use everything else */
    hs_jobs_close(srv);
    hs_fanout_stop(srv);
    hs_sync_filters_close(srv);
    hs_typing_close(srv);
    hs_presence_close(srv);
    hs_waiters_close(srv);
    hs_sticky_close(srv);
    hs_todevice_close(srv);
    hs_timeline_close(srv);
    hs_unread_close(srv);
    hs_push_close(srv);
    hs_rooms_close(srv);
    hs_limit_share_close(srv);
    hs_peers_close(srv);
    hs_fanout_close(srv);
    hs_limiter_close(srv->limiter);
    srv->limiter = NULL;
    hs_sessions_close(srv);
    hs_names_close(srv);
    hs_caches_close(srv);
}
