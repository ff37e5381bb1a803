/* Typing notifications. Spec: Client-Server API, "Typing Notifications". */
#include "server/typing.h"

#include "runtime/http.h"

enum { TYPING_DEFAULT_MS = 30000 };

typedef struct {
    bool typing;
    int64_t timeout;
    bool has_timeout;
} typing_body;

/* PUT …/rooms/{roomId}/typing/{userId} */
static hs_error *put_typing(hs_req *q, hs_res *r)
{
    static const hs_field FIELDS[] = {
        HS_NAMED("typing", HS_F_BOOL, true, typing_body, typing),
        HS_OPT_INT(typing_body, timeout, has_timeout),
        { 0 },
    };
    typing_body in = { 0 };

    HS_TRY(hs_req_fields(q, FIELDS, &in));

    HS_TRY(hs_typing_set(q->srv, q->who, q->a, hs_path_param(q, "roomId"), hs_path_param(q, "userId"), in.typing,
                         in.has_timeout ? in.timeout : TYPING_DEFAULT_MS));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_typing[] = {
    { HS_PUT, "api/v1 r0 v3 unstable", "/rooms/{roomId}/typing/{userId}", put_typing,
      .who = HS_AUTH_USER, .lax = true, .servlet = "RoomTypingRestServlet" },
    { 0 },
};
/* clang-format on */
