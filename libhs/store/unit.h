/* What a hs_write is: a unit of writing as it is gathered (write.c) and then goes through the ticket (ticket.c). Inside
 * the store only. */
#ifndef HS_STORE_UNIT_H
#define HS_STORE_UNIT_H

#include "base/keep.h"
#include "base/vec.h"
#include "store/handle.h"

typedef struct {
    const hs_stmt *s;
    hs_params params;
} hs_unit_stmt;

typedef struct {
    uint32_t at;
    hs_write_timeline t;
} hs_unit_item;

typedef struct {
    hs_nid room;
    int32_t line, snap;
    int64_t slot;
    hs_nid event;
} hs_unit_state;

struct hs_write_chain {
    uint32_t refs;
    bool broken;
};

struct hs_write {
    hs_db *db;
    hs_arena *a;
    HS_VEC(hs_unit_stmt) before;
    HS_VEC(hs_unit_stmt) after;
    HS_VEC(hs_unit_item) items;
    HS_VEC(hs_unit_state) states;
    uint32_t count; /* positions */
    size_t bytes;
    void *news;
    hs_write_chain *chain; /* may be NULL */
    /* the ticket's */
    hs_write *next;
    bool alone; /* goes in a batch of its own: its last one failed and nobody knows through whom */
    int64_t since;
    uint32_t base;
    hs_waiting waiting;
    hs_kept *kept; /* the caller has left without an outcome; what is left of it */
    hs_write_result result;
    hs_error *error;
};

#endif
