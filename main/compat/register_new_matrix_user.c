/* register_new_matrix_user: a user made over the shared-secret registration API, with Synapse's flags and questions. */
#include "main/compat/prompt.h"

#include <curl/curl.h>
#include <getopt.h>
#include <jansson.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char USAGE[] = "usage: register_new_matrix_user [options] [server_url]\n\n"
                            "  -u, --user USER             local part of the new user; asked for if left out\n"
                            "      --exists-ok             do not fail if the user is already there\n"
                            "  -p, --password PASSWORD     asked for if left out\n"
                            "      --password-file FILE    file with the password; - is standard input\n"
                            "  -t, --user_type TYPE        user type, such as support or bot\n"
                            "  -a, --admin                 the new user is an administrator\n"
                            "      --no-admin              the new user is not; asked for if neither is given\n"
                            "  -c, --config FILE           homeserver.yaml with registration_shared_secret\n"
                            "  -k, --shared-secret SECRET  the secret itself\n"
                            "  server_url                  default: the first client listener of the configuration, "
                            "else http://localhost:8008\n";

typedef struct {
    const char *user, *password, *password_file, *user_type, *config, *secret, *url;
    bool exists_ok;
    int admin; /* -1: ask */
} options;

/* The API asks for HMAC-SHA1 (RFC 2104); libsodium has no SHA-1. */
typedef struct {
    uint32_t h[5];
    uint64_t n;
    uint8_t block[64];
} sha1;

static void sha1_block(sha1 *s, const uint8_t *p)
{
    uint32_t w[80], a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4];

#define ROL(x, k) ((x) << (k) | (x) >> (32 - (k)))
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = ROL(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? (b & c) | (~b & d)
                     : i < 40 ? b ^ c ^ d
                     : i < 60 ? (b & c) | (b & d) | (c & d)
                              : b ^ c ^ d;
        uint32_t k = i < 20 ? 0x5a827999u : i < 40 ? 0x6ed9eba1u : i < 60 ? 0x8f1bbcdcu : 0xca62c1d6u;
        uint32_t t = ROL(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = ROL(b, 30);
        b = a;
        a = t;
    }
#undef ROL
    s->h[0] += a;
    s->h[1] += b;
    s->h[2] += c;
    s->h[3] += d;
    s->h[4] += e;
}

static void sha1_start(sha1 *s)
{
    *s = (sha1){ .h = { 0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u } };
}

static void sha1_add(sha1 *s, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < n; i++) {
        s->block[s->n++ % 64] = p[i];
        if (s->n % 64 == 0)
            sha1_block(s, s->block);
    }
}

static void sha1_end(sha1 *s, uint8_t out[20])
{
    uint64_t bits = s->n * 8;
    uint8_t length[8];

    sha1_add(s, "\x80", 1);
    while (s->n % 64 != 56)
        sha1_add(s, "", 1);
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha1_add(s, length, 8);
    for (int i = 0; i < 20; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

/* Parts are joined by NUL bytes. */
static void mac_hex(hs_str secret, const hs_str *parts, size_t n, char ret[41])
{
    uint8_t key[64] = { 0 }, pad[64], digest[20];
    sha1 s;

    if (secret.n > sizeof key) {
        sha1_start(&s);
        sha1_add(&s, secret.p, secret.n);
        sha1_end(&s, key);
    } else {
        memcpy(key, secret.p, secret.n);
    }
    for (size_t i = 0; i < 64; i++)
        pad[i] = key[i] ^ 0x36;
    sha1_start(&s);
    sha1_add(&s, pad, 64);
    for (size_t i = 0; i < n; i++) {
        if (i)
            sha1_add(&s, "", 1);
        sha1_add(&s, parts[i].p, parts[i].n);
    }
    sha1_end(&s, digest);
    for (size_t i = 0; i < 64; i++)
        pad[i] = key[i] ^ 0x5c;
    sha1_start(&s);
    sha1_add(&s, pad, 64);
    sha1_add(&s, digest, 20);
    sha1_end(&s, digest);
    sodium_bin2hex(ret, 41, digest, 20);
    sodium_memzero(key, sizeof key);
}

/* ── HTTP ── */

typedef struct {
    char at[65536];
    size_t n;
} answer;

static size_t take(char *p, size_t one, size_t n, void *ud)
{
    answer *r = ud;

    (void)one;
    if (n > sizeof r->at - r->n)
        return 0;
    memcpy(r->at + r->n, p, n);
    r->n += n;
    return n;
}

/* body NULL: GET. *ret is the decoded answer or NULL when it is not JSON. */
static hs_error *request(hs_arena *a, const char *url, const char *body, long *ret_status, json_t **ret)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *curl = curl_easy_init();
    answer *r;
    CURLcode rc;

    HS_TRY(hs_alloc(a, 1, &r));
    if (!curl || !headers)
        return HS_ERR_NOMEM;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (rc != CURLE_OK)
        return hs_err(a, 500, HS_M_UNKNOWN, "ERROR! Cannot reach %s: %s", url, curl_easy_strerror(rc));
    *ret = json_loadb(r->at, r->n, 0, NULL);
    return NULL;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *t = json_string_value(json_object_get(object, key));

    return t ? t : "";
}

static hs_error *refused(hs_arena *a, long status, const json_t *answered)
{
    if (answered && text_of(answered, "error")[0])
        return hs_err(a, 500, HS_M_UNKNOWN, "ERROR! Received %ld: %s", status, text_of(answered, "error"));
    return hs_err(a, 500, HS_M_UNKNOWN, "ERROR! Received %ld", status);
}

static hs_error *register_user(hs_arena *a, const options *o, hs_str url, hs_str secret, hs_str user, hs_str password)
{
    hs_str endpoint, parts[5];
    const char *to;
    char mac[41];
    json_t *answered = NULL, *send;
    size_t parts_n = 4;
    long status = 0;
    char *body;

    while (hs_str_ends(url, HS_S("/")))
        url.n--;
    HS_TRY(hs_str_fmt(a, &endpoint, "%.*s/_synapse/admin/v1/register", HS_FMT(url)));
    HS_TRY(hs_cstr(a, endpoint, &to));
    HS_TRY(request(a, to, NULL, &status, &answered));
    if (status != 200 || !text_of(answered, "nonce")[0])
        return refused(a, status, answered);

    parts[0] = hs_str_c(text_of(answered, "nonce"));
    parts[1] = user;
    parts[2] = password;
    parts[3] = o->admin ? HS_S("admin") : HS_S("notadmin");
    if (o->user_type)
        parts[parts_n++] = hs_str_c(o->user_type);
    mac_hex(secret, parts, parts_n, mac);
    send = json_pack("{s:s#,s:s#,s:s#,s:s,s:b}", "nonce", parts[0].p, (int)parts[0].n, "username", user.p, (int)user.n,
                     "password", password.p, (int)password.n, "mac", mac, "admin", o->admin);
    if (send && o->user_type)
        json_object_set_new(send, "user_type", json_string(o->user_type));
    body = send ? json_dumps(send, JSON_COMPACT) : NULL;
    json_decref(send);
    json_decref(answered);
    answered = NULL;
    if (!body)
        return hs_err(a, 500, HS_M_UNKNOWN, "ERROR! name and password must be UTF-8");
    puts("Sending registration request...");
    hs_error *e = request(a, to, body, &status, &answered);
    sodium_memzero(body, strlen(body));
    free(body);
    HS_TRY(e);
    if (status == 200)
        puts("Success!");
    else if (o->exists_ok && strcmp(text_of(answered, "errcode"), "M_USER_IN_USE") == 0)
        puts("User already exists. Skipping.");
    else
        e = refused(a, status, answered);
    json_decref(answered);
    return e;
}

/* ── what was not given ── */

/* The first HTTP listener that serves clients. */
static hs_error *url_of(hs_arena *a, const hs_yaml *top, hs_str *ret)
{
    const hs_yaml *all = hs_yaml_get(top, HS_S("listeners"));

    for (size_t i = 0; all && all->kind == HS_YAML_SEQ && i < all->n; i++) {
        const hs_yaml *l = all->items[i], *resources = hs_yaml_get(l, HS_S("resources"));
        int64_t port;
        bool tls = false;

        for (size_t k = 0; resources && resources->kind == HS_YAML_SEQ && k < resources->n; k++) {
            const hs_yaml *names = hs_yaml_get(resources->items[k], HS_S("names"));
            for (size_t m = 0; names && names->kind == HS_YAML_SEQ && m < names->n; m++) {
                if (!hs_str_eq(names->items[m]->text, HS_S("client")) ||
                    !hs_yaml_to_i64(hs_yaml_get(l, HS_S("port")), &port))
                    continue;
                (void)hs_yaml_to_bool(hs_yaml_get(l, HS_S("tls")), &tls);
                return hs_str_fmt(a, ret, "http%s://localhost:%lld", tls ? "s" : "", (long long)port);
            }
        }
    }
    *ret = HS_S("http://localhost:8008");
    return NULL;
}

static hs_error *from_config(hs_arena *a, const char *path, hs_str *ret_secret, hs_str *ret_url)
{
    const hs_yaml *top, *inline_one, *file;

    HS_TRY(hs_read_yaml(a, path, &top));
    inline_one = hs_yaml_get(top, HS_S("registration_shared_secret"));
    file = hs_yaml_get(top, HS_S("registration_shared_secret_path"));
    if (!hs_yaml_is_null(inline_one)) {
        *ret_secret = inline_one->text;
    } else if (!hs_yaml_is_null(file)) {
        const char *name;
        HS_TRY(hs_cstr(a, file->text, &name));
        HS_TRY(hs_read_whole(a, name, ret_secret));
        *ret_secret = hs_str_trim(*ret_secret);
    } else {
        return hs_err(a, 500, HS_M_UNKNOWN,
                      "No 'registration_shared_secret' or 'registration_shared_secret_path' defined in config.");
    }
    return url_of(a, top, ret_url);
}

static hs_error *ask_user(hs_arena *a, hs_str *ret)
{
    struct passwd *me = getpwuid(getuid());
    hs_str prompt;
    const char *c;

    HS_TRY(me ? hs_str_fmt(a, &prompt, "New user localpart [%s]: ", me->pw_name)
              : hs_str_fmt(a, &prompt, "New user localpart: "));
    HS_TRY(hs_cstr(a, prompt, &c));
    HS_TRY(hs_ask(a, c, ret));
    if (ret->n == 0 && me)
        *ret = hs_str_c(me->pw_name);
    return ret->n ? NULL : hs_err(a, 500, HS_M_UNKNOWN, "Invalid user name");
}

static hs_error *password_from(hs_arena *a, const char *file, hs_str *ret)
{
    if (strcmp(file, "-") == 0)
        return hs_ask_secret(a, "", ret);
    HS_TRY(hs_read_whole(a, file, ret));
    *ret = hs_str_trim(*ret);
    return ret->n ? NULL : hs_err(a, 500, HS_M_UNKNOWN, "%s: the password is empty", file);
}

static hs_error *run(hs_arena *a, options *o)
{
    hs_str secret = hs_str_c(o->secret), url = HS_S("http://localhost:8008"), user = hs_str_c(o->user),
           password = hs_str_c(o->password);

    if (!o->secret && !o->config) /* what `hs run` makes by itself */
        o->config = access("homeserver.yaml", R_OK) == 0 ? "homeserver.yaml" : "hs-data/homeserver.yaml";
    if (o->config)
        HS_TRY(from_config(a, o->config, &secret, &url));
    if (o->url)
        url = hs_str_c(o->url);
    if (!o->user)
        HS_TRY(ask_user(a, &user));
    if (o->password_file)
        HS_TRY(password_from(a, o->password_file, &password));
    else if (!o->password)
        HS_TRY(hs_ask_new_password(a, &password));
    if (o->admin < 0) {
        hs_str yes;
        HS_TRY(hs_ask(a, "Make admin [no]: ", &yes));
        o->admin = hs_str_eq_nocase(yes, HS_S("y")) || hs_str_eq_nocase(yes, HS_S("yes")) ||
                   hs_str_eq_nocase(yes, HS_S("true"));
    }
    return register_user(a, o, url, secret, user, password);
}

int main(int argc, char **argv)
{
    enum { EXISTS_OK = 256, PASSWORD_FILE, NO_ADMIN };
    static const struct option OPTIONS[] = { { "user", required_argument, NULL, 'u' },
                                             { "exists-ok", no_argument, NULL, EXISTS_OK },
                                             { "password", required_argument, NULL, 'p' },
                                             { "password-file", required_argument, NULL, PASSWORD_FILE },
                                             { "user_type", required_argument, NULL, 't' },
                                             { "admin", no_argument, NULL, 'a' },
                                             { "no-admin", no_argument, NULL, NO_ADMIN },
                                             { "config", required_argument, NULL, 'c' },
                                             { "shared-secret", required_argument, NULL, 'k' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    options o = { .admin = -1 };
    hs_arena *a;
    hs_error *e;
    int c;

    while ((c = getopt_long(argc, argv, "u:p:t:ac:k:h", OPTIONS, NULL)) != -1) {
        switch (c) {
        case 'u':
            o.user = optarg;
            break;
        case EXISTS_OK:
            o.exists_ok = true;
            break;
        case 'p':
            o.password = optarg;
            break;
        case PASSWORD_FILE:
            o.password_file = optarg;
            break;
        case 't':
            o.user_type = optarg;
            break;
        case 'a':
            o.admin = 1;
            break;
        case NO_ADMIN:
            o.admin = 0;
            break;
        case 'c':
            o.config = optarg;
            break;
        case 'k':
            o.secret = optarg;
            break;
        case 'h':
            fputs(USAGE, stdout);
            return 0;
        default:
            fputs(USAGE, stderr);
            return 2;
        }
    }
    if (optind < argc)
        o.url = argv[optind++];
    if (optind < argc || (o.config && o.secret) || (o.password && o.password_file)) {
        fputs(USAGE, stderr);
        return 2;
    }
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK || !(a = hs_arena_open((size_t)16 << 20)))
        return 1;
    e = run(a, &o);
    if (e)
        fprintf(stderr, "%.*s\n", HS_FMT(e->message));
    hs_arena_close(a);
    curl_global_cleanup();
    return e ? 1 : 0;
}
