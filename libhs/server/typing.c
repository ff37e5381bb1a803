/* See typing.h. The state changes by messages alone (hs_typing_apply), and all workers apply the same messages in the
 * same order; what a message does must hang on nothing else than the state and itself. Only what nobody can see (how
 * long an ended entry is remembered, who asks for the end of one that is overdue) goes by this worker's own clock. */
#include "server/typing.h"

#include "base/json_out.h"
#include "core/ids.h"
#include "server/peers.h"
#include "server/presence.h"
#include "server/sync_wait.h"
#include "server/typing_state.h"

#include <stdlib.h>

enum {
    TYPISTS_MAX = 256,      /* in a room; nobody reads a list that long */
    STOPPED_MS = 5000,      /* that an ended entry is remembered */
    OVERDUE_MS = 2000,      /* after its time, before others than its owner ask for its end */
    SILENT_MS = 30000,      /* of its owner, before they do so */
    ASK_MS = 1000,          /* between two such questions */
    KEPT_MS = 24 * 3600000, /* that a room is kept for its number */
    AHEAD_MAX = 60000,      /* of the clock: a token that is further ahead is not of this server's life */
    USER_ID_MAX = 255,
};

/* ── rooms ── */

static void unlink_room(hs_typing_room *t)
{
    struct hs_ephemeral *e = t->e;

    *(t->newer ? &t->newer->older : &e->newest) = t->older;
    *(t->older ? &t->older->newer : &e->oldest) = t->newer;
}

static void link_newest(hs_typing_room *t)
{
    struct hs_ephemeral *e = t->e;

    t->newer = NULL;
    t->older = e->newest;
    *(e->newest ? &e->newest->newer : &e->oldest) = t;
    e->newest = t;
    t->touched = hs_loop_now(e->srv->loop);
}

static void free_room(hs_typing_room *t)
{
    hs_timer_disarm(t->e->srv->loop, &t->timer);
    for (size_t i = 0; i < t->n; i++)
        free(t->at[i].user_id);
    free(t->at);
    free(t);
}

static void on_due(hs_timer *timer);

/* NULL without memory. */
static hs_typing_room *room_of(struct hs_ephemeral *e, hs_nid room)
{
    hs_typing_room *t = hs_map_get_n(e->rooms, (uint64_t)room);

    if (t)
        return t;
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->e = e;
    t->room = room;
    t->timer = (hs_timer){ .fn = on_due, .ud = t };
    if (!hs_map_put_n(e->rooms, (uint64_t)room, t, NULL)) {
        free(t);
        return NULL;
    }
    link_newest(t);
    return t;
}

static void changed(hs_typing_room *t)
{
    t->serial = t->e->clock;
    if (t->e->in_step)
        hs_waiters_wake_room(t->e->srv, t->room);
}

void hs_typing_sweep(struct hs_ephemeral *e)
{
    int64_t since = hs_loop_now(e->srv->loop) - KEPT_MS;

    while (e->oldest && e->oldest->touched < since && !e->oldest->n) {
        hs_typing_room *t = e->oldest;

        unlink_room(t);
        (void)hs_map_remove_n(e->rooms, (uint64_t)t->room);
        free_room(t);
    }
}

/* ── entries ── */

static hs_str user_of(const hs_typist *p)
{
    return hs_str_make(p->user_id, p->user_id_n);
}

static hs_typist *find(hs_typing_room *t, hs_str user_id)
{
    for (size_t i = 0; i < t->n; i++)
        if (hs_str_eq(user_of(&t->at[i]), user_id))
            return &t->at[i];
    return NULL;
}

static void drop(hs_typing_room *t, size_t i)
{
    free(t->at[i].user_id);
    t->n--;
    memmove(&t->at[i], &t->at[i + 1], (t->n - i) * sizeof *t->at);
}

/* NULL without memory, or when there are too many. */
static hs_typist *add(hs_typing_room *t, hs_str user_id)
{
    char *id;

    if (t->n == TYPISTS_MAX)
        return NULL;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 4;
        hs_typist *at = realloc(t->at, cap * sizeof *at);

        if (!at)
            return NULL;
        t->at = at;
        t->cap = cap;
    }
    id = malloc(user_id.n + 1);
    if (!id)
        return NULL;
    memcpy(id, user_id.p, user_id.n);
    t->at[t->n] = (hs_typist){ .user_id = id, .user_id_n = user_id.n };
    return &t->at[t->n++];
}

/* When something has to be done about the entry. */
static int64_t due(const struct hs_ephemeral *e, const hs_typist *p)
{
    int64_t at = p->until;

    if (p->on && p->owner != e->boot) {
        at += OVERDUE_MS;
        if (p->heard + SILENT_MS < at)
            at = p->heard + SILENT_MS;
    }
    return p->on && p->asked && p->asked + ASK_MS > at ? p->asked + ASK_MS : at;
}

static void arm(hs_typing_room *t)
{
    int64_t now = hs_loop_now(t->e->srv->loop), first = INT64_MAX;

    hs_timer_disarm(t->e->srv->loop, &t->timer);
    for (size_t i = 0; i < t->n; i++)
        if (due(t->e, &t->at[i]) < first)
            first = due(t->e, &t->at[i]);
    /* Without memory for a timer the entry goes with the next change in the room. */
    if (t->n && hs_timer_arm(t->e->srv->loop, &t->timer, first > now ? first - now : 0))
        t->timer.heap_at = 0;
}

/* Ended entries are forgotten, and the end of those whose time is over is asked for. */
static void on_due(hs_timer *timer)
{
    hs_typing_room *t = timer->ud;
    int64_t now = hs_loop_now(t->e->srv->loop);
    hs_typist_msg users[16];
    hs_typing_msg room = { .room = t->room, .users = users };

    for (size_t i = t->n; i-- > 0;) {
        hs_typist *p = &t->at[i];

        if (due(t->e, p) > now)
            continue;
        if (!p->on) {
            drop(t, i);
        } else if (room.n < sizeof users / sizeof *users) {
            p->asked = now;
            users[room.n++] = (hs_typist_msg){ .user = user_of(p) };
        }
    }
    arm(t);
    if (room.n)
        hs_typing_publish(t->e, &(hs_ephemeral_msg){ .typing = &room, .typing_n = 1 });
}

/* ── messages ── */

/* A repetition says nothing about what has happened since it was made: what another worker was told, or its own later
 * messages, which were under way. */
static bool is_stale(const hs_typist *p, const hs_ephemeral_msg *m)
{
    return m->whole && (p->owner != m->boot || p->serial > m->seen);
}

static bool apply_user(hs_typing_room *t, const hs_ephemeral_msg *m, const hs_typist_msg *u)
{
    int64_t now = hs_loop_now(t->e->srv->loop);
    hs_typist *p = find(t, u->user);
    bool was = p && p->on;

    if (p && is_stale(p, m))
        return false;
    if (!p)
        p = add(t, u->user);
    if (!p)
        return false;
    p->on = u->for_ms > 0;
    p->owner = m->boot;
    p->until = now + (!p->on ? STOPPED_MS : u->for_ms < HS_TYPING_MAX_MS ? u->for_ms : HS_TYPING_MAX_MS);
    p->heard = now;
    p->asked = 0;
    p->serial = m->whole ? m->seen : m->serial;
    p->round = t->e->round;
    return p->on != was;
}

static void apply_room(struct hs_ephemeral *e, const hs_ephemeral_msg *m, const hs_typing_msg *r)
{
    hs_typing_room *t = room_of(e, r->room);
    bool change;

    if (!t)
        return;
    change = m->whole && !t->serial; /* something was there, or still is, that we have missed */
    for (size_t i = 0; i < r->n; i++)
        if (r->users[i].user.n && r->users[i].user.n <= USER_ID_MAX && hs_str_is_utf8(r->users[i].user))
            change |= apply_user(t, m, &r->users[i]);
    if (change)
        t->changer = m->boot;
    unlink_room(t);
    link_newest(t);
    arm(t);
    if (change)
        changed(t);
}

/* Entries of the sender that its repetition does not have. */
static void drop_unrepeated(struct hs_ephemeral *e, const hs_ephemeral_msg *m)
{
    int64_t since = hs_loop_now(e->srv->loop) - HS_TYPING_MAX_MS - SILENT_MS;

    for (hs_typing_room *t = e->newest; t && t->touched >= since; t = t->older) {
        bool change = false;

        for (size_t i = t->n; i-- > 0;) {
            const hs_typist *p = &t->at[i];

            if (!p->on || p->owner != m->boot || p->serial > m->seen || p->round == e->round)
                continue;
            drop(t, i);
            change = true;
        }
        if (change)
            changed(t);
    }
}

void hs_typing_apply(struct hs_ephemeral *e, const hs_ephemeral_msg *m)
{
    uint64_t next = e->clock + 1, clock = m->clock > 0 ? (uint64_t)m->clock : 0;

    e->clock = clock > next ? clock : next;
    e->round++;
    for (size_t i = 0; i < m->typing_n; i++)
        apply_room(e, m, &m->typing[i]);
    if (m->whole)
        drop_unrepeated(e, m);
    hs_presence_apply(e->srv, m, e->clock);
}

void hs_typing_drop_others(struct hs_ephemeral *e)
{
    for (hs_typing_room *t = e->newest; t; t = t->older) {
        bool change = false;

        for (size_t i = t->n; i-- > 0;) {
            if (t->at[i].owner == e->boot)
                continue;
            change |= t->at[i].on;
            drop(t, i);
        }
        if (change)
            changed(t);
    }
}

/* ── opening ── */

hs_error *hs_typing_open(hs_server *srv, hs_arena *a)
{
    struct hs_ephemeral *e = calloc(1, sizeof *e);

    (void)a;
    if (!e)
        return HS_ERR_NOMEM;
    srv->ephemeral = e;
    e->srv = srv;
    e->boot = hs_peers_boot(srv);
    e->clock = (uint64_t)hs_loop_wall(srv->loop);
    e->rooms = hs_map_open(srv->hash_seed);
    return e->rooms ? hs_typing_share_open(e) : HS_ERR_NOMEM;
}

void hs_typing_close(hs_server *srv)
{
    struct hs_ephemeral *e = srv->ephemeral;

    if (!e)
        return;
    hs_typing_share_close(e);
    while (e->newest) {
        hs_typing_room *t = e->newest;

        unlink_room(t);
        free_room(t);
    }
    hs_map_close(e->rooms);
    free(e);
    srv->ephemeral = NULL;
}

/* ── services ── */

hs_error *hs_typing_set(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str user_id, bool typing,
                        int64_t timeout_ms)
{
    hs_id id;
    hs_room *room;
    hs_membership membership = HS_MEMBER_NONE;
    hs_typist_msg user = { .user = who->user_id };
    hs_typing_msg r = { .users = &user, .n = 1 };

    hs_presence_active(srv, who);
    if (!hs_user_id_parse(user_id, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid user ID");
    if (!hs_str_eq(id.server, srv->server_name))
        return hs_err(a, 400, HS_M_UNKNOWN, "User is not hosted on this homeserver");
    if (!hs_str_eq(user_id, who->user_id))
        return hs_err(a, 400, HS_M_FORBIDDEN, "Cannot set another user's typing state");
    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (room)
        HS_TRY(hs_room_membership(srv, a, room, user_id, &membership));
    if (membership != HS_MEMBER_JOIN) {
        return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s", HS_FMT(user_id), HS_FMT(room_id));
    }
    if (who->flags & HS_ACCOUNT_SHADOW_BANNED)
        return NULL;

    r.room = room->nid;
    if (typing && timeout_ms > 0)
        user.for_ms = timeout_ms > HS_TYPING_MAX_MS ? HS_TYPING_MAX_MS : (uint32_t)timeout_ms;
    hs_typing_publish_and_wait(srv->ephemeral, &(hs_ephemeral_msg){ .typing = &r, .typing_n = 1 });
    return NULL;
}

hs_typing_view hs_typing_look(const hs_server *srv, uint64_t boot, uint64_t serial)
{
    const struct hs_ephemeral *e = srv->ephemeral;
    bool known = boot == HS_TYPING_CLOCK && serial <= e->clock + AHEAD_MAX;

    if (!e->in_step) /* what the client has been told stays as it is */
        return (hs_typing_view){ .since = UINT64_MAX, .boot = boot, .serial = serial };
    return (hs_typing_view){ .tells = true,
                             .since = known ? serial : 0,
                             .boot = HS_TYPING_CLOCK,
                             .serial = known && serial > e->clock ? serial : e->clock };
}

bool hs_typing_settled(const hs_server *srv, uint64_t serial)
{
    return !srv->ephemeral->in_step || srv->ephemeral->clock <= serial;
}

uint64_t hs_typing_room_serial(const hs_server *srv, hs_nid room)
{
    const hs_typing_room *t = hs_map_get_n(srv->ephemeral->rooms, (uint64_t)room);

    return t ? t->serial : 0;
}

hs_error *hs_typing_content(hs_server *srv, hs_arena *a, hs_nid room, hs_str *ret)
{
    const hs_typing_room *t = hs_map_get_n(srv->ephemeral->rooms, (uint64_t)room);
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_arr_at(&j, "user_ids");
    for (size_t i = 0; t && i < t->n; i++)
        if (t->at[i].on)
            hs_json_v_str(&j, user_of(&t->at[i]));
    hs_json_end(&j);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}
