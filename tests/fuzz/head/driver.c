/* Request heads: one that is found sound has no other reading. */
#include "runtime/http_framing.h"

#include "fuzz/fuzz.h"

static size_t count(hs_str s, const char *what)
{
    size_t n = 0, len = strlen(what);

    for (size_t i = 0; i + len <= s.n; i++)
        n += hs_str_eq_nocase(hs_str_make(s.p + i, len), hs_str_make(what, len));
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    hs_arena *a = fresh_arena();
    hs_str bytes = exactly(a, data, n);
    size_t len = hs_framing_head_len(bytes);
    hs_framing f = { 0 };

    must(len <= n);
    hs_str head = len ? hs_str_first(bytes, len) : bytes;
    if (hs_framing_check(head, &f))
        return 0;
    must(!memchr(head.p, 0, head.n));
    must(count(head, "\ncontent-length:") <= 1 && count(head, "\ntransfer-encoding:") <= 1);
    must(!(f.chunked && f.has_length));
    must(count(head, "\r\n ") == 0 && count(head, "\r\n\t") == 0);
    must(count(head, "\n") == count(head, "\r\n"));
    return 0;
}
