/* See thread_subs.h. */
#include "server/thread_subs.h"

#include "server/news.h"
#include "server/relations.h"
#include "server/timeline.h"

#define LIST_MAX 512

static hs_error *find_root(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str root_id,
                           hs_room **ret_room, hs_nid *ret_root)
{
    hs_dressed root;
    hs_error *e = hs_timeline_event(srv, who, a, room_id, root_id, ret_room, &root);

    if (e && (e->status == 403 || e->status == 404))
        return hs_err(a, 404, HS_M_NOT_FOUND, "No such thread root");
    HS_TRY(e);
    *ret_root = root.event->nid;
    return NULL;
}

hs_error *hs_thread_sub_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str root_id,
                            bool *ret_automatic)
{
    hs_thread_sub now;
    hs_room *room;
    hs_nid root;
    bool found;

    HS_TRY(find_root(srv, who, a, room_id, root_id, &room, &root));
    HS_TRY(hs_store_thread_sub_get(srv->db, a, who->user, room->nid, root, &now, &found));
    if (!now.subscribed)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Not subscribed.");
    *ret_automatic = now.automatic;
    return NULL;
}

static hs_error *write_sub(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room, hs_nid root,
                           const hs_thread_sub *sub)
{
    hs_write *w;
    hs_write_result result;
    uint32_t at;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &at));
    HS_TRY(hs_store_thread_sub_put(w, at, who->user, room->nid, root, sub));
    HS_TRY(hs_news_give(w, &(hs_news){ 0 }));
    return hs_write_commit(w, &result);
}

/* The event must be in the thread, and have come after the user left it. */
static hs_error *check_cause(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room, hs_str root_id,
                             hs_str cause, const hs_thread_sub *now)
{
    hs_room *same;
    hs_dressed event;
    hs_timeline_row at;

    HS_TRY(hs_timeline_event(srv, who, a, room->id, cause, &same, &event));
    hs_relates_to rel = hs_relates_to_read(event.event->ev->content);
    if (!hs_str_eq(rel.rel_type, HS_S("m.thread")) || !hs_str_eq(rel.event_id, root_id))
        return hs_err(a, 400, HS_M_MSC4306_NOT_IN_THREAD, "Automatic subscription must use an event in the thread");
    if (now->subscribed || !now->unsub_pos)
        return NULL;
    HS_TRY(hs_store_timeline_of(srv->db, a, room->nid, &event.event->nid, 1, &at));
    if (at.pos <= now->unsub_pos)
        return hs_err(a, 409, HS_M_MSC4306_CONFLICTING_UNSUBSCRIPTION,
                      "Automatic subscription obsoleted by an unsubscription request.");
    return NULL;
}

hs_error *hs_thread_subscribe(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str root_id,
                              hs_str cause)
{
    hs_thread_sub now;
    hs_room *room;
    hs_nid root;
    bool found;

    HS_TRY(find_root(srv, who, a, room_id, root_id, &room, &root));
    HS_TRY(hs_store_thread_sub_get(srv->db, a, who->user, room->nid, root, &now, &found));
    if (cause.p)
        HS_TRY(check_cause(srv, who, a, room, root_id, cause, &now));
    if (now.subscribed && (!now.automatic || cause.p))
        return NULL;
    return write_sub(srv, who, a, room, root, &(hs_thread_sub){ .subscribed = true, .automatic = cause.p });
}

hs_error *hs_thread_unsubscribe(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str root_id)
{
    hs_thread_sub now;
    hs_room *room;
    hs_nid root;
    bool found;

    HS_TRY(find_root(srv, who, a, room_id, root_id, &room, &root));
    HS_TRY(hs_store_thread_sub_get(srv->db, a, who->user, room->nid, root, &now, &found));
    return now.subscribed ? write_sub(srv, who, a, room, root, &(hs_thread_sub){ 0 }) : NULL;
}

static hs_error *read_token(hs_arena *a, const char *name, hs_str token, int64_t *ret)
{
    if (token.p && (!hs_str_starts(token, HS_S("ts")) || !hs_str_to_i64(hs_str_from(token, 2), ret) || *ret < 0))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "`%s` is not a valid token", name);
    return NULL;
}

hs_error *hs_thread_subs_list(hs_server *srv, const hs_session *who, hs_arena *a, hs_str from, hs_str to, int64_t limit,
                              hs_thread_sub_row **ret, size_t *ret_n, hs_str *ret_end)
{
    int64_t upto = hs_fanout_position(srv), after = 0;

    if (limit <= 0)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "limit must be greater than 0");
    if (limit > LIST_MAX)
        limit = LIST_MAX;
    HS_TRY(read_token(a, "from", from, &upto));
    HS_TRY(read_token(a, "to", to, &after));
    HS_TRY(hs_store_thread_subs(srv->db, a, who->user, after, upto, (int32_t)limit, ret, ret_n));
    *ret_end = hs_str_make(NULL, 0);
    if (*ret_n == (size_t)limit)
        HS_TRY(hs_str_fmt(a, ret_end, "ts%lld", (long long)(*ret)[*ret_n - 1].pos - 1));
    return NULL;
}
