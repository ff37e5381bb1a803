/* Reports: users tell administrators of events, rooms and users. Texts are Synapse's. */
#ifndef HS_SERVER_REPORTS_H
#define HS_SERVER_REPORTS_H

#include "server/session.h"
#include "store/reports.h"

/* Of an event that the reporter can see, else 404. reason p NULL, score NULL: not given. 400 M_BAD_JSON for a reason
 * above 1,000 characters; 429 past 1,000 reports of one's that nobody has removed; here and below. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_report_event(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id,
                                                   hs_str event_id, hs_str reason, const int64_t *score);
/* 404 when there is no such room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_report_room(hs_server *srv, hs_arena *a, const hs_session *who, hs_str room_id,
                                                  hs_str reason);
/* Users who are not ours or not there are passed over: nothing is told of who exists. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_report_user(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id,
                                                  hs_str reason);

/* ── for administrators; kind: "event", "user" ── */
/* `q->limit` is cut at 10,000. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_reports_list(hs_server *srv, hs_arena *a, hs_report_query *q, hs_report_row **ret,
                                                   size_t *ret_n, int64_t *ret_total);
/* 404. *ret_event: the reported event as it is stored, p NULL: there is none (any more). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_report_get(hs_server *srv, hs_arena *a, const char *kind, int64_t id,
                                                 hs_report_row **ret, hs_str *ret_event);
/* 404. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_report_remove(hs_server *srv, hs_arena *a, const char *kind, int64_t id);

#endif
