/* Between stream.c and stream_tls.c. */
#ifndef HS_RUNTIME_STREAM_IMPL_H
#define HS_RUNTIME_STREAM_IMPL_H

#include "runtime/stream.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } any;
    socklen_t n;
} hs_address;

enum { HS_ADDRESSES = 4 };
typedef struct {
    hs_address at[HS_ADDRESSES];
    size_t n;
} hs_addresses;

struct hs_stream {
    hs_loop *loop;
    unsigned refs; /* the owner's, and one for each callback, post and fiber that comes back to it */
    char *host, *path;
    uint16_t port;
    const hs_tls_client *tls;
    int64_t open_ms;
    const hs_stream_calls *calls;
    void *ud;
    hs_addresses found;
    size_t next; /* of found */
    int fd;
    hs_io io;
    hs_timer deadline;
    hs_post turn;
    bool turn_waits, resolving, connected, open, failed, closed, tls_wants_write;
    SSL *ssl;
    char *out; /* out_at to out_n waits to be sent */
    size_t out_at, out_n, out_cap, out_max;
    char in[];
};

void hs_stream_fail(hs_stream *s, const char *what, const char *why);

/* False or -1: it has failed. 0: not yet. */
bool hs_stream_tls_begin(hs_stream *s);
int hs_stream_tls_handshake(hs_stream *s);
void hs_stream_tls_end(hs_stream *s);
/* Like recv and send, errno included. */
ssize_t hs_stream_tls_read(hs_stream *s, char *to, size_t n);
ssize_t hs_stream_tls_write(hs_stream *s, const char *from, size_t n);

#endif
