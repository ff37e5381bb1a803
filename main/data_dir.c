/* See data_dir.h. */
#include "main/data_dir.h"

#include "main/generate.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Root hands the directory over to an unprivileged user; a slip like `-d /etc` must not give that away. Ours are those
 * that are empty, hold a homeserver.yaml, or were handed over before. */
static bool is_ours(const char *path)
{
    struct stat st;
    bool config = false, other = false;
    DIR *d;

    if (stat(path, &st) != 0 || st.st_uid != 0 || !(d = opendir(path)))
        return true; /* what is wrong with it is said elsewhere */
    for (struct dirent *e; (e = readdir(d));) {
        config |= strcmp(e->d_name, "homeserver.yaml") == 0;
        other |= strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, "hs.log") != 0;
    }
    closedir(d);
    return config || !other;
}

hs_error *hs_data_dir_open(hs_arena *a, const char *path, hs_str *ret)
{
    char whole[PATH_MAX];

    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return hs_err(a, 500, HS_M_UNKNOWN, "the data directory %s cannot be made: %s", path, strerror(errno));
    if (!realpath(path, whole))
        return hs_err(a, 500, HS_M_UNKNOWN, "the data directory %s: %s", path, strerror(errno));
    if (geteuid() == 0 && !is_ours(whole))
        return hs_err(a, 500, HS_M_UNKNOWN, "%s is neither empty nor a data directory: it has no homeserver.yaml",
                      whole);
    if (access(whole, R_OK | W_OK | X_OK) != 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "the data directory %s cannot be written: %s", whole, strerror(errno));
    return hs_str_dup(a, hs_str_c(whole), ret);
}

hs_error *hs_data_dir_config(hs_arena *a, hs_str dir, const hs_data_dir_options *o, bool *ret_new)
{
    hs_generate g = { .port = o->port };
    hs_str path;

    HS_TRY(hs_str_cat(a, &path, 2, dir, HS_S("/homeserver.yaml")));
    HS_TRY(hs_cstr(a, path, &g.config_path));
    HS_TRY(hs_cstr(a, dir, &g.data_dir));
    HS_TRY(hs_cstr(a, o->server_name.n ? o->server_name : HS_S("localhost"), &g.server_name));
    g.keys_dir = g.data_dir;
    *ret_new = access(g.config_path, F_OK) != 0;
    return *ret_new ? hs_generate_config(a, &g) : NULL;
}
