/* Stored events in memory: by number and by id, bounded by bytes, least recently used first out.
 *
 * An entry that somebody holds (a room's recent timeline, a request) is never dropped: there is one object for an
 * event, so that a redaction reaches all who show it. The bytes of an event never change; a redaction puts the pruned
 * form beside them in the same arena. */
#include "server/cache.h"

#include "base/checked.h"
#include "core/client_event.h"
#include "store/events.h"

#define ARENA_CAP  HS_KIB(1024)
#define TRIM_TRIES 64 /* held entries passed over in one go */
/* caches.event_cache_size counts events; ours have a page each, and a share of what rooms hold. */
#define EVENT_BYTES    HS_KIB(13)
#define EVENTS_DEFAULT ((size_t)10240)
#define EVENTS_MOST    ((size_t)1 << 32)

typedef struct {
    hs_stored s; /* first */
    hs_lru_link lru;
    struct hs_rooms *cache; /* NULL: not in it */
    size_t bytes;
} entry;

static entry *entry_of(hs_lru_link *l)
{
    return (entry *)(void *)((char *)l - offsetof(entry, lru));
}

static void trim(void *ud)
{
    hs_cache_events_trim(ud);
}

hs_error *hs_cache_events_open(struct hs_rooms *c)
{
    const hs_config *config = c->srv->config;
    size_t events = config && config->event_cache_size > 0 ? (size_t)config->event_cache_size : EVENTS_DEFAULT;

    if (events > EVENTS_MOST)
        events = EVENTS_MOST;
    c->events = hs_map_open(c->srv->hash_seed);
    c->event_ids = hs_map_open(c->srv->hash_seed);
    hs_cache_open(c->srv->caches, &c->event_cache, "events", EVENT_BYTES * events, trim, c);
    return c->events && c->event_ids ? NULL : HS_ERR_NOMEM;
}

static void remove_entry(struct hs_rooms *c, entry *e)
{
    hs_map_remove_n(c->events, (uint64_t)e->s.nid);
    hs_map_remove(c->event_ids, e->s.ev->event_id);
    hs_lru_drop(&e->lru);
    hs_cache_removed(&c->event_cache, e->bytes);
    e->cache = NULL;
    hs_stored_unref(&e->s);
}

void hs_cache_events_close(struct hs_rooms *c)
{
    if (c->events)
        while (c->event_cache.lru.next != &c->event_cache.lru)
            remove_entry(c, entry_of(c->event_cache.lru.next));
    hs_map_close(c->events);
    hs_map_close(c->event_ids);
}

hs_stored *hs_stored_ref(hs_stored *s)
{
    s->refs++;
    return s;
}

void hs_stored_unref(hs_stored *s)
{
    struct hs_rooms *c = s ? ((entry *)(void *)s)->cache : NULL;

    if (s && --s->refs == 0)
        hs_arena_close(s->arena); /* the entry is in it */
    else if (c && s->refs == 1 && hs_cache_over(&c->event_cache))
        hs_cache_trim_soon(c);
}

static void unref_hook(void *ud)
{
    hs_stored_unref(ud);
}

hs_error *hs_stored_hold(hs_arena *a, hs_stored *s)
{
    HS_TRY(hs_arena_on_reset(a, unref_hook, s));
    hs_stored_ref(s);
    return NULL;
}

/* Sets ev and client from canonical bytes that the arena owns. */
static hs_error *show(hs_stored *s, const hs_roomver *rv, hs_str json, hs_str event_id)
{
    hs_event *ev;
    hs_str client;
    hs_buf b;

    HS_TRY(hs_event_read(s->arena, rv, json, event_id, &ev));
    hs_buf_init(&b, s->arena);
    hs_client_event_head(&b, ev);
    HS_TRY(hs_buf_flatten(&b, &client));
    s->ev = ev;
    s->client = client;
    return NULL;
}

static hs_error *make(hs_arena *own, hs_arena *a, const hs_roomver *rv, const hs_stored_facts *f, hs_str json,
                      hs_str event_id, entry **ret)
{
    entry *e;
    hs_str copy;

    HS_TRY(hs_alloc(own, 1, &e));
    e->s = (hs_stored){ .refs = 1,
                        .flags = f->flags,
                        .nid = f->nid,
                        .room = f->room,
                        .sender = f->sender,
                        .received_ts = f->received_ts,
                        .slot = f->slot,
                        .line = f->line,
                        .snap = f->snap,
                        .redacted_by = f->redacted_by,
                        .arena = own };
    if (f->flags & HS_EV_REDACTED) {
        hs_event *whole;
        hs_str pruned;
        HS_TRY(hs_event_read(a, rv, json, event_id, &whole));
        HS_TRY(hs_event_redact(a, whole, &pruned));
        event_id = whole->event_id;
        json = pruned;
    }
    HS_TRY(hs_str_dup(own, json, &copy));
    if (event_id.n)
        HS_TRY(hs_str_dup(own, event_id, &event_id));
    HS_TRY(show(&e->s, rv, copy, event_id));
    *ret = e;
    return NULL;
}

/* An error made in the event's own arena must outlive it. */
static hs_error *moved(hs_arena *a, const hs_error *e)
{
    hs_str text;

    if (e == HS_ERR_NOMEM)
        return HS_ERR_NOMEM;
    HS_TRY(hs_str_dup(a, e->message, &text));
    return hs_err_internal(a, NULL, "reading a stored event: %.*s", HS_FMT(text));
}

/* Used, and what the arena's last block has to spare, and the two entries in maps. */
size_t hs_stored_bytes(const hs_stored *s)
{
    return ((hs_arena_used(s->arena) + HS_KIB(4)) & ~(HS_KIB(4) - 1)) + 512;
}

hs_error *hs_stored_make(struct hs_rooms *c, hs_arena *a, const hs_roomver *rv, const hs_stored_facts *f, hs_str json,
                         hs_str event_id, hs_stored **ret)
{
    hs_arena *own = hs_arena_open(ARENA_CAP);
    entry *e = NULL;

    if (!own)
        return HS_ERR_NOMEM;
    hs_error *err = make(own, a, rv, f, json, event_id, &e);
    if (err) {
        err = moved(a, err);
        hs_arena_close(own);
        return err;
    }
    e->s.tells_ttl = e->s.ev->sticky_ms >= 0 && c->srv->config->msc4354_enabled;
    e->bytes = hs_stored_bytes(&e->s);
    *ret = &e->s;
    return NULL;
}

hs_stored *hs_cache_event_get(struct hs_rooms *c, hs_nid nid)
{
    entry *e = hs_map_get_n(c->events, (uint64_t)nid);

    if (!e)
        return NULL;
    hs_lru_touch(&c->event_cache.lru, &e->lru);
    return &e->s;
}

hs_stored *hs_cache_event_named(struct hs_rooms *c, hs_str event_id)
{
    return hs_map_get(c->event_ids, event_id); /* the entry begins with it */
}

void hs_cache_event_forget(struct hs_rooms *c, hs_nid nid)
{
    entry *e = hs_map_get_n(c->events, (uint64_t)nid);

    if (e)
        remove_entry(c, e);
}

hs_stored *hs_cache_event_put(struct hs_rooms *c, hs_stored *s)
{
    entry *e = (entry *)(void *)s;
    hs_stored *there = hs_cache_event_get(c, s->nid);

    if (there && (there->flags & HS_EV_OUTLIER) && !(s->flags & HS_EV_OUTLIER)) {
        hs_cache_event_forget(c, s->nid); /* it has got a place in its room */
        there = NULL;
    }
    if (there)
        return there;
    if (!hs_map_put_n(c->events, (uint64_t)s->nid, e, NULL))
        return s;
    if (!hs_map_put(c->event_ids, s->ev->event_id, e, NULL)) {
        hs_map_remove_n(c->events, (uint64_t)s->nid);
        return s;
    }
    e->cache = c;
    hs_stored_ref(s);
    hs_lru_touch(&c->event_cache.lru, &e->lru);
    hs_cache_added(&c->event_cache, e->bytes);
    hs_cache_events_trim(c);
    return s;
}

void hs_cache_events_forget_room(struct hs_rooms *c, hs_nid room)
{
    hs_lru_link *l = c->event_cache.lru.next;

    c->redactions++; /* what is being read may be gone */
    while (l != &c->event_cache.lru) {
        entry *e = entry_of(l);
        l = l->next;
        if (e->s.room == room)
            remove_entry(c, e);
    }
}

void hs_cache_events_trim(struct hs_rooms *c)
{
    hs_lru_link *last;

    for (int i = 0; i < TRIM_TRIES && (last = hs_cache_oldest(&c->event_cache)); i++) {
        entry *e = entry_of(last);
        if (e->s.refs > 1) {
            hs_lru_touch(&c->event_cache.lru, &e->lru);
        } else {
            remove_entry(c, e);
            c->event_cache.evicted++;
            i = 0;
        }
    }
}

void hs_cache_event_redact(struct hs_rooms *c, hs_nid target, hs_nid by)
{
    entry *e = hs_map_get_n(c->events, (uint64_t)target);
    hs_str pruned;

    c->redactions++;
    if (!e || (e->s.flags & HS_EV_REDACTED))
        return;
    e->s.flags |= HS_EV_REDACTED;
    e->s.redacted_by = by;
    hs_error *err = hs_event_redact(e->s.arena, e->s.ev, &pruned);
    if (!err)
        err = show(&e->s, e->s.ev->rv, pruned, e->s.ev->event_id);
    if (e->cache) {
        size_t is = hs_stored_bytes(&e->s);
        hs_cache_resized(&c->event_cache, e->bytes, is);
        e->bytes = is;
    }
    if (err) { /* no memory: it must not be shown whole. Who holds it keeps an empty head; the next reader loads it anew
                */
        hs_log_error(c->srv->log, HS_LOG_ERROR, HS_S(""), "rooms.redact_in_memory", err);
        e->s.client = HS_S("{\"content\":{}");
    }
}
