/* See relations.h. */
#include "server/relations.h"

#include "core/glob.h"
#include "server/room_state.h"
#include "store/relations.h"

hs_relates_to hs_relates_to_read(hs_jv content)
{
    hs_jv r = hs_jv_get(content, HS_S("m.relates_to"));
    hs_relates_to out = { 0 };
    hs_str event_id, rel_type;

    if (!hs_jv_str(hs_jv_get(r, HS_S("event_id")), &event_id) || !hs_jv_str(hs_jv_get(r, HS_S("rel_type")), &rel_type))
        return out;
    out.event_id = event_id;
    out.rel_type = rel_type;
    out.key = hs_jv_str_or_null(hs_jv_get(r, HS_S("key")));
    return out;
}

/* ── before sending ── */
hs_error *hs_relations_check(hs_server *srv, hs_arena *a, hs_room *room, hs_nid sender, hs_str type, hs_jv content)
{
    hs_relates_to rel = hs_relates_to_read(content);
    hs_stored *parent;

    if (!rel.rel_type.p)
        return NULL;
    HS_TRY(hs_event_find(srv, a, room->nid, rel.event_id, &parent));
    if (!parent || parent->room != room->nid) /* an event of another room is as good as none */
        return hs_err(a, 400, HS_M_UNKNOWN, "Can't send relation to unknown event");

    if (hs_str_eq(rel.rel_type, HS_S("m.annotation"))) {
        bool twice;

        if (!rel.key.p)
            return hs_err(a, 400, HS_M_UNKNOWN, "Missing aggregation key");
        if (rel.key.n > 500)
            return hs_err(a, 400, HS_M_UNKNOWN, "Aggregation key is too long");
        HS_TRY(hs_store_annotated(srv->db, a, room->nid, parent->nid, sender, type, rel.key, &twice));
        if (twice)
            return hs_err(a, 400, HS_M_DUPLICATE_ANNOTATION, "Can't send same reaction twice");
    } else if (hs_str_eq(rel.rel_type, HS_S("m.thread")) && hs_relates_to_read(parent->ev->content).rel_type.p) {
        return hs_err(a, 400, HS_M_UNKNOWN, "Cannot start threads from an event with a relation");
    }
    return NULL;
}

hs_error *hs_thread_of(hs_server *srv, hs_arena *a, hs_room *room, hs_jv content, hs_nid *ret_root)
{
    enum { LEVELS = 3 }; /* an edit of a reaction to a reply is as deep as it makes sense */
    hs_relates_to rel = hs_relates_to_read(content);

    for (int level = 0; rel.rel_type.p && level <= LEVELS; level++) {
        hs_stored *parent;

        HS_TRY(hs_event_find(srv, a, room->nid, rel.event_id, &parent));
        if (!parent || parent->room != room->nid)
            break;
        if (hs_str_eq(rel.rel_type, HS_S("m.thread"))) {
            *ret_root = parent->nid;
            return NULL;
        }
        rel = hs_relates_to_read(parent->ev->content);
    }
    *ret_root = 0;
    return NULL;
}

/* ── filters ── */
bool hs_relations_filters(const hs_event_filter *f)
{
    return f->related_by_senders.n || f->related_by_rel_types.n;
}

hs_error *hs_relations_filter(hs_server *srv, hs_arena *a, hs_nid room, const hs_event_filter *f,
                              hs_stored *const *events, size_t n, bool *keep)
{
    bool asks = n && hs_relations_filters(f);
    hs_nids found;
    hs_nid *nids;

    for (size_t i = 0; i < n; i++)
        keep[i] = !asks;
    if (!asks)
        return NULL;
    HS_TRY(hs_alloc(a, n, &nids));
    for (size_t i = 0; i < n; i++)
        nids[i] = events[i] ? events[i]->nid : 0;
    HS_TRY(hs_store_related_to(srv->db, a, room, (hs_nids){ nids, n }, f->related_by_rel_types, f->related_by_senders,
                               &found));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < found.n && !keep[i]; k++)
            keep[i] = nids[i] == found.at[k];
    return NULL;
}

/* ── rows ── */
static hs_error *persist(void *ud, hs_arena *a, hs_write *w, const hs_persist_event *e)
{
    hs_server *srv = ud;
    const hs_event *ev = e->event->ev;
    hs_relates_to rel = hs_relates_to_read(ev->content);
    hs_stored *target;

    if (ev->redacts.p) {
        /* A redacted relation is none any more. */
        HS_TRY(hs_event_find(srv, a, e->room->nid, ev->redacts, &target));
        if (!target)
            return NULL;
        hs_nid redacted = target->nid;
        rel = hs_relates_to_read(target->ev->content);
        if (!rel.rel_type.p)
            return NULL;
        HS_TRY(hs_event_find(srv, a, e->room->nid, rel.event_id, &target));
        return target ? hs_store_relation_remove(w, e->room->nid, target->nid, rel.rel_type, redacted) : NULL;
    }
    if (!rel.rel_type.p)
        return NULL;
    HS_TRY(hs_event_find(srv, a, e->room->nid, rel.event_id, &target));
    if (!target || target->room != e->room->nid)
        return NULL;
    hs_relation_row row = { .room = e->room->nid,
                            .target = target->nid,
                            .event = e->event->nid,
                            .sender = e->event->sender,
                            .rel_type = rel.rel_type,
                            .key = rel.key,
                            .depth = ev->depth };
    return hs_store_relation_insert(w, e->at, &row);
}

hs_error *hs_relations_open(hs_server *srv, hs_arena *a)
{
    (void)a;
    return hs_persist_listen(srv, persist, srv);
}

/* ── pages ── */
/* No token: the range stays as it is on that side. A token without a depth cuts by position alone, whatever is deeper
 * there; one with a depth stands behind the event that it names (the range's ends do not belong to it), and keeps the
 * cut of the page that it comes from. */
static hs_error *read_point(hs_arena *a, hs_str token, bool is_low, hs_relation_range *range)
{
    hs_page_token t;

    if (!token.p)
        return NULL;
    HS_TRY(hs_page_token_read(a, token, &t));
    if (t.has_depth && is_low)
        range->low = (hs_topo){ t.depth, t.pos };
    else if (t.has_depth)
        range->high = (hs_topo){ t.depth, t.pos < INT64_MAX ? t.pos + 1 : t.pos };
    if (t.has_depth ? t.bound == HS_PAGE_AFTER : is_low)
        range->after = t.has_depth ? t.bound_pos : t.pos;
    if (t.has_depth ? t.bound == HS_PAGE_UPTO : !is_low)
        range->upto = t.has_depth ? t.bound_pos : t.pos;
    return NULL;
}

/* The place behind a page's last row. */
static hs_error *write_next(hs_arena *a, const hs_relation_range *range, const hs_related_row *last, hs_str from,
                            hs_str *ret)
{
    bool forwards = range->dir == HS_FORWARD;
    hs_page_token next = { .has_depth = true, .depth = last->at.depth, .pos = last->at.pos - !forwards };

    if (from.p && forwards && range->after != INT64_MIN) {
        next.bound = HS_PAGE_AFTER;
        next.bound_pos = range->after;
    } else if (from.p && !forwards && range->upto != INT64_MAX) {
        next.bound = HS_PAGE_UPTO;
        next.bound_pos = range->upto;
    }
    return hs_page_token_write(a, &next, ret);
}

/* Nobody is shown by its edits what a redacted event said. */
static size_t without_edits(hs_dressed *events, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (!hs_str_eq(hs_relates_to_read(events[i].event->ev->content).rel_type, HS_S("m.replace")))
            events[kept++] = events[i];
    return kept;
}

/* Loads, filters by visibility and dresses a page; the order is kept. */
static hs_error *show_page(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room, const hs_nid *nids,
                           size_t n, hs_relations_page *page)
{
    hs_stored **events;
    hs_membership *memberships;
    bool *visible;
    size_t kept = 0, known = 0;

    HS_TRY(hs_alloc(a, n, &events));
    HS_TRY(hs_alloc(a, n, &visible));
    HS_TRY(hs_alloc(a, n, &memberships));
    HS_TRY(hs_alloc(a, n, &page->events));
    HS_TRY(hs_events_load(srv, a, room->nid, nids, n, events));
    for (size_t i = 0; i < n; i++) {
        if (events[i])
            events[known++] = events[i];
    }
    HS_TRY(hs_timeline_visible(srv, a, room, who, HS_SEES_PAST_STAYS, events, known, visible, memberships));
    for (size_t i = 0; i < known; i++) {
        if (visible[i])
            page->events[kept++] = (hs_dressed){ .event = events[i], .membership = memberships[i] };
    }
    page->room = room;
    page->n = kept;
    return hs_timeline_dress(srv, a, who, HS_DRESS_BUNDLE, page->events, kept);
}

hs_error *hs_relations_list(hs_server *srv, const hs_session *who, hs_arena *a, const hs_relations_query *in,
                            hs_relations_page *ret)
{
    hs_relation_range range = { .rel_type = in->rel_type,
                                .type = in->event_type,
                                .recurse = in->recurse,
                                .low = { INT64_MIN, INT64_MIN },
                                .high = { INT64_MAX, INT64_MAX },
                                .after = INT64_MIN,
                                .upto = INT64_MAX };
    hs_relations_page page = { 0 };
    hs_room_access access;
    hs_related_row *rows;
    hs_dressed parent;
    hs_room *room;
    hs_nid *nids;
    size_t n;
    int64_t limit = in->limit > HS_PAGE_LIMIT ? HS_PAGE_LIMIT : in->limit;

    HS_TRY(hs_room_access_check(srv, who, a, in->room_id, &access));
    if (hs_timeline_event(srv, who, a, in->room_id, in->event_id, &room, &parent))
        return hs_err(a, 404, HS_M_UNKNOWN, "Unknown parent event.");
    page.parent = parent;
    range.room = room->nid;
    range.target = parent.event->nid;
    range.dir = in->forwards ? HS_FORWARD : HS_BACKWARD;
    range.limit = (int32_t)limit + 1;
    HS_TRY(read_point(a, in->from, in->forwards, &range));
    HS_TRY(read_point(a, in->to, !in->forwards, &range));
    HS_TRY(hs_store_related(srv->db, a, &range, &rows, &n));
    if ((int64_t)n > limit) {
        n = (size_t)limit;
        if (n)
            HS_TRY(write_next(a, &range, &rows[n - 1], in->from, &page.next_batch));
    }
    HS_TRY(hs_alloc(a, n, &nids));
    for (size_t i = 0; i < n; i++)
        nids[i] = rows[i].event;
    HS_TRY(show_page(srv, who, a, room, nids, n, &page));
    if (parent.event->flags & HS_EV_REDACTED)
        page.n = without_edits(page.events, page.n);
    page.prev_batch = in->from;
    *ret = page;
    return NULL;
}

hs_error *hs_threads_list(hs_server *srv, const hs_session *who, hs_arena *a, const hs_threads_query *in,
                          hs_relations_page *ret)
{
    hs_room_access access;
    hs_relations_page page = { 0 };
    hs_thread_at *rows;
    hs_nid *nids;
    int64_t before = 0, limit = in->limit > HS_PAGE_LIMIT ? HS_PAGE_LIMIT : in->limit;
    size_t n;

    HS_TRY(hs_room_access_check(srv, who, a, in->room_id, &access));
    if (in->from.p && (!hs_str_to_i64(in->from, &before) || before <= 0))
        return hs_err(a, 400, HS_M_UNKNOWN, "Invalid threads token");
    HS_TRY(hs_store_threads(srv->db, a, access.room->nid, before, (int32_t)limit + 1, &rows, &n));
    if ((int64_t)n > limit) {
        n = (size_t)limit;
        if (n)
            HS_TRY(hs_str_fmt(a, &page.next_batch, "%lld", (long long)rows[n - 1].last_pos));
    }
    HS_TRY(hs_alloc(a, n, &nids));
    for (size_t i = 0; i < n; i++)
        nids[i] = rows[i].root;
    HS_TRY(show_page(srv, who, a, access.room, nids, n, &page));
    if (in->participated) {
        size_t kept = 0;

        for (size_t i = 0; i < page.n; i++) {
            if (page.events[i].event->sender == who->user || page.events[i].participated)
                page.events[kept++] = page.events[i];
        }
        page.n = kept;
    }
    *ret = page;
    return NULL;
}
