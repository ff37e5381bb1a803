/* Presence as /sync tells it: of the user and of those who share a room with them. */
#include "base/json_out.h"
#include "base/vec.h"
#include "server/names.h"
#include "server/presence_state.h"
#include "server/room.h"
#include "store/members.h"

typedef HS_VEC(hs_nid) nids;

static bool has(const nids *list, hs_nid user)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->at[i] == user)
            return true;
    return false;
}

static bool is_there(const hs_presence_user *u)
{
    return u->state != HS_PRESENCE_OFFLINE;
}

/* Who has changed since the token, or all who are there. */
static hs_error *candidates(hs_server *srv, hs_arena *a, const hs_typing_view *view, nids *ret)
{
    for (const hs_presence_user *u = srv->presence->newest; u; u = u->older) {
        if (view->since && u->serial <= view->since)
            break;
        if (view->since || is_there(u) || srv->config->presence_offline_on_sync)
            HS_TRY(hs_vec_push(a, ret, u->user));
    }
    return NULL;
}

/* Changes since the token that waiters may not have heard of: the answer's token is past them. */
static hs_error *untold(hs_server *srv, hs_arena *a, const hs_typing_view *view, nids *ret)
{
    for (const hs_presence_user *u = srv->presence->newest; u && u->serial > view->since; u = u->older)
        if (u->changed || u->telling)
            HS_TRY(hs_vec_push(a, ret, u->user));
    return NULL;
}

static hs_error *keep_visible(hs_server *srv, hs_arena *a, hs_nid viewer, nids *list)
{
    bool *share;
    size_t n = 0;

    if (!list->n)
        return NULL;
    HS_TRY(hs_alloc(a, list->n, &share));
    HS_TRY(hs_store_users_share_room(srv->db, a, viewer, list->at, list->n, share));
    for (size_t i = 0; i < list->n; i++)
        if (share[i] || list->at[i] == viewer)
            list->at[n++] = list->at[i];
    list->n = n;
    return NULL;
}

/* Those who are there of whom the user could not know before. */
static hs_error *add_newly_seen(hs_server *srv, hs_arena *a, hs_room *const *fresh, size_t fresh_n, hs_nids newcomers,
                                nids *list)
{
    for (size_t i = 0; i < newcomers.n; i++) {
        const hs_presence_user *u = hs_presence_find(srv, newcomers.at[i]);

        if (u && is_there(u) && !has(list, u->user))
            HS_TRY(hs_vec_push(a, list, u->user));
    }
    for (const hs_presence_user *u = fresh_n ? srv->presence->newest : NULL; u; u = u->older) {
        bool member = false;

        for (size_t i = 0; is_there(u) && i < fresh_n && !member; i++)
            member = hs_room_has_local(fresh[i], u->user);
        if (member && !has(list, u->user))
            HS_TRY(hs_vec_push(a, list, u->user));
    }
    return NULL;
}

static hs_error *show_one(hs_server *srv, hs_arena *a, const hs_presence_user *u, hs_str user_id, hs_str *ret)
{
    const hs_presence_seen seen = { .state = u->state, .active_ms = u->active_ms, .status = hs_presence_status_of(u) };
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "type", HS_S("m.presence"));
    hs_json_str(&j, "sender", user_id);
    hs_json_obj_at(&j, "content");
    hs_presence_show(&j, srv, &seen);
    hs_json_end(&j);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

static hs_error *show(hs_server *srv, hs_arena *a, const hs_event_filter *filter, const nids *list, hs_strs *ret)
{
    hs_str *names;
    HS_VEC(hs_str) out = { 0 };

    HS_TRY(hs_alloc(a, list->n, &names));
    HS_TRY(hs_user_names(srv, a, list->at, list->n, names));
    for (size_t i = 0; i < list->n && (filter->limit < 0 || out.n < (size_t)filter->limit); i++) {
        const hs_presence_user *u = hs_presence_find(srv, list->at[i]);
        hs_str event;

        if (!u || !hs_event_filter_match(filter, HS_S("m.presence"), names[i], HS_S(""), (hs_jv){ 0 }))
            continue;
        HS_TRY(show_one(srv, a, u, names[i], &event));
        HS_TRY(hs_vec_push(a, &out, event));
    }
    *ret = (hs_strs){ out.at, out.n };
    return NULL;
}

hs_error *hs_presence_news(hs_server *srv, hs_arena *a, const hs_session *who, const hs_typing_view *view,
                           const hs_waiter *woken, const hs_event_filter *filter, hs_room *const *fresh, size_t fresh_n,
                           hs_nids newcomers, hs_strs *ret)
{
    nids list = { 0 };

    *ret = (hs_strs){ NULL, 0 };
    if (!hs_presence_on(srv) || !view->tells || !hs_event_filter_type(filter, HS_S("m.presence")))
        return NULL;
    if (woken && !woken->all && !woken->presence_more) {
        /* Whom they may see was asked when it was told (presence_time.c); of those not told of yet it is asked now. */
        HS_TRY(untold(srv, a, view, &list));
        HS_TRY(keep_visible(srv, a, who->user, &list));
        for (size_t i = 0; i < woken->presence_n; i++) {
            const hs_presence_user *u = hs_presence_find(srv, woken->presence[i]);

            if (u && u->serial > view->since && !has(&list, u->user))
                HS_TRY(hs_vec_push(a, &list, u->user));
        }
    } else {
        HS_TRY(candidates(srv, a, view, &list));
        HS_TRY(keep_visible(srv, a, who->user, &list));
    }
    HS_TRY(add_newly_seen(srv, a, fresh, fresh_n, newcomers, &list));
    return list.n ? show(srv, a, filter, &list, ret) : NULL;
}
