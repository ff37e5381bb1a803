/* What clients keep with the account: account data (global and of rooms), tags, filters. */
#ifndef HS_SERVER_ACCOUNT_DATA_H
#define HS_SERVER_ACCOUNT_DATA_H

#include "base/tape.h"
#include "server/room.h"
#include "server/session.h"

/* room_id p NULL: global. 404 M_NOT_FOUND, 400 M_INVALID_PARAM for what is not a room id. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_data_get(hs_server *srv, hs_arena *a, const hs_session *who,
                                                       hs_str room_id, hs_str type, hs_str *ret_content);
/* 405 M_BAD_JSON for the server's own types (m.fully_read, m.push_rules). A new m.ignored_user_list takes effect at
 * once. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_data_put(hs_server *srv, hs_arena *a, const hs_session *who,
                                                       hs_str room_id, hs_str type, hs_jv content);

/* As putting {}: what MSC3391 makes of it is up to experimental_features.msc3391_enabled. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_data_delete(hs_server *srv, hs_arena *a, const hs_session *who,
                                                          hs_str room_id, hs_str type);

/* {"tags":{…}} */
HS_NODISCARD HS_SUSPENDS hs_error *hs_tags_get(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id,
                                               hs_str *ret_content);
/* 403 in rooms that the user has never had to do with; 400 M_INVALID_PARAM past 255 bytes. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_tag_put(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id,
                                              hs_str tag, hs_jv content);
HS_NODISCARD HS_SUSPENDS hs_error *hs_tag_remove(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id,
                                                 hs_str tag);

/* One try at a change: reads, and writes in place of what was read. *ret, HS_WRITE_OK at first: what became of it. */
typedef hs_error *hs_change_round(hs_server *srv, hs_arena *a, void *ud, hs_write_result *ret);
/* Tries until nobody else was faster, at another worker: one change of a user at a time in this one. 503 when others
 * go on being faster; `what` with its verb names the thing. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_change_in_rounds(hs_server *srv, hs_arena *a,
                                                       hs_fiber_lock locks[static HS_USER_LOCKS], hs_nid user,
                                                       hs_change_round *round, void *ud, const char *what);
/* Changes what is there now, whoever else changes it at the same time: `edit` may run several times. `now` is p NULL
 * when there is nothing; *changed false: it stays. */
typedef hs_error *hs_account_data_edit(hs_arena *a, const void *ud, hs_str now, bool *changed, hs_str *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_data_change(hs_server *srv, hs_arena *a, hs_nid user, hs_nid room,
                                                          hs_str type, hs_account_data_edit *edit, const void *ud);

/* 400 M_BAD_JSON for a wrong shape. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_filter_put(hs_server *srv, hs_arena *a, const hs_session *who, hs_jv body,
                                                 int64_t *ret_id);
/* 404 M_NOT_FOUND "No such filter". */
HS_NODISCARD HS_SUSPENDS hs_error *hs_filter_get(hs_server *srv, hs_arena *a, const hs_session *who, hs_str id,
                                                 hs_str *ret_body);

#endif
