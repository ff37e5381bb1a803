/* Before anything else runs: is this a database that we can use, and is its schema ours?
 *
 * Each migration is one transaction, under an advisory lock, so that several workers may start at once. Files are never
 * changed after a release. What is newer than the program is refused, unless the newer program left word that this one
 * still works (meta schema_works_with: "version oldest"): so the workers of two releases run side by side while one
 * replaces the other.
 */
#include "store/migrate.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEAST_VERSION = 140000 };

static hs_str first_line(const char *text)
{
    hs_str s = hs_str_c(text), line;

    /* "connection to server at … failed: FATAL:  reason": the reason is what helps */
    for (size_t i = 0; s.n > 7 && i + 7 < s.n; i++)
        if (memcmp(s.p + i, "FATAL:  ", 8) == 0) {
            s = hs_str_from(s, i + 8);
            break;
        }
    line = hs_str_split(&s, '\n');
    return hs_str_trim(line);
}

/* For an operator: the text is the whole message. */
#define REFUSE(a, ...) hs_err((a), 500, HS_M_UNKNOWN, __VA_ARGS__)

static hs_error *failed(hs_arena *a, PGconn *pg, const char *what)
{
    return REFUSE(a, "database: %s: %.*s", what, HS_FMT(first_line(PQerrorMessage(pg))));
}

/* One value as text; "" for NULL or no row. */
static hs_error *ask(hs_arena *a, PGconn *pg, const char *sql, const char **ret)
{
    PGresult *res = PQexec(pg, sql);
    hs_str copy = { "", 0 };
    hs_error *e = NULL;

    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        e = failed(a, pg, "checking it");
    else if (PQntuples(res) > 0 && !PQgetisnull(res, 0, 0))
        e = hs_str_dup(a, hs_str_c(PQgetvalue(res, 0, 0)), &copy);
    PQclear(res);
    if (e)
        return e;
    return hs_cstr(a, copy, ret);
}

static hs_error *run(hs_arena *a, PGconn *pg, const char *sql, const char *what)
{
    PGresult *res = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(res);

    PQclear(res);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? NULL : failed(a, pg, what);
}

static hs_error *check_server(hs_arena *a, PGconn *pg, bool allow_unsafe_locale)
{
    const char *encoding, *collate, *ctype, *fsync;

    if (PQserverVersion(pg) < LEAST_VERSION)
        return REFUSE(a, "database: PostgreSQL %s is too old: version 14 or later is needed",
                      PQparameterStatus(pg, "server_version"));
    HS_TRY(ask(a, pg, "SHOW server_encoding", &encoding));
    if (strcmp(encoding, "UTF8") != 0)
        return REFUSE(a,
                      "database: its encoding is %s and must be UTF8: create it with"
                      " `createdb --encoding=UTF8 --locale=C --template=template0`",
                      encoding);
    HS_TRY(ask(a, pg, "SELECT datcollate FROM pg_database WHERE datname = current_database()", &collate));
    HS_TRY(ask(a, pg, "SELECT datctype FROM pg_database WHERE datname = current_database()", &ctype));
    if (!allow_unsafe_locale && (strcmp(collate, "C") != 0 || strcmp(ctype, "C") != 0))
        return REFUSE(a,
                      "database: its collation is '%s' (ctype '%s') and should be 'C': create it with"
                      " `createdb --encoding=UTF8 --locale=C --template=template0`, or set allow_unsafe_locale: true in"
                      " the database section",
                      collate, ctype);
    HS_TRY(ask(a, pg, "SHOW fsync", &fsync));
    if (strcmp(fsync, "on") != 0)
        return REFUSE(a, "database: it runs with fsync = off, so what users are told is saved would not be");
    return NULL;
}

/* A table that is not ours: whose database is this? */
static hs_error *check_empty(hs_arena *a, PGconn *pg)
{
    const char *other;

    HS_TRY(ask(a, pg,
               "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace"
               " AND c.relkind IN ('r', 'p') ORDER BY c.relname = 'event_json' DESC LIMIT 1",
               &other));
    if (!*other)
        return NULL;
    return REFUSE(a,
                  strcmp(other, "event_json") == 0
                      ? "database: this is Synapse's database (it has the table %s): give this server one of its own"
                      : "database: it is neither empty nor ours (it has a table %s): give this server one of its own",
                  other);
}

typedef struct {
    int version;    /* the newest migration that has been applied; 0: none */
    int works_with; /* the oldest program that may use it; 0: nothing is said */
} schema;

static hs_error *read_schema(hs_arena *a, PGconn *pg, schema *ret)
{
    const char *have;

    *ret = (schema){ 0 };
    HS_TRY(ask(a, pg, "SELECT to_regclass('migration')::text", &have));
    if (!*have)
        return check_empty(a, pg);
    HS_TRY(ask(a, pg, "SELECT coalesce(max(version), 0)::text FROM migration", &have));
    ret->version = (int)strtol(have, NULL, 10);
    HS_TRY(ask(a, pg, "SELECT convert_from(value, 'UTF8') FROM meta WHERE key = 'schema_works_with'", &have));
    char *rest;
    int of = (int)strtol(have, &rest, 10);
    if (of == ret->version) /* word about an older schema is none about this one */
        ret->works_with = (int)strtol(rest, NULL, 10);
    return NULL;
}

static int newest_of(const hs_migration *list)
{
    int newest = 0;

    for (const hs_migration *m = list; m->version; m++)
        newest = m->version;
    return newest;
}

static hs_error *check_newer(hs_arena *a, const schema *have, int newest, hs_logger *log)
{
    if (have->version <= newest)
        return NULL;
    if (have->works_with && have->works_with <= newest) {
        hs_log(log, HS_LOG_WARN, "store.schema", "version=%d, this program knows up to %d and still works with it",
               have->version, newest);
        return NULL;
    }
    if (have->works_with)
        return REFUSE(a,
                      "database: its schema has version %d, which programs work with that know version %d; this one "
                      "knows only up to %d: it has been used by a newer release",
                      have->version, have->works_with, newest);
    return REFUSE(a,
                  "database: its schema has version %d and this program knows only up to %d: it has been used by a "
                  "newer release",
                  have->version, newest);
}

static hs_error *apply(hs_arena *a, PGconn *pg, const hs_migration *m, int works_with)
{
    char row[160], word[256];

    snprintf(row, sizeof row,
             "INSERT INTO migration(version, applied_ts) VALUES (%d, (extract(epoch FROM now()) * 1000)::bigint)",
             m->version);
    snprintf(word, sizeof word,
             "INSERT INTO meta(key, value) VALUES ('schema_works_with', convert_to('%d %d', 'UTF8'))"
             " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
             m->version, works_with);
    HS_TRY(run(a, pg, "BEGIN", m->name));
    HS_TRY(run(a, pg, m->sql, m->name));
    HS_TRY(run(a, pg, row, m->name));
    HS_TRY(run(a, pg, word, m->name));
    return run(a, pg, "COMMIT", m->name);
}

static hs_error *migrate(hs_arena *a, PGconn *pg, const hs_migration *list, hs_logger *log)
{
    schema have;

    HS_TRY(run(a, pg, "SELECT pg_advisory_lock(2)", "waiting for the migration lock")); /* ends with the connection */
    HS_TRY(read_schema(a, pg, &have));
    HS_TRY(check_newer(a, &have, newest_of(list), log));
    for (const hs_migration *m = list; m->version; m++) {
        if (m->version <= have.version)
            continue;
        if (m->works_with > have.works_with) /* who cannot go on beside an older step cannot beside this one */
            have.works_with = m->works_with;
        HS_TRY(apply(a, pg, m, have.works_with));
        hs_log(log, HS_LOG_INFO, "store.migrated", "step=%s", m->name);
    }
    return NULL;
}

static void quiet(void *ud, const char *message)
{
    (void)ud;
    (void)message;
}

static hs_error *connect_and(hs_arena *a, const char *conninfo, const bool *allow_unsafe_locale,
                             const hs_migration *list, hs_logger *log)
{
    PGconn *pg = PQconnectdbParams(
        (const char *const[]){ "dbname", "application_name", "client_encoding", "connect_timeout", NULL },
        (const char *const[]){ conninfo, "hs migrate", "UTF8", "10", NULL }, 1);
    hs_error *e = NULL;

    if (!pg)
        return HS_ERR_NOMEM;
    PQsetNoticeProcessor(pg, quiet, NULL);
    if (PQstatus(pg) != CONNECTION_OK)
        e = failed(a, pg, "cannot connect");
    if (!e && allow_unsafe_locale)
        e = check_server(a, pg, *allow_unsafe_locale);
    if (!e)
        e = migrate(a, pg, list, log);
    PQfinish(pg);
    return e;
}

hs_error *hs_migrate(hs_arena *a, const char *conninfo, bool allow_unsafe_locale, hs_logger *log)
{
    return connect_and(a, conninfo, &allow_unsafe_locale, hs_migrations, log);
}

hs_error *hs_migrate_with(hs_arena *a, const char *conninfo, const hs_migration *list, hs_logger *log)
{
    return connect_and(a, conninfo, NULL, list, log);
}
