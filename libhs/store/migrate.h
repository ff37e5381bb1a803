/* The numbered migrations, embedded at build time, and the checks of a database before it is used. */
#ifndef HS_STORE_MIGRATE_H
#define HS_STORE_MIGRATE_H

#include <hs/arena.h>

#include "runtime/log.h"

typedef struct {
    int version;      /* 0 ends the table */
    const char *name; /* "0001_init" */
    const char *sql;
    int works_with; /* the oldest newest-migration of programs that can go on beside this schema */
} hs_migration;

extern const hs_migration hs_migrations[];

/* Connects (blocks), checks version, encoding and collation, applies what is missing, and closes again. A schema that
 * is newer than the program is fine as long as it says so (a rolling upgrade), and told to `log`. The error's message
 * is the operator's line. */
HS_NODISCARD hs_error *hs_migrate(hs_arena *a, const char *conninfo, bool allow_unsafe_locale, hs_logger *log);
/* The same with another table than hs_migrations, for tests. */
HS_NODISCARD hs_error *hs_migrate_with(hs_arena *a, const char *conninfo, const hs_migration *list, hs_logger *log);

#endif
