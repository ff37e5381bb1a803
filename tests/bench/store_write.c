/* How many messages a second one process writes durably, and what one costs in CPU: ours and PostgreSQL's.
 * HS_TEST_PG=DIR bench_store_write [seconds]   (DIR of tests/support/pg.sh)
 *
 * Each fiber sends one message after the other into a room of its own: event row, transaction id, timeline row, feed
 * row, flush. */
#include "store/events.h"
#include "store/state.h"
#include "support/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

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

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;

    run(1, seconds);
    run(8, seconds);
    run(64, seconds);
    run(512, seconds);
    return 0;
}
