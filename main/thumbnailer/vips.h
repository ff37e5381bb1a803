/* The few functions of libvips that are used, found when the thumbnailer starts: the program and libhs need not be
 * linked with a hundred libraries for the sake of one short-lived process, nor built with their headers. The
 * declarations are those of libvips' public interface (libvips.so.42, 8.9 and later). */
#ifndef HS_MAIN_THUMBNAILER_VIPS_H
#define HS_MAIN_THUMBNAILER_VIPS_H

#include <hs/error.h>

typedef struct vips_image vips_image; /* VipsImage */

enum { VIPS_SEQUENTIAL = 1 }; /* VipsAccess */
enum { VIPS_FORCE = 3 };      /* VipsSize */

typedef struct {
    int (*init)(const char *argv0);
    void (*block_untrusted_set)(int state);
    void (*operation_block_set)(const char *name, int state);
    void (*concurrency_set)(int n);
    void (*cache_set_max)(int n);
    void (*vector_set_enabled)(int enabled);
    const char *(*error_buffer)(void);
    /* Those with "…" take names and values up to a NULL. */
    vips_image *(*image_new_from_buffer)(const void *buf, size_t n, const char *option_string, ...);
    int (*image_get_width)(const vips_image *image);
    int (*image_get_height)(const vips_image *image);
    int (*image_get_n_pages)(vips_image *image);
    int (*image_get_orientation)(vips_image *image);
    void (*image_set_int)(vips_image *image, const char *name, int i);
    int (*thumbnail_buffer)(void *buf, size_t n, vips_image **out, int width, ...);
    int (*thumbnail_image)(vips_image *in, vips_image **out, int width, ...);
    vips_image *(*image_copy_memory)(vips_image *image);
    int (*extract_area)(vips_image *in, vips_image **out, int left, int top, int width, int height, ...);
    int (*arrayjoin)(vips_image **in, vips_image **out, int n, ...);
    int (*image_write_to_buffer)(vips_image *in, const char *suffix, void **buf, size_t *size, ...);
    void (*unref)(void *object); /* g_object_unref */
    void (*free)(void *p);       /* g_free */
} vips_api;

/* False when libvips is not installed or too old; *ret_why says what is missing. Once loaded it stays. Only the
 * decoders of JPEG, PNG, GIF and WebP are left usable. */
bool vips_load(vips_api *v, const char **ret_why);

#endif
