/* A byte stream to another server: TCP or a Unix socket, with or without TLS, on the loop. Names are looked up on the
 * thread pool. Loop thread only. */
#ifndef HS_RUNTIME_STREAM_H
#define HS_RUNTIME_STREAM_H

#include "runtime/loop.h"

/* What TLS connections of one kind share: whom we trust and who we are. The other side's certificate is always checked,
 * its name too. */
typedef struct hs_tls_client hs_tls_client;
typedef struct {
    hs_str ca_file, ca_path;    /* both empty: those that the system trusts */
    hs_str cert_file, key_file; /* empty: we show no certificate */
} hs_tls_client_options;
/* Reads the files, which blocks. The error's message is one line for an operator. */
HS_NODISCARD hs_error *hs_tls_client_open(hs_arena *a, const hs_tls_client_options *o, hs_tls_client **ret);
void hs_tls_client_close(hs_tls_client *t); /* NULL is fine. Not before the streams that use it. */

typedef struct hs_stream hs_stream;

/* Called on the loop, never inside a function below. Each may close the stream. */
typedef struct {
    void (*opened)(void *ud);
    void (*came)(void *ud, hs_str bytes);
    void (*failed)(void *ud, hs_str why); /* once and last, also when the other side closed; hs_stream_close is next */
} hs_stream_calls;

typedef struct {
    hs_str host; /* a name or an address */
    uint16_t port;
    hs_str path;              /* of a Unix socket; when not empty host, port and tls do not count */
    const hs_tls_client *tls; /* NULL: plain */
    int64_t open_ms;          /* for name, connection and handshake together */
    size_t out_max;           /* bytes that may wait to be sent */
    const hs_stream_calls *calls;
    void *ud;
} hs_stream_options;

/* Texts are copied. NULL without memory. */
hs_stream *hs_stream_open(hs_loop *loop, const hs_stream_options *o);
/* Takes the parts whole or not at all: false when more than out_max would wait. They go out at the end of the turn;
 * before the stream is open they wait. */
HS_NODISCARD bool hs_stream_write(hs_stream *s, const hs_str *parts, size_t n);
size_t hs_stream_waiting(const hs_stream *s);
/* No call comes any more. What the connection takes at once of what waits is still sent. NULL is fine. */
void hs_stream_close(hs_stream *s);

#endif
