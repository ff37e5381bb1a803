/* From a program under Synapse's name to hs. */
#ifndef HS_MAIN_COMPAT_BECOME_H
#define HS_MAIN_COMPAT_BECOME_H

#include <hs/error.h>

#define HS_BECOME_FILES 32
#define HS_BECOME_WORDS 8

/* Executes `hs WORDS… -c FILE -c FILE …`, the program beside this one or on the path. Comes back with an error only. */
hs_error *hs_become(hs_arena *a, const char *const *words, const char *const *files, size_t n);

#endif
