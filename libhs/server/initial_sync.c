/* See initial_sync.h. */
#include "server/initial_sync.h"

#include "base/vec.h"
#include "server/news.h"
#include "server/receipts.h"
#include "store/account_data.h"
#include "store/events.h"
#include "store/rooms.h"

static hs_error *read_account_data(hs_server *srv, hs_arena *a, hs_nid user, hs_nid room, hs_room_snapshot_answer *ret)
{
    HS_VEC(hs_str) out = { 0 };
    hs_account_data_row *rows;
    hs_json_out j;
    hs_str text;
    hs_buf b;
    size_t n;

    HS_TRY(hs_store_account_data_after(srv->db, a, user, INT64_MIN, INT64_MAX, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        if (rows[i].room != room)
            continue;
        hs_buf_init(&b, a);
        hs_json_out_init(&j, &b);
        hs_json_obj(&j);
        hs_json_str(&j, "type", rows[i].type);
        hs_json_raw(&j, "content", rows[i].content);
        hs_json_end(&j);
        HS_TRY(hs_buf_flatten(&b, &text));
        HS_TRY(hs_vec_push(a, &out, text));
    }
    ret->account_data = out.at;
    ret->account_data_n = out.n;
    return NULL;
}

hs_error *hs_initial_sync_room(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, int64_t limit,
                               hs_room_snapshot_answer *ret)
{
    hs_messages_query q = { .room_id = room_id, .limit = limit };
    hs_room_snapshot_answer out = { 0 };
    hs_nid room;

    HS_TRY(hs_room_access_check(srv, who, a, room_id, &out.access));
    room = out.access.room->nid;
    HS_TRY(hs_messages_get(srv, who, a, &q, &out.messages));
    HS_TRY(hs_room_state_list(srv, a, &out.access, &out.state, &out.state_n));
    HS_TRY(read_account_data(srv, a, who->user, room, &out));
    if (out.access.membership == HS_MEMBER_JOIN)
        HS_TRY(hs_receipts_content(srv, a, &room, 1, who->user, INT64_MIN, hs_fanout_position(srv), &out.receipts));
    HS_TRY(hs_store_published_get(srv->db, a, room, &out.published));
    *ret = out;
    return NULL;
}

hs_error *hs_initial_sync_event(hs_server *srv, const hs_session *who, hs_arena *a, hs_str event_id, hs_dressed *ret)
{
    hs_room *room = NULL;
    hs_event_row row;

    HS_TRY(hs_store_events_by_id(srv->db, a, 0, &event_id, 1, &row));
    if (row.event)
        HS_TRY(hs_room_load(srv, a, row.room, &room));
    if (!room)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Event not found.");
    return hs_timeline_event(srv, who, a, room->id, event_id, &room, ret);
}
