/* See room_follow.h. Users go in the order of their numbers, and how far a step has come is the last of them. */
#include "server/room_follow.h"

#include "base/checked.h"
#include "base/json_out.h"
#include "server/account_data.h"
#include "server/jobs.h"
#include "server/push_rules.h"
#include "server/room.h"
#include "store/account_data.h"

#include <stdlib.h>

#define KIND    "follow_room"
#define AT_ONCE 100
#define WAIT_MS 10000 /* of the request that replaces the room */

typedef struct {
    hs_server *srv;
    const hs_room *from, *to;
} follow;

static hs_jv tags_of(hs_jv data)
{
    return hs_jv_get(data, HS_S("tags"));
}

/* The new room's tags, and those of the old one that it does not have. */
static hs_error *add_tags(hs_arena *a, const void *ud, hs_str now, bool *changed, hs_str *ret)
{
    hs_jv old = *(const hs_jv *)ud, own = { 0 };
    hs_buf b;
    hs_json_out j;

    *changed = false;
    if (now.p)
        HS_TRY(hs_tape_parse(a, now, HS_JSON_OBJECT, &own));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_obj_at(&j, "tags");
    for (hs_jv_iter it = { 0 }; hs_jv_next(tags_of(own), &it);) {
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    for (hs_jv_iter it = { 0 }; hs_jv_next(old, &it);) {
        if (hs_jv_is(hs_jv_get(tags_of(own), it.key)))
            continue;
        *changed = true;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_end(&j);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

static hs_error *follow_tags(const follow *f, hs_arena *a, hs_nid user)
{
    hs_str text;
    hs_jv data, tags;

    HS_TRY(hs_store_account_data_get(f->srv->db, a, user, f->from->nid, HS_S("m.tag"), &text));
    if (!text.p)
        return NULL;
    HS_TRY(hs_tape_parse(a, text, HS_JSON_OBJECT, &data));
    tags = tags_of(data);
    if (hs_jv_type_of(tags) != HS_JV_OBJ || !hs_jv_count(tags))
        return NULL;
    return hs_account_data_change(f->srv, a, user, f->to->nid, HS_S("m.tag"), add_tags, &tags);
}

static bool lists(hs_jv array, hs_str value)
{
    if (hs_jv_type_of(array) != HS_JV_ARR)
        return false;
    for (hs_jv_iter it = { 0 }; hs_jv_next(array, &it);)
        if (hs_str_eq(hs_jv_str_or_null(it.value), value))
            return true;
    return false;
}

/* The first person in m.direct with the old room and without the new one gets that too. */
static hs_error *add_direct(hs_arena *a, const void *ud, hs_str now, bool *changed, hs_str *ret)
{
    const follow *f = ud;
    hs_json_out j;
    hs_jv all;
    hs_buf b;

    *changed = false;
    if (!now.p)
        return NULL;
    HS_TRY(hs_tape_parse(a, now, HS_JSON_OBJECT, &all));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(all, &it);) {
        hs_json_key(&j, it.key);
        if (*changed || !lists(it.value, f->from->id) || lists(it.value, f->to->id)) {
            hs_json_v_raw(&j, hs_jv_raw(it.value));
            continue;
        }
        *changed = true;
        hs_json_arr(&j);
        for (hs_jv_iter rooms = { 0 }; hs_jv_next(it.value, &rooms);)
            hs_json_v_raw(&j, hs_jv_raw(rooms.value));
        hs_json_v_str(&j, f->to->id);
        hs_json_end(&j);
    }
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

/* What is wrong with one user's data keeps nobody else's. */
static hs_error *follow_user(const follow *f, hs_arena *step, hs_nid user)
{
    hs_arena *a = hs_arena_open(HS_MIB(16));
    hs_error *e, *later = NULL;

    if (!a)
        return HS_ERR_NOMEM;
    e = follow_tags(f, a, user);
    if (!e)
        e = hs_account_data_change(f->srv, a, user, 0, HS_S("m.direct"), add_direct, f);
    if (!e)
        e = hs_push_rules_move_room(f->srv, a, user, f->from->id, f->to->id);
    if (e && hs_job_tries_again(e))
        later = hs_err_later(step, 503, HS_M_UNKNOWN, 0, "%.*s", HS_FMT(e->message));
    else if (e)
        hs_log_error(f->srv->log, HS_LOG_WARN, HS_S(""), "room_follow", e);
    hs_arena_close(a);
    return later;
}

static int by_number(const void *x, const void *y)
{
    const hs_nid *a = x, *b = y;

    return (*a > *b) - (*a < *b);
}

/* The old room's local members after one of them, in order. */
static hs_error *members_after(const hs_room *room, hs_arena *a, hs_nid after, hs_nids *ret)
{
    hs_nid *at;
    size_t n = 0;

    HS_TRY(hs_alloc(a, room->local_members_n, &at));
    for (size_t i = 0; i < room->local_members_n; i++)
        if (room->local_members[i] > after)
            at[n++] = room->local_members[i];
    if (n)
        qsort(at, n, sizeof *at, by_number);
    *ret = (hs_nids){ .at = at, .n = n };
    return NULL;
}

static hs_error *step(hs_job *j, hs_arena *a, void *ud)
{
    follow f = { .srv = j->srv };
    hs_room *from, *to;
    hs_nid after = 0;
    hs_nids users;
    size_t done = 0;

    (void)ud;
    HS_TRY(hs_room_find(j->srv, a, j->row->resource, &from));
    HS_TRY(hs_room_find(j->srv, a, hs_jv_str_or_null(hs_jv_get(j->params, HS_S("to"))), &to));
    j->done = !from || !to;
    if (j->done)
        return NULL;
    f.from = from;
    f.to = to;
    (void)hs_jv_int(hs_jv_get(j->progress, HS_S("after")), &after);
    HS_TRY(members_after(from, a, after, &users));
    for (; done < users.n && done < AT_ONCE && hs_job_goes_on(j); done++)
        HS_TRY(follow_user(&f, a, users.at[done]));
    j->done = done == users.n;
    return done ? hs_str_fmt(a, &j->saved, "{\"after\":%lld}", (long long)users.at[done - 1]) : NULL;
}

hs_error *hs_room_follow_open(hs_server *srv)
{
    return hs_jobs_kind(srv, KIND, step, NULL);
}

hs_error *hs_room_follow_add(hs_arena *a, hs_write *w, hs_str from, hs_str to, hs_str *ret_job)
{
    hs_job_wish wish = { .kind = KIND, .resource = from };
    hs_json_out j;
    hs_buf b;
    hs_str id;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "to", to);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &wish.params));
    HS_TRY(hs_job_add_with(w, &wish, &id));
    return hs_str_dup(a, id, ret_job); /* the unit's arena goes with it */
}

hs_error *hs_room_follow_wait(hs_server *srv, hs_arena *a, hs_str from, hs_str job)
{
    hs_job_row *row;
    hs_error *e;

    hs_job_added(srv, &(hs_job_wish){ .kind = KIND, .resource = from });
    e = hs_job_wait(srv, a, job, WAIT_MS, &row);
    return e && e->status == 504 ? NULL : e; /* it goes on */
}
