/* Finding users by name. Owns: user_directory, which triggers on account and profile keep (migration 0010). */
#ifndef HS_STORE_USER_DIRECTORY_H
#define HS_STORE_USER_DIRECTORY_H

#include "store/db.h"

typedef struct {
    hs_nid searcher;
    hs_str term;
    bool all;          /* everybody but the searcher; else those in public rooms and those who share a room */
    bool local_only;   /* no users of other servers */
    bool prefer_local; /* our own users rank twice as high */
    int32_t hidden;    /* account flags of those whom nobody finds */
    int32_t limit;
} hs_user_search;

typedef struct {
    hs_str user_id, display_name, avatar_url; /* the latter p NULL: none */
} hs_user_found;
/* The best matches first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_user_search(hs_db *db, hs_arena *a, const hs_user_search *in,
                                                        hs_user_found **ret, size_t *ret_n);

#endif
