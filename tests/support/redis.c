#include "support/redis.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static uint16_t free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static pid_t spawn(const char *const argv[], const char *out)
{
    pid_t parent = getpid(), pid = fork();
    union {
        const char *const *in;
        char *const *out;
    } args = { argv };

    assert_true(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (getppid() != parent || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(127);
    execvp(argv[0], args.out);
    _exit(127);
}

void test_run(const char *const argv[])
{
    int status;
    pid_t pid = spawn(argv, "/dev/null");

    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("%s failed", argv[0]);
}

static bool connects(const test_redis *r)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(r->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(r->socket[0] ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

    memcpy(un.sun_path, r->socket, strlen(r->socket) + 1);
    int failed = r->socket[0] ? connect(fd, (const struct sockaddr *)&un, sizeof un)
                              : connect(fd, (const struct sockaddr *)&in, sizeof in);
    close(fd);
    return !failed;
}

static void launch(test_redis *r, const char *flag)
{
    char conf[96], log[96];

    snprintf(conf, sizeof conf, "%s/conf", r->dir);
    snprintf(log, sizeof log, "%s/log", r->dir);
    r->pid = spawn((const char *const[]){ "redis-server", conf, flag, NULL }, log);
    for (int i = 0; !connects(r); i++) {
        if (i == 5000 || waitpid(r->pid, NULL, WNOHANG) != 0)
            fail_msg("redis-server does not start (Debian's package redis-server)");
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
}

static FILE *begin(test_redis *r)
{
    char conf[96];

    snprintf(r->dir, sizeof r->dir, "/tmp/hs-test-redis-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    if (!r->port)
        r->port = free_port();
    snprintf(conf, sizeof conf, "%s/conf", r->dir);
    FILE *f = fopen(conf, "w");
    assert_non_null(f);
    fprintf(f, "dir %s\nsave \"\"\nappendonly no\n", r->dir);
    return f;
}

void test_redis_start(test_redis *r, const char *settings)
{
    FILE *f = begin(r);
    const char *tls = strstr(settings, "tls-port %p");

    snprintf(r->socket, sizeof r->socket, "%s/sock", r->dir);
    fprintf(f, "unixsocket %s\nport %u\n", r->socket, tls ? 0 : r->port);
    if (tls)
        fprintf(f, "tls-port %u\n%.*s\n", r->port, (int)(tls - settings), settings);
    else
        fprintf(f, "%s\n", settings);
    fclose(f);
    launch(r, NULL);
}

void test_sentinel_start(test_redis *r, const test_redis *master)
{
    FILE *f = begin(r);

    r->socket[0] = '\0';
    fprintf(f,
            "port %u\nsentinel monitor hs 127.0.0.1 %u 1\nsentinel down-after-milliseconds hs 300\n"
            "sentinel failover-timeout hs 2000\n",
            r->port, master->port);
    fclose(f);
    launch(r, "--sentinel");
}

void test_redis_kill(test_redis *r)
{
    assert_int_equal(kill(r->pid, SIGKILL), 0);
    assert_int_equal(waitpid(r->pid, NULL, 0), r->pid);
    r->pid = 0;
}

void test_redis_again(test_redis *r)
{
    launch(r, NULL);
}

void test_await_replica(const test_redis *sentinel)
{
    static const char ASK[] = "SENTINEL replicas hs\r\n";
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(sentinel->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char answer[4096];

    for (int i = 0; i < 3000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&in, sizeof in), 0);
        assert_int_equal(send(fd, ASK, sizeof ASK - 1, 0), sizeof ASK - 1);
        ssize_t n = recv(fd, answer, sizeof answer - 1, 0);
        close(fd);
        assert_true(n > 0);
        answer[n] = '\0';
        if (strstr(answer, "master-link-status\r\n$2\r\nok"))
            return;
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    fail_msg("the Sentinel found no replica");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void test_redis_stop(test_redis *r)
{
    if (r->pid)
        test_redis_kill(r);
    nftw(r->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
