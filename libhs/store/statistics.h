/* What users have uploaded, how large rooms are. Reads what media.c, rooms.c and others own. */
#ifndef HS_STORE_STATISTICS_H
#define HS_STORE_STATISTICS_H

#include "store/db.h"

typedef enum {
    HS_UPLOADER_BY_USER,
    HS_UPLOADER_BY_NAME,
    HS_UPLOADER_BY_COUNT,
    HS_UPLOADER_BY_LENGTH
} hs_uploader_order;

typedef struct {
    int64_t from_ts, until_ts; /* of the upload */
    hs_str search;             /* in local part or display name; p NULL: any */
    hs_uploader_order order;
    bool descending;
    int64_t from, limit;
} hs_uploader_query;

typedef struct {
    hs_str user_id, displayname; /* p NULL: none */
    int64_t media, length;
} hs_uploader;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uploaders(hs_db *db, hs_arena *a, const hs_uploader_query *q,
                                                      hs_uploader **ret, size_t *ret_n, int64_t *ret_total);

typedef enum {
    HS_UPLOAD_BY_CREATED,
    HS_UPLOAD_BY_ID,
    HS_UPLOAD_BY_NAME,
    HS_UPLOAD_BY_ACCESS,
    HS_UPLOAD_BY_LENGTH,
    HS_UPLOAD_BY_TYPE,
    HS_UPLOAD_BY_QUARANTINE,
    HS_UPLOAD_BY_SAFE,
} hs_upload_order;

typedef struct {
    hs_str media_id, type, name;           /* p NULL: none */
    int64_t length, created_ts, access_ts; /* access_ts 0: never */
    hs_str quarantined_by;                 /* p NULL: it is not */
    bool safe;                             /* from quarantine */
} hs_upload;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uploads(hs_db *db, hs_arena *a, hs_nid user, hs_upload_order order,
                                                    bool descending, int64_t from, int64_t limit, hs_upload **ret,
                                                    size_t *ret_n, int64_t *ret_total);

typedef struct {
    hs_str room_id;
    int64_t bytes;
} hs_room_size;
/* The ten largest, by what PostgreSQL has found out about its tables by samples. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_largest_rooms(hs_db *db, hs_arena *a, hs_room_size **ret, size_t *ret_n);

#endif
