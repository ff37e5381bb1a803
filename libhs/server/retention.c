/* See retention.h. The duty walks through all rooms by what their summaries say, page by page, as often as the purge
 * jobs of the configuration want, each for the lifetimes in its range; what is to go goes as a job of purge_history.c.
 * Summaries that were written by releases without the duty do not say what their room's state does: once, they are all
 * told. */
#include "server/retention.h"

#include "server/leases.h"
#include "server/purge_history.h"
#include "store/names.h"
#include "store/retention.h"

#define SUMMARIES_TOLD "retention_summaries_told" /* in meta, with the time */

enum { ROOMS_AT_ONCE = 200, FIRST_MS = 60 * 1000, DAY_MS = 24 * 3600 * 1000 };

typedef struct {
    hs_server *srv;
    hs_config_purge_job one; /* when none is configured */
    const hs_config_purge_job *jobs;
    size_t n;
    int64_t *next; /* loop time of each job's next turn */
    bool told;     /* summaries say what the rooms' state does */
} retention;

hs_error *hs_retention_oldest(hs_server *srv, hs_arena *a, hs_room *room, int64_t *ret)
{
    int64_t max = srv->config->retention.default_max_ms;
    hs_stored *policy;

    *ret = INT64_MIN;
    if (!srv->config->retention.enabled)
        return NULL;
    HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.retention"), HS_S(""), &policy));
    if (policy)
        (void)hs_jv_int(hs_jv_get(policy->ev->content, HS_S("max_lifetime")), &max);
    if (max > 0)
        *ret = hs_loop_wall(srv->loop) - max;
    return NULL;
}

/* 0: it has none in the range. `own`: the room's; 0: it has none. */
static int64_t lifetime(const hs_config *c, const hs_config_purge_job *j, int64_t own)
{
    int64_t max = own > 0 ? own : c->retention.default_max_ms;

    if (max <= 0 || (j->shortest_ms && max <= j->shortest_ms) || (j->longest_ms && max > j->longest_ms))
        return 0;
    if (c->retention.allowed_min_ms && max < c->retention.allowed_min_ms)
        max = c->retention.allowed_min_ms;
    if (c->retention.allowed_max_ms && max > c->retention.allowed_max_ms)
        max = c->retention.allowed_max_ms;
    return max;
}

static hs_error *purge_rooms(retention *r, hs_lease *l, hs_arena *a, const hs_config_purge_job *j)
{
    const hs_config *c = r->srv->config;
    hs_retained_room *rooms;
    hs_nid after = 0;
    size_t n;

    do {
        HS_TRY(hs_store_retained_rooms(r->srv->db, a, after, ROOMS_AT_ONCE, &rooms, &n));
        for (size_t i = 0; i < n && hs_lease_ok(l); i++) {
            int64_t max = lifetime(c, j, rooms[i].max_ms);
            after = rooms[i].room;
            if (max)
                HS_TRY(hs_purge_history_expire(r->srv, a, rooms[i].room, rooms[i].room_id,
                                               hs_loop_wall(r->srv->loop) - max));
        }
    } while (n == ROOMS_AT_ONCE && hs_lease_ok(l));
    return NULL;
}

/* ── what was set before summaries were told ── */

/* 0: none that means anything. */
static int64_t lifetime_in(hs_arena *a, hs_str event)
{
    int64_t max = 0;
    hs_jv ev;

    if (!event.p || hs_tape_parse(a, event, HS_JSON_OBJECT, &ev))
        return 0;
    (void)hs_jv_int(hs_jv_get(hs_jv_get(ev, HS_S("content")), HS_S("max_lifetime")), &max);
    return max > 0 ? max : 0;
}

static hs_error *tell_page(retention *r, hs_lease *l, hs_arena *a, const hs_room_policy *rooms, size_t n)
{
    hs_write_result result;
    hs_write *w = NULL;

    for (size_t i = 0; i < n; i++) {
        int64_t max = lifetime_in(a, rooms[i].event);
        if (!max)
            continue;
        if (!w) {
            HS_TRY(hs_write_open(r->srv->db, a, &w));
            HS_TRY(hs_lease_fence(l, w));
        }
        HS_TRY(hs_store_room_policy_set(w, rooms[i].room, rooms[i].pos, max));
    }
    if (!w)
        return NULL;
    HS_TRY(hs_write_commit(w, &result));
    return result.status == HS_WRITE_OK ? NULL : hs_err(a, 503, HS_M_UNKNOWN, "The lease has moved on");
}

static hs_error *tell_summaries(retention *r, hs_lease *l, hs_arena *a)
{
    const int64_t slot = hs_slot(r->srv->slot_key, HS_S("m.room.retention"), HS_S(""));
    hs_room_policy *rooms;
    hs_str done, now;
    hs_nid after = 0;
    size_t n;

    HS_TRY(hs_store_meta_get(r->srv->db, a, HS_S(SUMMARIES_TOLD), &done));
    if (done.p) {
        r->told = true;
        return NULL;
    }
    do {
        HS_TRY(hs_store_room_policies(r->srv->db, a, slot, after, ROOMS_AT_ONCE, &rooms, &n));
        HS_TRY(tell_page(r, l, a, rooms, n));
        if (n)
            after = rooms[n - 1].room;
    } while (n == ROOMS_AT_ONCE && hs_lease_ok(l));
    if (n == ROOMS_AT_ONCE) /* not to the end: whoever has the lease now begins anew */
        return NULL;
    HS_TRY(hs_str_fmt(a, &now, "%lld", (long long)hs_loop_wall(r->srv->loop)));
    HS_TRY(hs_store_meta_ensure(r->srv->db, a, HS_S(SUMMARIES_TOLD), now, &done));
    r->told = true;
    return NULL;
}

static hs_error *run(hs_lease *l, hs_arena *a, void *ud)
{
    retention *r = ud;

    if (!r->told)
        HS_TRY(tell_summaries(r, l, a));
    for (size_t i = 0; i < r->n && hs_lease_ok(l); i++) {
        if (hs_loop_now(r->srv->loop) < r->next[i])
            continue;
        HS_TRY(purge_rooms(r, l, a, &r->jobs[i]));
        r->next[i] = hs_loop_now(r->srv->loop) + r->jobs[i].interval_ms;
    }
    return NULL;
}

hs_error *hs_retention_open(hs_server *srv)
{
    const hs_config *c = srv->config;
    int64_t shortest = DAY_MS;
    retention *r;

    if (!c->retention.enabled)
        return NULL;
    HS_TRY(hs_alloc(srv->arena, 1, &r));
    r->srv = srv;
    r->one = (hs_config_purge_job){ .interval_ms = DAY_MS };
    r->jobs = c->retention.jobs_n ? c->retention.jobs : &r->one;
    r->n = c->retention.jobs_n ? c->retention.jobs_n : 1;
    HS_TRY(hs_alloc(srv->arena, r->n, &r->next));
    for (size_t i = 0; i < r->n; i++)
        shortest = r->jobs[i].interval_ms < shortest ? r->jobs[i].interval_ms : shortest;
    return hs_lease_duty(srv, &(hs_duty){ .name = "retention",
                                          .shards = 1,
                                          .roles = HS_ROLE_BACKGROUND,
                                          .first_ms = shortest < FIRST_MS ? shortest : FIRST_MS,
                                          .every_ms = shortest,
                                          .run = run,
                                          .ud = r });
}
