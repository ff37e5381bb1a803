/* How an event looks to a client: the stored bytes with an `unsigned` of the moment. */
#include "server/timeline.h"

enum { FIELD_LEVELS = 8 };

/* The stored head without its room_id: cut behind the content, whose length is known. */
static void add_head(hs_buf *b, const hs_stored *s, unsigned flags)
{
    static const char KEY[] = ",\"room_id\":\"";
    const char *cut = NULL, *end;
    size_t content;

    if (!(flags & HS_SHOW_ROOM_ID)) {
        content = sizeof "{\"content\":" - 1 + hs_jv_raw(s->ev->content).n;
        if (content < s->client.n)
            cut = memmem(s->client.p + content, s->client.n - content, KEY, sizeof KEY - 1);
    }
    end = cut ? memchr(cut + sizeof KEY - 1, '"', (size_t)(s->client.p + s->client.n - cut) - (sizeof KEY - 1)) : NULL;
    if (!end) {
        hs_buf_splice(b, s->client);
        return;
    }
    hs_buf_splice(b, hs_str_make(s->client.p, (size_t)(cut - s->client.p)));
    hs_buf_splice(b, hs_str_from(s->client, (size_t)(end + 1 - s->client.p)));
}

/* With its id, which servers do not send from version 3 on but a client could not make out. */
static void add_pdu(hs_buf *b, const hs_event *ev)
{
    hs_buf_splice(b, hs_str_first(ev->json, ev->json.n - 1));
    if (hs_jv_str_or_null(hs_jv_get(ev->top, HS_S("event_id"))).p)
        return;
    hs_buf_add(b, HS_S(",\"event_id\":\""));
    hs_buf_splice(b, ev->event_id);
    hs_buf_addc(b, '"');
}

static void show_unsigned(hs_json_out *j, const hs_show *how, const hs_dressed *e);

static void show_all(hs_json_out *j, const hs_show *how, const hs_dressed *e)
{
    hs_json_out inner;

    /* Takes its place in the outer document; its bytes go behind. */
    hs_json_v_raw(j, HS_S(""));
    if (how->flags & HS_SHOW_FEDERATION)
        add_pdu(j->b, e->event->ev);
    else
        add_head(j->b, e->event, how->flags);
    hs_buf_add(j->b, HS_S(",\"unsigned\":"));
    hs_json_out_init(&inner, j->b);
    show_unsigned(&inner, how, e);
    hs_buf_addc(j->b, '}');
}

static void show_relations(hs_json_out *j, const hs_show *how, const hs_dressed *e)
{
    hs_json_obj_at(j, "m.relations");
    if (e->references_n) {
        hs_json_obj_at(j, "m.reference");
        hs_json_arr_at(j, "chunk");
        for (size_t i = 0; i < e->references_n; i++) {
            hs_json_obj(j);
            hs_json_str(j, "event_id", e->references[i]);
            hs_json_end(j);
        }
        hs_json_end(j);
        hs_json_end(j);
    }
    if (e->edit) {
        hs_json_key(j, HS_S("m.replace"));
        show_all(j, how, e->edit);
    }
    if (e->thread_last) {
        hs_json_obj_at(j, "m.thread");
        hs_json_key(j, HS_S("latest_event"));
        show_all(j, how, e->thread_last);
        hs_json_int(j, "count", e->thread_count);
        hs_json_bool(j, "current_user_participated", e->participated);
        hs_json_end(j);
    }
    hs_json_end(j);
}

/* MSC4354. The time of another server counts only as far as it has come. */
static void show_ttl(hs_json_out *j, const hs_show *how, const hs_event *ev)
{
    int64_t from = ev->origin_ts < how->now ? ev->origin_ts : how->now, left = from + ev->sticky_ms - how->now;

    if (ev->sticky_ms > 0 && left > 0)
        hs_json_int(j, "msc4354_sticky_duration_ttl_ms", left);
}

static void show_unsigned(hs_json_out *j, const hs_show *how, const hs_dressed *e)
{
    hs_json_obj(j);
    hs_json_int(j, "age", how->now > e->event->received_ts ? how->now - e->event->received_ts : 0);
    if (e->membership != HS_MEMBER_NONE)
        hs_json_str(j, "membership", hs_membership_str(e->membership));
    if (e->event->tells_ttl)
        show_ttl(j, how, e->event->ev);
    hs_json_opt_str(j, "transaction_id", e->txn_id);
    hs_json_opt_str(j, "org.matrix.msc4140.delay_id", e->delay_id);
    if (e->replaced) {
        hs_json_str(j, "replaces_state", e->replaced->ev->event_id);
        hs_json_raw(j, "prev_content", hs_jv_raw(e->replaced->ev->content));
        hs_json_str(j, "prev_sender", e->replaced->ev->sender);
    }
    if (e->redaction) {
        hs_dressed because = { .event = e->redaction };

        hs_json_str(j, "redacted_by", e->redaction->ev->event_id);
        hs_json_key(j, HS_S("redacted_because"));
        show_all(j, how, &because);
    }
    if (e->references_n || e->edit || e->thread_last)
        show_relations(j, how, e);
    hs_json_end(j);
}

/* ── event_fields ── */
/* Takes the first component off a dotted path; "\." is a dot inside one. The component is written unescaped into buf.
 */
static bool next_component(hs_str *path, char *buf, size_t cap, hs_str *ret)
{
    size_t i = 0, n = 0;

    for (; i < path->n && path->p[i] != '.'; i++) {
        if (path->p[i] == '\\' && i + 1 < path->n && (path->p[i + 1] == '.' || path->p[i + 1] == '\\'))
            i++;
        if (n == cap)
            return false;
        buf[n++] = path->p[i];
    }
    *ret = hs_str_make(buf, n);
    *path = i < path->n ? hs_str_from(*path, i + 1) : hs_str_make(NULL, 0);
    return true;
}

/* Those of the paths that begin with the key, cut by it; *ret_whole: one of them ends there. */
static size_t paths_below(hs_str key, const hs_str *paths, size_t n, hs_str *rest, size_t rest_cap, bool *ret_whole)
{
    char buf[256];
    size_t matching = 0;

    *ret_whole = false;
    for (size_t i = 0; i < n && matching < rest_cap; i++) {
        hs_str path = paths[i], first;

        if (!next_component(&path, buf, sizeof buf, &first) || !hs_str_eq(first, key))
            continue;
        *ret_whole |= path.p == NULL;
        rest[matching++] = path;
    }
    return matching;
}

enum { FIELDS_MAX = 32 };

/* Is there anything that the paths name? */
static bool any_field(hs_jv obj, const hs_str *paths, size_t n, int level)
{
    hs_str rest[FIELDS_MAX];

    for (hs_jv_iter it = { 0 }; hs_jv_next(obj, &it);) {
        bool whole;
        size_t matching = paths_below(it.key, paths, n, rest, FIELDS_MAX, &whole);

        if (matching && (whole || level == FIELD_LEVELS ||
                         (hs_jv_type_of(it.value) == HS_JV_OBJ && any_field(it.value, rest, matching, level + 1))))
            return true;
    }
    return false;
}

/* Writes those members of obj that the paths name. At most FIELD_LEVELS deep: what is named below is shown whole. */
static void show_fields(hs_json_out *j, hs_jv obj, const hs_str *paths, size_t n, int level)
{
    hs_str rest[FIELDS_MAX];

    hs_json_obj(j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(obj, &it);) {
        bool whole;
        size_t matching = paths_below(it.key, paths, n, rest, FIELDS_MAX, &whole);

        if (!matching)
            continue;
        if (whole || level == FIELD_LEVELS) {
            hs_json_key(j, it.key);
            hs_json_v_raw(j, hs_jv_raw(it.value));
        } else if (hs_jv_type_of(it.value) == HS_JV_OBJ && any_field(it.value, rest, matching, level + 1)) {
            hs_json_key(j, it.key);
            show_fields(j, it.value, rest, matching, level + 1);
        }
    }
    hs_json_end(j);
}

void hs_event_show(hs_json_out *j, const hs_show *how, const hs_dressed *e)
{
    hs_buf b;
    hs_json_out whole;
    hs_str bytes;
    hs_jv top;

    if (!how->fields.n) {
        show_all(j, how, e);
        return;
    }
    hs_buf_init(&b, j->b->a);
    hs_json_out_init(&whole, &b);
    show_all(&whole, how, e);
    if (hs_buf_flatten(&b, &bytes) ||
        hs_tape_parse(j->b->a, bytes, HS_JSON_OBJECT | HS_JSON_DEEP | HS_JSON_DUP_KEYS_LAST, &top)) {
        j->b->failed = true;
        return;
    }
    show_fields(j, top, how->fields.at, how->fields.n, 0);
}

void hs_dressed_show(hs_json_out *j, const hs_show *how, const hs_dressed *events, size_t n)
{
    hs_json_arr(j);
    for (size_t i = 0; i < n; i++)
        hs_event_show(j, how, &events[i]);
    hs_json_end(j);
}

hs_error *hs_events_show(hs_server *srv, hs_arena *a, hs_json_out *j, hs_room *room, const hs_show *how, bool bundle,
                         hs_stored *const *events, size_t n)
{
    hs_dressed *dressed;

    (void)room;
    HS_TRY(hs_alloc(a, n, &dressed));
    for (size_t i = 0; i < n; i++)
        dressed[i].event = events[i];
    HS_TRY(hs_timeline_dress(srv, a, how->viewer, HS_DRESS_REPLACED | (bundle ? HS_DRESS_BUNDLE : 0), dressed, n));
    hs_dressed_show(j, how, dressed, n);
    return NULL;
}

void hs_state_show(hs_json_out *j, const hs_show *how, hs_stored *const *events, size_t n)
{
    hs_json_arr(j);
    for (size_t i = 0; i < n; i++) {
        hs_dressed e = { .event = events[i] };

        hs_event_show(j, how, &e);
    }
    hs_json_end(j);
}
