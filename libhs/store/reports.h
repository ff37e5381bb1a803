/* What users have reported. Owns: report. */
#ifndef HS_STORE_REPORTS_H
#define HS_STORE_REPORTS_H

#include "store/db.h"

typedef struct {
    const char *kind; /* "event", "room", "user" */
    int64_t ts;
    hs_nid reporter;
    hs_nid room, event, target; /* event: its sender; user: who is reported; 0: none */
    hs_str event_id, reason;    /* p NULL: none */
    const int64_t *score;       /* NULL: none */
} hs_report_new;
/* *ret_kept false: the reporter has `most` reports that nobody has removed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_report_add(hs_db *db, hs_arena *a, const hs_report_new *row, int32_t most,
                                                       bool *ret_kept);

typedef struct {
    int64_t id, ts;
    hs_str reporter, target; /* user ids; target p NULL: none */
    hs_str reason;           /* p NULL: none */
    /* of an event: */
    hs_nid room, event;
    hs_str room_id, event_id, canonical_alias, name; /* p NULL: none */
    bool has_score;
    int64_t score;
} hs_report_row;

typedef struct {
    const char *kind;           /* "event", "user" */
    hs_str reporter, room_id;   /* parts of ids; p NULL: any */
    hs_str target, target_part; /* a whole user id; a part of one; p NULL: any */
    bool descending;            /* newest first */
    int64_t from, limit;
} hs_report_query;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_reports_list(hs_db *db, hs_arena *a, const hs_report_query *q,
                                                         hs_report_row **ret, size_t *ret_n, int64_t *ret_total);
/* *ret NULL: there is none of this kind. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_report_get(hs_db *db, hs_arena *a, const char *kind, int64_t id,
                                                       hs_report_row **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_report_remove(hs_db *db, hs_arena *a, const char *kind, int64_t id,
                                                          bool *ret_found);

#endif
