/* Typing as other workers report it: whatever they say, what clients are shown is JSON, no longer than it may be, and
 * the clock only rises. Two workers that hear the same are in the same state. The input is messages, each behind the
 * two bytes of its length. */
#include "server/typing_state.h"

#include "fuzz/fuzz.h"

enum { TYPISTS_MAX = 256 };

static void check_room(hs_server *one, hs_server *two, hs_arena *a, hs_nid room)
{
    hs_str x, y;
    hs_jv v, users;

    must(!hs_typing_content(one, a, room, &x));
    must(!hs_typing_content(two, a, room, &y));
    must(hs_str_eq(x, y));
    must(hs_typing_room_serial(one, room) == hs_typing_room_serial(two, room));
    must(hs_typing_room_serial(one, room) <= one->ephemeral->clock);
    must(!hs_tape_parse(a, x, HS_JSON_OBJECT, &v));
    users = hs_jv_get(v, HS_S("user_ids"));
    must(hs_jv_count(users) <= TYPISTS_MAX);
}

static const hs_config config; /* without presence */

static void open_state(hs_server *srv, hs_loop *loop, uint64_t boot)
{
    struct hs_ephemeral *e = malloc(sizeof *e);

    must(e != NULL);
    *srv = (hs_server){ .loop = loop, .ephemeral = e, .config = &config };
    *e = (struct hs_ephemeral){ .srv = srv, .boot = boot, .clock = 1000, .rooms = hs_map_open(1) };
    must(e->rooms != NULL);
}

static void hear(hs_server *one, hs_server *two, hs_arena *a, hs_str bytes)
{
    hs_ephemeral_msg m;
    uint64_t before = one->ephemeral->clock;

    if (hs_ephemeral_decode(a, bytes, &m))
        return;
    hs_typing_apply(one->ephemeral, &m);
    hs_typing_apply(two->ephemeral, &m);
    must(one->ephemeral->clock > before && one->ephemeral->clock == two->ephemeral->clock);
}

static void check(hs_server *one, hs_server *two, hs_arena *a)
{
    const hs_typing_room *t = one->ephemeral->newest;

    for (int i = 0; t && i < 16; i++, t = t->older)
        check_room(one, two, a, t->room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static hs_loop *loop;
    hs_arena *a = fresh_arena();
    hs_server one, two;

    if (!loop)
        loop = hs_loop_open();
    open_state(&one, loop, 1);
    open_state(&two, loop, 2);
    while (n > 2) {
        size_t length = (size_t)data[0] << 8 | data[1];

        if (length > n - 2)
            length = n - 2;
        hear(&one, &two, a, exactly(a, data + 2, length));
        data += 2 + length;
        n -= 2 + length;
    }
    check(&one, &two, a);
    hs_typing_close(&one);
    hs_typing_close(&two);
    return 0;
}
