/* What the content of a local event must be, whoever sends it and however. */
#ifndef HS_SERVER_EVENT_CONTENT_H
#define HS_SERVER_EVENT_CONTENT_H

#include "server/context.h"

/* 400, with Synapse's texts. What the auth rules look at is left to them. */
HS_NODISCARD hs_error *hs_event_content_check(const hs_server *srv, hs_arena *a, hs_str type, bool is_state,
                                              hs_jv content);

#endif
