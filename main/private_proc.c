/* See private_proc.h. */
#include "main/private_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void hs_private_nap(long ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

hs_error *hs_private_path(hs_arena *a, hs_str dir, const char *name, const char **ret)
{
    hs_str s;

    HS_TRY(hs_str_cat(a, &s, 3, dir, HS_S("/"), hs_str_c(name)));
    *ret = s.p; /* hs_str_cat ends with a NUL, and our paths hold none */
    return NULL;
}

char *hs_arg(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = { s };
    return u.out;
}

pid_t hs_private_spawn(const char *path, char *argv[], int in, const char *log_path)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    int out = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* a Ctrl-C at the terminal is for hs, which then stops its servers in order */
    if (dup2(in >= 0 ? in : null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(127);
    setenv("LC_ALL", "C", 1);
    unsetenv("NOTIFY_SOCKET"); /* it would tell the service manager that all is ready */
    execv(path, argv);
    _exit(127);
}

bool hs_private_is(pid_t pid, const char *name)
{
    char path[64], read[64] = "";
    FILE *f;

    if (pid <= 0)
        return false;
    (void)waitpid(pid, NULL, WNOHANG); /* ours and dead: then it is gone now */
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    f = fopen(path, "r");
    if (!f)
        return false;
    bool ok = fgets(read, sizeof read, f) != NULL;
    fclose(f);
    return ok && strncmp(read, name, strlen(name)) == 0;
}

bool hs_private_child_lives(pid_t *child)
{
    if (*child > 0 && waitpid(*child, NULL, WNOHANG) == 0)
        return true;
    *child = 0;
    return false;
}

static hs_error *socket_dir(hs_arena *a, hs_str dir, const char *name, size_t longest, hs_str *ret)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a: a stable name for this directory */

    HS_TRY(hs_str_fmt(a, ret, "%.*s/%s.run", HS_FMT(dir), name));
    if (ret->n <= longest)
        return NULL;
    for (size_t i = 0; i < dir.n; i++)
        hash = (hash ^ (unsigned char)dir.p[i]) * 1099511628211u;
    return hs_str_fmt(a, ret, "/tmp/hs-%s-%016llx", name, (unsigned long long)hash);
}

static bool is_ours_alone(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

hs_error *hs_private_socket_dir_find(hs_arena *a, hs_str dir, const char *name, size_t longest, const char **ret)
{
    hs_str s;

    HS_TRY(socket_dir(a, dir, name, longest, &s));
    *ret = is_ours_alone(s.p) ? s.p : NULL;
    return NULL;
}

hs_error *hs_private_socket_dir(hs_arena *a, hs_str dir, const char *name, size_t longest, const char **ret)
{
    hs_str s;

    HS_TRY(socket_dir(a, dir, name, longest, &s));
    if (mkdir(s.p, 0700) != 0 && errno != EEXIST)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s cannot be made: %s", s.p, strerror(errno));
    if (!is_ours_alone(s.p))
        return hs_err(a, 500, HS_M_UNKNOWN, "%s is not a directory of this user alone", s.p);
    *ret = s.p;
    return NULL;
}
