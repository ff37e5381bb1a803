/* hs/core.h: the core for embedders, in terms of bytes. */
#include <hs/core.h>

#include "core/canonical.h"
#include "core/event.h"

hs_error *hs_core_canonical_json(hs_arena *a, hs_str json, hs_str *ret)
{
    hs_jv top;

    HS_TRY(hs_tape_parse(a, json, HS_JSON_CANONICAL, &top));
    return hs_canonical(a, top, NULL, 0, ret);
}

bool hs_core_room_version_known(hs_str version)
{
    return hs_roomver_find(version) != NULL;
}

static hs_error *parse(hs_arena *a, hs_str version, hs_str pdu, hs_event **ret)
{
    const hs_roomver *rv = hs_roomver_find(version);

    if (!rv)
        return hs_err(a, 400, HS_M_UNSUPPORTED_ROOM_VERSION, "Room version %.*s is not known", HS_FMT(version));
    return hs_event_parse(a, rv, pdu, ret);
}

hs_error *hs_core_event_id(hs_arena *a, hs_str version, hs_str pdu, hs_str *ret)
{
    hs_event *e;

    HS_TRY(parse(a, version, pdu, &e));
    *ret = e->event_id;
    return NULL;
}

hs_error *hs_core_event_hash_ok(hs_arena *a, hs_str version, hs_str pdu, bool *ret)
{
    hs_event *e;

    HS_TRY(parse(a, version, pdu, &e));
    return hs_event_hash_ok(a, e, ret);
}

hs_error *hs_core_event_redact(hs_arena *a, hs_str version, hs_str pdu, hs_str *ret)
{
    hs_event *e;

    HS_TRY(parse(a, version, pdu, &e));
    return hs_event_redact(a, e, ret);
}
