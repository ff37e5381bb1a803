/* Rounds of upkeep: transaction ids after a day, rows of the feed after a week, the content of redacted events after
 * what redaction_retention_period says. */
#include "server/upkeep.h"

#include "core/event.h"
#include "store/events.h"
#include "store/rooms.h"

#include "base/checked.h"

#define FIRST_MS       (INT64_C(60) * 1000)
#define EVERY_MS       (INT64_C(10) * 60 * 1000)
#define TXN_KEEP_MS    (INT64_C(24) * 3600 * 1000)
#define FEED_KEEP_MS   (INT64_C(7) * 24 * 3600 * 1000)
#define CENSOR_AT_ONCE 100
#define ARENA_CAP      HS_MIB(64)

struct hs_upkeep {
    hs_server *srv;
    hs_timer timer;
    bool running, closing;
};

/* The pruned form takes the place of the bytes: what was said is gone. */
static hs_error *censor(hs_server *srv, hs_arena *a, const hs_redaction_row *r)
{
    hs_write_result res;
    hs_room_row room;
    hs_event_row row;
    hs_event *ev;
    hs_write *w;
    hs_str pruned;

    HS_TRY(hs_store_rooms(srv->db, a, &r->room, 1, &room));
    const hs_roomver *rv = room.room ? hs_roomver_find(room.version) : NULL;
    HS_TRY(hs_store_events(srv->db, a, r->room, &r->target, 1, &row));
    if (!rv || !row.event || !row.json.p)
        return hs_err_internal(a, NULL, "redacted event %lld is missing", (long long)r->target);
    HS_TRY(hs_event_read(a, rv, row.json, row.event_id, &ev));
    HS_TRY(hs_event_redact(a, ev, &pruned));
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_event_censor(w, r->room, r->target, pruned));
    return hs_write_commit(w, &res);
}

static hs_error *censor_due(hs_server *srv, hs_arena *a)
{
    int64_t keep = srv->config->redaction_retention_ms;
    hs_redaction_row *due;
    size_t n;

    if (keep <= 0)
        return NULL; /* kept for ever */
    HS_TRY(hs_store_redactions_due(srv->db, a, hs_loop_wall(srv->loop) - keep, CENSOR_AT_ONCE, &due, &n));
    for (size_t i = 0; i < n; i++)
        HS_TRY(censor(srv, a, &due[i]));
    return NULL;
}

hs_error *hs_upkeep_run(hs_server *srv, hs_arena *a)
{
    int64_t now = hs_loop_wall(srv->loop);

    HS_TRY(hs_store_txns_expire(srv->db, a, now - TXN_KEEP_MS));
    HS_TRY(hs_store_feed_expire(srv->db, a, now - FEED_KEEP_MS));
    return censor_due(srv, a);
}

static void run(void *ud)
{
    struct hs_upkeep *u = ud;
    hs_arena *a = hs_arena_open(ARENA_CAP);
    hs_error *e = a ? hs_upkeep_run(u->srv, a) : HS_ERR_NOMEM;

    if (e && !u->closing)
        hs_log_error(u->srv->log, HS_LOG_WARN, HS_S(""), "upkeep.failed", e);
    hs_arena_close(a);
    u->running = false;
    if (!u->closing && hs_timer_arm(u->srv->loop, &u->timer, EVERY_MS))
        hs_log(u->srv->log, HS_LOG_ERROR, "upkeep.ends", "no memory for its timer");
}

static void begin(hs_timer *t)
{
    struct hs_upkeep *u = t->ud;

    u->running = true;
    if (hs_fiber_spawn(u->srv->loop, run, u)) {
        u->running = false;
        if (hs_timer_arm(u->srv->loop, &u->timer, EVERY_MS))
            hs_log(u->srv->log, HS_LOG_ERROR, "upkeep.ends", "no memory for its timer");
    }
}

hs_error *hs_upkeep_open(hs_server *srv, hs_arena *a)
{
    struct hs_upkeep *u;

    HS_TRY(hs_alloc(a, 1, &u));
    u->srv = srv;
    u->timer = (hs_timer){ .fn = begin, .ud = u };
    srv->upkeep = u;
    return hs_timer_arm(srv->loop, &u->timer, FIRST_MS);
}

void hs_upkeep_close(hs_server *srv)
{
    struct hs_upkeep *u = srv->upkeep;

    if (!u)
        return;
    u->closing = true;
    hs_timer_disarm(srv->loop, &u->timer);
    while (u->running) {
        if (hs_fiber_self(srv->loop))
            hs_fiber_sleep(srv->loop, 1);
        else
            hs_loop_turn(srv->loop, 1);
    }
    srv->upkeep = NULL;
}
