/* See files.h. Where the file system can (ext4, xfs, btrfs, tmpfs …) an unfinished file has no name at all, so nothing
 * is left of it whatever happens; elsewhere (NFS) it has one in the folder "tmp". */
#include "runtime/files.h"

#include "runtime/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 600 /* of the longest path below the folder */
#define STALE_S    (24 * 3600)

struct hs_folder {
    hs_loop *loop;
    int fd;
};

struct hs_new_file {
    hs_folder *folder;
    int fd;
    int64_t size;
    EVP_MD_CTX *hash;
    uint8_t sha256[HS_SHA256_BYTES];
    bool synced, lost;
    char temp[48]; /* empty: it has no name */
};

/* One piece of work on the pool; the error is errno. */
typedef struct {
    hs_folder *folder;
    hs_new_file *file;
    hs_str bytes;
    char path[PATH_BYTES];
    const char *what;
    int error;
    int fd;
    int64_t size;
} job;

static hs_error *fail(hs_arena *a, const job *j)
{
    char text[128];

    if (j->error == ENOSPC || j->error == EDQUOT)
        return hs_err(a, 507, HS_M_UNKNOWN, "The server has no space left to store this");
    return hs_err_internal(a, NULL, "%s: %s", j->what, strerror_r(j->error, text, sizeof text));
}

static hs_error *run(hs_folder *f, hs_arena *a, void (*fn)(void *ud), job *j)
{
    HS_TRY(hs_offload(f->loop, a, fn, j));
    return j->error ? fail(a, j) : NULL;
}

static hs_error *set_path(hs_arena *a, job *j, hs_str path)
{
    if (!path.n || path.n >= sizeof j->path || hs_str_find(path, '\0', 0) < path.n)
        return hs_err_internal(a, NULL, "a bad path of %zu bytes", path.n);
    memcpy(j->path, path.p, path.n);
    j->path[path.n] = 0;
    return NULL;
}

/* ── the folder ── */

hs_error *hs_folder_open(hs_loop *loop, hs_arena *a, const char *path, hs_folder **ret)
{
    char text[128];
    hs_folder *f;
    int fd;

    HS_TRY(hs_alloc(a, 1, &f));
    if (mkdir(path, 0755) && errno != EEXIST)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s cannot be made: %s", path, strerror_r(errno, text, sizeof text));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s cannot be opened: %s", path, strerror_r(errno, text, sizeof text));
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS)) {
        close(fd);
        return hs_err(a, 500, HS_M_UNKNOWN, "%s cannot be written to: %s", path, strerror_r(errno, text, sizeof text));
    }
    *f = (hs_folder){ .loop = loop, .fd = fd };

    *ret = f;
    return NULL;
}

void hs_folder_close(hs_folder *f)
{
    if (f)
        close(f->fd);
}

/* The first folder of a path may be a link, as operators put parts of a store on other disks. */
static int open_first(int fd, const char *path, const char **ret_rest)
{
    char first[64];
    const char *slash = strchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : sizeof first;

    if (n >= sizeof first) {
        errno = EINVAL;
        return -1;
    }
    memcpy(first, path, n);
    first[n] = 0;
    *ret_rest = slash + 1;
    return openat(fd, first, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_beneath(int fd, const char *path, int flags)
{
    struct open_how how = { .flags = (unsigned)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    long got = syscall(SYS_openat2, fd, path, &how, sizeof how);

    if (got < 0 && (errno == ENOSYS || errno == EPERM)) /* an old kernel, or a container that does not know the call */
        got = openat(fd, path, flags | O_NOFOLLOW);
    return (int)got;
}

/* ── reading ── */

static void read_job(void *ud)
{
    job *j = ud;
    const char *rest;
    struct stat st;
    int first = open_first(j->folder->fd, j->path, &rest);

    j->fd = first < 0 ? -1 : open_beneath(first, rest, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    j->error = j->fd < 0 ? errno : 0;
    if (j->error == ENOENT || j->error == ENOTDIR)
        j->error = 0;
    if (first >= 0)
        close(first);
    if (j->fd < 0)
        return;
    if (fstat(j->fd, &st) || !S_ISREG(st.st_mode)) {
        close(j->fd);
        j->fd = -1;
        return;
    }
    j->size = st.st_size;
}

hs_error *hs_folder_read(hs_folder *f, hs_arena *a, hs_str path, int *ret_fd, int64_t *ret_size)
{
    job j = { .folder = f, .what = "opening a file", .fd = -1 };

    HS_TRY(set_path(a, &j, path));
    HS_TRY(run(f, a, read_job, &j));
    *ret_fd = j.fd;
    *ret_size = j.size;
    return NULL;
}

static void remove_job(void *ud)
{
    job *j = ud;

    j->error = unlinkat(j->folder->fd, j->path, 0) && errno != ENOENT && errno != ENOTDIR ? errno : 0;
}

hs_error *hs_folder_remove(hs_folder *f, hs_arena *a, hs_str path)
{
    job j = { .folder = f, .what = "removing a file" };

    HS_TRY(set_path(a, &j, path));
    return run(f, a, remove_job, &j);
}

/* ── writing ── */

static void let_go(hs_new_file *n)
{
    if (n->fd >= 0)
        close(n->fd);
    if (n->temp[0])
        unlinkat(n->folder->fd, n->temp, 0);
    n->fd = -1;
    n->temp[0] = 0;
}

static void drop(void *ud)
{
    hs_new_file *n = ud;

    let_go(n);
    EVP_MD_CTX_free(n->hash);
}

static void open_job(void *ud)
{
    job *j = ud;
    hs_new_file *n = j->file;
    int base = j->folder->fd;

    n->fd = openat(base, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    if (n->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL)) {
        snprintf(n->temp, sizeof n->temp, "tmp/%016llx%016llx", (unsigned long long)hs_random_u64(),
                 (unsigned long long)hs_random_u64());
        if (mkdirat(base, "tmp", 0755) == 0 || errno == EEXIST)
            n->fd = openat(base, n->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (n->fd < 0)
            n->temp[0] = 0;
    }
    j->error = n->fd < 0 ? errno : 0;
}

hs_error *hs_new_file_open(hs_folder *f, hs_arena *a, hs_new_file **ret)
{
    job j = { .folder = f, .what = "making a file" };
    hs_new_file *n;

    HS_TRY(hs_alloc(a, 1, &n));
    *n = (hs_new_file){ .folder = f, .fd = -1 };
    n->hash = EVP_MD_CTX_new();
    if (!n->hash || EVP_DigestInit_ex(n->hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(n->hash);
        return HS_ERR_NOMEM;
    }
    hs_error *e = hs_arena_on_reset(a, drop, n);
    if (e) {
        EVP_MD_CTX_free(n->hash);
        return e;
    }
    j.file = n;
    HS_TRY(run(f, a, open_job, &j));

    *ret = n;
    return NULL;
}

static void write_job(void *ud)
{
    job *j = ud;
    hs_new_file *n = j->file;
    hs_str left = j->bytes;

    while (left.n) {
        ssize_t got = pwrite(n->fd, left.p, left.n, n->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            j->error = got < 0 ? errno : EIO;
            let_go(n); /* a full disk has room again at once, not when the client has been told */
            return;
        }
        EVP_DigestUpdate(n->hash, left.p, (size_t)got);
        n->size += got;
        left = hs_str_from(left, (size_t)got);
    }
}

hs_error *hs_new_file_write(hs_new_file *n, hs_arena *a, hs_str bytes)
{
    job j = { .file = n, .bytes = bytes, .what = "writing a file" };

    if (n->lost)
        return hs_err_internal(a, NULL, "writing to a file that is lost");
    hs_error *e = run(n->folder, a, write_job, &j);
    n->lost = e != NULL;
    return e;
}

static void sync_job(void *ud)
{
    job *j = ud;

    EVP_DigestFinal_ex(j->file->hash, j->file->sha256, NULL);
    j->error = fdatasync(j->file->fd) ? errno : 0;
}

hs_error *hs_new_file_sync(hs_new_file *n, hs_arena *a)
{
    job j = { .file = n, .what = "making a file durable" };

    if (n->lost || n->synced)
        return hs_err_internal(a, NULL, "a file can be synced once");
    n->lost = true;
    HS_TRY(run(n->folder, a, sync_job, &j));
    n->lost = false;
    n->synced = true;
    return NULL;
}

/* Makes the folders of a path; each new one is made durable in its parent. Gives the last. */
static int make_folders(int base, char *path)
{
    int at = dup(base), next;
    char *part = path, *slash;

    while (at >= 0 && (slash = strchr(part, '/'))) {
        *slash = 0;
        bool is_new = mkdirat(at, part, 0755) == 0;
        if (!is_new && errno != EEXIST)
            next = -1;
        else
            next = openat(at, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (part == path ? 0 : O_NOFOLLOW));
        *slash = '/';
        if (is_new && fsync(at)) {
            if (next >= 0)
                close(next);
            next = -1;
        }
        int why = errno;
        close(at);
        errno = why;
        at = next;
        part = slash + 1;
    }
    return at;
}

/* A link cannot replace, so what is there makes way first: a name without a row, which nobody reads. */
static int name_it(hs_new_file *n, int dir, const char *name)
{
    char self[40];

    if (n->temp[0]) {
        if (renameat(n->folder->fd, n->temp, dir, name))
            return -1;
        n->temp[0] = 0;
        return 0;
    }
    snprintf(self, sizeof self, "/proc/self/fd/%d", n->fd);
    if (linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != EEXIST || unlinkat(dir, name, 0))
        return -1;
    return linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW);
}

static void keep_job(void *ud)
{
    job *j = ud;
    int dir = make_folders(j->folder->fd, j->path);
    const char *slash = strrchr(j->path, '/');

    if (dir < 0 || name_it(j->file, dir, slash ? slash + 1 : j->path) || fsync(dir))
        j->error = errno;
    if (dir >= 0)
        close(dir);
}

hs_error *hs_new_file_keep(hs_new_file *n, hs_arena *a, hs_str path)
{
    job j = { .folder = n->folder, .file = n, .what = "naming a file" };

    if (!n->synced)
        return hs_err_internal(a, NULL, "a file is named before it is durable");
    HS_TRY(set_path(a, &j, path));
    return run(n->folder, a, keep_job, &j);
}

int64_t hs_new_file_size(const hs_new_file *n)
{
    return n->size;
}

const uint8_t *hs_new_file_sha256(const hs_new_file *n)
{
    return n->sha256;
}

int hs_new_file_fd(const hs_new_file *n)
{
    return n->fd;
}

/* ── what was left ── */

static void sweep_job(void *ud)
{
    job *j = ud;
    int fd = openat(j->folder->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;
    struct stat st;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((d = readdir(dir)))
        if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_mtime < time(NULL) - STALE_S)
            unlinkat(fd, d->d_name, 0);
    closedir(dir);
}

hs_error *hs_folder_sweep(hs_folder *f, hs_arena *a)
{
    job j = { .folder = f };

    return run(f, a, sweep_job, &j);
}

/* ── files of others ── */

typedef struct {
    const char *path;
    char *bytes;
    size_t n, max;
    bool found;
} reading;

static void read_whole(void *ud)
{
    reading *r = ud;
    FILE *in = fopen(r->path, "re");

    if (!in)
        return;
    r->n = fread(r->bytes, 1, r->max + 1, in);
    r->found = !ferror(in) && r->n <= r->max;
    fclose(in);
}

hs_error *hs_file_read(hs_loop *loop, hs_arena *a, hs_str path, size_t max, hs_str *ret)
{
    reading *r;

    HS_TRY(hs_alloc(a, 1, &r));
    HS_TRY(hs_cstr(a, path, &r->path));
    HS_TRY(hs_alloc(a, max + 1, &r->bytes));
    r->max = max;
    HS_TRY(hs_offload(loop, a, read_whole, r));
    *ret = r->found ? hs_str_make(r->bytes, r->n) : hs_str_make(NULL, 0);
    return NULL;
}
