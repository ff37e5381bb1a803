/* Uploads. Spec: Client-Server API, "Content repository", uploadContent, createContent, uploadContentToMXC. */
#include "server/context.h"
#include "server/media_thumb.h"

#include "runtime/http.h"

#define MAX_TYPE 255
#define MAX_NAME 1024

/* What is said about the content. All of it is looked at before a byte of the content is taken. */
static hs_error *read_meta(hs_req *q, hs_media_upload *ret)
{
    int64_t length = hs_body_length(q);
    hs_str type = hs_req_header(q, HS_S("content-type")), name = hs_query(q, "filename");

    if (length < 0)
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Request must specify a Content-Length");
    if (length > q->srv->config->max_upload_size)
        return hs_err(q->a, 413, HS_M_TOO_LARGE, "Upload request body is too large");
    if (!type.n)
        type = HS_S("application/octet-stream");
    for (size_t i = 0; i < type.n; i++)
        if (type.n > MAX_TYPE || type.p[i] < 0x20 || type.p[i] >= 0x7f)
            return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Invalid Content-Type");
    if (name.n > MAX_NAME)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "The filename is too long");
    ret->type = type;
    ret->upload_name = name.n ? name : hs_str_make(NULL, 0);
    return NULL;
}

static hs_error *receive(hs_req *q, const hs_media_upload *in, hs_media_row **ret)
{
    hs_new_file *file;
    hs_str piece;

    HS_TRY(hs_media_begin(q->srv, q->a, &file));
    for (;;) {
        HS_TRY(hs_body_read(q, &piece));
        if (!piece.n)
            break;
        HS_TRY(hs_new_file_write(file, q->a, piece));
    }
    HS_TRY(hs_media_finish(q->srv, q->who, q->a, file, in, ret));
    hs_media_thumbs_make(q->srv, q->a, *ret);
    return NULL;
}

static hs_error *content_uri(const hs_req *q, hs_str media_id, hs_str *ret)
{
    return hs_str_cat(q->a, ret, 4, HS_S("mxc://"), q->srv->server_name, HS_S("/"), media_id);
}

/* POST /_matrix/media/v3/upload */
static hs_error *post_upload(hs_req *q, hs_res *r)
{
    hs_media_upload in = { 0 };
    hs_media_row *row;
    hs_str uri;

    HS_TRY(read_meta(q, &in));

    HS_TRY(receive(q, &in, &row));
    HS_TRY(content_uri(q, row->media_id, &uri));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "content_uri", uri);
    hs_json_end(j);
    return NULL;
}

/* PUT /_matrix/media/v3/upload/{serverName}/{mediaId} */
static hs_error *put_upload(hs_req *q, hs_res *r)
{
    hs_media_upload in = { .media_id = hs_path_param(q, "mediaId") };
    hs_media_row *row;

    if (!hs_str_eq(hs_path_param(q, "serverName"), q->srv->server_name))
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "Non-local server name specified");
    HS_TRY(hs_media_may_fill(q->srv, q->who, q->a, in.media_id));
    HS_TRY(read_meta(q, &in));

    HS_TRY(receive(q, &in, &row));

    hs_res_empty(r);
    return NULL;
}

/* POST /_matrix/media/v1/create */
static hs_error *post_create(hs_req *q, hs_res *r)
{
    hs_str id, uri;
    int64_t expires;

    HS_TRY(hs_media_reserve(q->srv, q->who, q->a, &id, &expires));
    HS_TRY(content_uri(q, id, &uri));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "content_uri", uri);
    hs_json_int(j, "unused_expires_at", expires);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_media_upload[] = {
    { HS_POST, "r0 v3 v1", "/upload", post_upload,
      .who = HS_AUTH_USER, .stream = true, .servlet = "UploadServlet" },
    { HS_PUT, "v3", "/upload/{serverName}/{mediaId}", put_upload,
      .who = HS_AUTH_USER, .stream = true, .servlet = "AsyncUploadServlet" },
    { HS_POST, "v1", "/create", post_create,
      .who = HS_AUTH_USER, .rate = HS_RC_MEDIA_CREATE, .servlet = "CreateResource" },
    { 0 },
};
/* clang-format on */
