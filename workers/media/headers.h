/* Headers of media answers: pure functions of what was stored and what was asked. */
#ifndef HS_WORKERS_MEDIA_HEADERS_H
#define HS_WORKERS_MEDIA_HEADERS_H

#include <hs/arena.h>

/* Whether a browser may show it in place: types that cannot carry a script. Parameters are ignored. */
bool hs_media_is_inline(hs_str type);
/* The Content-Type to answer with: what cannot stand in a header, or is absent, is application/octet-stream; text
 * without a charset is UTF-8. */
HS_NODISCARD hs_error *hs_media_content_type(hs_arena *a, hs_str type, hs_str *ret);
/* The file name as it may be shown and saved: no controls, path separators or changes of writing direction; at most 255
 * bytes. Empty when nothing is left. `name` is UTF-8 or it counts as empty. */
HS_NODISCARD hs_error *hs_media_file_name(hs_arena *a, hs_str name, hs_str *ret);
/* "inline", "attachment; filename=x", "inline; filename*=utf-8''%C3%A4" (RFC 6266). */
HS_NODISCARD hs_error *hs_media_disposition(hs_arena *a, hs_str type, hs_str name, hs_str *ret);

typedef enum { HS_RANGE_ALL, HS_RANGE_PART, HS_RANGE_BAD } hs_range;
/* A Range header against `size` bytes (RFC 9110, 14.2): one range gives *ret_at and *ret_n; several, other units and
 * nonsense are HS_RANGE_ALL; one that begins behind the end is HS_RANGE_BAD. */
hs_range hs_media_range(hs_str header, int64_t size, int64_t *ret_at, int64_t *ret_n);
/* Whether an If-None-Match header has our one entity tag, which stands for "media never change". */
bool hs_media_has_etag(hs_str if_none_match);

#endif
