/* See presence.h. The state changes by messages alone (hs_presence_apply), in all workers alike. */
#include "base/json_out.h"
#include "core/ids.h"
#include "server/names.h"
#include "server/peers.h"
#include "server/presence_state.h"
#include "server/typing_state.h"
#include "store/members.h"

#include <stdlib.h>

static const char *const WORDS[] = { "offline", "unavailable", "online", "busy" };

bool hs_presence_parse(const hs_server *srv, hs_str word, hs_presence_state *ret)
{
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (hs_str_eq(word, hs_str_c(WORDS[i])) && (i != HS_PRESENCE_BUSY || srv->config->msc3026_enabled)) {
            *ret = (hs_presence_state)i;
            return true;
        }
    return false;
}

uint64_t hs_presence_device(hs_str device_id)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a: the same in all workers */

    for (size_t i = 0; i < device_id.n; i++)
        h = (h ^ (unsigned char)device_id.p[i]) * 1099511628211u;
    return h;
}

hs_presence_user *hs_presence_find(const hs_server *srv, hs_nid user)
{
    return hs_map_get_n(srv->presence->users, (uint64_t)user);
}

/* ── entries ── */

static void unlink_user(struct hs_presence *p, hs_presence_user *u)
{
    *(u->newer ? &u->newer->older : &p->newest) = u->older;
    *(u->older ? &u->older->newer : &p->oldest) = u->newer;
}

static void link_newest(struct hs_presence *p, hs_presence_user *u)
{
    u->newer = NULL;
    u->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = u;
    p->newest = u;
}

static void forget(struct hs_presence *p, hs_presence_user *u)
{
    unlink_user(p, u);
    (void)hs_map_remove_n(p->users, (uint64_t)u->user);
    free(u->status);
    free(u);
}

/* Room for one more: the longest offline goes. false: all are there. */
static bool make_room(struct hs_presence *p)
{
    if (hs_map_count(p->users) < HS_PRESENCE_USERS)
        return true;
    for (hs_presence_user *u = p->oldest; u; u = u->newer)
        if (u->state == HS_PRESENCE_OFFLINE && !u->changed && !u->telling && !u->unsaved) {
            forget(p, u);
            return true;
        }
    return false;
}

/* NULL without memory. */
static hs_presence_user *add(struct hs_presence *p, hs_nid user)
{
    hs_presence_user *u = make_room(p) ? calloc(1, sizeof *u) : NULL;

    if (!u)
        return NULL;
    u->user = user;
    if (!hs_map_put_n(p->users, (uint64_t)user, u, NULL)) {
        free(u);
        return NULL;
    }
    link_newest(p, u);
    return u;
}

static hs_presence_dev *find_device(hs_presence_user *u, uint64_t id)
{
    for (size_t i = 0; i < u->devices_n; i++)
        if (u->devices[i].id == id)
            return &u->devices[i];
    return NULL;
}

static int64_t seen_ms(const hs_presence_dev *d)
{
    return d->active_ms > d->sync_ms ? d->active_ms : d->sync_ms;
}

static hs_presence_dev *add_device(hs_presence_user *u, uint64_t id)
{
    hs_presence_dev *d = &u->devices[0];

    if (u->devices_n < HS_PRESENCE_DEVICES) {
        d = &u->devices[u->devices_n++];
    } else {
        for (size_t i = 1; i < u->devices_n; i++)
            if (seen_ms(&u->devices[i]) < seen_ms(d))
                d = &u->devices[i];
    }
    *d = (hs_presence_dev){ .id = id };
    return d;
}

/* ── messages ── */

static void apply_device(hs_presence_user *u, const hs_ephemeral_msg *m, const hs_presence_msg *in)
{
    hs_presence_dev *d = find_device(u, in->device);

    if (in->state == HS_PRESENCE_OFFLINE || in->state > HS_PRESENCE_BUSY) {
        if (d)
            *d = u->devices[--u->devices_n];
        return;
    }
    if (d && m->whole && in->sync_ms < d->sync_ms)
        return; /* what is repeated may have been overtaken */
    if (!d)
        d = add_device(u, in->device);
    d->state = (hs_presence_state)in->state;
    d->owner = m->boot;
    if (in->active_ms > d->active_ms)
        d->active_ms = in->active_ms;
    if (in->sync_ms > d->sync_ms)
        d->sync_ms = in->sync_ms;
}

static hs_presence_state best_of(const hs_presence_user *u)
{
    hs_presence_state best = HS_PRESENCE_OFFLINE;

    for (size_t i = 0; i < u->devices_n; i++)
        if (u->devices[i].state > best)
            best = u->devices[i].state;
    return best;
}

/* Whether it is another one now. */
static bool set_status(hs_presence_user *u, hs_str status)
{
    char *copy;

    if (hs_str_eq(hs_presence_status_of(u), status) || status.n > HS_PRESENCE_STATUS || !hs_str_is_utf8(status))
        return false;
    copy = status.n ? malloc(status.n) : NULL;
    if (status.n && !copy)
        return false;
    if (status.n)
        memcpy(copy, status.p, status.n);
    free(u->status);
    u->status = copy;
    u->status_n = status.n;
    return true;
}

static void apply_user(struct hs_presence *p, const hs_ephemeral_msg *m, const hs_presence_msg *in, uint64_t clock)
{
    hs_presence_user *u = hs_presence_find(p->srv, in->user);
    hs_presence_state was;
    bool told;

    if (!u && in->state == HS_PRESENCE_OFFLINE && !in->status.n)
        return;
    if (!u)
        u = add(p, in->user);
    if (!u)
        return;
    was = u->state;
    told = in->has_status && set_status(u, in->status);
    apply_device(u, m, in);
    u->state = best_of(u);
    if (in->active_ms > u->active_ms)
        u->active_ms = in->active_ms;
    told |= u->state != was || u->active_ms - u->told_ms > p->srv->config->presence_granularity_ms;
    if (u->state != was && u->state == HS_PRESENCE_OFFLINE && m->boot == hs_peers_boot(p->srv))
        u->unsaved = true;
    if (!told)
        return;
    u->told_ms = u->active_ms;
    u->serial = clock;
    unlink_user(p, u);
    link_newest(p, u);
    hs_presence_tell_later(p, u);
}

void hs_presence_apply(hs_server *srv, const hs_ephemeral_msg *m, uint64_t clock)
{
    if (hs_presence_on(srv))
        for (size_t i = 0; i < m->presence_n; i++)
            apply_user(srv->presence, m, &m->presence[i], clock);
}

static hs_presence_msg say(const hs_presence_user *u, const hs_presence_dev *d)
{
    return (hs_presence_msg){ .user = u->user,
                              .device = d->id,
                              .state = d->state,
                              .active_ms = d->active_ms,
                              .sync_ms = d->sync_ms,
                              .has_status = u->status_n > 0,
                              .status = hs_presence_status_of(u) };
}

hs_error *hs_presence_own(hs_server *srv, hs_arena *a, hs_presence_msg **ret, size_t *ret_n)
{
    uint64_t own = hs_peers_boot(srv);
    hs_presence_msg *out;
    size_t n = 0;

    for (const hs_presence_user *u = srv->presence->newest; u; u = u->older)
        for (size_t i = 0; i < u->devices_n; i++)
            n += u->devices[i].owner == own;
    HS_TRY(hs_alloc(a, n, &out));
    n = 0;
    for (const hs_presence_user *u = srv->presence->newest; u; u = u->older)
        for (size_t i = 0; i < u->devices_n; i++)
            if (u->devices[i].owner == own)
                out[n++] = say(u, &u->devices[i]);
    *ret = out;
    *ret_n = n;
    return NULL;
}

/* ── services ── */

/* Whether the others have to hear of it at once, or it is time to repeat it. */
static bool worth_telling(const hs_presence_dev *d, hs_presence_state state, int64_t now)
{
    return !d || d->state != state || now - seen_ms(d) >= HS_PRESENCE_REPEAT;
}

hs_error *hs_presence_syncing(hs_server *srv, const hs_session *who, hs_arena *a, hs_presence_state state)
{
    int64_t now = hs_loop_wall(srv->loop);
    hs_presence_msg m = { .user = who->user, .device = hs_presence_device(who->device_id), .state = state };
    hs_presence_row row;
    bool found;

    if (!hs_presence_on(srv) || state == HS_PRESENCE_OFFLINE)
        return NULL;
    hs_presence_user *u = hs_presence_find(srv, who->user);
    if (!u) { /* the first time since the start: what they said of themselves before */
        HS_TRY(hs_store_presence_get(srv->db, a, who->user, &row, &found));
        m.has_status = found && row.status.n;
        m.status = row.status;
        u = hs_presence_find(srv, who->user);
    }
    const hs_presence_dev *d = u ? find_device(u, m.device) : NULL;
    if (d && d->state == HS_PRESENCE_BUSY)
        m.state = HS_PRESENCE_BUSY; /* asking for news does not end that */
    if (!worth_telling(d, (hs_presence_state)m.state, now))
        return NULL;
    m.active_ms = m.sync_ms = now;
    hs_typing_publish(srv->ephemeral, &(hs_ephemeral_msg){ .presence = &m, .presence_n = 1 });
    return NULL;
}

void hs_presence_active(hs_server *srv, const hs_session *who)
{
    int64_t now = hs_loop_wall(srv->loop);
    hs_presence_msg m = { .user = who->user, .device = hs_presence_device(who->device_id), .active_ms = now };

    if (!hs_presence_on(srv))
        return;
    hs_presence_user *u = hs_presence_find(srv, who->user);
    const hs_presence_dev *d = u ? find_device(u, m.device) : NULL;
    m.state = d && d->state == HS_PRESENCE_BUSY ? HS_PRESENCE_BUSY : HS_PRESENCE_ONLINE;
    if (!d || d->state != (hs_presence_state)m.state || now - d->active_ms >= HS_PRESENCE_REPEAT)
        hs_typing_publish(srv->ephemeral, &(hs_ephemeral_msg){ .presence = &m, .presence_n = 1 });
}

hs_error *hs_presence_set(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id, hs_presence_state state,
                          hs_str status)
{
    int64_t now = hs_loop_wall(srv->loop);
    const hs_presence_row row = { .user = who->user, .active_ms = now, .status = status };
    hs_presence_msg m = { .user = who->user,
                          .device = hs_presence_device(who->device_id),
                          .state = state,
                          .active_ms = now,
                          .has_status = true,
                          .status = status };

    if (!hs_str_eq(user_id, who->user_id))
        return hs_err(a, 403, HS_M_FORBIDDEN, "Can only set your own presence state");
    if (status.n > HS_PRESENCE_STATUS || (status.n && memchr(status.p, 0, status.n)))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "status_msg is too long");
    if (!hs_presence_on(srv))
        return NULL;
    const hs_presence_user *u = hs_presence_find(srv, who->user);
    if (!hs_str_eq(u ? hs_presence_status_of(u) : HS_S(""), status))
        HS_TRY(hs_store_presence_put(srv->db, a, &row, 1));
    hs_typing_publish_and_wait(srv->ephemeral, &(hs_ephemeral_msg){ .presence = &m, .presence_n = 1 });
    return NULL;
}

hs_error *hs_presence_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id, hs_presence_seen *ret)
{
    hs_id id;
    hs_nid user;
    hs_presence_row row;
    bool shares = false, found;

    *ret = (hs_presence_seen){ .state = HS_PRESENCE_OFFLINE };
    if (!hs_user_id_parse(user_id, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Expected UserID string to start with '@'");
    if (!srv->config->presence_enabled)
        return NULL;
    HS_TRY(hs_user_nid_find(srv, a, user_id, &user));
    if (user && user != who->user)
        HS_TRY(hs_store_users_share_room(srv->db, a, who->user, &user, 1, &shares));
    if (user != who->user && !shares)
        return hs_err(a, 403, HS_M_FORBIDDEN, "You are not allowed to see their presence.");
    const hs_presence_user *u = hs_presence_find(srv, user);
    if (u) {
        *ret = (hs_presence_seen){ .state = u->state, .active_ms = u->active_ms };
        return u->status_n ? hs_str_dup(a, hs_presence_status_of(u), &ret->status) : NULL;
    }
    HS_TRY(hs_store_presence_get(srv->db, a, user, &row, &found));
    if (found)
        *ret = (hs_presence_seen){ .active_ms = row.active_ms, .status = row.status };
    return NULL;
}

void hs_presence_show(hs_json_out *j, const hs_server *srv, const hs_presence_seen *seen)
{
    int64_t ago = hs_loop_wall(srv->loop) - seen->active_ms;

    hs_json_str(j, "presence", hs_str_c(WORDS[seen->state]));
    if (seen->active_ms)
        hs_json_int(j, "last_active_ago", ago < 0 ? 0 : ago);
    if (seen->status.n)
        hs_json_str(j, "status_msg", seen->status);
    if (seen->state == HS_PRESENCE_ONLINE)
        hs_json_bool(j, "currently_active", ago < srv->config->presence_granularity_ms);
}

/* ── opening ── */

hs_error *hs_presence_open(hs_server *srv, hs_arena *a)
{
    struct hs_presence *p = calloc(1, sizeof *p);

    (void)a;
    if (!p)
        return HS_ERR_NOMEM;
    srv->presence = p;
    p->srv = srv;
    p->users = hs_map_open(srv->hash_seed);
    return p->users ? hs_presence_time_open(p) : HS_ERR_NOMEM;
}

void hs_presence_close(hs_server *srv)
{
    struct hs_presence *p = srv->presence;

    if (!p)
        return;
    hs_presence_time_close(p);
    while (p->newest)
        forget(p, p->newest);
    hs_map_close(p->users);
    free(p);
    srv->presence = NULL;
}
