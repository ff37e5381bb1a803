/* The lists of statements, one a module, sorted. */
#include "store/statements.h"

/* clang-format off */
#define LISTS(X) \
    X(hs_account_close_statements) \
    X(hs_account_data_statements) \
    X(hs_admin_actions_statements) \
    X(hs_blocks_statements) \
    X(hs_db_statements) \
    X(hs_delayed_statements) \
    X(hs_directory_statements) \
    X(hs_events_statements) \
    X(hs_external_ids_statements) \
    X(hs_gaps_statements) \
    X(hs_jobs_statements) \
    X(hs_leases_statements) \
    X(hs_media_statements) \
    X(hs_members_statements) \
    X(hs_monthly_active_statements) \
    X(hs_names_statements) \
    X(hs_note_upkeep_statements) \
    X(hs_notifications_statements) \
    X(hs_purge_history_statements) \
    X(hs_purge_statements) \
    X(hs_push_rules_statements) \
    X(hs_presence_statements) \
    X(hs_pushers_statements) \
    X(hs_receipts_statements) \
    X(hs_refresh_tokens_statements) \
    X(hs_registration_tokens_statements) \
    X(hs_relations_statements) \
    X(hs_reports_statements) \
    X(hs_retention_statements) \
    X(hs_room_list_statements) \
    X(hs_rooms_statements) \
    X(hs_sessions_statements) \
    X(hs_spaces_statements) \
    X(hs_state_points_statements) \
    X(hs_state_purge_statements) \
    X(hs_state_rollover_statements) \
    X(hs_state_statements) \
    X(hs_statistics_statements) \
    X(hs_sticky_statements) \
    X(hs_thread_subs_statements) \
    X(hs_threepids_statements) \
    X(hs_ticket_batch_statements) \
    X(hs_ticket_statements) \
    X(hs_timeline_statements) \
    X(hs_todevice_statements) \
    X(hs_uia_statements) \
    X(hs_unread_statements) \
    X(hs_user_directory_statements) \
    X(hs_user_list_statements) \
    X(hs_users_statements) \
    X(hs_write_statements)
/* clang-format on */

#define DECLARE(list) extern const hs_stmt *const list[];
LISTS(DECLARE)

#define ROW(list) list,
static const hs_stmt *const *const ALL[] = { LISTS(ROW) };

const hs_stmt *const *const *hs_store_statements(size_t *ret_n)
{
    *ret_n = sizeof ALL / sizeof *ALL;
    return ALL;
}
