/* See roles.h. */
#include "workers/roles.h"

#include "workers/background/role.h"
#include "workers/client/role.h"
#include "workers/federation/role.h"
#include "workers/media/role.h"

#include "base/buf.h"

const hs_role *const hs_roles[] = { &hs_role_client, &hs_role_federation, &hs_role_media, &hs_role_background, NULL };

hs_error *hs_roles_parse(hs_arena *a, hs_str names, unsigned *ret)
{
    unsigned roles = 0;

    while (names.p) {
        hs_str name = hs_str_split(&names, ',');
        const hs_role *const *r = hs_roles;
        while (*r && !hs_str_eq(name, hs_str_c((*r)->name)))
            r++;
        if (!*r)
            return hs_err(a, 500, HS_M_UNKNOWN,
                          "there is no role '%.*s': roles are client, federation, media and background", HS_FMT(name));
        roles |= (*r)->bit;
    }
    *ret = roles;
    return NULL;
}

hs_error *hs_roles_names(hs_arena *a, unsigned roles, hs_str *ret)
{
    hs_buf b;

    hs_buf_init(&b, a);
    for (const hs_role *const *r = hs_roles; *r; r++) {
        if (!(roles & (*r)->bit))
            continue;
        if (b.total)
            hs_buf_addc(&b, ',');
        hs_buf_add(&b, hs_str_c((*r)->name));
    }
    return hs_buf_flatten(&b, ret);
}

/* As Synapse's main process has it: media go with client and with federation. */
static const struct {
    const char *resource;
    const char *groups[6]; /* up to NULL */
} RESOURCES[] = {
    { "client", { "client", "well-known", "media", "static", "health" } },
    { "consent", { "consent", "health" } },
    { "federation", { "federation", "keys", "openid", "well-known", "media", "health" } },
    { "health", { "health" } },
    { "keys", { "keys", "health" } },
    { "media", { "media", "health" } },
    { "metrics", { "metrics", "health" } },
    { "openid", { "openid", "health" } },
    { "static", { "static", "health" } },
};

size_t hs_resource_groups(hs_str resource, const char *ret[HS_RESOURCE_GROUPS])
{
    for (size_t i = 0; i < sizeof RESOURCES / sizeof *RESOURCES; i++) {
        if (!hs_str_eq(resource, hs_str_c(RESOURCES[i].resource)))
            continue;
        size_t n = 0;
        while (n < HS_RESOURCE_GROUPS && RESOURCES[i].groups[n]) {
            ret[n] = RESOURCES[i].groups[n];
            n++;
        }
        return n;
    }
    return 0;
}

bool hs_roles_serve(unsigned roles, hs_str resource)
{
    static const struct {
        const char *resource;
        unsigned roles;
    } SERVED_BY[] = {
        { "client", HS_ROLE_CLIENT }, { "federation", HS_ROLE_FEDERATION }, { "keys", HS_ROLE_FEDERATION },
        { "media", HS_ROLE_MEDIA },   { "openid", HS_ROLE_FEDERATION },     { "consent", HS_ROLE_CLIENT },
        { "static", HS_ROLE_CLIENT }, { "metrics", HS_ROLE_ALL },           { "health", HS_ROLE_ALL },
    };

    for (size_t i = 0; i < sizeof SERVED_BY / sizeof *SERVED_BY; i++)
        if (hs_str_eq(resource, hs_str_c(SERVED_BY[i].resource)))
            return (roles & SERVED_BY[i].roles) != 0;
    return false;
}
