/* Every statement of the store against a migrated database: it prepares, its parameters and columns have the types that
 * its letters say, its name is the only one, and on a large server (fixture.sql) its plan reads no table named in
 * `.big` from end to end.
 *
 * Plans are generic ones, as the store's connections use them. A big table that the fixture leaves nearly empty is
 * checked with sequential scans switched off: then one is planned only where no index can serve. */
#include "store/params.h"
#include "store/statements.h"
#include "support/pg.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

static int problems;

static void problem(const hs_stmt *s, const char *what, const char *detail)
{
    printf("%s: %s%s%s\n", s->name, what, detail && *detail ? ": " : "", detail ? detail : "");
    problems++;
}

static void must_run(PGconn *pg, const char *sql)
{
    PGresult *res = PQexec(pg, sql);

    if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK) {
        fprintf(stderr, "%.200s: %s\n", sql, PQerrorMessage(pg));
        exit(2);
    }
    PQclear(res);
}

static unsigned column_oid(char letter)
{
    static const struct {
        char letter;
        unsigned oid;
    } TYPES[] = { { 'n', 20 }, { 'i', 23 }, { 's', 21 },   { 'f', 16 },
                  { 't', 25 }, { 'b', 17 }, { 'N', 1016 }, { 'T', 1009 } };

    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (TYPES[i].letter == letter)
            return TYPES[i].oid;
    return 0;
}

static bool prepares(PGconn *pg, const hs_stmt *s)
{
    Oid oids[HS_PARAMS_MAX];
    int n = hs_params_oids(s, oids);
    PGresult *res = PQprepare(pg, s->name, s->sql, n, oids);
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;

    if (!ok)
        problem(s, "does not prepare", PQresultErrorMessage(res));
    PQclear(res);
    return ok;
}

static void check_types(PGconn *pg, const hs_stmt *s)
{
    PGresult *res = PQdescribePrepared(pg, s->name);
    int cols = s->cols ? (int)strlen(s->cols) : 0, params = s->params ? (int)strlen(s->params) : 0;
    char text[128];

    if (PQnparams(res) != params) {
        snprintf(text, sizeof text, "%d, and %d letters", PQnparams(res), params);
        problem(s, "parameters", text);
    }
    if (PQnfields(res) != cols) {
        snprintf(text, sizeof text, "%d, and %d letters", PQnfields(res), cols);
        problem(s, "columns", text);
    }
    for (int i = 0; i < cols && i < PQnfields(res); i++)
        if (PQftype(res, i) != column_oid(s->cols[i])) {
            snprintf(text, sizeof text, "%d (%s) is of type %u, not '%c'", i, PQfname(res, i), PQftype(res, i),
                     s->cols[i]);
            problem(s, "column", text);
        }
    PQclear(res);
}

static bool is_filled(PGconn *pg, const char *table)
{
    PGresult *res = PQexecParams(pg, "SELECT reltuples >= 1000 FROM pg_class WHERE oid = to_regclass($1)", 1, NULL,
                                 &table, NULL, NULL, 0);
    bool yes = PQntuples(res) == 1 && *PQgetvalue(res, 0, 0) == 't', known = PQntuples(res) == 1;

    PQclear(res);
    if (!known) {
        printf("no such table: %s\n", table);
        problems++;
    }
    return yes;
}

/* "Seq Scan on <table> …" in a line of the plan; with `any`, another kind of scan counts too. */
static bool scans(const char *line, const char *table, bool any)
{
    const char *words = any ? " on " : "Seq Scan on ", *at = strstr(line, words);
    size_t n = strlen(table), skip = strlen(words);

    return at && strncmp(at + skip, table, n) == 0 && (at[skip + n] == ' ' || at[skip + n] == 0);
}

/* A table with a minus in front is not read at all. */
static void check_plan(PGconn *pg, const hs_stmt *s, const char *table)
{
    bool any = *table == '-';
    char sql[512];
    size_t n;
    PGresult *res;

    table += any;
    must_run(pg, is_filled(pg, table) || any ? "SET enable_seqscan = on" : "SET enable_seqscan = off");
    n = (size_t)snprintf(sql, sizeof sql, "EXPLAIN EXECUTE \"%s\"", s->name);
    for (size_t i = 0; s->params && s->params[i]; i++)
        n += (size_t)snprintf(sql + n, sizeof sql - n, "%sNULL%s", i ? ", " : "(", s->params[i + 1] ? "" : ")");
    must_run(pg, "DISCARD PLANS");
    res = PQexec(pg, sql);
    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        problem(s, "no plan", PQresultErrorMessage(res));
    for (int i = 0; i < PQntuples(res); i++)
        if (scans(PQgetvalue(res, i, 0), table, any)) {
            problem(s, any ? "reads a table that it should not" : "reads a big table from end to end",
                    PQgetvalue(res, i, 0));
            for (int k = 0; getenv("HS_SQL_PLANS") && k < PQntuples(res); k++)
                printf("    %s\n", PQgetvalue(res, k, 0));
        }
    PQclear(res);
}

static void check(PGconn *pg, const hs_stmt *s)
{
    char tables[256], *save = NULL;

    if (strlen(s->name) >= 63) /* PostgreSQL would cut it */
        problem(s, "name is too long", "");
    if (!prepares(pg, s))
        return;
    check_types(pg, s);
    snprintf(tables, sizeof tables, "%s", s->big ? s->big : "");
    for (char *table = strtok_r(tables, " ", &save); table; table = strtok_r(NULL, " ", &save))
        check_plan(pg, s, table);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);

    if (!f || !text || fread(text, 1, (1 << 20) - 1, f) == 0) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    fclose(f);
    return text;
}

int main(void)
{
    test_db t = { 0 };
    char *fixture = read_file(HS_SOURCE_DIR "/tests/sql/fixture.sql");
    size_t lists, count = 0;
    const hs_stmt *const *const *all = hs_store_statements(&lists);
    PGconn *pg;

    test_db_open(&t); /* migrates */
    test_db_close(&t);
    pg = PQconnectdb(t.conninfo);
    must_run(pg, fixture);
    must_run(pg, "SET plan_cache_mode = force_generic_plan; SET random_page_cost = 1.1; SET "
                 "max_parallel_workers_per_gather = 0");
    for (size_t l = 0; l < lists; l++)
        for (size_t i = 0; all[l][i]; i++, count++)
            check(pg, all[l][i]); /* a name that is there twice does not prepare */
    PQfinish(pg);
    free(fixture);
    printf("%zu statements, %d problems\n", count, problems);
    return problems != 0;
}
