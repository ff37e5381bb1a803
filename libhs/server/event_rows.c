/* The rows of an event that is about to be written: its own, and what follows from it (membership, summary, redaction);
 * and the news that tells of it. Relations, push notes and receipts are added by their modules' hooks. */
#include "server/event_write.h"
#include "server/names.h"
#include "server/prejoin.h"
#include "server/room_member.h"
#include "store/events.h"
#include "store/members.h"

static hs_membership membership_of(const hs_stored *s)
{
    return s ? hs_membership_parse(hs_jv_str_or_null(hs_jv_get(s->ev->content, HS_S("membership")))) : HS_MEMBER_NONE;
}

static void count(hs_summary_delta *d, hs_membership m, int32_t by, bool local)
{
    switch (m) {
    case HS_MEMBER_JOIN:
        d->joined += by;
        d->local_joined += local ? by : 0;
        break;
    case HS_MEMBER_INVITE:
        d->invited += by;
        break;
    case HS_MEMBER_KNOCK:
        d->knocked += by;
        break;
    case HS_MEMBER_BAN:
        d->banned += by;
        break;
    case HS_MEMBER_LEAVE:
    case HS_MEMBER_NONE:
        break;
    }
}

/* `s` is the user's member event now, `was` the one before; one of them may be NULL. */
static hs_error *member_rows(hs_room_write *w, hs_stored *s, const hs_stored *was, uint32_t at, hs_news_event *news)
{
    hs_str user_id = (s ? s : was)->ev->state_key;
    hs_membership now = membership_of(s), before = membership_of(was);
    bool local = hs_user_is_local(w->srv, user_id), direct = false;
    hs_nid user;

    HS_TRY(hs_user_nid(w->srv, w->a, user_id, &user));
    count(&w->counts, before, -1, local);
    count(&w->counts, now, 1, local);
    w->counts_changed = w->counts_changed || now != before;
    if (news->event == s) {
        news->target = user;
        news->membership = now;
        news->was = before;
    }
    if (!s)
        return hs_store_member_remove(w->unit, w->room->nid, user);
    HS_TRY(hs_store_member_put(w->unit, at, w->room->nid, user, now, s->nid));
    if (!local)
        return NULL;
    hs_user_room row = { .user = user, .room = w->room->nid, .membership = now, .event = s->nid, .sender = s->sender };
    if (hs_jv_bool(hs_jv_get(s->ev->content, HS_S("is_direct")), &direct) && direct)
        row.flags = HS_USER_ROOM_DIRECT;
    if (hs_member_forgets(w->srv, before, now))
        row.flags |= HS_USER_ROOM_FORGOTTEN;
    if (now == HS_MEMBER_INVITE || now == HS_MEMBER_KNOCK)
        HS_TRY(hs_prejoin_state(w, s->ev->sender, &row.stripped));
    return hs_store_user_room_put(w->unit, at, &row);
}

static bool is_summarised(hs_str type)
{
    static const hs_str TYPES[] = {
        HS_S_INIT("m.room.create"),       HS_S_INIT("m.room.name"),       HS_S_INIT("m.room.canonical_alias"),
        HS_S_INIT("m.room.topic"),        HS_S_INIT("m.room.avatar"),     HS_S_INIT("m.room.join_rules"),
        HS_S_INIT("m.room.guest_access"), HS_S_INIT("m.room.encryption"), HS_S_INIT("m.room.history_visibility"),
        HS_S_INIT("m.room.tombstone"),    HS_S_INIT("m.room.retention"),
    };

    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (hs_str_eq(type, TYPES[i]))
            return true;
    return false;
}

static hs_error *state_rows(hs_room_write *w, const hs_event_rows_in *in, uint32_t at, hs_news_event *news)
{
    hs_state_entry *told;

    for (size_t i = 0; i < in->rows_n; i++)
        HS_TRY(
            hs_write_state(w->unit, at, in->rows[i].at.line, in->rows[i].at.snap, in->rows[i].slot, in->rows[i].event));
    HS_TRY(hs_alloc(w->a, in->changes_n, &told));
    for (size_t i = 0; i < in->changes_n; i++) {
        const hs_state_swap *c = &in->changes[i];
        const hs_event *ev = (c->now ? c->now : c->was)->ev;
        told[i] = (hs_state_entry){ .slot = c->slot, .event = c->now ? c->now->nid : 0 };
        if (!c->was != !c->now) {
            w->counts.state_events += c->now ? 1 : -1;
            w->counts_changed = true;
        }
        if (hs_str_eq(ev->type, HS_S("m.room.member")))
            HS_TRY(member_rows(w, c->now, c->was, at, news));
        else if (!ev->state_key.n && is_summarised(ev->type))
            w->summary_changed = true;
    }
    news->state = told;
    news->state_n = in->changes_n;
    return NULL;
}

/* State events, besides its own, that the event made current. */
static hs_error *delta_of(hs_room_write *w, const hs_event_rows_in *in, hs_nids *ret)
{
    hs_nid *nids;
    size_t n = 0;

    HS_TRY(hs_alloc(w->a, in->changes_n, &nids));
    for (size_t i = 0; i < in->changes_n; i++)
        if (in->changes[i].now && in->changes[i].now != in->event)
            nids[n++] = in->changes[i].now->nid;
    *ret = (hs_nids){ .at = n ? nids : NULL, .n = n };
    return NULL;
}

hs_error *hs_event_rows_insert(hs_room_write *w, const hs_event_rows_in *in)
{
    const hs_stored *s = in->event;
    hs_event_row row = { .room = w->room->nid,
                         .event = s->nid,
                         .event_id = s->ev->event_id,
                         .type = s->ev->type,
                         .state_key = s->ev->is_state ? s->ev->state_key : hs_str_make(NULL, 0),
                         .sender = s->sender,
                         .slot = s->slot,
                         .depth = s->ev->depth,
                         .origin_ts = s->ev->origin_ts,
                         .received_ts = s->received_ts,
                         .line = s->line,
                         .snap = s->snap,
                         .flags = (int32_t)s->flags,
                         .prev = in->prev,
                         .auth = in->auth,
                         .json = s->ev->json };

    if (s->ev->is_state && !row.state_key.p)
        row.state_key = HS_S("");
    HS_TRY(in->refill ? hs_store_event_fill(w->unit, &row) : hs_store_event_insert(w->unit, &row));
    if (!in->txn_id.p)
        return NULL;
    hs_txn_row txn = { .user = s->sender,
                       .device_id = in->device_id,
                       .scope = w->room->nid,
                       .txn_id = in->txn_id,
                       .room = w->room->nid,
                       .event = s->nid,
                       .ts = s->received_ts };
    return hs_store_txn_insert(w->unit, &txn);
}

static hs_error *timeline_row(hs_room_write *w, const hs_event_rows_in *in, uint32_t *ret_at)
{
    hs_write_timeline item = { .room = w->room->nid,
                               .event = in->event->nid,
                               .depth = in->event->ev->depth,
                               .prev = in->covers.n ? in->covers : in->prev,
                               .seen_line = w->line,
                               .seen_snap = w->snap,
                               .seen_pos = w->seen_pos,
                               .line = in->after.line,
                               .snap = in->after.snap,
                               .d_notify = in->push->d_notify,
                               .d_high = in->push->d_high };

    HS_TRY(delta_of(w, in, &item.delta));
    return hs_write_item(w->unit, &item, ret_at);
}

/* Is the event state that the summary is made from? */
static bool is_in_summary(const hs_room_write *w, hs_nid nid, const hs_stored *s)
{
    return s && s->ev->is_state && !s->ev->state_key.n && is_summarised(s->ev->type) &&
           hs_room_state_nid(w->srv, w->room, s->ev->type, s->ev->state_key) == nid;
}

hs_error *hs_event_rows_add(hs_room_write *w, const hs_event_rows_in *in)
{
    hs_stored *s = in->event;
    hs_news_event news = { .room = w->room->nid,
                           .event = s,
                           .depth = s->ev->depth,
                           .line = in->after.line,
                           .snap = in->after.snap,
                           .heads = &s->nid,
                           .heads_n = in->heads_by_hand ? 0 : 1,
                           .d_notify = in->push->d_notify,
                           .d_high = in->push->d_high,
                           .notes = in->push->notes,
                           .notes_n = in->push->notes_n,
                           .device_id = in->device_id,
                           .txn_id = in->txn_id,
                           .redacts = in->redacts };
    struct hs_rooms *c = w->srv->rooms;

    HS_TRY(hs_event_rows_insert(w, in));
    HS_TRY(timeline_row(w, in, &news.at));
    if (in->rows_n || in->changes_n)
        HS_TRY(state_rows(w, in, news.at, &news));
    if (in->redacts) {
        HS_TRY(hs_store_redaction_insert(w->unit, w->room->nid, in->redacts, s->nid, HS_REDACTION_APPLIED,
                                         s->received_ts));
        HS_TRY(hs_store_event_flag(w->unit, w->room->nid, in->redacts, HS_EVENT_REDACTED));
        w->redacted = in->redacts;
        const hs_stored *target = hs_cache_event_get(c, in->redacts); /* it has been loaded to be redacted */
        w->summary_changed = w->summary_changed || is_in_summary(w, in->redacts, target);
        if (target && target->ev->is_state)
            HS_TRY(hs_prejoin_redact(w, target));
    }
    hs_persist_event pe = { .room = w->room, .event = s, .at = news.at, .push = in->push };
    for (size_t i = 0; i < c->hooks_n; i++)
        HS_TRY(c->hooks[i](c->hook_ud[i], w->a, w->unit, &pe));
    w->last_at = news.at;
    return hs_vec_push(w->a, &w->events, news);
}

/* `kept`: redaction leaves the member where it is. */
static hs_error *text_of(hs_room_write *w, const char *type, const char *member, bool kept, hs_str *ret)
{
    hs_stored *s;

    HS_TRY(hs_room_write_state(w, hs_str_c(type), HS_S(""), &s));
    *ret = s && (kept || s->nid != w->redacted) ? hs_jv_str_or_null(hs_jv_get(s->ev->content, hs_str_c(member)))
                                                : hs_str_make(NULL, 0);
    return NULL;
}

static hs_error *summary(hs_room_write *w)
{
    hs_room_summary sum = { .room = w->room->nid, .federatable = true, .bump_pos = w->room->is_new ? -1 : 0 };
    hs_stored *create, *retention;

    HS_TRY(text_of(w, "m.room.name", "name", false, &sum.name));
    HS_TRY(text_of(w, "m.room.canonical_alias", "alias", false, &sum.canonical_alias));
    HS_TRY(text_of(w, "m.room.topic", "topic", false, &sum.topic));
    HS_TRY(text_of(w, "m.room.avatar", "url", false, &sum.avatar));
    HS_TRY(text_of(w, "m.room.join_rules", "join_rule", true, &sum.join_rules));
    HS_TRY(text_of(w, "m.room.history_visibility", "history_visibility", true, &sum.history_visibility));
    HS_TRY(text_of(w, "m.room.guest_access", "guest_access", false, &sum.guest_access));
    HS_TRY(text_of(w, "m.room.encryption", "algorithm", false, &sum.encryption));
    HS_TRY(text_of(w, "m.room.tombstone", "replacement_room", false, &sum.successor));
    HS_TRY(text_of(w, "m.room.create", "type", true, &sum.room_type));
    HS_TRY(hs_room_write_state(w, HS_S("m.room.create"), HS_S(""), &create));
    if (create)
        (void)hs_jv_bool(hs_jv_get(create->ev->content, HS_S("m.federate")), &sum.federatable);
    HS_TRY(hs_room_write_state(w, HS_S("m.room.retention"), HS_S(""), &retention));
    if (retention && retention->nid != w->redacted)
        (void)hs_jv_int(hs_jv_get(retention->ev->content, HS_S("max_lifetime")), &sum.retention_max);
    return hs_store_summary_put(w->unit, w->last_at, &sum);
}

hs_error *hs_room_write_marker(hs_write *w, const hs_timeline_row *seen, hs_snap after)
{
    hs_news_event *news;

    HS_TRY(hs_alloc(hs_write_arena(w), 1, &news));
    *news = (hs_news_event){ .room = seen->room, .depth = seen->depth, .line = after.line, .snap = after.snap };
    HS_TRY(hs_write_item(w,
                         &(hs_write_timeline){ .room = seen->room,
                                               .depth = seen->depth,
                                               .seen_line = seen->line,
                                               .seen_snap = seen->snap,
                                               .line = after.line,
                                               .snap = after.snap },
                         &news->at));
    return hs_news_give(w, &(hs_news){ .events = news, .events_n = 1 });
}

hs_error *hs_event_rows_end(hs_room_write *w)
{
    if (w->summary_changed)
        HS_TRY(summary(w));
    if (w->counts_changed)
        HS_TRY(hs_store_summary_counts(w->unit, w->last_at, w->room->nid, &w->counts));
    return NULL;
}
