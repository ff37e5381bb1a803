/* See media.h. */
#include "store/media.h"

#include "store/statements.h"

static const hs_stmt MEDIA_GET = {
    .name = "media_get",
    .sql = "SELECT media_id, user_nid, type, length, upload_name, created_ts, unused_expires_ts, sha256,"
           " quarantined_by IS NOT NULL, flags FROM media WHERE server_nid = $1 AND media_id = $2",
    .params = "nt",
    .cols = "tntntnnbfi",
    .big = "media",
};

static hs_error *read_row(hs_arena *a, const hs_rows *rows, hs_media_row **ret)
{
    *ret = NULL;
    if (!hs_rows_count(rows))
        return NULL;
    HS_TRY(hs_alloc(a, 1, ret));
    **ret = (hs_media_row){
        .media_id = hs_rows_str(rows, 0, 0),
        .user = hs_rows_i64(rows, 0, 1),
        .type = hs_rows_str(rows, 0, 2),
        .length = hs_rows_null(rows, 0, 3) ? -1 : hs_rows_i64(rows, 0, 3),
        .upload_name = hs_rows_str(rows, 0, 4),
        .created_ts = hs_rows_i64(rows, 0, 5),
        .unused_expires_ts = hs_rows_i64(rows, 0, 6),
        .sha256 = hs_rows_str(rows, 0, 7),
        .quarantined = hs_rows_bool(rows, 0, 8),
        .flags = (unsigned)hs_rows_i64(rows, 0, 9),
    };
    return NULL;
}

hs_error *hs_store_media_get(hs_db *db, hs_arena *a, hs_nid server, hs_str media_id, hs_media_row **ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MEDIA_GET, &rows, server, media_id));
    return read_row(a, rows, ret);
}

/* 0 as quarantined_by: the server itself, because the same bytes were quarantined before. */
static const hs_stmt MEDIA_ADD = {
    .name = "media_add",
    .sql = "INSERT INTO media(server_nid, media_id, user_nid, type, length, upload_name, created_ts, unused_expires_ts,"
           " sha256, quarantined_by, flags)"
           " VALUES (0, $1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $9 THEN 0::bigint END, $10)"
           " ON CONFLICT (server_nid, media_id) DO NOTHING",
    .params = "tntotnobfi",
    .big = "media",
};

hs_error *hs_store_media_add(hs_db *db, hs_arena *a, const hs_media_row *row, bool *ret_new)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &MEDIA_ADD, &n, row->media_id, row->user, row->type, row->length < 0 ? NULL : &row->length,
                      row->upload_name, row->created_ts, row->length < 0 ? &row->unused_expires_ts : NULL, row->sha256,
                      (int)row->quarantined, (int32_t)row->flags));
    *ret_new = n == 1;
    return NULL;
}

static const hs_stmt MEDIA_LOCK = {
    .name = "media_lock",
    .sql = "SELECT media_id, user_nid, type, length, upload_name, created_ts, unused_expires_ts, sha256,"
           " quarantined_by IS NOT NULL, flags FROM media"
           " WHERE server_nid = 0 AND media_id = $1 AND length IS NULL FOR UPDATE",
    .params = "t",
    .cols = "tntntnnbfi",
    .big = "media",
};

hs_error *hs_store_media_lock_unused(hs_tx *tx, hs_arena *a, hs_str media_id, hs_media_row **ret)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &MEDIA_LOCK, &rows, media_id));
    return read_row(a, rows, ret);
}

static const hs_stmt MEDIA_FILL = {
    .name = "media_fill",
    .sql = "UPDATE media SET type = $2, length = $3, upload_name = $4, sha256 = $5,"
           " quarantined_by = CASE WHEN $6 THEN 0::bigint END, unused_expires_ts = NULL"
           " WHERE server_nid = 0 AND media_id = $1",
    .params = "ttntbf",
    .big = "media",
};

hs_error *hs_store_media_fill(hs_tx *tx, hs_arena *a, const hs_media_row *row)
{
    return hs_tx_exec(tx, a, &MEDIA_FILL, NULL, row->media_id, row->type, row->length, row->upload_name, row->sha256,
                      (int)row->quarantined);
}

static const hs_stmt MEDIA_UNUSED = {
    .name = "media_unused",
    .sql = "SELECT count(*), coalesce(min(unused_expires_ts), 0) FROM media"
           " WHERE server_nid = 0 AND user_nid = $1 AND unused_expires_ts > $2",
    .params = "nn",
    .cols = "nn",
    .big = "media",
};

hs_error *hs_store_media_unused(hs_db *db, hs_arena *a, hs_nid user, int64_t now_ts, int64_t *ret_n,
                                int64_t *ret_first_ts)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MEDIA_UNUSED, &rows, user, now_ts));
    *ret_n = hs_rows_i64(rows, 0, 0);
    *ret_first_ts = hs_rows_i64(rows, 0, 1);
    return NULL;
}

static const hs_stmt MEDIA_EXPIRE = {
    .name = "media_expire",
    .sql = "DELETE FROM media WHERE server_nid = 0 AND media_id = ANY (ARRAY(SELECT media_id FROM media"
           " WHERE unused_expires_ts <= $1 AND server_nid = 0 LIMIT 1000)) AND length IS NULL",
    .params = "n",
    .big = "media",
};

hs_error *hs_store_media_expire_unused(hs_tx *tx, hs_arena *a, int64_t now_ts, uint64_t *ret_n)
{
    return hs_tx_exec(tx, a, &MEDIA_EXPIRE, ret_n, now_ts);
}

static const hs_stmt MEDIA_BANNED = {
    .name = "media_banned",
    .sql = "SELECT EXISTS (SELECT FROM media WHERE sha256 = $1 AND quarantined_by IS NOT NULL)",
    .params = "b",
    .cols = "f",
    .big = "media",
};

hs_error *hs_store_media_is_banned(hs_db *db, hs_arena *a, hs_str sha256, bool *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MEDIA_BANNED, &rows, sha256));
    *ret = hs_rows_bool(rows, 0, 0);
    return NULL;
}

static const hs_stmt MEDIA_USED = {
    .name = "media_used",
    .sql = "SELECT coalesce(sum(length), 0)::bigint FROM media"
           " WHERE server_nid = 0 AND user_nid = $1 AND created_ts >= $2",
    .params = "nn",
    .cols = "n",
    .big = "media",
};

hs_error *hs_store_media_used(hs_db *db, hs_arena *a, hs_nid user, int64_t since_ts, int64_t *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MEDIA_USED, &rows, user, since_ts));
    *ret = hs_rows_i64(rows, 0, 0);
    return NULL;
}

/* Hourly is enough for a lifetime that is counted in days. */
static const hs_stmt MEDIA_TOUCH = {
    .name = "media_touch",
    .sql = "UPDATE media m SET access_ts = $2 FROM unnest($1::text[]) w(media_id)"
           " WHERE m.server_nid = 0 AND m.media_id = w.media_id"
           " AND (m.access_ts IS NULL OR m.access_ts < $2 - 3600000)",
    .params = "Tn",
    .big = "media",
};

hs_error *hs_store_media_touch(hs_db *db, hs_arena *a, hs_strs media_ids, int64_t now_ts)
{
    return hs_db_exec(db, a, &MEDIA_TOUCH, NULL, media_ids, now_ts);
}

static const hs_stmt MEDIA_THUMBS = {
    .name = "media_thumbs",
    .sql = "SELECT width, height, method, type, length FROM media_thumb WHERE server_nid = $1 AND media_id = $2"
           " ORDER BY width, height, method, type",
    .params = "nt",
    .cols = "iittn",
    .big = "media_thumb",
};

hs_error *hs_store_media_thumbs(hs_db *db, hs_arena *a, hs_nid server, hs_str media_id, hs_media_thumb **ret,
                                size_t *ret_n)
{
    hs_media_thumb *out;
    hs_rows *rows;
    size_t n;

    HS_TRY(hs_db_query(db, a, &MEDIA_THUMBS, &rows, server, media_id));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_media_thumb){ .width = (int32_t)hs_rows_i64(rows, i, 0),
                                   .height = (int32_t)hs_rows_i64(rows, i, 1),
                                   .method = hs_rows_str(rows, i, 2),
                                   .type = hs_rows_str(rows, i, 3),
                                   .length = hs_rows_i64(rows, i, 4) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

static const hs_stmt MEDIA_THUMB_PUT = {
    .name = "media_thumb_put",
    .sql = "INSERT INTO media_thumb(server_nid, media_id, width, height, method, type, length)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7)"
           " ON CONFLICT (server_nid, media_id, width, height, method, type) DO UPDATE SET length = excluded.length",
    .params = "ntiittn",
    .big = "media_thumb",
};

hs_error *hs_store_media_thumb_put(hs_db *db, hs_arena *a, hs_nid server, hs_str media_id, const hs_media_thumb *thumb)
{
    return hs_db_exec(db, a, &MEDIA_THUMB_PUT, NULL, server, media_id, thumb->width, thumb->height, thumb->method,
                      thumb->type, thumb->length);
}

const hs_stmt *const hs_media_statements[] = {
    &MEDIA_GET,    &MEDIA_ADD,  &MEDIA_LOCK,  &MEDIA_FILL,   &MEDIA_UNUSED,    &MEDIA_EXPIRE,
    &MEDIA_BANNED, &MEDIA_USED, &MEDIA_TOUCH, &MEDIA_THUMBS, &MEDIA_THUMB_PUT, NULL,
};
