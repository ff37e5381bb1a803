/* Where users want to be told of what they would see: the pushers that their apps have set. Owns: pusher. */
#ifndef HS_STORE_PUSHERS_H
#define HS_STORE_PUSHERS_H

#include "store/write.h"

typedef struct {
    hs_str app_id, pushkey, kind;
    hs_str device_id; /* p NULL: set by a session without a device … */
    int64_t token;    /* … of this token (hs_store_pusher_token); 0: with one */
    hs_str profile_tag, app_name, device_name;
    hs_str lang; /* p NULL: none */
    hs_str data; /* JSON object */
} hs_pusher_row;

HS_NODISCARD HS_SUSPENDS hs_error *hs_store_pushers_list(hs_db *db, hs_arena *a, hs_nid user, hs_pusher_row **ret,
                                                         size_t *ret_n);
/* Makes a pusher, or replaces one of the same app and key, which stays with the device that made it. *ret_kept false:
 * the user has `most` others. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_pusher_put(hs_db *db, hs_arena *a, hs_nid user, const hs_pusher_row *row,
                                                       int64_t now_ts, int64_t pos, int32_t most, bool *ret_kept);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_pusher_remove(hs_db *db, hs_arena *a, hs_nid user, hs_str app_id,
                                                          hs_str pushkey);
/* Everybody else's of this app and key. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_pusher_take_over(hs_db *db, hs_arena *a, hs_nid user, hs_str app_id,
                                                             hs_str pushkey);
/* Has the user confirmed this address (lower case)? */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_pusher_email_ok(hs_db *db, hs_arena *a, hs_nid user, hs_str address,
                                                            bool *ret);

/* ── with the sessions that set them ── called by store/sessions.c, in the transaction that ends these ── */
HS_NODISCARD hs_error *hs_store_pushers_end(hs_write *w, hs_nid user, hs_strs device_ids);
/* All but those of the device `keep` (p NULL: really all). */
HS_NODISCARD hs_error *hs_store_pushers_end_others(hs_write *w, hs_nid user, hs_str keep);
HS_NODISCARD hs_error *hs_store_pushers_end_token(hs_write *w, hs_str token_sha256);
/* A token without a device as a number. */
int64_t hs_store_pusher_token(hs_str token_sha256);

#endif
