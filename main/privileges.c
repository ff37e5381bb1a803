/* See privileges.h. */
#include "main/privileges.h"

#include <hs/arena.h>

#include <errno.h>
#include <fts.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct passwd *unprivileged(void)
{
    static const char *const NAMES[] = { "hs", "postgres", "nobody" };
    struct passwd *pw = NULL;

    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES && !pw; i++)
        pw = getpwnam(NAMES[i]);
    return pw && pw->pw_uid != 0 ? pw : NULL;
}

/* What belongs to somebody else already stays theirs, with all below it: a large media store is not walked again at
 * each start. Links are changed themselves, never followed, and a file with a second name is left alone: that name may
 * be anywhere. */
static bool hand_over(char *dir, uid_t uid, gid_t gid)
{
    char *paths[] = { dir, NULL };
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    bool ok = fts != NULL;

    for (FTSENT *e; fts && (e = fts_read(fts));) {
        bool is_dir = e->fts_info == FTS_D;
        if (e->fts_info == FTS_DP || !e->fts_statp)
            continue;
        if (is_dir && e->fts_level > 0 && e->fts_statp->st_uid != 0)
            fts_set(fts, e, FTS_SKIP);
        else if (e->fts_statp->st_uid == 0 && (is_dir || e->fts_statp->st_nlink == 1))
            ok = lchown(e->fts_accpath, uid, gid) == 0 && ok;
    }
    if (fts)
        fts_close(fts);
    return ok;
}

hs_error *hs_drop_root(hs_arena *a, const char *dir)
{
    struct passwd *pw;
    hs_str copy;

    if (geteuid() != 0)
        return NULL;
    pw = unprivileged();
    if (!pw)
        return hs_err(a, 500, HS_M_UNKNOWN, "started by root, but there is no user hs, postgres or nobody to become");
    HS_TRY(hs_str_dup(a, hs_str_c(dir), &copy));
    union {
        const char *in;
        char *out;
    } u = { copy.p };
    if (dir && !hand_over(u.out, pw->pw_uid, pw->pw_gid))
        return hs_err(a, 500, HS_M_UNKNOWN, "%s cannot be handed over to the user %s", dir, pw->pw_name);
    if (setgroups(0, NULL) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "cannot become the user %s: %s", pw->pw_name, strerror(errno));
    if (dir && access(dir, R_OK | W_OK | X_OK) != 0)
        return hs_err(
            a, 500, HS_M_UNKNOWN,
            "the user %s cannot reach %s: choose a data directory outside of root's home, or start as another user",
            pw->pw_name, dir);
    return NULL;
}

void hs_harden_process(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
