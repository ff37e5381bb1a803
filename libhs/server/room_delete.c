/* See room_delete.h. What the job remembers between its steps is `run`: the stage, how far it has come in it, and the
 * result so far. Any step may be repeated.
 *
 * How everybody forgets the room: while its users leave it is a room like any other. Then it is sealed: a flag in its
 * row, and a row in its timeline that nobody has seen, so that every write on its way comes back stale and every load
 * finds nothing; the news of that row make all workers drop it. After a pause for those who read it in that moment the
 * rows go. The row of the room itself goes last, and a crash before that finds everything that is left. */
#include "server/room_delete.h"

#include "base/vec.h"
#include "core/ids.h"
#include "server/event_persist.h"
#include "server/names.h"
#include "server/news.h"
#include "server/room_block.h"
#include "server/room_create.h"
#include "server/room_member.h"
#include "server/room_send.h"
#include "store/directory.h"
#include "store/members.h"
#include "store/purge.h"
#include "store/rooms.h"
#include "store/timeline.h"

enum {
    STEP_MS = 700,  /* then the job is saved */
    HEAR_MS = 1000, /* clients that are there hear that they have left */
    READ_MS = 500,  /* who reads the room when it is sealed comes to an end */
    LEAVE_AT_ONCE = 50,
    USERS_AT_ONCE = 100,
    ROWS_AT_ONCE = 2000,
    SEAL_TRIES = 20,
    NOW_MS = 600 * 1000, /* as long as a request may wait for it */
};
#define START        (-HS_JSON_INT_MAX)
#define DEFAULT_NAME "Content Violation Notification"
#define DEFAULT_MESSAGE                                                                                                \
    "Sharing illegal content on this server is not permitted and rooms in violation will be blocked."

typedef enum { BEGIN, LEAVE, FAREWELL, CHECK, SEAL, USERS, TABLES, END } stage;

typedef HS_VEC(hs_str) names;

typedef struct {
    hs_job *j;
    hs_arena *a;
    hs_server *srv;
    int64_t began;
    /* what was asked for */
    hs_str new_room_user_id, room_name, message, requester;
    bool block, purge, force, forgotten;
    /* how far it has come */
    int64_t stage, user, table, cursor, deleted, room;
    bool again; /* this pass over the tables has found something: there will be another */
    hs_str new_room_id;
    names kicked, failed, aliases;
} run;

/* ── remembering ── */

static int64_t number(hs_jv obj, const char *key)
{
    int64_t n = 0;

    (void)hs_jv_int(hs_jv_get(obj, hs_str_c(key)), &n);
    return n;
}

static bool flag(hs_jv obj, const char *key)
{
    bool b = false;

    (void)hs_jv_bool(hs_jv_get(obj, hs_str_c(key)), &b);
    return b;
}

static hs_str text(hs_jv obj, const char *key)
{
    return hs_jv_str_or_null(hs_jv_get(obj, hs_str_c(key)));
}

static hs_error *read_list(run *r, const char *key, names *list)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(r->j->progress, "result", key, NULL), &it);)
        HS_TRY(hs_vec_push(r->a, list, hs_jv_str_or_null(it.value)));
    return NULL;
}

static void write_list(hs_json_out *j, const char *key, const names *list)
{
    hs_json_arr_at(j, key);
    for (size_t i = 0; i < list->n; i++)
        hs_json_v_str(j, list->at[i]);
    hs_json_end(j);
}

static hs_error *result_of(run *r, hs_str *ret)
{
    hs_json_out j;
    hs_buf b;

    hs_buf_init(&b, r->a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    write_list(&j, "kicked_users", &r->kicked);
    write_list(&j, "failed_to_kick_users", &r->failed);
    write_list(&j, "local_aliases", &r->aliases);
    hs_json_str_or_null(&j, "new_room_id", r->new_room_id);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

static hs_error *remember(run *r)
{
    hs_json_out j;
    hs_buf b;

    HS_TRY(result_of(r, &r->j->result));
    hs_buf_init(&b, r->a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_int(&j, "stage", r->stage);
    hs_json_int(&j, "room", r->room);
    hs_json_int(&j, "user", r->user);
    hs_json_int(&j, "table", r->table);
    hs_json_int(&j, "cursor", r->cursor);
    hs_json_int(&j, "deleted", r->deleted);
    hs_json_bool(&j, "again", r->again);
    hs_json_raw(&j, "result", r->j->result);
    hs_json_end(&j);
    return hs_buf_flatten(&b, &r->j->saved);
}

static hs_error *recall(run *r)
{
    hs_jv p = r->j->params, was = r->j->progress;

    r->new_room_user_id = text(p, "new_room_user_id");
    r->room_name = text(p, "new_room_name");
    r->message = text(p, "message");
    r->requester = text(p, "requester_user_id");
    r->block = flag(p, "block");
    r->purge = flag(p, "purge");
    r->force = flag(p, "force_purge");
    r->forgotten = flag(p, "forgotten");
    r->stage = number(was, "stage");
    r->room = number(was, "room");
    r->user = number(was, "user");
    r->table = number(was, "table");
    r->cursor = number(was, "cursor");
    r->deleted = number(was, "deleted");
    r->again = flag(was, "again");
    r->new_room_id = hs_jv_str_or_null(hs_jv_path(was, "result", "new_room_id", NULL));
    HS_TRY(read_list(r, "kicked_users", &r->kicked));
    HS_TRY(read_list(r, "failed_to_kick_users", &r->failed));
    return read_list(r, "local_aliases", &r->aliases);
}

static bool time_left(const run *r)
{
    return hs_job_goes_on(r->j) && hs_loop_now(r->srv->loop) - r->began < STEP_MS;
}

/* ── leaving ── */

static hs_error *session_of(run *r, hs_str user_id, hs_session *ret)
{
    hs_nid user;

    HS_TRY(hs_user_nid(r->srv, r->a, user_id, &user));
    *ret = hs_session_acting(user, user_id);
    return NULL;
}

/* Nobody has to leave; and who has come back meanwhile, or looks at it again, keeps it. */
static hs_error *begin_forgotten(run *r)
{
    hs_room_row row;
    bool gone = false;

    HS_TRY(hs_store_room_by_id(r->srv->db, r->a, r->j->row->resource, &row));
    if (row.room && !(row.flags & HS_ROOM_BEING_DELETED))
        HS_TRY(hs_store_room_is_forgotten(r->srv->db, r->a, row.room, &gone));
    r->room = gone ? row.room : 0;
    r->stage = gone ? CHECK : END;
    return NULL;
}

static hs_error *begin(run *r)
{
    hs_room_wish wish = { .preset = HS_S("public_chat"), .name = r->room_name.n ? r->room_name : HS_S(DEFAULT_NAME) };
    hs_session requester, host;
    hs_room_row row;

    if (r->forgotten)
        return begin_forgotten(r);
    HS_TRY(session_of(r, r->requester, &requester));
    if (r->block)
        HS_TRY(hs_room_block_put(r->srv, &requester, r->a, r->j->row->resource, true));
    HS_TRY(hs_store_room_by_id(r->srv->db, r->a, r->j->row->resource, &row));
    r->room = row.room;
    r->stage = !row.room                           ? END
               : row.flags & HS_ROOM_BEING_DELETED ? SEAL
                                                   : LEAVE; /* SEAL: an earlier job did not end */
    if (r->stage != LEAVE)
        return NULL;
    if (!r->new_room_user_id.p || r->new_room_id.p)
        return NULL;
    HS_TRY(session_of(r, r->new_room_user_id, &host));
    HS_TRY(hs_tape_parse(r->a, HS_S("{\"users_default\":-10}"), HS_JSON_OBJECT, &wish.power_level_content_override));
    return hs_room_create(r->srv, &host, r->a, &wish, &r->new_room_id);
}

static hs_error *leave(run *r, hs_arena *a, hs_str room_id, hs_nid user, hs_str user_id, bool joined)
{
    hs_session who = hs_session_acting(user, user_id);
    hs_member_change out = { .action = HS_CHANGE_LEAVE, .room_id = room_id };
    hs_member_change in = { .action = HS_CHANGE_JOIN, .room_id = r->new_room_id };

    HS_TRY(hs_room_member_change(r->srv, &who, a, &out, NULL));
    HS_TRY(hs_room_forget(r->srv, &who, a, room_id));
    return joined && r->new_room_id.p ? hs_room_member_change(r->srv, &who, a, &in, NULL) : NULL;
}

/* Some users. Who cannot leave is noted, and does not hold up the others. */
static hs_error *leave_some(run *r)
{
    hs_nids users;
    hs_arena *each;
    hs_str *ids;
    bool *joined;

    HS_TRY(hs_store_room_present(r->srv->db, r->a, r->room, r->user, LEAVE_AT_ONCE, &users, &joined));
    if (!users.n) {
        r->stage = FAREWELL;
        return NULL;
    }
    HS_TRY(hs_alloc(r->a, users.n, &ids));
    HS_TRY(hs_user_names(r->srv, r->a, users.at, users.n, ids));
    each = hs_arena_open(16 << 20);
    if (!each)
        return HS_ERR_NOMEM;
    hs_error *stop = NULL;
    for (size_t i = 0; i < users.n && !stop && time_left(r); i++) {
        hs_error *e = leave(r, each, r->j->row->resource, users.at[i], ids[i], joined[i]);
        if (e && e->status == 503) {
            stop = hs_err_later(r->a, 503, HS_M_UNKNOWN, e->retry_ms, "%.*s", HS_FMT(e->message));
        } else {
            if (e)
                hs_log_error(r->srv->log, HS_LOG_WARN, HS_S(""), "room.delete_leave", e);
            stop = e ? hs_vec_push(r->a, &r->failed, ids[i]) : hs_vec_push(r->a, &r->kicked, ids[i]);
            r->user = users.at[i];
        }
        hs_arena_reset(each);
    }
    hs_arena_close(each);
    return stop;
}

static hs_error *say_why(run *r, const hs_session *host)
{
    hs_send send = { .room_id = r->new_room_id, .type = HS_S("m.room.message") };
    hs_json_out j;
    hs_buf b;
    hs_str content, event_id;

    hs_buf_init(&b, r->a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "body", r->message.n ? r->message : HS_S(DEFAULT_MESSAGE));
    hs_json_str(&j, "msgtype", HS_S("m.text"));
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &content));
    HS_TRY(hs_content_parse(r->a, content, &send.content));
    return hs_room_send(r->srv, host, r->a, &send, &event_id);
}

/* What the new room gets: the reason, and the old room's names. */
static hs_error *farewell(run *r)
{
    hs_write_result res;
    hs_session host;
    hs_strs moved;
    hs_room *room;
    hs_write *w;

    r->stage = r->purge ? CHECK : END;
    if (r->purge && r->kicked.n)
        r->j->wait_ms = HEAR_MS;
    if (!r->new_room_id.p)
        return NULL;
    HS_TRY(session_of(r, r->new_room_user_id, &host));
    HS_TRY(say_why(r, &host));
    HS_TRY(hs_room_find(r->srv, r->a, r->new_room_id, &room));
    if (!room)
        return hs_err(r->a, 503, HS_M_UNKNOWN, "The new room is not there yet");
    HS_TRY(hs_store_aliases_of(r->srv->db, r->a, r->room, &moved));
    HS_TRY(hs_write_open(r->srv->db, r->a, &w));
    HS_TRY(hs_job_fence(r->j, w));
    HS_TRY(hs_store_aliases_move(w, r->room, room->nid));
    HS_TRY(hs_write_commit(w, &res));
    for (size_t i = 0; i < moved.n; i++)
        HS_TRY(hs_vec_push(r->a, &r->aliases, moved.at[i]));
    return NULL;
}

/* ── forgetting ── */

static hs_error *check(run *r)
{
    hs_room *room;

    HS_TRY(hs_fanout_fresh(r->srv, r->a));
    HS_TRY(hs_room_load(r->srv, r->a, r->room, &room));
    if (room && room->local_members_n && !r->force)
        return hs_err(r->a, 400, HS_M_UNKNOWN, "Users are still joined to this room");
    r->stage = SEAL;
    return NULL;
}

static hs_error *seal_once(run *r, hs_write_status *ret)
{
    hs_news_event news = { .room = r->room };
    hs_timeline_row head;
    hs_write_result res;
    hs_write *w;
    bool found;

    HS_TRY(hs_store_head(r->srv->db, r->a, r->room, &head, &found));
    if (found && head.snap == HS_SEALED_SNAP) { /* a step that was repeated */
        *ret = HS_WRITE_OK;
        return NULL;
    }
    HS_TRY(hs_write_open(r->srv->db, r->a, &w));
    HS_TRY(hs_job_fence(r->j, w));
    HS_TRY(hs_store_room_seal(w, r->room));
    if (found) {
        hs_write_timeline row = { .room = r->room,
                                  .depth = head.depth,
                                  .seen_line = head.line,
                                  .seen_snap = head.snap,
                                  .line = head.line,
                                  .snap = HS_SEALED_SNAP };
        news.depth = head.depth;
        news.line = head.line;
        news.snap = HS_SEALED_SNAP;
        HS_TRY(hs_write_item(w, &row, &news.at));
    } else {
        HS_TRY(hs_write_position(w, &news.at));
    }
    HS_TRY(hs_news_give(w, &(hs_news){ .events = &news, .events_n = 1 }));
    HS_TRY(hs_write_commit(w, &res));
    *ret = res.status;
    return NULL;
}

static hs_error *seal(run *r)
{
    hs_write_status status = HS_WRITE_STALE;

    for (int i = 0; i < SEAL_TRIES && status == HS_WRITE_STALE; i++)
        HS_TRY(seal_once(r, &status));
    if (status != HS_WRITE_OK)
        return hs_err(r->a, 503, HS_M_UNKNOWN, "The room is changing too fast");
    r->stage = USERS;
    r->user = 0;
    r->j->wait_ms = READ_MS;
    return NULL;
}

static hs_error *purge_of_users(run *r, hs_nids users)
{
    uint64_t n = ROWS_AT_ONCE;
    hs_tx *tx;

    while (n && hs_job_goes_on(r->j)) {
        HS_TRY(hs_job_begin(r->j, r->a, &tx));
        HS_TRY(hs_store_purge_of_users(tx, r->a, r->room, users, ROWS_AT_ONCE, &n));
        HS_TRY(hs_tx_commit(tx));
        r->deleted += (int64_t)n;
    }
    return NULL;
}

/* Some users' own rows; they are told, so that no list of rooms has it any more. */
static hs_error *purge_users(run *r)
{
    static const hs_nid EVERYBODY = 0;
    hs_write_result res;
    hs_news_user *told;
    hs_nids users;
    hs_write *w;
    uint32_t at;

    HS_TRY(hs_store_room_users(r->srv->db, r->a, r->room, r->user, USERS_AT_ONCE, &users));
    if (!users.n) {
        r->stage = TABLES;
        r->table = 0;
        r->again = false;
        r->cursor = START;
        return purge_of_users(r, (hs_nids){ &EVERYBODY, 1 });
    }
    HS_TRY(purge_of_users(r, users));
    if (!hs_job_goes_on(r->j))
        return NULL;
    HS_TRY(hs_write_open(r->srv->db, r->a, &w));
    HS_TRY(hs_job_fence(r->j, w));
    HS_TRY(hs_store_purge_user_rooms(w, r->room, users));
    HS_TRY(hs_write_position(w, &at));
    HS_TRY(hs_alloc(r->a, users.n, &told));
    for (size_t i = 0; i < users.n; i++)
        told[i] = (hs_news_user){ .user = users.at[i], .at = at, .what = HS_NEWS_ROOMS, .room = r->room };
    HS_TRY(hs_news_give(w, &(hs_news){ .users = told, .users_n = users.n }));
    HS_TRY(hs_write_commit(w, &res));
    if (res.status == HS_WRITE_OK)
        r->deleted += (int64_t)users.n;
    return NULL;
}

/* A slice, and then as long a pause: others want the database too. */
static hs_error *purge_slice(run *r)
{
    int64_t began = hs_loop_now(r->srv->loop);
    uint64_t n;
    hs_tx *tx;

    HS_TRY(hs_job_begin(r->j, r->a, &tx));
    HS_TRY(hs_store_purge_slice(tx, r->a, (size_t)r->table, r->room, &r->cursor, ROWS_AT_ONCE, &n));
    HS_TRY(hs_tx_commit(tx));
    r->deleted += (int64_t)n;
    r->again = r->again || n;
    if (n < ROWS_AT_ONCE) {
        r->table++;
        r->cursor = START;
    }
    hs_fiber_sleep(r->srv->loop, hs_loop_now(r->srv->loop) - began + 1);
    if (r->table < (int64_t)hs_store_purge_tables())
        return NULL;
    /* What was written while we were at it is found by another pass, users first: the last one finds nothing. */
    r->stage = r->again ? USERS : END;
    r->user = 0;
    return NULL;
}

static hs_error *end(run *r)
{
    hs_tx *tx;

    if (r->room && r->purge) {
        HS_TRY(hs_job_begin(r->j, r->a, &tx));
        HS_TRY(hs_store_purge_room(tx, r->a, r->room));
        HS_TRY(hs_tx_commit(tx));
        hs_log(r->srv->log, HS_LOG_INFO, "room.deleted", "%.*s is gone: %lld rows of it", HS_FMT(r->j->row->resource),
               (long long)r->deleted);
    }
    r->j->done = true;
    return NULL;
}

static hs_error *go_on(run *r)
{
    switch ((stage)r->stage) {
    case BEGIN:
        return begin(r);
    case LEAVE:
        return leave_some(r);
    case FAREWELL:
        return farewell(r);
    case CHECK:
        return check(r);
    case SEAL:
        return seal(r);
    case USERS:
        return purge_users(r);
    case TABLES:
        return purge_slice(r);
    case END:
        return end(r);
    }
    return hs_err_internal(r->a, NULL, "no stage %lld", (long long)r->stage);
}

static hs_error *step(hs_job *j, hs_arena *a, void *ud)
{
    run r = { .j = j, .a = a, .srv = ud, .began = hs_loop_now(((hs_server *)ud)->loop) };
    hs_error *e = NULL;

    HS_TRY(recall(&r));
    do
        e = go_on(&r);
    while (!e && !j->done && !j->wait_ms && time_left(&r));
    HS_TRY(remember(&r));
    return e;
}

hs_error *hs_room_delete_open(hs_server *srv)
{
    HS_TRY(hs_jobs_kind(srv, HS_JOB_PURGE_ROOM, step, srv));
    return hs_jobs_kind(srv, HS_JOB_DELETE_ROOM, step, srv);
}

hs_error *hs_room_forgotten(hs_server *srv, hs_arena *a, const hs_room *room)
{
    hs_job_wish job = { .kind = HS_JOB_PURGE_ROOM,
                        .resource = room->id,
                        .params = HS_S("{\"forgotten\":true,\"purge\":true}"),
                        .delay_ms = srv->config->forgotten_room_retention_ms,
                        .single = true };
    hs_str id;
    bool gone;

    if (srv->config->forgotten_room_retention_ms <= 0)
        return NULL;
    HS_TRY(hs_store_room_is_forgotten(srv->db, a, room->nid, &gone));
    return gone ? hs_job_add(srv, a, &job, &id) : NULL;
}

/* ── asking for it ── */

static hs_error *params_of(hs_arena *a, const hs_session *who, const hs_room_deletion *in, hs_str *ret)
{
    hs_json_out j;
    hs_buf b;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_opt_str(&j, "new_room_user_id", in->new_room_user_id);
    hs_json_opt_str(&j, "new_room_name", in->room_name);
    hs_json_opt_str(&j, "message", in->message);
    hs_json_str(&j, "requester_user_id", who->user_id);
    hs_json_bool(&j, "block", in->block);
    hs_json_bool(&j, "purge", in->purge);
    hs_json_bool(&j, "force_purge", in->force_purge);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

hs_error *hs_room_delete(hs_server *srv, const hs_session *who, hs_arena *a, const hs_room_deletion *in, hs_str *ret)
{
    hs_job_wish job = { .kind = HS_JOB_DELETE_ROOM, .resource = in->room_id, .single = true };
    hs_id id;

    if (!hs_room_id_parse(in->room_id, &id))
        return hs_err(a, 400, HS_M_UNKNOWN, "%.*s is not a legal room ID", HS_FMT(in->room_id));
    if (in->new_room_user_id.p &&
        (!hs_user_id_parse(in->new_room_user_id, &id) || !hs_user_is_local(srv, in->new_room_user_id)))
        return hs_err(a, 400, HS_M_UNKNOWN, "User must be our own: %.*s", HS_FMT(in->new_room_user_id));
    HS_TRY(params_of(a, who, in, &job.params));
    HS_TRY(hs_job_add(srv, a, &job, ret));
    if (!ret->p)
        return hs_err(a, 400, HS_M_UNKNOWN, "Purge already in progress for %.*s", HS_FMT(in->room_id));
    hs_log(srv->log, HS_LOG_INFO, "room.delete", "%.*s deletes %.*s (%.*s)", HS_FMT(who->user_id), HS_FMT(in->room_id),
           HS_FMT(*ret));
    return NULL;
}

hs_error *hs_room_delete_list(hs_server *srv, hs_arena *a, hs_str room_id, hs_job_row **ret, size_t *ret_n)
{
    hs_str kind = HS_S(HS_JOB_DELETE_ROOM);
    hs_job_filter f = { .kinds = { &kind, 1 }, .resource = room_id, .until_ts = INT64_MAX };
    hs_id id;

    if (!hs_room_id_parse(room_id, &id))
        return hs_err(a, 400, HS_M_UNKNOWN, "%.*s is not a legal room ID", HS_FMT(room_id));
    HS_TRY(hs_jobs_list(srv, a, &f, ret, ret_n));
    if (!*ret_n)
        return hs_err(a, 404, HS_M_NOT_FOUND, "No delete task for room_id '%.*s' found", HS_FMT(room_id));
    return NULL;
}

hs_error *hs_room_delete_now(hs_server *srv, const hs_session *who, hs_arena *a, const hs_room_deletion *in,
                             hs_str *ret_result)
{
    hs_job_row *job;
    hs_str id;

    HS_TRY(hs_room_delete(srv, who, a, in, &id));
    HS_TRY(hs_job_wait(srv, a, id, NOW_MS, &job));
    if (job->status == HS_JOB_FAILED)
        return hs_err(a, hs_str_eq(job->error, HS_S("Users are still joined to this room")) ? 400 : 500, HS_M_UNKNOWN,
                      "%.*s", HS_FMT(job->error));
    *ret_result = job->result;
    return NULL;
}
