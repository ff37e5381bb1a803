/* Media of this server: ids, files, rows. A file is complete under its name before its row says that it is there. */
#ifndef HS_SERVER_MEDIA_H
#define HS_SERVER_MEDIA_H

#include "runtime/files.h"
#include "server/session.h"
#include "store/media.h"

/* On a fiber; for workers with HS_ROLE_MEDIA. The error's message is the operator's line. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_open(hs_server *srv, hs_arena *a);
void hs_media_close(hs_server *srv);

/* ── ids ── */

/* 404 M_NOT_FOUND for another server, whose media are not fetched yet; 400 for what is no server name. */
HS_NODISCARD hs_error *hs_media_check_server(const hs_server *srv, hs_arena *a, hs_str name);
/* [A-Za-z0-9_-]{1,255} */
bool hs_media_id_is_valid(hs_str media_id);
/* Where the content lies below media_store_path, in Synapse's layout. Fails with 404 M_NOT_FOUND for what cannot be an
 * id. */
HS_NODISCARD hs_error *hs_media_path(hs_arena *a, hs_str media_id, hs_str *ret);
HS_NODISCARD hs_error *hs_media_thumb_path(hs_arena *a, hs_str media_id, const hs_media_thumb *t, hs_str *ret);

/* ── uploads ── */

/* An id for content that comes later. 429 when the user has too many of them. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_reserve(hs_server *srv, const hs_session *who, hs_arena *a, hs_str *ret_id,
                                                    int64_t *ret_expires_ts);
/* Whether the user may give this id its content now: 404 M_NOT_FOUND, 403 M_FORBIDDEN, 409 M_CANNOT_OVERWRITE_MEDIA. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_may_fill(hs_server *srv, const hs_session *who, hs_arena *a,
                                                     hs_str media_id);

/* Content that is still arriving; nothing is left of it unless it is finished. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_begin(hs_server *srv, hs_arena *a, hs_new_file **ret);

typedef struct {
    hs_str media_id;    /* of hs_media_reserve; p NULL: a new one is made */
    hs_str type;        /* content type as it was sent */
    hs_str upload_name; /* p NULL: none */
} hs_media_upload;
/* Durable when it returns. *ret: the row as it is now. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_finish(hs_server *srv, const hs_session *who, hs_arena *a,
                                                   hs_new_file *file, const hs_media_upload *in, hs_media_row **ret);

/* ── downloads ── */

typedef enum { HS_MEDIA_READY, HS_MEDIA_WAITS } hs_media_state;
typedef struct {
    bool no_token;            /* asked for without authentication: older media only */
    bool quarantined_as_well; /* an administrator insists */
} hs_media_wish;
/* The row of local media, or 404 M_NOT_FOUND. HS_MEDIA_WAITS: the id is good, the content has not come yet. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_find(hs_server *srv, hs_arena *a, hs_str media_id, hs_media_wish wish,
                                                 hs_media_state *ret_state, hs_media_row **ret);
/* Opens what lies at a path of above; 404 M_NOT_FOUND when the file is not there. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_open_file(hs_server *srv, hs_arena *a, hs_str path, int *ret_fd,
                                                      int64_t *ret_size);
/* Notes that it was read; written in batches. */
void hs_media_seen(hs_server *srv, hs_str media_id);

hs_folder *hs_media_folder(const hs_server *srv);
hs_error *hs_media_not_found(hs_arena *a);

#endif
