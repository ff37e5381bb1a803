/* Identifiers: what parses is made of its parts, holds no NUL, and is UTF-8 of at most 255 bytes. */
#include "core/ids.h"

#include "fuzz/fuzz.h"

typedef bool parser(hs_str s, hs_id *ret);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static parser *const PARSERS[] = { hs_user_id_parse, hs_room_id_parse, hs_alias_parse, hs_event_id_parse };
    hs_arena *a = fresh_arena();
    hs_str s = exactly(a, data, n), server, media;

    for (size_t i = 0; i < sizeof PARSERS / sizeof *PARSERS; i++) {
        hs_id id;
        hs_str whole;
        if (!PARSERS[i](s, &id))
            continue;
        must(s.n <= HS_ID_MAX && hs_str_is_utf8(s) && !memchr(s.p, 0, s.n) && hs_str_eq(id.id, s));
        must(s.p[0] == "@!#$"[i] && hs_str_find(id.local, ':', 0) == id.local.n);
        must(!hs_str_cat(a, &whole, 4, hs_str_first(s, 1), id.local, id.server.n ? HS_S(":") : HS_S(""), id.server));
        must(hs_str_eq(whole, s));
        must(id.server.n ? hs_server_name_is_valid(id.server) : i == 1 || i == 3);
    }
    if (hs_mxc_parse(s, &server, &media))
        must(hs_server_name_is_valid(server) && server.n + media.n + 7 == s.n && !memchr(media.p, '/', media.n));
    if (hs_server_name_is_valid(s))
        must(s.n <= 230 && !strchr(":/?#@", s.p[0]));
    (void)hs_localpart_is_strict(s);
    return 0;
}
