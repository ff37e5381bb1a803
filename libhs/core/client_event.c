/* See client_event.h. */
#include "core/client_event.h"

void hs_client_event_head(hs_buf *b, const hs_event *e)
{
    hs_json_out j;

    hs_json_out_init(&j, b);
    hs_json_obj(&j);
    if (e->redacts.p && !e->rv->redacts_in_content && hs_jv_count(e->content) &&
        !hs_jv_is(hs_jv_get(e->content, HS_S("redacts")))) {
        /* Clients may read it at either place, whatever the room version (spec v11, "Moving the redacts property"). */
        hs_str content = hs_jv_raw(e->content);
        hs_buf_add(b, HS_S("\"content\":{\"redacts\":"));
        hs_json_quote(b, e->redacts);
        hs_buf_addc(b, ',');
        hs_buf_splice(b, hs_str_from(content, 1));
        j.used |= UINT64_C(1) << j.depth;
    } else if (e->redacts.p && !e->rv->redacts_in_content && !hs_jv_count(e->content)) {
        hs_json_obj_at(&j, "content");
        hs_json_str(&j, "redacts", e->redacts);
        hs_json_end(&j);
    } else {
        hs_json_raw(&j, "content", hs_jv_raw(e->content));
    }
    hs_json_str(&j, "event_id", e->event_id);
    if (hs_jv_is(e->sticky))
        hs_json_raw(&j, "msc4354_sticky", hs_jv_raw(e->sticky));
    hs_json_int(&j, "origin_server_ts", e->origin_ts);
    hs_json_opt_str(&j, "redacts", e->redacts);
    hs_json_str(&j, "room_id", e->room_id);
    hs_json_str(&j, "sender", e->sender);
    if (e->is_state)
        hs_json_str(&j, "state_key", e->state_key);
    hs_json_str(&j, "type", e->type);
}

void hs_client_event_stripped(hs_buf *b, const hs_event *e)
{
    hs_json_out j;

    hs_json_out_init(&j, b);
    hs_json_obj(&j);
    hs_json_raw(&j, "content", hs_jv_raw(e->content));
    hs_json_str(&j, "sender", e->sender);
    hs_json_str(&j, "state_key", e->state_key);
    hs_json_str(&j, "type", e->type);
    hs_json_end(&j);
}
