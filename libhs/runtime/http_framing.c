/* See http_framing.h. Request smuggling lives on heads that are almost right; none of them is worth serving. */
#include "runtime/http_framing.h"

size_t hs_framing_head_len(hs_str bytes)
{
    size_t at = 0;

    /* An empty line before the request is left by some clients behind a body. */
    while (at < bytes.n && (bytes.p[at] == '\r' || bytes.p[at] == '\n'))
        at++;
    for (;;) {
        at = hs_str_find(bytes, '\n', at);
        if (at >= bytes.n)
            return 0;
        at++;
        if (at < bytes.n && bytes.p[at] == '\n')
            return at + 1;
        if (at + 1 < bytes.n && bytes.p[at] == '\r' && bytes.p[at + 1] == '\n')
            return at + 2;
    }
}

static bool is_token_char(char c)
{
    static const char OTHERS[] = "!#$%&'*+-.^_`|~";

    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(OTHERS, c));
}

static bool is_token(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char(s.p[i]))
            return false;
    return s.n != 0;
}

static bool is_value(hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_length(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n != 0 && s.n <= 18;
}

typedef struct {
    unsigned lengths, encodings, hosts;
} counts;

static const char *check_header(hs_str line, counts *c)
{
    size_t colon = hs_str_find(line, ':', 0);
    hs_str name = hs_str_first(line, colon), value = hs_str_trim(hs_str_from(line, colon + 1));

    if (line.p[0] == ' ' || line.p[0] == '\t')
        return "folded header line";
    if (colon == line.n || !is_token(name))
        return "bad header name";
    if (!is_value(hs_str_from(line, colon + 1)))
        return "control character in a header";
    if (hs_str_eq_nocase(name, HS_S("content-length"))) {
        c->lengths++;
        if (!is_length(value))
            return "bad Content-Length";
    } else if (hs_str_eq_nocase(name, HS_S("transfer-encoding"))) {
        c->encodings++;
        if (!hs_str_eq_nocase(value, HS_S("chunked")))
            return "bad Transfer-Encoding";
    } else if (hs_str_eq_nocase(name, HS_S("host"))) {
        c->hosts++;
    }
    return NULL;
}

/* "METHOD target HTTP/1.x" with single blanks. */
static const char *check_request_line(hs_str line)
{
    hs_str rest = line;
    hs_str method = hs_str_split(&rest, ' '), target = hs_str_split(&rest, ' ');

    if (!is_token(method) || !target.n || (!hs_str_eq(rest, HS_S("HTTP/1.1")) && !hs_str_eq(rest, HS_S("HTTP/1.0"))))
        return "bad request line";
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.p[i] <= 0x20 || target.p[i] == 0x7f)
            return "bad request target";
    return NULL;
}

const char *hs_framing_check(hs_str head, hs_framing *ret)
{
    counts c = { 0 };
    const char *wrong;
    bool first = true;

    if (hs_str_starts(head, HS_S("\r\n")))
        head = hs_str_from(head, 2);
    while (head.n) {
        size_t end = hs_str_find(head, '\n', 0);
        if (end == head.n || end == 0 || head.p[end - 1] != '\r')
            return "line without CRLF";
        hs_str line = hs_str_first(head, end - 1);
        head = hs_str_from(head, end + 1);
        if (!line.n && !first)
            break;
        wrong = first ? check_request_line(line) : check_header(line, &c);
        if (wrong)
            return wrong;
        first = false;
    }
    if (c.lengths > 1 || c.encodings > 1 || (c.lengths && c.encodings))
        return "ambiguous body length";
    if (c.hosts > 1)
        return "several Host headers";
    *ret = (hs_framing){ .chunked = c.encodings != 0, .has_length = c.lengths != 0 };
    return NULL;
}
