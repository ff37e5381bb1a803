/* What is stored of media; the bytes are files (runtime/files.h). Owns: media, media_thumb.
 *
 * server 0 is this server. A row is written when the file is complete under its name, so a row with a length has a
 * file. A row without a length is an id that was given out and waits for its content. */
#ifndef HS_STORE_MEDIA_H
#define HS_STORE_MEDIA_H

#include "store/db.h"

enum {
    HS_MEDIA_AUTHENTICATED = 1, /* not for the endpoints without a token */
    HS_MEDIA_SAFE = 2,          /* may not be quarantined */
    HS_MEDIA_URL_CACHE = 4,
};

typedef struct {
    hs_str media_id;
    hs_nid user;
    hs_str type;        /* as the client said; p NULL: unknown */
    int64_t length;     /* -1: not uploaded yet */
    hs_str upload_name; /* p NULL: none */
    int64_t created_ts;
    int64_t unused_expires_ts; /* of an id without content */
    hs_str sha256;
    bool quarantined;
    unsigned flags;
} hs_media_row;

typedef struct {
    int32_t width, height;
    hs_str method, type; /* "crop" or "scale"; a content type */
    int64_t length;
} hs_media_thumb;

/* *ret NULL: there is no such media. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_get(hs_db *db, hs_arena *a, hs_nid server, hs_str media_id,
                                                      hs_media_row **ret);
/* A local row with its content, or (length -1) one that waits for it. *ret_new false: the id is taken. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_add(hs_db *db, hs_arena *a, const hs_media_row *row, bool *ret_new);
/* Locks a local row that waits for its content until the transaction ends. *ret NULL: no such row, or it has one. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_lock_unused(hs_tx *tx, hs_arena *a, hs_str media_id,
                                                              hs_media_row **ret);
/* Gives that row what it waited for. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_fill(hs_tx *tx, hs_arena *a, const hs_media_row *row);
/* Ids of a user that wait and have not expired, and when the first of them expires. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_unused(hs_db *db, hs_arena *a, hs_nid user, int64_t now_ts,
                                                         int64_t *ret_n, int64_t *ret_first_ts);
/* Forgets ids that have expired without content, a slice of them; *ret_n says how many. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_expire_unused(hs_tx *tx, hs_arena *a, int64_t now_ts,
                                                                uint64_t *ret_n);
/* Whether the same bytes have been quarantined. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_is_banned(hs_db *db, hs_arena *a, hs_str sha256, bool *ret);
/* Bytes that a user has uploaded since. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_used(hs_db *db, hs_arena *a, hs_nid user, int64_t since_ts,
                                                       int64_t *ret);
/* Notes that local media were read. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_touch(hs_db *db, hs_arena *a, hs_strs media_ids, int64_t now_ts);

/* Thumbnails, the smallest first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_thumbs(hs_db *db, hs_arena *a, hs_nid server, hs_str media_id,
                                                         hs_media_thumb **ret, size_t *ret_n);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_media_thumb_put(hs_db *db, hs_arena *a, hs_nid server, hs_str media_id,
                                                            const hs_media_thumb *thumb);

#endif
