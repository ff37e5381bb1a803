/* One image to its thumbnails. Runs in the sandbox. */
#ifndef HS_MAIN_THUMBNAILER_IMAGE_H
#define HS_MAIN_THUMBNAILER_IMAGE_H

#include "main/thumbnailer/vips.h"
#include "server/media_image.h"

/* Takes a record and its bytes; false: stop. */
typedef bool image_sink(void *ud, const hs_image_record *r, const void *bytes);

/* Says each thumbnail, or why there is none, and HS_IMAGE_END. */
void image_make(const vips_api *v, const hs_image_job *job, hs_str file, image_sink *sink, void *ud);

#endif
