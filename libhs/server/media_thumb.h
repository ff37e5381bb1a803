/* Thumbnails: which are made, how they are made (in a process of their own, main/thumbnailer/), which one is served. */
#ifndef HS_SERVER_MEDIA_THUMB_H
#define HS_SERVER_MEDIA_THUMB_H

#include "server/media.h"

/* Part of hs_media_open and hs_media_close. */
HS_NODISCARD hs_error *hs_media_thumbs_open(hs_server *srv);
void hs_media_thumbs_close(hs_server *srv);

/* Makes those of the configuration for an image that has just been uploaded. An image that cannot be decoded is no
 * error: it has none. */
HS_SUSPENDS void hs_media_thumbs_make(hs_server *srv, hs_arena *a, const hs_media_row *row);
/* Makes exactly this one, whatever is there. *ret_made false: the image cannot be decoded. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_media_thumb_make(hs_server *srv, hs_arena *a, hs_str media_id,
                                                       const hs_media_thumb *wanted, bool *ret_made);

HS_NODISCARD HS_SUSPENDS hs_error *hs_media_thumbs_of(hs_server *srv, hs_arena *a, hs_str media_id,
                                                      hs_media_thumb **ret, size_t *ret_n);

/* The nearest of some thumbnails, as Synapse chooses it: the method that is asked for; crops by proportions, then by
 * whether they are large enough, then by size; scaled ones by size; then the type that is preferred, an
 * animation (image/webp) only if it is asked for; then the smaller file. NULL: none is of that method. */
const hs_media_thumb *hs_media_thumb_choose(const hs_media_thumb *thumbs, size_t n, int64_t width, int64_t height,
                                            hs_str method, hs_str type);

#endif
