/* See visibility.h. */
#include "core/visibility.h"

static const hs_str NAMES[] = {
    [HS_VIS_WORLD_READABLE] = HS_S_INIT("world_readable"),
    [HS_VIS_SHARED] = HS_S_INIT("shared"),
    [HS_VIS_INVITED] = HS_S_INIT("invited"),
    [HS_VIS_JOINED] = HS_S_INIT("joined"),
};

hs_visibility hs_visibility_parse(hs_str s)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (hs_str_eq(s, NAMES[i]))
            return (hs_visibility)i;
    return HS_VIS_SHARED;
}

hs_str hs_visibility_str(hs_visibility v)
{
    return NAMES[v];
}

hs_visibility hs_visibility_of(const hs_event *history_visibility_event)
{
    if (!history_visibility_event)
        return HS_VIS_SHARED;
    return hs_visibility_parse(
        hs_jv_str_or_null(hs_jv_get(history_visibility_event->content, HS_S("history_visibility"))));
}

bool hs_event_visible(hs_visibility at_event, hs_membership viewer_at_event, bool viewer_joined_since)
{
    if (at_event == HS_VIS_WORLD_READABLE || viewer_at_event == HS_MEMBER_JOIN)
        return true;
    if (at_event == HS_VIS_SHARED)
        return viewer_joined_since;
    return at_event == HS_VIS_INVITED && viewer_at_event == HS_MEMBER_INVITE;
}

static bool ends_membership(const hs_sight *s)
{
    bool was = s->viewer_before == HS_MEMBER_JOIN || s->viewer_before == HS_MEMBER_INVITE ||
               s->viewer_before == HS_MEMBER_KNOCK;
    return was && (s->viewer_after == HS_MEMBER_LEAVE || s->viewer_after == HS_MEMBER_BAN);
}

bool hs_history_visible(const hs_event *e, hs_str viewer, const hs_sight *s)
{
    if (e->is_state && hs_str_eq(e->type, HS_S("m.room.history_visibility")) && !e->state_key.n)
        return hs_event_visible(s->visibility_before, s->viewer_before, s->viewer_joined_since) ||
               hs_event_visible(s->visibility_after, s->viewer_before, s->viewer_joined_since);

    if (e->is_state && hs_str_eq(e->type, HS_S("m.room.member")) && hs_str_eq(e->state_key, viewer))
        return ends_membership(s) || hs_event_visible(s->visibility_before, s->viewer_before, s->viewer_joined_since) ||
               hs_event_visible(s->visibility_before, s->viewer_after, s->viewer_joined_since);

    return hs_event_visible(s->visibility_before, s->viewer_before, s->viewer_joined_since);
}
