/* Filters: reading any JSON, then asking it about an event; a filter that was read says no to what it excludes. */
#include "core/filter.h"

#include "core/glob.h"
#include "fuzz/fuzz.h"

static void ask(const hs_event_filter *f, hs_jv content)
{
    hs_str type = HS_S("m.room.message"), sender = HS_S("@a:x"), room = HS_S("!r:x");
    bool match = hs_event_filter_match(f, type, sender, room, content);

    must(f->limit >= -1);
    must(!match || (hs_event_filter_type(f, type) && hs_event_filter_room(f, room)));
    for (size_t i = 0; i < f->not_types.n; i++) {
        bool hit = hs_glob_match(f->not_types.at[i], type, false);
        must(!hit || !match);
        must(!hit || hs_glob_match(f->not_types.at[i], type, true));
        (void)hs_glob_match_words(f->not_types.at[i], HS_S("one two three two one"));
    }
    must(!f->has_types || f->types.n || !match);
    must(!f->has_senders || f->senders.n || !match);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    hs_arena *a = fresh_arena();
    hs_filter f;
    hs_event_filter one;
    hs_jv v;

    if (hs_tape_parse(a, exactly(a, data, n), 0, &v))
        return 0;
    hs_error *e = hs_filter_read(a, v, &f);
    must(!e || (e->status == 400 && e->code == HS_M_BAD_JSON));
    if (!e) {
        ask(&f.timeline, v);
        ask(&f.state, v);
        ask(&f.ephemeral, v);
        ask(&f.room_account_data, v);
        ask(&f.presence, v);
        ask(&f.account_data, v);
        (void)hs_filter_room(&f, HS_S("!r:x"));
    }
    if (!hs_event_filter_read(a, v, &one))
        ask(&one, v);
    return 0;
}
