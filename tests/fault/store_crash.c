/* PostgreSQL stops at once ("immediate") at random moments under load: store_crash [rounds]
 *
 * Fibers send messages, each into a room of its own, and note what was acknowledged. In the end every acknowledged
 * message is in the timeline once, at the position that was told; positions were told in rising order; and the feed
 * covers every position once. Uses a cluster of its own. */
#include "runtime/random.h"
#include "store/events.h"
#include "support/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SENDERS = 20, ACKED_MAX = 2000000 };

typedef struct {
    hs_nid event;
    int64_t pos;
} acked;

typedef struct {
    test_db t;
    acked *acked;
    size_t acked_n;
    long refused, conflicts;
    int64_t last_told;
    long backwards;
    bool stop;
    int running;
} world;

typedef struct {
    world *w;
    hs_nid room;
} sender;

static void die(const char *what, const hs_error *e)
{
    fprintf(stderr, "%s: %.*s\n", what, HS_FMT(e ? e->message : HS_S("")));
    exit(1);
}

static bool told(void *ud, hs_told_batch *b)
{
    world *w = ud;

    if (b->pos_from <= w->last_told)
        w->backwards++;
    w->last_told = b->pos;
    return true;
}

static hs_error *send_one(world *w, hs_arena *a, hs_nid room, hs_nid nid, hs_nid prev, hs_write_result *ret)
{
    hs_event_row row = { .room = room,
                         .event = nid,
                         .type = HS_S("m.room.message"),
                         .sender = 5,
                         .depth = nid,
                         .prev = { &prev, prev != 0 },
                         .json = HS_S("{\"content\":{\"body\":\"x\"}}") };
    hs_write *u;
    uint32_t at;

    HS_TRY(hs_str_fmt(a, &row.event_id, "$%lld", (long long)nid));
    HS_TRY(hs_write_open(w->t.db, a, &u));
    HS_TRY(hs_store_event_insert(u, &row));
    HS_TRY(hs_write_item(u,
                         &(hs_write_timeline){ .room = room,
                                               .event = nid,
                                               .depth = nid,
                                               .prev = { &prev, prev != 0 },
                                               .seen_line = prev ? 0 : -1,
                                               .d_notify = 1 },
                         &at));
    return hs_write_commit(u, ret);
}

static void send_messages(void *ud)
{
    sender *s = ud;
    world *w = s->w;
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    hs_nid prev = 0, nid;

    for (; !w->stop && w->acked_n < ACKED_MAX; hs_arena_reset(a)) {
        hs_write_result r;
        if (hs_db_new_nid(w->t.db, a, &nid) || send_one(w, a, s->room, nid, prev, &r)) {
            w->refused++; /* 503: not written, and it may be tried again */
            hs_fiber_sleep(w->t.loop, 20);
            continue;
        }
        if (r.status != HS_WRITE_OK) {
            w->conflicts++;
            continue;
        }
        w->acked[w->acked_n++] = (acked){ nid, r.first };
        prev = nid;
    }
    hs_arena_close(a);
    w->running--;
}

static pid_t run_script(const char *command, const char *dir)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl(HS_SOURCE_DIR "/tests/support/pg.sh", "pg.sh", command, dir, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void turn_for(world *w, int64_t ms)
{
    int64_t until;

    hs_loop_turn(w->t.loop, 0);
    until = hs_loop_now(w->t.loop) + ms;
    while (hs_loop_now(w->t.loop) < until)
        hs_loop_turn(w->t.loop, 10);
}

static void crash(world *w, const char *dir)
{
    pid_t pid = run_script("crash", dir);
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) == 0)
        hs_loop_turn(w->t.loop, 10);
    if (status != 0)
        die("the cluster did not start again", NULL);
}

static long count(const world *w, const char *sql)
{
    return (long)test_pg_sql(w->t.conninfo, sql);
}

/* Acknowledged messages that are not in the timeline at their position. */
static long count_lost(const world *w)
{
    static const hs_stmt LOOK = {
        .name = "crash_look",
        .sql = "SELECT count(*) FROM unnest($1, $2) a(event, pos) WHERE NOT EXISTS (SELECT FROM timeline t"
               " WHERE t.event_nid = a.event AND t.pos = a.pos)",
        .params = "NN",
        .cols = "n"
    };
    hs_arena *a = hs_arena_open((size_t)256 << 20);
    hs_nid *events;
    int64_t *pos;
    hs_rows *rows;
    hs_error *e;
    long lost = -1;

    e = hs_alloc(a, w->acked_n, &events);
    if (!e)
        e = hs_alloc(a, w->acked_n, &pos);
    for (size_t i = 0; !e && i < w->acked_n; i++) {
        events[i] = w->acked[i].event;
        pos[i] = w->acked[i].pos;
    }
    if (!e)
        e = hs_db_query(w->t.db, a, &LOOK, &rows, (hs_nids){ events, w->acked_n }, (hs_nids){ pos, w->acked_n });
    if (e)
        die("looking for what was acknowledged", e->cause ? e->cause : e);
    lost = (long)hs_rows_i64(rows, 0, 0);
    hs_arena_close(a);
    return lost;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 5, lost, twice, overlaps, uncovered;
    char dir[64];
    static world w;
    sender senders[SENDERS];
    int status;

    snprintf(dir, sizeof dir, "/tmp/hs-crash-%ld", (long)getpid());
    if (waitpid(run_script("start", dir), &status, 0) < 0 || status != 0)
        die("no cluster", NULL);
    setenv("HS_TEST_PG", dir, 1);
    w.acked = calloc(ACKED_MAX, sizeof *w.acked);
    test_db_open(&w.t);
    hs_write_set_hooks(w.t.db, &(hs_write_hooks){ .told = told, .ud = &w });
    w.running = SENDERS;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (sender){ &w, 10 + i };
        if (hs_fiber_spawn(w.t.loop, send_messages, &senders[i]))
            die("no fiber", NULL);
    }
    for (long i = 0; i < rounds; i++) {
        turn_for(&w, 300 + (int64_t)(hs_random_u64() % 1200));
        crash(&w, dir);
    }
    turn_for(&w, 3000);
    w.stop = true;
    while (w.running)
        hs_loop_turn(w.t.loop, 50);

    lost = count_lost(&w);
    twice = count(&w, "SELECT count(*) - count(DISTINCT event_nid) FROM timeline");
    overlaps = count(&w, "SELECT count(*) FROM (SELECT pos_from, lag(pos) OVER (ORDER BY pos) AS before FROM feed) x"
                         " WHERE before >= pos_from");
    uncovered = count(&w, "SELECT count(*) FROM timeline t WHERE NOT EXISTS (SELECT FROM feed f WHERE f.pos >= t.pos"
                          " AND f.pos_from <= t.pos AND f.pos < t.pos + 200)");
    printf("%ld crashes, %zu acknowledged, %ld refused: %ld lost, %ld twice, %ld told backwards, %ld overlapping and"
           " %ld missing feed rows, %ld written but refused as conflict or stale\n",
           rounds, w.acked_n, w.refused, lost, twice, w.backwards, overlaps, uncovered, w.conflicts);
    test_db_close(&w.t);
    free(w.acked);
    fflush(stdout);
    status = lost || twice || w.backwards || overlaps || uncovered || w.conflicts || w.acked_n < 100;
    _exit(waitpid(run_script("stop", dir), NULL, 0) < 0 || status);
}
