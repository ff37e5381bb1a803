/* Asking people, and reading what the tools are given. See prompt.h. */
#include "main/compat/prompt.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static hs_error *read_line(hs_arena *a, FILE *f, hs_str *ret)
{
    char text[4096];
    hs_error *e;
    size_t n;

    if (!fgets(text, sizeof text, f))
        return hs_err(a, 500, HS_M_UNKNOWN, "nothing to read");
    n = strlen(text);
    if (n == sizeof text - 1)
        return hs_err(a, 500, HS_M_UNKNOWN, "this line is too long");
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    e = hs_str_dup(a, hs_str_make(text, n), ret);
    sodium_memzero(text, sizeof text);
    return e;
}

hs_error *hs_ask(hs_arena *a, const char *prompt, hs_str *ret)
{
    fputs(prompt, stdout);
    fflush(stdout);
    return read_line(a, stdin, ret);
}

hs_error *hs_ask_secret(hs_arena *a, const char *prompt, hs_str *ret)
{
    struct termios before, quiet;
    hs_error *e;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;

    fputs(prompt, stderr);
    fflush(stderr);
    if (terminal) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    e = read_line(a, stdin, ret);
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    return e;
}

hs_error *hs_ask_new_password(hs_arena *a, hs_str *ret)
{
    hs_str first, second;

    HS_TRY(hs_ask_secret(a, "Password: ", &first));
    if (first.n == 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "Password cannot be blank.");
    HS_TRY(hs_ask_secret(a, "Confirm password: ", &second));
    if (!hs_str_eq(first, second))
        return hs_err(a, 500, HS_M_UNKNOWN, "Passwords do not match");
    *ret = first;
    return NULL;
}

hs_error *hs_read_whole(hs_arena *a, const char *path, hs_str *ret)
{
    enum { MOST = 1 << 20 };
    FILE *f = fopen(path, "re");
    hs_error *e;
    char *bytes;
    size_t n;

    if (!f)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s: %s", path, strerror(errno));
    e = hs_alloc(a, MOST, &bytes);
    if (!e) {
        n = fread(bytes, 1, MOST, f);
        if (ferror(f) || n == MOST)
            e = hs_err(a, 500, HS_M_UNKNOWN, "%s: cannot be read", path);
        else
            *ret = hs_str_make(bytes, n);
    }
    fclose(f);
    return e;
}

hs_error *hs_read_yaml(hs_arena *a, const char *path, const hs_yaml **ret)
{
    hs_str bytes;

    HS_TRY(hs_read_whole(a, path, &bytes));
    HS_TRY(hs_yaml_parse(a, hs_str_c(path), bytes, ret));
    return *ret ? NULL : hs_err(a, 500, HS_M_UNKNOWN, "%s: is empty", path);
}
