/* What a Redis does to the bus: it dies, falls silent, moves, is slow, wants a password or TLS. */
#include "bus/bus_redis.h"
#include "support/redis.h"
#include "support/watcher.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 30000

typedef struct {
    char got[4096];
    size_t n, messages;
} ear;

/* Two workers, usually. */
typedef struct {
    hs_loop *loop;
    hs_arena *a;
    test_redis redis;
    hs_bus *one, *two;
    ear ear;
} fixture;

#define turn_until(f, condition)                                                                                       \
    do {                                                                                                               \
        int64_t end_ = hs_loop_now((f)->loop) + PATIENCE_MS;                                                           \
        while (!(condition)) {                                                                                         \
            if (hs_loop_now((f)->loop) > end_)                                                                         \
                fail_msg("waited in vain for %s", #condition);                                                         \
            hs_loop_turn((f)->loop, 20);                                                                               \
        }                                                                                                              \
    } while (0)

static void hear(void *ud, hs_str m)
{
    ear *e = ud;

    e->messages++;
    if (e->n + m.n >= sizeof e->got)
        return;
    memcpy(e->got + e->n, m.p, m.n);
    e->n += m.n;
    e->got[e->n] = '\0';
}

static void forget(ear *e)
{
    *e = (ear){ .n = 0 };
}

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    f->loop = hs_loop_open();
    f->a = hs_arena_open(1 << 20);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;

    hs_bus_close(f->one);
    hs_bus_close(f->two);
    if (f->redis.dir[0])
        test_redis_stop(&f->redis);
    hs_loop_close(f->loop);
    hs_arena_close(f->a);
    free(f);
    return 0;
}

static hs_bus_redis_options options(const fixture *f)
{
    return (hs_bus_redis_options){ .path = hs_str_c(f->redis.socket),
                                   .host = HS_S("localhost"),
                                   .port = f->redis.port,
                                   .server_name = HS_S("test.example"),
                                   .client_name = HS_S("test") };
}

static hs_bus *open_bus(fixture *f, const hs_bus_redis_options *o)
{
    hs_bus *b;

    assert_null(hs_bus_redis_open(f->loop, f->a, o, &b));
    return b;
}

/* Two buses on one server, the second one listening to "x". */
static void open_two(fixture *f)
{
    hs_bus_redis_options o = options(f);

    f->one = open_bus(f, &o);
    f->two = open_bus(f, &o);
    assert_non_null(hs_bus_subscribe(f->two, HS_S("x"), hear, &f->ear));
    turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two));
}

static void without_a_server_it_waits_and_publishes_what_was_said_meanwhile(void **state)
{
    fixture *f = *state;
    hs_bus_redis_options o;

    test_redis_start(&f->redis, "");
    test_redis_kill(&f->redis);
    o = options(f);
    f->one = open_bus(f, &o);
    f->two = open_bus(f, &o);
    assert_non_null(hs_bus_subscribe(f->two, HS_S("x"), hear, &f->ear));
    for (int i = 0; i < 20; i++)
        hs_loop_turn(f->loop, 10);
    assert_false(hs_bus_healthy(f->one));
    test_redis_again(&f->redis);
    turn_until(f, hs_bus_healthy(f->two));
    hs_bus_close(f->one); /* came back by itself; a new one surely says its word after the other listens */
    f->one = open_bus(f, &o);
    hs_bus_publish(f->one, HS_S("x"), HS_S("1"));
    hs_bus_publish(f->one, HS_S("x"), HS_S("2"));
    turn_until(f, f->ear.messages == 2);
    assert_string_equal(f->ear.got, "12");
}

static void one_that_dies_is_missed_at_once_and_found_again(void **state)
{
    fixture *f = *state;

    test_redis_start(&f->redis, "");
    open_two(f);
    for (int i = 0; i < 3; i++) {
        test_redis_kill(&f->redis);
        int64_t died = hs_loop_now(f->loop);
        turn_until(f, !hs_bus_healthy(f->one) && !hs_bus_healthy(f->two));
        assert_true(hs_loop_now(f->loop) - died < 5000);
        test_redis_again(&f->redis);
        turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two));
        forget(&f->ear);
        hs_bus_publish(f->one, HS_S("x"), HS_S("back"));
        turn_until(f, f->ear.messages);
        assert_string_equal(f->ear.got, "back");
    }
    assert_int_equal(hs_bus_stats_of(f->two)->connects, 4);
}

/* As a cable that was pulled: nothing comes, nothing breaks. */
static void one_that_falls_silent_is_missed(void **state)
{
    fixture *f = *state;
    size_t connects;

    test_redis_start(&f->redis, "");
    open_two(f);
    connects = hs_bus_stats_of(f->one)->connects;
    kill(f->redis.pid, SIGSTOP);
    int64_t since = hs_loop_now(f->loop);
    turn_until(f, !hs_bus_healthy(f->one) && !hs_bus_healthy(f->two));
    assert_in_range(hs_loop_now(f->loop) - since, 1000, 5000); /* 1.75 s, on a machine with time */
    kill(f->redis.pid, SIGCONT);
    turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two));
    assert_int_equal(hs_bus_stats_of(f->one)->connects, connects); /* the same connections */
    kill(f->redis.pid, SIGSTOP);
    turn_until(f, !hs_bus_healthy(f->one));
    since = hs_loop_now(f->loop);
    while (hs_loop_now(f->loop) - since < 3000)
        hs_loop_turn(f->loop, 50);
    kill(f->redis.pid, SIGCONT);
    turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two));
    assert_true(hs_bus_stats_of(f->one)->connects > connects); /* given up and made anew */
}

static long resident_kib(void)
{
    long pages = 0, all;
    FILE *s = fopen("/proc/self/statm", "r");

    assert_int_equal(fscanf(s, "%ld %ld", &all, &pages), 2);
    fclose(s);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void one_that_is_stalled_costs_bounded_memory_and_the_oldest_news(void **state)
{
    fixture *f = *state;
    static char kilo[1000];
    long before;
    const hs_bus_stats *s;

    test_redis_start(&f->redis, "");
    open_two(f);
    kill(f->redis.pid, SIGSTOP);
    before = resident_kib();
    for (int i = 0; i < 100000; i++) {
        snprintf(kilo, sizeof kilo, "%06d", i);
        hs_bus_publish(f->one, HS_S("x"), hs_str_make(kilo, sizeof kilo));
        if (i % 100 == 0)
            hs_loop_turn(f->loop, 0);
    }
    s = hs_bus_stats_of(f->one);
    assert_int_equal(s->published, 100000);
    assert_true(s->dropped > 80000 && s->dropped < 100000);
#ifndef __SANITIZE_ADDRESS__
    assert_true(resident_kib() - before < 32 * 1024);
#else
    (void)before;
#endif
    kill(f->redis.pid, SIGCONT);
    turn_until(f, f->ear.messages + s->dropped == s->published);
}

static void a_later_subscription_is_no_loss_but_until_it_is_confirmed_all_is_not_well(void **state)
{
    fixture *f = *state;
    watcher w = { .watch = { .fn = note_health, .ud = &w } };

    test_redis_start(&f->redis, "");
    open_two(f);
    hs_loop_turn(f->loop, 0);
    hs_bus_watch_start(f->two, &w.watch);
    assert_non_null(hs_bus_subscribe(f->two, HS_S("y"), hear, &f->ear));
    assert_false(hs_bus_healthy(f->two));
    turn_until(f, hs_bus_healthy(f->two) && w.n);
    assert_string_equal(w.told, "+");
    assert_non_null(hs_bus_subscribe(f->two, HS_S("z"), hear, &f->ear));
    test_redis_kill(&f->redis); /* before it can confirm */
    turn_until(f, w.n > 1);
    assert_string_equal(w.told, "+-");
    test_redis_again(&f->redis);
    turn_until(f, w.n > 2);
    assert_string_equal(w.told, "+-+");
    turn_until(f, hs_bus_healthy(f->one));
    hs_bus_publish(f->one, HS_S("z"), HS_S("z"));
    turn_until(f, f->ear.messages);
}

static void another_server_or_database_hears_nothing(void **state)
{
    fixture *f = *state;
    hs_bus_redis_options o;
    ear other = { 0 };

    test_redis_start(&f->redis, "");
    o = options(f);
    f->one = open_bus(f, &o);
    o.dbid = 3;
    f->two = open_bus(f, &o);
    o.dbid = 0;
    o.server_name = HS_S("other.example");
    hs_bus *third = open_bus(f, &o);
    assert_non_null(hs_bus_subscribe(f->one, HS_S("x"), hear, &f->ear));
    assert_non_null(hs_bus_subscribe(f->two, HS_S("x"), hear, &other));
    assert_non_null(hs_bus_subscribe(third, HS_S("x"), hear, &other));
    turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two) && hs_bus_healthy(third));
    hs_bus_publish(f->one, HS_S("x"), HS_S("mine"));
    turn_until(f, f->ear.messages);
    hs_bus_publish(third, HS_S("x"), HS_S("theirs"));
    turn_until(f, other.messages);
    assert_string_equal(f->ear.got, "mine");
    assert_string_equal(other.got, "theirs");
    hs_bus_close(third);
}

/* N04: who can write to the Redis is not therefore believed. */
static void what_was_made_with_another_secret_is_not_heard(void **state)
{
    fixture *f = *state;
    hs_bus_redis_options o;
    hs_bus *forger;

    test_redis_start(&f->redis, "");
    open_two(f);
    o = options(f);
    o.secret[0] = 1;
    forger = open_bus(f, &o);
    turn_until(f, hs_bus_healthy(forger));
    hs_bus_publish(forger, HS_S("x"), HS_S("forged"));
    hs_bus_publish(forger, HS_S("x"), HS_S(""));
    turn_until(f, hs_bus_stats_of(f->two)->forged == 2);
    hs_bus_publish(f->one, HS_S("x"), HS_S("ours"));
    turn_until(f, f->ear.messages);
    assert_string_equal(f->ear.got, "ours");
    assert_int_equal(f->ear.messages, 1);
    assert_int_equal(hs_bus_stats_of(f->two)->forged, 2);
    hs_bus_close(forger);
}

/* The rights that docs/operate.md names are enough. */
static void it_lets_in_who_has_the_password(void **state)
{
    fixture *f = *state;
    hs_bus_redis_options o;
    hs_bus *none, *wrong;

    test_redis_start(&f->redis, "requirepass secret\n"
                                "user hs on >geheim resetchannels &test.example/0/* +auth +client|setname +publish "
                                "+subscribe +unsubscribe\n");
    o = options(f);
    none = open_bus(f, &o);
    o.password = HS_S("Secret");
    wrong = open_bus(f, &o);
    o.password = HS_S("secret");
    f->one = open_bus(f, &o);
    o.username = HS_S("hs");
    o.password = HS_S("geheim");
    f->two = open_bus(f, &o);
    assert_non_null(hs_bus_subscribe(f->two, HS_S("x"), hear, &f->ear));
    turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two));
    hs_bus_publish(f->one, HS_S("x"), HS_S("1"));
    hs_bus_publish(f->two, HS_S("x"), HS_S("2"));
    turn_until(f, f->ear.messages == 2);
    assert_false(hs_bus_healthy(none));
    assert_false(hs_bus_healthy(wrong));
    hs_bus_close(none);
    hs_bus_close(wrong);
}

static void make_certificate(const char *dir, const char *name, const char *subject)
{
    char key[128], cert[128], san[64], subj[64];

    snprintf(key, sizeof key, "%s/%s.key", dir, name);
    snprintf(cert, sizeof cert, "%s/%s.crt", dir, name);
    snprintf(subj, sizeof subj, "/CN=%s", name);
    snprintf(san, sizeof san, "subjectAltName=DNS:%s", subject);
    test_run((const char *const[]){ "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key, "-out",
                                    cert, "-subj", subj, "-addext", san, NULL });
}

static void tls_is_spoken_with_who_proves_its_name_and_with_nobody_else(void **state)
{
    fixture *f = *state;
    hs_bus_redis_options o;
    char dir[] = "/tmp/hs-test-tls-XXXXXX", settings[512], ca[64], key[64], other[64];
    hs_bus *untrusted, *misnamed, *unknown;
    hs_bus *bad;

    assert_non_null(mkdtemp(dir));
    make_certificate(dir, "redis", "localhost");
    make_certificate(dir, "other", "localhost");
    snprintf(ca, sizeof ca, "%s/redis.crt", dir);
    snprintf(key, sizeof key, "%s/redis.key", dir);
    snprintf(other, sizeof other, "%s/other.crt", dir);
    snprintf(settings, sizeof settings, "tls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-port %%p\n", ca,
             key, ca);
    test_redis_start(&f->redis, settings);
    o = options(f);
    o.path = HS_S("");
    o.tls = true;
    o.ca_file = hs_str_c(ca);
    o.cert_file = hs_str_c(ca);
    o.key_file = hs_str_c(key);
    f->one = open_bus(f, &o);
    f->two = open_bus(f, &o);
    o.ca_file = hs_str_c(other);
    untrusted = open_bus(f, &o);
    o.ca_file = hs_str_c(ca);
    o.host = HS_S("127.0.0.1"); /* not a name of the certificate */
    misnamed = open_bus(f, &o);
    o.host = HS_S("localhost");
    o.cert_file = o.key_file = HS_S(""); /* this Redis wants one */
    unknown = open_bus(f, &o);
    assert_non_null(hs_bus_subscribe(f->two, HS_S("x"), hear, &f->ear));
    turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two));
    for (int i = 0; i < 2000; i++)
        hs_bus_publish(f->one, HS_S("x"), hs_str_make(settings, sizeof settings));
    turn_until(f, f->ear.messages == 2000);
    assert_false(hs_bus_healthy(untrusted));
    assert_false(hs_bus_healthy(misnamed));
    assert_false(hs_bus_healthy(unknown));
    hs_bus_close(untrusted);
    hs_bus_close(misnamed);
    hs_bus_close(unknown);
    o.ca_file = HS_S("/nowhere/ca.crt");
    assert_non_null(hs_bus_redis_open(f->loop, f->a, &o, &bad));
    test_run((const char *const[]){ "rm", "-rf", dir, NULL });
}

static void the_master_that_the_sentinel_names_is_followed_when_it_moves(void **state)
{
    fixture *f = *state;
    test_redis second = { 0 }, sentinel = { 0 };
    char settings[128];
    hs_bus_redis_options o;

    test_redis_start(&f->redis, "repl-diskless-sync-delay 0\n");
    snprintf(settings, sizeof settings, "replicaof 127.0.0.1 %u\nrepl-diskless-sync-delay 0\n", f->redis.port);
    test_redis_start(&second, settings);
    test_sentinel_start(&sentinel, &f->redis);
    o = options(f);
    hs_bus_redis_address at[] = { { HS_S("127.0.0.1"), 1 /* nobody */ }, { HS_S("127.0.0.1"), sentinel.port } };
    o.path = HS_S("");
    o.sentinels = at;
    o.sentinels_n = 2;
    o.master = HS_S("hs");
    f->one = open_bus(f, &o);
    f->two = open_bus(f, &o);
    assert_non_null(hs_bus_subscribe(f->two, HS_S("x"), hear, &f->ear));
    turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two));
    hs_bus_publish(f->one, HS_S("x"), HS_S("1"));
    turn_until(f, f->ear.messages == 1);
    test_await_replica(&sentinel);
    test_redis_kill(&f->redis);
    turn_until(f, !hs_bus_healthy(f->one) && !hs_bus_healthy(f->two));
    turn_until(f, hs_bus_healthy(f->one) && hs_bus_healthy(f->two));
    hs_bus_publish(f->one, HS_S("x"), HS_S("2"));
    turn_until(f, f->ear.messages == 2);
    assert_string_equal(f->ear.got, "12");
    test_redis_stop(&sentinel);
    test_redis_stop(&second);
}

static void it_can_be_closed_at_any_moment(void **state)
{
    fixture *f = *state;
    hs_bus_redis_options o;

    test_redis_start(&f->redis, "");
    o = options(f);
    for (int path = 0; path < 2; path++) {
        for (int turns = 0; turns < 12; turns++) {
            o.path = path ? hs_str_c(f->redis.socket) : HS_S("");
            f->one = open_bus(f, &o);
            assert_non_null(hs_bus_subscribe(f->one, HS_S("x"), hear, &f->ear));
            hs_bus_publish(f->one, HS_S("x"), HS_S("1"));
            for (int i = 0; i < turns; i++)
                hs_loop_turn(f->loop, 5);
            hs_bus_close(f->one);
            f->one = NULL;
        }
    }
}

/* As at the end of a process, which says good-bye and closes: the loop turns no more. Leaks are for the sanitizer. */
static void what_was_just_said_does_not_outlive_it(void **state)
{
    fixture *f = *state;
    hs_bus_redis_options o;

    test_redis_start(&f->redis, "");
    o = options(f);
    f->one = open_bus(f, &o);
    turn_until(f, hs_bus_healthy(f->one));
    hs_bus_publish(f->one, HS_S("x"), HS_S("bye"));
}

#define with_fixture(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_fixture(without_a_server_it_waits_and_publishes_what_was_said_meanwhile),
        with_fixture(one_that_dies_is_missed_at_once_and_found_again),
        with_fixture(one_that_falls_silent_is_missed),
        with_fixture(one_that_is_stalled_costs_bounded_memory_and_the_oldest_news),
        with_fixture(a_later_subscription_is_no_loss_but_until_it_is_confirmed_all_is_not_well),
        with_fixture(another_server_or_database_hears_nothing),
        with_fixture(what_was_made_with_another_secret_is_not_heard),
        with_fixture(it_lets_in_who_has_the_password),
        with_fixture(tls_is_spoken_with_who_proves_its_name_and_with_nobody_else),
        with_fixture(the_master_that_the_sentinel_names_is_followed_when_it_moves),
        with_fixture(it_can_be_closed_at_any_moment),
        with_fixture(what_was_just_said_does_not_outlive_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
