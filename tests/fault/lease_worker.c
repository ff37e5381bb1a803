/* A worker that does nothing but a test's duty: lease_worker CONNINFO NAME SHARDS; driven by lease.py.
 *
 * Each call writes one row (who, which shard, which epoch) in a unit that is fenced. SIGUSR1: it stops itself
 * (SIGSTOP) right before its next commit, and says after it has woken what became of that write. SIGTERM: a clean end.
 */
#include "server/leases.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EVERY_MS = 50 };

/* clang-format off */
static const hs_stmt DID = {
    .name = "t_did",
    .sql = "INSERT INTO t_did(worker, shard, epoch, at)"
           " SELECT $1, l.shard, l.epoch, hs_now_ms() FROM lease l WHERE l.duty = 't' AND l.shard = $2",
    .params = "ti",
};
/* clang-format on */

static volatile sig_atomic_t pause_wanted, end_wanted;

static void on_signal(int which)
{
    if (which == SIGUSR1)
        pause_wanted = 1;
    else
        end_wanted = 1;
}

static void die(const char *what, const hs_error *e)
{
    fprintf(stderr, "%s: %.*s\n", what, HS_FMT(e ? e->message : HS_S("")));
    exit(1);
}

static hs_error *run(hs_lease *l, hs_arena *a, void *ud)
{
    hs_server *srv = ud;
    hs_write_result res;
    hs_write *u;
    bool paused = pause_wanted;

    HS_TRY(hs_write_open(srv->db, a, &u));
    HS_TRY(hs_lease_fence(l, u));
    HS_TRY(hs_write_before(u, &DID, srv->worker_name, hs_lease_shard(l)));
    if (paused) {
        pause_wanted = 0;
        raise(SIGSTOP); /* between looking and writing */
    }
    HS_TRY(hs_write_commit(u, &res));
    if (paused) {
        printf("%s\n", res.status == HS_WRITE_OK ? "written" : res.status == HS_WRITE_FENCED ? "refused" : "other");
        fflush(stdout);
    }
    return NULL;
}

static void begin(hs_server *srv, hs_arena *a, int32_t shards)
{
    hs_duty duty = {
        .name = "t", .shards = shards, .roles = HS_ROLE_BACKGROUND, .every_ms = EVERY_MS, .run = run, .ud = srv
    };
    hs_error *e = hs_leases_open(srv, a);

    if (!e)
        e = hs_lease_duty(srv, &duty);
    if (!e)
        e = hs_leases_start(srv);
    if (e)
        die("leases", e);
}

int main(int argc, char **argv)
{
    hs_server srv = { .roles = HS_ROLE_BACKGROUND };
    hs_db_options o = { 0 };
    hs_error *e;

    if (argc != 4) {
        fprintf(stderr, "usage: lease_worker CONNINFO NAME SHARDS\n");
        return 2;
    }
    signal(SIGUSR1, on_signal);
    signal(SIGTERM, on_signal);
    srv.loop = hs_loop_open();
    srv.arena = hs_arena_open((size_t)16 << 20);
    srv.log = hs_logger_open(2, HS_LOG_INFO, false);
    srv.worker_name = hs_str_c(argv[2]);
    o.conninfo = argv[1];
    o.log = srv.log;
    if (!srv.loop || !srv.arena)
        die("no memory", NULL);
    e = hs_db_open(srv.loop, srv.arena, &o, &srv.db);
    if (e)
        die("database", e);
    begin(&srv, srv.arena, (int32_t)strtol(argv[3], NULL, 10));
    while (!end_wanted)
        hs_loop_turn(srv.loop, 20);
    hs_leases_close(&srv);
    hs_db_close(srv.db);
    hs_arena_close(srv.arena);
    hs_loop_close(srv.loop);
    hs_logger_close(srv.log);
    return 0;
}
