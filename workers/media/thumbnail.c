/* Thumbnails. Spec: Client-Server API, "Content repository", getContentThumbnailAuthed, getContentThumbnail. */
#include "server/media_thumb.h"
#include "workers/media/answer.h"

#define MOST_SIDE 10000

static hs_error *read_side(hs_req *q, const char *name, int64_t *ret)
{
    bool has;

    HS_TRY(hs_query_i64(q, name, &has, ret));
    if (!has)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing integer query parameter '%s'", name);
    if (*ret < 1 || *ret > MOST_SIDE)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter %s must be from 1 to %d", name, MOST_SIDE);
    return NULL;
}

static hs_error *read_wish(hs_req *q, hs_media_thumb *ret)
{
    int64_t width, height;
    bool animated = false;

    HS_TRY(read_side(q, "width", &width));
    HS_TRY(read_side(q, "height", &height));
    HS_TRY(hs_query_bool(q, "animated", &animated));
    ret->width = (int32_t)width;
    ret->height = (int32_t)height;
    ret->method = hs_query(q, "method");
    if (!ret->method.p)
        ret->method = HS_S("scale");
    ret->type = animated ? HS_S("image/webp") : HS_S("image/png");
    return NULL;
}

static hs_error *serve(hs_req *q, hs_res *r, hs_str media_id, const hs_media_thumb *t)
{
    hs_str path;

    HS_TRY(hs_media_thumb_path(q->a, media_id, t, &path));
    return hs_media_answer(q, r, path, t->type, hs_str_make(NULL, 0));
}

/* A file that somebody deleted to save space is made anew. */
static hs_error *serve_or_make(hs_req *q, hs_res *r, hs_str media_id, const hs_media_thumb *t)
{
    hs_error *e = serve(q, r, media_id, t);
    bool made = false;

    if (!e || e->status != 404)
        return e;
    HS_TRY(hs_media_thumb_make(q->srv, q->a, media_id, t, &made));
    return made ? serve(q, r, media_id, t) : hs_media_not_found(q->a);
}

/* Of those that were made at upload. */
static hs_error *nearest(hs_req *q, hs_res *r, hs_str media_id, const hs_media_thumb *wish)
{
    const hs_media_thumb *chosen;
    hs_media_thumb *thumbs;
    size_t n;

    HS_TRY(hs_media_thumbs_of(q->srv, q->a, media_id, &thumbs, &n));
    if (!n)
        return hs_err(q->a, 400, HS_M_UNKNOWN,
                      "Cannot find any thumbnails for the requested media: it is not an image of a supported format "
                      "(image/jpeg, image/webp, image/gif, image/png), or could not be decoded");
    chosen = hs_media_thumb_choose(thumbs, n, wish->width, wish->height, wish->method, wish->type);
    return chosen ? serve_or_make(q, r, media_id, chosen) : hs_media_not_found(q->a);
}

/* dynamic_thumbnails: the very size. */
static hs_error *exact(hs_req *q, hs_res *r, hs_str media_id, const hs_media_thumb *wish)
{
    hs_media_thumb *thumbs;
    bool made = false;
    size_t n;

    if (!hs_str_eq(wish->method, HS_S("crop")) && !hs_str_eq(wish->method, HS_S("scale")))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Failed to generate thumbnail.");
    HS_TRY(hs_media_thumbs_of(q->srv, q->a, media_id, &thumbs, &n));
    for (size_t i = 0; i < n; i++)
        if (thumbs[i].width == wish->width && thumbs[i].height == wish->height &&
            hs_str_eq(thumbs[i].method, wish->method) && hs_str_eq(thumbs[i].type, wish->type))
            return serve_or_make(q, r, media_id, &thumbs[i]);
    HS_TRY(hs_media_thumb_make(q->srv, q->a, media_id, wish, &made));
    if (!made)
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Failed to generate thumbnail.");
    return serve(q, r, media_id, wish);
}

static hs_error *thumbnail(hs_req *q, hs_res *r, bool no_token)
{
    hs_media_thumb wish = { 0 };
    hs_media_row *row;

    HS_TRY(read_wish(q, &wish));
    HS_TRY(hs_media_await(q, (hs_media_wish){ .no_token = no_token }, &row));
    hs_media_seen(q->srv, row->media_id);
    if (hs_media_is_cached(q, r))
        return NULL;
    return q->srv->config->dynamic_thumbnails ? exact(q, r, row->media_id, &wish) : nearest(q, r, row->media_id, &wish);
}

/* GET …/media/thumbnail/{serverName}/{mediaId} */
static hs_error *get_thumbnail(hs_req *q, hs_res *r)
{
    return thumbnail(q, r, false);
}

static hs_error *get_old(hs_req *q, hs_res *r)
{
    return thumbnail(q, r, true);
}

/* clang-format off */
const hs_route hs_routes_media_thumbnail[] = {
    { HS_GET, "v1", "/media/thumbnail/{serverName}/{mediaId}", get_thumbnail,
      .who = HS_AUTH_USER, .guest = true, .servlet = "ThumbnailResource" },
    { 0 },
};

const hs_route hs_routes_media_thumbnail_old[] = {
    { HS_GET, "r0 v3 v1", "/thumbnail/{serverName}/{mediaId}", get_old,
      .who = HS_AUTH_NONE, .servlet = "ThumbnailResource" },
    { 0 },
};
/* clang-format on */
