/* See ids.h. */
#include "core/ids.h"

/* Splits "<sigil>local:server"; the first colon ends the local part. */
static bool split_id(hs_str s, char sigil, hs_id *ret)
{
    size_t colon;

    if (s.n < 2 || s.n > HS_ID_MAX || s.p[0] != sigil || memchr(s.p, 0, s.n) || !hs_str_is_utf8(s))
        return false;
    colon = hs_str_find(s, ':', 1);
    *ret = (hs_id){
        .id = s,
        .local = hs_str_make(s.p + 1, colon - 1),
        .server = colon < s.n ? hs_str_from(s, colon + 1) : hs_str_make(s.p + s.n, 0),
    };
    return true;
}

static bool with_server(hs_str s, char sigil, hs_id *ret)
{
    hs_id id;

    if (!split_id(s, sigil, &id) || !hs_server_name_is_valid(id.server))
        return false;
    *ret = id;
    return true;
}

bool hs_user_id_parse(hs_str s, hs_id *ret)
{
    hs_id id;

    if (!with_server(s, '@', &id))
        return false;
    *ret = id;
    return true;
}

bool hs_localpart_is_strict(hs_str local)
{
    for (size_t i = 0; i < local.n; i++) {
        char c = local.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("._=-/+", c));
        if (!ok)
            return false;
    }
    return local.n > 0;
}

/* 43 characters of URL-safe base64: a SHA-256. */
static bool is_hash(hs_str s)
{
    if (s.n != 43)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!ok)
            return false;
    }
    return true;
}

bool hs_room_id_parse(hs_str s, hs_id *ret)
{
    hs_id id;

    if (!split_id(s, '!', &id))
        return false;
    if (id.local.n + 1 == s.n ? !is_hash(id.local) : !hs_server_name_is_valid(id.server))
        return false;
    *ret = id;
    return true;
}

bool hs_alias_parse(hs_str s, hs_id *ret)
{
    hs_id id;

    if (!with_server(s, '#', &id) || !id.local.n)
        return false;
    *ret = id;
    return true;
}

bool hs_event_id_parse(hs_str s, hs_id *ret)
{
    hs_id id;

    if (!split_id(s, '$', &id) || !id.local.n)
        return false;
    if (id.local.n + 1 != s.n && !hs_server_name_is_valid(id.server))
        return false;
    *ret = id;
    return true;
}

static bool is_port(hs_str s)
{
    int64_t port;
    return s.n >= 1 && s.n <= 5 && s.p[0] != '-' && hs_str_to_i64(s, &port) && port > 0 && port < 65536;
}

static bool is_ipv6_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

static bool is_host_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.';
}

bool hs_server_name_is_valid(hs_str s)
{
    size_t end;

    if (!s.n || s.n > 230)
        return false;
    if (s.p[0] == '[') {
        end = hs_str_find(s, ']', 1);
        if (end == s.n || end < 3 || end > 46)
            return false;
        for (size_t i = 1; i < end; i++)
            if (!is_ipv6_char(s.p[i]))
                return false;
        end++;
    } else {
        end = hs_str_find(s, ':', 0);
        if (!end)
            return false;
        for (size_t i = 0; i < end; i++)
            if (!is_host_char(s.p[i]))
                return false;
    }
    return end == s.n || (s.p[end] == ':' && is_port(hs_str_from(s, end + 1)));
}

bool hs_mxc_parse(hs_str s, hs_str *server, hs_str *media_id)
{
    hs_str rest = hs_str_from(s, 6);
    hs_str host;

    if (!hs_str_starts(s, HS_S("mxc://")))
        return false;
    host = hs_str_split(&rest, '/');
    if (!hs_server_name_is_valid(host) || !rest.n || rest.n > HS_ID_MAX)
        return false;
    for (size_t i = 0; i < rest.n; i++)
        if (!is_host_char(rest.p[i]) && rest.p[i] != '_')
            return false;
    *server = host;
    *media_id = rest;
    return true;
}
