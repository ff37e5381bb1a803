/* What the private PostgreSQL and the private Redis have in common: a server of another package, run as a child of ours
 * and reached by a Unix socket. Blocking calls. */
#ifndef HS_MAIN_PRIVATE_PROC_H
#define HS_MAIN_PRIVATE_PROC_H

#include <hs/arena.h>

#include <sys/types.h>

/* "dir/name" with a NUL at its end. */
HS_NODISCARD hs_error *hs_private_path(hs_arena *a, hs_str dir, const char *name, const char **ret);
/* execv does not write to its arguments; its prototype cannot say so. */
char *hs_arg(const char *s);
/* Runs the program at `path`, in a session of its own, with its input from `in` (-1: nothing) and its output appended
 * to the file log_path. The child's pid, or -1. */
pid_t hs_private_spawn(const char *path, char *argv[], int in, const char *log_path);
/* Alive, and a program of that name: after a reboot the number may be somebody else's. Reaps it when it was ours. */
bool hs_private_is(pid_t pid, const char *name);
/* Whether *child still runs, also while it has not yet the program's name; 0 is written when not. */
bool hs_private_child_lives(pid_t *child);
void hs_private_nap(long ms);
/* A folder that only this user can enter, for a socket: dir/name.run, or one in /tmp when that path is longer than
 * `longest`. */
HS_NODISCARD hs_error *hs_private_socket_dir(hs_arena *a, hs_str dir, const char *name, size_t longest,
                                             const char **ret);
/* The same where it is there already; NULL: it is not. */
HS_NODISCARD hs_error *hs_private_socket_dir_find(hs_arena *a, hs_str dir, const char *name, size_t longest,
                                                  const char **ret);

#endif
