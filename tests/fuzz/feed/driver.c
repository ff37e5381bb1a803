/* What other workers say they wrote: any bytes are a message or an error; a message is written and read back the same.
 */
#include "bus/feed.h"

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    hs_arena *a = fresh_arena();
    hs_str bytes = exactly(a, data, n), once, twice, worker;
    hs_feed_msg m;
    int64_t from, pos;

    if (hs_feed_peek(bytes, &from, &pos, &worker))
        must(worker.n <= n);
    hs_error *e = hs_feed_decode(a, bytes, &m);
    if (e) {
        must(e->status >= 500);
        return 0;
    }
    must(!hs_feed_encode(a, &m, &once));
    must(!hs_feed_decode(a, once, &m));
    must(!hs_feed_encode(a, &m, &twice));
    must(hs_str_eq(once, twice));
    return 0;
}
