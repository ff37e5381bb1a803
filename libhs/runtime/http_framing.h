/* What h2o 2.2 accepts and a careful server must not: request heads that two programs in a row may read differently. */
#ifndef HS_RUNTIME_HTTP_FRAMING_H
#define HS_RUNTIME_HTTP_FRAMING_H

#include <hs/str.h>

typedef struct {
    bool chunked;
    bool has_length;
} hs_framing;

/* Length of the head at the start of `bytes`, its empty line included; 0 when there is no end of it. */
size_t hs_framing_head_len(hs_str bytes);
/* Checks the raw head (request line to empty line). NULL when it is sound, else what is wrong with it, in a few words:
 * lines that do not end in CRLF, folded lines, NUL, several or bad Content-Length, Transfer-Encoding or Host, both
 * lengths at once, blanks before a colon. */
const char *hs_framing_check(hs_str head, hs_framing *ret);

#endif
