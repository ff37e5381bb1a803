/* What users say of themselves: display name, avatar, fields of any name. */
#ifndef HS_SERVER_PROFILE_H
#define HS_SERVER_PROFILE_H

#include "base/tape.h"
#include "server/session.h"
#include "store/users.h"

typedef struct {
    hs_str name, avatar; /* p NULL: not set */
    hs_profile_field *fields;
    size_t fields_n;
} hs_profile;

/* May `who` (NULL: nobody is logged in) look at the profile, and what is in it? 404 M_NOT_FOUND "Profile was not
 * found"; 400 for what is not a user id; 403 when only people who share a room may look. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_profile_read(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id,
                                                   hs_profile *ret);
/* May a display name or avatar look so? 400. */
HS_NODISCARD hs_error *hs_profile_check(hs_arena *a, hs_str field, hs_jv value);
/* Could there be such a field? 400 M_INVALID_PARAM, M_KEY_TOO_LARGE. */
HS_NODISCARD hs_error *hs_profile_check_field(hs_arena *a, hs_str field);
/* Sets a field of somebody (an admin may set anybody's), and tells the rooms of "displayname" and "avatar_url". `value`
 * is the request's, of any kind for other fields. 400 M_PROFILE_TOO_LARGE past 64 KiB. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_profile_set(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id,
                                                  hs_str field, hs_jv value);
/* The same with nothing. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_profile_clear(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id,
                                                    hs_str field);

#endif
