/* Pushers: apps that want to be told. They are kept and shown; nothing is sent to them yet. */
#ifndef HS_SERVER_PUSHERS_H
#define HS_SERVER_PUSHERS_H

#include "base/json_out.h"
#include "base/tape.h"
#include "server/session.h"
#include "store/pushers.h"

/* Says once in the log that nothing is sent. */
void hs_pushers_open(hs_server *srv);

HS_NODISCARD HS_SUSPENDS hs_error *hs_pushers_list(hs_server *srv, hs_arena *a, hs_nid user, hs_pusher_row **ret,
                                                   size_t *ret_n);
/* The list as clients and administrators read it, into an open object: "pushers":[…]. */
void hs_pushers_write(hs_json_out *j, const hs_pusher_row *rows, size_t n, bool for_admin);
/* The body of POST …/pushers/set: makes, replaces or (kind null) removes. 400 M_MISSING_PARAM, M_INVALID_PARAM. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_pushers_set(hs_server *srv, hs_arena *a, const hs_session *who, hs_jv body);

/* The link in a mail: `token` is one that was made for it with macaroon_secret_key, by Synapse for instance. No pusher
 * is no error. 403 M_FORBIDDEN for another token. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_pushers_unsubscribe(hs_server *srv, hs_arena *a, hs_str token, hs_str app_id,
                                                          hs_str pushkey);

#endif
