/* See names.h. Two maps over one record a user; records live as long as the server, so that a cached name can be handed
 * out without a copy. Names are small and bounded by what the rooms here have members; nothing is ever evicted. */
#include "server/names.h"

#include "base/map.h"
#include "store/names.h"

#include <stdlib.h>

typedef struct {
    hs_nid nid;
    size_t n;
    char id[];
} record;

struct hs_names {
    hs_map *by_id, *by_nid; /* users: record */
    hs_map *servers;        /* name → record (id unused) */
};

hs_error *hs_names_open(hs_server *srv, hs_arena *a)
{
    struct hs_names *n;

    HS_TRY(hs_alloc(a, 1, &n));
    n->by_id = hs_map_open(srv->hash_seed);
    n->by_nid = hs_map_open(srv->hash_seed);
    n->servers = hs_map_open(srv->hash_seed);
    srv->names = n;
    return n->by_id && n->by_nid && n->servers ? NULL : HS_ERR_NOMEM;
}

static void free_all(hs_map *m)
{
    size_t it = 0;
    hs_str key;
    void *v;

    while (m && hs_map_next(m, &it, &key, &v))
        free(v);
    hs_map_close(m);
}

void hs_names_close(hs_server *srv)
{
    if (!srv->names)
        return;
    hs_map_close(srv->names->by_nid);
    free_all(srv->names->by_id);
    free_all(srv->names->servers);
    srv->names = NULL;
}

static record *record_new(hs_str id, hs_nid nid)
{
    record *r = malloc(sizeof *r + id.n);

    if (!r)
        return NULL;
    r->nid = nid;
    r->n = id.n;
    memcpy(r->id, id.p, id.n);
    return r;
}

/* Without memory the name is simply not cached. */
static void remember(struct hs_names *n, hs_str id, hs_nid nid)
{
    record *r;

    if (hs_map_get(n->by_id, id) || !(r = record_new(id, nid)))
        return;
    if (!hs_map_put(n->by_id, id, r, NULL)) {
        free(r);
        return;
    }
    if (!hs_map_put_n(n->by_nid, (uint64_t)nid, r, NULL)) {
        hs_map_remove(n->by_id, id);
        free(r);
    }
}

hs_nid hs_user_nid_cached(hs_server *srv, hs_str user_id)
{
    const record *r = hs_map_get(srv->names->by_id, user_id);
    return r ? r->nid : 0;
}

hs_str hs_user_name_cached(hs_server *srv, hs_nid user)
{
    const record *r = hs_map_get_n(srv->names->by_nid, (uint64_t)user);
    return r ? hs_str_make(r->id, r->n) : hs_str_make(NULL, 0);
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
        ret[i] = hs_user_nid_cached(srv, ids[i]);
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
            remember(srv->names, missing[i], found[i]);
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
        ret[i] = hs_user_name_cached(srv, users[i]);
        if (!ret[i].p) {
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
        remember(srv->names, found[i], missing[i]);
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
    const record *cached = hs_map_get(srv->names->servers, server_name);
    record *r;

    if (cached) {
        *ret = cached->nid;
        return NULL;
    }
    HS_TRY(hs_store_servers_ensure(srv->db, a, &server_name, 1, ret));
    r = record_new(server_name, *ret);
    if (r && !hs_map_put(srv->names->servers, server_name, r, NULL))
        free(r);
    return NULL;
}

bool hs_user_is_local(const hs_server *srv, hs_str user_id)
{
    hs_str server = hs_str_from(user_id, hs_str_find(user_id, ':', 0) + 1);
    return hs_str_eq(server, srv->server_name);
}
