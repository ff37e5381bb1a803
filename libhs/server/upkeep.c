/* Rounds of upkeep: transaction ids after a day, rows of the feed after a week, the content of redacted events after
 * what redaction_retention_period says; media ids that nothing was uploaded to; jobs that have ended, after a week;
 * authentications that nobody finished; events of other servers that have waited a week for what they name; which
 * events were sticky.
 * Old push notes go or become one, NOTES_AT_ONCE of them a transaction and NOTES_A_ROUND a round, which begins where
 * the one before ended. */
#include "server/upkeep.h"

#include "core/event.h"
#include "server/account_validity.h"
#include "server/news.h"
#include "server/uia.h"
#include "store/events.h"
#include "store/gaps.h"
#include "store/jobs.h"
#include "store/media.h"
#include "store/note_upkeep.h"
#include "store/rooms.h"
#include "store/sticky.h"
#include "store/uia.h"

#define FIRST_MS       (INT64_C(60) * 1000)
#define EVERY_MS       (INT64_C(10) * 60 * 1000)
#define TXN_KEEP_MS    (INT64_C(24) * 3600 * 1000)
#define FEED_KEEP_MS   (INT64_C(7) * 24 * 3600 * 1000)
#define JOB_KEEP_MS    (INT64_C(7) * 24 * 3600 * 1000)
#define STAGE_KEEP_MS  (INT64_C(7) * 24 * 3600 * 1000)
#define CENSOR_AT_ONCE 100
#define NOTES_AT_ONCE  2000
#define NOTES_A_ROUND  100000

static bool goes_on(const hs_lease *l)
{
    return !l || hs_lease_ok(l);
}

typedef hs_error *expire_slice(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n);

/* In slices, each its own transaction: a long one would hold back vacuum. */
static hs_error *expire(hs_server *srv, hs_lease *l, hs_arena *a, expire_slice *slice, int64_t before_ts)
{
    uint64_t n = 1;
    hs_tx *tx;

    while (n && goes_on(l)) {
        HS_TRY(hs_tx_begin(srv->db, a, &tx));
        if (l)
            HS_TRY(hs_lease_fence_tx(l, a, tx));
        HS_TRY(slice(tx, a, before_ts, &n));
        HS_TRY(hs_tx_commit(tx));
    }
    return NULL;
}

/* The pruned form takes the place of the bytes: what was said is gone. */
static hs_error *censor(hs_server *srv, hs_lease *l, hs_arena *a, const hs_redaction_row *r)
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
    if (l)
        HS_TRY(hs_lease_fence(l, w));
    HS_TRY(hs_store_event_censor(w, r->room, r->target, pruned));
    return hs_write_commit(w, &res);
}

static hs_error *censor_due(hs_server *srv, hs_lease *l, hs_arena *a)
{
    int64_t keep = srv->config->redaction_retention_ms;
    hs_redaction_row *due;
    size_t n;

    if (keep <= 0)
        return NULL; /* kept for ever */
    HS_TRY(hs_store_redactions_due(srv->db, a, hs_loop_wall(srv->loop) - keep, CENSOR_AT_ONCE, &due, &n));
    for (size_t i = 0; i < n && goes_on(l); i++)
        HS_TRY(censor(srv, l, a, &due[i]));
    return NULL;
}

static hs_error *mark_position(hs_server *srv, hs_lease *l, hs_arena *a, int64_t now)
{
    hs_tx *tx;

    HS_TRY(hs_tx_begin(srv->db, a, &tx));
    if (l)
        HS_TRY(hs_lease_fence_tx(l, a, tx));
    HS_TRY(hs_store_note_mark(tx, a, now, hs_fanout_position(srv)));
    return hs_tx_commit(tx);
}

static hs_error *expire_notes(hs_server *srv, hs_lease *l, hs_arena *a, int64_t now)
{
    hs_note_horizon horizon;
    bool end = false;
    hs_tx *tx;

    HS_TRY(mark_position(srv, l, a, now));
    HS_TRY(hs_store_note_horizon(srv->db, a, now, &horizon));
    for (int n = 0; horizon.plain && !end && n < NOTES_A_ROUND && goes_on(l); n += NOTES_AT_ONCE) {
        HS_TRY(hs_tx_begin(srv->db, a, &tx));
        if (l)
            HS_TRY(hs_lease_fence_tx(l, a, tx));
        HS_TRY(hs_store_notes_slice(tx, a, &horizon, NOTES_AT_ONCE, &srv->notes_at, &end));
        HS_TRY(hs_tx_commit(tx));
    }
    if (end)
        srv->notes_at = (hs_note_key){ 0 };
    return NULL;
}

hs_error *hs_upkeep_run(hs_server *srv, hs_lease *l, hs_arena *a)
{
    int64_t now = hs_loop_wall(srv->loop);

    HS_TRY(expire(srv, l, a, hs_store_txns_expire, now - TXN_KEEP_MS));
    HS_TRY(expire_notes(srv, l, a, now));
    HS_TRY(expire(srv, l, a, hs_store_feed_expire, now - FEED_KEEP_MS));
    HS_TRY(expire(srv, l, a, hs_store_media_expire_unused, now));
    HS_TRY(expire(srv, l, a, hs_store_uia_expire, now - HS_UIA_SESSION_MS));
    HS_TRY(expire(srv, l, a, hs_store_jobs_expire, now - JOB_KEEP_MS));
    HS_TRY(expire(srv, l, a, hs_store_stage_expire, now - STAGE_KEEP_MS));
    HS_TRY(expire(srv, l, a, hs_store_sticky_expire, now));
    HS_TRY(hs_account_validity_begin(srv, a));
    return censor_due(srv, l, a);
}

static hs_error *run(hs_lease *l, hs_arena *a, void *ud)
{
    return hs_upkeep_run(ud, l, a);
}

hs_error *hs_upkeep_open(hs_server *srv)
{
    return hs_lease_duty(srv, &(hs_duty){ .name = "upkeep",
                                          .shards = 1,
                                          .roles = HS_ROLE_BACKGROUND,
                                          .first_ms = FIRST_MS,
                                          .every_ms = EVERY_MS,
                                          .run = run,
                                          .ud = srv });
}
