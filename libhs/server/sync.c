/* GET /sync: what has news for a user since a token. Which rooms: sync_choose.c; the rooms themselves: sync_room.c and
 * on. */
#include "server/sync.h"

#include "server/presence.h"
#include "server/push_rules.h"
#include "server/receipts.h"
#include "server/relations.h"
#include "server/sticky.h"
#include "server/sync_run.h"
#include "store/members.h"

#include <stdlib.h>

/* ── what is looked at ── */
/* The user's rooms, copied: what is in memory may change while this request waits. For a woken one only those that woke
 * it. */
static hs_error *copy_rooms(hs_sync_run *s)
{
    const hs_sync_in *in = s->job.in;
    const hs_waiter *w = in->woken && !in->woken->all ? in->woken : NULL;
    hs_sync_user *u;

    HS_TRY(hs_sync_user_get(s->job.srv, s->job.a, s->job.who->user, &u));
    /* From here to the end nothing suspends: the list, the position and the serial belong together. */
    s->job.upto = hs_fanout_position(s->job.srv);
    s->typing =
        in->has_since ? hs_typing_look(s->job.srv, in->since.boot, in->since.serial) : hs_typing_look(s->job.srv, 0, 0);
    HS_TRY(hs_alloc(s->job.a, w ? w->rooms_n : u->rooms_n, &s->rooms));
    if (w) {
        for (size_t i = 0; i < w->rooms_n; i++) {
            const hs_su_room *me = hs_sync_user_room(u, w->rooms[i]);

            if (me)
                s->rooms[s->rooms_n++] = *me;
        }
        return NULL;
    }
    s->rooms_n = u->rooms_n;
    if (u->rooms_n)
        memcpy(s->rooms, u->rooms, u->rooms_n * sizeof *u->rooms);
    s->data_n =
        in->has_since && in->since.pos >= u->floor && u->account_pos <= in->since.pos && !in->full_state ? SIZE_MAX : 0;
    return NULL;
}

static int by_room(const void *x, const void *y)
{
    const hs_account_data_row *a = x, *b = y;

    return a->room != b->room ? (a->room > b->room) - (a->room < b->room) : (a->pos > b->pos) - (a->pos < b->pos);
}

/* Account data since the token, or all; what came after the answer's position is left for the next one. */
static hs_error *read_data(hs_sync_run *s)
{
    const hs_sync_in *in = s->job.in;

    if (s->data_n == SIZE_MAX || (in->woken && !in->woken->all)) {
        s->data_n = 0;
        return NULL;
    }
    HS_TRY(hs_store_account_data_after(s->job.srv->db, s->job.a, s->job.who->user,
                                       in->has_since && !in->full_state ? in->since.pos : INT64_MIN, s->job.upto,
                                       &s->data, &s->data_n));
    if (s->data_n)
        qsort(s->data, s->data_n, sizeof *s->data, by_room);
    s->push_rules = !in->has_since || in->full_state;
    for (size_t i = 0; i < s->data_n; i++) {
        if (s->data[i].room || !hs_str_eq(s->data[i].type, HS_S("m.push_rules")))
            continue;
        HS_TRY(hs_pushrules_json(s->job.a, s->job.who->user_id, s->data[i].content,
                                 hs_push_features(s->job.srv->config), &s->data[i].content));
        s->push_rules = false;
    }
    return NULL;
}

/* ── what else is in a room ── */
static hs_error *data_event(hs_arena *a, hs_str type, hs_str content, hs_str *ret)
{
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "type", type);
    hs_json_raw(&j, "content", content);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

/* What was taken away (all tags; with MSC3391 what is {}) is news to those who had it, and nothing to a client that
 * begins. */
static bool says_nothing(const hs_sync_run *s, bool begins, const hs_account_data_row *row)
{
    if (!begins)
        return false;
    return (hs_str_eq(row->type, HS_S("m.tag")) && hs_str_eq(row->content, HS_S("{\"tags\":{}}"))) ||
           (s->job.srv->config->msc3391_enabled && hs_str_eq(row->content, HS_S("{}")));
}

static hs_error *room_data(hs_sync_run *s, hs_sync_part *p)
{
    const hs_event_filter *f = &s->job.in->filter->room_account_data;
    HS_VEC(hs_str) out = { 0 };

    if (!s->data_n || !hs_event_filter_room(f, p->room->id))
        return NULL;
    if (p->full && s->job.in->has_since && !s->job.in->full_state) {
        /* Newly joined: what was set at an earlier stay is told with it. */
        hs_account_data_row *all;
        size_t n;

        HS_TRY(
            hs_store_account_data_after(s->job.srv->db, s->job.a, s->job.who->user, INT64_MIN, s->job.upto, &all, &n));
        for (size_t i = 0; i < n; i++) {
            hs_str event;

            if (all[i].room != p->room->nid || !hs_event_filter_type(f, all[i].type) ||
                says_nothing(s, p->since == INT64_MIN, &all[i]))
                continue;
            HS_TRY(data_event(s->job.a, all[i].type, all[i].content, &event));
            HS_TRY(hs_vec_push(s->job.a, &out, event));
        }
        p->account_data = (hs_strs){ out.at, out.n };
        return NULL;
    }
    for (size_t i = 0; i < s->data_n; i++) {
        hs_str event;

        if (s->data[i].room != p->room->nid || !hs_event_filter_type(f, s->data[i].type) ||
            says_nothing(s, p->since == INT64_MIN, &s->data[i]))
            continue;
        HS_TRY(data_event(s->job.a, s->data[i].type, s->data[i].content, &event));
        HS_TRY(hs_vec_push(s->job.a, &out, event));
    }
    p->account_data = (hs_strs){ out.at, out.n };
    return NULL;
}

static hs_error *read_receipts(hs_sync_run *s)
{
    const hs_event_filter *f = &s->job.in->filter->ephemeral;
    hs_nid *rooms;
    size_t *index;
    hs_str *contents;

    if (!hs_event_filter_type(f, HS_S("m.receipt")))
        return NULL;
    HS_TRY(hs_alloc(s->job.a, s->parts.n, &rooms));
    HS_TRY(hs_alloc(s->job.a, s->parts.n, &index));
    HS_TRY(hs_alloc(s->job.a, s->parts.n, &contents));
    for (int from_start = 0; from_start < 2; from_start++) {
        size_t n = 0;

        for (size_t i = 0; i < s->parts.n; i++) {
            const hs_sync_part *p = &s->parts.at[i];

            if (p->archived || (p->since == INT64_MIN) != from_start || !hs_event_filter_room(f, p->room->id))
                continue;
            index[n] = i;
            rooms[n++] = p->room->nid;
        }
        if (!n)
            continue;
        HS_TRY(hs_receipts_content(s->job.srv, s->job.a, rooms, n, s->job.who->user,
                                   from_start ? 0 : s->job.in->since.pos, s->job.upto, contents));
        for (size_t i = 0; i < n; i++)
            s->parts.at[index[i]].receipts = contents[i];
    }
    return NULL;
}

static hs_error *read_typing(hs_sync_run *s, hs_sync_part *p)
{
    const hs_event_filter *f = &s->job.in->filter->ephemeral;
    uint64_t serial = hs_typing_room_serial(s->job.srv, p->room->nid);

    if (p->archived || !serial || !s->typing.tells || !hs_event_filter_type(f, HS_S("m.typing")) ||
        !hs_event_filter_room(f, p->room->id))
        return NULL;
    if (p->since != INT64_MIN && serial <= s->typing.since)
        return NULL;
    HS_TRY(hs_typing_content(s->job.srv, s->job.a, p->room->nid, &p->typing));
    /* Nothing is news to somebody who comes anew. */
    if ((p->since == INT64_MIN || !s->typing.since) && hs_str_eq(p->typing, HS_S("{\"user_ids\":[]}")))
        p->typing = hs_str_make(NULL, 0);
    return NULL;
}

/* Who asked for the state after the timeline learns of it from nothing else: it is told also where no event is shown.
 */
static bool empty(const hs_sync_job *job, const hs_sync_part *p)
{
    if (job->in->state_after && (p->has_state || !p->plain))
        return false;
    return !p->events_n && !p->timeline_json.p && !p->receipts.p && !p->typing.p && !p->account_data.n &&
           !p->sticky_n && !p->full && !p->always;
}

/* Names of the threads with something unread, for clients that ask. */
static hs_error *name_threads(hs_sync_run *s, hs_sync_part *p)
{
    hs_nid *nids;
    hs_stored **roots;
    hs_str *ids;
    hs_unread_thread *threads;
    size_t n = 0;

    if (!p->unread.threads_n || !s->job.in->filter->timeline.unread_thread_notifications)
        return NULL;
    HS_TRY(hs_alloc(s->job.a, p->unread.threads_n, &nids));
    HS_TRY(hs_alloc(s->job.a, p->unread.threads_n, &roots));
    HS_TRY(hs_alloc(s->job.a, p->unread.threads_n, &ids));
    HS_TRY(hs_alloc(s->job.a, p->unread.threads_n, &threads));
    for (size_t i = 0; i < p->unread.threads_n; i++)
        nids[i] = p->unread.threads[i].root;
    HS_TRY(hs_events_load(s->job.srv, s->job.a, p->room->nid, nids, p->unread.threads_n, roots));
    for (size_t i = 0; i < p->unread.threads_n; i++) {
        if (!roots[i])
            continue;
        threads[n] = p->unread.threads[i];
        ids[n++] = roots[i]->ev->event_id;
    }
    p->unread.threads = threads;
    p->unread.threads_n = n;
    p->thread_ids = ids;
    return NULL;
}

static hs_error *read_unread(hs_sync_run *s)
{
    hs_room **rooms;
    hs_unread *counts;
    size_t *index, n = 0;

    HS_TRY(hs_alloc(s->job.a, s->parts.n, &rooms));
    HS_TRY(hs_alloc(s->job.a, s->parts.n, &counts));
    HS_TRY(hs_alloc(s->job.a, s->parts.n, &index));
    for (size_t i = 0; i < s->parts.n; i++) {
        if (s->parts.at[i].archived)
            continue;
        index[n] = i;
        rooms[n++] = s->parts.at[i].room;
    }
    if (!n)
        return NULL;
    HS_TRY(hs_unread_get(s->job.srv, s->job.a, s->job.who->user, rooms, n, counts));
    for (size_t i = 0; i < n; i++) {
        s->parts.at[index[i]].unread = counts[i];
        HS_TRY(name_threads(s, &s->parts.at[index[i]]));
    }
    return NULL;
}

/* Presence: of those who have changed, and of those whom the user sees since they or the user joined a room. */
static hs_error *read_presence(hs_sync_run *s)
{
    const hs_sync_in *in = s->job.in;
    hs_typing_view view = s->typing;
    HS_VEC(hs_room *) fresh = { 0 };
    HS_VEC(hs_nid) newcomers = { 0 };

    if (in->full_state && view.tells)
        view.since = 0;
    for (size_t i = 0; in->has_since && i < s->parts.n; i++) {
        const hs_sync_part *p = &s->parts.at[i];

        if (p->newly_joined && !p->archived)
            HS_TRY(hs_vec_push(s->job.a, &fresh, p->room));
        for (size_t k = 0; p->member_events && !p->newly_joined && k < p->senders_n; k++)
            HS_TRY(hs_vec_push(s->job.a, &newcomers, p->senders[k]));
    }
    return hs_presence_news(s->job.srv, s->job.a, s->job.who, &view, in->has_since ? in->woken : NULL,
                            &in->filter->presence, fresh.at, fresh.n, (hs_nids){ newcomers.at, newcomers.n },
                            &s->presence);
}

/* Dresses the events of all rooms in as few round trips as it takes. */
static hs_error *dress(hs_sync_run *s)
{
    hs_dressed *all[2];
    size_t n[2] = { 0, 0 };

    /* With bundles where there is a gap; without one the client has seen all that is in them. */
    for (size_t i = 0; i < s->parts.n; i++)
        n[s->parts.at[i].limited || s->parts.at[i].newly_joined] += s->parts.at[i].events_n;
    for (int k = 0; k < 2; k++) {
        size_t at = 0;

        if (!n[k])
            continue;
        HS_TRY(hs_alloc(s->job.a, n[k], &all[k]));
        for (size_t i = 0; i < s->parts.n; i++) {
            hs_sync_part *p = &s->parts.at[i];

            if ((p->limited || p->newly_joined) != k)
                continue;
            if (p->events_n)
                memcpy(all[k] + at, p->events, p->events_n * sizeof *p->events);
            p->events = all[k] + at;
            at += p->events_n;
        }
        HS_TRY(hs_timeline_dress(s->job.srv, s->job.a, s->job.who, HS_DRESS_REPLACED | (k ? HS_DRESS_BUNDLE : 0),
                                 all[k], n[k]));
    }
    return NULL;
}

/* The same for state events, but for rooms with so many that it would not be worth it. */
static hs_error *dress_state(hs_sync_run *s)
{
    enum { STATE_DRESSED_MAX = 300 };
    hs_dressed *all;
    size_t n = 0;

    for (size_t i = 0; i < s->parts.n; i++)
        n += s->parts.at[i].state_n <= STATE_DRESSED_MAX ? s->parts.at[i].state_n : 0;
    if (!n)
        return NULL;
    HS_TRY(hs_alloc(s->job.a, n, &all));
    n = 0;
    for (size_t i = 0; i < s->parts.n; i++) {
        hs_sync_part *p = &s->parts.at[i];

        if (p->state_n > STATE_DRESSED_MAX)
            continue;
        p->state_dressed = all + n;
        for (size_t k = 0; k < p->state_n; k++)
            all[n++].event = p->state[k];
    }
    return hs_timeline_dress(s->job.srv, s->job.a, s->job.who, HS_DRESS_REPLACED | HS_DRESS_STATE, all, n);
}

static hs_error *fill(hs_sync_run *s)
{
    size_t kept = 0;

    if (!s->parts.n)
        return NULL;
    HS_TRY(hs_sync_foresee(&s->job, s->parts.at, s->parts.n));
    for (size_t i = 0; i < s->parts.n; i++) {
        hs_sync_part *p = &s->parts.at[i];
        bool reused;

        HS_TRY(hs_sync_reuse(&s->job, p, &reused));
        if (!reused)
            HS_TRY(hs_sync_collect(&s->job, p));
        HS_TRY(room_data(s, p));
        HS_TRY(read_typing(s, p));
        HS_TRY(hs_sync_sticky_part(s, p));
    }
    HS_TRY(read_receipts(s));
    for (size_t i = 0; i < s->parts.n; i++) {
        if (!empty(&s->job, &s->parts.at[i]))
            s->parts.at[kept++] = s->parts.at[i];
    }
    s->parts.n = kept;
    for (size_t i = 0; i < s->parts.n; i++) {
        HS_TRY(hs_sync_state(&s->job, &s->parts.at[i]));
        HS_TRY(hs_sync_summary(&s->job, &s->parts.at[i]));
    }
    HS_TRY(dress(s));
    HS_TRY(dress_state(s));
    for (size_t i = 0; i < s->parts.n; i++)
        HS_TRY(hs_sync_keep(&s->job, &s->parts.at[i]));
    return read_unread(s);
}

/* ── invites and knocks ── */
static hs_error *read_stripped(hs_sync_run *s, hs_sync_pending *p)
{
    hs_user_room row;
    bool found;

    HS_TRY(hs_store_user_room(s->job.srv->db, s->job.a, s->job.who->user, p->me.room, &row, &found));
    if (found)
        p->stripped = row.stripped;
    return NULL;
}

static hs_error *write_pending(hs_sync_run *s, hs_json_out *j, const hs_sync_pending *p, const char *key)
{
    hs_stored *event;
    hs_jv stripped;
    hs_buf b;
    hs_str text;

    hs_json_key(j, p->room->id);
    hs_json_obj(j);
    hs_json_obj_at(j, key);
    hs_json_arr_at(j, "events");
    if (p->stripped.n && !hs_tape_parse(s->job.a, p->stripped, 0, &stripped)) {
        for (hs_jv_iter it = { 0 }; hs_jv_next(stripped, &it);) {
            /* The user's own membership comes last, from the event. */
            if (hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("type"))), HS_S("m.room.member")) &&
                hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("state_key"))), s->job.who->user_id))
                continue;
            hs_json_v_raw(j, hs_jv_raw(it.value));
        }
    }
    HS_TRY(hs_events_load(s->job.srv, s->job.a, p->room->nid, &p->me.event, 1, &event));
    if (event) {
        hs_buf_init(&b, s->job.a);
        hs_client_event_stripped(&b, event->ev);
        HS_TRY(hs_buf_flatten(&b, &text));
        hs_json_v_raw(j, text);
    }
    hs_json_end(j);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* ── the answer ── */
static hs_error *global_data(hs_sync_run *s, hs_strs *ret)
{
    const hs_event_filter *f = &s->job.in->filter->account_data;
    HS_VEC(hs_str) out = { 0 };
    hs_str event;

    if (s->push_rules && hs_event_filter_type(f, HS_S("m.push_rules"))) {
        hs_str rules;

        HS_TRY(
            hs_pushrules_json(s->job.a, s->job.who->user_id, HS_S(""), hs_push_features(s->job.srv->config), &rules));
        HS_TRY(data_event(s->job.a, HS_S("m.push_rules"), rules, &event));
        HS_TRY(hs_vec_push(s->job.a, &out, event));
    }
    for (size_t i = 0; i < s->data_n && s->data[i].room == 0; i++) {
        if (!hs_event_filter_type(f, s->data[i].type) ||
            says_nothing(s, !s->job.in->has_since || s->job.in->full_state, &s->data[i]))
            continue;
        HS_TRY(data_event(s->job.a, s->data[i].type, s->data[i].content, &event));
        HS_TRY(hs_vec_push(s->job.a, &out, event));
    }
    *ret = (hs_strs){ out.at, out.n };
    return NULL;
}

static void write_parts(const hs_sync_run *s, hs_json_out *j, const char *key, bool archived)
{
    bool open = false;

    for (size_t i = 0; i < s->parts.n; i++) {
        if (s->parts.at[i].archived != archived)
            continue;
        if (!open)
            hs_json_obj_at(j, key);
        open = true;
        hs_sync_write_part(&s->job, j, &s->parts.at[i]);
    }
    if (open)
        hs_json_end(j);
}

static hs_error *write_rooms(hs_sync_run *s, hs_json_out *j)
{
    hs_json_obj_at(j, "rooms");
    write_parts(s, j, "join", false);
    if (s->invites.n) {
        hs_json_obj_at(j, "invite");
        for (size_t i = 0; i < s->invites.n; i++)
            HS_TRY(write_pending(s, j, &s->invites.at[i], "invite_state"));
        hs_json_end(j);
    }
    if (s->knocks.n) {
        hs_json_obj_at(j, "knock");
        for (size_t i = 0; i < s->knocks.n; i++)
            HS_TRY(write_pending(s, j, &s->knocks.at[i], "knock_state"));
        hs_json_end(j);
    }
    write_parts(s, j, "leave", true);
    hs_json_end(j);
    return NULL;
}

static hs_error *write_answer(hs_sync_run *s, hs_buf *b, hs_sync_made *ret)
{
    hs_json_out j;
    hs_strs data = { NULL, 0 };
    hs_str token;
    bool rooms = s->parts.n || s->invites.n || s->knocks.n;

    HS_TRY(global_data(s, &data));
    for (size_t i = 0; i < s->invites.n; i++)
        HS_TRY(read_stripped(s, &s->invites.at[i]));
    for (size_t i = 0; i < s->knocks.n; i++)
        HS_TRY(read_stripped(s, &s->knocks.at[i]));
    HS_TRY(hs_sync_token_write(s->job.a, &ret->next, &token));
    hs_json_out_init(&j, b);
    hs_json_obj(&j);
    hs_json_str(&j, "next_batch", token);
    if (data.n) {
        hs_json_obj_at(&j, "account_data");
        hs_json_arr_at(&j, "events");
        for (size_t i = 0; i < data.n; i++)
            hs_json_v_raw(&j, data.at[i]);
        hs_json_end(&j);
        hs_json_end(&j);
    }
    if (s->presence.n) {
        hs_json_obj_at(&j, "presence");
        hs_json_arr_at(&j, "events");
        for (size_t i = 0; i < s->presence.n; i++)
            hs_json_v_raw(&j, s->presence.at[i]);
        hs_json_end(&j);
        hs_json_end(&j);
    }
    if (s->letters.msgs.n) {
        hs_json_obj_at(&j, "to_device");
        hs_json_arr_at(&j, "events");
        for (size_t i = 0; i < s->letters.msgs.n; i++)
            hs_json_v_raw(&j, s->letters.msgs.at[i]);
        hs_json_end(&j);
        hs_json_end(&j);
    }
    hs_json_raw(&j, "device_one_time_keys_count", HS_S("{\"signed_curve25519\":0}"));
    hs_json_raw(&j, "device_unused_fallback_key_types", HS_S("[]"));
    if (rooms)
        HS_TRY(write_rooms(s, &j));
    hs_json_end(&j);
    ret->passing = s->letters.msgs.n || s->sticky_n || s->invites.n || s->knocks.n;
    for (size_t i = 0; i < s->parts.n; i++)
        ret->passing |= s->parts.at[i].archived;
    ret->empty = !rooms && !data.n && !s->letters.msgs.n && !s->presence.n && ret->next.sticky == ret->next.pos;
    return NULL;
}

hs_error *hs_sync(hs_server *srv, const hs_session *who, hs_arena *a, const hs_sync_in *in, hs_buf *b,
                  hs_sync_made *ret)
{
    hs_sync_run s = { .job = { .srv = srv, .who = who, .a = a, .in = in, .now = hs_loop_wall(srv->loop) } };

    HS_TRY(hs_ignored_users(srv, a, who->user, &s.job.ignores));
    HS_TRY(hs_sticky_ready(srv, a));
    HS_TRY(copy_rooms(&s));
    HS_TRY(hs_todevice_read(srv, who, a, in->has_since ? in->since.to_device : 0, s.job.upto, &s.letters));
    if (in->filter->state.lazy_load_members) {
        hs_lazy *l = hs_lazy_of(srv, who->user, who->device_id);

        if (l)
            hs_lazy_start(l, in->has_since, in->since.pos);
    }
    HS_TRY(read_data(&s));
    HS_TRY(hs_sync_sticky_find(&s));
    HS_TRY(hs_sync_choose(&s));
    HS_TRY(fill(&s));
    HS_TRY(read_presence(&s));
    hs_sync_made made = { .next = { s.job.upto, s.typing.boot, s.typing.serial, s.letters.upto, s.sticky_upto } };
    HS_TRY(write_answer(&s, b, &made));
    *ret = made;
    return NULL;
}
