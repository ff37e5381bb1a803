/* After the flush: what a batch of units wrote is told to those who keep state from it.
 *
 * The store hands over each durable batch before its writers resume. Each listener sees all units of the batch in
 * order before the next listener sees any: caches are current when waiters look. Where other workers write too, their
 * transactions and ours are told in one order of position: fanout_follow.c. */
#include "server/fanout.h"

#include "server/cache.h"
#include "server/news_encode.h"

static hs_error *encode(void *ud, hs_arena *a, const hs_told *units, size_t n, hs_str *ret_msg)
{
    (void)ud;
    return hs_news_encode(a, units, n, ret_msg);
}

static void note_rooms(struct hs_feed *f, int64_t first, const hs_news *news)
{
    for (size_t i = 0; i < news->events_n; i++) {
        int64_t pos = first + news->events[i].at;
        if (!hs_map_put_n(f->rooms, (uint64_t)news->events[i].room, (void *)(uintptr_t)pos, NULL))
            f->floor = pos; /* no memory: everybody asks the store about what was so far */
    }
}

void hs_fanout_tell(struct hs_feed *f, int64_t pos, const hs_told *units, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (units[i].news)
            note_rooms(f, units[i].first, units[i].news);
    if (pos > f->position)
        f->position = pos;
    for (size_t l = 0; l < f->listeners_n; l++)
        for (size_t i = 0; i < n; i++)
            if (units[i].news)
                f->listeners[l](f->listener_ud[l], units[i].first, units[i].news);
    hs_fiber_wake_all(&f->moved);
}

static bool told(void *ud, hs_told_batch *batch)
{
    struct hs_feed *f = ud;

    if (f->srv->shared)
        return hs_follow_own(f, batch);
    hs_fanout_tell(f, batch->pos, batch->units, batch->n);
    return true;
}

/* Caches and tokens hold what never happened. Nothing is answered from them, and whoever runs the worker starts it
 * anew: clients then go on from where the database is. */
static void went_back(void *ud, int64_t newest)
{
    struct hs_feed *f = ud;

    if (f->srv->lost)
        return;
    hs_log(f->srv->log, HS_LOG_ERROR, "database.went_back",
           "the database ends at position %lld, but %lld was saved: a standby that had not received everything, or a"
           " restored backup; this process ends and has to be started again",
           (long long)newest, (long long)f->position);
    f->srv->lost = true;
    hs_loop_stop(f->srv->loop);
}

hs_error *hs_fanout_open(hs_server *srv, hs_arena *a)
{
    struct hs_feed *f;

    (void)a;
    HS_TRY(hs_alloc(srv->arena, 1, &f));
    f->srv = srv;
    f->position = f->floor = hs_write_durable(srv->db);
    f->rooms = hs_map_open(srv->hash_seed);
    if (!f->rooms)
        return HS_ERR_NOMEM;
    srv->feed = f;
    hs_write_set_hooks(srv->db, &(hs_write_hooks){ .encode = encode, .told = told, .went_back = went_back, .ud = f });
    return NULL;
}

hs_error *hs_fanout_start(hs_server *srv)
{
    return srv->shared ? hs_follow_open(srv->feed) : NULL;
}

void hs_fanout_stop(hs_server *srv)
{
    if (srv->feed && srv->shared)
        hs_follow_close(srv->feed);
}

void hs_fanout_close(hs_server *srv)
{
    if (!srv->feed)
        return;
    hs_write_set_hooks(srv->db, &(hs_write_hooks){ 0 });
    hs_map_close(srv->feed->rooms);
    srv->feed = NULL;
}

hs_error *hs_fanout_listen(hs_server *srv, hs_news_listener *fn, void *ud)
{
    struct hs_feed *f = srv->feed;

    if (f->listeners_n == HS_NEWS_LISTENERS_MAX)
        return hs_err_internal(srv->arena, NULL, "too many listeners");
    f->listener_ud[f->listeners_n] = ud;
    f->listeners[f->listeners_n++] = fn;
    return NULL;
}

int64_t hs_fanout_position(const hs_server *srv)
{
    return srv->feed->position;
}

int64_t hs_fanout_room_position(const hs_server *srv, hs_nid room)
{
    return (int64_t)(uintptr_t)hs_map_get_n(srv->feed->rooms, (uint64_t)room);
}

int64_t hs_fanout_floor(const hs_server *srv)
{
    return srv->feed->floor;
}
