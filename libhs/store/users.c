/* See users.h. */
#include "store/users.h"

#define COLUMNS "user_nid, localpart, password_hash, flags, created_ts, consent_version, kind"

/* clang-format off */
static const hs_stmt ACCOUNT_GET = {
    .name = "account_get",
    .sql = "SELECT " COLUMNS " FROM account WHERE user_nid = $1",
    .params = "n", .cols = "nttintt", .big = "account",
};
static const hs_stmt ACCOUNT_FIND = {
    .name = "account_find",
    .sql = "SELECT " COLUMNS " FROM account WHERE localpart = $1",
    .params = "t", .cols = "nttintt", .big = "account",
};
static const hs_stmt ACCOUNT_INSERT = {
    .name = "account_insert",
    .sql = "WITH made AS (INSERT INTO account(user_nid, localpart, password_hash, created_ts, kind, flags, consent_version, consent_ts, valid_until_ts)"
           " VALUES ($1, $2, $3, $4, $5, $6, $8, CASE WHEN $8 IS NOT NULL THEN $4 END, nullif($9, 0)) ON CONFLICT DO NOTHING RETURNING user_nid)"
           " INSERT INTO profile(user_nid, displayname, pos) SELECT user_nid, $7, 0 FROM made"
           " ON CONFLICT (user_nid) DO UPDATE SET displayname = excluded.displayname",
    .params = "nttntittn", .big = "account profile",
};
/* Flag 2 is HS_ACCOUNT_GUEST. */
static const hs_stmt ACCOUNT_UPGRADE = {
    .name = "account_upgrade",
    .sql = "WITH done AS (UPDATE account SET password_hash = $2, flags = $3, consent_version = coalesce($5, consent_version)"
           "   WHERE user_nid = $1 AND flags & 2 <> 0"
           "   RETURNING user_nid)"
           " INSERT INTO profile(user_nid, displayname, pos) SELECT user_nid, $4, 0 FROM done"
           " ON CONFLICT (user_nid) DO UPDATE SET displayname = coalesce(profile.displayname, excluded.displayname)",
    .params = "ntitt", .big = "account profile",
};
static const hs_stmt ACCOUNT_CONSENT = {
    .name = "account_consent",
    .sql = "UPDATE account SET consent_version = $2, consent_ts = $3 WHERE user_nid = $1",
    .params = "ntn", .big = "account",
};
static const hs_stmt ACCOUNT_VALID_UNTIL = {
    .name = "account_valid_until",
    .sql = "UPDATE account SET valid_until_ts = $2 WHERE user_nid = $1",
    .params = "nn", .big = "account",
};
/* Of the whole table; only where the option is on. Flag 4 is HS_ACCOUNT_DEACTIVATED. */
static const hs_stmt ACCOUNTS_BEGIN_VALIDITY = {
    .name = "accounts_begin_validity",
    .sql = "UPDATE account SET valid_until_ts = $1 - floor(random() * $2)::bigint WHERE valid_until_ts IS NULL AND flags & 4 = 0",
    .params = "nn",
};
static const hs_stmt ACCOUNT_CHANGE_FLAGS = {
    .name = "account_change_flags",
    .sql = "UPDATE account SET flags = (flags | $2) & ~$3 WHERE user_nid = $1",
    .params = "nii", .big = "account",
};
static const hs_stmt ACCOUNT_SET_KIND = {
    .name = "account_set_kind",
    .sql = "UPDATE account SET kind = $2 WHERE user_nid = $1",
    .params = "nt", .big = "account",
};
static const hs_stmt ACCOUNT_SET_RATELIMIT = {
    .name = "account_set_ratelimit",
    .sql = "UPDATE account SET ratelimit_mps = nullif($2, -1), ratelimit_burst = nullif($3, -1) WHERE user_nid = $1",
    .params = "nii", .big = "account",
};
static const hs_stmt ACCOUNT_SET_FEATURES = {
    .name = "account_set_features",
    .sql = "UPDATE account SET features = ARRAY(SELECT f FROM unnest(features) f WHERE f <> ALL ($2) AND f <> ALL ($3)) || $2"
           " WHERE user_nid = $1",
    .params = "nTT", .big = "account",
};
static const hs_stmt ACCOUNT_LIMITS = {
    .name = "account_limits",
    .sql = "SELECT coalesce(ratelimit_mps, -1), coalesce(ratelimit_burst, -1), features FROM account WHERE user_nid = $1",
    .params = "n", .cols = "iiT", .big = "account",
};
static const hs_stmt ACCOUNT_SET_PASSWORD = {
    .name = "account_set_password",
    .sql = "UPDATE account SET password_hash = $2 WHERE user_nid = $1",
    .params = "nt", .big = "account",
};
static const hs_stmt ACCOUNT_SET_FLAGS = {
    .name = "account_set_flags",
    .sql = "UPDATE account SET flags = $2 WHERE user_nid = $1",
    .params = "ni", .big = "account",
};
/* Flag 128 is HS_ACCOUNT_ERASED. */
static const hs_stmt ACCOUNTS_ERASED = {
    .name = "accounts_erased",
    .sql = "SELECT coalesce(array_agg(user_nid), '{}') FROM account WHERE user_nid = ANY ($1) AND flags & 128 <> 0",
    .params = "N", .cols = "N", .big = "account",
};
static const hs_stmt PROFILE_GET = {
    .name = "profile_get",
    .sql = "SELECT displayname, avatar_url FROM profile WHERE user_nid = $1",
    .params = "n", .cols = "tt", .big = "profile",
};
static const hs_stmt PROFILE_SET_NAME = {
    .name = "profile_set_name",
    .sql = "INSERT INTO profile(user_nid, displayname, pos) VALUES ($1, $2, hs_pos($3))"
           " ON CONFLICT (user_nid) DO UPDATE SET displayname = excluded.displayname, pos = excluded.pos",
    .params = "ntp", .big = "profile",
};
static const hs_stmt PROFILE_SET_AVATAR = {
    .name = "profile_set_avatar",
    .sql = "INSERT INTO profile(user_nid, avatar_url, pos) VALUES ($1, $2, hs_pos($3))"
           " ON CONFLICT (user_nid) DO UPDATE SET avatar_url = excluded.avatar_url, pos = excluded.pos",
    .params = "ntp", .big = "profile",
};
static const hs_stmt PROFILE_FIELDS = {
    .name = "profile_fields",
    .sql = "SELECT key, value FROM profile_field WHERE user_nid = $1 ORDER BY key",
    .params = "n", .cols = "tb", .big = "profile_field",
};
static const hs_stmt PROFILE_SET_FIELD = {
    .name = "profile_set_field",
    .sql = "INSERT INTO profile_field(user_nid, key, value) SELECT $1, $2, $3 WHERE octet_length($2::text) + octet_length($3::bytea)"
           "   + coalesce((SELECT sum(octet_length(f.key) + octet_length(f.value)) FROM profile_field f WHERE f.user_nid = $1 AND f.key <> $2), 0)"
           "   + coalesce((SELECT coalesce(octet_length(p.displayname), 0) + coalesce(octet_length(p.avatar_url), 0)"
           "     FROM profile p WHERE p.user_nid = $1), 0) <= $4"
           " ON CONFLICT (user_nid, key) DO UPDATE SET value = excluded.value",
    .params = "ntbi", .big = "profile_field profile",
};
static const hs_stmt PROFILE_DROP_FIELD = {
    .name = "profile_drop_field",
    .sql = "DELETE FROM profile_field WHERE user_nid = $1 AND key = $2",
    .params = "nt", .big = "profile_field",
};
static const hs_stmt PROFILE_DROP_FIELDS = {
    .name = "profile_drop_fields",
    .sql = "DELETE FROM profile_field WHERE user_nid = $1",
    .params = "n", .big = "profile_field",
};
static const hs_stmt PROFILE_MOVED = {
    .name = "profile_moved",
    .sql = "INSERT INTO profile(user_nid, pos) VALUES ($1, hs_pos($2)) ON CONFLICT (user_nid) DO UPDATE SET pos = excluded.pos",
    .params = "np", .big = "profile",
};
/* clang-format on */

const hs_stmt *const hs_users_statements[] = {
    &ACCOUNT_GET,
    &ACCOUNT_FIND,
    &ACCOUNT_INSERT,
    &ACCOUNT_UPGRADE,
    &ACCOUNT_CONSENT,
    &ACCOUNT_VALID_UNTIL,
    &ACCOUNTS_BEGIN_VALIDITY,
    &ACCOUNT_SET_PASSWORD,
    &ACCOUNT_SET_FLAGS,
    &ACCOUNTS_ERASED,
    &PROFILE_GET,
    &PROFILE_SET_NAME,
    &PROFILE_SET_AVATAR,
    &ACCOUNT_CHANGE_FLAGS,
    &ACCOUNT_SET_KIND,
    &ACCOUNT_SET_RATELIMIT,
    &ACCOUNT_SET_FEATURES,
    &ACCOUNT_LIMITS,
    &PROFILE_FIELDS,
    &PROFILE_SET_FIELD,
    &PROFILE_DROP_FIELD,
    &PROFILE_DROP_FIELDS,
    &PROFILE_MOVED,
    NULL,
};

static hs_error *account_row(hs_arena *a, const hs_rows *rows, hs_account_row **ret)
{
    *ret = NULL;
    if (!hs_rows_count(rows))
        return NULL;
    HS_TRY(hs_alloc(a, 1, ret));
    **ret = (hs_account_row){
        .user = hs_rows_i64(rows, 0, 0),
        .localpart = hs_rows_str(rows, 0, 1),
        .password_hash = hs_rows_str(rows, 0, 2),
        .flags = (unsigned)hs_rows_i64(rows, 0, 3),
        .created_ts = hs_rows_i64(rows, 0, 4),
        .consent_version = hs_rows_str(rows, 0, 5),
        .kind = hs_rows_str(rows, 0, 6),
    };
    return NULL;
}

hs_error *hs_store_account_get(hs_db *db, hs_arena *a, hs_nid user, hs_account_row **ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ACCOUNT_GET, &rows, user));
    return account_row(a, rows, ret);
}

hs_error *hs_store_account_find(hs_db *db, hs_arena *a, hs_str localpart, hs_account_row **ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ACCOUNT_FIND, &rows, localpart));
    return account_row(a, rows, ret);
}

hs_error *hs_store_account_insert(hs_db *db, hs_arena *a, const hs_account_row *row, hs_str displayname, bool *ret_new)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &ACCOUNT_INSERT, &n, row->user, row->localpart, row->password_hash, row->created_ts,
                      row->kind, (int32_t)row->flags, displayname, row->consent_version, row->valid_until_ts));
    *ret_new = n > 0;
    return NULL;
}

hs_error *hs_store_account_insert_tx(hs_tx *tx, hs_arena *a, const hs_account_row *row, hs_str displayname,
                                     bool *ret_new)
{
    uint64_t n;

    HS_TRY(hs_tx_exec(tx, a, &ACCOUNT_INSERT, &n, row->user, row->localpart, row->password_hash, row->created_ts,
                      row->kind, (int32_t)row->flags, displayname, row->consent_version, row->valid_until_ts));
    *ret_new = n > 0;
    return NULL;
}

hs_error *hs_store_account_upgrade_tx(hs_tx *tx, hs_arena *a, const hs_account_row *row, hs_str displayname,
                                      bool *ret_found)
{
    uint64_t n;

    HS_TRY(hs_tx_exec(tx, a, &ACCOUNT_UPGRADE, &n, row->user, row->password_hash, (int32_t)row->flags, displayname,
                      row->consent_version));
    *ret_found = n > 0;
    return NULL;
}

hs_error *hs_store_account_consent(hs_write *w, hs_nid user, hs_str version, int64_t ts)
{
    return hs_write_before(w, &ACCOUNT_CONSENT, user, version, ts);
}

hs_error *hs_store_account_valid_until(hs_write *w, hs_nid user, int64_t ts)
{
    return hs_write_before(w, &ACCOUNT_VALID_UNTIL, user, ts);
}

hs_error *hs_store_accounts_begin_validity(hs_db *db, hs_arena *a, int64_t ts, int64_t spread)
{
    return hs_db_exec(db, a, &ACCOUNTS_BEGIN_VALIDITY, NULL, ts, spread);
}

hs_error *hs_store_account_change_flags(hs_write *w, hs_nid user, unsigned set, unsigned clear)
{
    return hs_write_before(w, &ACCOUNT_CHANGE_FLAGS, user, (int32_t)set, (int32_t)clear);
}

hs_error *hs_store_account_set_kind(hs_write *w, hs_nid user, hs_str kind)
{
    return hs_write_before(w, &ACCOUNT_SET_KIND, user, kind);
}

hs_error *hs_store_account_set_ratelimit(hs_write *w, hs_nid user, int32_t per_second, int32_t burst)
{
    return hs_write_before(w, &ACCOUNT_SET_RATELIMIT, user, per_second, burst);
}

hs_error *hs_store_account_set_features(hs_write *w, hs_nid user, hs_strs on, hs_strs off)
{
    return hs_write_before(w, &ACCOUNT_SET_FEATURES, user, on, off);
}

hs_error *hs_store_account_ratelimit(hs_db *db, hs_arena *a, hs_nid user, int32_t *ret_per_second, int32_t *ret_burst)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ACCOUNT_LIMITS, &rows, user));
    *ret_per_second = hs_rows_count(rows) ? (int32_t)hs_rows_i64(rows, 0, 0) : -1;
    *ret_burst = hs_rows_count(rows) ? (int32_t)hs_rows_i64(rows, 0, 1) : -1;
    return NULL;
}

hs_error *hs_store_account_features(hs_db *db, hs_arena *a, hs_nid user, hs_strs *ret)
{
    hs_rows *rows;

    *ret = (hs_strs){ NULL, 0 };
    HS_TRY(hs_db_query(db, a, &ACCOUNT_LIMITS, &rows, user));
    return hs_rows_count(rows) && !hs_rows_null(rows, 0, 2) ? hs_rows_strs(rows, a, 0, 2, ret) : NULL;
}

hs_error *hs_store_account_set_password(hs_db *db, hs_arena *a, hs_nid user, hs_str hash)
{
    return hs_db_exec(db, a, &ACCOUNT_SET_PASSWORD, NULL, user, hash);
}

hs_error *hs_store_account_set_flags(hs_db *db, hs_arena *a, hs_nid user, unsigned flags)
{
    return hs_db_exec(db, a, &ACCOUNT_SET_FLAGS, NULL, user, (int32_t)flags);
}

hs_error *hs_store_accounts_erased(hs_db *db, hs_arena *a, hs_nids users, hs_nids *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ACCOUNTS_ERASED, &rows, users));
    return hs_rows_nids(rows, a, 0, 0, ret);
}

hs_error *hs_store_profile_get(hs_db *db, hs_arena *a, hs_nid user, bool *ret_found, hs_str *ret_name,
                               hs_str *ret_avatar)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &PROFILE_GET, &rows, user));
    *ret_found = hs_rows_count(rows) > 0;
    *ret_name = *ret_found ? hs_rows_str(rows, 0, 0) : hs_str_make(NULL, 0);
    *ret_avatar = *ret_found ? hs_rows_str(rows, 0, 1) : hs_str_make(NULL, 0);
    return NULL;
}

hs_error *hs_store_profile_set_name(hs_write *w, hs_nid user, hs_str name, uint32_t at)
{
    return hs_write_after(w, &PROFILE_SET_NAME, user, name, at);
}

hs_error *hs_store_profile_set_avatar(hs_write *w, hs_nid user, hs_str avatar, uint32_t at)
{
    return hs_write_after(w, &PROFILE_SET_AVATAR, user, avatar, at);
}

hs_error *hs_store_profile_whole(hs_db *db, hs_arena *a, hs_nid user, bool *ret_found, hs_str *ret_name,
                                 hs_str *ret_avatar, hs_profile_field **ret, size_t *ret_n)
{
    hs_profile_field *out;
    hs_rows *rows, *fields;
    hs_pipe *p;

    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, &PROFILE_GET, &rows, user));
    HS_TRY(hs_pipe_add(p, &PROFILE_FIELDS, &fields, user));
    HS_TRY(hs_pipe_run(p));
    size_t n = hs_rows_count(fields);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_profile_field){ hs_rows_str(fields, i, 0), hs_rows_str(fields, i, 1) };
    *ret_found = hs_rows_count(rows) > 0;
    *ret_name = *ret_found ? hs_rows_str(rows, 0, 0) : hs_str_make(NULL, 0);
    *ret_avatar = *ret_found ? hs_rows_str(rows, 0, 1) : hs_str_make(NULL, 0);
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_profile_set_field(hs_write *w, hs_nid user, const hs_profile_field *f, int32_t most, uint32_t at)
{
    if (f->value.p)
        HS_TRY(hs_write_after(w, &PROFILE_SET_FIELD, user, f->key, f->value, most));
    else
        HS_TRY(hs_write_after(w, &PROFILE_DROP_FIELD, user, f->key));
    return hs_write_after(w, &PROFILE_MOVED, user, at);
}

hs_error *hs_store_profile_clear_fields(hs_write *w, hs_nid user, uint32_t at)
{
    HS_TRY(hs_write_after(w, &PROFILE_DROP_FIELDS, user));
    return hs_write_after(w, &PROFILE_MOVED, user, at);
}
