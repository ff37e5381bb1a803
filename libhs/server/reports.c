/* See reports.h. */
#include "server/reports.h"

#include "core/ids.h"
#include "server/cache.h"
#include "server/timeline.h"
#include "store/events.h"
#include "store/rooms.h"
#include "store/users.h"

enum { REASON_MAX_CHARACTERS = 1000, REPORTS_MAX = 1000, LIST_MAX = 10000 };

static hs_error *check_reason(hs_arena *a, hs_str reason)
{
    size_t characters = 0;

    for (size_t i = 0; i < reason.n; i++)
        characters += ((unsigned char)reason.p[i] & 0xc0) != 0x80;
    if (characters > REASON_MAX_CHARACTERS)
        return hs_err(a, 400, HS_M_BAD_JSON, "Reason must be less than %d characters", REASON_MAX_CHARACTERS);
    if (reason.n && memchr(reason.p, 0, reason.n))
        return hs_err(a, 400, HS_M_BAD_JSON, "Param 'reason' must be text");
    return NULL;
}

static hs_error *add(hs_server *srv, hs_arena *a, const hs_session *who, hs_report_new *row)
{
    bool kept;

    row->ts = hs_loop_wall(srv->loop);
    row->reporter = who->user;
    HS_TRY(hs_store_report_add(srv->db, a, row, REPORTS_MAX, &kept));
    if (!kept)
        return hs_err(a, 429, HS_M_LIMIT_EXCEEDED, "There are %d reports of yours already that nobody has looked at",
                      REPORTS_MAX);
    return NULL;
}

hs_error *hs_report_event(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str event_id,
                          hs_str reason, const int64_t *score)
{
    hs_dressed event;
    hs_room *room;

    HS_TRY(check_reason(a, reason));
    hs_error *e = hs_timeline_event(srv, who, a, room_id, event_id, &room, &event);
    if (e && (e->status == 404 || e->status == 403))
        return hs_err(a, 404, HS_M_NOT_FOUND,
                      "Unable to report event: it does not exist or you aren't able to see it.");
    HS_TRY(e);
    return add(srv, a, who,
               &(hs_report_new){ .kind = "event",
                                 .room = room->nid,
                                 .event = event.event->nid,
                                 .target = event.event->sender,
                                 .event_id = event.event->ev->event_id,
                                 .reason = reason,
                                 .score = score });
}

hs_error *hs_report_room(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id, hs_str reason)
{
    hs_room_row room = { 0 };

    HS_TRY(check_reason(a, reason));
    if (hs_str_is_utf8(room_id) && !memchr(room_id.p, 0, room_id.n))
        HS_TRY(hs_store_room_by_id(srv->db, a, room_id, &room));
    if (!room.room || room.flags & HS_ROOM_BEING_DELETED)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Room does not exist");
    return add(srv, a, who, &(hs_report_new){ .kind = "room", .room = room.room, .reason = reason });
}

hs_error *hs_report_user(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id, hs_str reason)
{
    hs_account_row *account;
    hs_id id;

    HS_TRY(check_reason(a, reason));
    if (!hs_user_id_parse(user_id, &id) || !hs_str_eq(id.server, srv->server_name) || !hs_str_is_utf8(id.local))
        return NULL;
    HS_TRY(hs_store_account_find(srv->db, a, id.local, &account));
    if (!account)
        return NULL;
    return add(srv, a, who, &(hs_report_new){ .kind = "user", .target = account->user, .reason = reason });
}

/* ── for administrators ── */

hs_error *hs_reports_list(hs_server *srv, hs_arena *a, hs_report_query *q, hs_report_row **ret, size_t *ret_n,
                          int64_t *ret_total)
{
    if (q->limit > LIST_MAX)
        q->limit = LIST_MAX;
    return hs_store_reports_list(srv->db, a, q, ret, ret_n, ret_total);
}

static hs_error *not_found(hs_arena *a, const char *kind)
{
    return hs_err(a, 404, HS_M_NOT_FOUND, "%s report not found", *kind == 'e' ? "Event" : "User");
}

hs_error *hs_report_get(hs_server *srv, hs_arena *a, const char *kind, int64_t id, hs_report_row **ret,
                        hs_str *ret_event)
{
    hs_event_row event = { 0 };

    HS_TRY(hs_store_report_get(srv->db, a, kind, id, ret));
    if (!*ret)
        return not_found(a, kind);
    if ((*ret)->event)
        HS_TRY(hs_store_events(srv->db, a, (*ret)->room, &(*ret)->event, 1, &event));
    *ret_event = event.event ? event.json : (hs_str){ NULL, 0 };
    return NULL;
}

hs_error *hs_report_remove(hs_server *srv, hs_arena *a, const char *kind, int64_t id)
{
    bool found;

    HS_TRY(hs_store_report_remove(srv->db, a, kind, id, &found));
    return found ? NULL : not_found(a, kind);
}
