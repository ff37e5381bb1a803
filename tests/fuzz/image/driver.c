/* The image path of the thumbnailer, without its sandbox: libvips with the four decoders that are left. Whatever comes
 * in, an answer ends with HS_IMAGE_END, and a thumbnail has a size that was asked for and looks like its kind. Without
 * libvips there is nothing to do. */
#include "main/thumbnailer/image.h"

#include "fuzz/fuzz.h"

#define MAX_PIXELS (1 << 20)

typedef struct {
    unsigned thumbs, ends;
} seen;

static bool take(void *ud, const hs_image_record *r, const void *bytes)
{
    seen *s = ud;

    must(s->ends == 0);
    if (r->said == HS_IMAGE_THUMB) {
        hs_image_kind kind = hs_image_sniff(hs_str_make(bytes, r->n));
        must(kind == (hs_image_kind)r->kind && kind != HS_IMAGE_GIF);
        must(r->width >= 1 && r->height >= 1 && r->width <= 64 && r->height <= 48);
        must(!r->crop || (r->width == 32 && r->height == 32));
        s->thumbs++;
    }
    s->ends += r->said == HS_IMAGE_END;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vips_api v;
    static int loaded; /* 1: yes; 2: there is none */
    hs_image_job job = { .max_pixels = MAX_PIXELS, .wanted_n = 2, .wanted = { { 32, 32, 1 }, { 64, 48, 0 } } };
    hs_arena *a = fresh_arena();
    const char *why;
    seen s = { 0 };

    if (!loaded)
        loaded = vips_load(&v, &why) ? 1 : 2;
    if (loaded == 2)
        return 0;
    image_make(&v, &job, exactly(a, data, size), take, &s);
    must(s.ends == 1 && s.thumbs <= 4);
    return 0;
}
