/* See admin_redact.h. A step looks at slices of one room's timeline, newest first, and redacts what it finds of the
 * user's; how far it has come is the last position looked at. What is redacted already is passed over, so a
 * step may be repeated. */
#include "server/admin_redact.h"

#include "base/vec.h"
#include "core/ids.h"
#include "server/cache.h"
#include "server/event_persist.h"
#include "server/names.h"
#include "server/room_send.h"
#include "store/members.h"
#include "store/user_list.h"

enum { STEP_MS = 700, LIMIT = 1000, FAILURES_MAX = 1000 };

typedef struct {
    hs_job *j;
    hs_arena *a;
    hs_server *srv;
    int64_t began;
    /* what was asked for */
    hs_str user_id, requester, reason;
    hs_jv rooms;
    int64_t limit, before_ts, after_ts;
    bool by_admin;
    /* how far it has come: number of the room, event in it, redactions there */
    int64_t room, cursor, done;
    HS_VEC(hs_str) failed; /* event ids and why, in turns */
} run;

static int64_t number(hs_jv obj, const char *key)
{
    int64_t n = 0;

    (void)hs_jv_int(hs_jv_get(obj, hs_str_c(key)), &n);
    return n;
}

static hs_error *recall(run *r)
{
    hs_jv p = r->j->params, was = r->j->progress;

    r->user_id = r->j->row->resource;
    r->requester = hs_jv_str_or_null(hs_jv_get(p, HS_S("requester")));
    r->reason = hs_jv_str_or_null(hs_jv_get(p, HS_S("reason")));
    r->rooms = hs_jv_get(p, HS_S("rooms"));
    r->limit = number(p, "limit");
    r->before_ts = number(p, "before_ts");
    r->after_ts = number(p, "after_ts");
    (void)hs_jv_bool(hs_jv_get(p, HS_S("use_admin")), &r->by_admin);
    r->room = number(was, "room");
    r->cursor = number(was, "cursor");
    r->done = number(was, "done");
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(was, HS_S("failed_redactions")), &it);) {
        HS_TRY(hs_vec_push(r->a, &r->failed, it.key));
        HS_TRY(hs_vec_push(r->a, &r->failed, hs_jv_str_or_null(it.value)));
    }
    return NULL;
}

static void write_failed(const run *r, hs_json_out *j)
{
    hs_json_obj_at(j, "failed_redactions");
    for (size_t i = 0; i + 1 < r->failed.n; i += 2) {
        hs_json_key(j, r->failed.at[i]);
        hs_json_v_str(j, r->failed.at[i + 1]);
    }
    hs_json_end(j);
}

static hs_error *remember(run *r)
{
    hs_json_out j;
    hs_buf b, c;

    hs_buf_init(&b, r->a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_int(&j, "room", r->room);
    hs_json_int(&j, "cursor", r->cursor);
    hs_json_int(&j, "done", r->done);
    write_failed(r, &j);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &r->j->saved));
    hs_buf_init(&c, r->a);
    hs_json_out_init(&j, &c);
    hs_json_obj(&j);
    write_failed(r, &j);
    hs_json_end(&j);
    return hs_buf_flatten(&c, &r->j->result);
}

/* In whose name: a user who is not (any more) in the room can do nothing there. */
static hs_error *actor(run *r, hs_arena *a, const hs_room *room, hs_nid user, hs_session *ret)
{
    hs_membership is = HS_MEMBER_NONE;
    hs_nid requester;

    if (!r->by_admin && hs_user_is_local(r->srv, r->user_id))
        HS_TRY(hs_store_members_get(r->srv->db, a, room->nid, &user, 1, &is));
    *ret = hs_session_acting(user, r->user_id);
    if (is == HS_MEMBER_JOIN)
        return NULL;
    HS_TRY(hs_user_nid(r->srv, a, r->requester, &requester));
    *ret = hs_session_acting(requester, r->requester);
    return NULL;
}

static hs_error *content_of(const run *r, hs_arena *a, hs_jv *ret)
{
    hs_json_out j;
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_opt_str(&j, "reason", r->reason);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_content_parse(a, text, ret);
}

/* Messages, and joins: their names and avatars may be what it is about. */
static bool is_meant(const hs_event *e)
{
    if (e->kind == HS_KIND_MEMBER)
        return e->membership == HS_MEMBER_JOIN;
    return hs_str_eq(e->type, HS_S("m.room.message")) || hs_str_eq(e->type, HS_S("m.room.encrypted"));
}

static hs_error *redact(run *r, hs_arena *a, const hs_session *who, const hs_room *room, const hs_stored *e)
{
    hs_redact in = { .room_id = room->id, .event_id = e->ev->event_id, .unlimited = true };
    hs_str id, copy;

    HS_TRY(content_of(r, a, &in.content));
    hs_error *failed = hs_room_redact(r->srv, who, a, &in, &id);
    if (failed && (failed->status == 429 || failed->status >= 500))
        return hs_err_later(r->a, 503, HS_M_UNKNOWN, failed->retry_ms, "%.*s", HS_FMT(failed->message));
    r->done++;
    if (!failed || r->failed.n >= 2 * FAILURES_MAX)
        return NULL;
    HS_TRY(hs_str_dup(r->a, e->ev->event_id, &copy));
    HS_TRY(hs_vec_push(r->a, &r->failed, copy));
    HS_TRY(hs_str_dup(r->a, failed->message, &copy));
    return hs_vec_push(r->a, &r->failed, copy);
}

static bool time_left(const run *r)
{
    return hs_job_goes_on(r->j) && hs_loop_now(r->srv->loop) - r->began < STEP_MS;
}

static void next_room(run *r)
{
    r->room++;
    r->cursor = 0;
    r->done = 0;
}

/* A slice of the room's events. */
static hs_error *look(run *r, hs_arena *a, hs_room *room, hs_nid user)
{
    hs_session who;
    hs_stored *e;
    hs_sent *mine;
    int64_t last;
    size_t n;

    HS_TRY(hs_store_sent_by(r->srv->db, a, room->nid, user, r->cursor ? r->cursor : INT64_MAX, r->before_ts,
                            r->after_ts, &mine, &n, &last));
    if (!last) {
        next_room(r);
        return NULL;
    }
    HS_TRY(actor(r, a, room, user, &who));
    for (size_t i = 0; i < n; i++) {
        if (r->done >= r->limit) {
            next_room(r);
            return NULL;
        }
        if (!time_left(r))
            return NULL; /* from here, later */
        HS_TRY(hs_events_load(r->srv, a, room->nid, &mine[i].event, 1, &e));
        if (e && !e->redacted_by && !(e->flags & (HS_EV_REDACTED | HS_EV_REJECTED)) && is_meant(e->ev))
            HS_TRY(redact(r, a, &who, room, e));
        r->cursor = mine[i].pos;
    }
    r->cursor = last;
    return NULL;
}

static hs_error *go_on(run *r, hs_arena *a)
{
    hs_str room_id = { NULL, 0 };
    hs_room *room = NULL;
    int64_t i = 0;
    hs_nid user;

    for (hs_jv_iter it = { 0 }; hs_jv_next(r->rooms, &it); i++)
        if (i == r->room)
            room_id = hs_jv_str_or_null(it.value);
    if (r->room >= i) {
        r->j->done = true;
        return NULL;
    }
    HS_TRY(hs_user_nid_find(r->srv, a, r->user_id, &user));
    if (user && room_id.p)
        HS_TRY(hs_room_find(r->srv, a, room_id, &room));
    if (room)
        return look(r, a, room, user);
    next_room(r);
    return NULL;
}

static hs_error *step(hs_job *j, hs_arena *a, void *ud)
{
    run r = { .j = j, .a = a, .srv = ud, .began = hs_loop_now(((hs_server *)ud)->loop) };
    hs_arena *each = hs_arena_open(16 << 20);
    hs_error *e = each ? recall(&r) : HS_ERR_NOMEM;

    while (!e && !j->done && time_left(&r)) {
        e = go_on(&r, each);
        if (e && e != HS_ERR_NOMEM)
            e = hs_err_later(a, e->status, e->code, e->retry_ms, "%.*s", HS_FMT(e->message)); /* outlives `each` */
        hs_arena_reset(each);
    }
    if (each)
        hs_arena_close(each);
    HS_TRY(remember(&r));
    return e;
}

hs_error *hs_admin_redact_open(hs_server *srv)
{
    return hs_jobs_kind(srv, HS_JOB_REDACT_USER, step, srv);
}

/* ── asking for it ── */

static hs_error *all_rooms(hs_server *srv, hs_arena *a, hs_str user_id, hs_json_out *j)
{
    static const hs_membership WHICH[] = { HS_MEMBER_JOIN, HS_MEMBER_BAN };
    hs_strs rooms;
    hs_nid user;

    HS_TRY(hs_user_nid_find(srv, a, user_id, &user));
    for (size_t k = 0; k < 2; k++) {
        HS_TRY(hs_store_rooms_of_user(srv->db, a, user, WHICH[k], &rooms));
        for (size_t i = 0; i < rooms.n; i++)
            hs_json_v_str(j, rooms.at[i]);
    }
    return NULL;
}

static hs_error *params_of(hs_server *srv, hs_arena *a, const hs_session *who, const hs_user_redaction *in, hs_str *ret)
{
    hs_json_out j;
    hs_buf b;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "requester", who->user_id);
    hs_json_opt_str(&j, "reason", in->reason);
    hs_json_int(&j, "limit", in->limit ? in->limit : LIMIT);
    hs_json_int(&j, "before_ts", in->before_ts);
    hs_json_int(&j, "after_ts", in->after_ts);
    hs_json_bool(&j, "use_admin", in->by_admin);
    hs_json_arr_at(&j, "rooms");
    for (size_t i = 0; i < in->rooms.n; i++)
        hs_json_v_str(&j, in->rooms.at[i]);
    if (!in->rooms.n)
        HS_TRY(all_rooms(srv, a, in->user_id, &j));
    hs_json_end(&j);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

hs_error *hs_admin_redact(hs_server *srv, const hs_session *who, hs_arena *a, const hs_user_redaction *in,
                          hs_str *ret_id)
{
    hs_job_wish job = { .kind = HS_JOB_REDACT_USER, .resource = in->user_id, .single = true };
    hs_id id;

    if (!hs_user_id_parse(in->user_id, &id) || !hs_str_is_utf8(in->user_id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Expected UserID string to start with '@'");
    HS_TRY(params_of(srv, a, who, in, &job.params));
    HS_TRY(hs_job_add(srv, a, &job, ret_id));
    if (!ret_id->p)
        return hs_err(a, 400, HS_M_UNKNOWN, "Redact already in progress for user %.*s", HS_FMT(in->user_id));
    return NULL;
}
