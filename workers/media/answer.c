/* See answer.h. */
#include "workers/media/answer.h"

#include "server/context.h"
#include "workers/media/headers.h"

#define DEFAULT_WAIT_MS 20000
#define MOST_WAIT_MS    60000
/* Who uploads may be on another worker, so the row is looked at again and again. */
#define LOOK_AGAIN_MS 250

static hs_error *how_long(hs_req *q, int64_t *ret)
{
    bool has;

    *ret = DEFAULT_WAIT_MS;
    HS_TRY(hs_query_i64(q, "timeout_ms", &has, ret));
    if (!has) /* its first name */
        HS_TRY(hs_query_i64(q, "max_stall_ms", &has, ret));
    if (*ret > MOST_WAIT_MS)
        *ret = MOST_WAIT_MS;
    return NULL;
}

hs_error *hs_media_await(hs_req *q, hs_media_wish wish, hs_media_row **ret)
{
    hs_str server = hs_path_param(q, "serverName"), id = hs_path_param(q, "mediaId");
    hs_media_state state;
    bool allow_remote = true;
    int64_t wait, until;

    HS_TRY(how_long(q, &wait));
    HS_TRY(hs_query_bool(q, "allow_remote", &allow_remote));
    HS_TRY(hs_media_check_server(q->srv, q->a, server));
    until = hs_loop_now(q->loop) + wait;
    for (;;) {
        HS_TRY(hs_media_find(q->srv, q->a, id, wish, &state, ret));
        if (state == HS_MEDIA_READY)
            return NULL;
        if (hs_loop_now(q->loop) >= until || !hs_req_may_park(q))
            return hs_err(q->a, 504, HS_M_NOT_YET_UPLOADED, "Media has not been uploaded yet");
        hs_fiber_sleep(q->loop, LOOK_AGAIN_MS);
    }
}

static hs_error *add_headers(hs_res *r, const hs_pair *headers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        HS_TRY(hs_res_header(r, headers[i].name, headers[i].value));
    return NULL;
}

/* A shared cache may keep it but has to ask each time, so that who may see it is always asked. */
static const hs_pair CACHE[] = {
    { HS_S_INIT("Cache-Control"), HS_S_INIT("public,max-age=86400,s-maxage=0,proxy-revalidate") },
    { HS_S_INIT("ETag"), HS_S_INIT("1") },
};

/* What was uploaded may be anything: it runs no script, is not sniffed, is not indexed. */
static const hs_pair SAFETY[] = {
    { HS_S_INIT("Content-Security-Policy"),
      HS_S_INIT("sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; "
                "style-src 'unsafe-inline'; media-src 'self'; object-src 'self';") },
    { HS_S_INIT("X-Content-Security-Policy"), HS_S_INIT("sandbox;") },
    { HS_S_INIT("X-Content-Type-Options"), HS_S_INIT("nosniff") },
    { HS_S_INIT("Cross-Origin-Resource-Policy"), HS_S_INIT("cross-origin") },
    { HS_S_INIT("Referrer-Policy"), HS_S_INIT("no-referrer") },
    { HS_S_INIT("X-Robots-Tag"), HS_S_INIT("noindex, nofollow, noarchive, noimageindex") },
    { HS_S_INIT("Accept-Ranges"), HS_S_INIT("bytes") },
};

bool hs_media_is_cached(hs_req *q, hs_res *r)
{
    if (!hs_media_has_etag(hs_req_header(q, HS_S("if-none-match"))))
        return false;
    hs_res_bytes(r, 304, HS_S("application/octet-stream"), HS_S(""));
    return !add_headers(r, CACHE, sizeof CACHE / sizeof *CACHE);
}

static hs_error *range_error(hs_res *r, int64_t size)
{
    hs_json_out *j = hs_res_json(r, 416);
    hs_str all;

    hs_json_obj(j);
    hs_json_str(j, "errcode", hs_errcode_str(HS_M_UNKNOWN));
    hs_json_str(j, "error", HS_S("The range begins behind the end"));
    hs_json_end(j);
    HS_TRY(hs_str_fmt(r->a, &all, "bytes */%lld", (long long)size));
    return hs_res_header(r, HS_S("Content-Range"), all);
}

static hs_error *range_header(hs_res *r, int64_t at, int64_t n, int64_t size)
{
    hs_str text;

    HS_TRY(hs_str_fmt(r->a, &text, "bytes %lld-%lld/%lld", (long long)at, (long long)(at + n - 1), (long long)size));
    return hs_res_header(r, HS_S("Content-Range"), text);
}

hs_error *hs_media_answer(hs_req *q, hs_res *r, hs_str path, hs_str type, hs_str name)
{
    hs_str disposition, if_range = hs_req_header(q, HS_S("if-range"));
    hs_range wanted = HS_RANGE_ALL;
    int64_t size, at = 0, n;
    int fd;

    HS_TRY(hs_media_disposition(q->a, type, name, &disposition));
    HS_TRY(hs_media_content_type(q->a, type, &type));
    HS_TRY(hs_media_open_file(q->srv, q->a, path, &fd, &size));
    n = size;
    if (q->method == HS_GET && (!if_range.p || hs_media_has_etag(if_range)))
        wanted = hs_media_range(hs_req_header(q, HS_S("range")), size, &at, &n);
    /* the descriptor is the answer's from here on */
    hs_res_file(r, wanted == HS_RANGE_PART ? 206 : 200, type, fd, at, n);
    HS_TRY(add_headers(r, SAFETY, sizeof SAFETY / sizeof *SAFETY));
    if (wanted == HS_RANGE_BAD)
        return range_error(r, size);
    if (wanted == HS_RANGE_PART)
        HS_TRY(range_header(r, at, n, size));
    HS_TRY(hs_res_header(r, HS_S("Content-Disposition"), disposition));
    return add_headers(r, CACHE, sizeof CACHE / sizeof *CACHE);
}
