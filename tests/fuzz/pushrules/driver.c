/* Push rules: a rule set, a NUL, an event's content. Any set compiles or is refused; evaluating it is harmless; nothing
 * highlights that does not notify. */
#include "core/pushrules.h"

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const hs_push_ctx CTX = { .user_id = HS_S_INIT("@b:x"),
                                     .localpart = HS_S_INIT("b"),
                                     .display_name = HS_S_INIT("Bob *?"),
                                     .room_members = 2,
                                     .room_notification_power = 50 };
    hs_arena *a = fresh_arena();
    hs_str rules = exactly(a, data, n), content, defaults;
    hs_pushrules *r;
    hs_event e = { .type = HS_S_INIT("m.room.message"), .sender = HS_S_INIT("@a:x"), .room_id = HS_S_INIT("!r:x") };

    content = rules;
    rules = hs_str_split(&content, 0);
    if (!content.p || hs_tape_parse(a, content, HS_JSON_OBJECT, &e.top))
        return 0;
    e.content = hs_jv_get(e.top, HS_S("content"));
    if (!hs_pushrules_compile(a, rules, &r)) {
        hs_push_result got = hs_push_eval(r, &e, &CTX);
        must(got.notify || !got.highlight);
    }
    must(!hs_pushrules_json(a, CTX.user_id, HS_S(""), HS_PUSH_POLLS | HS_PUSH_THREADS, &defaults));
    must(!hs_pushrules_compile(a, defaults, &r));
    (void)hs_push_eval(r, &e, &CTX);
    return 0;
}
