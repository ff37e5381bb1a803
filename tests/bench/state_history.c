/* A room's state history in our tables, and in Synapse's shape beside it, in one PostgreSQL.
 * HS_TEST_PG=DIR bench_state_history [--small | --tenth]     (DIR of tests/support/pg.sh)
 *
 * 50,000 members join, then members change at random, 500,000 changes in all. Ours is written through the ticket.
 * Synapse's shape: a group for each change, one row of difference on the group before it, and a whole copy of the state
 * where the chain would pass 100 groups; read by following the chain. At full size that is a quarter of a milliard
 * rows, so only the chains that are read are written, and its size is counted; --tenth (5,000 and 50,000) writes all of
 * it.
 * --small is a check that both say the same. */
#include "store/state.h"
#include "support/pg.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAIN = 100, BATCH = 500, REPEATS = 15, PARTS = 6 };

static const char SCHEMA[] =
    "CREATE SCHEMA theirs; SET search_path TO theirs;"
    "CREATE TABLE state_groups(id bigint PRIMARY KEY, room_id text NOT NULL, event_id text NOT NULL);"
    "CREATE INDEX ON state_groups(room_id);"
    "CREATE TABLE state_group_edges(state_group bigint NOT NULL, prev_state_group bigint NOT NULL);"
    "CREATE UNIQUE INDEX ON state_group_edges(state_group, prev_state_group);"
    "CREATE INDEX ON state_group_edges(prev_state_group);"
    "CREATE TABLE state_groups_state(state_group bigint NOT NULL, room_id text NOT NULL, type text NOT NULL,"
    " state_key text NOT NULL, event_id text NOT NULL);"
    "ALTER TABLE state_groups_state ALTER COLUMN state_group SET (n_distinct = -0.02);"
    "CREATE INDEX ON state_groups_state(state_group, type, state_key);";

#define FOLLOW                                                                                                         \
    "WITH RECURSIVE way(g) AS (VALUES($1::bigint) UNION ALL SELECT e.prev_state_group FROM theirs.state_group_edges "  \
    "e,"                                                                                                               \
    " way WHERE e.state_group = way.g) "

typedef struct {
    size_t members, changes;
    bool whole; /* of Synapse's, all groups */
    test_db db;
    PGconn *pg;
    uint32_t *who;    /* change → member */
    uint32_t *latest; /* member → change + 1 */
    double theirs_rows, theirs_row_bytes, theirs_bytes;
} bench;

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void must(hs_error *e)
{
    if (!e)
        return;
    fprintf(stderr, "%.*s %.*s\n", HS_FMT(e->message), HS_FMT(e->cause ? e->cause->message : HS_S("")));
    exit(1);
}

static int64_t slot_of(uint32_t member)
{
    return (INT64_C(1) << 60) + (int64_t)member * 23058430092; /* spread, as hashes are */
}

static void make_changes(bench *b)
{
    uint32_t seed = 7;

    b->who = malloc(b->changes * sizeof *b->who);
    b->latest = calloc(b->members, sizeof *b->latest);
    for (size_t i = 0; i < b->changes; i++) {
        seed = seed * 1664525 + 1013904223;
        b->who[i] = i < b->members ? (uint32_t)i : (uint32_t)((uint64_t)seed * b->members >> 32);
    }
}

/* A point in the middle of a chain, near change n. */
static size_t point(const bench *b, size_t n)
{
    size_t at = n / CHAIN * CHAIN + CHAIN / 2;

    return at <= b->changes ? at : at - CHAIN;
}

/* ── ours ── */

static void write_ours(void *ud)
{
    bench *b = ud;
    hs_arena *a = hs_arena_open((size_t)16 << 20);

    for (size_t from = 0; from < b->changes; from += BATCH, hs_arena_reset(a)) {
        size_t to = from + BATCH < b->changes ? from + BATCH : b->changes;
        hs_write_result r;
        hs_write *w;
        uint32_t at;
        must(hs_write_open(b->db.db, a, &w));
        if (!from)
            must(hs_store_line_insert(w, 1, 0, (hs_snap){ -1, 0 }, 0));
        must(hs_write_item(w,
                           &(hs_write_timeline){ .room = 1,
                                                 .event = (hs_nid)to,
                                                 .depth = (int64_t)to,
                                                 .seen_line = from ? 0 : -1,
                                                 .seen_snap = (int32_t)from,
                                                 .snap = (int32_t)to },
                           &at));
        for (size_t i = from; i < to; i++)
            must(hs_write_state(w, at, 0, (int32_t)i + 1, slot_of(b->who[i]), (hs_nid)i + 1));
        must(hs_write_commit(w, &r));
        if (r.status != HS_WRITE_OK)
            exit(2);
    }
    hs_arena_close(a);
}

static double one_more_ours(bench *b, hs_arena *a, size_t n)
{
    double from = now_ms();
    hs_write_result r;
    hs_write *w;
    uint32_t at;

    must(hs_write_open(b->db.db, a, &w));
    must(hs_write_item(w,
                       &(hs_write_timeline){ .room = 1,
                                             .event = (hs_nid)n + 1,
                                             .depth = (int64_t)n + 1,
                                             .seen_snap = (int32_t)n,
                                             .snap = (int32_t)n + 1 },
                       &at));
    must(hs_write_state(w, at, 0, (int32_t)n + 1, slot_of((uint32_t)n % (uint32_t)b->members), (hs_nid)n + 1));
    must(hs_write_commit(w, &r));
    if (r.status != HS_WRITE_OK)
        exit(2);
    return now_ms() - from;
}

/* ── Synapse's shape ── */

static PGresult *ask(bench *b, const char *sql, const char *const *values, int n)
{
    PGresult *res = PQexecParams(b->pg, sql, n, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK) {
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(b->pg));
        exit(2);
    }
    return res;
}

/* The line's bytes are made by the caller's snprintf. */
static void copy_line(bench *b, const char *line, int n)
{
    if (PQputCopyData(b->pg, line, n) != 1)
        exit(2);
}

static void copy_begin(bench *b, const char *what)
{
    char sql[128];
    PGresult *res;

    snprintf(sql, sizeof sql, "COPY theirs.%s FROM STDIN", what);
    res = PQexec(b->pg, sql);
    if (PQresultStatus(res) != PGRES_COPY_IN)
        exit(2);
    PQclear(res);
}

static void copy_end(bench *b)
{
    PGresult *res;

    if (PQputCopyEnd(b->pg, NULL) != 1)
        exit(2);
    while ((res = PQgetResult(b->pg))) {
        if (PQresultStatus(res) != PGRES_COMMAND_OK) {
            fprintf(stderr, "%s\n", PQerrorMessage(b->pg));
            exit(2);
        }
        PQclear(res);
    }
}

#define ROOM "!abcdefghijklmnopqr:example.org"

static void copy_state_row(bench *b, size_t group, uint32_t member, size_t event)
{
    char line[256];

    copy_line(b, line,
              snprintf(line, sizeof line, "%zu\t" ROOM "\tm.room.member\t@member-%u:example.org\t$%043zu\n", group,
                       member, event));
}

/* Group g is the state after change g, from 1; every CHAINth is whole. */
static bool is_wanted(const bench *b, size_t g)
{
    const size_t at[] = { point(b, b->changes), point(b, b->changes / 2), point(b, b->changes / 2 + CHAIN),
                          point(b, b->changes / 2 + b->changes / 50), b->changes };

    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        if ((g - 1) / CHAIN == (at[i] - 1) / CHAIN)
            return true;
    return b->whole;
}

static void write_theirs(bench *b)
{
    size_t live = 0, written = 0;
    char line[256];

    PQclear(ask(b, "SET synchronous_commit = off", NULL, 0));
    PQclear(PQexec(b->pg, SCHEMA));
    copy_begin(b, "state_groups_state");
    for (size_t i = 0; i < b->changes; i++) {
        size_t g = i + 1;
        live += !b->latest[b->who[i]];
        b->latest[b->who[i]] = (uint32_t)g;
        bool full = i % CHAIN == 0;
        b->theirs_rows += full ? (double)live : 1;
        if (!is_wanted(b, g))
            continue;
        if (!full) {
            copy_state_row(b, g, b->who[i], g);
            written++;
            continue;
        }
        for (uint32_t m = 0; m < b->members; m++)
            if (b->latest[m])
                copy_state_row(b, g, m, b->latest[m]);
        written += live;
    }
    copy_end(b);
    copy_begin(b, "state_group_edges");
    for (size_t g = 1; g <= b->changes; g++)
        if ((g - 1) % CHAIN)
            copy_line(b, line, snprintf(line, sizeof line, "%zu\t%zu\n", g, g - 1));
    copy_end(b);
    copy_begin(b, "state_groups");
    for (size_t g = 1; g <= b->changes; g++)
        copy_line(b, line, snprintf(line, sizeof line, "%zu\t" ROOM "\t$%043zu\n", g, g));
    copy_end(b);
    PQclear(ask(b, "ANALYZE theirs.state_groups_state, theirs.state_group_edges, theirs.state_groups", NULL, 0));
    double rows = (double)test_pg_sql(b->db.conninfo, "SELECT pg_total_relation_size('theirs.state_groups_state')");
    b->theirs_row_bytes = rows / (double)written;
    b->theirs_bytes = b->theirs_rows * b->theirs_row_bytes +
                      (double)test_pg_sql(b->db.conninfo, "SELECT pg_total_relation_size('theirs.state_group_edges') +"
                                                          " pg_total_relation_size('theirs.state_groups')");
    PQclear(ask(b, "SET synchronous_commit = on", NULL, 0));
    PQclear(ask(b, "SET enable_seqscan = off", NULL, 0));
}

static PGresult *state_theirs(bench *b, size_t g)
{
    char text[32];
    const char *values[] = { text };

    snprintf(text, sizeof text, "%zu", g);
    return ask(b,
               FOLLOW "SELECT DISTINCT ON (type, state_key) type, state_key, event_id FROM theirs.state_groups_state"
                      " WHERE state_group IN (SELECT g FROM way) ORDER BY type, state_key, state_group DESC",
               values, 1);
}

static size_t key_theirs(bench *b, size_t g, uint32_t member)
{
    char text[32], key[64];
    const char *values[] = { text, key };
    size_t event;

    snprintf(text, sizeof text, "%zu", g);
    snprintf(key, sizeof key, "@member-%u:example.org", member);
    PGresult *res =
        ask(b,
            FOLLOW "SELECT DISTINCT ON (type, state_key) type, state_key, event_id FROM theirs.state_groups_state"
                   " WHERE state_group IN (SELECT g FROM way) AND type = 'm.room.member' AND state_key = $2"
                   " ORDER BY type, state_key, state_group DESC",
            values, 2);
    event = PQntuples(res) ? strtoul(PQgetvalue(res, 0, 2) + 1, NULL, 10) : 0;
    PQclear(res);
    return event;
}

static size_t diff_theirs(bench *b, size_t from, size_t to)
{
    PGresult *x = state_theirs(b, from), *y = state_theirs(b, to);
    size_t n = 0;
    int i = 0, k = 0;

    while (i < PQntuples(x) || k < PQntuples(y)) {
        int c = i == PQntuples(x) ? 1 : k == PQntuples(y) ? -1 : strcmp(PQgetvalue(x, i, 1), PQgetvalue(y, k, 1));
        n += c || strcmp(PQgetvalue(x, i, 2), PQgetvalue(y, k, 2)) != 0;
        i += c <= 0;
        k += c >= 0;
    }
    PQclear(x);
    PQclear(y);
    return n;
}

/* A group more: how long is the chain, then three rows; at its end the state is read and written as a whole. */
static double one_more_theirs(bench *b, size_t prev, size_t g, bool whole)
{
    double from = now_ms();
    char before[32], after[32];
    const char *values[] = { before, after };

    snprintf(before, sizeof before, "%zu", prev);
    snprintf(after, sizeof after, "%zu", g);
    PQclear(ask(b, "BEGIN", NULL, 0));
    PQclear(ask(b, FOLLOW "SELECT count(*) FROM way", values, 1));
    PQclear(ask(b,
                "INSERT INTO theirs.state_groups VALUES ($1::bigint, '" ROOM
                "', '$0123456789012345678901234567890123456789012')",
                values + 1, 1));
    if (whole) { /* here the copy stays in PostgreSQL; Synapse sends it from its memory */
        PQclear(ask(b,
                    FOLLOW
                    "INSERT INTO theirs.state_groups_state SELECT DISTINCT ON (type, state_key) $2::bigint, room_id,"
                    " type, state_key, event_id FROM theirs.state_groups_state WHERE state_group IN (SELECT g FROM way)"
                    " ORDER BY type, state_key, state_group DESC",
                    values, 2));
    } else {
        PQclear(ask(b, "INSERT INTO theirs.state_group_edges VALUES ($2::bigint, $1::bigint)", values, 2));
        PQclear(ask(b,
                    "INSERT INTO theirs.state_groups_state VALUES ($1::bigint, '" ROOM "', 'm.room.member',"
                    " '@member-1:example.org', '$0123456789012345678901234567890123456789012')",
                    values + 1, 1));
    }
    PQclear(ask(b, "COMMIT", NULL, 0));
    return now_ms() - from;
}

/* ── both ── */

static int by_size(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

static double median(double *at, size_t n)
{
    qsort(at, n, sizeof *at, by_size);
    return at[n / 2];
}

static void row(const char *what, double *ours, double *theirs, size_t n)
{
    double x = median(ours, n), y = median(theirs, n);

    printf("| %s | %.2f ms | %.2f ms | %.1f |\n", what, x, y, y / x);
}

static void expect(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "the two do not agree: %s\n", what);
    exit(1);
}

static void read_both(bench *b, hs_arena *a)
{
    double ours[PARTS][REPEATS], theirs[PARTS][REPEATS];
    size_t end = point(b, b->changes), middle = point(b, b->changes / 2), near = point(b, b->changes / 2 + CHAIN),
           far = point(b, b->changes / 2 + b->changes / 50);
    const size_t at[2] = { end, middle }, to[2] = { near, far };

    for (int i = 0; i < REPEATS; i++, hs_arena_reset(a)) { /* one after the other, so that both meet the same machine */
        for (int k = 0; k < 2; k++) {
            hs_state_set set;
            double t = now_ms();
            must(hs_store_state_at(b->db.db, a, 1, (hs_snap){ 0, (int32_t)at[k] }, &set));
            ours[k][i] = now_ms() - t;
            t = now_ms();
            PGresult *res = state_theirs(b, at[k]);
            theirs[k][i] = now_ms() - t;
            expect((size_t)PQntuples(res) == set.n, "whole states");
            PQclear(res);
        }
        uint32_t member = (uint32_t)(i * 37) % (uint32_t)b->members;
        int64_t slot = slot_of(member);
        hs_nid event;
        double t = now_ms();
        must(hs_store_state_slots(b->db.db, a, 1, (hs_snap){ 0, (int32_t)middle }, &slot, 1, &event));
        ours[2][i] = now_ms() - t;
        t = now_ms();
        size_t same = key_theirs(b, middle, member);
        theirs[2][i] = now_ms() - t;
        expect((size_t)event == same, "one key");
        for (int k = 0; k < 2; k++) {
            hs_state_change *c;
            size_t n;
            t = now_ms();
            must(hs_store_state_diff(b->db.db, a, 1, (hs_snap){ 0, (int32_t)middle }, (hs_snap){ 0, (int32_t)to[k] },
                                     &c, &n));
            ours[3 + k][i] = now_ms() - t;
            t = now_ms();
            same = diff_theirs(b, middle, to[k]);
            theirs[3 + k][i] = now_ms() - t;
            expect(n == same, "differences");
        }
        ours[5][i] = one_more_ours(b, a, b->changes + (size_t)i);
        theirs[5][i] = one_more_theirs(b, end + (size_t)i % (CHAIN / 2), b->changes + 1 + (size_t)i, false);
    }
    row("whole state now", ours[0], theirs[0], REPEATS);
    row("whole state in the middle", ours[1], theirs[1], REPEATS);
    row("one key in the middle", ours[2], theirs[2], REPEATS);
    row("difference over 100 changes", ours[3], theirs[3], REPEATS);
    row("difference over a fiftieth of all changes", ours[4], theirs[4], REPEATS);
    row("one change more, durable", ours[5], theirs[5], REPEATS);
    double whole = one_more_theirs(b, end, b->changes + 1000, true);
    printf("| … where a chain ends, each 100th | as above | %.2f ms | |\n", whole);
}

/* Twice as much of other rooms, so that the tables are not one room, which would be read from end to end. */
static void other_rooms(bench *b)
{
    char sql[600];

    snprintf(sql, sizeof sql,
             "INSERT INTO state_past SELECT 2 + k %% 100, 0, k / 100 + 1, 0, k, 0 FROM generate_series(1, %zu) k;"
             "INSERT INTO state_tip SELECT 2 + k %% 100, 0, k / 100 + 1, k, k FROM generate_series(1, %zu) k;"
             "INSERT INTO state_line SELECT k, 0, NULL, NULL, 0, 0 FROM generate_series(2, 101) k;",
             2 * b->changes, 2 * b->members);
    test_pg_sql(b->db.conninfo, sql);
    test_pg_sql(b->db.conninfo, "VACUUM ANALYZE state_tip");
    test_pg_sql(b->db.conninfo, "VACUUM ANALYZE state_past");
    test_pg_sql(b->db.conninfo, "VACUUM ANALYZE state_line");
}

static void run(void *ud)
{
    bench *b = ud;
    hs_arena *a = hs_arena_open((size_t)256 << 20);
    double t = now_ms(), bytes;

    write_ours(b);
    printf("%zu members, %zu changes; ours written in %.1f s", b->members, b->changes, (now_ms() - t) / 1e3);
    t = now_ms();
    write_theirs(b);
    printf(", the other shape%s in %.1f s\n\n", b->whole ? "" : " as far as it is read", (now_ms() - t) / 1e3);
    bytes = (double)test_pg_sql(b->db.conninfo,
                                "SELECT pg_total_relation_size('state_tip') + pg_total_relation_size('state_past')"
                                " + pg_total_relation_size('state_line')");
    other_rooms(b);
    printf("| what | ours | Synapse's shape | ratio |\n|---|---|---|---|\n");
    printf("| bytes, with indexes%s | %.1f MB | %.0f MB | %.0f |\n", b->whole ? "" : " (theirs counted)", bytes / 1e6,
           b->theirs_bytes / 1e6, b->theirs_bytes / bytes);
    hs_fiber_sleep(b->db.loop, 20); /* the loop has stood still meanwhile, and its clock */
    read_both(b, a);
    hs_arena_close(a);
}

int main(int argc, char **argv)
{
    bench b = { .members = 50000, .changes = 500000 };

    if (argc > 1 && strcmp(argv[1], "--small") == 0)
        b = (bench){ .members = 500, .changes = 5000, .whole = true };
    else if (argc > 1 && strcmp(argv[1], "--tenth") == 0)
        b = (bench){ .members = 5000, .changes = 50000, .whole = true };
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_changes(&b);
    test_db_open(&b.db);
    b.pg = PQconnectdb(b.db.conninfo);
    if (PQstatus(b.pg) != CONNECTION_OK)
        return 2;
    test_on_fiber(b.db.loop, run, &b);
    PQfinish(b.pg);
    test_db_close(&b.db);
    free(b.who);
    free(b.latest);
    return 0;
}
