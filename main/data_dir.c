/* See data_dir.h. */
#include "main/data_dir.h"

#include "base/checked.h"
#include "core/sign.h"
#include "runtime/random.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

hs_error *hs_write_new_file(hs_arena *a, const char *path, hs_str bytes, unsigned mode)
{
    hs_str fresh;
    size_t done = 0;

    HS_TRY(hs_str_cat(a, &fresh, 2, hs_str_c(path), HS_S(".new")));
    int fd = open(fresh.p, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    while (fd >= 0 && done < bytes.n) {
        ssize_t n = write(fd, bytes.p + done, bytes.n - done);
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    bool ok = fd >= 0 && done == bytes.n && fsync(fd) == 0;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (!ok || rename(fresh.p, path) != 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s cannot be written: %s", path, strerror(errno));
    return NULL;
}

hs_error *hs_data_dir_open(hs_arena *a, const char *path, hs_str *ret)
{
    char whole[PATH_MAX];

    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return hs_err(a, 500, HS_M_UNKNOWN, "the data directory %s cannot be made: %s", path, strerror(errno));
    if (!realpath(path, whole))
        return hs_err(a, 500, HS_M_UNKNOWN, "the data directory %s: %s", path, strerror(errno));
    if (access(whole, R_OK | W_OK | X_OK) != 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "the data directory %s cannot be written: %s", whole, strerror(errno));
    return hs_str_dup(a, hs_str_c(whole), ret);
}

hs_error *hs_make_signing_key(hs_arena *a, const char *path)
{
    uint8_t seed[32];
    hs_str version, line;
    hs_signing_key *key;

    if (access(path, F_OK) == 0)
        return NULL;
    hs_random_bytes(seed, sizeof seed);
    HS_TRY(hs_random_text(a, 4, NULL, &version));
    HS_TRY(hs_str_cat(a, &version, 2, HS_S("a_"), version));
    HS_TRY(hs_signing_key_open(a, version, seed, &key));
    explicit_bzero(seed, sizeof seed);
    HS_TRY(hs_signing_key_write(a, key, &line));
    return hs_write_new_file(a, path, line, 0600);
}

static const char CONFIG[] =
    "# The configuration of this homeserver, in Synapse's format. docs/operate.md explains what is understood.\n"
    "# Without a `database` section a private PostgreSQL in this directory is used.\n"
    "\n"
    "# The part after the colon of every user id. It can never change.\n"
    "server_name: \"%.*s\"\n"
    "\n"
    "listeners:\n"
    "  - port: %u\n"
    "    type: http\n"
    "    tls: false\n"
    "    x_forwarded: true\n"
    "    bind_addresses: ['::1', '127.0.0.1']\n"
    "    resources:\n"
    "      - names: [client, federation]\n"
    "\n"
    "signing_key_path: \"%.*s/%.*s.signing.key\"\n"
    "media_store_path: \"%.*s/media_store\"\n"
    "registration_shared_secret: \"%.*s\"\n"
    "macaroon_secret_key: \"%.*s\"\n"
    "form_secret: \"%.*s\"\n"
    "report_stats: false\n"
    "trusted_key_servers:\n"
    "  - server_name: \"matrix.org\"\n";

hs_error *hs_data_dir_config(hs_arena *a, hs_str dir, const hs_data_dir_options *o, bool *ret_new)
{
    hs_str name = o->server_name.n ? o->server_name : HS_S("localhost");
    hs_str path, text, secret[3];

    HS_TRY(hs_str_cat(a, &path, 2, dir, HS_S("/homeserver.yaml")));
    *ret_new = access(path.p, F_OK) != 0;
    if (!*ret_new)
        return NULL;
    for (size_t i = 0; i < 3; i++)
        HS_TRY(hs_random_text(a, 50, NULL, &secret[i]));
    HS_TRY(hs_str_fmt(a, &text, CONFIG, HS_FMT(name), o->port ? o->port : 8008u, HS_FMT(dir), HS_FMT(name), HS_FMT(dir),
                      HS_FMT(secret[0]), HS_FMT(secret[1]), HS_FMT(secret[2])));
    return hs_write_new_file(a, path.p, text, 0600);
}
