/* What a process that decodes strangers' images may still do: compute, and read and write what is open already. */
#ifndef HS_MAIN_THUMBNAILER_SANDBOX_H
#define HS_MAIN_THUMBNAILER_SANDBOX_H

#include <stdbool.h>

/* For the calling process, for good: limits of memory, CPU time and descriptors, no new files, sockets, programs or
 * processes. False when the kernel does not let it, then nothing may be decoded. */
bool sandbox_enter(void);
/* In the sandbox: tries a file, a socket and a program. What it was let, SANDBOX_TRIED alone when nothing; it does not
 * return when a program may be run. */
enum { SANDBOX_FILE = 1, SANDBOX_SOCKET = 2, SANDBOX_TRIED = 4 };
unsigned sandbox_allows(void);

#endif
