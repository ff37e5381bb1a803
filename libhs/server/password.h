/* Passwords: policy, hashing, checking. New hashes are argon2id; bcrypt ones ($2…$) made by Synapse are still accepted.
 * Hashing runs on the thread pool. */
#ifndef HS_SERVER_PASSWORD_H
#define HS_SERVER_PASSWORD_H

#include "server/context.h"

#define HS_PASSWORD_MAX 512

/* 400 with one of M_PASSWORD_TOO_SHORT, …_NO_DIGIT, …_NO_SYMBOL, …_NO_UPPERCASE, …_NO_LOWERCASE. */
HS_NODISCARD hs_error *hs_password_check_policy(const hs_config *c, hs_arena *a, hs_str password);
HS_NODISCARD HS_SUSPENDS hs_error *hs_password_hash(hs_server *srv, hs_arena *a, hs_str password, hs_str *ret);
/* hash p NULL (no such account, or one without a password): takes as long as if there were one, and is never right. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_password_verify(hs_server *srv, hs_arena *a, hs_str password, hs_str hash,
                                                      bool *ret);

#endif
