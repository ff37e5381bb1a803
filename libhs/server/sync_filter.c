/* Filters of /sync, compiled and shared. */
#include "server/sync.h"
#include "server/sync_recent.h"
#include "store/account_data.h"

#include "base/checked.h"

#include <stdlib.h>

enum { ARENA_MAX = 1 << 20 };

hs_sync_filter *hs_sync_filter_ref(hs_sync_filter *f)
{
    f->refs++;
    return f;
}

void hs_sync_filter_unref(hs_sync_filter *f)
{
    if (!f || --f->refs)
        return;
    hs_arena_close(f->arena);
    free(f);
}

static void unref(void *f)
{
    hs_sync_filter_unref(f);
}

static void clear(hs_server *srv)
{
    size_t it = 0;
    hs_str key;
    void *v;

    while (srv->waiters->filters && hs_map_next(srv->waiters->filters, &it, &key, &v))
        hs_sync_filter_unref(v);
    if (srv->waiters->filters)
        hs_map_close(srv->waiters->filters);
    srv->waiters->filters = NULL;
    srv->waiters->filter_cache.entries = srv->waiters->filter_cache.bytes = 0;
}

/* All of them: they are few, and those in use live on with their requests. */
void hs_sync_filters_trim(void *ud)
{
    hs_server *srv = ud;
    hs_cache *c = &srv->waiters->filter_cache;

    if (!hs_cache_over(c))
        return;
    c->evicted += c->entries;
    clear(srv);
}

void hs_sync_filters_close(hs_server *srv)
{
    clear(srv);
}

static hs_error *read_filter(hs_arena *a, hs_str json, hs_sync_filter *f)
{
    hs_jv v;
    hs_str own;

    if (!json.p) {
        f->filter = hs_filter_default();
        return NULL;
    }
    HS_TRY(hs_str_dup(f->arena, json, &own));
    if (hs_tape_parse(f->arena, own, HS_JSON_OBJECT | HS_JSON_DUP_KEYS_LAST, &v))
        return hs_err(a, 400, HS_M_NOT_JSON, "Invalid filter JSON");
    return hs_filter_read(f->arena, v, &f->filter);
}

static hs_error *compile(hs_server *srv, hs_arena *a, hs_str key, hs_str json, hs_sync_filter **ret)
{
    struct hs_waiters *w = srv->waiters;
    hs_sync_filter *f = calloc(1, sizeof *f);
    void *old = NULL;
    hs_error *e;

    if (!f)
        return HS_ERR_NOMEM;
    f->refs = 1;
    f->id = ++w->next_filter;
    f->arena = hs_arena_open(ARENA_MAX);
    if (!f->arena) {
        free(f);
        return HS_ERR_NOMEM;
    }
    e = read_filter(a, json, f);
    if (e) {
        /* The error may live with the filter. */
        hs_error *told = hs_err(a, e->status, e->code, "%.*s", HS_FMT(e->message));

        hs_sync_filter_unref(f);
        return told;
    }
    hs_sync_filters_trim(srv);
    if (!w->filters)
        w->filters = hs_map_open(srv->hash_seed);
    if (w->filters && hs_map_put(w->filters, key, f, &old)) {
        if (old) { /* somebody else was faster */
            hs_sync_filter_unref(old);
        } else {
            hs_cache_added(&w->filter_cache, sizeof *f + key.n + HS_CACHE_SLOT +
                                                 ((hs_arena_used(f->arena) + HS_KIB(4)) & ~(HS_KIB(4) - 1)));
        }
        f->refs++;
    }
    *ret = f;
    return NULL;
}

hs_error *hs_sync_filter_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str s, hs_sync_filter **ret)
{
    hs_str key = s.p ? s : HS_S("default"), json = s;
    hs_sync_filter *f;
    int64_t id;
    bool inline_json = s.n && s.p[0] == '{';

    if (s.p && !inline_json)
        HS_TRY(hs_str_fmt(a, &key, "%lld/%.*s", (long long)who->user, HS_FMT(s)));
    f = srv->waiters->filters ? hs_map_get(srv->waiters->filters, key) : NULL;
    hs_cache_asked(&srv->waiters->filter_cache, f != NULL);
    if (!f) {
        if (s.p && !inline_json) {
            if (!hs_str_to_i64(s, &id))
                return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid filter ID");
            HS_TRY(hs_store_filter_get(srv->db, a, who->user, id, &json));
            if (!json.p)
                return hs_err(a, 400, HS_M_INVALID_PARAM, "No such filter");
        }
        HS_TRY(compile(srv, a, key, json, &f));
    } else {
        hs_sync_filter_ref(f);
    }
    *ret = f;
    return hs_arena_on_reset(a, unref, f);
}
