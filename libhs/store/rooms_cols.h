/* The columns of a room's summary as several statements read them. Inside the store only. */
#ifndef HS_STORE_ROOMS_COLS_H
#define HS_STORE_ROOMS_COLS_H

#include "store/rooms.h"

/* Of `room_summary s`, in this order. */
#define HS_SUMMARY_COLS                                                                                                \
    " s.room_nid, s.name, s.canonical_alias, s.topic, s.avatar, s.join_rules, s.history_visibility,"                   \
    " s.guest_access, s.encryption, s.room_type, s.successor, s.federatable, s.heroes, s.joined, s.invited,"           \
    " s.knocked, s.banned, s.local_joined, s.state_events, s.bump_pos, s.pos"
#define HS_SUMMARY_LETTERS "nttttttttttfNiiiiiinn"
enum { HS_SUMMARY_COLS_N = 21 };

/* Reads them from column 0 on; everything points into the rows. */
HS_NODISCARD hs_error *hs_room_summary_read(const hs_rows *r, hs_arena *a, size_t row, hs_room_summary *ret);

#endif
