/* See blocks.h. */
#include "store/blocks.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt BLOCK_GET = {
    .name = "block_get",
    .sql = "SELECT u.mxid FROM block b JOIN user_id u ON u.user_nid = b.by_nid WHERE b.kind = 'room' AND b.name = $1",
    .params = "t", .cols = "t", .big = "block user_id",
};
static const hs_stmt BLOCK_ADD = {
    .name = "block_add",
    .sql = "INSERT INTO block(kind, name, by_nid, ts) VALUES ('room', $1, $2, $3) ON CONFLICT (kind, name) DO NOTHING",
    .params = "tnn",
};
static const hs_stmt BLOCK_REMOVE = {
    .name = "block_remove",
    .sql = "DELETE FROM block WHERE kind = 'room' AND name = $1",
    .params = "t", .big = "block",
};
/* clang-format on */

const hs_stmt *const hs_blocks_statements[] = { &BLOCK_GET, &BLOCK_ADD, &BLOCK_REMOVE, NULL };

hs_error *hs_store_block_get(hs_db *db, hs_arena *a, hs_str room_id, hs_str *ret_by)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &BLOCK_GET, &rows, room_id));
    *ret_by = hs_rows_count(rows) ? hs_rows_str(rows, 0, 0) : (hs_str){ NULL, 0 };
    return NULL;
}

hs_error *hs_store_block_add(hs_db *db, hs_arena *a, hs_str room_id, hs_nid by, int64_t ts)
{
    return hs_db_exec(db, a, &BLOCK_ADD, NULL, room_id, by, ts);
}

hs_error *hs_store_block_remove(hs_db *db, hs_arena *a, hs_str room_id)
{
    return hs_db_exec(db, a, &BLOCK_REMOVE, NULL, room_id);
}
