/* Base64 and key files: what decodes encodes to the same text but for padding and stray bits, and a key file that is
 * read is written as one that reads the same. */
#include "core/sign.h"

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    hs_arena *a = fresh_arena();
    hs_str text = exactly(a, data, n), bytes, again, twice;
    hs_signing_key *k, *k2;
    bool ok;

    for (int url_safe = 0; url_safe < 2; url_safe++) {
        must(!hs_base64_decode(a, text, url_safe, &bytes, &ok));
        if (ok) {
            must(!hs_base64_encode(a, bytes, url_safe, &again) && again.n <= text.n);
            must(hs_str_eq(hs_str_first(again, again.n - (again.n ? 1 : 0)),
                           hs_str_first(text, again.n - (again.n ? 1 : 0))));
            must(!hs_base64_decode(a, again, url_safe, &twice, &ok) && ok && hs_str_eq(twice, bytes));
        }
        must(!hs_base64_encode(a, text, url_safe, &again));
        must(!hs_base64_decode(a, again, url_safe, &bytes, &ok) && ok && hs_str_eq(bytes, text));
    }
    if (!hs_signing_key_read(a, text, &k)) {
        must(!hs_signing_key_write(a, k, &again) && !hs_signing_key_read(a, again, &k2));
        must(hs_str_eq(hs_signing_key_id(k), hs_signing_key_id(k2)));
        must(!memcmp(hs_signing_key_public(k), hs_signing_key_public(k2), 32));
    }
    return 0;
}
