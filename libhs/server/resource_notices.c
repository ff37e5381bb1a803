/* See resource_notices.h. What the user was told is what is pinned in the room: a message of our kind. */
#include "server/resource_notices.h"

#include "server/names.h"
#include "server/room.h"
#include "server/server_notices.h"

#define NOTICE "m.server_notice"

typedef struct {
    hs_server *srv;
    hs_arena *a;
    hs_nid user;
    hs_str user_id;
    hs_strs others; /* pinned events that are no notices of a limit */
    bool told;
} teller;

static hs_error *is_notice(teller *t, hs_room *room, hs_str event_id, bool *ret)
{
    hs_stored *e;

    HS_TRY(hs_event_find(t->srv, t->a, room->nid, event_id, &e));
    *ret = e && hs_str_eq(e->ev->type, HS_S("m.room.message")) &&
           hs_str_eq(hs_jv_str_or_null(hs_jv_get(e->ev->content, HS_S("msgtype"))), HS_S(NOTICE));
    return NULL;
}

static hs_error *read_pinned(teller *t)
{
    hs_stored *pinned = NULL;
    hs_room *room;
    hs_jv list;
    bool notice;

    HS_TRY(hs_notices_room_of(t->srv, t->a, t->user, &room));
    if (room)
        HS_TRY(hs_room_state_get(t->srv, t->a, room, HS_S("m.room.pinned_events"), HS_S(""), &pinned));
    if (!pinned)
        return NULL;
    list = hs_jv_get(pinned->ev->content, HS_S("pinned"));
    HS_TRY(hs_alloc(t->a, hs_jv_count(list) + 1, &t->others.at));
    for (hs_jv_iter it = { 0 }; hs_jv_type_of(list) == HS_JV_ARR && hs_jv_next(list, &it);) {
        hs_str id = hs_jv_str_or_null(it.value);
        if (!id.p)
            continue;
        HS_TRY(is_notice(t, room, id, &notice));
        t->told = t->told || notice;
        if (!notice)
            t->others.at[t->others.n++] = id;
    }
    return NULL;
}

static hs_error *send(teller *t, hs_buf *content, const char *type, bool state, hs_str *ret_event_id)
{
    hs_notice in = { .user_id = t->user_id, .type = hs_str_c(type) };
    hs_str text;

    if (state)
        in.state_key = HS_S("");
    HS_TRY(hs_buf_flatten(content, &text));
    HS_TRY(hs_tape_parse(t->a, text, HS_JSON_OBJECT, &in.content));
    return hs_notice_send(t->srv, NULL, t->a, &in, ret_event_id);
}

/* These events and no others. */
static hs_error *pin(teller *t, hs_strs events)
{
    hs_json_out j;
    hs_str id;
    hs_buf b;

    hs_buf_init(&b, t->a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_arr_at(&j, "pinned");
    for (size_t i = 0; i < events.n; i++)
        hs_json_v_str(&j, events.at[i]);
    hs_json_end(&j);
    hs_json_end(&j);
    return send(t, &b, "m.room.pinned_events", true, &id);
}

static hs_error *say_full(teller *t)
{
    hs_json_out j;
    hs_str id;
    hs_buf b;

    hs_buf_init(&b, t->a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "body", HS_S("Monthly Active User Limit Exceeded"));
    hs_json_str(&j, "msgtype", HS_S(NOTICE));
    hs_json_str(&j, "server_notice_type", HS_S("m.server_notice.usage_limit_reached"));
    hs_json_opt_str(&j, "admin_contact", t->srv->config->admin_contact);
    hs_json_str(&j, "limit_type", HS_S("monthly_active_user"));
    hs_json_end(&j);
    HS_TRY(send(t, &b, "m.room.message", false, &id));
    return pin(t, (hs_strs){ &id, 1 });
}

static hs_error *tell(teller *t, bool full)
{
    HS_TRY(hs_user_name(t->srv, t->a, t->user, &t->user_id));
    HS_TRY(read_pinned(t));
    if (t->told == full)
        return NULL;
    return full ? say_full(t) : pin(t, t->others);
}

void hs_resource_tell(hs_server *srv, hs_arena *a, hs_nid user, bool full)
{
    const hs_config *c = srv->config;
    teller t = { .srv = srv, .a = a, .user = user };
    hs_error *e;

    if (!c->server_notices.localpart.n)
        return;
    e = tell(&t, full && c->mau_limit_alerting);
    if (e)
        hs_log(srv->log, HS_LOG_WARN, "resource.notice", "user=%.*s error=\"%.*s\"", HS_FMT(t.user_id),
               HS_FMT(e->message));
}
