/* One answer of /sync in the making: what sync.c reads and writes, and sync_choose.c puts rooms into. */
#ifndef HS_SERVER_SYNC_RUN_H
#define HS_SERVER_SYNC_RUN_H

#include "base/vec.h"
#include "server/invite_rules.h"
#include "server/sync_part.h"
#include "server/todevice.h"
#include "server/typing.h"
#include "store/account_data.h"
#include "store/sticky.h"

typedef struct {
    hs_su_room me;
    hs_room *room;
    hs_str stripped;
} hs_sync_pending; /* an invite or a knock */

typedef struct {
    hs_sync_job job;
    HS_VEC(hs_sync_part) parts;
    HS_VEC(hs_sync_pending) invites;
    HS_VEC(hs_sync_pending) knocks;
    hs_invite_rules invite_rules; /* read when there is an invite */
    bool has_invite_rules;
    hs_account_data_row *data;
    size_t data_n;
    bool push_rules; /* the default ones are told */
    hs_todevice_page letters;
    hs_su_room *rooms; /* of the user, as they were at upto */
    size_t rooms_n;
    hs_typing_view typing;
    hs_strs presence;      /* whole events */
    hs_sticky_row *sticky; /* of the rooms, after the token */
    size_t sticky_n;
    int64_t sticky_upto; /* how far that goes */
    int64_t floor;       /* of what is remembered of rooms, when it was first looked at */
} hs_sync_run;

/* sync_choose.c: fills parts, invites and knocks from rooms. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_choose(hs_sync_run *s);
/* sync_sticky.c */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_sticky_find(hs_sync_run *s);
bool hs_sync_sticky_has(const hs_sync_run *s, hs_nid room);
/* The part's own, once its timeline is known. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_sticky_part(hs_sync_run *s, hs_sync_part *p);

#endif
