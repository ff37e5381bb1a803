/* Random histories of every room version as lines of JSON, for compare.py: each event with our verdict of it and the
 * states before and after it. dump_histories ROUNDS [SEED] */
#include "support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void put_ids(hs_json_out *j, const char *key, const hs_str *ids, size_t n)
{
    hs_json_arr_at(j, key);
    for (size_t i = 0; i < n; i++)
        hs_json_v_str(j, ids[i]);
    hs_json_end(j);
}

static void put_state(hs_json_out *j, const char *key, const test_server *s, const int64_t *state)
{
    hs_json_arr_at(j, key);
    for (size_t i = 1; i <= s->slots_n; i++) {
        if (!state[i])
            continue;
        hs_json_arr(j);
        hs_json_v_str(j, s->slots[i].type);
        hs_json_v_str(j, s->slots[i].state_key);
        hs_json_v_str(j, s->events[state[i]].ev->event_id);
        hs_json_end(j);
    }
    hs_json_end(j);
}

static void put_event(hs_json_out *j, test_server *s, size_t i)
{
    const hs_event *e = s->events[i].ev;
    int64_t before[TEST_SLOTS_MAX];

    test_state_before(s, e, before);
    hs_json_obj(j);
    hs_json_str(j, "id", e->event_id);
    hs_json_str(j, "room_id", e->room_id);
    hs_json_str(j, "type", e->type);
    hs_json_str(j, "sender", e->sender);
    if (e->is_state)
        hs_json_str(j, "state_key", e->state_key);
    if (e->redacts.p)
        hs_json_str(j, "redacts", e->redacts);
    hs_json_raw(j, "content", hs_jv_raw(e->content));
    hs_json_int(j, "ts", e->origin_ts);
    hs_json_int(j, "depth", e->depth);
    put_ids(j, "prev", e->prev, e->prev_n);
    put_ids(j, "auth", e->auth, e->auth_n);
    hs_json_bool(j, "rejected", s->events[i].rejected);
    put_state(j, "before", s, before);
    put_state(j, "after", s, s->events[i].state);
    hs_json_end(j);
}

enum { EXTRA = 24 };

/* States that no event has brought together. */
static void put_extra(hs_json_out *j, test_server *s, unsigned *seed)
{
    hs_json_arr_at(j, "extra");
    for (size_t k = 0; k < EXTRA; k++) {
        int64_t out[TEST_SLOTS_MAX], from[4];
        hs_state_set sets[4];
        size_t n = 2 + test_random(seed) % 3;
        for (size_t i = 0; i < n; i++) {
            from[i] = (int64_t)(s->n - test_random(seed) % (s->n - 8));
            sets[i] = test_set(s, s->events[from[i]].state);
        }
        test_resolve(s, sets, n, out);
        hs_json_obj(j);
        hs_json_arr_at(j, "of");
        for (size_t i = 0; i < n; i++)
            hs_json_v_str(j, s->events[from[i]].ev->event_id);
        hs_json_end(j);
        put_state(j, "resolved", s, out);
        hs_json_end(j);
    }
    hs_json_end(j);
}

static bool dump(const hs_roomver *rv, unsigned seed)
{
    hs_arena *a = hs_arena_open((size_t)1 << 28);
    const char *version;
    hs_buf b;
    hs_json_out j;
    hs_str text;

    if (!a || hs_cstr(a, rv->name, &version))
        return false;
    test_server *s = test_server_open(a, version);
    test_play_start(s);
    test_play_random(s, &seed, 100);
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "version", rv->name);
    hs_json_arr_at(&j, "events");
    for (size_t i = 1; i <= s->n; i++)
        put_event(&j, s, i);
    hs_json_end(&j);
    put_extra(&j, s, &seed);
    hs_json_end(&j);
    bool ok = !hs_buf_flatten(&b, &text) && fwrite(text.p, 1, text.n, stdout) == text.n && putchar('\n') != EOF;
    free(s);
    hs_arena_close(a);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 10, seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;

    for (unsigned long r = 0; r < rounds; r++)
        if (!dump(hs_roomver_all()[r % 12], (unsigned)(seed * 1000003u + r * 7919u)))
            return 1;
    return 0;
}
