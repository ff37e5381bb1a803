/* Headers of media answers from what a stranger stored and asks: the first byte chooses. What is made has no control
 * character and no unescaped byte; a range lies within the file. */
#include "workers/media/headers.h"

#include "fuzz/fuzz.h"

static void check_header(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        must(s.p[i] >= 0x20 && s.p[i] < 0x7f);
}

static void disposition(hs_arena *a, hs_str in)
{
    hs_str type = hs_str_split(&in, '\n'), header, name, again;

    must(!hs_media_disposition(a, type, in, &header));
    check_header(header);
    must(hs_str_starts(header, HS_S("inline")) || hs_str_starts(header, HS_S("attachment")));
    must(!hs_media_file_name(a, in, &name));
    must(name.n <= 255 && hs_str_is_utf8(name) && hs_str_find(name, '/', 0) == name.n);
    must(!hs_media_file_name(a, name, &again) && hs_str_eq(name, again));
    must(!hs_media_content_type(a, type, &header));
    check_header(header);
    must(header.n > 0);
}

static void range(hs_str in)
{
    static const int64_t SIZES[] = { 0, 1, 10, INT64_MAX };

    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        int64_t at = -1, n = -1;
        if (hs_media_range(in, SIZES[i], &at, &n) == HS_RANGE_PART)
            must(at >= 0 && n > 0 && n <= SIZES[i] && at <= SIZES[i] - n);
        else
            must(at == -1 && n == -1);
    }
    (void)hs_media_has_etag(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hs_arena *a = hs_arena_open(1 << 20);
    hs_str in = hs_str_make((const char *)data, size);

    if (size && data[0] == 'r')
        range(hs_str_from(in, 1));
    else if (size)
        disposition(a, hs_str_from(in, 1));
    hs_arena_close(a);
    return 0;
}
