/* See buf.h. */
#include "base/buf.h"

#include "base/checked.h"

/* Below this, copying costs less than one more piece in the writev. */
#define SPLICE_MIN 512u
#define TAIL_MIN   512u

void hs_buf_init(hs_buf *b, hs_arena *a)
{
    *b = (hs_buf){ .a = a };
}

static bool push_piece(hs_buf *b, hs_str s)
{
    if (b->pieces_n == b->pieces_cap) {
        size_t cap = b->pieces_cap ? b->pieces_cap * 2 : 8;
        hs_str *grown;
        if (hs_alloc(b->a, cap, &grown))
            return false;
        if (b->pieces_n)
            memcpy(grown, b->pieces, b->pieces_n * sizeof *grown);
        b->pieces = grown;
        b->pieces_cap = cap;
    }
    b->pieces[b->pieces_n++] = s;
    return true;
}

static bool close_tail(hs_buf *b)
{
    if (!b->tail_n)
        return true;
    if (!push_piece(b, hs_str_make(b->tail, b->tail_n)))
        return false;
    b->tail += b->tail_n;
    b->tail_cap -= b->tail_n;
    b->tail_n = 0;
    return true;
}

void hs_buf_add(hs_buf *b, hs_str s)
{
    if (b->failed || !s.n)
        return;
    if (s.n > b->tail_cap - b->tail_n) {
        size_t cap = b->total < TAIL_MIN ? TAIL_MIN : b->total;
        if (cap > HS_KIB(64))
            cap = HS_KIB(64);
        if (cap < s.n)
            cap = s.n;
        char *tail = close_tail(b) ? hs_arena_alloc(b->a, cap) : NULL;
        if (!tail) {
            b->failed = true;
            return;
        }
        b->tail = tail;
        b->tail_cap = cap;
    }
    memcpy(b->tail + b->tail_n, s.p, s.n);
    b->tail_n += s.n;
    b->total += s.n;
}

void hs_buf_addc(hs_buf *b, char c)
{
    if (!b->failed && b->tail_n < b->tail_cap) {
        b->tail[b->tail_n++] = c;
        b->total++;
    } else {
        hs_buf_add(b, hs_str_make(&c, 1));
    }
}

void hs_buf_splice(hs_buf *b, hs_str s)
{
    if (s.n < SPLICE_MIN) {
        hs_buf_add(b, s);
    } else if (!b->failed) {
        b->failed = !close_tail(b) || !push_piece(b, s);
        b->total += s.n;
    }
}

hs_error *hs_buf_done(hs_buf *b, hs_str **ret_pieces, size_t *ret_n)
{
    if (b->failed || !close_tail(b))
        return HS_ERR_NOMEM;

    *ret_pieces = b->pieces;
    *ret_n = b->pieces_n;
    return NULL;
}

hs_error *hs_buf_flatten(hs_buf *b, hs_str *ret)
{
    hs_str *pieces;
    size_t n;
    char *p;

    HS_TRY(hs_buf_done(b, &pieces, &n));
    if (n <= 1) {
        *ret = n ? pieces[0] : hs_str_make("", 0);
        return NULL;
    }
    HS_TRY(hs_alloc(b->a, b->total + 1, &p));
    *ret = hs_str_make(p, b->total);
    for (size_t i = 0; i < n; i++) {
        memcpy(p, pieces[i].p, pieces[i].n);
        p += pieces[i].n;
    }
    return NULL;
}
