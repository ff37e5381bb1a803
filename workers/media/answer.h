/* What downloads and thumbnails have in common. */
#ifndef HS_WORKERS_MEDIA_ANSWER_H
#define HS_WORKERS_MEDIA_ANSWER_H

#include "runtime/http.h"
#include "server/media.h"

/* The row of {serverName}/{mediaId}, waiting for its content if need be and wanted (timeout_ms). 404 M_NOT_FOUND for
 * media of other servers, which are not fetched yet; 504 M_NOT_YET_UPLOADED. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_await(hs_req *q, hs_media_wish wish, hs_media_row **ret);
/* True when the client has it already: the answer is 304. */
bool hs_media_is_cached(hs_req *q, hs_res *r);
/* The file at a path of server/media.h, or the range of it that is asked for, with all headers. name.p NULL: none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_answer(hs_req *q, hs_res *r, hs_str path, hs_str type, hs_str name);

#endif
