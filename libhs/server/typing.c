/* See typing.h. */
#include "server/typing.h"

#include "base/json_out.h"
#include "base/map.h"
#include "core/ids.h"
#include "server/sync_wait.h"

#include <stdlib.h>

enum { TYPING_MAX_MS = 120000, TYPERS_MAX = 256 };

typedef struct {
    hs_nid user;
    int64_t until; /* hs_loop_now's clock */
    char *user_id;
    size_t user_id_n;
} typer;

typedef struct {
    struct hs_ephemeral *e;
    hs_nid room;
    uint64_t serial;
    typer *at;
    size_t n, cap;
    hs_timer timer;
} typing_room;

struct hs_ephemeral {
    hs_server *srv;
    uint64_t boot, serial;
    hs_map *rooms; /* of typing_room, by number; they stay, for their serials */
};

hs_error *hs_typing_open(hs_server *srv, hs_arena *a)
{
    struct hs_ephemeral *e = calloc(1, sizeof *e);

    if (!e)
        return HS_ERR_NOMEM;
    e->srv = srv;
    e->boot = hs_random_u64() & 0xffffffffu; /* short in the token; only equality matters */
    e->rooms = hs_map_open(srv->hash_seed);
    if (!e->rooms) {
        free(e);
        return HS_ERR_NOMEM;
    }
    srv->ephemeral = e;
    (void)a;
    return NULL;
}

void hs_typing_close(hs_server *srv)
{
    struct hs_ephemeral *e = srv->ephemeral;
    size_t it = 0;
    hs_str key;
    void *v;

    if (!e)
        return;
    while (hs_map_next(e->rooms, &it, &key, &v)) {
        typing_room *t = v;

        hs_timer_disarm(srv->loop, &t->timer);
        for (size_t i = 0; i < t->n; i++)
            free(t->at[i].user_id);
        free(t->at);
        free(t);
    }
    hs_map_close(e->rooms);
    free(e);
    srv->ephemeral = NULL;
}

static void changed(typing_room *t)
{
    t->serial = ++t->e->serial;
    hs_waiters_wake_room(t->e->srv, t->room);
}

static void arm(typing_room *t);

static void expire(hs_timer *timer)
{
    typing_room *t = timer->ud;
    int64_t now = hs_loop_now(t->e->srv->loop);
    size_t kept = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (t->at[i].until > now)
            t->at[kept++] = t->at[i];
        else
            free(t->at[i].user_id);
    }
    if (kept != t->n) {
        t->n = kept;
        changed(t);
    }
    arm(t);
}

static void arm(typing_room *t)
{
    int64_t now = hs_loop_now(t->e->srv->loop), first = INT64_MAX;

    hs_timer_disarm(t->e->srv->loop, &t->timer);
    for (size_t i = 0; i < t->n; i++)
        first = t->at[i].until < first ? t->at[i].until : first;
    /* Without memory for a timer the entry goes at the next change in the room. */
    if (t->n && hs_timer_arm(t->e->srv->loop, &t->timer, first > now ? first - now : 0))
        t->timer.heap_at = 0;
}

static hs_error *room_of(struct hs_ephemeral *e, hs_nid room, typing_room **ret)
{
    typing_room *t = hs_map_get_n(e->rooms, (uint64_t)room);

    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t)
            return HS_ERR_NOMEM;
        t->e = e;
        t->room = room;
        t->timer.fn = expire;
        t->timer.ud = t;
        if (!hs_map_put_n(e->rooms, (uint64_t)room, t, NULL)) {
            free(t);
            return HS_ERR_NOMEM;
        }
    }
    *ret = t;
    return NULL;
}

static hs_error *start(typing_room *t, const hs_session *who, int64_t timeout_ms)
{
    int64_t until = hs_loop_now(t->e->srv->loop) + timeout_ms;
    char *id;

    for (size_t i = 0; i < t->n; i++) {
        if (t->at[i].user == who->user) {
            t->at[i].until = until; /* the room knows already */
            arm(t);
            return NULL;
        }
    }
    if (t->n == TYPERS_MAX)
        return NULL; /* nobody reads a list that long */
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 4;
        typer *at = realloc(t->at, cap * sizeof *at);

        if (!at)
            return HS_ERR_NOMEM;
        t->at = at;
        t->cap = cap;
    }
    id = malloc(who->user_id.n);
    if (!id)
        return HS_ERR_NOMEM;
    memcpy(id, who->user_id.p, who->user_id.n);
    t->at[t->n++] = (typer){ who->user, until, id, who->user_id.n };
    changed(t);
    arm(t);
    return NULL;
}

static void stop(typing_room *t, hs_nid user)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->at[i].user == user) {
            free(t->at[i].user_id);
            t->at[i] = t->at[--t->n];
            changed(t);
            arm(t);
            return;
        }
    }
}

hs_error *hs_typing_set(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str user_id, bool typing,
                        int64_t timeout_ms)
{
    hs_id id;
    hs_room *room;
    hs_membership membership = HS_MEMBER_NONE;
    typing_room *t;

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

    HS_TRY(room_of(srv->ephemeral, room->nid, &t));
    if (!typing) {
        stop(t, who->user);
        return NULL;
    }
    return start(t, who, timeout_ms < 0 ? 0 : timeout_ms > TYPING_MAX_MS ? TYPING_MAX_MS : timeout_ms);
}

uint64_t hs_typing_serial(const hs_server *srv)
{
    return srv->ephemeral->serial;
}

uint64_t hs_typing_boot(const hs_server *srv)
{
    return srv->ephemeral->boot;
}

uint64_t hs_typing_room_serial(const hs_server *srv, hs_nid room)
{
    const typing_room *t = hs_map_get_n(srv->ephemeral->rooms, (uint64_t)room);

    return t ? t->serial : 0;
}

hs_error *hs_typing_content(hs_server *srv, hs_arena *a, hs_nid room, hs_str *ret)
{
    const typing_room *t = hs_map_get_n(srv->ephemeral->rooms, (uint64_t)room);
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_arr_at(&j, "user_ids");
    for (size_t i = 0; t && i < t->n; i++)
        hs_json_v_str(&j, hs_str_make(t->at[i].user_id, t->at[i].user_id_n));
    hs_json_end(&j);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}
