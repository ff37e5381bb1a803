/* What somebody who is not in a room yet is shown of it: the stripped state of invites and knocks, as
 * room_prejoin_state says. */
#ifndef HS_SERVER_PREJOIN_H
#define HS_SERVER_PREJOIN_H

#include "server/event_persist.h"

/* A JSON array of stripped events from the state that the unit's next event meets; the member event of `sender` is the
 * last. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_prejoin_state(hs_room_write *w, hs_str sender, hs_str *ret);

/* A state event is redacted: those who were shown it before they came see the rest of it from now on. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_prejoin_redact(hs_room_write *w, const hs_stored *target);

#endif
