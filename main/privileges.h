/* No root ever: a server that root started gives its rights up before it reads anything from outside. */
#ifndef HS_MAIN_PRIVILEGES_H
#define HS_MAIN_PRIVILEGES_H

#include <hs/error.h>

/* As root: hands `dir` and what root owns in it to the system user "hs", else "postgres", else "nobody", and becomes
 * that user. As anybody else: nothing. dir NULL: nothing is handed over. */
HS_NODISCARD hs_error *hs_drop_root(hs_arena *a, const char *dir);
/* No core files, no ptrace by others of the same user, no new privileges. */
void hs_harden_process(void);

#endif
