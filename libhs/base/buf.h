/* A growing output buffer in an arena, made of pieces: bytes that were copied in, and references to bytes that somebody
 * else keeps alive (a blob held by the same arena, a literal). A long stored event is referenced, not copied. */
#ifndef HS_BASE_BUF_H
#define HS_BASE_BUF_H

#include <hs/arena.h>

typedef struct {
    hs_arena *a;
    hs_str *pieces; /* finished ones */
    size_t pieces_n, pieces_cap;
    char *tail; /* the copied bytes that still grow */
    size_t tail_n, tail_cap;
    size_t total; /* bytes in all pieces and the tail */
    bool failed;  /* out of memory once: everything after is ignored, hs_buf_done reports it */
} hs_buf;

void hs_buf_init(hs_buf *b, hs_arena *a);
/* Appending never fails visibly; hs_buf_done and hs_buf_flatten say whether all went in. */
void hs_buf_add(hs_buf *b, hs_str s);
void hs_buf_addc(hs_buf *b, char c);
/* References s when it is long, copies it when short; s must live as long as the arena. */
void hs_buf_splice(hs_buf *b, hs_str s);
/* All pieces, in order. */
HS_NODISCARD hs_error *hs_buf_done(hs_buf *b, hs_str **ret_pieces, size_t *ret_n);
/* One contiguous slice. */
HS_NODISCARD hs_error *hs_buf_flatten(hs_buf *b, hs_str *ret);

#endif
