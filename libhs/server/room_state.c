/* Reading a room's state as a user. */
#include "server/room_state.h"

#include "server/cache.h"
#include "server/timeline.h"
#include "store/members.h"
#include "store/state.h"
#include "store/timeline.h"

static hs_error *is_world_readable(hs_server *srv, hs_arena *a, hs_room *room, bool *ret)
{
    hs_stored *s;

    HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.history_visibility"), HS_S(""), &s));
    *ret = s &&
           hs_str_eq(hs_jv_str_or_null(hs_jv_get(s->ev->content, HS_S("history_visibility"))), HS_S("world_readable"));
    return NULL;
}

hs_error *hs_room_find_own(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_room **ret)
{
    hs_membership membership;
    hs_room *room;

    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (room && !hs_room_has_local(room, who->user)) {
        HS_TRY(hs_room_membership(srv, a, room, who->user_id, &membership));
        if (membership == HS_MEMBER_NONE)
            room = NULL;
    }
    *ret = room;
    return NULL;
}

/* The state at the end of the stay: an invite that was refused since then shows nothing newer. */
static hs_error *at_leave(hs_server *srv, hs_arena *a, hs_room *room, int64_t left_pos, hs_room_access *ret)
{
    hs_timeline_row at;
    bool found;

    HS_TRY(hs_store_head_at(srv->db, a, room->nid, left_pos, &at, &found));
    if (!found)
        return hs_err_internal(a, NULL, "no state at position %lld", (long long)left_pos);
    *ret = (hs_room_access){
        .room = room, .membership = HS_MEMBER_LEAVE, .at_leave = true, .line = at.line, .snap = at.snap
    };
    return NULL;
}

hs_error *hs_room_access_check(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_room_access *ret)
{
    hs_user_room row;
    hs_room *room;
    bool found, readable = false;

    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (room && (who->as_admin || hs_room_has_local(room, who->user))) {
        *ret = (hs_room_access){ .room = room, .membership = HS_MEMBER_JOIN, .line = room->line, .snap = room->snap };
        return NULL;
    }
    if (room) {
        HS_TRY(hs_store_user_room(srv->db, a, who->user, room->nid, &row, &found));
        if (found && row.membership == HS_MEMBER_JOIN) { /* joined meanwhile */
            *ret =
                (hs_room_access){ .room = room, .membership = HS_MEMBER_JOIN, .line = room->line, .snap = room->snap };
            return NULL;
        }
        if (found && row.membership == HS_MEMBER_LEAVE && row.left_pos && !(row.flags & HS_USER_ROOM_FORGOTTEN))
            return at_leave(srv, a, room, row.left_pos, ret);
        HS_TRY(is_world_readable(srv, a, room, &readable));
    }
    if (!room && who->as_admin)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Room not found");
    if (!readable)
        return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s, and room previews are disabled",
                      HS_FMT(who->user_id), HS_FMT(room_id));
    *ret = (hs_room_access){
        .room = room, .membership = found ? row.membership : HS_MEMBER_NONE, .line = room->line, .snap = room->snap
    };
    return NULL;
}

hs_error *hs_room_snapshot(hs_server *srv, hs_arena *a, hs_room *room, int32_t line, int32_t snap, hs_state_set *ret)
{
    hs_state_entry *copy;

    if (line != room->line || snap != room->snap)
        return hs_store_state_at(srv->db, a, room->nid, (hs_snap){ .line = line, .snap = snap }, ret);
    HS_TRY(hs_alloc(a, room->state_n, &copy));
    if (room->state_n)
        memcpy(copy, room->state, room->state_n * sizeof *copy);
    *ret = (hs_state_set){ .at = copy, .n = room->state_n };
    return NULL;
}

/* The events of entries low <= slot < high; those that are missing are left out. */
static hs_error *events_of(hs_server *srv, hs_arena *a, hs_room *room, const hs_state_set *set, int64_t low,
                           int64_t high, hs_stored ***ret, size_t *ret_n)
{
    bool found;
    size_t from = hs_state_search(set->at, set->n, low, &found), to = from, n = 0;
    hs_stored **out;
    hs_nid *nids;

    while (to < set->n && set->at[to].slot < high)
        to++;
    HS_TRY(hs_alloc(a, to - from, &nids));
    HS_TRY(hs_alloc(a, to - from, &out));
    for (size_t i = from; i < to; i++)
        nids[i - from] = set->at[i].event;
    HS_TRY(hs_events_load_as(srv, a, room->nid, room->rv, nids, to - from, out));
    for (size_t i = 0; i < to - from; i++)
        if (out[i])
            out[n++] = out[i];
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_room_state_list(hs_server *srv, hs_arena *a, const hs_room_access *access, hs_stored ***ret, size_t *ret_n)
{
    hs_state_set set;

    HS_TRY(hs_room_snapshot(srv, a, access->room, access->line, access->snap, &set));
    return events_of(srv, a, access->room, &set, 0, INT64_MAX, ret, ret_n);
}

hs_error *hs_room_state_one(hs_server *srv, hs_arena *a, const hs_room_access *access, hs_str type, hs_str state_key,
                            hs_stored **ret)
{
    hs_room *room = access->room;
    int64_t slot = hs_slot(srv->slot_key, type, state_key);
    hs_nid nid = 0;

    if (!access->at_leave)
        return hs_room_state_get(srv, a, room, type, state_key, ret);
    HS_TRY(hs_store_state_slots(srv->db, a, room->nid, (hs_snap){ .line = access->line, .snap = access->snap }, &slot,
                                1, &nid));
    *ret = NULL;
    return nid ? hs_events_load_as(srv, a, room->nid, room->rv, &nid, 1, ret) : NULL;
}

static bool passes(const hs_members_filter *f, const hs_stored *s)
{
    hs_membership m;

    if (f->membership == HS_MEMBER_NONE && f->not_membership == HS_MEMBER_NONE)
        return true;
    m = hs_membership_parse(hs_jv_str_or_null(hs_jv_get(s->ev->content, HS_S("membership"))));
    return (f->membership == HS_MEMBER_NONE || m == f->membership) &&
           (f->not_membership == HS_MEMBER_NONE || m != f->not_membership);
}

/* Where the room was at a position, for who may see the state that held there: a token can be from any time, also from
 * after the stay. */
static hs_error *point_at(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room, int64_t pos, hs_snap *ret)
{
    hs_timeline_row head;
    hs_membership membership;
    hs_stored *last;
    hs_nid nid;
    bool found, visible;

    HS_TRY(hs_store_head_at(srv->db, a, room->nid, pos, &head, &found));
    nid = found && !head.event && head.heads.n ? head.heads.at[0] : head.event; /* a marker has none */
    if (!found || !nid)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Can't find event for token %lld", (long long)pos);
    *ret = (hs_snap){ .line = head.line, .snap = head.snap };
    if (who->as_admin)
        return NULL;
    HS_TRY(hs_events_load(srv, a, room->nid, &nid, 1, &last));
    if (last) {
        HS_TRY(hs_timeline_visible(srv, a, room, who, HS_SEES_NOW_ONLY, &last, 1, &visible, &membership));
        HS_TRY(hs_timeline_state_visible(srv, a, room, who, last, membership, &visible));
        if (visible)
            return NULL;
    }
    return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not allowed to view events in room %.*s at token %lld",
                  HS_FMT(who->user_id), HS_FMT(room->id), (long long)pos);
}

hs_error *hs_room_members(hs_server *srv, const hs_session *who, hs_arena *a, const hs_room_access *access,
                          const hs_members_filter *f, hs_stored ***ret, size_t *ret_n)
{
    hs_room *room = access->room;
    hs_snap at = { .line = access->line, .snap = access->snap };
    hs_state_set set;
    hs_stored **all;
    size_t all_n, n = 0;

    if (f->at_pos && f->at_pos < room->pos)
        HS_TRY(point_at(srv, who, a, room, f->at_pos, &at));
    HS_TRY(hs_room_snapshot(srv, a, room, at.line, at.snap, &set));
    HS_TRY(events_of(srv, a, room, &set, hs_slot_low(HS_SLOT_MEMBER), hs_slot_low(HS_SLOT_MEMBER + 1), &all, &all_n));
    for (size_t i = 0; i < all_n; i++)
        if (passes(f, all[i]))
            all[n++] = all[i];
    *ret = all;
    *ret_n = n;
    return NULL;
}
