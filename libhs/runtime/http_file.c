/* Answers from files: one piece at a time, the next when the kernel has taken the last. What is in the page cache is
 * read on the loop; what would have to be waited for, by a fiber through the thread pool. While a piece is being read
 * h2o has nothing to do with the request, so it cannot end under that fiber. */
#include "runtime/http_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE    HS_KIB(128)
#define RETRY_MS 20

struct hs_file_out {
    hs_parked *x;
    int fd;
    int64_t at;
    uint64_t left; /* not yet read */
    size_t given, sent;
    size_t got; /* bytes in buf */
    int failed; /* errno of a read; -1: the file is shorter than was promised */
    bool ready; /* a fiber has filled buf, or failed */
    size_t cap;
    char buf[];
};

hs_error *hs_http_file_open(hs_parked *x)
{
    hs_res *r = x->r;
    uint64_t n = (uint64_t)r->file_n;
    size_t cap = n < PIECE ? (size_t)n : PIECE;
    struct hs_file_out *f = malloc(sizeof *f + cap);

    if (!f)
        return HS_ERR_NOMEM; /* the descriptor is still r's */
    *f = (struct hs_file_out){ .x = x, .fd = r->file_fd, .at = r->file_at, .left = n, .cap = cap };
    r->has_file = false;
    x->file = f;
    return NULL;
}

void hs_http_file_close(hs_parked *x)
{
    struct hs_file_out *f = x->file;

    if (!f)
        return;
    close(f->fd);
    free(f);
    x->file = NULL;
}

size_t hs_http_file_sent(const hs_parked *x)
{
    return x->file ? x->file->sent : 0;
}

/* On any thread. */
static void read_piece(struct hs_file_out *f, int flags)
{
    struct iovec v = { f->buf, f->left < f->cap ? (size_t)f->left : f->cap };
    ssize_t n;

    do
        n = preadv2(f->fd, &v, 1, f->at, flags);
    while (n < 0 && errno == EINTR);
    f->failed = n < 0 ? errno : n == 0 ? -1 : 0;
    f->got = n > 0 ? (size_t)n : 0;
}

static void read_in_pool(void *ud)
{
    read_piece(ud, 0);
}

static void read_on_fiber(void *ud)
{
    struct hs_file_out *f = ud;
    hs_parked *x = f->x;

    while (hs_offload(x->http->loop, x->a, read_in_pool, f))
        hs_fiber_sleep(x->http->loop, RETRY_MS); /* the pool is full; the client can wait */
    f->ready = true;
    hs_http_done(x);
}

static void send_piece(struct hs_file_out *f)
{
    hs_parked *x = f->x;
    h2o_iovec_t v = { f->buf, f->got };

    if (f->failed) {
        hs_log(x->http->o.log, HS_LOG_ERROR, "http.file", "%s",
               f->failed < 0 ? "a file is shorter than it should be" : strerror(f->failed));
        h2o_send(x->req, NULL, 0, H2O_SEND_STATE_ERROR);
        return;
    }
    f->at += (int64_t)f->got;
    f->left -= f->got;
    f->given += f->got;
    h2o_send(x->req, &v, 1, f->left ? H2O_SEND_STATE_IN_PROGRESS : H2O_SEND_STATE_FINAL);
}

static void next_piece(struct hs_file_out *f)
{
    read_piece(f, RWF_NOWAIT);
    if (f->failed == EAGAIN || f->failed == EOPNOTSUPP || f->failed == EINVAL) {
        f->failed = 0;
        if (!hs_fiber_spawn(f->x->http->loop, read_on_fiber, f))
            return;
        f->failed = ENOMEM;
    }
    send_piece(f);
}

static void proceed(h2o_generator_t *g, h2o_req_t *req)
{
    hs_parked *x = H2O_STRUCT_FROM_MEMBER(hs_parked, generator, g);

    (void)req;
    x->file->sent = x->file->given;
    next_piece(x->file);
}

void hs_http_file_start(hs_parked *x)
{
    x->generator = (h2o_generator_t){ .proceed = proceed };
    h2o_start_response(x->req, &x->generator);
    next_piece(x->file);
}

void hs_http_file_go_on(hs_parked *x)
{
    if (x->file->ready) {
        x->file->ready = false;
        send_piece(x->file);
    }
}
