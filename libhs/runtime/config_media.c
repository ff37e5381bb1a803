/* The options of the media store that are lists. */
#include "runtime/config_parts.h"

#include "base/vec.h"

#define MOST_SIZES 20
#define MOST_SIDE  10000

static const hs_config_thumbnail DEFAULT_SIZES[] = {
    { 32, 32, true }, { 96, 96, true }, { 320, 240, false }, { 640, 480, false }, { 800, 600, false },
};

typedef HS_VEC(hs_config_thumbnail) sizes;
typedef HS_VEC(hs_config_upload_limit) limits;

static hs_error *side(hs_arena *a, const hs_yaml *at, hs_str key, int64_t *ret)
{
    const hs_yaml *n = hs_yaml_get(at, key);

    if (!n || !hs_yaml_to_i64(n, ret) || *ret < 1 || *ret > MOST_SIDE)
        return hs_config_err(a, n ? n : at, "thumbnail_sizes", "%.*s: expected a number from 1 to %d", HS_FMT(key),
                             MOST_SIDE);
    return NULL;
}

static hs_error *thumbnail_sizes(hs_arena *a, const hs_yaml *list, hs_config *c)
{
    sizes found = { 0 };

    c->thumbnail_sizes = DEFAULT_SIZES;
    c->thumbnail_sizes_n = sizeof DEFAULT_SIZES / sizeof *DEFAULT_SIZES;
    if (!list)
        return NULL;
    if ((list->kind != HS_YAML_SEQ && !hs_yaml_is_null(list)) || list->n > MOST_SIZES)
        return hs_config_err(a, list, "thumbnail_sizes", "expected a list of at most %d sizes", MOST_SIZES);
    for (size_t i = 0; i < list->n; i++) {
        const hs_yaml *at = list->items[i], *method = hs_yaml_get(at, HS_S("method"));
        hs_config_thumbnail t = { 0 };

        HS_TRY(side(a, at, HS_S("width"), &t.width));
        HS_TRY(side(a, at, HS_S("height"), &t.height));
        t.crop = method && hs_str_eq(method->text, HS_S("crop"));
        if (!t.crop && (!method || !hs_str_eq(method->text, HS_S("scale"))))
            return hs_config_err(a, method ? method : at, "thumbnail_sizes", "method: expected crop or scale");
        HS_TRY(hs_vec_push(a, &found, t));
    }
    c->thumbnail_sizes = found.at;
    c->thumbnail_sizes_n = found.n;
    return NULL;
}

static hs_error *upload_limits(hs_arena *a, const hs_yaml *list, hs_config *c)
{
    limits found = { 0 };

    if (hs_yaml_is_null(list))
        return NULL;
    if (list->kind != HS_YAML_SEQ)
        return hs_config_err(a, list, "media_upload_limits", "expected a list");
    for (size_t i = 0; i < list->n; i++) {
        const hs_yaml *at = list->items[i];
        hs_config_upload_limit l = { 0 };
        size_t k;

        HS_TRY(hs_config_duration(a, hs_yaml_get(at, HS_S("time_period")), "media_upload_limits", &l.period_ms));
        HS_TRY(hs_config_size(a, hs_yaml_get(at, HS_S("max_size")), "media_upload_limits", &l.bytes));
        if (!l.period_ms || !hs_yaml_get(at, HS_S("max_size")))
            return hs_config_err(a, at, "media_upload_limits", "expected time_period and max_size");
        HS_TRY(hs_vec_push(a, &found, l));
        for (k = found.n - 1; k > 0 && found.at[k - 1].period_ms < l.period_ms; k--)
            found.at[k] = found.at[k - 1];
        found.at[k] = l;
    }
    c->upload_limits = found.at;
    c->upload_limits_n = found.n;
    return NULL;
}

hs_error *hs_config_media(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    HS_TRY(thumbnail_sizes(a, hs_yaml_get(top, HS_S("thumbnail_sizes")), c));
    HS_TRY(upload_limits(a, hs_yaml_get(top, HS_S("media_upload_limits")), c));
    if (c->media_store_path.n && c->media_store_path.p[0] != '/')
        HS_TRY(hs_str_fmt(a, &c->media_store_path, "%.*s/%.*s", HS_FMT(c->data_dir), HS_FMT(c->media_store_path)));
    return NULL;
}
