/* Local messages, state events and redactions: what the specification and Synapse check before an event is built,
 * idempotency, and the answer. */
#include "server/room_send.h"

#include "core/ids.h"
#include "server/cache.h"
#include "server/directory.h"
#include "server/event_content.h"
#include "server/limiter.h"
#include "server/presence.h"
#include "server/redact_related.h"
#include "server/relations.h"
#include "server/room_member.h"
#include "server/room_state.h"
#include "store/events.h"

static hs_error *need_room(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_room **ret)
{
    HS_TRY(hs_room_find_own(srv, who, a, room_id, ret));
    if (!*ret)
        return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s (None)", HS_FMT(who->user_id),
                      HS_FMT(room_id));
    return NULL;
}

#define TWIN_TRIES 5

hs_error *hs_room_txn_answer(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room, hs_str txn_id,
                             hs_str *ret)
{
    hs_txn_row row = { .user = who->user, .device_id = who->device_id, .scope = room->nid, .txn_id = txn_id };
    hs_stored *s;
    bool found;

    *ret = hs_str_make(NULL, 0);
    HS_TRY(hs_store_txn_get(srv->db, a, &row, &found));
    if (!found || !row.event)
        return NULL;
    HS_TRY(hs_events_load(srv, a, room->nid, &row.event, 1, &s));
    if (!s)
        return hs_err_internal(a, NULL, "event %lld of a transaction is missing", (long long)row.event);
    *ret = s->ev->event_id;
    return NULL;
}

typedef struct {
    const hs_event_wish *wish;
    hs_event_made made;
} one;

static hs_error *fill_one(hs_room_write *w, void *ud)
{
    one *o = ud;

    return hs_room_write_add(w, o->wish, &o->made);
}

hs_error *hs_shadow_event_id(const hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str txn_id,
                             hs_str *ret)
{
    const hs_str key = hs_str_make((const char *)srv->slot_key, sizeof srv->slot_key);
    uint8_t sum[32];
    hs_str named, id;

    if (!txn_id.p)
        HS_TRY(hs_random_text(a, 20, "0123456789", &txn_id));
    HS_TRY(
        hs_str_cat(a, &named, 8, key, who->user_id, HS_S(" "), who->device_id, HS_S(" "), room_id, HS_S(" "), txn_id));
    hs_sha256(named, sum);
    HS_TRY(hs_base64_encode(a, hs_str_make((const char *)sum, sizeof sum), true, &id));
    return hs_str_cat(a, ret, 2, HS_S("$"), id);
}

/* One event, with its transaction's memory around it. Who is shadow-banned is told that it was sent. */
static hs_error *write_one(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room, hs_event_wish *wish,
                           hs_str *ret)
{
    one o = { .wish = wish };
    bool conflict = false;

    if (who->flags & HS_ACCOUNT_SHADOW_BANNED)
        return hs_shadow_event_id(srv, who, a, room->id, wish->txn_id, ret);
    wish->sender = who->user_id;
    wish->sender_nid = who->user;
    wish->device_id = who->device_id.p ? who->device_id : HS_S("");
    for (int i = 0; i < TWIN_TRIES; i++) {
        HS_TRY(hs_room_write_run(srv, a, room, wish->is_state ? HS_WRITE_STATE : HS_WRITE_MESSAGE, fill_one, &o,
                                 wish->txn_id.p ? &conflict : NULL));
        if (!conflict) {
            *ret = o.made.event_id;
            return NULL;
        }
        HS_TRY(hs_room_txn_answer(srv, who, a, room, wish->txn_id, ret));
        if (ret->p)
            return NULL;
        /* Another worker has made the very same event, byte for byte: of the same user and content, on the same head,
         * in the same millisecond. The two were sent apart and stay so. */
        HS_TRY(hs_room_refresh(srv, a, room, &room));
    }
    return hs_err_internal(a, NULL, "a row of a new event was there already");
}

hs_error *hs_room_send(hs_server *srv, const hs_session *who, hs_arena *a, const hs_send *in, hs_str *ret)
{
    hs_event_wish wish = { .type = in->type,
                           .content = in->content,
                           .has_ts = in->has_ts,
                           .ts = in->ts,
                           .txn_id = in->txn_id,
                           .is_sticky = in->is_sticky,
                           .sticky_ms = in->sticky_ms };
    hs_txn *txn;
    hs_str known;
    hs_room *room;

    hs_presence_active(srv, who);
    HS_TRY(hs_txn_begin(srv, a, srv->rooms->txns, who, in->room_id, in->txn_id, &txn, &known));
    if (known.p) {
        *ret = known;
        return NULL;
    }
    HS_TRY(need_room(srv, who, a, in->room_id, &room));
    HS_TRY(hs_event_content_check(srv, a, in->type, false, in->content));
    if (hs_str_eq(in->type, HS_S("m.room.redaction"))) {
        wish.redacts = hs_jv_str_or_null(hs_jv_get(in->content, HS_S("redacts")));
        if (!wish.redacts.p)
            return hs_err(a, 400, HS_M_BAD_JSON, "A redaction needs 'redacts'");
    } else {
        HS_TRY(hs_relations_check(srv, a, room, who->user, in->type, in->content));
    }
    HS_TRY(hs_txn_fail(txn, write_one(srv, who, a, room, &wish, ret)));
    hs_txn_answer(txn, *ret);
    return NULL;
}

/* ── state ── */

static hs_error *check_alias(hs_server *srv, hs_arena *a, hs_room *room, hs_str alias)
{
    hs_id id;
    hs_str room_id;
    hs_strs servers;

    if (!hs_alias_parse(alias, &id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "%.*s is not a room alias", HS_FMT(alias));
    hs_error *e = hs_alias_get(srv, a, alias, &room_id, &servers);
    if (e && e->code == HS_M_NOT_FOUND)
        return hs_err(a, 400, HS_M_BAD_ALIAS, "Room alias %.*s does not exist", HS_FMT(alias));
    if (e)
        return e;
    if (!hs_str_eq(room_id, room->id))
        return hs_err(a, 400, HS_M_BAD_ALIAS, "Room alias %.*s does not point to the room", HS_FMT(alias));
    return NULL;
}

static bool lists(hs_jv array, hs_str value)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(array, &it);)
        if (hs_str_eq(hs_jv_str_or_null(it.value), value))
            return true;
    return false;
}

/* Aliases that are new in the event must exist and lead here; those it had before may have gone since. */
static hs_error *check_canonical_alias(hs_server *srv, hs_arena *a, hs_room *room, hs_jv content)
{
    hs_jv alias = hs_jv_get(content, HS_S("alias")), alts = hs_jv_get(content, HS_S("alt_aliases")), old = { 0 },
          old_alts;
    hs_stored *was;
    hs_str text;

    HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.canonical_alias"), HS_S(""), &was));
    if (was)
        old = was->ev->content;
    old_alts = hs_jv_get(old, HS_S("alt_aliases"));
    text = hs_jv_str_or_null(alias);
    if (hs_jv_is(alias) && !text.p && hs_jv_type_of(alias) != HS_JV_NULL)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "The alias property must be a string.");
    if (text.n && !hs_str_eq(text, hs_jv_str_or_null(hs_jv_get(old, HS_S("alias")))))
        HS_TRY(check_alias(srv, a, room, text));
    if (hs_jv_is(alts) && hs_jv_type_of(alts) != HS_JV_ARR)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "The alt_aliases property must be a list.");
    for (hs_jv_iter it = { 0 }; hs_jv_next(alts, &it);) {
        text = hs_jv_str_or_null(it.value);
        if (!text.p)
            return hs_err(a, 400, HS_M_INVALID_PARAM, "The alt_aliases property must be a list of strings.");
        if (!lists(old_alts, text))
            HS_TRY(check_alias(srv, a, room, text));
    }
    return NULL;
}

hs_error *hs_room_send_state(hs_server *srv, const hs_session *who, hs_arena *a, const hs_send *in, hs_str *ret)
{
    hs_event_wish wish = { .type = in->type,
                           .state_key = in->state_key,
                           .is_state = true,
                           .content = in->content,
                           .has_ts = in->has_ts,
                           .ts = in->ts,
                           .txn_id = in->txn_id };
    hs_room *room;

    if (hs_str_eq(in->type, HS_S("m.room.member")))
        return hs_room_member_put(srv, who, a, in, ret);
    if (hs_str_eq(in->type, HS_S("m.room.create")))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Cannot resend m.room.create event");
    HS_TRY(need_room(srv, who, a, in->room_id, &room));
    HS_TRY(hs_event_content_check(srv, a, in->type, true, in->content));
    if (hs_str_eq(in->type, HS_S("m.room.canonical_alias")))
        HS_TRY(check_canonical_alias(srv, a, room, in->content));
    return write_one(srv, who, a, room, &wish, ret);
}

/* ── redactions ── */

/* The body with `redacts` set. */
static hs_error *with_redacts(hs_arena *a, hs_jv content, hs_str event_id, hs_jv *ret)
{
    hs_json_out j;
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(content, &it);) {
        if (hs_str_eq(it.key, HS_S("redacts")))
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_str(&j, "redacts", event_id);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_content_parse(a, text, ret);
}

/* rc_admin_redaction is for those who redact what others said, which suspended users may not. */
static hs_error *check_redaction(hs_server *srv, const hs_session *who, hs_arena *a, const hs_room *room,
                                 const hs_redact *in, bool related)
{
    bool suspended = (who->flags & HS_ACCOUNT_SUSPENDED) != 0;
    hs_stored *target;

    if ((!srv->config->has_rc_admin_redaction || in->unlimited) && !suspended)
        return NULL; /* counted with the messages, or not at all */
    HS_TRY(hs_event_find(srv, a, room->nid, in->event_id, &target));
    if (suspended && (!target || target->sender != who->user || related))
        return hs_err(a, 403, HS_M_USER_SUSPENDED, "You can only redact your own events while account is suspended.");
    if (!srv->config->has_rc_admin_redaction || in->unlimited)
        return NULL;
    return hs_limit_use_as(srv, a, target && target->sender != who->user ? HS_LIMIT_ADMIN_REDACTION : HS_LIMIT_MESSAGE,
                           who, (hs_str){ 0 }, HS_LIMIT_TAKE);
}

hs_error *hs_room_redact(hs_server *srv, const hs_session *who, hs_arena *a, const hs_redact *in, hs_str *ret)
{
    hs_event_wish wish = {
        .type = HS_S("m.room.redaction"), .content = in->content, .redacts = in->event_id, .txn_id = in->txn_id
    };
    hs_txn *txn;
    hs_str known;
    hs_room *room;
    hs_jv types;

    HS_TRY(hs_txn_begin(srv, a, srv->rooms->txns, who, in->room_id, in->txn_id, &txn, &known));
    if (known.p) {
        *ret = known;
        return NULL;
    }
    HS_TRY(need_room(srv, who, a, in->room_id, &room));
    hs_redact rest = *in;
    HS_TRY(hs_redact_related_read(srv, a, &rest.content, &types));
    wish.content = rest.content;
    HS_TRY(check_redaction(srv, who, a, room, in, hs_jv_is(types)));
    if (room->rv->redacts_in_content) {
        hs_jv given = hs_jv_get(in->content, HS_S("redacts"));
        if (hs_jv_is(given) && !hs_str_eq(hs_jv_str_or_null(given), in->event_id))
            return hs_err(a, 400, HS_M_INVALID_PARAM,
                          "Cannot provide a redacts value incoherent with the event_id of the URL parameter");
        HS_TRY(with_redacts(a, rest.content, in->event_id, &wish.content));
    }
    HS_TRY(hs_txn_fail(txn, write_one(srv, who, a, room, &wish, ret)));
    if (hs_jv_is(types) && !(who->flags & HS_ACCOUNT_SHADOW_BANNED))
        HS_TRY(hs_txn_fail(txn, hs_redact_related(srv, who, a, &rest, types)));
    hs_txn_answer(txn, *ret);
    return NULL;
}
