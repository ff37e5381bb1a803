/* See headers.h. */
#include "workers/media/headers.h"

#include "base/buf.h"

#define MAX_NAME 255
#define MAX_TYPE 255

/* Synapse's list, which is element-web's; SVG is missing on purpose. */
static const char *const INLINE_TYPES[] = {
    "text/css",   "text/plain",   "text/csv",        "application/json", "application/ld+json", "image/jpeg",
    "image/gif",  "image/png",    "image/apng",      "image/webp",       "image/avif",          "video/mp4",
    "video/webm", "video/ogg",    "video/quicktime", "audio/mp4",        "audio/webm",          "audio/aac",
    "audio/mpeg", "audio/ogg",    "audio/wave",      "audio/wav",        "audio/x-wav",         "audio/x-pn-wav",
    "audio/flac", "audio/x-flac",
};

static const char *const TEXT_TYPES[] = {
    "text/css",        "text/csv",        "text/html",        "text/calendar",
    "text/plain",      "text/javascript", "application/json", "application/ld+json",
    "application/rtf", "image/svg+xml",   "text/xml",
};

static bool is_in(hs_str type, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (hs_str_eq_nocase(type, hs_str_c(list[i])))
            return true;
    return false;
}

bool hs_media_is_inline(hs_str type)
{
    return is_in(hs_str_first(type, hs_str_find(type, ';', 0)), INLINE_TYPES,
                 sizeof INLINE_TYPES / sizeof *INLINE_TYPES);
}

hs_error *hs_media_content_type(hs_arena *a, hs_str type, hs_str *ret)
{
    bool ok = type.n > 0 && type.n <= MAX_TYPE;

    for (size_t i = 0; ok && i < type.n; i++)
        ok = type.p[i] >= 0x20 && type.p[i] < 0x7f;
    if (!ok)
        type = HS_S("application/octet-stream");
    if (is_in(type, TEXT_TYPES, sizeof TEXT_TYPES / sizeof *TEXT_TYPES))
        return hs_str_cat(a, ret, 2, type, HS_S("; charset=UTF-8"));
    *ret = type;
    return NULL;
}

/* ── the file name ── */

/* Bytes of the character at `at`; the text is UTF-8. */
static size_t char_len(hs_str s, size_t at)
{
    unsigned char c = (unsigned char)s.p[at];

    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static uint32_t code_point(hs_str s, size_t at, size_t n)
{
    static const unsigned char FIRST[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t c = (unsigned char)s.p[at] & FIRST[n];

    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s.p[at + i] & 0x3fu);
    return c;
}

/* What nobody sees and what turns the text around it: a name must not pretend to be another. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

hs_error *hs_media_file_name(hs_arena *a, hs_str name, hs_str *ret)
{
    size_t n = 0;
    char *out;

    *ret = HS_S("");
    if (!hs_str_is_utf8(name))
        return NULL;
    HS_TRY(hs_alloc(a, name.n, &out));
    for (size_t at = 0, len; at < name.n; at += len) {
        len = char_len(name, at);
        if (n + len > MAX_NAME)
            break;
        if (is_hidden(code_point(name, at, len)))
            continue;
        memcpy(out + n, name.p + at, len);
        if (out[n] == '/' || out[n] == '\\')
            out[n] = '_';
        n += len;
    }
    hs_str made = hs_str_trim(hs_str_make(out, n));
    if (!hs_str_eq(made, HS_S(".")) && !hs_str_eq(made, HS_S("..")))
        *ret = made;
    return NULL;
}

/* RFC 2616's token. */
static bool is_token(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", s.p[i]))
            return false;
    return true;
}

/* What stands for itself in percent encoding; all of it is allowed by RFC 5987 too. */
static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.-~", c));
}

hs_error *hs_media_disposition(hs_arena *a, hs_str type, hs_str name, hs_str *ret)
{
    static const char HEX[] = "0123456789ABCDEF";
    hs_buf b;

    HS_TRY(hs_media_file_name(a, name, &name));
    hs_buf_init(&b, a);
    hs_buf_add(&b, hs_media_is_inline(type) ? HS_S("inline") : HS_S("attachment"));
    if (name.n && is_token(name)) {
        hs_buf_add(&b, HS_S("; filename="));
        hs_buf_add(&b, name);
    } else if (name.n) {
        hs_buf_add(&b, HS_S("; filename*=utf-8''"));
        for (size_t i = 0; i < name.n; i++) {
            if (is_plain(name.p[i])) {
                hs_buf_addc(&b, name.p[i]);
                continue;
            }
            hs_buf_addc(&b, '%');
            hs_buf_addc(&b, HEX[(unsigned char)name.p[i] >> 4]);
            hs_buf_addc(&b, HEX[name.p[i] & 15]);
        }
    }
    return hs_buf_flatten(&b, ret);
}

/* ── what is asked for ── */

static bool is_number(hs_str s, int64_t *ret)
{
    return s.n && s.p[0] != '-' && hs_str_to_i64(s, ret);
}

hs_range hs_media_range(hs_str header, int64_t size, int64_t *ret_at, int64_t *ret_n)
{
    static const hs_str UNIT = HS_S_INIT("bytes=");
    hs_str to = hs_str_trim(hs_str_from(header, UNIT.n)), from;
    int64_t first, last = INT64_MAX;

    if (!hs_str_eq_nocase(hs_str_first(header, UNIT.n), UNIT) || hs_str_find(to, ',', 0) < to.n)
        return HS_RANGE_ALL;
    from = hs_str_trim(hs_str_split(&to, '-'));
    if (!to.p)
        return HS_RANGE_ALL;
    to = hs_str_trim(to);
    if (!from.n) { /* the last so many */
        if (!is_number(to, &last))
            return HS_RANGE_ALL;
        if (last == 0 || size == 0)
            return HS_RANGE_BAD;
        *ret_n = last < size ? last : size;
        *ret_at = size - *ret_n;
        return HS_RANGE_PART;
    }
    if (!is_number(from, &first) || (to.n && !is_number(to, &last)) || last < first)
        return HS_RANGE_ALL;
    if (first >= size)
        return HS_RANGE_BAD;
    *ret_at = first;
    *ret_n = (last < size - 1 ? last : size - 1) - first + 1;
    return HS_RANGE_PART;
}

/* Proxies put quotes or W/ around it. */
bool hs_media_has_etag(hs_str if_none_match)
{
    while (if_none_match.p) {
        hs_str tag = hs_str_trim(hs_str_split(&if_none_match, ','));
        if (hs_str_starts(tag, HS_S("W/")))
            tag = hs_str_from(tag, 2);
        if (hs_str_eq(tag, HS_S("1")) || hs_str_eq(tag, HS_S("\"1\"")) || hs_str_eq(tag, HS_S("*")))
            return true;
    }
    return false;
}
