/* See threepids.h. */
#include "server/threepids.h"

#define ADDRESS_MAX 500

static hs_error *canonical_email(hs_arena *a, hs_str address, hs_str *ret)
{
    hs_str s = hs_str_trim(address);
    size_t at = hs_str_find(s, '@', 0);
    char *out;

    if (at == s.n || hs_str_find(s, '@', at + 1) != s.n || s.n > ADDRESS_MAX)
        return hs_err(a, 400, HS_M_UNKNOWN, "Unable to parse email address");
    HS_TRY(hs_alloc(a, s.n, &out));
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
    *ret = hs_str_make(out, s.n);
    return NULL;
}

/* Digits, and what people put between them. The national form would need every country's numbering plan. */
static hs_error *canonical_phone(hs_arena *a, hs_str address, hs_str *ret)
{
    size_t n = 0;
    char *out;

    HS_TRY(hs_alloc(a, address.n + 1, &out));
    for (size_t i = 0; i < address.n; i++) {
        char c = address.p[i];
        if (c >= '0' && c <= '9')
            out[n++] = c;
        else if (!strchr("+ -()./", c) || !c)
            return hs_err(a, 400, HS_M_INVALID_PARAM, "Unable to parse phone number");
    }
    if (n < 3 || n > 32)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Unable to parse phone number");
    *ret = hs_str_make(out, n);
    return NULL;
}

hs_error *hs_threepid_canonical(hs_arena *a, hs_str medium, hs_str address, hs_str *ret)
{
    if (address.n > HS_ADDRESS_MAX)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "An address has at most %d bytes", HS_ADDRESS_MAX);
    if (hs_str_eq(medium, HS_S("email")))
        return canonical_email(a, address, ret);
    if (hs_str_eq(medium, HS_S("msisdn")))
        return canonical_phone(a, address, ret);
    *ret = address;
    return NULL;
}

hs_error *hs_threepids_list(hs_server *srv, hs_arena *a, const hs_session *who, hs_threepid_row **ret, size_t *ret_n)
{
    return hs_store_threepids_list(srv->db, a, who->user, ret, ret_n);
}

hs_error *hs_threepid_check_changes(const hs_server *srv, hs_arena *a)
{
    return srv->config->enable_3pid_changes
               ? NULL
               : hs_err(a, 400, HS_M_FORBIDDEN, "3PID changes are disabled on this server");
}

hs_error *hs_threepid_remove(hs_server *srv, hs_arena *a, const hs_session *who, hs_str medium, hs_str address)
{
    hs_str canonical;

    HS_TRY(hs_threepid_check_changes(srv, a));
    if (!hs_str_eq(medium, HS_S("email")) && !hs_str_eq(medium, HS_S("msisdn")))
        return hs_err(a, 400, HS_M_BAD_JSON, "medium must be email or msisdn");
    HS_TRY(hs_threepid_canonical(a, medium, address, &canonical));
    return memchr(canonical.p, 0, canonical.n) ? NULL
                                               : hs_store_threepid_remove(srv->db, a, who->user, medium, canonical);
}
