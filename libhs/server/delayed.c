/* See delayed.h. */
#include "server/delayed.h"

#include "core/ids.h"
#include "runtime/random.h"
#include "server/event_content.h"
#include "server/event_persist.h"
#include "server/leases.h"
#include "server/room_state.h"
#include "store/events.h"
#include "store/users.h"

#include <stdlib.h>

enum {
    LOOK_MS = 100,
    AT_ONCE = 50,
    STALE_MS = 5000, /* what was begun and has not ended by then was begun by somebody who is no more */
};
/* The "device" of the transaction ids: no device has a blank in its id that is given by us. */
#define DEVICE HS_S("delayed event")

bool hs_delayed_enabled(const hs_server *srv)
{
    return srv->config->max_event_delay_ms > 0 && srv->config->max_delayed_events > 0;
}

/* ── sending ── */
static hs_error *sender_of(hs_server *srv, hs_arena *a, const hs_delayed_row *row, hs_session *ret)
{
    hs_account_row *account;
    hs_id id;

    HS_TRY(hs_store_account_get(srv->db, a, row->user, &account));
    if (!account || (account->flags & (HS_ACCOUNT_DEACTIVATED | HS_ACCOUNT_LOCKED | HS_ACCOUNT_SUSPENDED)) ||
        !hs_user_id_parse(row->user_id, &id))
        return hs_err(a, 403, HS_M_FORBIDDEN, "The account does not send any more");
    *ret = (hs_session){
        .user = row->user, .user_id = row->user_id, .localpart = id.local, .device_id = DEVICE, .flags = account->flags
    };
    return NULL;
}

static hs_error *send_event(hs_server *srv, hs_arena *a, const hs_delayed_row *row, int64_t ts)
{
    hs_send in = { .room_id = row->room_id,
                   .type = row->type,
                   .txn_id = row->delay_id,
                   .state_key = row->state_key,
                   .has_ts = ts > 0,
                   .ts = ts,
                   .is_sticky = row->is_sticky,
                   .sticky_ms = row->sticky_ms };
    hs_session who;
    hs_str event_id;

    HS_TRY(sender_of(srv, a, row, &who));
    HS_TRY(hs_tape_parse(a, row->content, HS_JSON_OBJECT, &in.content));
    return row->state_key.p ? hs_room_send_state(srv, &who, a, &in, &event_id)
                            : hs_room_send(srv, &who, a, &in, &event_id);
}

static bool for_now(const hs_error *e)
{
    return e && (e->status >= 500 || e->status == 429);
}

/* Sends what was claimed. What was refused will be refused again, and goes; what only failed stays, and is tried again
 * when its claim is stale. */
static hs_error *send_claimed(hs_server *srv, hs_arena *a, const hs_delayed_row *row, int64_t ts)
{
    hs_error *e = send_event(srv, a, row, ts);

    if (for_now(e))
        return e;
    HS_TRY(hs_store_delayed_end(srv->db, a, row->delay_id));
    return e;
}

static bool same_state(const hs_delayed_row *x, const hs_delayed_row *y)
{
    return x->state_key.p && y->state_key.p && x->room == y->room && hs_str_eq(x->type, y->type) &&
           hs_str_eq(x->state_key, y->state_key);
}

/* Of several that set the same state at the same time the first is sent and the others go, as with Synapse. */
static hs_error *run(hs_lease *l, hs_arena *a, void *ud)
{
    hs_server *srv = ud;
    hs_delayed_row *rows;
    bool *sent;
    size_t n;

    HS_TRY(hs_store_delayed_due(srv->db, a, AT_ONCE, STALE_MS, &rows, &n));
    HS_TRY(hs_alloc(a, n, &sent));
    for (size_t i = 0; i < n && hs_lease_ok(l); i++) {
        bool twice = false;
        hs_error *e = NULL;

        for (size_t k = 0; k < i; k++)
            twice |= sent[k] && same_state(&rows[i], &rows[k]);
        if (twice)
            HS_TRY(hs_store_delayed_end(srv->db, a, rows[i].delay_id));
        else
            e = send_claimed(srv, a, &rows[i], rows[i].origin_ts ? rows[i].origin_ts : rows[i].send_ts);
        sent[i] = !twice && !e;
        if (e == HS_ERR_NOMEM)
            return e;
        if (e)
            hs_log_error(srv->log, for_now(e) ? HS_LOG_WARN : HS_LOG_INFO, HS_S(""), "delayed.send", e);
    }
    return NULL;
}

/* A state event makes void what others want to set there later. */
static hs_error *persist(void *ud, hs_arena *a, hs_write *w, const hs_persist_event *e)
{
    const hs_event *ev = e->event->ev;

    (void)ud;
    (void)a;
    if (!ev->is_state)
        return NULL;
    return hs_store_delayed_void(w, e->room->nid, ev->type, ev->state_key, e->event->sender);
}

hs_error *hs_delayed_open(hs_server *srv, hs_arena *a)
{
    (void)a;
    if (!hs_delayed_enabled(srv))
        return NULL;
    HS_TRY(hs_persist_listen(srv, persist, srv));
    return hs_lease_duty(
        srv,
        &(hs_duty){
            .name = "delayed", .shards = 1, .roles = HS_ROLE_BACKGROUND, .every_ms = LOOK_MS, .run = run, .ud = srv });
}

hs_error *hs_delayed_ids(hs_server *srv, hs_arena *a, hs_nid room, hs_nid user, const hs_nid *events, size_t n,
                         hs_str *ret)
{
    if (!n || !hs_delayed_enabled(srv))
        return NULL;
    return hs_store_txns_of_events(srv->db, a, room, user, DEVICE, events, n, ret);
}

/* ── adding ── */
/* Answers to requests are kept beside those to requests that send at once, which have the room's number as scope. */
static hs_txn_row txn_of(const hs_session *who, const hs_room *room, hs_str txn_id)
{
    return (hs_txn_row){ .user = who->user,
                         .device_id = who->device_id.p ? who->device_id : HS_S(""),
                         .scope = -room->nid,
                         .txn_id = txn_id };
}

hs_error *hs_delayed_answer(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str txn_id,
                            hs_str *ret_delay_id)
{
    hs_txn_row row;
    hs_room *room;
    bool found;

    *ret_delay_id = hs_str_make(NULL, 0);
    if (!txn_id.p)
        return NULL;
    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (!room)
        return NULL;
    row = txn_of(who, room, txn_id);
    HS_TRY(hs_store_txn_get(srv->db, a, &row, &found));
    if (found)
        *ret_delay_id = row.result;
    return NULL;
}

static hs_error *too_many(hs_arena *a, int64_t wait_ms)
{
    return hs_err_later(a, 429, HS_M_LIMIT_EXCEEDED, wait_ms > 0 ? wait_ms : 0,
                        "The maximum number of delayed events has been reached.");
}

hs_error *hs_delayed_add(hs_server *srv, const hs_session *who, hs_arena *a, const hs_send *in, int64_t delay_ms,
                         hs_str *ret_delay_id)
{
    int64_t most = srv->config->max_event_delay_ms, wait_ms;
    hs_delayed_row row = { .user = who->user,
                           .device_id = who->device_id,
                           .type = in->type,
                           .state_key = in->state_key,
                           .content = hs_jv_raw(in->content),
                           .delay_ms = delay_ms,
                           .origin_ts = in->has_ts ? in->ts : 0,
                           .is_sticky = in->is_sticky,
                           .sticky_ms = in->sticky_ms };
    hs_txn_row txn;
    hs_room *room;
    hs_tx *tx;
    bool full;

    if (!hs_delayed_enabled(srv))
        return hs_err(a, 403, HS_M_FORBIDDEN, "Sending delayed events has been disallowed");
    if (delay_ms > most)
        return hs_err(a, 400, HS_M_MSC4140_DELAY_TOO_LARGE,
                      "The requested delay (%lldms) exceeds the allowed maximum (%lldms)", (long long)delay_ms,
                      (long long)most);
    HS_TRY(hs_room_find_own(srv, who, a, in->room_id, &room));
    if (!room)
        return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s (None)", HS_FMT(who->user_id),
                      HS_FMT(in->room_id));
    HS_TRY(hs_event_content_check(srv, a, in->type, in->state_key.p != NULL, in->content));
    row.room = room->nid;
    HS_TRY(hs_random_text(a, 24, NULL, &row.delay_id));
    HS_TRY(hs_tx_begin(srv->db, a, &tx));
    HS_TRY(hs_store_delayed_room(tx, a, who->user, srv->config->max_delayed_events, &full, &wait_ms));
    HS_TRY(hs_delayed_answer(srv, who, a, in->room_id, in->txn_id, ret_delay_id));
    if (ret_delay_id->p) /* the same request, while this one waited */
        return NULL;
    if (full)
        return too_many(a, wait_ms);
    HS_TRY(hs_store_delayed_add(tx, a, &row));
    if (in->txn_id.p) {
        txn = txn_of(who, room, in->txn_id);
        txn.result = row.delay_id;
        txn.ts = hs_loop_wall(srv->loop);
        HS_TRY(hs_store_txn_keep(tx, a, &txn));
    }
    HS_TRY(hs_tx_commit(tx));
    *ret_delay_id = row.delay_id;
    return NULL;
}

/* ── looking after them ── */
static hs_error *not_found(hs_arena *a)
{
    return hs_err(a, 404, HS_M_NOT_FOUND, "Delayed event not found");
}

hs_error *hs_delayed_update(hs_server *srv, hs_arena *a, hs_str delay_id, hs_delayed_action action)
{
    hs_delayed_row row;
    bool found;

    if (action == HS_DELAYED_SEND) {
        HS_TRY(hs_store_delayed_claim(srv->db, a, delay_id, &row));
        return row.delay_id.p ? send_claimed(srv, a, &row, row.origin_ts) : not_found(a);
    }
    HS_TRY(action == HS_DELAYED_CANCEL ? hs_store_delayed_cancel(srv->db, a, delay_id, &found)
                                       : hs_store_delayed_restart(srv->db, a, delay_id, &found));
    return found ? NULL : not_found(a);
}

hs_error *hs_delayed_list(hs_server *srv, const hs_session *who, hs_arena *a, hs_delayed_row **ret, size_t *ret_n)
{
    return hs_store_delayed_of(srv->db, a, who->user, hs_str_make(NULL, 0), ret, ret_n);
}

hs_error *hs_delayed_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str delay_id, hs_delayed_row *ret)
{
    hs_delayed_row *rows;
    size_t n;

    HS_TRY(hs_store_delayed_of(srv->db, a, who->user, delay_id, &rows, &n));
    if (!n)
        return not_found(a);
    *ret = rows[0];
    return NULL;
}
