/* See purge_history.h. Messages below a depth are deleted; state events, which the room's state and the auth rules
 * need, leave the timeline only. Then the states that no event has any more go, and a marker in the timeline makes all
 * workers forget what they have in memory. */
#include "server/purge_history.h"

#include "server/event_write.h"
#include "store/events.h"
#include "store/purge_history.h"
#include "store/rooms.h"
#include "store/state_purge.h"
#include "store/timeline.h"

enum { STEP_MS = 700, ROWS_AT_ONCE = 1000, PAST_AT_ONCE = 20000, MARK_TRIES = 20 };
#define START (-HS_JSON_INT_MAX)

typedef enum { EVENTS, RELATIONS, STATES, MARK } stage;

typedef struct {
    hs_job *j;
    hs_arena *a;
    hs_server *srv;
    hs_nid room;
    hs_history_cut cut;
    int64_t stage, cursor, purged;
} run;

static int64_t number(hs_jv obj, const char *key, int64_t otherwise)
{
    (void)hs_jv_int(hs_jv_get(obj, hs_str_c(key)), &otherwise);
    return otherwise;
}

/* A room keeps an event to go on from. */
static hs_error *check_depth(run *r)
{
    hs_timeline_row head;
    bool found;

    HS_TRY(hs_store_head(r->srv->db, r->a, r->room, &head, &found));
    if (!found || head.depth < r->cut.depth)
        return hs_err(r->a, 400, HS_M_UNKNOWN, "topological_ordering is greater than forward extremities");
    return NULL;
}

static hs_error *purge_slice(run *r)
{
    uint64_t n, limit = ROWS_AT_ONCE;
    hs_tx *tx;

    HS_TRY(hs_job_begin(r->j, r->a, &tx));
    if (r->stage == EVENTS) {
        HS_TRY(hs_store_history_slice(tx, r->a, &r->cut, &r->cursor, &n));
        r->purged += (int64_t)n;
    } else if (r->stage == RELATIONS) {
        HS_TRY(hs_store_history_relations(tx, r->a, r->room, &r->cursor, ROWS_AT_ONCE, &n));
    } else {
        HS_TRY(hs_store_state_purge(tx, r->a, r->room, PAST_AT_ONCE, &n));
        limit = 1;
    }
    HS_TRY(hs_tx_commit(tx));
    if (n < limit) {
        r->stage++;
        r->cursor = START;
    }
    return NULL;
}

static hs_error *mark_once(run *r, hs_write_status *ret)
{
    hs_timeline_row head;
    hs_write_result res;
    hs_write *w;
    bool found;

    *ret = HS_WRITE_OK;
    if (!r->purged) /* nothing that anybody could have in memory */
        return NULL;
    HS_TRY(hs_store_head(r->srv->db, r->a, r->room, &head, &found));
    if (!found)
        return NULL;
    HS_TRY(hs_write_open(r->srv->db, r->a, &w));
    HS_TRY(hs_job_fence(r->j, w));
    HS_TRY(hs_room_write_marker(w, &head, (hs_snap){ head.line, head.snap }));
    HS_TRY(hs_write_commit(w, &res));
    *ret = res.status;
    return NULL;
}

static hs_error *mark(run *r)
{
    hs_write_status status = HS_WRITE_STALE;

    for (int i = 0; i < MARK_TRIES && status == HS_WRITE_STALE; i++)
        HS_TRY(mark_once(r, &status));
    if (status != HS_WRITE_OK)
        return hs_err(r->a, 503, HS_M_UNKNOWN, "The room is changing too fast");
    r->j->done = true;
    hs_log(r->srv->log, HS_LOG_INFO, "room.history_purged", "%lld events of %.*s", (long long)r->purged,
           HS_FMT(r->j->row->resource));
    return NULL;
}

static hs_error *step(hs_job *j, hs_arena *a, void *ud)
{
    run r = { .j = j, .a = a, .srv = ud, .stage = number(j->progress, "stage", EVENTS) };
    int64_t began = hs_loop_now(r.srv->loop);
    hs_error *e = NULL;
    hs_room_row row;

    HS_TRY(hs_store_room_by_id(r.srv->db, a, j->row->resource, &row));
    r.room = row.room;
    r.cursor = number(j->progress, "cursor", START);
    r.purged = number(j->progress, "purged", 0);
    r.cut = (hs_history_cut){
        .room = r.room, .local_server = r.srv->server_nid, .depth = number(j->params, "depth", 0), .limit = ROWS_AT_ONCE
    };
    (void)hs_jv_bool(hs_jv_get(j->params, HS_S("delete_local_events")), &r.cut.local);
    if (!row.room || row.flags & HS_ROOM_BEING_DELETED) { /* nothing is left to be purged */
        j->done = true;
        return NULL;
    }
    HS_TRY(check_depth(&r));
    while (!e && r.stage < MARK && hs_job_goes_on(j) && hs_loop_now(r.srv->loop) - began < STEP_MS) {
        int64_t t = hs_loop_now(r.srv->loop);
        e = purge_slice(&r);
        hs_fiber_sleep(r.srv->loop, hs_loop_now(r.srv->loop) - t + 1); /* others want the database too */
    }
    if (!e && r.stage == MARK)
        e = mark(&r);
    HS_TRY(hs_str_fmt(a, &j->saved, "{\"stage\":%lld,\"cursor\":%lld,\"purged\":%lld}", (long long)r.stage,
                      (long long)r.cursor, (long long)r.purged));
    return e;
}

hs_error *hs_purge_history_open(hs_server *srv)
{
    return hs_jobs_kind(srv, HS_JOB_PURGE_HISTORY, step, srv);
}

/* ── asking for it ── */

static hs_error *start(hs_server *srv, hs_arena *a, hs_str room_id, int64_t depth, bool local, bool single, hs_str *ret)
{
    hs_job_wish job = { .kind = HS_JOB_PURGE_HISTORY, .resource = room_id, .single = single };

    HS_TRY(hs_str_fmt(a, &job.params, "{\"depth\":%lld,\"delete_local_events\":%s}", (long long)depth,
                      local ? "true" : "false"));
    return hs_job_add(srv, a, &job, ret);
}

hs_error *hs_purge_history_to_event(hs_server *srv, hs_arena *a, hs_str room_id, hs_str event_id, bool local,
                                    hs_str *ret)
{
    hs_event_row row = { 0 };
    hs_room_row room = { 0 };

    if (event_id.n && event_id.n <= 255 && hs_str_is_utf8(event_id) && !memchr(event_id.p, 0, event_id.n))
        HS_TRY(hs_store_events_by_id(srv->db, a, 0, &event_id, 1, &row));
    if (!row.event)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Could not find event %.*s", HS_FMT(event_id));
    HS_TRY(hs_store_rooms(srv->db, a, &row.room, 1, &room));
    if (!hs_str_eq(room.room_id, room_id))
        return hs_err(a, 400, HS_M_UNKNOWN, "Event is for wrong room.");
    return start(srv, a, room_id, row.depth, local, false, ret);
}

/* When the event of a row was received; INT64_MAX for a marker. */
static hs_error *received(hs_server *srv, hs_arena *a, hs_nid room, const hs_timeline_row *row, int64_t *ret)
{
    hs_stored *s = NULL;

    if (row->event)
        HS_TRY(hs_events_load(srv, a, room, &row->event, 1, &s));
    *ret = s ? s->received_ts : INT64_MAX;
    return NULL;
}

/* Positions rise with the time at which events were received: the newest row before `ts` is found by halves. */
static hs_error *depth_at(hs_server *srv, hs_arena *a, hs_nid room, int64_t ts, int64_t *ret, bool *ret_found)
{
    int64_t low = 0, high, at;
    hs_timeline_row row;
    bool found;

    *ret_found = false;
    HS_TRY(hs_store_head(srv->db, a, room, &row, &found));
    if (!found)
        return NULL;
    high = row.pos;
    while (low <= high) {
        int64_t mid = low + (high - low) / 2;
        HS_TRY(hs_store_head_at(srv->db, a, room, mid, &row, &found));
        if (!found || row.pos < low) { /* nothing between the two */
            low = mid + 1;
            continue;
        }
        HS_TRY(received(srv, a, room, &row, &at));
        if (at < ts) {
            *ret = row.depth;
            *ret_found = true;
            low = mid + 1;
        } else {
            high = row.pos - 1;
        }
    }
    return NULL;
}

hs_error *hs_purge_history_to_ts(hs_server *srv, hs_arena *a, hs_str room_id, int64_t ts, bool local, hs_str *ret)
{
    int64_t depth = 0;
    bool found = false;
    hs_room_row room = { 0 };

    if (hs_str_is_utf8(room_id) && !memchr(room_id.p, 0, room_id.n))
        HS_TRY(hs_store_room_by_id(srv->db, a, room_id, &room));
    if (room.room)
        HS_TRY(depth_at(srv, a, room.room, ts, &depth, &found));
    if (!found)
        return hs_err(a, 404, HS_M_NOT_FOUND, "there is no event to be purged");
    return start(srv, a, room_id, depth, local, false, ret);
}

hs_error *hs_purge_history_expire(hs_server *srv, hs_arena *a, hs_nid room, hs_str room_id, int64_t ts)
{
    hs_span before = { .low = { INT64_MIN, INT64_MIN }, .after = INT64_MIN, .upto = INT64_MAX };
    hs_timeline_row *rows;
    int64_t depth;
    bool found;
    hs_str id;
    size_t n;

    HS_TRY(depth_at(srv, a, room, ts, &depth, &found));
    if (!found)
        return NULL;
    before.high = (hs_topo){ depth - 1, INT64_MAX };
    HS_TRY(hs_store_timeline_topo(srv->db, a, room, &before, HS_FORWARD, 1, &rows, &n));
    return n ? start(srv, a, room_id, depth, true, true, &id) : NULL;
}
