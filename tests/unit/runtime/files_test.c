#include "runtime/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    hs_loop *loop;
    hs_arena *a;
    hs_folder *folder;
    char path[64];
} fixture;

static fixture t;

static int open_all(void **state)
{
    (void)state;
    snprintf(t.path, sizeof t.path, "/tmp/hs-files-test-XXXXXX");
    if (!mkdtemp(t.path))
        return -1;
    t.loop = hs_loop_open();
    t.a = hs_arena_open(1 << 20);
    return t.loop && t.a && !hs_folder_open(t.loop, t.a, t.path, &t.folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int close_all(void **state)
{
    (void)state;
    hs_folder_close(t.folder);
    hs_arena_close(t.a);
    hs_loop_close(t.loop);
    return nftw(t.path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static hs_error *write_file(hs_arena *a, hs_str content, const char *path, hs_new_file **ret)
{
    HS_TRY(hs_new_file_open(t.folder, a, ret));
    HS_TRY(hs_new_file_write(*ret, a, hs_str_first(content, content.n / 2)));
    HS_TRY(hs_new_file_write(*ret, a, hs_str_from(content, content.n / 2)));
    HS_TRY(hs_new_file_sync(*ret, a));
    return path ? hs_new_file_keep(*ret, a, hs_str_c(path)) : NULL;
}

static bool holds(const char *path, const char *content)
{
    char got[64] = { 0 };
    int64_t size = 0;
    int fd = -1;

    assert_null(hs_folder_read(t.folder, t.a, hs_str_c(path), &fd, &size));
    if (fd < 0)
        return content == NULL;
    assert_int_equal(read(fd, got, sizeof got - 1), size);
    close(fd);
    return content && strcmp(got, content) == 0;
}

static void on_fiber(void *ud)
{
    void (*fn)(void) = *(void (**)(void))ud;

    fn();
}

static void run(void (*fn)(void))
{
    assert_null(hs_loop_run_fiber(t.loop, on_fiber, &fn));
}

static void kept(void)
{
    hs_new_file *f;

    assert_null(write_file(t.a, HS_S("hello"), "a/bc/de/f", &f));
    assert_int_equal(hs_new_file_size(f), 5);
    assert_memory_equal(hs_new_file_sha256(f), "\x2c\xf2\x4d\xba\x5f\xb0\xa3\x0e", 8);
    assert_true(holds("a/bc/de/f", "hello"));
    assert_true(holds("a/bc/de/g", NULL));
    assert_true(holds("a/bc/de", NULL));
    assert_true(holds("b/c", NULL));
    assert_null(write_file(t.a, HS_S("again"), "a/bc/de/f", &f));
    assert_true(holds("a/bc/de/f", "again"));
    assert_null(hs_folder_remove(t.folder, t.a, HS_S("a/bc/de/f")));
    assert_null(hs_folder_remove(t.folder, t.a, HS_S("a/bc/de/f")));
    assert_true(holds("a/bc/de/f", NULL));
}

static void a_kept_file_is_there_whole(void **state)
{
    (void)state;
    run(kept);
}

static void dropped(void)
{
    hs_arena *a = hs_arena_open(1 << 16);
    hs_new_file *f;

    assert_null(write_file(a, HS_S("hello"), NULL, &f));
    int fd = hs_new_file_fd(f);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    hs_arena_close(a);
    assert_true(fcntl(fd, F_GETFD) < 0);
}

static void a_file_that_is_not_kept_goes_with_its_arena(void **state)
{
    (void)state;
    run(dropped);
}

static void misused(void)
{
    hs_new_file *f;

    assert_null(hs_new_file_open(t.folder, t.a, &f));
    assert_non_null(hs_new_file_keep(f, t.a, HS_S("x/y"))); /* not durable yet */
    assert_null(hs_new_file_sync(f, t.a));
    assert_non_null(hs_new_file_sync(f, t.a));
    assert_non_null(hs_new_file_keep(f, t.a, HS_S("")));
}

static void a_file_has_no_name_before_it_is_durable(void **state)
{
    (void)state;
    run(misused);
}

static void outside(void)
{
    static const char *const PATHS[] = { "d/l/passwd",    "d/../../etc/passwd", "d/l",
                                         "../etc/passwd", "/etc/passwd",        "passwd" };
    char link[96];
    int64_t size;
    hs_new_file *f;
    int fd;

    assert_null(write_file(t.a, HS_S("x"), "d/file", &f));
    snprintf(link, sizeof link, "%s/d/l", t.path);
    assert_int_equal(symlink("/etc", link), 0);
    for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
        hs_error *e = hs_folder_read(t.folder, t.a, hs_str_c(PATHS[i]), &fd, &size);
        if (!e && fd >= 0)
            fail_msg("%s was opened", PATHS[i]);
    }
    /* the first folder may be a link: a store on several disks */
    snprintf(link, sizeof link, "%s/l", t.path);
    assert_int_equal(symlink("d", link), 0);
    assert_true(holds("l/file", "x"));
}

static void nothing_outside_is_opened(void **state)
{
    (void)state;
    run(outside);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_file_is_there_whole),
        cmocka_unit_test(a_file_that_is_not_kept_goes_with_its_arena),
        cmocka_unit_test(a_file_has_no_name_before_it_is_durable),
        cmocka_unit_test(nothing_outside_is_opened),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
