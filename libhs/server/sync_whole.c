/* Whole answers of /sync (a first one, or the full state), shared: requests of one device for the same that come at
 * once are answered by one computation, and a request that is repeated gets what was made for the one before, as long
 * as nothing has happened that it would have to show.
 *
 * An answer is made at a moment, and counts for who has asked before anything else was written or somebody's presence
 * or typing changed, whoever's it is: what a filter, a redaction or the deletion of a room make of an answer is not
 * told from what it holds. So on a busy server answers are shared rather than kept. What changes without news
 * (hs_sync_made.passing) is not kept at all; nor is an answer that its client has taken, which its next token says. */
#include "base/checked.h"
#include "server/sync_part.h"
#include "server/sync_recent.h"
#include "server/typing.h"

#include <stdlib.h>

enum { OF_DEVICE_MAX = 4, KEY_MAX = 256 };
#define BYTES     HS_MIB(64)
#define ONE_SHARE 4 /* of the budget, at most, for one answer */

typedef enum { MAKING, MADE, FAILED } answer_state;

typedef struct answer {
    hs_lru_link lru;
    struct answer *next; /* of the same device */
    uint32_t refs;       /* the list's, the maker's, those who wait */
    answer_state state;
    bool listed;
    struct hs_waiters *w;
    hs_loop *loop;
    hs_timer timer; /* its time is over */
    hs_fiber_queue queue;
    /* what was asked */
    uint64_t filter;
    bool has_since, full_state;
    hs_sync_token since;
    const char *state_after;
    /* what was made */
    hs_sync_token token;
    hs_blob *body;
    size_t key_n;
    char key[]; /* the device's */
} answer;

static answer *answer_of_link(hs_lru_link *l)
{
    return (answer *)(void *)((char *)l - offsetof(answer, lru));
}

static answer *answer_of_timer(hs_timer *t)
{
    return (answer *)(void *)((char *)t - offsetof(answer, timer));
}

static hs_str key_of(char buf[static KEY_MAX], const hs_session *who)
{
    size_t n = who->device_id.n < KEY_MAX - sizeof who->user ? who->device_id.n : KEY_MAX - sizeof who->user;

    memcpy(buf, &who->user, sizeof who->user);
    if (n)
        memcpy(buf + sizeof who->user, who->device_id.p, n);
    return hs_str_make(buf, sizeof who->user + n);
}

static size_t bytes_of(const answer *x)
{
    return sizeof *x + 2 * x->key_n + HS_CACHE_SLOT + (x->body ? sizeof *x->body + x->body->n : 0);
}

static void unref(answer *x)
{
    if (--x->refs)
        return;
    hs_blob_unref(x->body);
    free(x);
}

static void unlist(answer *x)
{
    hs_str key = hs_str_make(x->key, x->key_n);
    answer *first = hs_map_get(x->w->answers, key);

    if (!x->listed)
        return;
    x->listed = false;
    hs_timer_disarm(x->loop, &x->timer);
    hs_lru_drop(&x->lru);
    hs_cache_removed(&x->w->answer_cache, bytes_of(x));
    if (first == x && !x->next)
        hs_map_remove(x->w->answers, key);
    else if (first == x)
        (void)!hs_map_put(x->w->answers, key, x->next, NULL); /* replaces: needs no memory */
    else
        for (answer *p = first; p; p = p->next)
            if (p->next == x)
                p->next = x->next;
    unref(x);
}

static void expired(hs_timer *t)
{
    unlist(answer_of_timer(t));
}

void hs_sync_answers_trim(void *ud)
{
    struct hs_waiters *w = ud;

    for (hs_lru_link *l; (l = hs_cache_oldest(&w->answer_cache)); w->answer_cache.evicted++)
        unlist(answer_of_link(l));
}

void hs_sync_answers_open(hs_server *srv)
{
    struct hs_waiters *w = srv->waiters;

    hs_cache_open(srv->caches, &w->answer_cache, "sync_answers", BYTES, hs_sync_answers_trim, w);
    w->answers_total =
        hs_metric_get(srv->metrics, HS_COUNTER, "hs_sync_whole_total",
                      "Whole answers of /sync: made, shared with who asked at once, kept from before", "how");
}

void hs_sync_answers_clear(struct hs_waiters *w)
{
    while (w->answer_cache.lru.prev != &w->answer_cache.lru)
        unlist(answer_of_link(w->answer_cache.lru.prev));
    hs_map_close(w->answers);
    w->answers = NULL;
}

void hs_sync_answers_taken(hs_server *srv, const hs_session *who, int64_t pos)
{
    char buf[KEY_MAX];

    for (answer *x = hs_map_get(srv->waiters->answers, key_of(buf, who)), *next; x; x = next) {
        next = x->next;
        if (x->state == MADE && x->token.pos <= pos)
            unlist(x);
    }
}

/* ── looking ── */

static answer *find(struct hs_waiters *w, hs_str key, const hs_sync_in *in)
{
    for (answer *x = hs_map_get(w->answers, key); x; x = x->next) {
        if (x->filter == in->filter_id && x->has_since == in->has_since && x->state_after == in->state_after &&
            x->full_state == in->full_state && x->since.pos == in->since.pos &&
            x->since.to_device == in->since.to_device && x->since.sticky == in->since.sticky)
            return x;
    }
    return NULL;
}

typedef struct {
    int64_t pos;
    uint64_t boot, serial; /* of presence and typing */
} moment;

static moment now(const hs_server *srv)
{
    hs_typing_view view = hs_typing_look(srv, 0, 0);

    return (moment){ hs_fanout_position(srv), view.boot, view.serial };
}

static bool covers(const hs_sync_token *made, const moment *asked)
{
    return made->pos >= asked->pos && made->boot == asked->boot && made->serial >= asked->serial;
}

/* *ret: it was given. */
static hs_error *take(hs_server *srv, const hs_session *who, hs_arena *a, const hs_sync_in *in, answer *x,
                      const moment *asked, bool waited, hs_buf *b, bool *ret)
{
    *ret = false;
    if (!covers(&x->token, asked))
        return NULL;
    HS_TRY(hs_blob_hold(a, x->body));
    /* What a lazily loading device has been sent in other answers meanwhile is not in this one. */
    if (!waited && in->filter->state.lazy_load_members)
        hs_lazy_forget(srv, who->user, who->device_id);
    hs_buf_splice(b, hs_blob_str(x->body));
    hs_cache_asked(&srv->waiters->answer_cache, true);
    hs_metric_add(srv->waiters->answers_total, 1, waited ? "shared" : "kept");
    *ret = true;
    return NULL;
}

/* ── making ── */

static answer *list(hs_server *srv, hs_str key, const hs_sync_in *in)
{
    struct hs_waiters *w = srv->waiters;
    answer *first = hs_map_get(w->answers, key), *x = calloc(1, sizeof *x + key.n);
    size_t n = 0;

    if (!x)
        return NULL;
    *x = (answer){ .refs = 2,
                   .state = MAKING,
                   .w = w,
                   .loop = srv->loop,
                   .timer.fn = expired,
                   .filter = in->filter_id,
                   .has_since = in->has_since,
                   .full_state = in->full_state,
                   .since = in->since,
                   .state_after = in->state_after,
                   .next = first,
                   .key_n = key.n };
    memcpy(x->key, key.p, key.n);
    if (!hs_map_put(w->answers, key, x, NULL)) {
        free(x);
        return NULL;
    }
    x->listed = true;
    hs_lru_touch(&w->answer_cache.lru, &x->lru);
    hs_cache_added(&w->answer_cache, bytes_of(x));
    for (answer *p = x, *next; p; p = next, n++) {
        next = p->next;
        if (n >= OF_DEVICE_MAX)
            unlist(p);
    }
    return x;
}

/* The body for others, if there may be any. */
static hs_error *keep(hs_server *srv, answer *x, const hs_sync_made *made, hs_buf *b)
{
    struct hs_waiters *w = srv->waiters;
    int64_t ms = srv->config->sync_answers_ms;
    bool kept = x->listed && ms > 0 && !made->passing && b->total < w->answer_cache.budget / ONE_SHARE;
    size_t was = bytes_of(x);
    hs_str text;

    if (!kept)
        unlist(x);
    if (!kept && x->refs == 1)
        return NULL;
    HS_TRY(hs_buf_flatten(b, &text));
    x->body = hs_blob_new(text);
    if (!x->body)
        return HS_ERR_NOMEM;
    x->token = made->next;
    x->state = MADE;
    if (!kept)
        return NULL;
    hs_cache_resized(&w->answer_cache, was, bytes_of(x));
    HS_TRY(hs_timer_arm(srv->loop, &x->timer, ms));
    hs_sync_answers_trim(w);
    return NULL;
}

static hs_error *make(hs_server *srv, const hs_session *who, hs_arena *a, const hs_sync_in *in, hs_str key, hs_buf *b)
{
    answer *x = list(srv, key, in);
    hs_sync_made made;
    hs_error *e;

    if (!x)
        return HS_ERR_NOMEM;
    hs_cache_asked(&srv->waiters->answer_cache, false);
    hs_metric_add(srv->waiters->answers_total, 1, "made");
    e = hs_sync(srv, who, a, in, b, &made);
    if (!e)
        e = keep(srv, x, &made, b);
    if (e) {
        x->state = FAILED;
        unlist(x);
    }
    hs_fiber_wake_all(&x->queue);
    unref(x);
    return e;
}

hs_error *hs_sync_whole(hs_server *srv, const hs_session *who, hs_arena *a, const hs_sync_in *in, hs_buf *b)
{
    moment asked = now(srv);
    char buf[KEY_MAX];
    hs_str key = key_of(buf, who);
    hs_error *e = NULL;
    answer *x;

    while ((x = find(srv->waiters, key, in))) {
        bool waited = x->state == MAKING, given = false;
        hs_sync_made alone;

        x->refs++;
        while (x->state == MAKING)
            hs_fiber_wait(srv->loop, &x->queue);
        if (x->state == FAILED) { /* each by itself, so that nobody waits for one failure after the other */
            unref(x);
            return hs_sync(srv, who, a, in, b, &alone);
        }
        e = take(srv, who, a, in, x, &asked, waited, b, &given);
        if (!given)
            unlist(x);
        unref(x);
        if (e || given)
            return e;
    }
    return make(srv, who, a, in, key, b);
}
