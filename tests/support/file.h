/* Files for tests. */
#ifndef HS_TESTS_SUPPORT_FILE_H
#define HS_TESTS_SUPPORT_FILE_H

#include <hs/arena.h>

/* The whole of a file in the source tree ("tests/vectors/vectors.json"); fails the test when it cannot be read. */
hs_str test_file(hs_arena *a, const char *path);

#endif
