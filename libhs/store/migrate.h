/* The numbered migrations, embedded at build time, and the checks of a database before it is used. */
#ifndef HS_STORE_MIGRATE_H
#define HS_STORE_MIGRATE_H

#include <hs/arena.h>

typedef struct {
    int version;      /* 0 ends the table */
    const char *name; /* "0001_init" */
    const char *sql;
} hs_migration;

extern const hs_migration hs_migrations[];

/* Connects (blocks), checks version, encoding and collation, applies what is missing, and closes again. The error's
 * message is the operator's line. */
HS_NODISCARD hs_error *hs_migrate(hs_arena *a, const char *conninfo, bool allow_unsafe_locale);

#endif
