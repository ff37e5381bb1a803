/* Sockets that listen: addresses, ports that processes share, socket files. */
#include "runtime/http_impl.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static hs_error *listen_error(hs_arena *a, const char *where, int why)
{
    char text[128];

    if (why == EADDRINUSE)
        return hs_err(a, 500, HS_M_UNKNOWN, "Cannot listen on %s: the address is already in use", where);
    if (why == EACCES || why == EPERM)
        return hs_err(a, 500, HS_M_UNKNOWN, "Cannot listen on %s: no permission", where);
    return hs_err(a, 500, HS_M_UNKNOWN, "Cannot listen on %s: %s", where, strerror_r(why, text, sizeof text));
}

static hs_error *bind_fd(hs_arena *a, const char *where, int fd, const struct sockaddr *sa, socklen_t n)
{
    if (bind(fd, sa, n) || listen(fd, BACKLOG)) {
        int why = errno;
        close(fd);
        return listen_error(a, where, why);
    }
    return NULL;
}

hs_error *hs_http_bind_tcp(hs_arena *a, const hs_listener_options *o, int *ret_fd, uint16_t *ret_port)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found;
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    hs_str where;
    char port[8];
    int on = 1, fd;

    snprintf(port, sizeof port, "%u", (unsigned)o->port);
    HS_TRY(hs_str_fmt(a, &where, strchr(o->address, ':') ? "[%s]:%s" : "%s:%s", o->address, port));
    int failed = getaddrinfo(o->address, port, &hints, &found);
    if (failed)
        return hs_err(a, 500, HS_M_UNKNOWN, "Cannot listen on %s: %s", where.p, gai_strerror(failed));
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        freeaddrinfo(found);
        return listen_error(a, where.p, errno);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (o->reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    hs_error *e = bind_fd(a, where.p, fd, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    HS_TRY(e);
    *ret_port = o->port;
    if (getsockname(fd, (struct sockaddr *)&ss, &n) == 0)
        *ret_port = ntohs(ss.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&ss)->sin6_port
                                                   : ((const struct sockaddr_in *)&ss)->sin_port);

    *ret_fd = fd;
    return NULL;
}

/* A socket file that nobody listens on is left from a crash. */
static bool is_stale(const struct sockaddr_un *sun)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)sun, sizeof *sun) && errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return stale;
}

static hs_error *set_unix_mode(hs_arena *a, const char *path, unsigned mode, int fd)
{
    if (!mode || chmod(path, (mode_t)mode) == 0)
        return NULL;
    int why = errno;
    close(fd);
    unlink(path);
    return listen_error(a, path, why);
}

/* A socket file cannot be shared, but put in the place of another one: who connects gets the old process or the new one
 * and never nobody. */
static hs_error *take_over_unix(hs_arena *a, const hs_listener_options *o, int fd, int *ret_fd)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    hs_str fresh;

    HS_TRY(hs_str_fmt(a, &fresh, "%s.%ld", o->unix_path, (long)getpid()));
    if (fresh.n >= sizeof sun.sun_path) {
        close(fd);
        return listen_error(a, o->unix_path, ENAMETOOLONG);
    }
    memcpy(sun.sun_path, fresh.p, fresh.n);
    (void)unlink(sun.sun_path);
    HS_TRY(bind_fd(a, sun.sun_path, fd, (const struct sockaddr *)&sun, sizeof sun));
    HS_TRY(set_unix_mode(a, sun.sun_path, o->unix_mode, fd));
    if (rename(sun.sun_path, o->unix_path) != 0) {
        int why = errno;
        close(fd);
        unlink(sun.sun_path);
        return listen_error(a, o->unix_path, why);
    }

    *ret_fd = fd;
    return NULL;
}

hs_error *hs_http_bind_unix(hs_arena *a, const hs_listener_options *o, int *ret_fd)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    size_t n = strlen(o->unix_path);
    int fd;

    if (n >= sizeof sun.sun_path)
        return hs_err(a, 500, HS_M_UNKNOWN, "Cannot listen on %s: the path is longer than %zu bytes", o->unix_path,
                      sizeof sun.sun_path - 1);
    memcpy(sun.sun_path, o->unix_path, n);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return listen_error(a, o->unix_path, errno);
    if (is_stale(&sun))
        unlink(sun.sun_path);
    if (o->reuse_port)
        return take_over_unix(a, o, fd, ret_fd);
    HS_TRY(bind_fd(a, o->unix_path, fd, (const struct sockaddr *)&sun, sizeof sun));
    HS_TRY(set_unix_mode(a, o->unix_path, o->unix_mode, fd));

    *ret_fd = fd;
    return NULL;
}

/* A filter on a listening socket sees the packets that are for it, from their TCP headers on. Closing the socket
 * instead would reset those who are half way through the handshake or wait to be accepted: the kernel gives them to
 * nobody else. */
void hs_http_bind_quiet(int fd)
{
    enum { FLAGS_AT = 13 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    const struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };

    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}
