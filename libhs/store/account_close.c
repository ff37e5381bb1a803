/* See account_close.h. Not here, of the tables with a user_nid: account, user_id and external_id, by which the name
 * stays taken, also where somebody logs in through others; profile and profile_field, which stay unless the user is to
 * be erased (server/account_end.c); events' shadows (room_member, user_room, receipt,
 * ban_redaction) and media, which rooms still show; device_change, by which others learn that devices have gone;
 * space_walk, which lasts minutes; remote_device and remote_device_list, of users of other servers. */
#include "store/account_close.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt CLOSE = {
    .name = "account_close",
    .sql = "UPDATE account SET password_hash = NULL, valid_until_ts = NULL, renewal_token = NULL, flags = (flags | $2) & ~$3"
           " WHERE user_nid = $1",
    .params = "nii", .big = "account",
};
/* As the triggers of 0010_user_directory.sql make it. */
static const hs_stmt LISTED = {
    .name = "account_listed",
    .sql = "INSERT INTO user_directory(user_nid, displayname, avatar_url, vec)"
           " SELECT u.user_nid, p.displayname, p.avatar_url, hs_directory_vector(u.mxid, p.displayname)"
           "   FROM user_id u LEFT JOIN profile p USING (user_nid) WHERE u.user_nid = $1 ON CONFLICT DO NOTHING",
    .params = "n", .big = "user_directory user_id profile",
};
#define OF_USER(t) \
    static const hs_stmt SWEEP_##t = { .name = "sweep_" #t, \
        .sql = "DELETE FROM " #t " WHERE user_nid = $1", .params = "n", .big = #t }
OF_USER(threepid);
OF_USER(device);
OF_USER(access_token);
OF_USER(refresh_token);
OF_USER(short_token);
OF_USER(user_ip);
OF_USER(account_data);
OF_USER(ignored);
OF_USER(filter);
OF_USER(presence);
OF_USER(txn_id);
OF_USER(thread_sub);
OF_USER(delayed_event);
OF_USER(push_ruleset);
OF_USER(push_note);
OF_USER(pusher);
OF_USER(sliding_conn);
OF_USER(to_device);
OF_USER(one_time_key);
OF_USER(fallback_key);
OF_USER(cross_key);
OF_USER(backup_version);
OF_USER(backup_key);
OF_USER(user_directory);
/* clang-format on */

static const hs_stmt *const TABLES[] = {
    &SWEEP_threepid,  &SWEEP_device,         &SWEEP_access_token,  &SWEEP_refresh_token,  &SWEEP_short_token,
    &SWEEP_user_ip,   &SWEEP_account_data,   &SWEEP_ignored,       &SWEEP_filter,         &SWEEP_presence,
    &SWEEP_txn_id,    &SWEEP_thread_sub,     &SWEEP_delayed_event, &SWEEP_push_ruleset,   &SWEEP_push_note,
    &SWEEP_pusher,    &SWEEP_sliding_conn,   &SWEEP_to_device,     &SWEEP_one_time_key,   &SWEEP_fallback_key,
    &SWEEP_cross_key, &SWEEP_backup_version, &SWEEP_backup_key,    &SWEEP_user_directory,
};
enum { TABLES_N = sizeof TABLES / sizeof *TABLES };

const hs_stmt *const hs_account_close_statements[] = {
    &CLOSE,
    &LISTED,
    &SWEEP_threepid,
    &SWEEP_device,
    &SWEEP_access_token,
    &SWEEP_refresh_token,
    &SWEEP_short_token,
    &SWEEP_user_ip,
    &SWEEP_account_data,
    &SWEEP_ignored,
    &SWEEP_filter,
    &SWEEP_presence,
    &SWEEP_txn_id,
    &SWEEP_thread_sub,
    &SWEEP_delayed_event,
    &SWEEP_push_ruleset,
    &SWEEP_push_note,
    &SWEEP_pusher,
    &SWEEP_sliding_conn,
    &SWEEP_to_device,
    &SWEEP_one_time_key,
    &SWEEP_fallback_key,
    &SWEEP_cross_key,
    &SWEEP_backup_version,
    &SWEEP_backup_key,
    &SWEEP_user_directory,
    NULL,
};

hs_error *hs_store_account_close(hs_write *w, hs_nid user, unsigned set, unsigned clear)
{
    return hs_write_before(w, &CLOSE, user, (int32_t)set, (int32_t)clear);
}

/* After the ticket, where most of these rows are written: what a request wrote before it is seen. */
hs_error *hs_store_account_sweep(hs_write *w, hs_nid user)
{
    for (size_t i = 0; i < TABLES_N; i++)
        HS_TRY(hs_write_after(w, TABLES[i], user));
    return NULL;
}

hs_error *hs_store_account_listed(hs_write *w, hs_nid user)
{
    return hs_write_before(w, &LISTED, user);
}

size_t hs_store_sweep_tables(void)
{
    return TABLES_N;
}

const char *hs_store_sweep_table(size_t i)
{
    return TABLES[i]->big;
}
