/* What other workers say of now: any bytes are a message or an error; a message is written and read back the same. */
#include "bus/live.h"

#include "fuzz/fuzz.h"

static void read_hello(hs_arena *a, hs_str bytes)
{
    hs_hello_msg m;
    hs_str once, twice;

    if (hs_hello_decode(a, bytes, &m))
        return;
    must(!hs_hello_encode(a, &m, &once));
    must(!hs_hello_decode(a, once, &m));
    must(!hs_hello_encode(a, &m, &twice));
    must(hs_str_eq(once, twice));
}

static void read_ephemeral(hs_arena *a, hs_str bytes)
{
    hs_ephemeral_msg m;
    hs_str once, twice;

    if (hs_ephemeral_decode(a, bytes, &m))
        return;
    must(!hs_ephemeral_encode(a, &m, &once));
    must(!hs_ephemeral_decode(a, once, &m));
    must(!hs_ephemeral_encode(a, &m, &twice));
    must(hs_str_eq(once, twice));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    hs_arena *a = fresh_arena();
    hs_str bytes = exactly(a, data, n);

    read_hello(a, bytes);
    read_ephemeral(a, bytes);
    return 0;
}
