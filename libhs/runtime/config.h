/* homeserver.yaml, as Synapse reads it: several files merged, unknown options warned about with a pointer, options that
 * would be unsafe to ignore are errors. The table of keys is config_keys.def; docs/config.md is made from it. */
#ifndef HS_RUNTIME_CONFIG_H
#define HS_RUNTIME_CONFIG_H

#include "base/fields.h"
#include "runtime/log.h"

typedef struct {
    double per_second;
    int64_t burst;
} hs_rate_limit;

typedef struct {
    uint16_t port;
    hs_strs bind_addresses;
    hs_str unix_path;
    unsigned unix_mode;
    bool tls, x_forwarded, metrics; /* metrics: a listener of type metrics */
    hs_strs resources;              /* client, federation, media, health, metrics … */
    hs_str tag, request_id_header;
} hs_config_listener;

/* A rule of alias_creation_rules or room_list_publication_rules: the first that matches decides. Globs; p NULL:
 * anything. */
typedef struct {
    hs_str user_id, alias, room_id;
    bool allow;
} hs_config_rule;

typedef struct {
    const hs_config_rule *at;
    size_t n;
} hs_config_rules;

typedef struct {
    hs_str type, state_key;
    bool any_state_key;
} hs_config_state_key;

typedef struct {
    int64_t width, height;
    bool crop;
} hs_config_thumbnail;

/* Deletes what has expired in rooms with shortest_ms < lifetime <= longest_ms; 0: no limit. */
typedef struct {
    int64_t interval_ms, shortest_ms, longest_ms;
} hs_config_purge_job;

/* At most `bytes` in the last `period_ms`. */
typedef struct {
    int64_t period_ms, bytes;
} hs_config_upload_limit;

typedef struct {
    hs_log_level level;
    bool json;
    hs_str file; /* empty: standard error */
} hs_config_log;

typedef struct {
    hs_str host;
    uint16_t port;
} hs_config_address;

typedef struct {
    bool enabled, use_tls;
    hs_str host, path, username, password; /* path: of a Unix socket, instead of host and port */
    int64_t port, dbid;
    hs_str certificate_file, private_key_file, ca_file, ca_path;
    const hs_config_address *sentinels; /* of the master sentinel_master, instead of host and port */
    size_t sentinels_n;
    hs_str sentinel_master, sentinel_username, sentinel_password;
} hs_config_redis;

typedef struct hs_config {
    hs_str server_name, public_baseurl, web_client_location;
    bool serve_client_wellknown; /* public_baseurl was given, so clients may be sent there */
    hs_str data_dir, pid_file, signing_key_path, media_store_path;
    hs_str signing_key;     /* given in line; else signing_key_path is never empty */
    hs_jv old_signing_keys; /* "ed25519:id": { key, expired_ts }; absent: none */
    int64_t key_refresh_interval_ms;
    const hs_config_listener *listeners;
    size_t listeners_n;
    /* A worker's own options; hs worker puts them in the place of pid_file, log_config and listeners. */
    hs_str worker_app, worker_name, worker_pid_file;
    const hs_config_listener *worker_listeners;
    size_t worker_listeners_n;
    hs_config_log worker_log; /* without worker_log_config the same as log */
    bool worker_daemonize;
    hs_str tls_certificate_path, tls_private_key_path;
    /* database */
    bool private_postgres;
    hs_str conninfo;
    bool allow_unsafe_locale;
    int64_t cp_max; /* 0: as many as the store thinks fit */
    hs_config_redis redis;
    hs_config_log log;
    /* registration and login */
    bool enable_registration, enable_registration_without_verification, registration_requires_token;
    bool enable_set_displayname, enable_set_avatar_url, inhibit_user_in_use_error, allow_guest_access;
    hs_str registration_shared_secret, macaroon_secret_key, form_secret;
    hs_str registration_shared_secret_path; /* set when the file is missing and must be made */
    bool enable_3pid_changes, enable_registration_token_3pid_bypass, allow_underscore_prefixed_localpart;
    bool password_enabled, password_only_for_reauth, password_localdb_enabled;
    hs_str password_pepper;
    int64_t bcrypt_rounds;
    bool password_policy_enabled, password_require_digit, password_require_symbol, password_require_lowercase,
        password_require_uppercase;
    int64_t password_minimum_length;
    hs_strs auto_join_rooms, extra_user_types;
    hs_str default_user_type; /* empty: none */
    bool autocreate_auto_join_rooms, autocreate_auto_join_rooms_federated, auto_join_rooms_for_guests;
    hs_str autocreate_auto_join_room_preset, auto_join_mxid_localpart;
    bool refreshable_tokens; /* session_lifetime and friends, ms; 0: none */
    int64_t session_lifetime_ms, refreshable_access_token_lifetime_ms, refresh_token_lifetime_ms,
        nonrefreshable_access_token_lifetime_ms;
    int64_t ui_auth_session_timeout_ms;
    bool login_via_existing_session, login_via_existing_session_ui_auth;
    int64_t login_via_existing_session_timeout_ms;
    bool account_validity_enabled;
    int64_t account_validity_period_ms;
    hs_str consent_version, consent_template_dir, consent_policy_name; /* user_consent; version empty: not configured */
    hs_str consent_block_error; /* what is said to who has not agreed; empty: nothing is refused */
    bool consent_at_registration;
    /* rooms */
    hs_str default_room_version;
    bool msc3026_enabled, msc3391_enabled, msc3890_enabled, msc3912_enabled, msc4155_enabled, msc4222_enabled,
        msc4306_enabled, msc4354_enabled;
    bool msc3381_polls_enabled, msc4028_push_encrypted_events, msc4075_enabled, msc4210_enabled; /* push rules */
    bool user_directory_enabled, user_directory_exclude_remote, user_directory_prefer_local, user_directory_search_all,
        user_directory_show_locked;
    bool require_auth_for_profile_requests, limit_profile_requests_to_users_who_share_rooms,
        include_profile_data_on_invite;
    bool allow_public_rooms_without_auth, allow_public_rooms_over_federation, enable_room_list_search;
    bool encryption_default_all, encryption_default_invite;
    int64_t filter_timeline_limit;
    bool dummy_events; /* tie rooms together that have more heads than … */
    int64_t dummy_events_threshold;
    bool presence_enabled, block_non_admin_invites;
    int64_t redaction_retention_ms, forgotten_room_retention_ms, user_ips_max_age_ms;
    bool require_membership_for_aliases, forget_rooms_on_leave, allow_per_room_profiles;
    struct {
        hs_str localpart, display_name, avatar_url, room_name, room_topic, room_avatar_url;
        bool auto_join;
    } server_notices;
    struct {
        bool enabled;
        int64_t default_min_ms, default_max_ms, allowed_min_ms, allowed_max_ms; /* 0: none */
        const hs_config_purge_job *jobs;
        size_t jobs_n;
    } retention;
    hs_config_rules alias_creation_rules, room_list_publication_rules;
    hs_jv default_power_level_content_override; /* by preset; absent: none */
    hs_strs exclude_rooms_from_sync;
    bool prejoin_disable_default; /* what invited people see of a room */
    const hs_config_state_key *prejoin_state;
    size_t prejoin_state_n;
    /* media */
    bool enable_media_repo, enable_authenticated_media, dynamic_thumbnails;
    int64_t max_image_pixels, max_pending_media_uploads, unused_expiration_ms;
    const hs_config_thumbnail *thumbnail_sizes;
    size_t thumbnail_sizes_n;
    const hs_config_upload_limit *upload_limits; /* longest period first */
    size_t upload_limits_n;
    /* limits */
    hs_rate_limit rc_media_create, rc_delayed_event_mgmt;
    int64_t max_event_delay_ms; /* 0: no delayed events */
    int64_t max_delayed_events; /* of a user */
    hs_rate_limit rc_message, rc_registration, rc_registration_token, rc_login_address, rc_login_account,
        rc_login_failed, rc_admin_redaction, rc_joins_local, rc_joins_remote, rc_joins_per_room, rc_invites_per_room,
        rc_invites_per_user, rc_invites_per_issuer, rc_room_creation, rc_reports, rc_user_directory, rc_key_requests,
        rc_presence_per_user, rc_profile, rc_3pid_validation, rc_third_party_invite;
    bool has_rc_admin_redaction;
    int64_t max_upload_size, max_mau_value, soft_file_limit;
    int64_t sync_answers_ms;  /* 0: whole answers are not kept */
    double cache_factor;      /* 0: not given */
    hs_jv cache_factors;      /* of single caches; absent: none */
    int64_t event_cache_size; /* events */
    int64_t push_rules_count, push_rules_id_length, push_rules_size;
    bool disable_msisdn_registration, serve_server_wellknown, hs_disabled, limit_usage_by_mau, mau_limit_alerting;
    int64_t mau_trial_days;
    hs_jv mau_reserved_threepids; /* [{"medium": …, "address": …}]; absent: none */
    hs_str hs_disabled_message, admin_contact, default_identity_server;
    hs_jv extra_well_known_client; /* extra_well_known_client_content as JSON; absent: none */
    bool presence_untracked, presence_offline_on_sync, metrics_enabled;
    int64_t presence_idle_ms, presence_online_ms, presence_granularity_ms;
} hs_config;

/* Reads and merges files (or folders: their *.yaml by name). Top-level options of later files replace earlier ones
 * whole. The error's message is one line for an operator: file, line, what. Warnings go to `log`. */
HS_NODISCARD hs_error *hs_config_load(hs_arena *a, const hs_str *paths, size_t n, hs_logger *log,
                                      const hs_config **ret);
/* The same from text, for tests and embedders. */
HS_NODISCARD hs_error *hs_config_load_text(hs_arena *a, hs_str name, hs_str yaml, hs_logger *log,
                                           const hs_config **ret);
/* docs/config.md */
HS_NODISCARD hs_error *hs_config_describe(hs_arena *a, hs_str *ret);

#endif
