/* hs thumbnailer: makes thumbnails for a worker, which starts it and speaks to it over descriptor 3 (runtime/helper.h).
 *
 * With --check it says whether libvips is there and what the sandbox refuses.
 *
 * It loads libvips once and then forks for each image, so nothing of one image is left when the next comes; the child
 * goes into the sandbox, decodes, writes the answer and ends. A child that crashes, is too large or too slow is simply
 * gone, and so is the thumbnail. */
#include "main/hs.h"
#include "main/thumbnailer/image.h"
#include "main/thumbnailer/sandbox.h"
#include "runtime/helper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool write_all(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n) {
        ssize_t got = write(fd, at, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static bool answer(void *ud, const hs_image_record *r, const void *bytes)
{
    const int *fd = ud;

    return write_all(*fd, r, sizeof *r) && write_all(*fd, bytes, r->n);
}

static void refuse(int out, const char *why)
{
    hs_image_record r = { .said = HS_IMAGE_REFUSED, .n = (uint32_t)strlen(why) }, end = { .said = HS_IMAGE_END };

    (void)(answer(&out, &r, why) && answer(&out, &end, NULL));
}

/* The child's whole life. */
static void work_on(const vips_api *v, const hs_image_job *job, int in, int out)
{
    struct stat st;
    void *p;

    if (fstat(in, &st) || st.st_size <= 0) {
        refuse(out, "an empty file");
        return;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, in, 0);
    if (p == MAP_FAILED) {
        refuse(out, "the file cannot be read");
        return;
    }
    if (!sandbox_enter()) {
        refuse(out, "this kernel has no system call filter: nothing is decoded");
        return;
    }
    image_make(v, job, hs_str_make(p, (size_t)st.st_size), answer, &out);
}

static void serve(const vips_api *v, const char *missing)
{
    hs_image_job job;
    int in, out;

    while (hs_helper_next(HS_HELPER_FD, &job, sizeof job, &in, &out)) {
        pid_t child = missing ? -1 : fork();

        if (child == 0) {
            close(HS_HELPER_FD);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            work_on(v, &job, in, out);
            _exit(0);
        }
        if (child < 0)
            refuse(out, missing ? missing : "no process for it");
        close(in);
        close(out);
    }
}

static int check(const char *missing)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(sandbox_enter() ? (int)sandbox_allows() : 8);
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
        status = 8 << 8;
    status = WEXITSTATUS(status);
    printf("libvips: %s\n", missing ? missing : "loaded");
    printf("sandbox: %s\n", status & 8 ? "this kernel has none" : "entered");
    printf("a file: %s\n", status & SANDBOX_FILE || status & 8 ? "ALLOWED" : "refused");
    printf("a socket: %s\n", status & SANDBOX_SOCKET || status & 8 ? "ALLOWED" : "refused");
    printf("a program: %s\n", status & SANDBOX_TRIED ? "refused" : "ALLOWED");
    return missing || status != SANDBOX_TRIED;
}

int hs_cmd_thumbnailer(int argc, char **argv)
{
    vips_api v = { 0 };
    const char *missing = NULL;

    if (!vips_load(&v, &missing) && !missing)
        missing = "libvips";
    if (argc > 0 && strcmp(argv[0], "--check") == 0)
        return check(missing);
    signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
    signal(SIGPIPE, SIG_DFL);
    serve(&v, missing);
    return 0;
}
