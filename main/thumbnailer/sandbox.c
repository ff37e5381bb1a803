/* See sandbox.h. Files: by the kernel's system call filter, and by landlock where there is one. */
#include "main/thumbnailer/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the sandbox knows no system calls of this machine"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#define MEMORY_BYTES ((rlim_t)512 << 20) /* beside what the libraries have mapped */
#define CPU_SECONDS  10
#define WALL_SECONDS 20
#define DESCRIPTORS  8

/* What a decoder needs. Everything else ends the process, but for FAILS. */
static const int ALLOWED[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_close,
    SYS_fstat,
    SYS_newfstatat,
    SYS_lseek,

    SYS_munmap,

    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getpid,
    SYS_gettid,
    SYS_getrandom,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_sysinfo,
    SYS_getrusage,
    SYS_uname,
    SYS_umask,
    SYS_tgkill,
    SYS_restart_syscall,
    SYS_membarrier,
};

static const int MAPS[] = { SYS_mmap, SYS_mprotect };

/* What libraries try and can do without. */
static const int FAILS[] = {
    SYS_openat,
    SYS_openat2,
    SYS_faccessat,
    SYS_readlinkat,
    SYS_statx,
    SYS_ioctl,
    SYS_prctl,
    SYS_prlimit64,
    SYS_socket,
    SYS_connect,
    SYS_getpeername,
    SYS_execve,
    SYS_execveat,
    SYS_fcntl,
    SYS_getcwd,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_sched_setscheduler,
    SYS_sched_setaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
#if defined(__x86_64__)
    SYS_open,
    SYS_access,
    SYS_readlink,
    SYS_stat,
    SYS_lstat,
#endif
};

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LOAD(what)   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
/* The next statement only when the value is as given. */
#define IF(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), 0, 1)

static bool filter_calls(void)
{
    struct sock_filter code[16 + 2 * (COUNT(ALLOWED) + COUNT(FAILS)) + 5 * COUNT(MAPS)];
    struct sock_fprog program = { .filter = code };
    size_t n = 0;

    code[n++] = (struct sock_filter)LOAD(arch);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)LOAD(nr);
    for (size_t i = 0; i < COUNT(ALLOWED); i++) {
        code[n++] = (struct sock_filter)IF(ALLOWED[i]);
        code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < COUNT(FAILS); i++) {
        code[n++] = (struct sock_filter)IF(FAILS[i]);
        code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | EPERM);
    }
    /* Memory, but none to run code from. */
    for (size_t i = 0; i < COUNT(MAPS); i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)MAPS[i], 0, 4);
        code[n++] = (struct sock_filter)LOAD(args[2]);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1);
        code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | EPERM);
        code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    }
    /* Its arguments are in memory, out of sight; the C library falls back to clone. */
    code[n++] = (struct sock_filter)IF(SYS_clone3);
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    /* Threads, but no processes. */
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
    code[n++] = (struct sock_filter)LOAD(args[0]);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    program.len = (unsigned short)n;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* No file may be opened, whatever the call. An older kernel has no landlock, and the filter alone must do. */
static void forbid_files(void)
{
    struct landlock_ruleset_attr rules = {
        .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
                             LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                             LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                             LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM,
    };
    long fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);

    if (fd < 0)
        return;
    syscall(SYS_landlock_restrict_self, fd, 0);
    close((int)fd);
}

static bool limit(int what, rlim_t most)
{
    struct rlimit r = { most, most };

    return setrlimit((__rlimit_resource_t)what, &r) == 0;
}

static rlim_t mapped_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    if (f && fscanf(f, "%lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

bool sandbox_enter(void)
{
    bool ok = limit(RLIMIT_CPU, CPU_SECONDS) && limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_CORE, 0);

#if !defined(SANITIZED) /* whose shadow memory is larger than any limit */
    ok = ok && limit(RLIMIT_AS, mapped_bytes() + MEMORY_BYTES);
#else
    (void)mapped_bytes;
#endif
    alarm(WALL_SECONDS);
    ok = ok && limit(RLIMIT_NOFILE, DESCRIPTORS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    forbid_files();
    return ok && filter_calls();
}

unsigned sandbox_allows(void)
{
    char *const argv[] = { (char *)(uintptr_t) "true", NULL };
    unsigned allowed = 0;

    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
        allowed |= SANDBOX_FILE;
    if (socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0)
        allowed |= SANDBOX_SOCKET;
    execv("/bin/true", argv); /* ends with 0 if it is let */
    return allowed | SANDBOX_TRIED;
}
