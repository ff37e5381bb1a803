/* MSC3912: who redacts an event may wish that what relates to it goes too. It is done by a job, as that may be much. */
#ifndef HS_SERVER_REDACT_RELATED_H
#define HS_SERVER_REDACT_RELATED_H

#include "server/room_send.h"

/* Takes "org.matrix.msc3912.with_relations" out of the content, if the server does this; *ret_types absent: it was not
 * there. 400 M_BAD_JSON for what is no list of strings. */
HS_NODISCARD hs_error *hs_redact_related_read(const hs_server *srv, hs_arena *a, hs_jv *io_content, hs_jv *ret_types);
/* As `who`, with the content of the first redaction; what the user may not redact stays. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_redact_related(hs_server *srv, const hs_session *who, hs_arena *a,
                                                     const hs_redact *in, hs_jv types);
HS_NODISCARD hs_error *hs_redact_related_open(hs_server *srv);

#endif
