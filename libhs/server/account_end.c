/* See account_end.h. The unit that closes the account also writes down the job: either both are there or none. The job
 * goes through the user's rooms in order of their numbers, again and again until a round has found none that could be
 * left (a request that was under way may have brought the user into one), and takes away once more what such requests
 * wrote. An account that has been opened again is left alone. */
#include "server/account_end.h"

#include "server/jobs.h"
#include "server/names.h"
#include "server/news.h"
#include "server/room_member.h"
#include "store/account_close.h"
#include "store/members.h"
#include "store/names.h"
#include "store/users.h"

enum { STEP_MS = 700, STEP_ROOMS = 100 };
#define PRESENT (1u << HS_MEMBER_JOIN | 1u << HS_MEMBER_INVITE | 1u << HS_MEMBER_KNOCK)

static hs_error *tell(hs_write *w, hs_nid user, bool erase, uint32_t at)
{
    const hs_news_user told[] = { { .user = user, .at = at, .what = HS_NEWS_FLAGS },
                                  { .user = user, .at = at, .what = HS_NEWS_PROFILE } };
    hs_write_result result;

    HS_TRY(hs_news_give(w, &(hs_news){ .users = told, .users_n = erase ? 2 : 1 }));
    HS_TRY(hs_write_commit(w, &result));
    if (result.status != HS_WRITE_OK)
        return hs_err_later(hs_write_arena(w), 503, HS_M_UNKNOWN, 0, "an account could not be closed");
    return NULL;
}

static hs_error *sweep(hs_write *w, hs_nid user, bool erase, uint32_t *ret_at)
{
    HS_TRY(hs_write_position(w, ret_at));
    if (erase) {
        HS_TRY(hs_store_profile_set_name(w, user, hs_str_make(NULL, 0), *ret_at));
        HS_TRY(hs_store_profile_set_avatar(w, user, hs_str_make(NULL, 0), *ret_at));
        HS_TRY(hs_store_profile_clear_fields(w, user, *ret_at));
    }
    return hs_store_account_sweep(w, user);
}

hs_error *hs_account_end(hs_server *srv, hs_arena *a, const hs_session *who, bool erase)
{
    const hs_job_wish job = { .kind = HS_JOB_END_ACCOUNT, .resource = who->user_id };
    hs_write *w;
    uint32_t at;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_close(w, who->user, HS_ACCOUNT_DEACTIVATED | (erase ? (unsigned)HS_ACCOUNT_ERASED : 0),
                                  HS_ACCOUNT_ADMIN));
    HS_TRY(sweep(w, who->user, erase, &at));
    HS_TRY(hs_job_add_with(w, &job, NULL));
    HS_TRY(tell(w, who->user, erase, at));
    hs_job_added(srv, &job);
    return hs_sessions_end_acting(srv, a, who->user); /* the job does it too */
}

/* ── the job ── */

typedef struct {
    hs_job *j;
    hs_server *srv;
    hs_session who;
    bool erased;
    int64_t began;
    int64_t after, left; /* number of the room that was last looked at; rooms left in this round */
} ending;

/* Those of this round that fit into a step. *ret_all: the round is at its end. */
static hs_error *leave_some(ending *g, hs_arena *a, bool *ret_all)
{
    hs_user_room *rooms;
    hs_str id;
    size_t n, looked = 0;

    *ret_all = false;
    HS_TRY(hs_store_user_rooms(g->srv->db, a, g->who.user, PRESENT, &rooms, &n));
    for (size_t i = 0; i < n; i++) {
        if (rooms[i].room <= g->after)
            continue;
        if (looked++ == STEP_ROOMS || hs_loop_now(g->srv->loop) - g->began > STEP_MS || !hs_job_goes_on(g->j))
            return NULL;
        HS_TRY(hs_store_room_ids(g->srv->db, a, &rooms[i].room, 1, &id));
        hs_member_change leave = { .action = HS_CHANGE_LEAVE, .room_id = id };
        hs_error *e = id.p ? hs_room_member_change(g->srv, &g->who, a, &leave, NULL) : NULL;
        if (e && hs_job_tries_again(e))
            return e;
        if (e) /* a room without power to leave it, say: passed over */
            hs_log_error(g->srv->log, HS_LOG_WARN, HS_S("-"), "account.leave_failed", e);
        g->left += !e;
        g->after = rooms[i].room;
    }
    *ret_all = true;
    return NULL;
}

static hs_error *finish(ending *g, hs_arena *a)
{
    hs_write *w;
    uint32_t at;

    HS_TRY(hs_write_open(g->srv->db, a, &w));
    HS_TRY(hs_job_fence(g->j, w));
    HS_TRY(sweep(w, g->who.user, g->erased, &at));
    HS_TRY(tell(w, g->who.user, g->erased, at));
    g->j->done = true;
    return NULL;
}

static hs_error *go_on(ending *g, hs_arena *a)
{
    bool all;

    HS_TRY(hs_sessions_end_acting(g->srv, a, g->who.user));
    HS_TRY(leave_some(g, a, &all));
    if (!all)
        return NULL;
    if (!g->left)
        return finish(g, a);
    g->after = g->left = 0;
    return NULL;
}

static hs_error *step(hs_job *j, hs_arena *a, void *ud)
{
    ending g = { .j = j, .srv = ud, .began = hs_loop_now(((hs_server *)ud)->loop) };
    hs_account_row *account;
    hs_nid user;

    HS_TRY(hs_user_nid_find(g.srv, a, j->row->resource, &user));
    HS_TRY(hs_store_account_get(g.srv->db, a, user, &account));
    if (!account || !(account->flags & HS_ACCOUNT_DEACTIVATED)) {
        j->done = true;
        return NULL;
    }
    g.who = hs_session_acting(user, j->row->resource);
    g.erased = account->flags & HS_ACCOUNT_ERASED;
    (void)hs_jv_int(hs_jv_get(j->progress, HS_S("after")), &g.after);
    (void)hs_jv_int(hs_jv_get(j->progress, HS_S("left")), &g.left);

    hs_error *e = go_on(&g, a);
    HS_TRY(hs_str_fmt(a, &j->saved, "{\"after\":%lld,\"left\":%lld}", (long long)g.after, (long long)g.left));
    return e;
}

hs_error *hs_account_end_open(hs_server *srv)
{
    return hs_jobs_kind(srv, HS_JOB_END_ACCOUNT, step, srv);
}
