/* Decimal digits, where printf would take too long. */
#ifndef HS_BASE_INT_TEXT_H
#define HS_BASE_INT_TEXT_H

#include <hs/str.h>

enum { HS_INT_TEXT = 21 };

/* v in HS_INT_TEXT bytes of room, with a NUL behind it. */
static inline hs_str hs_int_text(int64_t v, char *room)
{
    char *at = room + HS_INT_TEXT - 1;
    uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;

    *at = 0;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (v < 0)
        *--at = '-';
    return hs_str_make(at, (size_t)(room + HS_INT_TEXT - 1 - at));
}

#endif
