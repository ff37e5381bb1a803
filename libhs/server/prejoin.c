/* See prejoin.h. The list is m.room.create, which is always there, the default types unless they are switched off, and
 * what the operator adds: a type with one state key, or with all of them. */
#include "server/prejoin.h"

#include "core/client_event.h"
#include "core/sign.h"
#include "server/event_write.h"
#include "store/members.h"

/* Of a type with all its state keys: so many events at most are looked at, and shown. */
#define SEEN_MAX  2000
#define SHOWN_MAX 200

static const hs_str DEFAULT_TYPES[] = {
    HS_S_INIT("m.room.join_rules"), HS_S_INIT("m.room.canonical_alias"),
    HS_S_INIT("m.room.avatar"),     HS_S_INIT("m.room.encryption"),
    HS_S_INIT("m.room.name"),       HS_S_INIT("m.room.topic"),
};

typedef struct {
    hs_room_write *w;
    HS_VEC(hs_stored *) shown;
} list;

static hs_error *add_event(list *l, hs_stored *s)
{
    for (size_t i = 0; i < l->shown.n; i++)
        if (!s || l->shown.at[i] == s)
            return NULL;
    return s ? hs_vec_push(l->w->a, &l->shown, s) : NULL;
}

static hs_error *add(list *l, hs_str type, hs_str state_key)
{
    hs_stored *s;

    HS_TRY(hs_room_write_state(l->w, type, state_key, &s));
    return add_event(l, s);
}

/* The room's own state with a key, of the kind of slots that the type's lie in; and what the unit has set so far. */
static hs_error *add_keyed(list *l, hs_str type)
{
    hs_room_write *w = l->w;
    int64_t low = hs_slot(w->srv->slot_key, type, HS_S("-")) & ~((INT64_C(1) << 60) - 1);
    hs_stored **found;
    hs_nid *nids;
    bool exact;
    size_t from = hs_state_search(w->room->state, w->room->state_n, low, &exact), n = 0, shown = 0;

    HS_TRY(hs_alloc(w->a, SEEN_MAX, &nids));
    HS_TRY(hs_alloc(w->a, SEEN_MAX, &found));
    while (n < SEEN_MAX && from + n < w->room->state_n && w->room->state[from + n].slot >> 60 == low >> 60) {
        nids[n] = w->room->state[from + n].event;
        n++;
    }
    HS_TRY(hs_events_load_as(w->srv, w->a, w->room->nid, w->room->rv, nids, n, found));
    for (size_t i = 0; i < n && shown < SHOWN_MAX; i++) {
        if (!found[i] || !hs_str_eq(found[i]->ev->type, type))
            continue;
        HS_TRY(add(l, type, found[i]->ev->state_key)); /* as the unit may have changed it */
        shown++;
    }
    for (size_t i = 0; i < w->overlay.n && shown < SHOWN_MAX; i++) {
        hs_stored *s = w->overlay.at[i].event;
        if (!s || !s->ev->state_key.n || !hs_str_eq(s->ev->type, type))
            continue;
        HS_TRY(add(l, type, s->ev->state_key));
        shown++;
    }
    return NULL;
}

static hs_error *add_configured(list *l, const hs_config *c)
{
    for (size_t i = 0; !c->prejoin_disable_default && i < sizeof DEFAULT_TYPES / sizeof *DEFAULT_TYPES; i++)
        HS_TRY(add(l, DEFAULT_TYPES[i], HS_S("")));
    for (size_t i = 0; i < c->prejoin_state_n; i++) {
        const hs_config_state_key *k = &c->prejoin_state[i];
        HS_TRY(add(l, k->type, k->any_state_key ? HS_S("") : k->state_key));
        if (k->any_state_key)
            HS_TRY(add_keyed(l, k->type));
    }
    return NULL;
}

hs_error *hs_prejoin_state(hs_room_write *w, hs_str sender, hs_str *ret)
{
    list l = { .w = w };
    hs_buf b;

    HS_TRY(add(&l, HS_S("m.room.create"), HS_S("")));
    HS_TRY(add_configured(&l, w->srv->config));
    HS_TRY(add(&l, HS_S("m.room.member"), sender));
    hs_buf_init(&b, w->a);
    hs_buf_addc(&b, '[');
    for (size_t i = 0; i < l.shown.n; i++) {
        if (i)
            hs_buf_addc(&b, ',');
        hs_client_event_stripped(&b, l.shown.at[i]->ev);
    }
    hs_buf_addc(&b, ']');
    return hs_buf_flatten(&b, ret);
}

/* ── what was shown and is redacted ── */

static bool shows(hs_jv e, const hs_event *ev)
{
    return hs_str_eq(hs_jv_str_or_null(hs_jv_get(e, HS_S("type"))), ev->type) &&
           hs_str_eq(hs_jv_str_or_null(hs_jv_get(e, HS_S("state_key"))), ev->state_key) &&
           hs_str_eq(hs_jv_str_or_null(hs_jv_get(e, HS_S("sender"))), ev->sender) &&
           hs_str_eq(hs_jv_raw(hs_jv_get(e, HS_S("content"))), hs_jv_raw(ev->content));
}

static hs_error *without(hs_arena *a, hs_str stripped, const hs_event *ev, const hs_event *pruned, bool *ret_changed,
                         hs_str *ret)
{
    hs_jv events;
    hs_buf b;
    bool any = false;

    *ret_changed = false;
    HS_TRY(hs_tape_parse(a, stripped, 0, &events));
    hs_buf_init(&b, a);
    hs_buf_addc(&b, '[');
    for (hs_jv_iter it = { 0 }; hs_jv_next(events, &it);) {
        if (any)
            hs_buf_addc(&b, ',');
        any = true;
        if (shows(it.value, ev)) {
            hs_client_event_stripped(&b, pruned);
            *ret_changed = true;
        } else {
            hs_buf_add(&b, hs_jv_raw(it.value));
        }
    }
    hs_buf_addc(&b, ']');
    return hs_buf_flatten(&b, ret);
}

hs_error *hs_prejoin_redact(hs_room_write *w, const hs_stored *target)
{
    hs_user_room *rows;
    hs_event *pruned;
    hs_str json, text;
    bool changed;
    size_t n;

    HS_TRY(hs_store_stripped_of(w->srv->db, w->a, w->room->nid, &rows, &n));
    if (!n)
        return NULL;
    HS_TRY(hs_event_redact(w->a, target->ev, &json));
    HS_TRY(hs_event_read(w->a, w->room->rv, json, target->ev->event_id, &pruned));
    for (size_t i = 0; i < n; i++) {
        HS_TRY(without(w->a, rows[i].stripped, target->ev, pruned, &changed, &text));
        if (changed)
            HS_TRY(hs_store_stripped_put(w->unit, rows[i].user, w->room->nid, text));
    }
    return NULL;
}
