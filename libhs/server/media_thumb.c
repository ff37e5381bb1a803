/* See media_thumb.h. */
#include "server/media_thumb.h"

#include "runtime/helper.h"
#include "server/media_image.h"

#include <unistd.h>

#define AT_ONCE      2 /* each holds a thread of the pool */
#define MOST_WAITING 100
#define ANSWER_MS    25000

struct hs_thumbs {
    hs_helper *helper;
    unsigned at_work, waiting;
    hs_fiber_queue queue;
    hs_metric *made, *refused;
};

hs_error *hs_media_thumbs_open(hs_server *srv)
{
    struct hs_thumbs *t;

    HS_TRY(hs_alloc(srv->arena, 1, &t));
    t->helper = hs_helper_open(srv->loop, srv->program, "thumbnailer");
    if (!t->helper)
        return HS_ERR_NOMEM;
    t->made = hs_metric_get(srv->metrics, HS_COUNTER, "hs_media_thumbnails_total", "Thumbnails made", NULL);
    t->refused = hs_metric_get(srv->metrics, HS_COUNTER, "hs_media_images_refused_total",
                               "Images that no thumbnail could be made of", NULL);
    srv->thumbs = t;
    return NULL;
}

void hs_media_thumbs_close(hs_server *srv)
{
    if (srv->thumbs)
        hs_helper_close(srv->thumbs->helper);
    srv->thumbs = NULL;
}

/* ── making ── */

static hs_str type_of(uint32_t kind)
{
    return kind == HS_IMAGE_JPEG ? HS_S("image/jpeg") : kind == HS_IMAGE_WEBP ? HS_S("image/webp") : HS_S("image/png");
}

static hs_error *keep(hs_server *srv, hs_arena *a, hs_str media_id, const hs_image_record *r, hs_str bytes)
{
    hs_media_thumb thumb = { .width = r->width,
                             .height = r->height,
                             .method = r->crop ? HS_S("crop") : HS_S("scale"),
                             .type = type_of(r->kind),
                             .length = (int64_t)bytes.n };
    hs_new_file *file;
    hs_str path;

    HS_TRY(hs_media_thumb_path(a, media_id, &thumb, &path));
    HS_TRY(hs_new_file_open(hs_media_folder(srv), a, &file));
    HS_TRY(hs_new_file_write(file, a, bytes));
    HS_TRY(hs_new_file_sync(file, a));
    HS_TRY(hs_new_file_keep(file, a, path));
    HS_TRY(hs_store_media_thumb_put(srv->db, a, 0, media_id, &thumb));
    hs_metric_add(srv->thumbs->made, 1);
    return NULL;
}

/* Reads an answer as far as it is whole. */
static hs_error *keep_all(hs_server *srv, hs_arena *a, hs_str media_id, const hs_media_thumb *exact, hs_str answer,
                          size_t *ret_n)
{
    hs_str why = HS_S("the decoder failed");
    hs_image_record r = { 0 };

    *ret_n = 0;
    while (answer.n >= sizeof r && r.said != HS_IMAGE_END) {
        memcpy(&r, answer.p, sizeof r);
        answer = hs_str_from(answer, sizeof r);
        if (r.n > answer.n)
            break;
        if (r.said == HS_IMAGE_REFUSED)
            why = hs_str_first(answer, r.n);
        if (r.said == HS_IMAGE_THUMB) {
            if (exact) { /* under the size that was asked for, so that it is found again */
                r.width = exact->width;
                r.height = exact->height;
            }
            HS_TRY(keep(srv, a, media_id, &r, hs_str_first(answer, r.n)));
            ++*ret_n;
        }
        answer = hs_str_from(answer, r.n);
    }
    if (!*ret_n) {
        hs_metric_add(srv->thumbs->refused, 1);
        hs_log(srv->log, HS_LOG_INFO, "media.no_thumbnail", "media=%.*s why=\"%.*s\"", HS_FMT(media_id),
               HS_FMT(hs_str_trim(hs_str_first(why, 200))));
    }
    return NULL;
}

static hs_error *take_turn(hs_server *srv, hs_arena *a)
{
    struct hs_thumbs *t = srv->thumbs;

    if (t->waiting >= MOST_WAITING)
        return hs_err_later(a, 429, HS_M_LIMIT_EXCEEDED, 2000, "Too Many Requests");
    t->waiting++;
    while (t->at_work >= AT_ONCE)
        hs_fiber_wait(srv->loop, &t->queue);
    t->waiting--;
    t->at_work++;
    return NULL;
}

static void end_turn(hs_server *srv)
{
    srv->thumbs->at_work--;
    hs_fiber_wake_one(&srv->thumbs->queue);
}

static void close_it(void *ud)
{
    close(*(const int *)ud);
}

/* Has an arena of its own: an answer may be large, and the request goes on after it. */
static hs_error *run_job(hs_server *srv, hs_arena *a, hs_str media_id, const hs_image_job *job,
                         const hs_media_thumb *exact, size_t *ret_n)
{
    hs_str path, answer;
    int64_t size;
    hs_error *e;
    int *fd;

    HS_TRY(hs_media_path(a, media_id, &path));
    HS_TRY(hs_alloc(a, 1, &fd));
    HS_TRY(hs_media_open_file(srv, a, path, fd, &size));
    e = hs_arena_on_reset(a, close_it, fd);
    if (e) {
        close_it(fd);
        return e;
    }
    HS_TRY(take_turn(srv, a));
    e = hs_helper_ask(srv->thumbs->helper, a, hs_str_make((const char *)job, sizeof *job), *fd, HS_IMAGE_MAX_ANSWER,
                      ANSWER_MS, &answer);
    end_turn(srv);
    HS_TRY(e);
    return keep_all(srv, a, media_id, exact, answer, ret_n);
}

static hs_error *run(hs_server *srv, hs_arena *a, hs_str media_id, const hs_image_job *job, const hs_media_thumb *exact,
                     size_t *ret_n)
{
    hs_arena *own = hs_arena_open(2 * HS_IMAGE_MAX_ANSWER);
    hs_error *e = own ? run_job(srv, own, media_id, job, exact, ret_n) : HS_ERR_NOMEM;
    hs_str text;

    if (e && e != HS_ERR_NOMEM) { /* the chain goes with the arena */
        const hs_error *deepest = e;
        int status = e->status;
        hs_errcode code = e->code;
        int64_t later = e->retry_ms;
        while (deepest->cause)
            deepest = deepest->cause;
        e = hs_str_dup(a, deepest->message, &text);
        if (!e && status >= 500)
            e = hs_err_internal(a, NULL, "%.*s", HS_FMT(text));
        else if (!e)
            e = hs_err_later(a, status, code, later, "%.*s", HS_FMT(text));
    }
    hs_arena_close(own);
    return e;
}

/* Synapse's list. What is decoded is decided by the content; this says for what it is tried at all. */
static bool is_image_type(hs_str type)
{
    static const char *const TYPES[] = { "image/jpeg", "image/jpg", "image/webp", "image/gif", "image/png" };
    hs_str plain = hs_str_trim(hs_str_first(type, hs_str_find(type, ';', 0)));

    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (hs_str_eq_nocase(plain, hs_str_c(TYPES[i])))
            return true;
    return false;
}

void hs_media_thumbs_make(hs_server *srv, hs_arena *a, const hs_media_row *row)
{
    const hs_config *c = srv->config;
    hs_image_job job = { .max_pixels = c->max_image_pixels };
    hs_error *e;
    size_t n;

    if (!is_image_type(row->type) || row->length <= 0 || !c->thumbnail_sizes_n)
        return;
    for (size_t i = 0; i < c->thumbnail_sizes_n && i < HS_IMAGE_MAX_WANTED; i++) {
        const hs_config_thumbnail *s = &c->thumbnail_sizes[i];
        job.wanted[i].width = (int32_t)s->width;
        job.wanted[i].height = (int32_t)s->height;
        job.wanted[i].crop = s->crop;
        job.wanted_n++;
    }
    e = run(srv, a, row->media_id, &job, NULL, &n);
    if (e)
        hs_log_error(srv->log, HS_LOG_WARN, HS_S(""), "media.thumbnails", e);
}

hs_error *hs_media_thumb_make(hs_server *srv, hs_arena *a, hs_str media_id, const hs_media_thumb *wanted,
                              bool *ret_made)
{
    bool webp = hs_str_eq(wanted->type, HS_S("image/webp"));
    hs_image_job job = {
        .max_pixels = srv->config->max_image_pixels,
        .wanted_n = 1,
        .exact = 1,
        .kind = webp                                          ? HS_IMAGE_WEBP
                : hs_str_eq(wanted->type, HS_S("image/jpeg")) ? HS_IMAGE_JPEG
                                                              : HS_IMAGE_PNG,
        .animated = webp,
    };
    size_t n = 0;

    job.wanted[0].width = wanted->width;
    job.wanted[0].height = wanted->height;
    job.wanted[0].crop = hs_str_eq(wanted->method, HS_S("crop"));
    HS_TRY(run(srv, a, media_id, &job, wanted, &n));
    *ret_made = n > 0;
    return NULL;
}

/* ── choosing ── */

hs_error *hs_media_thumbs_of(hs_server *srv, hs_arena *a, hs_str media_id, hs_media_thumb **ret, size_t *ret_n)
{
    return hs_store_media_thumbs(srv->db, a, 0, media_id, ret, ret_n);
}

static int64_t distance(int64_t a, int64_t b)
{
    return a < b ? b - a : a - b;
}

/* Smaller is better, the first difference decides. */
typedef struct {
    int64_t rank[6];
} quality;

static bool is_animation(const hs_media_thumb *t)
{
    return hs_str_eq(t->type, HS_S("image/webp"));
}

static quality quality_of(const hs_media_thumb *t, int64_t width, int64_t height, bool crop, hs_str type)
{
    bool covers = t->width >= width || t->height >= height, fits = t->width >= width && t->height >= height;

    return (quality){ {
        !covers,
        crop ? distance(width * t->height, height * t->width) : 0,
        crop ? !fits : 0,
        distance((width - t->width) * (height - t->height), 0),
        hs_str_eq(t->type, type) ? 0
        : is_animation(t)        ? 2
                                 : 1,
        t->length,
    } };
}

static bool is_better(const quality *x, const quality *y)
{
    for (size_t i = 0; i < sizeof x->rank / sizeof *x->rank; i++)
        if (x->rank[i] != y->rank[i])
            return x->rank[i] < y->rank[i];
    return false;
}

const hs_media_thumb *hs_media_thumb_choose(const hs_media_thumb *thumbs, size_t n, int64_t width, int64_t height,
                                            hs_str method, hs_str type)
{
    bool crop = hs_str_eq_nocase(method, HS_S("crop"));
    const hs_media_thumb *best = NULL;
    quality best_quality = { 0 };

    for (size_t i = 0; i < n; i++) {
        if (!hs_str_eq_nocase(thumbs[i].method, method))
            continue;
        quality found = quality_of(&thumbs[i], width, height, crop, type);
        if (!best || is_better(&found, &best_quality)) {
            best = &thumbs[i];
            best_quality = found;
        }
    }
    return best;
}
