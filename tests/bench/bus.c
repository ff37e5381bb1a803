/* Messages through the bus: how many a second, and what one costs the worker that publishes it, each that receives it,
 * and Redis.   bench_bus [seconds]
 *
 * A message is a feed message with one event, 1 KB in all. One process publishes, others receive and decode, with a
 * Redis of their own on a Unix socket, and on TCP. "flood": 100 messages in each turn of the loop, no more than 2,000
 * ahead of the slowest reader. "one at a time": the next one goes out when the last one is back at its sender. */
#include "bus/bus_redis.h"
#include "bus/feed.h"
#include "support/redis.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { READERS_MAX = 4, AHEAD = 2000, IN_A_TURN = 100, SAMPLES = 200000, TARGET = 1000 };

/* Between the processes. */
typedef struct {
    atomic_bool ready[READERS_MAX], stop;
    atomic_long received[READERS_MAX];
    double cpu[READERS_MAX];
} board;

typedef struct {
    hs_loop *loop;
    hs_arena *a;
    hs_bus *bus;
    atomic_long *received;
    long mine;
} end;

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double cpu_of(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user, kernel;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
        return 0;
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static hs_str make_message(hs_arena *a)
{
    static const int64_t heads[] = { 123456 };
    static char json[2 * TARGET];
    hs_feed_event e = { .room = 1234,
                        .event = 123457,
                        .depth = 5000,
                        .line = 3,
                        .snap = 40,
                        .sender = 77,
                        .d_notify = 1,
                        .heads = heads,
                        .heads_n = 1,
                        .prev_pos = 9999999,
                        .device_id = HS_S("ABCDEFGHIJ"),
                        .txn_id = HS_S("m1790000000000.17"),
                        .received_ts = 1790000000000 };
    hs_str row, bytes = { NULL, 0 };

    memset(json, 'x', sizeof json);
    hs_feed_body body = { .json = hs_str_make(json, 1) };
    for (int round = 0; round < 3; round++) { /* as long as is left to 1,000 bytes */
        if (hs_feed_encode(a, &(hs_feed_msg){ .events = &e, .events_n = 1 }, &row) ||
            hs_feed_address(a, 10000000, 10000000, HS_S("client1"), row, &body, 1, &bytes))
            exit(1);
        body.json.n = body.json.n + TARGET - bytes.n;
    }
    return bytes;
}

static void receive(void *ud, hs_str bytes)
{
    end *e = ud;
    hs_feed_msg m;

    hs_arena_reset(e->a);
    if (hs_feed_decode(e->a, bytes, &m))
        exit(1);
    e->mine++;
    if (e->received)
        atomic_store_explicit(e->received, e->mine, memory_order_release);
}

static void open_end(end *e, const test_redis *r, bool tcp, bool listens)
{
    hs_bus_redis_options o = { .path = hs_str_c(tcp ? "" : r->socket),
                               .host = HS_S("127.0.0.1"),
                               .port = r->port,
                               .server_name = HS_S("bench"),
                               .client_name = HS_S("bench") };

    e->loop = hs_loop_open();
    e->a = hs_arena_open(1 << 20);
    if (hs_bus_redis_open(e->loop, e->a, &o, &e->bus))
        exit(1);
    if (listens)
        hs_bus_subscribe(e->bus, HS_S(HS_BUS_FEED), receive, e);
    while (!hs_bus_healthy(e->bus))
        hs_loop_turn(e->loop, 100);
}

static void close_end(end *e)
{
    hs_bus_close(e->bus);
    hs_loop_close(e->loop);
    hs_arena_close(e->a);
}

static pid_t start_reader(board *b, const test_redis *r, bool tcp, int i)
{
    pid_t pid = fork();
    end e = { .received = &b->received[i] };

    if (pid)
        return pid;
    open_end(&e, r, tcp, true);
    double before = cpu_s();
    atomic_store(&b->ready[i], true);
    while (!atomic_load(&b->stop))
        hs_loop_turn(e.loop, 100);
    b->cpu[i] = cpu_s() - before;
    _exit(0);
}

static long slowest(board *b, int readers)
{
    long least = atomic_load_explicit(&b->received[0], memory_order_acquire);

    for (int i = 1; i < readers; i++) {
        long n = atomic_load_explicit(&b->received[i], memory_order_acquire);
        least = n < least ? n : least;
    }
    return least;
}

static void flood(const test_redis *r, bool tcp, int readers, double seconds)
{
    board *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[READERS_MAX];
    hs_arena *a = hs_arena_open(1 << 20);
    hs_str message = make_message(a);
    end e = { 0 };
    long sent = 0;

    for (int i = 0; i < readers; i++)
        pids[i] = start_reader(b, r, tcp, i);
    open_end(&e, r, tcp, false);
    for (int i = 0; i < readers; i++)
        while (!atomic_load(&b->ready[i]))
            hs_loop_turn(e.loop, 1);
    double redis = cpu_of(r->pid), cpu = cpu_s(), began = now_s();
    while (now_s() - began < seconds) {
        for (int i = 0; i < IN_A_TURN && sent - slowest(b, readers) < AHEAD; i++, sent++)
            hs_bus_publish(e.bus, HS_S(HS_BUS_FEED), message);
        hs_loop_turn(e.loop, sent - slowest(b, readers) < AHEAD ? 0 : 1);
    }
    while (slowest(b, readers) < sent)
        hs_loop_turn(e.loop, 1);
    double took = now_s() - began;
    cpu = cpu_s() - cpu;
    redis = cpu_of(r->pid) - redis;
    atomic_store(&b->stop, true);
    double reader = 0;
    for (int i = 0; i < readers; i++) {
        waitpid(pids[i], NULL, 0);
        reader += b->cpu[i];
    }
    double n = (double)sent;
    printf("| flood, %s, 1 to %d | %.0f | %.2f | %.2f | %.2f |\n", tcp ? "TCP" : "Unix socket", readers, n / took,
           cpu / n * 1e6, reader / readers / n * 1e6, redis / n * 1e6);
    fflush(stdout);
    close_end(&e);
    hs_arena_close(a);
    munmap(b, sizeof *b);
}

static int by_size(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

static void one_at_a_time(const test_redis *r, bool tcp, double seconds)
{
    static double took[SAMPLES];
    hs_arena *a = hs_arena_open(1 << 20);
    hs_str message = make_message(a);
    end e = { 0 };
    size_t n = 0;

    open_end(&e, r, tcp, true);
    double redis = cpu_of(r->pid), cpu = cpu_s(), began = now_s();
    while (n < SAMPLES && now_s() - began < seconds) {
        double at = now_s();
        long before = e.mine;
        hs_bus_publish(e.bus, HS_S(HS_BUS_FEED), message);
        while (e.mine == before)
            hs_loop_turn(e.loop, 100);
        took[n++] = now_s() - at;
    }
    double all = now_s() - began;
    cpu = cpu_s() - cpu;
    redis = cpu_of(r->pid) - redis;
    qsort(took, n, sizeof *took, by_size);
    printf("| one at a time, %s, back to its sender: p50 %.0f µs, p99 %.0f µs | %.0f | %.2f both | | %.2f |\n",
           tcp ? "TCP" : "Unix socket", took[n / 2] * 1e6, took[n * 99 / 100] * 1e6, (double)n / all,
           cpu / (double)n * 1e6, redis / (double)n * 1e6);
    fflush(stdout);
    close_end(&e);
    hs_arena_close(a);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
    test_redis r = { 0 };

    test_redis_start(&r, "");
    printf("| what | messages/s | publisher, µs of CPU each | receiver | Redis |\n|---|---|---|---|---|\n");
    for (int tcp = 0; tcp < 2; tcp++) {
        flood(&r, tcp, 1, seconds);
        flood(&r, tcp, 4, seconds);
        one_at_a_time(&r, tcp, seconds);
    }
    test_redis_stop(&r);
    return 0;
}
