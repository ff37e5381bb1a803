/* See generate.h. Files appear whole under their names or not at all. */
#include "main/generate.h"

#include "base/buf.h"
#include "core/sign.h"
#include "runtime/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static hs_error *cannot(hs_arena *a, const char *what, const char *path)
{
    return hs_err(a, 500, HS_M_UNKNOWN, "cannot %s %s: %s", what, path, strerror(errno));
}

hs_error *hs_write_new_file(hs_arena *a, const char *path, hs_str bytes, unsigned mode)
{
    hs_str temporary;
    const char *t;
    size_t done = 0;
    int fd;

    HS_TRY(hs_str_fmt(a, &temporary, "%s.%ld.new", path, (long)getpid()));
    HS_TRY(hs_cstr(a, temporary, &t));
    (void)unlink(t);
    fd = open(t, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    if (fd < 0)
        return cannot(a, "write", path);
    while (done < bytes.n) {
        ssize_t n = write(fd, bytes.p + done, bytes.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    bool bad = done < bytes.n || fsync(fd) != 0;
    bad |= close(fd) != 0;
    if (bad || link(t, path) != 0) { /* link, not rename: what is there stays */
        hs_error *e = cannot(a, "write", path);
        (void)unlink(t);
        return e;
    }
    (void)unlink(t);
    return NULL;
}

hs_error *hs_generate_signing_key(hs_arena *a, hs_str *ret)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    hs_signing_key *key;
    hs_str letters, version;
    uint8_t seed[32];

    HS_TRY(hs_random_text(a, 4, LETTERS, &letters));
    HS_TRY(hs_str_fmt(a, &version, "a_%.*s", HS_FMT(letters)));
    hs_random_bytes(seed, sizeof seed);
    HS_TRY(hs_signing_key_open(a, version, seed, &key));
    sodium_memzero(seed, sizeof seed);
    return hs_signing_key_write(a, key, ret);
}

static hs_error *make_key_if_missing(hs_arena *a, hs_str path)
{
    const char *p;
    hs_str line;

    HS_TRY(hs_cstr(a, path, &p));
    if (access(p, F_OK) == 0)
        return NULL;
    HS_TRY(hs_generate_signing_key(a, &line));
    return hs_write_new_file(a, p, line, 0640);
}

hs_error *hs_generate_missing(hs_arena *a, const hs_config *c, bool *ret_made)
{
    const char *path;
    hs_str secret;

    *ret_made = false;
    if (!c->signing_key.n)
        HS_TRY(make_key_if_missing(a, c->signing_key_path));
    if (!c->registration_shared_secret_path.n)
        return NULL;
    HS_TRY(hs_cstr(a, c->registration_shared_secret_path, &path));
    HS_TRY(hs_random_text(a, 64, NULL, &secret));
    HS_TRY(hs_str_cat(a, &secret, 2, secret, HS_S("\n")));
    HS_TRY(hs_write_new_file(a, path, secret, 0600));
    *ret_made = true;
    return NULL;
}

/* 'text' as a quoted YAML scalar. */
static void quoted(hs_buf *b, const char *text)
{
    hs_buf_addc(b, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            hs_buf_addc(b, '\'');
        hs_buf_addc(b, *text);
    }
    hs_buf_addc(b, '\'');
}

static void line(hs_buf *b, const char *key, const char *value)
{
    hs_buf_add(b, hs_str_c(key));
    hs_buf_add(b, HS_S(": "));
    quoted(b, value);
    hs_buf_addc(b, '\n');
}

static hs_error *secret(hs_arena *a, hs_buf *b, const char *key)
{
    hs_str text;
    const char *c;

    HS_TRY(hs_random_text(a, 50, NULL, &text));
    HS_TRY(hs_cstr(a, text, &c));
    line(b, key, c);
    return NULL;
}

static hs_error *in_dir(hs_arena *a, const char *dir, const char *name, const char *suffix, const char **ret)
{
    hs_str path;

    HS_TRY(hs_str_fmt(a, &path, "%s%s%s%s", dir, hs_str_ends(hs_str_c(dir), HS_S("/")) ? "" : "/", name, suffix));
    return hs_cstr(a, path, ret);
}

/* With those above it. */
static hs_error *make_folder(hs_arena *a, const char *path)
{
    hs_str part;
    const char *c;

    for (size_t n = 1; n <= strlen(path); n++) {
        if (path[n] != '/' && path[n] != '\0')
            continue;
        HS_TRY(hs_str_dup(a, hs_str_make(path, n), &part));
        HS_TRY(hs_cstr(a, part, &c));
        if (mkdir(c, 0755) != 0 && errno != EEXIST)
            return cannot(a, "make the folder", path);
    }
    return NULL;
}

static const char LOG_CONFIG[] = "# The level, the file of a FileHandler and a JSON formatter are read from here.\n"
                                 "version: 1\n"
                                 "handlers:\n"
                                 "  console:\n"
                                 "    class: logging.StreamHandler\n"
                                 "root:\n"
                                 "  level: INFO\n"
                                 "  handlers: [console]\n"
                                 "disable_existing_loggers: false\n";

static void listeners(hs_buf *b, const hs_generate *g)
{
    char port[64];

    snprintf(port, sizeof port, "listeners:\n  - port: %u\n", g->port ? g->port : 8008);
    hs_buf_add(b, hs_str_c(port));
    hs_buf_add(b, HS_S("    type: http\n    tls: false\n    x_forwarded: true\n    bind_addresses: ["));
    if (g->bind)
        quoted(b, g->bind);
    else
        hs_buf_add(b, HS_S("'::1', '127.0.0.1'"));
    hs_buf_add(b, HS_S("]\n    resources:\n      - names: [client, federation]\n        compress: false\n"));
    if (g->enable_metrics)
        hs_buf_add(b, HS_S("  - port: 19090\n    type: metrics\n    bind_addresses: ['127.0.0.1']\n"));
}

hs_error *hs_generate_config(hs_arena *a, const hs_generate *g)
{
    const char *key_path, *log_path, *media;
    hs_str text;
    hs_buf b;

    if (access(g->config_path, F_OK) == 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "Config file %s already exists. Remove it to make a new one.",
                      g->config_path);
    HS_TRY(make_folder(a, g->data_dir));
    HS_TRY(make_folder(a, g->keys_dir));
    HS_TRY(in_dir(a, g->keys_dir, g->server_name, ".signing.key", &key_path));
    HS_TRY(in_dir(a, g->keys_dir, g->server_name, ".log.config", &log_path));
    HS_TRY(in_dir(a, g->data_dir, "media_store", "", &media));

    hs_buf_init(&b, a);
    hs_buf_add(&b, HS_S("# Options: docs/config.md. Those of Synapse are understood.\n"));
    line(&b, "server_name", g->server_name);
    if (strcmp(g->server_name, "localhost") ==
        0) { /* nobody serves https://localhost/, which clients would be sent to */
        char url[64];
        snprintf(url, sizeof url, "http://localhost:%u/", g->port ? g->port : 8008);
        line(&b, "public_baseurl", url);
    }
    line(&b, "data_dir", g->data_dir);
    listeners(&b, g);
    hs_buf_add(&b,
               HS_S("\n# Without this section a private PostgreSQL is kept in the data folder.\n"
                    "#database:\n#  name: psycopg2\n#  args: {user: synapse, password: secret, dbname: synapse, host: "
                    "localhost, cp_max: 5}\n\n"));
    if (g->python_log_config)
        line(&b, "log_config", log_path);
    line(&b, "media_store_path", media);
    HS_TRY(secret(a, &b, "registration_shared_secret"));
    HS_TRY(secret(a, &b, "macaroon_secret_key"));
    HS_TRY(secret(a, &b, "form_secret"));
    line(&b, "signing_key_path", key_path);
    if (g->enable_registration)
        hs_buf_add(&b, HS_S("enable_registration: true\n"));
    hs_buf_add(&b, g->report_stats ? HS_S("report_stats: true\n") : HS_S("report_stats: false\n"));
    hs_buf_add(&b, HS_S("trusted_key_servers:\n  - server_name: 'matrix.org'\n"));
    HS_TRY(hs_buf_flatten(&b, &text));

    HS_TRY(make_key_if_missing(a, hs_str_c(key_path)));
    if (g->python_log_config && access(log_path, F_OK) != 0)
        HS_TRY(hs_write_new_file(a, log_path, hs_str_c(LOG_CONFIG), 0644));
    return hs_write_new_file(a, g->config_path, text, 0600);
}
