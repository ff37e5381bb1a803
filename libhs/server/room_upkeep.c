/* See room_upkeep.h.
 *
 * Heads. Each event of a room names all heads as its parents, so a room with many has been written to by other servers
 * only, and its state has to be resolved between all of them each time. Some user of ours who may send an event there
 * sends one that clients are not shown, as Synapse does: a few rooms a round, those with the most heads first. Where
 * nobody of ours may, nothing is tried for a week.
 *
 * States. A main line that has become long is followed by another (state_rollover.h). */
#include "server/room_upkeep.h"

#include "base/vec.h"
#include "server/event_persist.h"
#include "server/names.h"
#include "server/state_rollover.h"
#include "store/rooms.h"
#include "store/timeline.h"

#include <stdlib.h>

#define FIRST_MS (INT64_C(60) * 1000)
#define EVERY_MS (INT64_C(5) * 60 * 1000)
#define AGAIN_MS (INT64_C(7) * 24 * 3600 * 1000)
enum {
    ROOMS_AT_ONCE = 500, /* that are looked at in one query */
    TIED_AT_ONCE = 5,    /* rooms of a round that are sent an event */
    HOPELESS_MAX = 1000,
};

typedef struct {
    hs_nid room;
    int64_t until; /* loop time */
} hopeless;

typedef struct {
    hs_server *srv;
    hopeless not_now[HOPELESS_MAX]; /* rooms in which nobody of ours may send; the oldest is forgotten first */
    size_t not_now_n;
} upkeep;

static bool goes_on(const hs_lease *l)
{
    return !l || hs_lease_ok(l);
}

/* ── heads ── */

typedef struct {
    hs_lease *lease;
    hs_nid sender;
    hs_str sender_id;
} tie;

static hs_error *fill(hs_room_write *w, void *ud)
{
    const tie *t = ud;
    hs_event_wish wish = {
        .type = HS_S(HS_DUMMY_EVENT), .sender = t->sender_id, .sender_nid = t->sender, .no_push = true
    };
    hs_event_made made;

    if (t->lease)
        HS_TRY(hs_lease_fence(t->lease, hs_room_write_unit(w)));
    HS_TRY(hs_content_parse(hs_room_write_arena(w), HS_S("{}"), &wish.content));
    return hs_room_write_add(w, &wish, &made);
}

/* *ret.sender 0: nobody of ours may. */
static hs_error *find_sender(hs_server *srv, hs_arena *a, hs_room *room, tie *ret)
{
    hs_state_view view;
    hs_str *names;
    int64_t needed;

    ret->sender = 0;
    HS_TRY(hs_room_view(srv, a, room, NULL, 0, &view));
    needed = hs_auth_level_for(room->rv, &view, HS_S(HS_DUMMY_EVENT), false);
    HS_TRY(hs_alloc(a, room->local_members_n, &names));
    HS_TRY(hs_user_names(srv, a, room->local_members, room->local_members_n, names));
    for (size_t i = 0; i < room->local_members_n && !ret->sender; i++) {
        if (hs_auth_power(room->rv, &view, names[i]) < needed)
            continue;
        ret->sender = room->local_members[i];
        ret->sender_id = names[i];
    }
    return NULL;
}

static hs_error *tie_heads(upkeep *u, hs_lease *l, hs_arena *a, hs_nid nid)
{
    tie t = { .lease = l };
    hs_room *room;

    HS_TRY(hs_room_load(u->srv, a, nid, &room));
    if (!room)
        return NULL;
    HS_TRY(find_sender(u->srv, a, room, &t));
    if (t.sender)
        return hs_room_write_run(u->srv, a, room, HS_WRITE_MESSAGE, fill, &t, NULL);
    if (u->not_now_n == HOPELESS_MAX)
        memmove(u->not_now, u->not_now + 1, --u->not_now_n * sizeof *u->not_now);
    u->not_now[u->not_now_n++] = (hopeless){ nid, hs_loop_now(u->srv->loop) + AGAIN_MS };
    return NULL;
}

static bool is_hopeless(const upkeep *u, hs_nid room)
{
    for (size_t i = 0; i < u->not_now_n; i++)
        if (u->not_now[i].room == room)
            return true;
    return false;
}

static void forget_hopeless(upkeep *u)
{
    size_t kept = 0;

    for (size_t i = 0; i < u->not_now_n; i++)
        if (u->not_now[i].until > hs_loop_now(u->srv->loop))
            u->not_now[kept++] = u->not_now[i];
    u->not_now_n = kept;
}

static int by_heads(const void *x, const void *y)
{
    const hs_room_top *a = x, *b = y;

    return (a->heads_n < b->heads_n) - (a->heads_n > b->heads_n);
}

static hs_error *tie_rooms(upkeep *u, hs_lease *l, hs_arena *a, hs_room_top *rooms, size_t n)
{
    size_t tied = 0;

    forget_hopeless(u);
    if (n)
        qsort(rooms, n, sizeof *rooms, by_heads);
    for (size_t i = 0; i < n && tied < TIED_AT_ONCE && goes_on(l); i++) {
        hs_error *e = tie_heads(u, l, a, rooms[i].room);

        if (e == HS_ERR_NOMEM)
            return e;
        if (e)
            hs_log_error(u->srv->log, HS_LOG_WARN, HS_S(""), "room.dummy_event", e);
        tied++;
    }
    return NULL;
}

/* ── the walk ── */

/* What fails in one room keeps no other from its turn. */
static hs_error *roll_over(upkeep *u, hs_lease *l, hs_arena *a, const hs_room_top *top)
{
    hs_error *e = hs_state_rollover(u->srv, l, a, top->room, (hs_snap){ top->line, top->snap });

    if (e && e != HS_ERR_NOMEM)
        hs_log_error(u->srv->log, HS_LOG_WARN, HS_S(""), "room.state_rollover", e);
    return e == HS_ERR_NOMEM ? e : NULL;
}

static hs_error *round_of(upkeep *u, hs_lease *l, hs_arena *a)
{
    int64_t threshold = u->srv->config->dummy_events_threshold;
    HS_VEC(hs_room_top) many = { .n = 0 };
    hs_room_top *rooms;
    hs_nid after = 0;
    size_t n;

    do {
        HS_TRY(hs_store_room_tops(u->srv->db, a, after, ROOMS_AT_ONCE, &rooms, &n));
        for (size_t i = 0; i < n; i++) {
            after = rooms[i].room;
            if (goes_on(l))
                HS_TRY(roll_over(u, l, a, &rooms[i]));
            if (rooms[i].heads_n > threshold && !is_hopeless(u, rooms[i].room))
                HS_TRY(hs_vec_push(a, &many, rooms[i]));
        }
    } while (n == ROOMS_AT_ONCE && goes_on(l));
    return u->srv->config->dummy_events ? tie_rooms(u, l, a, many.at, many.n) : NULL;
}

hs_error *hs_room_upkeep_run(hs_server *srv, hs_lease *l, hs_arena *a)
{
    upkeep *u;

    HS_TRY(hs_alloc(a, 1, &u));
    u->srv = srv;
    return round_of(u, l, a);
}

static hs_error *run(hs_lease *l, hs_arena *a, void *ud)
{
    return round_of(ud, l, a);
}

hs_error *hs_room_upkeep_open(hs_server *srv)
{
    upkeep *u;

    HS_TRY(hs_alloc(srv->arena, 1, &u));
    u->srv = srv;
    return hs_lease_duty(srv, &(hs_duty){ .name = "rooms",
                                          .shards = 1,
                                          .roles = HS_ROLE_BACKGROUND,
                                          .first_ms = FIRST_MS,
                                          .every_ms = EVERY_MS,
                                          .run = run,
                                          .ud = u });
}
