/* See room_block.h. */
#include "server/room_block.h"

#include "core/ids.h"
#include "store/blocks.h"

hs_error *hs_room_block_check(hs_server *srv, hs_arena *a, hs_str room_id)
{
    hs_str by;

    if (!room_id.n || room_id.n > 255 || memchr(room_id.p, 0, room_id.n) || !hs_str_is_utf8(room_id))
        return NULL; /* no room at all */
    HS_TRY(hs_store_block_get(srv->db, a, room_id, &by));
    return by.p ? hs_err(a, 403, HS_M_UNKNOWN, "This room has been blocked on this server") : NULL;
}

static hs_error *check_id(hs_arena *a, hs_str room_id)
{
    hs_id id;

    if (!hs_room_id_parse(room_id, &id))
        return hs_err(a, 400, HS_M_UNKNOWN, "%.*s is not a legal room ID", HS_FMT(room_id));
    return NULL;
}

hs_error *hs_room_block_get(hs_server *srv, hs_arena *a, hs_str room_id, hs_str *ret_by)
{
    HS_TRY(check_id(a, room_id));
    return hs_store_block_get(srv->db, a, room_id, ret_by);
}

hs_error *hs_room_block_put(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, bool block)
{
    HS_TRY(check_id(a, room_id));
    if (!block)
        return hs_store_block_remove(srv->db, a, room_id);
    return hs_store_block_add(srv->db, a, room_id, who->user, hs_loop_wall(srv->loop));
}
