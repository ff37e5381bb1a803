#include "server/media_thumb.h"

#include "server/media_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PNG   HS_S_INIT("image/png")
#define JPEG  HS_S_INIT("image/jpeg")
#define WEBP  HS_S_INIT("image/webp")
#define CROP  HS_S_INIT("crop")
#define SCALE HS_S_INIT("scale")

static const hs_media_thumb THUMBS[] = {
    { 32, 32, CROP, PNG, 100 },     { 96, 96, CROP, PNG, 300 },     { 320, 160, SCALE, PNG, 900 },
    { 640, 320, SCALE, PNG, 2000 }, { 800, 400, SCALE, PNG, 3000 }, { 320, 160, SCALE, WEBP, 10 },
};
#define N (sizeof THUMBS / sizeof *THUMBS)

static void is_chosen(int64_t width, int64_t height, hs_str method, hs_str type, size_t want)
{
    const hs_media_thumb *got = hs_media_thumb_choose(THUMBS, N, width, height, method, type);

    assert_non_null(got);
    assert_int_equal(got - THUMBS, want);
}

static void the_nearest_is_chosen(void **state)
{
    const hs_str png = PNG, crop = CROP, scale = SCALE;

    (void)state;
    is_chosen(32, 32, crop, png, 0);
    is_chosen(33, 33, crop, png, 1);
    is_chosen(1000, 1000, crop, png, 1);
    is_chosen(96, 10, crop, png, 0); /* proportions before size */
    is_chosen(320, 160, scale, png, 2);
    is_chosen(321, 161, scale, png, 3);
    is_chosen(5000, 5000, scale, png, 4);
    is_chosen(1, 1, scale, png, 2);
    is_chosen(320, 160, HS_S("SCALE"), png, 2);
}

static void an_animation_is_chosen_only_when_it_is_asked_for(void **state)
{
    const hs_str png = PNG, webp = WEBP, jpeg = JPEG, scale = SCALE;

    (void)state;
    is_chosen(320, 160, scale, webp, 5);
    is_chosen(320, 160, scale, png, 2);
    is_chosen(320, 160, scale, jpeg, 2);
}

static void without_a_thumbnail_of_the_method_there_is_none(void **state)
{
    (void)state;
    assert_null(hs_media_thumb_choose(THUMBS, N, 32, 32, HS_S("stretch"), HS_S("image/png")));
    assert_null(hs_media_thumb_choose(NULL, 0, 32, 32, HS_S("crop"), HS_S("image/png")));
    assert_null(hs_media_thumb_choose(THUMBS, 2, 32, 32, HS_S("scale"), HS_S("image/png")));
}

static void sizes_from_outside_do_not_overflow(void **state)
{
    (void)state;
    is_chosen(INT32_MAX, INT32_MAX, HS_S("scale"), HS_S("image/png"), 4);
    is_chosen(INT32_MAX, 1, HS_S("crop"), HS_S("image/png"), 0);
}

static void paths_are_synapses(void **state)
{
    hs_arena *a = hs_arena_open(1 << 16);
    hs_str path;

    (void)state;
    assert_null(hs_media_path(a, HS_S("AbCdEfGhIjKlMnOpQrStUvWx"), &path));
    assert_true(hs_str_eq(path, HS_S("local_content/Ab/Cd/EfGhIjKlMnOpQrStUvWx")));
    assert_null(hs_media_thumb_path(a, HS_S("AbCdEfGh"), &THUMBS[0], &path));
    assert_true(hs_str_eq(path, HS_S("local_thumbnails/Ab/Cd/EfGh/32-32-image-png-crop")));
    hs_arena_close(a);
}

static void what_is_no_id_has_no_path(void **state)
{
    static const hs_str BAD[] = {
        HS_S_INIT(""),        HS_S_INIT("abcd"),   HS_S_INIT("../../etc"), HS_S_INIT("ab/cd/ef"),
        HS_S_INIT("abcde.f"), HS_S_INIT("abc de"), HS_S_INIT("abcd\0e"),   HS_S_INIT("abcd\xc3\xa4"),
    };
    const hs_media_thumb odd = { 1, 1, HS_S_INIT("../x"), HS_S_INIT("image/png"), 1 };
    const hs_media_thumb typed = { 1, 1, HS_S_INIT("crop"), HS_S_INIT("image/../../x"), 1 };
    hs_arena *a = hs_arena_open(1 << 16);
    char long_one[256];
    hs_str path;

    (void)state;
    memset(long_one, 'x', sizeof long_one);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(hs_media_path(a, BAD[i], &path)->status, 404);
    assert_non_null(hs_media_path(a, hs_str_make(long_one, 256), &path));
    assert_null(hs_media_path(a, hs_str_make(long_one, 255), &path));
    assert_non_null(hs_media_thumb_path(a, HS_S("abcdefg"), &odd, &path));
    assert_non_null(hs_media_thumb_path(a, HS_S("abcdefg"), &typed, &path));
    hs_arena_close(a);
}

static void the_first_bytes_tell_an_image(void **state)
{
    char bytes[40] = { 0 };

    (void)state;
    memcpy(bytes, "\xff\xd8\xff\xe0", 4);
    assert_int_equal(hs_image_sniff(hs_str_make(bytes, 40)), HS_IMAGE_JPEG);
    assert_int_equal(hs_image_sniff(hs_str_make(bytes, 3)), HS_IMAGE_NONE);
    memcpy(bytes, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    assert_int_equal(hs_image_sniff(hs_str_make(bytes, 33)), HS_IMAGE_PNG);
    assert_int_equal(hs_image_sniff(hs_str_make(bytes, 32)), HS_IMAGE_NONE);
    memcpy(bytes, "GIF89a", 6);
    assert_int_equal(hs_image_sniff(hs_str_make(bytes, 13)), HS_IMAGE_GIF);
    memcpy(bytes, "RIFF\0\0\0\0WEBPVP8X", 16);
    assert_int_equal(hs_image_sniff(hs_str_make(bytes, 20)), HS_IMAGE_WEBP);
    memcpy(bytes, "RIFF\0\0\0\0WAVEfmt ", 16);
    assert_int_equal(hs_image_sniff(hs_str_make(bytes, 20)), HS_IMAGE_NONE);
    assert_int_equal(hs_image_sniff(HS_S("<svg")), HS_IMAGE_NONE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_is_chosen),
        cmocka_unit_test(an_animation_is_chosen_only_when_it_is_asked_for),
        cmocka_unit_test(without_a_thumbnail_of_the_method_there_is_none),
        cmocka_unit_test(sizes_from_outside_do_not_overflow),
        cmocka_unit_test(paths_are_synapses),
        cmocka_unit_test(what_is_no_id_has_no_path),
        cmocka_unit_test(the_first_bytes_tell_an_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
