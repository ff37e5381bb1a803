/* What reading an event costs: nanoseconds of processor time for the tape, canonical JSON, the content hash and, for
 * comparison, jansson, over an encrypted event of about 900 bytes. Not a test: `ninja bench_json &&
 * tests/bench/bench_json`. */
#include "base/json_out.h"
#include "core/canonical.h"
#include "core/sign.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 200000 };

static const char EVENT[] = "{\"auth_events\":[\"$k3zBqT1mYx0cW8vJr5dLh2nPaGfE9sUoI7yQ4tRwXeA\",\"$"
                            "Zp6Vb2NcMx8KjHgFdSaQwErTyUiOpLkJhGfDsAzXcVb\","
                            "\"$0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2yZ3aBc\"],\"content\":{\"algorithm\":\"m.megolm."
                            "v1.aes-sha2\",\"ciphertext\":"
                            "\"AwgAEoABmJ2y0fCq3kq3d5cV7mQ8gS1uF4nXwR6tZ9bYhK2pLsNjEoMrTvDxGcWiAyHeUqOzBfJkPlSdVnCmXtRg"
                            "YwEuIaQoZrKbHjLpNsTfDvGxMcWyAeUiOqBzJkFlPdSnVtCmXrRgYwEuIaQoZrKbHjLpNsTfDvGxMcWy\","
                            "\"device_id\":\"JLAFKJWSCS\",\"sender_key\":\"RF3s+E7RkTQTGF2d8Deol0FkQvgII2aJDf3/"
                            "Jp5mxVU\",\"session_id\":\"X3lUlvLELLYxeTx4yOVu6UDpasGEVO0Jbu+QFnm0cKQ\"},"
                            "\"depth\":12345,\"hashes\":{\"sha256\":\"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos\"},"
                            "\"origin_server_ts\":1732368000123,"
                            "\"prev_events\":[\"$qW3eR5tY7uI9oP1aS3dF5gH7jK9lZ1xC3vB5nM7qW9eR\"],\"room_id\":\"!"
                            "AbCdEfGhIjKlMnOpQr:example.org\","
                            "\"sender\":\"@alice:example.org\",\"signatures\":{\"example.org\":{\"ed25519:a_AbCd\":"
                            "\"KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+"
                            "lYAg\"}},\"type\":\"m.room.encrypted\"}";

/* The same with its first member last and a blank, so that it is not canonical. */
static char shuffled[sizeof EVENT + 2];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

typedef size_t work(hs_arena *a, hs_str text);

static size_t tape(hs_arena *a, hs_str text)
{
    hs_jv v;

    return hs_tape_parse(a, text, HS_JSON_CANONICAL | HS_JSON_OBJECT, &v) ? 0 : hs_jv_count(v);
}

static size_t canonical(hs_arena *a, hs_str text)
{
    hs_jv v;
    hs_str out;

    return hs_tape_parse(a, text, HS_JSON_CANONICAL, &v) || hs_canonical(a, v, NULL, 0, &out) ? 0 : out.n;
}

static size_t content_hash(hs_arena *a, hs_str text)
{
    static const hs_str WITHOUT[] = { HS_S_INIT("hashes"), HS_S_INIT("signatures"), HS_S_INIT("unsigned") };
    uint8_t digest[32];
    hs_jv v;
    hs_str out;

    if (hs_tape_parse(a, text, HS_JSON_CANONICAL, &v) || hs_canonical(a, v, WITHOUT, 3, &out))
        return 0;
    hs_sha256(out, digest);
    return out.n;
}

static size_t jansson(hs_arena *a, hs_str text)
{
    json_t *v = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    size_t n = json_object_size(v);
    (void)a;

    json_decref(v);
    return n;
}

static size_t jansson_sorted(hs_arena *a, hs_str text)
{
    json_t *v = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    char *out = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
    size_t n = out ? strlen(out) : 0;
    (void)a;

    free(out);
    json_decref(v);
    return n;
}

static void measure(hs_arena *a, const char *name, work *w, hs_str text)
{
    double best = 0;
    size_t used = 0;

    for (int repeat = 0; repeat < 3; repeat++) {
        double from = now();
        for (int i = 0; i < ROUNDS; i++) {
            hs_arena_reset(a);
            if (!w(a, text)) {
                fprintf(stderr, "%s failed\n", name);
                exit(1);
            }
            used = hs_arena_used(a);
        }
        double each = (now() - from) / ROUNDS;
        best = best > 0 && best < each ? best : each;
    }
    printf("%-40s %6.0f ns  %5.0f MB/s  %6zu bytes of arena\n", name, best, (double)text.n * 1000 / best, used);
}

int main(void)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    hs_str event = hs_str_make(EVENT, sizeof EVENT - 1), mixed;
    size_t cut = (size_t)(strstr(EVENT, "\"content\"") - EVENT);

    if (!a)
        return 1;
    int n = snprintf(shuffled, sizeof shuffled, "{%.*s, %.*s}", (int)(event.n - 1 - cut), EVENT + cut, (int)(cut - 2),
                     EVENT + 1);
    mixed = hs_str_make(shuffled, (size_t)n);
    printf("an event of %zu bytes\n", event.n);
    measure(a, "tape", tape, event);
    measure(a, "jansson", jansson, event);
    measure(a, "tape, canonical (as it was)", canonical, event);
    measure(a, "tape, canonical (members out of order)", canonical, mixed);
    measure(a, "jansson, sorted dump", jansson_sorted, mixed);
    measure(a, "tape, canonical without three, SHA-256", content_hash, event);
    hs_arena_close(a);
    return 0;
}
