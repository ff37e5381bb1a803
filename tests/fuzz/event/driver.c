/* Hostile events: the first byte is the room version ('1' to '9', 'a' to 'c'), the rest a PDU. What is accepted must
 * read back as itself, keep its id, redact to something stable, and be judged by the rules without harm, both as an
 * event over a state and as part of the state that judges others. */
#include "core/auth.h"
#include "core/canonical.h"
#include "core/client_event.h"
#include "core/visibility.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok)
{
    if (!ok)
        abort();
}

typedef struct {
    const hs_event *hostile, *create, *power, *member;
} room;

static const hs_event *get(void *ud, hs_str type, hs_str state_key)
{
    const room *r = ud;

    if (r->hostile->is_state && hs_str_eq(r->hostile->type, type) && hs_str_eq(r->hostile->state_key, state_key))
        return r->hostile;
    if (hs_str_eq(type, HS_S("m.room.create")))
        return r->create;
    if (hs_str_eq(type, HS_S("m.room.power_levels")))
        return r->power;
    return hs_str_eq(type, HS_S("m.room.member")) ? r->member : NULL;
}

/* An event of ours in the hostile one's room, so that the rules get past their first line. */
static const hs_event *ours(hs_arena *a, const hs_event *like, hs_event_kind kind, hs_str type, hs_str sender,
                            hs_str content)
{
    hs_event *e;
    hs_jv top;

    if (hs_alloc(a, 1, &e) || hs_tape_parse(a, content, HS_JSON_OBJECT, &top))
        return NULL;
    *e = (hs_event){ .rv = like->rv,
                     .event_id = HS_S("$ours"),
                     .room_id = like->room_id,
                     .type = type,
                     .sender = sender,
                     .is_state = true,
                     .kind = kind,
                     .membership = kind == HS_KIND_MEMBER ? HS_MEMBER_JOIN : HS_MEMBER_NONE,
                     .content = top,
                     .top = top };
    return e;
}

static void judge(hs_arena *a, const hs_event *e)
{
    room r = { .hostile = e };
    hs_state_key_pair types[HS_AUTH_TYPES_MAX];

    r.create = ours(a, e, HS_KIND_CREATE, HS_S("m.room.create"), HS_S("@c:x"), HS_S("{\"creator\":\"@c:x\"}"));
    r.power = ours(a, e, HS_KIND_POWER_LEVELS, HS_S("m.room.power_levels"), HS_S("@c:x"),
                   HS_S("{\"events\":{\"m.room.name\":50},\"users\":{\"@c:x\":100,\"@u:x\":50}}"));
    r.member = ours(a, e, HS_KIND_MEMBER, HS_S("m.room.member"), HS_S("@u:x"), HS_S("{\"membership\":\"join\"}"));
    if (!r.create || !r.power || !r.member)
        return;

    room without = r;
    without.hostile = r.create;
    hs_state_view view = { .get = get, .ud = &without, .create = r.create };
    hs_verdict v = hs_auth_check(e, &view);
    must(v.rule != NULL && (v.ok || v.status == 403 || v.status == 400));
    if (!v.ok)
        must(hs_auth_refusal(a, v, e) != NULL);
    must(hs_auth_types(e->rv, e->type, e->sender, e->state_key, e->is_state, e->content, types) <= HS_AUTH_TYPES_MAX);
    (void)hs_auth_check_auth_events(e, &e, NULL, 1);

    view.ud = &r; /* now the hostile one is part of the state */
    view.create = NULL;
    (void)hs_auth_check(r.power, &view);
    (void)hs_auth_check(e, &view);
    (void)hs_auth_power(e->rv, &view, HS_S("@u:x"));
    (void)hs_auth_level_for(e->rv, &view, HS_S("m.room.name"), true);
    (void)hs_auth_notification_level(e->rv, &view, HS_S("room"));
    (void)hs_auth_redaction_ok(e->rv, &view, e, r.member);
    (void)hs_visibility_of(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char VERSIONS[] = "123456789abc";
    static hs_arena *a;
    hs_event *e, *again;
    hs_str redacted, twice, canonical;
    hs_buf b;
    bool ok;

    if (!a)
        a = hs_arena_open((size_t)1 << 26);
    const char *at = n ? strchr(VERSIONS, data[0]) : NULL;
    if (!a || !at || !*at)
        return 0;
    hs_arena_reset(a);
    const hs_roomver *rv = hs_roomver_all()[at - VERSIONS];
    if (hs_event_parse(a, rv, hs_str_make((const char *)data + 1, n - 1), &e))
        return 0;

    must(e->json.n <= 65536 && e->event_id.n > 1 && e->room_id.n > 1);
    must(!hs_event_parse(a, rv, e->json, &again));
    must(hs_str_eq(again->json, e->json) && hs_str_eq(again->event_id, e->event_id));
    must(!hs_canonical(a, e->top, NULL, 0, &canonical) && hs_str_eq(canonical, e->json));
    must(!hs_event_redact(a, e, &redacted) && redacted.n <= e->json.n + 2);
    must(!hs_redact_json(a, rv, redacted, &twice) && hs_str_eq(redacted, twice));
    must(!hs_event_read(a, rv, redacted, (hs_str){ 0 }, &again));
    must(hs_str_eq(again->event_id, e->event_id)); /* redaction keeps the id */
    must(!hs_event_hash_ok(a, e, &ok));
    hs_buf_init(&b, a);
    hs_client_event_head(&b, e);
    must(!hs_buf_flatten(&b, &canonical));
    judge(a, e);
    return 0;
}
