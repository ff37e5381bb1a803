/* How many messages a second one process writes durably, and what one costs in CPU: ours and PostgreSQL's.
 * HS_TEST_PG=DIR bench_store_write [seconds [workers]]   (DIR of tests/support/pg.sh)
 *
 * Each fiber sends one message after the other into a room of its own: event row, transaction id, timeline row, feed
 * row, flush. With `workers`: so many processes on one database, which share the ticket; 64 fibers each. */
#include "store/events.h"
#include "store/state.h"
#include "support/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JSON_BYTES = 704 };

typedef struct {
    test_db *t;
    hs_nid room;
    bool *stop;
    int *running;
    long sent;
} sender;

static double now_s(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(hs_error *e)
{
    if (!e)
        return;
    fprintf(stderr, "%.*s %.*s\n", HS_FMT(e->message), HS_FMT(e->cause ? e->cause->message : HS_S("")));
    exit(1);
}

static void send_messages(void *ud)
{
    static char json[JSON_BYTES];
    sender *s = ud;
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    hs_nid prev = 0;

    memset(json, 'x', sizeof json);
    for (; !*s->stop; hs_arena_reset(a)) {
        hs_write_result r;
        hs_event_row row;
        hs_str id, txn;
        hs_write *w;
        hs_nid nid;
        uint32_t at;

        must(hs_db_new_nid(s->t->db, a, &nid));
        must(hs_str_fmt(a, &id, "$%lldabcdefghijklmnopqrstuvwxyz0123456789", (long long)nid));
        must(hs_str_fmt(a, &txn, "m%lld.17", (long long)nid));
        row = (hs_event_row){ .room = s->room,
                              .event = nid,
                              .event_id = id,
                              .type = HS_S("m.room.message"),
                              .sender = 5,
                              .depth = s->sent,
                              .origin_ts = 1700000000000,
                              .received_ts = 1700000000001,
                              .line = 0,
                              .snap = 0,
                              .prev = { &prev, prev != 0 },
                              .auth = { (const hs_nid[]){ 1, 2, 3 }, 3 },
                              .json = hs_str_make(json, sizeof json) };
        must(hs_write_open(s->t->db, a, &w));
        must(hs_store_event_insert(w, &row));
        must(hs_store_txn_insert(w, &(hs_txn_row){ .user = s->room,
                                                   .device_id = HS_S("ABCDEFGHIJ"),
                                                   .scope = s->room,
                                                   .txn_id = txn,
                                                   .room = s->room,
                                                   .event = nid,
                                                   .ts = 1700000000001 }));
        must(hs_write_item(w,
                           &(hs_write_timeline){ .room = s->room,
                                                 .event = nid,
                                                 .depth = s->sent,
                                                 .prev = { &prev, prev != 0 },
                                                 .seen_line = prev ? 0 : -1,
                                                 .d_notify = 1 },
                           &at));
        must(hs_write_commit(w, &r));
        if (r.status != HS_WRITE_OK)
            exit(2);
        prev = nid;
        s->sent++;
    }
    hs_arena_close(a);
    --*s->running;
}

static hs_error *encode(void *ud, hs_arena *a, const hs_told *units, size_t n, hs_str *ret_msg)
{
    char *p;

    (void)ud;
    (void)units;
    HS_TRY(hs_alloc(a, n * 60, &p)); /* about what a message's news take */
    *ret_msg = hs_str_make(p, n * 60);
    return NULL;
}

/* CPU seconds of the cluster's processes, from /proc: living ones, so only meaningful while connections stay. */
static double postgres_cpu(test_db *t)
{
    double sum = 0;

    for (int i = 0; i < 64; i++) {
        char sql[200], path[64];
        unsigned long user = 0, sys = 0;
        long long pid;
        FILE *f;
        snprintf(sql, sizeof sql,
                 "SELECT pid FROM pg_stat_activity WHERE backend_type <> 'client backend' OR application_name LIKE"
                 " 'hs%%' ORDER BY pid OFFSET %d LIMIT 1",
                 i);
        pid = test_pg_sql(t->conninfo, sql);
        if (!pid)
            break;
        snprintf(path, sizeof path, "/proc/%lld/stat", pid);
        f = fopen(path, "r");
        if (f && fscanf(f, "%*d %*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) == 2)
            sum += (double)(user + sys) / 100.0;
        if (f)
            fclose(f);
    }
    return sum;
}

static void run(int fibers, double seconds)
{
    static const hs_write_hooks hooks = { .encode = encode };
    test_db t = { 0 };
    sender *s = calloc((size_t)fibers, sizeof *s);
    bool stop = false;
    int running = fibers;
    double start, cpu, pg;
    long sent = 0;

    test_db_open(&t);
    hs_write_set_hooks(t.db, &hooks);
    for (int i = 0; i < fibers; i++) {
        s[i] = (sender){ .t = &t, .room = 100 + i, .stop = &stop, .running = &running };
        must(hs_fiber_spawn(t.loop, send_messages, &s[i]));
    }
    pg = postgres_cpu(&t);
    start = now_s(CLOCK_MONOTONIC);
    cpu = now_s(CLOCK_PROCESS_CPUTIME_ID);
    while (now_s(CLOCK_MONOTONIC) - start < seconds)
        hs_loop_turn(t.loop, 10);
    for (int i = 0; i < fibers; i++)
        sent += s[i].sent;
    cpu = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    seconds = now_s(CLOCK_MONOTONIC) - start;
    pg = postgres_cpu(&t) - pg;
    stop = true;
    while (running)
        hs_loop_turn(t.loop, 10);
    printf("%4d fibers: %7.0f messages/s, CPU per message: ours %5.1f us, PostgreSQL %5.1f us\n", fibers,
           (double)sent / seconds, cpu / (double)sent * 1e6, pg / (double)sent * 1e6);
    test_db_close(&t);
    free(s);
}

/* One of several workers: sends for a second before and after, and writes what it sent in between, per second. */
static void work(const char *conninfo, int number, double seconds, int out)
{
    static const hs_write_hooks hooks = { .encode = encode };
    test_db t = { .conninfo = conninfo };
    sender s[64];
    bool stop = false;
    int running = 64;
    double start, sent = 0, before = 0;

    test_db_open(&t);
    hs_write_set_hooks(t.db, &hooks);
    for (int i = 0; i < 64; i++) {
        s[i] = (sender){ .t = &t, .room = 1000 * (number + 1) + i, .stop = &stop, .running = &running };
        must(hs_fiber_spawn(t.loop, send_messages, &s[i]));
    }
    for (int part = 0; part < 3; part++) {
        start = now_s(CLOCK_MONOTONIC);
        while (now_s(CLOCK_MONOTONIC) - start < (part == 1 ? seconds : 1))
            hs_loop_turn(t.loop, 10);
        sent = 0;
        for (int i = 0; i < 64; i++)
            sent += (double)s[i].sent;
        if (part == 0)
            before = sent;
        if (part == 1)
            sent = (sent - before) / (now_s(CLOCK_MONOTONIC) - start);
        if (part == 1 && write(out, &sent, sizeof sent) != sizeof sent)
            exit(1);
    }
    stop = true;
    while (running)
        hs_loop_turn(t.loop, 10);
    _exit(0);
}

static void run_workers(int workers, double seconds)
{
    test_db t = { .conninfo = test_pg_create("") };
    double total = 0, one, pg;
    int ends[2];

    test_db_open(&t); /* the schema */
    if (pipe(ends))
        exit(1);
    for (int i = 0; i < workers; i++)
        if (fork() == 0)
            work(t.conninfo, i, seconds, ends[1]);
    sleep(1);
    pg = postgres_cpu(&t);
    sleep((unsigned)seconds);
    pg = postgres_cpu(&t) - pg;
    for (int i = 0; i < workers; i++)
        if (read(ends[0], &one, sizeof one) == sizeof one)
            total += one;
    while (wait(NULL) > 0)
        ;
    printf("%2d workers: %7.0f messages/s, PostgreSQL %5.1f us of CPU a message\n", workers, total,
           pg / (total * seconds) * 1e6);
    test_db_close(&t);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;

    if (argc > 2) {
        run_workers((int)strtol(argv[2], NULL, 10), seconds);
        return 0;
    }
    run(1, seconds);
    run(8, seconds);
    run(64, seconds);
    run(512, seconds);
    return 0;
}
