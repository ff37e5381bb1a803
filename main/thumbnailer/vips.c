/* See vips.h. */
#include "main/thumbnailer/vips.h"

#include <dlfcn.h>
#include <stdlib.h>

/* POSIX lets a data pointer carry a function; C has no word for it. */
static bool find(void *lib, const char *name, void *to, const char **ret_why)
{
    void *symbol = dlsym(lib, name);

    if (!symbol)
        *ret_why = name;
    else
        memcpy(to, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_all(void *lib, vips_api *v, const char **ret_why)
{
    return find(lib, "vips_init", &v->init, ret_why) &&
           find(lib, "vips_block_untrusted_set", &v->block_untrusted_set, ret_why) &&
           find(lib, "vips_operation_block_set", &v->operation_block_set, ret_why) &&
           find(lib, "vips_concurrency_set", &v->concurrency_set, ret_why) &&
           find(lib, "vips_cache_set_max", &v->cache_set_max, ret_why) &&
           find(lib, "vips_vector_set_enabled", &v->vector_set_enabled, ret_why) &&
           find(lib, "vips_error_buffer", &v->error_buffer, ret_why) &&
           find(lib, "vips_image_new_from_buffer", &v->image_new_from_buffer, ret_why) &&
           find(lib, "vips_image_get_width", &v->image_get_width, ret_why) &&
           find(lib, "vips_image_get_height", &v->image_get_height, ret_why) &&
           find(lib, "vips_image_get_n_pages", &v->image_get_n_pages, ret_why) &&
           find(lib, "vips_image_get_orientation", &v->image_get_orientation, ret_why) &&
           find(lib, "vips_image_set_int", &v->image_set_int, ret_why) &&
           find(lib, "vips_thumbnail_buffer", &v->thumbnail_buffer, ret_why) &&
           find(lib, "vips_thumbnail_image", &v->thumbnail_image, ret_why) &&
           find(lib, "vips_image_copy_memory", &v->image_copy_memory, ret_why) &&
           find(lib, "vips_extract_area", &v->extract_area, ret_why) &&
           find(lib, "vips_arrayjoin", &v->arrayjoin, ret_why) &&
           find(lib, "vips_image_write_to_buffer", &v->image_write_to_buffer, ret_why) &&
           find(lib, "g_object_unref", &v->unref, ret_why) && find(lib, "g_free", &v->free, ret_why);
}

bool vips_load(vips_api *v, const char **ret_why)
{
    static const char *const DECODERS[] = {
        "VipsForeignLoadJpeg",
        "VipsForeignLoadPng",
        "VipsForeignLoadNsgif",
        "VipsForeignLoadWebp",
    };
    void *lib = dlopen("libvips.so.42", RTLD_NOW | RTLD_LOCAL);

    if (!lib) {
        *ret_why = "libvips.so.42 cannot be loaded (package libvips42)";
        return false;
    }
    if (!find_all(lib, v, ret_why))
        return false;
    setenv("VIPS_WARNING", "1", 1); /* broken images are nothing to warn of */
    if (v->init("hs")) {
        *ret_why = "vips_init";
        return false;
    }
    v->block_untrusted_set(1);
    v->operation_block_set("VipsForeignLoad", 1);
    for (size_t i = 0; i < sizeof DECODERS / sizeof *DECODERS; i++)
        v->operation_block_set(DECODERS[i], 0);
    v->concurrency_set(1);
    v->cache_set_max(0);
    v->vector_set_enabled(0); /* it would compile code while it runs, which the sandbox forbids */
    return true;
}
