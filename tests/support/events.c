/* See events.h. */
#include "support/events.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static hs_str unquoted(hs_arena *a, const char *text)
{
    hs_str s;

    assert_null(hs_str_dup(a, hs_str_c(text), &s));
    char *p = hs_arena_alloc(a, s.n + 1);
    assert_non_null(p);
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] == '\'' ? '"' : s.p[i];
    return hs_str_make(p, s.n);
}

static void refs(hs_json_out *j, const hs_roomver *rv, const char *key, const char *const *ids)
{
    hs_json_arr_at(j, key);
    for (; ids && *ids && **ids; ids++) {
        if (rv->event_id == HS_EVENT_ID_GIVEN) {
            hs_json_arr(j);
            hs_json_v_str(j, hs_str_c(*ids));
            hs_json_obj(j);
            hs_json_end(j);
            hs_json_end(j);
        } else {
            hs_json_v_str(j, hs_str_c(*ids));
        }
    }
    hs_json_end(j);
}

hs_event *test_event(hs_arena *a, const hs_roomver *rv, const test_event_in *in)
{
    const char *prev[] = { in->prev ? in->prev : "$prev", NULL };
    bool create = !strcmp(in->type, "m.room.create") && in->state_key;
    hs_buf b;
    hs_json_out j;
    hs_str json;
    hs_event *e;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    refs(&j, rv, "auth_events", in->auth);
    hs_json_raw(&j, "content", unquoted(a, in->content ? in->content : "{}"));
    hs_json_int(&j, "depth", in->depth);
    if (rv->event_id == HS_EVENT_ID_GIVEN)
        hs_json_str(&j, "event_id", hs_str_c(in->id));
    hs_json_int(&j, "origin_server_ts", in->ts);
    refs(&j, rv, "prev_events", create && !in->prev ? NULL : prev);
    if (in->redacts)
        hs_json_str(&j, "redacts", hs_str_c(in->redacts));
    if (in->room)
        hs_json_str(&j, "room_id", hs_str_c(in->room));
    else if (!rv->room_id_is_hash || !create)
        hs_json_str(&j, "room_id", rv->room_id_is_hash ? HS_S("!create") : HS_S("!r:x"));
    hs_json_str(&j, "sender", hs_str_c(in->sender));
    hs_json_raw(&j, "signatures", HS_S("{\"x\":{}}"));
    if (in->state_key)
        hs_json_str(&j, "state_key", hs_str_c(in->state_key));
    hs_json_str(&j, "type", hs_str_c(in->type));
    hs_json_end(&j);
    assert_null(hs_buf_flatten(&b, &json));
    hs_error *err = hs_event_read(a, rv, json, hs_str_c(in->id), &e);
    if (err)
        fail_msg("%.*s: %.*s", HS_FMT(json), HS_FMT(err->cause ? err->cause->message : err->message));
    return e;
}
