/* Reading goes on while a request is being served, so that a client that leaves is seen, and so that the socket need
 * not be taken out of the loop's epoll set and put back for each request that is not answered at once.
 *
 * h2o has stopped reading by then, since the request's head and body point into the socket's input buffer, which must
 * not move. Hence the socket has another buffer meanwhile. */
#include "runtime/http_impl.h"

/* So much of the requests behind is taken; then the client is left to wait, and no more is seen of it. */
#define PIPELINED_BYTES 4096u

static void on_readable(h2o_socket_t *sock, const char *err)
{
    hs_conn *c = sock->on_close.data;

    if (!err && sock->input->size < PIPELINED_BYTES)
        return;
    /* h2o reads on when the request is over: what is here is served then, and an end is met once more. */
    h2o_socket_read_stop(sock);
    if (err)
        hs_http_hangup(c->busy);
}

void hs_http_wait_begin(hs_parked *x)
{
    h2o_socket_t *sock = x->conn->sock;

    if (x->body.on) /* http_body.c reads */
        return;
    if (!x->input) {
        x->input = sock->input;
        h2o_buffer_init(&sock->input, &h2o_socket_buffer_prototype);
    }
    if (sock->input->size < PIPELINED_BYTES)
        h2o_socket_read_start(sock, on_readable);
}

void hs_http_wait_end(hs_parked *x)
{
    h2o_socket_t *sock = x->conn->sock;
    h2o_buffer_t *behind = sock->input;

    if (!x->input)
        return;
    sock->input = x->input;
    x->input = NULL;
    if (behind->size) {
        h2o_iovec_t room = h2o_buffer_reserve(&sock->input, behind->size);

        memcpy(room.base, behind->bytes, behind->size);
        sock->input->size += behind->size;
    }
    h2o_buffer_dispose(&behind);
}
