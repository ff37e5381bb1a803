/* Tokens of /sync: written as ours, read as ours and as Synapse's. */
#include "server/sync.h"

enum { SYNAPSE_TO_DEVICE = 6 }; /* which field after the room's part */

static hs_error *bad_token(hs_arena *a)
{
    return hs_err(a, 400, HS_M_UNKNOWN, "Invalid stream token");
}

static bool read_number(hs_str s, int64_t *ret)
{
    return s.n && s.p[0] != '-' && hs_str_to_i64(s, ret);
}

/* The room part of a Synapse token: "s58", "t426-58", "m56~2.58~3.59" (several writers: the least is right for all). */
static bool read_synapse_room(hs_str s, int64_t *ret)
{
    hs_str rest;

    if (s.n < 2)
        return false;
    rest = hs_str_from(s, 1);
    switch (s.p[0]) {
    case 's':
        return read_number(rest, ret);
    case 't': {
        size_t dash = hs_str_find(rest, '-', 0);
        int64_t depth;

        return dash < rest.n && read_number(hs_str_first(rest, dash), &depth) &&
               read_number(hs_str_from(rest, dash + 1), ret);
    }
    case 'm':
        return read_number(hs_str_split(&rest, '~'), ret);
    default:
        return false;
    }
}

/* Ours: h<pos>_<boot>.<serial>, then _<to-device> where it is not pos, or _<to-device>_<sticky> where that is not */
static bool read_ours(hs_str s, hs_sync_token *ret)
{
    hs_str rest = hs_str_from(s, 1);
    hs_str pos = hs_str_split(&rest, '_');
    hs_str boot, serial;
    int64_t p, b, n, d, sticky;

    if (!rest.p)
        return false;
    boot = hs_str_split(&rest, '.');
    if (!rest.p)
        return false;
    serial = hs_str_split(&rest, '_');
    if (!read_number(pos, &p) || !read_number(boot, &b) || !read_number(serial, &n))
        return false;
    d = sticky = p;
    if (rest.p && !read_number(hs_str_split(&rest, '_'), &d))
        return false;
    if (rest.p && !read_number(rest, &sticky))
        return false;
    *ret = (hs_sync_token){ p, (uint64_t)b, (uint64_t)n, d, sticky };
    return true;
}

hs_error *hs_sync_token_read(hs_arena *a, hs_str s, hs_sync_token *ret)
{
    hs_str rest = s, first;
    int64_t pos, to_device;
    size_t fields = 0;

    if (s.n > 255 || !s.n)
        return bad_token(a);
    if (s.p[0] == 'h')
        return read_ours(s, ret) ? NULL : bad_token(a);
    first = hs_str_split(&rest, '_');
    if (!read_synapse_room(first, &pos))
        return bad_token(a);
    to_device = pos;
    while (rest.p && fields < 14) {
        hs_str field = hs_str_split(&rest, '_');
        int64_t n;

        fields++;
        if (!read_number(field, &n) && !(field.n && field.p[0] == 'm'))
            return bad_token(a);
        if (fields == SYNAPSE_TO_DEVICE && field.p[0] != 'm')
            to_device = n;
    }
    if (rest.p)
        return bad_token(a);
    *ret = (hs_sync_token){ .pos = pos, .to_device = to_device, .sticky = pos };
    return NULL;
}

hs_error *hs_sync_token_write(hs_arena *a, const hs_sync_token *t, hs_str *ret)
{
    if (t->sticky != t->pos)
        return hs_str_fmt(a, ret, "h%lld_%llu.%llu_%lld_%lld", (long long)t->pos, (unsigned long long)t->boot,
                          (unsigned long long)t->serial, (long long)t->to_device, (long long)t->sticky);
    if (t->to_device != t->pos)
        return hs_str_fmt(a, ret, "h%lld_%llu.%llu_%lld", (long long)t->pos, (unsigned long long)t->boot,
                          (unsigned long long)t->serial, (long long)t->to_device);
    return hs_str_fmt(a, ret, "h%lld_%llu.%llu", (long long)t->pos, (unsigned long long)t->boot,
                      (unsigned long long)t->serial);
}
