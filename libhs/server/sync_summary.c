/* What a lazily loading client is told of a room beside its state: counts, and whom to name it after.
 * Spec: Client-Server API, "Syncing", RoomSummary. */
#include "server/names.h"
#include "server/sync_part.h"
#include "store/members.h"

static hs_error *has_text(hs_sync_job *job, hs_room *room, hs_str type, hs_str key, bool *ret)
{
    hs_stored *e;

    HS_TRY(hs_room_state_get(job->srv, job->a, room, type, HS_S(""), &e));
    *ret = e && hs_jv_str_or_null(hs_jv_get(e->ev->content, key)).n > 0;
    return NULL;
}

/* Who may be heroes, read once for each change of a membership: rooms without a name are many, and mostly quiet. */
static hs_error *candidates(hs_sync_job *job, hs_room *room, hs_heroes *ret)
{
    static const unsigned PRESENT = 1u << HS_MEMBER_JOIN | 1u << HS_MEMBER_INVITE;
    static const unsigned GONE = 1u << HS_MEMBER_LEAVE | 1u << HS_MEMBER_BAN;
    uint64_t version = room->members_version;

    if (room->heroes.known) {
        *ret = room->heroes;
        return NULL;
    }
    *ret = (hs_heroes){ .known = true };
    HS_TRY(
        hs_store_members_first(job->srv->db, job->a, room->nid, PRESENT, HS_HEROES + 1, ret->present, &ret->present_n));
    if (ret->present_n <= 1)
        HS_TRY(hs_store_members_first(job->srv->db, job->a, room->nid, GONE, HS_HEROES + 1, ret->gone, &ret->gone_n));
    if (version == room->members_version)
        room->heroes = *ret;
    return NULL;
}

/* Joined and invited members in the order in which they came, or else those who are gone. */
static hs_error *heroes(hs_sync_job *job, hs_sync_part *p)
{
    hs_nid nids[HS_HEROES], me = job->who->user;
    const hs_nid *from;
    hs_heroes all;
    hs_str *ids;
    size_t n, k = 0;
    bool alone;

    HS_TRY(candidates(job, p->room, &all));
    alone = !all.present_n || (all.present_n == 1 && all.present[0] == me);
    from = alone ? all.gone : all.present;
    n = alone ? all.gone_n : all.present_n;
    for (size_t i = 0; i < n && k < HS_HEROES; i++)
        if (from[i] != me)
            nids[k++] = from[i];
    HS_TRY(hs_alloc(job->a, k, &ids));
    if (k)
        HS_TRY(hs_user_names(job->srv, job->a, nids, k, ids));
    p->heroes = (hs_strs){ ids, k };
    p->has_heroes = true;
    return NULL;
}

static bool shown_already(const hs_sync_part *p, int64_t slot)
{
    bool known = false;

    for (size_t k = 0; k < p->state_n; k++)
        known |= p->state[k]->slot == slot;
    for (size_t k = 0; k < p->events_n; k++)
        known |= p->events[k].event->ev->is_state && p->events[k].event->slot == slot;
    return known;
}

/* A lazily loading client is given the heroes' member events. */
static hs_error *add_hero_state(hs_sync_job *job, hs_sync_part *p)
{
    hs_stored **state, *events[HS_HEROES];
    hs_nid nids[HS_HEROES], nid;
    size_t n = 0;
    hs_lazy *l;

    for (size_t i = 0; i < p->heroes.n; i++)
        if ((nid = hs_room_state_nid(job->srv, p->room, HS_S("m.room.member"), p->heroes.at[i])) > 0)
            nids[n++] = nid;
    HS_TRY(hs_events_load(job->srv, job->a, p->room->nid, nids, n, events));
    HS_TRY(hs_alloc(job->a, p->state_n + n, &state));
    if (p->state_n)
        memcpy(state, p->state, p->state_n * sizeof *state);
    p->state = state;
    l = hs_lazy_of(job->srv, job->who->user, job->who->device_id);
    for (size_t i = 0; i < n; i++) {
        hs_stored *e = events[i];

        if (!e || shown_already(p, e->slot) || (l && hs_lazy_sent(l, e->nid)))
            continue;
        if (l)
            hs_lazy_mark(l, e->nid, job->upto);
        p->state[p->state_n++] = e;
    }
    return NULL;
}

hs_error *hs_sync_summary(hs_sync_job *job, hs_sync_part *p)
{
    bool members = p->member_events, named;

    if (p->archived || !job->in->filter->state.lazy_load_members)
        return NULL;
    for (size_t i = 0; p->limited && i < p->state_n; i++)
        members |= hs_slot_is_member(p->state[i]->slot);
    if (!members && p->since != INT64_MIN)
        return NULL;
    p->has_summary = true;
    p->joined = p->room->joined;
    p->invited = p->room->invited;
    HS_TRY(has_text(job, p->room, HS_S("m.room.name"), HS_S("name"), &named));
    if (!named)
        HS_TRY(has_text(job, p->room, HS_S("m.room.canonical_alias"), HS_S("alias"), &named));
    if (named)
        return NULL;
    HS_TRY(heroes(job, p));
    return add_hero_state(job, p);
}
