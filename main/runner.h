/* What `hs run` and `hs worker` have in common: files of configuration, the log, the process id, signals, the service
 * manager, and the life of one worker in this process. */
#ifndef HS_MAIN_RUNNER_H
#define HS_MAIN_RUNNER_H

#include "workers/worker.h"

#define HS_CONFIGS_MAX 32
#define HS_DRAIN_MS    10000

typedef struct hs_runner hs_runner;
struct hs_runner {
    hs_arena *a;
    hs_str configs[HS_CONFIGS_MAX]; /* what --config-path gave */
    size_t configs_n;
    bool of_worker; /* worker_pid_file and worker_log_config stand in for pid_file and log_config */
    bool quiet;     /* another process has warned about the configuration already */
    int64_t drain_ms;
    const hs_config *config;
    hs_logger *log;
    hs_loop *loop;
    hs_worker *worker; /* NULL before it is open, and in a supervisor */
    hs_io signals;
    void (*on_signal)(hs_runner *r, int signal);
    bool stopping;
    void *ud; /* the on_signal's */
};

/* NULL when there are too many, or no memory. */
HS_NODISCARD hs_error *hs_runner_add_config(hs_runner *r, const char *path);
/* Paths given on the command line are relative to where it was typed. */
HS_NODISCARD hs_error *hs_runner_absolute_configs(hs_runner *r);
/* Reads the files anew; *ret lives in `a`. Warnings go to `log`, which may be NULL. */
HS_NODISCARD hs_error *hs_runner_load(const hs_runner *r, hs_arena *a, hs_logger *log, const hs_config **ret);
/* Sets r->config, with warnings on standard error unless quiet, and opens r->log as it says. */
HS_NODISCARD hs_error *hs_runner_configure(hs_runner *r);
/* Opens the loop; TERM, INT, HUP and CHLD go to r->on_signal from now on. */
HS_NODISCARD hs_error *hs_runner_open_loop(hs_runner *r);
/* The file of pid_file, for scripts that look for it; the server itself does not need it. */
HS_NODISCARD hs_error *hs_runner_write_pid(hs_runner *r);

/* Opens r->worker and its listeners. */
HS_NODISCARD hs_error *hs_runner_open_worker(hs_runner *r, hs_worker_options *o);
/* An on_signal: HUP reads level and certificates anew, TERM and INT drain, a second one does not wait. */
void hs_runner_worker_signal(hs_runner *r, int signal);
/* Log level and certificates; told to the service manager. */
void hs_runner_reload(hs_runner *r);
void hs_runner_close_worker(hs_runner *r); /* does nothing when there is none */
/* Closes what is open. */
void hs_runner_close(hs_runner *r);

/* To the service manager (sd_notify's protocol): "READY=1" … */
void hs_notify(const char *state);
void hs_raise_file_limit(void);
/* "--drain SECONDS": false when it is not a number from 0 to 3600. */
bool hs_drain_option(const char *text, int64_t *ret_ms);

#endif
