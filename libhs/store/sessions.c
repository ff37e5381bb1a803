/* See sessions.h. token_find reads account and user_id too: one round trip for what every request needs. */
#include "store/sessions.h"

#include "store/pushers.h"

/* clang-format off */
static const hs_stmt TOKEN_FIND = {
    .name = "token_find",
    .sql = "SELECT t.user_nid, u.mxid, c.localpart, t.device_id, c.flags, t.expires_ts,"
           "   t.refresh_nid IS NOT NULL AND NOT t.used, c.valid_until_ts, c.consent_version, c.kind,"
           "   coalesce(c.ratelimit_mps, -1), coalesce(c.ratelimit_burst, 0)"
           "  FROM access_token t JOIN account c USING (user_nid) JOIN user_id u USING (user_nid)"
           " WHERE t.token_sha256 = $1",
    .params = "b", .cols = "ntttinfnttii", .big = "access_token account user_id",
};
static const hs_stmt TOKEN_VALIDATED = {
    .name = "token_validated",
    .sql = "SELECT validated_ts FROM access_token WHERE token_sha256 = $1",
    .params = "b", .cols = "n", .big = "access_token",
};
static const hs_stmt TOKEN_VALIDATE = {
    .name = "token_validate",
    .sql = "UPDATE access_token SET validated_ts = $2 WHERE token_sha256 = $1",
    .params = "bn", .big = "access_token",
};
static const hs_stmt LOGIN_END = {
    .name = "login_end",
    .sql = "WITH refresh AS (DELETE FROM refresh_token WHERE user_nid = $1 AND device_id = $2)"
           " DELETE FROM access_token WHERE user_nid = $1 AND device_id = $2",
    .params = "nt", .big = "access_token refresh_token",
};
/* A message may have been on its way while an earlier device of this id was removed. */
static const hs_stmt LOGIN_INBOX = {
    .name = "login_inbox",
    .sql = "DELETE FROM to_device WHERE user_nid = $1 AND device_id = $2"
           "   AND NOT EXISTS (SELECT FROM device WHERE user_nid = $1 AND device_id = $2)",
    .params = "nt", .big = "to_device device",
};
static const hs_stmt LOGIN_DEVICE = {
    .name = "login_device",
    .sql = "INSERT INTO device(user_nid, device_id, display_name) VALUES ($1, $2, $3)"
           " ON CONFLICT (user_nid, device_id) DO UPDATE SET display_name = coalesce(device.display_name, excluded.display_name)",
    .params = "ntt", .big = "device",
};
static const hs_stmt LOGIN_TOKEN = {
    .name = "login_token",
    .sql = "INSERT INTO access_token(token_sha256, user_nid, device_id, created_ts, expires_ts)"
           " VALUES ($1, $2, $3, $4, nullif($5, 0))",
    .params = "bntnn",
};
static const hs_stmt LOGIN_AS = {
    .name = "login_as",
    .sql = "INSERT INTO access_token(token_sha256, user_nid, created_ts, expires_ts, puppet_nid) VALUES ($1, $2, $3, nullif($4, 0), $5)",
    .params = "bnnnn",
};
static const hs_stmt LOGGED_IN_AS = {
    .name = "logged_in_as",
    .sql = "SELECT DISTINCT user_nid FROM access_token WHERE puppet_nid = $1",
    .params = "n", .cols = "n", .big = "access_token",
};
static const hs_stmt LOGOUT_AS = {
    .name = "logout_as",
    .sql = "DELETE FROM access_token WHERE puppet_nid = $1 AND user_nid = $2",
    .params = "nn", .big = "access_token",
};
static const hs_stmt DEVICE_ADD = {
    .name = "device_add",
    .sql = "INSERT INTO device(user_nid, device_id) VALUES ($1, $2) ON CONFLICT (user_nid, device_id) DO NOTHING",
    .params = "nt",
};
static const hs_stmt DEVICES_REMOVE = {
    .name = "devices_remove",
    .sql = "WITH ended AS (DELETE FROM access_token WHERE user_nid = $1 AND device_id = ANY ($2)),"
           " refresh AS (DELETE FROM refresh_token WHERE user_nid = $1 AND device_id = ANY ($2)),"
           " inbox AS (DELETE FROM to_device WHERE user_nid = $1 AND device_id = ANY ($2))"
           " DELETE FROM device WHERE user_nid = $1 AND device_id = ANY ($2)",
    .params = "nT", .big = "access_token refresh_token device to_device",
};
static const hs_stmt DEVICES_REMOVE_OTHERS = {
    .name = "devices_remove_others",
    .sql = "WITH ended AS (DELETE FROM access_token WHERE user_nid = $1 AND device_id IS DISTINCT FROM $2 AND puppet_nid IS NULL),"
           " refresh AS (DELETE FROM refresh_token WHERE user_nid = $1 AND device_id IS DISTINCT FROM $2),"
           " inbox AS (DELETE FROM to_device WHERE user_nid = $1 AND device_id IS DISTINCT FROM $2)"
           " DELETE FROM device WHERE user_nid = $1 AND device_id IS DISTINCT FROM $2",
    .params = "nt", .big = "access_token refresh_token device to_device",
};
static const hs_stmt TOKEN_REMOVE = {
    .name = "token_remove",
    .sql = "DELETE FROM access_token WHERE token_sha256 = $1",
    .params = "b", .big = "access_token",
};
static const hs_stmt DEVICES_LIST = {
    .name = "devices_list",
    .sql = "SELECT device_id, display_name, ip, user_agent, seen_ts FROM device"
           " WHERE user_nid = $1 AND NOT hidden ORDER BY device_id",
    .params = "n", .cols = "ttttn", .big = "device",
};
static const hs_stmt DEVICE_GET = {
    .name = "device_get",
    .sql = "SELECT device_id, display_name, ip, user_agent, seen_ts FROM device"
           " WHERE user_nid = $1 AND device_id = $2 AND NOT hidden",
    .params = "nt", .cols = "ttttn", .big = "device",
};
static const hs_stmt DEVICE_RENAME = {
    .name = "device_rename",
    .sql = "UPDATE device SET display_name = coalesce($3, display_name) WHERE user_nid = $1 AND device_id = $2",
    .params = "ntt", .big = "device",
};
static const hs_stmt DEVICES_SEEN = {
    .name = "devices_seen",
    .sql = "UPDATE device d SET seen_ts = s.ts, ip = s.ip, user_agent = s.agent"
           "  FROM unnest($1, $2, $3, $4, $5) s(user_nid, device_id, ip, agent, ts)"
           " WHERE d.user_nid = s.user_nid AND d.device_id = s.device_id",
    .params = "NTTTN",
};
static const hs_stmt SHORT_TOKEN_PUT = {
    .name = "short_token_put",
    .sql = "WITH old AS (DELETE FROM short_token WHERE kind = $1 AND expires_ts < $4),"
           " many AS (DELETE FROM short_token s USING (SELECT token_sha256 FROM short_token"
           "   WHERE user_nid = nullif($3, 0) AND kind = $1 ORDER BY expires_ts DESC OFFSET 99) o"
           "   WHERE s.kind = $1 AND s.token_sha256 = o.token_sha256 AND s.expires_ts >= $4)"
           " INSERT INTO short_token(kind, token_sha256, user_nid, expires_ts) VALUES ($1, $2, nullif($3, 0), $5)",
    .params = "tbnnn", .big = "short_token",
};
static const hs_stmt SHORT_TOKEN_TAKE = {
    .name = "short_token_take",
    .sql = "DELETE FROM short_token WHERE kind = $1 AND token_sha256 = $2 AND expires_ts > $3 RETURNING coalesce(user_nid, 0)",
    .params = "tbn", .cols = "n", .big = "short_token",
};
static const hs_stmt SHORT_TOKEN_USER = {
    .name = "short_token_user",
    .sql = "SELECT coalesce(user_nid, 0) FROM short_token WHERE kind = $1 AND token_sha256 = $2 AND expires_ts > $3",
    .params = "tbn", .cols = "n", .big = "short_token",
};
/* clang-format on */

const hs_stmt *const hs_sessions_statements[] = {
    &TOKEN_FIND,
    &TOKEN_VALIDATED,
    &TOKEN_VALIDATE,
    &LOGIN_END,
    &LOGIN_INBOX,
    &LOGIN_DEVICE,
    &LOGIN_TOKEN,
    &LOGIN_AS,
    &LOGGED_IN_AS,
    &LOGOUT_AS,
    &DEVICE_ADD,
    &DEVICES_REMOVE,
    &DEVICES_REMOVE_OTHERS,
    &TOKEN_REMOVE,
    &DEVICES_LIST,
    &DEVICE_GET,
    &DEVICE_RENAME,
    &DEVICES_SEEN,
    &SHORT_TOKEN_PUT,
    &SHORT_TOKEN_TAKE,
    &SHORT_TOKEN_USER,
    NULL,
};

hs_error *hs_store_token_find(hs_db *db, hs_arena *a, hs_str token_sha256, hs_token_row **ret)
{
    hs_rows *rows;

    *ret = NULL;
    HS_TRY(hs_db_query(db, a, &TOKEN_FIND, &rows, token_sha256));
    if (!hs_rows_count(rows))
        return NULL;
    HS_TRY(hs_alloc(a, 1, ret));
    **ret = (hs_token_row){
        .user = hs_rows_i64(rows, 0, 0),
        .user_id = hs_rows_str(rows, 0, 1),
        .localpart = hs_rows_str(rows, 0, 2),
        .device_id = hs_rows_str(rows, 0, 3),
        .flags = (unsigned)hs_rows_i64(rows, 0, 4),
        .expires_ts = hs_rows_i64(rows, 0, 5),
        .unused = hs_rows_bool(rows, 0, 6),
        .account_expires_ts = hs_rows_i64(rows, 0, 7),
        .consent_version = hs_rows_str(rows, 0, 8),
        .kind = hs_rows_str(rows, 0, 9),
        .messages_per_second = (int32_t)hs_rows_i64(rows, 0, 10),
        .burst = (int32_t)hs_rows_i64(rows, 0, 11),
    };
    return NULL;
}

hs_error *hs_store_token_validated(hs_db *db, hs_arena *a, hs_str token_sha256, int64_t *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &TOKEN_VALIDATED, &rows, token_sha256));
    *ret = hs_rows_count(rows) ? hs_rows_i64(rows, 0, 0) : 0; /* 0 stands for NULL */
    return NULL;
}

hs_error *hs_store_token_validate(hs_db *db, hs_arena *a, hs_str token_sha256, int64_t ts)
{
    return hs_db_exec(db, a, &TOKEN_VALIDATE, NULL, token_sha256, ts);
}

hs_error *hs_store_login(hs_write *w, hs_nid user, hs_str device_id, hs_str display_name, hs_str token_sha256,
                         int64_t now_ts, int64_t expires_ts)
{
    HS_TRY(hs_write_before(w, &LOGIN_END, user, device_id));
    HS_TRY(hs_write_before(w, &LOGIN_INBOX, user, device_id));
    HS_TRY(hs_write_before(w, &LOGIN_DEVICE, user, device_id, display_name));
    return hs_write_before(w, &LOGIN_TOKEN, token_sha256, user, device_id, now_ts, expires_ts);
}

hs_error *hs_store_login_as(hs_db *db, hs_arena *a, hs_str token_sha256, hs_nid user, hs_nid by, int64_t now_ts,
                            int64_t expires_ts)
{
    return hs_db_exec(db, a, &LOGIN_AS, NULL, token_sha256, user, now_ts, expires_ts, by);
}

hs_error *hs_store_logged_in_as(hs_db *db, hs_arena *a, hs_nid by, hs_nids *ret)
{
    hs_rows *rows;
    hs_nid *out;

    HS_TRY(hs_db_query(db, a, &LOGGED_IN_AS, &rows, by));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ out, n };
    return NULL;
}

hs_error *hs_store_logout_as(hs_write *w, hs_nid by, hs_nid user)
{
    return hs_write_before(w, &LOGOUT_AS, by, user);
}

hs_error *hs_store_device_add(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id)
{
    return hs_db_exec(db, a, &DEVICE_ADD, NULL, user, device_id);
}

/* After the ticket: a message for a device is written there too, if the device exists. */
hs_error *hs_store_devices_remove(hs_write *w, hs_nid user, hs_strs device_ids)
{
    HS_TRY(hs_store_pushers_end(w, user, device_ids));
    return hs_write_after(w, &DEVICES_REMOVE, user, device_ids);
}

hs_error *hs_store_devices_remove_others(hs_write *w, hs_nid user, hs_str keep)
{
    HS_TRY(hs_store_pushers_end_others(w, user, keep));
    return hs_write_after(w, &DEVICES_REMOVE_OTHERS, user, keep);
}

hs_error *hs_store_token_remove(hs_write *w, hs_str token_sha256)
{
    HS_TRY(hs_store_pushers_end_token(w, token_sha256));
    return hs_write_before(w, &TOKEN_REMOVE, token_sha256);
}

static void device_row(const hs_rows *rows, size_t i, hs_device_row *ret)
{
    *ret = (hs_device_row){
        .device_id = hs_rows_str(rows, i, 0),
        .display_name = hs_rows_str(rows, i, 1),
        .ip = hs_rows_str(rows, i, 2),
        .user_agent = hs_rows_str(rows, i, 3),
        .seen_ts = hs_rows_i64(rows, i, 4),
    };
}

hs_error *hs_store_devices_list(hs_db *db, hs_arena *a, hs_nid user, hs_device_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_device_row *out;

    HS_TRY(hs_db_query(db, a, &DEVICES_LIST, &rows, user));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        device_row(rows, i, &out[i]);

    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_device_get(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id, hs_device_row **ret)
{
    hs_rows *rows;

    *ret = NULL;
    HS_TRY(hs_db_query(db, a, &DEVICE_GET, &rows, user, device_id));
    if (!hs_rows_count(rows))
        return NULL;
    HS_TRY(hs_alloc(a, 1, ret));
    device_row(rows, 0, *ret);
    return NULL;
}

hs_error *hs_store_device_rename(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id, hs_str display_name,
                                 bool *ret_found)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &DEVICE_RENAME, &n, user, device_id, display_name));
    *ret_found = n > 0;
    return NULL;
}

hs_error *hs_store_devices_seen(hs_db *db, hs_arena *a, hs_nids users, hs_strs device_ids, hs_strs ips,
                                hs_strs user_agents, hs_nids seen_ts)
{
    return hs_db_exec(db, a, &DEVICES_SEEN, NULL, users, device_ids, ips, user_agents, seen_ts);
}

hs_error *hs_store_short_token_put(hs_db *db, hs_arena *a, hs_str kind, hs_str token_sha256, hs_nid user,
                                   int64_t now_ts, int64_t expires_ts)
{
    return hs_db_exec(db, a, &SHORT_TOKEN_PUT, NULL, kind, token_sha256, user, now_ts, expires_ts);
}

hs_error *hs_store_short_token_take(hs_db *db, hs_arena *a, hs_str kind, hs_str token_sha256, int64_t now_ts,
                                    bool *ret_found, hs_nid *ret_user)
{
    hs_rows *rows;

    HS_TRY(hs_db_call(db, a, &SHORT_TOKEN_TAKE, &rows, kind, token_sha256, now_ts));
    *ret_found = hs_rows_count(rows) > 0;
    *ret_user = *ret_found ? hs_rows_i64(rows, 0, 0) : 0;
    return NULL;
}

hs_error *hs_store_short_token_user(hs_db *db, hs_arena *a, hs_str kind, hs_str token_sha256, int64_t now_ts,
                                    hs_nid *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &SHORT_TOKEN_USER, &rows, kind, token_sha256, now_ts));
    *ret = hs_rows_count(rows) ? hs_rows_i64(rows, 0, 0) : 0;
    return NULL;
}
