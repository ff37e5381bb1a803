/* See names.h. Maps over one record a name, the least recently used going first. A name never comes to mean another
 * number, so nothing here can be out of date; what is handed out is a copy. */
#include "server/names.h"

#include "server/caches.h"
#include "store/names.h"

#include <stdlib.h>

#define NAMES_BYTES ((size_t)128 << 20) /* at factor 1 */

typedef struct {
    hs_lru_link lru;
    hs_nid nid;
    bool is_server;
    size_t n;
    char id[];
} record;

struct hs_names {
    hs_map *by_id, *by_nid; /* users: record */
    hs_map *servers;        /* name → record */
    hs_cache cache;
};

static void trim(void *ud);

hs_error *hs_names_open(hs_server *srv, hs_arena *a)
{
    struct hs_names *n;

    HS_TRY(hs_alloc(a, 1, &n));
    n->by_id = hs_map_open(srv->hash_seed);
    n->by_nid = hs_map_open(srv->hash_seed);
    n->servers = hs_map_open(srv->hash_seed);
    hs_cache_open(srv->caches, &n->cache, "names", NAMES_BYTES, trim, n);
    srv->names = n;
    return n->by_id && n->by_nid && n->servers ? NULL : HS_ERR_NOMEM;
}

/* Its key is a copy in the map, of two maps for a user. */
static size_t bytes_of(const record *r)
{
    return sizeof *r + 2 * r->n + (r->is_server ? 1 : 2) * HS_CACHE_SLOT;
}

static void forget(struct hs_names *n, record *r)
{
    hs_str id = hs_str_make(r->id, r->n);

    hs_map_remove(r->is_server ? n->servers : n->by_id, id);
    if (!r->is_server)
        hs_map_remove_n(n->by_nid, (uint64_t)r->nid);
    hs_lru_drop(&r->lru);
    hs_cache_removed(&n->cache, bytes_of(r));
    free(r);
}

static record *record_of(hs_lru_link *l)
{
    return (record *)(void *)((char *)l - offsetof(record, lru));
}

static void trim(void *ud)
{
    struct hs_names *n = ud;

    for (hs_lru_link *l; (l = hs_cache_oldest(&n->cache)); n->cache.evicted++)
        forget(n, record_of(l));
}

void hs_names_close(hs_server *srv)
{
    struct hs_names *n = srv->names;

    if (!n)
        return;
    if (n->by_id && n->by_nid && n->servers)
        while (n->cache.lru.prev != &n->cache.lru)
            forget(n, record_of(n->cache.lru.prev));
    hs_map_close(n->by_nid);
    hs_map_close(n->by_id);
    hs_map_close(n->servers);
    srv->names = NULL;
}

/* Without memory the name is simply not cached. */
static void remember(struct hs_names *n, hs_str id, hs_nid nid, bool is_server)
{
    hs_map *m = is_server ? n->servers : n->by_id;
    record *r = hs_map_get(m, id) ? NULL : malloc(sizeof *r + id.n);

    if (!r)
        return;
    *r = (record){ .nid = nid, .is_server = is_server, .n = id.n };
    memcpy(r->id, id.p, id.n);
    if (!hs_map_put(m, id, r, NULL)) {
        free(r);
        return;
    }
    if (!is_server && !hs_map_put_n(n->by_nid, (uint64_t)nid, r, NULL)) {
        hs_map_remove(m, id);
        free(r);
        return;
    }
    hs_cache_added(&n->cache, bytes_of(r));
    hs_lru_touch(&n->cache.lru, &r->lru);
    trim(n);
}

static hs_nid used(struct hs_names *n, record *r)
{
    hs_cache_asked(&n->cache, r != NULL);
    if (!r)
        return 0;
    hs_lru_touch(&n->cache.lru, &r->lru);
    return r->nid;
}

typedef hs_error *find_fn(hs_db *db, hs_arena *a, const hs_str *names, size_t n, hs_nid *ret);

static hs_error *nids(hs_server *srv, hs_arena *a, const hs_str *ids, size_t n, find_fn *find, hs_nid *ret)
{
    hs_str *missing;
    size_t *where;
    hs_nid *found;
    size_t m = 0;

    HS_TRY(hs_alloc(a, n, &missing));
    HS_TRY(hs_alloc(a, n, &where));
    HS_TRY(hs_alloc(a, n, &found));
    for (size_t i = 0; i < n; i++) {
        ret[i] = used(srv->names, hs_map_get(srv->names->by_id, ids[i]));
        if (!ret[i]) {
            missing[m] = ids[i];
            where[m++] = i;
        }
    }
    if (!m)
        return NULL;
    HS_TRY(find(srv->db, a, missing, m, found));
    for (size_t i = 0; i < m; i++) {
        ret[where[i]] = found[i];
        if (found[i])
            remember(srv->names, missing[i], found[i], false);
    }
    return NULL;
}

hs_error *hs_user_nids(hs_server *srv, hs_arena *a, const hs_str *user_ids, size_t n, hs_nid *ret)
{
    return nids(srv, a, user_ids, n, hs_store_users_ensure, ret);
}

hs_error *hs_user_nid(hs_server *srv, hs_arena *a, hs_str user_id, hs_nid *ret)
{
    return nids(srv, a, &user_id, 1, hs_store_users_ensure, ret);
}

hs_error *hs_user_nid_find(hs_server *srv, hs_arena *a, hs_str user_id, hs_nid *ret)
{
    return nids(srv, a, &user_id, 1, hs_store_users_find, ret);
}

hs_error *hs_user_names(hs_server *srv, hs_arena *a, const hs_nid *users, size_t n, hs_str *ret)
{
    hs_nid *missing;
    size_t *where;
    hs_str *found;
    size_t m = 0;

    HS_TRY(hs_alloc(a, n, &missing));
    HS_TRY(hs_alloc(a, n, &where));
    HS_TRY(hs_alloc(a, n, &found));
    for (size_t i = 0; i < n; i++) {
        record *r = hs_map_get_n(srv->names->by_nid, (uint64_t)users[i]);
        if (used(srv->names, r)) {
            HS_TRY(hs_str_dup(a, hs_str_make(r->id, r->n), &ret[i]));
        } else {
            missing[m] = users[i];
            where[m++] = i;
        }
    }
    if (!m)
        return NULL;
    HS_TRY(hs_store_user_ids(srv->db, a, missing, m, found));
    for (size_t i = 0; i < m; i++) {
        if (!found[i].p)
            return hs_err_internal(a, NULL, "no user has the number %lld", (long long)missing[i]);
        remember(srv->names, found[i], missing[i], false);
        ret[where[i]] = found[i];
    }
    return NULL;
}

hs_error *hs_user_name(hs_server *srv, hs_arena *a, hs_nid user, hs_str *ret)
{
    return hs_user_names(srv, a, &user, 1, ret);
}

hs_error *hs_server_nid(hs_server *srv, hs_arena *a, hs_str server_name, hs_nid *ret)
{
    hs_nid known = used(srv->names, hs_map_get(srv->names->servers, server_name));

    if (!known) {
        HS_TRY(hs_store_servers_ensure(srv->db, a, &server_name, 1, &known));
        remember(srv->names, server_name, known, true);
    }
    *ret = known;
    return NULL;
}

bool hs_user_is_local(const hs_server *srv, hs_str user_id)
{
    hs_str server = hs_str_from(user_id, hs_str_find(user_id, ':', 0) + 1);
    return hs_str_eq(server, srv->server_name);
}
