/* The options of accounts that have a shape of their own or hang together: login, registration, terms. */
#include "runtime/config_parts.h"

#include <sys/stat.h>

static bool is(const hs_yaml *n, const char *text)
{
    return n && n->kind == HS_YAML_SCALAR && hs_str_eq(n->text, hs_str_c(text));
}

static hs_error *login(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    const hs_yaml *n = hs_yaml_path(top, HS_S("password_config.enabled")), *ui = hs_yaml_get(top, HS_S("ui_auth")),
                  *life = hs_yaml_get(top, HS_S("refreshable_access_token_lifetime"));

    c->password_enabled = true;
    if (is(n, "only_for_reauth"))
        c->password_only_for_reauth = true;
    else if (!hs_yaml_is_null(n) && !hs_yaml_to_bool(n, &c->password_enabled))
        return hs_config_err(a, n, "password_config.enabled", "expected true, false or only_for_reauth");
    if (c->bcrypt_rounds < 4 || c->bcrypt_rounds > 20)
        return hs_config_err(a, hs_yaml_get(top, HS_S("bcrypt_rounds")), "bcrypt_rounds", "expected 4 to 20");
    if (ui)
        HS_TRY(hs_config_duration(a, ui->kind == HS_YAML_MAP ? hs_yaml_get(ui, HS_S("session_timeout")) : ui, "ui_auth",
                                  &c->ui_auth_session_timeout_ms));
    c->refreshable_tokens = !life || c->refreshable_access_token_lifetime_ms > 0;
    if (c->session_lifetime_ms && c->refresh_token_lifetime_ms > c->session_lifetime_ms)
        return hs_config_err(a, hs_yaml_get(top, HS_S("refresh_token_lifetime")), "refresh_token_lifetime",
                             "must not be longer than session_lifetime");
    if (c->session_lifetime_ms && life && c->refreshable_access_token_lifetime_ms > c->session_lifetime_ms)
        return hs_config_err(a, life, "refreshable_access_token_lifetime", "must not be longer than session_lifetime");
    if (c->session_lifetime_ms && !hs_yaml_get(top, HS_S("nonrefreshable_access_token_lifetime")))
        c->nonrefreshable_access_token_lifetime_ms = c->session_lifetime_ms;
    if (c->enable_registration && !c->enable_registration_without_verification && !c->registration_requires_token)
        return hs_config_err(
            a, hs_yaml_get(top, HS_S("enable_registration")), "enable_registration",
            "You have enabled open registration without any verification. This is a known vector for spam and abuse. "
            "If "
            "you would like to allow public registration, please consider adding email, captcha, or token-based "
            "verification. Otherwise this check can be removed by setting the "
            "`enable_registration_without_verification` config option to `true`.");
    return NULL;
}

static hs_error *user_types(hs_arena *a, const hs_yaml *top, const hs_config *c)
{
    bool known = !c->default_user_type.n || hs_str_eq(c->default_user_type, HS_S("bot")) ||
                 hs_str_eq(c->default_user_type, HS_S("support"));

    for (size_t i = 0; i < c->extra_user_types.n; i++)
        known = known || hs_str_eq(c->default_user_type, c->extra_user_types.at[i]);
    return known ? NULL
                 : hs_config_err(a, hs_yaml_path(top, HS_S("user_types.default_user_type")),
                                 "user_types.default_user_type",
                                 "is neither bot nor support nor one of user_types.extra_user_types");
}

static bool serves_consent(const hs_config *c)
{
    for (size_t i = 0; i < c->listeners_n; i++)
        for (size_t k = 0; k < c->listeners[i].resources.n; k++)
            if (hs_str_eq(c->listeners[i].resources.at[k], HS_S("consent")))
                return true;
    return false;
}

static hs_error *consent(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    const hs_yaml *n = hs_yaml_get(top, HS_S("user_consent"));
    const char *dir;
    struct stat st;

    if (hs_yaml_is_null(n)) {
        if (serves_consent(c))
            return hs_config_err(a, hs_yaml_get(top, HS_S("listeners")), "listeners",
                                 "the resource consent needs the section user_consent");
        return NULL;
    }
    if (!c->consent_version.n || !c->consent_template_dir.n)
        return hs_config_err(a, n, "user_consent", "version and template_dir are needed");
    HS_TRY(hs_cstr(a, c->consent_template_dir, &dir));
    if (stat(dir, &st) || !S_ISDIR(st.st_mode))
        return hs_config_err(a, n, "user_consent.template_dir", "Could not find template directory '%s'", dir);
    if ((serves_consent(c) || c->consent_block_error.n) && !c->form_secret.n)
        return hs_config_err(a, n, "user_consent", "form_secret is needed: an arbitrary secret string");
    return NULL;
}

hs_error *hs_config_accounts(hs_arena *a, const hs_yaml *top, hs_logger *log, hs_config *c)
{
    (void)log;
    if (c->account_validity_enabled && !c->account_validity_period_ms)
        return hs_config_err(a, hs_yaml_get(top, HS_S("account_validity")), "account_validity",
                             "'period' is required when using account validity");
    HS_TRY(login(a, top, c));
    HS_TRY(user_types(a, top, c));
    return consent(a, top, c);
}
