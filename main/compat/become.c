/* See become.h. */
#include "main/compat/become.h"

#include <hs/arena.h>

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <unistd.h>

/* execv does not write to its arguments; its prototype cannot say so. */
static char *argument(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = { s };
    return u.out;
}

hs_error *hs_become(hs_arena *a, const char *const *words, const char *const *files, size_t n)
{
    char self[PATH_MAX], *argv[2 * HS_BECOME_FILES + HS_BECOME_WORDS + 2];
    ssize_t self_n = readlink("/proc/self/exe", self, sizeof self - 1);
    size_t k = 0;
    hs_str beside;

    argv[k++] = argument("hs");
    for (size_t i = 0; words[i] && i < HS_BECOME_WORDS; i++)
        argv[k++] = argument(words[i]);
    for (size_t i = 0; i < n && i < HS_BECOME_FILES; i++) {
        argv[k++] = argument("-c");
        argv[k++] = argument(files[i]);
    }
    argv[k] = NULL;
    if (self_n > 0) {
        const char *path;
        self[self_n] = '\0';
        HS_TRY(hs_str_fmt(a, &beside, "%s/hs", dirname(self)));
        HS_TRY(hs_cstr(a, beside, &path));
        execv(path, argv);
    }
    execvp("hs", argv);
    return hs_err(a, 500, HS_M_UNKNOWN, "cannot start hs: %s", strerror(errno));
}
