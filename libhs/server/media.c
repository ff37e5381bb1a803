/* See media.h. */
#include "server/media.h"

#include "base/checked.h"
#include "base/map.h"
#include "base/vec.h"
#include "core/ids.h"
#include "server/media_thumb.h"

#include <stdlib.h>

#define ID_LETTERS  24
#define ROUND_MS    60000
#define MAX_SEEN    10000
#define ARENA_CAP   HS_MIB(8)
#define SWEEP_EVERY 60 /* rounds */

struct hs_media {
    hs_server *srv;
    hs_folder *folder;
    hs_map *seen; /* ids that were read since the last round; values are not used */
    hs_timer timer;
    unsigned rounds;
    bool running, closing;
    hs_metric *uploads, *upload_bytes, *downloads;
};

hs_folder *hs_media_folder(const hs_server *srv)
{
    return srv->media->folder;
}

hs_error *hs_media_not_found(hs_arena *a)
{
    return hs_err(a, 404, HS_M_NOT_FOUND, "Not found");
}

/* ── ids and paths ── */

hs_error *hs_media_check_server(const hs_server *srv, hs_arena *a, hs_str name)
{
    if (!hs_server_name_is_valid(name))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid server name");
    return hs_str_eq(name, srv->server_name) ? NULL : hs_media_not_found(a);
}

bool hs_media_id_is_valid(hs_str id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return id.n >= 1 && id.n <= 255;
}

/* "ab/cd/rest"; an id of ours is longer than that takes. */
static hs_error *split_id(hs_arena *a, hs_str id, hs_str *ret)
{
    if (!hs_media_id_is_valid(id) || id.n < 5)
        return hs_media_not_found(a);
    return hs_str_fmt(a, ret, "%.2s/%.2s/%.*s", id.p, id.p + 2, (int)(id.n - 4), id.p + 4);
}

hs_error *hs_media_path(hs_arena *a, hs_str media_id, hs_str *ret)
{
    hs_str split;

    HS_TRY(split_id(a, media_id, &split));
    return hs_str_fmt(a, ret, "local_content/%.*s", HS_FMT(split));
}

/* "32-32-image-png-crop". Types and methods come from our own lists. */
hs_error *hs_media_thumb_path(hs_arena *a, hs_str media_id, const hs_media_thumb *t, hs_str *ret)
{
    hs_str split, sub = t->type, top = hs_str_split(&sub, '/');

    HS_TRY(split_id(a, media_id, &split));
    if (!hs_media_id_is_valid(top) || !hs_media_id_is_valid(sub) || !hs_media_id_is_valid(t->method))
        return hs_media_not_found(a);
    return hs_str_fmt(a, ret, "local_thumbnails/%.*s/%d-%d-%.*s-%.*s-%.*s", HS_FMT(split), t->width, t->height,
                      HS_FMT(top), HS_FMT(sub), HS_FMT(t->method));
}

static hs_error *new_id(hs_arena *a, hs_str *ret)
{
    return hs_random_text(a, ID_LETTERS, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", ret);
}

static unsigned new_flags(const hs_server *srv)
{
    return srv->config->enable_authenticated_media ? HS_MEDIA_AUTHENTICATED : 0;
}

/* ── uploads ── */

hs_error *hs_media_reserve(hs_server *srv, const hs_session *who, hs_arena *a, hs_str *ret_id, int64_t *ret_expires_ts)
{
    int64_t now = hs_loop_wall(srv->loop), pending, first;
    hs_media_row row = { .user = who->user,
                         .length = -1,
                         .created_ts = now,
                         .unused_expires_ts = now + srv->config->unused_expiration_ms,
                         .flags = new_flags(srv) };
    bool is_new;

    HS_TRY(hs_store_media_unused(srv->db, a, who->user, now, &pending, &first));
    if (pending >= srv->config->max_pending_media_uploads && !who->is_appservice) {
        return hs_err_later(a, 429, HS_M_LIMIT_EXCEEDED, pending && first > now ? first - now : 1000,
                            "Too Many Requests");
    }
    HS_TRY(new_id(a, &row.media_id));
    HS_TRY(hs_store_media_add(srv->db, a, &row, &is_new));
    if (!is_new)
        return hs_err_internal(a, NULL, "a media id was drawn twice");
    *ret_id = row.media_id;
    *ret_expires_ts = row.unused_expires_ts;
    return NULL;
}

static hs_error *overwrite(hs_arena *a)
{
    return hs_err(a, 409, HS_M_CANNOT_OVERWRITE_MEDIA, "Media ID already has content");
}

static hs_error *check_fill(hs_server *srv, const hs_session *who, hs_arena *a, const hs_media_row *row)
{
    if (row->user != who->user)
        return hs_err(a, 403, HS_M_FORBIDDEN, "Only the creator of the media ID can upload to it");
    if (row->length >= 0)
        return overwrite(a);
    if (row->unused_expires_ts <= hs_loop_wall(srv->loop))
        return hs_err(a, 404, HS_M_NOT_FOUND, "Media ID has expired");
    return NULL;
}

hs_error *hs_media_may_fill(hs_server *srv, const hs_session *who, hs_arena *a, hs_str media_id)
{
    hs_media_row *row = NULL;

    if (hs_media_id_is_valid(media_id))
        HS_TRY(hs_store_media_get(srv->db, a, 0, media_id, &row));
    if (!row)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown media ID");
    return check_fill(srv, who, a, row);
}

hs_error *hs_media_begin(hs_server *srv, hs_arena *a, hs_new_file **ret)
{
    return hs_new_file_open(srv->media->folder, a, ret);
}

/* The longest period has the largest sum, so shorter ones are asked for only when that would be too much. */
static hs_error *check_quota(hs_server *srv, const hs_session *who, hs_arena *a, int64_t length)
{
    const hs_config *c = srv->config;
    int64_t used = -1;

    for (size_t i = 0; i < c->upload_limits_n; i++) {
        const hs_config_upload_limit *l = &c->upload_limits[i];
        if (used < 0 || used + length > l->bytes)
            HS_TRY(hs_store_media_used(srv->db, a, who->user, hs_loop_wall(srv->loop) - l->period_ms, &used));
        if (used + length > l->bytes)
            return hs_err(a, 400, HS_M_RESOURCE_LIMIT_EXCEEDED, "Media upload limit exceeded");
    }
    return NULL;
}

static hs_error *keep_new(hs_server *srv, hs_arena *a, hs_new_file *file, const hs_media_row *row)
{
    hs_str path;
    bool is_new = false;
    hs_error *e;

    HS_TRY(hs_media_path(a, row->media_id, &path));
    HS_TRY(hs_new_file_keep(file, a, path));
    e = hs_store_media_add(srv->db, a, row, &is_new);
    if (e) /* when the answer was lost the row may be there, so the file stays; without one nobody finds it */
        return e;
    return is_new ? NULL : hs_err_internal(a, NULL, "a media id was drawn twice");
}

/* The row is locked while the file gets its name, so of two uploads to one id one is refused. */
static hs_error *keep_reserved(hs_server *srv, const hs_session *who, hs_arena *a, hs_new_file *file, hs_media_row *row)
{
    hs_media_row *there;
    hs_str path;
    hs_tx *tx;

    HS_TRY(hs_media_path(a, row->media_id, &path));
    HS_TRY(hs_tx_begin(srv->db, a, &tx));
    HS_TRY(hs_store_media_lock_unused(tx, a, row->media_id, &there));
    if (!there)
        return overwrite(a);
    HS_TRY(check_fill(srv, who, a, there));
    row->created_ts = there->created_ts;
    row->flags = there->flags;
    HS_TRY(hs_new_file_keep(file, a, path));
    HS_TRY(hs_store_media_fill(tx, a, row));
    return hs_tx_commit(tx);
}

hs_error *hs_media_finish(hs_server *srv, const hs_session *who, hs_arena *a, hs_new_file *file,
                          const hs_media_upload *in, hs_media_row **ret)
{
    hs_media_row *row;

    HS_TRY(check_quota(srv, who, a, hs_new_file_size(file)));
    HS_TRY(hs_new_file_sync(file, a));
    HS_TRY(hs_alloc(a, 1, &row));
    *row = (hs_media_row){
        .media_id = in->media_id,
        .user = who->user,
        .type = in->type,
        .length = hs_new_file_size(file),
        .upload_name = in->upload_name,
        .created_ts = hs_loop_wall(srv->loop),
        .sha256 = hs_str_make((const char *)hs_new_file_sha256(file), HS_SHA256_BYTES),
        .flags = new_flags(srv),
    };
    HS_TRY(hs_store_media_is_banned(srv->db, a, row->sha256, &row->quarantined));
    if (row->media_id.p) {
        HS_TRY(keep_reserved(srv, who, a, file, row));
    } else {
        HS_TRY(new_id(a, &row->media_id));
        HS_TRY(keep_new(srv, a, file, row));
    }
    hs_metric_add(srv->media->uploads, 1);
    hs_metric_add(srv->media->upload_bytes, (double)row->length);

    *ret = row;
    return NULL;
}

/* ── downloads ── */

hs_error *hs_media_find(hs_server *srv, hs_arena *a, hs_str media_id, hs_media_wish wish, hs_media_state *ret_state,
                        hs_media_row **ret)
{
    hs_media_row *row = NULL;

    if (hs_media_id_is_valid(media_id))
        HS_TRY(hs_store_media_get(srv->db, a, 0, media_id, &row));
    if (!row || (row->quarantined && !wish.quarantined_as_well))
        return hs_media_not_found(a);
    /* An id without content has nothing to protect yet: whoever asks is told to wait, as by Synapse. */
    if (row->length >= 0 && wish.no_token && srv->config->enable_authenticated_media &&
        row->flags & HS_MEDIA_AUTHENTICATED)
        return hs_media_not_found(a);
    if (row->length < 0 && row->unused_expires_ts <= hs_loop_wall(srv->loop))
        return hs_media_not_found(a);
    *ret_state = row->length < 0 ? HS_MEDIA_WAITS : HS_MEDIA_READY;
    *ret = row;
    return NULL;
}

hs_error *hs_media_open_file(hs_server *srv, hs_arena *a, hs_str path, int *ret_fd, int64_t *ret_size)
{
    HS_TRY(hs_folder_read(srv->media->folder, a, path, ret_fd, ret_size));
    return *ret_fd < 0 ? hs_media_not_found(a) : NULL;
}

void hs_media_seen(hs_server *srv, hs_str media_id)
{
    struct hs_media *m = srv->media;

    hs_metric_add(m->downloads, 1);
    if (hs_map_count(m->seen) < MAX_SEEN)
        (void)!hs_map_put(m->seen, media_id, m, NULL);
}

/* ── rounds ── */

static hs_error *write_seen(struct hs_media *m, hs_arena *a)
{
    HS_VEC(hs_str) ids = { 0 };
    hs_map *seen = m->seen, *fresh;
    hs_error *e = NULL;
    size_t it = 0;
    hs_str id;
    void *v;

    if (!hs_map_count(seen))
        return NULL;
    fresh = hs_map_open(m->srv->hash_seed);
    if (!fresh)
        return HS_ERR_NOMEM;
    m->seen = fresh;
    while (!e && hs_map_next(seen, &it, &id, &v))
        e = hs_vec_push(a, &ids, id);
    if (!e)
        e = hs_store_media_touch(m->srv->db, a, (hs_strs){ ids.at, ids.n }, hs_loop_wall(m->srv->loop));
    hs_map_close(seen);
    return e;
}

static hs_error *round_of(struct hs_media *m, hs_arena *a)
{
    HS_TRY(write_seen(m, a));
    return m->closing || m->rounds++ % SWEEP_EVERY ? NULL : hs_folder_sweep(m->folder, a);
}

static void run(void *ud)
{
    struct hs_media *m = ud;
    hs_arena *a = hs_arena_open(ARENA_CAP);
    hs_error *e = a ? round_of(m, a) : HS_ERR_NOMEM;

    if (e && !m->closing)
        hs_log_error(m->srv->log, HS_LOG_WARN, HS_S(""), "media.round", e);
    hs_arena_close(a);
    m->running = false;
    if (!m->closing && hs_timer_arm(m->srv->loop, &m->timer, ROUND_MS))
        hs_log(m->srv->log, HS_LOG_ERROR, "media.round", "no memory for its timer");
}

static void begin(hs_timer *t)
{
    struct hs_media *m = t->ud;

    m->running = true;
    if (hs_fiber_spawn(m->srv->loop, run, m)) {
        m->running = false;
        if (hs_timer_arm(m->srv->loop, &m->timer, ROUND_MS))
            hs_log(m->srv->log, HS_LOG_ERROR, "media.round", "no memory for its timer");
    }
}

hs_error *hs_media_open(hs_server *srv, hs_arena *a)
{
    struct hs_media *m;
    const char *path;

    HS_TRY(hs_alloc(srv->arena, 1, &m));
    HS_TRY(hs_cstr(a, srv->config->media_store_path, &path));
    HS_TRY(hs_folder_open(srv->loop, srv->arena, path, &m->folder));
    m->srv = srv;
    m->timer = (hs_timer){ .fn = begin, .ud = m };
    m->uploads = hs_metric_get(srv->metrics, HS_COUNTER, "hs_media_uploads_total", "Media stored", NULL);
    m->upload_bytes = hs_metric_get(srv->metrics, HS_COUNTER, "hs_media_upload_bytes_total", "Bytes stored", NULL);
    m->downloads =
        hs_metric_get(srv->metrics, HS_COUNTER, "hs_media_downloads_total", "Downloads and thumbnails served", NULL);
    m->seen = hs_map_open(srv->hash_seed);
    srv->media = m;
    if (!m->seen || hs_media_thumbs_open(srv) || hs_timer_arm(srv->loop, &m->timer, ROUND_MS)) {
        hs_media_close(srv);
        return HS_ERR_NOMEM;
    }
    return NULL;
}

void hs_media_close(hs_server *srv)
{
    struct hs_media *m = srv->media;

    if (!m)
        return;
    m->closing = true;
    hs_timer_disarm(srv->loop, &m->timer);
    while (m->running) {
        if (hs_fiber_self(srv->loop))
            hs_fiber_sleep(srv->loop, 1);
        else
            hs_loop_turn(srv->loop, 1);
    }
    if (m->seen && hs_map_count(m->seen)) {
        m->running = true;
        if (!hs_fiber_self(srv->loop))
            (void)!hs_loop_run_fiber(srv->loop, run, m);
    }
    hs_media_thumbs_close(srv);
    hs_map_close(m->seen);
    hs_folder_close(m->folder);
    srv->media = NULL;
}
