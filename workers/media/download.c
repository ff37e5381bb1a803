/* Downloads. Spec: Client-Server API, "Content repository", getContentAuthed, getContent and their forms with a name.
 */
#include "workers/media/answer.h"

static hs_error *download(hs_req *q, hs_res *r, hs_media_wish wish, hs_str name)
{
    hs_media_row *row;
    hs_str path;

    HS_TRY(hs_media_await(q, wish, &row));
    hs_media_seen(q->srv, row->media_id);
    if (hs_media_is_cached(q, r))
        return NULL;
    HS_TRY(hs_media_path(q->a, row->media_id, &path));
    return hs_media_answer(q, r, path, row->type, name.n ? name : row->upload_name);
}

/* An administrator may look at what was quarantined. */
static hs_error *authenticated(hs_req *q, hs_res *r, hs_str name)
{
    hs_media_wish wish = {
        .quarantined_as_well = hs_str_eq(hs_query(q, "admin_unsafely_bypass_quarantine"), HS_S("true")),
    };

    if (wish.quarantined_as_well && !(q->who->flags & HS_ACCOUNT_ADMIN))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Must be a server admin to bypass quarantine");
    return download(q, r, wish, name);
}

/* GET …/media/download/{serverName}/{mediaId} */
static hs_error *get_content(hs_req *q, hs_res *r)
{
    return authenticated(q, r, HS_S(""));
}

static hs_error *get_content_named(hs_req *q, hs_res *r)
{
    return authenticated(q, r, hs_path_param(q, "fileName"));
}

/* The same without a token, for media from before they were asked for. */
static hs_error *get_old(hs_req *q, hs_res *r)
{
    return download(q, r, (hs_media_wish){ .no_token = true }, HS_S(""));
}

static hs_error *get_old_named(hs_req *q, hs_res *r)
{
    return download(q, r, (hs_media_wish){ .no_token = true }, hs_path_param(q, "fileName"));
}

/* clang-format off */
const hs_route hs_routes_media_download[] = {
    { HS_GET, "v1", "/media/download/{serverName}/{mediaId}", get_content,
      .who = HS_AUTH_USER, .guest = true, .servlet = "DownloadResource" },
    { HS_GET, "v1", "/media/download/{serverName}/{mediaId}/{fileName}", get_content_named,
      .who = HS_AUTH_USER, .guest = true, .servlet = "DownloadResource" },
    { 0 },
};

const hs_route hs_routes_media_download_old[] = {
    { HS_GET, "r0 v3 v1", "/download/{serverName}/{mediaId}", get_old,
      .who = HS_AUTH_NONE, .servlet = "DownloadResource" },
    { HS_GET, "r0 v3 v1", "/download/{serverName}/{mediaId}/{fileName}", get_old_named,
      .who = HS_AUTH_NONE, .servlet = "DownloadResource" },
    { 0 },
};
/* clang-format on */
