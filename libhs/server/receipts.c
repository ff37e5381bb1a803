/* See receipts.h. */
#include "server/receipts.h"

#include "base/json_out.h"
#include "server/news.h"
#include "server/presence.h"
#include "server/relations.h"
#include "server/sync_wait.h"
#include "server/timeline.h"
#include "store/account_data.h"
#include "store/receipts.h"

/* ── writing ── */
/* The thread that an event is in as receipts see it: a root belongs to its own thread too. */
static hs_error *thread_for_receipt(hs_server *srv, hs_arena *a, hs_room *room, const hs_stored *event, hs_stored *root,
                                    bool *ret)
{
    hs_relates_to rel;
    const hs_stored *at = event;

    for (int level = 0; level <= 3; level++) {
        hs_stored *parent;

        if (at->nid == root->nid) {
            *ret = true;
            return NULL;
        }
        rel = hs_relates_to_read(at->ev->content);
        if (!rel.rel_type.p)
            break;
        HS_TRY(hs_event_find(srv, a, room->nid, rel.event_id, &parent));
        if (!parent)
            break;
        at = parent;
    }
    *ret = false;
    return NULL;
}

static hs_error *read_thread(hs_server *srv, hs_arena *a, hs_room *room, const hs_stored *event, hs_str thread_id,
                             hs_nid *ret)
{
    hs_stored *root = NULL;
    hs_nid thread = 0;
    bool in = false;

    if (!thread_id.p) {
        *ret = HS_RECEIPT_UNTHREADED;
        return NULL;
    }
    if (hs_str_eq(thread_id, HS_S("main"))) {
        HS_TRY(hs_thread_of(srv, a, room, event->ev->content, &thread));
        in = thread == 0;
    } else {
        HS_TRY(hs_event_find(srv, a, room->nid, thread_id, &root));
        if (root && root->room == room->nid)
            HS_TRY(thread_for_receipt(srv, a, room, event, root, &in));
    }
    if (!in) {
        return hs_err(a, 400, HS_M_INVALID_PARAM, "event_id %.*s is not related to thread %.*s",
                      HS_FMT(event->ev->event_id), HS_FMT(thread_id));
    }
    *ret = root ? root->nid : HS_RECEIPT_MAIN;
    return NULL;
}

static hs_error *write_receipt(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room,
                               const hs_stored *event, const hs_receipt_wish *in)
{
    hs_receipt_row row = { .room = room->nid, .user = who->user, .type = in->type, .event = event->nid };
    hs_timeline_row at;
    hs_write_result result;
    hs_write *w;
    int64_t before;
    uint32_t pos;

    HS_TRY(read_thread(srv, a, room, event, in->thread_id, &row.thread));
    HS_TRY(hs_store_timeline_of(srv->db, a, room->nid, &event->nid, 1, &at));
    HS_TRY(hs_store_receipt_pos(srv->db, a, room->nid, who->user, in->type, row.thread, &before));
    if (!at.pos || at.pos <= before)
        return NULL; /* it never moves backwards */
    row.event_pos = at.pos;
    row.ts = hs_loop_wall(srv->loop);

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &pos));
    HS_TRY(hs_store_receipt_put(w, pos, &row));
    hs_news_receipt told = { .room = room->nid,
                             .user = who->user,
                             .type = in->type,
                             .thread = row.thread,
                             .event = event->nid,
                             .ts = row.ts,
                             .at = pos,
                             .user_id = who->user_id,
                             .event_id = event->ev->event_id };
    if (row.thread > 0)
        told.thread_id = in->thread_id;
    HS_TRY(hs_news_give(w, &(hs_news){ .receipts = &told, .receipts_n = 1 }));
    return hs_write_commit(w, &result);
}

/* The marker is account data of the room; it moves forward only. */
static hs_error *write_fully_read(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room,
                                  const hs_stored *event)
{
    hs_str event_id = event->ev->event_id;
    hs_stored *old = NULL;
    hs_timeline_row at[2];
    hs_nid nids[2];
    hs_str content, old_id;
    hs_jv was;
    hs_buf b;
    hs_json_out j;
    hs_write *w;
    hs_write_result result;
    uint32_t pos;

    HS_TRY(hs_store_account_data_get(srv->db, a, who->user, room->nid, HS_S("m.fully_read"), &content));
    if (content.p) {
        HS_TRY(hs_tape_parse(a, content, HS_JSON_OBJECT, &was));
        old_id = hs_jv_str_or_null(hs_jv_get(was, HS_S("event_id")));
        if (old_id.p)
            HS_TRY(hs_event_find(srv, a, room->nid, old_id, &old));
    }
    if (old && old->room == room->nid) {
        nids[0] = event->nid;
        nids[1] = old->nid;
        HS_TRY(hs_store_timeline_of(srv->db, a, room->nid, nids, 2, at));
        if (at[0].pos <= at[1].pos)
            return NULL;
    }
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "event_id", event_id);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &content));
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &pos));
    HS_TRY(hs_store_account_data_put(w, who->user, room->nid, HS_S("m.fully_read"), content, pos));
    const hs_news_user told = { who->user, pos, HS_NEWS_ACCOUNT_DATA, room->nid, HS_S("m.fully_read") };
    HS_TRY(hs_news_give(w, &(hs_news){ .users = &told, .users_n = 1 }));
    return hs_write_commit(w, &result);
}

static bool looks_like_room(hs_str s)
{
    return s.n > 1 && s.p[0] == '!';
}

hs_error *hs_receipt_put(hs_server *srv, const hs_session *who, hs_arena *a, const hs_receipt_wish *in)
{
    hs_room *room;
    hs_dressed event;
    bool visible;

    hs_presence_active(srv, who);
    if (!looks_like_room(in->room_id) || !in->event_id.n || in->event_id.p[0] != '$')
        return hs_err(a, 400, HS_M_UNKNOWN, "A valid room ID and event ID must be specified");
    HS_TRY(hs_timeline_find(srv, who, a, in->room_id, in->event_id, &room, &event, &visible));
    if (hs_str_eq(in->type, HS_S("m.fully_read"))) {
        if (!visible)
            return hs_err(a, 404, HS_M_UNKNOWN, "Could not find event %.*s in room %.*s", HS_FMT(in->event_id),
                          HS_FMT(in->room_id));
        return write_fully_read(srv, who, a, room, event.event);
    }
    HS_TRY(hs_room_find(srv, a, in->room_id, &room));
    if (!event.event && room && hs_room_has_local(room, who->user))
        return NULL; /* as Synapse: it may be on its way */
    if (!visible || !room || !hs_room_has_local(room, who->user))
        return hs_err(a, 403, HS_M_FORBIDDEN, "You don't have permission to access that event.");
    return write_receipt(srv, who, a, room, event.event, in);
}

hs_error *hs_read_markers_put(hs_server *srv, const hs_session *who, hs_arena *a, const hs_read_markers *in)
{
    hs_receipt_wish fully = { in->room_id, in->fully_read, HS_S("m.fully_read"), { NULL, 0 } };
    hs_receipt_wish read = { in->room_id, in->read, HS_S("m.read"), { NULL, 0 } };
    hs_receipt_wish private = { in->room_id, in->read_private, HS_S("m.read.private"), { NULL, 0 } };

    hs_presence_active(srv, who);
    if (in->fully_read.p)
        HS_TRY(hs_receipt_put(srv, who, a, &fully));
    if (in->read.p)
        HS_TRY(hs_receipt_put(srv, who, a, &read));
    if (in->read_private.p)
        HS_TRY(hs_receipt_put(srv, who, a, &private));
    return NULL;
}

/* ── reading ── */
/* Rows in the order of their positions → {"$event":{"m.read":{"@user":{"ts":…}}}}: grouped by event, then by type. */
static hs_error *write_content(hs_arena *a, const hs_receipt_row *rows, size_t n, hs_str *ret)
{
    static const hs_str TYPES[] = { HS_S_INIT("m.read"), HS_S_INIT("m.read.private") };
    bool *done;
    hs_buf b;
    hs_json_out j;

    HS_TRY(hs_alloc(a, n, &done));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (size_t i = 0; i < n; i++) {
        if (done[i])
            continue;
        hs_json_key(&j, rows[i].event_id);
        hs_json_obj(&j);
        for (size_t t = 0; t < 2; t++) {
            bool open = false;

            for (size_t k = i; k < n; k++) {
                if (done[k] || !hs_str_eq(rows[k].type, TYPES[t]) || !hs_str_eq(rows[k].event_id, rows[i].event_id))
                    continue;
                if (!open)
                    hs_json_obj_at(&j, TYPES[t].p);
                open = true;
                done[k] = true;
                hs_json_key(&j, rows[k].user_id);
                hs_json_obj(&j);
                hs_json_int(&j, "ts", rows[k].ts);
                if (rows[k].thread == HS_RECEIPT_MAIN)
                    hs_json_str(&j, "thread_id", HS_S("main"));
                else if (rows[k].thread > 0 && rows[k].thread_id.p)
                    hs_json_str(&j, "thread_id", rows[k].thread_id);
                hs_json_end(&j);
            }
            if (open)
                hs_json_end(&j);
        }
        hs_json_end(&j);
    }
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

/* From what the process remembers; *ret_known false: it does not reach back far enough. */
static hs_error *recent(hs_server *srv, hs_arena *a, hs_nid room, hs_nid viewer, int64_t since, int64_t upto,
                        bool *ret_known, hs_str *ret)
{
    const hs_sync_room *r = hs_sync_room_peek(srv, room);
    hs_receipt_row *rows;
    size_t n = 0;

    *ret = hs_str_make(NULL, 0);
    *ret_known = since >= (r ? r->receipts_floor : hs_sync_rooms_floor(srv));
    if (!*ret_known || !r || r->receipts_pos <= since)
        return NULL;
    HS_TRY(hs_alloc(a, r->receipts_n, &rows));
    for (size_t i = 0; i < r->receipts_n; i++) {
        const hs_recent_receipt *e = &r->receipts[i];

        if (e->pos <= since || e->pos > upto || (e->is_private && e->user != viewer))
            continue;
        rows[n++] = (hs_receipt_row){ .type = e->is_private ? HS_S("m.read.private") : HS_S("m.read"),
                                      .thread = e->thread,
                                      .ts = e->ts,
                                      .user_id = e->user_id,
                                      .event_id = e->event_id,
                                      .thread_id = e->thread_id };
    }
    return n ? write_content(a, rows, n, ret) : NULL;
}

hs_error *hs_receipts_content(hs_server *srv, hs_arena *a, const hs_nid *rooms, size_t n, hs_nid viewer, int64_t since,
                              int64_t upto, hs_str *ret)
{
    hs_nid *missing;
    size_t *index, missing_n = 0, rows_n, at = 0;
    hs_receipt_row *rows;

    HS_TRY(hs_alloc(a, n, &missing));
    HS_TRY(hs_alloc(a, n, &index));
    for (size_t i = 0; i < n; i++) {
        bool known = false;

        HS_TRY(recent(srv, a, rooms[i], viewer, since, upto, &known, &ret[i]));
        if (!known) {
            index[missing_n] = i;
            missing[missing_n++] = rooms[i];
        }
    }
    if (!missing_n)
        return NULL;
    HS_TRY(hs_store_receipts_after(srv->db, a, missing, missing_n, viewer, since, upto, &rows, &rows_n));
    for (size_t i = 0; i < missing_n; i++) {
        size_t first = at;

        while (at < rows_n && rows[at].room == missing[i])
            at++;
        if (at > first)
            HS_TRY(write_content(a, rows + first, at - first, &ret[index[i]]));
    }
    return NULL;
}
