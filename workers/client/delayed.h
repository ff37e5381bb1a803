/* Sending later, as the routes that send and that set state take it (MSC4140). */
#ifndef HS_WORKERS_CLIENT_DELAYED_H
#define HS_WORKERS_CLIENT_DELAYED_H

#include "runtime/http.h"
#include "server/room_send.h"

/* If the request asks for a delay, does all of it: reads the body, adds the event, answers. *ret_done false: it asks
 * for none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_delayed_request(hs_req *q, hs_res *r, hs_send *in, bool *ret_done);

#endif
