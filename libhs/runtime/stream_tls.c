/* TLS under a stream: the other side's certificate is always checked, its name or address too. */
#include "runtime/stream_impl.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct hs_tls_client {
    SSL_CTX *ctx;
};

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "TLS failed";
}

static hs_error *not_read(hs_arena *a, hs_str file)
{
    return hs_err(a, 500, HS_M_UNKNOWN, "%.*s cannot be used: %s", HS_FMT(file), reason());
}

static hs_error *load(hs_arena *a, SSL_CTX *ctx, const hs_tls_client_options *o)
{
    const char *file;

    if (o->ca_file.n) {
        HS_TRY(hs_cstr(a, o->ca_file, &file));
        if (SSL_CTX_load_verify_file(ctx, file) != 1)
            return not_read(a, o->ca_file);
    }
    if (o->ca_path.n) {
        HS_TRY(hs_cstr(a, o->ca_path, &file));
        if (SSL_CTX_load_verify_dir(ctx, file) != 1)
            return not_read(a, o->ca_path);
    }
    if (!o->ca_file.n && !o->ca_path.n && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return hs_err(a, 500, HS_M_UNKNOWN, "the system's certificates cannot be read: %s", reason());
    if (o->cert_file.n) {
        HS_TRY(hs_cstr(a, o->cert_file, &file));
        if (SSL_CTX_use_certificate_chain_file(ctx, file) != 1)
            return not_read(a, o->cert_file);
    }
    if (o->key_file.n) {
        HS_TRY(hs_cstr(a, o->key_file, &file));
        if (SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) != 1)
            return not_read(a, o->key_file);
    }
    return NULL;
}

hs_error *hs_tls_client_open(hs_arena *a, const hs_tls_client_options *o, hs_tls_client **ret)
{
    hs_tls_client *t = calloc(1, sizeof *t);

    ERR_clear_error();
    if (t)
        t->ctx = SSL_CTX_new(TLS_client_method());
    if (!t || !t->ctx) {
        free(t);
        return HS_ERR_NOMEM;
    }
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(t->ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    hs_error *e = load(a, t->ctx, o);
    if (e) {
        hs_tls_client_close(t);
        return e;
    }
    *ret = t;
    return NULL;
}

void hs_tls_client_close(hs_tls_client *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

static void failed(hs_stream *s, const char *what)
{
    long verdict = s->ssl ? SSL_get_verify_result(s->ssl) : X509_V_OK;

    hs_stream_fail(s, what, verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : reason());
}

bool hs_stream_tls_begin(hs_stream *s)
{
    ERR_clear_error();
    s->ssl = SSL_new(s->tls->ctx);
    if (!s->ssl || SSL_set_fd(s->ssl, s->fd) != 1) {
        failed(s, "TLS handshake");
        return false;
    }
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), s->host) != 1) {
        /* The macro's cast drops const, and -Wcast-qual sees it. */
        bool named = SSL_ctrl(s->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, s->host) == 1;
        if (!named || SSL_set1_host(s->ssl, s->host) != 1) {
            failed(s, "TLS handshake");
            return false;
        }
    }
    ERR_clear_error();
    SSL_set_connect_state(s->ssl);
    return true;
}

int hs_stream_tls_handshake(hs_stream *s)
{
    ERR_clear_error();
    int n = SSL_do_handshake(s->ssl), error = SSL_get_error(s->ssl, n);

    s->tls_wants_write = error == SSL_ERROR_WANT_WRITE;
    if (n == 1)
        return 1;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    failed(s, "TLS handshake");
    return -1;
}

void hs_stream_tls_end(hs_stream *s)
{
    SSL_free(s->ssl);
    s->ssl = NULL;
}

/* What SSL_read or SSL_write said, as recv and send say it. */
static ssize_t outcome(hs_stream *s, int n)
{
    if (n > 0)
        return n;
    switch (SSL_get_error(s->ssl, n)) {
    case SSL_ERROR_WANT_WRITE:
        s->tls_wants_write = true;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        if (errno)
            return -1;
        return 0;
    default:
        failed(s, "TLS");
        errno = EAGAIN; /* said already */
        return -1;
    }
}

ssize_t hs_stream_tls_read(hs_stream *s, char *to, size_t n)
{
    ERR_clear_error();
    errno = 0;
    s->tls_wants_write = false;
    return outcome(s, SSL_read(s->ssl, to, n > INT_MAX ? INT_MAX : (int)n));
}

ssize_t hs_stream_tls_write(hs_stream *s, const char *from, size_t n)
{
    ERR_clear_error();
    errno = 0;
    s->tls_wants_write = false;
    return outcome(s, SSL_write(s->ssl, from, n > INT_MAX ? INT_MAX : (int)n));
}
