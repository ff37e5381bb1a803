/* Accounts and profiles. Owns: account, profile, profile_field. */
#ifndef HS_STORE_USERS_H
#define HS_STORE_USERS_H

#include "store/write.h"

typedef struct {
    hs_nid user;
    hs_str localpart;
    hs_str password_hash; /* p NULL: cannot log in by password */
    unsigned flags;       /* HS_ACCOUNT_* of server/session.h */
    int64_t created_ts;
    hs_str consent_version; /* of the terms that were agreed to; p NULL: none */
    hs_str kind;            /* p NULL: an ordinary person */
    int64_t valid_until_ts; /* 0: for ever; for hs_store_account_insert */
} hs_account_row;

/* *ret NULL: no such account. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_get(hs_db *db, hs_arena *a, hs_nid user, hs_account_row **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_find(hs_db *db, hs_arena *a, hs_str localpart,
                                                         hs_account_row **ret);
/* Account and profile in one statement. *ret_new false: the localpart was taken. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_insert(hs_db *db, hs_arena *a, const hs_account_row *row,
                                                           hs_str displayname, bool *ret_new);
/* The same in a transaction. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_insert_tx(hs_tx *tx, hs_arena *a, const hs_account_row *row,
                                                              hs_str displayname, bool *ret_new);
/* A guest becomes a user, with the hash, flags and (unless there is one) display name. *ret_found false: nobody of that
 * number is a guest. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_upgrade_tx(hs_tx *tx, hs_arena *a, const hs_account_row *row,
                                                               hs_str displayname, bool *ret_found);
/* Into a unit that ends what is known of the user's sessions. */
HS_NODISCARD hs_error *hs_store_account_consent(hs_write *w, hs_nid user, hs_str version, int64_t ts);
/* The day on which an account ends. */
HS_NODISCARD hs_error *hs_store_account_valid_until(hs_write *w, hs_nid user, int64_t ts);
/* Accounts without a day get one in the `spread` before `ts`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_accounts_begin_validity(hs_db *db, hs_arena *a, int64_t ts, int64_t spread);
/* The same for flags that are set and cleared, kind (p NULL: an ordinary person), how many requests a second and at
 * once are let through (-1: as for everybody), experimental features. */
HS_NODISCARD hs_error *hs_store_account_change_flags(hs_write *w, hs_nid user, unsigned set, unsigned clear);
HS_NODISCARD hs_error *hs_store_account_set_kind(hs_write *w, hs_nid user, hs_str kind);
HS_NODISCARD hs_error *hs_store_account_set_ratelimit(hs_write *w, hs_nid user, int32_t per_second, int32_t burst);
HS_NODISCARD hs_error *hs_store_account_set_features(hs_write *w, hs_nid user, hs_strs on, hs_strs off);
/* -1: as for everybody. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_ratelimit(hs_db *db, hs_arena *a, hs_nid user,
                                                              int32_t *ret_per_second, int32_t *ret_burst);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_features(hs_db *db, hs_arena *a, hs_nid user, hs_strs *ret);
/* Hash p NULL: no password any more. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_set_password(hs_db *db, hs_arena *a, hs_nid user, hs_str hash);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_set_flags(hs_db *db, hs_arena *a, hs_nid user, unsigned flags);

/* Which of the users have been erased. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_accounts_erased(hs_db *db, hs_arena *a, hs_nids users, hs_nids *ret);

/* *ret_found false: no profile; name and avatar may be { NULL, 0 }. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_profile_get(hs_db *db, hs_arena *a, hs_nid user, bool *ret_found,
                                                        hs_str *ret_name, hs_str *ret_avatar);
/* One of the two, p NULL clears it. Takes the position `at` of the unit. */
HS_NODISCARD hs_error *hs_store_profile_set_name(hs_write *w, hs_nid user, hs_str name, uint32_t at);
HS_NODISCARD hs_error *hs_store_profile_set_avatar(hs_write *w, hs_nid user, hs_str avatar, uint32_t at);

/* What users say of themselves besides: the values are JSON. */
typedef struct {
    hs_str key, value;
} hs_profile_field;
/* By key, beside what hs_store_profile_get gives. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_profile_whole(hs_db *db, hs_arena *a, hs_nid user, bool *ret_found,
                                                          hs_str *ret_name, hs_str *ret_avatar, hs_profile_field **ret,
                                                          size_t *ret_n);
/* value p NULL: the field goes. Not written when the profile would have more than `most` bytes then: units are written
 * one after the other, so that holds whoever else writes. Takes the position `at` of the unit. */
HS_NODISCARD hs_error *hs_store_profile_set_field(hs_write *w, hs_nid user, const hs_profile_field *f, int32_t most,
                                                  uint32_t at);
/* All of them go. */
HS_NODISCARD hs_error *hs_store_profile_clear_fields(hs_write *w, hs_nid user, uint32_t at);

#endif
