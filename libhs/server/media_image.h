/* What the server and the process that decodes images (main/thumbnailer/) say to each other. The image is a descriptor
 * that goes with the job; the answer comes over a stream of its own: a record and, where it says so, as many bytes, up
 * to HS_IMAGE_END. A stream that ends without one means that the decoder failed. Both are the same program, so the
 * structs are sent as they are. */
#ifndef HS_SERVER_MEDIA_IMAGE_H
#define HS_SERVER_MEDIA_IMAGE_H

#include <hs/str.h>

#define HS_IMAGE_MAX_WANTED 20
/* Of all thumbnails of an image. */
#define HS_IMAGE_MAX_ANSWER ((size_t)64 << 20)

typedef enum { HS_IMAGE_NONE, HS_IMAGE_JPEG, HS_IMAGE_PNG, HS_IMAGE_GIF, HS_IMAGE_WEBP } hs_image_kind;

typedef struct {
    int64_t max_pixels; /* of all frames that are decoded */
    uint32_t wanted_n;
    /* Synapse's two ways. false: the sizes that are made at upload, each once, with an animation beside each when the
     * image has one. true: the one that was asked for, in `kind`. */
    uint32_t exact;
    uint32_t kind;     /* exact: HS_IMAGE_PNG or HS_IMAGE_WEBP */
    uint32_t animated; /* exact: as an animation if the image is one */
    struct {
        int32_t width, height;
        uint32_t crop;
    } wanted[HS_IMAGE_MAX_WANTED];
} hs_image_job;

typedef enum { HS_IMAGE_THUMB = 1, HS_IMAGE_REFUSED, HS_IMAGE_END } hs_image_said;

typedef struct {
    uint32_t said;
    int32_t width, height;
    uint32_t crop, kind;
    uint32_t n; /* bytes that follow: the file; for HS_IMAGE_REFUSED the reason */
} hs_image_record;

/* By the first bytes; nothing else is ever decoded, whatever a name or a header says. */
static inline hs_image_kind hs_image_sniff(hs_str s)
{
    if (s.n >= 4 && memcmp(s.p, "\xff\xd8\xff", 3) == 0)
        return HS_IMAGE_JPEG;
    if (s.n >= 33 && memcmp(s.p, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) == 0)
        return HS_IMAGE_PNG;
    if (s.n >= 13 && (memcmp(s.p, "GIF87a", 6) == 0 || memcmp(s.p, "GIF89a", 6) == 0))
        return HS_IMAGE_GIF;
    if (s.n >= 20 && memcmp(s.p, "RIFF", 4) == 0 && memcmp(s.p + 8, "WEBPVP8", 7) == 0)
        return HS_IMAGE_WEBP;
    return HS_IMAGE_NONE;
}

#endif
