/* See image.h. Sizes and formats are Synapse's: a scaled thumbnail keeps the proportions and is never larger than the
 * image, a cropped one has exactly the size that is wanted; JPEG and WebP give JPEG, PNG and GIF give PNG; animations
 * are WebP. The image is decoded once, to the largest size that is needed, and the others are made from that. */
#include "main/thumbnailer/image.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_FRAMES 1000

typedef struct {
    int32_t width, height; /* of the thumbnail */
    int32_t scaled_width, scaled_height;
    bool crop;
} target;

typedef struct {
    const vips_api *v;
    const hs_image_job *job;
    hs_str file;
    image_sink *sink;
    void *ud;
    hs_image_kind kind;
    int64_t width, height; /* as it is shown, after its orientation */
    int pages;
    target targets[HS_IMAGE_MAX_WANTED];
    size_t targets_n;
    bool stop;
} work;

static void say(work *w, const hs_image_record *r, const void *bytes)
{
    if (!w->stop && !w->sink(w->ud, r, bytes))
        w->stop = true;
}

static void refuse(work *w, const char *why)
{
    size_t n = strlen(why);

    if (n > 500)
        n = 500;
    say(w, &(hs_image_record){ .said = HS_IMAGE_REFUSED, .n = (uint32_t)n }, why);
}

/* ── sizes ── */

static int32_t at_least_1(int64_t n)
{
    return n < 1 ? 1 : (int32_t)n;
}

static target scaled(const work *w, int64_t width, int64_t height)
{
    target t = { .width = (int32_t)width, .height = (int32_t)height };

    if (width * w->height < height * w->width)
        t.height = at_least_1(width * w->height / w->width);
    else
        t.width = at_least_1(height * w->width / w->height);
    if (t.width > w->width)
        t.width = (int32_t)w->width;
    if (t.height > w->height)
        t.height = (int32_t)w->height;
    t.scaled_width = t.width;
    t.scaled_height = t.height;
    return t;
}

static target cropped(const work *w, int64_t width, int64_t height)
{
    target t = { .width = (int32_t)width, .height = (int32_t)height, .crop = true };

    t.scaled_width = t.width;
    t.scaled_height = t.height;
    if (width * w->height > height * w->width)
        t.scaled_height = at_least_1(width * w->height / w->width);
    else
        t.scaled_width = at_least_1(height * w->width / w->height);
    return t;
}

/* Of the same size made both ways the scaled one is kept. A strip of an image may be far too long to be blown up. */
static void add_target(work *w, target t)
{
    if ((int64_t)t.scaled_width * t.scaled_height > w->job->max_pixels)
        return;
    for (size_t i = 0; i < w->targets_n; i++) {
        if (w->targets[i].width != t.width || w->targets[i].height != t.height)
            continue;
        if (!t.crop)
            w->targets[i] = t;
        return;
    }
    w->targets[w->targets_n++] = t;
}

static void choose_targets(work *w)
{
    const hs_image_job *job = w->job;

    for (uint32_t i = 0; i < job->wanted_n && i < HS_IMAGE_MAX_WANTED; i++) {
        int32_t width = job->wanted[i].width, height = job->wanted[i].height;
        if (width > 0 && height > 0 && (int64_t)width * height <= job->max_pixels)
            add_target(w, job->wanted[i].crop ? cropped(w, width, height) : scaled(w, width, height));
    }
}

/* ── pixels ── */

/* The whole image, or all of its frames one below the other, no larger than is needed and no smaller than it is. */
static vips_image *decode(work *w, bool frames)
{
    const vips_api *v = w->v;
    int32_t width = 1, height = 1;
    vips_image *lazy = NULL, *whole;

    for (size_t i = 0; i < w->targets_n; i++) {
        width = w->targets[i].scaled_width > width ? w->targets[i].scaled_width : width;
        height = w->targets[i].scaled_height > height ? w->targets[i].scaled_height : height;
    }
    if (width > w->width || height > w->height) {
        width = (int32_t)w->width;
        height = (int32_t)w->height;
    }
    /* The library does not write to it. Its own option fail_on is lost on the way to the decoder in 8.14, and a broken
     * image would come out half grey. */
    if (v->thumbnail_buffer((void *)(uintptr_t)w->file.p, w->file.n, &lazy, width, "height", height, "size",
                            (int)VIPS_FORCE, "option_string", frames ? "fail_on=error,n=-1" : "fail_on=error", NULL))
        return NULL;
    whole = v->image_copy_memory(lazy);
    v->unref(lazy);
    return whole;
}

/* Cuts the middle out of each of n frames. */
static vips_image *cut(const vips_api *v, vips_image *in, const target *t, int n)
{
    int left = (t->scaled_width - t->width) / 2, top = (t->scaled_height - t->height) / 2;
    vips_image **parts = calloc((size_t)n, sizeof *parts), *out = NULL;
    int made = 0;

    while (parts && made < n &&
           v->extract_area(in, &parts[made], left, made * t->scaled_height + top, t->width, t->height, NULL) == 0)
        made++;
    if (parts && made == n && v->arrayjoin(parts, &out, n, "across", 1, NULL))
        out = NULL;
    while (made)
        v->unref(parts[--made]);
    free(parts);
    return out;
}

static vips_image *shape(const vips_api *v, vips_image *decoded, const target *t, int n)
{
    vips_image *sized = NULL, *made;

    if (v->thumbnail_image(decoded, &sized, t->scaled_width, "height", (int)t->scaled_height, "size", (int)VIPS_FORCE,
                           NULL))
        return NULL;
    if (!t->crop)
        return sized;
    made = cut(v, sized, t, n);
    v->unref(sized);
    return made;
}

/* "strip": what a camera wrote about place and time does not go with a thumbnail. */
static const char *suffix(hs_image_kind kind)
{
    return kind == HS_IMAGE_JPEG ? ".jpg[Q=80,strip]" : kind == HS_IMAGE_WEBP ? ".webp[Q=80,strip]" : ".png[strip]";
}

static void make_one(work *w, vips_image *decoded, const target *t, hs_image_kind kind, int n)
{
    const vips_api *v = w->v;
    vips_image *made = shape(v, decoded, t, n);
    hs_image_record r = {
        .said = HS_IMAGE_THUMB, .width = t->width, .height = t->height, .crop = t->crop, .kind = (uint32_t)kind
    };
    void *bytes = NULL;
    size_t size = 0;

    if (made && n > 1)
        v->image_set_int(made, "page-height", t->height);
    if (!made || v->image_write_to_buffer(made, suffix(kind), &bytes, &size, NULL) || size > HS_IMAGE_MAX_ANSWER) {
        refuse(w, v->error_buffer());
    } else {
        r.n = (uint32_t)size;
        say(w, &r, bytes);
    }
    v->free(bytes);
    if (made)
        v->unref(made);
}

static void make_all(work *w, hs_image_kind kind, bool frames)
{
    vips_image *decoded = decode(w, frames);

    if (!decoded) {
        refuse(w, w->v->error_buffer());
        return;
    }
    for (size_t i = 0; i < w->targets_n && !w->stop; i++)
        make_one(w, decoded, &w->targets[i], kind, frames ? w->pages : 1);
    w->v->unref(decoded);
}

/* ── the image ── */

static bool read_head(work *w)
{
    const vips_api *v = w->v;
    vips_image *image;
    int orientation;

    w->kind = hs_image_sniff(w->file);
    if (w->kind == HS_IMAGE_NONE) {
        refuse(w, "not an image of a kind that is decoded");
        return false;
    }
    image = v->image_new_from_buffer(w->file.p, w->file.n, "", "access", (int)VIPS_SEQUENTIAL, NULL);
    if (!image) {
        refuse(w, v->error_buffer());
        return false;
    }
    w->width = v->image_get_width(image);
    w->height = v->image_get_height(image);
    w->pages = v->image_get_n_pages(image);
    orientation = v->image_get_orientation(image);
    v->unref(image);
    if (orientation >= 5 && orientation <= 8) { /* it lies on its side */
        int64_t width = w->width;
        w->width = w->height;
        w->height = width;
    }
    if (w->width < 1 || w->height < 1 || w->width * w->height >= w->job->max_pixels) {
        refuse(w, "larger than max_image_pixels");
        return false;
    }
    return true;
}

static bool is_animation(const work *w)
{
    return (w->kind == HS_IMAGE_GIF || w->kind == HS_IMAGE_WEBP) && w->pages > 1 && w->pages <= MAX_FRAMES &&
           w->width * w->height * w->pages < w->job->max_pixels;
}

void image_make(const vips_api *v, const hs_image_job *job, hs_str file, image_sink *sink, void *ud)
{
    work w = { .v = v, .job = job, .file = file, .sink = sink, .ud = ud };

    if (read_head(&w)) {
        bool frames = is_animation(&w);
        choose_targets(&w);
        if (job->exact) {
            make_all(&w, (hs_image_kind)job->kind, frames && job->animated);
        } else {
            make_all(&w, w.kind == HS_IMAGE_JPEG || w.kind == HS_IMAGE_WEBP ? HS_IMAGE_JPEG : HS_IMAGE_PNG, false);
            if (frames && !w.stop)
                make_all(&w, HS_IMAGE_WEBP, true);
        }
    }
    say(&w, &(hs_image_record){ .said = HS_IMAGE_END }, NULL);
}
